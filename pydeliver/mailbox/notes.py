"""Tail notes: where an mbox ended before a message was appended, and how to undo an append that nobody finished.

Owns the notes in the state directory, one file an append, there from before its first byte until its commit; and what
a note means to the next who has the locks: its writer is dead. Refuses to cut off anything but a beginning of what the
note announces: not what a journal says was decided on, nor anything that another program has appended since.
"""

from __future__ import annotations

import os
from _blake2 import blake2b

from pydeliver.mailbox.journal import Journal
from pydeliver.status import Value
from pydeliver.system.disk import CREATE, make_private, sync_directory, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.mailbox.mbox import Box

JOURNALS = "journal"  # the directory of the journals, beside that of the notes
NOTE_BYTES = 16 << 10

_CHUNK = 64 << 10
_FROM_LINE = 1024  # bytes looked at of a From_ line
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_DIGEST_BYTES = 16


class Tail(Value):
    """What was to follow at the end of an mbox: after `before` bytes `gap` line feeds, then the From_ line `first`."""

    inode: int
    before: int
    gap: int
    first: bytes

    @property
    def opening(self) -> bytes:
        return b"\n" * self.gap + self.first


def place(notes: str, path: str, before: int) -> str:
    """A new path for the note of an append to the mbox at `path`."""
    return f"{notes}/{_digest(path)}.{before}.{os.urandom(8).hex()}"


def _digest(path: str) -> str:
    return blake2b(os.fsencode(path), digest_size=_DIGEST_BYTES).hexdigest()


def write(note: str, path: str, tail: Tail, sync: str) -> None:
    """Write the note, durable. Raises OSError."""
    try:
        fd = os.open(note, CREATE, 0o600)
    except FileNotFoundError:
        make_private(os.path.dirname(note))
        fd = os.open(note, CREATE, 0o600)
    try:
        write_all(fd, os.fsencode(path) + b"\n%d %d %d " % (tail.inode, tail.before, tail.gap) + tail.first)
        if sync != "none":
            os.fsync(fd)
    finally:
        os.close(fd)
    if sync != "none":
        sync_directory(os.path.dirname(note))


def remove(note: str, sync: str) -> None:
    """Remove the note, for good: one that comes back after a power cut would cost the message. Raises OSError."""
    try:
        os.unlink(note)
    except FileNotFoundError:
        return
    if sync != "none":
        sync_directory(os.path.dirname(note))


def recover(box: Box, notes: str, sync: str) -> list[str]:
    """Undo what dead writers left at the end of a locked mailbox, the last one first. Says what was done."""
    prefix = _digest(box.path) + "."
    try:
        found = [name for name in os.listdir(notes) if name.startswith(prefix)]
    except FileNotFoundError:
        return []
    told = []
    for name in sorted(found, key=_offset, reverse=True):
        tail = _read(f"{notes}/{name}")
        if tail is not None and tail.inode == box.identity[1] and tail.before < box.reach:
            told.append(_recovered(box, tail, f"{notes}/{name}", sync))
        remove(f"{notes}/{name}", sync)
    return told


def _offset(name: str) -> int:
    offset = name.split(".")[1]
    return int(offset) if offset.isascii() and offset.isdigit() else 0


def _read(note: str) -> Tail | None:
    """The note; None for one that was not finished, whose append was not begun."""
    try:
        with open(note, "rb") as file:
            _, _, line = file.read(NOTE_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    words = line.split(b" ", 3)
    if len(words) < 4 or not all([word.isdigit() for word in words[:3]]) or not words[3].endswith(b"\n"):
        return None
    return Tail(int(words[0]), int(words[1]), int(words[2]), words[3])


def _recovered(box: Box, tail: Tail, note: str, sync: str) -> str:
    if _decided_end(note) in range(tail.before, box.reach + 1):
        return f"kept the message at {box.path}@{tail.before + tail.gap}, whose delivery was decided on and interrupted"
    torn = box.reach - tail.before
    # A power cut can leave zeros where data was still to be written.
    begins = tail.opening.startswith(box.read(len(tail.opening), tail.before).rstrip(b"\0"))
    if not begins or _has_another(box, tail.before + len(tail.opening)) or not box.cut(tail.before, sync):
        return f"left {torn} bytes at the end of {box.path}, which are not those of an interrupted delivery alone"
    return f"removed {torn} bytes of an interrupted delivery from the end of {box.path}"


def _decided_end(note: str) -> int:
    """Where the message of the note ends, if a journal says that its delivery was decided on; else -1."""
    directory = f"{os.path.dirname(os.path.dirname(note))}/{JOURNALS}"
    try:
        names = [name for name in os.listdir(directory) if not name.startswith(".")]  # those have just been begun
    except FileNotFoundError:
        return -1
    for name in names:
        for record in Journal(directory, name).read():
            if record[-1] == note:
                return int(record[5])
    return -1


def _has_another(box: Box, start: int) -> bool:
    """Whether a From_ line stands behind `start`, at the beginning of a line or right behind what was torn off.

    Our own messages have none: theirs are quoted. One that only looks so keeps the tail where it is.
    """
    rest = b"\n"
    at = start
    while data := box.read(_CHUNK, at):
        text = rest + data
        found = text.find(b"From ", 1)
        while found >= 0:
            words = text[found : found + _FROM_LINE].partition(b"\n")[0].split(None, 3)
            before = text[found - 1 : found]
            if before == b"\n" or (before != b">" and len(words) > 3 and words[2] in _DAYS):
                return True
            found = text.find(b"From ", found + 1)
        at += len(data)
        rest = text[-_FROM_LINE:]
    return False


def begins_at(path: str, before: int, first: bytes) -> bool:
    """Whether a beginning of the From_ line `first` stands in the file where a message was appended."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return first.startswith(os.pread(fd, len(first) + 2, before).rstrip(b"\0").lstrip(b"\n")[: len(first)])
    finally:
        os.close(fd)
