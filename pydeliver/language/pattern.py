"""Patterns: what a rule writes between slashes, checked and put into the form RE2 runs.

RE2 (https://github.com/google/re2/wiki/Syntax) matches in linear time and knows `\\w \\d \\s` as ASCII; here they
mean Unicode, so they are written out as classes. `\\b` stays ASCII, as RE2 has no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = r"\t\n\v\f\r\x{85}\p{Z}"
_WORD = r"\p{L}\p{M}\p{N}_"
_OUTSIDE = {
    "w": f"[{_WORD}]",
    "W": f"[^{_WORD}]",
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
}
_INSIDE = {"w": _WORD, "d": r"\p{Nd}", "D": r"\P{Nd}", "s": _SPACE}

# What RE2 says, and what to say instead; the rest of its message is the piece it stumbled over.
_SAID = {
    "invalid perl operator": "look-around and other Perl extensions are not possible in linear time",
    "no argument for repetition operator": "nothing stands before this to repeat",
    "missing )": "this ( is never closed",
    "missing ]": "this [ is never closed",
    "unexpected )": "this ) closes nothing",
    "invalid character class range": "this range runs backwards",
    "invalid character class": "RE2 does not know this character class",
    "invalid escape sequence": "RE2 does not know this escape (back references are not possible in linear time)",
    "invalid named capture group": "a capture is named with letters, digits and _ only",
    "invalid repetition size": "a repetition goes from less to more, and up to 1000",
    "bad repetition operator": "repetition operators can't be doubled",
    "trailing \\": "a pattern can't end in a backslash",
    "pattern too large - compile failed": "this pattern is too large",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pattern, at which character of it (0-based) and for how many."""

    message: str
    at: int
    width: int = 1


def prepare(text: str) -> tuple[str, tuple[str, ...]] | Problem:
    """A pattern as written to (RE2 source, names of its captures, numbers included), or what is wrong with it."""
    translated = _translate(text)
    if isinstance(translated, Problem):
        return translated
    return _name_problem(text) or _compiled(text, translated)


def _compiled(text: str, translated: str) -> tuple[str, tuple[str, ...]] | Problem:
    import re2

    from pydeliver.vocabulary.operator import pattern

    for source in (text, translated):
        try:
            compiled = pattern(source, exactly=False)
        except re2.error as error:
            return _explained(text, error)
    return translated, tuple(str(number) for number in range(compiled.groups + 1)) + tuple(
        sorted(compiled.groupindex, key=compiled.groupindex.get)
    )


def _explained(text: str, error: Exception) -> Problem:
    said = error.args[0]
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    for start, instead in _SAID.items():
        if said.startswith(start):
            piece = said[len(start) :].removeprefix(": ")
            if piece.startswith(("\\p", "\\P", "[:")):
                instead = _SAID["invalid character class"]  # for RE2 a class without members is a range, too
            at = _place(text, start, piece)
            return Problem(instead, at, max(1, min(len(piece), len(text) - at)) if piece and piece in text else 1)
    return Problem(said, 0, max(1, len(text)))


def _place(text: str, said: str, piece: str) -> int:
    if said == "missing )":
        return _unclosed(text)
    if said == "unexpected )":
        return max(0, text.rfind(")"))
    if said.startswith("trailing"):
        return max(0, len(text) - 1)
    return max(0, text.find(piece)) if piece else 0


def _unclosed(text: str) -> int:
    """Where the first `(` stands that no `)` closes."""
    opened: list[int] = []
    for at in _parentheses(text):
        if text[at] == "(":
            opened.append(at)
        elif opened:
            opened.pop()
    return opened[0] if opened else 0


def _parentheses(text: str) -> Iterator[int]:
    """Where `(` and `)` stand that are not characters to be found."""
    at, class_start = 0, -1
    while at < len(text):
        character = text[at]
        if text.startswith("\\Q", at) and class_start < 0:
            at = _behind_quoted(text, at)
            continue
        if character == "\\":
            at += 1
        elif class_start >= 0:
            if character == "]" and _closes(text, at, class_start):
                class_start = -1
        elif character == "[":
            class_start = at
        elif character in "()":
            yield at
        at += 1


def _closes(text: str, at: int, class_start: int) -> bool:
    """A ] that opens the class, or follows its ^, is a member of it."""
    return at > class_start + 1 + (text[class_start + 1 : class_start + 2] == "^")


def _behind_quoted(text: str, at: int) -> int:
    """Where what begins with `\\Q` goes on behind its `\\E`."""
    end = text.find("\\E", at)
    return len(text) if end < 0 else end + 2


def _translate(text: str) -> str | Problem:
    """Write `\\w`, `\\d` and `\\s` out as Unicode classes."""
    made: list[str] = []
    at, class_start = 0, -1
    while at < len(text):
        character = text[at]
        if text.startswith("\\Q", at) and class_start < 0:
            end = _behind_quoted(text, at)
            made.append(text[at:end])
            at = end
            continue
        if character == "\\" and at + 1 < len(text):
            letter = text[at + 1]
            if class_start >= 0 and letter in "WS":
                return Problem(f"`\\{letter}` can't stand inside [ ]; write a negated class [^…] instead", at, 2)
            table = _INSIDE if class_start >= 0 else _OUTSIDE
            made.append(table.get(letter, character + letter))
            at += 2
            continue
        if class_start >= 0:
            # The names in [:alpha:] are members too.
            if character == "]" and _closes(text, at, class_start):
                class_start = -1
            elif text.startswith("[:", at) and ":]" in text[at:]:
                end = text.index(":]", at) + 2
                made.append(text[at:end])
                at = end
                continue
        elif character == "[":
            class_start = at
        made.append(character)
        at += 1
    return "".join(made)


def _name_problem(text: str) -> Problem | None:
    """What is wrong with a name in `(?<name>…)` or `(?P<name>…)`: RE2 takes doubles silently."""
    names: set[str] = set()
    for at in _parentheses(text):
        opener = next((one for one in ("(?<", "(?P<") if text.startswith(one, at)), "")
        start = at + len(opener)
        if not opener or text[start : start + 1] in ("=", "!"):
            continue
        end = text.find(">", start)
        name = text[start:end] if end >= 0 else text[start:]
        if not (name.isascii() and name.replace("_", "a").isalnum()) or name[:1].isdigit():
            return Problem(f"`{name}` can't name a capture: letters, digits and _ only", start, max(1, len(name)))
        if name in names:
            return Problem(f"two captures are named `{name}`", start, len(name))
        names.add(name)
    return None
