"""MH: a directory with one file a message, whose name is a number.

Owns writing beside the messages (`,tmp…`: MH programs pass over names that begin with a comma), the next free number,
and the sequence `unseen`. Refuses to take a number that is there, and to touch any other sequence: a message that has
been seen is just not added to that one, and the other marks have no place here. mh-sequence(5), mh-mail(5) of nmh.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pydeliver.mailbox.creation import enter
from pydeliver.mailbox.keywords import atoms
from pydeliver.mailbox.maildir import LEFTOVER_SECONDS, unique_name
from pydeliver.mailbox.names import MH
from pydeliver.status import Status, stored
from pydeliver.system.disk import (
    CREATE,
    close_quietly,
    failure,
    names_file,
    sync_descriptor,
    sync_directory,
    unlink_quietly,
    write_all,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydeliver.mailbox.journal import Record
    from pydeliver.mailbox.names import Location

SEQUENCES = ".mh_sequences"
TEMPORARY = ",tmp."
ATTEMPTS = 10_000  # at a free number, while others take them
LOCK_TRIES, LOCK_PAUSE = 5, 0.02  # a sequence is not worth a late message

_SEQUENCES_LIMIT = 1 << 20
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def prepare(
    location: Location,
    form: Callable[[tuple[str, ...]], Iterable[bytes]],
    *,
    host: str,
    now: float,
    flags: str = "",
    labels: tuple[str, ...] = (),
    **_of_other_formats: object,
) -> Prepared | Status:
    """Write a message into the folder, durable, but under no number yet; nothing is left there on failure.

    `form(keywords)` gives the bytes of the message, with an X-Keywords field for the `labels`. Of the `flags`, Maildir
    letters, only S says something here.
    """
    prepared = Prepared(location, "S" in flags)
    try:
        prepared.open()
        prepared.write(form(atoms(labels)), host, now)
    except OSError as error:
        prepared.rollback()
        return failure(error, f"mailbox {location.name}")
    except BaseException:
        prepared.rollback()
        raise
    return prepared


def was_done(record: Record) -> bool | None:
    """Whether the message of a journal's record is in its folder; None where it can't be known now."""
    _, folder, inode, written = record
    try:
        with os.scandir(str(folder)) as entries:
            same = [entry for entry in entries if entry.inode() == inode and _is_number(entry.name)]
        if not any([entry.stat(follow_symlinks=False).st_mtime_ns == written for entry in same]):
            return False
        sync_directory(str(folder))
    except OSError:
        return None
    return True


class Prepared:
    """A message under a temporary name, waiting for its number. `close` it when it is not to be rolled back."""

    __slots__ = ("_folder", "_identity", "_name", "_seen", "_temporary", "location", "record", "recovered", "size")

    def __init__(self, location: Location, seen: bool) -> None:
        self.location = location
        self.size = 0
        self.recovered = ""
        self.record: Record = ()  # format, folder, inode, when it was written: an inode alone may be used again
        self._seen = seen
        self._folder = -1
        self._temporary = self._name = ""
        self._identity = (0, 0)

    @property
    def path(self) -> str:
        """The file of the message, once committed; until then the folder."""
        return f"{self.location.path}/{self._name}" if self._name else self.location.path

    def open(self) -> None:
        """Open the folder, made if need be, and remove what processes that died left in it."""
        self._folder = enter(self.location.base, self.location.parts)
        removed = 0
        for name in os.listdir(self._folder):
            if name.startswith(TEMPORARY) and self._is_old(name):
                unlink_quietly(name, self._folder)
                removed += 1
        if removed:
            self.recovered = f"removed {removed} leftovers from {self.location.path}"

    def _is_old(self, name: str) -> bool:
        try:
            entry = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(entry.st_mode) and time.time() - entry.st_mtime > LEFTOVER_SECONDS

    def write(self, chunks: Iterable[bytes], host: str, now: float) -> None:
        name = TEMPORARY + unique_name(host, now)
        fd = os.open(name, CREATE, 0o600, dir_fd=self._folder)
        self._temporary = name
        try:
            for chunk in chunks:
                write_all(fd, chunk)
                self.size += len(chunk)
            if self.location.store.sync != "none":
                os.fsync(fd)
            entry = os.fstat(fd)
        finally:
            os.close(fd)  # an error counts: NFS tells of a full disk here
        self._identity = entry.st_dev, entry.st_ino
        self.record = (MH, self.location.path, entry.st_ino, entry.st_mtime_ns)

    def commit(self) -> Status:
        """Give the message its number. When this says "2.…" a power cut cannot take it back."""
        try:
            self._number()
            if self.location.store.sync == "full":
                sync_descriptor(self._folder)
        except OSError as error:
            self.rollback()
            return failure(error, f"mailbox {self.location.name}")
        self._forget()
        if not self._seen:
            self._add_unseen()
        return stored(f"delivered to mailbox {self.location.name}")

    def _number(self) -> None:
        """Link the message to the number after the highest, or the next that nobody else has just taken."""
        numbers = [int(name) for name in os.listdir(self._folder) if _is_number(name)]
        first = max(numbers, default=0) + 1
        for number in range(first, first + ATTEMPTS):
            try:
                os.link(self._temporary, str(number), src_dir_fd=self._folder, dst_dir_fd=self._folder)
            except FileExistsError:
                if not names_file(
                    str(number), self._folder, self._identity
                ):  # else NFS: done, but the answer was lost and asked again
                    continue
            self._name = str(number)
            return
        raise FileExistsError(errno.EEXIST, "no unused number was found")

    def rollback(self) -> None:
        """Take the message back, also after a commit, unless a reader has moved it by now."""
        if self._name and names_file(self._name, self._folder, self._identity):
            unlink_quietly(self._name, self._folder)
            try:
                sync_descriptor(self._folder)
            except OSError:  # the failure is being told already
                pass
        self._forget()
        self.close()

    def _forget(self) -> None:
        if self._temporary:
            unlink_quietly(self._temporary, self._folder)
            self._temporary = ""

    def close(self) -> None:
        if self._folder >= 0:
            close_quietly(self._folder)
            self._folder = -1

    def _add_unseen(self) -> None:
        """Add the number to the sequence `unseen`, where sequences are kept. The message matters more than that."""
        try:
            fd = os.open(SEQUENCES, _OPEN, dir_fd=self._folder)
        except OSError:
            return
        try:
            if _lock(fd):
                old = os.pread(fd, _SEQUENCES_LIMIT, 0)
                if len(old) < _SEQUENCES_LIMIT:
                    _rewrite(fd, old, with_unseen(old, self._name.encode()))
        except OSError:
            pass
        finally:
            close_quietly(fd)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def with_unseen(sequences: bytes, number: bytes) -> bytes:
    """The text of `.mh_sequences` with one number more in `unseen`, a sequence that goes when it is empty."""
    lines = sequences.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.lower().startswith(b"unseen:"):
            while index + 1 < len(lines) and lines[index + 1].startswith((b" ", b"\t")):  # folded like a header
                index += 1
            lines[index] = lines[index].rstrip() + b" " + number + b"\n"
            return b"".join(lines)
    gap = b"\n" if sequences and not sequences.endswith(b"\n") else b""
    return sequences + gap + b"unseen: " + number + b"\n"


def _lock(fd: int) -> bool:
    """The lock that nmh takes on the file, within a tenth of a second."""
    from pydeliver.mailbox.locks import lock_file

    for attempt in range(LOCK_TRIES):
        if attempt:
            time.sleep(LOCK_PAUSE)
        if lock_file(fd):
            return True
    return False


def _rewrite(fd: int, old: bytes, new: bytes) -> None:
    """Write in place, since whoever waits for the lock waits for this very file; as it was if that fails."""
    try:
        whole = os.pwrite(fd, new, 0) == len(new)
    except OSError:
        whole = False
    if not whole:
        os.pwrite(fd, old, 0)
        os.ftruncate(fd, len(old))
