"""Whatever a sender writes, a header field that a rule writes is one field, and a delivery is one line of the log."""

from __future__ import annotations

import base64
import json
import os
import random
import time
from pathlib import Path

from pydeliver.agent import Request, deliver
from pydeliver.agent.rules import Home, Site
from pydeliver.mail.envelope import Envelope
from tests.rules import write_rested

RULES = """
set header "X-About" = "{subject} from {from.name}"
add header "X-Detail" = "{envelope.to.detail}"
prefix subject "[{header X-Tag}] "
label "seen"
log "{subject} {from} {envelope.from}"
if subject contains "lists" { file "lists/{subject}" }
file "{header X-Tag}"
"""
MESSAGES = 1000
SPICES = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"\x1b[2J",
    b"\x7f",
    b"\x85",
    "\u2028".encode(),
    "\u202e".encode(),
    b"\xff",
    b": ",
]
INJECTED = b"\r\nX-Injected: yes\r\n"


def spiced(choose: random.Random) -> bytes:
    pieces = [choose.choice([b"lists", b"word", b" ", INJECTED, *SPICES]) for _ in range(choose.randrange(1, 8))]
    return b"".join(pieces)


def disguised(choose: random.Random, value: bytes) -> bytes:
    """A value as a sender can write it: raw and folded, or in an encoded word."""
    kind = choose.randrange(4)
    if kind == 0:
        return b"=?utf-8?B?" + base64.b64encode(value) + b"?="
    if kind == 1:
        return b"=?iso-8859-1?Q?" + b"".join([b"=%02X" % byte for byte in value]) + b"?="
    if kind == 2:
        return value.replace(b"\r\n", b"\r\n ").replace(b"\n", b"\n ").replace(b"\r", b"\r ")
    return value.replace(b"\r", b"").replace(b"\n", b"")


def text(choose: random.Random) -> str:
    return os.fsdecode(spiced(choose).replace(b"\0", b""))


def test_no_sender_writes_a_header_field_or_a_line_of_the_log(tmp_path: Path) -> None:
    choose = random.Random(20261123)
    tmp_path.chmod(0o700)
    home = Home("tester", os.getuid(), str(tmp_path))
    write_rested(Path(home.rules), RULES)
    source = tmp_path / "stdin"
    for _ in range(MESSAGES):
        fields = [(name, disguised(choose, spiced(choose))) for name in (b"Subject", b"From", b"X-Tag", b"Message-ID")]
        source.write_bytes(b"".join([b"%s: %s\n" % field for field in fields]) + b"\nbody\n")
        envelope = Envelope(text(choose), text(choose), text(choose), text(choose), queue_id=text(choose))
        fd = os.open(source, os.O_RDONLY)
        assert deliver(Request(home, Site(home.rules, "/nonexistent"), envelope, fd, time.time(), "host", os._exit)).ok
        os.close(fd)

    stored = [path for part in ("new", "cur") for path in (tmp_path / "Maildir").rglob(f"{part}/*")]
    assert len(stored) == MESSAGES
    for path in stored:
        head = path.read_bytes().partition(b"\nbody\n")[0]
        assert b"\nX-Injected" not in head
        for line in head.split(b"\n"):
            if line.startswith((b"X-About:", b"X-Detail:")):
                assert not [byte for byte in line if byte < 32 or byte >= 127], line
                assert len(line) <= 998
    log = (Path(home.state.directory) / "deliveries.log").read_bytes()
    assert not [byte for byte in log if (byte < 32 and byte != 10) or byte >= 127]
    lines = log.splitlines()
    assert len(lines) == MESSAGES
    assert len({json.loads(line)["transaction"] for line in lines}) == MESSAGES
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"Maildir", ".config", ".cache", ".local", "stdin"}
