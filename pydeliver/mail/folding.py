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
    return _folded(composed(text))


def _folded(text: str) -> str:
    """Fold; where characters would become several, only words that hold such are taken apart (ß folds to itself)."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    for between in "ß\n ":
        if between in text:
            return between.join([_folded(piece) for piece in text.split(between)])
    return "".join([_fold_one(character) for character in text])


def composed(text: str) -> str:
    """The text in normalisation form C, but for spans of over COMPOSED_CHARACTERS without a space or line feed."""
    if text.isascii():
        return text
    from unicodedata import normalize

    if len(text) <= COMPOSED_CHARACTERS:
        return normalize("NFC", text)
    # No character composes with a space or line feed before it: a piece that ends in one can be normalised alone.
    between = text.replace("\n", " ")
    pieces = []
    start = 0
    while start < len(text):
        end = start + COMPOSED_CHARACTERS
        if end < len(text):
            end = between.rfind(" ", start, end + 1) + 1
            if not end:
                end = between.find(" ", start + COMPOSED_CHARACTERS) + 1 or len(text)
                pieces.append(text[start:end])
                start = end
                continue
        pieces.append(normalize("NFC", text[start:end]))
        start = end
    return "".join(pieces)


def _fold_one(character: str) -> str:
    folded = character.casefold()
    if len(folded) == 1:
        return folded
    lower = character.lower()
    return lower if len(lower) == 1 else character
