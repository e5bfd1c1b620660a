"""Conversations that no client would lead (G24), with a real server.

A conversation is drawn from a good one and a dictionary of what servers have stumbled over: lines dropped, doubled,
swapped, cut, made endless; words exchanged; bytes flipped; all of it sent in any pieces. At its end stands what ends
every conversation, in DATA or not. The server answers by lines of the protocol, up to its last word; it says nothing
of an internal error, hangs for nobody, writes nowhere but into mailboxes, and is as large afterwards as before. The
careless server is one that dies of bytes beyond ASCII, and must be caught.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from tests.installation import AS_ROOT, new_user
from tests.torture.bench import JOBS, Bench
from tests.torture.report import Row
from tests.torture.weight import Weight, grown
from tests.virtual import Site

PART = "sessions"
SAMPLES, SESSIONS = 1_000, 1_000_000
ROUND = 250  # conversations of one seed
SECONDS = 10.0  # for one conversation; who has to be waited for longer hangs
LONGEST = 60  # mutations at most
END = b"\r\n.\r\nQUIT\r\n"
GOOD = (
    b"LHLO client.example.net",
    b"MAIL FROM:<jo@example.org> SIZE=300 BODY=8BITMIME",
    b"RCPT TO:<robin@example.net>",
    b"RCPT TO:<kim@example.net>",
    b"RCPT TO:<nobody@example.net>",
    b"DATA",
    b"Subject: hello",
    b"",
    b"Good morning.",
    b"..",
    b".",
    b"NOOP",
    b"RSET",
)
WORDS = (
    *b"LHLO HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT AUTH STARTTLS XCLIENT XSTATUS LHLO2".split(),
    *b"FROM: TO: <> < > @ : , ; <@a,@b:c@d> <a@[127.0.0.1]> <a@[IPv6:::1]> <postmaster> <a\\b@c>".split(),
    *b"SIZE= SIZE=99999999999999999999 BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=x NOTIFY=NEVER ORCPT=rfc822;a".split(),
    *b"../../etc/passwd ~root | /bin/sh -c $(id) `id` %n%n%s \\r\\n 250 354 -1 0 2147483648".split(),
    *b"robin+shop@example.net kim+../..@example.net @example.com robin@EXAMPLE.NET jo@example.net. . ..".split(),
    *b"\r,\n,\r\n,\r\r\n,\n.\r\n,\r\n.\n,\r\n.\r,\0,\xff,\xc3\x28,\xe2\x80\xa8,\t,\x1b[2J,\x7f,=?x?q?=0a?=".split(b","),
    b'<"a b"@c>',
    b'<"@c>',
    b"A" * 600,
    b"<" * 600,
    b"a@" * 600,
    b" " * 2100,
)
REPLIES = re.compile(rb"(?:\d{3}[ -][ -~]*\r\n)+")
BAD = re.compile(rb"internal error|cut short|Traceback")

Found = tuple[list[str], str]


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        row = Row(PART, "mutated", agent)
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
            folder.chmod(0o755)
            if agent == "careless":
                path = stack.enter_context(careless(folder))
                talk(bench, agent, row, path)
            else:
                owner = stack.enter_context(new_user(f"talks{os.getpid()}")) if AS_ROOT else ""
                site = Site(bench.site.installation, folder, owner)
                site.rules("robin@example.net", "discard for good\n")
                site.rules("kim@example.net", 'if size > 300 B { discard for good }\nfile "{subject}"\n')
                running = stack.enter_context(site.served("server.size = 1\n"))
                talk(bench, agent, row, running.path, Weight(running.process.pid))
                row.bad.update({"written elsewhere": len(strange(site))})
        yield row


def strange(site: Site) -> list[str]:
    """What is there that no user has: nothing but two homes, and nothing beside them."""
    known = {site.home(user) for user in ("robin@example.net", "kim@example.net")}
    homes = {path for domain in site.mail.iterdir() for path in domain.iterdir()}
    beside = {path.name for path in site.folder.iterdir()} - {"mail", "users", "server.toml", "lmtp"}
    return [*map(str, homes - known), *beside]


def talk(bench: Bench, agent: str, row: Row, path: Path, weight: Weight | None = None) -> None:
    count = bench.size(agent, SAMPLES, SESSIONS)
    rounds = [(f"{bench.seed} {number}", str(path)) for number in range(-(-count // ROUND))]
    with multiprocessing.get_context("fork").Pool(JOBS) as pool:
        for number, (found, slowest) in enumerate(pool.imap_unordered(play, rounds)):
            if weight is not None and number in (len(rounds) // 20, len(rounds) - 1):  # warm, and at the end
                weight.weigh()
            for problems, example in found:
                row.add(problems, example)
            row.told["slowest s"] = max(row.told.get("slowest s", 0), slowest)
    if weight is not None:
        row.told.update(weight.told())
        row.bad.update(grown(weight))


def play(task: tuple[str, str]) -> tuple[list[Found], float]:
    """Lead the conversations of one seed: what is wrong with each, and the seconds of the slowest."""
    seed, path = task
    chance = Random(seed)
    found, slowest = [], 0.0
    for _ in range(ROUND):
        pieces = conversation(chance)
        begun = time.monotonic()
        problems = judge(heard(path, pieces))
        slowest = max(slowest, time.monotonic() - begun)
        found.append((problems, repr(pieces) if problems else ""))
        if "hangs" in problems:
            break  # and all others of this seed with it
    return found, slowest


def conversation(chance: Random) -> list[bytes]:
    """What the client says, in the pieces in which it does."""
    lines = [*GOOD[: chance.choice((3, 5, 6, 11, 13))], *GOOD[1 : chance.randrange(1, len(GOOD))]]
    for _ in range(chance.randrange(min(LONGEST, 1 << chance.randrange(7)))):
        mutate(chance, lines)
    said = b"".join([line + chance.choice((b"\r\n",) * 30 + (b"\n", b"\r", b"")) for line in lines]) + END
    cuts = sorted(chance.randrange(len(said)) for _ in range(chance.choice((0, 0, 0, 1, 2, 9))))
    return [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]


def mutate(chance: Random, lines: list[bytes]) -> None:
    at = chance.randrange(len(lines) + 1)
    line = lines[at] if at < len(lines) else b""
    action = chance.randrange(8)
    if action == 0:
        del lines[at : at + chance.randrange(1, 3)]
    elif action == 1:
        lines[at:at] = [line] * chance.randrange(1, 8)
    elif action == 2:
        lines.insert(at, b" ".join(chance.choices(WORDS, k=chance.randrange(1, 5))))
    elif action == 3 and at < len(lines):
        place = chance.randrange(len(line) + 1)
        lines[at] = line[:place] + chance.choice(WORDS) + line[place + chance.randrange(4) :]
    elif action == 4 and line:
        flipped = bytearray(line)
        flipped[chance.randrange(len(line))] = chance.randrange(256)
        lines[at] = bytes(flipped)
    elif action == 5 and lines:
        other = chance.randrange(len(lines))
        lines[at : at + 1], lines[other : other + 1] = lines[other : other + 1], lines[at : at + 1]
    elif action == 6 and at < len(lines):
        lines[at] = line[: chance.randrange(len(line) + 1)]
    elif action == 7 and at < len(lines):
        lines[at] = line * chance.choice((2, 3, 50))


def heard(path: str, pieces: list[bytes]) -> bytes | None:
    """All that the server says; None where it does not come to an end."""
    said = []
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        try:
            client.connect(path)
            for piece in pieces:
                client.sendall(piece)
            while piece := client.recv(65536):
                said.append(piece)
        except TimeoutError:
            return None
        except OSError as error:
            said.append(f"(the client: {error})".encode())
    return b"".join(said)


def judge(said: bytes | None) -> list[str]:
    if said is None:
        return ["hangs"]
    problems = [] if REPLIES.fullmatch(said) else ["no protocol"]
    if said.rpartition(b"\r\n")[0].rpartition(b"\n")[2][:4] not in (b"221 ", b"421 "):
        problems.append("no last word")
    return problems + ["internal error"] * bool(BAD.search(said))


@contextmanager
def careless(folder: Path) -> Generator[Path]:
    """A server that has learnt from its author's own mail only."""

    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 careless\r\n")
            for line in self.rfile:
                try:
                    said = line.decode("ascii")
                except UnicodeDecodeError:
                    return
                self.wfile.write(b"221 bye\r\n" if said == "QUIT\r\n" else b"250 ok\r\n")
                if said == "QUIT\r\n":
                    return

    with socketserver.ThreadingUnixStreamServer(str(folder / "careless"), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder / "careless"
        server.shutdown()
