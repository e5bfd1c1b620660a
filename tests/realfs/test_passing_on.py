"""Mail for others, with a real server and a real next hop: its answers are ours, and nothing is kept here."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.lmtp import free_port, until
from tests.nexthop import HANG_UP, SAY_NOTHING, NextHop
from tests.smtp import Public
from tests.virtual import Site

MESSAGE = b"From: jo@example.net\r\nTo: kim@elsewhere.example\r\nSubject: hello\r\n\r\n.one dot\r\n..\r\nbody\r\n"
KIM, SENDER = "kim@elsewhere.example", "jo@example.net"


@pytest.fixture
def public(site: Site) -> Public:
    return Public(site)


@pytest.fixture
def hop() -> Generator[NextHop]:
    with NextHop() as running:
        yield running


def smarthost(hop: NextHop) -> str:
    return f'onward.smarthost = "{hop.address}:{hop.port}"\n'


def test_who_has_logged_in_sends_to_others(public: Public, hop: NextHop) -> None:
    with public.served(smarthost(hop)), public.logged_in() as client:
        client.sendmail(SENDER, [KIM], MESSAGE)
        assert client.mail(SENDER) == (250, b"2.1.0 sender ok")
    sent = hop.last
    assert sent.lines[0] == "ehlo mx.example.net"
    assert sent.lines[2].lower() == f"rcpt to:<{KIM}>"
    received = (
        rb"Received: from \S+ \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.net \(pydeliver\) with ESMTPSA id [0-9A-F]{12}"
        rb"\r\n\tfor <kim@elsewhere\.example>; [^\r\n]+\r\n"
    )
    assert re.fullmatch(received + re.escape(MESSAGE), sent.message)
    assert not list(public.site.mail.iterdir())


def test_a_trusted_network_needs_no_login(public: Public, hop: NextHop) -> None:
    with public.served(f'{smarthost(hop)}smtp.trusted = ["127.0.0.2/32"]\n'):
        with public.client() as stranger:
            stranger.mail(SENDER)
            assert stranger.rcpt(KIM) == (550, b"5.7.1 mail for elsewhere.example is not passed on for you")
        with smtplib.SMTP("127.0.0.1", public.port, source_address=("127.0.0.2", 0)) as client:
            client.sendmail(SENDER, [KIM, "robin@elsewhere.example"], MESSAGE)
    assert [line.partition(":")[2] for line in hop.last.lines if line.upper().startswith("RCPT")] == [
        f"<{KIM}>",
        "<robin@elsewhere.example>",
    ]
    assert b"\tfor <" not in hop.last.message  # whom it is for besides is nobody's business


def test_the_answers_of_the_next_hop_are_ours(public: Public) -> None:
    answers = {
        "RCPT TO:<gone@elsewhere.example>": "550 5.1.1 no such user here",
        "RCPT TO:<full@elsewhere.example>": "452 4.2.2 mailbox full",
        ".": "554 5.7.1 this looks like spam",
    }
    with NextHop(answers) as hop, public.served(smarthost(hop)), public.logged_in() as client:
        client.mail(SENDER)
        assert client.rcpt("gone@elsewhere.example") == (550, b"5.1.1 no such user here")
        assert client.rcpt("full@elsewhere.example") == (452, b"4.2.2 mailbox full")
        assert client.rcpt(KIM)[0] == 250
        assert client.data(MESSAGE) == (550, b"5.7.1 this looks like spam")
        hop.answers["."] = "451 4.7.1 try again later"
        client.mail(SENDER)
        client.rcpt(KIM)
        assert client.data(MESSAGE) == (451, b"4.7.1 try again later")


@pytest.mark.parametrize(("stage", "code"), [("MAIL", b"4.4"), ("RCPT", b"4.4"), (".", b"4.4.2"), ("", b"4.4.2")])
def test_a_next_hop_that_is_gone_means_try_again(public: Public, stage: str, code: bytes) -> None:
    with NextHop({stage: HANG_UP}) as hop, public.served(smarthost(hop)), public.logged_in() as client:
        client.mail(SENDER)
        reply = client.rcpt(KIM)
        if stage == ".":
            reply = client.data(MESSAGE)
        assert reply[0] == 451
        assert reply[1].startswith(code)
        assert client.noop()[0] == 250


def test_nobody_at_the_smarthost_means_try_again(public: Public) -> None:
    with public.served(f'onward.smarthost = "127.0.0.1:{free_port()}"\n'), public.logged_in() as client:
        client.mail(SENDER)
        code, said = client.rcpt(KIM)
        assert (code, said[:5]) == (451, b"4.4.1")


def test_a_next_hop_that_hangs_does_not_keep_the_server_from_stopping(public: Public) -> None:
    with NextHop({".": SAY_NOTHING}) as hop, public.served(smarthost(hop)) as running, public.logged_in() as client:
        client.mail(SENDER)
        client.rcpt(KIM)
        client.docmd("DATA")
        client.send(MESSAGE + b".\r\n")
        until(lambda: hop.received > 0)
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 20
        client.close()


def test_our_own_and_others_are_two_messages(public: Public, hop: NextHop) -> None:
    with public.served(smarthost(hop)), public.logged_in() as client:
        client.mail(SENDER)
        assert client.rcpt("robin@example.net")[0] == 250
        assert client.rcpt(KIM)[0] == 452
        assert client.data(MESSAGE)[0] == 250
        client.mail(SENDER)
        assert client.rcpt(KIM)[0] == 250
        assert client.rcpt("robin@example.net")[0] == 452
        assert client.data(MESSAGE)[0] == 250
    assert len(public.site.messages("robin@example.net")) == 1
    assert len(hop.conversations) == 1


def test_a_message_that_is_given_up_is_given_up_there_too(public: Public, hop: NextHop) -> None:
    with public.served(smarthost(hop)), public.logged_in() as client:
        client.mail(SENDER)
        client.rcpt(KIM)
        client.rset()
        client.mail(SENDER)
        assert client.rcpt("robin@example.net")[0] == 250
        assert client.data(MESSAGE)[0] == 250
        assert "DATA" not in hop.last.verbs
        client.rset()
        client.mail(SENDER)
        client.rcpt(KIM)
        client.close()  # hangs up in the middle
        assert "DATA" not in hop.last.verbs
    assert len(hop.conversations) == 2


def test_what_others_could_read_in_two_ways_is_not_passed_on(public: Public, hop: NextHop) -> None:
    with public.served(smarthost(hop)), public.logged_in() as client:
        for stray in (b"a\rb", b"a\nb", b"a\0b", b"\n.\r\n", b"\r.\r\nMAIL FROM:<evil@example.com>\r\n"):
            client.mail(SENDER)
            client.rcpt(KIM)
            assert client.docmd("DATA")[0] == 354
            client.send(MESSAGE + stray + b"\r\n.\r\n")
            assert client.getreply()[1].startswith(b"5.6.0 ")
            client.rset()
    assert all("DATA" not in one.verbs for one in hop.conversations)


def test_a_circle_ends(public: Public, hop: NextHop) -> None:
    line = b"Received: from a by b; Sun, 29 Nov 2026 00:00:00 +0000\r\n"
    with public.served(smarthost(hop)), public.logged_in() as client:
        client.sendmail(SENDER, [KIM], 49 * line + MESSAGE)
        with pytest.raises(smtplib.SMTPDataError, match="it goes in circles"):
            client.sendmail(SENDER, [KIM], 50 * line + MESSAGE)
    assert len([one for one in hop.conversations if "DATA" in one.verbs]) == 1


def test_a_large_message_goes_through_and_is_nowhere_afterwards(public: Public, hop: NextHop) -> None:
    message = MESSAGE + b"".join([b"%07d %s\r\n" % (number, b"x" * 60) for number in range(150_000)])
    with public.served(smarthost(hop)) as running, public.logged_in() as client:
        client.sendmail(SENDER, [KIM], message)
        assert hop.last.message.endswith(message)
        open_files = [path.readlink() for path in Path(f"/proc/{running.process.pid}/fd").iterdir()]
        assert not [path for path in open_files if "/var/tmp" in str(path)]


def test_the_smarthost_hears_the_password_in_tls_only(public: Public) -> None:
    login = public.site.folder / "smarthost"
    login.write_text("me:secret\n")
    login.chmod(0o600)
    with NextHop(offers=("AUTH PLAIN LOGIN",)) as hop:
        with public.served(f'{smarthost(hop)}onward.login = "{login}"\n'), public.logged_in() as client:
            client.mail(SENDER)
            assert client.rcpt(KIM)[0] == 451
        assert "AUTH" not in hop.last.verbs
