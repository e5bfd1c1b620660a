"""mbox on a real file system: whole messages, once, or the file as it was."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pydeliver.mailbox import mbox, notes
from pydeliver.mailbox.mbox import Prepared
from pydeliver.mailbox.names import MBOX, Location, Store
from pydeliver.status import Status
from pydeliver.system.alarm import Interrupted
from tests.mboxes import (
    FROM,
    MESSAGE,
    NOW,
    OLD,
    deliver,
    descriptors,
    files,
    location,
    messages,
    notes_of,
    prepare,
    prepared,
    standard_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")
NOBODY = 65534


@pytest.mark.parametrize("sync", ["full", "file", "none"])
def test_a_committed_message_is_there_between_a_from_line_and_an_empty_line(box: Path, sync: str) -> None:
    made = deliver(box, sync=sync)
    assert box.read_bytes() == FROM + MESSAGE + b"\n"
    assert box.stat().st_mode & 0o777 == 0o600
    assert (made.path, made.size) == (f"{box}@0", len(MESSAGE))
    assert deliver(box, sync=sync).path == f"{box}@{len(FROM + MESSAGE) + 1}"
    assert messages(box) == [MESSAGE, MESSAGE]
    assert files(box) == []


@pytest.mark.parametrize(
    ("before", "gap"),
    [
        (b"", b""),
        (OLD, b""),
        (OLD[:-1], b"\n"),
        (OLD[:-2], b"\n\n"),
        (OLD.replace(b"\n", b"\r\n"), b""),
    ],
)
def test_messages_never_join_whatever_ends_the_file(box: Path, before: bytes, gap: bytes) -> None:
    box.write_bytes(before)
    made = deliver(box, b"Subject: x\n\nno end of line")
    assert box.read_bytes() == before + gap + FROM + b"Subject: x\n\nno end of line\n\n"
    assert made.path == f"{box}@{len(before + gap)}"
    deliver(box)
    assert standard_count(box) == len(messages(box)) == 2 + bool(before.strip())


def test_a_prepared_message_is_locked_up_until_it_is_closed(box: Path, hasty: None) -> None:
    box.write_bytes(OLD)
    before = descriptors()
    made = prepared(box)
    assert Path(f"{box}.lock").read_text() == f"{os.getpid()}:{os.uname().nodename}\n"
    assert prepare(box) == Status("4.2.0", "mailbox box is locked")
    assert made.commit().ok
    assert prepare(box) == Status("4.2.0", "mailbox box is locked")
    made.close()
    made.close()
    deliver(box)
    assert descriptors() == before


def test_a_reader_sees_new_mail_by_the_times(box: Path) -> None:
    box.write_bytes(OLD)
    os.utime(box, ns=(10**18, 10**18))
    deliver(box)
    assert box.stat().st_atime_ns == 10**18
    assert box.stat().st_mtime_ns > 10**18


def test_labels_come_to_the_form_as_keywords(box: Path) -> None:
    seen: list[tuple[str, ...]] = []

    def form(keywords: tuple[str, ...]) -> Iterator[bytes]:
        seen.append(keywords)
        yield MESSAGE

    made = mbox.prepare(location(box), form, now=NOW, sender="", notes=str(notes_of(box)), labels=("to do", "x"))
    assert isinstance(made, Prepared)
    made.close()
    assert seen == [("to_do", "x")]


# -- the way back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
def test_a_message_taken_back_leaves_bytes_and_times_as_they_were(box: Path, committed: bool) -> None:
    box.write_bytes(OLD)
    os.utime(box, ns=(10**18, 10**18))
    open_before = descriptors()
    made = prepared(box)
    if committed:
        assert made.commit().ok
    made.rollback()
    made.rollback()
    now = box.stat()
    assert (now.st_atime_ns, now.st_mtime_ns) == (10**18, 10**18)
    assert box.read_bytes() == OLD
    assert files(box) == []
    assert descriptors() == open_before


def test_what_another_program_appended_meanwhile_is_not_cut_off(box: Path) -> None:
    made = prepared(box)
    with box.open("ab") as file:
        file.write(OLD)
    made.rollback()
    assert messages(box) == [MESSAGE, b"Subject: old\n\nbody\n"]


def test_a_closed_message_is_not_taken_back(box: Path) -> None:
    deliver(box).rollback()
    assert messages(box) == [MESSAGE]


def failing(error: BaseException) -> Iterator[bytes]:
    yield MESSAGE
    raise error


def test_an_error_in_the_midst_is_told_and_leaves_no_trace(box: Path) -> None:
    box.write_bytes(OLD)
    status = prepare(box, failing(OSError(errno.EIO, "Input/output error")))
    assert status == Status("4.3.0", "mailbox box: Input/output error")
    assert box.read_bytes() == OLD
    assert files(box) == []


@pytest.mark.parametrize("error", [Interrupted(signal.SIGTERM), MemoryError()])
def test_an_interruption_in_the_midst_leaves_no_trace(box: Path, error: BaseException) -> None:
    box.write_bytes(OLD)
    with pytest.raises(type(error)):
        prepare(box, failing(error))
    assert box.read_bytes() == OLD
    assert files(box) == []


def test_a_limit_on_the_size_of_files_leaves_the_mailbox_as_it_was(box: Path) -> None:
    box.write_bytes(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        status = prepare(box, [b"S: x\n\n", b"x" * 65_536, b"y" * 65_536])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(status, Status)
    assert (status.code, status.exit_code) == ("4.3.1", 75)
    assert box.read_bytes() == OLD
    assert files(box) == []


def test_a_commit_whose_note_cannot_go_is_none(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(box)

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(notes, "remove", refuse)
        assert made.commit().exit_code == 75
    assert box.read_bytes() == b""
    assert not deliver(box).recovered
    assert messages(box) == [MESSAGE]


# -- several in one transaction --------------------------------------------------------------------------------------


def test_a_transaction_can_put_two_messages_into_one_mailbox(box: Path, tmp_path: Path) -> None:
    (tmp_path / "Other").symlink_to(box.parent)
    first = prepared(box)
    second = prepared(box, b"Subject: second\n\n", beside=[first], location=location(tmp_path / "Other" / "box"))
    assert first.commit().ok
    assert second.commit().ok
    first.close()
    assert Path(f"{box}.lock").exists()
    second.close()
    assert messages(box) == [MESSAGE, b"Subject: second\n\n"]
    assert files(box) == []


def test_two_messages_of_one_transaction_are_taken_back_in_any_order(box: Path) -> None:
    box.write_bytes(OLD)
    for order in (1, -1):
        first = prepared(box)
        pair = [first, prepared(box, b"Subject: second\n\n", beside=[first])]
        for one in pair[::order]:
            one.rollback()
        assert box.read_bytes() == OLD
        assert files(box) == []


def test_a_second_message_that_fails_leaves_the_first(box: Path) -> None:
    first = prepared(box)
    assert isinstance(prepare(box, failing(OSError(errno.EIO, "broken")), beside=[first]), Status)
    assert first.commit().ok
    first.close()
    assert messages(box) == [MESSAGE]


# -- who may be written to -------------------------------------------------------------------------------------------


def test_a_missing_directory_below_the_root_is_made_and_no_other(box: Path, tmp_path: Path) -> None:
    root = str(tmp_path / "New")
    deep = Location(Store(root, "", "mbox"), "a/b/c", root, ("a", "b", "c"), MBOX)
    deliver(box, location=deep)
    assert messages(tmp_path / "New" / "a" / "b" / "c") == [MESSAGE]
    assert (tmp_path / "New" / "a").stat().st_mode & 0o777 == 0o700
    named = Location(Store(root, "", "mbox"), "x", str(tmp_path / "none" / "x"), (), MBOX)
    assert prepare(box, location=named) == Status("4.3.0", "mailbox x: No such file or directory")
    assert not (tmp_path / "none").exists()


def make_link(box: Path) -> None:
    (box.parent / "target").write_bytes(OLD)
    box.symlink_to("target")


def make_hard_link(box: Path) -> None:
    (box.parent / "target").write_bytes(OLD)
    box.hardlink_to(box.parent / "target")


def make_anothers(box: Path) -> None:
    box.write_bytes(OLD)
    os.chown(box, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_link, "it is a link"),
        (make_hard_link, "it has a second name (a hard link)"),
        (os.mkfifo, "it is not a regular file"),
        (Path.mkdir, "it is not a regular file"),
        pytest.param(make_anothers, "it belongs to another user", marks=ROOT_ONLY),
        pytest.param(lambda box: os.mknod(box, 0o20600, os.makedev(1, 3)), "it is not a regular file", marks=ROOT_ONLY),
    ],
)
def test_what_is_no_file_of_the_users_alone_is_never_touched(
    box: Path, make: Callable[[Path], None], why: str, hasty: None
) -> None:
    make(box)
    before = os.lstat(box)
    status = prepare(box)
    assert isinstance(status, Status)
    assert (status.exit_code, status.text) == (75, f"mailbox box: {why}")
    assert os.lstat(box) == before
    assert [path for path in files(box) if not path.endswith("target")] == []
    if (box.parent / "target").exists():
        assert (box.parent / "target").read_bytes() == OLD


def exchange(one: Path, other: Path, times: int) -> None:
    """Let two names change places, each time in one step: renameat2(2) with RENAME_EXCHANGE."""
    swap = ctypes.CDLL(None, use_errno=True).renameat2
    at_cwd, flag = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    for _ in range(times):
        if swap(at_cwd, names[0], at_cwd, names[1], flag):
            raise OSError(ctypes.get_errno(), "renameat2")


def test_a_mailbox_exchanged_100_000_times_for_a_link_is_never_followed(box: Path, hasty: None) -> None:
    target, link = box.parent / "target", box.parent / "link"
    target.write_bytes(b"secret")
    link.symlink_to("target")
    box.write_bytes(b"")
    swapper = os.fork()
    if not swapper:
        exchange(box, link, 100_000)  # an even number: all is in its place again
        os._exit(0)
    delivered = 0
    while os.waitpid(swapper, os.WNOHANG) == (0, 0):
        one = prepare(box, sync="none")
        if isinstance(one, Prepared):
            delivered += one.commit().ok
            one.close()
    assert target.read_bytes() == b"secret"
    assert not box.is_symlink()
    assert len(messages(box)) == delivered > 0


@ROOT_ONLY
def test_a_spool_directory_may_be_everyones_if_it_is_roots_and_sticky(box: Path) -> None:
    place = Location(Store(str(box.parent), f"mbox:{box}"), "INBOX", str(box), (), MBOX)
    for mode, owner, fine in ((0o1777, 0, True), (0o777, 0, False), (0o1777, NOBODY, False)):
        box.parent.chmod(mode)
        os.chown(box.parent, owner, -1)
        made = mbox.prepare(place, lambda _: [MESSAGE], now=NOW, sender=None, notes=str(box.parent.parent / "notes"))
        assert isinstance(made, Prepared if fine else Status)
        if isinstance(made, Prepared):
            made.rollback()
