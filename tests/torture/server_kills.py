"""A resident server that is killed while ten clients send (G26): itself, one of its workers, or asked to stop.

What was acknowledged is there, whole and once; what was not is there whole or not at all. A new server serves within a
second; one that was asked to stop ends within ten, and until then cuts nobody off in the middle. The careless client
counts a message as acknowledged when it was sent, and must be caught.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.installation import AS_ROOT, new_user
from tests.lmtp import Client, Served, listens, stuffed
from tests.torture.bench import Bench
from tests.torture.report import Row
from tests.virtual import Site

PART = "server_kills"
SAMPLES, KILLS = 9, 200
CLIENTS = 10
DRAIN = 10.0  # seconds until a server that was asked to stop is gone
READY = 1.0  # seconds until a new one serves
WAIT = (0.05, 0.4)  # seconds of sending before a blow
BODY = b"".join([b"%04d %s\n" % (number, b"x" * 60) for number in range(60)])
BLOWS = ("server", "worker", "stop")


@dataclass
class Told:
    """What the clients know."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    cut_off: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        with ExitStack() as stack:
            owner = stack.enter_context(new_user(f"blows{os.getpid()}")) if AS_ROOT else ""
            folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
            folder.chmod(0o755)
            site = Site(bench.site.installation, folder, owner)
            yield from strike(bench, agent, site)


def strike(bench: Bench, agent: str, site: Site) -> Iterator[Row]:
    rows = {blow: Row(PART, blow, agent) for blow in BLOWS}
    chance = bench.chance(agent, PART)
    told = Told()
    users = [f"u{number}@example.net" for number in range(CLIENTS)]
    site.users.write_text("\n".join(users))
    for number in range(bench.size(agent, SAMPLES, KILLS)):
        blow = BLOWS[number % len(BLOWS)]
        row = rows[blow]
        begun = time.monotonic()
        with site.served() as running:
            ready = time.monotonic() - begun
            row.told["slowest start, s"] = max(row.told.get("slowest start, s", 0), ready)
            problems = ["started late"] * (ready > READY)
            before = told.cut_off
            problems += blows(running, blow, told, users, chance, agent == "careless")
            if blow == "stop" and told.cut_off > before:
                problems.append("cut off")
        row.add(problems, f"blow {number}")
    found = Counter(token for user in users for token in tokens(site, user))
    if agent != "careless":  # whose client, not whose server, is to be caught
        yield from rows.values()
    messages = Row(PART, "messages", agent, runs=len(told.sent))
    messages.tell("acknowledged", len(told.acknowledged))
    messages.tell("unanswered but stored", len(found.keys() - told.acknowledged))
    messages.bad.update({"lost": len(told.acknowledged - found.keys())})
    messages.bad.update({"twice": len([token for token in found if found[token] > 1])})
    messages.bad.update({"torn": found["torn"]})
    yield messages


def blows(running: Served, blow: str, told: Told, users: list[str], chance: Random, careless: bool) -> list[str]:
    """Have all clients send, strike, and wait until they are done; what was wrong then."""
    over = threading.Event()
    problems = []
    with ThreadPoolExecutor(len(users)) as pool:
        sending = [pool.submit(send, running, user, told, over, careless) for user in users]
        time.sleep(chance.uniform(*WAIT))
        if blow == "worker":
            workers = running.workers
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
            time.sleep(chance.uniform(*WAIT))
        over_soon = blow != "worker"
        if blow == "server":
            running.process.kill()
        elif blow == "stop":
            begun = time.monotonic()
            running.process.terminate()
            code = running.process.wait(60)
            problems += ["stopped late"] * (time.monotonic() - begun > DRAIN) + ["exit code"] * (code != 0)
        over.set()
        for one in sending:
            one.result()
        if not over_soon and not listens(running.path):
            problems.append("gone")
    return problems


def send(running: Served, user: str, told: Told, over: threading.Event, careless: bool) -> None:
    """Send one message after another until it is over, or nobody is there."""
    try:
        with Client(running.path) as client:
            if not client.hear().startswith("220 "):
                return
            client.say("LHLO client")
            while not over.is_set():
                token = os.urandom(8).hex()
                if client.say("MAIL FROM:<jo@example.org>").startswith("421"):
                    return
                if client.say(f"RCPT TO:<{user}>")[:3] in ("421", ""):
                    return
                if not client.say("DATA").startswith("354"):
                    return
                with told.lock:
                    told.sent.add(token)
                    if careless:
                        told.acknowledged.add(token)
                client.socket.sendall(stuffed(b"Subject: %s\n\n%s" % (token.encode(), BODY)))
                reply = client.hear()
                with told.lock:
                    if reply.startswith("250"):
                        told.acknowledged.add(token)
                    elif not reply:
                        told.cut_off += 1
    except OSError:
        with told.lock:
            told.cut_off += 1


def tokens(site: Site, user: str) -> Iterator[str]:
    """The messages that are stored, by their tokens; "torn" for what is not whole."""
    for text in site.messages(user):
        head, _, body = text.partition(b"\n\n")
        yield head.rpartition(b"Subject: ")[2].decode() if body == BODY else "torn"
