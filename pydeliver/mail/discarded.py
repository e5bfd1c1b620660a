"""A discarded message as the quarantine keeps it: one field on top says why and when; and the way back.

Owns that field. `kept` puts it above the bytes received, of which not one is changed, so that signatures hold, and
`read` tells how many bytes to pass over to have them again. It trusts no field but the one that a file begins with: a
sender can write one too. Where a program has edited the file since, nothing is cut away.
"""

from __future__ import annotations

from pydeliver.mail import words
from pydeliver.mail.edit import Edit, edited
from pydeliver.mail.message import Message
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FIELD = "X-Pydeliver-Discarded"
HEADER_ONLY = "of which only the header is kept"
NOTE_BYTES = 65_536  # more than the field can have


class Note(Value):
    """What the field says: how large the message was, whether all of it is `whole`, when and why it was discarded.

    The message stands behind the first `skip` bytes.
    """

    size: int
    whole: bool
    when: str
    why: str
    skip: int


def kept(message: Message, when: str, why: str, largest: int) -> Iterator[bytes]:
    """The message with the field on top; of one that is larger than `largest` bytes the header block alone."""
    whole = message.size <= largest
    said = [f"{message.size} bytes", *([] if whole else [HEADER_ONLY]), when, why]
    newline = message.newline
    # Made without a header block, the field has an empty line behind it, which a message with one brings along.
    note = edited(b"", (Edit("add", FIELD, ", ".join(said)),), newline)
    yield note[: -len(newline)] if message.head else note
    if whole:
        yield from message.chunks()
    else:
        yield message.head


def read(start: bytes, size: int) -> Note | None:
    """The note in a file of `size` bytes that begins with `start` (NOTE_BYTES of them); None where it has none."""
    if not start.startswith(f"{FIELD}:".encode()):
        return None
    end = _line_end(start, 0)
    while start.startswith((b" ", b"\t"), end):
        end = _line_end(start, end)
    told, comma, rest = words.decode(start[len(FIELD) + 1 : end]).strip().partition(" bytes, ")
    if not comma or not told.isdecimal():
        return None
    limited = rest.startswith(f"{HEADER_ONLY}, ")
    when, _, why = rest.removeprefix(f"{HEADER_ONLY}, ").partition(", ")
    # The message may begin with white space, as if it went on with the field: its size tells where it begins.
    skip = end if limited else size - int(told)
    own = start[end:skip] in (b"", b"\n", b"\r\n") and start[skip - 1 : skip] == b"\n"
    return Note(int(told), not limited, when, why, skip) if own and skip > len(FIELD) else None


def _line_end(data: bytes, start: int) -> int:
    """Where the next line begins."""
    return data.find(b"\n", start) + 1 or len(data)
