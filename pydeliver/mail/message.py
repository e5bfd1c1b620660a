"""The message: its header block, its fields, their decoded values, all found when asked for.

Owns the header scanner, the limits on what is looked at, and the `From ` line that some callers put in front.
It refuses to change, copy or re-serialise a byte: delivery writes `chunks()`. RFC 5322, sections 2.2 and 4.5.

How a header block is read, where readers differ:
- It ends at the first empty line, LF or CRLF. A bare CR ends no line.
- A message whose first line is no field has no header block: it is all body (as Postfix takes it). `From ` lines
  and lines that start with white space are passed over before that is decided.
- A later line that is no field is skipped with its continuation lines (as Dovecot does).
- If no empty line comes at all, the block ends before the first line that is no field, so that a body without a
  separator is not searched for fields.
- A line that starts with white space continues the one before it, even if it holds nothing else.
- White space between name and colon is allowed (obsolete syntax).
"""

from __future__ import annotations

from pydeliver.mail import address, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from pydeliver.mail.mime import Part

    class Source(Protocol):
        """Where the bytes of a message are: memory or a spool file."""

        @property
        def size(self) -> int: ...

        def read(self, offset: int, length: int) -> bytes: ...

    Place = tuple[int, int, int, bytes]


# What is looked at of one message; Postfix's header_size_limit and header_address_token_limit among them.
HEAD_BYTES = 1_048_576
FIELDS = 10_000
FIELD_BYTES = 102_400
ADDRESSES = address.ADDRESSES
RAW_BODY_BYTES = 4_194_304

FIRST_READ = 16_384  # holds nearly every header block
CHUNK = 65_536
FROM_LINE_BYTES = 4_096  # a longer first line is no From_ line

# What mail servers write on top of a message (RFC 5321 section 4.4, and the manuals of Postfix and Exim).
TRACE = frozenset(
    (b"return-path", b"received", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date", b"x-envelope-to")
)

NAME_BYTES = bytes([byte for byte in range(33, 127) if byte != 0x3A])


class Message:
    """Lazy views of one message; `size` is its number of bytes."""

    __slots__ = (
        "_addresses",
        "_attachments",
        "_head",
        "_limits",
        "_named",
        "_parts",
        "_places",
        "_source",
        "_texts",
        "size",
    )

    def __init__(self, source: Source) -> None:
        self.size = source.size
        self._source = source
        self._head: bytes | None = None
        self._places: list[Place] | None = None
        self._named: dict[bytes, list[Place]] = {}  # the same by name
        self._texts: dict[str, tuple[str, ...]] = {}
        self._addresses: dict[str, tuple[address.Address, ...]] = {}
        self._parts: tuple[Part, ...] | None = None
        self._attachments: tuple[Part, ...] | None = None
        self._limits: list[str] = []

    @classmethod
    def of(cls, data: bytes) -> Message:
        return cls(_Memory(data))

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes as received, from an offset on."""
        for start in range(offset, self.size, CHUNK):
            yield self._source.read(start, CHUNK)

    @property
    def limits(self) -> tuple[str, ...]:
        """The limits that cut short what was looked at so far, for the trace."""
        return tuple(self._limits)

    @property
    def head(self) -> bytes:
        """The header block with the empty line that ends it; the first HEAD_BYTES of a longer one."""
        if self._head is None:
            self._head = self._read_head()
        return self._head

    def _read_head(self) -> bytes:
        data = self._source.read(0, FIRST_READ)
        end = ends_at(data)
        if end is None and self.size > FIRST_READ:
            data = self._source.read(0, HEAD_BYTES)
            end = ends_at(data)
        if end is None:
            if self.size > len(data):
                self.note(f"header: {HEAD_BYTES:,} bytes")
                return data
            end = fields_end(data)
        return data[:end]

    @property
    def newline(self) -> bytes:
        """How the header block ends its lines, by its first one; in a message without one, the body."""
        data = self.head or self._source.read(0, FIRST_READ)
        end = data.find(b"\n")
        return b"\r\n" if end > 0 and data[end - 1] == 0x0D else b"\n"

    def fields(self, name: str) -> tuple[bytes, ...]:
        """What stands after the colon in each field of that name, in order: as received, still folded."""
        key = name.lower().encode("utf-8", "replace")
        head = self.head
        self._fields()
        return tuple([self._cut(head[colon + 1 : end]) for _, colon, end, _ in self._named.get(key, ())])

    def _fields(self) -> list[Place]:
        if self._places is None:
            self._places = places(self.head)
            if len(self._places) > FIELDS:
                del self._places[FIELDS:]
                self.note(f"header fields: {FIELDS:,}")
            for place in self._places:
                self._named.setdefault(place[3], []).append(place)
        return self._places

    def _cut(self, value: bytes) -> bytes:
        if len(value) > FIELD_BYTES:
            self.note(f"header field: {FIELD_BYTES:,} bytes")
            return value[:FIELD_BYTES]
        return value.removesuffix(b"\r")

    def note(self, limit: str) -> None:
        """Say that a limit cut short what was looked at."""
        if limit not in self._limits:
            self._limits.append(limit)

    def texts(self, name: str) -> tuple[str, ...]:
        """The decoded value of each field of that name."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = tuple([words.decode(value) for value in self.fields(name)])
        return found

    def addresses(self, name: str) -> tuple[address.Address, ...]:
        """The addresses in all fields of that name, at most ADDRESSES."""
        found = self._addresses.get(name)
        if found is None:
            parsed: list[address.Address] = []
            for value in self.fields(name):
                parsed += address.parse(value)
                if len(parsed) >= ADDRESSES:
                    self.note(f"addresses in {name} fields: {ADDRESSES:,}")
                    del parsed[ADDRESSES:]
                    break
            found = self._addresses[name] = tuple(parsed)
        return found

    def names(self) -> tuple[str, ...]:
        """The names of all fields in order, as written."""
        head = self.head
        return tuple([_name(head, place) for place in self._fields() if is_field_name(place[3])])

    def trace(self) -> dict[str, str]:
        """The decoded fields above the first Received, the first of each lower-case name (RFC 5321 section 4.4).

        Only these can have been written by the last MTA; a message without Received has none.
        """
        head = self.head
        above: dict[str, str] = {}
        for _, colon, end, field in self._fields():
            if field == b"received":
                return above
            if is_field_name(field):
                name = field.decode("ascii")
                if name not in above:
                    above[name] = words.decode(self._cut(head[colon + 1 : end]))
        return {}

    @property
    def below_trace(self) -> int:
        """Where the header goes on below what mail servers put on top, which may differ from one try to the next."""
        for start, _, _, field in self._fields():
            if field not in TRACE:
                return start
        return len(self.head)

    def header_text(self) -> str:
        """The whole header block as a person sees it, `Name: value`, one line a field."""
        head = self.head
        shown = []
        for place in self._fields():
            _, colon, end, name = place
            if is_field_name(name):
                shown.append(f"{_name(head, place)}: {words.decode(self._cut(head[colon + 1 : end]))}")
        return "\n".join(shown)

    def parts(self) -> tuple[Part, ...]:
        """The parts in the order they stand in, the message itself first."""
        if self._parts is None:
            from pydeliver.mail.mime import walk

            self._parts = walk(self._source.read, self.size, self.head, self.note)
        return self._parts

    def attachments(self) -> tuple[Part, ...]:
        """The parts that a reader lists as files, also within forwarded messages."""
        if self._attachments is None:
            self._attachments = tuple([part for part in self.parts() if part.is_attachment])
        return self._attachments

    def body(self) -> tuple[str, ...]:
        """The text of each part that a reader shows: decoded, HTML reduced to what is seen, white space folded."""
        from pydeliver.mail import text

        return text.body(self.parts(), self.note)

    def raw_body(self) -> bytes:
        """The bytes behind the header, RAW_BODY_BYTES of them at most."""
        start = len(self.head)
        if self.size - start > RAW_BODY_BYTES:
            self.note(f"raw body: {RAW_BODY_BYTES:,} bytes")
        return self._source.read(start, RAW_BODY_BYTES)


def is_field_name(name: bytes) -> bool:
    """Whether these bytes may stand before the colon: printable ASCII without space (RFC 5322 section 2.2)."""
    return bool(name) and not name.translate(None, NAME_BYTES)


def places(head: bytes) -> list[Place]:
    """Where the fields are, at most FIELDS + 1: start, colon, end of the value, name in lower case.

    For speed the names are not looked at; what is no `is_field_name` is no field, and nobody asks for it.
    """
    # With the line break before a continuation line marked away, a field is a line, and places stay the same.
    marked = head.replace(b"\n ", b"\0 ").replace(b"\n\t", b"\0\t")
    found = []
    start = 0
    for line in marked.split(b"\n"):
        end = start + len(line)
        colon = line.find(b":")
        if colon > 0:
            found.append((start, start + colon, end, line[:colon].rstrip(b" \t").lower()))
            if len(found) > FIELDS:
                break
        start = end + 1
    return found


def _name(head: bytes, place: Place) -> str:
    start, colon, _, _ = place
    return head[start:colon].rstrip(b" \t").decode("ascii")


def ends_at(data: bytes) -> int | None:
    """Where the body starts, if the header block is seen to end within these bytes."""
    if data.startswith((b"\n", b"\r\n")):
        return data.find(b"\n") + 1
    if not _starts_with_field(data):
        return 0
    bare = data.find(b"\n\n")
    crlf = data.find(b"\n\r\n", 0, bare + 1 if bare >= 0 else len(data))  # the two may share a line feed
    if crlf >= 0:
        return crlf + 3
    return bare + 2 if bare >= 0 else None


def fields_start(data: bytes) -> int:
    """Where the first line starts that is no `From ` line left by a mailbox and does not continue nothing."""
    start = 0
    while data.startswith((b" ", b"\t"), start) or _is_from_line(data, start):
        start = data.find(b"\n", start) + 1 or len(data)
    return start


def _is_from_line(data: bytes, start: int) -> bool:
    """Whether a `From ` line starts there, and not the field `From : a@b.example` in obsolete syntax."""
    if not data.startswith((b"From ", b">From "), start):
        return False
    end = data.find(b"\n", start)
    line = data[start : len(data) if end < 0 else end]
    return not line.partition(b" ")[2].lstrip(b" \t").startswith(b":")


def _starts_with_field(data: bytes) -> bool:
    start = fields_start(data)
    end = data.find(b"\n", start)
    name, colon, _ = data[start : len(data) if end < 0 else end].partition(b":")
    return bool(colon) and is_field_name(name.rstrip(b" \t"))


def fields_end(data: bytes) -> int:
    """Where the first line starts that is neither a field nor continues one."""
    reached = fields_start(data)
    for start, _, end, name in places(data):
        if start >= reached:
            if start > reached or not is_field_name(name):
                break
            reached = end + 1
    return min(reached, len(data))


def split_from_line(data: bytes) -> tuple[bytes, str | None]:
    """The `From ` or `>From ` line that these bytes start with, or b"", and the envelope sender in it."""
    end = data.find(b"\n", 0, FROM_LINE_BYTES) + 1
    if not end or not _is_from_line(data, 0):
        return b"", None
    line = data[:end]
    rest = line[line.index(b" ") :].strip()
    quoted = rest.find(b'"@', 1) if rest.startswith(b'"') else -1
    sender = rest[: quoted + 1] + (rest[quoted + 1 :].split(None, 1) or [b""])[0]
    if not sender:
        return line, None
    return line, words.visible(sender.removeprefix(b"<").removesuffix(b">").decode(errors="replace"))


class _Memory:
    """A message that is held whole."""

    __slots__ = ("_data", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]
