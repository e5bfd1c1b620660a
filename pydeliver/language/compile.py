"""Tree to plan: every word looked up, every value read, every mistake reported.

The compiler knows words only through the vocabulary. What it can't resolve is an error; a plan is made only when
there is none. Doubts that can be seen while compiling (unused `let`, unreachable statement, `not` on a field with
many values) are warnings.
"""

from __future__ import annotations

from dataclasses import replace

from pydeliver.language import programs, scores, tree
from pydeliver.language.cases import Cases
from pydeliver.language.check import implies
from pydeliver.language.commands import command as command_of
from pydeliver.language.conditions import Conditions
from pydeliver.language.forms import fixed, flat, operands_of, slots
from pydeliver.language.operands import Values, beside
from pydeliver.language.reference import duration, is_list_file, reference
from pydeliver.language.scope import (
    Binding,
    Catalogue,
    Place,
    Report,
    check_fallback,
    falling_back,
    is_allowed,
    is_field_name,
    literal,
)
from pydeliver.language.units import DURATIONS
from pydeliver.vocabulary.forwarding import problem
from pydeliver.vocabulary.word import COMMAND, DURATION, Action, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.plan import Node

    # Reads an included file's tree: (path as written, optional, place, span) to the blocks it names.
    Include = Callable[[str, bool, Place, tree.Span], "list[tuple[tree.Block, Place]]"]
    Block = tuple[tuple[Node, ...], bool]

PROGRAMS = "programs"  # the family whose actions have an `or else`
OTHER_SLOTS = {COMMAND: "command", "DURATION": "number", "DAY": "day", "PATH": "path"}  # and their kind of operand
LANGUAGE = 1  # the newest language that this release knows


class Compiler:
    """Compiles blocks into plan nodes; `options` collects what `set` says."""

    def __init__(self, catalogue: Catalogue, report: Report, include: Include) -> None:
        self.catalogue = catalogue
        self.report = report
        self.include = include
        self.values = Values(catalogue, report)
        self.conditions = Conditions(catalogue, report, self.values)
        self.cases = Cases(catalogue, report, self.values)
        self.options: dict[str, tuple[tuple[str, ...], str]] = {}
        self.bindings: list[Binding] = []

    def file(self, block: tree.Block, place: Place) -> Block:
        """A whole file, then the doubts that need all of it."""
        made = self.block(block, place)
        for binding in self.bindings:
            if not binding.used:
                self.report.warning(binding.place, binding.span, "unused-let", "this `let` is never used")
        return made

    # -- statements --

    def block(self, block: tree.Block, place: Place) -> Block:
        """The nodes of a block, and whether it surely ends the evaluation."""
        nodes: list[Node] = []
        ended = False
        told = False
        for statement in block.statements:
            if ended and not told and not isinstance(statement, tree.Let) and not _is_test(statement):
                told = True
                self.report.warning(
                    place, _head(statement), "unreachable", "no message gets here: the evaluation ends above"
                )
            made, ends = self.statement(statement, place)
            nodes.extend(made)
            ended = ended or ends
        return tuple(nodes), ended

    def statement(self, statement: tree.Statement, place: Place) -> Block:
        if isinstance(statement, tree.Rule):
            return self._rule(statement, place)
        if isinstance(statement, tree.If):
            return self._if(statement, place)
        if isinstance(statement, tree.Let):
            self._let(statement, place)
            return (), False
        if isinstance(statement, tree.Score):
            return scores.compiled(statement, place, self.conditions, self.report), False
        assert isinstance(statement, tree.Command)
        return self._command(statement, place)

    def _rule(self, rule: tree.Rule, place: Place) -> Block:
        if any([not isinstance(part, str) for part in rule.name.parts]):
            self.report.error(
                place, rule.name.span, "bad-rule-name", "a rule's name is written out, without values in it"
            )
        named = replace(place, rule=" ".join(literal(rule.name).split()))
        if isinstance(rule.body, tree.If):
            return self._if(rule.body, named)
        return self.block(rule.body, named.inner())

    def _if(self, statement: tree.If, place: Place) -> Block:
        branches: list[tuple[Node, tuple[Node, ...]]] = []
        all_end = statement.otherwise is not None
        for condition, block in statement.branches:
            node, captures = self.conditions.compiled(condition, place)
            if any([implies(node, earlier) for earlier, _ in branches]):
                said = "nothing is left for this branch: whatever it matches is taken by one above"
                self.report.warning(place, condition.span, "shadowed", said)
            inner, ends = self.block(block, place.inner(captures))
            branches.append((node, inner))
            all_end = all_end and ends
        otherwise = None
        if statement.otherwise is not None:
            otherwise, ends = self.block(statement.otherwise, place.inner())
            all_end = all_end and ends
        node = ("if", tuple(branches), otherwise, place.rule, statement.span.line, place.source.number)
        return (node,), all_end

    def _let(self, let: tree.Let, place: Place) -> None:
        name = let.name
        first = name.split(".")[0]
        if self.catalogue.words.get(first) or first in self.catalogue.first_words() or first in ("null", "me"):
            self.report.error(
                place, let.name_span, "taken-name", f"`{name}` is a word of the language; choose another name"
            )
            return
        known = place.lets.get(name)
        if known is not None and known.place.depth == place.depth:
            elsewhere = "" if known.place.source is place.source else f" of {known.place.source.path}"
            said = f"`{name}` is given a second time; the first is in line {known.span.line}{elsewhere}"
            self.report.error(place, let.name_span, "taken-name", said)
            return
        is_condition = isinstance(let.value, tree.Condition)
        inside = falling_back(let.otherwise, place, self.report)
        binding = Binding(let.value, is_condition, inside, let.name_span)
        before = self.report.errors
        self._prove(let.value, inside)
        check_fallback(let.otherwise, inside, self.report)
        if self.report.errors > before or isinstance(let.value, tree.Broken):
            # Told once, here; who uses it need not hear of it again.
            binding = Binding(tree.Broken(let.value.span), is_condition, place, let.name_span, used=True)
        place.lets[name] = binding
        self.bindings.append(binding)

    def _prove(self, value: tree.Value | tree.Condition, place: Place) -> None:
        """Report the mistakes of a `let` where it is written, used or not."""
        if isinstance(value, tree.Condition):
            self.conditions.compiled(value, place)
        elif isinstance(value, tree.Text):
            self.values.template(value, place)
        elif isinstance(value, tree.List):
            for item in value.items:
                self._prove(item, place)
        elif isinstance(value, tree.Name) and value.dotted in place.lets:
            place.lets[value.dotted].used = True
        elif isinstance(value, tree.Name | tree.Call) or (isinstance(value, tree.Phrase) and not is_list_file(value)):
            reference(value, place, self.catalogue, self.report)

    # -- commands --

    def _command(self, command: tree.Command, place: Place) -> Block:
        words = flat(command.words)
        head = words[0]
        if not isinstance(head, tree.Name):
            self.report.error(place, head.span, "unexpected", "a statement begins with a word")
            return (), False
        first = head.dotted
        if command.otherwise is not None and first in self.catalogue.first_words() and not self._starts_program(first):
            said = "nothing here can fail: `or else` stands behind a program"
            self.report.error(place, command.otherwise.span, "bad-fallback", said)
            return (), False
        if first == "test":
            self.cases.add(command, place)
            return (), False
        if command.block is not None:
            near = self.catalogue.near(first, ["if", "rule"])
            self.report.error(place, head.span, "unknown-word", f"`{first}` is no statement with a block{near}")
            return (), False
        if first == "language":
            self._language(command, words, place)
        elif first == "include":
            return self._include(command, words, place)
        elif first == "set" and len(words) > 1 and isinstance(words[1], tree.Name) and self._is_option(words[1]):
            self._set(command, words[1].dotted, place)
        else:
            return self._action(command, words, head, place)
        return (), False

    def _starts_program(self, first: str) -> bool:
        return any([COMMAND in form for _, action in self.catalogue.actions(first) for form in action.forms])

    def _is_option(self, name: tree.Name) -> bool:
        return self.catalogue.option(name.dotted) is not None or name.dotted != "header"

    def _language(self, command: tree.Command, words: tuple[tree.Value, ...], place: Place) -> None:
        number = words[1] if len(words) == 2 and command.value is None else None
        if not isinstance(number, tree.Number) or number.value != int(number.value) or number.value < 1:
            self.report.error(place, command.span, "bad-language", f"write `language {LANGUAGE}`")
        elif number.value > LANGUAGE:
            self.report.error(
                place,
                number.span,
                "bad-language",
                f"this release knows the language up to {LANGUAGE}; the file was written for a newer one",
            )
        elif place.depth:
            self.report.error(place, command.span, "bad-language", "`language` stands at the top level")

    def _include(self, command: tree.Command, words: tuple[tree.Value, ...], place: Place) -> Block:
        names = [word.dotted for word in words if isinstance(word, tree.Name)]
        path = words[-1]
        if (
            names not in (["include"], ["include", "optional"])
            or len(words) != len(names) + 1
            or not isinstance(path, tree.Text)
            or command.value is not None
        ):
            self.report.error(place, command.span, "bad-include", 'write `include "more.rules"`')
            return (), False
        if any([not isinstance(part, str) for part in path.parts]):
            self.report.error(place, path.span, "bad-include", "the name of an included file is written out")
            return (), False
        nodes: list[Node] = []
        ended = False
        for block, inside in self.include(literal(path), len(names) == 2, place, path.span):
            made, ends = self.block(block, inside)
            nodes.extend(made)
            ended = ended or ends
        return tuple(nodes), ended

    def _set(self, command: tree.Command, name: str, place: Place) -> None:
        option = self.catalogue.option(name)
        if option is None:
            near = self.catalogue.near(name, self.catalogue.options())
            self.report.error(place, command.words[1].span, "unknown-option", f"there is no option `{name}`{near}")
            return
        if place.depth:
            self.report.error(
                place, command.span, "option-inside", "options are set at the top level, for every message"
            )
            return
        if command.value is None or len(flat(command.words)) != 2:
            self.report.error(place, command.span, "bad-option", f"write `{option.example}`")
            return
        items = command.value.items if isinstance(command.value, tree.List) else (command.value,)
        texts = [text for item in items if (text := _set_to(item, option)) is not None]
        if not texts or len(texts) != len(items) or (len(texts) > 1 and not option.many):
            self.report.error(place, command.span, "bad-option", f"write `{option.example}`")
            return
        kind = self._kind(command, option.kinds, option.example, place)
        if kind is None:
            return
        if not all([is_allowed(f"set {name}", text, command.value.span, place, self.report) for text in texts]):
            return
        problem = option.problem(tuple(texts))
        if problem:
            self.report.error(place, command.value.span, "bad-option", problem)
        elif name in self.options:
            self.report.error(place, command.span, "bad-option", f"`{name}` is set a second time")
        else:
            self.options[name] = (tuple(texts), kind)

    def _kind(self, command: tree.Command, kinds: tuple[str, ...], example: str, place: Place) -> str | None:
        """The word behind `as`, "" where none stands, None with the mistake reported."""
        rest = flat(command.rest)
        if not rest:
            return ""
        said = [
            part.dotted if isinstance(part, tree.Name) else literal(part) if isinstance(part, tree.Text) else ""
            for part in rest
        ]
        if len(said) == 2 and said[0] == "as" and said[1] in kinds:
            return said[1]
        quoted = " or ".join([f'"{kind}"' for kind in kinds])
        known = f"; `as` takes {quoted}" if kinds else ""
        self.report.error(place, rest[0].span, "bad-option", f"write `{example}`{known}")
        return None

    # -- actions --

    def _action(self, command: tree.Command, words: tuple[tree.Value, ...], head: tree.Name, place: Place) -> Block:
        candidates = self.catalogue.actions(head.dotted)
        if not candidates:
            self._no_action(head, place)
            return (), False
        for family, action in candidates:
            for form in action.forms:
                operands = operands_of(form, words, command)
                if operands is not None:
                    return self._fitted(family, action, form, operands, command, place)
        said = " or ".join([f"`{action.example}`" for _, action in candidates])
        self.report.error(place, command.span, "wrong-form", f"`{head.dotted}` is written {said}")
        return (), False

    def _no_action(self, head: tree.Name, place: Place) -> None:
        name = head.dotted
        if self.catalogue.field(name) or self.catalogue.field(head.parts[0]):
            self.report.error(place, head.span, "no-action", f"`{name}` begins a condition: expected `if` before it")
        elif name in place.lets:
            self.report.error(place, head.span, "no-action", f"`{name}` is a `let`: expected an action here")
        else:
            near = self.catalogue.near(name, self.catalogue.first_words())
            self.report.error(place, head.span, "unknown-word", f"`{name}` is not known here{near}")

    def _fitted(
        self,
        family: str,
        action: Action,
        form: str,
        values: list[tree.Value],
        command: tree.Command,
        place: Place,
    ) -> Block:
        said = action.name if family == PROGRAMS else fixed(form)
        if not is_allowed("word", said, flat(command.words)[0].span, place, self.report):
            return (), action.final
        if family == PROGRAMS:
            return programs.compiled(family, action, dict(zip(slots(form), values, strict=True)), command, place, self)
        operands = []
        for slot, value in zip(slots(form), values, strict=True):
            made = self._slot(slot, value, action, place)
            if made is None:
                return (), action.final
            operands.append(made)
        if command.otherwise is not None:
            said = "a notification holds nothing up, so there is no `or else`"
            self.report.error(place, command.otherwise.span, "bad-fallback", said)
        days = [day for kind, day in operands if kind == "day"]
        if days != sorted(days):  # type: ignore[type-var]
            self.report.error(place, command.span, "bad-date", "the last day is before the first")
        shown = place.source.written(command.span)
        line = command.span.line
        return (
            ("do", family, action.name, tuple(operands), place.rule, line, place.source.number, shown),
        ), action.final

    def _slot(self, slot: str, value: tree.Value, action: Action, place: Place) -> tuple[str, object] | None:
        if slot in OTHER_SLOTS:
            made_of_it = self._other_slot(slot, value, action, place)
            return None if made_of_it is None else (OTHER_SLOTS[slot], made_of_it)
        items = value.items if isinstance(value, tree.List) else (value,)
        if not items:
            self.report.error(place, value.span, "wrong-form", f"this list is empty: `{action.example}`")
            return None
        if slot == "FLAGS":
            return self._flags(items, action, place)
        if slot in ("TEXT", "NAME") and len(items) > 1:
            self.report.error(place, value.span, "wrong-form", f"one value stands here: `{action.example}`")
            return None
        made = [self._text(item, action, place) for item in items]
        if any([one is None for one in made]):
            return None
        if slot == "NAME":
            name = made[0]
            if not isinstance(name, str) or not is_field_name(name):
                self.report.error(place, value.span, "bad-header-name", "this can't be the name of a header field")
                return None
            return ("names", name)
        if slot == "LABELS":
            if not all([isinstance(one, str) for one in made]):
                self.report.error(place, value.span, "wrong-form", "labels are written out, without values in them")
                return None
            return ("names", tuple(made))
        if slot == "ADDRESSES":
            for item, template in zip(items, made, strict=True):
                if isinstance(template, str) and (said := problem(template)):
                    self.report.error(place, item.span, "bad-address", said)
                    return None
            return ("addresses", tuple(made))
        if slot == "MAILBOXES":
            for item, template in zip(items, made, strict=True):
                is_allowed("mailbox", _with_values(template), item.span, place, self.report)
            return ("boxes", tuple(made))
        return ("text", made[0])

    def _other_slot(self, slot: str, value: tree.Value, action: Action, place: Place) -> object | None:
        """What stands in the place of a command, a time, a day or a file."""
        if slot == COMMAND:
            parts = value.parts if isinstance(value, tree.Phrase) else (value,)
            return command_of(parts, place, self.catalogue, self.report)
        if slot == "DURATION":
            seconds = duration(value, place, self.report)
            least, said = action.least
            if seconds is not None and seconds < least:
                self.report.error(place, value.span, "bad-value", said)
                return None
            return seconds
        if slot == "DAY" and isinstance(value, tree.Date) and value.minute is None:
            day = self.values.day(value, place)
            return day[0][1:] if day else None
        if slot == "PATH" and isinstance(value, tree.Text) and _is_literal(value) and literal(value):
            path = beside(literal(value), place.source.path)
            return ("file", path) if is_allowed("list", path, value.span, place, self.report) else None
        wanted = "a day, like `2026-12-24`" if slot == "DAY" else f"the name of a file: `{action.example}`"
        self.report.error(place, value.span, "wrong-kind", f"here stands {wanted}")
        return None

    def _text(self, value: tree.Value, action: Action, place: Place) -> object | None:
        if isinstance(value, tree.Name):
            binding = place.lets.get(value.dotted)
            if binding is None:
                self.report.error(place, value.span, "unquoted", f'text stands in quotes: "{value.dotted}"')
                return None
            binding.used = True
            if isinstance(binding.value, tree.Broken):
                return None
            if isinstance(binding.value, tree.Text):
                made = self.values.template(binding.value, binding.place)
                return self._not_empty(made, value, place)
        if not isinstance(value, tree.Text):
            self.report.error(place, value.span, "wrong-form", f"a text stands here: `{action.example}`")
            return None
        return self._not_empty(self.values.template(value, place), value, place)

    def _not_empty(self, made: object | None, value: tree.Value, place: Place) -> object | None:
        if made == "":
            self.report.error(place, value.span, "empty-text", "this text is empty")
        return made or None

    def _flags(self, items: tuple[tree.Value, ...], action: Action, place: Place) -> tuple[str, object] | None:
        names = []
        for item in items:
            name = item.dotted if isinstance(item, tree.Name) else literal(item) if isinstance(item, tree.Text) else ""
            if name not in action.choices:
                near = self.catalogue.near(name, list(action.choices)) or f"; it is one of {', '.join(action.choices)}"
                said = f"`{name}` is" if name else "this is"
                self.report.error(place, item.span, "unknown-choice", f"{said} nothing to {action.name}{near}")
                return None
            names.append(name)
        return ("names", tuple(names))


def _set_to(value: tree.Value, option: Option) -> str | None:
    """What an option is set to, as its kind has it; None where it takes no such value."""
    if option.kind == DURATION and isinstance(value, tree.Quantity):
        unit = DURATIONS.get(value.unit.lower())
        return None if unit is None else str(int(value.value * unit))
    if option.kind != DURATION and isinstance(value, tree.Text) and _is_literal(value):
        return literal(value)
    return None


def _is_literal(text: tree.Text) -> bool:
    return all([isinstance(part, str) for part in text.parts])


def _is_test(statement: tree.Statement) -> bool:
    head = flat(statement.words)[0] if isinstance(statement, tree.Command) else None
    return isinstance(head, tree.Name) and head.dotted == "test"


def _with_values(template: Any) -> str:
    """A template as a text, with a word where a value stands."""
    parts = (template,) if isinstance(template, str) else template
    return "".join([part if isinstance(part, str) else "value" for part in parts])


def _head(statement: tree.Statement) -> tree.Span:
    """The first word of a statement, where a remark about all of it points."""
    span = statement.span
    if isinstance(statement, tree.Command):
        return flat(statement.words)[0].span
    width = len("rule") if isinstance(statement, tree.Rule) else len("if")
    return tree.Span(span.line, span.column, span.line, span.column + width)
