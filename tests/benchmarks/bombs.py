"""How a bomb is measured: the ratio of time per doubling of its size, and what it costs at full size.

Owns the goals, the rounds it takes until a time stands, the process of its own that full sizes run in, and the tables.
What the bombs are, and what looking at one means, is for `header_bombs`, `mime_bombs` and `html_bombs` to say.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeVar

RATIO_GOAL: Final = 2.3
SECONDS_GOAL: Final = 2.0
MEGABYTES_GOAL: Final = 150
SETTLED: Final = 7  # rounds in a row in which no size got faster by more than TOLERANCE
TOLERANCE: Final = 0.02
ROUNDS: Final = 100

One = TypeVar("One")


def doublings(makes: Sequence[Callable[[], One]], look: Callable[[One], object]) -> list[float]:
    """Seconds of processor time at n, 2n, 4n and 8n: the least of rounds that take the sizes in turn, until it stands.

    What others do on the machine slows single rounds down, even in processor time; when to stop does not depend on
    the goal. Each round looks at a bomb that `makes` gives afresh; making it is not counted.
    """
    taken = [float("inf")] * len(makes)
    settled = 0
    for _ in range(ROUNDS):
        settled += 1
        for power, make in enumerate(makes):
            one = make()
            begun = time.process_time()
            look(one)
            spent = time.process_time() - begun
            if spent < taken[power] * (1 - TOLERANCE):
                settled = 0
            taken[power] = min(taken[power], spent)
        if settled == SETTLED:
            break
    return taken


def ratios(title: str, names: Sequence[str], cases: Iterable[tuple[Sequence[str], list[float]]]) -> bool:
    """Print what each case took at n, 2n, 4n and 8n, behind its `names`; whether every ratio reaches the goal."""
    rows = [[*names, "ms n", "2n", "4n", "8n", "worst ratio"]]
    good = True
    for shown, taken in cases:
        worst = max(later / sooner for sooner, later in pairwise(taken))
        good = good and worst <= RATIO_GOAL
        rows.append([*shown, *[f"{one * 1000:.2f}" for one in taken], f"{worst:.2f}"])
    table(f"Processor time per doubling{title}, goal {RATIO_GOAL}", rows)
    return good


def within_goals(seconds: float, megabytes: float) -> bool:
    return seconds <= SECONDS_GOAL and megabytes <= MEGABYTES_GOAL


def measured(look: Callable[[], object]) -> str:
    """The seconds it takes and the peak megabytes of this process, as `alone` reads them."""
    begun = time.perf_counter()
    look()
    return f"{time.perf_counter() - begun} {peak_megabytes()}"


def alone(module: str, number: int, stdin: int = 0) -> tuple[float, float, str]:
    """Seconds, peak megabytes, and what else it says, of a module run for the bomb of that number."""
    command = [sys.executable, "-m", module, str(number)]
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, writing, 1)]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(writing)
    with open(reading) as output:
        said = output.read()
    _, status = os.waitpid(process, 0)
    if status:
        sys.exit(f"{module} {number}: ended with {os.waitstatus_to_exitcode(status)}")
    taken, peak, *rest = said.strip().split(" ", 2)
    return float(taken), float(peak), "".join(rest)


def peak_megabytes() -> float:
    """This process's own peak; `ru_maxrss` would count the memory of the process that started it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def table(title: str, rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\n{title}")
    for name, *cells in rows:
        shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *shown]))


def concluded(good: Sequence[bool]) -> int:
    """The exit code, with a word on the goals."""
    print("\nall goals met" if all(good) else "\na goal was missed")
    return 0 if all(good) else 1
