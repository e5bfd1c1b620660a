"""Blocks that were never closed: found by indentation, told at the brace that opens them, and closed.

A line no deeper than the statement that opened a block is outside it, unless the brace that closes the block stands
where it should. So one missing brace costs one mistake, at the place where it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from lark.lexer import Token

from pydeliver.language.layout import token_like
from pydeliver.language.mistakes import Mistakes


@dataclass(frozen=True, slots=True)
class _Opener:
    token: Token
    indent: int  # the column where its statement's line begins
    paired: bool  # the brace that closes it stands on its line, or below its statement


def closed(tokens: list[Token], mistakes: Mistakes) -> list[Token]:
    """`tokens` with a `}` for each block that has none, and without a second `{` where two stand in a row."""
    columns: dict[int, int] = {}
    for token in tokens:
        if token.type not in ("SEPARATOR", "$END"):
            columns.setdefault(token.line or 1, token.column or 1)
    partners = _partners(tokens)
    dropped = _doubled(tokens, partners, mistakes)
    made: list[Token] = []
    stack: list[_Opener] = []
    indent, begins = 1, True
    for index, token in enumerate(tokens):
        if index in dropped:
            continue
        kind = token.type
        column = columns.get(token.line or 1, 1)
        if kind == "$END":
            while stack:
                _close(stack.pop(), made, token, mistakes)
        elif token.column == column and (begins or kind in ("RBRACE", "ELSE")):
            while stack and _is_left(stack[-1], token):
                indent = stack[-1].indent
                _close(stack.pop(), made, token, mistakes)
        if begins and kind != "SEPARATOR":
            indent = column
        begins = kind in ("SEPARATOR", "LBRACE")
        if kind == "LBRACE":
            stack.append(_Opener(token, indent, _paired(token, indent, partners, index, tokens, columns)))
        elif kind == "RBRACE" and stack:
            indent = stack.pop().indent
        made.append(token)
    return made


def _is_left(opener: _Opener, token: Token) -> bool:
    """Whether `token`, the first of its line, shows that the block of `opener` ended above."""
    column = token.column or 1
    if opener.paired or (opener.token.line or 1) >= (token.line or 1):
        return False
    return column < opener.indent or (column == opener.indent and token.type != "RBRACE")


def _close(opener: _Opener, made: list[Token], before: Token, mistakes: Mistakes) -> None:
    mistakes.add(opener.token, "open-brace", "this { is never closed")
    place = made[-1]
    brace = token_like(place, "RBRACE", "}")
    if place.type == "SEPARATOR":
        made.insert(len(made) - 1, brace)
    elif before.type in ("RBRACE", "ELSE", "$END"):
        made.append(brace)
    else:
        made += [brace, token_like(place, "SEPARATOR", "\n")]


def _partners(tokens: list[Token]) -> dict[int, int]:
    """Which `}` closes which `{` (and the reverse), by counting alone."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.type == "LBRACE":
            opened.append(index)
        elif token.type == "RBRACE" and opened:
            partners[index] = opened[-1]
            partners[opened.pop()] = index
    return partners


def _paired(
    token: Token, indent: int, partners: dict[int, int], index: int, tokens: list[Token], columns: dict[int, int]
) -> bool:
    if index not in partners:
        return False
    closing = tokens[partners[index]]
    return closing.line == token.line or columns.get(closing.line or 1) == closing.column == indent


def _doubled(tokens: list[Token], partners: dict[int, int], mistakes: Mistakes) -> set[int]:
    """The places of braces to leave out: the second of `{{`, and its `}` where the first has one too."""
    dropped: set[int] = set()
    kinds = [token.type for token in tokens]
    for index in range(1, len(kinds) - 1):
        if kinds[index] == kinds[index - 1] == "LBRACE" and "LBRACE" not in (
            kinds[index + 1],
            *kinds[index - 2 : index - 1],
        ):
            mistakes.add(
                tokens[index], "second-brace", "`{` is not expected here; expected an action, `if`, `rule`, `let` …"
            )
            dropped.add(index)
            if index - 1 in partners:
                dropped.add(partners[index])
    return dropped
