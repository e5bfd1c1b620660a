"""A resident server that is killed while ten clients send (G26): itself, one of its workers, or asked to stop.

By LMTP to one recipient, and by SMTP, where one answer is for all, to one or two. What was acknowledged is there for
each of them, whole and once; what was not is there whole or not at all. A new server serves within a
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
from tests.lmtp import Served, listens, stuffed
from tests.torture.bench import Bench
from tests.torture.entrances import Entrance, knock, opened
from tests.torture.report import DOORS, Row
from tests.virtual import Site

PART = "server_kills"
SAMPLES, KILLS = 6, 200  # at each door
CLIENTS = 10
DRAIN = 10.0  # seconds until a server that was asked to stop is gone
READY = 1.0  # seconds until a new one serves
WAIT = (0.05, 0.4)  # seconds of sending before a blow
BODY = b"".join([b"%04d %s\n" % (number, b"x" * 60) for number in range(60)])
BLOWS = ("server", "worker", "stop")

Copy = tuple[str, str]


@dataclass
class Told:
    """What the clients know of each copy: its token, and for whom it is."""

    sent: set[Copy] = field(default_factory=set)
    acknowledged: set[Copy] = field(default_factory=set)
    cut_off: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        for door in DOORS:
            with ExitStack() as stack:
                owner = stack.enter_context(new_user(f"blows{os.getpid()}")) if AS_ROOT else ""
                folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
                folder.chmod(0o755)
                site = Site(bench.site.installation, folder, owner)
                yield from strike(bench, agent, door, site)


def strike(bench: Bench, agent: str, door: str, site: Site) -> Iterator[Row]:
    rows = {blow: Row(PART, f"{blow} {door}", agent) for blow in BLOWS}
    chance = bench.chance(agent, PART)
    told = Told()
    users = [f"u{number}@example.net" for number in range(CLIENTS)]
    site.users.write_text("\n".join(users))
    for number in range(bench.size(agent, SAMPLES, KILLS)):
        blow = BLOWS[number % len(BLOWS)]
        row = rows[blow]
        begun = time.monotonic()
        with opened(site.served, door, site.folder) as (running, entrance):
            ready = time.monotonic() - begun
            row.told["slowest start, s"] = max(row.told.get("slowest start, s", 0), ready)
            problems = ["started late"] * (ready > READY)
            before = told.cut_off
            problems += blows(running, entrance, blow, told, users, chance, agent == "careless")
            if blow == "stop" and told.cut_off > before:
                problems.append("cut off")
        row.add(problems, f"blow {number}")
    found = Counter((token, user) for user in users for token in tokens(site, user))
    if agent != "careless":  # whose client, not whose server, is to be caught
        yield from rows.values()
    messages = Row(PART, f"copies {door}", agent, runs=len(told.sent))
    messages.tell("acknowledged", len(told.acknowledged))
    messages.tell("unanswered but stored", len(found.keys() - told.acknowledged))
    messages.bad.update({"lost": len(told.acknowledged - found.keys())})
    messages.bad.update({"twice": len([copy for copy in found if found[copy] > 1])})
    messages.bad.update({"torn": sum(found["torn", user] for user in users)})
    yield messages


def blows(
    running: Served, entrance: Entrance, blow: str, told: Told, users: list[str], chance: Random, careless: bool
) -> list[str]:
    """Have all clients send, strike, and wait until they are done; what was wrong then."""
    over = threading.Event()
    problems = []
    with ThreadPoolExecutor(len(users)) as pool:
        sending = [pool.submit(send, entrance, whom, told, over, careless) for whom in recipients(entrance, users)]
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
        if not over_soon and not listens(entrance):
            problems.append("gone")
    return problems


def recipients(entrance: Entrance, users: list[str]) -> list[list[str]]:
    """To whom each client sends: those by SMTP to one and to two in turn."""
    after = [*users[1:], users[0]]
    return [
        [user, other] if isinstance(entrance, int) and number % 2 else [user]
        for number, (user, other) in enumerate(zip(users, after, strict=True))
    ]


def send(entrance: Entrance, whom: list[str], told: Told, over: threading.Event, careless: bool) -> None:
    """Send one message after another until it is over, or nobody is there."""
    try:
        with knock(entrance) as client:
            if not client.hear().startswith("220 "):
                return
            client.say(f"{client.hello} client")
            while not over.is_set():
                token = os.urandom(8).hex()
                if client.say("MAIL FROM:<jo@example.org>").startswith("421"):
                    return
                if not all(client.say(f"RCPT TO:<{user}>").startswith("250") for user in whom):
                    return
                if not client.say("DATA").startswith("354"):
                    return
                copies = {(token, user) for user in whom}
                with told.lock:
                    told.sent |= copies
                    if careless:
                        told.acknowledged |= copies
                client.socket.sendall(stuffed(b"Subject: %s\n\n%s" % (token.encode(), BODY)))
                reply = client.hear()
                with told.lock:
                    if reply.startswith("250"):
                        told.acknowledged |= copies
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
