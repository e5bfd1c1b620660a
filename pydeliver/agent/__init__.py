"""The engine behind every door: decide about a message, deliver it.

`decide` is what rehearsals and deliveries share; `deliver` is `decide` and `transport.execute`, with a line in the
log. `rules` finds the plan; `build` makes it anew and is loaded only then.
"""

from __future__ import annotations

import os
import time

from pydeliver.agent.rules import AtHand, Home, Site, find_store, load_plan, read_list
from pydeliver.mail.envelope import Envelope, sender_from
from pydeliver.mail.message import FROM_LINE_BYTES, Message, split_from_line
from pydeliver.mailbox.maildir import spool_directory
from pydeliver.mailbox.names import INBOX, MAILDIR, Location, locate
from pydeliver.memory import as_fields, tell_syslog
from pydeliver.status import Status, Value, deferred
from pydeliver.system import alarm
from pydeliver.system.disk import Distrust, failure, make_private
from pydeliver.system.spool import Held
from pydeliver.transport import Outcome, Work, execute
from pydeliver.verdict import Program, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Never

    from pydeliver.agent.programs import Programs, SpoolDirectory
    from pydeliver.mailbox.names import Store
    from pydeliver.memory.ledger import Ledger
    from pydeliver.plan import Plan
    from pydeliver.verdict import Delivery, Given
    from pydeliver.vocabulary.word import Question

    Answer = Callable[[Question], Any]

TEXT_BYTES = 64 << 10  # of a file that is sent as an answer
NEW_MAILBOXES_A_DAY = 50  # that messages may name; more would let a sender fill the disk with folders
ROUNDS = 20  # of judging a message anew, because other deliveries changed what is remembered
LOG_PATIENCE = 5.0  # seconds that a log may take
TOLD = tuple("door queue sender recipient message-id size verdict rule line status ms".split())  # to syslog
# The years 1 and 9999, with a day to spare: beyond them no zone is known.
FIRST_MOMENT, LAST_MOMENT = -62_135_510_400, 253_402_214_400


class World:
    """Answers the questions of one message: the clock, the zone, list files, mailboxes, what came before."""

    def __init__(
        self, home: Home, store: Store, settings: Mapping[str, Any], now: float, only_look: bool = False
    ) -> None:
        self.home = home
        self.store = store
        self.now = now
        self.new: set[str] = set()  # the names, asked about, of mailboxes that are not there yet
        self._only_look = only_look
        self._settings = settings
        self.failed: dict[tuple[str, ...], tuple[str, str]] = {}  # pipes whose rule says what holds then, and why
        self._start: Callable[[], Programs] | None = None
        self._programs: Programs | None = None
        self._came: dict[Question, Any] = {}
        self._ledger: Ledger | None = None
        self._zone_name = next(iter(settings.get("timezone", ())), "")
        self._zone: Any = None

    def answer(self, question: Question) -> Any:
        """The answer; a `Status` where it can't be had."""
        kind = question[0]
        if kind == "now":
            return self.now
        if kind == "offset":
            return self._offset(question[1])
        if kind == "list":
            return self._listed(question[1], question[2])
        if kind == "remembered":
            return self.ledger().count(*question[1:])
        if kind == "program":
            return None if self._start is None else self._came_of(question)
        if kind == "text":
            return self._text(question[1])
        if kind == "srs":
            return None if self._start is None else self._started().rewritten_sender(question[1])
        if kind == "piped":
            return self.failed.get(question[1], ("ended", True))
        if kind == "mailbox-exists":
            location = locate(self.store, question[1])
            return location if isinstance(location, Status) else location.exists
        assert kind == "mailbox"
        return self._problem(question[1])

    def run_for(self, envelope: Envelope, message: Message, spool_dir: SpoolDirectory) -> None:
        """From here on run the programs that rules ask about this message; without it nobody knows what they say.

        What a filter makes of it is there until the next is run for, or all is closed.
        """
        self._end_programs()

        def start() -> Programs:
            from pydeliver.agent.programs import Programs

            return Programs(self.home, self._settings, envelope, message, spool_dir)

        self._start = start

    def _end_programs(self) -> None:
        self._came.clear()
        if self._programs is not None:
            self._programs.close()
            self._programs = None

    def hand_over(self, delivery: Delivery, feed: Iterable[bytes]) -> Any:
        """Deliver to a program or to the mail server: how it ended; a status where it could not be run at all."""
        programs = self._started()
        if delivery.address:
            return programs.send(delivery.sender, delivery.address, feed)
        return programs.pipe(delivery.argv, delivery.at_once, feed)

    def _came_of(self, question: Question) -> Any:
        """What came of a program, which is run once, however often the message is judged."""
        if question not in self._came:
            self._came[question] = self._started().answer(question)
        return self._came[question]

    def _started(self) -> Programs:
        assert self._start is not None
        if self._programs is None:
            self._programs = self._start()
        return self._programs

    def ledger(self) -> Ledger:
        """What is remembered of earlier messages."""
        if self._ledger is None:
            from pydeliver.memory.ledger import Ledger

            self._ledger = Ledger(self.home.state.directory, self.now, self._only_look)
        return self._ledger

    def close(self) -> list[str]:
        """Let go of what was opened; notes for the log on what had to be put right."""
        self._end_programs()
        if self._ledger is None:
            return []
        self._ledger.close()
        return self._ledger.notes

    def _offset(self, moment: int) -> int:
        """Minutes east of UTC at a moment, in the user's zone."""
        moment = min(max(moment, FIRST_MOMENT), LAST_MOMENT)
        if not self._zone_name:
            return time.localtime(moment).tm_gmtoff // 60
        from datetime import UTC, datetime
        from zoneinfo import ZoneInfo

        if self._zone is None:
            self._zone = ZoneInfo(self._zone_name)
        offset = datetime.fromtimestamp(moment, UTC).astimezone(self._zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) // 60

    def _listed(self, path: str, optional: bool) -> frozenset[str] | Status:
        from pydeliver.mail import vcard
        from pydeliver.mail.folding import fold

        found = read_list(self.home, path)
        if isinstance(found, Distrust):
            if optional and found.kind == "absent":
                return frozenset()
            return deferred(f"list file: {found.text}", "4.3.5")
        text = found.data.decode("utf-8", "replace")
        if vcard.is_vcard(text):
            return frozenset([fold(address) for address in vcard.addresses(text)])
        lines = [line.strip() for line in text.splitlines()]
        return frozenset([fold(line) for line in lines if line and not line.startswith("#")])

    def _text(self, path: str) -> str | None:
        """What a file says that rules send; None if it can't be read."""
        found = read_list(self.home, path)
        if isinstance(found, Distrust):
            return None
        return found.data[:TEXT_BYTES].decode("utf-8", "replace")

    def send(self, verdict: Verdict, host: str) -> list[str]:
        """Send what goes out when the message is stored; notes on what could not be."""
        if not (verdict.replies or verdict.notices):
            return []
        from pydeliver.agent.answers import send

        return send(verdict, self._started(), host, self.now)

    def _problem(self, name: str) -> str:
        """Why a mailbox that a message names can't be used, or ""."""
        location = locate(self.store, name)
        if isinstance(location, Status):
            return location.text
        if location.exists:
            return ""
        if any([os.path.lexists(path) and not os.path.isdir(path) for path in location.way]):
            return f'"{name}" is the name of a file'
        if os.path.lexists(location.path):  # but no mbox
            return f'"{name}" is the name of a directory'
        if len(self.home.state.new_mailboxes(self.now)) >= NEW_MAILBOXES_A_DAY:
            return f"{NEW_MAILBOXES_A_DAY} mailboxes were made today that messages named"
        self.new.add(name)
        return ""


def decide(
    program: Program, envelope: Envelope, message: Message, answer: Answer, given: Given | None = None
) -> tuple[Verdict | Status, dict[Question, Any]]:
    """The verdict on a message and the answers it took; a `Status` if a question could not be answered.

    `given` are the values of fields that a rule test supplies.
    """
    answers: dict[Question, Any] = {}
    while True:
        found = program.evaluate(envelope, message, answers, given)
        if isinstance(found, Verdict):
            return found, answers
        answered = answer(found)
        if isinstance(answered, Status):
            return answered, answers
        answers[found] = answered


def completed(envelope: Envelope, message: Message, from_line: str | None, trusted: bool) -> Envelope:
    """The envelope with what the caller left out: the From_ line, and trace headers where the site believes them.

    Those count only above the first Received (RFC 5321 4.4): below it the sender wrote them.
    """
    sender, recipient = envelope.sender, envelope.recipient
    if sender is None and from_line is not None:
        sender = sender_from(from_line)
    if trusted and (sender is None or recipient is None):
        above = message.trace()
        if sender is None and "return-path" in above:
            sender = sender_from(above["return-path"])
        recipient = recipient or above.get("delivered-to")
    return envelope.with_addresses(sender, recipient)


def program_of(plan: Plan, store: Store) -> Program:
    """A plan ready to judge messages, for the mailboxes of this store."""
    program = Program(plan)
    program.settings["layout"] = store.layout
    program.settings["home"] = store.home
    return program


# -- delivery ---------------------------------------------------------------------------------------------------


class Request(Value):
    """One message to deliver: for whom, by which rules, what the caller said, and the descriptor to read it from.

    `beginning` stands before what the descriptor gives, and is all of it where that is -1. `abandon` answers with a
    status and ends the process, where a delivery hangs in what nothing else can end. `at_hand` are plans that a process
    which delivers for long has read before. One that `keeps_rejected` puts what rules reject into the quarantine, as
    with `reject-as`: where the sender can't be told of one recipient.
    """

    home: Home
    site: Site
    envelope: Envelope
    fd: int
    now: float
    host: str
    abandon: Callable[[Status], Never]
    beginning: bytes = b""
    at_hand: AtHand | None = None
    keeps_rejected: bool = False


class Account:
    """What is known of one delivery so far: the line that the log gets, however it ends."""

    __slots__ = ("answers", "message", "notes", "plan", "request", "started", "verdict")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.started = time.monotonic()
        self.plan: Plan | None = None
        self.message: Message | None = None
        self.verdict: Verdict | None = None
        self.answers: dict[Question, Any] = {}
        self.notes: list[str] = []

    def entry(self, outcome: Outcome) -> dict[str, object]:
        envelope, plan, message, verdict = self.request.envelope, self.plan, self.message, self.verdict
        entry: dict[str, object] = {
            "time": self.request.now,
            "transaction": os.urandom(8).hex(),
            "door": envelope.door,
            "queue": envelope.queue_id,
            "sender": envelope.sender,
            "recipient": envelope.recipient,
            "status": outcome.status.line,
        }
        if message is not None:
            entry |= {"message-id": next(iter(message.texts("message-id")), ""), "size": message.size}
        if plan is not None:
            entry["rules"] = plan.digest
        if verdict is not None and plan is not None:
            entry |= {
                "verdict": verdict.describe(),
                "rule": verdict.rule,
                "line": verdict.line,
                "file": plan.files[verdict.file] if verdict.line else "",
                "files": outcome.files,
                "log": verdict.log,
                "notes": (*verdict.notes, *outcome.recovered, *self.notes),
            }
        entry["answers"] = [[*_named(question), _short(answer)] for question, answer in self.answers.items()]
        entry["ms"] = round((time.monotonic() - self.started) * 1000, 1)
        return entry

    def tell(self, outcome: Outcome) -> None:
        """One line in the user's log and one for syslog."""
        entry, home = self.entry(outcome), self.request.home
        problem = home.state.record(entry)
        told = {"user": home.user} | {name: entry[name] for name in TOLD if entry.get(name) is not None}
        tell_syslog(as_fields(told | {"problem": problem} if problem else told))


def _named(question: Question) -> Question:
    """A question as the log keeps it: without the message that a program got."""
    return question[:4] if question[0] == "program" else question


def _short(answer: Any) -> object:
    """An answer as the log keeps it: of a list file only how many values it has, of a message how long it is."""
    if isinstance(answer, tuple) and isinstance(answer[-1], Message):
        return (*answer[:-1], f"{answer[-1].size} bytes")
    return f"{len(answer)} values" if isinstance(answer, frozenset) else answer


def deliver(request: Request) -> Status:
    """Deliver one message and log it. What was stored is read to its end; a caller drains what was not."""
    account = Account(request)
    held = Held()
    try:
        outcome = _delivered(request, held, account)
    except alarm.Interrupted as interrupted:
        outcome = Outcome(interrupted.status)
    finally:
        held.remove()
    try:
        alarm.within(LOG_PATIENCE, lambda: account.tell(outcome))
    except (Exception, alarm.Interrupted):  # noqa: BLE001 - the answer is known, and no log may change it
        pass
    outcome.finish()
    return outcome.status


def _delivered(request: Request, held: Held, account: Account) -> Outcome:
    home = request.home
    plan = load_plan(home, request.site, request.at_hand, request.now)
    if isinstance(plan, Status):
        return Outcome(plan)
    account.plan = plan
    if plan.broken:
        account.notes.append(f"the rules are broken: {plan.broken.partition(chr(10))[0]}")
    store = find_store(plan.settings, home)
    alarm.guard(plan.settings["time-limit"])
    problem = held.receive(request.fd, request.beginning, spool_dir=lambda: _spool_directory(store, home))
    if problem is not None:
        return Outcome(problem)
    line, from_line = split_from_line(held.read(0, FROM_LINE_BYTES))
    held.skip = len(line)
    if not held.size:
        return Outcome(deferred("the message is empty: nothing was received", "4.3.0"))
    message = account.message = Message(held)
    envelope = completed(request.envelope, message, from_line, plan.settings["trace-headers"])
    world = World(home, store, plan.settings, request.now)
    world.run_for(envelope, message, lambda: _spool_directory(store, home))
    state = home.state.directory
    keeps = request.keeps_rejected or plan.settings["reject-as"] == "quarantine"
    work = Work(message, held, envelope, store, state, request.host, request.now, plan.files, world.hand_over, keeps)
    try:
        outcome = _judged_and_executed(_program(plan, store, request), world, work, account)
        if outcome.status.ok and account.verdict is not None:
            account.notes += world.send(account.verdict, request.host)
    finally:
        account.notes += world.close()
    verdict = account.verdict
    if verdict is None:
        return outcome
    made = [one.mailbox for one in verdict.deliveries if one.mailbox in world.new]
    if made and outcome.status.ok:
        _count(home, len(made), request.now)
    if "\n" in plan.broken and outcome.status.ok:
        from pydeliver.agent import notice

        account.notes.append(notice.tell(home, store, plan, request.host, request.now))
    return outcome


def _program(plan: Plan, store: Store, request: Request) -> Program:
    """The plan ready to judge, made once where this process has it at hand for more than one message."""
    if request.at_hand is None:
        return program_of(plan, store)
    key = f"{store.home}\0{store.layout}"
    found = request.at_hand.made.get(key)
    if found is None or found[0] is not plan:
        found = request.at_hand.made[key] = (plan, program_of(plan, store))
    program: Program = found[1]
    return program


def _judged_and_executed(program: Program, world: World, work: Work, account: Account) -> Outcome:
    """Decide and do it; and again, where another delivery has meanwhile changed what is remembered."""
    for _ in range(ROUNDS):
        verdict, account.answers = alarm.watched(
            lambda: decide(program, work.envelope, work.message, world.answer),
            lambda: _give_up(account, work.held),
        )
        if isinstance(verdict, Status):
            return Outcome(verdict)
        account.verdict = verdict
        outcome = execute(verdict, work, world.ledger() if verdict.events else None)
        world.failed |= {argv: ("failed", why) for argv, why in outcome.failed}
        if not outcome.changed:
            break
    return outcome


def _give_up(account: Account, held: Held) -> None:
    """End this process: time is up, and the evaluation hangs where no signal can end it."""
    status = deferred("the delivery took too long: a pattern needs too much time for this message")
    try:
        held.remove()
        account.tell(Outcome(status))
    finally:
        account.request.abandon(status)


def _spool_directory(store: Store, home: Home) -> str | Status:
    """Where a large message waits: the default mailbox's `tmp/`, or, where that is no Maildir, the state directory."""
    location = locate(store, INBOX)
    if isinstance(location, Location) and location.format == MAILDIR:
        return spool_directory(location)
    directory = f"{home.state.directory}/spool"
    try:
        make_private(directory)
    except OSError as error:
        return failure(error, "the state directory")
    return directory


def _count(home: Home, number: int, now: float) -> None:
    """Count the mailboxes that a message named. A count that can't be written takes back no delivery."""
    try:
        home.state.count_new_mailboxes(number, now)
    except OSError:
        pass
