"""From tokens to nodes: walks the grammar's tables over one file and builds its tree, comments in their places.

Owns one method for each line of the grammar that makes something (`Builder`, the names without underscore) and the
values of tokens: a `Date` it makes is a real day, a `Clock` a real time. Looks at shapes only, never at words.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from lark.lexer import Token

from pydeliver.language.comments import Comments
from pydeliver.language.grammar import Grammar
from pydeliver.language.layout import Layout, span_of
from pydeliver.language.mistakes import Mistakes
from pydeliver.language.text import Hole, pieces
from pydeliver.language.tree import (
    And,
    Block,
    Broken,
    Call,
    Clock,
    Command,
    Comparison,
    Condition,
    Date,
    If,
    Let,
    List,
    Name,
    Network,
    Not,
    Number,
    Or,
    Pattern,
    Phrase,
    Quantity,
    Question,
    Range,
    Rule,
    Score,
    Search,
    Span,
    Statement,
    Text,
    Value,
)

MOST_DIGITS = 15  # as many as a float keeps

_QUANTITY = re.compile(r"(-?[\d.]+)[ \t]*(.+)")
_DATE = re.compile(r"(\d+)-(\d+)-(\d+)(?:[T ](\d+):(\d+))?")


class _Run(list[Any]):
    """Values of an inner piece of a rule, on their way to whoever takes them."""


class Builder:
    """Builds the tree of one file."""

    def __init__(self, grammar: Grammar, mistakes: Mistakes, layout: Layout) -> None:
        self._grammar = grammar
        self._mistakes = mistakes
        self._layout = layout
        self._comments = Comments(layout.comments)
        self._damaged = False  # whether anything is Broken: most files need not look for it
        self._leaves: dict[str, Callable[[Token], Value]] = {
            "TEXT": self._text,
            "LONG_TEXT": self._text,
            "NUMBER": self._number,
            "QUANTITY": self._quantity,
            "DATE": self._date,
            "CLOCK": self._clock,
            "NETWORK": lambda token: Network(span_of(token), token.value),
            "PATTERN": self._pattern,
            "NAME": self._name,
            "PER": self._name,
            "BROKEN": self._broken,
        }

    def tree(self) -> Block | None:
        """The file's tree, or None where its tokens do not fit the grammar."""
        built: Block | None = self._run("file", self._layout.tokens)
        return built

    def _run(self, start: str, tokens: Iterable[Token]) -> Any:
        states, end = self._grammar.states, self._grammar.ends[start]
        stack, values = [self._grammar.starts[start]], list[Any]()
        for token in tokens:
            kind = token.type
            while True:
                step = states[stack[-1]].get(kind)
                if step is None:
                    return None
                if isinstance(step, int):
                    leaf = self._leaves.get(kind)
                    stack.append(step)
                    values.append(token if leaf is None else leaf(token))
                    break
                size = step.size
                if not step.passed:
                    taken = values[len(values) - size :]
                    del values[len(values) - size :]
                    values.append(_joined(taken) if step.spliced else getattr(self, step.action)(_flat(taken)))
                del stack[len(stack) - size :]
                stack.append(states[stack[-1]][step.target])  # type: ignore[arg-type]  # a Reduction is never here
                if kind == "$END" and stack[-1] == end:
                    return values[-1]
        return None

    # -- statements -------------------------------------------------------------------------------------------------

    def file(self, parts: list[Any]) -> Block:
        end = span_of(self._layout.tokens[-1])
        span = Span(1, 1, end.end_line, end.end_column)
        return self._comments.of_block(Block(span, _statements(parts)), bounded=False)

    def block(self, parts: list[Any]) -> Block:
        return self._comments.of_block(Block(_over(parts[0], parts[-1]), _statements(parts)), bounded=True)

    def conditional(self, parts: list[Any]) -> If:
        blocks = [part for part in parts if type(part) is Block]
        later = {id(block): self._comments.of_header(before, block) for before, block in pairwise(blocks)}
        branches: list[tuple[Condition, Block]] = []
        otherwise, condition = None, None
        for part in parts:
            if type(part) is Token:
                condition = None
            elif type(part) is not Block:
                condition = part
            elif condition is None:
                otherwise = later[id(part)]
            else:
                branches.append((condition, later.get(id(part), part)))
        return If(_over(parts[0], parts[-1]), tuple(branches), otherwise, blank_before=self._blank(parts[0]))

    def rule(self, parts: list[Any]) -> Rule:
        return Rule(_over(parts[0], parts[-1]), parts[1], parts[2], blank_before=self._blank(parts[0]))

    def let(self, parts: list[Any]) -> Let:
        name = parts[1]
        if len(name.parts) > 1:
            self._mistakes.add(name.span, "bad-name", "the name of a `let` has no dots")
        span, blank = _over(parts[0], parts[-1]), self._blank(parts[0])
        parts, otherwise = _without_fallback(parts)
        return Let(span, name.dotted, parts[-1], otherwise, name_span=name.span, blank_before=blank)

    def score(self, parts: list[Any]) -> Score | Broken:
        span, blank = _over(parts[0], parts[-1]), self._blank(parts[0])
        if self._has_broken(parts):
            return Broken(span)
        condition = None if isinstance(parts[-1], (Number, Name)) else parts[-1]
        limit = tuple(parts[3:6]) if len(parts) > 5 else ()
        per = condition is not None and type(parts[-2]) is Name
        return Score(span, parts[0], parts[2], limit, condition, per, blank_before=blank)

    def command(self, parts: list[Any]) -> Command | If | Broken:
        before, otherwise = _without_fallback(parts)
        block = before[-1] if type(before[-1]) is Block else None
        phrase = before[:-1] if block else before
        if self._has_broken(phrase):
            return self.broken(parts)
        split = next((i for i, part in enumerate(phrase) if type(part) is Token), len(phrase))
        behind = phrase[split + 1 :]
        return Command(
            _over(parts[0], parts[-1]),
            tuple(phrase[:split]),
            behind[0] if behind else None,
            tuple(behind[1:]),
            block,
            otherwise,
            blank_before=self._blank(parts[0]),
        )

    def broken(self, parts: list[Any]) -> If | Broken:
        """What is lost goes; a block behind it is still looked into, as that of a condition nobody knows."""
        lost = Broken(_over(parts[0], parts[-1]))
        if type(parts[-1]) is Block:
            return If(lost.span, ((Question(lost.span, lost), parts[-1]),), blank_before=self._blank(parts[0]))
        return lost

    # -- conditions -------------------------------------------------------------------------------------------------

    def either(self, parts: list[Any]) -> Or:
        conditions = tuple(part for part in parts if type(part) is not Token)
        span = _over(parts[0], parts[-1])
        return Or(span, conditions, self._comments.notes(conditions, span))

    def both(self, parts: list[Any]) -> And:
        conditions = tuple(part for part in parts if type(part) is not Token)
        span = _over(parts[0], parts[-1])
        return And(span, conditions, self._comments.notes(conditions, span))

    def negation(self, parts: list[Any]) -> Not:
        return Not(_over(parts[0], parts[1]), parts[1])

    def any(self, parts: list[Any]) -> Search:
        return Search(_over(parts[0], parts[-1]), parts[1], parts[3])

    def none(self, parts: list[Any]) -> Not:
        return Not(_over(parts[0], parts[-1]), self.any(parts[1:]))

    def group(self, parts: list[Any]) -> Condition:
        """The condition between the parentheses, which belong to its place."""
        inside: Condition = replace(parts[1], span=_over(parts[0], parts[2]))
        return inside

    def question(self, parts: list[Any]) -> Question:
        span = _over(parts[0], parts[-1])
        (phrase,), otherwise = _without_fallback(parts)
        return Question(span, phrase, otherwise)

    def comparison(self, parts: list[Any]) -> Comparison | Question:
        span = _over(parts[0], parts[-1])
        if self._has_broken(parts):
            return Question(span, Broken(span))
        parts, otherwise = _without_fallback(parts)
        tokens = [part for part in parts if type(part) is Token]
        kinds = [token.type for token in tokens]
        return Comparison(
            span,
            parts[0],
            " ".join([token.value for token in tokens if token.type not in ("NOT", "EXACTLY")]),
            None if type(parts[-1]) is Token else parts[-1],
            negated="NOT" in kinds,
            exactly="EXACTLY" in kinds,
            otherwise=otherwise,
            operator_span=_over(tokens[0], tokens[-1]),
        )

    # -- values -----------------------------------------------------------------------------------------------------

    def row(self, parts: list[Any]) -> Value:
        if len(parts) == 1:
            alone: Value = parts[0]
            return alone
        span = _over(parts[0], parts[-1])
        return Broken(span) if self._has_broken(parts) else Phrase(span, tuple(parts))

    subject = row

    def hole(self, parts: list[Any]) -> Value:
        inside: Value = parts[0]
        return inside

    def several(self, parts: list[Any]) -> Value:
        return self._list(parts, bracketed=False)

    def brackets(self, parts: list[Any]) -> Value:
        return self._list(parts, bracketed=True)

    def between(self, parts: list[Any]) -> Value:
        span = _over(parts[0], parts[2])
        return Broken(span) if self._has_broken(parts) else Range(span, parts[0], parts[2])

    def call(self, parts: list[Any]) -> Value:
        span = _over(parts[0], parts[-1])
        arguments = tuple(part for part in parts[1:] if type(part) is not Token)
        return Broken(span) if self._has_broken(arguments) else Call(span, parts[0], arguments)

    def _list(self, parts: list[Any], bracketed: bool) -> Value:
        span = _over(parts[0], parts[-1])
        if self._has_broken(parts):
            return Broken(span)
        items = tuple(part for part in parts if type(part) is not Token)
        return List(span, items, bracketed, self._comments.notes(items, span))

    # -- tokens -----------------------------------------------------------------------------------------------------

    def _name(self, token: Token) -> Name:
        word = token.value if token.isascii() else unicodedata.normalize("NFC", token)
        return Name(span_of(token), tuple(word.split(".")))

    def _text(self, token: Token) -> Text:
        raw = token.value
        if "\\" not in raw and "{" not in raw and not raw.startswith('"""'):
            return Text(span_of(token), (raw[1:-1],) if len(raw) > 2 else (), raw)
        found = [piece if isinstance(piece, str) else self._hole(token, piece) for piece in pieces(raw)]
        return Text(span_of(token), tuple([part for part in found if part is not None]), raw)

    def _hole(self, token: Token, hole: Hole) -> Value | None:
        before = token[: hole.offset]
        line = (token.line or 1) + before.count("\n")
        column = len(before) - before.rfind("\n") if "\n" in before else (token.column or 1) + hole.offset
        tokens = self._grammar.tokens(hole.text, line, column)
        span = Span(line, column - 1, line, column + len(hole.text) + hole.closed)
        damaged, self._damaged = self._damaged, False
        value = self._run("hole", [*tokens, Token("$END", "")]) if hole.closed and len(tokens) < 100 else None
        self._damaged = damaged
        if isinstance(value, Number) and value.value >= 0:
            return Name(value.span, (tokens[0].value,))
        if isinstance(value, (Name, Call, Phrase)):
            return value
        missing = "this { is never closed" if not hole.closed else "between { and } stands one value, such as {subject}"
        self._mistakes.add(span, "bad-hole", missing, hint="a brace itself is written \\{")
        return None

    def _number(self, token: Token) -> Value:
        if len(token) > MOST_DIGITS + 2:
            return self._refuse(token, "bad-number", f"a number has at most {MOST_DIGITS} digits")
        return Number(span_of(token), float(token))

    def _quantity(self, token: Token) -> Value:
        match = _QUANTITY.fullmatch(token)
        assert match is not None
        if len(match[1]) > MOST_DIGITS + 2:
            return self._refuse(token, "bad-number", f"a number has at most {MOST_DIGITS} digits")
        return Quantity(span_of(token), float(match[1]), match[2])

    def _date(self, token: Token) -> Value:
        match = _DATE.fullmatch(token)
        assert match is not None
        year, month, day, hour, minute = [int(part or 0) for part in match.groups()]
        try:
            datetime.datetime(year, month, day, hour, minute)
        except ValueError:
            return self._refuse(token, "bad-date", "there is no such day or time")
        return Date(span_of(token), year, month, day, hour * 60 + minute if match[4] else None)

    def _clock(self, token: Token) -> Value:
        hour, minute = [int(part) for part in token.split(":")]
        if hour > 23 or minute > 59:
            return self._refuse(token, "bad-time", "there is no such time of day")
        return Clock(span_of(token), hour * 60 + minute)

    def _pattern(self, token: Token) -> Pattern:
        text, _, flags = token[1:].rpartition("/")
        return Pattern(span_of(token), text, flags)

    def _refuse(self, token: Token, name: str, message: str) -> Broken:
        self._mistakes.add(token, name, message)
        return self._broken(token)

    def _broken(self, token: Token) -> Broken:
        self._damaged = True
        return Broken(span_of(token))

    def _has_broken(self, parts: Iterable[Any]) -> bool:
        return self._damaged and any(type(part) is Broken for part in parts)

    def _blank(self, first: Any) -> bool:
        place = getattr(first, "span", first)
        return (place.line, place.column) in self._layout.after_blank


def _statements(parts: list[Any]) -> tuple[Statement, ...]:
    return tuple([part for part in parts if isinstance(part, Statement)])


def _without_fallback(parts: list[Any]) -> tuple[list[Any], Any]:
    """What stands before an `or else`, and the word or block behind it."""
    if len(parts) > 2 and type(parts[-2]) is Token and parts[-2].type == "OR_ELSE":
        return parts[:-2], parts[-1]
    return parts, None


def _joined(taken: list[Any]) -> _Run:
    """Values of an inner piece as one run; a run that stands first is continued, so that long lists stay linear."""
    if not taken or type(taken[0]) is not _Run:
        return _Run(_flat(taken))
    run = taken[0]
    run.extend(_flat(taken[1:]))
    return run


def _flat(taken: list[Any]) -> list[Any]:
    if _Run not in map(type, taken):
        return taken
    flat: list[Any] = []
    for value in taken:
        if type(value) is _Run:
            flat.extend(value)
        else:
            flat.append(value)
    return flat


def _over(first: Any, last: Any) -> Span:
    """From the start of a node or token to the end of another."""
    low, high = getattr(first, "span", first), getattr(last, "span", last)
    return Span(low.line, low.column, high.end_line, high.end_column)
