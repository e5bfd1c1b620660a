"""Where messages would go: the decision of a delivery, without the delivery.

Calls `agent.decide`, the very function that deliveries call; nothing is written. What only a delivery could find out
is left unknown and said. A stored message has no envelope but the trace headers that its mail server wrote, so those
fill in what nobody gives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydeliver.agent import World, completed, decide, program_of
from pydeliver.agent.rules import Home
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import FROM_LINE_BYTES, Message, split_from_line
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.reader import Entry as Entry
from pydeliver.mailbox.reader import entries
from pydeliver.plan import Plan
from pydeliver.status import Status
from pydeliver.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would become of one message; `problems` are the questions that could not be answered, and why."""

    label: str
    message: Message
    verdict: Verdict
    problems: tuple[str, ...]


class _Whole:
    """A message that is in memory whole, as it came on stdin."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def messages(path: str, subfolders: bool, stdin: BinaryIO) -> Iterator[Entry]:
    """The messages at a path: a file, a Maildir, an mbox; `-` is one message on stdin. Raises OSError."""
    if path == "-":
        yield Entry("-", _Whole(stdin.read()))
    else:
        yield from entries(path, subfolders=subfolders)


class _WithoutFrom:
    """A message without its From_ line."""

    def __init__(self, source: Any, skip: int) -> None:
        self._source, self._skip = source, skip
        self.size = source.size - skip

    def read(self, offset: int, length: int) -> bytes:
        return self._source.read(self._skip + offset, length)  # type: ignore[no-any-return]


MEMORIES = ("duplicate", "seen-sender", "more")  # the words that ask what came before
COUNTLESS = 1 << 60  # messages that came before, where somebody says yes


@dataclass(frozen=True, slots=True)
class Known:
    """What a rehearsal knows of earlier messages: answers by the word that asks, and whether to `ask` for the rest."""

    given: Mapping[str, bool] = field(default_factory=dict)
    ask: bool = False


def rehearse(
    plan: Plan,
    store: Store,
    home: Home,
    envelope: Envelope,
    entries: Iterable[Entry],
    now: float,
    memory: Known | None = None,
    run: bool = False,
) -> Iterator[Rehearsal]:
    """Judge each message by the plan, in order, as at the moment `now`; `run` the programs that the rules ask."""
    memory = memory or Known()
    remembered = {name: COUNTLESS * yes for name, yes in memory.given.items()}
    program = program_of(plan, store)
    world = World(home, store, plan.settings, now, only_look=True)
    known: dict[Any, Any] = {}  # the world is asked once for all messages
    for entry in entries:
        problems: list[str] = []

        def answer(question: Any, problems: list[str] = problems) -> Any:
            if question[0] == "remembered" and (question[1] in remembered or not memory.ask):
                return remembered.get(question[1])
            if question[0] == "program":  # which says something else of each message
                found = world.answer(question)
            else:
                if question not in known:
                    known[question] = world.answer(question)
                found = known[question]
            if isinstance(found, Status):
                problems.append(found.text)
                return None
            return found

        if entry.from_line:
            message, (_, from_line) = Message(entry.source), split_from_line(entry.from_line)
        else:
            line, from_line = split_from_line(entry.source.read(0, FROM_LINE_BYTES))
            message = Message(_WithoutFrom(entry.source, len(line)) if line else entry.source)
        if not message.size:
            problems.append("the message is empty: a delivery asks for another try")
        whole = completed(envelope, message, from_line, trusted=True)
        if run:
            world.run_for(whole, message, tempfile.gettempdir)
        judged, _ = decide(program, whole, message, answer)
        assert isinstance(judged, Verdict)  # `answer` never gives a Status
        yield Rehearsal(entry.label, message, judged, tuple(problems))
    world.close()
