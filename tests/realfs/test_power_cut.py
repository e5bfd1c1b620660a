"""The power goes out at the instant of success: an acknowledged message is on the disk.

A file system in an image is copied at the moment `commit` says yes, and the copy mounted, as a machine would find its
disk after a cut. The harness is tried on a writer that must lose everything: without the directory's fsync no message
may survive, or the method proves nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pydeliver.mailbox import maildir
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

CUTS = 8
IMAGE_BYTES = 48 << 20


class Disk:
    """An ext4 file system in an image, and what it would hold after a power cut."""

    def __init__(self, folder: Path) -> None:
        self.image, self.mount, self.copy, self.after = (folder / name for name in ("image", "mnt", "copy", "after"))
        self.mount.mkdir()
        self.after.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", str(self.image))
        run("mount", "-o", "loop", str(self.image), str(self.mount))

    def survives(self, path: Path, content: bytes) -> bool:
        """Whether the file at `path` would be whole if the power went out now."""
        shutil.copyfile(self.image, self.copy)
        run("mount", "-o", "loop", str(self.copy), str(self.after))
        try:
            found = self.after / path.relative_to(self.mount)
            return found.is_file() and found.read_bytes() == content
        finally:
            run("umount", str(self.after))


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        made = Disk(tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no ext4 image can be mounted here: {error}")
    yield made
    run("umount", str(made.mount))


def deliver(disk: Disk, name: str, content: bytes, sync: str, flags: str) -> Path:
    root = str(disk.mount / "Maildir")
    location = locate(Store(root, root, sync=sync), name)
    assert isinstance(location, Location)
    prepared = maildir.prepare(location, lambda _: [content], host="mx", now=time.time(), flags=flags)
    assert isinstance(prepared, Prepared)
    assert prepared.commit().ok
    prepared.close()
    return Path(prepared.path)


def lost(disk: Disk, sync: str) -> int:
    missing = 0
    for number in range(CUTS):
        content = b"Subject: %d\n\n" % number + b"x" * 5000 * number
        name = ("INBOX", f"New/{number}")[number % 2]  # every second into a folder that the delivery makes
        path = deliver(disk, name, content, sync, flags="S" if number % 4 > 1 else "")
        missing += not disk.survives(path, content)
    return missing


def test_an_acknowledged_message_survives_a_power_cut(disk: Disk) -> None:
    assert lost(disk, "full") == 0


def test_the_harness_sees_the_loss_where_the_directory_is_not_synced(disk: Disk) -> None:
    deliver(disk, "INBOX", b"", "full", "")
    for number in range(CUTS):
        content = b"Subject: %d\n\n" % number
        assert not disk.survives(deliver(disk, "INBOX", content, "none", ""), content)
