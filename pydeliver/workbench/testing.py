"""Rule tests, run: each message judged as a delivery would judge it, and held against what the test expects.

Calls `agent.decide`, as deliveries do; nothing is written. The world is what the test gives: the rest of the envelope
is absent, and of mailboxes that are not given none exists. The clock and list files that are not given are the real
ones; nothing came before but what is given, and no program is run. A question that can't be answered fails the test,
as it would make the mail wait.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydeliver.agent import World, completed, decide, program_of
from pydeliver.agent.programs import ENDED, FAILED
from pydeliver.agent.rules import Distrust, Home, read_list
from pydeliver.language.cases import Case, Expectation, marks
from pydeliver.language.letters import Letter, Moment, Raw
from pydeliver.mail.date import seconds
from pydeliver.mail.edit import edited
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.folding import fold
from pydeliver.mail.message import Message, split_from_line
from pydeliver.mail.words import visible
from pydeliver.mailbox.names import INBOX, Store, locate
from pydeliver.plan import Plan
from pydeliver.status import Status
from pydeliver.verdict import DELIVER, Delivery, Verdict
from pydeliver.workbench.compose import composed
from pydeliver.workbench.rehearse import COUNTLESS, MEMORIES, Rehearsal

PROGRAMS = ("run", "output", "program")
_ENVELOPE = {
    "envelope.from": "sender",
    "envelope.to": "recipient",
    "envelope.original-to": "original_recipient",
    "envelope.to.detail": "detail",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that does not hold: as it is written, and what came instead."""

    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a test. `judged` is missing only where there was no message to judge, which is then a problem."""

    case: Case
    failures: tuple[Failure, ...]
    problems: tuple[str, ...]
    judged: Rehearsal | None = None

    @property
    def passed(self) -> bool:
        return not self.failures and not self.problems


def rule_files(path: str) -> list[str]:
    """The rule files that a path names: itself, or those in a directory and below it, in order."""
    if not os.path.isdir(path):
        return [path]
    found = [os.path.join(place, name) for place, _, names in os.walk(path) for name in names]
    return sorted([name for name in found if name.endswith(".rules")])


def run(cases: Iterable[Case], plan: Plan, store: Store, home: Home, now: float) -> Iterator[Result]:
    """Run the tests in order, as at the moment `now` where they give no other."""
    program = program_of(plan, store)
    for case in cases:
        stage = _Stage(case, plan, store, home, now)
        data = stage.message()
        if isinstance(data, str):
            yield Result(case, (), (data,))
            continue
        line, from_line = split_from_line(data)
        message = Message.of(data[len(line) :])
        envelope = completed(stage.envelope(), message, from_line, trusted=True)
        own = stage.plan()
        bound = program if own is plan else program_of(own, store)
        judged, _ = decide(bound, envelope, message, stage.answer, stage.values())
        assert isinstance(judged, Verdict)  # `answer` never gives a Status
        outcome = _Outcome(message, judged, case.expectations, home)
        failures = [Failure(one.shown, outcome.got(one)) for one in case.expectations if not outcome.holds(one)]
        problems = tuple(stage.problems)
        yield Result(case, tuple(failures), problems, Rehearsal(case.name, message, judged, problems))


class _Stage:
    """The world as a test gives it."""

    def __init__(self, case: Case, plan: Plan, store: Store, home: Home, now: float) -> None:
        self.case = case
        self.problems: list[str] = []
        self._plan = plan
        self._store = store
        self._home = home
        self._world = World(home, store, plan.settings, now)
        moments = [value for one in case.given for value in one.values if isinstance(value, Moment)]
        self._now = self._seconds(moments[0]) if moments else now
        self._remembered = {one.name for one in case.given if one.name in MEMORIES and one.values}
        self._programs = [
            (one.name, self._argv(one.argument), one.values) for one in case.given if one.name in PROGRAMS
        ]
        self._lists = {one.argument: frozenset(map(_folded, one.values)) for one in case.given if one.name == "file"}

    def plan(self) -> Plan:
        """The plan, with the user's addresses where they are given."""
        me = [one.values for one in self.case.given if one.name == "me"]
        if not me:
            return self._plan
        kept = {field: getattr(self._plan, field) for field in Plan._fields}
        return Plan(**kept | {"settings": {**self._plan.settings, "me": me[0]}})

    def message(self) -> bytes | str:
        """The bytes of the message, or why there are none."""
        message = self.case.message
        if isinstance(message, Letter):
            return composed(message, self._local)
        if isinstance(message, Raw):
            return message.text.encode("utf-8", "replace")
        found = read_list(self._home, message.path)
        if isinstance(found, Distrust):
            return found.text
        return found.data or f"{message.path} is empty: a delivery asks for another try"

    def envelope(self) -> Envelope:
        """What is given of it; all the rest was not said."""
        said: dict[str, Any] = {"arguments": {}, "environment": {}}
        for one in self.case.given:
            value = str(one.values[0]) if one.values else None
            if one.name in _ENVELOPE:
                said[_ENVELOPE[one.name]] = "" if value is None and one.name == "envelope.to.detail" else value
            elif one.name in ("arg", "env") and value is not None:
                said["arguments" if one.name == "arg" else "environment"][one.argument] = value
        return Envelope(user=self._home.user, door="test", **said)

    def values(self) -> dict[tuple[str, Any], Any]:
        """The values of fields that stand for those that evaluation would read."""
        elsewhere = (*_ENVELOPE, *MEMORIES, *PROGRAMS, "arg", "env", "file", "me", "now")
        return {(one.name, one.argument): one.values for one in self.case.given if one.name not in elsewhere}

    def answer(self, question: Any) -> Any:
        """The answer to a question; None, and a problem more, where there is none."""
        kind = question[0]
        if kind == "now":
            return self._now
        if kind == "list" and question[1] in self._lists:
            return self._lists[question[1]]
        if kind == "mailbox-exists":
            return False
        if kind == "piped":
            came = self._came_of("program", question[1])
            return (ENDED, True) if came is None else came
        if kind == "program":
            return self._came_of(question[1], question[2])
        if kind == "remembered":
            return COUNTLESS if question[1] in self._remembered else 0
        if kind == "mailbox":
            location = locate(self._store, question[1])
            return location.text if isinstance(location, Status) else ""
        found = self._world.answer(question)
        if isinstance(found, Status):
            hint = f'; a test may give it: given file "{question[1]}" = …' if kind == "list" else ""
            self.problems.append(found.text + hint)
            return None
        return found

    def _argv(self, words: Any) -> tuple[str, ...]:
        return tuple([self._home.expand(word) for word in words])

    def _came_of(self, word: str, argv: tuple[str, ...]) -> Any:
        """What is given of the program whose command begins with the most of these words; None if nothing is."""
        fitting = [one for one in self._programs if one[0] in (word, "program") and argv[: len(one[1])] == one[1]]
        if not fitting:
            return None
        name, _, values = max(fitting, key=lambda one: len(one[1]))
        if name == "program":
            return FAILED, "fails, as the test says"
        return ENDED, values[0] if values else False

    def _seconds(self, moment: Moment) -> float:
        """A moment of the user's zone since the epoch."""
        as_utc = seconds(moment.year, moment.month, moment.day, moment.minute)
        # The offset at a moment near by, then at the moment itself: they differ where a summer begins or ends.
        guess = as_utc - 60 * self._world.answer(("offset", int(as_utc)))
        return float(as_utc - 60 * self._world.answer(("offset", int(guess))))

    def _local(self, moment: Moment) -> datetime:
        hour, minute = divmod(moment.minute, 60)
        offset = timedelta(minutes=self._world.answer(("offset", int(self._seconds(moment)))))
        return datetime(moment.year, moment.month, moment.day, hour, minute, tzinfo=timezone(offset))


def _folded(value: object) -> str:
    return fold(str(value).strip())


class _Outcome:
    """What became of a message, for expectations to look at."""

    def __init__(self, message: Message, verdict: Verdict, expectations: tuple[Expectation, ...], home: Home) -> None:
        self.verdict = verdict
        self.home = home
        # What `expect copy file` names needs no second word: `expect file` is about all the others.
        named = [name for one in expectations if one.kind == "copy file" and not one.no for name in _boxes(one)]
        filed = [one for one in verdict.deliveries if not one.way_out]
        self.copies = [one.mailbox for one in filed if not one.final]
        self.boxes = {one.mailbox for one in filed}
        self.elsewhere = {one.mailbox for one in filed if one.final or one.mailbox not in named}
        self.form = _form(verdict)
        self._message = message

    def holds(self, one: Expectation) -> bool:
        return self._holds(one) != one.no

    def _holds(self, one: Expectation) -> bool:
        verdict = self.verdict
        if one.kind in ("file", "keep"):
            return self._filed(one)
        if one.kind == "copy file":
            wanted = _boxes(one)
            return all([box in self.copies for box in wanted]) if not one.no else _any(wanted, self.copies)
        if one.kind in ("pipe", "copy pipe"):
            words = tuple([self.home.expand(word) for word in one.names])
            piped = [each.argv for each in verdict.deliveries if each.argv and each.final == (one.kind == "pipe")]
            return any([argv[: len(words)] == words for argv in piped])
        if one.kind in ("forward", "copy forward"):
            sent = [
                each.address for each in verdict.deliveries if each.address and each.final == (one.kind == "forward")
            ]
            return _any(one.names, sent) if one.no else all([name in sent for name in one.names])
        if one.kind in ("reply", "vacation"):
            return any([each.word == one.kind for each in verdict.replies])
        if one.kind == "notify":
            return any([one.text in (None, each.text) for each in verdict.notices])
        if one.kind == "discard":
            return verdict.outcome == "discard" and (one.no or not self.elsewhere)
        if one.kind in ("reject", "defer"):
            return verdict.outcome == one.kind and one.text in (None, verdict.text)
        if one.kind == "by":
            return verdict.rule == one.text if one.text is not None else bool(verdict.rule)
        if one.kind == "log":
            return one.text in verdict.log if one.text is not None else bool(verdict.log)
        if self.form is None:
            return False
        if one.kind in ("mark", "label"):
            marks = self.form.flags if one.kind == "mark" else self.form.labels
            return _any(one.names, marks) if one.no else all([name in marks for name in one.names])
        values = self._values(one)
        return bool(values) if one.text is None else visible(" ".join(one.text.split())) in values

    def _filed(self, one: Expectation) -> bool:
        wanted = _boxes(one)
        if one.no:
            return _any(wanted, self.boxes)
        return self.verdict.outcome == DELIVER and self.elsewhere == set(wanted)

    def _values(self, one: Expectation) -> tuple[str, ...]:
        """The values of a header field as the message is delivered."""
        assert self.form is not None
        head = edited(self._message.head, self.form.edits, self._message.newline)
        return Message.of(head).texts(one.names[0].lower() if one.names else "subject")

    def got(self, one: Expectation) -> str:
        """What there is instead of what was expected, in a few words."""
        if one.kind == "by":
            return f'by "{self.verdict.rule}"' if self.verdict.rule else "by no rule that has a name"
        if one.kind == "log":
            return ", ".join([f'log "{line}"' for line in self.verdict.log]) or "no log"
        if one.kind in ("header", "subject") and self.form is not None:
            name = f'header "{one.names[0]}"' if one.names else "subject"
            return ", ".join([f'{name} = "{value}"' for value in self._values(one)]) or f"no {name}"
        if one.kind == "mark" and self.form is not None:
            return f"mark {marks(self.form.flags)}" if self.form.flags else "no mark"
        if one.kind == "label" and self.form is not None:
            return ", ".join([f'label "{label}"' for label in self.form.labels]) or "no label"
        return self.verdict.describe()


def _form(verdict: Verdict) -> Delivery | None:
    """The form in which the message ends: of its final delivery, else of the last copy."""
    final = [one for one in verdict.deliveries if one.final]
    return next(reversed(final or list(verdict.deliveries)), None)


def _boxes(one: Expectation) -> tuple[str, ...]:
    """The mailboxes that an expectation names; `keep` names the default one."""
    if one.kind == "keep":
        return (INBOX,)
    return tuple([INBOX if name.upper() == INBOX else name for name in one.names])


def _any(wanted: tuple[str, ...], found: Any) -> bool:
    """Whether one of these is there; where none is named, whether there is anything."""
    return any([name in found for name in wanted]) if wanted else bool(found)
