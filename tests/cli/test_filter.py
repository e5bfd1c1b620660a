"""`pydeliver filter` as a program in a pipe has it: what comes out, with which code; the home stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import ROOT, rules, run

RULES = """\
set header "X-Seen-By" = "rules"
if subject is "work" { mark flagged; label "todo"; file "Work", "Copy" }
rule "junk" if subject is "junk" { copy file "Kept"; discard }
if subject is "no" { copy file "Kept"; reject "go\\naway" }
if subject is "later" { defer "on Monday" }
if envelope.from is "jo@x.example" and envelope.to.detail is "shop" { file "Shop" }
"""
COMMAND = [sys.executable, "-c", "from pydeliver.cli import main; main()", "filter"]
LARGE = 100 << 20
# A small process of its own: the peak of a process counts the memory of the one that it was forked from.
MEASURE = """\
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=sys.stderr)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def tree(home: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in home.rglob("*")}


def test_the_message_comes_out_as_the_deciding_delivery_would_store_it(home: Path) -> None:
    rules(home, RULES)
    run(home, "check")  # the parser's tables are kept from here on
    before = tree(home)
    done = run(home, "filter", stdin="Subject: work\nStatus: O\n\nbody\n>From here\n")
    head = "X-Status: F\nX-Keywords: todo\nX-Seen-By: rules\nSubject: work\nX-Original-Status: O\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{head}\nbody\n>From here\n", "")
    plain = run(home, "filter", stdin="From jo@x.example Mon Nov 23 09:00:00 2026\nSubject: x\nStatus: O\n\nbody")
    assert (plain.returncode, plain.stdout) == (0, "X-Seen-By: rules\nSubject: x\nStatus: O\n\nbody")
    assert tree(home) == before


@pytest.mark.parametrize(
    ("subject", "code", "said"),
    [
        ("junk", 0, 'discarded (rule "junk", main.rules:3)\n'),
        ("no", 77, "go\N{REPLACEMENT CHARACTER}away\n"),
        ("later", 75, "on Monday\n"),
    ],
)
def test_what_is_not_stored_leaves_stdout_empty(home: Path, subject: str, code: int, said: str) -> None:
    rules(home, RULES)
    done = run(home, "filter", stdin=f"Subject: {subject}\n\nbody\n")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_the_options_say_what_a_mail_server_would(home: Path) -> None:
    path = rules(home, RULES)
    own = path.rename(path.with_name("own.rules"))
    words = ("-m", str(own), "-f", "jo@x.example", "-r", "me@x.example", "-a", "shop")
    done = run(home, "filter", "-v", *words, stdin="Subject: x\n\n")
    assert (done.returncode, done.stdout) == (0, "X-Seen-By: rules\nSubject: x\n\n")
    assert 'do  own.rules:6  file "Shop"' in done.stderr
    given = home / "given.rules"
    given.write_text('if arg.list is "garden" { reject "arg" }\nreject "no arg"\n')
    assert run(home, "filter", "-m", "given.rules", "--given", "arg.list=garden", stdin="\n").stderr == "arg\n"
    assert run(home, "filter", "-m", "given.rules", "--given", "garden", stdin="\n").returncode == 64


def test_mistakes_in_the_rules_give_no_message(home: Path) -> None:
    rules(home, 'if frm is "x" { keep }\n')
    done = run(home, "filter", stdin="Subject: x\n\n")
    assert (done.returncode, done.stdout) == (65, "")
    assert "did you mean `from`?" in done.stderr


def test_a_message_that_cannot_be_read_or_written_is_no_success(home: Path) -> None:
    assert run(home, "filter", stdin="").returncode == 75
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            COMMAND, input=b"Subject: x\n\n", stdout=full, stderr=subprocess.PIPE, check=False, env=environment(home)
        )
    assert (done.returncode, done.stderr) == (75, b"filter: No space left on device\n")
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND], capture_output=True, check=False, env=environment(home)
    )
    assert (closed.returncode, closed.stdout, closed.stderr) == (75, b"", b"filter: Bad file descriptor\n")


def test_a_large_message_is_not_held_in_memory_and_whoever_stops_reading_does_no_harm(home: Path) -> None:
    rules(home, 'if body contains "needle" { discard }\nset header "X-Late" = "yes"\n')
    run(home, "check")

    def peak(size: int) -> int:
        """KB at most, for a message of that size."""
        message = home / "message"
        with message.open("wb") as file:
            file.write(b"Subject: x\n\n")
            line = b"0123456789abcde\n" * 4096
            for _ in range(size // len(line)):
                file.write(line)
        with message.open("rb") as stdin, (home / "out").open("wb") as out:
            told = subprocess.run(
                [sys.executable, "-S", "-c", MEASURE, *COMMAND],
                stdin=stdin,
                stdout=out,
                stderr=subprocess.PIPE,
                check=True,
                env=environment(home),
            )
        assert (home / "out").stat().st_size == message.stat().st_size + len("X-Late: yes\n")
        code, kilobytes = told.stderr.split()
        assert code == b"0"
        return int(kilobytes)

    assert peak(LARGE) - peak(8 << 20) < 4 << 10
    with (home / "message").open("rb") as stdin:
        told = subprocess.run(
            ["sh", "-c", '{ "$@"; echo "$?" >&2; } | head -c 5', "sh", *COMMAND],
            stdin=stdin,
            capture_output=True,
            check=True,
            env=environment(home),
        )
    assert (told.stdout, told.stderr) == (b"X-Lat", b"0\n")
