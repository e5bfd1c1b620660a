"""From the lexer's tokens to the parser's: where statements end, and what the comments were.

A statement ends at the line's end, at `;` or behind a `}`. A line goes on where it cannot have ended (behind a comma,
an opening bracket, an operator, `and or not =`) or where the next one cannot begin a statement (`and or else { ) ] ,`
and the words that continue a phrase). Brackets do not matter for this, so that an open one costs one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from lark.lexer import Token

from pydeliver.language.tree import Comment, Span

MOST_BLOCKS = 32
MOST_BRACKETS = 100

_OPERATORS = {
    "IS",
    "CONTAINS",
    "STARTS",
    "ENDS",
    "WITH",
    "LIKE",
    "MATCHES",
    "IN",
    "LESS",
    "LESS_EQUAL",
    "MORE",
    "MORE_EQUAL",
}
GOES_ON_AFTER = frozenset(
    {"COMMA", "LPAREN", "LSQUARE", "LBRACE", "AND", "OR", "NOT", "ELSE", "EXACTLY", "EQUALS", "DOTDOT", "SEPARATOR"}
    | {"ADDS", "ANY", "PER", "WHERE", "OR_ELSE"}
    | _OPERATORS
)
GOES_ON_BEFORE = frozenset(
    {"AND", "OR", "OR_ELSE", "ELSE", "PER", "WHERE", "LBRACE", "RBRACE", "RPAREN", "RSQUARE", "COMMA"}
)
# Words no statement begins with, so that a long action may be broken before them.
CONTINUING_WORDS = frozenset({"every", "until", "within"})

_OPENING = {"LPAREN": "RPAREN", "LSQUARE": "RSQUARE", "LBRACE": "RBRACE"}
_CLOSING = frozenset(_OPENING.values())


@dataclass(frozen=True, slots=True)
class Layout:
    """`tokens` for the parser, `$END` included; `after_blank` are the places (line, column) below an empty line."""

    tokens: list[Token]
    comments: list[Comment]
    after_blank: frozenset[tuple[int, int]]


def arrange(raw: list[Token]) -> Layout:
    """Take line ends, semicolons and comments out of `raw`, and put separators between statements."""
    tokens: list[Token] = []
    comments: list[Comment] = []
    after_blank: set[tuple[int, int]] = set()
    line_end: Token | None = None  # the line end before the token at hand, with or without comments between
    separator: Token | None = None
    fresh, blank = True, False  # nothing stands before the token on its line; an empty line stands above it
    for token in raw:
        kind = token.type
        if kind == "LINE_END":
            fresh, line_end, blank = True, line_end or token, token.count("\n") > 1
            continue
        if kind == "COMMENT":
            comments.append(Comment(span_of(token), token.rstrip(), blank, own_line=fresh))
            blank = False
            continue
        if kind == "SEMICOLON":
            separator = separator or _separator(token)
            continue
        if blank:
            after_blank.add((token.line or 1, token.column or 1))
        fresh = blank = False
        last = tokens[-1].type if tokens else "SEPARATOR"
        named = len(tokens) > 1 and tokens[-2].type == "RULE"  # its `if` may stand on the next line
        if separator is None and line_end is not None and not named and not _goes_on(last, token):
            separator = _separator(line_end)
        if last == "RBRACE" and separator is None and kind not in ("ELSE", "RBRACE"):
            separator = _separator(token)
        if separator is not None and last not in ("SEPARATOR", "LBRACE") and kind != "RBRACE":
            tokens.append(separator)
        separator = line_end = None
        tokens.append(token)
    tokens.append(_end(tokens[-1] if tokens else None))
    return Layout(tokens, comments, frozenset(after_blank))


def too_deep(tokens: list[Token]) -> Token | None:
    """The token that opens one block or bracket more than is read; everything behind the parser may recurse."""
    expected: list[str] = []
    blocks = 0
    for token in tokens:
        kind = token.type
        if kind in _OPENING:
            expected.append(_OPENING[kind])
            blocks += kind == "LBRACE"
            if blocks > MOST_BLOCKS or len(expected) - blocks > MOST_BRACKETS:
                return token
        elif kind in _CLOSING and kind in expected[-MOST_BLOCKS - MOST_BRACKETS :]:
            while (closed := expected.pop()) != kind:
                blocks -= closed == "RBRACE"
            blocks -= kind == "RBRACE"
    return None


def token_like(token: Token, kind: str, value: str) -> Token:
    """A token that was not written, at the place of one that was."""
    return Token.new_borrow_pos(kind, value, token)


def span_of(token: Token) -> Span:
    return Span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)


def _goes_on(last: str, token: Token) -> bool:
    return last in GOES_ON_AFTER or token.type in GOES_ON_BEFORE or token.value in CONTINUING_WORDS


def _separator(token: Token) -> Token:
    return token_like(token, "SEPARATOR", ";" if token.type == "SEMICOLON" else "\n")


def _end(last: Token | None) -> Token:
    """`$END`, at the end of the last token, where a message about what is missing points."""
    if last is None:
        return Token("$END", "", 0, 1, 1, 1, 1, 0)
    return Token("$END", "", last.end_pos, last.end_line, last.end_column, last.end_line, last.end_column, last.end_pos)
