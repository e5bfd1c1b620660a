"""Every message of the corpora goes through the launcher into a Maildir and an mbox and is found there (G12).

And through the server. Byte for byte; in an mbox once its quoting is undone and the fields that spoke of another
mailbox have their names back. A message whose last line doesn't end gets a line feed there, and by LMTP.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pydeliver.mailbox import reader
from tests.installation import Home, Installation
from tests.virtual import Site

CORPORA = ("spam_assassin", "cpython_messages", "enmime", "dkimpy")
TRACE = re.compile(rb"\AReturn-Path: .*\nDelivered-To: .*\nReceived: .*\n(?:\t.*\n)*")
# The line that an mbox file or an MTA puts before a message, and which is no part of it.
FROM_LINE = re.compile(rb"\A>?From [^\n]*\n")
RENAMED = re.compile(rb"^X-Original-(?=(X-)?(Status|Keywords|UID|IMAP(base)?):|Content-Length:)", re.M | re.I)


def deliver_all(installation: Installation, home: Home, paths: list[Path]) -> list[CompletedProcess[bytes]]:
    def deliver(path: Path) -> CompletedProcess[bytes]:
        return home.deliver(installation, path.read_bytes(), "-f", "sender@example.org", "-r", "robin@example.net")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(deliver, paths))


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_every_message_is_stored_as_it_was_received(
    installation: Installation, home: Home, request: pytest.FixtureRequest, corpus: str, form: str
) -> None:
    paths: list[Path] = request.getfixturevalue(corpus)
    home.rules("" if form == "maildir" else 'file "mbox:~/Mail/inbox"\n')
    home.folder("Mail")
    outcomes = deliver_all(installation, home, paths)
    spoken = {
        path.name: (done.returncode, done.stdout, done.stderr)
        for path, done in zip(paths, outcomes, strict=True)
        if done.returncode or done.stdout or done.stderr
    }
    assert spoken == {}
    received = Counter(FROM_LINE.sub(b"", path.read_bytes()) for path in paths)
    if form == "maildir":
        assert Counter(home.messages().values()) == received
        assert home.unfinished() == []
    else:
        found = [entry.source.read(0, entry.source.size) for entry in reader.entries(str(home.path / "Mail/inbox"))]
        assert Counter(RENAMED.sub(b"", one) for one in found) == Counter(ended(one) for one in received.elements())


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_message_is_stored_as_it_came_by_lmtp(site: Site, request: pytest.FixtureRequest, corpus: str) -> None:
    paths: list[Path] = request.getfixturevalue(corpus)
    with site.served() as running, running.client() as client:
        replies = Counter(reply for path in paths for reply in client.send(path.read_bytes(), ["robin@example.net"]))
    assert replies == {"250 2.0.0 delivered": len(paths)}
    stored = Counter(TRACE.sub(b"", one) for one in site.messages("robin@example.net"))
    assert stored == Counter(ended(path.read_bytes()).replace(b"\r\n", b"\n") for path in paths)


def ended(message: bytes) -> bytes:
    return message if message.endswith(b"\n") else message + b"\n"
