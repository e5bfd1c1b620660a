"""SIGKILL at every system call of a delivery (G5), then retries as an MTA makes them.

After the kill: what was there is there, and of the new message a Maildir holds none or one, whole; an mbox may hold
the beginning of it. After the retries: no such beginning, and the message exactly once in every box; twice only if it
was there when the kill came. That is told and is not bad: nobody can answer and be killed at the same instant. But for
pydeliver no more than LAST calls may lie behind the last word that it leaves for a retry.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from tests.torture.agents import Place
from tests.torture.bench import Bench, settle, traced
from tests.torture.boxes import message
from tests.torture.report import Row
from tests.torture.tracing import Point, happened, inject, log, matters, trace

PART = "kills"
BYTES = 75_000
SAMPLES = 20
WINDOWS = 9
LAST = 3
RETRIES = 5
NEW = "new"


def run(bench: Bench) -> Iterator[Row]:
    return traced(bench, PART, sweep)


def sweep(bench: Bench, agent: str, form: str) -> Row:
    """Kill one delivery at each of its system calls."""
    row = Row(PART, form, agent)
    sent = message(NEW, BYTES)
    place = bench.site.place(agent, form)
    settle(place)
    points = trace(place, sent)
    chosen = bench.sample(agent, points, SAMPLES, form)
    if not bench.goes_all_the_way(agent):
        chosen = list(dict.fromkeys([*chosen, *around_writes(points)]))
    row.tell("points", len(points))
    if agent == "pydeliver":
        row.tell("window ms", window(place, sent))

    def try_one(place: Place, point: Point) -> None:
        place.reset()
        place.deliver(sent, strace=inject(place, point, "signal=KILL:when={}"))
        if happened(place):
            row.add(*judge(place, sent, f"{point[0]}:when={point[1]}", row))
        else:
            row.tell("not reached")

    bench.on_all_cores(agent, form, chosen, try_one)
    row.at_most("twice", LAST)
    return row


def window(place: Place, sent: bytes) -> float:
    """The milliseconds in which a kill makes the next try store the message again; the median of a few deliveries.

    It opens when the journal, or what stands for one in a Maildir's `tmp/`, is removed, and closes when the caller sees
    the exit.
    """
    last = re.compile(r"^\d+ +([0-9.]+) unlink(?:at)?\(.* = 0$", re.MULTILINE)
    watch = ["-f", "-qq", "--seccomp-bpf", "-ttt", "-o", str(log(place)), "-e", "trace=unlink,unlinkat"]
    widths = []
    for _ in range(WINDOWS):
        place.reset()
        place.deliver(sent, strace=watch)
        end = time.time()
        widths.append(end - float(last.findall(log(place).read_text())[-1]))
    log(place).unlink()
    place.reset()
    return 1000 * sorted(widths)[WINDOWS // 2]


def around_writes(points: list[Point]) -> list[Point]:
    """The points that matter most: those that change something on the disk, and what comes after the last."""
    return [*[point for point in points if matters(point)], points[-1]]


def judge(place: Place, sent: bytes, where: str, row: Row) -> tuple[list[str], str]:
    """What is wrong after a kill and after the retries, and where it was."""
    problems = []
    killed = place.copies(NEW)
    if torn := not place.intact():
        row.tell("torn until retry") if place.form != "maildir" else problems.append("torn")
    retry = place.deliver(sent, tries=RETRIES)
    if retry.code != 0:
        return [*problems, "stuck"], f"killed at {where}: {killed} copies, retry ends with {retry.code}"
    row.told["slowest retry s"] = max(row.told.get("slowest retry s", 0), retry.seconds)
    copies = place.copies(NEW)
    if not place.intact():
        problems.append("corrupt" if not torn else "torn for good")
    if 0 in copies:
        problems.append("lost")
    once = [1] * len(copies)
    twice = killed == once and copies == [2] * len(copies)
    row.tell("twice", twice)
    if max(copies) > 1 and not twice:
        problems.append("doubled")
    return problems, f"killed at {where}: {killed} copies, retried: {copies}"
