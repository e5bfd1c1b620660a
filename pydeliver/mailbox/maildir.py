"""Maildir: one message, one file, no locks, and nothing said before it is on the disk.

Owns writing to `tmp/`, the unique name, the move to `new/` or `cur/`, and folders made on demand below the root.
Refuses to write into a directory that is not a directory of this user's, or that everyone can write, or to follow
a link that somebody else made. The order of steps is qmail's maildir(5): exclusive create, write, fsync, link,
unlink, with each result looked at; after the link the directory is fsynced too, without which a power cut loses the
acknowledged message. The unlink comes last of all, when the answer is about to be given: who is killed before that
leaves a name in `tmp/` that tells the next try of the same message what was done. Names carry `,S=` (bytes) and `,W=`
(bytes with CRLF line ends) as Maildir++ and Dovecot read.

What is made is open to its owner alone (0600, 0700). In a folder that its group may write, which somebody shares on
purpose, it is open to the group as well, and to nobody else.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pydeliver.mailbox.names import Location
from pydeliver.status import Status, deferred, refused, stored
from pydeliver.system import alarm
from pydeliver.system.disk import (
    CREATE,
    close_quietly,
    enter_directory,
    failure,
    names_file,
    sync_descriptor,
    sync_directory,
    unlink_quietly,
    write_all,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydeliver.system.spool import Held

ATTEMPTS = 10  # at a name that is not taken; the second would take a broken random source
HOST_BYTES = 100
LEFTOVER_SECONDS = 36 * 3600
SWEPT = 100  # leftovers looked at in one delivery

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)  # what link(2) says where it can't
_HOST_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def prepare(
    location: Location,
    form: Callable[[tuple[str, ...]], Iterable[bytes]],
    *,
    host: str,
    now: float,
    flags: str = "",
    labels: tuple[str, ...] = (),
    spool: Held | None = None,
    beside: Sequence[Prepared] = (),
    key: str = "",
    **_of_other_formats: object,
) -> Prepared | Status:
    """Write a message to the folder's `tmp/`, durable, but seen by no reader yet; nothing is left there on failure.

    `form(keywords)` gives the bytes of the message, with an X-Keywords field where there are keywords. `flags` are
    Maildir letters ("FS"). `labels` become keywords: letters, or, where the folder can hold no more of those, that
    field. `spool` says that the message held there has the same bytes as `form(())`: then its file is linked into
    place if it can be, and not one byte is copied. `beside` are the others of the same transaction. `key`, where no
    journal is kept, is the same for every try of this message: one that was cut short behind its link is taken over.
    """
    prepared = Prepared(location, key)
    try:
        prepared.open()
        if prepared.take_over(host):
            return prepared
        letters, names = _keywords(prepared, labels)
        prepared.suffix = ":2," + "".join(sorted(set(flags + letters))) if flags or letters else ""
        prepared.write(form(names), None if names else spool, host, now)
        problem = prepared.charge(now, beside)
    except OSError as error:
        problem = failure(error, f"mailbox {location.name}")
    except BaseException:
        prepared.rollback()
        raise
    if problem is not None:
        prepared.rollback()
        return problem
    return prepared


def was_done(record: tuple[object, ...]) -> bool | None:
    """Whether the delivery of a journal's record (see `Prepared.record`) is in its folder; None if nobody can tell."""
    _, folder, unique = record
    for part in ("new", "cur"):
        try:
            if any([name.startswith(str(unique)) for name in os.listdir(f"{folder}/{part}")]):
                sync_directory(f"{folder}/{part}")  # who put it there may have been killed before this
                return True
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return False


def spool_directory(location: Location) -> str | Status:
    """The `tmp/` of the default mailbox, made if need be: a large message waits there, one link from its place."""
    prepared = Prepared(location)
    try:
        prepared.open()
        return prepared.location.path + "/tmp"
    except OSError as error:
        return failure(error, "the default mailbox")
    finally:
        prepared.close()


class Prepared:
    """A message in `tmp/`, waiting to be committed or rolled back. Then `finish` or `close` it.

    With a `key` its name in `tmp/` stays until it is finished, which is to be the last thing before the answer.
    """

    __slots__ = (
        "_charged",
        "_counted",
        "_earlier",
        "_identity",
        "_key",
        "_mode",
        "_taken_over",
        "_target",
        "_temporary",
        "_tmp",
        "_unique",
        "folder",
        "location",
        "name",
        "recovered",
        "size",
        "suffix",
    )

    def __init__(self, location: Location, key: str = "") -> None:
        self.location = location
        self._key = f".{key}" if key else ""
        self._earlier = ""  # what another try of this message left in `tmp/`
        self._taken_over = False  # it had shown the message
        self.suffix = ""  # what follows the unique name and the sizes: flags and keywords
        self.name = ""  # the name of the message's file, once known
        self.size = 0
        self.folder = self._tmp = self._target = -1  # descriptors, so that nobody can exchange what they name
        self._mode = 0o600
        self._temporary = self._unique = ""
        self.recovered = ""  # what was put right on the way, for the log
        self._identity = (0, 0)
        self._charged = self._counted = False  # held against a quota; written down there

    @property
    def path(self) -> str:
        """Where the message is, or will be, once committed."""
        return f"{self.location.path}/{self._part}/{self.name}"

    @property
    def record(self) -> tuple[object, ...]:
        """What a journal keeps to find out later whether this was done."""
        return (self.location.format, self.location.path, self._unique + ",")

    @property
    def _part(self) -> str:
        """maildir(5): a message in `new/` carries no flags."""
        return "cur" if self.suffix else "new"

    def open(self) -> None:
        """Open the folder, and make it, or what it lacks, if need be."""
        try:
            self._enter()
        except FileNotFoundError:
            from pydeliver.mailbox import creation

            self.close()
            creation.make(self.location)
            self._enter()
        if os.fstat(self.folder).st_mode & stat.S_IWGRP:
            self._mode = 0o660

    def _enter(self) -> None:
        """Walk to the folder name by name: each directory is judged, and none can be exchanged after that."""
        self.folder = enter_directory(self.location.base)
        for part in self.location.parts:
            inner = enter_directory(part, self.folder)
            os.close(self.folder)
            self.folder = inner
        self._tmp = enter_directory("tmp", self.folder, follow=False)
        self._sweep()
        for part in ("new", "cur"):
            os.stat(part, dir_fd=self.folder, follow_symlinks=False)

    def _sweep(self) -> None:
        """Remove what processes that died left in `tmp/`: maildir(5) says 36 hours."""
        names = os.listdir(self._tmp)
        if self._key:
            self._earlier = next((name for name in names if name.endswith(self._key)), "")
        removed = 0
        for name in names[:SWEPT]:
            try:
                entry = os.stat(name, dir_fd=self._tmp, follow_symlinks=False)
                if time.time() - max(entry.st_atime, entry.st_mtime) > LEFTOVER_SECONDS and stat.S_ISREG(entry.st_mode):
                    os.unlink(name, dir_fd=self._tmp)
                    removed += 1
            except OSError:
                continue
        if removed:
            self.recovered = f"removed {removed} leftovers from {self.location.path}/tmp"

    def take_over(self, host: str) -> bool:
        """Whether a try of this message that was killed had shown it already. Of one that had not, nothing is left."""
        if not self._earlier:
            return False
        from pydeliver.mailbox.locks import is_dead

        unique = self._earlier.removesuffix(self._key)
        pid, _, _ = unique.partition("P")[2].partition("Q")
        if not unique.endswith(f".{_label(host)}") or not is_dead(f"{pid}:{host}"):
            return False
        try:
            os.stat(self._earlier, dir_fd=self._tmp, follow_symlinks=False)
        except FileNotFoundError:  # it ended meanwhile as it should, and was another message's with the same bytes
            return False
        for part in ("new", "cur"):
            for name in os.listdir(f"{self.location.path}/{part}"):
                if name.startswith(unique + ","):
                    self._target = enter_directory(part, self.folder, follow=False)
                    self.name, self.suffix = name, name.partition(":")[2]
                    self._temporary, self._taken_over = self._earlier, True
                    self.recovered = "an earlier try was cut short when it had stored the message"
                    return True
        unlink_quietly(self._earlier, self._tmp)
        return False

    def write(self, chunks: Iterable[bytes], spool: Held | None, host: str, now: float) -> None:
        """Put the message into `tmp/`, by a link to the spool file or byte by byte, and down to the disk."""
        self._target = enter_directory(self._part, self.folder, follow=False)
        fd = self._create(spool, host, now)
        linked = spool is not None and fd == spool.descriptor
        try:
            if self._mode != 0o600:  # the umask had its say on opening
                os.fchmod(fd, self._mode)
            virtual, before = 0, b""
            for chunk in chunks:
                if not linked:
                    write_all(fd, chunk)
                self.size += len(chunk)
                virtual += len(chunk) + chunk.count(b"\n") - chunk.count(b"\r\n")
                if before == b"\r" and chunk[:1] == b"\n":  # CRLF cut in two
                    virtual -= 1
                before = chunk[-1:] or before
            if self.location.store.sync != "none":
                os.fsync(fd)
        finally:
            if not linked:
                os.close(fd)  # an error counts: NFS tells of a full disk here
        self._unique = self._temporary.removesuffix(self._key)
        self.name = f"{self._unique},S={self.size},W={virtual}{self.suffix}"

    def _create(self, spool: Held | None, host: str, now: float) -> int:
        """A file of our own in `tmp/`, open: the spool file under a second name, or a new one."""
        for attempt in range(ATTEMPTS):
            self._temporary = unique_name(host, now, attempt) + self._key
            try:
                if spool is not None and self._link(spool):
                    fd = spool.descriptor
                else:
                    fd = os.open(self._temporary, CREATE, 0o600, dir_fd=self._tmp)
            except FileExistsError:
                self._temporary = ""  # somebody else's: nothing of ours to remove
                continue
            entry = os.fstat(fd)
            self._identity = entry.st_dev, entry.st_ino
            return fd
        raise FileExistsError(errno.EEXIST, "no unused file name was found")

    def _link(self, spool: Held) -> bool:
        """Give the spool file its name in `tmp/`; False where it must be copied (another file system, a From_ line)."""
        if spool.path is None or spool.skip:
            return False
        try:
            os.link(spool.path, self._temporary, dst_dir_fd=self._tmp, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        entry = os.fstat(spool.descriptor)
        if names_file(self._temporary, self._tmp, (entry.st_dev, entry.st_ino)):
            return True
        os.unlink(self._temporary, dir_fd=self._tmp)  # the name had come to mean something else
        return False

    def charge(self, now: float, beside: Sequence[Prepared]) -> Status | None:
        """Hold the message against the quota in `maildirsize`, where there is one, and those that come with it."""
        location = self.location
        if not os.path.lexists(location.base + "/maildirsize"):
            return None
        from pydeliver.mailbox import quota

        if quota.is_exempt(location):
            return None
        same = [one.size for one in beside if one._charged and one.location.base == location.base]
        self._charged = quota.has_room(location.base, self.size + sum(same), 1 + len(same), now)
        if self._charged:
            return None
        refuse = location.store.full == "refuse"
        return refused("mailbox full", "5.2.2") if refuse else deferred("mailbox full", "4.2.2")

    def commit(self) -> Status:
        """Show the message to readers. When this says "2.…" a power cut cannot take it back."""
        try:
            if not self._taken_over:
                self._place()
            if self.location.store.sync == "full":
                sync_descriptor(self._target)
        except OSError as error:
            self.rollback()
            return failure(error, f"mailbox {self.location.name}")
        if self._charged:
            self._count(1)
        if not self._key:
            self._forget()
        return stored(f"delivered to mailbox {self.location.name}")

    def _place(self) -> None:
        try:
            os.link(self._temporary, self.name, src_dir_fd=self._tmp, dst_dir_fd=self._target, follow_symlinks=False)
        except FileExistsError:
            if not names_file(
                self.name, self._target, self._identity
            ):  # NFS: done, but the answer was lost and asked again
                raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without links. The name is unique, so nothing is overwritten.
            os.rename(self._temporary, self.name, src_dir_fd=self._tmp, dst_dir_fd=self._target)

    def rollback(self) -> None:
        """Take everything of this message back, also after a commit, unless a reader has moved it by now.

        What an earlier try has shown stays, and so does its name in `tmp/`.
        """
        if self._taken_over:
            self.close()
            return
        if self._target >= 0 and self.name and names_file(self.name, self._target, self._identity):
            unlink_quietly(self.name, self._target)
            try:
                sync_descriptor(self._target)
            except OSError:  # the failure is being told already; a second copy after a crash is the lesser evil
                pass
        if self._counted:
            self._count(-1)
        self._forget()
        self.close()

    def _forget(self) -> None:
        if self._temporary:
            unlink_quietly(self._temporary, self._tmp)
            self._temporary = ""

    def _count(self, messages: int) -> None:
        """Write the message down in, or out of, the quota. The mail matters, the sum is mended by the next reader."""
        from pydeliver.mailbox import quota

        self._counted = messages > 0
        quota.record(self.location.base, messages * self.size, messages)

    def finish(self) -> None:
        """Forget the name in `tmp/`: from here on nobody knows that this was one try of several."""
        for fd in (self.folder, self._target):
            close_quietly(fd)
        self.folder = self._target = -1
        self._forget()
        self.close()

    def close(self) -> None:
        for fd in (self.folder, self._tmp, self._target):
            if fd >= 0:
                close_quietly(fd)
        self.folder = self._tmp = self._target = -1


def unique_name(host: str, now: float, attempt: int = 0) -> str:
    """A name that no other delivery makes: time and process as maildir(5) has it, and 64 random bits.

    A clock may stand still, and two processes may have one number (pid namespaces): the kernel's random source knows
    neither, and the exclusive create finds out what is left. `/` and `:` in a host's name become `\\057` and `\\072`
    as maildir(5) says, and what else does not belong in one likewise.
    """
    seconds = int(now)
    micro = int((now - seconds) * 1_000_000)
    return f"{seconds}.M{micro}P{os.getpid()}Q{attempt}R{os.urandom(8).hex()}.{_label(host)}"


def _label(host: str) -> str:
    """A host's name as a part of a file's."""
    safe = "".join([c if c in _HOST_SAFE else "".join([f"\\{byte:03o}" for byte in os.fsencode(c)]) for c in host])
    return safe[:HOST_BYTES]


# -- keywords ---------------------------------------------------------------------------------------------------


def _keywords(prepared: Prepared, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The letters that stand for `labels` in this folder, or, where it has none for them, the keywords themselves."""
    if not labels:
        return "", ()
    from pydeliver.mailbox import keywords

    names = keywords.atoms(labels)
    alarm.hold()  # a signal must not leave the lock behind
    try:
        letters = keywords.letters(prepared.folder, names, durable=prepared.location.store.sync != "none")
    finally:
        alarm.release()
    return ("", names) if letters is None else (letters, ())
