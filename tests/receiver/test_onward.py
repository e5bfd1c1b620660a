"""One transaction with a next hop, which really listens, and does what it is told to."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pydeliver.agent.smarthost import transparent
from pydeliver.receiver import onward, routes
from pydeliver.receiver.onward import Onward
from pydeliver.receiver.routes import Hop
from pydeliver.status import Status
from tests.nexthop import DRIP, HANG_UP, SAY_NOTHING, NextHop, certificate

NAME = "mx.example.net"
SENDER, ROBIN = "jo@example.org", "robin@example.net"
MESSAGE = b"From: Jo <jo@example.org>\nSubject: hello\n\nHi.\n"
LOGIN = ("jo", "secret")
NOISE = "this is no handshake"
OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "AUTH PLAIN")
OK, TAKEN = Status("2.1.5", "ok"), Status("2.0.0", "taken")


def hop(server: NextHop, host: str = NAME) -> Hop:
    return Hop(host, (server.address,), server.port)


def to(*servers: NextHop, sender: str = SENDER, utf8: bool = False, **more: object) -> Onward:
    return Onward([hop(one) for one in servers], "us.example.com", sender, utf8, **more)  # type: ignore[arg-type]


def sent(
    *servers: NextHop,
    recipients: Sequence[str] = (ROBIN,),
    feed: Iterable[bytes] = (MESSAGE,),
    **more: object,
) -> list[Status]:
    """What was said of each recipient, and then of the message, if there was anybody to have it."""
    with closing(to(*servers, **more)) as going:  # type: ignore[arg-type]
        said = [going.recipient(one) for one in recipients]
        return said if not any(one.ok for one in said) else [*said, going.deliver(feed)]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `NAME`."""
    return certificate(tmp_path_factory.mktemp("keys"), NAME)


@pytest.fixture
def believed(key: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and this machine believes it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(key))
    return key


@pytest.fixture
def nobody() -> Iterator[Hop]:
    """A port of this host at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Hop("nobody.example", ("127.0.0.1",), held.getsockname()[1])


# -- what is said -------------------------------------------------------------------------------------------------


def test_a_message_is_passed_on() -> None:
    with NextHop() as server:
        assert sent(server) == [OK, TAKEN]
        assert server.last.lines == [
            "ehlo us.example.com",
            f"MAIL FROM:<{SENDER}> BODY=8BITMIME",
            f"RCPT TO:<{ROBIN}>",
            "DATA",
            "QUIT",
        ]
        assert server.last.message == MESSAGE.replace(b"\n", b"\r\n")


def test_each_recipient_has_its_own_answer_in_one_conversation() -> None:
    refusal = {"RCPT TO:<no@example.net>": "550 5.1.1 no such user", "RCPT TO:<later@example.net>": "450 4.2.0 later"}
    with NextHop(refusal) as server:
        said = sent(server, recipients=["no@example.net", ROBIN, "later@example.net"])
        assert said == [Status("5.1.1", "no such user"), OK, Status("4.2.0", "later"), TAKEN]
        assert server.last.verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA", "QUIT"]
    assert len(server.conversations) == 1


@pytest.mark.parametrize("sender", ["", '"a b, c"@example.org', "a,b@example.org", "jo(x)@example.org"])
def test_addresses_go_as_they_came(sender: str) -> None:
    with NextHop() as server:
        assert sent(server, sender=sender, recipients=['"<x>, y"@example.net']) == [OK, TAKEN]
        assert server.last.lines[1:3] == [f"MAIL FROM:<{sender}> BODY=8BITMIME", 'RCPT TO:<"<x>, y"@example.net>']


def test_only_what_is_offered_is_asked_for() -> None:
    with NextHop(offers=()) as server:
        assert sent(server) == [OK, TAKEN]
        assert server.last.lines[1] == f"MAIL FROM:<{SENDER}>"


def test_a_server_that_knows_no_ehlo_is_greeted_by_helo() -> None:
    with NextHop({"EHLO": "502 5.5.1 what?"}) as server:
        assert sent(server) == [OK, TAKEN]
        assert server.last.lines[:3] == ["ehlo us.example.com", "helo us.example.com", f"MAIL FROM:<{SENDER}>"]


# -- beyond ASCII -------------------------------------------------------------------------------------------------

NO_UTF8 = Status("5.6.7", "the next hop takes only ASCII in addresses and headers")


@pytest.mark.parametrize(("sender", "recipient"), [("jö@example.org", ROBIN), (SENDER, "rübe@example.net")])
def test_addresses_beyond_ascii_go_where_they_are_taken(sender: str, recipient: str) -> None:
    with NextHop() as server:
        assert sent(server, sender=sender, recipients=[recipient, ROBIN], utf8=True) == [OK, OK, TAKEN]
        assert server.last.lines[1:3] == [f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8", f"RCPT TO:<{recipient}>"]
    with NextHop() as server:  # also where our client has announced nothing
        assert sent(server, sender=sender, recipients=[recipient]) == [OK, TAKEN]
        assert server.last.lines[1] == f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8"


def test_an_address_beyond_ascii_is_refused_where_it_is_not_taken() -> None:
    with NextHop(offers=["8BITMIME"]) as server:
        assert sent(server, recipients=["rübe@example.net", ROBIN], utf8=True) == [NO_UTF8, OK, TAKEN]
        assert server.last.lines[1:3] == [f"MAIL FROM:<{SENDER}> BODY=8BITMIME", f"RCPT TO:<{ROBIN}>"]
    with NextHop(offers=["8BITMIME"]) as server:
        assert sent(server, sender="jö@example.org", recipients=[ROBIN, ROBIN], utf8=True) == [NO_UTF8, NO_UTF8]
        assert server.last.verbs == ["EHLO", "QUIT"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"Subject: hello\n\nein Gru\xc3\x9f\n", TAKEN),
        (b"Subject: Gru\xc3\x9f\n\nhello\n", NO_UTF8),
        (b"Subject: Gru\xc3\x9f\n", NO_UTF8),
        (b"\nein Gru\xc3\x9f\n\n", TAKEN),
    ],
)
def test_a_header_beyond_ascii_is_refused_where_it_is_not_taken(text: bytes, told: Status) -> None:
    cut = [text[at : at + 3] for at in range(0, len(text), 3)]
    with NextHop(offers=["8BITMIME"]) as server:
        assert sent(server, utf8=True, feed=iter(cut)) == [OK, told]
        if told.ok:
            assert server.last.message == text.replace(b"\n", b"\r\n")
        else:
            assert server.last.verbs == ["EHLO", "MAIL", "RCPT", "QUIT"]
    with NextHop() as server:
        assert sent(server, utf8=True, feed=iter(cut)) == [OK, TAKEN]


# -- the answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("550 5.1.1 no such user", Status("5.1.1", "no such user")),
        ("550 no such user", Status("5.0.0", "no such user")),
        ("450 4.7.1 greylisted", Status("4.7.1", "greylisted")),
        ("451 later", Status("4.0.0", "later")),
        ("421 4.3.2 going down", Status("4.3.2", "going down")),
        ("450 5.7.1 which of both?", Status("4.0.0", "5.7.1 which of both?")),
        ("550 5.7.26x not a code", Status("5.0.0", "5.7.26x not a code")),
        ("550-5.7.1 one\r\n550-5.7.1\r\n550 5.7.1 two", Status("5.7.1", "one two")),
        ("550-one\r\n550 two", Status("5.0.0", "one two")),
        ("550 5.1.1", Status("5.1.1", "")),
        ("550 5.1.1 a\tb\x00c\x1b[1md\rd \u202ee", Status("5.1.1", "a b c [1md d e")),
        ("550 5.1.1 kein Gr\udcfc\udcdf", Status("5.1.1", "kein Gr\ufffd\ufffd")),
        ("550 5.1.1 " + "x" * 2000, Status("5.1.1", "x" * 500)),
        ("251 2.1.5 elsewhere", Status("2.1.5", "elsewhere")),
        ("250 ok", Status("2.0.0", "ok")),
        ("354 go on", Status("4.5.0", "an answer that means nothing here: 354 go on")),
        ("hello you", Status("4.5.0", "an answer that means nothing here: hello you")),
        *[(one, Status("4.5.0", f"an answer that means nothing here: {one}")) for one in ("2", "25", "2500", "650 ok")],
        ("250", Status("2.0.0", "")),
    ],
)
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "."])
def test_an_answer_is_the_status(verb: str, answer: str, status: Status) -> None:
    with NextHop({verb: answer}) as server:
        said = sent(server)
        if verb == "MAIL" and status.ok:
            assert said == [OK, TAKEN]
        elif verb == "RCPT" and status.ok:
            assert said == [status, TAKEN]
        else:
            assert said == ([OK, status] if verb == "." else [status])
            assert len(server.conversations) == 1
    assert "\n" not in said[-1].line


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("554 5.5.1 no valid recipients", Status("5.5.1", "no valid recipients")),
        ("451 4.3.0 not now", Status("4.3.0", "not now")),
        ("250 2.0.0 taken", Status("4.5.0", "an answer that means nothing here: 2.0.0 taken")),
    ],
)
def test_nothing_is_taken_before_it_is_sent(answer: str, status: Status) -> None:
    with NextHop({"DATA": answer}) as server:
        assert sent(server) == [OK, status]
        assert server.last.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def test_a_refusal_of_mail_is_told_to_all_and_nobody_else_is_asked() -> None:
    with NextHop({"MAIL": "550 5.7.1 not from you"}) as server, NextHop() as other:
        assert sent(server, other, recipients=[ROBIN, ROBIN]) == [Status("5.7.1", "not from you")] * 2
        assert server.last.verbs == ["EHLO", "MAIL", "QUIT"]
    assert (len(server.conversations), other.conversations) == (1, [])


# -- which host ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        {"": "421 4.3.2 busy"},
        {"": "554 5.7.1 not you"},
        {"": "hello"},
        {"": HANG_UP},
        {"EHLO": HANG_UP},
        {"EHLO": "550 5.7.1 not you", "HELO": "550 5.7.1 not you"},
        {"EHLO": "421 4.3.2 busy", "HELO": HANG_UP},
        {"MAIL": HANG_UP},
    ],
)
def test_a_host_that_does_not_come_to_mail_is_passed_over(answers: dict[str, str], nobody: Hop) -> None:
    with NextHop(answers) as server, NextHop() as other:
        going = Onward([nobody, hop(server), hop(other, "other.example")], "us.example.com", SENDER, False)
        assert (going.recipient(ROBIN), going.deliver([MESSAGE])) == (OK, TAKEN)
        assert going.host == "other.example"
        going.close()
        assert (len(server.conversations), server.last.text) == (1, b"")
        assert other.last.message == MESSAGE.replace(b"\n", b"\r\n")


def test_all_addresses_of_a_host_are_tried_in_their_order() -> None:
    with NextHop(address="127.0.0.2") as server:
        there = [Hop(NAME, ("127.0.0.3", server.address, "127.0.0.4"), server.port)]
        going = Onward(there, "us.example.com", SENDER, False)
        assert (going.recipient(ROBIN), going.host) == (OK, NAME)
        going.close()


def test_a_host_without_addresses_is_found_by_its_name() -> None:
    with NextHop() as server:
        going = Onward([Hop("127.0.0.1", (), server.port)], "us.example.com", SENDER, False)
        assert going.recipient(ROBIN) == OK
        going.close()


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("554 5.7.1 not you", "554 nobody", Status("5.0.0", "nobody")),
        ("554 5.7.1 not you", "421 4.3.2 busy", Status("4.3.2", "busy")),
        ("421 4.3.2 busy", "554 5.7.1 not you", Status("4.7.1", "not you")),
        ("421 4.3.2 busy", "421 later", Status("4.0.0", "later")),
        (HANG_UP, "554 5.7.1 not you", Status("4.7.1", "not you")),
        ("554 5.7.1 not you", HANG_UP, Status("4.4.2", f"{NAME}: it has hung up")),
    ],
)
def test_when_all_are_passed_over_the_last_one_is_told(first: str, second: str, told: Status) -> None:
    with NextHop({"": first}) as one, NextHop({"": second}) as other:
        assert sent(one, other, recipients=[ROBIN, ROBIN]) == [told, told]
        assert (len(one.conversations), len(other.conversations)) == (1, 1)


def test_when_nobody_listens_it_is_to_be_tried_again(nobody: Hop) -> None:
    with closing(Onward([nobody], "us.example.com", SENDER, False)) as going:
        told = Status("4.4.1", "nobody.example: [Errno 111] Connection refused")
        assert (going.recipient(ROBIN), going.recipient(ROBIN), going.deliver([MESSAGE])) == (told, told, told)
        assert going.host == ""
    with closing(Onward([], "us.example.com", SENDER, False)) as going:
        assert going.recipient(ROBIN) == Status("4.4.1", "there is no host that takes it")
    with closing(Onward([Hop("x" * 64, (), 25)], "us.example.com", SENDER, False)) as going:
        assert going.recipient(ROBIN).code == "4.3.5"


# -- time and size ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silence", [SAY_NOTHING, DRIP])
@pytest.mark.parametrize(
    ("verb", "code"), [("", "4.4.1"), ("EHLO", "4.4.2"), ("MAIL", "4.4.2"), ("RCPT", "4.4.2"), ("DATA", "4.4.2")]
)
def test_an_answer_that_does_not_come_is_not_waited_for(verb: str, code: str, silence: str) -> None:
    with NextHop({verb: silence}) as server:
        said = sent(server, seconds=0.1)
        assert (said[-1].code, "timed out" in said[-1].text) == (code, True)


def test_a_handshake_that_does_not_come_is_not_waited_for(key: Path) -> None:
    with NextHop(certificate=key, instead=SAY_NOTHING) as server:
        (said,) = sent(server, seconds=0.1, must_encrypt=True)
        assert (said.code, "timed out" in said.text) == ("4.4.2", True)


def test_the_answer_to_a_message_is_waited_for_longest() -> None:
    with NextHop({".": SAY_NOTHING}) as server, closing(to(server, seconds=0.1)) as going:
        assert going.recipient(ROBIN) == OK
        began = time.monotonic()
        lost = Status("4.4.2", f"the connection with {NAME} was lost: timed out")
        assert (going.deliver([MESSAGE]), going.deliver([MESSAGE]), going.recipient(ROBIN)) == (lost, lost, lost)
        assert time.monotonic() - began >= 0.1 * onward.TAKING


def test_our_client_is_answered_before_it_goes_away() -> None:
    asking = routes.ALL_SECONDS + 60 * onward.FINDING + 60  # the last is for RCPT itself
    assert asking < 5 * 60
    taking = 60 + 60 * onward.SENDING + 60 + 60 * onward.TAKING  # DATA, and the last piece, which may begin in time
    assert taking < 10 * 60


def test_hosts_are_not_looked_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "FINDING", 0.5)
    with NextHop({"": SAY_NOTHING}) as silent, NextHop({"": "554 5.7.1 not you"}) as other, NextHop() as last:
        said = sent(other, silent, silent, silent, last, seconds=0.4)
        assert [one.code for one in said] == ["4.4.1"]
        assert (len(other.conversations), last.conversations) == (1, [])
        assert 1 <= len(silent.conversations) <= 2


def test_one_silent_host_does_not_take_longer_than_all_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "FINDING", 0.2)
    with NextHop({"": SAY_NOTHING}) as silent:
        assert sent(silent, seconds=1.0) == [Status("4.4.1", f"{NAME}: timed out")]
    monkeypatch.setattr(onward, "FINDING", 0.002)
    with NextHop({"EHLO": SAY_NOTHING}) as silent:
        assert sent(silent, seconds=100.0) == [Status("4.4.2", f"{NAME}: timed out")]


def test_a_host_that_nobody_hears_of_leaves_time_for_others() -> None:
    with NextHop() as server, ExitStack() as open_:
        full = open_.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # a third one is not let in, and not refused
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        hops = [Hop("full.example", ("127.0.0.1",), full.getsockname()[1]), hop(server)]
        with closing(Onward(hops, "us.example.com", SENDER, False, seconds=0.8)) as going:
            assert (going.recipient(ROBIN), going.host) == (OK, NAME)


def test_a_message_that_is_taken_too_slowly_is_given_up_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "SENDING", 0.0)
    with NextHop() as server:
        assert sent(server) == [
            OK,
            Status("4.4.2", f"the connection with {NAME} was lost: it takes the message too slowly"),
        ]
        assert not server.last.text.endswith(b".\r\n")


@pytest.mark.parametrize("answer", ["550-" + "x" * 70000, "\r\n".join(["550-x"] * 20000), "x" * 70000])
def test_an_answer_without_end_is_not_read(answer: str) -> None:
    with NextHop({"RCPT": answer}) as server:
        (said,) = sent(server)
        assert said == Status("4.4.2", f"the connection with {NAME} was lost: its answer has no end")


# -- the message --------------------------------------------------------------------------------------------------


def test_a_large_message_goes_through_without_being_held() -> None:
    size, piece = 30 << 20, (b"x" * 75 + b"\n.\n") * 1000
    ahead = 0

    with NextHop() as server:

        def feed() -> Iterator[bytes]:
            nonlocal ahead
            given = 0
            while given < size:
                yield piece
                given += len(piece)
                ahead = max(ahead, given - server.received)

        assert sent(server, feed=feed()) == [OK, TAKEN]
        wanted = (b"x" * 75 + b"\r\n..\r\n") * 1000
        text = server.last.text
        assert len(text) > size
        assert text == wanted * (len(text) // len(wanted)) + b".\r\n"
    assert ahead < size / 2  # what is on its way, in the sockets of this host


@pytest.mark.parametrize(
    "text",
    [b"", b".", b".\n", b"..\n.\n", b"a\r\n.\r\nb", b"a\n.\nMAIL FROM:<x@y>\n", b"a\r.\rb\n", b"\r", b"a\r\r\nb\n\n\n"],
)
@pytest.mark.parametrize("cut", [1, 2, 100])
def test_dots_are_doubled_and_every_line_ends_alike(text: bytes, cut: int) -> None:
    with NextHop() as server:
        assert sent(server, feed=[text[at : at + cut] for at in range(0, len(text), cut)]) == [OK, TAKEN]
        raw = server.last.text
        assert raw == b"".join(transparent([text]))
        whole = raw.replace(b"\r\n", b"")
        assert b"\r" not in whole
        assert b"\n" not in whole
        assert (b"\r\n" + raw).count(b"\r\n.\r\n") == 1
        lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert server.last.message == (lines + b"\n" * (not lines.endswith(b"\n") and lines != b"")).replace(
            b"\n", b"\r\n"
        )


@pytest.mark.parametrize("verb", ["DATA", "."])
def test_a_connection_that_is_lost_with_the_message_is_to_be_tried_again(verb: str) -> None:
    with NextHop({verb: HANG_UP}) as server, NextHop() as other:
        lost = Status("4.4.2", f"the connection with {NAME} was lost: it has hung up")
        assert sent(server, other) == [OK, lost]
    assert other.conversations == []


def test_a_connection_that_is_lost_at_a_recipient_is_lost_for_all() -> None:
    with NextHop({"RCPT TO:<out@example.net>": HANG_UP}) as server:
        lost = Status("4.4.2", f"the connection with {NAME} was lost: it has hung up")
        assert sent(server, recipients=[ROBIN, "out@example.net", ROBIN]) == [OK, lost, lost, lost]
        assert len(server.conversations) == 1


def test_a_message_that_cannot_be_read_to_its_end_is_not_ended() -> None:
    def feed() -> Iterator[bytes]:
        yield b"a\nb\n"
        raise OSError(5, "Input/output error")

    with NextHop() as server:
        assert [one.code for one in sent(server, feed=feed())] == ["2.1.5", "4.4.2"]
        assert server.last.text == b"a\r\nb\r\n"


# -- TLS ----------------------------------------------------------------------------------------------------------


def test_tls_is_used_where_it_is_offered_whoever_that_is(key: Path) -> None:
    with NextHop(certificate=key) as server:
        assert sent(server) == [OK, TAKEN]
        assert server.last.in_clear == ["ehlo us.example.com", "STARTTLS"]
        assert server.last.verbs == ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    with NextHop(certificate=key) as server:
        going = Onward([hop(server, "other.example")], "us.example.com", SENDER, False)
        assert going.recipient(ROBIN) == OK
        going.close()
        assert server.last.in_clear == ["ehlo us.example.com", "STARTTLS"]


@pytest.mark.parametrize("answers", [{}, {"STARTTLS": "454 4.7.0 not now"}, {"STARTTLS": HANG_UP}])
def test_where_there_is_no_handshake_the_same_host_is_asked_in_the_clear(answers: dict[str, str], key: Path) -> None:
    with NextHop(answers, certificate=key, instead=NOISE) as server, NextHop() as other:
        assert sent(server, other) == [OK, TAKEN]
        first, second = server.conversations
        assert (first.verbs, second.verbs) == (["EHLO", "STARTTLS"], ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"])
    assert other.conversations == []


def test_what_is_said_in_the_clear_behind_the_answer_to_starttls_is_not_believed(believed: Path) -> None:
    forged = {"STARTTLS": "220 go on\r\n250-mx.example.net\r\n250 8BITMIME"}
    with NextHop(forged, offers=["PIPELINING"], certificate=believed) as server:
        assert sent(server, must_encrypt=True) == [OK, TAKEN]
        assert server.last.lines[3] == f"MAIL FROM:<{SENDER}>"


@pytest.mark.parametrize("more", [{"must_encrypt": True}, {"login": LOGIN}])
class TestWhereTlsMustBe:
    def test_a_host_by_its_name_gets_it(self, more: dict[str, object], believed: Path) -> None:
        with NextHop(offers=OFFERS, certificate=believed) as server:
            assert sent(server, **more) == [OK, TAKEN]
            assert server.last.in_clear == ["ehlo us.example.com", "STARTTLS"]
            assert server.last.message == MESSAGE.replace(b"\n", b"\r\n")

    def test_somebody_else_gets_nothing(self, more: dict[str, object], believed: Path) -> None:
        with NextHop(offers=OFFERS, certificate=believed) as server:
            going = Onward([hop(server, "other.example")], "us.example.com", SENDER, False, **more)  # type: ignore[arg-type]
            said = going.recipient(ROBIN)
            going.close()
            assert (said.code, "other.example" in said.text) == ("4.7.5", True)
            assert server.last.lines == ["ehlo us.example.com", "STARTTLS"]
        assert len(server.conversations) == 1

    def test_who_is_vouched_for_by_nobody_gets_nothing(self, more: dict[str, object], key: Path) -> None:
        with NextHop(offers=OFFERS, certificate=key) as server:
            (said,) = sent(server, **more)
            assert said.code == "4.7.5"
            assert server.last.lines == ["ehlo us.example.com", "STARTTLS"]
        assert len(server.conversations) == 1

    def test_who_offers_no_tls_gets_nothing(self, more: dict[str, object]) -> None:
        with NextHop(offers=OFFERS) as server:
            assert sent(server, **more) == [Status("4.7.4", f"{NAME} offers no TLS")]
            assert server.last.verbs == ["EHLO", "QUIT"]

    @pytest.mark.parametrize("answers", [{}, {"STARTTLS": "454 4.7.0 not now"}])
    def test_no_handshake_is_no_reason_to_say_it_in_the_clear(
        self, more: dict[str, object], answers: dict[str, str], believed: Path
    ) -> None:
        with NextHop(answers, offers=OFFERS, certificate=believed, instead=NOISE) as server:
            (said,) = sent(server, **more)
            assert said.code in ("4.7.5", "4.7.0")
        assert [one.verbs for one in server.conversations] == [["EHLO", "STARTTLS"]]

    def test_another_host_may_do_better(self, more: dict[str, object], believed: Path) -> None:
        with NextHop(offers=OFFERS) as clear, NextHop(offers=OFFERS, certificate=believed) as server:
            assert sent(clear, server, **more) == [OK, TAKEN]


def test_port_465_is_tls_from_the_first_byte(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NextHop(certificate=key, tls_first=True) as server:
        assert onward.TLS_PORT == 465
        monkeypatch.setattr(onward, "TLS_PORT", server.port)
        assert sent(server) == [OK, TAKEN]
        assert (server.last.in_clear, server.last.verbs[0]) == ([], "EHLO")
        (said,) = sent(server, must_encrypt=True)
        assert (said.code, server.last.lines) == ("4.7.5", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(key))
        assert sent(server, must_encrypt=True) == [OK, TAKEN]
        server.instead = NOISE
        (said,) = sent(server)
        assert (said.code, server.last.lines) == ("4.7.5", [])


# -- a login ------------------------------------------------------------------------------------------------------


def test_a_login_is_said_before_mail(believed: Path) -> None:
    with NextHop(offers=OFFERS, certificate=believed) as server:
        assert sent(server, login=LOGIN) == [OK, TAKEN]
        assert server.last.verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
        assert server.last.lines[3] == "AUTH PLAIN AGpvAHNlY3JldA=="


@pytest.mark.parametrize("answer", ["535 5.7.8 wrong password", "454 4.7.0 not now"])
def test_a_login_that_fails_refuses_no_mail(answer: str, believed: Path) -> None:
    with NextHop({"AUTH": answer}, offers=OFFERS, certificate=believed) as server:
        assert sent(server, login=LOGIN) == [Status("4.7.8", f"{NAME} does not let us in: {answer}")]
        assert "MAIL" not in server.last.verbs


def test_a_login_that_nobody_asks_for_is_to_be_tried_again(believed: Path) -> None:
    for offers in ((), ("AUTH GSSAPI",)):
        with NextHop(offers=offers, certificate=believed) as server:
            (said,) = sent(server, login=LOGIN)
            assert said.code == "4.7.0"
            assert server.last.verbs == ["EHLO", "STARTTLS", "EHLO"]


def test_a_password_that_cannot_be_said_is_not_shown(believed: Path) -> None:
    with NextHop(offers=OFFERS, certificate=believed) as server:
        (said,) = sent(server, login=("jo", "geheimß"))
        assert said == Status("4.3.5", f"{NAME}: its name, or the login for it, is beyond ASCII")


# -- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [SAY_NOTHING, HANG_UP, "500 what?", "hello", "250-" + "x" * 70000])
def test_taking_leave_changes_nothing(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "PARTING", 0.1)
    with NextHop({"QUIT": answer}) as server:
        going = to(server)
        assert (going.recipient(ROBIN), going.deliver([MESSAGE])) == (OK, TAKEN)
        began = time.monotonic()
        going.close()
        going.close()
        assert time.monotonic() - began < 5
        assert server.last.verbs[-1] == "QUIT"
        assert going.recipient(ROBIN).code == "4.4.2"
        assert going.deliver([MESSAGE]).code == "4.4.2"
    assert len(server.conversations) == 1


def test_a_transaction_may_be_given_up() -> None:
    with NextHop() as server:
        going = to(server)
        going.close()
        assert server.conversations == []
        going = to(server)
        assert going.recipient(ROBIN) == OK
        going.close()
        assert server.last.verbs == ["EHLO", "MAIL", "RCPT", "QUIT"]


def test_no_descriptor_is_left_open(key: Path) -> None:
    with NextHop({"": "421 later"}) as busy, NextHop(certificate=key, instead=NOISE) as server:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            assert sent(busy, server) == [OK, TAKEN]
            for conversation in (*busy.conversations, *server.conversations):
                assert conversation.over.wait(10)
        assert len(os.listdir("/proc/self/fd")) == before
