"""Where names are known while rules are compiled: words, `let`s, captures; and the diagnostics that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pydeliver.language import tree
from pydeliver.status import Diagnostic
from pydeliver.vocabulary.operator import OPERATORS
from pydeliver.vocabulary.word import (
    CALLED_WITH_NUMBER,
    FACT,
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
    Action,
    Field,
    Option,
    Word,
)

MOST_TOLD = 1000

Refuse = Callable[[str, str], str]  # (kind, text) to why not


@dataclass(frozen=True, slots=True)
class Source:
    """A rule file being compiled: its name, its number in the plan, its lines, below how many files it is included.

    `refuse` says in a sentence why something may not be written in it, or "": see `is_allowed`. `level` is how many
    blocks its `include` stands in.
    """

    path: str
    number: int
    lines: tuple[str, ...]
    depth: int = 0
    refuse: Refuse = lambda kind, text: ""
    level: int = 0

    def written(self, span: tree.Span) -> str:
        """What stands at a span, on one line."""
        first, last = span.line - 1, span.end_line - 1
        if first == last:
            text = self.lines[first][span.column - 1 : span.end_column - 1]
        else:
            inner = self.lines[first + 1 : last]
            text = " ".join([self.lines[first][span.column - 1 :], *inner, self.lines[last][: span.end_column - 1]])
        return " ".join(text.split())


@dataclass(slots=True)
class Binding:
    """A `let`: its value or condition, and where it was given, so that its own names mean what they meant there."""

    value: tree.Value | tree.Condition
    is_condition: bool
    place: Place
    span: tree.Span
    used: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the rules compilation is: the file, the names in reach, the rule, how deep."""

    source: Source
    lets: dict[str, Binding]
    captures: frozenset[str] = frozenset()
    rule: str = ""
    depth: int = 0
    within: str = ""  # of what `any … where` goes through each: `name` then means `attachment.name`

    def inner(self, captures: frozenset[str] = frozenset()) -> Place:
        """Inside a block: its own lets, and what its condition captured."""
        return replace(self, lets=dict(self.lets), captures=self.captures | captures, depth=self.depth + 1)


@dataclass(slots=True)
class Report:
    """The diagnostics found so far, each once, and no more than anybody would read; `errors` counts all errors."""

    found: list[Diagnostic] = field(default_factory=list)
    errors: int = 0
    _known: set[Diagnostic] = field(default_factory=set)

    def error(self, place: Place, span: tree.Span, name: str, message: str, hint: str = "") -> None:
        self.add(place.source, span, "error", name, message, hint)

    def warning(self, place: Place, span: tree.Span, name: str, message: str, hint: str = "") -> None:
        self.add(place.source, span, "warning", name, message, hint)

    def told(self, place: Place, span: tree.Span) -> bool:
        """Whether an error within these lines has been told, by whomever."""
        path, lines = place.source.path, range(span.line, span.end_line + 1)
        return any([one.severity == "error" and one.file == path and one.line in lines for one in self.found])

    def add(self, source: Source, span: tree.Span, severity: str, name: str, message: str, hint: str = "") -> None:
        text = source.lines[span.line - 1] if 0 < span.line <= len(source.lines) else ""
        end = span.end_column if span.end_line == span.line else len(text) + 1
        width = max(1, end - span.column)
        made = Diagnostic(source.path, span.line, span.column, message, name, severity, text, width, hint)
        self.errors += severity == "error"
        if made not in self._known and len(self.found) < MOST_TOLD:
            self._known.add(made)
            self.found.append(made)


def is_allowed(kind: str, text: str, span: tree.Span, place: Place, report: Report) -> bool:
    """Whether whoever compiles lets this stand here, and the mistake reported where he does not.

    The kinds are "word" (an action or field), "mailbox", "list", "include", and an option by its name, "set default".
    """
    said = place.source.refuse(kind, text)
    if said:
        report.error(place, span, "policy", said)
    return not said


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The vocabulary as the language sees it: words by name, actions by their first word."""

    words: dict[str, tuple[str, Word]]
    variables: tuple[str, ...] = ()  # what `env.NAME` may name

    def field(self, name: str) -> tuple[str, Field] | None:
        family, word = self.words.get(name, ("", None))
        return (family, word) if isinstance(word, Field) else None

    def option(self, name: str) -> Option | None:
        word = self.words.get(f"set {name}", ("", None))[1]
        return word if isinstance(word, Option) else None

    def options(self) -> list[str]:
        return [name.removeprefix("set ") for name, (_, word) in self.words.items() if isinstance(word, Option)]

    def actions(self, first: str) -> list[tuple[str, Action]]:
        return [
            (family, word)
            for family, word in self.words.values()
            if isinstance(word, Action) and word.name.split()[0] == first
        ]

    def fields(self) -> list[str]:
        return [name for name, (_, word) in self.words.items() if isinstance(word, Field)]

    def functions(self) -> list[str]:
        return [name for name, (_, word) in self.words.items() if isinstance(word, Field) and word.apply is not None]

    def many(self) -> list[str]:
        """What `any … where` can go through."""
        return [name for name, (_, word) in self.words.items() if isinstance(word, Field) and word.parts is not None]

    def first_words(self) -> list[str]:
        """What a statement may begin with."""
        actions = [name.split()[0] for name, (_, word) in self.words.items() if isinstance(word, Action)]
        return sorted({*actions, "if", "rule", "let", "set", "include", "language", "test"})

    def near(self, name: str, among: list[str]) -> str:
        """`; did you mean …?` for the nearest of the names, or nothing."""
        written = {one.lower(): one for one in among}
        nearest = get_close_matches(name.lower(), written, 1, 0.7)
        return f"; did you mean `{written[nearest[0]]}`?" if nearest else ""


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


def literal(text: tree.Text) -> str:
    """The text of a string without values in it."""
    return "".join([part for part in text.parts if isinstance(part, str)])


def is_field_name(name: str) -> bool:
    """RFC 5322 3.6.8: printable ASCII but the colon."""
    return bool(name) and all(["!" <= c <= "~" and c != ":" for c in name])
