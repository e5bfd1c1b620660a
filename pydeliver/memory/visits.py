"""What the SMTP server remembers from one conversation to the next. One SQLite file, `smtp.sqlite`.

Whom a message was stored for, though it was answered as a whole with "try again": its next try leaves them out. And
who came when, for greylisting (RFC 6647): who is waiting is forgotten after two days without a visit, who has waited
after 36, so that a letter a month waits only once. postgrey has such times too.

Keys are kept as digests, and no more than ROWS in a table, of which the oldest go first; strangers push out strangers,
never who has waited. Refuses to hold up mail for what it lost: a damaged file is put aside and a new one begun, and
greylisting that can't look anybody up lets everybody in. Only what would become a second copy is a `Status`.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import sqlite3
import stat
import threading
from contextlib import contextmanager
from hashlib import blake2b

from pydeliver.memory import tell_syslog
from pydeliver.memory.ledger import PATIENCE
from pydeliver.status import Status, deferred
from pydeliver.system.disk import CREATE, close_quietly, make_private, names_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    Found = TypeVar("Found")

NAME, DAMAGED = "smtp.sqlite", "smtp.damaged"
DAY = 86_400.0  # seconds
KEPT = 5 * DAY  # as long as mail servers try (RFC 5321 4.5.4.1)
WAITING, WELCOME = 2 * DAY, 36 * DAY
ROWS = 200_000  # of a table; about 15 MB
KEY_BYTES = 16
# `first` and `seen` are in seconds since the epoch.
TABLES = "".join(
    [
        f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, first REAL NOT NULL, seen REAL NOT NULL);"
        f"CREATE INDEX IF NOT EXISTS {table}_by_visit ON {table} (seen);"
        for table in ("done", "waiting", "welcome")
    ]
)


class Visits:
    """The memory in one directory, for all threads of a server."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._path = f"{directory}/{NAME}"
        self._lock = threading.Lock()  # over the connection, and over what is known of the file
        self._file: sqlite3.Connection | None = None
        self._identity = (0, 0)  # of the file
        self._has_any: bool | None = None

    # -- whom a message was stored for --------------------------------------------------------------------------

    @property
    def has_any(self) -> bool:
        """Whether this server, or one that was there when it began, ever remembered a message. Where that can't be

        told, `done` will tell why.
        """
        if self._has_any is None:

            def look(file: sqlite3.Connection) -> None:
                if self._has_any is None:  # nobody has remembered one meanwhile
                    self._has_any = file.execute("SELECT 1 FROM done LIMIT 1").fetchone() is not None

            if not os.path.lexists(self._path):
                with self._lock:
                    self._has_any = self._has_any or False
            elif self._tried(look) is not None:
                return True
        return bool(self._has_any)

    def done(self, digest: bytes, recipients: Sequence[str], now: float) -> set[str] | Status:
        """Who of the recipients has this message. The digest is the caller's, of its sender and its text."""

        def look(file: sqlite3.Connection) -> set[str]:
            asked = "SELECT 1 FROM done WHERE key = ? AND seen > ?"
            keys = {one: _key(digest) + _key(digest, one) for one in recipients}
            return {one for one, key in keys.items() if file.execute(asked, (key, now - KEPT)).fetchone()}

        return self._tried(look)

    def remember_done(self, digest: bytes, recipients: Iterable[str], now: float) -> Status | None:
        """These have it now, and that is on the disk; or what went wrong."""
        keys = [_key(digest) + _key(digest, one) for one in recipients]

        def write(file: sqlite3.Connection) -> None:
            self._has_any = True  # also where the commit fails: it may be there all the same, and it is true
            with _pen(file, "FULL"):
                file.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?)", [(key, now, now) for key in keys])
                _forget(file, "done", now - KEPT)

        return self._tried(write) if keys else None

    def forget_done(self, digest: bytes) -> None:
        """All have it now: the next that is like it, byte for byte, is another message."""
        first = _key(digest)

        def write(file: sqlite3.Connection) -> None:
            with _pen(file, "FULL"):  # else a crash could bring back what makes that message go unstored
                file.execute("DELETE FROM done WHERE key > ? AND key < ?", (first, first + b"\xff" * (KEY_BYTES + 1)))

        self._tried(write)

    # -- who came when ------------------------------------------------------------------------------------------

    def greeted(self, triplet: tuple[str, str, str], now: float) -> float:
        """For how many seconds this network, sender and recipient are known: 0.0 for strangers, from now on known.

        Infinity where nobody can tell.
        """
        key = _key(b"", *triplet)

        def look(file: sqlite3.Connection) -> float:
            asked = "SELECT first FROM welcome WHERE key = ? AND seen > ? AND first <= ?"
            row = file.execute(asked, (key, now - WELCOME, now)).fetchone()
            if row is None:
                row = _met(file, key, now)
            return now - float(row[0])

        found = self._tried(look)
        return math.inf if isinstance(found, Status) else found

    def welcomed(self, triplet: tuple[str, str, str], now: float) -> None:
        """It has waited for long enough. To be said at each visit; it is noted once a day."""
        key = _key(b"", *triplet)

        def write(file: sqlite3.Connection) -> None:
            known = file.execute("SELECT first, seen FROM welcome WHERE key = ?", (key,)).fetchone()
            if known is not None and now - DAY < known[1] <= now:
                return
            with _pen(file, "NORMAL"):
                waited = file.execute("SELECT first FROM waiting WHERE key = ?", (key,)).fetchone()
                first = min([row[0] for row in (known, waited) if row is not None] + [now])
                file.execute("INSERT OR REPLACE INTO welcome VALUES (?, ?, ?)", (key, first, now))
                file.execute("DELETE FROM waiting WHERE key = ?", (key,))
                _forget(file, "welcome", now - WELCOME)

        self._tried(write)

    # -- the file -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file. It is opened again where something is asked."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tried(self, do: Callable[[sqlite3.Connection], Found]) -> Found | Status:
        """Do something with the file; where that shows that it is damaged, do it once more with a new one."""
        with self._lock:
            try:
                try:
                    return do(self._opened())
                except sqlite3.OperationalError:  # locked, full, or not to be written
                    raise
                except sqlite3.DatabaseError as error:
                    self._put_aside(error)
                    return do(self._opened())
            except (sqlite3.Error, OSError) as error:
                self._close()
                text = f"what SMTP remembers can't be used: {(isinstance(error, OSError) and error.strerror) or error}"
                tell_syslog(text)
                return deferred(text, "4.3.0")

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            make_private(self.directory)
            # The file is private from its first moment on; SQLite gives its companions the same mode. One that is there
            # is not opened: to close it would take their locks from other connections of this process (fcntl(2)).
            try:
                close_quietly(os.open(self._path, CREATE, 0o600))
            except FileExistsError:
                pass
            entry = os.lstat(self._path)
            if not stat.S_ISREG(entry.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", self._path)
            self._identity = entry.st_dev, entry.st_ino
            file = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                file.execute("PRAGMA journal_mode = WAL")
                file.executescript(TABLES)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        """Make room for a new file; under a lock, so that of two processes the second leaves the first one's alone."""
        self._close()
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if not names_file(NAME, directory, self._identity):
                return
            for suffix in ("-wal", "-shm", ""):
                if os.path.lexists(f"{self._path}{suffix}"):
                    os.replace(f"{self._path}{suffix}", f"{self.directory}/{DAMAGED}{suffix}")
        finally:
            close_quietly(directory)
        tell_syslog(f"what SMTP remembers is damaged ({error}), and is begun anew; the old file is {DAMAGED}")


@contextmanager
def _pen(file: sqlite3.Connection, synchronous: str) -> Iterator[None]:
    """One transaction, flushed before it ends (FULL), or when that is convenient (NORMAL). One that fails is undone

    when the file is closed for it (`_tried`).
    """
    file.execute(f"PRAGMA synchronous = {synchronous}")
    file.execute("BEGIN IMMEDIATE")
    yield
    file.execute("COMMIT")


def _met(file: sqlite3.Connection, key: bytes, now: float) -> tuple[float]:
    """Since when somebody is waiting, who is here now."""
    with _pen(file, "NORMAL"):
        # A first visit that is yet to come was noted by a clock that was wrong.
        file.execute(
            "INSERT INTO waiting VALUES (:key, :now, :now) ON CONFLICT (key) DO UPDATE SET"
            " first = CASE WHEN seen > :gone AND first <= :now THEN first ELSE :now END, seen = :now",
            {"key": key, "now": now, "gone": now - WAITING},
        )
        _forget(file, "waiting", now - WAITING)
        first: tuple[float] = file.execute("SELECT first FROM waiting WHERE key = ?", (key,)).fetchone()
    return first


def _forget(file: sqlite3.Connection, table: str, gone: float) -> None:
    """What was not seen for too long, and what is too much, in the order in which it was written: clocks go wrong."""
    file.execute(f"DELETE FROM {table} WHERE seen <= ?", (gone,))
    too_many = f"SELECT rowid FROM {table} ORDER BY rowid LIMIT max(0, (SELECT count(*) FROM {table}) - ?)"
    file.execute(f"DELETE FROM {table} WHERE rowid IN ({too_many})", (ROWS,))


def _key(digest: bytes, *words: str) -> bytes:
    said = "\0".join(words).encode("utf-8", "surrogatepass")
    return blake2b(digest + b"\0" + said, digest_size=KEY_BYTES).digest()
