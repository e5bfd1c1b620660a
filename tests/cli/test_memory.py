"""What came before, in a rehearsal: unknown, asked for, or said; and nothing is written in any of these."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.test_commands import home as home
from tests.cli.test_commands import rules, run

MESSAGE = "From: ann@example.org\nMessage-ID: <1@x>\nSubject: hello\n\nHi.\n"
RULES = (
    'if duplicate { file "Again" }\nif seen-sender { file "Known" }\nif more than 1 per hour by from { file "Many" }\n'
)


def decided(home: Path, *options: str) -> tuple[str, list[str]]:
    done = run(home, "try", "--json", *options, stdin=MESSAGE)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    return said["decision"], said["unknown"]


def contents(home: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in home.rglob("*") if ".cache" not in path.parts}


def test_what_nobody_asks_for_is_unknown(home: Path) -> None:
    rules(home, RULES)
    before = contents(home)
    assert decided(home) == ('file "INBOX"', ["duplicate", "seen-sender", "more than 1 per hour by from"])
    assert contents(home) == before


def test_memory_is_asked_where_that_is_wanted(home: Path) -> None:
    os.utime(rules(home, RULES), (1_700_000_000, 1_700_000_000))
    assert decided(home, "--ask") == ('file "INBOX"', [])
    assert run(home, "deliver", stdin=MESSAGE).returncode == 0
    before = contents(home)
    assert decided(home, "--ask") == ('file "Again"', [])
    assert contents(home) == before


@pytest.mark.parametrize(
    ("given", "decision"),
    [
        (["duplicate=yes"], "Again"),
        (["duplicate=no", "seen-sender=yes"], "Known"),
        (["duplicate=no", "seen-sender=no", "more=yes"], "Many"),
        (["duplicate=no", "seen-sender=no", "more=no"], "INBOX"),
    ],
)
def test_what_is_said_counts(home: Path, given: list[str], decision: str) -> None:
    rules(home, RULES)
    assert decided(home, *[word for one in given for word in ("--given", one)])[0] == f'file "{decision}"'


def test_yes_or_no_is_all_that_can_be_said(home: Path) -> None:
    rules(home, RULES)
    done = run(home, "try", "--given", "duplicate=maybe", stdin=MESSAGE)
    assert (done.returncode, done.stderr) == (64, "--given duplicate is yes or no: duplicate=yes\n")
