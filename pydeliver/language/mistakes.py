"""The mistakes found while one rule file is read: collected, put in order, bounded.

Owns how a place in the text becomes a `Diagnostic`, and how many are told: a reader wants every slip, and no echoes.
"""

from __future__ import annotations

from typing import Protocol
from unicodedata import combining, east_asian_width

from pydeliver.status import Diagnostic

MOST_PER_LINE = 3
MOST_PER_FILE = 50
MAX_SOURCE = 160  # characters of a source line that are shown


class Place(Protocol):
    """Anything with a position: a token of Lark's, or a `Span`."""

    @property
    def line(self) -> int | None: ...
    @property
    def column(self) -> int | None: ...
    @property
    def end_line(self) -> int | None: ...
    @property
    def end_column(self) -> int | None: ...


class Mistakes:
    """The list of one file's mistakes; `lines` is its text."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.found: list[Diagnostic] = []
        self._on_line: dict[int, int] = {}

    def on_line(self, line: int) -> int:
        """How many mistakes were noted at this line."""
        return self._on_line.get(line, 0)

    def closed(self, line: int) -> bool:
        """Whether what is found at this line would not be told any more."""
        return self.full or self.on_line(line) >= MOST_PER_LINE

    def forget(self) -> None:
        """Begin anew."""
        self.found.clear()
        self._on_line.clear()

    @property
    def full(self) -> bool:
        return len(self.found) >= MOST_PER_FILE

    def add(self, place: Place, name: str, message: str, hint: str = "") -> None:
        """Note a mistake at `place`; its carets stay on the first line."""
        line, column = place.line or 1, place.column or 1
        if self.closed(line):
            return
        self._on_line[line] = self.on_line(line) + 1
        source = self.lines[line - 1].rstrip("\r") if line <= len(self.lines) else ""
        last = (place.end_column or column + 1) if place.end_line == line else len(source) + 1
        self.found.append(
            Diagnostic(self.file, line, column, message, name, source=source, width=max(1, last - column), hint=hint)
        )

    def told(self) -> tuple[Diagnostic, ...]:
        """The mistakes in the file's order, no place twice, at most three of a line."""
        told: list[Diagnostic] = []
        on_line, last = 0, None
        for found in sorted(self.found, key=lambda one: (one.line, one.column)):
            if last is not None and (found.line, found.column) == (last.line, last.column):
                continue
            on_line = on_line + 1 if last is not None and found.line == last.line else 1
            last = found
            if on_line <= MOST_PER_LINE:
                told.append(found)
        return tuple(told[:MOST_PER_FILE])


def described(found: Diagnostic) -> str:
    """`file:line:column: what is wrong`, the line, carets under the place, and a hint behind it: plain text."""
    kind = "" if found.severity == "error" else f"{found.severity}: "
    lines = [f"{found.file}:{found.line}:{found.column}: {kind}{found.message}", *pointed(found)]
    return "\n".join([*lines, f"    {found.hint}"] if found.hint else lines)


def pointed(found: Diagnostic) -> list[str]:
    """The source line and its carets; of a long line the part around the place. Tabs stay, so that columns agree."""
    if not found.source:
        return []
    start = max(0, found.column - 1 - MAX_SOURCE // 2) if len(found.source) > MAX_SOURCE else 0
    shown = found.source[start : start + MAX_SOURCE].rstrip()
    before = shown[: found.column - 1 - start]
    gap = "".join([c if c == "\t" else " " * _columns(c) for c in before])
    marked = shown[found.column - 1 - start : found.column - 1 - start + found.width]
    return [f"    {shown}", f"    {gap}{'^' * max(1, sum([_columns(c) for c in marked]))}"]


def _columns(character: str) -> int:
    """How wide a terminal shows a character (Unicode TR 11)."""
    return 2 if east_asian_width(character) in "WF" else 0 if combining(character) else 1
