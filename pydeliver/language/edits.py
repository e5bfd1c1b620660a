"""What may have been meant at a place where the text does not fit the grammar: one-place edits, each with its message.

Knows the slips people make; `repair` tries each edit and takes the one after which most of what follows can be read.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lark.lexer import Token

from pydeliver.language.grammar import Grammar, Reduction
from pydeliver.language.layout import token_like
from pydeliver.language.mistakes import Place

# The states passed through, newest first; a linked list, so that every place can be gone back to.
Stack = tuple[int, "Stack | None"]

VALUES = frozenset(
    {"TEXT", "LONG_TEXT", "NUMBER", "QUANTITY", "DATE", "CLOCK", "NETWORK", "PATTERN", "RSQUARE", "RPAREN"}
)
OPERATORS = frozenset(
    {"IS", "CONTAINS", "STARTS", "ENDS", "LIKE", "MATCHES", "IN", "EXISTS", "LESS", "LESS_EQUAL", "MORE", "MORE_EQUAL"}
)
ENDS = frozenset({"SEPARATOR", "RBRACE", "ELSE", "$END"})
# Words of other languages, and what they are here.
FOREIGN = {
    "equals": "IS",
    "eq": "IS",
    "include": "CONTAINS",
    "when": "IF",
    "where": "IF",
    "whenever": "IF",
    "var": "LET",
}
LEAST_LIKENESS = 0.7
INSERTED = ("WITH", "EQUALS", "RPAREN", "RSQUARE", "COMMA", "IF", "SEPARATOR", "IS", "AND", "LBRACE")


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `tokens` for those from `first` up to `last`; `cost` is what it must gain over a better guess."""

    first: int
    last: int
    tokens: list[Token]
    place: Place
    name: str
    message: str
    cost: float


class Tables:
    """The grammar's tables, walked without making anything."""

    def __init__(self, grammar: Grammar) -> None:
        self._states = grammar.states
        self._end = grammar.ends["file"]
        self.spelling = grammar.spelling
        self.keywords = grammar.keywords
        self.start: Stack = (grammar.starts["file"], None)

    def feed(self, stack: Stack, kind: str) -> Stack | None:
        """The stack after a token of this kind, or None where it cannot stand."""
        while True:
            step = self._states[stack[0]].get(kind)
            if step is None:
                return None
            if isinstance(step, int):
                return step, stack
            below: Stack | None = stack
            for _ in range(step.size):
                assert below is not None
                below = below[1]
            assert below is not None
            arrived = self._states[below[0]][step.target]
            assert not isinstance(arrived, Reduction)
            stack = (arrived, below)
            if kind == "$END" and arrived == self._end:
                return stack

    def accepted(self, stack: Stack) -> set[str]:
        """The kinds of tokens that can stand here."""
        kinds = [kind for kind in self._states[stack[0]] if kind.isupper() or kind == "$END"]
        return {kind for kind in kinds if self.feed(stack, kind) is not None}


@dataclass(frozen=True, slots=True)
class Slip:
    """A place where the tokens do not fit: token `at`, in the statement from `start` and its header from `header`.

    `before[i]` is the stack before token `i`; `actions` are the words that begin a statement, `words` all others.
    """

    tables: Tables
    tokens: list[Token]
    before: list[Stack]
    at: int
    start: int
    header: int
    words: Collection[str]
    actions: Collection[str]

    def candidates(self) -> Iterator[Edit]:
        accepted = self.tables.accepted(self.before[self.at])
        yield from self._of_operators(accepted)
        yield from self._of_values(accepted)
        yield from self._of_braces(accepted)
        yield from self._of_headers(accepted)
        yield from self._of_likeness()
        yield from self._insertions(accepted)
        yield from self._removals()

    def expected(self) -> str:
        """What could stand at the slip, in words."""
        accepted = self.tables.accepted(self.before[self.at])
        if "LET" in accepted:
            return "an action, `if`, `rule` or `let`"
        names: list[str] = []
        if accepted >= {"NAME", "NOT", "LPAREN"} and "TEXT" not in accepted:
            names.append("a condition")
        elif accepted == {"NAME"}:
            names.append("a name")
        elif "NAME" in accepted and not accepted & (ENDS | {"LBRACE", "COMMA", "EQUALS"} | OPERATORS):
            names.append("a value")
        if accepted >= {"IS", "CONTAINS"}:
            names.append("an operator such as `is`")
        elif accepted & OPERATORS and "NAME" not in accepted:
            names += [f"`{self.tables.spelling[kind]}`" for kind in sorted(accepted & OPERATORS)][:4]
        others = [
            "CONDITION",
            "IF",
            "WITH",
            "EQUALS",
            "LBRACE",
            "AND",
            "OR",
            "COMMA",
            "RPAREN",
            "RSQUARE",
            "RBRACE",
            "ELSE",
        ]
        if names != ["a condition"] and names != ["a value"]:
            names += [f"`{self.tables.spelling[kind]}`" for kind in others if kind in accepted]
        if "SEPARATOR" in accepted:
            names.append("a new line")
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def shown(self, token: Token) -> str:
        if token.type == "$END":
            return "the end of the file"
        if token.type == "SEPARATOR" and token == "\n":
            return "the end of the line"
        text = token.value.split("\n")[0]
        return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}…`"

    # -- the slips --------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self.tokens[self.at]

    @property
    def _last(self) -> Token | None:
        return self.tokens[self.at - 1] if self.at > self.start else None

    @property
    def _next(self) -> Token:
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def _made(self, kind: str, index: int | None = None) -> Token:
        token = self.tokens[self.at if index is None else index]
        return token_like(token, kind, self.tables.spelling.get(kind, ""))

    def _edit(
        self, first: int, last: int, kinds: list[str], name: str, message: str, cost: float, at: int = -1
    ) -> Edit:
        """An edit that puts tokens of these kinds, told at the place of token `at` (where it begins, if not said)."""
        place = self.tokens[first if at < 0 else at]
        return Edit(first, last, [self._made(kind, first) for kind in kinds], place, name, message, cost)

    def _of_operators(self, accepted: set[str]) -> Iterator[Edit]:
        token, last, at = self._token, self._last, self.at
        kind = token.type
        if kind == "EQUALS" and "IS" in accepted:
            message = "`=` gives a value; to compare, write `is`"
            yield self._edit(at, at + 1, ["IS"], "equals-compares", message, 0)
        if kind in ("AND", "OR") and "SEPARATOR" in accepted and self.tokens[self.start].type != "LET":
            message = f"`{token}` joins conditions; between actions write `;`"
            yield self._edit(at, at + 1, ["SEPARATOR"], "joined-actions", message, 0.1)
        if last is None:
            return
        if kind == "ELSE" and last.type == "OR":
            whole = token_like(last, "OR_ELSE", "or else")
            yield Edit(at - 1, at + 1, [whole], last, "parted-words", "`or else` stands on one line", 0)
        if last.type == "OR_ELSE" and kind != "NAME":
            word = token_like(token, "NAME", "defer")
            message = "behind `or else` stands `defer`, `keep` or `no`"
            yield Edit(at, at + (kind in VALUES), [word], token, "bad-fallback", message, 0)
        if kind in OPERATORS and last.type in OPERATORS:
            message = f"leave out `{last}` before `{token}`"
            yield self._edit(at - 1, at, [], "two-operators", message, 0)
        if kind == "NOT" and last in ("expect", "given"):
            word = token_like(token, "NAME", "no")
            yield Edit(at, at + 1, [word], token, "foreign-word", f"behind `{last}` write `no`", 0)
        if kind == "NOT" and last.type in OPERATORS:
            message = f"`not` stands before `{last}`"
            yield self._edit(at - 1, at + 1, ["NOT", last.type], "misplaced-not", message, 0, at)
        if kind == "IS" and last.type == "NOT":
            yield self._edit(at - 1, at + 1, ["IS", "NOT"], "misplaced-not", "write `is not`", 0)
        if kind == "EXACTLY" and self._next.type in OPERATORS:
            kinds = [self._next.type, "EXACTLY"]
            yield self._edit(at, at + 2, kinds, "misplaced-exactly", f"`exactly` stands behind `{self._next}`", 0)

    def _of_values(self, accepted: set[str]) -> Iterator[Edit]:
        token, last, at, start = self._token, self._last, self.at, self.start
        kind = token.type
        if last is not None and last.type in ("AND", "OR") and kind in VALUES:
            message = f"`{last}` joins conditions; between values write `,`"
            yield self._edit(at - 1, at, ["COMMA"], "joined-values", message, 0)
        if last is not None and last.type == "COMMA":
            yield self._edit(at - 1, at, [], "open-list", "nothing follows this comma", 0)
        if kind == "NAME" and "TEXT" in accepted:
            text = token_like(token, "TEXT", f'"{token}"')
            yield Edit(at, at + 1, [text], token, "unquoted-text", f'text stands in quotes: "{token}"', 0.2)
        if kind in self.tables.keywords and "NAME" in accepted and self.tokens[start].type == "LET" and at == start + 1:
            word = token_like(token, "NAME", token.value)
            yield Edit(at, at + 1, [word], token, "taken-word", f"`{token}` is a word of the language, no name", 0)
        head = [one.type for one in self.tokens[start : start + 3]]
        if head == ["LET", "NAME", "EQUALS"] and at > start + 3:
            message = "a condition in a `let` begins with the word `condition`"
            first = start + 3
            yield self._edit(first, first, ["CONDITION"], "missing-condition", message, 0)
            if self._alike(self.tokens[first], ["condition"]):
                message = f"`{self.tokens[first]}` is not known here; did you mean `condition`?"
                yield self._edit(first, first + 1, ["CONDITION"], "unknown-word", message, -0.1)

    def _of_braces(self, accepted: set[str]) -> Iterator[Edit]:
        token, at = self._token, self.at
        kind = token.type
        block = "the actions of an `if` stand between { and }"
        if kind == "SEPARATOR" and self._next.type in ("LBRACE", "ELSE"):
            yield self._edit(at, at + 1, [], "stray-separator", f"leave out the `;` before `{self._next}`", 0)
        if kind == "ELSE" and [one.type for one in self.tokens[max(at - 2, 0) : at]] == ["RBRACE", "SEPARATOR"]:
            yield self._edit(at - 1, at, [], "stray-separator", "leave out the `;` before `else`", 0.1)
        if kind == "ELSE":
            kinds = [] if self._next.type == "IF" else ["BROKEN"]
            kinds = kinds if self._last is None else ["SEPARATOR", *kinds]
            yield self._edit(at, at + 1, kinds, "lone-else", "this `else` follows no `if`", 1)
        if kind in ("RBRACE", "RPAREN", "RSQUARE"):
            yield self._edit(at, at + 1, [], "closes-nothing", f"this {token} closes nothing", 0.8)
        if kind == "ELSE" and "RBRACE" in accepted:
            yield Edit(at, at, [self._made("RBRACE")], token, "missing-braces", block, 0.5)
            last = self._next_end(at + 1)
            inside = [self._made("LBRACE"), *self.tokens[at + 1 : last], self._made("RBRACE", last)]
            yield Edit(at, last, [self._made("RBRACE"), token, *inside], token, "missing-braces", block, 0.6)
        if "LBRACE" not in accepted:
            return
        if kind == "SEPARATOR":
            yield self._edit(at, at + 1, ["LBRACE"], "missing-braces", block, 0.3)
        if kind in ENDS:
            yield self._edit(at, at, ["LBRACE", "RBRACE"], "missing-braces", block, 1)
            for first in self._first_actions():
                if self.tokens[first - 1] == "then":
                    opening = [self._made("LBRACE", first), *self.tokens[first:at]]
                    message, place = "instead of `then` write `{`", self.tokens[first - 1]
                    yield Edit(first - 1, at, [*opening, self._made("RBRACE")], place, "foreign-word", message, 0)
                opening = [self._made("LBRACE", first), *self.tokens[first:at]]
                place = self.tokens[first]
                yield Edit(first, at, [*opening, self._made("RBRACE")], place, "missing-braces", block, 0.1)
                yield Edit(first, at, opening, place, "missing-braces", block, 0.1)
        if self.tokens[at - 1].type == "ELSE" and kind not in ENDS:
            last = self._next_end(at)
            if "LBRACE" in [one.type for one in self.tokens[at:last]]:
                yield self._edit(at, at, ["IF"], "missing-if", f"expected `if` before {self.shown(token)}", 0.2)
            inside = [self._made("LBRACE"), *self.tokens[at:last], self._made("RBRACE", last)]
            yield Edit(at, last, inside, token, "missing-braces", block, 0.4)

    def _next_end(self, index: int) -> int:
        return next(i for i in range(min(index, len(self.tokens) - 1), len(self.tokens)) if self.tokens[i].type in ENDS)

    def _first_actions(self) -> list[int]:
        """Where in the header the actions may begin that no `{` precedes."""
        row = range(self.header + 2, self.at)
        names = [
            i for i in row if self.tokens[i].type == "NAME" and self.tokens[i - 1].type not in OPERATORS | {"COMMA"}
        ]
        likely = [i for i in names if self._is_action(self.tokens[i])]
        behind = [i for i in names if self.tokens[i - 1].type in VALUES | {"EXISTS"}]
        return (likely or behind or names[-1:])[:1]

    def _is_action(self, token: Token) -> bool:
        return token in self.actions or (token not in self.words and self._alike(token, self.actions))

    def _of_headers(self, accepted: set[str]) -> Iterator[Edit]:
        start, at = self.start, self.at
        first = self.tokens[start]
        if first.type == "NAME" and at > start and first not in self.actions:
            shown = self.shown(first)
            yield self._edit(start, start, ["IF"], "missing-if", f"expected `if` before {shown}", 0.3)
        if first in ("unless", "while") and at > start:
            yield self._edit(start, start + 1, ["IF", "NOT"], "foreign-word", f"instead of `{first}` write `if not`", 0)
        if start > 1 and self.tokens[start - 2].type == "RBRACE" and self._alike(first, ["else"]):
            message = f"`{first}` is not known here; did you mean `else`?"
            yield self._edit(start - 1, start + 1, ["ELSE"], "unknown-word", message, 0.1, start)

    def _of_likeness(self) -> Iterator[Edit]:
        """A word that is nearly one of the words that can stand in its place."""
        for index in sorted({self.at, max(self.at - 1, self.start), self.start}, reverse=True):
            token = self.tokens[index]
            if token.type != "NAME":
                continue
            possible = {kind for kind in self.tables.accepted(self.before[index]) if kind in self.tables.keywords}
            for kind in sorted(possible):
                word = self.tables.keywords[kind]
                if FOREIGN.get(token.value) == kind:
                    message = f"instead of `{token}` write `{word}`"
                    yield self._edit(index, index + 1, [kind], "foreign-word", message, 0.1)
                elif self._alike(token, [word]):
                    message = f"`{token}` is not known here; did you mean `{word}`?"
                    yield self._edit(index, index + 1, [kind], "unknown-word", message, 0.2)

    def _alike(self, token: Token, words: Collection[str]) -> bool:
        return bool(difflib.get_close_matches(token.value[:40], words, 1, LEAST_LIKENESS))

    def _insertions(self, accepted: set[str]) -> Iterator[Edit]:
        at, shown = self.at, self.shown(self._token)
        for rank, kind in enumerate(INSERTED):
            if kind in accepted:
                missing = "a new line or `;`" if kind == "SEPARATOR" else f"`{self.tables.spelling[kind]}`"
                message = f"expected {missing} before {shown}"
                name = "missing-bracket" if kind in ("RPAREN", "RSQUARE") else "missing-word"
                yield self._edit(at, at, [kind], name, message, 1 + rank / 20)
        for kind in ("RPAREN", "RSQUARE"):
            if kind in accepted:
                message = f"expected `{self.tables.spelling[kind]}` before {shown}"
                for count in (2, 3):
                    yield self._edit(at, at, [kind] * count, "missing-bracket", message, 1 + count / 10)
        if self._token.type == "SEPARATOR" and "COMMA" in accepted:
            message = f"expected `,` before {self.shown(self._next)}"
            yield self._edit(at, at + 1, ["COMMA"], "missing-word", message, 0.9, at + 1)
        if "BROKEN" in accepted and self._last is not None:
            yield self._edit(at, at, ["BROKEN"], "missing-value", f"expected {self.expected()} before {shown}", 1.2)

    def _removals(self) -> Iterator[Edit]:
        at = self.at
        message = f"{self.shown(self._token)} is not expected here; expected {self.expected()}"
        if self._token.type != "$END":
            yield self._edit(at, at + 1, ["BROKEN"], "unexpected", message, 1.5)
            yield self._edit(at, at + 1, [], "unexpected", message, 1.6)
        if self._last is not None and self._token.type not in ENDS:
            yield self._edit(
                at - 1, at, [], "unexpected", f"leave out `{self._last}` before {self.shown(self._token)}", 2
            )
