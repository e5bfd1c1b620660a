"""What hostile HTML costs: linear time, whatever the text is made of.

Each bomb is a text that grows with n. In one table, the processor time to reduce it to what is seen, at n, 2n, 4n and
8n; in the other, wall-clock time and peak memory of a process that does so with as much as `mail.text` ever gives, in
one piece. A bomb stands alone and within a hidden element, where nesting is followed.
Run from the top of the checkout: `python -m tests.benchmarks.html_bombs`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Final

from pydeliver.mail.html import visible
from pydeliver.mail.text import BODY_BYTES
from tests.benchmarks.bombs import (
    MEGABYTES_GOAL,
    SECONDS_GOAL,
    alone,
    concluded,
    doublings,
    measured,
    ratios,
    table,
    within_goals,
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


def shown(bomb: Bomb) -> str:
    before, part = bomb
    return repr(before + part)[1:-1][:40] + " …"


def cases() -> Iterator[tuple[list[str], list[float]]]:
    for bomb in BOMBS:
        makes = [partial(built, bomb, SMALLEST << power) for power in range(4)]
        yield [shown(bomb)], doublings(makes, visible)


def full_sizes() -> bool:
    rows = [["bomb", "seconds", "MB"]]
    good = True
    for number, bomb in enumerate(BOMBS):
        taken, peak, _ = alone(__spec__.name, number)
        good = good and within_goals(taken, peak)
        rows.append([shown(bomb), f"{taken:.2f}", f"{peak:.0f}"])
    table(f"{BODY_BYTES:,} characters, goals {SECONDS_GOAL} s and {MEGABYTES_GOAL} MB with the interpreter", rows)
    return good


def main() -> int:
    if len(sys.argv) > 1:
        text = built(BOMBS[int(sys.argv[1])], BODY_BYTES)
        print(measured(lambda: visible(text)))
        return 0
    return concluded([ratios(f" from {SMALLEST:,} characters", ["bomb"], cases()), full_sizes()])


if __name__ == "__main__":
    sys.exit(main())
