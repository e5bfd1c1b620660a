"""The parts of a message: where they are, what they say they are, their bytes decoded.

Owns `walk` and `Part`. It holds no body: a part is places in the message, read when asked for. It refuses recursion,
and to look further than the limits below, which stand in the trace when they are hit. RFC 2045, 2046, 2183, 2231.

How structure is read, where readers differ:
- A delimiter is a line that starts with `--` and a boundary (RFC 2046 section 5.1.1), of several the longest, of equal
  ones the innermost. One of an outer part ends all parts within. What comes before the first and after the last is
  no part; a last one that is missing is the end of what is around.
- A multipart in which no part begins, or without a boundary, holds one text part: all of its body.
- A header block in a part is read as that of a message; a delimiter ends it too. Lines without a field at its end are
  the body's, as if the empty line had been forgotten, but in base64, where they would spoil what follows.
- Of several Content-Type fields the first and the last are looked at, and a multipart wins, as does an encoding of
  several Content-Transfer-Encoding: what is hidden from one reader is shown by another. Both boundaries of two count.
- A message in a message is walked into, unless it is encoded (which RFC 2046 forbids), then it is a part like others.
"""

from __future__ import annotations

from pydeliver.mail import parameters, transfer
from pydeliver.mail.message import CHUNK, FIELD_BYTES, FIELDS, HEAD_BYTES, ends_at, fields_end, is_field_name, places
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydeliver.mail.message import Place

    Read = Callable[[int, int], bytes]
    Note = Callable[[str], None]
    Open = tuple["Part", "_Sought"]  # a part with the delimiters that are sought outside of it

# What is looked at: nesting and parts as Dovecot has them. The header blocks of parts are bounded in all too, since
# there may be 10,000; so are the names of one part, which no honest sender gives more than two.
NESTING = 100
PARTS = 10_000
PART_HEAD_BYTES = 65_536
PART_HEADS_BYTES = 2_097_152
BOUNDARY_BYTES = 998  # of a longer one these are compared; no line of mail is longer (RFC 5322 section 2.1.1)
NAMES = 16

FIRST_READ = 4_096  # holds nearly every header block of a part
COMMON_BYTES = 70  # of what all boundaries start with is searched for at once

TEXT, MESSAGE = "text/plain", "message/rfc822"
MESSAGES = (MESSAGE, "message/global", "message/news", "message/external-body")


class Part:
    """One part: its header block is at `start`, its body from `body` to `end`; `parent` is the number of its parent.

    `type` is its label, lower case (without one text/plain, in a digest message/rfc822), `encoding` the lower-case
    transfer encoding, "" without one. `is_container`: a multipart, or a message that is walked into. The message itself
    is part 0, with parent -1 and depth 0.
    """

    __slots__ = (
        "_dispositions",
        "_names",
        "_note",
        "_read",
        "_types",
        "body",
        "depth",
        "encoding",
        "end",
        "index",
        "is_container",
        "parent",
        "start",
        "type",
    )

    def __init__(self, walk: _Walk, start: int, head: bytes, parent: Part | None) -> None:
        self._read, self._note = walk.read, walk.note
        self.index = len(walk.parts)
        self.parent = -1 if parent is None else parent.index
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.start, self.body, self.end = start, start + len(head), walk.size
        self._names: tuple[str, ...] | None = None
        fields = places(head)
        if len(fields) > FIELDS:
            self._note(f"header fields: {FIELDS:,}")
            del fields[FIELDS:]
        self._types, self._dispositions, encodings = _content_fields(head, fields)
        named = [parameters.label(field) for field in encodings] or [""]
        self.encoding: str = next((name for name in named if transfer.is_encoded(name)), named[0])
        default = MESSAGE if parent is not None and parent.type == "multipart/digest" else TEXT
        self.type: str = _type(self._types, default)
        self.is_container = self.is_multipart or _is_message(self)

    @property
    def is_multipart(self) -> bool:
        return self.type.startswith("multipart/")

    @property
    def is_attachment(self) -> bool:
        """Whether a reader lists it as a file: no multipart, and labelled so, or with a name, or no text.

        A text part with a name that is shown inline is both an attachment and part of the text. A disposition other
        than inline is an attachment (RFC 2183 section 2.8).
        """
        if self.is_multipart:
            return False
        return self.disposition not in ("", "inline") or not self.type.startswith("text/") or bool(self.names())

    @property
    def disposition(self) -> str:
        """The label of the first Content-Disposition, lower case, "" without one."""
        return parameters.label(self._dispositions[0]) if self._dispositions else ""

    def fields(self, name: str) -> tuple[bytes, ...]:
        """What stands after the colon in each field of that name: as received, still folded."""
        head = self._read(self.start, min(self.body - self.start, HEAD_BYTES if self.parent < 0 else PART_HEAD_BYTES))
        key = name.lower().encode("utf-8", "replace")
        return tuple([head[colon + 1 : end][:FIELD_BYTES] for _, colon, end, field in places(head) if field == key])

    def parameter(self, name: str) -> tuple[str, ...]:
        """Every value that a reader may take for this parameter of Content-Type, likeliest first, distinct."""
        return tuple(dict.fromkeys([parameters.shown(one) for one in self._readings(self._types, name.encode())]))

    def names(self) -> tuple[str, ...]:
        """Every file name that any syntax gives this part, likeliest first, distinct, as a person sees them."""
        if self._names is None:
            found = self._readings(self._dispositions, b"filename", b"name")
            found += self._readings(self._types, b"name", b"filename")
            found = list(dict.fromkeys(found))
            if len(found) > NAMES:
                self._note(f"names of a part: {NAMES:,}")
                del found[NAMES:]
            shown = [parameters.shown(reading) for reading in found]
            self._names = tuple(dict.fromkeys([name for name in shown if name]))
        return self._names

    def _readings(self, fields: tuple[bytes, ...], *names: bytes) -> list[parameters.Reading]:
        found = []
        for field in fields:
            lower = field.lower()
            if not any([name in lower for name in names]):
                continue
            given = parameters.split(field)
            if len(given) > parameters.PARAMETERS:
                self._note(f"parameters of a field: {parameters.PARAMETERS:,}")
                del given[parameters.PARAMETERS :]
            for name in names:
                found += parameters.readings(given, name)
        return found

    def as_text(self, walk: _Walk) -> Part:
        """The text part that a multipart without delimiters is."""
        text = Part(walk, self.body, b"", self)
        text.type, text.encoding, text.end = TEXT, self.encoding, self.end
        return text

    def delimiters(self) -> tuple[bytes, ...]:
        """What the lines between its parts start with: `--` and the first and the last value of boundary."""
        found = [value.rstrip()[:BOUNDARY_BYTES] for _, value in self._readings(self._types, b"boundary")]
        return tuple(dict.fromkeys([b"--" + value for value in _both_ends(tuple(found)) if value]))

    def chunks(self, length: int = CHUNK) -> Iterator[bytes]:
        """The body as received."""
        for start in range(self.body, self.end, length):
            yield self._read(start, min(length, self.end - start))

    def decoded(self, limit: int) -> bytes:
        """The body without its transfer encoding, the first `limit` bytes; a container has none (RFC 2045, 6.4)."""
        kept, size = [], 0
        chunks = self.chunks(max(FIRST_READ, min(2 * limit, CHUNK)))
        for piece in chunks if self.is_container else transfer.decoded(chunks, self.encoding):
            kept.append(piece)
            size += len(piece)
            if size >= limit:
                break
        return b"".join(kept)[:limit]

    def decoded_size(self) -> int:
        """The bytes of the body without its transfer encoding; reads all of it, holds none of it."""
        if transfer.is_encoded(self.encoding) and not self.is_container:
            return sum([len(piece) for piece in transfer.decoded(self.chunks(), self.encoding)])
        return self.end - self.body


def walk(read: Read, size: int, head: bytes, note: Note, chunk: int = CHUNK) -> tuple[Part, ...]:
    """The parts in the order they stand in, the message itself first; `head` is its header block.

    `read(offset, length)` gives its bytes, `note` is told which limits were hit.
    """
    return _Walk(read, size, note, chunk).run(head)


class _Sought(Value):
    """The delimiters that are sought: each with the level of the innermost part that has it.

    `starts` are the same, `lengths` theirs, the longest first; `needle` is how all start, with the line feed before.
    """

    levels: dict[bytes, int]
    starts: tuple[bytes, ...]
    lengths: tuple[int, ...]
    needle: bytes

    def and_those_of(self, part: Part) -> _Sought:
        levels, lengths, needle = dict(self.levels), self.lengths, self.needle
        for delimiter in part.delimiters():
            levels[delimiter] = part.depth
            if len(delimiter) not in lengths:
                lengths = tuple(sorted((*lengths, len(delimiter)), reverse=True))
            line = b"\n" + delimiter[:COMMON_BYTES]
            needle = needle or line
            while not line.startswith(needle):
                needle = needle[:-1]
        return _Sought(levels, tuple(levels), lengths, needle)


class _Walk:
    """One way through a message: the parts found, those that are open, and a window on the bytes."""

    __slots__ = (
        "_base",
        "_chunk",
        "_heads",
        "_open",
        "_sought",
        "_window",
        "note",
        "parts",
        "read",
        "size",
    )

    def __init__(self, read: Read, size: int, note: Note, chunk: int) -> None:
        self.read, self.size, self.note, self._chunk = read, size, note, chunk
        self.parts: list[Part] = []
        self._heads = 0  # bytes of the header blocks of parts
        self._open: list[Open] = []  # from the message down to the part at hand
        self._sought = _Sought({}, (), (), b"")
        self._base, self._window = 0, b""

    def run(self, head: bytes) -> tuple[Part, ...]:
        start: int | None = 0
        while start is not None:
            inside = self._enter(start, head)
            start += len(head)
            if not inside:
                start = self._next_part(start)
            if start is not None and self._full():
                break
            head = b"" if start is None else self._head(start)
        self._leave(0, self.size)
        return tuple(self.parts)

    def _full(self) -> bool:
        """Whether a limit allows no further part."""
        if len(self.parts) >= PARTS:
            self.note(f"parts: {PARTS:,}")
        elif self._heads >= PART_HEADS_BYTES:
            self.note(f"headers of parts: {PART_HEADS_BYTES:,} bytes")
        else:
            return False
        return True

    def _enter(self, start: int, head: bytes) -> bool:
        """Open the part that starts here; True if a message starts where its body does."""
        part = Part(self, start, head, self._open[-1][0] if self._open else None)
        self.parts.append(part)
        deeper = part.is_container and part.depth < NESTING
        if part.is_container and not deeper:
            self.note(f"nested parts: {NESTING:,}")
        self._open.append((part, self._sought))
        if deeper and part.is_multipart:
            self._sought = self._sought.and_those_of(part)
        return deeper and not part.is_multipart

    def _next_part(self, at: int) -> int | None:
        """Where the next part starts, if a delimiter is found from the line on that starts here."""
        while (found := self._delimiter(at)) is not None:
            line, delimiter, last = found
            level = self._sought.levels[delimiter]
            self._leave(level + 1, line - len(self._line_break(line)))
            at = self._line_end(line)
            if not last:
                return at
            self._sought = self._open[level][1]
        return None

    def _leave(self, level: int, end: int) -> None:
        """End the open parts from this level down."""
        for part, _ in reversed(self._open[level:]):
            # Two delimiters in a row share a line break: the part between them ends behind it, and so do those around.
            part.end = end = max(part.body, end)
            childless = part.is_multipart and part is self.parts[-1] and part.depth < NESTING
            if childless and part.end > part.body and len(self.parts) < PARTS:
                self.parts.append(part.as_text(self))
        if level < len(self._open):
            self._sought = self._open[level][1]
            del self._open[level:]

    # -- lines --

    def _head(self, start: int) -> bytes:
        """The header block of the part that starts here."""
        for length in (FIRST_READ, PART_HEAD_BYTES):
            data = self.read(start, length)
            end = ends_at(data)
            stop = self._first_line(data if end is None else data[:end])
            if stop is not None or end is not None:
                break
        else:
            if start + len(data) < self.size:
                self.note(f"header of a part: {PART_HEAD_BYTES:,} bytes")
            else:
                end = fields_end(data)
        head = data[: end if stop is None else stop]
        self._heads += len(head)
        return head[: _fields_end(head)]

    def _first_line(self, data: bytes) -> int | None:
        """Where the first delimiter is in bytes that start with a line."""
        starts, needle = self._sought.starts, self._sought.needle
        line = 0
        while starts:
            if data.startswith(starts, line):
                return line
            line = data.find(needle, line) + 1
            if not line:
                break
        return None

    def _delimiter(self, at: int) -> tuple[int, bytes, bool] | None:
        """The first line with a delimiter, from the line on that starts here; its delimiter; whether it is a last."""
        starts, lengths, needle = self._sought.starts, self._sought.lengths, self._sought.needle
        if not starts:
            return None
        reach = lengths[0] + len(b"--")
        line = at
        while True:
            place = self._look(line, reach)
            if self._window.startswith(starts, place):
                text = self._window[place : place + reach]
                delimiter = next(text[:length] for length in lengths if text[:length] in self._sought.levels)
                return line, delimiter, text.startswith(b"--", len(delimiter))
            while (found := self._window.find(needle, place)) < 0:
                line = self._base + len(self._window)
                if line >= self.size:
                    return None
                place = self._look(line - len(needle) + 1, len(needle))
            line = self._base + found + 1

    def _line_end(self, at: int) -> int:
        """Where the line after this place begins."""
        place = self._look(at, 1)
        while (found := self._window.find(b"\n", place)) < 0:
            at = self._base + len(self._window)
            if at >= self.size:
                return self.size
            place = self._look(at, 1)
        return self._base + found + 1

    def _line_break(self, line: int) -> bytes:
        """The line break before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1)."""
        before = self.read(max(line - 2, 0), min(line, 2))
        return before if before == b"\r\n" else before[-1:]

    def _look(self, at: int, length: int) -> int:
        """Have that many bytes from here on in the window, as far as there are; where in it they are."""
        if at < self._base or (at + length > self._base + len(self._window) < self.size):
            self._base = at
            self._window = self.read(at, max(self._chunk, length))
        return at - self._base


def _fields_end(head: bytes) -> int:
    """Where the body starts: before lines at the end that are no field, where these can be text that a reader shows."""
    fields = [place for place in places(head) if is_field_name(place[3])]
    end = fields[-1][2] + 1 if fields else 0
    if not head[end:].strip(b"\r\n"):
        return len(head)
    _, _, encodings = _content_fields(head, fields)
    return len(head) if any([parameters.label(field) in transfer.DENSE for field in encodings]) else end


def _content_fields(head: bytes, fields: list[Place]) -> list[tuple[bytes, ...]]:
    """The Content-Type, Content-Disposition and Content-Transfer-Encoding fields, the first and the last of each."""
    found: dict[bytes, list[bytes]] = {
        b"content-type": [],
        b"content-disposition": [],
        b"content-transfer-encoding": [],
    }
    for _, colon, end, name in fields:
        if name in found:
            found[name].append(head[colon + 1 : min(end, colon + 1 + FIELD_BYTES)])
    return [_both_ends(tuple(values)) for values in found.values()]


def _both_ends(values: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return values[:1] + values[1:][-1:]


def _type(fields: tuple[bytes, ...], default: str) -> str:
    """The type that the fields name; what is no `type/subtype` is text/plain (RFC 2045 section 5.2)."""
    named = [parameters.label(field) for field in fields] or [default]
    named = [name if name.count("/") == 1 and name[0] != "/" != name[-1] else TEXT for name in named]
    return next((name for name in named if name.startswith("multipart/")), named[0])


def _is_message(part: Part) -> bool:
    """Whether the body is a message to walk into; of a message in pieces only the first starts with a header."""
    if part.encoding in transfer.DENSE:
        return False
    return part.type in MESSAGES or (part.type == "message/partial" and "1" in part.parameter("number"))
