"""SIGKILL at every system call of a delivery (G5), then retries as an MTA makes them.

After the kill: what was there is there, and of the new message a Maildir holds none or one, whole; an mbox may hold
the beginning of it. After the retries: no such beginning, and the message exactly once in every box; twice only if it
was there when the kill came. That is told and is not bad: nobody can answer and be killed at the same instant. But for
pydeliver no more than LAST calls may lie behind the last word that it leaves for a retry.

A program that was fed when the kill came is fed again, unless that was noted: it has the message once or twice, and
no more than NOTING calls may lie between its end and the note.
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
NOTING = 40
RETRIES = 5
NEW = "new"
ANSWER, PROGRAM = "the answer", "a program"
SPARING = ("-f", "--seccomp-bpf")  # every process, stopped at these calls alone
OPENS = {
    ANSWER: re.compile(r"^(?:\d+ +)?([0-9.]+) unlink(?:at)?\(.* = 0$", re.MULTILINE),
    # Who waits for a program at that very moment hears of its end before the signal is shown.
    PROGRAM: re.compile(r"^(?:\d+ +)?([0-9.]+) (?:--- SIGCHLD|waitid\(.*CLD_EXITED)", re.MULTILINE),
}
NOTED = re.compile(r"^(?:\d+ +)?([0-9.]+) rename\w*\(.*/journal/.* = 0$", re.MULTILINE)


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
    if form == "programs":
        row.tell("program's window ms", window(place, sent, PROGRAM))

    def try_one(place: Place, point: Point) -> None:
        place.reset()
        place.deliver(sent, strace=inject(place, point, "signal=KILL:when={}"))
        if happened(place):
            row.add(*judge(place, sent, f"{point[0]}:when={point[1]}", row))
        else:
            row.tell("not reached")

    bench.on_all_cores(agent, form, chosen, try_one)
    row.at_most("twice", LAST)
    row.at_most("program twice", NOTING)
    return row


def window(place: Place, sent: bytes, which: str = ANSWER) -> float:
    """The milliseconds in which a kill makes the next try do something again; the median of a few deliveries.

    ANSWER: store the message. It opens when the journal, or what stands for one in a Maildir's `tmp/`, is removed, and
    closes when the caller sees the exit. PROGRAM: run a program. It opens when that ends, and closes with its note.
    """
    watch = ["-qq", "-ttt", "-o", str(log(place)), "-e", "trace=unlink,unlinkat,waitid,rename,renameat,renameat2"]
    widths = []
    for _ in range(WINDOWS):
        place.reset()
        place.deliver(sent, strace=[*([] if which == PROGRAM else SPARING), *watch])
        end = time.time()
        said = log(place).read_text()
        opened = float(OPENS[which].findall(said)[0 if which == PROGRAM else -1])
        closed = [float(found) for found in NOTED.findall(said)] if which == PROGRAM else [end]
        widths.append(min(one for one in closed if one > opened) - opened)
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
    if place.form == "programs":
        runs = place.runs(NEW)
        row.tell("program twice", runs == 2)
        problems += ["program left out"] * (runs == 0) + ["program too often"] * (runs > 2)
    return problems, f"killed at {where}: {killed} copies, retried: {copies}"
