"""The rule language: text to tree to plan, with every mistake told at once.

`compile_rules` is the way in for those who deliver or check; `parse`, `tree` and `printer` serve those who show or
change rule files. This room reads no file: its caller hands it a `Library`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydeliver import vocabulary
from pydeliver.language import check, tree
from pydeliver.language.cases import Case
from pydeliver.language.compile import Compiler
from pydeliver.language.grammar import load
from pydeliver.language.parse import decode, parse
from pydeliver.language.scope import Catalogue, Place, Refuse, Report, Source, is_allowed
from pydeliver.status import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydeliver.plan import Node

MAX_DEPTH = 10  # of files that include files
MAX_FILES = 100


class Library(Protocol):
    """Where rule files come from."""

    def read(self, path: str) -> bytes | str | None:
        """The content; None when there is no such file; a sentence when it must not be used."""

    def find(self, path: str, base: str) -> tuple[str, ...]:
        """The files that an `include` in the file `base` names: `~` and globs resolved, in byte order."""


def _anything(kind: str, text: str) -> str:
    """Refuse nothing."""
    return ""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the rule files that run one behind the other, each with its own `let`s.

    `refuse` is asked about what `scope.is_allowed` names. Of the files of a `site` only errors are told: whoever reads
    the doubts about his own rules can't help those about a site's.
    """

    path: str
    data: bytes
    library: Library
    refuse: Refuse = _anything
    site: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """`statements` and `options` make a plan only while `ok`; diagnostics stand in the order of files and lines.

    `site` are the files, of all `files`, that parts of a site are made of; `cases` the rule tests of the others.
    """

    statements: tuple[Node, ...]
    options: Mapping[str, tuple[tuple[str, ...], str]]
    files: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    site: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(one.severity == "error" for one in self.diagnostics)


class _Loader:
    """Reads the file of each part and what it includes, each file once in a part."""

    def __init__(self, first: Part, variables: tuple[str, ...], grammar_cache: str | None) -> None:
        self.part = first  # that is being read
        self.read: list[str] = []  # of this part
        self.grammar = load(grammar_cache)
        self.catalogue = Catalogue(vocabulary.catalogue(), variables)
        self.report = Report()
        self.compiler = Compiler(self.catalogue, self.report, self.include)
        self.sources: list[Source] = []
        self.site: list[str] = []

    def statements(self, part: Part) -> tuple[Node, ...]:
        """The statements of a part."""
        self.part, self.read = part, []
        block, source = self.tree_of(part.path, part.data)
        try:
            return self.compiler.file(block, Place(source, {}))[0]
        except RecursionError:
            said = "`let`s are built on each other too deeply"
            self.report.error(Place(source, {}), tree.Span(1, 1, 1, 1), "too-large", said)
            return ()

    def tree_of(self, path: str, data: bytes, depth: int = 0, level: int = 0) -> tuple[tree.Block, Source]:
        text, damage = decode(data, path)
        parsed = parse(text, path, self.catalogue.fields(), self.catalogue.first_words(), self.grammar)
        self.report.found += [*damage, *parsed.diagnostics]
        lines = tuple(text.removeprefix("\ufeff").split("\n"))
        source = Source(path, len(self.sources), lines, depth, self.part.refuse, level)
        self.sources.append(source)
        self.read.append(path)
        if self.part.site:
            self.site.append(path)
        return parsed.block, source

    def include(self, written: str, optional: bool, place: Place, span: tree.Span) -> list[tuple[tree.Block, Place]]:
        """The blocks that an `include` stands for; they run in place, with the names in reach there."""
        if place.source.depth >= MAX_DEPTH:
            self.report.error(place, span, "bad-include", f"files include each other more than {MAX_DEPTH} deep")
            return []
        paths = self.part.library.find(written, place.source.path)
        if not paths and not optional and not any(c in written for c in "*?["):
            self.report.error(place, span, "bad-include", f"there is no file {written}")
        return [made for path in paths for made in self._included(path, optional, place, span)]

    def _included(self, path: str, optional: bool, place: Place, span: tree.Span) -> list[tuple[tree.Block, Place]]:
        if path in self.read:
            return []  # each file runs once
        if not is_allowed("include", path, span, place, self.report):
            return []
        if len(self.read) >= MAX_FILES:
            self.report.error(place, span, "bad-include", f"at most {MAX_FILES} files make up the rules")
            return []
        data = self.part.library.read(path)
        if not isinstance(data, bytes):
            if data is not None or not optional:
                self.report.error(place, span, "bad-include", data or f"there is no file {path}")
            return []
        block, source = self.tree_of(path, data, place.source.depth + 1, place.depth)
        return [(block, Place(source, place.lets, place.captures, place.rule, place.depth))]


def compile_rules(
    path: str, data: bytes, library: Library, variables: tuple[str, ...] = (), grammar_cache: str | None = None
) -> Compiled:
    """Compile the rule file `path` with content `data`, and what it includes; nothing else, and nothing is refused.

    `variables` and `grammar_cache` as for `compile_parts`.
    """
    return compile_parts((Part(path, data, library),), variables, grammar_cache)


def compile_parts(parts: Sequence[Part], variables: tuple[str, ...] = (), grammar_cache: str | None = None) -> Compiled:
    """Compile rule files that run one behind the other, with what they include.

    `variables` are the environment variables that rules may read. `grammar_cache` is a folder that only the user can
    write, for the parser's tables; None builds them anew.
    """
    loader = _Loader(parts[0], variables, grammar_cache)
    statements = tuple([node for part in parts for node in loader.statements(part)])
    report = loader.report
    if not any(one.severity == "error" for one in report.found):
        for later, earlier in check.shadowed(statements):
            _tell_shadowed(loader, later, earlier)
    numbers = {one.path: one.number for one in loader.sources}
    told = [one for one in report.found if one.severity == "error" or one.file not in loader.site]
    found = sorted(told, key=lambda one: (numbers.get(one.file, 0), one.line, one.column))
    files = tuple(one.path for one in loader.sources)
    cases = tuple([one for one in loader.compiler.cases.found if one.file not in loader.site])
    return Compiled(statements, loader.compiler.options, files, tuple(found), tuple(loader.site), cases)


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
