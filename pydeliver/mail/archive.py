"""The names of the files in a zip archive, read without unpacking anything.

Owns `read`. The reader of an archive goes by the central directory at its end, or by the headers in front of the
files, and a cheat makes the two differ; so the names of both are given, and of what the one hides from the other.
It works on what there is of an archive: with something in front of it (a program that unpacks itself), cut short, or
with a directory that lies. It refuses to decompress and to open archives within archives: those are names.
PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 16 (its end, zip64).
"""

from __future__ import annotations

from pydeliver.mail import words
from pydeliver.status import Value

# What is looked at of one archive, and what is held of it, decoded.
NAMES = 1_000
BYTES = 16_777_216
EXTRA_FIELDS = 16  # of one header

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR = b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _LOCATOR_BYTES = 22, 20
_COMMENT = 65_535
_NOT_HERE = 0xFFFFFFFF  # the number stands in a zip64 field

_ENCRYPTED, _UTF_8 = 1, 1 << 11  # flags (4.4.4)
_UNICODE_PATH = 0x7075  # extra field (4.6.9)


class Archive(Value):
    """The names in an archive in order, each once; whether a file in it is encrypted; the limit that hid the rest."""

    names: tuple[str, ...]
    encrypted: bool
    limit: str


class _Found:
    """What was found so far."""

    __slots__ = ("encrypted", "limit", "names")

    def __init__(self, limit: str) -> None:
        self.names: dict[bytes, str] = {}
        self.encrypted = False
        self.limit = limit

    def add(self, raw: bytes, flags: int) -> None:
        if raw not in self.names:
            if len(self.names) == NAMES:
                self.limit = f"names in an archive: {NAMES:,}"
            else:
                self.names[raw] = _text(raw, flags)


def read(data: bytes) -> Archive | None:
    """The archive that these bytes are or end with, BYTES + 1 of them if there are more; None if they do not."""
    cut = len(data) > BYTES
    start = data.find(_LOCAL)
    if start != 0 and _end(data) < 0 and not (cut and start > 0 and data.startswith(b"MZ")):
        return None
    found = _Found(f"archive: {BYTES:,} bytes" if cut else "")
    directory = _directory(data)
    if directory >= 0:
        _walk(data, directory, found)
    if start >= 0:
        _walk(data, start, found)
    return Archive(tuple(dict.fromkeys(found.names.values())), found.encrypted, found.limit)


def _walk(data: bytes, at: int, found: _Found) -> None:
    """Take one header after the other; where none stands, the next one is searched for."""
    headers = 0
    local = central = 0  # where the next of each is, kept until it is passed
    while headers <= 2 * NAMES:
        if not data.startswith((_LOCAL, _CENTRAL), at):
            if local < at:
                local = _find(data, _LOCAL, at)
            if central < at:
                central = _find(data, _CENTRAL, at)
            at = min(local, central)
            if at == len(data):
                return
        headers += 1
        at = _local(data, at, found) if data.startswith(_LOCAL, at) else _central(data, at, found)
    found.limit = f"names in an archive: {NAMES:,}"


def _find(data: bytes, signature: bytes, at: int) -> int:
    place = data.find(signature, at)
    return len(data) if place < 0 else place


def _local(data: bytes, at: int, found: _Found) -> int:
    """Take the header in front of a file, and return where the file ends."""
    _entry(data, at + 6, at + 26, at + 30, found)
    size = _number(data, at + 18, 4)
    name, extra = _number(data, at + 26, 2), _number(data, at + 28, 2)
    # A size that is not known here is 0 or _NOT_HERE: the next header is searched for.
    return at + 30 + name + extra + (0 if size == _NOT_HERE else size)


def _central(data: bytes, at: int, found: _Found) -> int:
    """Take a header of the central directory, and return where it ends."""
    _entry(data, at + 8, at + 28, at + 46, found)
    name, extra, comment = [_number(data, at + offset, 2) for offset in (28, 30, 32)]
    return at + 46 + name + extra + comment


def _entry(data: bytes, flags_at: int, lengths_at: int, name_at: int, found: _Found) -> None:
    """Take the name of one header, and the other name that an extra field may give."""
    flags = _number(data, flags_at, 2)
    end = name_at + _number(data, lengths_at, 2)
    raw = data[name_at:end]
    if raw:
        found.add(raw, flags)
    found.encrypted = found.encrypted or bool(flags & _ENCRYPTED)
    stop = min(end + _number(data, lengths_at + 2, 2), len(data))
    for _ in range(EXTRA_FIELDS):
        if end + 4 > stop:
            break
        kind, size = _number(data, end, 2), _number(data, end + 2, 2)
        if kind == _UNICODE_PATH:
            found.add(data[end + 9 : min(end + 4 + size, stop)], _UTF_8)
        end += 4 + size


def _directory(data: bytes) -> int:
    """Where the central directory starts that the end of the archive tells of, or -1."""
    end = _end(data)
    if end < 0:
        return -1
    size, offset = _number(data, end + 12, 4), _number(data, end + 16, 4)
    locator = end - _LOCATOR_BYTES
    if offset == _NOT_HERE and data.startswith(_LOCATOR, max(locator, 0)):
        end = data.rfind(_END64, 0, locator)
        if end < 0:
            return -1
        size, offset = _number(data, end + 40, 8), _number(data, end + 48, 8)
    for start in (end - size, offset):  # the one holds with something in front of the archive too
        if 0 <= start < len(data) and data.startswith(_CENTRAL, start):
            return start
    return -1


def _end(data: bytes) -> int:
    """Where the record stands that ends an archive, or -1."""
    return data.rfind(_END, max(len(data) - _END_BYTES - _COMMENT, 0))


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _text(raw: bytes, flags: int) -> str:
    """A name as it is written: UTF-8 where a flag says so or it can be nothing else, else code page 437 (D.1, D.2)."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("utf-8" if flags & _UTF_8 else "cp437", "replace")
    return words.visible(text.partition("\0")[0] or text)
