"""Where names are known while rules are compiled: words, `let`s, captures; and the diagnostics that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pydeliver.language import tree
from pydeliver.status import Diagnostic
from pydeliver.vocabulary.word import (
    FALLBACKS,
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


@dataclass(slots=True)
class Fallback:
    """The word behind an `or else`; `used` once there is a program that it stands for."""

    word: str
    used: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the rules compilation is: the file, the names in reach, the rule, how deep."""

    source: Source
    lets: dict[str, Binding]
    captures: frozenset[str] = frozenset()
    rule: str = ""
    depth: int = 0
    fallback: Fallback | None = None  # what stands behind the `or else` of what is at hand
    within: str = ""  # of what `any … where` goes through each: `name` then means `attachment.name`

    def inner(self, captures: frozenset[str] = frozenset()) -> Place:
        """Inside a block: its own lets, and what its condition captured."""
        return replace(self, lets=dict(self.lets), captures=self.captures | captures, depth=self.depth + 1)


@dataclass(slots=True)
class Report:
    """The diagnostics found so far, each once, and no more than anybody would read; `errors` counts all errors.

    `values` counts the conditions and values that were compiled.
    """

    found: list[Diagnostic] = field(default_factory=list)
    errors: int = 0
    values: int = 0
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


def falling_back(word: tree.Name | None, place: Place, report: Report) -> Place:
    """The place for what stands before an `or else`."""
    if word is None:
        return place
    if word.dotted not in FALLBACKS:
        report.error(place, word.span, "bad-fallback", "behind `or else` stands `defer`, `keep` or `no`")
    return replace(place, fallback=Fallback(word.dotted))


def check_fallback(word: tree.Name | None, place: Place, report: Report) -> None:
    """Report an `or else` behind which no program was found."""
    unused = place.fallback is not None and not place.fallback.used
    if word is not None and unused and not report.told(place, word.span):
        report.error(place, word.span, "bad-fallback", "nothing here can fail: `or else` stands behind a program")


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


def literal(text: tree.Text) -> str:
    """The text of a string without values in it."""
    return "".join([part for part in text.parts if isinstance(part, str)])


def is_field_name(name: str) -> bool:
    """RFC 5322 3.6.8: printable ASCII but the colon."""
    return bool(name) and all(["!" <= c <= "~" and c != ":" for c in name])
