"""Files as far as they can hurt: which may be trusted, and how bytes reach a disk for good.

Owns the judgement of files that steer deliveries (`read_trusted`) and of directories that are written to
(`enter_directory`), and durable writing. Refuses to follow other people's links, to open what is not a regular file,
and to believe a name where a descriptor can be asked. Every failure of the operating system that ends a delivery
becomes a `Status` here, by `failure`.
open(2), fsync(2), POSIX.1-2017; RELIABILITY: who may write a rule file can read and redirect the user's mail.
"""

from __future__ import annotations

import errno
import os
import stat

from pydeliver.status import Status, Value, deferred

RULE_FILE_LIMIT = 1 << 20
LINK_LIMIT = 40  # as the kernel's own MAXSYMLINKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Mark = tuple[str, tuple[int, ...]]  # a place, and what lstat(2) said of it

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

# RFC 3463: X.2.2 mailbox full, X.3.1 mail system full; whatever else an operating system says is X.3.0.
_CODES = {errno.EDQUOT: "4.2.2", errno.ENOSPC: "4.3.1", errno.EFBIG: "4.3.1"}


def failure(error: OSError, what: str) -> Status:
    """Say `what` could not be done and why; always "try again", because no such failure is the sender's fault."""
    return deferred(f"{what}: {error.strerror or error}", _CODES.get(error.errno or 0, "4.3.0"))


# -- trust ------------------------------------------------------------------------------------------------------


class Trusted(Value):
    """A file that only its user or root can have written, read whole: `path` as asked for, and what identifies it."""

    path: str
    data: bytes
    mtime_ns: int
    owner: int


class Distrust(Value):
    """Why a file is not used. `path` is the file, directory or link at fault, `repair` a shell command or "".

    `kind` is one of absent, not-regular, owner, world-writable, group-writable, parent-owner, parent-world-writable,
    parent-group-writable, link-owner, too-large, unreadable, changing.
    """

    path: str
    kind: str
    text: str
    repair: str = ""


def read_trusted(
    path: str, *, uid: int, home: str, limit: int = RULE_FILE_LIMIT, marks: list[Mark] | None = None
) -> Trusted | Distrust:
    """Read the file at the absolute `path` if nobody but user `uid` and root can have put it there or changed it.

    File and directories must belong to the user or root, and be writable by neither everyone nor a group, unless it
    is the user's private one. One like /tmp, root's and sticky, may hold such a directory, but not the file itself.
    Directories are judged up to and including `home`, or to the root for a path outside it. A link is followed if its
    owner is the user or root and the way to its target holds to the same rule. The way is judged before the file is
    opened; after that only the judged can change it. What the judgement went by is added to `marks`.
    """
    try:
        way = _judge_way(path, uid, home, [] if marks is None else marks)
        if isinstance(way, Distrust):
            return way
        place, entry = way
        return _judge_file(place, entry, uid, limit) or _read(path, place, uid, limit)
    except FileNotFoundError:
        return Distrust(path, "absent", f"{path} does not exist")
    except OSError as error:
        repair = f"chmod {_whose(path)}+r {shell_word(path)}" if error.errno == errno.EACCES else ""
        return Distrust(path, "unreadable", f"{path} cannot be read: {error.strerror}", repair)
    except ValueError:  # a NUL, or a character that no file name can hold
        return Distrust(path, "unreadable", f"{path!r} cannot be the name of a file")


def _whose(path: str) -> str:
    """Whose right to read is missing, as chmod(1) says it: ours, or everybody's for another's file."""
    try:
        return "u" if os.stat(path).st_uid == os.geteuid() else "a"
    except OSError:  # behind a directory that is closed
        return "u"


def are_as_marked(marks: Sequence[Mark]) -> bool:
    """Whether nothing has changed by which files were read and judged: then both would come out the same."""
    try:
        return all([_mark(os.lstat(path)) == mark for path, mark in marks])
    except OSError:
        return False


def _mark(entry: os.stat_result) -> tuple[int, ...]:
    """What is another where another judgement could be; of a file or link also where its content is another."""
    judged = (entry.st_mode, entry.st_uid, entry.st_gid, entry.st_dev, entry.st_ino)
    if stat.S_ISDIR(entry.st_mode):
        return judged
    return (*judged, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns)


def _judge_way(path: str, uid: int, home: str, marks: list[Mark]) -> tuple[str, os.stat_result] | Distrust:
    """Walk to `path` name by name, as the kernel does, judging each directory and link that is passed.

    Returns the place without links, and what lstat(2) said of it.
    """
    home = home.rstrip("/") or "/"
    anchor = os.path.realpath(home)
    here, pending = _start(path, home, anchor)
    entry = os.stat(here)
    marks.append((f"{home if here == anchor else here}/.", _mark(entry)))  # also where a link leads there
    problem = _judge_directory(here, entry, uid)
    links, own = 0, len(pending)  # so many of the names are `path`'s own, the others come from links
    shared: Distrust | None = None  # said of a directory like /tmp, until what is in it turns out to be a directory
    while problem is None:
        name = pending.pop() if pending else "."
        place = here if name == "." else os.path.dirname(here) if name == ".." else os.path.join(here, name)
        try:
            entry = os.lstat(place)
        except FileNotFoundError:
            if len(pending) < own:
                raise
            return Distrust(place, "unreadable", f"{path} leads by a link to {place}, which does not exist")
        marks.append((place, _mark(entry)))
        own = min(own, len(pending))
        if shared is not None and (name in (".", "..") or not stat.S_ISDIR(entry.st_mode)):
            return shared
        shared = None
        if stat.S_ISLNK(entry.st_mode):
            links += 1
            if links > LINK_LIMIT:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            problem = _judge_link(place, entry, uid)
            target = os.readlink(place)
            if target.startswith("/"):
                here, names = _start(target, home, anchor)
                marks.append((f"{here}/.", _mark(entry := os.stat(here))))
                problem = problem or _judge_directory(here, entry, uid)
            else:
                names = _names(target)
            pending += names
        elif pending:
            if not stat.S_ISDIR(entry.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place)
            problem = _judge_directory(place, entry, uid)
            if entry.st_mode & stat.S_ISVTX and entry.st_uid == 0:
                shared, problem = problem, None
            here = place
        else:
            return place, entry
    return problem


def _start(path: str, home: str, anchor: str) -> tuple[str, list[str]]:
    """Where judging begins for `path`, the home or the root, and the names still to walk, last one first."""
    for prefix in (home, anchor):
        if path.startswith(prefix + "/"):
            return anchor, _names(path[len(prefix) :])
    if not path.startswith("/"):
        raise ValueError("a path to judge must be absolute")
    return "/", _names(path)


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _judge_directory(path: str, entry: os.stat_result, uid: int) -> Distrust | None:
    """Who can write a directory can put another file in the place of one in it."""
    return _judge(path, entry, uid, "parent-", "the directory ")


def _judge_link(path: str, entry: os.stat_result, uid: int) -> Distrust | None:
    if entry.st_uid in (uid, 0):
        return None
    text = f"the link {path} belongs to {_user_name(entry.st_uid)}, not to {_user_name(uid)}"
    return Distrust(path, "link-owner", text, f"chown -h {_user_name(uid)} {shell_word(path)}")


def _judge_file(path: str, entry: os.stat_result, uid: int, limit: int) -> Distrust | None:
    if not stat.S_ISREG(entry.st_mode):
        repair = f"mv {shell_word(path)} {shell_word(path + '.old')}"
        return Distrust(path, "not-regular", f"{path} is not a regular file", repair)
    problem = _judge(path, entry, uid, "", "")
    if problem is None and entry.st_size > limit:
        problem = Distrust(path, "too-large", f"{path} has {entry.st_size} bytes, more than {limit}")
    return problem


def _judge(path: str, entry: os.stat_result, uid: int, prefix: str, noun: str) -> Distrust | None:
    if entry.st_uid not in (uid, 0):
        text = f"{noun}{path} belongs to {_user_name(entry.st_uid)}, not to {_user_name(uid)}"
        return Distrust(path, prefix + "owner", text, f"chown {_user_name(uid)} {shell_word(path)}")
    if entry.st_mode & stat.S_IWOTH:
        text = f"{noun}{path} can be written by everyone"
        return Distrust(path, prefix + "world-writable", text, f"chmod go-w {shell_word(path)}")
    if entry.st_mode & stat.S_IWGRP and not _is_private_group(entry.st_gid, uid):
        text = f"{noun}{path} can be written by its group, which is not {_user_name(uid)}'s private one"
        return Distrust(path, prefix + "group-writable", text, f"chmod go-w {shell_word(path)}")
    return None


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether `gid` is the user's primary group, is named like the user, and is nobody else's.

    That is the group useradd(8) makes for one user. An access list (acl(5)) shows in the group's mode bits, so a
    file that one opens to others is not taken for private unless it too names this group alone.
    """
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    if user.pw_gid != gid or group.gr_name != user.pw_name or not set(group.gr_mem) <= {user.pw_name}:
        return False
    return all(other.pw_gid != gid or other.pw_uid == uid for other in pwd.getpwall())


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def shell_word(text: str) -> str:
    """`text` as one word of a shell command. Raises ValueError for a NUL, which none can hold."""
    if "\0" in text:
        raise ValueError("a path can't contain NUL")
    if all(c.isascii() and (c.isalnum() or c in "/._-+@%:,") for c in text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def _read(path: str, place: str, uid: int, limit: int) -> Trusted | Distrust:
    fd = os.open(place, _READ)
    try:
        before = os.fstat(fd)
        problem = _judge_file(place, before, uid, limit)
        if problem is not None:
            return problem
        pieces = []
        wanted = before.st_size + 1  # one more, to see a file that grows
        while wanted > 0 and (piece := os.read(fd, wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        after, named = os.fstat(fd), os.lstat(place)
    finally:
        os.close(fd)
    if wanted != 1 or _identity(before) != _identity(after) or _identity(after) != _identity(named):
        return Distrust(place, "changing", f"{place} was changed while it was read")
    return Trusted(path, b"".join(pieces), after.st_mtime_ns, after.st_uid)


def _identity(entry: os.stat_result) -> tuple[int, int, int, int]:
    return entry.st_dev, entry.st_ino, entry.st_size, entry.st_mtime_ns


def enter_directory(name: str, parent: int | None = None, *, follow: bool = True, spool: bool = False) -> int:
    """Open a directory that is to be written to, judging what was opened and not its name; PermissionError if unfit.

    It must be this user's, or root's, and not everyone's, but that a `spool` like /var/mail may be root's and sticky
    (then the file in it is judged). A link is followed if the user or root made it.
    """
    owners = (os.geteuid(), 0)
    try:
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP) or not follow:
            raise
        entry = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISLNK(entry.st_mode):
            raise
        if entry.st_uid not in owners:
            raise PermissionError(errno.EPERM, "a directory on the way is another user's link") from None
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    entry = os.fstat(fd)
    problem = ""
    if entry.st_uid not in owners:
        problem = "the directory belongs to another user"
    elif entry.st_mode & stat.S_IWOTH and not (spool and entry.st_mode & stat.S_ISVTX and entry.st_uid == 0):
        problem = "the directory can be written by everyone"
    if problem:
        os.close(fd)
        raise PermissionError(errno.EPERM, problem)
    return fd


# -- writing ----------------------------------------------------------------------------------------------------


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data`, however few write(2) takes at a time."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def sync_descriptor(fd: int) -> None:
    """fsync(2). An error is final: Linux drops the pages it could not write, so a second call would lie.

    EINVAL is the file system saying that it has no such notion (CIFS for directories), not that data was lost.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def sync_directory(path: str) -> None:
    """Make the names in a directory as durable as the files: without it an acknowledged message can vanish."""
    fd = os.open(path, _DIRECTORY)
    try:
        sync_descriptor(fd)
    finally:
        os.close(fd)


def write_atomic(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True, dir_fd: int | None = None) -> None:
    """Put `data` at `path`, so that any reader, and a disk after a power cut, has the old file or the new one."""
    directory, name = os.path.split(path)
    new = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(6).hex()}")
    try:
        fd = os.open(new, CREATE, mode, dir_fd=dir_fd)
        try:
            os.fchmod(fd, mode)
            write_all(fd, data)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        unlink_quietly(new, dir_fd)
        raise
    if sync and dir_fd is not None and not directory:
        sync_descriptor(dir_fd)
    elif sync:
        sync_directory(directory or ".")


def append_line(path: str, line: bytes, mode: int = 0o600, *, create: bool = True, dir_fd: int | None = None) -> None:
    """Add one line (its newline is added here) by one O_APPEND write, which no other writer can split.

    A line torn by an earlier crash or full disk is ended first, so that it costs itself alone. A line that another
    is just writing looks the same, and may be followed by an empty one: readers pass over those.
    """
    fd = os.open(path, _APPEND | (os.O_CREAT if create else 0), mode, dir_fd=dir_fd)
    try:
        entry = os.fstat(fd)
        if not stat.S_ISREG(entry.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        if entry.st_size and os.pread(fd, 1, entry.st_size - 1) not in (b"\n", b""):
            line = b"\n" + line
        write_all(fd, line + b"\n")
    finally:
        os.close(fd)


def make_private(path: str) -> None:
    """Make the directory `path`, and those missing above it, for this user alone (0700).

    One that exists must be a directory of this user's and no link, else PermissionError.
    """
    missing = []
    while True:
        try:
            entry = os.lstat(path)
            break
        except FileNotFoundError:  # any other error is one
            missing.append(path)
            path = os.path.dirname(path)
    if not missing:
        _refuse_foreign(path, entry)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:  # made by another delivery at the same moment
            _refuse_foreign(directory, os.lstat(directory))
        sync_directory(os.path.dirname(directory))


def _refuse_foreign(path: str, entry: os.stat_result) -> None:
    if not stat.S_ISDIR(entry.st_mode):
        raise PermissionError(errno.EPERM, "not a directory", path)
    if entry.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", path)


def names_file(name: str, directory: int, identity: tuple[int, int]) -> bool:
    """Whether a name in an open directory still means the file of this device and inode."""
    try:
        entry = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return (entry.st_dev, entry.st_ino) == identity


def unlink_quietly(path: str, dir_fd: int | None = None) -> None:
    """Clean up beside something that matters more, be it the success or the failure that is being told."""
    try:
        os.unlink(path, dir_fd=dir_fd)
    except OSError:
        pass


def close_quietly(fd: int) -> None:
    """Close what nothing was written to, or whose fsync has told already that all is well."""
    try:
        os.close(fd)
    except OSError:
        pass
