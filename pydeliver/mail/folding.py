"""One way to ignore case, for every comparison of text.

Owns `fold` (and `composed`, the Unicode normalisation before it). It refuses full case folding, which turns one
character into several ("ß" into "ss"), because patterns cannot do that: `contains` and `matches` must agree.
Unicode simple case folding, as RE2's `(?i)`; normalisation form C, UAX #15.
"""

from __future__ import annotations

# Sorting combining marks is quadratic in CPython, so what has no space in it for longer is not normalised.
COMPOSED_CHARACTERS = 1_000


def fold(text: str) -> str:
    """The text in form C with each character replaced by the one that stands for all its cases."""
    if text.isascii():
        return text.lower()
    text = composed(text)
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join([_fold_one(character) for character in text])


def composed(text: str) -> str:
    """The text in normalisation form C, but for spans of over COMPOSED_CHARACTERS without a space."""
    if text.isascii():
        return text
    from unicodedata import normalize

    if len(text) <= COMPOSED_CHARACTERS:
        return normalize("NFC", text)
    # No character composes with a space before it, so the spans between spaces can be normalised alone.
    spans = text.split(" ")
    return " ".join([normalize("NFC", span) if len(span) <= COMPOSED_CHARACTERS else span for span in spans])


def _fold_one(character: str) -> str:
    folded = character.casefold()
    if len(folded) == 1:
        return folded
    lower = character.lower()
    return lower if len(lower) == 1 else character
