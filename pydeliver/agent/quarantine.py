"""What can be done with discarded mail: look at it, put it into a mailbox after all, remove it.

Owns the way back: a message is stored as it was received, by the code that stores any message, and only then taken
out of the quarantine. Who is killed between the two finds it in both places, and releasing it again adds no third.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydeliver.agent import completed
from pydeliver.agent.rules import Home, Site, find_store, load_plan
from pydeliver.mail import discarded
from pydeliver.mail.discarded import Note
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import INBOX as INBOX
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.quarantine import Entry, directory, entries, take_out
from pydeliver.mailbox.reader import Part
from pydeliver.status import Status, deferred, stored
from pydeliver.system import alarm
from pydeliver.system.disk import failure
from pydeliver.system.spool import Held
from pydeliver.transport import Work, execute
from pydeliver.verdict import DELIVER, Delivery, Verdict

SHORT_ID = 6  # characters, if they are enough to tell the messages apart
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Kept:
    """A discarded message, open: as it was received, or its header alone where it was too large.

    There is no note where somebody else put the message into the quarantine, or changed it there: then it is as it is.
    """

    entry: Entry
    note: Note | None
    message: Message

    @property
    def whole(self) -> bool:
        return self.note is None or self.note.whole

    @property
    def size(self) -> int:
        """Of the message as it was received."""
        return self.message.size if self.note is None else self.note.size

    @property
    def why(self) -> str:
        return "" if self.note is None else self.note.why


def store_of(home: Home, site: Site) -> Store | Status:
    """The user's mailboxes, as a delivery finds them now."""
    plan = load_plan(home, site)
    return plan if isinstance(plan, Status) else find_store(plan.settings, home)


def listed(home: Home) -> list[Entry]:
    """What is in the quarantine, oldest first. Raises OSError."""
    return entries(directory(home.state.directory))


def short_id(found: list[Entry]) -> int:
    """How many characters of their ids tell these messages apart."""
    names = {one.id for one in found}
    longest = max([len(name) for name in names], default=SHORT_ID)
    lengths = range(SHORT_ID, longest)
    return next((length for length in lengths if len({name[:length] for name in names}) == len(names)), longest)


def called(ids: tuple[str, ...], found: list[Entry]) -> list[Entry] | str:
    """The messages by their ids or the beginnings of them, each once; or what is wrong with one of these."""
    chosen: dict[str, Entry] = {}
    for name in ids:
        meant = [one for one in found if name and one.id.startswith(name.lower())]
        if not meant:
            return f"no message in the quarantine is called {name}"
        if len(meant) > 1:
            length = short_id(meant)
            return f"{name} can be {' or '.join([one.id[:length] for one in meant])}: write more of it"
        chosen[meant[0].id] = meant[0]
    return list(chosen.values())


@contextmanager
def opened(entry: Entry) -> Iterator[Kept]:
    """One message to be read. Raises OSError."""
    fd = os.open(entry.path, _READ)
    try:
        told = os.fstat(fd)
        if not stat.S_ISREG(told.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        note = discarded.read(os.pread(fd, discarded.NOTE_BYTES, 0), told.st_size)
        yield Kept(entry, note, Message(Part(fd, note.skip if note else 0, told.st_size)))
    finally:
        os.close(fd)


def release(entry: Entry, home: Home, store: Store, mailbox: str = INBOX) -> Status:
    """Store the message in a mailbox, durably, as it was received, and then take it out of the quarantine."""
    try:
        with opened(entry) as kept:
            if not kept.whole:
                return deferred(f"only the header was kept of its {kept.size} bytes")
            return _stored(kept, home, store, mailbox)
    except OSError as error:
        return failure(error, "the quarantine")


def _stored(kept: Kept, home: Home, store: Store, mailbox: str) -> Status:
    host, now = os.uname().nodename, time.time()
    envelope = completed(Envelope(None), kept.message, None, trusted=True)
    work = Work(kept.message, Held(), envelope, store, home.state.directory, host, now)
    verdict = Verdict(DELIVER, (Delivery(mailbox),))
    try:
        outcome = execute(verdict, work)
        if outcome.status.ok:
            take_out(kept.entry.path)
            outcome.finish()  # until here another try knows that the message is stored
    finally:
        alarm.release()
    home.state.record(
        {
            "time": now,
            "transaction": os.urandom(8).hex(),
            "door": "quarantine",
            "message-id": next(iter(kept.message.texts("message-id")), ""),
            "size": kept.message.size,
            "verdict": verdict.describe(),
            "files": outcome.files,
            "notes": outcome.recovered,
            "status": outcome.status.line,
        }
    )
    return stored(f"released to mailbox {mailbox}") if outcome.status.ok else outcome.status


def purge(found: list[Entry]) -> int:
    """Remove these messages for good; how many were still there. Raises OSError."""
    return sum([take_out(one.path) for one in found])
