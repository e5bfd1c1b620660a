"""Values as the plan holds them: what stands on the right of an operator, and texts with values in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from pydeliver.language import tree
from pydeliver.language.pattern import Problem, prepare
from pydeliver.language.reference import Reference, function, has_no_value, is_list_file, reference
from pydeliver.language.scope import Catalogue, Place, Report, is_allowed
from pydeliver.language.units import DURATIONS, SIZES
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.word import ADDRESS, DURATION, MOMENT, NUMBER, SIZE, TEXTUAL, Field

_UNITS = {SIZE: SIZES, DURATION: DURATIONS}
_SAMPLES = {
    SIZE: "10 MB",
    DURATION: "30 days",
    MOMENT: "2026-12-24",
    NUMBER: "5",
}
# `let`s are written out where they are used, so one that uses others could grow without end.
MAX_VALUES = 200_000
MAX_TEXT = 65_536

Operand = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """The left side and the operator that operands are read for."""

    on: Reference
    operator: str
    negated: bool = False


class Values:
    """Resolves values at a place; every mistake goes to the report and gives no operand."""

    def __init__(self, catalogue: Catalogue, report: Report) -> None:
        self.catalogue = catalogue
        self.report = report

    def spend(self, span: tree.Span, place: Place) -> bool:
        """Count one more condition or value; False once the rules have become too large."""
        self.report.values += 1
        if self.report.values == MAX_VALUES:
            self.report.error(
                place, span, "too-large", f"written out, these rules hold more than {MAX_VALUES:,} values"
            )
        return self.report.values < MAX_VALUES

    # -- texts --

    def template(self, text: tree.Text, place: Place) -> object | None:
        """A string as the plan's template: a `str`, or a tuple of texts and value nodes; None with its mistake told."""
        if not text.parts and text.raw.strip('"'):
            return None  # a value in it could not be read
        if not self.spend(text.span, place):
            return None
        parts: list[object] = []
        for part in text.parts:
            made = part if isinstance(part, str) else self.value_in_text(part, place)
            if made is None:
                return None
            parts.extend(made if isinstance(made, list) else [made])
        if sum([len(part) for part in parts if isinstance(part, str)]) > MAX_TEXT:
            self.report.error(
                place, text.span, "too-large", f"written out, this text is longer than {MAX_TEXT:,} characters"
            )
            return None
        if all([isinstance(part, str) for part in parts]):
            return "".join([str(part) for part in parts])
        return tuple([part for part in parts if part != ""])

    def value_in_text(self, value: tree.Value, place: Place) -> object | None:
        """A value inside `{…}`: a capture, a `let` or a field."""
        if isinstance(value, tree.Number):
            value = tree.Name(value.span, (str(int(value.value)),))
        if isinstance(value, tree.Call):
            return self._called_in_text(value, place)
        if isinstance(value, tree.Phrase):
            return self._field_in_text(_quoted(value), place)
        if not isinstance(value, tree.Name):  # in a call; elsewhere the parser of texts has told it
            said = "a function takes a field, a capture or the name of a `let`"
            self.report.error(place, value.span, "wrong-call", said)
            return None
        name = value.dotted
        if name in place.captures:
            return ("capture", name)
        if name.isdigit():
            self.report.error(place, value.span, "no-capture", f"no pattern around here captures {{{name}}}")
            return None
        return self._let_in_text(value, place) if name in place.lets else self._field_in_text(value, place)

    def _called_in_text(self, call: tree.Call, place: Place) -> object | None:
        """A function of a field, of a capture or of a `let`."""
        found = function(call, place, self.catalogue, self.report)
        inner = None if found is None else self.value_in_text(call.arguments[0], place)
        if found is None or inner is None:
            return None
        family, word, number = found
        return ("call", family, word.name, tuple(inner) if isinstance(inner, list) else (inner,), number)

    def _field_in_text(self, value: tree.Value, place: Place) -> object | None:
        found = reference(value, place, self.catalogue, self.report)
        if found is None or has_no_value(found, value, place, self.report, "has no text"):
            return None
        return ("field", *found.node)

    def _let_in_text(self, name: tree.Name, place: Place) -> object | None:
        binding = place.lets[name.dotted]
        binding.used = True
        value = binding.value
        if isinstance(value, tree.Text):
            inner = self.template(value, binding.place)
            return list(inner) if isinstance(inner, tuple) else inner
        if isinstance(value, tree.Number):
            return plain_number(value.value)
        if isinstance(value, tree.Call):
            return self._called_in_text(value, binding.place)
        if isinstance(value, tree.Name | tree.Phrase) and not binding.is_condition:
            return self._field_in_text(value, binding.place)
        if not isinstance(value, tree.Broken):
            said = f"`{name.dotted}` is no text and can't stand in one"
            self.report.error(place, name.span, "bad-value", said)
        return None

    # -- operands --

    def operands(self, value: tree.Value, side: Side, place: Place) -> list[Operand]:
        """What the right side means beside this field and operator."""
        if not self.spend(value.span, place):
            return []
        if isinstance(value, tree.Broken):
            return []
        if isinstance(value, tree.List):
            if side.operator in op.ORDERS:
                return self._wrong(place, value, f"one value stands behind `{side.operator}`; 5,5 is written 5.5")
            if not value.items:
                self.report.warning(place, value.span, "empty-list", "this list is empty: nothing is in it")
            for before, item in pairwise(value.items):
                if isinstance(before, tree.Phrase) and is_list_file(before) and isinstance(item, tree.Text):
                    ask = "is this a text or a file? Write texts first, and `file` before each file"
                    return self._wrong(place, item, ask)
            return [one for item in value.items for one in self.operands(item, side, place)]
        if isinstance(value, tree.Name):
            return self._named(value, side, place)
        if isinstance(value, tree.Phrase):
            return self._phrase(value, side, place)
        if side.operator == op.MATCHES:
            return self._pattern(value, side, place)
        if isinstance(value, tree.Pattern):
            return self._wrong(place, value, f"a pattern follows `matches`, not `{side.operator}`")
        if isinstance(value, tree.Range):
            return self._range(value, side, place)
        if isinstance(value, tree.Network):
            return self._network(value, side, place)
        if isinstance(value, tree.Call):
            return self._called(value, side, place)
        if side.on.field.kind in TEXTUAL and side.operator not in op.ORDERS:
            return self._text(value, side, place)
        return self._amount(value, side, place)

    def _wrong(self, place: Place, value: tree.Value, message: str, name: str = "wrong-kind") -> list[Operand]:
        self.report.error(place, value.span, name, message)
        return []

    def _named(self, name: tree.Name, side: Side, place: Place) -> list[Operand]:
        binding = place.lets.get(name.dotted)
        if binding is not None:
            binding.used = True
            if binding.is_condition:
                return self._wrong(place, name, f"`{name.dotted}` is a condition, not a value")
            if isinstance(binding.value, tree.Condition):
                return []
            return self.operands(binding.value, side, binding.place)
        kind = side.on.field.kind
        if name.dotted == "null":
            if kind != ADDRESS or side.operator != op.IS:
                return self._wrong(place, name, "only an address can be `null`: `envelope.from is null`")
            return [("text", "", "")]
        if name.dotted in side.on.field.choices:
            return [("text", name.dotted, name.dotted)]
        if name.dotted in place.captures:
            return self._wrong(place, name, f'a capture stands in a text: "{{{name.dotted}}}"')
        if name.dotted in ("file", "optional"):
            return self._wrong(place, name, 'a list file is written `in file "~/customers"`')
        other = reference(name, place, self.catalogue, self.report)
        return [] if other is None else self._field(other, name, side, place)

    def _called(self, call: tree.Call, side: Side, place: Place) -> list[Operand]:
        """A function of a field, or `lines("~/friends")`, which is another word for a list file."""
        if call.name.dotted == "lines":
            return self._phrase(
                tree.Phrase(call.span, (tree.Name(call.name.span, ("file",)), *call.arguments)), side, place
            )
        other = reference(call, place, self.catalogue, self.report)
        return [] if other is None else self._field(other, call, side, place)

    def _field(self, other: Reference, value: tree.Value, side: Side, place: Place) -> list[Operand]:
        if side.on.field.kind not in TEXTUAL or other.field.kind not in TEXTUAL or side.operator in op.ORDERS:
            return self._wrong(place, value, "only texts and addresses can be compared with another field")
        if side.operator in (op.LIKE, op.MATCHES):
            return self._wrong(place, value, f"a field can't stand behind `{side.operator}`")
        return [("field", *other.node)]

    def _phrase(self, phrase: tree.Phrase, side: Side, place: Place) -> list[Operand]:
        if is_list_file(phrase):
            path = phrase.parts[-1]
            optional = isinstance(phrase.parts[0], tree.Name) and phrase.parts[0].dotted == "optional"
            if len(phrase.parts) != 2 + optional or not isinstance(path, tree.Text) or not path.parts:
                return self._wrong(place, phrase, 'a list file is written `in file "~/customers"`')
            if side.operator != op.IN or side.on.field.kind not in TEXTUAL:
                return self._wrong(place, phrase, "a list file follows `in` behind a text or an address")
            template = self.template(path, place)
            if template is None:
                return []
            if not isinstance(template, str):
                return self._wrong(place, phrase, "the name of a list file is written out, without values in it")
            whole = beside(template, place.source.path)
            return [("list", whole, optional)] if is_allowed("list", whole, path.span, place, self.report) else []
        other = reference(phrase, place, self.catalogue, self.report)
        return [] if other is None else self._field(other, phrase, side, place)

    def _text(self, value: tree.Value, side: Side, place: Place) -> list[Operand]:
        if isinstance(value, tree.Text):
            template = self.template(value, place)
        elif isinstance(value, tree.Number) and side.operator in (op.IS, op.IN):
            return [("number", value.value)]
        else:
            return self._wrong(place, value, f"`{side.on.field.name}` is text: write it in quotes")
        if template is None:
            return []
        if not isinstance(template, str):
            if side.operator == op.LIKE:
                return self._wrong(place, value, "a glob is written out, without values in it")
            return [("template", template)]
        if side.operator == op.LIKE:
            return [op.glob(template)]
        if not template and side.operator not in (op.IS, op.IN):
            return self._wrong(place, value, f"every text {side.operator} the empty text", "empty-text")
        self._doubt(template, value, side, place)
        return [op.literal(template, side.on.field.kind, side.operator)]

    def _doubt(self, text: str, value: tree.Value, side: Side, place: Place) -> None:
        word = side.on.field
        if word.choices and text.lower() not in word.choices and side.operator in (op.IS, op.IN):
            near = self.catalogue.near(text, list(word.choices)) or f"; it is one of {', '.join(word.choices)}"
            self.report.error(place, value.span, "unknown-choice", f'`{word.name}` is never "{text}"{near}')
        if side.operator in (op.IS, op.IN) and (hint := _never(word, text.strip())):
            said = f'`{word.name} {side.operator}` is never "{text}"'
            self.report.warning(place, value.span, "never", said, hint)

    def _pattern(self, value: tree.Value, side: Side, place: Place) -> list[Operand]:
        if not isinstance(value, tree.Pattern):
            return self._wrong(place, value, "`matches` is followed by a /pattern/")
        if value.flags:
            report = (
                "patterns ignore case; drop the `i`"
                if value.flags == "i"
                else f"a pattern has no flags; drop `{value.flags}`"
            )
            return self._wrong(place, value, report, "pattern-flags")
        found = prepare(value.text)
        if isinstance(found, Problem):
            column = value.span.column + 1 + found.at
            span = tree.Span(value.span.line, column, value.span.line, column + found.width)
            self.report.error(place, span, "bad-pattern", found.message)
            return []
        return [("pattern", *found)]

    def _network(self, value: tree.Network, side: Side, place: Place) -> list[Operand]:
        import ipaddress

        if side.operator != op.IN or side.on.field.kind not in TEXTUAL:
            return self._wrong(place, value, "a network follows `in` behind a text that holds an IP address")
        try:
            network = ipaddress.ip_network(value.text, strict=False)
        except ValueError as error:
            return self._wrong(place, value, f"{value.text} is no network: {error}", "bad-network")
        return [("network", network.version, network.network_address.packed, network.broadcast_address.packed)]

    def _range(self, value: tree.Range, side: Side, place: Place) -> list[Operand]:
        if side.operator != op.IN:
            return self._wrong(place, value, f"a range follows `in`, not `{side.operator}`")
        low, high = self._ends(value, side, place)
        if not low or not high:
            return []
        first, last = low[0], high[0]
        if side.on.field.kind == MOMENT:
            if first[0] != last[0] or len(first) != len(last):
                return self._wrong(
                    place, value, "the ends of a range are two dates, two dates with a time, or two times"
                )
            if first > last and first[0] == "date":
                return self._wrong(place, value, "this range ends before it begins", "empty-range")
            return [("range", first, last)]
        if first[1] > last[1]:  # type: ignore[operator]
            return self._wrong(place, value, "this range ends before it begins", "empty-range")
        return [("range", first[1], last[1])]

    def _ends(self, value: tree.Range, side: Side, place: Place) -> tuple[list[Operand], list[Operand]]:
        """Both ends; in `1..2 MB` the unit is meant for both."""
        low, high = value.low, value.high
        if isinstance(low, tree.Number) and isinstance(high, tree.Quantity):
            low = tree.Quantity(low.span, low.value, high.unit)
        return self._amount(low, side, place), self._amount(high, side, place)

    def _amount(self, value: tree.Value, side: Side, place: Place) -> list[Operand]:
        """A number, size, duration, date or time of day, as the field's kind wants it."""
        kind = side.on.field.kind
        wanted = _SAMPLES.get(kind, "5")
        if kind == MOMENT:
            if isinstance(value, tree.Clock):
                return [("clock", value.minute)]
            if isinstance(value, tree.Date):
                return self.day(value, place)
            return self._wrong(place, value, f"`{side.on.field.name}` is compared with a date or a time: `{wanted}`")
        if isinstance(value, tree.Quantity):
            units = _UNITS.get(kind)
            factor = None if units is None else units.get(value.unit.lower())
            if factor is None:
                near = "" if units is None else self.catalogue.near(value.unit, list(units))
                known = f"`{side.on.field.name}` is compared with something like `{wanted}`"
                return self._wrong(place, value, f"`{value.unit}` is no unit here{near or '; ' + known}", "bad-unit")
            return [("number", value.value * factor)]
        if isinstance(value, tree.Number) and kind != DURATION:
            return [("number", value.value)]
        return self._wrong(place, value, f"`{side.on.field.name}` is compared with something like `{wanted}`")

    def day(self, value: tree.Date, place: Place) -> list[Operand]:
        """A day, and what time of it; none where there is no such day, which is told."""
        try:
            date(value.year, value.month, value.day)
        except ValueError:
            return self._wrong(place, value, "there is no such day", "bad-date")
        day: Operand = ("date", value.year, value.month, value.day)
        return [day if value.minute is None else (*day, value.minute)]


def _never(word: Field, text: str) -> str:
    """What was probably meant by a text that no value of this field can be, or ""."""
    if word.kind == ADDRESS:
        if "*" in text:
            return f'for a glob write `{word.name} like "{text}"`'
        if text.startswith("@"):
            return f'for a domain write `{word.name}.domain is "{text[1:]}"`'
        return "" if "@" in text or " " not in text else f'for the display name write `{word.name}.name is "{text}"`'
    if word.name.endswith((".domain", ".local", ".detail")) and "@" in text:
        return f'for the whole address write `{word.name.rpartition(".")[0]} is "{text}"`'
    return ""


def _quoted(phrase: tree.Phrase) -> tree.Phrase:
    """`header X-Large` as it stands in a text, where quotes would end that, like `header "X-Large"` outside."""
    head, *rest = phrase.parts
    if not isinstance(head, tree.Name) or head.dotted != "header":
        return phrase
    texts = [tree.Text(one.span, (one.dotted,)) if isinstance(one, tree.Name) else one for one in rest]
    return tree.Phrase(phrase.span, (head, *texts))


def beside(path: str, source: str) -> str:
    """A path as written in the file `source`: a relative one begins where that file lies, as for `include`."""
    return path if path.startswith("~/") else os.path.join(os.path.dirname(source), path)


def plain_number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
