"""What hostile patterns cost on hostile texts (G19): forms that take other engines years, and RE2's own worst ones.

In one table the slowest searches of 200 patterns in 12 subjects of 64 KB. In the other whole deliveries, with a time
limit of two seconds, whose rules look for the slowest patterns in a body of 1 MB: each is over within half a second of
its limit, with the message stored or the mail server told to try again.
Run from the top of the checkout: `python -m tests.benchmarks.regex_bombs`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final

from pydeliver.language.pattern import prepare
from pydeliver.vocabulary.operator import pattern
from tests.benchmarks.bombs import concluded, table
from tests.installation import Home, install, public_folder

LIMIT, GRACE = 2, 0.5  # seconds
SUBJECT, BODY = 65_536, 1_048_576  # characters
SHOWN = 10
ATOMS: Final = ("a", "[ab]", "\\w", ".", "(?:a|b)", "(?:a|a)", "\\s", "[^q]", "é", "(\\pL|\\pN|[^q])")
FORMS: Final = (
    "({0}+)+$",
    "({0}+)+q",
    "({0}*)*q",
    "({0}|{0}{0})+q",
    "({0}|{0}?)+q",
    "^(({0})+)*q$",
    "({0}+{0}+)+q",
    "(.*{0}){{12}}q",
    "({0}?){{30}}{0}{{30}}q",
    "{0}*{0}*{0}*{0}*{0}*q",
    "(({0}{{1,6}}){{1,6}}){{1,6}}q",
    "[ab]*a{0}{{200}}q",
    "a{0}{{300}}q",
    "{0}{{1000}}q",
    "(a{0}{{100}}|b{0}{{99}}|{0}{{200}})q",
    "^(?:{0}.*)*$q",
    "(x?{0})*x{{50}}q",
    "\\b({0}+\\s?)*\\bq",
    "(?:{0}*,)*q",
    "((({0}*)*)*)*q",
)


def patterns() -> dict[str, Any]:
    """Each pattern that a rule may have, as rules have it; RE2 refuses what is too large."""
    found = {}
    for form, atom in product(FORMS, ATOMS):
        prepared = prepare(source := form.format(atom))
        if isinstance(prepared, tuple):
            found[source] = pattern(prepared[0], exactly=False)
    return found


def texts(size: int) -> Iterator[str]:
    chance = Random(20261123)
    yield from ("a" * size, "ab" * (size // 2), "a " * (size // 2), "\u00e9" * size, "a," * (size // 2), "x" * size)
    for letters in ("ab", "ab ", "abx", "a\u00e9\u4e2d", "aA\u212a\u017f", "ab\n"):
        yield "".join(chance.choices(letters, k=size))


def searched() -> list[tuple[float, str]]:
    """The seconds that each pattern takes for its worst subject, the slowest first."""
    subjects = list(texts(SUBJECT))
    worst = []
    for source, compiled in patterns().items():
        taken = []
        for text in subjects:
            begun = time.perf_counter()
            compiled.search(text)
            taken.append(time.perf_counter() - begun)
        worst.append((max(taken), source))
    return sorted(worst, reverse=True)


def delivered(sources: list[str]) -> Iterator[tuple[str, float, int, int]]:
    """Each pattern with the seconds, the exit code and the messages stored of a delivery with the worst body."""
    body = list(texts(BODY))[6]
    message = ("Subject: bomb\n\n" + "\n".join([body[at : at + 76] for at in range(0, len(body), 76)])).encode()
    with public_folder() as folder:
        site = install(folder / "site", f"time-limit = {LIMIT}\n")
        for number, source in enumerate(sources):
            home = Home.make(Path(folder, f"home{number}"))
            home.rules(f"if body matches /(?s){source}/ {{ discard }}\n")
            home.deliver(site, b"Subject: first\n\n")  # what compiling the rules costs
            begun = time.monotonic()
            done = home.deliver(site, message)
            taken = time.monotonic() - begun
            yield source, taken, done.returncode, len(home.messages()) - 1


def main() -> int:
    worst = searched()
    rows = [["pattern", "ms"], *[[source, f"{1000 * seconds:.1f}"] for seconds, source in worst[:SHOWN]]]
    table(f"Searches of {len(worst)} patterns in subjects of {SUBJECT:,} characters, the slowest", rows)
    good = []
    rows = [["pattern", "seconds", "exit", "stored"]]
    for source, seconds, code, stored in delivered([source for _, source in worst[:SHOWN]]):
        rows.append([source, f"{seconds:.2f}", str(code), str(stored)])
        good.append(seconds <= LIMIT + GRACE and (code, stored) in ((0, 1), (75, 0)))
    table(f"Deliveries with a body of {BODY:,} characters and a time limit of {LIMIT} s, goal + {GRACE} s", rows)
    return concluded(good)


if __name__ == "__main__":
    sys.exit(main())
