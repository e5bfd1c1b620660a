"""The text of a message as it comes over the wire: where it ends, and what it says.

RFC 5321 4.1.1.4 and 4.5.2. The end is CR LF dot CR LF as bytes, and nothing that looks like it to somebody: no bare LF
or CR begins a line here, so nobody can smuggle a second message in. One normal form is stored: each CR LF becomes LF,
as every program on this side of the wire writes lines; a bare CR, a bare LF and NUL stay the bytes that they are, as
they do through the other doors. A mail server that hands them over by LMTP has accepted them long ago, and a refusal
would only be a bounce; by SMTP they are refused, because what is passed on must not mean something else to others.
"""

from __future__ import annotations

END = b"\r\n.\r\n"
# What may yet become the end, or a dot that was doubled, when more comes; longest first.
_BEGUN = tuple([END[:length] for length in range(len(END) - 1, 0, -1)])


class DataReader:
    """Takes the bytes behind DATA as they come. `size` is that of the message as it was sent (RFC 1870).

    `strays` says whether a CR, an LF or a NUL has come that stands alone.
    """

    __slots__ = ("_at_start", "_pending", "rest", "size", "strays")

    def __init__(self) -> None:
        self._pending = b"\r\n"  # the text begins at a line's beginning: a dot alone ends it at once
        self._at_start = True
        self.rest: bytes | None = None  # what came behind the end, when it has come
        self.size = 0
        self.strays = False

    def read(self, data: bytes) -> bytes:
        """The text that is certain by now. When `rest` is there, it was the last of it."""
        data = self._pending + data
        at = data.find(END)
        if at >= 0:
            self.rest, data = data[at + len(END) :], data[: at + 2]
            self._pending = b""
        else:
            self._pending = next((begun for begun in _BEGUN if data.endswith(begun)), b"")
            data = data[: len(data) - len(self._pending)]
        if not data:
            return b""
        text = data.replace(b"\r\n.", b"\r\n")
        self.size += len(text) - 2 * self._at_start
        sent = len(text)
        text = text.replace(b"\r\n", b"\n")
        if text.count(b"\n") != sent - len(text) or b"\r" in text or b"\0" in text:
            self.strays = True
        if self._at_start:
            self._at_start = False
            return text[1:]
        return text
