"""Where messages would go: the decision of a delivery, without the delivery.

Calls `agent.decide`, the very function that deliveries call; nothing is written. What only a delivery could find out
is left unknown and said. A stored message has no envelope but the trace headers that its mail server wrote, so those
fill in what nobody gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydeliver.agent import World, completed, decide, program_of
from pydeliver.agent.rules import Home
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import FROM_LINE_BYTES, Message, split_from_line
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.reader import Entry, entries
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


def rehearse(
    plan: Plan, store: Store, home: Home, envelope: Envelope, entries: Iterable[Entry], now: float
) -> Iterator[Rehearsal]:
    """Judge each message by the plan, in order, as at the moment `now`."""
    program = program_of(plan, store)
    world = World(home, store, plan.settings, now)
    known: dict[Any, Any] = {}  # the world is asked once for all messages
    for entry in entries:
        problems: list[str] = []

        def answer(question: Any, problems: list[str] = problems) -> Any:
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
        judged, _ = decide(program, completed(envelope, message, from_line, trusted=True), message, answer)
        assert isinstance(judged, Verdict)  # `answer` never gives a Status
        yield Rehearsal(entry.label, message, judged, tuple(problems))
