"""A message as it is sent on: without the Return-Path of the delivery at hand, which the next one writes anew, and with

a Delivered-To that says whose it was, so that it is known when it comes back. Every other byte stays, so that
signatures hold. RFC 5321 section 4.4, RFC 6376 section 5.4.1.
"""

from __future__ import annotations

from pydeliver.mail import message
from pydeliver.mail.edit import Edit, edited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def forwarded(whole: message.Message, edits: tuple[Edit, ...], owner: str) -> Iterator[bytes]:
    """The message after its edits, for the mail server to send on."""
    if owner and whole.head and whole.trace().get("delivered-to") != owner:
        edits = (*edits, Edit("add", "Delivered-To", owner))
    yield edited(_without_return_path(whole.head), edits, whole.newline)
    yield from whole.chunks(len(whole.head))


def _without_return_path(head: bytes) -> bytes:
    """Without those that stand among what mail servers put on top."""
    kept, done = [], 0
    for start, _, end, name in message.places(head):
        if name not in message.TRACE or name == b"received":
            break
        if name == b"return-path":
            kept.append(head[done:start])
            done = end + 1
    return b"".join([*kept, head[done:]])
