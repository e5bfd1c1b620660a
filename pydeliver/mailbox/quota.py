"""The quota of a Maildir, as the file `maildirsize` in it says.

Owns reading, summing, renewing and extending that file. Refuses to invent a quota: without the file there is none,
and a file that cannot be understood or renewed limits nothing. Maildir++ specification, "Maildir++ quotas": the first
line is the limit (`10000000S,1000C`), each further line a change (`bytes messages`); the sum is only believed to be
over the limit when the file is fresh; what is in Trash, or flagged T, does not count.
"""

from __future__ import annotations

import os
import stat

from pydeliver.system.disk import write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.mailbox.names import Location

FILE = "maildirsize"
READ_LIMIT = 64 << 10
DIGITS = 18  # of a limit that is believed
RENEW_BYTES = 5120  # the specification's own figures
RENEW_SECONDS = 15 * 60
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def is_exempt(location: Location) -> bool:
    return location.parts in ((".Trash",), ("Trash",))


def has_room(base: str, size: int, count: int, now: float) -> bool:
    """Whether `count` messages of `size` bytes in all still fit the Maildir at `base`."""
    path = f"{base}/{FILE}"
    try:
        fd = os.open(path, _READ)
    except OSError:
        return True
    try:
        entry = os.fstat(fd)
        lines = os.read(fd, READ_LIMIT).split(b"\n") if stat.S_ISREG(entry.st_mode) else []
    except OSError:
        return True
    finally:
        os.close(fd)
    limits = _limits(lines[0]) if lines else {}
    if not limits:
        return True
    used = _sum(lines[1:])
    stale = used is None or entry.st_size > RENEW_BYTES
    if used is not None and not _fits(limits, used, size, count):
        stale = stale or len([line for line in lines[1:] if line]) > 1 or now - entry.st_mtime > RENEW_SECONDS
    if stale:
        used = _renew(base, path, lines[0], stat.S_IMODE(entry.st_mode))
    return used is None or _fits(limits, used, size, count)


def record(base: str, size: int, count: int) -> None:
    """Add a change to the file; readers mend the sum, so a change that cannot be written is let go."""
    try:
        fd = os.open(f"{base}/{FILE}", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d %d\n" % (size, count))
        finally:
            os.close(fd)
    except OSError:
        pass


def _limits(line: bytes) -> dict[str, int]:
    """`10000000S,1000C` as {"S": 10000000, "C": 1000}; 0 is no limit, an unknown letter is passed over."""
    limits = {}
    for item in line.strip().split(b","):
        number, letter = item[:-1], item[-1:].decode("ascii", "replace")
        if letter in ("S", "C") and number.isdigit() and len(number) <= DIGITS and int(number) > 0:
            limits[letter] = int(number)
    return limits


def _sum(lines: list[bytes]) -> tuple[int, int] | None:
    """Bytes and messages in all, or None when a line is not what it should be."""
    size = count = 0
    for line in lines:
        fields = line.split()
        if not fields:
            continue
        try:
            size, count = size + int(fields[0]), count + int(fields[1])
        except (ValueError, IndexError):
            return None
    return size, count


def _fits(limits: dict[str, int], used: tuple[int, int], size: int, count: int) -> bool:
    return used[0] + size <= limits.get("S", used[0] + size) and used[1] + count <= limits.get("C", used[1] + count)


def _renew(base: str, path: str, header: bytes, mode: int) -> tuple[int, int] | None:
    """Count what is really there and write the file anew; None when it cannot be counted."""
    try:
        directories = _directories(base)
        before = [os.stat(directory).st_mtime_ns for directory in directories]
        size = count = 0
        for directory in directories:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name[0] != "." and not _is_trashed(entry.name):
                        size, count = size + _size(entry), count + 1
        after = [os.stat(directory).st_mtime_ns for directory in directories]
    except OSError:
        return None
    if before == after:  # else a delivery came in between, and the next who is in doubt counts again
        try:
            write_atomic(path, header.rstrip() + b"\n%d %d\n" % (size, count), mode=mode, sync=False)
        except OSError:
            pass
    return size, count


def _directories(base: str) -> list[str]:
    """`cur` and `new` of the Maildir and of its folders in either layout, Trash left out; links are not followed."""
    found = []
    pending = [base]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name in ("cur", "new"):
                        found.append(entry.path)
                    elif entry.name != "tmp" and entry.path not in (f"{base}/.Trash", f"{base}/Trash"):
                        pending.append(entry.path)
    return found


def _is_trashed(name: str) -> bool:
    return "T" in name.partition(":2,")[2]


def _size(entry: os.DirEntry[str]) -> int:
    """The size that the name tells, else the file's."""
    told = entry.name.partition(":")[0].partition(",S=")[2].partition(",")[0]
    return int(told) if told.isdecimal() else entry.stat(follow_symlinks=False).st_size
