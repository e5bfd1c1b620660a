"""Conversations by LMTP and SMTP, as written down in `tests/protocol`: line by line, all at once, byte by byte."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydeliver.receiver.data import DataReader
from pydeliver.receiver.lmtp import LmtpSession
from pydeliver.receiver.session import Asked, Ended, Over, Session, Text
from pydeliver.receiver.smtp import Claimed, SmtpSession, Terms
from pydeliver.status import Status, deferred, refused, stored
from tests.receiver import endings

SESSIONS = sorted((Path(__file__).parents[1] / "protocol").glob("*/*.session"))
HOST, LARGEST = "mx.example.net", 1000
KNOWN = {"unknown": refused("there is no such user", "5.1.1"), "unsure": deferred("the users can't be asked")}
ENDS = {"full": Status("4.2.2", "the mailbox is full"), "never": refused("no such thing here")}


def name(path: Path) -> str:
    return f"{path.parent.name} {path.stem}"


class Server:
    """Answers by what stands before the `@`, and keeps the messages."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or LmtpSession(HOST, LARGEST)
        self.session.greet()
        self.messages: list[bytes] = []
        self.over = False
        self._text = b""

    def hear(self, data: bytes) -> bytes:
        """What the server says to that."""
        self.session.feed(data)
        while (event := self.session.next()) is not None:
            if isinstance(event, Asked):
                self.session.reply(KNOWN.get(event.address.partition("@")[0], stored()))
            elif isinstance(event, Text):
                self._text += event.data
            elif isinstance(event, Ended):
                if not event.refused:
                    self.messages.append(self._text)
                    for one in event.transaction.recipients[: self.session.answers(event.transaction)]:
                        self.session.reply(ENDS.get(one.partition("@")[0], stored()))
                self._text = b""
            elif isinstance(event, Claimed):
                good = (event.user, event.password) == ("jo", "secret")
                self.session.reply(stored() if good else refused("user and password don't fit", "5.7.8"))
            else:
                assert isinstance(event, Over)
                self.over = True
        return self.session.take()


def server_of(path: Path) -> Server:
    """The server for a transcript: by its folder, and with TLS and a login where its name says so."""
    if path.parent.name == "lmtp":
        return Server()
    with_login = path.stem.startswith("login")
    return Server(SmtpSession(HOST, LARGEST, Terms(True, True, path.stem == "login-first"), is_secure=with_login))


def turns(path: Path) -> list[tuple[bytes, bytes]]:
    """What the client says, and what it must hear thereupon; nothing is said before the greeting."""
    found: list[tuple[bytes, bytes]] = [(b"", b"")]
    for line in path.read_bytes().splitlines():
        kind, text = line[:2], line[3:]
        text = re.sub(rb"\{(\d+) bytes\}", lambda found: b"x" * int(found[1]), text) + b"\r\n"
        for name, byte in ((b"{CR}", b"\r"), (b"{LF}", b"\n"), (b"{NUL}", b"\0")):
            text = text.replace(name, byte)
        if kind == b"C:":
            found.append((text, b""))
        elif kind == b"S:":
            found[-1] = (found[-1][0], found[-1][1] + text)
    return found


@pytest.mark.parametrize("path", SESSIONS, ids=name)
def test_each_line_is_answered_as_written_down(path: Path) -> None:
    server = server_of(path)
    for said, heard in turns(path):
        assert server.hear(said) == heard, said
    assert server.over


@pytest.mark.parametrize("path", SESSIONS, ids=name)
def test_a_client_may_say_all_at_once(path: Path) -> None:
    whole = turns(path)
    assert server_of(path).hear(b"".join([said for said, _ in whole])) == b"".join([heard for _, heard in whole])


@pytest.mark.parametrize("path", SESSIONS, ids=name)
def test_a_client_may_say_byte_by_byte(path: Path) -> None:
    server, whole = server_of(path), turns(path)
    heard = server.hear(b"")
    for byte in b"".join([said for said, _ in whole]):
        heard += server.hear(bytes([byte]))
    assert heard == b"".join([heard for _, heard in whole])


BEGINNING = b"LHLO client\r\nMAIL FROM:<jo@example.org>\r\nRCPT TO:<robin@example.net>\r\nDATA\r\n"


# -- where a message ends ---------------------------------------------------------------------------------------


def test_there_are_as_many_ways_as_the_literature_knows() -> None:
    assert len(endings.NOT_THE_END) == 838


@pytest.mark.parametrize("way", endings.WAYS)
def test_nothing_but_the_end_ends_a_message(way: str) -> None:
    for looks_like in endings.NOT_THE_END:
        for pieces in endings.segments(looks_like, way):
            server = Server()
            heard = server.hear(BEGINNING) + b"".join([server.hear(piece) for piece in pieces])
            assert heard.count(b"354 ") == 1, looks_like
            assert server.messages == [endings.stored(looks_like)], looks_like


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\0", b"x", b"\r\n", b"\r\n."]), max_size=40), st.data())
def test_what_was_stuffed_comes_out_whole_however_it_is_cut(pieces: list[bytes], data: st.DataObject) -> None:
    text = b"".join(pieces)
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    sent = (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n" + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    reader, got = DataReader(), b""
    for start, end in itertools.pairwise([0, *cuts, len(sent)]):
        if reader.rest is None:
            got += reader.read(sent[start:end])
        else:
            reader.rest += sent[start:end]
    assert got == text.replace(b"\r\n", b"\n")
    assert reader.rest == b"rest"
    assert reader.size == len(text)


def test_a_page_in_a_browser_says_nothing_here() -> None:
    server = Server()
    server.hear(b"")
    heard = server.hear(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + BEGINNING + b"Subject: x\r\n.\r\n")
    assert heard == b"421 4.7.0 this is LMTP\r\n"
    assert server.over
    assert server.messages == []


def test_a_message_is_to_be_answered_when_its_end_was_taken() -> None:
    session = LmtpSession("mx.example.net", 1 << 20)
    session.feed(b"LHLO client\r\nMAIL FROM:<>\r\nRCPT TO:<robin@example.net>\r\n")
    session.next()
    session.reply(stored())
    session.feed(b"DATA\r\nall at once\r\n.\r\n")
    assert session.next() == Text(b"all at once\n")
    assert not session.waits
    assert isinstance(session.next(), Ended)
    assert session.waits


def test_a_line_that_never_ends_is_not_kept() -> None:
    server = Server()
    server.hear(b"")
    for _ in range(1000):
        assert server.hear(b"x" * 4096) == b""
        assert server.session.unread() == 0
    assert server.hear(b"x\r\nNOOP\r\n") == b"500 5.5.2 the line is too long\r\n250 2.0.0 ok\r\n"


def test_a_line_ends_with_cr_and_lf() -> None:
    server = Server()
    server.hear(b"")
    assert server.hear(b"LHLO client\n") == b"500 5.5.2 lines end with CR and LF\r\n"


WORDS = [
    b"\r\n",
    b"DATA\r\n",
    b".\r\n",
    BEGINNING,
    BEGINNING.replace(b"LHLO", b"EHLO"),
    b"AUTH LOGIN\r\n",
    b"HELO x\r\n",
]


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(WORDS))))
def test_whatever_is_said_is_answered_by_lines_of_the_protocol(lmtp: bool, said: list[bytes]) -> None:
    server = Server() if lmtp else Server(SmtpSession(HOST, LARGEST, Terms(False, True), is_secure=True))
    heard = server.hear(b"").decode("ascii")
    for one in said:
        heard += server.hear(one).decode("ascii")
    assert heard.endswith("\r\n")
    for line in heard[:-2].split("\r\n"):
        assert re.fullmatch(r"[2345]\d\d[ -][ -~]*", line), line
