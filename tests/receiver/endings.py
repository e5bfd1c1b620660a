"""What looks like the end of a message and is none: 838 ways, each followed by a whole second transaction."""

from __future__ import annotations

import itertools

LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\r\n\r", b"\n\r", b"\0\r\n", b"\r\n\0", b"\n\n", b"\r\0\n", b"")
DOTS = (b".", b".\0", b"\0.", b". ", b".\t", "．".encode(), b"..")
NOT_THE_END = tuple(
    before + dot + behind
    for before, dot, behind in itertools.product(LINE_ENDS, DOTS, LINE_ENDS)
    if b"\r\n.\r\n" not in before + dot + behind
    and not (before.endswith(b"\r\n") and dot == b"." and behind.startswith(b"\r\n"))
)
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<robin@example.net>\r\nDATA\r\nsecond\r\n.\r\nQUIT\r\n"
HEAD = b"Subject: first\r\n\r\nbody"
WAYS = ("whole", "bytes", "cut")


def text(looks_like: bytes) -> bytes:
    return HEAD + looks_like + SMUGGLED


def stored(looks_like: bytes) -> bytes:
    """What of it is the message, as it is stored: all up to the first real end."""
    whole = text(looks_like)
    return whole[: whole.index(b"\r\n.\r\n") + 2].replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n")


def segments(looks_like: bytes, way: str) -> list[list[bytes]]:
    """The text in one piece, in pieces of a byte, or in two, once for each place of what looks like an end."""
    whole = text(looks_like)
    if way == "whole":
        return [[whole]]
    if way == "bytes":
        return [[bytes([byte]) for byte in whole]]
    places = range(len(HEAD), len(HEAD) + len(looks_like) + 1)
    return [[whole[:place], whole[place:]] for place in places]
