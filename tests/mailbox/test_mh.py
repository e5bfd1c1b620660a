"""MH folders on a real file system: a number for every message, no message for two, other sequences untouched."""

from __future__ import annotations

import errno
import fcntl
import mailbox
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pydeliver.mailbox import mh
from pydeliver.mailbox.mh import Prepared, with_unseen
from pydeliver.mailbox.names import MH, Location, Store
from pydeliver.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MESSAGE = b"From: jo@example.org\nSubject: hello\n\nGood morning.\nFrom here on.\n"
NOW = 1_700_000_000.5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def prepare(folder: Path, chunks: Iterable[bytes] = (MESSAGE,), sync: str = "full", **more: Any) -> Prepared | Status:
    here = Location(Store(str(folder.parent), f"mh:{folder}", sync=sync), "inbox", str(folder), (), MH)
    return mh.prepare(here, lambda _: chunks, host="mx", now=NOW, sender="", notes="", **more)


def prepared(folder: Path, **more: Any) -> Prepared:
    made = prepare(folder, **more)
    assert isinstance(made, Prepared), made
    return made


def deliver(folder: Path, **more: Any) -> Prepared:
    made = prepared(folder, **more)
    status = made.commit()
    made.close()
    assert status.ok, status
    return made


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("sync", ["full", "file", "none"])
def test_messages_are_numbered_from_one_in_a_folder_that_is_made(folder: Path, sync: str) -> None:
    assert deliver(folder, sync=sync).path == f"{folder}/1"
    assert deliver(folder, sync=sync).path == f"{folder}/2"
    assert names(folder) == ["1", "2"]
    assert (folder / "1").read_bytes() == MESSAGE
    assert (folder / "1").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    box = mailbox.MH(folder, create=False)
    assert [box.get_bytes(key) for key in box.iterkeys()] == [MESSAGE, MESSAGE]


def test_the_next_number_follows_the_highest(folder: Path) -> None:
    folder.mkdir()
    for name in ("7", "11", ",12", "13x", "²", "notes"):
        (folder / name).write_bytes(b"")
    assert deliver(folder).path == f"{folder}/12"


def test_a_prepared_message_has_no_number_and_one_taken_back_leaves_nothing(folder: Path) -> None:
    made = prepared(folder)
    assert [name[:5] for name in names(folder)] == [",tmp."]
    made.rollback()
    made.rollback()
    assert names(folder) == []
    made = prepared(folder)
    assert made.commit().ok
    made.rollback()
    assert names(folder) == []


def test_a_number_that_a_reader_has_given_to_another_is_not_taken_back(folder: Path) -> None:
    made = prepared(folder)
    assert made.commit().ok
    (folder / "1").rename(folder / "5")
    (folder / "1").write_bytes(b"another")
    made.rollback()
    assert names(folder) == ["1", "5"]


def failing() -> Iterator[bytes]:
    yield MESSAGE
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_in_the_midst_leaves_nothing(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert prepare(folder, failing()) == Status("4.3.1", "mailbox inbox: No space left on device")
    assert names(folder) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_number_that_another_takes_first_is_his(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(folder)
    real = os.link

    def late(source: str, target: str, **more: Any) -> None:
        if target == "1":
            (folder / "1").write_bytes(b"another")
        real(source, target, **more)

    monkeypatch.setattr(os, "link", late)
    assert made.commit().ok
    made.close()
    assert made.path == f"{folder}/2"
    assert (folder / "1").read_bytes() == b"another"


def test_many_writers_lose_nothing_and_overwrite_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / ".mh_sequences").write_text("unseen:\n")
    children = []
    for writer in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                for number in range(50):
                    deliver(folder, chunks=[b"%d.%d" % (writer, number)], sync="none")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    found = sorted(path.read_bytes() for path in folder.iterdir() if path.name.isdigit())
    assert found == sorted(b"%d.%d" % (writer, number) for writer in range(4) for number in range(50))


# -- sequences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"unseen: 9\n"),
        (b"cur: 3\n", b"cur: 3\nunseen: 9\n"),
        (b"cur: 3", b"cur: 3\nunseen: 9\n"),
        (b"unseen: 1-4 7\ncur: 3\n", b"unseen: 1-4 7 9\ncur: 3\n"),
        (b"Unseen: 1\n 2\n\t3\ncur: 3\n", b"Unseen: 1\n 2\n\t3 9\ncur: 3\n"),
        (b"unseen:", b"unseen: 9\n"),
    ],
)
def test_one_number_more_is_unseen_and_nothing_else_changes(before: bytes, after: bytes) -> None:
    assert with_unseen(before, b"9") == after


def test_a_new_message_is_unseen_where_sequences_are_kept_unless_it_was_marked_seen(folder: Path) -> None:
    deliver(folder)
    assert not (folder / ".mh_sequences").exists()
    (folder / ".mh_sequences").write_bytes(b"cur: 1\n")
    deliver(folder, flags="FS")
    assert (folder / ".mh_sequences").read_bytes() == b"cur: 1\n"
    deliver(folder, flags="F")
    deliver(folder)
    assert (folder / ".mh_sequences").read_bytes() == b"cur: 1\nunseen: 3 4\n"
    assert mailbox.MH(folder, create=False).get_sequences()["unseen"] == [3, 4]


def test_sequences_that_another_holds_or_that_are_a_link_stop_no_mail(folder: Path) -> None:
    folder.mkdir()
    sequences = folder / ".mh_sequences"
    sequences.write_bytes(b"cur: 1\n")
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        held = sequences.open("r+b")
        fcntl.lockf(held, fcntl.LOCK_EX)
        os.write(told, b"x")
        signal.pause()
    os.read(ready, 1)
    try:
        deliver(folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)
    assert sequences.read_bytes() == b"cur: 1\n"
    sequences.rename(folder / "other")
    sequences.symlink_to("other")
    deliver(folder)
    assert (folder / "other").read_bytes() == b"cur: 1\n"


# -- after a crash ----------------------------------------------------------------------------------------------


def test_a_delivery_was_done_from_its_number_on(folder: Path) -> None:
    made = prepared(folder)
    assert mh.was_done(made.record) is False
    assert made.commit().ok
    assert mh.was_done(made.record) is True
    made.rollback()
    assert mh.was_done(made.record) is False


def test_an_inode_that_is_used_again_is_not_taken_for_the_message(folder: Path) -> None:
    made = deliver(folder)
    os.utime(folder / "1", ns=(1, 1))
    assert mh.was_done(made.record) is False


def test_a_folder_that_cannot_be_read_is_not_asked(folder: Path) -> None:
    made = deliver(folder)
    folder.rename(folder.parent / "away")
    assert mh.was_done(made.record) is None


def test_leftovers_of_the_dead_go_after_36_hours(folder: Path) -> None:
    folder.mkdir()
    for name in (",tmp.old", ",old", "old", ",tmp.new"):
        (folder / name).write_bytes(b"")
        if name.endswith("old"):
            os.utime(folder / name, (1, 1))
    assert deliver(folder).recovered == f"removed 1 leftovers from {folder}"
    assert names(folder) == [",old", ",tmp.new", "1", "old"]
