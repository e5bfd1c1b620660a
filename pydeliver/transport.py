"""Carry out a verdict as one transaction: every delivery is prepared before any is committed.

A delivery that can't be prepared undoes those before it; nothing is then in any mailbox, and the status says why.
Signals wait from the first commit on, and go on waiting: commits are links and directory fsyncs, not writing, and
once they are made the answer is yes, whatever the caller's patience. What fails there is undone too.
"""

from __future__ import annotations

from pydeliver.mail.message import Message
from pydeliver.mailbox import maildir
from pydeliver.mailbox.names import INBOX, locate
from pydeliver.status import Status, Value, deferred, refused, stored
from pydeliver.system import alarm
from pydeliver.verdict import DEFER, DISCARD, REJECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydeliver.mail.edit import Edit
    from pydeliver.mailbox.names import Store
    from pydeliver.system.spool import Held
    from pydeliver.verdict import Delivery, Verdict


class Outcome(Value):
    """How it went, and the files that the message was put into."""

    status: Status
    files: tuple[str, ...] = ()


def execute(verdict: Verdict, message: Message, held: Held, store: Store, home: str, host: str, now: float) -> Outcome:
    """Do what the verdict says. Raises `alarm.Interrupted` with nothing done."""
    if verdict.outcome == REJECT:
        return Outcome(refused(verdict.text))
    if verdict.outcome == DEFER:
        return Outcome(deferred(verdict.text, "4.7.1"))
    prepared: list[maildir.Prepared] = []
    try:
        for delivery in verdict.deliveries:
            made = _prepare(delivery, message, held, store, home, host, now)
            if isinstance(made, Status):
                return Outcome(_undone(prepared, made))
            prepared.append(made)
        alarm.hold()
        status = _commit(prepared)
    except BaseException:
        _undone(prepared, deferred("interrupted"))
        raise
    files = tuple([one.path for one in prepared]) if status.ok else ()
    for one in prepared:
        one.close()
    return Outcome(stored("discarded") if verdict.outcome == DISCARD and status.ok else status, files)


def _prepare(
    delivery: Delivery, message: Message, held: Held, store: Store, home: str, host: str, now: float
) -> maildir.Prepared | Status:
    name = delivery.mailbox
    location = locate(store, f"{home}/{name[2:]}" if name.startswith("~/") else name)
    if isinstance(location, Status):
        return location
    spool = held if not delivery.edits and held.path is not None and not held.skip else None
    return maildir.prepare(
        location,
        formed(message, delivery.edits) if delivery.edits else message.chunks(),
        host=host,
        now=now,
        flags=delivery.flags,
        labels=delivery.labels,
        spool=spool if name == INBOX else None,
    )


def formed(message: Message, edits: tuple[Edit, ...]) -> Iterator[bytes]:
    """The message with its header edited and every other byte as received."""
    from pydeliver.mail.edit import edited

    yield edited(message.head, edits)
    yield from message.chunks(len(message.head))


def _commit(prepared: list[maildir.Prepared]) -> Status:
    for one in prepared:
        status = one.commit()
        if not status.ok:
            return _undone(prepared, status)
    return stored()


def _undone(prepared: list[maildir.Prepared], status: Status) -> Status:
    for one in prepared:
        one.rollback()
    return status
