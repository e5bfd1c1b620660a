"""What hostile HTML costs: linear time, whatever the text is made of.

Each bomb is a text that grows with n. In one table, the processor time to reduce it to what is seen, at n, 2n, 4n and
8n; in the other, wall-clock time and peak memory of a process that does so with as much as `mail.text` ever gives, in
one piece. A bomb stands alone and within a hidden element, where nesting is followed.
Run from the top of the checkout: `python -m tests.benchmarks.html_bombs`.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import pairwise
from typing import Final

from pydeliver.mail.html import visible
from pydeliver.mail.text import BODY_BYTES
from tests.benchmarks.header_bombs import (
    MEGABYTES_GOAL,
    RATIO_GOAL,
    ROUNDS,
    SECONDS_GOAL,
    SETTLED,
    TOLERANCE,
    peak_megabytes,
    table,
)

SMALLEST: Final = 65_536  # characters at n
HIDDEN: Final = "<p hidden>"

# What stands in front, and what is repeated.
Bomb = tuple[str, str]
ALONE: Final[tuple[Bomb, ...]] = (
    ("", "<"),
    ("", "< "),
    ("", "<>"),
    ("", "</"),
    ("", "</>"),
    ("", "<!"),
    ("", "<!>"),
    ("", "<!--"),
    ("", "<!---->"),
    ("<!--", "-"),
    ("<!--", "--!"),
    ("", "<?"),
    ("", "&"),
    ("", "&a"),
    ("", "&amp"),
    ("", "&amp;"),
    ("", "&aaaaaaa"),
    ("", "&" + "a" * 40),
    ("", "&#"),
    ("", "&#1"),
    ("&#", "1"),
    ("&#x", "f"),
    ("&", "a"),
    ("", "<a "),
    ("<a", " b"),
    ("<a", "/"),
    ("<a", "="),
    ("<a", " b="),
    ("<a", " b=c"),
    ("<a", ' b="'),
    ("<a", ' b=""'),
    ("<a", ' b=">"'),
    ("<a", " b='\""),
    ("", '<a b="">'),
    ("", '<a b=">">'),
    ("", '<a b="'),
    ("", "<a style=>"),
    ("", "<a style='x:y'>"),
    ("<a style='", "x:y;"),
    ("<a style='", '"'),
    ("<a style='", "("),
    ("<a style='", "/*"),
    ("<a style='font:", "0 "),
    ("<a style='", "a!"),
    ("", "<style>"),
    ("", "<style></style>"),
    ("", "<script></"),
    ("<script>", "</"),
    ("<script>", "</script"),
    ("", "<textarea>&amp;</textarea>"),
    ("", "<xmp></xmp>"),
    ("", "<img alt=x>"),
    ("", "<svg>"),
    ("", "<svg></math>"),
    ("<svg>", "<![CDATA["),
    ("", " "),
    ("", "\n"),
    ("", "\t "),
    ("", "\0"),
    ("", "é "),
    ("", "İ"),
)
NESTED: Final[tuple[Bomb, ...]] = tuple(
    [
        (before, part)
        for before in ("", HIDDEN)
        for part in (
            "<b>",
            "<b></b>",
            "</b>",
            "<p>",
            "<p>x",
            "<a>",
            "<li>",
            "<h1>",
            "<div>",
            "<div></div>",
            "<unknown>",
            "<br>",
            "<table>",
            "<td>",
            "<tr>",
            "<table><tr><td>",
            "</table>",
            "<form>",
            "<select>",
            "<template>",
            "<p hidden>",
            "<p hidden></p>",
            "<div style=display:none>",
            "<div style='font-size:0'><b style='font-size:9px'>x",
            "<table hidden>x",
        )
    ]
)
BOMBS: Final = (*ALONE, *NESTED)


def built(bomb: Bomb, size: int) -> str:
    before, part = bomb
    return before + part * ((size - len(before)) // len(part))


def doublings(bomb: Bomb) -> list[float]:
    """Seconds of processor time at n, 2n, 4n and 8n: the least of rounds that take the sizes in turn, until stable."""
    texts = [built(bomb, SMALLEST << power) for power in range(4)]
    taken = [float("inf")] * 4
    settled = 0
    for _ in range(ROUNDS):
        settled += 1
        for power, text in enumerate(texts):
            begun = time.process_time()
            visible(text)
            spent = time.process_time() - begun
            if spent < taken[power] * (1 - TOLERANCE):
                settled = 0
            taken[power] = min(taken[power], spent)
        if settled == SETTLED:
            break
    return taken


def alone(number: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a process of its own that reduces the bomb at full size."""
    command = [sys.executable, "-m", "tests.benchmarks.html_bombs", str(number)]
    reading, writing = os.pipe()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    with open(reading) as output:
        said = output.read()
    _, status = os.waitpid(process, 0)
    if status:
        sys.exit(f"{BOMBS[number]}: ended with {os.waitstatus_to_exitcode(status)}")
    taken, peak = said.split()
    return float(taken), float(peak)


def shown(bomb: Bomb) -> str:
    before, part = bomb
    return repr(before + part)[1:-1][:40] + " …"


def ratios() -> bool:
    rows = [["bomb", "ms n", "2n", "4n", "8n", "worst ratio"]]
    good = True
    for bomb in BOMBS:
        taken = doublings(bomb)
        worst = max(later / sooner for sooner, later in pairwise(taken))
        good = good and worst <= RATIO_GOAL
        rows.append([shown(bomb), *[f"{one * 1000:.2f}" for one in taken], f"{worst:.2f}"])
    table(f"Processor time per doubling from {SMALLEST:,} characters, goal {RATIO_GOAL}", rows)
    return good


def full_sizes() -> bool:
    rows = [["bomb", "seconds", "MB"]]
    good = True
    for number, bomb in enumerate(BOMBS):
        taken, peak = alone(number)
        good = good and taken <= SECONDS_GOAL and peak <= MEGABYTES_GOAL
        rows.append([shown(bomb), f"{taken:.2f}", f"{peak:.0f}"])
    table(f"{BODY_BYTES:,} characters, goals {SECONDS_GOAL} s and {MEGABYTES_GOAL} MB with the interpreter", rows)
    return good


def main() -> int:
    if len(sys.argv) > 1:
        text = built(BOMBS[int(sys.argv[1])], BODY_BYTES)
        begun = time.perf_counter()
        visible(text)
        print(time.perf_counter() - begun, peak_megabytes())
        return 0
    good = [ratios(), full_sizes()]
    print("\nall goals met" if all(good) else "\na goal was missed")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
