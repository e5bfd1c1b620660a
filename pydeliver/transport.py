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
    from pydeliver.mailbox.names import Location, Store
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
    made: set[tuple[object, ...]] = set()
    try:
        for delivery in verdict.deliveries:
            location = locate(store, _expanded(delivery.mailbox, home))
            if isinstance(location, Status):
                return Outcome(_undone(prepared, location))
            form = (location.path, *delivery.form[1:])
            if form in made:
                continue  # another name of the same place
            made.add(form)
            one = _prepare(location, delivery, message, held, prepared, host, now)
            if isinstance(one, Status):
                return Outcome(_undone(prepared, one))
            prepared.append(one)
        alarm.hold()
        status = _commit(prepared)
    except BaseException:
        _undone(prepared, deferred("interrupted"))
        raise
    files = tuple([one.path for one in prepared]) if status.ok else ()
    for one in prepared:
        one.close()
    return Outcome(stored("discarded") if verdict.outcome == DISCARD and status.ok else status, files)


def _expanded(name: str, home: str) -> str:
    return f"{home}/{name[2:]}" if name.startswith("~/") else name


def _prepare(
    location: Location,
    delivery: Delivery,
    message: Message,
    held: Held,
    beside: list[maildir.Prepared],
    host: str,
    now: float,
) -> maildir.Prepared | Status:
    whole = not delivery.edits and held.path is not None and not held.skip
    return maildir.prepare(
        location,
        lambda keywords: formed(message, delivery.edits, keywords),
        host=host,
        now=now,
        flags=delivery.flags,
        labels=delivery.labels,
        spool=held if whole and location.name == INBOX else None,
        beside=beside,
    )


def formed(message: Message, edits: tuple[Edit, ...], keywords: tuple[str, ...] = ()) -> Iterator[bytes]:
    """The message with its header edited, keywords that the mailbox can't hold put there too, all else as received."""
    if not edits and not keywords:
        yield from message.chunks()
        return
    from pydeliver.mail.edit import Edit, edited

    if keywords:
        edits = (*edits, Edit("add", "X-Keywords", " ".join(keywords)))
    yield edited(message.head, edits, message.newline)
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
