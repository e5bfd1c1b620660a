"""What becomes of one message: pure evaluation of a plan over the vocabulary.

`Program` binds a plan to the words it names; `Program.evaluate` gives a `Verdict`, or the question it must have
answered first (then call it again with the answer). No clock, no disk, no network: rehearsal and delivery call the
same function with the same facts and get the same verdict.

Conditions are three-valued: an unknown one is not taken. The first delivering action ends the evaluation; a message
that reaches the end is kept.
"""

from __future__ import annotations

from pydeliver import vocabulary
from pydeliver.status import Value
from pydeliver.vocabulary.operator import bind, counted, local_time
from pydeliver.vocabulary.word import (
    COMMAND,
    FORMED,
    MOMENT,
    NUMBER,
    OF_FIELD,
    UNKNOWN,
    Decided,
    Draft,
    Facts,
    Field,
    Unanswered,
    shown_as,
)
from pydeliver.vocabulary.word import Delivery as Delivery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.mail.envelope import Envelope
    from pydeliver.mail.message import Message
    from pydeliver.plan import Node, Plan
    from pydeliver.vocabulary.answering import Reply
    from pydeliver.vocabulary.notifying import Notice
    from pydeliver.vocabulary.operator import Render, Test
    from pydeliver.vocabulary.word import Action, Event, Question, Word

    Step = Callable[[Draft, list["Traced"]], bool]
    # A node of the plan that was reached, and what came of it: None is unknown, an action has a word or True.
    Traced = tuple[Node, bool | str | None]
    Given = dict[tuple[str, Any], Any]

KEEP, DELIVER, DISCARD, REJECT, DEFER = "keep", "deliver", "discard", "reject", "defer"


class Verdict(Value):
    """All deliveries for one recipient, and why.

    `outcome` is deliver, discard, reject or defer; `text` the reason of the latter two. `rule`, `line` and `file` name
    the statement that decided (line 0: the end of the rules). `cancelled` are deliveries that a reject or defer undid.
    `events` are to be remembered if, and only if, all else is done, `replies` and `notices` sent after that. What is
    discarded `for_good` is kept nowhere.
    """

    outcome: str
    deliveries: tuple[Delivery, ...]
    text: str = ""
    rule: str = ""
    line: int = 0
    file: int = 0
    cancelled: tuple[Delivery, ...] = ()
    log: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trace: tuple[Traced, ...] = ()
    unknown: tuple[Question, ...] = ()
    events: tuple[Event, ...] = ()
    for_good: bool = False
    replies: tuple[Reply, ...] = ()
    notices: tuple[Notice, ...] = ()

    def describe(self) -> str:
        """One line for the report and the log: what is done, not by which rule."""
        if self.outcome == DELIVER:
            sent = [*[one.describe() for one in self.replies], *[one.describe() for one in self.notices]]
            return ", ".join([*[one.describe() for one in self.deliveries], *sent])
        outcome = "discard for good" if self.for_good else self.outcome
        made = f'{outcome} "{self.text}"' if self.text else outcome
        return ", ".join([*[one.describe() for one in self.deliveries], made])


class Program:
    """A plan bound to its words: evaluates any number of messages."""

    __slots__ = ("_families", "_remembering", "_steps", "settings")

    def __init__(self, plan: Plan) -> None:
        self.settings = dict(plan.settings)
        self._families: dict[str, dict[str, Word]] = {}
        self._remembering: list[tuple[Field, Any]] = []
        self._steps = self._block(plan.statements)

    def evaluate(
        self, envelope: Envelope, message: Message, answers: dict[Question, Any], given: Given | None = None
    ) -> Verdict | Question:
        """The verdict, or a question that is not among the answers. An answer of None means that nobody knows.

        `given` are values of fields by (name, argument), in place of those that the message has.
        """
        facts = Facts(envelope, message, answers, self.settings, given)
        draft = Draft(facts)
        trace: list[Traced] = []
        try:
            self._walk(draft, trace)
            if not draft.outcome:
                draft.rule, draft.line, draft.file = "", 0, 0
                draft.deliver("INBOX", final=True)
            events = self._events(facts, draft.outcome)
        except Unanswered as unanswered:
            return unanswered.question
        stored = draft.outcome == DELIVER
        return Verdict(
            draft.outcome,
            tuple(draft.deliveries),
            draft.text,
            draft.rule,
            draft.line,
            draft.file,
            draft.cancelled,
            tuple(draft.log),
            tuple(dict.fromkeys([*draft.notes, *message.limits, *facts.message.limits])),
            tuple(trace),
            tuple([question for question, answer in answers.items() if answer is None]),
            (*events, *draft.reserved) if stored else events,
            draft.for_good,
            tuple(draft.replies) if stored else (),
            tuple(draft.notices) if stored else (),
        )

    def _walk(self, draft: Draft, trace: list[Traced]) -> None:
        try:
            _run(self._steps, draft, trace)
        except Decided as decided:
            draft.notes.append(decided.why)
            if decided.outcome == DEFER:
                draft.end(DEFER, decided.why)
            else:
                draft.deliver("INBOX", final=True)

    def _events(self, facts: Facts, outcome: str) -> tuple[Event, ...]:
        """What the rules may ask about later messages, wherever they ask it: before a filter or behind one."""
        found = []
        for message in dict.fromkeys([facts.message, facts.received] if self._remembering else ()):
            if message is not facts.message:
                facts.become(message)
            for field, argument in self._remembering:
                assert field.remembers is not None
                found.append(field.remembers(facts, argument, outcome))
        return tuple(dict.fromkeys([event for event in found if event is not None]))

    # -- words --

    def _word(self, family: str, name: str) -> Word:
        words = self._families.get(family)
        if words is None:
            words = self._families[family] = vocabulary.family(family)
        return words[name]

    def _field(self, family: str, name: str) -> Field:
        return self._word(family, name)  # type: ignore[return-value]

    def _argument(self, field: Field, argument: Any) -> Any:
        if field.apply is not None:
            return (self._asked(argument[0]), argument[1])
        if field.argument == FORMED:
            return tuple([(slot, self._slot(slot, given)) for slot, given in argument])
        if field.argument != OF_FIELD:
            return argument
        inner = self._field(argument[0], argument[1])
        return (inner, self._argument(inner, argument[2]))

    def _slot(self, slot: str, given: Any) -> Any:
        if slot == COMMAND:
            return self._command(given)
        return self._asked(given) if slot == "FIELD" else given

    def _asked(self, node: Node) -> tuple[Field, Any]:
        """The field of a plan's node, and its argument."""
        family, name, given = node
        field = self._field(family, name)
        return field, self._argument(field, given)

    # -- statements --

    def _block(self, nodes: tuple[Node, ...]) -> tuple[Step, ...]:
        return tuple([self._if(node) if node[0] == "if" else self._do(node) for node in nodes])

    def _if(self, node: Node) -> Step:
        branches = tuple([(self._condition(condition), self._block(block)) for condition, block in node[1]])
        otherwise = self._block(node[2]) if node[2] is not None else ()
        where = node[3:6]

        def step(draft: Draft, trace: list[Traced]) -> bool:
            facts = draft.facts
            draft.rule, draft.line, draft.file = where
            outer = facts.captures
            for condition, block in branches:
                facts.captures = dict(outer)  # captures are seen inside this branch only
                if condition(facts, trace):
                    done = _run(block, draft, trace)
                    facts.captures = outer
                    return done
            facts.captures = outer
            return _run(otherwise, draft, trace)

        return step

    def _do(self, node: Node) -> Step:
        action: Action = self._word(node[1], node[2])  # type: ignore[assignment]
        operands = tuple([self._operand(operand) for operand in node[3]])
        rule, line, file = node[4:7]

        def step(draft: Draft, trace: list[Traced]) -> bool:
            draft.rule, draft.line, draft.file = rule, line, file
            told = action.decide(draft, tuple([operand(draft.facts) for operand in operands]))
            trace.append((node, None if told == UNKNOWN else told or True))
            return action.final

        return step

    def _operand(self, operand: Node) -> Callable[[Facts], Any]:
        kind, given = operand
        if kind == "text":
            pieces = self._pieces(given)
            return lambda facts: "".join([text for text, _ in pieces(facts)])
        if kind in ("boxes", "addresses"):
            each = tuple([self._pieces(template) for template in given])
            return lambda facts: tuple([pieces(facts) for pieces in each])
        if kind == "command":
            return self._command(given)
        if kind == "count":
            field, argument = self._asked(given[1])
            return counted(field, argument, *given[2:5])
        return lambda facts: given

    # -- texts --

    def _command(self, words: tuple[tuple[Any, ...], ...]) -> Callable[[Facts], tuple[tuple[Any, ...], ...]]:
        """A program's command as a function to the pieces of its words: (text, is a value); an unknown text is None."""
        made = tuple(
            [tuple([(self._render(_whole(part)), not isinstance(part, str)) for part in one]) for one in words]
        )
        return lambda facts: tuple([tuple([(render(facts), value) for render, value in one]) for one in made])

    def _render(self, template: Any) -> Render:
        """A template as a function to its text; None when a value in it is unknown."""
        if isinstance(template, str):
            return lambda facts: template
        parts = tuple([_fixed(part) if isinstance(part, str) else self._value(part) for part in template])

        def shown(facts: Facts) -> str | None:
            texts = [part(facts) for part in parts]
            return None if None in texts else "".join([text for text in texts if text is not None])

        return shown

    def _pieces(self, template: Any) -> Callable[[Facts], tuple[tuple[str, bool], ...]]:
        """A template as a function to (text, is a value) pairs; an unknown value shows as `?`."""
        if isinstance(template, str):
            fixed = ((template, False),)
            return lambda facts: fixed
        parts = tuple([_fixed(part) if isinstance(part, str) else self._value(part) for part in template])
        values = tuple([not isinstance(part, str) for part in template])

        def pieces(facts: Facts) -> tuple[tuple[str, bool], ...]:
            texts = [part(facts) for part in parts]
            return tuple([("?" if text is None else text, value) for text, value in zip(texts, values, strict=True)])

        return pieces

    def _value(self, part: Node) -> Render:
        if part[0] == "capture":
            name = part[1]
            return lambda facts: facts.captures.get(name, "")
        if part[0] == "call":
            inner, number = self._render(part[3]), part[4]
            apply = self._field(part[1], part[2]).apply
            assert apply is not None
            return lambda facts: None if (text := inner(facts)) is None else apply(text, number)
        field = self._field(part[1], part[2])
        argument = self._argument(field, part[3])

        def value(facts: Facts) -> str | None:
            values = facts.values(field, argument)
            if not values:
                return None if values is None else ""
            if field.kind == MOMENT:
                return _day(facts, values[0])
            text = shown_as(field.kind, values[0])
            return text.zfill(field.digits) if field.kind == NUMBER else text

        return value

    # -- conditions --

    def _condition(self, node: Node) -> Callable[[Facts, list[Traced]], bool | None]:
        kind = node[0]
        if kind == "test":
            return self._test(node)
        if kind == "not":
            inner = self._condition(node[1])
            return lambda facts, trace: None if (found := inner(facts, trace)) is None else not found
        if kind == "any":
            return self._any(node)
        conditions = tuple([self._condition(each) for each in node[1]])
        decisive = kind == "or"  # the answer that settles it at once

        def joined(facts: Facts, trace: list[Traced]) -> bool | None:
            unknown = False
            for condition in conditions:
                found = condition(facts, trace)
                if found is decisive:
                    return decisive
                unknown = unknown or found is None
            return None if unknown else not decisive

        return joined

    def _any(self, node: Node) -> Callable[[Facts, list[Traced]], bool | None]:
        """Whether a condition holds of one of many; the trace shows the one that decided, or the last."""
        count = self._field(*node[1]).parts
        assert count is not None
        inner = self._condition(node[2])

        def found(facts: Facts, trace: list[Traced]) -> bool | None:
            answer: bool | None = False
            last: list[Traced] = []
            for number in range(count(facts)):
                facts.part, last = number, []
                holds = inner(facts, last)
                if holds:
                    answer = True
                    break
                if holds is None:
                    answer = None
            facts.part = -1
            trace += last
            return answer

        return found

    def _test(self, node: Node) -> Callable[[Facts, list[Traced]], bool | None]:
        operator, exactly, operands = node[2:5]
        field, argument = self._asked(node[1])
        if field.remembers is not None:
            self._remembering.append((field, argument))
        bound: Test = bind(field, argument, operator, exactly, operands, self._asked, self._render)

        negated = node[8]

        def traced(facts: Facts, trace: list[Traced]) -> bool | None:
            found = bound(facts)
            trace.append((node, not found if negated and found is not None else found))
            return found

        return traced


def _whole(part: Any) -> Any:
    """A part of a template as a template."""
    return part if isinstance(part, str) else (part,)


def _fixed(text: str) -> Render:
    return lambda facts: text


def _day(facts: Facts, moment: float) -> str | None:
    """A moment as text: its day, in a form that sorts."""
    local = local_time(facts, moment)
    return None if local is None else f"{local[0]:04}-{local[1]:02}-{local[2]:02}"


def _run(steps: tuple[Step, ...], draft: Draft, trace: list[Traced]) -> bool:
    """Take the steps in order until one ends the evaluation; True if one did."""
    return any(step(draft, trace) for step in steps)
