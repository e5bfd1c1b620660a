"""Many processes, one Maildir, one moment: every message has a name of its own, and none is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pydeliver.mailbox import maildir
from pydeliver.mailbox.names import Location, Store, locate

PROCESSES, MESSAGES = 64, 100
NOW = 1_700_000_000.5  # the clock stands still

DELIVER_AS_PROCESS_ONE = """
import os, sys
from pydeliver.mailbox import maildir
from pydeliver.mailbox.names import Store, locate
root, mark = sys.argv[1:]
assert os.getpid() == 1
for number in range(50):
    location = locate(Store(root, root, sync="none"), "INBOX")
    prepared = maildir.prepare(location, lambda _: [f"{mark}.{number}".encode()], host="mx", now=1_700_000_000.5)
    assert prepared.commit().ok
    prepared.close()
"""


def deliver(root: str, content: bytes) -> bool:
    location = locate(Store(root, root, sync="none"), "Work")
    assert isinstance(location, Location)
    prepared = maildir.prepare(location, lambda _: [content], host="mx", now=NOW)
    done = isinstance(prepared, maildir.Prepared) and prepared.commit().ok
    if isinstance(prepared, maildir.Prepared):
        prepared.close()
    return done


def contents(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.iterdir()}


def test_64_processes_at_one_moment_make_names_of_their_own(tmp_path: Path) -> None:
    """The folder is made by all of them at once too."""
    children = []
    for mark in range(PROCESSES):
        if (child := os.fork()) == 0:
            done = [False]
            try:
                done = [deliver(str(tmp_path / "Maildir"), b"%d.%d" % (mark, number)) for number in range(MESSAGES)]
            finally:
                os._exit(0 if all(done) else 1)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * PROCESSES
    new = tmp_path / "Maildir/.Work/new"
    assert contents(new) == {b"%d.%d" % (mark, number) for mark in range(PROCESSES) for number in range(MESSAGES)}
    assert len(os.listdir(new)) == PROCESSES * MESSAGES
    assert os.listdir(tmp_path / "Maildir/.Work/tmp") == []


def test_processes_of_one_number_in_namespaces_of_their_own_make_different_names(tmp_path: Path) -> None:
    root = tmp_path / "Maildir"
    environment = {**os.environ, "PYTHONPATH": str(Path(maildir.__file__).parents[2])}
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", DELIVER_AS_PROCESS_ONE, str(root)]
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no pid namespace can be made here")
    running = [subprocess.Popen([*command, str(mark)], env=environment) for mark in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    assert contents(root / "new") == {b"%d.%d" % (mark, number) for mark in range(6) for number in range(50)}
