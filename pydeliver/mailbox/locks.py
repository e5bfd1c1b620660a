"""Locks that mail programs agree on: a file `NAME.lock` beside the mailbox, safe on NFS, taken from the dead.

Owns the lock file: how it is made (a file of our own, linked to the lock's name, ours when it then has two names;
link(2) may lie over NFS), what stands in it (`PID:HOST`, as Dovecot writes and reads it), when it is stale, and the
program that makes it where the directory may not be written, as in /var/mail. Refuses to wait: who can't have the
lock gives up what else is held, and comes again. maillock(3), Debian Policy section 11.6.

A process id counts only with the name of this host: over NFS a bare one may be another machine's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from pydeliver.mailbox.names import LOCK
from pydeliver.system.disk import CREATE, close_quietly, unlink_quietly, write_all

STALE_SECONDS = 300  # maillock(3)
HELPER = "/usr/bin/dotlockfile"  # of liblockfile: setgid mail, and makes the lock of the user's own mailbox only
HELPER_SECONDS = 10.0

_HELPER_TAKEN, _HELPER_BUSY = 0, 4  # L_SUCCESS, L_MAXTRYS of lockfile_create(3)
_OWNER_BYTES = 512
_SWEEPS = "00"  # what the random name of one lock in 256 ends in: its maker looks for leftovers of others
_PID_DIGITS = 10  # more than any kernel gives, and kill(2) takes
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Dotlock:
    """The lock file of `name` in the directory open as `folder`, whose path is `directory`."""

    __slots__ = ("_by_helper", "_directory", "_folder", "_inode", "_name", "_taken", "told")

    def __init__(self, folder: int, directory: str, name: str) -> None:
        self._folder, self._directory = folder, directory
        self._name = name + LOCK
        self._inode = 0  # of our lock, while we have it
        self._by_helper = False
        self._taken = 0.0
        self.told = ""  # whose lock was broken, for the log

    def take(self) -> bool:
        """Try once; False where somebody else has it. Signals are to wait meanwhile. Raises OSError."""
        own = f"{LOCK}.{os.getpid()}.{os.urandom(8).hex()}"
        try:
            fd = os.open(own, CREATE, 0o600, dir_fd=self._folder)
        except PermissionError:
            return self._take_by_helper()
        try:
            write_all(fd, _myself().encode() + b"\n")
            entry = os.fstat(fd)
            refusal = self._link(own)
            # Over NFS the answer "done" may be lost, and asked for again: then the second name tells.
            if refusal is None or os.stat(own, dir_fd=self._folder, follow_symlinks=False).st_nlink == 2:
                self._inode, self._taken = entry.st_ino, time.monotonic()
                if own.endswith(_SWEEPS):
                    self._sweep(0, entry.st_mtime)
                return True
            if refusal is not None and refusal.errno != errno.EEXIST:
                raise OSError(refusal.errno, f"its lock can't be linked: {refusal.strerror}")
            self._break_stale(entry.st_mtime)
            return False
        finally:
            close_quietly(fd)
            unlink_quietly(own, self._folder)

    def _link(self, own: str) -> OSError | None:
        try:
            os.link(own, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            return error
        return None

    def _take_by_helper(self) -> bool:
        from pydeliver.system.program import run

        if not os.path.exists(HELPER):
            raise PermissionError(errno.EACCES, f"no lock may be made beside it, and {HELPER} is not there")
        lock = f"{self._directory}/{self._name}"
        code = run((HELPER, "-l", "-r", "0", "-p", "-q", lock), seconds=HELPER_SECONDS)
        self._by_helper = code == _HELPER_TAKEN or (code < 0 and self._is_helpers_for_us())
        if not self._by_helper and code != _HELPER_BUSY:
            raise PermissionError(errno.EACCES, f"no lock may be made beside it, and {HELPER} ended with {code}")
        return self._by_helper

    def _is_helpers_for_us(self) -> bool:
        """The helper writes the number of the process that called it."""
        return _owner(self._name, self._folder) == str(os.getpid())

    def release(self) -> None:
        """Give the lock back, unless it was taken from us by now. Never raises."""
        try:
            if self._by_helper and self._is_helpers_for_us():
                from pydeliver.system.program import run

                run((HELPER, "-u", f"{self._directory}/{self._name}"), seconds=HELPER_SECONDS)
            elif self._inode and self._is_ours():
                os.unlink(self._name, dir_fd=self._folder)
        except OSError:  # the next one finds a lock of a dead process
            pass
        self._by_helper, self._inode = False, 0

    def _is_ours(self) -> bool:
        """Whether the lock is still the one we made; while it is young, also where it can't be looked at.

        Nobody breaks a young lock. The number of an inode is soon used again, so what the file says counts too.
        """
        young = time.monotonic() - self._taken < STALE_SECONDS / 2
        try:
            entry = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            return young
        owner = _owner(self._name, self._folder)
        return entry.st_ino == self._inode and (owner == _myself() or (not owner and young))

    def _break_stale(self, server_now: float) -> None:
        """Remove the lock if it is stale; `server_now` is the time by the clock that dates files here.

        Who looks and who removes hold the directory meanwhile, or the second of two would remove the new lock of the
        first. Where a directory can't be held (NFS), a second look at the inode is the best there is.
        """
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            pass
        try:
            seen = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            owner = _owner(self._name, self._folder)
            if server_now - seen.st_mtime > STALE_SECONDS or is_dead(owner):
                again = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
                if (again.st_ino, again.st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns):
                    os.unlink(self._name, dir_fd=self._folder)
                    self.told = f"removed the stale lock {self._directory}/{self._name} of {owner or 'nobody'}"
                    self._sweep(seen.st_ino, server_now)
        except OSError:
            pass
        finally:
            try:
                fcntl.flock(self._folder, fcntl.LOCK_UN)
            except OSError:
                pass

    def _sweep(self, inode: int, server_now: float) -> None:
        """Remove the first names of locks whose makers died before they could. Never raises."""
        try:
            for name in os.listdir(self._folder):
                if name.startswith(LOCK + "."):
                    entry = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                    if entry.st_ino == inode or server_now - entry.st_mtime > STALE_SECONDS:
                        os.unlink(name, dir_fd=self._folder)
        except OSError:  # another may be sweeping too
            pass


def _myself() -> str:
    return f"{os.getpid()}:{os.uname().nodename}"


def _owner(name: str, folder: int) -> str:
    """What a lock file says of its owner; "" where it can't be read, or is no file."""
    try:
        fd = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return ""
    try:
        text = os.read(fd, _OWNER_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        text = b""
    finally:
        close_quietly(fd)
    return "".join([c for c in text.decode(errors="replace").strip() if c.isprintable()])


def is_dead(owner: str) -> bool:
    """Whether the owner, `PID:HOST`, is a process of this host that is gone, or has ended and is not yet buried."""
    pid, colon, host = owner.partition(":")
    if not colon or host != os.uname().nodename or not (pid.isascii() and pid.isdigit() and len(pid) < _PID_DIGITS):
        return False
    try:
        os.kill(int(pid), 0)  # 0, our own group, is alive
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(_OWNER_BYTES).rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])
    except ProcessLookupError:
        return True
    except OSError:  # there, and another user's; or a system without /proc
        pass
    return False


def lock_file(fd: int) -> bool:
    """Lock an open file by fcntl(2) for writing; False where somebody else has it. Raises OSError.

    Closing any other descriptor of the same file in this process gives the lock away (POSIX).
    """
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True
