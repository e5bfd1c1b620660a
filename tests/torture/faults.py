"""An error at every file system call of a delivery (G7), once and from there on.

The answer is yes with the message in every box exactly once, or "try again" with every box as it was, no file in
`tmp/` and no lock: in time. Where the very call that would tidy up is the one that fails, the next delivery must.
A program that took the message before took it: after the next try it has it once, or twice where the very note of that
failed, and so has every box.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.torture.agents import Place
from tests.torture.bench import Bench, settle, traced
from tests.torture.boxes import message
from tests.torture.report import Row
from tests.torture.tracing import FILE_CALLS, Point, happened, inject, matters, trace

PART = "faults"
BYTES = 75_000
SAMPLES, SAMPLES_OF_RIVALS = 30, 20
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EACCES", "EMFILE", "ENOMEM", "EINTR", "ESTALE")
# A kernel that says EINTR for ever would have every correct program ask for ever: here it says so sixteen times.
STORM = 15
TIDY = ("unlink", "ftruncate", "rename")  # calls by which a box is put back
NEW = "new"
Fault = tuple[Point, str, str]  # where, the error, strace's word for how often


def run(bench: Bench) -> Iterator[Row]:
    return traced(bench, PART, sweep)


def sweep(bench: Bench, agent: str, form: str) -> Row:
    row = Row(PART, form, agent)
    sent = message(NEW, BYTES)
    place = bench.site.place(agent, form)
    settle(place)
    points = [point for point in trace(place, sent) if point[0] in FILE_CALLS]
    row.tell("points", len(points))
    faults = [(point, error, often) for point in points for error in ERRORS for often in ("once", "on")]
    late = [fault for fault in faults if matters(fault[0])]
    samples = SAMPLES if agent == "pydeliver" else SAMPLES_OF_RIVALS
    chosen = bench.sample(agent, faults, samples, form)
    if not bench.goes_all_the_way(agent):
        chosen += bench.sample(agent, late, samples, "late", form)

    def try_one(place: Place, fault: Fault) -> None:
        point, error, _ = fault
        place.reset()
        result = place.deliver(sent, strace=inject(place, point, f"error={error}:when={{}}{times(*fault)}"))
        if not happened(place):
            row.tell("not reached")
            return
        problems = judge(place, result.code, row)
        if problems and result.code == 75 and point[0].startswith(TIDY) and mended(place, sent):
            row.tell("tidied by the next")
            problems = []
        if place.form == "programs":
            problems += programs(place, sent, result.code, row)
        row.add(
            problems, f"{point[0]}:error={error}:when={point[1]}{times(*fault)}: exit {result.code} {litter(place)}"
        )

    bench.on_all_cores(agent, form, chosen, try_one)
    return row


def times(point: Point, error: str, often: str) -> str:
    if often == "once":
        return ""
    return f"..{point[1] + STORM}" if error == "EINTR" else "+"


def judge(place: Place, code: int | None, row: Row) -> list[str]:
    copies = place.copies(NEW)
    row.tell(f"exit {code}")
    if code is None:
        return ["hung"]
    if code == 0:
        wrong = "lost" if 0 in copies else "doubled"
        return [wrong] * (copies != [1] * len(copies)) + ["corrupt"] * (not place.intact())
    problems = ["bounced"] * (code != 75)
    if any(copies):
        return [*problems, "delivered all the same"]
    if not place.intact():
        return [*problems, "torn"]
    if not place.untouched():
        return [*problems, "litter left"]
    return problems


def programs(place: Place, sent: bytes, code: int | None, row: Row) -> list[str]:
    """What is wrong with what a program has, when all has been tried again."""
    stuck = code == 75 and not mended(place, sent)
    runs = place.runs(NEW)
    row.tell("program twice", runs == 2)
    return ["stuck"] * stuck + ["program left out"] * (runs == 0) + ["program too often"] * (runs > 2)


def litter(place: Place) -> str:
    return " ".join(name for found in place.find() for name in found.litter)


def mended(place: Place, sent: bytes) -> bool:
    """Whether one more delivery, with nothing in its way, leaves the message everywhere once."""
    done = place.deliver(sent).code == 0
    copies = place.copies(NEW)
    return done and place.intact() and copies == [1] * len(copies)
