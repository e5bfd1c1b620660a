"""Labels as Maildir keywords: the letters a to z in a file's flags, named by the folder's `dovecot-keywords`.

Owns that file's format (`INDEX NAME` a line; index 0 is the letter a) and its lock. Refuses to wait: a label is not
worth a late message, so without the lock or a free letter the caller writes an X-Keywords field instead. The lock is
the NFS-safe one: a file of our own, linked to the lock's name, ours when it then has two names.
"""

from __future__ import annotations

import os
import stat
import time

from pydeliver.system.disk import CREATE, close_quietly, unlink_quietly, write_atomic

FILE = "dovecot-keywords"
LOCK = FILE + ".lock"
LETTERS = 26
ATOM_BYTES = 50  # Dovecot's mail_max_keyword_length
READ_LIMIT = 64 << 10
TRIES, PAUSE = 5, 0.02
STALE_SECONDS = 120
_FORBIDDEN = '(){%*"\\]'  # RFC 9051 section 9: atom-specials and resp-specials
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def atoms(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels as IMAP keywords, each once: modified UTF-7 as Thunderbird writes it, `_` for what an atom cannot hold."""
    from pydeliver.mailbox.names import to_utf7

    made = []
    for label in labels:
        text = to_utf7(label.encode("utf-8", "replace").decode("utf-8"))
        made.append("".join([c if "!" <= c <= "~" and c not in _FORBIDDEN else "_" for c in text])[:ATOM_BYTES])
    return tuple(dict.fromkeys([atom for atom in made if atom]))


def letters(folder: int, names: tuple[str, ...], *, durable: bool) -> str | None:
    """The letters for `names` in the folder open as `folder`, given to new ones under the lock; None if that fails."""
    try:
        known = _read(folder)
        if not all(name in known for name in names):
            lock = _lock(folder)
            if not lock:
                return None
            try:
                known = _read(folder)
                if not _extend(known, names):
                    return None
                lines = [f"{index} {name}\n" for index, name in sorted([(known[name], name) for name in known])]
                write_atomic(FILE, "".join(lines).encode(), mode=_mode(folder), sync=durable, dir_fd=folder)
            finally:
                unlink_quietly(LOCK, folder)
    except (OSError, ValueError):  # unreadable, or not ours to understand: left as it is
        return None
    return "".join([chr(ord("a") + known[name]) for name in names])


def _extend(known: dict[str, int], names: tuple[str, ...]) -> bool:
    """Give each new name the lowest free letter; False when there are not enough."""
    free = [index for index in range(LETTERS) if index not in known.values()]
    new = [name for name in names if name not in known]
    known.update(zip(new, free, strict=False))
    return len(new) <= len(free)


def _read(folder: int) -> dict[str, int]:
    """Name to index. Raises OSError, and ValueError for a file that is not of this format."""
    try:
        fd = os.open(FILE, _READ, dir_fd=folder)
    except FileNotFoundError:
        return {}
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a regular file")
        text = os.read(fd, READ_LIMIT).decode()
    finally:
        os.close(fd)
    known = {}
    for line in text.splitlines():
        index, _, name = line.partition(" ")
        if not 0 <= int(index) < LETTERS:
            raise ValueError("an index without a letter")
        known[name] = int(index)
    return known


def _mode(folder: int) -> int:
    return 0o660 if os.fstat(folder).st_mode & stat.S_IWGRP else 0o600


def _lock(folder: int) -> bool:
    """Take the lock within a tenth of a second, from a dead owner too."""
    own = f"{LOCK}.{os.getpid()}.{os.urandom(6).hex()}"
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        fd = os.open(own, CREATE, 0o600, dir_fd=folder)
        try:
            os.link(own, LOCK, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            return True
        except OSError:
            entry = os.fstat(fd)
            if entry.st_nlink == 2:  # NFS: done, but the answer was lost
                return True
            _break_stale(folder, entry.st_mtime)
        finally:
            close_quietly(fd)
            unlink_quietly(own, folder)
    return False


def _break_stale(folder: int, server_now: float) -> None:
    """Remove a lock older than the limit by the clock that dates files here, if it is still the one looked at."""
    try:
        seen = os.stat(LOCK, dir_fd=folder, follow_symlinks=False)
        if server_now - seen.st_mtime > STALE_SECONDS:
            again = os.stat(LOCK, dir_fd=folder, follow_symlinks=False)
            if again.st_ino == seen.st_ino and again.st_mtime == seen.st_mtime:
                os.unlink(LOCK, dir_fd=folder)
    except OSError:
        pass
