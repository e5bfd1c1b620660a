"""Rule files as no author meant them (G36): every one is read to its end, and each mistake has its place.

A mutant is made of real rule files, or of one that is drawn from the grammar alone: tokens dropped, doubled, swapped,
exchanged for those of another file; bytes flipped, lines cut. Reading it may neither raise nor take long, and whatever
is told names a line and a column that are there.
"""

from __future__ import annotations

import multiprocessing
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from random import Random

import lark
from lark.grammar import NonTerminal, Rule

from pydeliver.language import grammar
from pydeliver.language.load import Compiled, compile_rules
from pydeliver.vocabulary import catalogue
from tests.rules import PATH, Library
from tests.torture.bench import JOBS, Bench
from tests.torture.report import Row

PART = "mutants"
SAMPLES, MUTANTS = 400, 1_000_000
ROUND = 100  # mutants of one seed
SECONDS = 1.0  # for one file
LONGEST = 40  # lines of a parent
DRAWN = 0.25  # of all parents
DEEP = 12  # levels of a drawn file, until it takes the shortest way to its end
ROOT = Path(__file__).parents[2]
PARENTS = ("tests/language/valid/*.rules", "tests/cases/*.rules", "examples/rules/*.rules", "tests/benchmarks/*.rules")
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|/(?:[^/\\\n]|\\.)+/|[\w.-]+|\s+|.', re.DOTALL)


def run(bench: Bench) -> Iterator[Row]:
    if "pydeliver" not in bench.agents:
        return
    parents = [path.read_text(encoding="utf-8") for glob in PARENTS for path in sorted(ROOT.glob(glob))]
    count = bench.size("pydeliver", SAMPLES, MUTANTS)
    row = Row(PART, f"{len(parents)} parents", "pydeliver")
    with tempfile.TemporaryDirectory() as cache, ExitStack() as stack:
        compile_rules(PATH, b"", Library({}), (), cache)  # the grammar is built once
        pool = stack.enter_context(multiprocessing.get_context("fork").Pool(JOBS))
        rounds = [(f"{bench.seed} {number}", parents, cache) for number in range(-(-count // ROUND))]
        for found in pool.imap_unordered(play, rounds):
            for problems, example, seconds, told in found:
                row.add(problems, example)
                row.tell("with mistakes", told)
                row.told["slowest s"] = max(row.told.get("slowest s", 0), seconds)
    yield row


def play(task: tuple[str, list[str], str]) -> list[tuple[list[str], str, float, bool]]:
    """Read the mutants of one seed: what is wrong, the text if anything is, seconds, whether it had mistakes."""
    seed, parents, cache = task
    chance = Random(seed)
    found = []
    for _ in range(ROUND):
        data = mutant(chance, parents)
        begun = time.process_time()  # nothing here waits, and the machine may be busy
        try:
            made = compile_rules(PATH, data, Library({}), ("HOME",), cache)
            problems = judge(made, data)
            told = not made.ok
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            problems, told = [type(error).__name__], False
        seconds = time.process_time() - begun
        problems += ["slow"] * (seconds > SECONDS)
        found.append((problems, repr(data) if problems else "", seconds, told))
    return found


def mutant(chance: Random, parents: list[str]) -> bytes:
    text = drawn(chance, tuple(parents)) if chance.random() < DRAWN else chance.choice(parents)
    lines = text.splitlines(keepends=True)
    start = chance.randrange(len(lines)) if lines else 0
    tokens = TOKEN.findall("".join(lines[start : start + chance.randrange(1, LONGEST)]))
    others = TOKEN.findall(chance.choice(parents))
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(tokens) + 1)
        action = chance.randrange(6)
        if action == 0:
            del tokens[at : at + chance.randrange(1, 4)]
        elif action == 1 and others:
            tokens[at:at] = others[(place := chance.randrange(len(others))) : place + chance.randrange(1, 6)]
        elif action == 2:
            tokens[at:at] = tokens[at : at + 1] * chance.randrange(1, 30)
        elif action == 3 and at < len(tokens):
            tokens[at] = tokens[at][: chance.randrange(len(tokens[at]) + 1)]
        elif action == 4 and at < len(tokens):
            other = chance.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        else:
            tokens.insert(at, chance.choice('{}()[]"/\\;,#\n\0\ufeff\u2028+=-.:~'))
    data = bytearray("".join(tokens).encode("utf-8", "surrogateescape"))
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def drawn(chance: Random, parents: tuple[str, ...]) -> str:
    """A text that the grammar allows, whatever its words mean."""
    rules, least, tokens = shapes(parents)
    made: list[str] = []
    open_symbols = [(NonTerminal("_statements"), 0)]
    while open_symbols:
        symbol, depth = open_symbols.pop()
        if not isinstance(symbol, NonTerminal):
            made.append(chance.choice(tokens[symbol.name]))
            continue
        ways = rules[symbol.name]
        if depth > DEEP:
            ways = [min(ways, key=lambda way: max([least[one.name] for one in way], default=0))]
        open_symbols += [(one, depth + 1) for one in reversed(chance.choice(ways))]
    return " ".join(made)


@cache
def shapes(parents: tuple[str, ...]) -> tuple[dict[str, list[Rule]], dict[str, int], dict[str, list[str]]]:
    """The ways to write each symbol, the levels that the shortest one takes, and how tokens are spelled."""
    path = next(path for path in grammar.PLACES if Path(path).exists())
    engine = lark.Lark(Path(path).read_text(encoding="utf-8"), parser="lalr", lexer="basic", start="file")
    rules = defaultdict(list)
    for rule in engine.rules:
        if "BROKEN" not in [one.name for one in rule.expansion]:
            rules[rule.origin.name].append(rule.expansion)
    least: dict[str, int] = defaultdict(int)
    for _ in rules:  # a symbol's shortest way is found once those of its pieces are
        for name, ways in rules.items():
            least[name] = 1 + min(max([least[one.name] for one in way], default=0) for way in ways)
    tokens: dict[str, list[str]] = {"SEPARATOR": ["\n", ";"]}
    for text in parents:
        for token in grammar.load().tokens(text):
            tokens.setdefault(token.type, []).append(str(token))
    tokens["NAME"] += [name.split()[0] for name in catalogue()] * 4
    return rules, least, tokens


def judge(made: Compiled, data: bytes) -> list[str]:
    """Whether everything told has its place in the text."""
    lines = len(re.split(rb"\r\n?|\n", data))
    wrong = [one for one in made.diagnostics if not (1 <= one.line <= lines and one.column >= 1 and one.message)]
    return ["no place"] * bool(wrong)
