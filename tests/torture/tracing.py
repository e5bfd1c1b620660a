"""The system calls of a delivery, and strace's ways to make one of them fail or be the last.

strace counts the calls of a name from the start of each process, so a point is a name and a number. pydeliver is
traced from its interpreter's first call on; its launcher's shell is not. A rival is traced from where its libraries
are loaded: before that no program can answer for itself.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.torture.agents import Place

CALL = re.compile(r"(?:(\d+) +)?(\w+)\(")
FILE_CALLS = frozenset(
    "access chdir chmod close copy_file_range dup dup2 dup3 faccessat faccessat2 fallocate fchmod fchmodat fchown "
    "fchownat fcntl fdatasync flock fstat fsync ftruncate getcwd getdents64 ioctl link linkat lseek lstat mkdir "
    "mkdirat newfstatat open openat openat2 pread64 pwrite64 read readlink readlinkat readv rename renameat renameat2 "
    "rmdir sendfile stat statfs statx symlink symlinkat umask unlink unlinkat utimensat write writev".split()
)
Point = tuple[str, int]


def trace(place: Place, message: bytes) -> list[Point]:
    """Every call of one delivery, in order."""
    log = place.home.path / "trace"
    place.deliver(message, strace=[*follow(place), "-qq", "-o", str(log)])
    calls = [(int(found[1] or 0), found[2]) for line in log.read_text().splitlines() if (found := CALL.match(line))]
    place.reset()
    loading = place.agent != "pydeliver"
    seen: Counter[tuple[int, str]] = Counter()
    points: dict[Point, None] = {}  # in order; processes of one delivery share points
    for process, name in calls:
        seen[process, name] += 1
        if not loading:
            points[name, seen[process, name]] = None
        elif name == "munmap":  # the list of libraries
            loading = False
    return list(points)


def follow(place: Place) -> list[str]:
    """strace's word for all processes of a delivery, unless some are another program's, which answers for itself."""
    return [] if place.form == "programs" else ["-f"]


def matters(point: Point) -> bool:
    """Whether a call changes something on the disk, or locks it."""
    words = ("write", "sync", "link", "rename", "truncate", "flock", "mkdir")
    return any(word in point[0] for word in words)


def inject(place: Place, point: Point, what: str) -> list[str]:
    """Options of strace that do something to a point; `what` is its word for it, with `when=` at the end."""
    name, number = point
    rule = f"inject={name}:{what.format(number)}"
    return [*follow(place), "-q", "-o", str(log(place)), "-e", f"trace={name}", "-e", rule]


def log(place: Place) -> Path:
    return place.home.path / "injected"


def happened(place: Place) -> bool:
    """Whether the last delivery got to its point."""
    try:
        said = log(place).read_text()
    except FileNotFoundError:
        return False
    finally:
        log(place).unlink(missing_ok=True)
    return "INJECTED" in said or "killed by SIGKILL" in said
