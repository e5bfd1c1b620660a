"""An mbox whose writer was killed: torn tails go, all else stays."""

from __future__ import annotations

import errno
import os
import posix
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pydeliver.mailbox import mbox
from pydeliver.mailbox.journal import Journal
from pydeliver.mailbox.mbox import Prepared
from pydeliver.status import Status
from tests.mboxes import FROM, MESSAGE, OLD, crash, deliver, die, files, messages, notes_of, prepare

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("before", [b"", OLD, OLD[:-2]])
def test_a_torn_tail_goes_with_the_next_delivery(box: Path, before: bytes) -> None:
    box.write_bytes(before)
    crash(box, die())
    torn = box.read_bytes()
    assert torn.endswith(b"half a")
    made = deliver(box)
    assert f"removed {len(torn) - len(before)} bytes of an interrupted delivery from the end of {box}" in made.recovered
    assert f"removed the stale lock {box}.lock of " in made.recovered
    assert messages(box) == [*([b"Subject: old\n\nbody\n"] if before else []), MESSAGE]
    assert files(box) == []
    assert deliver(box).recovered == ""


def test_a_whole_message_that_was_not_committed_goes_too(box: Path) -> None:
    crash(box)
    assert messages(box) == [MESSAGE]
    deliver(box, b"Subject: next\n\n")
    assert messages(box) == [b"Subject: next\n\n"]


def test_all_messages_of_a_transaction_that_was_not_committed_go(box: Path) -> None:
    box.write_bytes(OLD)
    crash(box, transaction=True)
    assert len(messages(box)) == 3
    deliver(box)
    assert box.read_bytes() == OLD + FROM + MESSAGE + b"\n"
    assert files(box) == []


@pytest.mark.parametrize("gap", [b"", b"\n", b"\n\n"])
def test_what_another_program_wrote_behind_a_torn_tail_stays(box: Path, gap: bytes) -> None:
    box.write_bytes(OLD)
    crash(box, die())
    with box.open("ab") as file:
        file.write(gap + OLD)
    there = box.read_bytes()
    made = deliver(box)
    assert f"left {len(there) - len(OLD)} bytes at the end of {box}" in made.recovered
    assert box.read_bytes() == there + FROM + MESSAGE + b"\n"
    assert files(box) == []


def test_zeros_that_a_power_cut_left_count_as_torn(box: Path) -> None:
    box.write_bytes(OLD)
    crash(box, die())
    tail = box.stat().st_size - len(OLD)
    box.write_bytes(OLD + bytes(tail))
    deliver(box)
    assert box.read_bytes() == OLD + FROM + MESSAGE + b"\n"


@pytest.mark.parametrize("there", [OLD, b"", OLD + b"something else\n", OLD + OLD])
def test_a_note_that_does_not_fit_the_mailbox_costs_nothing(box: Path, there: bytes) -> None:
    box.write_bytes(OLD)
    crash(box, die())
    box.write_bytes(there)
    deliver(box)
    assert box.read_bytes().startswith(there)
    assert messages(box)[-1] == MESSAGE
    assert files(box) == []


def test_a_note_of_a_file_that_was_replaced_since_costs_nothing(box: Path) -> None:
    crash(box)
    copy = box.parent / "copy"
    copy.write_bytes(box.read_bytes())
    copy.rename(box)
    deliver(box)
    assert messages(box) == [MESSAGE, MESSAGE]
    assert files(box) == []


def test_a_note_that_was_not_finished_costs_nothing(box: Path) -> None:
    crash(box)
    (note,) = notes_of(box).iterdir()
    note.write_bytes(note.read_bytes()[:-1])
    deliver(box)
    assert len(messages(box)) == 2
    assert files(box) == []


def test_what_a_journal_says_was_decided_on_stays(box: Path) -> None:
    record = crash(box)
    journal = Journal(str(notes_of(box).parent / "journal"), "key")
    journal.write([("maildir", "/x", "y"), record])
    made = deliver(box, b"Subject: next\n\n")
    assert f"kept the message at {box}@0, whose delivery was decided on and interrupted" in made.recovered
    assert messages(box) == [MESSAGE, b"Subject: next\n\n"]
    assert mbox.was_done(record) is True


def test_a_delivery_that_was_done_is_beyond_recall(box: Path) -> None:
    record = crash(box)
    assert mbox.was_done(record) is True
    deliver(box)
    assert messages(box) == [MESSAGE, MESSAGE]


def test_a_delivery_that_was_cut_off_or_torn_was_not_done(box: Path) -> None:
    box.write_bytes(OLD)
    record = crash(box)
    whole = box.read_bytes()
    for length in (len(OLD), len(OLD) + 3, len(whole) - 1):
        os.truncate(box, length)
        assert mbox.was_done(record) is False


def test_a_delivery_was_done_if_a_reader_has_changed_the_mailbox_since(box: Path) -> None:
    box.write_bytes(OLD)
    record = crash(box)
    os.truncate(box, 0)
    assert mbox.was_done(record) is True
    box.unlink()
    assert mbox.was_done(record) is True


# -- killed, or refused, anywhere ---------------------------------------------------------------------------------


CALLS = "close fstat fsync ftruncate link listdir mkdir open pread stat unlink utime write".split()


def at_call(number: int, act: Callable[[str, Callable[[], Any], tuple[Any, ...]], Any]) -> None:
    """Let `act` take the place of this process's call of that number into the operating system."""
    left = number

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            return call(*args, **named) if left else act(call.__name__, lambda: call(*args, **named), args)

        return wrapped

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def killed_before(name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_after(name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> None:
    try:
        call()
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def killed_midway(name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> None:
    if name == "write":
        posix.write(args[0], bytes(args[1])[: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def outcome(box: Path, number: int, act: Callable[..., Any]) -> int:
    """How a delivery in a process of its own ended: 0, 75, or minus its signal; 1 if it had no call of that number."""
    shutil.rmtree(notes_of(box).parent, ignore_errors=True)
    box.write_bytes(OLD[:-1])
    child = os.fork()
    if not child:
        code = 99
        try:
            reached = False

            def reach(*given: Any) -> Any:
                nonlocal reached
                reached = True
                return act(*given)

            at_call(number, reach)
            made = prepare(box, [b"Subject: killed\n\n", b"x\n" * 5000])
            status = made if isinstance(made, Status) else made.commit()
            if isinstance(made, Prepared):
                made.close()
            code = status.exit_code if reached else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


KILLED = b"Subject: killed\n\n" + b"x\n" * 5000


@pytest.mark.parametrize("act", [killed_before, killed_midway, killed_after])
def test_a_kill_at_any_call_leaves_the_old_mail_and_the_next_delivery_is_whole(
    box: Path, act: Callable[..., Any]
) -> None:
    number = 1
    while (code := outcome(box, number, act)) != 1:
        assert code == -signal.SIGKILL
        assert box.read_bytes().startswith(OLD[:-1])
        deliver(box)
        found = messages(box)
        assert found[0] == b"Subject: old\n\nbody\n"
        assert found[-1] == MESSAGE
        assert found[1:-1] in ([], [KILLED])
        assert [path for path in files(box) if "/.lock." not in path] == []
        number += 1
    assert number > 40


@pytest.mark.parametrize("number_of_error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.ESTALE])
def test_an_error_at_any_call_is_told_or_does_not_matter(box: Path, number_of_error: int) -> None:
    def refuse(name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> None:
        if name == "close":
            call()
        raise OSError(number_of_error, os.strerror(number_of_error))

    number = 1
    while (code := outcome(box, number, refuse)) != 1:
        assert code in (0, 75)
        if code:
            assert box.read_bytes() == OLD[:-1]
        else:
            assert messages(box)[1:] == [KILLED]
        deliver(box)
        assert messages(box)[1:] == ([MESSAGE] if code else [KILLED, MESSAGE])
        assert [path for path in files(box) if "/.lock." not in path] == []
        number += 1
    assert number > 40
