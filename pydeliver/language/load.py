"""The rule language: text to tree to plan, with every mistake told at once.

`compile_rules` is the way in for those who deliver or check; `parse`, `tree` and `printer` serve those who show or
change rule files. This room reads no file: its caller hands it a `Library`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydeliver import vocabulary
from pydeliver.language import check, tree
from pydeliver.language.compile import Compiler
from pydeliver.language.grammar import load
from pydeliver.language.parse import decode, parse
from pydeliver.language.scope import Catalogue, Place, Report, Source
from pydeliver.status import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydeliver.plan import Node

MAX_DEPTH = 10  # of files that include files
MAX_FILES = 100


class Library(Protocol):
    """Where rule files come from."""

    def read(self, path: str) -> bytes | str | None:
        """The content; None when there is no such file; a sentence when it must not be used."""

    def find(self, path: str, base: str) -> tuple[str, ...]:
        """The files that an `include` in the file `base` names: `~` and globs resolved, in byte order."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """`statements` and `options` make a plan only while `ok`; diagnostics stand in the order of files and lines."""

    statements: tuple[Node, ...]
    options: Mapping[str, tuple[tuple[str, ...], str]]
    files: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(one.severity == "error" for one in self.diagnostics)


class _Loader:
    """Reads the main file and what it includes, each file once."""

    def __init__(self, library: Library, variables: tuple[str, ...], grammar_cache: str | None) -> None:
        self.library = library
        self.grammar = load(grammar_cache)
        self.catalogue = Catalogue(vocabulary.catalogue(), variables)
        self.report = Report()
        self.compiler = Compiler(self.catalogue, self.report, self.include)
        self.sources: list[Source] = []

    def tree_of(self, path: str, data: bytes, depth: int = 0) -> tuple[tree.Block, Source]:
        text, damage = decode(data, path)
        parsed = parse(text, path, self.catalogue.fields(), self.catalogue.first_words(), self.grammar)
        self.report.found += [*damage, *parsed.diagnostics]
        source = Source(path, len(self.sources), tuple(text.removeprefix("\ufeff").split("\n")), depth)
        self.sources.append(source)
        return parsed.block, source

    def include(self, written: str, optional: bool, place: Place, span: tree.Span) -> list[tuple[tree.Block, Place]]:
        """The blocks that an `include` stands for; they run in place, with the names in reach there."""
        if place.source.depth >= MAX_DEPTH:
            self.report.error(place, span, "bad-include", f"files include each other more than {MAX_DEPTH} deep")
            return []
        paths = self.library.find(written, place.source.path)
        if not paths and not optional and not any(c in written for c in "*?["):
            self.report.error(place, span, "bad-include", f"there is no file {written}")
        return [made for path in paths for made in self._included(path, optional, place, span)]

    def _included(self, path: str, optional: bool, place: Place, span: tree.Span) -> list[tuple[tree.Block, Place]]:
        if any(source.path == path for source in self.sources):
            return []  # each file runs once
        if len(self.sources) >= MAX_FILES:
            self.report.error(place, span, "bad-include", f"at most {MAX_FILES} files make up the rules")
            return []
        data = self.library.read(path)
        if not isinstance(data, bytes):
            if data is not None or not optional:
                self.report.error(place, span, "bad-include", data or f"there is no file {path}")
            return []
        block, source = self.tree_of(path, data, place.source.depth + 1)
        return [(block, Place(source, place.lets, place.captures, place.rule, place.depth))]


def compile_rules(
    path: str, data: bytes, library: Library, variables: tuple[str, ...] = (), grammar_cache: str | None = None
) -> Compiled:
    """Compile the rule file `path` with content `data`, and what it includes.

    `variables` are the environment variables that rules may read. `grammar_cache` is a folder that only the user can
    write, for the parser's tables; None builds them anew.
    """
    loader = _Loader(library, variables, grammar_cache)
    block, source = loader.tree_of(path, data)
    report = loader.report
    statements: tuple[Node, ...] = ()
    try:
        statements, _ = loader.compiler.file(block, Place(source, {}))
    except RecursionError:
        said = "`let`s are built on each other too deeply"
        report.error(Place(source, {}), tree.Span(1, 1, 1, 1), "too-large", said)
    if not any(one.severity == "error" for one in report.found):
        for later, earlier in check.shadowed(statements):
            _tell_shadowed(loader, later, earlier)
    numbers = {one.path: one.number for one in loader.sources}
    found = sorted(report.found, key=lambda one: (numbers.get(one.file, 0), one.line, one.column))
    return Compiled(statements, loader.compiler.options, tuple(one.path for one in loader.sources), tuple(found))


def _tell_shadowed(loader: _Loader, later: Node, earlier: Node) -> None:
    source = loader.sources[later[5]]
    line = source.lines[later[4] - 1]
    column = len(line) - len(line.lstrip()) + 1
    elsewhere = "" if earlier[5] == later[5] else f" of {loader.sources[earlier[5]].path}"
    name = f' ("{earlier[3]}")' if earlier[3] else ""
    span = tree.Span(later[4], column, later[4], len(line.rstrip()) + 1)
    report: Any = loader.report
    report.add(
        source,
        span,
        "warning",
        "shadowed",
        f"nothing is left for this rule: whatever it matches has ended in line {earlier[4]}{elsewhere}{name}",
    )
