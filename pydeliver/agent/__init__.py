"""The engine behind every door: decide about a message, deliver it.

`decide` is what rehearsals and deliveries share; `deliver` is `decide` and `transport.execute`, with a line in the
log. `rules` finds the plan; `build` makes it anew and is loaded only then.
"""

from __future__ import annotations

import os
import time

from pydeliver.agent.rules import Home, Site, find_store, load_plan, read_list
from pydeliver.mail.envelope import Envelope, sender_from
from pydeliver.mail.message import Message, split_from_line
from pydeliver.mailbox.maildir import spool_directory
from pydeliver.mailbox.names import name_problem
from pydeliver.memory import tell_syslog
from pydeliver.status import Status, Value, deferred
from pydeliver.system import alarm
from pydeliver.system.disk import Distrust
from pydeliver.system.spool import drain, receive
from pydeliver.transport import Outcome, execute
from pydeliver.verdict import Program, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pydeliver.mailbox.names import Store
    from pydeliver.plan import Plan
    from pydeliver.vocabulary.word import Question

    Answer = Callable[[Question], Any]

FROM_LINE_BYTES = 4096  # a longer first line is no From_ line


class World:
    """Answers the questions of one message: the clock, the zone, list files."""

    def __init__(self, home: Home, settings: Mapping[str, Any], now: float) -> None:
        self.home = home
        self.now = now
        self._zone_name = next(iter(settings.get("timezone", ())), "")
        self._zone: Any = None

    def answer(self, question: Question) -> Any:
        """The answer; a `Status` where it can't be had."""
        kind = question[0]
        if kind == "now":
            return self.now
        if kind == "offset":
            return self._offset(question[1])
        assert kind == "list"
        return self._listed(question[1], question[2])

    def _offset(self, moment: int) -> int:
        """Minutes east of UTC at a moment, in the user's zone."""
        if not self._zone_name:
            return time.localtime(moment).tm_gmtoff // 60
        from datetime import UTC, datetime
        from zoneinfo import ZoneInfo

        if self._zone is None:
            self._zone = ZoneInfo(self._zone_name)
        offset = datetime.fromtimestamp(moment, UTC).astimezone(self._zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) // 60

    def _listed(self, path: str, optional: bool) -> frozenset[str] | Status:
        from pydeliver.mail.folding import fold

        found = read_list(self.home, path)
        if isinstance(found, Distrust):
            if optional and found.kind == "absent":
                return frozenset()
            return deferred(f"list file: {found.text}", "4.3.5")
        lines = [line.strip() for line in found.data.decode("utf-8", "replace").splitlines()]
        return frozenset([fold(line) for line in lines if line and not line.startswith("#")])


def decide(
    program: Program, envelope: Envelope, message: Message, answer: Answer
) -> tuple[Verdict | Status, dict[Question, Any]]:
    """The verdict on a message and the answers it took; a `Status` if a question could not be answered."""
    answers: dict[Question, Any] = {}
    while True:
        found = program.evaluate(envelope, message, answers)
        if isinstance(found, Verdict):
            return found, answers
        given = answer(found)
        if isinstance(given, Status):
            return given, answers
        answers[found] = given


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
    if (sender, recipient) == (envelope.sender, envelope.recipient):
        return envelope
    return Envelope(
        sender,
        recipient,
        envelope.original_recipient,
        envelope.detail,
        envelope.user,
        envelope.queue_id,
        envelope.door,
        envelope.arguments,
        envelope.environment,
    )


def program_of(plan: Plan, store: Store, home: Home) -> Program:
    """A plan ready to judge messages, for the mailboxes of this store."""
    program = Program(plan)
    program.settings["layout"] = store.layout
    program.settings["name-problem"] = lambda name: name_problem(store, home.expand(name))
    return program


# -- delivery ---------------------------------------------------------------------------------------------------


class Request(Value):
    """One message to deliver: for whom, by which rules, what the caller said, and the descriptor to read it from."""

    home: Home
    site: Site
    envelope: Envelope
    fd: int
    now: float
    host: str


def deliver(request: Request) -> Status:
    """Deliver one message and log it. Whatever happens, the descriptor is read to its end."""
    started = time.monotonic()
    plan = load_plan(request.home, request.site)
    store = plan if isinstance(plan, Status) else find_store(plan.settings, request.home)
    if isinstance(plan, Status) or isinstance(store, Status):
        drain(request.fd)
        problem = plan if isinstance(plan, Status) else store
        assert isinstance(problem, Status)
        _log(request, None, None, Outcome(problem), None, {}, started)
        return problem
    alarm.guard(plan.settings["time-limit"])
    held = receive(request.fd, spool_dir=lambda: spool_directory(store))
    if isinstance(held, Status):
        _log(request, plan, None, Outcome(held), None, {}, started)
        return held
    try:
        if not held.size:
            return deferred("the message is empty: nothing was received", "4.3.0")
        line, from_line = split_from_line(held.read(0, FROM_LINE_BYTES))
        held.skip = len(line)
        message = Message(held)
        envelope = completed(request.envelope, message, from_line, plan.settings["trace-headers"])
        world = World(request.home, plan.settings, request.now)
        verdict, answers = decide(program_of(plan, store, request.home), envelope, message, world.answer)
        if isinstance(verdict, Status):
            outcome = Outcome(verdict)
            _log(request, plan, message, outcome, None, answers, started)
        else:
            outcome = execute(verdict, message, held, store, request.home.path, request.host, request.now)
            _log(request, plan, message, outcome, verdict, answers, started)
        return outcome.status
    finally:
        held.remove()


def _log(
    request: Request,
    plan: Plan | None,
    message: Message | None,
    outcome: Outcome,
    verdict: Verdict | None,
    answers: dict[Question, Any],
    started: float,
) -> None:
    """One line in the user's log and one for syslog. A log that can't be written changes nothing for the message."""
    envelope = request.envelope
    entry: dict[str, object] = {
        "time": request.now,
        "transaction": os.urandom(8).hex(),
        "door": envelope.door,
        "queue": envelope.queue_id,
        "sender": envelope.sender,
        "recipient": envelope.recipient,
        "status": outcome.status.line,
    }
    if message is not None:
        entry["message-id"] = next(iter(message.texts("message-id")), "")
        entry["size"] = message.size
    if plan is not None:
        entry["rules"] = plan.digest
    if verdict is not None and plan is not None:
        entry["verdict"] = verdict.describe()
        entry["rule"] = verdict.rule
        entry["line"] = verdict.line
        entry["file"] = plan.files[verdict.file] if verdict.line else ""
        entry["files"] = outcome.files
        entry["log"] = verdict.log
        entry["notes"] = verdict.notes
    entry["answers"] = [[*question, _short(answer)] for question, answer in answers.items()]
    entry["ms"] = round((time.monotonic() - started) * 1000, 1)
    problem = request.home.state.record(entry)
    shown = f"to {verdict.describe()} by rule {verdict.rule or verdict.line or 'none'}" if verdict else "not judged"
    told = f"{request.home.user}: {entry.get('message-id', '')} {shown}: {outcome.status.line}"
    tell_syslog(f"{told} ({problem})" if problem else told)


def _short(answer: Any) -> object:
    """An answer as the log keeps it: of a list file only how many values it has."""
    return f"{len(answer)} values" if isinstance(answer, frozenset) else answer
