"""Forwarding, really handed to a sendmail: what it is told and given, and what its end means."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.installation import Home, Installation

MESSAGE = b"Return-Path: <jo@example.org>\nReceived: by mx\nFrom: Jo <jo@example.org>\nSubject: hello\n\n.\nHi.\n"
SENT = MESSAGE.replace(b"Return-Path: <jo@example.org>\n", b"Delivered-To: robin@example.net\n")
SENDMAIL = '#!/bin/sh\nn=$(ls ~/sent | wc -l)\nprintf "%s\\n" "$@" > ~/sent/$n.told\ncat > ~/sent/$n.message\n'
CALLER = ("-f", "jo@example.org", "-r", "robin+shop@example.net")


@pytest.fixture
def sendmail(home: Home) -> Path:
    """A sendmail that writes down what it gets; returns the site's settings that name it."""
    home.folder("sent")
    program = home.file("bin/sendmail", SENDMAIL, 0o700)
    return settings(home, f'sendmail = "{program}"\n')


def settings(home: Home, text: str) -> Path:
    path = home.file("settings.toml", text)
    then = time.time() - 60
    subprocess.run(["touch", "-d", f"@{then}", path], check=True)
    return path


def told(home: Home) -> list[list[str]]:
    return [path.read_text().split("\n")[:-1] for path in sorted((home.path / "sent").glob("*.told"))]


def sent(home: Home) -> list[bytes]:
    return [path.read_bytes() for path in sorted((home.path / "sent").glob("*.message"))]


def deliver(installation: Installation, home: Home, rules: str, site: Path, *caller: str) -> tuple[int, bytes]:
    home.rules(rules)
    done = home.deliver(installation, MESSAGE, "--config", str(site), *(caller or CALLER))
    return done.returncode, done.stderr


def test_the_mail_server_gets_the_message_and_nothing_that_it_could_take_for_an_option(
    installation: Installation, home: Home, sendmail: Path
) -> None:
    rules = 'copy forward "-bs@x.example"\nset header "X-A" = "1"\nforward "bob@example.com", "al@example.com"\n'
    assert deliver(installation, home, rules, sendmail) == (0, b"")
    by = ["-i", "-f", "jo@example.org", "--"]
    assert told(home) == [[*by, "-bs@x.example"], [*by, "bob@example.com"], [*by, "al@example.com"]]
    edited = SENT.replace(b"Received", b"X-A: 1\nReceived", 1)
    assert sent(home) == [SENT, edited, edited]
    assert (home.messages(), home.unfinished()) == ({}, [])


@pytest.mark.parametrize("sender", ["", "-oQ/tmp", "a b@x"])
def test_a_senders_address_stays_one_argument(
    installation: Installation, home: Home, sendmail: Path, sender: str
) -> None:
    assert deliver(installation, home, 'forward "bob@x.example"\n', sendmail, "-f", sender)[0] == 0
    assert told(home) == [["-i", "-f", sender or "<>", "--", "bob@x.example"]]


@pytest.mark.parametrize("end", ["exit 75", "exit 1", "exit 67", "kill -9 $$", "exec sleep 60"])
def test_a_sendmail_that_does_not_take_it_makes_mail_wait_and_no_address_gets_it_twice(
    installation: Installation, home: Home, sendmail: Path, end: str
) -> None:
    home.file("bin/sendmail", f'{SENDMAIL}case "$*" in *al@*) [ -e ~/up ] || {end};; esac\n', 0o700)
    site = settings(home, sendmail.read_text() + "program-time = 1\n")
    rules = 'copy file "A"\ncopy file "mbox:~/box"\nforward "bob@x.example", "al@x.example"\n'
    code, said = deliver(installation, home, rules, site)
    assert (code, home.messages()) == (75, {})
    assert said.startswith(b"4.3.0 forwarding to al@x.example: sendmail ")
    home.file("up", "")
    assert deliver(installation, home, rules, site) == (0, b"")
    assert [one[-1] for one in told(home)] == ["bob@x.example", "al@x.example", "al@x.example"]
    assert len(home.messages()) == 1
    assert not list((home.path / ".local/state/pydeliver/journal").iterdir())


def test_a_sender_is_rewritten_by_the_sites_command(installation: Installation, home: Home, sendmail: Path) -> None:
    srs = home.file("bin/srs", '#!/bin/sh\n[ "$1 $2" = "-d jo@example.org" ] && echo "SRS0=a=jo@example.net"\n', 0o700)
    site = settings(home, f'{sendmail.read_text()}forward-sender = "srs"\nsrs-command = ["{srs}", "-d"]\n')
    assert deliver(installation, home, 'forward "bob@x.example"\n', site) == (0, b"")
    assert told(home) == [["-i", "-f", "SRS0=a=jo@example.net", "--", "bob@x.example"]]
    home.file("bin/srs", "#!/bin/sh\necho no address\n", 0o700)
    code, said = deliver(installation, home, 'forward "bob@x.example"\n', site)
    assert (code, b"rewriting the sender" in said) == (75, True)


def test_a_rehearsal_sends_nothing(installation: Installation, home: Home, sendmail: Path) -> None:
    home.rules('forward "bob@x.example"\n')
    done = subprocess.run(
        installation.command("try", "--json", "--run", "--config", sendmail),
        input=MESSAGE,
        env=home.environment(),
        capture_output=True,
        check=True,
        **home.identity,
    )
    said = json.loads(done.stdout)
    assert (said["decision"], said["deliveries"][0]["address"]) == ('forward "bob@x.example"', "bob@x.example")
    assert told(home) == []


class Server(threading.Thread):
    """An SMTP server for one message; `heard` are the lines it was told, the message without its final dot."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.heard: list[bytes] = []
        self.message = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self) -> None:
        connection, _ = self.socket.accept()
        self.socket.close()
        with suppress(ConnectionError), connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 here\r\n")
            while line := stream.readline():
                self.heard.append(line)
                verb = line.split()[0].upper().partition(b":")[0]
                stream.write(self.answers.get(verb, b"250 yes\r\n"))
                if verb == b"DATA" and self.answers[b"DATA"].startswith(b"354"):
                    while not self.message.endswith(b"\r\n.\r\n"):
                        self.message += stream.readline()
                    stream.write(self.answers.get(b".", b"250 taken\r\n"))


def test_a_smarthost_gets_it_by_smtp(installation: Installation, home: Home) -> None:
    server = Server({b"EHLO": b"250-here\r\n250 8BITMIME\r\n", b"DATA": b"354 go on\r\n"})
    site = settings(home, f'smarthost = "127.0.0.1:{server.port}"\n')
    assert deliver(installation, home, 'forward "bob@x.example"\n', site) == (0, b"")
    server.join(10)
    assert server.heard[1].lower() == b"mail from:<jo@example.org> body=8bitmime\r\n"
    assert server.heard[2].lower() == b"rcpt to:<bob@x.example>\r\n"
    assert server.message == SENT.replace(b"\n", b"\r\n").replace(b"\r\n.\r\n", b"\r\n..\r\n") + b".\r\n"


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"."])
@pytest.mark.parametrize("answer", [b"451 later\r\n", b"550 never\r\n"])
def test_a_smarthost_that_says_no_makes_mail_wait(
    installation: Installation, home: Home, verb: bytes, answer: bytes
) -> None:
    server = Server({b"DATA": b"354 go on\r\n", verb: answer})
    site = settings(home, f'smarthost = "127.0.0.1:{server.port}"\n')
    code, said = deliver(installation, home, 'copy file "A"\nforward "bob@x.example"\n', site)
    assert (code, answer[4:].strip() in said, home.messages()) == (75, True, {})
    server.join(10)
    code, said = deliver(installation, home, 'copy file "A"\nforward "bob@x.example"\n', site)
    assert (code, b"refused" in said, home.messages()) == (75, True, {})  # nobody listens there any more
