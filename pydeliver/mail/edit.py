"""Changes to a header block that a rule asks for, spliced into the bytes received.

Owns `Edit`, `edited`, the header of a message in an mbox, and the whole message in these forms. It refuses to touch a
byte of any other field, so that signatures over them stay valid, and to write a value that is more than one field:
line breaks and control characters become spaces. RFC 5322 section 2.2 (line lengths), RFC 2047 (encoded words), RFC
6376 section 5.4.2 (which of several fields a signature covers).

New fields stand on top of the block: a signature counts fields of one name from the bottom, so there it holds.
A field that the limit on the header block cut through is left alone, and so are fields after the first
`message.FIELDS`.
"""

from __future__ import annotations

from pydeliver.mail import message, words
from pydeliver.mail.folding import fold
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = 76  # characters wanted in a line, the limit RFC 2047 section 2 gives
LINE_LIMIT = 998  # and never more (RFC 5322 section 2.1.1)
WORD_BYTES = 42  # of UTF-8 in one encoded word: base64 makes 56 of it
WORD_FRAME = len("=?utf-8?B??=")

_OF_A_MAILBOX = (b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imap", b"x-imapbase", b"content-length")
_MARKS = (("R", "A"), ("F", "F"), ("T", "D"), ("D", "T"))  # Maildir's letters and those of X-Status

_CONTROLS = dict.fromkeys([*range(32), *range(127, 160), 0x2028, 0x2029], " ")


class Edit(Value):
    """One change: `action` is "set", "add", "remove" or "prefix-subject" (which needs no name)."""

    action: str
    name: str
    value: str = ""

    def describe(self) -> str:
        """One line, as a rule would say it."""
        if self.action == "prefix-subject":
            return f"prefix subject {_quoted(self.value)}"
        change = f"{self.action} header {_quoted(self.name)}"
        return change if self.action == "remove" else f"{change} = {_quoted(self.value)}"


def _quoted(text: str) -> str:
    return '"' + words.visible(text.translate(_CONTROLS)).replace("\\", "\\\\").replace('"', '\\"') + '"'


def edited(head: bytes, edits: tuple[Edit, ...], newline: bytes = b"\n") -> bytes:
    """The header block after the edits, in order. `newline` is for a head that has no line; raises on a bad name."""
    end = head.find(b"\n")
    if end >= 0:
        newline = b"\r\n" if end and head[end - 1] == 0x0D else b"\n"
    cut = len(head) >= message.HEAD_BYTES and not head.endswith((b"\n\n", b"\n\r\n"))
    for edit in edits:
        head = _applied(head, edit, newline, cut)
    return head


def mbox_head(head: bytes, flags: str, keywords: tuple[str, ...], newline: bytes = b"\n") -> bytes:
    """The header block as an mbox wants it: what it says of another mailbox put aside, marks and keywords on top.

    The fields by which mailboxes keep their state, and Content-Length, by which some readers find the next message,
    become `X-Original-…` where they stand. `flags` are Maildir letters; `newline` is for a head that has no line.
    """
    kept = []
    done = 0
    for start, _, _, key in message.places(head):
        if key in _OF_A_MAILBOX:
            kept += [head[done:start], b"X-Original-"]
            done = start
    head = b"".join([*kept, head[done:]])
    marks = "".join([letter for flag, letter in _MARKS if flag in flags])
    state = (("Status", "RO" if "S" in flags else ""), ("X-Status", marks), ("X-Keywords", " ".join(keywords)))
    return edited(head, tuple([Edit("add", name, value) for name, value in reversed(state) if value]), newline)


def rewritten(whole: message.Message, edits: tuple[Edit, ...]) -> Iterator[bytes]:
    """A message with its header edited, all else as received."""
    yield edited(whole.head, edits, whole.newline)
    yield from whole.chunks(len(whole.head))


def rewritten_for_mbox(
    whole: message.Message, edits: tuple[Edit, ...], flags: str, keywords: tuple[str, ...]
) -> Iterator[bytes]:
    """A message with its header edited and then as an mbox wants it (see `mbox_head`), all else as received."""
    head = edited(whole.head, edits, whole.newline) if edits else whole.head
    yield mbox_head(head, flags, keywords, whole.newline)
    yield from whole.chunks(len(whole.head))


def _applied(head: bytes, edit: Edit, newline: bytes, cut: bool) -> bytes:
    name = b"Subject" if edit.action == "prefix-subject" else edit.name.encode()
    if not message.is_field_name(name):
        raise ValueError(f"{edit.name!r} is no field name")
    places = [(start, end) for start, _, end, key in message.places(head) if key == name.lower()]
    if cut and places and places[-1][1] >= len(head):
        del places[-1]
    if edit.action == "remove":
        return _without(head, places)
    if edit.action == "prefix-subject" and places:
        return _prefixed(head, places[0], edit.value, newline)
    field = _field(name, edit.value, newline)
    if edit.action == "set" and places:
        start, end = places[0]
        return head[:start] + field + _without(head[end + 1 :], [(a - end - 1, b - end - 1) for a, b in places[1:]])
    top = message.fields_start(head)
    return head[:top] + field + (head[top:] or newline)


def _without(head: bytes, places: list[tuple[int, int]]) -> bytes:
    kept = []
    done = 0
    for start, end in places:
        kept.append(head[done:start])
        done = end + 1
    return b"".join([*kept, head[done:]])


def _prefixed(head: bytes, place: tuple[int, int], prefix: str, newline: bytes) -> bytes:
    """The prefix goes between the colon and the value, whose bytes stay; nothing if the subject has it already."""
    start, end = place
    colon = head.index(b":", start) + 1
    value = head[colon:end]
    prefix = _one_line(prefix)
    shown, wanted = fold(words.decode(value)), fold(prefix)
    # Behind ": " it stands in a reply to a subject that was prefixed before.
    if shown.startswith(wanted) or f": {wanted}" in shown:
        return head
    if value.lstrip().startswith(b"=?"):
        prefix += " "  # white space between two encoded words is not shown (RFC 2047 section 6.2)
    line = _folded(head[start:colon], prefix, newline)
    first = value.partition(b"\n")[0].rstrip()
    if not first.startswith((b" ", b"\t")) and first:
        line += b" "
    elif len(line) - line.rfind(b"\n") + len(first) > LINE and first:
        line += newline
    return head[:start] + line + head[colon:]


def _field(name: bytes, value: str, newline: bytes) -> bytes:
    return _folded(name + b":", _one_line(value), newline) + newline


def _one_line(value: str) -> str:
    """The value without what could start another field or steer a terminal, white space folded."""
    return words.visible(" ".join(value.translate(_CONTROLS).split()))


def _folded(start: bytes, value: str, newline: bytes) -> bytes:
    """The value after `start`, in lines of LINE bytes but for longer words."""
    lines = [start]
    for word in _wire_words(value, len(start) + 1):
        if len(lines[-1]) + 1 + len(word) > LINE:
            lines.append(b"")
        lines[-1] += b" " + word
    return newline.join(lines)


def _wire_words(value: str, column: int) -> list[bytes]:
    """What is separated by spaces on the wire: the words, or encoded words where plain ones cannot be."""
    if value.isascii() and "=?" not in value:
        plain = value.encode().split()
        if all(len(word) < LINE_LIMIT - column for word in plain):
            return plain
    from binascii import b2a_base64

    encoded = []
    data = value.encode()
    start = 0
    size = min(WORD_BYTES, (LINE - WORD_FRAME - column) // 4 * 3)
    while start < len(data):
        end = start + (size if size >= 4 else WORD_BYTES)
        while end < len(data) and data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        encoded.append(b"=?utf-8?B?" + b2a_base64(data[start:end], newline=False) + b"?=")
        start, size = end, WORD_BYTES
    return encoded
