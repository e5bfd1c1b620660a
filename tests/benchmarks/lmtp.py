"""Messages a second by LMTP, beside Dovecot with Sieve: the same messages, users, twenty rules, disk and durability.

Both sync each message's file and its directory. ROUNDS rounds take them in turn, in one run; clients are smtp-source of
Postfix, one a session. Run as root from the top of the checkout: `python -m tests.benchmarks.lmtp`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.delivery import message
from tests.benchmarks.disk import spread
from tests.benchmarks.dovecot import dovecot
from tests.installation import Home, Installation, install, new_user, public_folder
from tests.lmtp import free_port, served

HERE: Final = Path(__file__).parent
ROUNDS: Final = 5
MESSAGES: Final = 2000  # a round
SESSIONS: Final = 10
USERS: Final = {"virtual": 10, "local": 200}
MORE_WORKERS: Final = 1.15  # times the cost with one
GOALS: Final = {"virtual": 2.0, "local": 1.0}
SUBJECT: Final = b"Our weekly digest of the garden"  # the twelfth rule
TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Rival:
    """A server at a port, and the process that has started all of it."""

    name: str
    port: int
    pid: int


def load(port: int, names: list[str], mail: Path, messages: int = MESSAGES) -> float:
    """Messages a second, when so many sessions at once send to these users in turn."""
    shares = [names[number::SESSIONS] for number in range(SESSIONS)]
    begun = time.perf_counter()
    lines = [
        "; ".join(
            f"smtp-source -L -s 1 -m {messages // SESSIONS // len(share)} -F {mail} -f jo@example.org "
            f"-t {name}@example.net 127.0.0.1:{port}"
            for name in share
        )
        for share in shares
    ]
    clients = [subprocess.Popen(["sh", "-ec", line]) for line in lines]
    if any([client.wait() for client in clients]):
        sys.exit(f"a client of port {port} failed")
    return messages / (time.perf_counter() - begun)


def seconds(pid: int) -> float:
    """What a process and all that it has started have used of the processor so far."""
    found, family = 0, [pid]
    for one in family:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            family += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
        found += sum(map(int, fields[11:15]))
    return found / TICK


@contextmanager
def virtual(installation: Installation, folder: Path, names: list[str], workers: int = 16) -> Generator[list[Rival]]:
    """Both for virtual users, all of whose mail belongs to one."""
    with ExitStack() as stack:
        owner = stack.enter_context(new_user(f"vmail{os.getpid()}"))
        (folder / "mail").mkdir()
        os.chown(folder / "mail", pwd.getpwnam(owner).pw_uid, -1)
        for name in names:
            Home.make(folder / "mail/example.net" / name, owner).rules((HERE / "twenty.rules").read_bytes())
        os.chown(folder / "mail/example.net", pwd.getpwnam(owner).pw_uid, -1)
        (folder / "users").write_text("".join(f"{name}@example.net\n" for name in names))
        settings = (
            f'server.user = "{owner}"\nserver.workers = {workers}\nusers.kind = "virtual"\n'
            f'users.home = "{folder}/mail/{{domain}}/{{user}}"\nusers.file = "{folder}/users"\n'
        )
        ours = stack.enter_context(served(installation, folder, settings, port := free_port()))
        theirs = stack.enter_context(dovecot(folder, HERE / "twenty.sieve", owner))
        yield [Rival("pydeliver", port, ours.process.pid), Rival("dovecot", *theirs)]


@contextmanager
def local(installation: Installation, folder: Path, names: list[str]) -> Generator[list[Rival]]:
    """Both for users of the system, each with a home of his own."""
    with ExitStack() as stack:
        for name in names:
            home = folder / "home" / name
            stack.enter_context(new_user(name, home))
            Home.make(home, name).rules((HERE / "twenty.rules").read_bytes())
        ours = stack.enter_context(served(installation, folder, "", port := free_port()))
        theirs = stack.enter_context(dovecot(folder, HERE / "twenty.sieve"))
        yield [Rival("pydeliver", port, ours.process.pid), Rival("dovecot", *theirs)]


def measure(rivals: list[Rival], names: list[str], mail: Path) -> Iterator[str]:
    """Rounds in turn; for each rival its rate and its seconds of the processor a message."""
    rates: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    costs: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    for number in range(ROUNDS + 1):
        for rival in rivals:
            before = seconds(rival.pid)
            rate = load(rival.port, names, mail)
            if number:  # the first warms up: mailboxes are made, plans are compiled
                rates[rival.name].append(rate)
                costs[rival.name].append((seconds(rival.pid) - before) / MESSAGES)
    for rival in rivals:
        rate, cost = statistics.median(rates[rival.name]), statistics.median(costs[rival.name])
        yield f"{rival.name:10} {rate:6.0f} messages/s   {cost * 1000:5.2f} ms of the processor a message"
    ours, theirs = [statistics.median(one) for one in rates.values()]
    yield f"ratio {ours / theirs:.2f}"


def workers(installation: Installation, folder: Path, names: list[str], mail: Path) -> Iterator[str]:
    """What a message costs the processor with two workers, as a multiple of what it costs with one."""
    costs: dict[int, list[float]] = {1: [], 2: []}
    for number in range(ROUNDS + 1):
        for count, found in costs.items():
            place = Path(tempfile.mkdtemp(dir=folder))
            place.chmod(0o755)
            with virtual(installation, place, names, workers=count) as (ours, _):
                load(ours.port, names, mail, 500)  # mailboxes are made, plans are compiled
                before = seconds(ours.pid)
                load(ours.port, names, mail)
                if number:
                    found.append((seconds(ours.pid) - before) / MESSAGES)
            shutil.rmtree(place)
    one, two = [statistics.median(found) for found in costs.values()]
    yield f"{one * 1000:.2f} ms with 1, {two * 1000:.2f} ms with 2: ratio {two / one:.2f}"


def main() -> None:
    with public_folder() as folder:
        spread(folder)
        installation = install(folder / "site")
        for kind, serve in (("virtual", virtual), ("local", local)):
            names = [f"lm{os.getpid()}x{number}" for number in range(USERS[kind])]
            place = Path(tempfile.mkdtemp(dir=folder))
            place.chmod(0o755)
            mail = place / "message"
            mail.write_bytes(message(SUBJECT))
            with serve(installation, place, names) as rivals:
                print(f"{kind} users, {SESSIONS} sessions, goal {GOALS[kind]}", flush=True)
                for line in measure(rivals, names, mail):
                    print(f"  {line}", flush=True)
        print(f"CPU a message, goal {MORE_WORKERS}", flush=True)
        names = [f"lm{number}" for number in range(USERS["virtual"])]
        for line in workers(installation, folder, names, mail):
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
