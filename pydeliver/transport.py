"""Carry out a verdict as one transaction: every delivery is prepared before any is committed.

A delivery that can't be prepared undoes those before it; nothing is then in any mailbox, and the status says why.
Signals wait from the first commit on, and go on waiting: commits are links and directory fsyncs, not writing, and
once they are made the answer is yes, whatever the caller's patience. What fails there is undone too.

Several destinations, and any that is no Maildir, have a journal from the moment of decision until the answer is given;
to a Maildir alone its file in `tmp/` is as good as one. A process that is killed between leaves it behind; the retry of
the message judges it by today's rules and leaves out what was done.
"""

from __future__ import annotations

from _blake2 import blake2b

from pydeliver.mail.message import Message
from pydeliver.mailbox import journal as journals
from pydeliver.mailbox.journal import Journal
from pydeliver.mailbox.names import INBOX, MAILDIR, MBOX, locate
from pydeliver.status import Status, Value, deferred, refused, stored
from pydeliver.system import alarm
from pydeliver.system.disk import failure
from pydeliver.verdict import DEFER, DISCARD, REJECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pydeliver.mail.envelope import Envelope
    from pydeliver.mailbox.journal import Record
    from pydeliver.mailbox.names import Location, Store
    from pydeliver.system.spool import Held
    from pydeliver.verdict import Delivery, Verdict

    Prepared = Any  # of one of the formats: they have one face

_KEY_BYTES = 16


class Outcome(Value):
    """How it went, the files that the message was put into, and what was put right on the way.

    `finish` is the last thing to do before the answer is given: until then a retry is known for one.
    """

    status: Status
    files: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    unfinished: Journal | Prepared | None = None

    def finish(self) -> None:
        if self.unfinished is not None:
            self.unfinished.finish()


class Work(Value):
    """One message to be put into mailboxes, and the circumstances; `state` is the user's state directory."""

    message: Message
    held: Held
    envelope: Envelope
    store: Store
    state: str
    host: str
    now: float

    @property
    def key(self) -> str:
        """Names the message for its journal: another try of the mail server's has the same."""
        seal = blake2b(digest_size=_KEY_BYTES)
        for text in (self.envelope.recipient or "", self.envelope.sender or ""):
            seal.update(text.encode("utf-8", "surrogateescape") + b"\0")
        for chunk in self.message.chunks(self.message.below_trace):
            seal.update(chunk)
        return seal.hexdigest()


def execute(verdict: Verdict, work: Work) -> Outcome:
    """Do what the verdict says. Raises `alarm.Interrupted` with nothing done."""
    if verdict.outcome == REJECT:
        return Outcome(refused(verdict.text))
    if verdict.outcome == DEFER:
        return Outcome(deferred(verdict.text, "4.7.1"))
    wanted = _destinations(verdict, work.store)
    if isinstance(wanted, Status):
        return Outcome(wanted)
    directory = f"{work.state}/journal"
    unfinished = None if journals.is_empty(directory) else Journal(directory, work.key)
    left_over = ([], []) if unfinished is None else _left_over(unfinished)
    if isinstance(left_over, Status):
        return Outcome(left_over)
    done, recovered = left_over
    wanted = _without(wanted, done)
    alone = len(wanted) == 1 and wanted[0][0].format == MAILDIR
    journal = unfinished or (Journal(directory, work.key) if wanted and not alone else None)
    prepared: list[Prepared] = []
    try:
        for location, delivery in wanted:
            one = _prepare(location, delivery, work, prepared, "" if journal else work.key)
            if isinstance(one, Status):
                return Outcome(_undone(prepared, one))
            prepared.append(one)
        alarm.hold()
        status = _decided(prepared, done, journal)
    except BaseException:
        _undone(prepared, deferred("interrupted"))
        raise
    recovered += [one.recovered for one in prepared if one.recovered]
    files = tuple([one.path for one in prepared]) if status.ok else ()
    last = journal if journal is not None or not prepared else prepared[0]
    for one in prepared:
        if one is not last or not status.ok:
            one.close()
    if status.ok and verdict.outcome == DISCARD:
        status = stored("discarded")
    return Outcome(status, files, tuple(recovered), last if status.ok else None)


def _left_over(journal: Journal) -> tuple[list[Record], list[str]] | Status:
    """What an unfinished try of this message has done already, and what to tell the log about it.

    A status where a place can't be asked now: guessing would store the message twice, or not at all.
    """
    old = journals.sweep(journal.directory)
    recovered = [f"gave up {len(old)} unfinished deliveries that nobody tried again"] if old else []
    records = journal.read()
    found = [(one, _format(str(one[0])).was_done(one)) for one in records]
    unknown = [str(one[1]) for one, answer in found if answer is None]
    if unknown:
        return deferred(f"an earlier try was cut short, and {unknown[0]} can't be asked how far it came", "4.3.0")
    done = [one for one, answer in found if answer]
    if records:
        recovered.append(f"an earlier try was cut short: {len(done)} of {len(records)} places had the message")
    return done, recovered


def _format(name: str) -> Any:
    """The module of a format: prepares deliveries, and knows after a crash whether one was done."""
    module = {MAILDIR: "maildir", MBOX: "mbox"}.get(name, "mh")
    return __import__(f"pydeliver.mailbox.{module}", fromlist=("prepare",))


def _destinations(verdict: Verdict, store: Store) -> list[tuple[Location, Delivery]] | Status:
    """Where each delivery goes, each place in each form once. Locked mailboxes come last, and all in one order, so that

    two deliveries never wait for each other.
    """
    found: dict[tuple[object, ...], tuple[Location, Delivery]] = {}
    for delivery in verdict.deliveries:
        location = locate(store, delivery.mailbox)
        if isinstance(location, Status):
            return location
        found.setdefault((location.path, *delivery.form[1:]), (location, delivery))
    return sorted(found.values(), key=lambda one: (one[0].format == MBOX, one[0].path if one[0].format == MBOX else ""))


def _without(wanted: list[tuple[Location, Delivery]], done: list[Record]) -> list[tuple[Location, Delivery]]:
    """What is left of the destinations when those that were done are taken away, one for one."""
    places = [one[1] for one in done]
    left = []
    for location, delivery in wanted:
        if location.path in places:
            places.remove(location.path)
        else:
            left.append((location, delivery))
    return left


def _prepare(location: Location, delivery: Delivery, work: Work, beside: list[Prepared], key: str) -> Prepared | Status:
    held, message = work.held, work.message
    whole = not delivery.edits and held.path is not None and not held.skip
    make = formed if location.format != MBOX else formed_for_mbox
    made: Prepared | Status = _format(location.format).prepare(
        location,
        lambda keywords: make(message, delivery, keywords),
        host=work.host,
        now=work.now,
        sender=work.envelope.sender,
        flags=delivery.flags,
        labels=delivery.labels,
        spool=held if whole and location.name == INBOX else None,
        beside=beside,
        notes=f"{work.state}/mbox",
        key=key,
    )
    return made


def formed(message: Message, delivery: Delivery, keywords: tuple[str, ...] = ()) -> Iterator[bytes]:
    """The message with its header edited, keywords that the mailbox can't hold put there too, all else as received."""
    if not delivery.edits and not keywords:
        yield from message.chunks()
        return
    from pydeliver.mail.edit import Edit, edited

    edits = delivery.edits
    if keywords:
        edits = (*edits, Edit("add", "X-Keywords", " ".join(keywords)))
    yield edited(message.head, edits, message.newline)
    yield from message.chunks(len(message.head))


def formed_for_mbox(message: Message, delivery: Delivery, keywords: tuple[str, ...]) -> Iterator[bytes]:
    """As `formed`; marks and labels stand in the header, and what is said there of another mailbox is put aside."""
    from pydeliver.mail.edit import edited, mbox_head

    head = edited(message.head, delivery.edits, message.newline) if delivery.edits else message.head
    yield mbox_head(head, delivery.flags, keywords, message.newline)
    yield from message.chunks(len(message.head))


def _decided(prepared: list[Prepared], done: list[Record], journal: Journal | None) -> Status:
    """Write the decision down where there are several destinations, and commit them all; or undo them all."""
    if journal is not None:
        try:
            journal.write([*done, *[one.record for one in prepared]])
        except OSError as error:
            return _undone(prepared, failure(error, "the journal"))
    for one in prepared:
        status = one.commit()
        if not status.ok:
            return _undone(prepared, status, journal, done)
    return stored()


def _undone(
    prepared: list[Prepared], status: Status, journal: Journal | None = None, done: list[Record] | None = None
) -> Status:
    """Take everything back. A Maildir is asked what is in it, so it comes before the journal; an mbox believes it."""
    for one in prepared:
        if one.location.format != MBOX:
            one.rollback()
    if journal is not None:
        if done:
            try:
                journal.write(done)
            except OSError:
                journal.remove(durable=True)
        else:
            journal.remove(durable=True)
    for one in prepared:
        if one.location.format == MBOX:
            one.rollback()
    return status
