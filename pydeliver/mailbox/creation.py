"""New folders: made on demand, durable, told to IMAP servers; never a home, never two levels out of nothing.

Owns all directories that deliveries make. Refuses a directory that holds other things where a Maildir is named by
its path. Maildir++ (a folder is `.Name` beside `cur new tmp`, with an empty `maildirfolder` in it); the
`subscriptions` file is Dovecot's, in both of its versions.
"""

from __future__ import annotations

import errno
import os
import stat

from pydeliver.system.disk import append_line, close_quietly, enter_directory, sync_descriptor, sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydeliver.mailbox.names import Location

_PARTS = ("cur", "new", "tmp")
SUBSCRIPTIONS_LIMIT = 1 << 20
_MARK = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def make(location: Location) -> None:
    """Make the folder of `location`, or what is missing of it. Raises OSError."""
    folder = make_base(location.base)
    try:
        made = False
        if location.parts and location.store.layout == "maildir++":
            _complete(folder)  # a root without these would be taken for a nested one the next time
        for part in location.parts:
            made = make_directory(part, folder)
            inner = enter_directory(part, folder)
            os.close(folder)
            folder = inner
        _refuse_foreign_content(folder, location)
        if location.parts and location.store.layout == "maildir++":
            os.close(os.open("maildirfolder", _MARK, 0o600, dir_fd=folder))
        _complete(folder)
    finally:
        os.close(folder)
    if made:
        _subscribe(location)


def make_base(base: str) -> int:
    """The root, the default mailbox or a path of the rules: made if the directory above it is there.

    One level only, so that neither a home nor a file system that is not mounted is made up.
    """
    try:
        return enter_directory(base)
    except FileNotFoundError:
        pass
    above = os.path.dirname(base)
    try:
        os.mkdir(base, 0o700)
    except FileExistsError:  # made by another delivery at this moment
        pass
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "the directory above it does not exist") from None
    sync_directory(above)
    return enter_directory(base)


def enter(base: str, parts: Sequence[str]) -> int:
    """Open the directory at `parts` below `base`, each judged, and made if it is missing. Raises OSError."""
    folder = make_base(base)
    try:
        for part in parts:
            try:
                inner = enter_directory(part, folder)
            except FileNotFoundError:
                make_directory(part, folder)
                inner = enter_directory(part, folder)
            os.close(folder)
            folder = inner
    except BaseException:
        close_quietly(folder)
        raise
    return folder


def make_directory(name: str, parent: int) -> bool:
    """mkdir, for the owner alone unless the directory above is shared with its group; whether it is new."""
    mode = os.fstat(parent).st_mode
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        sync_descriptor(parent)  # whoever made it may not have come so far
        return False
    if mode & stat.S_IWGRP:
        os.chmod(name, 0o770 | (mode & stat.S_ISGID), dir_fd=parent)
    sync_descriptor(parent)
    return True


def _complete(folder: int) -> None:
    for part in _PARTS:
        make_directory(part, folder)


def _refuse_foreign_content(folder: int, location: Location) -> None:
    """`file "~/Documents/"` is a slip, not a wish to have a Maildir among the documents."""
    store = location.store
    if location.parts or location.base in (store.root.rstrip("/"), store.default.rstrip("/")):
        return
    content = os.listdir(folder)
    if content and not any(part in content for part in _PARTS):
        raise OSError(errno.ENOTEMPTY, "the directory holds other things and is no Maildir")


def _subscribe(location: Location) -> None:
    """Add a new folder to the root's `subscriptions`, if there is such a file: mail readers show what stands there.

    The folder is the point; that it cannot be announced fails no delivery.
    """
    path = location.base + "/subscriptions"
    levels = location.parts if location.store.layout == "nested" else tuple(location.parts[0].split(".")[1:])
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            lines = os.read(fd, SUBSCRIPTIONS_LIMIT).split(b"\n")
        finally:
            os.close(fd)
        separator = "\t" if lines[0].startswith(b"V\t2") else "." if location.store.layout == "maildir++" else "/"
        line = os.fsencode(separator.join(levels))
        if line not in lines:
            append_line(path, line, create=False)
    except OSError:
        pass
