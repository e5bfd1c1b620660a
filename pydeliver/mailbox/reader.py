"""Messages that are already somewhere, one after another: a Maildir, an mbox, a folder of files, a single file.

Owns reading for rehearsals; writes nothing, locks nothing, and never holds more than a line and a chunk, whatever
the size of a mailbox. Refuses what is neither a regular file nor a directory. mbox: a line `From …` at the start or
after an empty line begins a message (RFC 4155), and one `>` is taken from each `>From ` (the quoting of `mboxrd`).
"""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_left

from pydeliver.mailbox.mboxrd import standing
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Protocol

    class Source(Protocol):
        """As `mail.Message` reads one."""

        @property
        def size(self) -> int: ...

        def read(self, offset: int, length: int) -> bytes: ...


LINE = 64 << 10  # a longer line is read in pieces


class Entry(Value):
    """One message: `label` says where it was found, `size` and `read` are as `mail.Message` wants its source.

    `source` can be read while the iteration that gave it stands at this entry. `from_line` stood above it in an mbox.
    """

    label: str
    source: Source
    from_line: bytes = b""


class Part:
    """The bytes of an open file from `start` to `end` without those at `cuts`, which are in order."""

    __slots__ = ("_cuts", "_end", "_fd", "_start", "size")

    def __init__(self, fd: int, start: int, end: int, cuts: array[int] | None = None) -> None:
        self._fd, self._start, self._end = fd, start, end
        # Where each cut stands in what is left: the bytes before it, without the cuts before it.
        self._cuts = array("Q", [cut - start - index for index, cut in enumerate(cuts or ())])
        self.size = end - start - len(self._cuts)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end."""
        stop = min(offset + length, self.size)
        if offset >= stop:
            return b""
        first, last = bisect_left(self._cuts, offset + 1), bisect_left(self._cuts, stop)
        pieces = []
        for index in range(first, last + 1):
            edge = self._cuts[index] if index < last else stop
            pieces.append(_pread(self._fd, edge - offset, self._start + offset + index))
            offset = edge
        return b"".join(pieces)


def entries(path: str, *, subfolders: bool = False) -> Iterator[Entry]:
    """The messages at `path`: of a Maildir (`new` then `cur`), an mbox, each file of another directory, or one file.

    `subfolders`: those of the folders in a Maildir too. Raises OSError.
    """
    if not os.path.isdir(path):
        yield from _file(path)
    elif _is_maildir(path):
        yield from _maildir(path)
        if subfolders:
            for folder in _folders(path):
                yield from _maildir(folder)
    else:
        for name in sorted(os.listdir(path)):
            place = os.path.join(path, name)
            if not name.startswith(".") and os.path.isfile(place):
                yield from _file(place)


def _is_maildir(path: str) -> bool:
    return os.path.isdir(os.path.join(path, "cur")) and os.path.isdir(os.path.join(path, "new"))


def _maildir(path: str) -> Iterator[Entry]:
    for part in ("new", "cur"):
        folder = os.path.join(path, part)
        for name in sorted(os.listdir(folder)):
            if name.startswith("."):
                continue
            try:
                yield from _single(os.path.join(folder, name))
            except FileNotFoundError:  # a mail reader moved or removed it meanwhile
                continue


def _folders(path: str) -> list[str]:
    """The Maildirs below a Maildir, in either layout; links are not followed."""
    found = []
    pending = [path]
    while pending:
        with os.scandir(pending.pop()) as inside:
            for entry in inside:
                if entry.is_dir(follow_symlinks=False) and entry.name not in ("cur", "new", "tmp"):
                    pending.append(entry.path)
                    if _is_maildir(entry.path):
                        found.append(entry.path)
    return sorted(found)


def _file(path: str) -> Iterator[Entry]:
    """An mbox if the file begins with a From_ line, else one message."""
    with _opened(path) as file:
        if file.read(5) == b"From ":
            file.seek(0)
            yield from _mbox(path, file)
            return
    yield from _single(path)


def _single(path: str) -> Iterator[Entry]:
    with _opened(path) as file:
        yield Entry(path, Part(file.fileno(), 0, os.fstat(file.fileno()).st_size))


def _opened(path: str) -> BinaryIO:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is not a regular file")
    return open(fd, "rb")


def _mbox(path: str, file: BinaryIO) -> Iterator[Entry]:
    """Split at From_ lines; the empty line before one belongs to the format, not to the message."""
    number, start, cuts, from_line = 0, 0, array("Q"), b""
    at, empty, line_begins = 0, 0, True  # `empty`: the length of the empty line just before `at`
    rest, fresh = b"", True  # where `standing` is in the message
    while line := file.readline(LINE):
        if line_begins and line.startswith(b"From ") and (at == 0 or empty):
            if number:
                yield Entry(f"{path}:{number}", Part(file.fileno(), start, at - empty, cuts), from_line)
            number, cuts, from_line = number + 1, array("Q"), line
            while not line.endswith(b"\n") and (more := file.readline(LINE)):
                at, line = at + len(line), more
            start = at + len(line)
            empty, rest, fresh = 0, b"", True
        else:
            if rest or b">From " in line or not line.endswith(b"\n"):
                places, seen, fresh = standing(b">From ", rest + line, fresh)
                cuts.extend([at - len(rest) + place for place in places])
                rest = (rest + line)[seen:]
            else:
                fresh = True
            empty = len(line) if line_begins and line in (b"\n", b"\r\n") else 0
        at += len(line)
        line_begins = line.endswith(b"\n")
    yield Entry(f"{path}:{number}", Part(file.fileno(), start, max(start, at - empty), cuts), from_line)


def _pread(fd: int, length: int, offset: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(fd, length, offset)):
        pieces.append(piece)
        length -= len(piece)
        offset += len(piece)
    return b"".join(pieces)
