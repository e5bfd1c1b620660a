"""One message, four ways in: a rehearsal, a delivery as the user, one as root for him, one by LMTP (G35, G43).

A rehearsal says what a delivery then does and leaves no trace of itself: not a file changed, not a program run, not a
connection made. The deliveries store the same bytes in the same places and answer the same. Rule files are made by
chance, messages are drawn from the corpora, and have on top what the server writes there; only the name of the
transaction and the date in that may differ. The careless rehearsal delivers, and the careless root and the careless
client lie about the sender: all must be caught.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from pydeliver.mail.trace import trace
from tests import corpora
from tests.installation import Home, Installation, new_user
from tests.lmtp import Served, served
from tests.rules import write_rested
from tests.torture.bench import JOBS, Bench, missing, unproven
from tests.torture.report import Row
from tests.torture.rule_files import rule_file

PART = "doors"
SAMPLES, RULE_FILES = 4, 500  # each with MESSAGES messages
MESSAGES = 20
THOROUGH = 50  # rule files that meet ALL_MESSAGES, so many AT_ONCE
ALL_MESSAGES = 1000
AT_ONCE = 100
AS_ROOT_TOO = 10  # of those so many meet the rules as root too, where every one does by stdin and by LMTP
WORKERS = 2 * JOBS  # deliveries wait for the disk
SENDERS = ("jo@example.org", "", "debian-user-bounces@lists.debian.org")
SITE = "settings.toml"
LIAR = "mallory@example.com"
CAUGHT_BY = 'log "{envelope.from}"\nset header "X-From" = "{envelope.from}"\n'
FROM_LINE = re.compile(rb"\AFrom [^\n]*\n")
CLIENT, HOST = "client.example.net", "mx.example.net"
TRACED = re.compile(rb"(LMTP id )[0-9A-F]{12}(\n.*; ).*")  # where one transaction differs from another
ANSWERS = {"reject": 77, "defer": 75}
TOLD = ("decision", "rule", "line", "log", "notes")  # what a rehearsal and the log of a delivery both say
# What would change something, run something or talk to somebody.
EFFECTS = (
    "open openat openat2 creat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink "
    "symlinkat chmod fchmod fchmodat chown fchown lchown fchownat truncate ftruncate utimensat mknod mknodat "
    "setxattr execve execveat connect bind sendto sendmsg kill"
).split()
# Reading; the program itself; the C library's question after a name service, which it asks of a socket.
HARMLESS = re.compile(r"O_RDONLY|/dev/null|^\d+ +execve\(.*= 0$|/nscd/socket")

Task = tuple[int, int, int]


@dataclass
class Visitor:
    """A user of this machine, who uses every door in turn."""

    installation: Installation
    home: Home
    name: str

    @property
    def recipient(self) -> str:
        return f"robin+shop@{self.name}.example.net"

    def reset(self) -> None:
        """Forget all mail, and what deliveries remembered. Compiled rules stay."""
        for name in ("Mail", "box", ".local"):
            path = self.home.path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for part in ("new", "cur", "tmp"):
            self.home.folder(f"Mail/.Work/{part}")

    def options(self, sender: str) -> list[str]:
        """What every door is told."""
        return ["--config", str(self.home.path / SITE), "-f", sender, "-r", self.recipient]

    def deliver(self, message: bytes, sender: str, as_root: bool) -> tuple[object, dict[str, object]]:
        """What a delivery leaves behind and answers, and its line in the log."""
        self.reset()
        arguments = [*self.options(sender), *(["-d", self.name] if as_root else [])]
        identity = {} if as_root else self.home.identity
        environment = self.home.environment(USER=self.name, LOGNAME=self.name)
        done = self.home.deliver(self.installation, message, *arguments, environment=environment, **identity)
        log = self.home.path / ".local/state/pydeliver/deliveries.log"
        (line,) = log.read_text().splitlines() if log.exists() else ["{}"]
        return (done.returncode, done.stderr, self.stored()), json.loads(line)

    def deliver_by_lmtp(self, running: Served, message: bytes, sender: str) -> tuple[object, int]:
        """What a delivery by the server leaves behind, and its answer as an exit code."""
        self.reset()
        with running.client() as client:
            (reply,) = client.send(message, [self.recipient], sender)
        return self.stored(), {"2": 0, "4": 75, "5": 77}[reply[0]]

    def stored(self) -> Counter[tuple[str, bytes]]:
        """Every file of mail, without what its unique name and an mbox's From_ line say of when it came."""
        found: Counter[tuple[str, bytes]] = Counter()
        for path in [self.home.path / "box", *(self.home.path / "Mail").rglob("*")]:
            if path.is_file() and not path.is_symlink():
                unique = path.parent.name in ("new", "cur", "tmp")
                name = path.parent / path.name.partition(":")[2] if unique else path
                found[str(name), TRACED.sub(rb"\1\2", FROM_LINE.sub(b"", path.read_bytes()), count=1)] += 1
        return found

    def rehearse(self, files: list[Path], sender: str, careless: bool) -> tuple[list[dict[str, object]], list[str]]:
        """What `try` says of each message, and every system call by which it did more than say so."""
        self.reset()
        before = self.everything()
        trace = self.home.path.parent / f"{self.name}.trace"
        options = self.options(sender)
        command = self.installation.command("try", "--json", "--ask", *options, *files)
        if careless:
            command = [str(self.installation.launcher), *options]
        done = subprocess.run(
            ["strace", "-f", "-qq", "-u", self.name, "-o", trace, "-e", f"trace={','.join(EFFECTS)}", *command],
            input=files[0].read_bytes(),
            env=self.home.environment(USER=self.name, LOGNAME=self.name),
            cwd="/",
            capture_output=True,
            check=False,
        )
        effects = [line for line in trace.read_text().splitlines() if not HARMLESS.search(line)]
        if self.everything() != before:
            effects.append("the home is not as it was")
        if done.returncode or done.stderr:
            effects.append(f"said {done.returncode} {done.stderr!r}")
        said = [] if careless else [json.loads(line) for line in done.stdout.splitlines()]
        return said, effects

    def everything(self) -> dict[str, tuple[int, int, int]]:
        """Every path in the home, with what would differ if somebody had touched it."""
        found = [(path, path.lstat()) for path in self.home.path.rglob("*")]
        return {str(path): (stat.st_ino, stat.st_ctime_ns, stat.st_size) for path, stat in found}


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        why = missing("strace", "useradd", root=True)
        try:
            paths = [] if why else [*corpora.spam_assassin(), *corpora.cpython(), *corpora.enmime(), *corpora.dkimpy()]
        except corpora.Unavailable as error:
            why = str(error)
        if why:
            yield unproven(PART, "every way in", agent, why)
        else:
            yield from visit(bench, agent, paths)


def visit(bench: Bench, agent: str, paths: list[Path]) -> Iterator[Row]:
    rehearsals, deliveries = Row(PART, "rehearsal and delivery", agent), Row(PART, "user, root and LMTP", agent)
    drawn = bench.chance(PART).sample(paths, ALL_MESSAGES)
    with ExitStack() as stack:
        free: queue.Queue[Visitor] = queue.Queue()
        visitors = []
        for number in range(WORKERS):
            name = stack.enter_context(new_user(f"visitor{os.getpid()}{number}"))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.site.folder)))
            folder.chmod(0o755)
            home = Home.make(folder / "home", name)
            home.own(write_rested(home.path / SITE, 'sendmail = "/bin/true"\n'))  # takes whatever is sent
            subprocess.run(["usermod", "--home", home.path, name], check=True)
            visitors.append(Visitor(bench.site.installation, home, name))
            free.put(visitors[-1])
        running = stack.enter_context(serving(bench, visitors))

        def play(task: Task) -> None:
            visitor = free.get()
            try:
                meet(bench, visitor, running, agent, task, drawn, rehearsals, deliveries)
            finally:
                free.put(visitor)

        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                for done in [pool.submit(play, task) for task in tasks(bench, agent)]:
                    done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)  # else all that was submitted would be played first
                raise
    yield rehearsals
    yield deliveries


@contextmanager
def serving(bench: Bench, visitors: list[Visitor]) -> Iterator[Served]:
    """A server that has mail for them all."""
    with tempfile.TemporaryDirectory(dir=bench.site.folder) as path:
        folder = Path(path)
        folder.chmod(0o755)
        users = folder / "users"
        users.write_text("".join([f"{visitor.recipient} = {visitor.name}\n" for visitor in visitors]))
        settings = f'server.name = "{HOST}"\nusers.file = "{users}"\nsendmail = "/bin/true"\n'
        with served(bench.site.installation, folder, settings) as running:
            yield running


def tasks(bench: Bench, agent: str) -> list[Task]:
    """Rule files by number, each with where in the messages to begin, and how many to take."""
    count = bench.size(agent, SAMPLES, RULE_FILES)
    thorough = THOROUGH if bench.goes_all_the_way(agent) else 0
    every = [(number, start, AT_ONCE) for number in range(thorough) for start in range(0, ALL_MESSAGES, AT_ONCE)]
    return every + [(number, number * MESSAGES % ALL_MESSAGES, MESSAGES) for number in range(thorough, count)]


def meet(
    bench: Bench,
    visitor: Visitor,
    running: Served,
    agent: str,
    task: Task,
    paths: list[Path],
    rehearsals: Row,
    deliveries: Row,
) -> None:
    """Let messages meet a rule file, through every door."""
    number, start, many = task
    careless = agent == "careless"
    text = CAUGHT_BY * careless + rule_file(bench.chance(PART, str(number)))
    sender = SENDERS[number % len(SENDERS)]
    visitor.home.rules(text)
    bare = [lines(FROM_LINE.sub(b"", one.read_bytes())) for one in paths[start : start + many]]
    top = trace(sender, visitor.recipient, CLIENT, HOST, "LMTP", "0" * 12, format_datetime(datetime.now(UTC)))
    messages = [top + message for message in bare]
    files = [visitor.home.file(f"messages/{at}", message) for at, message in enumerate(messages)]
    visitor.deliver(messages[0], sender, as_root=False)  # so that grammar and rules are compiled
    said, effects = visitor.rehearse(files, sender, careless)
    rehearsals.tell("rule files", not start or many == MESSAGES)
    for at, message in enumerate(messages):
        example = f"{text}{paths[start + at].name} from <{sender}>"
        left, log = visitor.deliver(message, sender, as_root=False)
        left_by_root = left
        if many == MESSAGES or at < AS_ROOT_TOO:
            left_by_root, _ = visitor.deliver(message, LIAR if careless else sender, as_root=True)
            deliveries.tell("as root too")
        left_by_lmtp = visitor.deliver_by_lmtp(running, bare[at], LIAR if careless else sender)
        wrong = ["differs"] * (left != left_by_root) + ["differs by LMTP"] * ((left[2], left[0]) != left_by_lmtp)
        deliveries.add(wrong, example)
        wrong = differences(said[at], log, left) if said else []
        deliveries.tell(str(log.get("verdict")).partition(" ")[0])
        rehearsals.add(wrong + ["effects"] * bool(effects and not at), f"{example}\n{effects[:1]}")


def lines(message: bytes) -> bytes:
    """The message as LMTP can carry it, and our client does: in lines, which all end, with no CR at the end of one."""
    message = re.sub(rb"\r+\n", b"\n", message)
    return message if message.endswith(b"\n") else message + b"\n"


def differences(said: dict[str, object], log: dict[str, object], left: object) -> list[str]:
    """What a rehearsal said otherwise than the delivery did."""
    assert isinstance(left, tuple)
    done = {**log, "decision": log.get("verdict"), "rule": log.get("rule") or None, "line": log.get("line") or None}
    wrong = [name for name in TOLD if said[name] != done[name]]
    return wrong + ["answer"] * (left[0] != ANSWERS.get(str(said["outcome"]), 0)) + ["unknown"] * bool(said["unknown"])
