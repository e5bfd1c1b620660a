"""The quarantine: a Maildir in the state directory, outside of all mailboxes, for what rules discard.

Owns its place, the names by which messages in it are called, and what has to leave it: what has been there for long
enough, and the oldest where it is too large. Each discard looks after that when it is done. What is stored there is
stored as in any Maildir, and any mail reader can open it. A name tells time and size (`1715776496.…,S=4711,…`), so a
look at the directory is enough; of a file that somebody else put there, the file itself tells.
"""

from __future__ import annotations

import os
from _blake2 import blake2b

from pydeliver.mailbox.names import Location, Store
from pydeliver.status import Value
from pydeliver.system.disk import make_private

NAME = "quarantine"
LARGEST = 25 << 20  # bytes of one message; of a larger one its header is kept
SWEPT = 1000  # messages whose time is over that one delivery removes
ID_BYTES = 8


class Entry(Value):
    """One message in the quarantine: its file, when it came (seconds since the epoch), and the size of the file."""

    moment: float
    path: str
    size: int

    @property
    def id(self) -> str:
        """A name that stays while mail readers mark and move the message."""
        unique = os.path.basename(self.path).partition(":")[0].partition(",")[0]
        return blake2b(os.fsencode(unique), digest_size=ID_BYTES).hexdigest()


def directory(state: str) -> str:
    return f"{state}/{NAME}"


def place(store: Store, state: str) -> Location:
    """Where a message goes that is discarded, as mailboxes have it; the directory is made. Raises OSError."""
    make_private(directory(state))
    return Location(store, NAME, directory(state))


def entries(directory: str) -> list[Entry]:
    """What is in the quarantine, oldest first. Raises OSError."""
    return sorted([Entry(_moment(stamp), path, size) for stamp, path, size in _found(directory)], key=_age)


def _age(entry: Entry) -> tuple[float, str]:
    return entry.moment, entry.path


def _found(directory: str) -> list[tuple[str, str, int]]:
    """What is there as (text that begins with the time in ten digits, path, size), in the order of seconds."""
    found = []
    for part in ("new", "cur"):
        folder = f"{directory}/{part}"
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        for name in names:
            size = name.partition(",S=")[2].partition(",")[0]
            if size.isdecimal() and name[:10].isdecimal() and name[10:11] == ".":
                found.append((name, f"{folder}/{name}", int(size)))
            elif name[0] != ".":
                found += _judged(f"{folder}/{name}")
    found.sort()
    return found


def _judged(path: str) -> list[tuple[str, str, int]]:
    """The same of a file whose name does not tell, if it is still there."""
    try:
        told = os.lstat(path)
    except FileNotFoundError:
        return []
    return [(f"{max(0, int(told.st_mtime)):010}.", path, told.st_size)]


def _moment(stamp: str) -> float:
    micro = stamp[12:].partition("P")[0] if stamp[11:12] == "M" else ""
    return int(stamp[:10]) + (int(micro) / 1e6 if micro.isdecimal() else 0)


def sweep(state: str, seconds: int, limit: int, now: float, spared: tuple[str, ...] = ()) -> str:
    """Remove what came more than `seconds` ago, and the oldest of what is more than `limit` bytes, but not `spared`.

    Returns a line for the log, or "". What can't be removed now is removed with a later discard.
    """
    removed, problem = 0, ""
    try:
        found = _found(directory(state))
        total = sum([size for _, _, size in found])
        for stamp, path, size in found:
            if total <= limit and (_moment(stamp) > now - seconds or removed >= SWEPT):
                break
            if path not in spared:
                removed += take_out(path)
                total -= size
    except OSError as error:
        problem = f"the quarantine can't be cleared: {error.strerror}"
    told = f"old mail removed from the quarantine: {removed}" if removed else ""
    return "; ".join([text for text in (told, problem) if text])


def take_out(path: str) -> bool:
    """Remove a message; whether it was still there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:  # another process was faster
        return False
    return True
