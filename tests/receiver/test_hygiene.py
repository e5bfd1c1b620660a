"""Who looks suspicious: by his HELO, by lists in DNS, by SPF, by his first visit. DNS is a server of the test."""

from __future__ import annotations

import importlib.util
import ipaddress
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pydeliver.memory.visits import Visits
from pydeliver.receiver import hygiene
from pydeliver.receiver.hygiene import Hygiene, missing
from pydeliver.status import Status
from tests.dns import SERVFAIL, SILENT, NameServer

# pyspf is compiled when it is first loaded, and has a text with a backslash in it.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence")

NOW = 1_800_000_000.0
DAY = 86_400.0
CLIENT, CLIENT_6 = "192.0.2.7", "2001:db8::7"
HELO, SENDER, JO = "mail.example.org", "al@example.org", "jo@example.net"
OWN = ("mx.example.net", "example.net", "Example.COM")
REVERSED_6 = ".".join(reversed(ipaddress.ip_address(CLIENT_6).exploded.replace(":", "")))


@pytest.fixture
def server() -> Generator[NameServer, None, None]:
    with NameServer({}) as running:
        yield running


@pytest.fixture
def visits(tmp_path: Path) -> Generator[Visits, None, None]:
    one = Visits(str(tmp_path))
    yield one
    one.close()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hygiene, "QUERY_SECONDS", 0.4)
    monkeypatch.setattr(hygiene, "SERVER_SECONDS", 0.1)


def judge(one: Hygiene, client: str = CLIENT, helo: str = HELO, sender: str = SENDER, **more: Any) -> Status | None:
    return one.judge(client, helo, sender, more.get("recipient", JO), more.get("now", NOW))


# -- what is looked at ----------------------------------------------------------------------------------------------


def test_nothing_is_looked_at_before_it_is_asked_for(visits: Visits) -> None:
    for off in (Hygiene(), Hygiene(own_names=OWN, nameservers=["127.0.0.1:1"], visits=visits), Hygiene(greylist=300)):
        assert off.is_off
        assert judge(off, helo="localhost") is None
    for on in (Hygiene(300, visits=visits), Hygiene(blocklists=["x.example"]), Hygiene(spf=True), Hygiene(helo=True)):
        assert not on.is_off


@pytest.mark.parametrize(
    ("client", "nearby"),
    [
        *[(client, True) for client in ("", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "10.1.2.3")],
        *[(client, True) for client in ("172.31.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "fd00::1")],
        *[(client, True) for client in ("fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "whoever")],
        *[(client, False) for client in (CLIENT, CLIENT_6, f"::ffff:{CLIENT}", "172.32.0.1", "100.128.0.1", "::")],
    ],
)
def test_clients_nearby_are_never_judged(client: str, nearby: bool, visits: Visits) -> None:
    for one in (Hygiene(helo=True), Hygiene(greylist=300, visits=visits)):
        assert (judge(one, client, helo="x") is None) is nearby


def test_the_first_suspicion_is_told(server: NameServer, visits: Visits) -> None:
    server.zones = {"7.2.0.192.list.example": {"A": ["127.0.0.2"]}, "example.org": {"TXT": ['"v=spf1 -all"']}}
    one = Hygiene(300, ["list.example"], True, True, OWN, [server.place], visits)
    codes = []
    for client, helo, sender in (
        (CLIENT, "x", SENDER),
        (CLIENT, HELO, SENDER),
        ("192.0.2.8", HELO, SENDER),
        ("192.0.2.8", HELO, "al@example.info"),
    ):
        found = judge(one, client, helo, sender)
        assert found is not None
        codes.append((found.code, found.text.partition(":")[0]))
    assert codes == [
        ("5.7.1", "HELO x"),
        ("5.7.1", f"{CLIENT} is listed at list.example"),
        ("5.7.23", "the SPF record of example.org forbids 192.0.2.8 to send its mail"),
        ("4.7.1", "greylisted"),
    ]


@pytest.mark.parametrize(
    ("spf", "blocklists", "absent", "told"),
    [
        (True, ["list.example"], (), ""),
        (True, [], ("dns", "spf"), "dnspython and pyspf are not installed: pip install pydeliver[smtp]"),
        (True, [], ("spf",), "pyspf is not installed: pip install pydeliver[smtp]"),
        (False, ["list.example"], ("dns", "spf"), "dnspython is not installed: pip install pydeliver[smtp]"),
        (False, ["list.example"], ("spf",), ""),
        (False, [], ("dns", "spf"), ""),
    ],
)
def test_what_has_to_be_installed_is_told(
    spf: bool, blocklists: list[str], absent: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else really(name))
    assert missing(spf, blocklists) == told


# -- HELO -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "helo", "told"),
    [
        (CLIENT, "mail.example.org", ""),
        (CLIENT, "mx2.example.net", ""),
        (CLIENT, "[192.0.2.7]", ""),
        (f"::ffff:{CLIENT}", "[192.0.2.7]", ""),
        (CLIENT_6, "[IPv6:2001:DB8:0::7]", ""),
        (CLIENT_6, "[2001:db8::7]", ""),
        *[(CLIENT, own, "that is this server itself; say the name of yours") for own in ("MX.example.net", *OWN[1:])],
        (CLIENT, "example.com.", "that is this server itself; say the name of yours"),
        (CLIENT, "localhost", "say the whole name of your server, like mail.example.org"),
        (CLIENT, "localhost.", "say the whole name of your server, like mail.example.org"),
        (CLIENT, CLIENT, "an address stands in brackets, like [192.0.2.7]; better say a name"),
        (CLIENT, "192.0.2.8", "an address stands in brackets, like [192.0.2.8]; better say a name"),
        (CLIENT_6, CLIENT_6, "an address stands in brackets, like [IPv6:2001:db8::7]; better say a name"),
        (CLIENT, "[192.0.2.8]", "that is not your address, which is 192.0.2.7"),
        (CLIENT, "[127.0.0.1]", "that is not your address, which is 192.0.2.7"),
        (CLIENT, "[192.0.2.7", "that is not your address, which is 192.0.2.7"),
        (CLIENT, "[mail.example.org]", "that is not your address, which is 192.0.2.7"),
        (CLIENT_6, "[IPv6:2001:db8::8]", "that is not your address, which is 2001:db8::7"),
    ],
)
def test_who_calls_himself_what_he_cannot_be_is_refused(client: str, helo: str, told: str) -> None:
    found = judge(Hygiene(helo=True, own_names=OWN), client, helo)
    assert found == (Status("5.7.1", f"HELO {helo}: {told}") if told else None)


# -- lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (CLIENT, "7.2.0.192.list.example"),
        (f"::ffff:{CLIENT}", "7.2.0.192.list.example"),
        (CLIENT_6, f"{REVERSED_6}.list.example"),
    ],
)
def test_who_is_listed_is_refused_with_what_the_list_says(client: str, name: str, server: NameServer) -> None:
    server.zones = {name: {"A": ["127.0.0.4"], "TXT": ['"ask https://" "list.example/7"']}}
    one = Hygiene(blocklists=["other.example", ".list.example."], nameservers=[server.place])
    address = client.removeprefix("::ffff:")
    told = Status("5.7.1", f"{address} is listed at list.example: ask https://list.example/7")
    assert judge(one, client) == told
    assert judge(one, "192.0.2.8") is None


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ({"A": ["127.0.0.2"]}, True),
        ({"A": ["127.255.254.1"]}, True),
        ({"A": ["127.255.255.254"]}, False),
        ({"A": ["127.255.255.254", "127.0.0.2"]}, True),
        ({"A": ["192.0.2.1"]}, False),  # a list that is gone, and whose domain is somebody's who answers everything
        ({"TXT": ['"something"']}, False),
        ({}, False),
        (SERVFAIL, False),
    ],
)
def test_a_listing_is_an_address_of_loopback_that_is_no_error(answer: Any, listed: bool, server: NameServer) -> None:
    server.zones = {"7.2.0.192.list.example": answer}
    one = Hygiene(blocklists=["list.example"], nameservers=[server.place])
    assert judge(one) == (Status("5.7.1", f"{CLIENT} is listed at list.example") if listed else None)


@pytest.mark.usefixtures("_impatient")
def test_a_list_that_says_nothing_lists_nobody_and_the_next_one_is_asked(server: NameServer) -> None:
    server.zones = {"7.2.0.192.one.example": SILENT, "7.2.0.192.two.example": {"A": ["127.0.0.2"], "TXT": SILENT}}
    one = Hygiene(blocklists=["one.example", "two.example"], nameservers=[server.place])
    assert judge(one) == Status("5.7.1", f"{CLIENT} is listed at two.example")


@pytest.mark.usefixtures("_impatient")
def test_a_name_server_that_says_nothing_leaves_time_for_the_next(server: NameServer) -> None:
    server.zones = {"7.2.0.192.list.example": {"A": ["127.0.0.2"]}}
    with NameServer({"7.2.0.192.list.example": SILENT}) as silent:
        one = Hygiene(blocklists=["list.example"], nameservers=[silent.place, server.place])
        assert judge(one) is not None
        assert silent.asked


# -- SPF ------------------------------------------------------------------------------------------------------------

FORBIDDEN = Status("5.7.23", f"the SPF record of example.org forbids {CLIENT} to send its mail")
LATER = Status("4.4.3", "the SPF record of example.org can't be looked up now; try again later")


def by_spf(server: NameServer) -> Hygiene:
    return Hygiene(spf=True, nameservers=[server.place])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("v=spf1 -all", FORBIDDEN),
        ("v=spf1 ip4:192.0.2.0/24 -all", None),
        ("v=spf1 ip4:192.0.3.0/24 -all", FORBIDDEN),
        ("v=spf1 a:host.example.org -all", None),
        ("v=spf1 mx -all", None),
        ("v=spf1 ptr:example.org -all", None),
        ("v=spf1 include:other.example -all", None),
        ("v=spf1 redirect=other.example", None),
        ("v=spf1 exists:%{ir}.%{l}.%{h}.example.org -all", None),
        ("v=spf1 a:alias.example.org -all", None),
        ("v=spf1 a:nowhere.example.org -all", FORBIDDEN),
        ("v=spf1 ~all", None),
        ("v=spf1 ?all", None),
        ("v=spf1", None),
        ("v=spf1 nonsense -all", None),
        ("v=spf1 include:nowhere.example.org -all", None),  # no record there: an error for good
        ("something else", None),
        ("v=spf1 include:broken.example -all", LATER),
        (f"v=spf1 exp=why.example.org {' '.join(['ip4:203.0.113.1'] * 130)} -all", None),  # too long to be looked at
    ],
)
def test_what_a_domain_says_of_this_client_is_obeyed(record: str, told: Status | None, server: NameServer) -> None:
    texts = " ".join([f'"{record[at : at + 255]}"' for at in range(0, len(record), 255)])
    server.zones = {
        "example.org": {"TXT": ['"unrelated"', texts], "MX": ["10 host.example.org."]},
        "host.example.org": {"A": [CLIENT]},
        "alias.example.org": {"CNAME": ["host.example.org."]},
        "7.2.0.192.in-addr.arpa": {"PTR": ["host.example.org."]},
        "7.2.0.192.al.mail.example.org.example.org": {"A": ["127.0.0.2"]},
        "other.example": {"TXT": ['"v=spf1 ip4:192.0.2.7 -all"']},
        "broken.example": SERVFAIL,
    }
    assert judge(by_spf(server)) == told


def test_a_client_with_ipv6_is_judged_by_its_address(server: NameServer) -> None:
    server.zones = {
        "example.org": {"TXT": ['"v=spf1 a ip6:2001:db8:1::/48 -all"'], "AAAA": [CLIENT_6]},
    }
    one = by_spf(server)
    assert [judge(one, client) is None for client in (CLIENT_6, "2001:db8:1::1", "2001:db8::8", CLIENT)] == [
        *(True, True),
        *(False, False),
    ]


def test_the_domain_explains(server: NameServer) -> None:
    server.zones = {
        "example.org": {"TXT": ['"v=spf1 exp=why.example.org -all"']},
        "why.example.org": {"TXT": ['"%{i} is none of ours"']},
    }
    assert judge(by_spf(server)) == Status("5.7.23", f"{FORBIDDEN.text}; it explains: {CLIENT} is none of ours")


@pytest.mark.parametrize(
    ("sender", "helo", "asked"),
    [
        ("al@example.org", HELO, "example.org"),
        ("al@EXAMPLE.org.", HELO, "example.org"),
        ('"al@example.info"@example.org', HELO, "example.org"),
        ("al@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", HELO, "xn--bcher-kva.example"),
        ("al@stra\N{LATIN SMALL LETTER SHARP S}e.example", HELO, "xn--strae-oqa.example"),
        ("", HELO, HELO),
        ("postmaster", HELO, HELO),
    ],
)
def test_the_domain_of_the_sender_is_asked_or_of_helo_where_there_is_none(
    sender: str, helo: str, asked: str, server: NameServer
) -> None:
    server.zones = {asked: {"TXT": ['"v=spf1 -all"']}}
    found = judge(by_spf(server), helo=helo, sender=sender)
    assert found is not None
    assert found.code == "5.7.23"
    assert server.asked == [(asked, "TXT")]


def test_the_null_sender_is_the_postmaster_of_helo(server: NameServer) -> None:
    server.zones = {
        HELO: {"TXT": ['"v=spf1 exists:%{l}.%{o}.example.net -all"']},
        f"postmaster.{HELO}.example.net": {"A": ["127.0.0.2"]},
    }
    assert judge(by_spf(server), sender="") is None
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("sender", "helo"),
    [
        *[("", "[192.0.2.7]"), ("", "localhost"), ("al@localhost", HELO), ("al@[192.0.2.7]", HELO), ("al@..", HELO)],
        *[(f"al@{domain}", HELO) for domain in ("a..example", "x" * 64 + ".example", ".".join(["x" * 60] * 6))],
    ],
)
def test_what_is_no_domain_is_not_asked_for(sender: str, helo: str, server: NameServer) -> None:
    assert judge(by_spf(server), helo=helo, sender=sender) is None
    assert server.asked == []


@pytest.mark.parametrize("local", ['"\\\\999"', "a..b", "x" * 64, "\N{SNOWMAN}" * 60])
def test_a_record_may_ask_for_what_can_be_no_name_and_finds_nothing(local: str, server: NameServer) -> None:
    server.zones = {"example.org": {"TXT": ['"v=spf1 exists:%{l}.example.org -all"']}}
    assert judge(by_spf(server), sender=f"{local}@example.org") == FORBIDDEN
    assert server.asked == [("example.org", "TXT")]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fails", [SERVFAIL, SILENT])
def test_a_record_that_cannot_be_looked_up_is_to_be_tried_again(fails: str, server: NameServer) -> None:
    server.zones = {"example.org": fails}
    assert judge(by_spf(server)) == LATER


def test_what_pyspf_does_not_understand_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(hygiene, "tell_syslog", told.append)
    one = Hygiene(spf=True)
    monkeypatch.setattr(one, "_asked", lambda *_: [object()])
    assert judge(one) is None
    assert [text.partition(":")[0] for text in told] == ["SPF of example.org can't be judged"]


def test_two_with_other_name_servers_ask_their_own_at_the_same_time() -> None:
    found: dict[str, list[Status | None]] = {}

    def work(name: str, record: str) -> None:
        with NameServer({f"{number}.example": {"TXT": [f'"{record}"']} for number in range(20)}) as own:
            one = Hygiene(spf=True, nameservers=[own.place])
            ready.wait()
            found[name] = [judge(one, sender=f"al@{number}.example") for number in range(20)]

    ready = threading.Barrier(2)
    threads = [
        threading.Thread(target=work, args=words) for words in (("open", "v=spf1 +all"), ("shut", "v=spf1 -all"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["open"] == [None] * 20
    assert None not in found["shut"]


# -- what is remembered ---------------------------------------------------------------------------------------------


def test_a_hundred_recipients_cost_what_one_does_for_a_minute(server: NameServer) -> None:
    server.zones = {"example.org": {"TXT": ['"v=spf1 ip4:192.0.2.7 -all"']}}
    one = Hygiene(blocklists=["list.example"], spf=True, nameservers=[server.place])
    for number in range(100):
        assert judge(one, recipient=f"{number}@example.net", now=NOW + number / 2) is None
    assert server.asked == [("7.2.0.192.list.example", "A"), ("example.org", "TXT")]
    server.zones = {"7.2.0.192.list.example": {"A": ["127.0.0.2"]}}
    assert judge(one, now=NOW + 59.9) is None
    refused = judge(one, now=NOW + 60)
    assert refused is not None
    count = len(server.asked)
    assert judge(one, now=NOW + 119) == refused
    assert len(server.asked) == count
    assert judge(one, now=NOW - 1) == refused  # a clock that was set back
    assert len(server.asked) > count


def test_another_sender_is_another_question_to_spf_and_none_to_the_lists(server: NameServer) -> None:
    one = Hygiene(blocklists=["list.example"], spf=True, nameservers=[server.place])
    for client, helo, sender in (
        (CLIENT, HELO, "al@one.example"),
        (CLIENT, HELO, "al@two.example"),
        (CLIENT, HELO, ""),
        (CLIENT, "other.example", ""),
        ("192.0.2.8", HELO, "al@one.example"),
    ):
        assert judge(one, client, helo, sender) is None
    assert server.asked == [
        ("7.2.0.192.list.example", "A"),
        *[(name, "TXT") for name in ("one.example", "two.example", HELO, "other.example")],
        ("8.2.0.192.list.example", "A"),
        ("one.example", "TXT"),
    ]


def test_what_is_remembered_is_bounded(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hygiene, "REMEMBERED", 3)
    one = Hygiene(blocklists=["list.example"], nameservers=[server.place])
    for number in range(10):
        judge(one, f"192.0.2.{number}")
        assert len(one._remembered) <= 3
    judge(one, "192.0.2.9")
    assert len(server.asked) == 10


# -- greylisting ----------------------------------------------------------------------------------------------------


def test_who_is_new_waits_and_never_again(visits: Visits) -> None:
    one = Hygiene(greylist=300, visits=visits)
    assert judge(one) == Status("4.7.1", "greylisted: try again in 300 seconds")
    assert judge(one, now=NOW + 60.5) == Status("4.7.1", "greylisted: try again in 240 seconds")
    assert judge(one, now=NOW + 299.9) == Status("4.7.1", "greylisted: try again in 1 seconds")
    assert judge(one, now=NOW + 300) is None
    for days in (35, 70, 105):
        assert judge(one, now=NOW + days * DAY) is None


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({"client": "192.0.2.250"}, True),
        ({"client": "192.0.3.7"}, False),
        ({"helo": "other.example"}, True),
        ({"sender": "AL@example.org"}, True),
        ({"sender": "al@example.com"}, False),
        ({"sender": ""}, False),
        ({"recipient": "JO@example.net"}, True),
        ({"recipient": "kim@example.net"}, False),
    ],
)
def test_who_is_known_is_told_by_network_sender_and_recipient(
    changed: dict[str, str], known: bool, visits: Visits
) -> None:
    one = Hygiene(greylist=300, visits=visits)
    judge(one)
    assert (judge(one, **changed, now=NOW + 300) is None) is known  # type: ignore[arg-type]


def test_a_network_of_ipv6_has_64_bits(visits: Visits) -> None:
    one = Hygiene(greylist=300, visits=visits)
    judge(one, CLIENT_6)
    assert judge(one, "2001:db8::ffff:0:0:1", now=NOW + 300) is None
    assert judge(one, "2001:db8:0:1::7", now=NOW + 300) is not None


def test_a_list_that_numbers_what_it_sends_waits_once(visits: Visits) -> None:
    one = Hygiene(greylist=300, visits=visits)
    judge(one, sender="talk-bounces-17-jo=example.net@example.org")
    assert judge(one, sender="talk-bounces-2018-jo=example.net@example.org", now=NOW + 300) is None


def test_who_cannot_be_looked_up_is_let_in(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert judge(Hygiene(greylist=300, visits=Visits(str(tmp_path / "state")))) is None


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_name_server_is_an_address_and_perhaps_a_port(written: str, place: tuple[str, int]) -> None:
    assert Hygiene(spf=True, nameservers=[written])._nameservers == (place,)
