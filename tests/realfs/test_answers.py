"""Answers and notifications, really handed to a sendmail: once for each sender, after the message, in nobody's way."""

from __future__ import annotations

import email
import email.policy
import json
import random
import subprocess
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.installation import Home, Installation
from tests.realfs.test_forwarding import SENDMAIL, sent, settings, told
from tests.rules import write_rested

MESSAGE = b"Received: by mx\nFrom: Jo <jo@x.example>\nTo: robin@example.net\nMessage-ID: <1@x>\nSubject: hello\n\nHi.\n"
CALLER = ("-f", "jo@x.example", "-r", "robin@example.net")
RULES = 'vacation "I am away." every 7 days\nkeep\n'
RACES, AT_ONCE = 100, 2


@pytest.fixture
def sendmail(home: Home) -> Path:
    home.folder("sent")
    return settings(home, f'sendmail = "{home.file("bin/sendmail", SENDMAIL, 0o700)}"\n')


def deliver(
    installation: Installation, home: Home, site: Path, *caller: str, message: bytes = MESSAGE
) -> tuple[int, bytes]:
    done = home.deliver(installation, message, "--config", str(site), *(caller or CALLER))
    return done.returncode, done.stderr


def notes(home: Home) -> list[str]:
    lines = (home.path / ".local/state/pydeliver/deliveries.log").read_text().splitlines()
    return json.loads(lines[-1])["notes"]  # type: ignore[no-any-return]


def read(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)  # type: ignore[return-value]


def test_a_sender_is_answered_once_from_nobody_and_the_answer_is_complete(
    installation: Installation, home: Home, sendmail: Path
) -> None:
    home.rules(RULES)
    for _ in range(3):
        assert deliver(installation, home, sendmail) == (0, b"")
    assert len(home.messages()) == 3
    assert told(home) == [["-i", "-f", "<>", "--", "jo@x.example"]]
    answer = read(sent(home)[0])
    assert answer.get_content() == "I am away.\n"
    wanted = {
        "From": "robin@example.net",
        "To": "jo@x.example",
        "Subject": "Auto: hello",
        "In-Reply-To": "<1@x>",
        "References": "<1@x>",
        "Auto-Submitted": "auto-replied",
        "MIME-Version": "1.0",
    }
    assert {name: answer[name] for name in wanted} == wanted
    assert answer["Date"].datetime is not None
    assert answer["Message-ID"].startswith("<")
    assert deliver(installation, home, sendmail, "-f", "al@x.example", "-r", "robin+x@example.net") == (0, b"")
    assert [one[-1] for one in told(home)] == ["jo@x.example", "al@x.example"]


def test_two_messages_of_one_sender_at_once_are_never_answered_twice(
    installation: Installation, home: Home, sendmail: Path
) -> None:
    home.rules(RULES)
    deliver(installation, home, sendmail)
    for race in range(RACES):
        started = [
            subprocess.Popen(
                [installation.launcher, "--config", sendmail, "-f", f"jo{race}@x.example", "-r", "robin@example.net"],
                stdin=subprocess.PIPE,
                env=home.environment(),
                cwd="/",
                **home.identity,
            )
            for _ in range(AT_ONCE)
        ]
        for one in started:
            assert one.stdin is not None
            one.stdin.write(MESSAGE)
            one.stdin.close()
        assert [one.wait(60) for one in started] == [0] * AT_ONCE
    # The sendmail here numbers by what is there, so two at once may share a file: what counts is whom they were for.
    assert len(home.messages()) == 1 + RACES * AT_ONCE
    answered = [one[-1] for one in told(home)]
    assert len(answered) == len(set(answered)) == 1 + RACES


@pytest.mark.parametrize("end", ["exit 1", "exit 75", "kill -9 $$", "exec sleep 60"])
def test_an_answer_that_can_not_be_sent_is_a_note_and_the_mail_is_delivered(
    installation: Installation, home: Home, sendmail: Path, end: str
) -> None:
    home.file("bin/sendmail", f"#!/bin/sh\n{end}\n", 0o700)
    site = settings(home, sendmail.read_text() + "program-time = 1\n")
    home.rules(RULES)
    assert deliver(installation, home, site) == (0, b"")
    assert len(home.messages()) == 1
    (note,) = notes(home)
    assert note.startswith('vacation to "jo@x.example" was not sent: ')


def test_a_delivery_that_fails_uses_up_no_answer(installation: Installation, home: Home, sendmail: Path) -> None:
    home.rules('vacation "I am away."\nif not mailbox "Up" exists { pipe "false" }\nkeep\n')
    assert deliver(installation, home, sendmail)[0] == 75
    assert told(home) == []
    home.folder("Maildir/.Up")
    for part in ("cur", "new", "tmp"):
        home.folder(f"Maildir/.Up/{part}")
    assert deliver(installation, home, sendmail) == (0, b"")
    assert len(told(home)) == 1


def test_a_notification_is_made_when_the_message_is_stored_and_holds_nothing_up(
    installation: Installation, home: Home, sendmail: Path
) -> None:
    home.file("bin/tell", '#!/bin/sh\nls ~/Maildir/new | wc -l > ~/told; printf "%s\\n" "$@" >> ~/told\n', 0o700)
    home.rules('notify "{from}: {subject}" by "~/bin/tell -x"\nnotify "hello {to}" to "sms@x.example"\nkeep\n')
    assert deliver(installation, home, sendmail) == (0, b"")
    assert (home.path / "told").read_text() == "1\n-x\njo@x.example: hello\n"
    short = read(sent(home)[0])
    assert (short["To"], short["Subject"], short.get_content()) == (
        "sms@x.example",
        "hello robin@example.net",
        "hello robin@example.net\n",
    )
    assert short["Auto-Submitted"] == "auto-notified"
    home.rules('notify "x" by "false"\nnotify "y" by "no-such-program"\nkeep\n')
    assert deliver(installation, home, sendmail) == (0, b"")
    assert [note.partition(" was ")[0] for note in notes(home)] == [
        'notify "x" by "false"',
        'notify "y" by "no-such-program"',
    ]


PIECES = ["\r\n", "\n", "\r", "\0", "\x1b[2J", "Bcc: evil@x.example", ":", "=?utf-8?q?=0AX:_y?=", " ", "ä", "\u2028"]


@pytest.mark.parametrize("seed", range(5))
def test_no_value_of_a_message_becomes_a_field_of_an_answer(
    installation: Installation, home: Home, sendmail: Path, seed: int
) -> None:
    home.rules('reply "{subject}" subject "Re: {subject} {header X-A}"\nnotify "{subject}" to "sms@x.example"\nkeep\n')
    choose = random.Random(seed)
    for number in range(20):
        spice = ["".join([choose.choice(PIECES) for _ in range(6)]) for _ in range(4)]
        lines = [
            f"{name}: {value}"
            for name, value in zip(("Subject", "X-A", "Message-ID", "References"), spice, strict=True)
        ]
        head = "".join([line.replace("\n", "\n ") + "\n" for line in lines]).encode("utf-8", "replace")
        code, _ = deliver(
            installation,
            home,
            sendmail,
            "-f",
            f"jo{number}@x.example",
            "-r",
            "robin@example.net",
            message=b"From: jo@x.example\nTo: robin@example.net\n" + head + b"\nHi.\n",
        )
        assert code == 0
    known = "Date Message-ID From To Subject In-Reply-To References Auto-Submitted MIME-Version Content-Type".split()
    assert len(sent(home)) == 40
    for data in sent(home):
        top = data.partition(b"\n\n")[0]
        assert {line.partition(b":")[0].decode() for line in top.split(b"\n") if not line.startswith(b" ")} <= {
            *known,
            "Content-Transfer-Encoding",
        }
        assert not [byte for byte in top if (byte < 32 and byte != 10) or byte == 127]
        assert max([len(line) for line in top.split(b"\n")]) <= 998


# -- loops ------------------------------------------------------------------------------------------------------

ROUTE = """#!/usr/bin/python3 -I
# A sendmail that delivers to the users of this machine: puts Received on top, as a mail server does.
import os, subprocess, sys
home, (_, _, sender, _, address) = os.path.expanduser("~"), sys.argv[1:]
with open(f"{home}/routed", "a") as log:
    log.write(f"{sender} {address}\\n")
data = b"Received: by mx\\n" + sys.stdin.buffer.read()
local = address.partition("@")[0]
box = f"{home}/users/{local.partition('+')[0]}"
done = subprocess.run(
    [LAUNCHER, "--config", CONFIG, "-m", f"{box}/rules", "-f", "" if sender == "<>" else sender, "-r", address],
    input=data, env={"HOME": home, "PATH": "/usr/bin:/bin"},
)
sys.exit(done.returncode)
"""


def routed(home: Home) -> list[str]:
    path = home.path / "routed"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def town(installation: Installation, home: Home) -> Path:
    """Users `a`, `b` and `c`, all of one home with a rule file each, and a sendmail that delivers to them."""
    site = home.path / "settings.toml"
    route = ROUTE.replace("LAUNCHER", repr(str(installation.launcher))).replace("CONFIG", repr(str(site)))
    return settings(home, f'sendmail = "{home.file("bin/sendmail", route, 0o700)}"\ntime-limit = 600\n')


def live(installation: Installation, home: Home, town: Path, message: bytes, sender: str, **rules: str) -> None:
    for name, text in rules.items():
        place = f'set mailboxes = "~/mail-{name}"\n'
        path = write_rested(home.folder(f"users/{name}") / "rules", place + text)
        home.own(path)
    done = home.deliver(
        installation,
        message,
        "--config",
        str(town),
        "-m",
        str(home.path / "users/a/rules"),
        "-f",
        sender,
        "-r",
        "a@example.net",
    )
    assert (done.returncode, done.stderr) == (0, b"")


def stored(home: Home) -> dict[str, int]:
    return {box.name: len(list(box.glob("new/*"))) for box in home.path.glob("mail-*")}


ORIGINAL = b"Received: by mx\nFrom: jo@x.example\nTo: a@example.net\nSubject: hello\nMessage-ID: <1@x>\n\nHi.\n"
CIRCLES = {
    "to oneself": {"a": 'forward "a@example.net"'},
    "to oneself by details": {"a": 'forward "a+{now.hour}x@example.net"'},
    "to each other": {"a": 'forward "b@example.net"', "b": 'forward "a@example.net"'},
    "in a triangle": {"a": 'forward "b@example.net"', "b": 'forward "c@example.net"', "c": 'forward "a@example.net"'},
    "with details": {"a": 'forward "b+x@example.net"', "b": 'copy forward "a+y@example.net"\nkeep'},
}


@pytest.mark.parametrize("way", CIRCLES)
def test_what_is_forwarded_in_a_circle_comes_round_once_and_is_kept(
    installation: Installation, home: Home, town: Path, way: str
) -> None:
    live(installation, home, town, ORIGINAL, "jo@x.example", **CIRCLES[way])
    assert len(routed(home)) == len(CIRCLES[way])
    assert stored(home)["mail-a"] == 1


def test_two_that_answer_each_other_do_so_once_at_most(installation: Installation, home: Home, town: Path) -> None:
    message = ORIGINAL.replace(b"jo@x.example", b"b@example.net")
    live(installation, home, town, message, "b@example.net", a='vacation "a"\nkeep', b='vacation "b"\nreply "b"\nkeep')
    assert routed(home) == ["<> b@example.net"]
    assert stored(home) == {"mail-a": 1, "mail-b": 1}


def test_hops_end_what_no_field_does(installation: Installation, home: Home, town: Path) -> None:
    """Somebody on the way takes Delivered-To away."""
    home.file("bin/strip", "#!/bin/sh\ngrep -v ^Delivered-To\n", 0o700)
    strip = 'filter "~/bin/strip"\n'
    live(
        installation,
        home,
        town,
        ORIGINAL,
        "jo@x.example",
        a=f'{strip}forward "b@example.net"',
        b=f'{strip}forward "a@example.net"',
    )
    assert 40 <= len(routed(home)) <= 50
    assert sum(stored(home).values()) == 1
