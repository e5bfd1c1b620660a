"""Clients that are slow, and clients that are many (G27), while one with good manners sends its mail.

His messages take no longer for them, the server stays small, and whoever finds no room is told so. The careless server
has one client after the other, and must be caught.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socketserver
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.installation import AS_ROOT, new_user
from tests.lmtp import Client
from tests.torture.bench import Bench
from tests.torture.report import Row
from tests.torture.weight import Weight
from tests.virtual import Site

PART = "crowds"
SAMPLE, SECONDS = 3, 30
SLOW = 500  # clients, of whom every second says one byte a second, and the others nothing
A_SECOND = 1000  # new clients
CAP, BEYOND = 1000, 50  # clients that there may be at once, and how many more come
SLOWEST = 1.0  # seconds for a good client's message, at the 99th percentile
PAUSE = 0.02  # seconds between his messages
LARGEST_KB = 200 << 10
PATIENCE = 10.0  # seconds until one who hears nothing gives up
SAID = b"LHLO slow.example.net\r\nMAIL FROM:<jo@example.org>\r\nRCPT TO:<robin@example.net>\r\nDATA\r\n"


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
            folder.chmod(0o755)
            if agent == "careless":
                path, weight = stack.enter_context(careless(folder)), None
            else:
                owner = stack.enter_context(new_user(f"crowds{os.getpid()}")) if AS_ROOT else ""
                site = Site(bench.site.installation, folder, owner)
                running = stack.enter_context(site.served(f"server.connections = {CAP}\n"))
                path, weight = running.path, Weight(running.process.pid)
            if weight is None:
                yield meet(bench, agent, "slow", path, weight)
                continue
            sent(path)  # rules are compiled
            yield meet(bench, agent, "slow", path, weight)
            yield meet(bench, agent, "many", path, weight)
            yield turned_away(agent, path)


def meet(bench: Bench, agent: str, crowd: str, path: Path, weight: Weight | None) -> Row:
    """Send good messages, one after the other, while the crowd is there."""
    row = Row(PART, crowd, agent)
    seconds = bench.size(agent, SAMPLE, SECONDS)
    context = multiprocessing.get_context("fork")
    there, over = context.Event(), context.Event()
    counts = context.Array("i", 3)
    others = context.Process(target=come, args=(crowd, str(path), there, over, counts))
    others.start()
    try:
        there.wait(PATIENCE)
        taken: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            taken.append(sent(path))
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


def sent(path: Path) -> float:
    """The seconds that one message takes, from the connection to the answer."""
    begun = time.monotonic()
    try:
        with Client(path, PATIENCE) as client:
            (reply,) = client.greet().send(b"Subject: hello\n\nbody\n", ["robin@example.net"])
    except (OSError, AssertionError):
        return float("inf")
    return time.monotonic() - begun if reply.startswith("250 ") else float("inf")


def come(crowd: str, path: str, there: Event, over: Event, counts: list[int]) -> None:
    asyncio.run((slow if crowd == "slow" else many)(path, there, over, counts))


async def slow(path: str, there: Event, over: Event, counts: list[int]) -> None:
    writers = []
    for _ in range(SLOW):
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(path)
            writers.append(writer)
            counts[0] += 1
    there.set()
    at = 0
    while not over.is_set():
        for writer in writers[::2]:
            with suppress(OSError):
                writer.write(SAID[at % len(SAID)].to_bytes())
        at += 1
        await asyncio.sleep(1)


async def many(path: str, there: Event, over: Event, counts: list[int]) -> None:
    async def one() -> None:
        counts[0] += 1
        try:
            reader, writer = await asyncio.open_unix_connection(path)
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


def turned_away(agent: str, path: Path) -> Row:
    """More clients than there may be: the others are told, and let go."""
    row = Row(PART, "beyond the cap", agent)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(path, PATIENCE)) for _ in range(CAP + BEYOND)]
        greetings = [client.hear() for client in clients]
        for greeting in greetings:
            row.add([] if greeting.startswith(("220 ", "421 ")) else ["silence"])
        turned = [client for client, said in zip(clients, greetings, strict=True) if said.startswith("421 ")]
        row.tell("told 421", len(turned))
        row.bad.update({"too many": 1} if len(turned) < BEYOND else {})
        row.bad.update({"not let go": sum(client.hear() != "" for client in turned)})
    row.bad.update({"not there for the next": 1} if sent(path) > SLOWEST else {})
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
