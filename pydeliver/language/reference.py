"""Fields as rules refer to them: a name, and what stands behind it: `header "X"`, `count to`, `duplicate by cc`."""

from __future__ import annotations

from dataclasses import dataclass

from pydeliver.language import tree
from pydeliver.language.forms import fitted, word_of
from pydeliver.language.scope import Catalogue, Place, Report, is_allowed, is_field_name, literal
from pydeliver.language.units import DURATIONS, PERIODS
from pydeliver.vocabulary.operator import OPERATORS
from pydeliver.vocabulary.word import (
    CALLED_WITH_NUMBER,
    COMMAND,
    FACT,
    FALLBACK,
    FALLBACKS,
    FORMED,
    HERE,
    NOTHING,
    OF_FIELD,
    OF_MAILBOX,
    OF_NAME,
    OF_NUMBER,
    OF_TEXT,
    TEXT,
    TEXTUAL,
    THING,
    Field,
)

WANTED = {
    "PERIOD": "`minute`, `hour`, `day` or `week`",
    "DURATION": "a time up to a year, like `3 days`",
}
LONGEST = 365 * 86_400  # seconds that something is remembered for


@dataclass(frozen=True, slots=True)
class Reference:
    """A field as a rule refers to it: its family, the word, and the plan's argument for it."""

    family: str
    field: Field
    argument: object

    @property
    def node(self) -> tuple[object, ...]:
        return (self.family, self.field.name, self.argument)


def reference(value: tree.Value, place: Place, catalogue: Catalogue, report: Report) -> Reference | None:
    """The field that a value names, or None with its mistake reported."""
    parts = value.parts if isinstance(value, tree.Phrase) else (value,)
    head = parts[0]
    if isinstance(head, tree.Broken):
        return None  # which has been told
    if isinstance(head, tree.Call) and len(parts) == 1:
        return _called(head, place, catalogue, report)
    if not isinstance(head, tree.Name):
        report.error(place, value.span, "not-a-field", "a comparison begins with a field, like `from` or `subject`")
        return None
    binding = place.lets.get(head.dotted) if len(parts) == 1 else None
    if binding is not None:
        binding.used = True
        if isinstance(binding.value, tree.Name | tree.Phrase | tree.Call):
            return reference(binding.value, binding.place, catalogue, report)
        if not isinstance(binding.value, tree.Broken):
            kind = "condition" if binding.is_condition else "value"
            report.error(
                place, head.span, "not-a-field", f"`{head.dotted}` is a {kind}; a comparison begins with a field"
            )
        return None
    found, argument = _with_free_part(head, catalogue, place.within)
    if found is None:
        _unknown(head, place, catalogue, report)
        return None
    family, word = found
    if not is_allowed("word", word.name, head.span, place, report):
        return None
    if word.argument == OF_NAME and argument and argument not in catalogue.variables:
        near = catalogue.near(argument, list(catalogue.variables))
        report.error(
            place,
            head.span,
            "unknown-variable",
            f"`{head.dotted}` is not among the variables that rules may read{near}",
        )
        return None
    if word.argument == NOTHING or argument:
        if len(parts) > 1:
            _unexpected(head, parts[1], place, catalogue, report)
            return None
        return Reference(family, word, argument)
    if word.argument == FORMED:
        return _formed(family, word, parts, place, catalogue, report)
    if word.argument in (OF_TEXT, OF_MAILBOX):
        return _of_text(family, word, parts, place, report)
    if word.argument == OF_FIELD:
        if len(parts) < 2:
            report.error(place, head.span, "missing", f"`{word.name}` needs a field: `{word.example}`")
            return None
        counted = reference(
            parts[1] if len(parts) == 2 else tree.Phrase(parts[1].span, parts[1:]), place, catalogue, report
        )
        if counted is not None and has_no_value(counted, parts[1], place, report, "can't be counted"):
            return None
        return None if counted is None else Reference(family, word, counted.node)
    wanted = "what it is made of between parentheses" if word.apply is not None else "a name behind a dot"
    report.error(place, head.span, "missing", f"`{word.name}` needs {wanted}: `{word.example}`")
    return None


def function(call: tree.Call, place: Place, catalogue: Catalogue, report: Report) -> tuple[str, Field, int] | None:
    """The function of a call with its number, 0 where it takes none; None with the mistake told."""
    name = call.name.dotted
    found = catalogue.field(name)
    if found is None or found[1].apply is None:
        near = catalogue.near(name, catalogue.functions())
        report.error(place, call.name.span, "unknown-function", f"`{name}` is no function of the language{near}")
        return None
    family, word = found
    number = call.arguments[1] if len(call.arguments) == 2 and word.argument == CALLED_WITH_NUMBER else None
    if number is None and (word.argument == CALLED_WITH_NUMBER or len(call.arguments) != 1):
        report.error(place, call.span, "wrong-call", f"`{name}` is used like this: `{word.example}`")
        return None
    if number is None:
        return family, word, 0
    if not isinstance(number, tree.Number) or number.value != int(number.value) or number.value < 1:
        report.error(place, number.span, "wrong-call", f"a whole number stands here: `{word.example}`")
        return None
    return family, word, int(number.value)


def _called(call: tree.Call, place: Place, catalogue: Catalogue, report: Report) -> Reference | None:
    found = function(call, place, catalogue, report)
    if found is None:
        return None
    family, word, number = found
    inner = reference(call.arguments[0], place, catalogue, report)
    if inner is None:
        return None
    if inner.field.kind not in TEXTUAL:
        said = f"`{inner.field.name}` is no text; `{word.name}` is used like this: `{word.example}`"
        report.error(place, call.arguments[0].span, "wrong-call", said)
        return None
    return Reference(family, word, (inner.node, number))


def has_no_value(found: Reference, value: tree.Value, place: Place, report: Report, said: str) -> bool:
    """Whether a field is only asked in conditions; then its use as a value is told as a mistake."""
    if found.field.kind not in (FACT, THING):
        return False
    shown = f"if {found.field.example}"
    report.error(place, value.span, "no-value", f"`{found.field.name}` is a condition, `{shown}`, and {said}")
    return True


def _unexpected(head: tree.Name, extra: tree.Value, place: Place, catalogue: Catalogue, report: Report) -> None:
    """Something stands behind a field that takes nothing: most often a misspelt operator."""
    if isinstance(extra, tree.Name):
        near = catalogue.near(extra.dotted, list(OPERATORS[TEXT]))
        report.error(
            place, extra.span, "unknown-word", f"`{extra.dotted}` is not known here{near or '; expected an operator'}"
        )
    else:
        report.error(
            place, extra.span, "unexpected", f"expected an operator behind `{head.dotted}`, like `is` or `contains`"
        )


def _of_text(family: str, word: Field, parts: tuple[tree.Value, ...], place: Place, report: Report) -> Reference | None:
    text = parts[1] if len(parts) == 2 else None
    if not isinstance(text, tree.Text) or any([not isinstance(part, str) for part in text.parts]):
        span = parts[1].span if len(parts) > 1 else parts[0].span
        report.error(place, span, "missing", f"`{word.name}` is followed by a name in quotes: `{word.example}`")
        return None
    name = literal(text)
    if word.argument == OF_MAILBOX:
        return Reference(family, word, name) if is_allowed("mailbox", name, text.span, place, report) else None
    if not is_field_name(name):
        report.error(place, text.span, "bad-header-name", f'"{name}" can\'t be the name of a header field')
        return None
    return Reference(family, word, name.lower())


def _formed(
    family: str, word: Field, parts: tuple[tree.Value, ...], place: Place, catalogue: Catalogue, report: Report
) -> Reference | None:
    """A field with one of its forms behind its name."""
    for form in word.forms:
        found = fitted(form.split(), parts[1:])
        if found is not None:
            break
    else:
        forms = [f"`{form}`" if form else "nothing" for form in word.forms]
        shown = " or ".join([", ".join(forms[:-1]), forms[-1]] if forms[1:] else forms)
        if COMMAND in shown:
            shown = f"a command, as in `{word.example}`"
        report.error(place, tree.over(parts), "wrong-form", f"`{word.name}` takes {shown}")
        return None
    argument: list[tuple[str, object]] = []
    for slot, values in found:
        made = _slot(slot, values, place, catalogue, report)
        if made is None:
            return None
        argument.append((slot, made))
        if slot == COMMAND:
            argument.append((FALLBACK, _fallback(place)))
    return Reference(family, word, tuple(argument))


def _fallback(place: Place) -> str:
    """What holds if a program fails."""
    if place.fallback is None:
        return FALLBACKS[0]
    place.fallback.used = True
    return place.fallback.word


def _slot(
    slot: str, values: tuple[tree.Value, ...], place: Place, catalogue: Catalogue, report: Report
) -> object | None:
    """What stands in one place of a form, as the plan has it; None with the mistake told."""
    value = values[0]
    if slot == COMMAND:
        from pydeliver.language.commands import command  # the texts in it may hold fields

        return command(values, place, catalogue, report)
    if slot == "FIELD":
        found = reference(
            value if len(values) == 1 else tree.Phrase(tree.over(values), values), place, catalogue, report
        )
        if found is None or has_no_value(found, value, place, report, "has no value"):
            return None
        if found.field.kind in TEXTUAL:
            return found.node
        report.error(place, value.span, "wrong-kind", f"`{found.field.name}` is no text and no address")
        return None
    if slot == "NUMBER":
        return whole_number(value, place, report)
    if slot == "PERIOD" and word_of(value) in PERIODS:
        return PERIODS[word_of(value)]
    if slot == "DURATION":
        return duration(value, place, report)
    report.error(place, value.span, "wrong-kind", f"here stands {WANTED[slot]}")
    return None


def duration(value: tree.Value, place: Place, report: Report) -> int | None:
    """A time like `3 days` in seconds, or None with the mistake told."""
    if isinstance(value, tree.Quantity):
        seconds = value.value * DURATIONS.get(value.unit.lower(), 0)
        if 1 <= seconds <= LONGEST:
            return int(seconds)
    report.error(place, value.span, "wrong-kind", f"here stands {WANTED['DURATION']}")
    return None


def whole_number(value: tree.Value, place: Place, report: Report) -> int | None:
    """A number from 1 on, or None with the mistake told."""
    if isinstance(value, tree.Number) and value.value == int(value.value) > 0:
        return int(value.value)
    report.error(place, value.span, "wrong-kind", "here stands a whole number")
    return None


def _with_free_part(name: tree.Name, catalogue: Catalogue, within: str) -> tuple[tuple[str, Field] | None, str]:
    """The word that a dotted name is, or the word before its free last part (`env.HOME`, `arg.1`).

    `within` an `any … where` the parts of what is looked for come first, written out or not.
    """
    if within:
        own = name.dotted if name.parts[0] == within else f"{within}.{name.dotted}"
        part = catalogue.field(own)
        if part is not None:
            return part, HERE
    whole = catalogue.field(name.dotted)
    if whole is not None:
        return whole, ""
    stem = catalogue.field(name.parts[0])
    if stem is not None and stem[1].argument in (OF_NAME, OF_NUMBER) and len(name.parts) == 2:
        return stem, name.parts[1]
    return None, ""


def _unknown(name: tree.Name, place: Place, catalogue: Catalogue, report: Report) -> None:
    stem = name.parts[0]
    if len(name.parts) > 1 and catalogue.field(stem) is not None:
        parts = [known.split(".", 1)[1] for known in catalogue.fields() if known.startswith(stem + ".")]
        choice = catalogue.near(".".join(name.parts[1:]), parts) or (f"; it has {', '.join(parts)}" if parts else "")
        report.error(place, name.span, "unknown-part", f"`{stem}` has no part `{'.'.join(name.parts[1:])}`{choice}")
        return
    near = catalogue.near(name.dotted, [*catalogue.fields(), *place.lets, *place.captures])
    report.error(place, name.span, "unknown-word", f"`{name.dotted}` is not known here{near}")


def is_list_file(phrase: tree.Phrase) -> bool:
    """Whether a phrase is `file "…"` or `optional file "…"`, or meant to be."""
    words = [part.dotted if isinstance(part, tree.Name) else "" for part in phrase.parts]
    return words[0] == "file" or words[:2] == ["optional", "file"]
