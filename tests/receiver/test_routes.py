"""Where mail for a domain goes, by what a real name server says of it."""

from __future__ import annotations

import random
import socket
import sys

import pytest

from pydeliver.receiver import routes
from pydeliver.receiver.routes import Hop, Routes, place
from pydeliver.status import Status
from tests.dns import SERVFAIL, SILENT, NameServer, Zones

ONE = {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}
HOST = Hop("mx.example.net", ("192.0.2.1", "2001:db8::1"), 25)
NO_ANSWER = Status("4.4.3", "the name servers don't answer for example.org")


def find(zones: Zones, domain: str = "example.org", **more: object) -> list[Hop] | Status:
    with NameServer(zones) as server:
        return made(server, **more).find(domain)


def made(*servers: NameServer, **more: object) -> Routes:
    """Routes by these servers, which try hosts of one preference by their names."""
    given = {"own_name": "us.example.com", "shuffle": lambda hosts: None} | more
    return Routes("", [one.place for one in servers], **given)  # type: ignore[arg-type]


def hosts(found: list[Hop] | Status) -> list[str]:
    assert isinstance(found, list), found
    return [hop.host for hop in found]


def several(*records: str) -> dict[str, dict[str, list[str]]]:
    """A domain with these MX records, and an address for each of their hosts."""
    named = {record.split()[1].removesuffix("."): {"A": [f"192.0.2.{at}"]} for at, record in enumerate(records, 1)}
    return {"example.org": {"MX": list(records)}} | named


# -- by MX records ------------------------------------------------------------------------------------------------


def test_a_domain_has_its_mail_where_its_mx_record_says() -> None:
    zones = {"example.org": {"MX": ["10 MX.example.net."], "A": ["192.0.2.99"]}, "mx.example.net": ONE}
    assert find(zones) == [HOST]
    assert find(zones, "Example.ORG.") == [HOST]
    assert find(zones, port=2525) == [Hop(HOST.host, HOST.addresses, 2525)]


def test_the_least_preference_comes_first() -> None:
    assert hosts(find(several("20 b.example.", "5 a.example.", "100 c.example."))) == [
        "a.example",
        "b.example",
        "c.example",
    ]


def test_equal_preferences_are_shuffled_and_others_are_not() -> None:
    zones = several("10 a.example.", "10 b.example.", "10 c.example.", "1 first.example.", "20 last.example.")
    turned = hosts(find(zones, shuffle=list.reverse))
    assert turned == ["first.example", "c.example", "b.example", "a.example", "last.example"]
    by_seed = {tuple(hosts(find(zones, shuffle=random.Random(seed).shuffle))) for seed in range(3)}
    assert len(by_seed) > 1
    assert {(one[0], one[-1]) for one in by_seed} == {("first.example", "last.example")}


def test_equal_preferences_are_shuffled_by_chance() -> None:
    zones = several(*[f"10 mx{number}.example." for number in range(6)])
    with NameServer(zones) as server:
        found = Routes("", [server.place], "us.example.com")
        assert len({tuple(hosts(found.find("example.org"))) for _ in range(4)}) > 1  # but for once in 720^3


def test_a_domain_without_mx_records_has_its_mail_at_its_own_address() -> None:
    assert find({"example.org": ONE}) == [Hop("example.org", HOST.addresses, 25)]
    assert find({"example.org": {"AAAA": ["2001:db8::1"]}}) == [Hop("example.org", ("2001:db8::1",), 25)]


def test_another_name_of_a_domain_is_followed() -> None:
    zones = {
        "example.org": {"CNAME": ["example.net."]},
        "example.net": {"MX": ["10 mx.example.net."]},
        "mx.example.net": ONE,
    }
    assert find(zones) == [HOST]


def test_an_mx_record_that_points_nowhere_says_that_there_is_no_mail() -> None:
    assert find({"example.org": {"MX": ["0 ."]} | ONE}) == Status("5.1.10", "example.org takes no mail")
    assert find({"example.org": {"MX": ["0 .", "10 mx.example.net."]}, "mx.example.net": ONE}) == [HOST]


def test_a_domain_that_does_not_exist_is_refused() -> None:
    assert find({}) == Status("5.1.2", "there is no domain example.org")


@pytest.mark.parametrize("zone", [{}, {"TXT": ['"hello"']}])
def test_a_domain_without_hosts_and_addresses_is_refused(zone: dict[str, list[str]]) -> None:
    said = Status("5.1.2", "example.org has neither MX records nor an address that can be used")
    assert find({"example.org": zone}) == said


def test_hosts_without_addresses_are_left_out_and_nothing_but_those_is_refused() -> None:
    zones: Zones = several("10 a.example.", "20 b.example.") | {"a.example": {}}
    assert hosts(find(zones)) == ["b.example"]
    nowhere = Status("5.4.4", "none of the hosts for example.org has an address that can be used")
    # what the domain has itself counts no more when it has MX records (RFC 5321 5.1)
    assert find({"example.org": {"MX": ["10 a.example.", "10 b.example."]} | ONE, "b.example": {}}) == nowhere


def test_a_host_whose_name_is_none_is_left_out() -> None:
    zones = several(r"10 a\032b.example.", "20 c.example.")
    with NameServer(zones) as server:
        assert hosts(made(server).find("example.org")) == ["c.example"]
        assert [name for name, _ in server.asked] == ["example.org", "c.example", "c.example"]


# -- what can't be told now ---------------------------------------------------------------------------------------


def test_what_the_name_servers_cannot_say_is_to_be_tried_again() -> None:
    assert find({"example.org": SERVFAIL}) == NO_ANSWER
    assert find({"example.org": {"MX": SERVFAIL} | ONE}) == NO_ANSWER
    assert find({"example.org": {"A": SERVFAIL}}) == NO_ANSWER
    unknown = {"example.org": {"MX": ["10 a.example.", "20 b.example."]}, "a.example": SERVFAIL}
    assert find(unknown) == Status("4.4.3", "the name servers don't answer for a.example")
    assert hosts(find(unknown | {"b.example": ONE})) == ["b.example"]
    assert find({"example.org": {"A": ["192.0.2.1"], "AAAA": SERVFAIL}}) == [Hop("example.org", ("192.0.2.1",), 25)]


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "QUERY_SECONDS", 0.1)
    assert find({"example.org": SILENT}) == NO_ANSWER


def test_another_server_is_asked_when_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "QUERY_SECONDS", 0.9)
    with NameServer({"example.org": SILENT}) as silent, NameServer({"example.org": ONE}) as other:
        assert hosts(made(silent, other).find("example.org")) == ["example.org"]
        assert silent.asked


def test_all_questions_together_have_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "QUERY_SECONDS", 0.1)
    monkeypatch.setattr(routes, "ALL_SECONDS", 0.15)
    names = [f"mx{number}.example" for number in range(10)]
    zones: Zones = {"example.org": {"MX": [f"{at} {name}." for at, name in enumerate(names)]}} | dict.fromkeys(
        names, SILENT
    )
    with NameServer(zones) as server:
        found = made(server).find("example.org")
        assert isinstance(found, Status)
        assert found.code == "4.4.3"
        assert len({name for name, _ in server.asked}) < 5


def test_the_times_are_what_a_client_can_wait_for() -> None:
    assert (routes.QUERY_SECONDS, routes.ALL_SECONDS) == (5, 15)


@pytest.mark.parametrize("nameserver", ["dns.example.net", "localhost:53", "192.0.2.1:dns", ""])
def test_a_name_server_is_no_name(nameserver: str) -> None:
    with pytest.raises(ValueError, match=r"nvalid|appear"):
        place(nameserver)


def test_dnspython_may_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    found = Routes("", ["192.0.2.1"], "us.example.com").find("example.org")
    assert found == Status("4.3.5", "passing mail on needs pip install pydeliver[smtp]")


def test_without_name_servers_those_of_the_system_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr("dns.resolver.Resolver.read_resolv_conf", lambda self, path: read.append(path))
    monkeypatch.setattr(routes, "QUERY_SECONDS", 0.1)
    assert Routes("", (), "us.example.com").find("example.org") == NO_ANSWER
    assert read[0] == "/etc/resolv.conf"
    read.clear()
    assert hosts(find({"example.org": ONE})) == ["example.org"]
    assert read == []


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_a_name_server_is_an_address_and_may_have_a_port(setting: str, place: tuple[str, int]) -> None:
    assert routes.place(setting) == place


# -- round in a circle --------------------------------------------------------------------------------------------


def test_what_is_no_nearer_than_this_host_itself_is_left_out() -> None:
    zones = several("10 a.example.", "20 b.example.", "20 us.example.com.", "30 c.example.")
    assert hosts(find(zones)) == ["a.example"]
    assert hosts(find(zones, own_name="US.example.com.")) == ["a.example"]
    assert hosts(find(zones, own_name="a")) == ["a.example", "b.example", "us.example.com", "c.example"]


def test_mail_that_would_come_back_is_refused() -> None:
    circle = Status("5.4.6", "mail for example.org would come back to this host")
    assert find(several("10 us.example.com.", "10 a.example.", "20 b.example.")) == circle
    assert find({"example.org": ONE}, own_name="example.org") == circle


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "224.0.0.1", "::1", "::", "ff02::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"],
)
def test_an_address_of_this_host_is_never_used(address: str) -> None:
    kind = "AAAA" if ":" in address else "A"
    zones = {"example.org": {"MX": ["10 a.example.", "20 b.example."]}, "a.example": {kind: [address]}}
    assert isinstance(find(zones), Status)
    beside = {"b.example": {"A": ["192.0.2.1"], kind: [address, "2001:db8::1" if kind == "AAAA" else "192.0.2.1"]}}
    found = find(zones | beside)
    assert hosts(found) == ["b.example"]
    assert isinstance(found, list)
    assert set(found[0].addresses) <= {"192.0.2.1", "2001:db8::1"}
    found = find({"example.org": {kind: [address]}})
    assert isinstance(found, Status)
    assert found.code == "5.1.2"
    assert hosts(find({"example.org": {kind: [address]}}, to_loopback=True)) == ["example.org"]


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "asked"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.example", "xn--fa-hia.example"),  # by IDNA 2003 it would be fass.example, who is somebody else
        ("a_b.example", "a_b.example"),
    ],
)
def test_a_domain_is_looked_up_by_its_a_labels(domain: str, asked: str) -> None:
    with NameServer({asked: ONE}) as server:
        assert hosts(made(server).find(domain)) == [asked]
        assert server.asked[0] == (asked, "MX")


@pytest.mark.parametrize("domain", ["", ".", "a..b", f"{'x' * 64}.example", "ü" * 64, "a b.example", r"a\046b", "a/b"])
def test_a_name_that_is_none_is_refused(domain: str) -> None:
    with NameServer({}) as server:
        assert made(server).find(domain) == Status("5.1.2", f"{domain} is not the name of a domain")
        assert made(server).find("x." * 130 + "example") == Status(
            "5.1.2", "x." * 130 + "example is not the name of a domain"
        )
        assert server.asked == []


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_a_literal_is_not_passed_on_to(domain: str) -> None:
    found = find({}, domain)
    assert found == Status("5.1.2", f"mail for {domain} is not passed on to: an address needs a name there")


# -- limits -------------------------------------------------------------------------------------------------------


def test_no_more_than_ten_hosts_are_looked_at() -> None:
    records = [f"{number} mx{number}.example." for number in range(1, 31)]
    zones: Zones = several(*records)
    assert hosts(find(zones)) == [f"mx{number}.example" for number in range(1, 11)]
    without = {"example.org": zones["example.org"]} | {f"mx{number}.example": {} for number in range(1, 31)}
    with NameServer(without) as server:
        assert isinstance(made(server).find("example.org"), Status)
        assert len({name for name, _ in server.asked}) == 1 + 10


def test_no_more_than_ten_addresses_are_given() -> None:
    many = {"A": [f"192.0.2.{number}" for number in range(1, 9)]}
    zones: Zones = several("1 a.example.", "2 b.example.", "3 c.example.") | {"a.example": many, "b.example": many}
    found = find(zones)
    assert hosts(found) == ["a.example", "b.example"]
    assert isinstance(found, list)
    assert [len(hop.addresses) for hop in found] == [8, 2]


# -- by a smarthost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "hop"),
    [
        ("127.0.0.1:2525", Hop("127.0.0.1", ("127.0.0.1",), 2525)),
        ("[::1]:587", Hop("::1", ("::1",), 587)),
    ],
)
@pytest.mark.parametrize("domain", ["example.org", "[192.0.2.1]", "no name"])
def test_a_smarthost_takes_all_of_it(place: str, hop: Hop, domain: str) -> None:
    found = Routes(place, ["192.0.2.1"], "127.0.0.1")
    assert (found.smarthost, found.find(domain)) == (place, [hop])


def test_a_smarthost_is_found_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("relay.example.com", 587)
        there = [f"192.0.2.{number % 12}" for number in range(24)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in there]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    addresses = tuple([f"192.0.2.{number}" for number in range(10)])
    assert Routes("relay.example.com:587", (), "").find("example.org") == [Hop("relay.example.com", addresses, 587)]


def test_a_smarthost_that_is_not_found_is_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Routes(f"{'x' * 64}.example:25", (), "").find("example.org")
    assert isinstance(found, Status)
    assert found.code == "4.4.3"

    def nothing(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    said = "the smarthost relay.example is not found: [Errno -2] Name or service not known"
    assert Routes("relay.example:25", (), "").find("example.org") == Status("4.4.3", said)
