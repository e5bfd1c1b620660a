"""What is remembered of earlier messages: how many with a key came within a time. One SQLite file for each user.

A delivery asks as often as it likes (`count`), and in the end, when all is prepared and nothing is done, takes the
pen (`begin`), which only one delivery has at a time. If by then an answer is no longer true, because another delivery
has written meanwhile, it is told so and judges anew; else its events are written, and stand once it says `commit`.
So two deliveries at once are as good as one after the other, and a delivery that fails has left no trace.

Refuses to make a delivery fail for what it lost: a damaged file is put aside and a new one begun. A file that can't be
written, or that another one holds for longer than PATIENCE, is a `Status` to try again. Keys are kept as digests.
What has run out is forgotten, and so is the oldest beyond EVENTS. Loaded only by rules that ask.
"""

from __future__ import annotations

import os
import sqlite3
from _blake2 import blake2b

from pydeliver.status import Status, deferred
from pydeliver.system.disk import close_quietly, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    Found = TypeVar("Found")
    Question = tuple[str, str, int]  # kind, key, seconds
    Happened = tuple[str, str, int, bool]  # kind, key, seconds it is kept, whether every one counts

NAME, DAMAGED = "memory.sqlite", "memory.damaged"
PATIENCE = 10.0  # seconds for another delivery to put the pen down
EVENTS = 200_000  # of one user; about 20 MB
KEY_BYTES = 16
# `until` ends what is remembered; `at` is when it came, both in seconds since the epoch.
TABLES = """
CREATE TABLE IF NOT EXISTS events (key BLOB NOT NULL, at REAL NOT NULL, until REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_key ON events (key, at);
CREATE INDEX IF NOT EXISTS by_end ON events (until);
"""


class Ledger:
    """The memory of one user, in his state directory, as of the moment `now`; who may `only_look` changes nothing."""

    def __init__(self, directory: str, now: float, only_look: bool = False) -> None:
        self.directory = directory
        self.now = now
        self._only_look = only_look
        self.notes: list[str] = []
        self._file: sqlite3.Connection | None = None
        self._asked: dict[Question, int] = {}

    def count(self, kind: str, key: str, seconds: int) -> int | Status:
        """How many with this key came within so many seconds."""
        if self._only_look and not os.path.exists(f"{self.directory}/{NAME}"):
            return 0
        found = self._tried(lambda file: self._counted(file, (kind, key, seconds)), again=not self._only_look)
        if not isinstance(found, Status):
            self._asked[kind, key, seconds] = found
        return found

    def _counted(self, file: sqlite3.Connection, question: Question) -> int:
        kind, key, seconds = question
        (number,) = file.execute(
            "SELECT count(*) FROM events WHERE key = ? AND at > ? AND until > ?",
            (_digest(kind, key), self.now - seconds, self.now),
        ).fetchone()
        return int(number)

    def begin(self, events: Iterable[Happened]) -> bool | Status:
        """Take the pen and write the events down, without saying so yet; False if an answer has changed meanwhile."""

        def write(file: sqlite3.Connection) -> bool:
            file.execute("BEGIN IMMEDIATE")
            if any([self._counted(file, question) != number for question, number in self._asked.items()]):
                file.execute("ROLLBACK")
                self._asked.clear()
                return False
            for kind, key, seconds, every in events:
                digest = _digest(kind, key)
                if not every:
                    # The time is the longest that any rule has asked for.
                    (kept,) = file.execute("SELECT max(until) FROM events WHERE key = ?", (digest,)).fetchone()
                    file.execute("DELETE FROM events WHERE key = ?", (digest,))
                    seconds = max(seconds, int((kept or 0) - self.now))
                file.execute("INSERT INTO events VALUES (?, ?, ?)", (digest, self.now, self.now + seconds))
            file.execute("DELETE FROM events WHERE until <= ?", (self.now,))
            file.execute("DELETE FROM events WHERE rowid <= (SELECT max(rowid) FROM events) - ?", (EVENTS,))
            return True

        return self._tried(write)

    def commit(self) -> Status | None:
        """Let it stand. Returns what went wrong, and then nothing stands."""

        def stand(file: sqlite3.Connection) -> None:
            try:
                file.execute("COMMIT")
            except sqlite3.Error:
                _unwrite(file)
                raise

        return self._tried(stand, again=False)

    def close(self) -> None:
        """Put the pen down; what was not committed is gone."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tried(self, do: Callable[[sqlite3.Connection], Found], again: bool = True) -> Found | Status:
        """Do something with the file; where that shows that it is damaged, do it with a new one."""
        try:
            return do(self._opened())
        except sqlite3.OperationalError as error:
            self.close()
            return deferred(f"the memory can't be used: {error}", "4.3.0")
        except OSError as error:
            self.close()
            return deferred(f"the memory can't be used: {error.strerror}", "4.3.0")
        except sqlite3.DatabaseError as error:
            self.close()
            if not again:
                return deferred(f"the memory can't be used: {error}", "4.3.0")
        self._put_aside()
        return self._tried(do, again=False)

    def _opened(self) -> sqlite3.Connection:
        if self._file is None and self._only_look:
            self._file = self._seen()
        if self._file is None:
            make_private(self.directory)
            path = f"{self.directory}/{NAME}"
            # The file is private from its first moment on; SQLite gives its companions the same mode.
            close_quietly(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            file = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                file.execute("PRAGMA journal_mode = WAL")
                file.executescript(TABLES)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def _seen(self) -> sqlite3.Connection:
        """The file for looking into it. While no delivery has it open it is not even locked, as that takes writing."""
        from urllib.parse import quote

        path = f"{self.directory}/{NAME}"
        how = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
        return sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=PATIENCE, isolation_level=None)

    def _put_aside(self) -> None:
        """Begin anew; under a lock, so that two deliveries that find the damage put one file aside, and not the new."""
        import fcntl

        lock = os.open(f"{self.directory}/{DAMAGED}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                (said,) = self._opened().execute("PRAGMA quick_check").fetchone()
                if said != "ok":
                    raise sqlite3.DatabaseError(said)
            except sqlite3.DatabaseError:
                self.close()
                for suffix in ("-wal", "-shm", ""):
                    if os.path.lexists(f"{self.directory}/{NAME}{suffix}"):
                        os.replace(f"{self.directory}/{NAME}{suffix}", f"{self.directory}/{DAMAGED}{suffix}")
                self.notes.append(f"the memory was damaged, and is begun anew; the old one is {DAMAGED}")
        finally:
            close_quietly(lock)


def _unwrite(file: sqlite3.Connection) -> None:
    """Write something else over a commit that failed. It may be in the log whole and only not be flushed, and who

    opens the file after the last of us is gone would take it for one that stands.
    """
    try:
        if file.in_transaction:
            file.execute("ROLLBACK")
        file.execute(f"PRAGMA user_version = {int.from_bytes(os.urandom(3))}")
    except sqlite3.Error:  # not flushed either; but written, where anything can be
        pass


def _digest(kind: str, key: str) -> bytes:
    return blake2b(f"{kind}\0{key}".encode("utf-8", "surrogateescape"), digest_size=KEY_BYTES).digest()
