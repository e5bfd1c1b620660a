"""Conversations that no client would lead (G24), with a real server, by LMTP and by SMTP.

A conversation is drawn from a good one and a dictionary of what servers have stumbled over: lines dropped, doubled,
swapped, cut, made endless; words exchanged; bytes flipped; all of it sent in any pieces. At its end stands what ends
every conversation, in DATA or not. The server answers by lines of the protocol, up to its last word; it says nothing
of an internal error, hangs for nobody, writes nowhere but into mailboxes, forgets nobody's going, and is as large
afterwards as before. The careless server is one that dies of bytes beyond ASCII, and must be caught.

What stands behind an accepted STARTTLS is a handshake gone wrong. So most conversations by SMTP meet a server that has
no certificate; of those with one that has, every second is led in TLS.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from pydeliver.receiver import inquiry
from tests.installation import AS_ROOT, new_user
from tests.lmtp import Served
from tests.smtp import NAME, Public
from tests.torture.bench import JOBS, Bench
from tests.torture.entrances import Entrance, opened
from tests.torture.report import DOORS, Row
from tests.torture.weight import Weight, grown
from tests.virtual import Site

PART = "sessions"
SAMPLES, SESSIONS = 1_000, 1_000_000  # of each kind
FEWER = 8  # as many times fewer are those with a server that has a certificate
WITH_TLS = "smtp with TLS"
ROUND = 125  # conversations of one seed
LINGER = 10.0  # seconds until a server must have noticed that all have gone
SECONDS = 10.0  # for one conversation; who has to be waited for longer hangs
LONGEST = 60  # mutations at most
END = b"\r\n.\r\nQUIT\r\n"
MESSAGE = (
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
)
LOGIN = (b"AUTH LOGIN", b"am9AZXhhbXBsZS5uZXQ=", b"Y29ycmVjdCBob3JzZQ==")  # as `Public` has it
BY_SMTP = (b"EHLO client.example.net", *MESSAGE, *LOGIN, b"STARTTLS")
GOOD = {
    "lmtp": (b"LHLO client.example.net", *MESSAGE, b"NOOP", b"RSET"),
    "smtp": BY_SMTP,
    WITH_TLS: BY_SMTP,
}
WORDS = (
    *b"LHLO HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT AUTH STARTTLS XCLIENT XSTATUS LHLO2".split(),
    *b"FROM: TO: <> < > @ : , ; <@a,@b:c@d> <a@[127.0.0.1]> <a@[IPv6:::1]> <postmaster> <a\\b@c>".split(),
    *b"SIZE= SIZE=99999999999999999999 BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=x NOTIFY=NEVER ORCPT=rfc822;a".split(),
    *b"PLAIN LOGIN = * AUTH=<> dXNlcg== AGpvQGV4YW1wbGUubmV0AGNvcnJlY3QgaG9yc2U= AGpvAGpv AA== /w==".split(),
    *b"../../etc/passwd ~root | /bin/sh -c $(id) `id` %n%n%s \\r\\n 250 354 -1 0 2147483648".split(),
    *b"robin+shop@example.net kim+../..@example.net @example.com robin@EXAMPLE.NET jo@example.net. . ..".split(),
    *b"\r,\n,\r\n,\r\r\n,\n.\r\n,\r\n.\n,\r\n.\r,\0,\xff,\xc3\x28,\xe2\x80\xa8,\t,\x1b[2J,\x7f,=?x?q?=0a?=".split(b","),
    b"AUTH PLAIN",
    b"AUTH LOGIN",
    b'<"a b"@c>',
    b'<"@c>',
    b"A" * 600,
    b"<" * 600,
    b"a@" * 600,
    b" " * 2100,
)
REPLIES = re.compile(rb"(?:\d{3}[ -][ -~]*\r\n)+")
LAST = re.compile(rb"(?:\A|\n)(?:221|421) [ -~]*\r\n\Z")
GO_ON = b"220 2.0.0 go on in TLS\r\n"
RESET = struct.pack("ii", 1, 0)  # socket(7)
TROUBLE = b"(the client: %s)"
ALERT = b"\x15"  # what begins so is said in TLS (RFC 8446 section 5.1)
BAD = re.compile(rb"internal error|cut short|Traceback")

Found = tuple[list[str], str]
Round = tuple[str, str, Entrance, Public | None]


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        for kind in DOORS if agent == "careless" else GOOD:
            row = Row(PART, f"mutated {kind}", agent)
            with ExitStack() as stack:
                folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
                folder.chmod(0o755)
                if agent == "careless":
                    talk(bench, row, kind, stack.enter_context(careless(folder)))
                else:
                    owner = stack.enter_context(new_user(f"talks{os.getpid()}")) if AS_ROOT else ""
                    site = Site(bench.site.installation, folder, owner)
                    site.rules("robin@example.net", "discard for good\n")
                    site.rules("kim@example.net", 'if size > 300 B { discard for good }\nfile "{subject}"\n')
                    meet(bench, row, kind, site)
            yield row


def meet(bench: Bench, row: Row, kind: str, site: Site) -> None:
    """Lead all conversations with our own server, and look what they have left behind."""
    settings = "server.size = 1\n"
    public = Public(site) if kind == WITH_TLS else None
    with ExitStack() as stack:
        if public is None:
            running, entrance = stack.enter_context(opened(site.served, kind, site.folder, settings))
        else:  # what those want passed on who have logged in has nowhere to go
            running = stack.enter_context(public.served(f'{settings}onward.smarthost = "127.0.0.1:9"\n'))
            entrance = public.port
        talk(bench, row, kind, entrance, public, Weight(running.process.pid))
        row.bad.update({"written elsewhere": len(strange(site)), "not gone": left(running)})


def strange(site: Site) -> list[str]:
    """What is there that no user has: nothing but two homes, and nothing beside them."""
    known = {site.home(user) for user in ("robin@example.net", "kim@example.net")}
    homes = {path for domain in site.mail.iterdir() for path in domain.iterdir()}
    own = {"mail", "users", "server.toml", "lmtp", "state", "passwords", f"{NAME}.pem"}
    beside = {path.name for path in site.folder.iterdir()} - own
    remembered = {path.name for path in (site.folder / "state").glob("*")}
    return [*map(str, homes - known), *beside, *[name for name in remembered if not name.startswith("smtp.sqlite")]]


def left(running: Served) -> int:
    """How many clients the server still believes to be there some time after all have gone."""
    until = time.monotonic() + LINGER
    while (found := int(inquiry.facts(f"unix:{running.path}")["clients"]) - 1) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def talk(
    bench: Bench, row: Row, kind: str, entrance: Entrance, public: Public | None = None, weight: Weight | None = None
) -> None:
    """Lead all conversations. `public` is the server that has a certificate."""
    count = bench.size(row.agent, SAMPLES, SESSIONS) // (FEWER if public is not None else 1)
    rounds = [(f"{bench.seed} {number}", kind, entrance, public) for number in range(-(-count // ROUND))]
    with multiprocessing.get_context("fork").Pool(JOBS) as pool:
        for number, (found, slowest, handed_over) in enumerate(pool.imap_unordered(play, rounds)):
            if weight is not None and number in (len(rounds) // 20, len(rounds) - 1):  # warm, and at the end
                weight.weigh()
            for problems, example in found:
                row.add(problems, example)
            row.told["slowest s"] = max(row.told.get("slowest s", 0), slowest)
            if public is not None:
                row.tell("handshakes gone wrong", handed_over)
    if weight is not None:
        row.told.update(weight.told())
        row.bad.update(grown(weight))


def play(task: Round) -> tuple[list[Found], float, int]:
    """Lead the conversations of one seed: what is wrong with each, the seconds of the slowest, how many met GO_ON."""
    seed, kind, entrance, public = task
    chance = Random(seed)
    found, slowest, handed_over = [], 0.0, 0
    for number in range(ROUND):
        pieces = conversation(chance, GOOD[kind])
        begun = time.monotonic()
        tls = public.trusting() if public is not None and number % 2 else None
        said = heard(entrance, pieces, tls, abrupt=chance.random() < 0.5)
        slowest = max(slowest, time.monotonic() - begun)
        problems = judge(said)
        handed_over += GO_ON in (said or b"")
        found.append((problems, repr(pieces) if problems else ""))
        if "hangs" in problems:
            break  # and all others of this seed with it
    return found, slowest, handed_over


def conversation(chance: Random, good: tuple[bytes, ...]) -> list[bytes]:
    """What the client says, in the pieces in which it does."""
    lines = [*good[: chance.choice((3, 5, 6, 11, len(good)))], *good[1 : chance.randrange(1, len(good))]]
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


def heard(entrance: Entrance, pieces: list[bytes], tls: ssl.SSLContext | None, abrupt: bool) -> bytes | None:
    """All that the server says; None where it does not come to an end. Who is `abrupt` ends a handshake by a reset."""
    said = trouble = b""
    try:
        with socket.socket(socket.AF_INET if isinstance(entrance, int) else socket.AF_UNIX) as plain:
            plain.settimeout(SECONDS)
            plain.connect(("127.0.0.1", entrance) if isinstance(entrance, int) else str(entrance))
            with plain if tls is None else secured(plain, tls) as client:
                try:
                    for piece in pieces:
                        client.sendall(piece)
                except (ConnectionError, ssl.SSLEOFError) as error:
                    trouble = TROUBLE % str(error).encode()  # what it said before it hung up is still to be heard
                while piece := client.recv(65536):
                    said += piece
                    if said.endswith(GO_ON):  # all was said, and it is no handshake
                        if abrupt:
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                            break
                        client.shutdown(socket.SHUT_WR)
    except TimeoutError:
        return None
    except OSError as error:
        trouble = TROUBLE % str(error).encode()
    if tls is not None and LAST.search(said):  # there it waits for nobody who has not said all
        return said
    return said + trouble


def secured(plain: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS with a server that has been told STARTTLS."""
    plain.recv(4096)
    plain.sendall(b"STARTTLS\r\n")
    said = plain.recv(4096)
    if said != GO_ON:
        raise ConnectionError(f"no TLS: {said!r}")
    return tls.wrap_socket(plain)


def judge(said: bytes | None) -> list[str]:
    if said is None:
        return ["hangs"]
    said, handed_over, rest = said.partition(GO_ON)
    problems = [] if REPLIES.fullmatch(said) else ["no protocol"]
    if handed_over:
        problems += ["said in the clear"] * bool(rest and not rest.startswith((ALERT, TROUBLE[:5])))
    elif not LAST.search(said):
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
