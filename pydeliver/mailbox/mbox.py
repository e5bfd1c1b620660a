"""mbox: many messages in one file, appended under locks, and cut off again unless all went well.

Owns the appending: locks, the empty line between messages, and the way back from half a message. Refuses a mailbox
that is no file of this user's alone: a link, a hard link, a FIFO, a device, a directory, another's. RFC 4155.

A message is appended while it is prepared, and the locks are held until it is committed or rolled back. Before the
first byte a note goes to the state directory: where the mailbox ended, and what was to follow. Whoever finds a note
when it has the locks knows that its writer is dead, and removes what that left, unless a journal says that the
delivery was decided on, or another program has appended since. A commit is the removal of the note.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pydeliver.mailbox import notes as tails
from pydeliver.mailbox.creation import enter
from pydeliver.mailbox.keywords import atoms
from pydeliver.mailbox.locks import Dotlock, lock_file
from pydeliver.mailbox.mboxrd import from_line, quoted
from pydeliver.mailbox.names import MBOX
from pydeliver.status import Status, deferred, stored
from pydeliver.system import alarm
from pydeliver.system.disk import (
    close_quietly,
    enter_directory,
    failure,
    sync_descriptor,
    write_all,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydeliver.mailbox.journal import Record
    from pydeliver.mailbox.names import Location

PATIENCE = 25.0  # seconds until a locked mailbox is told so: local(8) of Postfix gives up after 20
PAUSE_FIRST, PAUSE_LONGEST = 0.005, 0.25  # between two tries, give or take a half, so that two do not stay in step

_BOX = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def prepare(
    location: Location,
    form: Callable[[tuple[str, ...]], Iterable[bytes]],
    *,
    now: float,
    sender: str | None,
    notes: str,
    labels: tuple[str, ...] = (),
    beside: Sequence[object] = (),
    **_of_other_formats: object,
) -> Prepared | Status:
    """Append a message, durable, under locks that are held from here on; on failure the file is as it was.

    `form(keywords)` gives the message with a header as `mail.edit.mbox_head` makes it; `labels` become the keywords.
    `sender` is the envelope's, "" or None where there is none. `notes` is a directory for tail notes, beside that of
    the journals. `beside` are the others of the same transaction.
    """
    prepared = Prepared(location)
    try:
        problem = prepared.open(beside, notes)
        if problem is None:
            prepared.write(form(atoms(labels)), from_line(sender, now), notes)
    except OSError as error:
        problem = failure(error, f"mailbox {location.name}")
    except BaseException:
        prepared.rollback()
        raise
    if problem is not None:
        prepared.rollback()
        return problem
    return prepared


def was_done(record: Record) -> bool | None:
    """Whether the delivery of a journal's record stands; None where it can't be known now.

    The message was whole and on the disk before the journal was written. So it was done, unless it was cut off again,
    and what stands in its place now a mail reader has put there. What was done nobody may take back any more.
    """
    _, path, _, inode, before, after, first, note = record
    try:
        entry = os.lstat(str(path))
        torn = int(before) <= entry.st_size < int(after) and entry.st_ino == inode
        if torn and tails.begins_at(str(path), int(before), str(first).encode()):
            return False
    except FileNotFoundError:  # a reader removes a mailbox that is empty
        pass
    except OSError:
        return None
    try:
        tails.remove(str(note), "full")
    except OSError:
        return None
    return True


class Prepared:
    """A message at the end of a locked mailbox. `close` it to let others in, when it is not to be rolled back."""

    __slots__ = ("_box", "_note", "_sync", "before", "location", "path", "record", "recovered", "size")

    def __init__(self, location: Location) -> None:
        self.location = location
        self.path = location.path  # and `@OFFSET` of its From_ line, once known
        self.size = 0
        self.before = -1  # the length of the file without it
        self.recovered = ""  # what was put right on the way, for the log
        self.record: Record = ()  # format, path, device, inode, length before and after, From_ line, note
        self._note = ""
        self._sync = location.store.sync
        self._box: Box | None = None

    def open(self, beside: Sequence[object], notes: str) -> Status | None:
        """Open and lock the mailbox, unless one of the same transaction has it already, and tidy it."""
        box = self._box = Box(self.location)
        box.enter()
        for one in beside:
            if isinstance(one, Prepared) and one._box is not None and box.names_the_same(one._box):
                box.leave()
                self._box = one._box
                self._box.users += 1
                return None
        if not box.lock():
            return deferred(f"mailbox {self.location.name} is locked", "4.2.0")
        self.recovered = "; ".join([*box.told, *tails.recover(box, notes, self._sync)])
        return None

    def write(self, chunks: Iterable[bytes], first: bytes, notes: str) -> None:
        """Append the message, with `first` for its From_ line, and down to the disk."""
        box = self._box
        assert box is not None
        self.before, gap = box.reach, box.gap()
        self.path = f"{self.location.path}@{self.before + gap}"
        device, inode = box.identity
        self._note = tails.place(notes, box.path, self.before)
        tails.write(self._note, box.path, tails.Tail(inode, self.before, gap, first), self._sync)
        box.append(b"\n" * gap + first)
        last = b"\n"
        for chunk in quoted(self._counted(chunks)):
            box.append(chunk)
            last = chunk[-1:] or last
        box.append(b"\n" if last == b"\n" else b"\n\n")
        box.sync(self._sync)
        self.record = (MBOX, self.location.path, device, inode, self.before, box.reach, first.decode(), self._note)

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.size += len(chunk)
            yield chunk

    def commit(self) -> Status:
        """Make it stay. When this says "2.…" neither a power cut nor the next delivery takes it back."""
        try:
            tails.remove(self._note, self._sync)
        except OSError as error:
            self.rollback()
            return failure(error, f"mailbox {self.location.name}")
        return stored(f"delivered to mailbox {self.location.name}")

    def rollback(self) -> None:
        """Cut the message off again, also after a commit; the note stays where that can't be done."""
        if self._box is not None and self._note:
            try:
                if self._box.cut(self.before, self._sync):
                    tails.remove(self._note, self._sync)
            except OSError:  # the failure is being told already, and the note tells the next delivery
                pass
        self.close()

    def close(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            box.users -= 1
            if not box.users:
                box.leave()


class Box:
    """The file of a mailbox, open and locked, for all messages that one transaction puts there."""

    __slots__ = ("_dotlock", "_fd", "_folder", "_location", "_name", "_start", "_times", "identity", "reach", "users")

    def __init__(self, location: Location) -> None:
        self._location = location
        self._name = location.path.rpartition("/")[2]
        self._folder = self._fd = -1
        self._dotlock: Dotlock | None = None
        self._times = (0, 0)
        self.identity = (0, 0)
        self._start = 0  # the length when it was locked
        self.reach = 0  # the length with all that was written here, also where only a part of that got through
        self.users = 1

    def enter(self) -> None:
        """Open the directory; those below the root are made if need be."""
        location = self._location
        directory = location.path.rpartition("/")[0] or "/"
        if location.parts:
            self._folder = enter(location.base, location.parts[:-1])
        else:
            self._folder = enter_directory(directory, spool=True)
        if location.store.locks == "both":
            self._dotlock = Dotlock(self._folder, directory, self._name)

    def names_the_same(self, other: Box) -> bool:
        try:
            entry = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (entry.st_dev, entry.st_ino) == other.identity

    def lock(self) -> bool:
        """Take the locks, all or none, within PATIENCE."""
        deadline = time.monotonic() + PATIENCE
        pause = PAUSE_FIRST
        while True:
            alarm.hold()  # a signal must not leave a lock behind
            try:
                if self._take():
                    return True
            finally:
                alarm.release()
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause * (0.5 + os.urandom(1)[0] / 256))
            pause = min(2 * pause, PAUSE_LONGEST)

    def _take(self) -> bool:
        """Try once. Others take the two locks in the other order, so neither is waited for while the other is held."""
        if self._dotlock is not None and not self._dotlock.take():
            return False
        taken = False
        try:
            taken = self._open() and self._is_in_place() and lock_file(self._fd) and self._is_in_place()
            if taken:
                entry = os.fstat(self._fd)
                self.identity, self._times = (entry.st_dev, entry.st_ino), (entry.st_atime_ns, entry.st_mtime_ns)
                self._start = self.reach = entry.st_size
        finally:
            if not taken:
                self._let_go()
        return taken

    def _open(self) -> bool:
        """Open the file, or make it, judging it first: opening a device can do things. False if it just changed."""
        try:
            judge(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False))
            flags = _BOX
        except FileNotFoundError:
            flags = _BOX | os.O_CREAT | os.O_EXCL
        try:
            self._fd = os.open(self._name, flags, 0o600, dir_fd=self._folder)
        except (FileNotFoundError, FileExistsError):
            return False
        return True

    def _is_in_place(self) -> bool:
        """Whether the name still means what is open; a mail reader may have put another file there."""
        entry = os.fstat(self._fd)
        try:
            named = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if (entry.st_dev, entry.st_ino) != (named.st_dev, named.st_ino):
            return False
        judge(entry)
        return True

    def gap(self) -> int:
        """How many line feeds it takes until the file ends in an empty line."""
        tail = self.read(3, max(self.reach - 3, 0))
        if not tail or tail in (b"\n", b"\r\n") or tail.endswith((b"\n\n", b"\n\r\n")):
            return 0
        return 1 if tail.endswith(b"\n") else 2

    def read(self, length: int, offset: int) -> bytes:
        return os.pread(self._fd, length, offset)

    @property
    def path(self) -> str:
        return self._location.path

    @property
    def told(self) -> tuple[str, ...]:
        return (self._dotlock.told,) if self._dotlock is not None and self._dotlock.told else ()

    def append(self, data: bytes) -> None:
        self.reach += len(data)
        write_all(self._fd, data)

    def sync(self, sync: str) -> None:
        """Make what was appended durable. Mail is new to a reader while the file was read before it was written."""
        os.utime(self._fd, ns=(self._times[0], os.fstat(self._fd).st_mtime_ns))
        if sync != "none":
            os.fsync(self._fd)
        if sync == "full" and not self._start:  # also if another made it, who may not have come so far
            sync_descriptor(self._folder)

    def cut(self, length: int, sync: str) -> bool:
        """Cut the file to `length`, unless somebody who knows no locks has appended. Raises OSError."""
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if size > self.reach:
            return False
        if size > length:
            os.ftruncate(self._fd, length)
            if length == self._start:
                os.utime(self._fd, ns=self._times)
            if sync != "none":
                os.fsync(self._fd)
        self.reach = min(self.reach, length)
        self._start = min(self._start, length)
        return True

    def _let_go(self) -> None:
        if self._fd >= 0:
            close_quietly(self._fd)  # and with it the lock of fcntl(2)
            self._fd = -1
        if self._dotlock is not None:
            self._dotlock.release()

    def leave(self) -> None:
        self._let_go()
        if self._folder >= 0:
            close_quietly(self._folder)
            self._folder = -1


def judge(entry: os.stat_result) -> None:
    """Raise PermissionError unless this is a file that nobody else can have put here to be written to."""
    problem = ""
    if not stat.S_ISREG(entry.st_mode):
        problem = "it is a link" if stat.S_ISLNK(entry.st_mode) else "it is not a regular file"
    elif entry.st_uid != os.geteuid():
        problem = "it belongs to another user"
    elif entry.st_nlink != 1:
        problem = "it has a second name (a hard link)"
    if problem:
        raise PermissionError(errno.EPERM, problem)
