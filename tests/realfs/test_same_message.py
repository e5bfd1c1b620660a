"""One message, byte for byte the same, handed over several times at once: each that is said to be stored is stored."""

from __future__ import annotations

import subprocess

import pytest

from tests.installation import Home, Installation

RACES, AT_ONCE = 40, 4
MESSAGE = b"From: Jo <jo@x.example>\nMessage-ID: <1@x>\nSubject: hello\n\nHi.\n"
PLACES = {
    "a Maildir": "keep\n",
    "an mbox": 'file "mbox:~/box"\n',
    "several": 'copy file "mbox:~/box"\nkeep\n',
    "a program and a Maildir": 'copy pipe "~/take"\nkeep\n',
}


@pytest.mark.parametrize("place", PLACES)
def test_every_one_that_was_taken_is_there(installation: Installation, home: Home, place: str) -> None:
    home.file("take", "#!/bin/sh\ncat > ~/taken.$$\n", 0o700)
    home.rules(PLACES[place])
    assert home.deliver(installation, MESSAGE).returncode == 0  # which also compiles the rules
    taken = 1
    for _ in range(RACES):
        started = [
            subprocess.Popen(
                [installation.launcher],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=home.environment(),
                cwd="/",
                **home.identity,
            )
            for _ in range(AT_ONCE)
        ]
        for one in started:
            assert one.stdin is not None
            one.stdin.write(MESSAGE)
            one.stdin.close()
        codes = [one.wait(60) for one in started]
        assert set(codes) <= {0, 75}
        assert 0 in codes
        taken += codes.count(0)
    if "Maildir" in place or place == "several":
        assert len(home.messages()) == taken
    if place in ("an mbox", "several"):
        assert (home.path / "box").read_bytes().count(b"Message-ID: <1@x>") == taken
    if "program" in place:
        assert len(list(home.path.glob("taken.*"))) >= taken
    assert home.unfinished() == []
