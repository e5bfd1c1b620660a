"""Maildir on a real file system: what is prepared is unseen, what is committed is whole, what fails is gone."""

from __future__ import annotations

import errno
import mailbox
import os
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mailbox import maildir
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, locate
from pydeliver.status import Status
from pydeliver.system.alarm import Interrupted
from pydeliver.system.spool import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MESSAGE = b"From: jo@example.org\nSubject: hello\n\nGood morning.\n"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")
NOBODY = 65534
NOW = 1_700_000_000.123456


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "Maildir"), str(tmp_path / "Maildir"))


def prepare(store: Store, name: str = "INBOX", chunks: Iterable[bytes] = (MESSAGE,), **more: Any) -> Prepared | Status:
    location = locate(store, name)
    assert isinstance(location, Location), location
    return maildir.prepare(location, lambda _: chunks, host="mx.example.org", now=NOW, **more)


def deliver(store: Store, name: str = "INBOX", chunks: Iterable[bytes] = (MESSAGE,), **more: Any) -> Path:
    prepared = prepare(store, name, chunks, **more)
    assert isinstance(prepared, Prepared), prepared
    status = prepared.commit()
    prepared.close()
    assert status.ok, status
    return Path(prepared.path)


def files(top: str | Path) -> list[str]:
    return sorted(os.path.relpath(os.path.join(where, name), top) for where, _, names in os.walk(top) for name in names)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# -- one delivery -----------------------------------------------------------------------------------------------


def test_a_prepared_message_is_in_tmp_only_and_a_committed_one_in_new_only(store: Store) -> None:
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    assert [os.path.dirname(name) for name in files(store.root)] == ["tmp"]
    assert prepared.commit().ok
    assert files(store.root) == [os.path.relpath(prepared.path, store.root)]
    assert os.path.dirname(prepared.path) == store.root + "/new"
    assert Path(prepared.path).read_bytes() == MESSAGE


def test_a_rolled_back_message_leaves_nothing(store: Store) -> None:
    before = descriptors()
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    prepared.rollback()
    prepared.rollback()
    assert files(store.root) == []
    assert descriptors() == before


def test_a_committed_message_can_still_be_taken_back(store: Store) -> None:
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    assert prepared.commit().ok
    prepared.rollback()
    assert files(store.root) == []


def test_a_message_that_a_reader_has_moved_by_now_is_the_readers(store: Store) -> None:
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    assert prepared.commit().ok
    os.rename(prepared.path, store.root + "/cur/" + prepared.name + ":2,S")
    Path(prepared.path).write_bytes(b"another file of the same name")
    prepared.rollback()
    assert files(store.root) == [f"cur/{prepared.name}:2,S", f"new/{prepared.name}"]


def test_no_descriptor_stays_open_after_a_delivery(store: Store) -> None:
    deliver(store)
    before = descriptors()
    for name in ("INBOX", "Work", "Work/Boss"):
        deliver(store, name, flags="S", labels=("todo",))
    assert descriptors() == before


def test_marks_put_a_message_into_cur_with_its_flags_in_order(store: Store) -> None:
    path = deliver(store, flags="SFF")
    assert path.parent.name == "cur"
    assert path.name.endswith(":2,FS")


def test_the_standard_library_reads_what_was_written(store: Store) -> None:
    deliver(store)
    deliver(store, "Work/Boss", flags="SR")
    box = mailbox.Maildir(store.root, create=False)
    assert [message["Subject"] for message in box] == ["hello"]
    assert box.list_folders() == ["Work.Boss"]
    (inside,) = box.get_folder("Work.Boss")
    assert (inside.get_flags(), inside.get_subdir()) == ("RS", "cur")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"", b"xy\r\nz"]), max_size=12))
def test_a_name_tells_the_size_and_the_size_with_crlf_line_ends(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    root = str(tmp_path_factory.getbasetemp() / "sizes")
    path = deliver(Store(root, root, sync="none"), chunks=iter(chunks))
    data = path.read_bytes()
    assert data == b"".join(chunks)
    virtual = len(re.sub(rb"(?<!\r)\n", b"\r\n", data))
    assert path.name.endswith(f",S={len(data)},W={virtual}")


def test_the_bytes_are_the_bytes_given_and_private(store: Store) -> None:
    data = bytes(range(256)) * 5000
    path = deliver(store, chunks=[data[:1], data[1:70_000], b"", data[70_000:]])
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1


# -- names ------------------------------------------------------------------------------------------------------


def test_a_name_is_made_as_maildir_wants_and_no_host_can_spoil_it() -> None:
    shape = r"1700000000\.M12345[56]P\d+Q0R[0-9a-f]{16}\.(.+)"
    hosts = {
        "mx.example.org": r"mx.example.org",
        "a/b:c": r"a\057b\072c",
        "a,S=1": r"a\054S\0751",
        "..\0\n": r"..\000\012",
        "ü": r"\303\274",
    }
    for host, written in hosts.items():
        match = re.fullmatch(shape, maildir.unique_name(host, NOW))
        assert match, host
        assert match[1] == written
    assert len(maildir.unique_name("h" * 5000, NOW)) < 200


def test_a_taken_name_is_left_alone_and_another_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(store)
    calls: list[int] = []

    def zeros(count: int) -> bytes:
        calls.append(count)
        return bytes([len(calls) // 4]) * count  # a random source that repeats itself

    monkeypatch.setattr(os, "urandom", zeros)
    made = [prepare(store) for _ in range(8)]
    assert all(isinstance(one, Prepared) for one in made)
    assert len({one.name for one in made if isinstance(one, Prepared)}) == 8


def test_a_random_source_that_stands_still_overwrites_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    made = [prepare(store) for _ in range(maildir.ATTEMPTS + 1)]
    assert [isinstance(one, Prepared) for one in made] == [True] * maildir.ATTEMPTS + [False]
    assert len(files(store.root)) == maildir.ATTEMPTS


def test_a_file_in_new_is_never_overwritten(store: Store) -> None:
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    Path(prepared.path).write_bytes(b"precious")
    status = prepared.commit()
    assert status.exit_code == 75
    assert Path(prepared.path).read_bytes() == b"precious"
    assert files(store.root) == [f"new/{prepared.name}"]


# -- the spool file ---------------------------------------------------------------------------------------------


def spooled(store: Store, data: bytes) -> Held:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    held = Held()
    assert (
        held.receive(
            reader, spool_dir=lambda: maildir.spool_directory(Location(store, "INBOX", store.default)), hold=10
        )
        is None
    )
    os.close(reader)
    assert held.path is not None
    return held


def test_a_large_message_is_linked_into_place_and_not_copied(store: Store) -> None:
    held = spooled(store, MESSAGE)
    inode = os.fstat(held.descriptor).st_ino
    path = deliver(store, chunks=[held.read(0, held.size)], spool=held)
    copy = deliver(store, "Work", chunks=[held.read(0, held.size)], spool=held)
    held.remove()
    assert (path.stat().st_ino, copy.stat().st_ino) == (inode, inode)
    assert path.read_bytes() == copy.read_bytes() == MESSAGE
    assert len(files(store.root)) == 3  # with the folder's mark; nothing is left in tmp
    assert path.name.endswith(f",S={len(MESSAGE)},W={len(MESSAGE) + 4}")


def test_a_message_behind_a_from_line_is_copied_without_it(store: Store) -> None:
    held = spooled(store, b"From jo Mon\n" + MESSAGE)
    held.skip = len(b"From jo Mon\n")
    path = deliver(store, chunks=[held.read(0, held.size)], spool=held)
    held.remove()
    assert path.read_bytes() == MESSAGE


def test_a_spool_file_on_another_file_system_is_copied(store: Store) -> None:
    if os.stat("/dev/shm").st_dev == os.stat(os.path.dirname(store.root)).st_dev:
        pytest.skip("there is one file system only")
    other = f"/dev/shm/pydeliver-test-{os.getpid()}"
    held = spooled(Store(other, other), MESSAGE)
    try:
        path = deliver(store, chunks=[held.read(0, held.size)], spool=held)
        assert path.read_bytes() == MESSAGE
    finally:
        held.remove()
        for part in ("cur", "new", "tmp"):
            os.rmdir(f"{other}/{part}")
        os.rmdir(other)


def test_a_spool_name_that_means_another_file_by_now_is_not_delivered(store: Store) -> None:
    held = spooled(store, MESSAGE)
    assert held.path is not None
    os.rename(held.path, held.path + ".away")
    Path(held.path).write_bytes(b"something else")
    path = deliver(store, chunks=[held.read(0, held.size)], spool=held)
    assert path.read_bytes() == MESSAGE


def test_rolling_back_leaves_the_spool_file_to_its_owner(store: Store) -> None:
    held = spooled(store, MESSAGE)
    prepared = prepare(store, chunks=[held.read(0, held.size)], spool=held)
    assert isinstance(prepared, Prepared)
    prepared.rollback()
    assert len(files(store.root)) == 1
    assert held.read(0, 1000) == MESSAGE
    held.remove()
    assert files(store.root) == []


# -- who else can write here ------------------------------------------------------------------------------------


def refusal(store: Store, name: str = "INBOX") -> str:
    before = descriptors()
    status = prepare(store, name)
    assert isinstance(status, Status), status
    assert status.exit_code == 75
    assert descriptors() == before
    return status.text


@pytest.mark.parametrize("part", ["", "/new", "/tmp", "/.Work", "/.Work/new", "/.Work/tmp"])
def test_a_directory_that_everyone_can_write_gets_no_mail(store: Store, part: str) -> None:
    deliver(store, "Work")
    os.chmod(store.root + part, 0o777)
    assert refusal(store, "Work" if "Work" in part or not part else "INBOX").endswith("can be written by everyone")
    assert [name for name in files(store.root) if "tmp/" in name] == []


@ROOT_ONLY
@pytest.mark.parametrize("part", ["", "/new", "/tmp"])
def test_another_users_directory_gets_no_mail(store: Store, part: str) -> None:
    deliver(store)
    os.chown(store.root + part, NOBODY, -1)
    assert refusal(store).endswith("belongs to another user")


def test_ones_own_link_to_a_folder_elsewhere_is_followed(store: Store, tmp_path: Path) -> None:
    deliver(store)
    (tmp_path / "archive").mkdir()
    os.symlink(tmp_path / "archive", store.root + "/.Archive")
    path = deliver(store, "Archive")
    assert os.path.realpath(path).startswith(str(tmp_path / "archive/new/"))


@ROOT_ONLY
def test_a_link_that_another_made_leads_nowhere(store: Store, tmp_path: Path) -> None:
    deliver(store)
    (tmp_path / "trap").mkdir()
    link = store.root + "/.Archive"
    os.symlink(tmp_path / "trap", link)
    os.chown(link, NOBODY, -1, follow_symlinks=False)
    assert refusal(store, "Archive").endswith("another user's link")
    assert files(tmp_path / "trap") == []


@pytest.mark.parametrize("part", ["new", "tmp"])
def test_a_part_of_a_maildir_is_no_link(store: Store, tmp_path: Path, part: str) -> None:
    deliver(store)
    os.rename(f"{store.root}/{part}", tmp_path / "away")
    os.symlink(tmp_path / "away", f"{store.root}/{part}")
    refusal(store)


def test_what_stands_where_a_maildir_should_be_is_left_alone(store: Store) -> None:
    Path(store.root).write_bytes(b"an old mbox")
    refusal(store)
    assert Path(store.root).read_bytes() == b"an old mbox"


def test_a_folder_shared_with_a_group_shares_what_is_put_into_it(store: Store) -> None:
    deliver(store)
    os.chmod(store.root, 0o2770)
    path = deliver(store, "Team")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    os.chmod(store.root, 0o755)  # open to look into is not shared
    path = deliver(store, "Own")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# -- failures ---------------------------------------------------------------------------------------------------


def test_a_source_that_fails_leaves_nothing_and_says_so(store: Store) -> None:
    def failing() -> Iterator[bytes]:
        yield MESSAGE
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    status = prepare(store, chunks=failing())
    assert status == Status("4.3.0", "mailbox INBOX: Input/output error")
    assert files(store.root) == []


@pytest.mark.parametrize("interruption", [Interrupted(15), MemoryError(), KeyboardInterrupt()])
def test_an_interruption_leaves_nothing_and_goes_on_its_way(store: Store, interruption: BaseException) -> None:
    def interrupted() -> Iterator[bytes]:
        yield MESSAGE
        raise interruption

    deliver(store)
    before = descriptors()
    with pytest.raises(type(interruption)):
        prepare(store, chunks=interrupted())
    assert len(files(store.root)) == 1
    assert descriptors() == before


def test_a_directory_that_vanishes_before_the_commit_is_a_failure_told(store: Store) -> None:
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    os.rmdir(store.root + "/new")
    status = prepared.commit()
    assert status.exit_code == 75
    assert files(store.root) == []


def test_several_deliveries_are_undone_together(store: Store) -> None:
    made = [prepare(store, name) for name in ("INBOX", "Work", "Lists")]
    assert all(isinstance(one, Prepared) for one in made)
    committed = [one for one in made if isinstance(one, Prepared)]
    assert committed[0].commit().ok
    os.rmdir(store.root + "/.Work/new")
    assert committed[1].commit().exit_code == 75
    for one in committed:
        one.rollback()
    assert [name for name in files(store.root) if "maildirfolder" not in name] == []


def test_the_status_names_the_mailbox_and_no_path(store: Store) -> None:
    deliver(store)
    os.chmod(store.root, 0o777)
    status = prepare(store, "Work")
    assert isinstance(status, Status)
    assert status.text.startswith("mailbox Work: ")
    assert store.root not in status.text


@pytest.mark.parametrize("sync", ["full", "file", "none"])
def test_each_degree_of_durability_delivers(store: Store, sync: str) -> None:
    path = deliver(Store(store.root, store.default, sync=sync), "Work", labels=("todo",))
    assert path.read_bytes() == MESSAGE


def test_what_processes_that_died_left_in_tmp_goes_after_36_hours(store: Store) -> None:
    deliver(store)
    tmp = Path(store.root) / "tmp"
    old, young, folder = tmp / "1.old.host", tmp / "2.young.host", tmp / "3.folder"
    for path in (old, young):
        path.write_bytes(b"half")
    folder.mkdir()
    for path in (old, folder):
        os.utime(path, (path.stat().st_atime - 37 * 3600,) * 2)
    prepared = prepare(store)
    assert isinstance(prepared, Prepared)
    assert "removed 1 leftovers" in prepared.recovered
    assert prepared.commit().ok
    assert sorted(os.listdir(tmp)) == ["2.young.host", "3.folder"]


# -- tries that are cut short -------------------------------------------------------------------------------------


def attempt(store: Store, key: str = "k", until: Callable[[Prepared], object] = Prepared.finish) -> Prepared:
    """One try of a message with a key, as far as `until`."""
    location = locate(store, "INBOX")
    assert isinstance(location, Location)
    prepared = maildir.prepare(location, lambda _: [MESSAGE], host=os.uname().nodename, now=NOW, key=key)
    assert isinstance(prepared, Prepared), prepared
    if until is not Prepared.open:  # nothing further
        assert prepared.commit().ok
        until(prepared)
    return prepared


def killed(store: Store, until: Callable[[Prepared], object] = Prepared.close, key: str = "k") -> None:
    """The same in a process that is dead afterwards."""
    if (child := os.fork()) == 0:
        attempt(store, key, until)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_try_that_was_killed_behind_its_link_is_finished_and_not_made_again(store: Store) -> None:
    killed(store)
    assert [len(list(Path(store.root, part).iterdir())) for part in ("tmp", "new")] == [1, 1]
    (there,) = Path(store.root, "new").iterdir()
    again = attempt(store)
    assert again.path == str(there)
    assert again.recovered == "an earlier try was cut short when it had stored the message"
    assert files(store.root) == [f"new/{there.name}"]
    attempt(store)  # a third one, after the answer: another message
    assert len(files(store.root)) == 2


def test_it_is_found_where_a_reader_moved_it(store: Store) -> None:
    killed(store)
    (there,) = Path(store.root, "new").iterdir()
    there.rename(Path(store.root, "cur", there.name + ":2,S"))
    attempt(store)
    assert files(store.root) == [f"cur/{there.name}:2,S"]


@pytest.mark.parametrize("key", ["k", "other"])
def test_what_a_reader_has_deleted_or_another_message_left_is_no_delivery(store: Store, key: str) -> None:
    killed(store)
    if key == "k":
        next(Path(store.root, "new").iterdir()).unlink()
    again = attempt(store, key)
    assert Path(again.path).read_bytes() == MESSAGE
    assert again.recovered == ""
    assert len(list(Path(store.root, "new").iterdir())) == (1 if key == "k" else 2)


def test_a_try_that_was_killed_before_its_link_leaves_nothing(store: Store) -> None:
    killed(store, Prepared.open)
    attempt(store)
    assert len(files(store.root)) == 1
    assert files(store.root)[0].startswith("new/")


def test_a_try_that_is_alive_is_another_delivery(store: Store) -> None:
    first = attempt(store, until=lambda _: None)
    attempt(store)
    first.finish()
    assert len(files(store.root)) == 2


def test_a_try_that_is_taken_over_survives_that_the_second_one_fails(store: Store) -> None:
    killed(store)
    before = files(store.root)
    location = locate(store, "INBOX")
    assert isinstance(location, Location)
    second = maildir.prepare(location, lambda _: [MESSAGE], host=os.uname().nodename, now=NOW, key="k")
    assert isinstance(second, Prepared)
    second.rollback()
    assert files(store.root) == before
