"""Carry out a verdict as one transaction: every delivery is prepared before any is committed.

A delivery that can't be prepared undoes those before it; nothing is then in any mailbox, and the status says why.
Signals wait from the first commit on, and go on waiting: commits are links and directory fsyncs, not writing, and
once they are made the answer is yes, whatever the caller's patience. What fails there is undone too.

Several destinations, and any that is no Maildir, have a journal from the moment of decision until the answer is given;
to a Maildir alone its file in `tmp/` is as good as one. A process that is killed between leaves it behind; the retry of
the message judges it by today's rules and leaves out what was done.
"""

from __future__ import annotations

import time
from _blake2 import blake2b

from pydeliver.mail.message import Message
from pydeliver.mailbox import journal as journals
from pydeliver.mailbox.journal import Journal
from pydeliver.mailbox.names import INBOX, MAILDIR, MBOX, locate
from pydeliver.status import TRY_AGAIN, Status, Value, deferred, refused, stored
from pydeliver.system import alarm
from pydeliver.system.disk import failure
from pydeliver.verdict import DEFER, DELIVER, DISCARD, REJECT, Delivery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pydeliver.mail.envelope import Envelope
    from pydeliver.mailbox.journal import Record
    from pydeliver.mailbox.names import Location, Store
    from pydeliver.memory.ledger import Ledger
    from pydeliver.system.spool import Held
    from pydeliver.verdict import Verdict

    Prepared = Any  # of one of the formats: they have one face
    # A place, what goes there, and how that is made of the message and the keywords that the place can't hold.
    Wanted = tuple[Location, Delivery, Callable[[Message, Delivery, tuple[str, ...]], Iterable[bytes]]]

SWEEP_PATIENCE = 2.0  # seconds that clearing the quarantine may take
RULE_NAME = 200  # characters of a rule's name in a field
PROGRAM = "program"  # begins the journal's record of a program or an address that has taken the message
_KEY_BYTES = 16


class Outcome(Value):
    """How it went, the files that the message was put into, and what was put right on the way.

    `finish` is the last thing to do before the answer is given: until then a retry is known for one. `changed`: nothing
    was done, and the message is to be judged anew; so where pipes have `failed` for which the rules say what holds.
    """

    status: Status
    files: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    unfinished: Journal | Prepared | None = None
    changed: bool = False
    failed: tuple[tuple[tuple[str, ...], str], ...] = ()

    def finish(self) -> None:
        if self.unfinished is not None:
            self.unfinished.finish()


class Work(Value):
    """One message to be put into mailboxes, and the circumstances.

    `state` is the user's state directory, `files` are the rule files as the verdict numbers them. `hand_over` gives the
    message to a delivery's program or address, and says how that ended; a status where nothing could be run. Who
    `keeps_rejected` has nobody to tell, and keeps back what a rule rejects.
    """

    message: Message
    held: Held
    envelope: Envelope
    store: Store
    state: str
    host: str
    now: float
    files: tuple[str, ...] = ()
    hand_over: Callable[[Delivery, Iterable[bytes]], Any] | None = None
    keeps_rejected: bool = False

    def source(self, delivery: Delivery) -> Message:
        """What a delivery is made of: the message received, or what a filter made of it."""
        return self.message if delivery.message is None else delivery.message

    @property
    def key(self) -> str:
        """Names the message for its journal: the same for another try of it, not for one that comes round again."""
        seal = blake2b(digest_size=_KEY_BYTES)
        hops = len(self.message.fields("received"))  # what comes round again has come through more servers
        for text in (self.envelope.recipient or "", self.envelope.sender or "", str(hops)):
            seal.update(text.encode("utf-8", "surrogateescape") + b"\0")
        for chunk in self.message.chunks(self.message.below_trace):
            seal.update(chunk)
        return seal.hexdigest()


def execute(verdict: Verdict, work: Work, ledger: Ledger | None = None) -> Outcome:
    """Do what the verdict says, and note its events in the ledger. Raises `alarm.Interrupted` with nothing done.

    `changed`, with nothing done, where what the verdict goes by is no longer true in the ledger. Where a journal is
    kept, another process that is just delivering the very same message keeps this one waiting: it is no earlier try.
    """
    journal = Journal(f"{work.state}/journal", work.key)
    outcome = None
    try:
        outcome = _executed(verdict, work, ledger, journal)
    finally:
        if outcome is None or outcome.unfinished is not journal:
            journal.release()
    return outcome


def _executed(verdict: Verdict, work: Work, ledger: Ledger | None, journal_of_it: Journal) -> Outcome:
    rejected = verdict.outcome == REJECT
    if rejected and not work.keeps_rejected:
        return Outcome(refused(verdict.text))
    if verdict.outcome == DEFER:
        return Outcome(deferred(verdict.text, "4.7.1"))
    if verdict.outcome == DELIVER and not verdict.deliveries:
        return Outcome(deferred("the rules deliver to no place at all", "4.3.5"))  # not stored is never success
    wanted = _destinations(verdict, work)
    if isinstance(wanted, Status):
        return Outcome(wanted)
    outward = [one for one in verdict.deliveries if one.way_out]
    alone = len(wanted) == 1 and wanted[0][0].format == MAILDIR and not outward
    journal = None
    if not journals.is_empty(journal_of_it.directory) or ((wanted or outward) and not alone):
        journal = journal_of_it
        try:
            if not journal.claim():
                return Outcome(deferred("the same message is just being delivered by another process", "4.3.0"))
        except OSError as error:
            return Outcome(failure(error, "the journal"))
    left_over = ([], []) if journal is None else _left_over(journal)
    if isinstance(left_over, Status):
        return Outcome(left_over)
    done, recovered = left_over
    wanted = _without(wanted, done)
    prepared: list[Prepared] = []
    try:
        for each in wanted:
            one = _prepare(each, work, prepared, "" if journal else journal_of_it.key)
            if isinstance(one, Status):
                return Outcome(_undone(prepared, one))
            prepared.append(one)
        if outward and journal is not None and (stopped := _handed_over(outward, work, journal, done)) is not None:
            _undone(prepared, stopped.status)
            return stopped
        if ledger is not None:
            begun = ledger.begin([(one.kind, one.key, one.seconds, one.every) for one in verdict.events])
            if begun is not True:
                status = _undone(prepared, begun or deferred("too many deliveries at once change what is remembered"))
                return Outcome(status, changed=begun is False)
        alarm.hold()
        status = _decided(prepared, done, journal)
        if ledger is not None and status.ok and (problem := ledger.commit()) is not None:
            status = _undone(prepared, problem, journal, done)
    except BaseException:
        _undone(prepared, deferred("interrupted"))
        raise
    recovered += [one.recovered for one in prepared if one.recovered]
    files = tuple([one.path for one in prepared]) if status.ok else ()
    last = journal if journal is not None or not prepared else prepared[0]
    for one in prepared:
        if one is not last or not status.ok:
            one.close()
    if status.ok and verdict.outcome in (DISCARD, REJECT):
        status = stored("kept back instead of rejected" if rejected else "discarded")
        recovered += _swept(work, files)
    return Outcome(status, files, tuple(recovered), last if status.ok else None)


def _left_over(journal: Journal) -> tuple[list[Record], list[str]] | Status:
    """What an unfinished try of this message has done already, and what to tell the log about it.

    A status where a place can't be asked now: guessing would store the message twice, or not at all.
    """
    old = journals.sweep(journal.directory)
    recovered = [f"gave up {len(old)} unfinished deliveries that nobody tried again"] if old else []
    records = journal.read()
    found = [(one, one[0] == PROGRAM or _format(str(one[0])).was_done(one)) for one in records]
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


def _destinations(verdict: Verdict, work: Work) -> list[Wanted] | Status:
    """Where each delivery goes, each place in each form once. Locked mailboxes come last, and all in one order, so that

    two deliveries never wait for each other.
    """
    found: dict[tuple[object, ...], Wanted] = {}
    for delivery in [one for one in verdict.deliveries if not one.way_out]:
        location = locate(work.store, delivery.mailbox)
        if isinstance(location, Status):
            return location
        form = formed_for_mbox if location.format == MBOX else formed
        found.setdefault((location.path, *delivery.form[1:]), (location, delivery, form))
    keeps = work.store.kept_seconds > 0
    if verdict.outcome == REJECT and not keeps:  # nothing is dropped but by a written `discard`
        location = locate(work.store, INBOX)
        if isinstance(location, Status):
            return location
        return [(location, Delivery(INBOX), formed_for_mbox if location.format == MBOX else formed)]
    if keeps and (verdict.outcome == REJECT or (verdict.outcome == DISCARD and not verdict.for_good)):
        kept = _kept_back(verdict, work)
        if isinstance(kept, Status):
            return kept
        found[()] = kept
    return sorted(found.values(), key=lambda one: (one[0].format == MBOX, one[0].path if one[0].format == MBOX else ""))


def _kept_back(verdict: Verdict, work: Work) -> Wanted | Status:
    """The way of a discarded message into the quarantine: as received, and on top of it why and when."""
    from pydeliver.mail import discarded
    from pydeliver.mailbox import quarantine

    try:
        place = quarantine.place(work.store, work.state)
    except OSError as error:
        return failure(error, "the quarantine")
    line = f"{work.files[verdict.file].rpartition('/')[2] if work.files else 'rules'}:{verdict.line}"
    why = f'by rule "{verdict.rule[:RULE_NAME]}", {line}' if verdict.rule else f"by {line}"
    if verdict.outcome == REJECT:
        why = f"rejected {why}: {verdict.text[:RULE_NAME]}"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(work.now))
    largest = min(quarantine.LARGEST, work.store.kept_bytes)
    return place, Delivery(place.name), lambda message, *_: discarded.kept(message, when, why, largest)


def _swept(work: Work, spared: tuple[str, ...]) -> list[str]:
    """Remove from the quarantine what has to leave it. Returns notes for the log; the answer is known, and waits for

    nothing that takes long.
    """
    from pydeliver.mailbox import quarantine

    store = work.store
    try:
        note = alarm.within(
            SWEEP_PATIENCE,
            lambda: quarantine.sweep(work.state, store.kept_seconds, store.kept_bytes, work.now, spared),
        )
    except alarm.Interrupted:
        note = "clearing the quarantine took too long, and goes on with the next discard"
    except Exception as error:  # noqa: BLE001 - the message is stored, and nothing here may change the answer
        note = f"the quarantine can't be cleared: {error!r}"
    return [note] if note else []


def _without(wanted: list[Wanted], done: list[Record]) -> list[Wanted]:
    """What is left of the destinations when those that were done are taken away, one for one."""
    places = [one[1] for one in done if one[0] != PROGRAM]
    left = []
    for each in wanted:
        if each[0].path in places:
            places.remove(each[0].path)
        else:
            left.append(each)
    return left


def _prepare(wanted: Wanted, work: Work, beside: list[Prepared], key: str) -> Prepared | Status:
    (location, delivery, make), held, message = wanted, work.held, work.source(wanted[1])
    whole = message is work.message and not delivery.edits and held.path is not None and not held.skip
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


def _handed_over(outward: list[Delivery], work: Work, journal: Journal, done: list[Record]) -> Outcome | None:
    """Give the message to programs and addresses one by one, and note each that has taken it; what ends the delivery,

    if one has not. The journal is written before the first, so that none runs where its success could not be noted.
    """
    taken = [one[1] for one in done if one[0] == PROGRAM]
    stopped: Outcome | None = None
    try:
        journal.write(done)
        for delivery in outward:
            name = "\0".join(delivery.way_out)
            if name in taken:
                taken.remove(name)
                continue
            stopped = _given(delivery, work)
            if stopped is not None:
                break
            done.append((PROGRAM, name))
            journal.write(done)
    except OSError as error:
        stopped = Outcome(failure(error, "the journal"))
    finally:
        if not done:
            journal.remove(durable=False)
    return stopped


def _given(delivery: Delivery, work: Work) -> Outcome | None:
    """Give the message to one program or address; what ends the delivery where it is not taken."""
    assert work.hand_over is not None
    ended = work.hand_over(delivery, formed(work.source(delivery), delivery))
    if isinstance(ended, Status):
        return Outcome(ended)
    if ended.ok:
        return None
    where = f"forwarding to {delivery.address}: sendmail" if delivery.address else f'"{delivery.argv[0]}"'
    status = deferred(f"{where} {ended.line}", "4.3.0")
    if delivery.defers or ended.code == TRY_AGAIN:
        return Outcome(status)
    return Outcome(status, changed=True, failed=((delivery.argv, ended.line),))


def formed(message: Message, delivery: Delivery, keywords: tuple[str, ...] = ()) -> Iterator[bytes]:
    """The message with its header edited, keywords that the mailbox can't hold put there too, all else as received."""
    if delivery.address:
        from pydeliver.mail.forwarded import forwarded

        yield from forwarded(message, delivery.edits, delivery.owner)
        return
    if not delivery.edits and not keywords:
        yield from message.chunks()
        return
    from pydeliver.mail.edit import Edit, rewritten

    edits = delivery.edits
    if keywords:
        edits = (*edits, Edit("add", "X-Keywords", " ".join(keywords)))
    yield from rewritten(message, edits)


def formed_for_mbox(message: Message, delivery: Delivery, keywords: tuple[str, ...]) -> Iterator[bytes]:
    """As `formed`; marks and labels stand in the header, and what is said there of another mailbox is put aside."""
    from pydeliver.mail.edit import rewritten_for_mbox

    return rewritten_for_mbox(message, delivery.edits, delivery.flags, keywords)


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
