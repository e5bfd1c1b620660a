"""What hostile patterns cost on hostile texts (G19): forms that take other engines years, and RE2's own worst ones.

In one table the slowest searches of 200 patterns in 12 subjects of 64 KB. In the other whole deliveries, with a time
limit of two seconds, whose rules look for the slowest patterns in a body of 1 MB: each is over within half a second of
its limit, with the message stored or the mail server told to try again. And what such a user costs the others of a
server, all of whose deliveries for him hang so.
Run from the top of the checkout: `python -m tests.benchmarks.regex_bombs`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final

from pydeliver.language.pattern import prepare
from pydeliver.vocabulary.operator import pattern
from tests.benchmarks.bombs import concluded, table
from tests.installation import AS_ROOT, Home, install, new_user, public_folder
from tests.lmtp import Client, until
from tests.virtual import Site

LIMIT, GRACE = 2, 0.5  # seconds
SUBJECT, BODY = 65_536, 1_048_576  # characters
SHOWN = 10
MESSAGES, HANGING, BESIDE = 1000, 6, 2.0  # to the other user; deliveries at once; times as slow at the 99th percentile
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


def neighbours(source: str) -> tuple[list[float], list[float]]:
    """The seconds of messages to one user while all is quiet, and while another's rules hang in this pattern."""
    body = list(texts(BODY))[6]
    bomb = ("Subject: bomb\n\n" + "\n".join([body[at : at + 76] for at in range(0, len(body), 76)])).encode()
    with public_folder() as folder, ExitStack() as stack:
        owner = stack.enter_context(new_user(f"bombs{os.getpid()}")) if AS_ROOT else ""
        place = folder / "server"
        place.mkdir(mode=0o755)
        server = Site(install(folder / "site"), place, owner)
        server.rules("kim@example.net", f"if body matches /(?s){source}/ {{ discard }}\n")
        server.rules("robin@example.net", 'if subject contains "x" { file "Work" }\n')
        running = stack.enter_context(server.served(f"time-limit = {LIMIT}\n"))
        good = stack.enter_context(running.client())
        for user in ("kim", "robin"):
            good.send(b"Subject: first\n\n", [f"{user}@example.net"])
        quiet = [sent(good) for _ in range(MESSAGES)]
        over = threading.Event()

        def hang() -> None:
            with running.client() as client:
                while not over.is_set():
                    client.send(bomb, ["kim@example.net"])

        with ThreadPoolExecutor(HANGING) as pool:
            for _ in range(HANGING):
                pool.submit(hang)
            until(lambda: len(running.workers) > HANGING)
            beside = [sent(good) for _ in range(MESSAGES)]
            over.set()
    return quiet, beside


def sent(client: Client) -> float:
    begun = time.perf_counter()
    client.send(b"Subject: hello\n\nbody\n", ["robin@example.net"])
    return time.perf_counter() - begun


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
    quiet, beside = [sorted(found)[int(MESSAGES * 0.99)] for found in neighbours(worst[0][1])]
    rows = [["", "p99 ms"], ["quiet", f"{quiet * 1000:.1f}"], ["beside", f"{beside * 1000:.1f}"]]
    table(f"Messages by LMTP beside {HANGING} that hang, for another user, goal {BESIDE} x quiet", rows)
    good.append(beside <= BESIDE * quiet)
    return concluded(good)


if __name__ == "__main__":
    sys.exit(main())
