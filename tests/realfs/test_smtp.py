"""The server for mail from the network, with real clients: what it takes, for whom, and that its answer is true."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import signal
import smtplib
import socket
import ssl
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, Installation
from tests.lmtp import PATIENCE, until
from tests.nexthop import certificate
from tests.receiver import endings
from tests.smtp import PASSWORD, Public
from tests.virtual import Site

MESSAGE = (
    b"From: jo@example.org\r\nTo: robin@example.net\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n"
)
STORED = MESSAGE.replace(b"\r\n", b"\n")
SENDER = "jo@example.org"


@pytest.fixture
def public(site: Site) -> Public:
    return Public(site)


def codes(refused: dict[str, tuple[int, bytes]]) -> dict[str, bytes]:
    """The enhanced code that each recipient was refused with."""
    return {address: said.split()[0] for address, (_, said) in refused.items()}


def answer(client: smtplib.SMTP, recipients: list[str], message: bytes = MESSAGE, sender: str = SENDER) -> bytes:
    """The one reply to a message for these, all of whom are accepted."""
    assert client.mail(sender)[0] == 250
    for one in recipients:
        assert client.rcpt(one)[0] == 250
    code, said = client.data(message)
    return b"%d %s" % (code, said)


def test_a_message_is_stored_below_what_the_last_server_writes(public: Public) -> None:
    with public.served(), public.client() as client:
        client.sendmail(SENDER, ["robin+x@example.net"], MESSAGE)
    (stored,) = public.site.messages("robin@example.net")
    trace = (
        rb"Return-Path: <jo@example\.org>\n"
        rb"Delivered-To: robin\+x@example\.net\n"
        rb"Received: from client\.example\.org \(\[127\.0\.0\.1\]\)\n"
        rb"\tby mx\.example\.net \(pydeliver\) with ESMTP id [0-9A-F]{12}\n"
        rb"\tfor <robin\+x@example\.net>; \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n"
    )
    assert re.fullmatch(trace + re.escape(STORED), stored)


def test_mail_is_taken_for_users_of_our_domains_and_for_the_postmaster(public: Public) -> None:
    with public.served(), public.client() as client:
        taken = ["robin@EXAMPLE.net", "anybody@example.com", "postmaster", "Postmaster@example.com"]
        refused = client.sendmail(SENDER, [*taken, "nobody@example.net", "robin"], MESSAGE)
        assert codes(refused) == {"nobody@example.net": b"5.1.1", "robin": b"5.1.3"}
    assert len(public.site.messages("robin@example.net")) == len(taken)


RELAYS = (
    "kim@elsewhere.example",
    "@example.net:kim@elsewhere.example",
    "@example.net,@example.com:kim@elsewhere.example",
    "kim%elsewhere.example@example.net",
    "elsewhere.example!kim@example.net",
    "kim%elsewhere.example",
    "elsewhere.example!kim",
    '"kim@elsewhere.example"@example.net',
    '"kim%elsewhere.example"@example.net',
    '"kim@elsewhere.example"',
    "kim@elsewhere.example@example.net",
    "kim@[127.0.0.1]",
    "kim@[IPv6:::1]",
    "kim@localhost",
    "kim@localhost.example.net",
    "kim@127.0.0.1",
    "kim@elsewhere.example.",
    "kim@example.net.elsewhere.example",
    "kim@elsewhere.example,robin@example.net",
    "kim@elsewhere.example:robin@example.net",
    "robin@example.net:kim@elsewhere.example",
    "kim@elsewhere.example\x00@example.net",
    "kim@elsewhere.example robin@example.net",
    "<kim@elsewhere.example>",
    "kim@ｅlsewhere.example",
    "kim@",
    "@elsewhere.example",
    "kim@elsewhere.example@",
    "..kim@elsewhere.example",
    "kim/elsewhere.example@example.net",
    "../kim@example.net",
)


@pytest.mark.parametrize("address", RELAYS)
@pytest.mark.parametrize("sender", [SENDER, "robin@example.net", "", "postmaster@example.net"])
def test_nobody_has_mail_passed_on_who_has_not_logged_in(relay: Public, address: str, sender: str) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as client, client.makefile("rwb") as stream:
        stream.readline()
        for line in (b"HELO client", b"MAIL FROM:<%s>" % sender.encode()):
            stream.write(line + b"\r\n")
            stream.flush()
            assert stream.readline().startswith(b"250")
        stream.write(b"RCPT TO:<%s>\r\n" % address.encode())
        stream.flush()
        assert stream.readline()[:2] in (b"50", b"55")


@pytest.fixture(scope="module")
def relay(installation: Installation, public_folder: Path, request: pytest.FixtureRequest) -> Generator[Public]:
    """One server for all that try to misuse it, whose smarthost would have to take what is passed on."""
    owner = request.getfixturevalue("user") if AS_ROOT else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="relay-", dir=public_folder))
    folder.chmod(0o755)
    made = Public(Site(installation, folder, owner))
    with made.served('onward.smarthost = "127.0.0.1:9"\n'):
        yield made


# -- one answer for all -----------------------------------------------------------------------------------------


def test_what_some_reject_and_others_take_is_kept_back_for_those(public: Public) -> None:
    public.site.rules("kim@example.net", 'reject "no mail, please"\n')
    with public.served(), public.client() as client:
        assert answer(client, ["robin@example.net", "kim@example.net"]) == b"250 2.0.0 delivered"
        assert answer(client, ["kim@example.net", "sales@example.net"]) == b"550 5.7.1 no mail, please"
    assert len(public.site.messages("robin@example.net")) == 1
    (kept,) = public.quarantined("kim@example.net")
    assert kept.endswith(STORED)
    assert b"no mail, please" in kept.removesuffix(STORED)


def test_a_message_that_has_to_be_tried_again_is_stored_once_for_each(public: Public) -> None:
    public.site.rules("kim@example.net", 'defer "not now"\n')
    both = ["robin@example.net", "kim@example.net"]
    with public.served(), public.client() as client:
        for _ in range(3):
            assert answer(client, both) == b"451 4.7.1 not now"
        assert answer(client, both, MESSAGE + b"another\r\n") == b"451 4.7.1 not now"
    assert len(public.site.messages("robin@example.net")) == 2
    public.site.rules("kim@example.net", "keep\n")
    with public.served(), public.client() as client:  # another server, and it is remembered
        assert answer(client, both) == b"250 2.0.0 delivered"
        assert len(public.site.messages("robin@example.net")) == 2
        assert len(public.site.messages("kim@example.net")) == 1
        assert answer(client, both) == b"250 2.0.0 delivered"  # who sends it again after a yes, means it
    assert len(public.site.messages("robin@example.net")) == 3


def test_who_rejects_what_another_defers_is_asked_again(public: Public) -> None:
    public.site.rules("kim@example.net", 'reject "never"\n')
    public.site.rules("robin@example.net", 'defer "not now"\n')
    both = ["robin@example.net", "kim@example.net"]
    with public.served(), public.client() as client:
        assert answer(client, both) == b"451 4.7.1 not now"
        assert public.quarantined("kim@example.net") == []
        public.site.rules("robin@example.net", "keep\n")
        assert answer(client, both) == b"250 2.0.0 delivered"
    assert len(public.quarantined("kim@example.net")) == 1


def test_broken_rules_of_one_are_tried_again_and_cost_the_other_no_copy(public: Public) -> None:
    public.site.rules("kim@example.net", "if subject conta\n")
    with public.served(), public.client() as client:
        assert answer(client, ["kim@example.net", "robin@example.net"]).startswith(b"451 4.3.5 ")
        assert answer(client, ["kim@example.net"]).startswith(b"451 4.3.5 ")
        public.site.rules("kim@example.net", "keep\n")
        assert answer(client, ["robin@example.net", "kim@example.net"]) == b"250 2.0.0 delivered"
    assert len(public.site.messages("robin@example.net")) == len(public.site.messages("kim@example.net")) == 1


def test_without_its_memory_the_server_makes_no_second_copy(public: Public) -> None:
    public.site.rules("kim@example.net", 'defer "not now"\n')
    both = ["robin@example.net", "kim@example.net"]
    with public.served(), public.client() as client:
        assert answer(client, both) == b"451 4.7.1 not now"
    memory = public.state / "smtp.sqlite"
    memory.rename(kept := memory.with_name("kept"))
    memory.mkdir()
    with public.served(), public.client() as client:
        assert answer(client, both).startswith(b"451 4.3.0 ")
        memory.rmdir()
        kept.rename(memory)
        assert answer(client, both) == b"451 4.7.1 not now"
    assert len(public.site.messages("robin@example.net")) == 1


# -- TLS and logins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["port", "submission", "submissions"])
def test_who_logs_in_does_so_in_tls(public: Public, door: str) -> None:
    port = getattr(public, door)
    with public.served():
        if door == "submissions":
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, "client", context=public.trusting())
        else:
            client = public.client(port)
            with pytest.raises(smtplib.SMTPNotSupportedError):
                client.login("jo@example.net", PASSWORD)
            assert client.docmd("AUTH", "PLAIN AGpvAGpv")[0] == 538
            client.starttls(context=public.trusting())
        with client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("jo@example.net", "wrong")
            client.login("Jo@Example.net", PASSWORD)
            client.sendmail("jo@example.net", ["robin@example.net"], MESSAGE)
    (stored,) = public.site.messages("robin@example.net")
    assert b" with ESMTPSA id " in stored


@pytest.mark.parametrize("door", ["submission", "submissions"])
def test_at_submission_nobody_sends_without_a_login(public: Public, door: str) -> None:
    with public.served():
        if door == "submissions":
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", public.submissions, "x", context=public.trusting())
        else:
            client = public.client(public.submission)
        with client:
            client.ehlo()
            assert client.mail(SENDER)[0] == 530
            assert client.rcpt("robin@example.net")[0] == 503


SAID_BEFORE = [
    form % command
    for command in (
        b"MAIL FROM:<evil@example.com>",
        b"EHLO evil.example.com",
        b"HELO evil",
        b"RSET",
        b"NOOP",
        b"AUTH PLAIN AGpvAHNlY3JldA==",
        b"STARTTLS",
        b"QUIT",
        b"DATA",
        b"X" * 3000,
    )
    for form in (b"%s\r\n", b"%s", b"%s\n", b"\r\n%s\r\n", b"NOOP\r\n%s\r\nNOOP\r\n")
]


def test_nothing_gets_into_tls_that_was_said_before(public: Public) -> None:
    """50 prefixes in one packet with STARTTLS (G22, CVE-2011-0411 and kin): the session begins anew, and hears none."""
    with public.served("smtp.per-client = 100\n"):
        for more in SAID_BEFORE:
            assert _said_in_tls(public, more) == [
                b"503 5.5.1 say EHLO first\r\n",
                b"500 5.5.2 unknown command\r\n",
                b"221 2.0.0 bye\r\n",
            ], more


def _said_in_tls(public: Public, more: bytes) -> list[bytes]:
    """All that the server says in TLS, when that was said before."""
    with socket.create_connection(("127.0.0.1", public.port), PATIENCE) as plain:
        stream = plain.makefile("rb")
        stream.readline()
        plain.sendall(b"EHLO client\r\n")
        while not stream.readline().startswith(b"250 "):
            pass
        plain.sendall(b"STARTTLS\r\n" + more)
        assert stream.readline() == b"220 2.0.0 go on in TLS\r\n"
        with public.trusting().wrap_socket(plain) as secured, secured.makefile("rb") as heard:
            secured.sendall(b"MAIL FROM:<jo@example.org>\r\nFAKE\r\nQUIT\r\n")
            return heard.readlines()


def test_a_handshake_that_comes_to_nothing_leaves_nothing_behind(public: Public) -> None:
    with public.served():
        for said in (b"this is no TLS\r\n", b""):
            with socket.create_connection(("127.0.0.1", public.port), PATIENCE) as plain:
                stream = plain.makefile("rb")
                stream.readline()
                plain.sendall(b"STARTTLS\r\n")
                assert stream.readline().startswith(b"220 ")
                plain.sendall(said)
        with public.client() as client:
            assert answer(client, ["robin@example.net"]) == b"250 2.0.0 delivered"


def test_who_resets_a_handshake_is_gone(public: Public) -> None:
    with public.served("smtp.per-client = 2\n") as running:
        for _ in range(5):
            until(lambda: _is_welcome(public))
            with (
                socket.create_connection(("127.0.0.1", public.port), PATIENCE) as plain,
                plain.makefile("rb") as stream,
            ):
                assert stream.readline().startswith(b"220 ")
                plain.sendall(b"STARTTLS\r\n")
                assert stream.readline().startswith(b"220 ")
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: _is_welcome(public))
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 5


def test_who_has_yet_to_begin_a_handshake_is_a_client(public: Public) -> None:
    with public.served("smtp.per-client = 2\n"):
        with ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(("127.0.0.1", public.submissions), PATIENCE))
                for _ in range(3)
            ]
            assert clients[2].recv(100).startswith(b"421 4.7.0 ")
        until(lambda: _is_welcome(public))


def test_the_last_word_in_tls_is_heard_by_who_talks_on(public: Public) -> None:
    with public.served(), public.client() as client:
        client.starttls(context=public.trusting())
        client.ehlo()
        client.send((b"X" * 5000 + b"\r\n") * 400)
        heard = b"".join(itertools.takewhile(bool, iter(client.file.readline, b"")))
        assert heard.endswith(b"421 4.7.0 too many mistakes\r\n")
        client.close()


# -- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", endings.WAYS)
def test_nothing_but_the_end_ends_a_message(public: Public, way: str) -> None:
    """838 variants in all segmentations (G20): one message each, or a refusal, and never a second one."""
    tried = [(one, pieces) for one in endings.NOT_THE_END for pieces in endings.segments(one, way)]
    with public.served("smtp.per-client = 100\n"), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: _heard(public, each[1]), tried))
    taken = Counter()
    for (looks_like, _), heard in zip(tried, found, strict=True):
        assert heard.count(b"354 ") == 1, looks_like
        if b"\r\n250 2.0.0 delivered\r\n" in heard:
            assert not any([byte in looks_like.replace(b"\r\n", b"") for byte in (b"\r", b"\n", b"\0")]), looks_like
            taken[endings.stored(looks_like)] += 1
        else:
            assert b"\r\n550 5.6.0 " in heard, looks_like
    stored = Counter(one.partition(b"+0000\n")[2] for one in public.site.messages("robin@example.net"))
    assert stored == taken


def _heard(public: Public, pieces: list[bytes]) -> bytes:
    with socket.create_connection(("127.0.0.1", public.port), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"EHLO x\r\nMAIL FROM:<jo@example.org>\r\nRCPT TO:<robin@example.net>\r\nDATA\r\n")
        for piece in pieces:
            client.sendall(piece)
        return b"".join(itertools.takewhile(bool, iter(lambda: client.recv(65536), None)))


def test_one_address_has_so_many_connections_and_others_are_let_in(public: Public) -> None:
    with public.served("smtp.per-client = 2\n"):
        first, second = public.client(), public.client()
        with pytest.raises(smtplib.SMTPConnectError, match="too many connections from you"):
            public.client()
        with smtplib.SMTP("127.0.0.1", public.port, timeout=PATIENCE, source_address=("127.0.0.2", 0)) as other:
            assert other.ehlo()[0] == 250
        first.quit()
        until(lambda: _is_welcome(public))
        second.quit()


def _is_welcome(public: Public) -> bool:
    try:
        public.client().quit()
    except smtplib.SMTPConnectError:
        return False
    return True


def test_only_some_networks_are_served(public: Public) -> None:
    with public.served('smtp.clients = ["127.0.0.2/32"]\n'):
        with pytest.raises(smtplib.SMTPConnectError, match="not served here"):
            public.client()
        with smtplib.SMTP("127.0.0.1", public.port, timeout=PATIENCE, source_address=("127.0.0.2", 0)) as other:
            assert other.ehlo()[0] == 250


def test_what_is_too_large_is_refused_and_the_session_goes_on(public: Public) -> None:
    with public.served("server.size = 1\n"), public.client() as client:
        too_large = b"552 5.3.4 the message is larger than 1048576 bytes"
        assert answer(client, ["robin@example.net", "kim@example.net"], MESSAGE + b"x" * (1 << 20)) == too_large
        assert answer(client, ["robin@example.net"]) == b"250 2.0.0 delivered"


def test_a_large_message_goes_to_several_whole(public: Public) -> None:
    message = MESSAGE + b"".join([b"%07d %s\r\n" % (number, b"x" * 60) for number in range(80_000)])
    with public.served(), public.client() as client:
        assert answer(client, ["robin@example.net", "kim@example.net"], message) == b"250 2.0.0 delivered"
    for user in ("robin@example.net", "kim@example.net"):
        (stored,) = public.site.messages(user)
        assert stored.endswith(message.replace(b"\r\n", b"\n"))


# -- suspicion --------------------------------------------------------------------------------------------------


def test_none_of_it_holds_for_hosts_of_this_network(public: Public) -> None:
    """Greylisting and the others look at strangers only, and every client here is at home."""
    with public.served("smtp.greylist = 300\nsmtp.helo = true\n"), public.client() as client:
        assert answer(client, ["robin@example.net"]) == b"250 2.0.0 delivered"


def test_sighup_reads_passwords_and_certificate_again(public: Public) -> None:
    with public.served() as running, public.client() as kept:
        public.passwords.write_text(public.passwords.read_text().replace("jo@", "kim@"))
        public.certificate.write_bytes(certificate(public.site.folder, "other.example.net").read_bytes())
        for path in (public.passwords, public.certificate):
            path.chmod(0o640)
            if AS_ROOT:
                os.chown(path, 0, pwd.getpwnam(public.site.owner).pw_gid)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: b"other.example.net" in _shown(public))
        with public.client(public.submission) as client:
            client.starttls(context=public.trusting())
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("jo@example.net", PASSWORD)
            client.login("kim@example.net", PASSWORD)
        assert answer(kept, ["robin@example.net"]) == b"250 2.0.0 delivered"


def _shown(public: Public) -> bytes:
    """The certificate that the server shows now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with public.client() as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""
