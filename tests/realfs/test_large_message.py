"""Memory is bounded: a message of 100 MB is delivered whole in little more than an interpreter needs (invariant 7)."""

from __future__ import annotations

import filecmp
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.installation import PATIENCE, Home, Installation

MEGABYTE: Final = 1 << 20
LIMIT_KB: Final = 64 * 1024
LINE: Final = b"Seventy-six columns of the same story, told again and again until it is big\n"
# A small process of its own: the peak of a process counts the memory of the one that it was forked from.
MEASURE: Final = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def write_large(path: Path, line: bytes, megabytes: int = 100) -> None:
    """A message whose body is the same line again and again; `line` without a line feed makes one line of it all."""
    chunk = line * (MEGABYTE // len(line))
    with path.open("wb") as file:
        file.write(b"From: Jo <jo@example.org>\nSubject: large\n\n")
        for _ in range(megabytes * MEGABYTE // len(chunk) + 1):
            file.write(chunk)


def measure(installation: Installation, home: Home, message: Path, *command: str | Path) -> tuple[int, int]:
    """Run a command with a message on its stdin: the exit code, and the peak memory in KB of the largest process."""
    with message.open("rb") as stdin:
        done = subprocess.run(
            [installation.python, "-I", "-c", MEASURE, *command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            env=home.environment(),
            check=True,
            timeout=PATIENCE,
            **home.identity,
        )
    code, peak = done.stdout.split()
    return int(code), int(peak)


@pytest.mark.parametrize("line", [LINE, b"x"], ids=["in lines", "in one line"])
def test_a_message_of_100_mb_is_delivered_in_64_mb(installation: Installation, home: Home, line: bytes) -> None:
    message = home.path / "large.eml"
    write_large(message, line)
    code, peak = measure(installation, home, message, installation.launcher)
    assert code == 0
    assert peak <= LIMIT_KB
    (stored,) = (home.path / "Maildir" / "new").iterdir()
    assert filecmp.cmp(stored, message, shallow=False)
    assert home.unfinished() == []
