"""`pydeliver split` takes mailboxes apart: files that are new, commands that are started, and how to go on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_commands import ROOT, rules, run

PYDELIVER = [sys.executable, "-c", "from pydeliver.cli import main; main()"]
FIRST = "Subject: one\n\nFrom here on\n>From there\n"
SECOND = "Subject: two\n\nlast line\n"
THIRD = "Subject: three\n\n"
BOX = f"""\
From a@x.example Mon Nov 23 09:00:00 2026
{FIRST.replace("From here", ">From here").replace(">From there", ">>From there")}
From b@x.example Mon Nov 23 09:00:01 2026
{SECOND}
From c@x.example Mon Nov 23 09:00:02 2026
{THIRD}
"""
TELL = 'echo "$FILENO" $(head -n 2)'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "old.mbox").write_text(BOX)
    return tmp_path


def told(number: int, letter: str, subject: str) -> str:
    return f"{number - 1:03} From {letter}@x.example Mon Nov 23 09:00:0{number - 1} 2026 Subject: {subject}"


TOLD = [told(1, "a", "one"), told(2, "b", "two"), told(3, "c", "three")]


def test_each_message_becomes_a_file_of_its_own_that_nobody_else_reads(home: Path) -> None:
    done = run(home, "split", "old.mbox", "--into", "new/messages")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 messages in new/messages\n", "")
    made = {path.name: path.read_text() for path in (home / "new" / "messages").iterdir()}
    assert made == {"0001.eml": FIRST, "0002.eml": SECOND, "0003.eml": THIRD}
    modes = [path.stat().st_mode & 0o777 for path in (home / "new" / "messages", *(home / "new/messages").iterdir())]
    assert modes == [0o700, 0o600, 0o600, 0o600]


def test_nothing_is_overwritten_and_the_rest_can_be_written_later(home: Path) -> None:
    (home / "out").mkdir()
    (home / "out" / "0002.eml").symlink_to(home / "elsewhere")
    done = run(home, "split", "old.mbox", "--into", "out")
    assert (done.returncode, done.stdout) == (66, "")
    assert done.stderr == "1 message written before this failed:\nout/0002.eml: File exists\n"
    assert sorted(path.name for path in (home / "out").iterdir()) == ["0001.eml", "0002.eml"]
    assert not (home / "elsewhere").exists()
    rest = run(home, "split", "old.mbox", "--into", "out", "--skip", "2")
    assert rest.stdout == "1 message in out\n"
    assert (home / "out" / "0003.eml").read_text() == THIRD


def test_all_names_are_as_long_as_the_last_one(home: Path) -> None:
    (home / "many").write_text("From a Mon Nov 23 09:00:00 2026\nSubject: x\n\nx\n\n" * 10_001)
    done = run(home, "split", "-", "many", "--into", "out", stdin=BOX)
    assert done.stdout == "10004 messages in out\n"
    names = sorted(os.listdir(home / "out"))
    assert (names[0], names[3], names[-1], len(names)) == ("00001.eml", "00004.eml", "10004.eml", 10_004)
    assert (home / "out" / "00001.eml").read_text() == FIRST


def test_a_file_that_is_half_written_goes(home: Path) -> None:
    (home / "large").write_text("From a Mon Nov 23 09:00:00 2026\nSubject: x\n\n" + "x" * 70_000 + "\n")
    script = 'ulimit -f 100; trap "" XFSZ; "$@"'  # in blocks of 512 bytes
    done = subprocess.run(
        ["sh", "-c", script, "sh", *PYDELIVER, "split", "large", "--into", "out"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=home,
    )
    assert (done.returncode, "out/0001.eml: File too large" in done.stderr) == (66, True)
    assert list((home / "out").iterdir()) == []


def test_a_command_has_each_message_with_its_from_line_and_its_number(home: Path) -> None:
    done = run(home, "split", "old.mbox", "--", "sh", "-c", TELL)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, TOLD, "")
    piped = run(home, "split", "--skip", "1", "--", "sh", "-c", TELL, stdin=BOX)
    assert (piped.returncode, piped.stdout.splitlines()) == (0, TOLD[1:])
    whole = run(home, "split", "old.mbox", "--skip", "2", "--", "cat")
    assert whole.stdout == f"From c@x.example Mon Nov 23 09:00:02 2026\n{THIRD}"


def test_the_first_failure_ends_it_and_says_how_to_go_on(home: Path) -> None:
    done = run(home, "split", "old.mbox", "old.mbox", "--", "sh", "-c", f'{TELL}; test "$FILENO" != 004')
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 5)
    assert done.stderr == (
        "old.mbox:2: sh left with 1\n"
        "stopped there; go on behind it with --skip 5, or begin with it again with --skip 4\n"
    )
    rest = run(home, "split", "old.mbox", "old.mbox", "--skip", "5", "--", "sh", "-c", TELL)
    assert rest.stdout.splitlines() == [TOLD[2].replace("002", "005")]


def test_failures_are_counted_where_it_is_to_go_on(home: Path) -> None:
    script = 'case $FILENO in 000) exit 7;; 002) kill -9 "$$";; esac'
    done = run(home, "split", "--continue", "old.mbox", "--", "sh", "-c", script)
    assert done.returncode == 1
    assert done.stderr == "old.mbox:1: sh left with 7\nold.mbox:3: sh was ended by signal 9\n3 messages, 2 failed\n"


def test_a_command_need_not_read_its_message(home: Path) -> None:
    (home / "large").write_text("From a Mon Nov 23 09:00:00 2026\nSubject: x\n\n" + "x\n" * 500_000)
    done = run(home, "split", "large", "old.mbox", "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("old.mbox",), 64, "say either --into DIRECTORY or -- COMMAND"),
        (("old.mbox", "--"), 64, "say either --into DIRECTORY or -- COMMAND"),
        (("old.mbox", "--into", "out", "--", "cat"), 64, "say either --into DIRECTORY or -- COMMAND"),
        (("old.mbox", "--into", "out", "--continue"), 64, "--continue is for a command"),
        (("old.mbox", "--", "no-such-program"), 66, "no-such-program: No such file or directory"),
        (("gone.mbox", "--", "cat"), 66, "gone.mbox: No such file or directory"),
        (("old.mbox", "--into", "old.mbox"), 66, "old.mbox: File exists"),
    ],
)
def test_what_cannot_be_done_is_said(home: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = run(home, "split", *words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"{said}\n")
    assert not (home / "out").exists()


def test_an_empty_mailbox_starts_nothing(home: Path) -> None:
    done = run(home, "split", "--", "sh", "-c", "echo started; exit 1", stdin="")
    assert (done.returncode, done.stdout) == (0, "")


def test_old_mail_is_sorted_by_the_rules_as_formail_and_procmail_did(home: Path) -> None:
    rules(home, 'if envelope.from is "b@x.example" { file "B" }\nif subject is "three" { defer "later" }\n')
    done = run(home, "split", "old.mbox", "--", *PYDELIVER, "deliver")
    assert (done.returncode, done.stderr.splitlines()[:2]) == (
        1,
        ["4.7.1 later", f"old.mbox:3: {sys.executable} left with 75"],
    )
    inbox, b = [list((home / "Maildir" / folder / "new").iterdir()) for folder in (".", ".B")]
    assert [path.read_text() for path in inbox] == [FIRST]
    assert [path.read_text() for path in b] == [SECOND]


def test_what_filter_writes_for_each_message_stands_in_a_row(home: Path) -> None:
    rules(home, 'prefix subject "[old] "\n')
    done = run(home, "split", "old.mbox", "--", *PYDELIVER, "filter")
    assert done.stdout == (FIRST + SECOND + THIRD).replace("Subject:", "Subject: [old]")


def _seen(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:  # EIO: the other side was closed
            return


def test_a_terminal_shows_how_far_it_is(home: Path) -> None:
    (home / "many").write_text("From a Mon Nov 23 09:00:00 2026\nSubject: x\n\nx\n\n" * 401)
    terminal, other = pty.openpty()
    with subprocess.Popen(
        [*PYDELIVER, "split", "many", "--into", "out"],
        stdout=other,
        stderr=other,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=home,
    ):
        os.close(other)
        shown = b"".join(_seen(terminal))
    os.close(terminal)
    assert shown == b"\r200 messages\r400 messages\r401 messages\r\n401 messages in out\r\n"


def test_whoever_interrupts_it_is_told_how_to_go_on(home: Path) -> None:
    script = 'if test "$FILENO" = 001; then echo waiting; read -r never < fifo; fi'
    os.mkfifo(home / "fifo")
    with subprocess.Popen(
        [*PYDELIVER, "split", "old.mbox", "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=home,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert b"interrupted; go on behind it with --skip 2, or begin with it again with --skip 1" in said


def test_a_mailbox_that_becomes_shorter_meanwhile_gives_no_half_message(home: Path) -> None:
    (home / "large").write_text("From a Mon Nov 23 09:00:00 2026\nSubject: x\n\n" + "x\n" * 500_000)
    done = run(home, "split", "large", "--", "sh", "-c", ": > large; cat > /dev/null; echo taken for whole")
    assert (done.returncode, done.stdout) == (66, "")
    assert done.stderr == "large:1: the mailbox became shorter\n"
