"""Injection: hostile values in the commands of programs, and what a real program gets of them.

    python -m tests.benchmarks.injection [PAYLOADS]

Every payload stands in the envelope's addresses and detail, and in twelve header fields of one message, and is an
argument of `run`, `output of`, `pipe`, `filter` and of a shell's text, and the address of a forward. A program notes
its arguments, and what of the envelope is in its environment; each must be what the manual says of the value. sendmail
may be told of plain addresses only. Nothing that a payload asks a shell to do may have been done (a canary file).
Root becomes nobody for it, as nothing is run for rules as root.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Never

from pydeliver.agent import Request, deliver
from pydeliver.agent.rules import Home, Site
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mail.words import visible
from pydeliver.status import Status
from pydeliver.vocabulary.forwarding import problem
from pydeliver.vocabulary.programs import clean
from tests.rules import write_rested

FIELDS: Final = [f"X-Field-{number}" for number in range(12)]
PIECES: Final = [
    *("; touch {}", "$(touch {})", "`touch {}`", "| touch {}", "&& touch {}", "> {}", "\ntouch {}\n", "${{IFS}}"),
    *(
        "'",
        '"',
        "\\",
        "--",
        "-rf",
        "-",
        " ",
        "\t",
        "\r\n",
        "\0",
        "\x1b[2J",
        "*",
        "~/",
        "../..",
        "%s",
        "#",
        "ü",
        "\u2028",
    ),
]
NOTE: Final = (
    '#!/bin/sh\nfor word in "$@"; do printf \'%s\\0\' "$word"; done > "$HOME/argv.$1"\n'
    'printf \'%s\\0\' "$SENDER" "$RECIPIENT" "$EXTENSION" > "$HOME/env.$1"\n[ "$1" != filter ] || cat\n'
)
SENDMAIL: Final = '#!/bin/sh\nprintf \'%s\\0\' "$@" >> "$HOME/sent"\nprintf \'\\n\' >> "$HOME/sent"\n'
VALUES: Final = " ".join(["{envelope.to.detail}", *[f"{{header {name}}}" for name in FIELDS]])
RULES: Final = f"""
if not run "~/note run {VALUES}" succeeds {{ discard }}
let said = output of "~/note output {VALUES}"
if said is "x" {{ discard }}
copy pipe "~/note pipe {VALUES}"
filter "~/note filter {VALUES}"
copy forward "{{envelope.to.detail}}@example.org", {", ".join([f'"{{header {name}}}"' for name in FIELDS])}
if not run shell "exec ~/note shell \\"$@\\"" using "{VALUES}" succeeds {{ discard }}
"""
NOBODY: Final = 65534
KINDS: Final = ("run", "output", "pipe", "filter", "shell")


def payload(choose: random.Random, canary: str) -> str:
    """One in three ends like an address, so that some may be forwarded to."""
    made = _payload(choose, canary)
    return f"{made}x@example.net" if choose.randrange(3) == 0 else made


def _payload(choose: random.Random, canary: str) -> str:
    return "".join([choose.choice(PIECES).format(canary) for _ in range(choose.randrange(1, 8))])


def wanted(value: str) -> bytes:
    """The argument that the manual promises for a value."""
    return clean(value).lstrip("-").encode()


def _abandon(status: Status) -> Never:
    raise SystemExit(status.line)


def sent(home: Home, detail: str, message: bytes) -> Status:
    envelope = Envelope(f"{detail}@example.org", f"{detail}@example.net", detail=detail)
    reader, writer = os.pipe()
    os.write(writer, message)
    os.close(writer)
    try:
        site = Site(home.rules, f"{home.path}/settings.toml")
        return deliver(Request(home, site, envelope, reader, time.time(), "host", _abandon))
    finally:
        os.close(reader)


def made(folder: str, rules: str) -> Home:
    """A home with these rules, which have rested, and the program that notes."""
    home = Home("tester", os.getuid(), folder)
    path, note = Path(home.rules), Path(folder, "note")
    write_rested(path, rules)
    note.write_text(NOTE)
    note.chmod(0o700)
    sendmail = Path(folder, "sendmail")
    sendmail.write_text(SENDMAIL)
    sendmail.chmod(0o700)
    write_rested(Path(folder, "settings.toml"), f'sendmail = "{sendmail}"\n')
    return home


def become_nobody() -> None:
    """Stop being root, with all modules loaded: this Python may be root's alone."""
    for rules in ('set header "X" = "ü"\ncopy file "A"\nkeep\n', RULES):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            sent(made(folder, rules), "x", b"Subject: x\n\n")
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def once(home: Home, choose: random.Random) -> int:
    """Deliver one message full of payloads; how many lists of arguments and environments were not as documented."""
    canary = f"{home.path}/canary"
    values = [payload(choose, canary) for _ in range(1 + len(FIELDS))]
    lines = [f"{name}: {' '.join(value.split())}\n".encode() for name, value in zip(FIELDS, values[1:], strict=True)]
    message = b"".join([line.replace(b"\0", b"") for line in lines]) + b"\nHi.\n"
    status = sent(home, values[0], message)
    assert status.ok, status.line
    seen = Message.of(message)
    shown = [visible(values[0]), *[next(iter(seen.texts(name.lower())), "") for name in FIELDS]]
    wrong = 0
    for kind in KINDS:
        noted = Path(home.path, f"argv.{kind}")
        found = noted.read_bytes().split(b"\0")[1:-1]
        noted.unlink()
        wrong += found != [wanted(value) for value in shown]
        surroundings = Path(home.path, f"env.{kind}")
        told = [f"{values[0]}@example.org", f"{values[0]}@example.net", values[0]]
        wrong += surroundings.read_bytes().split(b"\0")[:-1] != [clean(value).encode() for value in told]
        surroundings.unlink()
    return wrong + forwarded(home, values[0], shown)


def forwarded(home: Home, detail: str, shown: list[str]) -> int:
    """How many forwards were to what is no address, or told sendmail anything else than the two addresses."""
    sent = Path(home.path, "sent")
    lines = sent.read_bytes().split(b"\0\n")[:-1] if sent.exists() else []
    sent.unlink(missing_ok=True)
    wanted = [address for address in (f"{shown[0]}@example.org", *shown[1:]) if not problem(address.strip())]
    by = ["-i", "-f", clean(f"{detail}@example.org"), "--"]
    return int([line.decode().split("\0") for line in lines] != [[*by, one.strip()] for one in dict.fromkeys(wanted)])


def run(number: int, seed: int = 29) -> tuple[int, int]:
    """Deliver until `number` payloads were tried; how many lists of arguments were wrong, and whether a canary died."""
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        home = made(folder, RULES)
        wrong = sum([once(home, choose) for _ in range(-(-number // (1 + len(FIELDS))))])
        return wrong, int(Path(folder, "canary").exists())


if __name__ == "__main__":
    if os.getuid() == 0:
        become_nobody()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    began = time.monotonic()
    mistakes, canaries = run(count)
    print(f"{count} payloads in {len(KINDS)} kinds of commands: {mistakes} lists of arguments not as documented,")
    print(f"{canaries} canaries; {time.monotonic() - began:.0f} s")
    sys.exit(bool(mistakes or canaries))
