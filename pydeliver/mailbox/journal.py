"""What an unfinished transaction has to finish: its destinations, written down before the first is shown.

Owns one small file a transaction in the state directory, there from the moment at which every destination is prepared
until the last is committed; its being there is the decision to deliver. A retry of the same message reads it, asks
each destination whether it was done, and delivers to the others. Refuses to guess: a journal that can't be read
counts for nothing, and a destination that can't be asked counts as not done, so that nothing is lost.
"""

from __future__ import annotations

import marshal
import os
import time
from _blake2 import blake2b

from pydeliver.system.disk import close_quietly, make_private, sync_directory, unlink_quietly, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Record = tuple[str | int, ...]  # its format, then what `was_done` of that format wants: see `Prepared.record`

SIZE_LIMIT = 1 << 20
DAYS = 30  # a journal older than so many is of a message that the mail server has given up by now
_DIGEST_BYTES = 32
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Journal:
    """The journal of one message, by its key; `directory` need not be there."""

    __slots__ = ("_lock", "directory", "key", "path")

    def __init__(self, directory: str, key: str) -> None:
        self.directory = directory
        self.key = key
        self.path = f"{directory}/{key}"
        self._lock = -1

    def claim(self) -> bool:
        """Whether no other process is just delivering this message; it is ours until `release`. Raises OSError.

        A byte of one file is locked, at a place that follows from the key: no file is made for it, and the kernel lets
        go of it when the process ends. Where nothing can be locked (some NFS), nobody is kept out.
        """
        import fcntl

        make_private(self.directory)
        fd = os.open(f"{self.directory}.lock", _LOCK, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(self.key[:15], 16))
        except (BlockingIOError, PermissionError):  # POSIX allows either
            os.close(fd)
            return False
        except OSError:
            pass
        self._lock = fd
        return True

    def release(self) -> None:
        if self._lock >= 0:
            close_quietly(self._lock)
            self._lock = -1

    def read(self) -> tuple[Record, ...]:
        """The destinations of an unfinished transaction; none where there was none."""
        try:
            with open(self.path, "rb") as file:
                data = file.read(SIZE_LIMIT)
        except OSError:
            return ()
        digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if _digest(payload) != digest:  # before it is decoded: `marshal` crashes on damaged bytes
            return ()
        found: tuple[Record, ...] = marshal.loads(payload)
        return found

    def write(self, records: Iterable[Record]) -> None:
        """Decide for these destinations, durably. Raises OSError."""
        make_private(self.directory)
        payload = marshal.dumps(tuple(records))
        write_atomic(self.path, _digest(payload) + payload)

    def finish(self) -> None:
        """The answer is about to be given."""
        self.remove(durable=False)
        self.release()

    def remove(self, *, durable: bool) -> None:
        """The transaction is finished; `durable` where it was undone, so that nobody takes it for done."""
        try:
            os.unlink(self.path)
            if durable:
                sync_directory(self.directory)
        except OSError:  # one too many does no harm: a retry finds everything done, or nothing
            pass


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()


def is_empty(directory: str) -> bool:
    """Whether no transaction is unfinished, which is nearly always so, and costs one look."""
    try:
        return not os.listdir(directory)
    except OSError:
        return True


def sweep(directory: str) -> list[str]:
    """Remove the journals of messages that nobody will try again. Returns their names."""
    removed = []
    for name in os.listdir(directory):
        path = f"{directory}/{name}"
        try:
            if time.time() - os.stat(path).st_mtime > DAYS * 86400:
                unlink_quietly(path)
                removed.append(name)
        except OSError:
            continue
    return removed
