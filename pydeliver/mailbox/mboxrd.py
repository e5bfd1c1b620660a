"""The form of a message in an mbox: its From_ line, and the quoting of lines that look like one.

Owns the mboxrd quoting, which can be undone: every line that is `From ` behind any number of `>` gets one `>` more.
Refuses to hold more than a chunk, whatever the message. RFC 4155; lines also begin after a bare CR, since some readers
think so.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SENDER_CHARACTERS = 512  # of the From_ line, more than RFC 5321 allows
NOBODY = "MAILER-DAEMON"  # the sender of what has none


def from_line(sender: str | None, now: float) -> bytes:
    """`From jo@example.org Tue Nov 14 22:13:20 2023`, in UTC, whatever the sender is made of."""
    name = "".join([c if c.isprintable() and c != " " else "_" for c in (sender or NOBODY)[:SENDER_CHARACTERS]])
    return f"From {name} {time.asctime(time.gmtime(now))}\n".encode()


def quoted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a message with its From_-like lines quoted."""
    rest, fresh = b"", True
    for chunk in chunks:
        data = rest + chunk
        places, seen, fresh = standing(b"From ", data, fresh)
        pieces, done = [], 0
        for place in places:
            pieces += [data[done:place], b">"]
            done = place
        yield b"".join([*pieces, data[done:seen]])
        rest = data[seen:]
    yield rest


def standing(words: bytes, data: bytes, fresh: bool) -> tuple[list[int], int, bool]:
    """Where `words` stand in `data` behind nothing but `>` on their line.

    `fresh`: whether `data` itself begins so. Returns also how much of `data` needs no second look when more comes, and
    whether what follows that is fresh. Lines begin after LF and CR.
    """
    places = []
    at = 0
    while (place := data.find(words, at)) >= 0:
        if _is_fresh(data[at:place], fresh):
            places.append(place)
        at, fresh = place + len(words), False
    seen = len(data)
    for length in range(min(len(words) - 1, seen - at), 0, -1):
        if data.endswith(words[:length]):
            seen -= length
            break
    return places, seen, _is_fresh(data[at:seen], fresh)


def _is_fresh(before: bytes, fresh: bool) -> bool:
    line = before.rstrip(b">")
    return line.endswith((b"\n", b"\r")) if line else fresh
