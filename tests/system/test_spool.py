"""Receiving: everything is read, little is held, and a spool file is private and goes away."""

from __future__ import annotations

import os
import resource
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.status import Status, deferred
from pydeliver.system import spool
from pydeliver.system.spool import Held

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    """The reading end of a pipe that somebody writes `data` to."""
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb") as out:
            out.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield reader
    finally:
        thread.join()
        os.close(reader)


def receive(fd: int, **options: Any) -> Held | Status:
    held = Held()
    problem = held.receive(fd, **options)
    if problem is None:
        return held
    held.remove()
    return problem


def received(data: bytes, directory: Path, hold: int = spool.HOLD_LIMIT) -> Held:
    with piped(data) as fd:
        held = receive(fd, spool_dir=str(directory), hold=hold)
    assert isinstance(held, Held)
    return held


@pytest.mark.parametrize("size", [0, 1, 65_536, spool.HOLD_LIMIT])
def test_a_small_message_is_held_in_memory(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    held = received(data, tmp_path)
    assert held.path is None
    assert held.size == size
    assert held.read(0, held.size) == data
    assert os.listdir(tmp_path) == []


def test_a_large_message_goes_to_a_private_file_and_away_again(tmp_path: Path) -> None:
    data = os.urandom(spool.HOLD_LIMIT + 1)
    held = received(data, tmp_path)
    assert held.path is not None
    assert stat.S_IMODE(os.stat(held.path).st_mode) == 0o600
    assert Path(held.path).read_bytes() == data
    assert held.read(0, held.size) == data
    held.remove()
    held.remove()
    assert os.listdir(tmp_path) == []


@given(
    data=st.binary(min_size=1, max_size=300),
    hold=st.integers(0, 300),
    skip=st.integers(0, 300),
    offset=st.integers(0, 310),
    length=st.integers(0, 310),
)
def test_a_part_is_the_same_from_memory_and_from_a_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, hold: int, skip: int, offset: int, length: int
) -> None:
    held = received(data, tmp_path_factory.getbasetemp(), hold)
    held.skip = min(skip, len(data))
    visible = data[held.skip :]
    assert (held.path is not None) == (len(data) > hold)
    assert held.size == len(visible)
    assert held.read(offset, length) == visible[offset : offset + length]
    held.remove()


def test_the_input_is_read_to_its_end_when_the_spool_directory_is_missing(tmp_path: Path) -> None:
    with piped(b"x" * 2_000_000) as fd:
        status = receive(fd, spool_dir=str(tmp_path / "absent"))
        assert os.read(fd, 1) == b""
    assert isinstance(status, Status)
    assert status.exit_code == 75


def test_the_input_is_read_to_its_end_when_nobody_knows_a_spool_directory() -> None:
    with piped(b"x" * 2_000_000) as fd:
        status = receive(fd, spool_dir=lambda: deferred("no mailbox"))
        assert os.read(fd, 1) == b""
    assert status == deferred("no mailbox")


def test_the_input_is_read_to_its_end_when_the_file_may_not_grow(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:  # the limit cannot be raised again, so a process of its own has it
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
            with piped(b"x" * 2_000_000) as fd:
                status = receive(fd, spool_dir=str(tmp_path))
                code = 0 if isinstance(status, Status) and status.code == "4.3.1" and os.read(fd, 1) == b"" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.listdir(tmp_path) == []


def test_an_input_that_cannot_be_read_is_a_status(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    status = receive(fd, spool_dir=str(tmp_path))
    os.close(fd)
    assert isinstance(status, Status)
    assert status.exit_code == 75


def test_an_input_that_does_not_block_is_waited_for(tmp_path: Path) -> None:
    with piped(b"x" * 1_000_000) as fd:
        os.set_blocking(fd, False)
        held = receive(fd, spool_dir=str(tmp_path))
    assert isinstance(held, Held)
    assert held.size == 1_000_000


def test_a_hundred_megabytes_cost_little_memory(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    feeder = os.fork()
    if feeder == 0:
        os.close(reader)
        block = b"x" * 1_048_576
        with open(writer, "wb", buffering=0) as out:
            for _ in range(100):
                out.write(block)
        os._exit(0)
    os.close(writer)
    # A fresh interpreter, because this one's peak memory is another test's; it only tells what it needed more.
    program = (
        "import resource, sys; from pydeliver.system import spool\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "held = spool.Held(); assert held.receive(0, spool_dir=sys.argv[1]) is None\n"
        "total = sum(len(held.read(at, 65536)) for at in range(0, held.size, 65536))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "held.remove()\n"
        "sys.exit(0 if total == 100 << 20 and after - before < 1500 else f'{total} {after - before} KiB')\n"
    )
    here = str(Path(spool.__file__).parents[2])
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", program, str(tmp_path)],
        {**os.environ, "PYTHONPATH": here},
        file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)],
    )
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(feeder, 0)[1]) == 0
    assert os.listdir(tmp_path) == []


def test_draining_what_cannot_be_read_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    spool.drain(reader)
    os.close(reader)
    spool.drain(reader)
