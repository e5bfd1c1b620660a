"""The typed tree of a rule file: what was written, where, with its comments.

Made by `parse`, read by `check`, `compile` and `printer`. Shapes only: which words exist is the vocabulary's
business. Every node has a `span`; equality ignores spans and comments, so that `parse(print(tree)) == tree`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source: 1-based `line` and `column` of the first character, and of the one after the last."""

    line: int
    column: int
    end_line: int
    end_column: int


NOWHERE = Span(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """`# text`, with the `#`; `blank_before`: an empty line stood above it; `own_line`: nothing stood before it."""

    text: str
    blank_before: bool = False
    own_line: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """A comment inside a list or a condition: before item `index` on its own line, or behind the item before that."""

    index: int
    comment: Comment


@dataclass(frozen=True, slots=True)
class Broken(Node):
    """What could not be read, already told: it stands alone as the value of a `Let` or the phrase of a `Question`."""


# -- values -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A string: its parts are literal `str` (escapes undone) and `Value` nodes that stood in `{…}`.

    `raw` is the string as written, quotes included.
    """

    parts: tuple[str | Value, ...]
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: float


@dataclass(frozen=True, slots=True)
class Quantity(Node):
    """A number with a unit, `10 MB` or `7 days`: the unit as written, not yet known to exist."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Date(Node):
    """`2026-12-20` or `2026-12-20T18:00` (then `minute` is minutes after midnight), without a zone."""

    year: int
    month: int
    day: int
    minute: int | None = None


@dataclass(frozen=True, slots=True)
class Clock(Node):
    """A time of day, `18:30`, as minutes after midnight."""

    minute: int


@dataclass(frozen=True, slots=True)
class Network(Node):
    """`192.0.2.0/24`, `2001:db8::/32` or a bare address, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """A regular expression as written between the slashes; `flags` are letters that stood behind it."""

    text: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A word of the language or of a `let`, with its parts: `from.domain` is ("from", "domain"); `{1}` is ("1",)."""

    parts: tuple[str, ...]

    @property
    def dotted(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of the language, `lower(subject)`."""

    name: Name
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`low..high`, both ends included."""

    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class List(Node):
    """`[a, b]` with `bracketed`, or `a, b` without."""

    items: tuple[Value, ...]
    bracketed: bool = True
    notes: tuple[Note, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Phrase(Node):
    """Words and values in a row: `header "X-A"`, `file "~/customers"`, `vacation "…" every 7 days`.

    In a command a bare list may stand where one value stands (`file "a", "b"`), as `List(bracketed=False)`.
    A phrase of one name is written as that `Name`.
    """

    parts: tuple[Value, ...]


Value = Text | Number | Quantity | Date | Clock | Network | Pattern | Name | Call | Range | List | Phrase | Broken


def over(values: tuple[Value, ...]) -> Span:
    """From the first of some values to the last."""
    first, last = values[0].span, values[-1].span
    return Span(first.line, first.column, last.end_line, last.end_column)


# -- conditions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Or(Node):
    conditions: tuple[Condition, ...]
    notes: tuple[Note, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class And(Node):
    conditions: tuple[Condition, ...]
    notes: tuple[Note, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Not(Node):
    condition: Condition


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """`subject operator operand`: `from is not "a", "b"`, `size > 10 MB`, `header "X" exists`.

    `operator` is one of is, contains, starts with, ends with, like, matches, in, exists, <, <=, >, >=.
    `operand` is None for `exists`. `operator_span` is where a message about the operator points. `otherwise` is the
    word behind `or else`.
    """

    subject: Value
    operator: str
    operand: Value | None
    negated: bool = False
    exactly: bool = False
    otherwise: Name | None = None
    operator_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Search(Node):
    """`any attachment where condition`: whether the condition holds of one of many; `name` says of what."""

    name: Name
    condition: Condition


@dataclass(frozen=True, slots=True)
class Question(Node):
    """A condition that stands alone: `spam`, `duplicate within 7 days`, a `let` that names a condition.

    `otherwise` is the word behind `or else`.
    """

    phrase: Value
    otherwise: Name | None = None


Condition = Or | And | Not | Comparison | Search | Question


# -- statements -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{ … }` or a whole file: `statements` in order, and the comments that stand behind the last of them.

    `opening` is the comment that stands behind the `{`, on its line.
    """

    statements: tuple[Statement, ...]
    closing_comments: tuple[Comment, ...] = field(default=(), compare=False)
    opening: Comment | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """`comments` stand on the lines above, `trailing` on the line's end; `blank_before`: an empty line stood above."""

    comments: tuple[Comment, ...] = field(default=(), compare=False, kw_only=True)
    trailing: Comment | None = field(default=None, compare=False, kw_only=True)
    blank_before: bool = field(default=False, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class If(Statement):
    """`if … { } else if … { } else { }`; each branch is a condition and its block."""

    branches: tuple[tuple[Condition, Block], ...]
    otherwise: Block | None = None


@dataclass(frozen=True, slots=True)
class Rule(Statement):
    """`rule "name" if …` or `rule "name" { … }`."""

    name: Text
    body: If | Block


@dataclass(frozen=True, slots=True)
class Let(Statement):
    """`let name = value` or `let name = condition …`; `name_span` is where the name stands.

    `otherwise` is the word behind the `or else` of a value.
    """

    name: str
    value: Value | Condition
    otherwise: Name | None = None
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Score(Statement):
    """`score += 3 if condition`, `score += 0.5 at most 5 per comparison`, `score += 1`.

    `name` is what stands before the `+=`, `limit` the words and the number between the amount and the condition.
    """

    name: Name
    amount: Number
    limit: tuple[Value, ...] = ()
    condition: Condition | None = None
    per: bool = False


@dataclass(frozen=True, slots=True)
class Command(Statement):
    """Any other statement: a phrase, for some `= value` and a further phrase, for some a block.

    `file "Work"` · `copy file "a", "b"` · `set header "X" = "yes"` · `set mailboxes = "~/Mail" as mbox` ·
    `include optional "x"` · `language 1`. `words` are its parts in order; `rest` are the parts behind the value.
    `otherwise` is what stands behind `or else`: a word or a block.
    """

    words: tuple[Value, ...]
    value: Value | None = None
    rest: tuple[Value, ...] = ()
    block: Block | None = None
    otherwise: Name | Block | None = None
