"""Clients that are slow, and clients that are many (G27), while one with good manners sends its mail.

His messages take no longer for them, the server stays small, and whoever finds no room is told so: by LMTP and by SMTP,
where one address that has more clients than are its due is told so too. The careless server has one client after the
other, and must be caught.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socketserver
import tempfile
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.installation import AS_ROOT, new_user
from tests.torture.bench import Bench
from tests.torture.entrances import Entrance, knock, opened, speaker
from tests.torture.report import DOORS, Row
from tests.torture.weight import Weight
from tests.virtual import Site

PART = "crowds"
SAMPLE, SECONDS = 2, 30
SLOW = 500  # clients, of whom every second says one byte a second, and the others nothing
A_SECOND = 1000  # new clients
CAP, BEYOND = 1000, 50  # clients that there may be at once, and how many more come
ITS_DUE = 20  # clients that one address may have where the site says nothing else
CROWD, OTHERS = "127.0.0.2", ("127.0.0.3", "127.0.0.4")  # who has more, and who has not
SLOWEST = 1.0  # seconds for a good client's message, at the 99th percentile
PAUSE = 0.02  # seconds between his messages
LARGEST_KB = 200 << 10
PATIENCE = 10.0  # seconds until one who hears nothing gives up
SAID = b" slow.example.net\r\nMAIL FROM:<jo@example.org>\r\nRCPT TO:<robin@example.net>\r\nDATA\r\n"

Crowd = Callable[[Entrance, Event, Event, list[int]], Coroutine[None, None, None]]


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
            folder.chmod(0o755)
            if agent == "careless":
                yield meet(bench, Row(PART, "slow", agent), slow, stack.enter_context(careless(folder)))
                continue
            owner = stack.enter_context(new_user(f"crowds{os.getpid()}")) if AS_ROOT else ""
            site = Site(bench.site.installation, folder, owner)
            for door in DOORS:
                yield from gather(bench, agent, door, site)
            with opened(site.served, "smtp", folder) as (_, entrance):
                sent(entrance)
                yield turned_away(Row(PART, "beyond its due smtp", agent), entrance, ITS_DUE, CROWD)


def gather(bench: Bench, agent: str, door: str, site: Site) -> Iterator[Row]:
    """All crowds at a door, though they come from one address."""
    settings = f"server.connections = {CAP}\nsmtp.per-client = {CAP + BEYOND}\n"
    with opened(site.served, door, site.folder, settings) as (running, entrance):
        weight = Weight(running.process.pid)
        sent(entrance)  # rules are compiled
        yield meet(bench, Row(PART, f"slow {door}", agent), slow, entrance, weight)
        yield meet(bench, Row(PART, f"many {door}", agent), many, entrance, weight)
        yield turned_away(Row(PART, f"beyond the cap {door}", agent), entrance, CAP)


def meet(bench: Bench, row: Row, crowd: Crowd, entrance: Entrance, weight: Weight | None = None) -> Row:
    """Send good messages, one after the other, while the crowd is there."""
    seconds = bench.size(row.agent, SAMPLE, SECONDS)
    context = multiprocessing.get_context("fork")
    there, over = context.Event(), context.Event()
    counts = context.Array("i", 3)
    others = context.Process(target=come, args=(crowd, entrance, there, over, counts))
    others.start()
    try:
        there.wait(PATIENCE)
        taken: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            taken.append(sent(entrance))
            row.add(["not delivered"] * (taken[-1] == float("inf")))
            time.sleep(PAUSE)
        if weight is not None:
            row.told["server kB"] = weight.weigh().kb
            row.bad.update({"large": 1} if row.told["server kB"] > LARGEST_KB else {})
    finally:
        over.set()
        others.join()
    percentile = sorted(taken)[int(len(taken) * 0.99)]
    row.told |= {"p99 ms": 1000 * percentile, "slowest ms": 1000 * max(taken), "clients": counts[0]}
    row.bad.update({"slow": 1} if percentile > SLOWEST else {})
    row.bad.update({"not greeted": counts[1]} if counts[1] else {})
    return row


def sent(entrance: Entrance, source: str = "") -> float:
    """The seconds that one message takes, from the connection to the answer."""
    begun = time.monotonic()
    try:
        with knock(entrance, PATIENCE, source) as client:
            (reply,) = client.greet().send(b"Subject: hello\n\nbody\n", ["robin@example.net"])
    except (OSError, AssertionError):
        return float("inf")
    return time.monotonic() - begun if reply.startswith("250 ") else float("inf")


def come(crowd: Crowd, entrance: Entrance, there: Event, over: Event, counts: list[int]) -> None:
    asyncio.run(crowd(entrance, there, over, counts))


def connected(entrance: Entrance) -> Coroutine[None, None, tuple[StreamReader, StreamWriter]]:
    if isinstance(entrance, int):
        return asyncio.open_connection("127.0.0.1", entrance)
    return asyncio.open_unix_connection(entrance)


async def slow(entrance: Entrance, there: Event, over: Event, counts: list[int]) -> None:
    said = speaker(entrance).hello.encode() + SAID
    writers = []
    for _ in range(SLOW):
        with suppress(OSError):
            _, writer = await connected(entrance)
            writers.append(writer)
            counts[0] += 1
    there.set()
    at = 0
    while not over.is_set():
        for writer in writers[::2]:
            with suppress(OSError):
                writer.write(said[at % len(said)].to_bytes())
        at += 1
        await asyncio.sleep(1)


async def many(entrance: Entrance, there: Event, over: Event, counts: list[int]) -> None:
    async def one() -> None:
        counts[0] += 1
        try:
            reader, writer = await connected(entrance)
            greeting = await asyncio.wait_for(reader.readline(), PATIENCE)
            counts[1] += greeting[:4] not in (b"220 ", b"421 ")
            writer.close()
        except (OSError, TimeoutError):
            counts[1] += 1

    begun, asked = time.monotonic(), 0
    there.set()
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            due = int((time.monotonic() - begun) * A_SECOND)
            while asked < due:
                group.create_task(one())
                asked += 1
            await asyncio.sleep(0.005)


def turned_away(row: Row, entrance: Entrance, most: int, source: str = "") -> Row:
    """More clients than there may be, or than one address may have: the rest are told, and let go."""
    with ExitStack() as stack:
        clients = [stack.enter_context(knock(entrance, PATIENCE, source)) for _ in range(most + BEYOND)]
        greetings = [client.hear() for client in clients]
        for greeting in greetings:
            row.add([] if greeting.startswith(("220 ", "421 ")) else ["silence"])
        turned = [client for client, said in zip(clients, greetings, strict=True) if said.startswith("421 ")]
        row.tell("told 421", len(turned))
        row.bad.update({"too many": 1} if len(turned) < BEYOND else {})
        row.bad.update({"not let go": sum(client.hear() != "" for client in turned)})
        if source:
            row.bad.update({"others turned away": sum(sent(entrance, other) > SLOWEST for other in OTHERS)})
    row.bad.update({"not there for the next": 1} if sent(entrance, source) > SLOWEST else {})
    return row


@contextmanager
def careless(folder: Path) -> Generator[Path]:
    """A server that listens to one client at a time, until he has said all."""

    class Answers(socketserver.StreamRequestHandler):
        timeout = 1.0

        def handle(self) -> None:
            self.wfile.write(b"220 careless\r\n")
            data = False
            with suppress(OSError):
                for line in self.rfile:
                    if not data:
                        data = line == b"DATA\r\n"
                        self.wfile.write(b"354 go on\r\n" if data else b"250 ok\r\n")
                    elif line == b".\r\n":
                        data = False
                        self.wfile.write(b"250 ok\r\n")

    class Server(socketserver.UnixStreamServer):
        request_queue_size = 10_000

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing."""

    with Server(str(folder / "careless"), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder / "careless"
        server.shutdown()
