"""`pydeliver quarantine` as a person types it, in the installed program."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from pydeliver.cli.commands.quarantine import _table, _width
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import Store
from pydeliver.system.spool import Held
from pydeliver.transport import Work, execute
from pydeliver.verdict import DISCARD, Verdict

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-c", "from pydeliver.cli import main; main()", "quarantine")
HELLO: Final = b"From: Jo <jo@example.org>\nTo: you@example.net\nSubject: hello\nX-Mailer: x\n\nGood \x1b[2J morning.\n"
LONG: Final = b"From: a@b.example\nSubject: =?utf-8?B?5pel5pys6Kqe?= " + b"and more of it " * 20 + b"\n\nx\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TZ": "UTC"}


def run(home: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], input=stdin, capture_output=True, text=True, check=False, env=environment(home), cwd=home
    )


def discard(home: Path, message: bytes = HELLO, days: float = 0, **bounds: int) -> None:
    store = Store(str(home / "Maildir"), str(home / "Maildir"), home=str(home), **bounds)
    state = str(home / ".local/state/pydeliver")
    now = time.time() - days * 86400
    work = Work(Message.of(message), Held(message), Envelope(""), store, state, "host", now, ("/x/main.rules",))
    outcome = execute(Verdict(DISCARD, (), "", "junk", 12), work)
    assert outcome.status.ok
    outcome.finish()


def facts(home: Path) -> list[dict[str, object]]:
    done = run(home, "list", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def mails(home: Path, folder: str = "") -> list[bytes]:
    return [path.read_bytes() for path in home.glob(f"Maildir/{folder}/new/*")]


def test_a_list_says_what_is_there_the_newest_last_and_when_the_oldest_goes(home: Path) -> None:
    assert run(home, "list").stdout == "the quarantine is empty\n"
    discard(home, days=2)
    discard(home, LONG, days=1)
    first, second, total = run(home, "list").stdout.splitlines()
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 2 * 86400))
    assert f"  {day} " in first
    assert f"  {len(HELLO)} B  Jo <jo@example.org>  hello  " in first
    assert first.endswith('  rule "junk", main.rules:12')
    assert "日本語 and more" in second
    goes = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86400))
    assert total.startswith("2 messages, ")
    assert total.endswith(f"; the oldest goes on {goes}")


def test_a_program_gets_one_object_a_message(home: Path) -> None:
    discard(home, days=8)
    (one,) = facts(home)
    assert (one["from"], one["subject"], one["size"], one["whole"]) == (
        "Jo <jo@example.org>",
        "hello",
        len(HELLO),
        True,
    )
    assert one["why"] == 'by rule "junk", main.rules:12'
    assert Path(str(one["path"])).read_bytes().endswith(HELLO)
    assert str(one["goes"]) < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert run(home, "list").stdout.endswith("the oldest goes with the next message that is discarded\n")


def test_a_message_is_shown_as_text_and_as_it_was_received(home: Path) -> None:
    discard(home)
    name = str(facts(home)[0]["id"])
    done = run(home, "show", name[:4])
    assert done.stdout.splitlines()[1:] == [
        "From: Jo <jo@example.org>",
        "To: you@example.net",
        "Subject: hello",
        "",
        "Good \ufffd[2J morning.",
    ]
    assert 'UTC, by rule "junk", main.rules:12' in done.stdout.splitlines()[0]
    assert run(home, "show", "--raw", name).stdout.encode() == HELLO


def test_of_a_large_message_the_header_is_shown(home: Path) -> None:
    discard(home, HELLO + b"x" * 2_000_000, kept_bytes=1 << 20)
    name = str(facts(home)[0]["id"])
    assert "Only the header was kept of its 2 MB." in run(home, "show", name).stdout
    done = run(home, "release", name)
    assert (done.returncode, "only the header" in done.stderr) == (66, True)
    assert "header only" in run(home, "list").stdout


def test_messages_are_released_by_name_or_all(home: Path) -> None:
    discard(home)
    discard(home, LONG)
    first, second = [str(one["id"]) for one in facts(home)]
    done = run(home, "release", first)
    assert (done.returncode, done.stdout) == (0, f"{first[:6]}: released to mailbox INBOX\n")
    assert mails(home) == [HELLO]
    assert [one["id"] for one in facts(home)] == [second]
    assert run(home, "release", "--all", "--to", "Work").returncode == 0
    assert mails(home, ".Work") == [LONG]
    assert facts(home) == []


def test_what_cannot_be_released_is_told_and_stays(home: Path) -> None:
    discard(home)
    done = run(home, "release", "--all", "--to", "../x")
    assert (done.returncode, done.stdout) == (66, "")
    assert len(facts(home)) == 1


def test_messages_are_purged_by_name_by_age_or_all(home: Path) -> None:
    for days in (3, 2, 1, 0):
        discard(home, days=days)
    assert run(home, "purge", str(facts(home)[0]["id"])).stdout == "removed 1 message\n"
    assert run(home, "purge", "--older", "1.5").stdout == "removed 1 message\n"
    for answer in ("", "n\n", "\n"):
        assert run(home, "purge", "--all", stdin=answer).returncode == 130
    assert len(facts(home)) == 2
    assert run(home, "purge", "--all", stdin="y\n").stdout == "removed 2 messages\n"
    discard(home)
    assert run(home, "purge", "--all", "--yes").stdout == "removed 1 message\n"
    assert facts(home) == []


@pytest.mark.parametrize("command", ["show", "release", "purge"])
def test_a_name_that_nobody_has_changes_nothing(home: Path, command: str) -> None:
    discard(home)
    name = str(facts(home)[0]["id"])
    done = run(home, command, *([name] if command != "show" else []), "nobody")
    assert (done.returncode, done.stderr) == (66, "no message in the quarantine is called nobody\n")
    assert len(facts(home)) == 1


@pytest.mark.parametrize(
    "words",
    [("release",), ("release", "--all", "x"), ("purge",), ("purge", "--all", "--older", "1"), ("purge", "x", "--all")],
)
def test_it_is_said_which_messages_are_meant(home: Path, words: tuple[str, ...]) -> None:
    assert run(home, *words).returncode == 64


def test_a_list_fits_the_terminal(home: Path) -> None:
    discard(home, LONG)
    master, slave = pty.openpty()
    done = subprocess.Popen(
        [*COMMAND, "list"], stdout=slave, stderr=slave, env={**environment(home), "COLUMNS": "70"}, cwd=home
    )
    os.close(slave)
    assert done.wait(60) == 0
    lines = os.read(master, 10_000).decode().splitlines()
    os.close(master)
    assert "…" in lines[0]
    assert [line for line in lines if _width(line) > 70] == []


@pytest.mark.parametrize("columns", [20, 40, 70, 79, 80, 81, 120, 200])
def test_columns_stand_below_each_other_whatever_is_in_them(columns: int) -> None:
    rows = [
        ("3fa2b1", "2026-11-23 09:00", "12 KB", "日本語" * 9, "e\u0301" * 60, "main.rules:1"),
        ("3fa2b2", "2026-11-23 09:01", "9 B", "jo", "", 'rule "a long name", main.rules:2'),
    ]
    lines = _table(rows, columns)
    assert all(_width(line) <= columns for line in lines)
    if columns >= 80:
        ends = [line.rindex(text) for line, text in zip(lines, ("main", 'rule "'), strict=True)]
        assert len({_width(line[:end]) for line, end in zip(lines, ends, strict=True)}) == 1
    assert _table(rows, 0)[0].count("日") == 9
