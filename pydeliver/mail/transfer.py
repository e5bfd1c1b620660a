"""Transfer encodings undone: base64, quoted-printable, uuencode; any other body is what it says.

Owns `decoded`, an iterator over a body's bytes, in memory bounded by the chunk it is given. It never raises: what is
malformed is read as mail readers read it. RFC 2045, sections 6.7 and 6.8; uuencode as in POSIX.1-2017.

Read beyond the RFC: in base64 all that is no letter of it is passed over, missing padding is added, padding in the
middle ends four letters and decoding goes on behind it (a known way to hide the rest from a scanner); in
quoted-printable a `=` that encodes nothing stays, white space behind a soft line break goes.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, a2b_qp, a2b_uu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UUENCODE = ("x-uuencode", "uuencode", "x-uue")
DENSE = ("base64", *UUENCODE)  # in these no line of the body stands as it is

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_JUNK = bytes([byte for byte in range(256) if byte not in _LETTERS])
_UU_LINE = 128  # bytes: a line of 45 bytes takes 61


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The pieces of a body whose raw bytes come in chunks; `encoding` is the lower-case label."""
    if encoding == "base64":
        return _base64(chunks)
    if encoding == "quoted-printable":
        return _quoted_printable(chunks)
    if encoding in UUENCODE:
        return _uuencode(chunks)
    return iter(chunks)


def is_encoded(encoding: str) -> bool:
    """Whether the body stands for other bytes than its own."""
    return encoding in DENSE or encoding == "quoted-printable"


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    kept = b""  # at most three letters that wait for their fourth
    for chunk in chunks:
        letters = kept + chunk.translate(None, _JUNK)
        while b"==" in letters:
            letters = letters.replace(b"==", b"=")
        *padded, kept = letters.split(b"=") if b"=" in letters else (letters,)
        if padded:
            made, kept = _with_padding(padded, kept)
            yield made
        whole = len(kept) // 4 * 4
        yield a2b_base64(kept[:whole])
        kept = kept[whole:]
    if len(kept) > 1:
        yield a2b_base64(kept + b"==")


def _with_padding(padded: list[bytes], rest: bytes) -> tuple[bytes, bytes]:
    """Decode what stands before each `=`; one that comes too early in its four letters is passed over."""
    made = []
    kept = b""
    for letters in padded:
        kept += letters
        part = len(kept) % 4
        if part > 1:
            made.append(a2b_base64(kept + b"=="))
            kept = b""
        elif len(kept) > 3:
            made.append(a2b_base64(kept[: len(kept) - part]))
            kept = kept[len(kept) - part :]
    return b"".join(made), kept + rest


def _quoted_printable(chunks: Iterable[bytes]) -> Iterator[bytes]:
    kept = b""
    for chunk in chunks:
        data = kept + chunk
        # A line break or an escape is not torn: keep what follows the last line, or a `=` near the end.
        end = data.rfind(b"\n") + 1
        if not end:
            end = data.find(b"=", max(len(data) - 2, 0))
            end = len(data) if end < 0 else end
        whole, kept = data[:end], data[end:]
        # A `=` at the end of it stands before another, so it encodes nothing.
        yield _unquoted(whole + b"3D" if whole.endswith(b"=") else whole)
    yield _unquoted(kept)


def _unquoted(data: bytes) -> bytes:
    if b"=" not in data:
        return data
    if b"= " in data or b"=\t" in data:
        lines = data.replace(b"\r\n", b"\n").split(b"\n")
        data = b"\n".join([line.rstrip(b" \t") if b"= " in line or b"=\t" in line else line for line in lines])
    while b"==" in data:  # a2b_qp takes two for one
        data = data.replace(b"==", b"=3D=")
    # It drops all between "=\r" and the next line feed.
    return a2b_qp(data.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=\n"))


def _uuencode(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines between `begin` and `end`; both may be missing."""
    kept = b""
    for chunk in chunks:
        *lines, kept = (kept + chunk).split(b"\n")
        yield b"".join([_uu_line(line) for line in lines])
        kept = kept[:_UU_LINE]
    yield _uu_line(kept)


def _uu_line(line: bytes) -> bytes:
    line = line.rstrip(b"\r")[:_UU_LINE]
    if not line or line == b"end" or line.startswith(b"begin "):
        return b""
    try:
        return a2b_uu(line)
    except Error:  # letters behind what the first one counts, as some encoders leave them
        needed = (((line[0] - 32) & 63) * 4 + 5) // 3
        try:
            return a2b_uu(line[:needed])
        except Error:
            return b""
