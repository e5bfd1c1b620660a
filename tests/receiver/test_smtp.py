"""What only SMTP has: TLS that nothing said before it gets into, and messages that mean one thing to everybody."""

from __future__ import annotations

import pytest

from pydeliver.receiver.session import Asked, Ended, Text
from pydeliver.receiver.smtp import Claimed, Secured, SmtpSession, Terms
from pydeliver.status import deferred, stored
from tests.receiver import endings

TLS = Terms(tls=True, login=True)


def conversation(terms: Terms = TLS, is_secure: bool = False) -> SmtpSession:
    session = SmtpSession("mx.example.net", 1 << 20, terms, is_secure)
    session.greet()
    session.take()
    return session


def say(session: SmtpSession, text: bytes) -> bytes:
    session.feed(text)
    assert session.next() is None
    return session.take()


@pytest.mark.parametrize(
    "more", [b"MAIL FROM:<evil@example.com>\r\n", b"EHLO evil\r\n", b"NOOP\r\n", b"MAIL FR", b"\r\n"]
)
def test_what_came_ahead_of_the_handshake_is_thrown_away(more: bytes) -> None:
    session = conversation()
    say(session, b"EHLO client\r\n")
    session.feed(b"STARTTLS\r\n" + more)
    assert session.next() == Secured()
    assert session.take() == b"220 2.0.0 go on in TLS\r\n"
    session.feed(more)  # in a packet of its own, before the handshake
    assert session.next() is None
    session.secure()
    assert say(session, b"MAIL FROM:<jo@example.org>\r\n") == b"503 5.5.1 say EHLO first\r\n"


def test_a_conversation_begins_anew_with_tls() -> None:
    session = conversation()
    say(session, b"EHLO client\r\nMAIL FROM:<jo@example.org>\r\n")
    session.feed(b"STARTTLS\r\n")
    session.next()
    session.secure()
    assert (session.peer, session.transaction, session.user) == ("", None, "")
    session.take()
    offered = say(session, b"EHLO client\r\n")
    assert b"STARTTLS" not in offered
    assert b"250 AUTH PLAIN LOGIN\r\n" in offered
    assert say(session, b"STARTTLS\r\n") == b"503 5.5.1 this is TLS already\r\n"


def test_without_a_certificate_and_passwords_neither_is_offered() -> None:
    session = conversation(Terms())
    offered = say(session, b"EHLO client\r\n")
    assert b"STARTTLS" not in offered
    assert b"AUTH" not in offered
    assert say(session, b"STARTTLS\r\n") == b"502 5.5.1 not done here\r\n"
    assert say(session, b"AUTH PLAIN\r\n") == b"502 5.5.1 not done here\r\n"


def test_a_password_that_cannot_be_looked_at_is_no_wrong_one() -> None:
    session = conversation(TLS, is_secure=True)
    say(session, b"EHLO client\r\n")
    session.feed(b"AUTH PLAIN AGpvAHNlY3JldA==\r\n")
    assert session.next() == Claimed("jo", "secret")
    session.reply(deferred("not now"))
    assert session.take() == b"454 4.3.0 not now\r\n"
    assert session.user == ""


@pytest.mark.parametrize("said", [b"AGpvAHNlY3JldA", b"AGpv\tAHNl", b"/w==", b"AAAA", b"AGpv", b"AG\x1b"])
def test_what_is_no_login_is_a_mistake(said: bytes) -> None:
    session = conversation(TLS, is_secure=True)
    say(session, b"EHLO client\r\n")
    assert say(session, b"AUTH PLAIN " + said + b"\r\n").startswith(b"501 5.5.2 ")


@pytest.mark.parametrize(
    ("hello", "is_secure", "login", "mail", "protocol"),
    [
        (b"HELO x", False, False, b"", "SMTP"),
        (b"EHLO x", False, False, b"", "ESMTP"),
        (b"HELO x", True, False, b"", "ESMTPS"),
        (b"EHLO x", True, True, b"", "ESMTPSA"),
        (b"EHLO x", False, False, b" SMTPUTF8", "UTF8SMTP"),
        (b"EHLO x", True, True, b" SMTPUTF8", "UTF8SMTPSA"),
    ],
)
def test_received_says_how_a_message_came(
    hello: bytes, is_secure: bool, login: bool, mail: bytes, protocol: str
) -> None:
    session = conversation(TLS, is_secure)
    say(session, hello + b"\r\n")
    if login:
        session.feed(b"AUTH PLAIN AGpvAHNlY3JldA==\r\n")
        session.next()
        session.reply(stored())
    say(session, b"MAIL FROM:<jo@example.org>" + mail + b"\r\n")
    assert session.transaction is not None
    assert session.protocol(session.transaction) == protocol


@pytest.mark.parametrize("looks_like", endings.NOT_THE_END)
def test_what_looks_like_an_end_is_in_no_message(looks_like: bytes) -> None:
    """Of the 838 variants those are taken in which no CR, LF or NUL stands alone, and no other (G20)."""
    for pieces in endings.segments(looks_like, "whole"):
        session = conversation(Terms())
        session.feed(b"EHLO x\r\nMAIL FROM:<jo@example.org>\r\nRCPT TO:<robin@example.net>\r\n")
        assert session.next() == Asked("robin@example.net")
        session.reply(stored())
        session.feed(b"DATA\r\n" + b"".join(pieces))
        ended, text = None, b""
        while (event := session.next()) is not None:
            text += event.data if isinstance(event, Text) else b""
            if isinstance(event, Ended):
                ended = event
                if not event.refused:
                    session.reply(stored())
        assert ended is not None
        strays = looks_like.replace(b"\r\n", b"")
        assert ended.refused == any([byte in strays for byte in (b"\r", b"\n", b"\0")])
        assert session.take().count(b"354 ") == 1
        assert ended.refused or text == endings.stored(looks_like)
