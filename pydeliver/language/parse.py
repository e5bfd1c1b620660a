"""From bytes and text to tree: `decode` and `parse`; whatever they are given, they answer and never raise.

Owns the limits. Knows shapes only: that a word exists, or may stand where it does, is found by `check`. Mistakes of
shape are mended by `repair`, so that each slip is told once and the rest of the file is still read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydeliver.language import layout, repair
from pydeliver.language.build import Builder
from pydeliver.language.grammar import Grammar, load
from pydeliver.language.mistakes import Mistakes
from pydeliver.language.tree import Block, Span
from pydeliver.status import Diagnostic

MOST_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Parsed:
    """The tree of what could be read, and the mistakes: where there are any, the tree has gaps (`Broken`)."""

    block: Block
    diagnostics: tuple[Diagnostic, ...]


def decode(data: bytes, file: str) -> tuple[str, tuple[Diagnostic, ...]]:
    """Text of `data`: UTF-8 without control characters; what is not becomes U+FFFD and is told.

    Lines may end in LF, CRLF or CR, and end in LF from here on.
    """
    shown = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("utf-8", "surrogateescape")
    bad = {c for c in set(shown) if "\udc80" <= c <= "\udcff" or (c < " " and c not in "\t\n\f") or c == "\x7f"}
    if not bad:
        return shown, ()
    clean = shown.translate({ord(c): "\ufffd" for c in bad})
    mistakes = Mistakes(file, clean)
    for number, line in enumerate(shown.removeprefix("\ufeff").split("\n"), 1):
        column = next((i for i, c in enumerate(line, 1) if c in bad), 0)
        if column and not mistakes.full:
            code = ord(line[column - 1])
            said = f"the control byte 0x{code:02x} does not belong in a rule file"
            if code > 0xFF:
                said = f"the byte 0x{code - 0xDC00:02x} is not UTF-8; a rule file is written in UTF-8"
            mistakes.add(Span(number, column, number, column + 1), "bad-byte", said)
    return clean, mistakes.told()


def parse(
    source: str,
    file: str,
    words: Collection[str] = (),
    actions: Collection[str] = (),
    grammar: Grammar | None = None,
) -> Parsed:
    """Read `source`, the text of `file`.

    `words` are the vocabulary's names and `actions` those that begin a statement; both only help to guess what was
    meant where the text cannot be read. Without `grammar` one is built, once a process.
    """
    grammar = grammar or load()
    source = source.removeprefix("\ufeff")
    mistakes = Mistakes(file, source)
    if len(source) > MOST_CHARACTERS:
        mistakes.add(Span(1, 1, 1, 2), "too-long", f"a rule file has at most {MOST_CHARACTERS} characters")
        return Parsed(Block(Span(1, 1, 1, 1), ()), mistakes.told())
    raw = grammar.tokens(source)
    arranged = layout.arrange(raw)
    block = None
    if not repair.has_strays(grammar, raw) and layout.too_deep(arranged.tokens) is None:
        block = Builder(grammar, mistakes, arranged).tree()
    if block is None:
        mistakes.forget()
        block = Builder(grammar, mistakes, repair.mend(grammar, source, raw, mistakes, words, actions)).tree()
    return Parsed(block or Block(Span(1, 1, 1, 1), ()), mistakes.told())
