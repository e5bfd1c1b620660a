"""Many deliveries at one moment into one Maildir, under a clock that stands still (G11): every message keeps its file.

Half of the processes run in pid namespaces of their own, where all of them have the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.torture.agents import Place
from tests.torture.bench import Bench, missing, settle, unproven
from tests.torture.boxes import message
from tests.torture.report import Row

PART = "names"
PROCESSES = 64
SAMPLES, DELIVERIES = 2, 500  # of each process
BYTES = 600
CLOCK = ("FAKETIME=2026-11-16 09:12:44", "NO_FAKE_STAT=1", "FAKETIME_DISABLE_SHM=1")
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")


def run(bench: Bench) -> Iterator[Row]:
    found = [f"{where}/faketime/libfaketime.so.1" for where in LIBRARIES]
    library = next((path for path in found if Path(path).exists()), "")
    for agent, form in bench.cases():
        if form != "maildir":
            continue
        why = missing("unshare", "setpriv", root=True) or ("" if library else "libfaketime not installed")
        yield unproven(PART, form, agent, why) if why else crowd(bench, agent, library)


def crowd(bench: Bench, agent: str, library: str) -> Row:
    row = Row(PART, f"{PROCESSES} processes", agent)
    place = bench.site.place(agent, "maildir")
    settle(place)
    each = bench.size(agent, SAMPLES, DELIVERIES)
    with ThreadPoolExecutor(PROCESSES) as pool:
        writing = [pool.submit(write, place, number, each, library) for number in range(PROCESSES)]
        said_yes = [token for done in writing for token in done.result()]
    found = place.find()[0]
    for token in said_yes:
        copies = found.tokens[token]
        row.add(["overwritten"] * (copies == 0) + ["doubled"] * (copies > 1), f"{token}: {copies} copies")
    if found.fragments:
        row.bad["fragments"] = found.fragments
    if len(said_yes) < PROCESSES * each:
        row.bad["not delivered"] = PROCESSES * each - len(said_yes)
    return row


def write(place: Place, number: int, count: int, library: str) -> list[str]:
    """The tokens of the messages that were acknowledged."""
    tokens = [f"p{number}.{turn}" for turn in range(count)]
    before = [*(confined(place) if number % 2 else []), "env", f"LD_PRELOAD={library}", *CLOCK]
    return [token for token in tokens if place.deliver(message(token, BYTES), before=before).code == 0]


def confined(place: Place) -> list[str]:
    """A pid namespace of its own, made by root, and in it the user."""
    user = [f"--reuid={place.home.uid}", f"--regid={place.home.gid}", "--clear-groups"]
    return ["unshare", "--pid", "--fork", "setpriv", *user, "--"]
