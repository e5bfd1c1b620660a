"""Durable writing and the directories that may be written to, on a real file system."""

from __future__ import annotations

import errno
import os
import stat
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest

from pydeliver.system import disk
from pydeliver.system.disk import Distrust, Trusted

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")
NOBODY = 65534


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


# -- reading ----------------------------------------------------------------------------------------------------


def read(path: Path, limit: int = disk.RULE_FILE_LIMIT) -> Trusted | Distrust:
    return disk.read_trusted(str(path), uid=os.geteuid(), home=str(path.parent), limit=limit)


def test_a_file_that_is_written_while_it_is_read_is_never_read_by_half(tmp_path: Path) -> None:
    file = tmp_path / "main.rules"
    versions = [letter * 300_000 for letter in (b"a", b"b", b"c" * 2)]
    file.write_bytes(versions[0])
    file.chmod(0o600)
    done = threading.Event()

    def write_on() -> None:
        while not done.is_set():
            for version in versions:
                with open(file, "r+b") as out:
                    out.write(version)
                    out.truncate()

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        judged = [read(file) for _ in range(300)]
    finally:
        done.set()
        writer.join()
    assert {one.kind for one in judged if isinstance(one, Distrust)} <= {"changing"}
    file.write_bytes(versions[1])
    assert isinstance(read(file), Trusted)


def test_a_name_that_no_file_can_have_is_told_and_not_raised(tmp_path: Path) -> None:
    for name in ("nul\0byte", "lone\ud800surrogate", "x" * 300):
        judged = read(tmp_path / name)
        assert isinstance(judged, Distrust)
        assert judged.kind == "unreadable"


def test_the_repair_is_one_word_for_a_shell_whatever_the_name(tmp_path: Path) -> None:
    file = tmp_path / "it's $(touch oops); .rules"
    file.write_text("x")
    file.chmod(0o666)
    judged = read(file)
    assert isinstance(judged, Distrust)
    assert judged.repair == f"chmod go-w '{tmp_path}/it'\\''s $(touch oops); .rules'"


# -- directories ------------------------------------------------------------------------------------------------


def test_a_directory_of_ones_own_may_be_entered_and_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.close(disk.enter_directory(str(tmp_path)))
    with pytest.raises(NotADirectoryError):
        disk.enter_directory(str(tmp_path / "file"))


def test_a_link_of_ones_own_is_followed_only_where_links_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.close(disk.enter_directory(str(tmp_path / "link")))
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        disk.enter_directory(str(tmp_path / "link"), follow=False)


@ROOT_ONLY
def test_directories_and_links_of_others_are_refused(tmp_path: Path) -> None:
    foreign, link = tmp_path / "foreign", tmp_path / "link"
    foreign.mkdir()
    os.chown(foreign, NOBODY, -1)
    with pytest.raises(PermissionError, match="another user"):
        disk.enter_directory(str(foreign))
    os.chown(foreign, 0, -1)
    link.symlink_to(foreign)
    os.chown(link, NOBODY, -1, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another user's link"):
        disk.enter_directory(str(link))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_everyone_can_write_is_refused_even_when_sticky(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(PermissionError, match="everyone"):
        disk.enter_directory(str(tmp_path / "open"))
    assert len(os.listdir("/proc/self/fd")) == before


# -- writing ----------------------------------------------------------------------------------------------------


def test_an_atomic_write_replaces_the_content_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    for data in (b"first", b"", b"x" * 3_000_000):
        disk.write_atomic(str(file), data, mode=0o640)
        assert file.read_bytes() == data
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert names(tmp_path) == ["state"]


def test_an_atomic_write_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "state").symlink_to("precious")
    disk.write_atomic(str(tmp_path / "state"), b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "state").is_symlink()


def test_a_failed_atomic_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "inside").write_bytes(b"")
    with pytest.raises(OSError, match="directory"):
        disk.write_atomic(str(tmp_path / "state"), b"new")
    assert names(tmp_path) == ["state"]


def test_an_atomic_write_below_a_directory_descriptor_goes_there(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    disk.write_atomic("state", b"new", dir_fd=fd)
    os.close(fd)
    assert (tmp_path / "state").read_bytes() == b"new"


def append_many(path: str, mark: int) -> None:
    for number in range(200):
        disk.append_line(path, b"%d.%d " % (mark, number) + b"x" * 500)


def test_lines_of_many_processes_stay_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    context = get_context("fork")
    processes = [context.Process(target=append_many, args=(str(file), mark)) for mark in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = [line for line in file.read_bytes().splitlines() if line]
    assert len(lines) == 800
    assert {line.split()[0] for line in lines} == {b"%d.%d" % (m, n) for m in range(4) for n in range(200)}
    assert all(line.endswith(b" " + b"x" * 500) for line in lines)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_torn_by_a_crash_spoils_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"whole\ntor")
    disk.append_line(str(file), b"next")
    assert file.read_bytes() == b"whole\ntor\nnext\n"


def test_a_line_is_appended_to_regular_files_only(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "."):
        with pytest.raises(OSError, match=r"."):
            disk.append_line(str(tmp_path / name), b"line")
    assert target.read_bytes() == b""


def test_without_create_an_absent_file_stays_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.append_line(str(tmp_path / "log"), b"line", create=False)
    assert names(tmp_path) == []


def test_private_directories_are_made_for_the_owner_alone_and_old_ones_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    disk.make_private(str(tmp_path / "old/new/newer"))
    disk.make_private(str(tmp_path / "old/new/newer"))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "old/new", "old/new/newer")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_private_directory_is_no_link_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    for name in ("link", "dangling", "file"):
        with pytest.raises(PermissionError):
            disk.make_private(str(tmp_path / name))


@ROOT_ONLY
def test_a_private_directory_is_not_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    os.chown(tmp_path / "foreign", NOBODY, -1)
    with pytest.raises(PermissionError, match="another user"):
        disk.make_private(str(tmp_path / "foreign"))


def test_every_failure_of_the_operating_system_is_a_reason_to_try_again() -> None:
    for number in errno.errorcode:
        status = disk.failure(OSError(number, os.strerror(number)), "mailbox INBOX")
        assert status.exit_code == 75
        assert status.text == f"mailbox INBOX: {os.strerror(number)}"
    assert disk.failure(OSError(errno.EDQUOT, "x"), "y").code == "4.2.2"
    assert disk.failure(OSError(errno.ENOSPC, "x"), "y").code == "4.3.1"


def test_a_directory_that_cannot_be_looked_at_is_an_error_and_no_endless_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(os, "lstat", fails)
    with pytest.raises(OSError, match="Input/output"):
        disk.make_private(str(tmp_path / "a" / "b"))


@ROOT_ONLY
@pytest.mark.parametrize(("owner", "repair"), [(0, "chmod a+r"), (NOBODY, "chmod u+r")])
def test_who_may_not_read_a_file_is_told_whose_right_is_missing(public_folder: Path, owner: int, repair: str) -> None:
    path = public_folder / f"unreadable-{owner}"
    path.write_text("keep\n")
    os.chown(path, owner, -1)
    path.chmod(0o200)
    os.seteuid(NOBODY)
    try:
        judged = disk.read_trusted(str(path), uid=NOBODY, home="/nonexistent")
    finally:
        os.seteuid(0)
    assert isinstance(judged, Distrust)
    assert (judged.kind, judged.repair) == ("unreadable", f"{repair} {path}")
