"""The message at hand: read from a descriptor to its end, in memory while it is small, in a file when it is large.

Owns `Held` and the only reading of standard input. Refuses to stop early: whatever fails, the input is read to its
end, because an MTA that cannot write its message takes that for the failure. Memory stays below a few times
`HOLD_LIMIT` for a message of any size.
"""

from __future__ import annotations

import errno
import os
import time

from pydeliver.status import Status
from pydeliver.system.disk import CREATE, close_quietly, failure, unlink_quietly, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HOLD_LIMIT = 256 << 10  # how much of a message is kept in memory before it goes to a spool file
CHUNK = 64 << 10  # one read; also what a pipe holds


class Held:
    """One received message, in memory or in a spool file, without its first `skip` bytes (a leading From_ line).

    `path` names the spool file, or is None. `size` and `read` count from behind the skipped bytes. Made empty
    and filled by `receive` or piece by piece, so that whoever made it can `remove` it, whatever interrupts.
    """

    __slots__ = ("_data", "_fd", "_pieces", "_total", "path", "skip")

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self._pieces: list[bytes] = []
        self._fd = -1
        self._total = len(data)
        self.path: str | None = None
        self.skip = 0

    @property
    def size(self) -> int:
        return self._total - self.skip

    @property
    def descriptor(self) -> int:
        """The spool file's descriptor, -1 without one."""
        return self._fd

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the message."""
        start = self.skip + offset
        if self._fd < 0:
            return self._data[start : start + length]
        data = os.pread(self._fd, length, start)
        wanted = min(length, self._total - start)
        while len(data) < wanted:
            more = os.pread(self._fd, wanted - len(data), start + len(data))
            if not more:
                raise OSError(errno.EIO, "the spool file became shorter", self.path)
            data += more
        return data

    def remove(self) -> None:
        """Forget the message: close and remove the spool file. Links to it in mailboxes stay."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1
        if self.path is not None:
            unlink_quietly(self.path)
            self.path = None

    def receive(
        self, fd: int, beginning: bytes = b"", *, spool_dir: str | Callable[[], str | Status], hold: int = HOLD_LIMIT
    ) -> Status | None:
        """Read a message to its end: up to `hold` bytes stay in memory, more goes to a new file in `spool_dir`.

        It is `beginning` and what can be read from `fd`; nothing can where that is -1. Returns what went wrong; then,
        as on an exception, `remove` leaves no trace.
        """
        try:
            problem = self.add(beginning, spool_dir=spool_dir, hold=hold)
            if fd >= 0 and problem is None:
                os.set_blocking(fd, True)
                while problem is None and (piece := os.read(fd, CHUNK)):
                    problem = self.add(piece, spool_dir=spool_dir, hold=hold)
            self.finish()
        except OSError as error:
            problem = failure(error, "receiving the message")
        if problem is not None and fd >= 0:
            drain(fd)
        return problem

    def add(
        self, piece: bytes, *, spool_dir: str | Callable[[], str | Status], hold: int = HOLD_LIMIT
    ) -> Status | None:
        """Take the next piece of the message. Returns what went wrong, or raises OSError."""
        if self._fd >= 0:
            write_all(self._fd, piece)
            self._total += len(piece)
            return None
        self._pieces.append(piece)
        self._total += len(piece)
        if self._total <= hold:
            return None
        directory = spool_dir if isinstance(spool_dir, str) else spool_dir()
        if not isinstance(directory, str):
            return directory
        # The name is known before the file is there: an interruption right behind the call loses no track of it.
        self.path = os.path.join(directory, f"{int(time.time())}.P{os.getpid()}R{os.urandom(8).hex()}.spool")
        self._fd = os.open(self.path, CREATE, 0o600)
        for one in self._pieces:
            write_all(self._fd, one)
        self._pieces.clear()
        return None

    def finish(self) -> None:
        """That was all of it: from here on it can be read."""
        if self._fd < 0:
            self._data = b"".join(self._pieces)
            self._pieces.clear()


def drain(fd: int) -> None:
    """Read `fd` to its end and forget what it says."""
    try:
        os.set_blocking(fd, True)
        while os.read(fd, CHUNK):
            pass
    except OSError:  # nothing more can be had
        pass
