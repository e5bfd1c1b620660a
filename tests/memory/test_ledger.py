"""What is remembered of earlier messages: counted, bounded, given up when damaged, and never half written."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pydeliver.memory import ledger as ledgers
from pydeliver.memory.ledger import DAMAGED, NAME, Ledger
from pydeliver.status import Status

NOW = 1_800_000_000.0
HOUR, DAY = 3600, 86_400


def remember(place: Path, *events: tuple[str, str, int, bool], now: float = NOW) -> None:
    one = Ledger(str(place), now)
    assert one.begin(events) is True
    assert one.commit() is None
    one.close()


def count(place: Path, kind: str, key: str, seconds: int = DAY, now: float = NOW) -> int | Status:
    one = Ledger(str(place), now)
    try:
        return one.count(kind, key, seconds)
    finally:
        one.close()


def test_nothing_came_before_anything_was_remembered(tmp_path: Path) -> None:
    assert count(tmp_path, "duplicate", "a") == 0


def test_what_is_remembered_is_found_by_its_kind_and_key_within_its_time(tmp_path: Path) -> None:
    remember(tmp_path, ("duplicate", "a", DAY, False))
    later = NOW + HOUR
    assert count(tmp_path, "duplicate", "a", now=later) == 1
    assert count(tmp_path, "duplicate", "a", seconds=HOUR - 1, now=later) == 0
    assert count(tmp_path, "duplicate", "A", now=later) == 0
    assert count(tmp_path, "more", "a", now=later) == 0
    assert count(tmp_path, "duplicate", "a", seconds=9 * DAY, now=NOW + DAY) == 0


def test_every_one_counts_where_that_is_asked_for(tmp_path: Path) -> None:
    for second in range(5):
        remember(tmp_path, ("more", "a", HOUR, True), ("seen-sender", "a", HOUR, False), now=NOW + second)
    assert count(tmp_path, "more", "a", seconds=HOUR, now=NOW + 5) == 5
    assert count(tmp_path, "more", "a", seconds=HOUR, now=NOW + HOUR + 1.5) == 3
    assert count(tmp_path, "seen-sender", "a", now=NOW + 5) == 1


def test_the_longest_time_that_was_asked_for_holds(tmp_path: Path) -> None:
    remember(tmp_path, ("duplicate", "a", 30 * DAY, False))
    remember(tmp_path, ("duplicate", "a", DAY, False), now=NOW + DAY)
    assert count(tmp_path, "duplicate", "a", seconds=30 * DAY, now=NOW + 20 * DAY) == 1


def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    one = Ledger(str(tmp_path), NOW)
    assert one.begin([("duplicate", "a", DAY, False)]) is True
    one.close()
    assert count(tmp_path, "duplicate", "a") == 0


@pytest.mark.parametrize("commits", [False, True])
def test_a_process_that_is_killed_leaves_all_or_nothing(tmp_path: Path, commits: bool) -> None:
    if (child := os.fork()) == 0:
        one = Ledger(str(tmp_path), NOW)
        one.begin([("more", "a", DAY, True), ("more", "b", DAY, True)])
        if commits:
            one.commit()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [count(tmp_path, "more", key) for key in "ab"] == [commits, commits]


COMMITS = """
import sys
from pydeliver.memory.ledger import Ledger
one = Ledger(sys.argv[1], float(sys.argv[2]))
assert one.begin([("more", sys.argv[3], 3600, True)]) is True
print(one.commit(), flush=True)
if sys.argv[4:]:
    sys.stdin.read()
one.close()
"""


@pytest.mark.parametrize("often", ["", ":when=1"], ids=["for good", "once"])
def test_a_commit_that_failed_is_not_found_by_who_opens_the_file_next(tmp_path: Path, often: str) -> None:
    """What was written and could not be flushed is there after a crash, with all that makes it a commit."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    words = [sys.executable, "-c", COMMITS, str(tmp_path), str(NOW)]
    holder = subprocess.Popen([*words, "a", "and wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"None\n"  # its frame is in the log, so that the next is not the first
    inject = ["-f", "-o", os.devnull, "-e", f"inject=fdatasync:error=EIO{often}"]
    failed = subprocess.run([strace, *inject, *words, "b"], capture_output=True, check=False)
    holder.kill()
    holder.communicate()
    assert b"disk I/O error" in failed.stdout, failed
    assert (count(tmp_path, "more", "a"), count(tmp_path, "more", "b")) == (1, 0)


def test_an_answer_that_is_no_longer_true_is_told(tmp_path: Path) -> None:
    one = Ledger(str(tmp_path), NOW)
    assert one.count("duplicate", "a", DAY) == 0
    remember(tmp_path, ("duplicate", "a", DAY, False))
    assert one.begin([("duplicate", "a", DAY, False)]) is False
    assert one.count("duplicate", "a", DAY) == 1
    assert one.begin([("duplicate", "a", DAY, False)]) is True
    assert one.commit() is None
    one.close()


def test_another_key_changes_no_answer(tmp_path: Path) -> None:
    one = Ledger(str(tmp_path), NOW)
    assert one.count("duplicate", "a", DAY) == 0
    remember(tmp_path, ("duplicate", "b", DAY, False))
    assert one.begin([]) is True
    one.close()


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "EVENTS", 10)
    for number in range(25):
        remember(tmp_path, ("duplicate", str(number), DAY, False))
    assert [count(tmp_path, "duplicate", str(number)) for number in (0, 14, 15, 24)] == [0, 0, 1, 1]


def test_what_ran_out_takes_no_room(tmp_path: Path) -> None:
    for number in range(5):
        remember(tmp_path, ("more", "a", HOUR, True), now=NOW + number * DAY)
    with sqlite3.connect(tmp_path / NAME) as file:
        assert file.execute("SELECT count(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize("damage", ["no database", "a page", "cut"])
def test_a_damaged_file_is_put_aside_and_begun_anew(tmp_path: Path, damage: str) -> None:
    remember(tmp_path, *[("more", f"{number}", DAY, True) for number in range(6000)])
    path = tmp_path / NAME
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(
        {"no database": b"x" * len(data), "a page": data[:4096] + b"\xff" * half, "cut": data[:half]}[damage]
    )
    one = Ledger(str(tmp_path), NOW)
    found = one.begin([("duplicate", "a", DAY, False)])
    assert found is True
    assert one.commit() is None
    one.close()
    assert one.notes == [f"the memory was damaged, and is begun anew; the old one is {DAMAGED}"]
    assert (tmp_path / DAMAGED).exists()
    assert count(tmp_path, "duplicate", "a") == 1


def test_what_cannot_be_written_is_to_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    one = Ledger(str(tmp_path), NOW)
    found = one.begin([("duplicate", "a", DAY, False)])
    assert isinstance(found, Status)
    assert found.exit_code == 75


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "state" / NAME).symlink_to(tmp_path / "elsewhere")
    assert isinstance(count(tmp_path / "state", "duplicate", "a"), Status)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_who_holds_the_pen_too_long_makes_others_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "PATIENCE", 0.05)
    first, second = Ledger(str(tmp_path), NOW), Ledger(str(tmp_path), NOW)
    assert first.begin([]) is True
    found = second.begin([])
    assert isinstance(found, Status)
    assert found.line == "4.3.0 the memory can't be used: database is locked"
    first.close()
    assert second.begin([]) is True
    second.close()


def test_who_only_looks_changes_nothing(tmp_path: Path) -> None:
    looking = Ledger(str(tmp_path), NOW, only_look=True)
    assert looking.count("duplicate", "a", DAY) == 0
    assert list(tmp_path.iterdir()) == []
    remember(tmp_path, ("duplicate", "a", DAY, False))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert looking.count("duplicate", "a", DAY) == 1
    looking.close()
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        one = Ledger(str(tmp_path / "state"), NOW)
        one.begin([("duplicate", "a", DAY, False)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
        one.close()
    finally:
        os.umask(before)
    assert modes == {NAME: 0o600, f"{NAME}-wal": 0o600, f"{NAME}-shm": 0o600}


def test_processes_that_begin_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """None is refused, also where all find no file yet."""
    children = []
    for _ in range(8):
        if (child := os.fork()) == 0:
            code = 1
            try:
                for _ in range(5):
                    remember(tmp_path, ("more", "a", DAY, True))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert count(tmp_path, "more", "a") == 40
