"""How well mistakes are told, and how fast rules are read: run `python -m tests.benchmarks.repair_quality`.

Plants slips in valid files (a token left out, doubled, swapped, misspelt, a quote or a brace lost, a habit from another
language), keeps those that spoil the shape of their statement, and counts: slips with a report on one of the lines of
their statement ("flagged"), further reports there ("echoes"), and reports where nothing was planted ("false").
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable

from pydeliver.language import grammar, layout, repair
from pydeliver.language.build import Builder
from pydeliver.language.mistakes import Mistakes
from pydeliver.language.parse import parse
from pydeliver.language.printer import print_rules

FILES, STATEMENTS, SLIPS = 200, 40, 4
FIELDS = frozenset(
    {"from", "to", "subject", "list-id", "spam", "virus", "size", "body", "personal", "duplicate", "family"}
)
ACTIONS = frozenset({"file", "keep", "discard", "mark", "copy", "set", "reject", "forward", "vacation", "label"})
PATTERNS = [
    'if from is "{a}@example.org" {{ file "{b}" }}',
    'if from is "{a}@example.org", "{b}@example.org" and not spam {{\n    mark flagged\n    file "{a}/{b}"\n}}',
    'rule "{a}" if subject contains "{b}" or subject starts with "[{a}]" {{\n    file "{b}"\n}}',
    'if (spam or virus) and size > 10 MB {{ discard }} else if personal {{ keep }} else {{ file "{b}" }}',
    'let {a} = ["{a}@x", "{b}@x"]',
    "let {a} = condition now.hour in 9..17 and from in family",
    'if list-id matches /<{a}[.]{b}>/ {{\n    copy file "l/{a}"\n    if header "X-{a}" exists {{ label "{b}" }}\n}}',
    'set header "X-{a}" = "{b}"',
    'forward "{a}@example.org"',
    'vacation "away, {a}" every 7 days',
]  # fmt: skip
MISSPELT = {"if": "fi", "else": "esle", "contains": "contians", "starts": "start", "matches": "matchs", "and": "adn",
            "or": "ro", "condition": "condtion", "let": "lte", "rule": "ruel", "is": "si", "not": "nto",
            "in": "ni"}  # fmt: skip
FOREIGN = {"is": "==", "and": "&&", "or": "||", "not": "!", "matches": "=~", "{": "then", "=": "==", ",": " or "}


def main() -> None:
    made = grammar.load()
    flagged = planted = echoes = false = reports = 0
    times: list[float] = []
    missed: dict[str, int] = {}
    for seed in range(FILES):
        lines, places = _file(random.Random(seed), made)
        start = time.perf_counter()
        found = parse("\n".join(lines), "x", FIELDS, ACTIONS, made).diagnostics
        times.append(time.perf_counter() - start)
        hits = [sum(first <= one.line <= last for one in found) for first, last, _ in places]
        planted += len(places)
        flagged += sum(count > 0 for count in hits)
        echoes += sum(max(0, count - 1) for count in hits)
        false += len(found) - sum(hits)
        reports += len(found)
        for count, (_, _, kind) in zip(hits, places, strict=True):
            missed[kind] = missed.get(kind, 0) + (count == 0)
    print(f"{planted} slips: {flagged / planted:.1%} flagged, {false / reports:.1%} of {reports} reports false, "
          f"{echoes / planted:.1%} echoes, {statistics.median(times) * 1000:.1f} ms a file")  # fmt: skip
    print("missed:", {kind: count for kind, count in missed.items() if count})
    _speed()


def _file(rng: random.Random, made: grammar.Grammar) -> tuple[list[str], list[tuple[int, int, str]]]:
    """A file's lines, and the first and last line of each statement with a slip, and the kind of the slip."""
    lines: list[str] = []
    places: list[tuple[int, int, str]] = []
    spoilt = set(rng.sample(range(STATEMENTS), SLIPS))
    for index in range(STATEMENTS):
        statement = rng.choice(PATTERNS).format(a=rng.choice("uvwxyz") + "ord", b=rng.choice("klmnop") + "ame")
        if index in spoilt:
            kind, statement = _spoilt(rng, made, statement)
            places.append((len(lines) + 1, len(lines) + 1 + statement.count("\n"), kind))
        lines += statement.split("\n")
    return lines, places


def _spoilt(rng: random.Random, made: grammar.Grammar, statement: str) -> tuple[str, str]:
    """`statement` with a slip that spoils its shape, and the kind of the slip."""
    while True:
        kind = rng.choice(sorted(KINDS))
        spoilt = KINDS[kind](rng, made, statement)
        if spoilt != statement and not _is_good(made, spoilt):
            return kind, spoilt


def _is_good(made: grammar.Grammar, text: str) -> bool:
    raw = made.tokens(text)
    laid_out = layout.arrange(raw)
    fits = Builder(made, Mistakes("x", text), laid_out).tree() is not None
    return fits and not repair.has_strays(made, raw)


def _cut(text: str, token: object, put: str) -> str:
    return text[: token.start_pos] + put + text[token.end_pos :]  # type: ignore[attr-defined]


def _token(rng: random.Random, made: grammar.Grammar, text: str, among: dict[str, str] | None = None) -> object | None:
    tokens = [one for one in made.tokens(text) if one.type != "LINE_END" and (among is None or one.value in among)]
    return rng.choice(tokens) if tokens else None


def _left_out(rng: random.Random, made: grammar.Grammar, text: str) -> str:
    return _cut(text, _token(rng, made, text), "")


def _doubled(rng: random.Random, made: grammar.Grammar, text: str) -> str:
    token = _token(rng, made, text)
    return _cut(text, token, f"{token} {token}")


def _swapped(rng: random.Random, made: grammar.Grammar, text: str) -> str:
    tokens = [one for one in made.tokens(text) if one.type != "LINE_END"]
    first = rng.randrange(len(tokens) - 1)
    one, other = tokens[first : first + 2]
    return f"{text[: one.start_pos]}{other} {one}{text[other.end_pos :]}"


def _replaced(among: dict[str, str]) -> Callable[[random.Random, grammar.Grammar, str], str]:
    def replace(rng: random.Random, made: grammar.Grammar, text: str) -> str:
        token = _token(rng, made, text, among)
        return text if token is None else _cut(text, token, among[str(token)])

    return replace


def _lost(characters: str) -> Callable[[random.Random, grammar.Grammar, str], str]:
    def lose(rng: random.Random, made: grammar.Grammar, text: str) -> str:
        places = [i for i, c in enumerate(text) if c in characters]
        if not places:
            return text
        place = rng.choice(places)
        return text[:place] + text[place + 1 :]

    return lose


KINDS = {
    "left out": _left_out,
    "doubled": _doubled,
    "swapped": _swapped,
    "misspelt": _replaced(MISSPELT),
    "foreign": _replaced(FOREIGN),
    "quote lost": _lost('"/'),
    "brace lost": _lost("{}"),
    "bracket lost": _lost("[]()"),
}


def _speed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for what in ("cold, tables written", "tables from the cache"):
            start = time.perf_counter()
            grammar.load.__wrapped__(folder)
            print(f"grammar {what}: {(time.perf_counter() - start) * 1000:.0f} ms")
    made = grammar.load()
    for count in (20, 1_000, 10_000):
        rng = random.Random(1)
        text = "\n".join(rng.choice(PATTERNS).format(a="word", b="name") for _ in range(count))
        start = time.perf_counter()
        block = parse(text, "x", grammar=made).block
        middle = time.perf_counter()
        print_rules(block)
        end = time.perf_counter()
        print(f"{count} rules: read in {(middle - start) * 1000:.1f} ms, printed in {(end - middle) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
