"""The message of a rule test as bytes: what a mail program would have sent.

Nothing is invented but what makes it a message: where the test names no From, there is none. Header values that are
not ASCII become encoded words (RFC 2047), names of attachments take the form of RFC 2231. Lines end in LF, as on stdin.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Callable
from datetime import datetime
from email.header import Header
from email.utils import encode_rfc2231, format_datetime
from io import BytesIO
from mimetypes import MimeTypes
from zipfile import ZipFile, ZipInfo

from pydeliver.language.letters import ADDRESSES, HEADERS, Letter, Moment

BOUNDARY = "=_pydeliver_test"  # "=_" stands in no base64, and in no line of quoted-printable (RFC 2045 6.7)
ROOM = 30  # left free in a line of addresses for what stands before a name

_MIME = ("MIME-Version", "1.0")
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit"))
_MIXED = ("Content-Type", f'multipart/mixed; boundary="{BOUNDARY}"')
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')  # up to a comma outside quotes

Pairs = tuple[tuple[str, str], ...]


def composed(letter: Letter, local: Callable[[Moment], datetime]) -> bytes:
    """The bytes of a letter; `local` gives a moment its zone."""
    written = [
        (name, format_datetime(local(value)) if isinstance(value, Moment) else value) for name, value in letter.fields
    ]
    named = {name.lower() for name, _ in written}
    body = letter.body.encode()
    invented: Pairs = () if body.isascii() else (_MIME, *_PLAIN)
    if letter.attachments:
        invented, body = (_MIME, _MIXED), _mixed(letter)
    head = [*written, *[pair for pair in invented if pair[0].lower() not in named]]
    return _head(head) + body


def _mixed(letter: Letter) -> bytes:
    """The text, if there is one, and the attachments behind it."""
    table = MimeTypes(filenames=())  # Python's own table, which is the same on every machine
    parts = [_head(_PLAIN) + letter.body.encode()] if letter.body else []
    for one in letter.attachments:
        label = table.guess_type(one.name)[0] or "application/octet-stream"
        head = (
            ("Content-Type", label),
            ("Content-Disposition", f"attachment; {_parameter(one.name)}"),
            ("Content-Transfer-Encoding", "base64"),
        )
        parts.append(_head(head) + encodebytes(_archive(one.holding) if one.holding else bytes(one.size)))
    mark = f"--{BOUNDARY}".encode()
    return b"".join([mark + b"\n" + part + b"\n" for part in parts]) + mark + b"--\n"


def _archive(names: tuple[str, ...]) -> bytes:
    """A zip archive of empty files."""
    data = BytesIO()
    with ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(ZipInfo(name), b"")
    return data.getvalue()


def _parameter(name: str) -> str:
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'filename="{quoted}"'
    return f"filename*={encode_rfc2231(name, 'utf-8')}"


def _head(fields: Pairs | list[tuple[str, str]]) -> bytes:
    """A header block with the empty line behind it."""
    return "".join([_field(name, " ".join(value.split())) for name, value in fields]).encode() + b"\n"


def _field(name: str, value: str) -> str:
    shown = name.title() if name in HEADERS else name
    if value.isascii():
        return f"{shown}: {value}\n"
    if name.lower() in ADDRESSES:
        return f"{shown}: {', '.join([_address(one) for one in _ADDRESS.findall(value)])}\n"
    return f"{shown}: {_encoded(value, len(shown) + 2)}\n"


def _address(text: str) -> str:
    """One address, its display name in encoded words; an address that is not ASCII stays as it is (RFC 6532)."""
    name, bracket, spec = text.strip().rpartition("<")
    name = name.strip()
    if not bracket or name.isascii():
        return text.strip()
    if name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return f"{_encoded(name, ROOM)} <{spec}"


def _encoded(text: str, column: int) -> str:
    """Encoded words, in lines that leave room for what stands before them."""
    return Header(text, "utf-8", header_name="x" * column).encode()
