"""Several agents write into one mbox at once, and a reader locks and rewrites it (G10): every message whole, once.

An agent that asks for another try gets it, as from an MTA. The reader keeps the rules that all must keep: a dotlock
made by link(2), then fcntl, never waiting for the second while holding the first; it marks what it has read, which
moves everything behind.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.torture.agents import Place
from tests.torture.bench import Bench, settle, unproven
from tests.torture.boxes import message, token_of
from tests.torture.report import Row

PART = "writers"
TOGETHER = ("pydeliver", "procmail", "maildrop", "dovecot-lda")
SAMPLES, DELIVERIES = 6, 500  # of each agent
BYTES = 6_000
TRIES = 20
WAIT = 60.0  # seconds for one delivery, retries and all
PAUSE = 0.25  # of the reader


def run(bench: Bench) -> Iterator[Row]:
    absent = [agent for agent in TOGETHER[1:] if agent not in bench.site.programs]
    if "mbox" not in bench.formats:
        return
    yield together(bench, "careless", ("careless",) * 4)
    if absent:
        yield unproven(PART, "mbox", "pydeliver", f"{', '.join(absent)} not installed")
    else:
        if "procmail" in bench.agents:
            yield together(bench, "procmail", ("procmail", "maildrop", "dovecot-lda"))
        yield together(bench, "pydeliver", TOGETHER)


def together(bench: Bench, name: str, agents: tuple[str, ...]) -> Row:
    row = Row(PART, f"mbox, {len(agents)} writers", name)
    each = bench.size("pydeliver", SAMPLES, DELIVERIES)  # the others meet a mailbox of the same size
    first = bench.site.place(agents[0], "mbox")
    settle(first)
    first.reset(old=False)
    places = [first, *[beside(bench, first, agent) for agent in agents[1:]]]
    waits: list[float] = []
    stop = threading.Event()
    reader = threading.Thread(target=read_and_rewrite, args=(first, stop, row))
    reader.start()
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(len(places)) as pool:
            writing = [pool.submit(write, place, f"w{number}", each) for number, place in enumerate(places)]
            for agent, done in zip(agents, writing, strict=True):
                waits += done.result()
                row.told[f"{agent} s"] = sum(done.result())
    finally:
        stop.set()
        reader.join()
    seconds = time.monotonic() - begun
    found = first.boxes[0].find()
    for number in range(len(places)):
        for count in range(each):
            copies = found.tokens[f"w{number}.{count}"]
            problems = ["lost"] * (copies == 0) + ["doubled"] * (copies > 1)
            row.add(problems, f"{agents[number]}'s message {count}: {copies} copies")
    row.bad.update({"fragments": found.fragments} if found.fragments else {})
    row.bad.update({"too slow": sum(wait > WAIT for wait in waits)} if max(waits) > WAIT else {})
    row.told["longest wait s"] = max(waits)
    row.told["messages/s"] = len(waits) / seconds
    return row


def beside(bench: Bench, first: Place, agent: str) -> Place:
    """A home of an agent whose mail is the first one's."""
    place = bench.site.place(agent, "mbox")
    place.empty()
    place.mail.rmdir()
    place.mail.symlink_to(first.mail)
    place.home.own(place.mail)
    return place


def write(place: Place, mark: str, count: int) -> list[float]:
    """Deliver messages one after the other; how long each took."""
    place.patience = WAIT
    waits = []
    for number in range(count):
        begun = time.monotonic()
        place.deliver(message(f"{mark}.{number}", BYTES), tries=TRIES)
        waits.append(time.monotonic() - begun)
    return waits


def read_and_rewrite(place: Place, stop: threading.Event, row: Row) -> None:
    path = place.boxes[0].path
    while not stop.wait(PAUSE):
        if not path.exists():
            continue
        with open(path, "r+b") as box:
            if not locked(path, box.fileno(), place):
                row.tell("reader shut out")
                continue
            try:
                data = marked(box.read())
                box.seek(0)
                box.write(data)
                box.flush()
                os.fsync(box.fileno())
                row.tell("rewritten")
            finally:
                Path(f"{path}.lock").unlink()


def locked(path: Path, fd: int, place: Place) -> bool:
    """Both locks, or none; asked for during ten seconds."""
    own = Path(f"{path}.lock.reader")
    for _ in range(200):
        own.write_text("0")
        place.home.own(own)
        try:
            os.link(own, f"{path}.lock")
        except FileExistsError:
            time.sleep(0.05)
            continue
        finally:
            own.unlink()
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            Path(f"{path}.lock").unlink()
            time.sleep(0.05)
            continue
        return True
    return False


def marked(data: bytes) -> bytes:
    """Every whole message that has no Status gets one; anything else stays as it is."""
    made = []
    for entry in (b"\n\n" + data).split(b"\n\nFrom ")[1:]:
        head, empty, body = entry.partition(b"\n\n")
        new = token_of(entry.partition(b"\n")[2]) is not None and b"\nStatus:" not in head
        made.append(b"From " + head + b"\nStatus: RO" * new + empty + body)
    return b"\n\n".join(made) if data.startswith(b"From ") else data
