"""Deliveries to an mbox for tests: prepared, committed, killed, and what is there then."""

from __future__ import annotations

import mailbox
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydeliver.mailbox import mbox, reader
from pydeliver.mailbox.mbox import Prepared
from pydeliver.mailbox.names import MBOX, Location, Store
from pydeliver.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MESSAGE = b"From: jo@example.org\nSubject: hello\n\nGood morning.\n"
FROM = b"From jo@example.org Tue Nov 14 22:13:20 2023\n"
OLD = b"From a@b.example Mon Jan  1 00:00:00 2024\nSubject: old\n\nbody\n\n"
NOW = 1_700_000_000.5


def location(box: Path, **settings: str) -> Location:
    root = str(box.parent)
    return Location(Store(root, f"mbox:{root}/inbox", "mbox", **settings), box.name, root, (box.name,), MBOX)


def notes_of(box: Path) -> Path:
    return box.parent.parent / "state" / "mbox"


def prepare(box: Path, message: bytes | Iterable[bytes] = MESSAGE, **more: Any) -> Prepared | Status:
    chunks = [message] if isinstance(message, bytes) else message
    settings = {key: more.pop(key) for key in ("sync", "locks") if key in more}
    given = {"host": "mx", "now": NOW, "sender": "jo@example.org", "notes": str(notes_of(box)), **more}
    return mbox.prepare(given.pop("location", location(box, **settings)), lambda _: chunks, **given)


def prepared(box: Path, message: bytes | Iterable[bytes] = MESSAGE, **more: Any) -> Prepared:
    made = prepare(box, message, **more)
    assert isinstance(made, Prepared), made
    return made


def deliver(box: Path, message: bytes | Iterable[bytes] = MESSAGE, **more: Any) -> Prepared:
    made = prepared(box, message, **more)
    status = made.commit()
    made.close()
    assert status.ok, status
    return made


def messages(box: Path) -> list[bytes]:
    return [one.source.read(0, one.source.size) for one in reader.entries(str(box))]


def files(box: Path) -> list[str]:
    """What there is besides the mailbox itself."""
    top = box.parent.parent
    return sorted(os.path.join(where, name) for where, _, names in os.walk(top) for name in names if name != box.name)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def standard_count(box: Path) -> int:
    """How many messages the standard library sees."""
    found = mailbox.mbox(box)
    try:
        return len(found)
    finally:
        found.close()


def crash(
    box: Path, message: Iterable[bytes] = (MESSAGE,), *, transaction: bool = False, **more: Any
) -> tuple[Any, ...]:
    """Prepare in a process that is killed before the commit; its journal's record."""
    near, far = os.pipe()
    child = os.fork()
    if not child:
        made = prepared(box, message, **more)
        if transaction:
            prepared(box, b"Subject: second\n\n", beside=[made], **more)
        os.write(far, repr(made.record).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(far)
    os.waitpid(child, 0)
    with open(near, "rb") as file:
        record: tuple[Any, ...] = eval(file.read() or b"()")
    return record


def die() -> Iterator[bytes]:
    yield b"Subject: torn\n\nhalf a"
    os.kill(os.getpid(), signal.SIGKILL)
