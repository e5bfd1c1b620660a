"""What one delivery loads: with a cached plan only what the message at hand needs (DESIGN.md, invariant 8).

Read from the interpreter's own `-X importtime`, in the command that the launcher runs.
"""

from __future__ import annotations

import re
import subprocess
from typing import Final

import pytest

from tests.installation import Home, Installation

# Modules of the standard library that cost more than they are worth on this path, and the shell's own.
FORBIDDEN: Final = (
    {"re", "typing", "dataclasses", "enum", "collections", "functools", "contextlib", "pathlib", "datetime", "random"}
    | {"email", "json", "tomllib", "hashlib", "tempfile", "subprocess", "logging", "signal", "asyncio", "sqlite3"}
    | {"unicodedata", "importlib.metadata", "click", "lark"}
)
# Modules beyond those of a bare interpreter; each costs about 0.2 ms.
BUDGET: Final = 40
RULES: Final = """
if from is "boss@example.com" { file "Work" }
if subject matches /^\\[[\\w-]+\\]/ { file "Lists" }
"""
NO_PATTERN: Final = b"From: Boss <boss@example.com>\nSubject: hello\n\nGood morning.\n"
A_PATTERN: Final = b"From: Jo <jo@example.org>\nSubject: [garden] hello\n\nGood morning.\n"


def modules(importtime: str) -> set[str]:
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", importtime, re.MULTILINE))


@pytest.fixture
def bare(installation: Installation) -> set[str]:
    """What an interpreter loads that does nothing."""
    command = [installation.python, "-I", "-X", "importtime", "-c", "pass"]
    return modules(subprocess.run(command, capture_output=True, text=True, check=True).stderr)


def loaded(installation: Installation, home: Home, message: bytes) -> set[str]:
    """What a delivery with a cached plan loads."""
    home.rules(RULES)
    assert home.deliver(installation, message).returncode == 0
    telling = home.path / "launcher"
    text = installation.launcher.read_text()
    assert text.count(" -I ") == 1
    telling.write_text(text.replace(" -I ", " -I -X importtime "))
    telling.chmod(0o755)
    (home.path / "stdin").write_bytes(message)
    with (home.path / "stdin").open("rb") as stdin:
        done = subprocess.run(
            telling, stdin=stdin, env=home.environment(), capture_output=True, text=True, check=False, **home.identity
        )
    assert done.returncode == 0, done.stderr
    return modules(done.stderr)


def test_a_delivery_that_reaches_no_pattern_keeps_to_the_budget(
    installation: Installation, home: Home, bare: set[str]
) -> None:
    more = loaded(installation, home, NO_PATTERN) - bare
    assert "pydeliver.status" in more
    assert more & FORBIDDEN == set()
    assert not {name for name in more if name.startswith(("re2", "_re2", "pydeliver.language"))}
    assert len(more) <= BUDGET, sorted(more)


def test_a_delivery_that_reaches_a_pattern_loads_its_engine_and_little_else(
    installation: Installation, home: Home, bare: set[str]
) -> None:
    without = loaded(installation, home, NO_PATTERN)
    added = loaded(installation, home, A_PATTERN) - without - bare
    assert any(name.lstrip("_").startswith("re2") for name in added)
    assert not {name for name in added if name.startswith("pydeliver.language")}
    assert added & {"email", "json", "click", "lark", "subprocess", "tempfile", "logging", "asyncio"} == set()
