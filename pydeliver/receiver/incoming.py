"""A message on its way in: in memory while it is small, in a file without a name when it is large.

The file belongs to the server alone; a worker gets it for reading only, and with a place of its own in it.
"""

from __future__ import annotations

import os
import tempfile

from pydeliver.status import Status
from pydeliver.system.disk import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

DIRECTORY = "/var/tmp"  # /tmp may be in memory
HELD = 64 << 10  # bytes in memory; there may be as many messages as there are clients


class Incoming:
    """`problem` is why the message could not be taken, once that is so; what comes then is forgotten."""

    __slots__ = ("_file", "_held", "_pieces", "problem")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self.problem: Status | None = None

    def add(self, piece: bytes) -> bool:
        """Take the next piece. Whether `flush` is to be called before the next one."""
        if self.problem is None:
            self._pieces.append(piece)
        self._held += len(piece)
        return self._held > HELD

    def flush(self) -> None:
        """Put what is in memory into the file. Waits for the disk: not for an event loop."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=DIRECTORY, buffering=0)  # noqa: SIM115 - lives on
            for piece in self._pieces:
                view = memoryview(piece)
                while view:
                    view = view[self._file.write(view) :]
        except OSError as error:
            self.problem = failure(error, "receiving the message")
        self._pieces.clear()
        self._held = 0

    @property
    def is_large(self) -> bool:
        return self._file is not None

    @property
    def text(self) -> bytes:
        """What is in memory: all of a small message, nothing of a large one that was flushed."""
        return b"".join(self._pieces)

    def chunks(self) -> Iterator[bytes]:
        """The message from its beginning, piece by piece. Waits for the disk where it is large. Raises OSError."""
        if self._file is None:
            yield from self._pieces
            return
        with open(self.open(), "rb") as file:
            while piece := file.read(HELD):
                yield piece

    def open(self) -> int:
        """A descriptor for reading a large message from its beginning; the caller closes it. Raises OSError."""
        assert self._file is not None
        return os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
