r"""What a text token says: its literal pieces with escapes undone, and what stands between { and }.

In the short form (one quote) and the long form (three) alike, `\n` and `\t` are a line end and a tab, and a backslash
takes away the meaning of `"`, `\`, `{` and `}`; before anything else it stands for itself, so that `"\Junk"` is what
it looks like. In the long form a line end right behind the opening quotes does not count, nor does the indentation
that all lines share, the last included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(r"\\[\s\S]|\{(?P<inside>[^{}\"\n]*)(?P<close>\})?")
_ESCAPE = re.compile(r"\\([nt\"\\{}])")
_PLAIN = {"n": "\n", "t": "\t"}
_ESCAPED = str.maketrans({"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\", "{": "\\{", "}": "\\}"})


@dataclass(frozen=True, slots=True)
class Hole:
    """What stands between { and }; `offset` is where it begins in the token; not `closed` where the } is missing."""

    text: str
    offset: int
    closed: bool


def pieces(raw: str) -> list[str | Hole]:
    """The literal texts and the holes of a text token, quotes included, in order; empty literals are left out."""
    quotes = 3 if len(raw) >= 6 and raw.startswith('"""') else 1
    body = raw[quotes:-quotes]
    shared = _shared_indentation(body) if quotes == 3 else None
    found: list[str | Hole] = []
    start = 0
    for match in _PIECE.finditer(body):
        inside = match["inside"]
        if inside is not None:
            found.append(_literal(body, start, match.start(), shared))
            found.append(Hole(inside, quotes + match.start() + 1, match["close"] is not None))
            start = match.end()
    found.append(_literal(body, start, len(body), shared))
    return [piece for piece in found if piece != ""]


def escaped(literal: str) -> str:
    """`literal` as it is written between quotes."""
    return literal.translate(_ESCAPED)


def _literal(body: str, start: int, end: int, shared: int | None) -> str:
    piece = body[start:end]
    if shared is not None and "\n" in piece:
        piece = re.sub(rf"\r?\n[ \t]{{0,{shared}}}", "\n", piece)
        first, line_end, rest = piece.partition("\n")
        if start == 0 and line_end and not first.strip(" \t"):
            piece = rest
    return _ESCAPE.sub(lambda match: _PLAIN.get(match[1], match[1]), piece)


def _shared_indentation(body: str) -> int:
    lines = body.split("\n")[1:]
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip() or line is lines[-1]]
    return min(indents, default=0)
