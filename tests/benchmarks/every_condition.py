"""A rule file that asks everything there is to ask, over every corpus (G13): exceptions, milliseconds, memory.

Run from the top of the checkout: `python -m tests.benchmarks.every_condition`.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Final

from pydeliver import settings
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.verdict import Program, Verdict
from pydeliver.vocabulary import catalogue
from pydeliver.vocabulary.word import Field
from tests import corpora
from tests.rules import World, plan

GOALS: Final = (50.0, 1000.0, 100.0)  # ms for 99 of 100 messages, ms for each, MB
ANY: Final = 'any attachment where name ends with ".exe" and size > 1 KB'


class File:
    """A message on the disk, read as a delivery reads its spool file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()


def rules() -> str:
    """Every field's own example, each with a text that shows the field, and every field a pattern may look at."""
    lines = [f'if {ANY} {{ log "any" }}']
    for name, (_, word) in sorted(catalogue().items()):
        if isinstance(word, Field):
            lines.append(f'if {word.example} {{ log "{name}" }}')
    return "\n".join(lines) + "\n"


def main() -> None:
    program = Program(plan(rules(), variables=settings.ENVIRONMENT))
    envelope = Envelope("jo@example.org", "robin+shop@example.net")
    paths = [*corpora.spam_assassin(), *corpora.cpython(), *corpora.enmime(), *corpora.dkimpy()]
    spent = []
    for path in paths:
        source = File(path)
        world, answers = World(), {}
        begun = time.perf_counter()
        message = Message(source)
        while not isinstance(found := program.evaluate(envelope, message, answers), Verdict):
            answers[found] = world.answer(found) if found[0] in ("now", "offset") else None
        spent.append((1000 * (time.perf_counter() - begun), path))
        source.close()
    spent.sort()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(rules().splitlines())} conditions, {len(paths)} messages, no exception")
    print(f"  half in {spent[len(spent) // 2][0]:.1f} ms, 99 of 100 in {spent[len(spent) * 99 // 100][0]:.1f} ms")
    print(f"  the slowest in {spent[-1][0]:.1f} ms ({spent[-1][1].name}); peak memory {peak:.0f} MB")
    print("  goal: 99 of 100 in {:.0f} ms, each in {:.0f} ms, {:.0f} MB".format(*GOALS))
    if spent[-1][0] > GOALS[1]:
        sys.exit(1)


if __name__ == "__main__":
    main()
