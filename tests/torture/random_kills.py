"""SIGKILL at random instants, to all of a delivery at once, and retries until the answer is yes (G6).

Nothing is lost or torn, nothing that a dead delivery left makes the next wait. A message is there twice only if it was
there when the kill came, and with pydeliver in TWICE of all runs at most. Homes are not tidied in between: what one
delivery leaves, the next meets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

from tests.torture.agents import Place
from tests.torture.bench import Bench
from tests.torture.boxes import message
from tests.torture.report import Row

PART = "random_kills"
SAMPLES, KILLS = 24, 5000  # of each format
BYTES = 20_000
WINDOW = 0.080  # seconds after the start, at most
ROUND = 50  # deliveries until the boxes are emptied
RETRIES = 5
TWICE = 0.02
Kill = tuple[int, float]


def run(bench: Bench) -> Iterator[Row]:
    for agent, form in bench.cases():
        yield kill(bench, agent, form)


def kill(bench: Bench, agent: str, form: str) -> Row:
    row = Row(PART, form, agent)
    chance = bench.chance(PART, agent, form)
    count = bench.size(agent, SAMPLES, KILLS)

    def try_one(place: Place, kill: Kill) -> None:
        number, delay = kill
        if number % ROUND < 2:
            place.reset()
        row.add(*strike(place, f"n{number}", delay, row))

    bench.on_all_cores(agent, form, [(number, chance.uniform(0, WINDOW)) for number in range(count)], try_one)
    row.at_most("twice", max(3, TWICE * row.runs))
    return row


def strike(place: Place, token: str, delay: float, row: Row) -> tuple[list[str], str]:
    sent = message(token, BYTES)
    code = killed(place, sent, delay)
    row.tell("killed", code != 0)
    before = place.copies(token)
    done = place.deliver(sent, tries=RETRIES) if code != 0 else None
    if done is not None:
        row.told["slowest retry s"] = max(row.told.get("slowest retry s", 0), done.seconds)
        if done.code != 0:
            return ["stuck"], f"{token} killed after {delay:.4f} s: the retry ends with {done.code}"
    copies = place.copies(token)
    problems = ["lost"] * (0 in copies) + ["corrupt"] * (not place.intact())
    twice = set(before) == {1} and set(copies) == {2}
    row.tell("twice", twice)
    if max(copies) > 1 and not twice:
        problems.append("doubled")
    if place.form == "programs":
        runs = place.runs(token)
        row.tell("program twice", runs > 1)
        problems += ["program left out"] * (runs == 0)
    return problems, f"{token} killed after {delay:.4f} s: {before} copies, retried: {copies}"


def killed(place: Place, sent: bytes, delay: float) -> int:
    """Deliver, and kill the whole session after a while; the exit code of what was started."""
    process = place.start()
    begun = time.monotonic()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(sent, delay)
    time.sleep(max(0.0, begun + delay - time.monotonic()))
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if process.stdin:
        process.stdin.close()  # which a second communicate leaves open where the first was cut short
    return process.returncode
