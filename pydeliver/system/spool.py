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
    from collections.abc import Callable, Iterator

HOLD_LIMIT = 256 << 10  # how much of a message is kept in memory before it goes to a spool file
CHUNK = 64 << 10  # one read; also what a pipe holds


class Held:
    """One received message, in memory or in a spool file, without its first `skip` bytes (a leading From_ line).

    `path` names the spool file, or is None. `size`, `read` and `chunks` count from behind the skipped bytes.
    """

    __slots__ = ("_data", "_fd", "_total", "path", "skip")

    def __init__(self, data: bytes, *, fd: int = -1, total: int | None = None, path: str | None = None) -> None:
        self._data = data
        self._fd = fd
        self._total = len(data) if total is None else total
        self.path = path
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

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on, in pieces that fit memory."""
        while offset < self.size:
            yield self.read(offset, CHUNK)
            offset += CHUNK

    def remove(self) -> None:
        """Forget the message: close and remove the spool file. Links to it in mailboxes stay."""
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1
        if self.path is not None:
            unlink_quietly(self.path)
            self.path = None


def receive(fd: int, *, spool_dir: str | Callable[[], str | Status], hold: int = HOLD_LIMIT) -> Held | Status:
    """Read a message to its end. Up to `hold` bytes stay in memory, more goes to a new file in `spool_dir`."""
    try:
        os.set_blocking(fd, True)
        pieces: list[bytes] = []
        total = 0
        while total <= hold:
            piece = os.read(fd, CHUNK)
            if not piece:
                return Held(b"".join(pieces))
            pieces.append(piece)
            total += len(piece)
        directory = spool_dir if isinstance(spool_dir, str) else spool_dir()
        if isinstance(directory, str):
            return _spool(fd, pieces, directory)
        drain(fd)
        return directory
    except OSError as error:
        drain(fd)
        return failure(error, "receiving the message")


def _spool(fd: int, pieces: list[bytes], directory: str) -> Held:
    """Write `pieces` and the rest of `fd` to a file that nobody else can open; no trace of it on failure."""
    path = os.path.join(directory, f"{int(time.time())}.P{os.getpid()}R{os.urandom(8).hex()}.spool")
    out = os.open(path, CREATE, 0o600)
    try:
        total = 0
        for piece in pieces:
            write_all(out, piece)
            total += len(piece)
        pieces.clear()
        while piece := os.read(fd, CHUNK):
            write_all(out, piece)
            total += len(piece)
    except BaseException:
        unlink_quietly(path)
        close_quietly(out)
        raise
    return Held(b"", fd=out, total=total, path=path)


def drain(fd: int) -> None:
    """Read `fd` to its end and forget what it says."""
    try:
        while os.read(fd, CHUNK):
            pass
    except OSError:  # nothing more can be had
        pass
