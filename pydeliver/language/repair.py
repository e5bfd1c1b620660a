"""Makes tokens that can be parsed out of tokens that can't, and tells each slip once.

In order: what is no token of the language (`strays`), blocks that are never closed (`braces`), then one walk over the
grammar's tables. Where the walk can't go on, the likeliest of the one-place edits (`edits`) is made and told: the one
after which most of the next tokens can be read. Failing that, the words around the place become one BROKEN, as few as
let the next line end or brace be read. Whatever it is given, it ends with tokens that parse.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from lark.lexer import Token

from pydeliver.language import braces, layout, strays
from pydeliver.language.edits import Edit, Slip, Stack, Tables
from pydeliver.language.grammar import Grammar
from pydeliver.language.layout import Layout, token_like
from pydeliver.language.mistakes import Mistakes

LOOKED_AHEAD = 8  # tokens behind a slip that are tried with each edit
LEAST_READ = 2  # of them must be read for an edit to be believed
LONGEST_STATEMENT = 60  # tokens before a slip; behind more, no edit is tried
MOST_CHANGES = 500  # to one file; a text that needs more is no rule file, and what is left of it is not read

_SYNCHRONISING = frozenset({"SEPARATOR", "LBRACE", "RBRACE", "$END"})
_EDGES = frozenset({"SEPARATOR", "LBRACE", "RBRACE"})
_WEAK = frozenset({"unexpected", "missing-value", "lone-else"})  # guesses that say no more than that something is wrong


def has_strays(grammar: Grammar, raw: list[Token]) -> bool:
    """Whether `raw` must be mended though it may parse."""
    return strays.found(grammar, raw)


def mend(
    grammar: Grammar,
    source: str,
    raw: list[Token],
    mistakes: Mistakes,
    words: Collection[str],
    actions: Collection[str],
) -> Layout:
    """The layout of `raw`, mended so that it parses."""
    arranged = layout.arrange(strays.replaced(grammar, source, raw, mistakes, actions))
    bounded = _shallow(arranged.tokens, mistakes)
    tokens = _shallow(braces.closed(bounded, mistakes), mistakes)
    return replace(arranged, tokens=_Walk(Tables(grammar), tokens, mistakes, words, actions).mended())


def _shallow(tokens: list[Token], mistakes: Mistakes) -> list[Token]:
    """`tokens` up to the statement of the file that nests too deep, if one does."""
    culprit = layout.too_deep(tokens)
    if culprit is None:
        return tokens
    what = f"blocks nest at most {layout.MOST_BLOCKS} deep, brackets {layout.MOST_BRACKETS}"
    mistakes.add(culprit, "too-deep", what)
    depth = start = 0
    for index, token in enumerate(tokens):
        if token is culprit:
            break
        depth += (token.type == "LBRACE") - (token.type == "RBRACE")
        if token.type == "SEPARATOR" and depth <= 0:
            start = index + 1
    return [*tokens[:start], token_like(culprit, "BROKEN", ""), token_like(culprit, "$END", "")]


class _Walk:
    """One pass over a file's tokens: `before[i]` is the stack before token `i`, for all that were read."""

    def __init__(
        self, tables: Tables, tokens: list[Token], mistakes: Mistakes, words: Collection[str], actions: Collection[str]
    ) -> None:
        self.tables = tables
        self.tokens = tokens
        self.mistakes = mistakes
        self.words = words
        self.actions = actions
        self.before: list[Stack] = []
        self.stack = tables.start
        self.depth = 0  # of blocks
        self.least_left = len(tokens) + 1  # as many tokens were left at the last edit; fewer must be at the next
        self.told: set[tuple[int, str]] = set()
        self.changes = 0

    def mended(self) -> list[Token]:
        tokens = self.tokens
        while (at := len(self.before)) < len(tokens):
            kind = tokens[at].type
            after = self.tables.feed(self.stack, kind)
            if after is None:
                self.changes += 1
                if self.changes > MOST_CHANGES or self.mistakes.full:
                    return self._cut_off(at)
                if not self._edited(at):
                    self._give_up(at)
                continue
            self.before.append(self.stack)
            self.stack = after
            self.depth += (kind == "LBRACE") - (kind == "RBRACE")
        return tokens

    def _put(self, first: int, last: int, put: list[Token]) -> None:
        """Put tokens for those from `first` to before `last`, and go on from there."""
        self.tokens[first:last] = put
        if first < len(self.before):
            self.stack = self.before[first]
            del self.before[first:]

    def _start(self, at: int) -> int:
        """Where the statement begins, or what follows the last brace of it."""
        start = at
        while start and self.tokens[start - 1].type not in _EDGES:
            start -= 1
        return start

    # -- edits --------------------------------------------------------------------------------------------------------

    def _edited(self, at: int) -> bool:
        """Make the likeliest edit, if one lets the walk go on."""
        token, left, start = self.tokens[at], len(self.tokens) - at, self._start(at)
        line = token.line or 1
        if left >= self.least_left or at - start > LONGEST_STATEMENT or self.mistakes.closed(line):
            return False
        header = next((i for i in range(at - 1, start - 1, -1) if self.tokens[i].type == "IF"), start)
        slip = Slip(self.tables, self.tokens, [*self.before, self.stack], at, start, header, self.words, self.actions)
        best, gained = None, 0.0
        for edit in slip.candidates():
            read = self._read_behind(edit, at)
            if read - edit.cost > gained:
                best, gained = edit, read - edit.cost
        if best is None:
            return False
        self.least_left = left
        if best.name not in _WEAK or not self._silent(line, start, at):
            self._tell(best.place.line or 1, best)
        self._put(best.first, best.last, best.tokens)
        return True

    def _read_behind(self, edit: Edit, at: int) -> int:
        """How many of the tokens behind the slip can be read with this edit; 0 if too few to believe it."""
        last = min(max(at, edit.last) + LOOKED_AHEAD, len(self.tokens))
        stack = self.before[edit.first] if edit.first < len(self.before) else self.stack
        for token in edit.tokens:
            after = self.tables.feed(stack, token.type)
            if after is None:
                return 0
            stack = after
        reached = edit.last
        while reached < last:
            after = self.tables.feed(stack, self.tokens[reached].type)
            if after is None:
                break
            stack, reached = after, reached + 1
        believed = 1 if edit.name == "missing-braces" else LEAST_READ + 1  # what follows may lack its braces too
        if reached < last and reached - at < believed:
            return 0
        return LOOKED_AHEAD if reached == len(self.tokens) else min(reached - at, LOOKED_AHEAD)

    def _tell(self, line: int, edit: Edit) -> None:
        if (line, edit.message) not in self.told:
            self.told.add((line, edit.message))
            self.mistakes.add(edit.place, edit.name, edit.message)

    def _silent(self, line: int, start: int, at: int) -> bool:
        """Whether it has been told already that something is wrong here."""
        return self.mistakes.on_line(line) > 0 or any(token.type == "BROKEN" for token in self.tokens[start:at])

    def _cut_off(self, at: int) -> list[Token]:
        """The tokens before the statement of a slip, their blocks closed."""
        kept = self.tokens[: self._start(at)]
        while kept and kept[-1].type == "SEPARATOR":
            kept.pop()
        end = self.tokens[-1]
        if kept and kept[-1].type == "ELSE":
            kept.pop()
        return [*kept, *[token_like(end, "RBRACE", "}")] * self.depth, end]

    # -- what can't be guessed ----------------------------------------------------------------------------------------

    def _give_up(self, at: int) -> None:
        """Put BROKEN for the words around the slip, so that what synchronises behind them can be read."""
        token, start = self.tokens[at], self._start(at)
        if token.type == "$END" and self.depth > 0:
            self._put(at, at, [token_like(token, "RBRACE", "}")])
            return
        if not self._silent(token.line or 1, start, at):
            self.mistakes.add(token, "unexpected", self._unexpected(at, start))
        if token.type == "RBRACE" and self.depth == 0:
            self._put(at, at + 1, [])
            return
        last = at
        while self.tokens[last].type not in _SYNCHRONISING:
            last += 1
        stacks = [*self.before[start:], self.stack]
        for first in range(at, start - 1, -1):
            for kinds in (["BROKEN"], ["SEPARATOR", "BROKEN"])[: 1 + (first == start)]:
                if self._fits(stacks[first - start], [*kinds, self.tokens[last].type]):
                    self._put(first, last, [token_like(self.tokens[first], kind, "") for kind in kinds])
                    return
        self._put(at, last + (last == at and token.type != "$END"), [])

    def _fits(self, stack: Stack | None, kinds: list[str]) -> bool:
        for kind in kinds:
            if stack is None:
                break
            stack = self.tables.feed(stack, kind)
        return stack is not None

    def _unexpected(self, at: int, start: int) -> str:
        token = self.tokens[at]
        if token.type == "RBRACE" and self.depth == 0:
            return "this } closes nothing"
        if token.type == "ELSE" and at == start:
            return "this `else` follows no `if`"
        slip = Slip(self.tables, self.tokens, [*self.before, self.stack], at, start, start, self.words, self.actions)
        if token.type == "$END" or token == "\n":
            return f"expected {slip.expected()} before {slip.shown(token)}"
        return f"{slip.shown(token)} is not expected here; expected {slip.expected()}"
