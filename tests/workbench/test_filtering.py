"""What `pydeliver filter` writes is, byte for byte, what a delivery by the same rules stores."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pydeliver.agent import Request, deliver
from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site
from pydeliver.mail.envelope import Envelope
from pydeliver.mailbox.reader import entries
from pydeliver.status import Status
from pydeliver.workbench import filtering
from pydeliver.workbench.rehearse import Rehearsal
from tests.rules import write_rested

EDITS = """
set header "X-About" = "{subject}"
remove header "Received"
if subject contains "tagged" { prefix subject "[x] " }
"""
MARKS = 'mark seen, flagged\nlabel "to do", "später"\n'
MESSAGES = {
    "plain": b"Received: by a\nSubject: tagged\nReceived: by b\n\nbody\n",
    "crlf": b"Received: by a\r\nSubject: tagged\r\n\r\nbody\r\n",
    "no body": b"Subject: tagged\n",
    "no header": b"just text\nand more\n",
    "no last newline": b"Subject: x\n\nFrom me\n>From you\nlast",
    "bytes": b"Subject: \xff\xfe\n folded\n\n\x00\xff\n",
    "state of another mailbox": b"Status: RO\nX-Keywords: old\nSubject: x\nContent-Length: 3\n\nabc\n",
    "long": b"Subject: x\n\n" + b"0123456789abcdef\n" * 40_000,
}


def site_of(home: Home) -> Site:
    return Site(home.rules, "/nonexistent")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    tmp_path.chmod(0o700)
    return Home("tester", os.getuid(), str(tmp_path))


def rules(home: Home, text: str) -> None:
    write_rested(Path(home.rules), text)


def judged(home: Home, tmp_path: Path, message: bytes) -> Rehearsal | Status:
    made = compile_plan(home, site_of(home))
    assert made.plan is not None, made.diagnostics
    (tmp_path / "message").write_bytes(message)
    with (
        (tmp_path / "message").open("rb") as file,
        filtering.judged(made.plan, made.store, home, Envelope(), file.fileno(), time.time()) as one,
    ):
        if isinstance(one, Rehearsal) and one.verdict.outcome == "deliver":
            (tmp_path / "filtered").write_bytes(b"".join(filtering.formed(one)))
        return one


def filtered(home: Home, tmp_path: Path, message: bytes) -> bytes:
    judged(home, tmp_path, message)
    return (tmp_path / "filtered").read_bytes()


def stored(home: Home, tmp_path: Path, message: bytes, box: str) -> bytes:
    """What the delivery of a message puts into a mailbox."""
    (tmp_path / "message").write_bytes(message)
    with (tmp_path / "message").open("rb") as file:
        request = Request(home, site_of(home), Envelope(), file.fileno(), time.time(), "host", os._exit)
        assert deliver(request).ok
    (one,) = [entry.source.read(0, entry.source.size) for entry in entries(str(tmp_path / box))]
    return one


@pytest.mark.parametrize("name", MESSAGES)
def test_edits_are_made_as_a_delivery_to_a_maildir_makes_them(home: Home, tmp_path: Path, name: str) -> None:
    rules(home, f'set mailboxes = "~/Maildir"\n{EDITS}copy file "Early"\n')
    assert filtered(home, tmp_path, MESSAGES[name]) == stored(home, tmp_path, MESSAGES[name], "Maildir")


@pytest.mark.parametrize("name", MESSAGES)
def test_marks_and_labels_stand_in_the_header_as_in_an_mbox(home: Home, tmp_path: Path, name: str) -> None:
    rules(home, f'set default = "mbox:~/box"\n{EDITS}{MARKS}')
    made = stored(home, tmp_path, MESSAGES[name], "box")
    assert b"\nX-Keywords: to-do sp&AOQ-ter" in b"\n" + made
    assert filtered(home, tmp_path, MESSAGES[name]) == made.removesuffix(_added(MESSAGES[name]))


def _added(message: bytes) -> bytes:
    """The line end that an mbox needs behind a message that has none."""
    return b"" if message.endswith(b"\n") else b"\n"


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_that_no_rule_touches_is_written_as_it_came(home: Home, tmp_path: Path, name: str) -> None:
    rules(home, 'if subject contains "nothing" { set header "X-Late" = "yes" }\n')
    assert filtered(home, tmp_path, b"From jo@x.example Mon Nov 23 09:00:00 2026\n" + MESSAGES[name]) == MESSAGES[name]


def test_the_from_line_gives_the_sender_and_what_nobody_says_is_absent(home: Home, tmp_path: Path) -> None:
    rules(home, 'if envelope.from is "jo@x.example" and not envelope.to exists { reject "yes" }\n')
    one = judged(home, tmp_path, b"From jo@x.example Mon Nov 23 09:00:00 2026\nSubject: x\n\n")
    assert isinstance(one, Rehearsal)
    assert (one.verdict.outcome, one.verdict.text) == ("reject", "yes")


@pytest.mark.parametrize(
    ("text", "message", "why"),
    [
        ('if from in file "~/gone" { keep }\n', b"From: a@b.example\n\n", "list file"),
        ("keep\n", b"", "empty"),
        ("keep\n", b"From jo@x.example Mon Nov 23 09:00:00 2026\n", "empty"),
    ],
)
def test_what_makes_a_delivery_wait_is_no_decision(
    home: Home, tmp_path: Path, text: str, message: bytes, why: str
) -> None:
    rules(home, text)
    found = judged(home, tmp_path, message)
    assert isinstance(found, Status)
    assert (found.exit_code, why in found.text) == (75, True)


def test_memory_is_asked_and_nothing_is_remembered(home: Home, tmp_path: Path) -> None:
    rules(home, "if duplicate { discard }\n")
    message = b"From: a@b.example\nMessage-ID: <1@b.example>\n\nbody\n"
    assert filtered(home, tmp_path, message) == filtered(home, tmp_path, message) == message
    stored(home, tmp_path, message, "Maildir")
    one = judged(home, tmp_path, message)
    assert isinstance(one, Rehearsal)
    assert one.verdict.outcome == "discard"


def test_programs_are_asked_as_a_delivery_asks_them(home: Home, tmp_path: Path) -> None:
    rules(home, 'if run "/bin/true" succeeds { reject "it was run" }\n')
    one = judged(home, tmp_path, b"Subject: x\n\n")
    if os.geteuid() == 0:  # for whom a delivery runs nothing either
        assert isinstance(one, Status)
        assert one.exit_code == 75
    else:
        assert isinstance(one, Rehearsal)
        assert one.verdict.text == "it was run"
