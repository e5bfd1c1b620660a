"""A message as the delivery that decides would store it, for another program to have.

Judges as a delivery does, with the same answers, those of programs too; stores and remembers nothing. Marks and labels
have no place of their own outside of a mailbox, so they go into the header as they do in an mbox.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from pydeliver.agent import World, completed, decide, program_of
from pydeliver.agent.rules import Home
from pydeliver.mail.edit import rewritten, rewritten_for_mbox
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import FROM_LINE_BYTES, Message, split_from_line
from pydeliver.mailbox.keywords import atoms
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.reader import Part
from pydeliver.plan import Plan
from pydeliver.status import Status, deferred
from pydeliver.workbench.rehearse import Rehearsal


@contextmanager
def judged(
    plan: Plan, store: Store, home: Home, envelope: Envelope, fd: int, now: float
) -> Generator[Rehearsal | Status]:
    """The decision on the message that an open file holds; a `Status` where a delivery would have to wait.

    What a filter of the rules wrote is there as long as the context is.
    """
    size = os.fstat(fd).st_size
    line, from_line = split_from_line(os.pread(fd, FROM_LINE_BYTES, 0))
    message = Message(Part(fd, len(line), size))
    if not message.size:
        yield deferred("the message is empty")
        return
    envelope = completed(envelope, message, from_line, plan.settings["trace-headers"])
    world = World(home, store, plan.settings, now, only_look=True)
    world.run_for(envelope, message, tempfile.gettempdir)
    try:
        verdict, _ = decide(program_of(plan, store), envelope, message, world.answer)
        yield verdict if isinstance(verdict, Status) else Rehearsal("stdin", message, verdict, ())
    finally:
        world.close()


def formed(one: Rehearsal) -> Iterator[bytes]:
    """The message in the form of the delivery that decided; every byte but those of the edits is as it was."""
    decided = next(delivery for delivery in reversed(one.verdict.deliveries) if delivery.final)
    message = decided.message or one.message
    if decided.flags or decided.labels:
        return rewritten_for_mbox(message, decided.edits, decided.flags, atoms(decided.labels))
    return rewritten(message, decided.edits) if decided.edits else message.chunks()
