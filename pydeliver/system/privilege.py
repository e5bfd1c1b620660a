"""Who this process is: becoming the recipient for good, safe descriptors, and whether a home may be used.

Owns the only changes of user and group ids. Refuses to go on half-changed: it becomes the user wholly, or raises
OSError. Nothing here opens a path that a user controls. setresuid(2), initgroups(3), credentials(7).
"""

from __future__ import annotations

import errno
import os
import stat

from pydeliver.status import Status, deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd

KEPT_VARIABLES = ("TZ", "LANG", "LC_ALL", "LC_CTYPE")
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"


def become(user: pwd.struct_passwd) -> None:
    """Become `user` beyond return: groups first, then gid, then uid, because each needs the rights the next gives up.

    A process that already is this user only gets the private umask. Raises OSError.
    """
    uid, gid = user.pw_uid, user.pw_gid
    os.umask(0o077)
    if os.getresuid() != (uid, uid, uid):
        _forbid_core_dumps()
        os.initgroups(user.pw_name, gid)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        if os.getresgid() != (gid, gid, gid) or os.getresuid() != (uid, uid, uid):
            raise PermissionError(errno.EPERM, "the user could not be changed")
        _prove_no_return(gid)


def clean_environment(user: pwd.struct_passwd) -> None:
    """Leave of root's environment what says how to tell time and text, and make the rest the user's (login(1))."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    own = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": "/bin/sh", "PATH": SAFE_PATH}
    os.environ.clear()
    os.environ.update(kept | own)


def _prove_no_return(gid: int) -> None:
    """A drop that can be undone is none: try to take root back, and refuse to live if that works."""
    attempts = [(os.setuid, 0), (os.seteuid, 0)] + ([(os.setgid, 0), (os.setegid, 0)] if gid != 0 else [])
    for regain, target in attempts:
        try:
            regain(target)
        except PermissionError:
            continue
        raise PermissionError(errno.EPERM, "privileges could be regained after they were dropped")


def _forbid_core_dumps() -> None:
    """A core file would hold what root knew, and the message."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def secure_descriptors() -> None:
    """Make 0, 1 and 2 open, on /dev/null where they were not, and close all others.

    Otherwise a mailbox is opened as descriptor 2 and gets what a program complains.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number, which is `fd`
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 1 << 16))


def home_problem(home: str, uid: int) -> Status | None:
    """Why mail cannot be delivered into `home` now: always a reason to wait, because a home may yet be mounted.

    Sticky means "hold the mail": the sign by which qmail, maildrop and OpenSMTPD let a user edit rules in peace.
    """
    try:
        entry = os.stat(home)
    except FileNotFoundError:
        return deferred("the home directory does not exist", "4.3.5")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it has an impossible name"
        return deferred(f"the home directory cannot be used: {reason}", "4.3.5")
    if not stat.S_ISDIR(entry.st_mode):
        return deferred("the home directory is not a directory", "4.3.5")
    if entry.st_uid != uid:
        return deferred("the home directory belongs to another user", "4.3.5")
    if entry.st_mode & stat.S_IWOTH:
        return deferred("the home directory can be written by everyone", "4.3.5")
    if entry.st_mode & stat.S_ISVTX:
        return deferred("mail is held while the home directory is sticky", "4.2.1")
    return None
