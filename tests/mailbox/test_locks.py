"""Locks of an mbox against real other processes: heeded, taken from the dead, given back."""

from __future__ import annotations

import errno
import mailbox
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pydeliver.mailbox import locks, mbox
from pydeliver.mailbox.mbox import Prepared
from pydeliver.mailbox.names import MBOX, Location, Store
from pydeliver.status import Status
from tests.mboxes import MESSAGE, NOW, OLD, deliver, files, messages, prepare, prepared, standard_count

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")
NOBODY = 65534


HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_the_fcntl_lock_of_another_process_is_heeded_and_the_dotlock_given_back(box: Path, hasty: None) -> None:
    box.write_bytes(OLD)
    holder = [sys.executable, "-c", HOLDER, str(box)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        for kind in ("both", "fcntl"):
            assert prepare(box, locks=kind) == Status("4.2.0", "mailbox box is locked")
            assert files(box) == []
        other.communicate()
    deliver(box)


def test_another_process_finds_both_locks_taken(box: Path) -> None:
    made = prepared(box)
    script = f"import fcntl; fcntl.lockf(open({str(box)!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    assert b"BlockingIOError" in subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).stderr
    made.close()
    made = prepared(box, locks="both")
    python = mailbox.mbox(box)
    with pytest.raises(mailbox.ExternalClashError):
        python.lock()
    made.close()
    python.close()


def test_only_where_the_site_says_so_there_is_no_dotlock(box: Path) -> None:
    Path(f"{box}.lock").write_text("")
    made = deliver(box, locks="fcntl")
    assert made.recovered == ""
    assert files(box) == [f"{box}.lock"]


@pytest.mark.parametrize(
    ("taking", "releasing"),
    [
        (["dotlockfile", "-l", "-r", "0", "LOCK"], ["dotlockfile", "-u", "LOCK"]),
        (["lockfile", "-r", "0", "LOCK"], ["rm", "-f", "LOCK"]),
    ],
)
def test_the_lock_files_of_other_programs_and_ours_are_heeded(
    box: Path, hasty: None, taking: list[str], releasing: list[str]
) -> None:
    if shutil.which(taking[0]) is None:
        pytest.skip(f"{taking[0]} is not installed")

    def call(argv: list[str]) -> int:
        lock = [word.replace("LOCK", f"{box}.lock") for word in argv]
        return subprocess.run(lock, capture_output=True, check=False).returncode

    assert call(taking) == 0
    assert prepare(box) == Status("4.2.0", "mailbox box is locked")
    assert call(releasing) == 0
    made = prepared(box)
    assert call(taking) != 0
    made.close()
    assert call(taking) == 0


def dead_process() -> int:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.mark.parametrize(
    ("owner", "age", "breaks"),
    [
        ("DEAD:HERE", 0, True),
        ("ALIVE:HERE", 0, False),
        ("DEAD:elsewhere.example", 0, False),
        ("DEAD", 0, False),
        ("", 0, False),
        ("", 290, False),
        ("", 310, True),
        ("ALIVE:HERE", 310, True),
        ("9" * 400 + ":HERE", 0, False),
        ("-1:HERE", 0, False),
    ],
)
def test_a_lock_is_broken_if_its_owner_is_dead_here_or_it_is_old(
    box: Path, hasty: None, owner: str, age: int, breaks: bool
) -> None:
    words = {"DEAD": str(dead_process()), "ALIVE": str(os.getppid()), "HERE": os.uname().nodename}
    for word, value in words.items():
        owner = owner.replace(word, value)
    lock = Path(f"{box}.lock")
    lock.write_text(owner)
    then = time.time() - age
    os.utime(lock, (then, then))
    if not breaks:
        assert prepare(box) == Status("4.2.0", "mailbox box is locked")
        assert lock.read_text() == owner
        return
    assert deliver(box).recovered == f"removed the stale lock {lock} of {owner or 'nobody'}"
    assert files(box) == []


def test_a_lock_that_is_somebody_elses_by_now_is_left_to_him(box: Path) -> None:
    made = prepared(box)
    lock = Path(f"{box}.lock")
    lock.unlink()
    lock.write_text("another's")
    made.rollback()
    assert lock.read_text() == "another's"


def test_a_lock_whose_making_was_answered_with_an_error_is_ours_all_the_same(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def lost(*args: Any, **more: Any) -> None:
        real(*args, **more)
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(os, "link", lost)
    deliver(box)
    assert files(box) == []


def test_where_no_lock_can_be_linked_nothing_is_written(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert prepare(box) == Status("4.3.0", "mailbox box: its lock can't be linked: Operation not permitted")
    assert not box.exists()
    assert files(box) == []


def test_what_a_maker_of_locks_left_goes_with_his_lock(box: Path) -> None:
    own, lock = box.parent / ".lock.1.abc", Path(f"{box}.lock")
    own.write_text(f"{dead_process()}:{os.uname().nodename}\n")
    lock.hardlink_to(own)
    deliver(box)
    assert files(box) == []


def test_what_a_maker_left_before_he_had_a_lock_goes_with_one_lock_in_256(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = box.parent / ".lock.1.abc", box.parent / ".lock.2.abc"
    for own in (old, young):
        own.write_text(f"{dead_process()}:{os.uname().nodename}\n")
    os.utime(old, (0, 0))
    monkeypatch.setattr(os, "urandom", lambda size: b"\1" * size)
    deliver(box)
    assert len(files(box)) == 2
    monkeypatch.setattr(os, "urandom", bytes)
    deliver(box)
    assert files(box) == [str(young)]


@ROOT_ONLY
@pytest.mark.skipif(not os.path.exists(locks.HELPER), reason="dotlockfile is not installed")
def test_in_the_mail_spool_the_helper_makes_the_lock() -> None:
    spool, user = Path("/var/mail"), "daemon"
    box = spool / user
    if not spool.is_dir() or box.exists():
        pytest.skip("no mail spool to be used")
    box.write_bytes(OLD)
    shutil.chown(box, user, "mail")
    try:
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setgroups([])
                os.setresgid(1, 1, 1)
                os.setresuid(1, 1, 1)
                lock = Path(f"{box}.lock")
                here = Location(Store("/nonexistent", ""), "INBOX", str(box), (), MBOX)
                given = {"now": NOW, "sender": "jo@example.org", "notes": f"/tmp/{os.urandom(8).hex()}/mbox"}
                made = mbox.prepare(here, lambda _: [MESSAGE], **given)
                assert isinstance(made, Prepared)
                assert lock.read_text().strip() == str(os.getpid())
                assert made.commit().ok
                made.close()
                assert not lock.exists()
                shutil.rmtree(os.path.dirname(given["notes"]))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert messages(box) == [b"Subject: old\n\nbody\n", MESSAGE]
    finally:
        box.unlink()
        Path(f"{box}.lock").unlink(missing_ok=True)


@ROOT_ONLY
def test_where_no_lock_can_be_made_nothing_is_written(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HELPER", "/nonexistent/dotlockfile")
    box = public_folder / "mail" / "box"
    box.parent.mkdir(mode=0o755)
    box.write_bytes(OLD)
    os.chown(box, NOBODY, NOBODY)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            status = prepare(box)
            assert isinstance(status, Status)
            assert status.text.endswith("no lock may be made beside it, and /nonexistent/dotlockfile is not there")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert box.read_bytes() == OLD


def test_many_writers_lose_nothing_and_write_nothing_twice(box: Path) -> None:
    children = []
    for writer in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                for number in range(50):
                    deliver(
                        box, b"S: %d.%d\n\nx\nFrom x\n" % (writer, number), locks=("both", "both", "fcntl")[number % 3]
                    )
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert sorted(messages(box)) == sorted(b"S: %d.%d\n\nx\nFrom x\n" % (w, n) for w in range(4) for n in range(50))
    assert standard_count(box) == 200
    assert files(box) == []
