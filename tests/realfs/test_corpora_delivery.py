"""Every message of the corpora goes through the launcher into a Maildir and is found there, byte for byte."""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.installation import Home, Installation

# The line that an mbox file or an MTA puts before a message, and which is no part of it.
FROM_LINE = re.compile(rb"\A>?From [^\n]*\n")


def deliver_all(installation: Installation, home: Home, paths: list[Path]) -> list[CompletedProcess[bytes]]:
    def deliver(path: Path) -> CompletedProcess[bytes]:
        return home.deliver(installation, path.read_bytes(), "-f", "sender@example.org", "-r", "robin@example.net")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(deliver, paths))


@pytest.mark.parametrize("corpus", ["spam_assassin", "cpython_messages"])
def test_every_message_is_stored_as_it_was_received(
    installation: Installation, home: Home, request: pytest.FixtureRequest, corpus: str
) -> None:
    paths: list[Path] = request.getfixturevalue(corpus)
    home.rules("")
    outcomes = deliver_all(installation, home, paths)
    spoken = {
        path.name: (done.returncode, done.stdout, done.stderr)
        for path, done in zip(paths, outcomes, strict=True)
        if done.returncode or done.stdout or done.stderr
    }
    assert spoken == {}
    received = Counter(FROM_LINE.sub(b"", path.read_bytes()) for path in paths)
    assert Counter(home.messages().values()) == received
    assert home.unfinished() == []
