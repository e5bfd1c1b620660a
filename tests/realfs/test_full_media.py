"""A medium that is full, by bytes, by inodes or by a limit of the process: "try again", and no trace of the attempt."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pydeliver.mailbox import maildir
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, locate
from pydeliver.status import Status
from pydeliver.system import spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE = b"Subject: large\n\n" + b"x" * 131_072


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def deliver(root: Path, name: str, data: bytes) -> Status:
    location = locate(Store(str(root), str(root)), name)
    assert isinstance(location, Location)
    prepared = maildir.prepare(location, lambda _: [data], host="mx", now=time.time(), labels=("todo",))
    if isinstance(prepared, Status):
        return prepared
    assert isinstance(prepared, Prepared)
    status = prepared.commit()
    prepared.close()
    return status


def tree(top: Path) -> dict[Path, bytes]:
    found = [Path(where, name) for where, _, names in os.walk(top) for name in names]
    return {path.relative_to(top): path.read_bytes() for path in found}


def mails(top: Path, *parts: str) -> list[Path]:
    """The files in `tmp`, or in other parts, of the Maildirs below `top`."""
    return [path for path in tree(top) if path.parent.name in parts]


def exit_code(do: Callable[[], int]) -> int:
    """What `do` answers in a process of its own, whose limits cannot be raised again."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            code = do()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_full_file_system_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=96k"):
        root = tmp_path / "full/Maildir"
        assert deliver(root, "INBOX", b"Subject: small\n\n").ok
        before = tree(root)
        status = deliver(root, "INBOX", LARGE)
        assert status == Status("4.3.1", "mailbox INBOX: No space left on device")
        assert tree(root) == before
        assert deliver(root, "INBOX", b"Subject: still fits\n\n").ok


def test_a_full_file_system_takes_no_spool_file_either(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=96k"):
        root = str(tmp_path / "full/Maildir")
        source = tmp_path / "source"
        source.write_bytes(LARGE)
        fd = os.open(source, os.O_RDONLY)
        held = spool.Held()
        status = held.receive(
            fd, hold=1000, spool_dir=lambda: maildir.spool_directory(Location(Store(root, root), "INBOX", root))
        )
        held.remove()
        assert isinstance(status, Status)
        assert status.code == "4.3.1"
        assert os.lseek(fd, 0, os.SEEK_CUR) == len(LARGE)
        os.close(fd)
        assert os.listdir(root + "/tmp") == []


@pytest.mark.parametrize("inodes", range(1, 10))
def test_without_inodes_the_answer_is_try_again_wherever_they_end(tmp_path: Path, inodes: int) -> None:
    with mounted(tmp_path / "full", f"nr_inodes={inodes}"):
        root = tmp_path / "full/Maildir"
        statuses = [deliver(root, "Work", b"Subject: small\n\n") for _ in range(3)]
        assert {status.code for status in statuses} <= {"2.0.0", "4.3.1"}
        assert len(mails(root, "new", "cur")) == sum(status.ok for status in statuses)
        assert mails(root, "tmp") == []
        assert not statuses[-1].ok


def test_a_limit_on_the_size_of_files_is_a_full_medium(tmp_path: Path) -> None:
    root = tmp_path / "Maildir"

    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
        return 42 if deliver(root, "INBOX", LARGE).code == "4.3.1" else 1

    assert exit_code(limited) == 42
    assert mails(root, "tmp", "new", "cur") == []


@pytest.mark.parametrize("spare", range(8))
def test_without_descriptors_the_answer_is_try_again_wherever_they_end(tmp_path: Path, spare: int) -> None:
    root = tmp_path / "Maildir"
    deliver(root, "Work", b"")

    def limited() -> int:
        limit = max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1
        while os.dup(0) < limit:
            pass  # no holes below the limit
        limit += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit + spare, limit + spare))
        return deliver(root, "Work", LARGE).exit_code

    code = exit_code(limited)
    assert code == (75 if spare < 4 else 0)
    assert len(mails(root, "new", "cur")) == (1 if code else 2)
    assert mails(root, "tmp") == []
