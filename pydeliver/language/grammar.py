"""The grammar, ready to use: finds `rules.lark`, has Lark build its tables, keeps them in a cache, cuts text to tokens.

Refuses a cache whose digest is wrong: it holds a pickle, so it is verified before it is decoded and simply built anew.
Whoever names the cache's folder answers for it: only the user may be able to write there.
Lark's LALR(1) tables are turned into plain dictionaries, which `parse` and `repair` walk.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import sys
from dataclasses import dataclass

import lark
from lark.lexer import PatternStr, Token
from lark.parsers.lalr_analysis import Shift

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# In an installed wheel the grammar lies inside the package; in a checkout or an editable install beside it.
PLACES = (os.path.join(_PACKAGE, "rules.lark"), os.path.join(os.path.dirname(_PACKAGE), "grammar", "rules.lark"))

CACHE_NAME = "grammar.tables"
STARTS = ("file", "hole", "unparsed")
_DIGEST = hashlib.blake2b().digest_size


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a grammar line does: take `size` values, have `action` make one of them, and go on as `target`.

    `spliced`: an inner piece of a rule (Lark's `_name`), whose values go to whoever takes it.
    `passed`: a choice of one value, which goes through as it is.
    """

    size: int
    target: str
    action: str
    spliced: bool
    passed: bool


Step = int | Reduction


@dataclass(frozen=True, slots=True)
class Grammar:
    """The tables: `states[state][token type]` is the next state or a `Reduction`; `ends` is where a start is done.

    `keywords` are the words that are structure, by their token type: {"IF": "if", …}; `spelling` has punctuation too.
    """

    states: dict[int, dict[str, Step]]
    starts: dict[str, int]
    ends: dict[str, int]
    keywords: dict[str, str]
    spelling: dict[str, str]
    engine: lark.Lark

    def tokens(self, text: str, line: int = 1, column: int = 1) -> list[Token]:
        """Cut `text` into tokens, line ends, comments and strays included; whatever the text, this succeeds.

        `line` and `column` say where the text stands, if it is a piece of a larger one.
        """
        session = self.engine.parse_interactive(text, start="file")
        tokens = list(session.lexer_thread.lex(session.parser_state))  # type: ignore[no-untyped-call]
        if (line, column) != (1, 1):
            for token in tokens:
                token.column += column - 1 if token.line == 1 else 0
                token.end_column += column - 1 if token.end_line == 1 else 0
                token.line += line - 1
                token.end_line += line - 1
        return tokens


@functools.cache
def built() -> Grammar:
    """The grammar, built in this process. Takes a second, once."""
    return _prepared(_build(_source(), strict=False))


def is_at_hand() -> bool:
    """Whether `built` costs nothing, and no cache is needed."""
    return built.cache_info().currsize > 0


@functools.cache
def load(cache_dir: str | None = None, strict: bool = False) -> Grammar:
    """Give the grammar, from the cache in `cache_dir` if one is named and whole, else built (and the cache written).

    `strict` has Lark report every ambiguity it would otherwise settle in silence; it needs `interegular`.
    """
    if cache_dir is None and not strict:
        return built()
    source = _source()
    if strict or cache_dir is None:
        return _prepared(_build(source, strict))
    path = os.path.join(cache_dir, CACHE_NAME)
    key = _key(source)
    engine = _read(path, key)
    if engine is None:
        engine = _build(source, strict=False)
        _write(path, key, engine)
    return _prepared(engine)


def _source() -> str:
    for path in PLACES:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"the grammar is missing: it is looked for at {' and '.join(PLACES)}")


def _build(source: str, strict: bool) -> lark.Lark:
    return lark.Lark(source, parser="lalr", lexer="basic", start=list(STARTS), keep_all_tokens=True, strict=strict)


def _key(source: str) -> bytes:
    """What the tables depend on."""
    return hashlib.blake2b(f"{lark.__version__} {sys.version}\n{source}".encode()).digest()


def _intact(content: bytes, key: bytes) -> bool:
    return content[:_DIGEST] == hashlib.blake2b(content[_DIGEST:], key=key).digest()


def _read(path: str, key: bytes) -> lark.Lark | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    return lark.Lark.load(io.BytesIO(content[_DIGEST:])) if _intact(content, key) else None


def _write(path: str, key: bytes, engine: lark.Lark) -> None:
    buffer = io.BytesIO()
    engine.save(buffer)
    payload = buffer.getvalue()
    beside = f"{path}.{os.getpid()}"
    try:
        # A reader sees the old tables or the new ones, never half; a failure costs time at the next start, no more.
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(hashlib.blake2b(payload, key=key).digest() + payload)
        os.replace(beside, path)
    except OSError:
        try:
            os.unlink(beside)
        except OSError:
            return


def _prepared(engine: lark.Lark) -> Grammar:
    tables = {start: engine.parse_interactive("", start=start).parser_state.parse_conf for start in STARTS}
    reductions: dict[object, Reduction] = {}
    states: dict[int, dict[str, Step]] = {}
    for state, row in tables["file"].states.items():
        steps = states[state] = {}
        for symbol, (action, argument) in row.items():
            if action is Shift:
                steps[symbol] = argument
                continue
            if argument not in reductions:
                name = argument.origin.name
                reductions[argument] = Reduction(
                    size=len(argument.expansion),
                    target=name,
                    action=argument.alias or name,
                    spliced=name.startswith("_"),
                    passed=argument.options.expand1 and not argument.alias and len(argument.expansion) == 1,
                )
            steps[symbol] = reductions[argument]
    spelling = {t.name: t.pattern.value for t in engine.terminals if isinstance(t.pattern, PatternStr)}
    return Grammar(
        states=states,
        starts={start: table.start_state for start, table in tables.items()},
        ends={start: table.end_state for start, table in tables.items()},
        keywords={name: word for name, word in spelling.items() if word.isalpha()},
        spelling=spelling,
        engine=engine,
    )
