"""The parameters of Content-Type and Content-Disposition: every value that some mail reader would take.

Owns the three syntaxes: plain or quoted (RFC 2045 section 5.1), in pieces or percent-encoded with a charset (RFC 2231),
encoded words inside a value (forbidden by RFC 2047, sent by many). It refuses to choose: readers disagree about what
is malformed or given twice, and whoever wants to hide a file name uses that, so a name has as many values as it has
readings. Linear in the field; at most PARAMETERS of one field are looked at.

Readings beyond the RFCs: a value without quotes up to the `;` and up to white space; a quoted string with and without
what stands behind it; an open quote up to the `;` and up to the end; pieces with a number missing, up to it and in all.
"""

from __future__ import annotations

from binascii import Error, unhexlify

from pydeliver.mail import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The name in lower case as written, for example b"filename*0*", and the readings of its value.
    Given = tuple[bytes, tuple[bytes, ...]]
    # The bytes of a value with the charset that RFC 2231 gives them, None in the other syntaxes.
    Reading = tuple[str | None, bytes]

PARAMETERS = 128
NUMBER_DIGITS = 6  # of a piece's number

_SPACE = b" \t"
_NEVER = b"\r\n\0\1\2"  # folds, and what would end a name in some readers
_LABEL_ENDS = bytes.maketrans(b';\t,("', b"     ")


def label(field: bytes) -> str:
    """What a field starts with, in lower case: a type, a disposition, a transfer encoding; "" without one."""
    found = field.translate(None, _NEVER).strip(b' \t"').translate(_LABEL_ENDS).partition(b" ")[0]
    return "" if b"=" in found else found.decode("ascii", "replace").lower()


def split(field: bytes) -> list[Given]:
    """The parameters of a field, at most PARAMETERS + 1."""
    # An escaped character takes one byte that never stands in a field, so that a quote is a quote.
    text = field.translate(None, _NEVER).replace(b"\\\\", b"\1").replace(b'\\"', b"\2")
    found: list[Given] = []
    escaped = b"\1" in text or b"\2" in text
    at = covered = 0
    for _ in range(PARAMETERS + 1):
        equals = text.find(b"=", at)
        if equals < 0:
            break
        before = text[at:equals]
        name = before[before.rfind(b";") + 1 :].split()[-1:]
        start = equals + 1
        if text.startswith((b" ", b"\t"), start):
            start = len(text) - len(text[start:].lstrip(_SPACE))
        quoted = text.startswith(b'"', start)
        values, at, covered = (_quoted if quoted else _bare)(text, start, covered)
        if escaped:
            values = [value.replace(b"\2", b'"').replace(b"\1", b"\\") for value in values]
        found.append((name[0].lower() if name else b"", tuple(values)))
    return found


def _quoted(text: bytes, start: int, covered: int) -> tuple[list[bytes], int, int]:
    """The readings of a value that starts with a quote, where to go on, and up to where a long reading went."""
    close = text.find(b'"', start + 1)
    if close < 0:
        values, at, reached = _bare(text, start + 1, covered)
        if start < covered:
            return values, at, reached
        return [*values, text[start + 1 :]], at, len(text)
    end = text.find(b";", close)
    end = len(text) if end < 0 else end
    value, behind = text[start + 1 : close], text[close + 1 : end].strip(_SPACE)
    if b"=" in behind:  # the next parameter, without a semicolon before it
        return [value], close + 1, covered
    if not behind or behind.startswith(b"(") or start < covered:
        return [value], end, covered
    return [value, value + behind], end, end


def _bare(text: bytes, start: int, covered: int) -> tuple[list[bytes], int, int]:
    """The same of a value without quotes. A long reading goes over no text twice, else they would be quadratic."""
    end = text.find(b";", start)
    end = len(text) if end < 0 else end
    value = text[start:end].strip(_SPACE)
    if b" " not in value and b"\t" not in value:
        return [value], end, covered
    first, rest = value.split(None, 1)
    at = start + len(first) if b"=" in rest else end
    if start < covered:
        return [first], at, covered
    return [value, first], at, end


def readings(given: list[Given], wanted: bytes) -> list[Reading]:
    """All values of one parameter; what RFC 2231 encodes comes first, as readers prefer it."""
    plain: list[Reading] = []
    encoded: list[Reading] = []
    pieces: list[tuple[int, bool, bytes]] = []
    for name, values in given:
        if not name.startswith(wanted):
            continue
        rest = name[len(wanted) :]
        if not rest:
            plain += [(None, value) for value in values]
        elif rest == b"*":
            encoded += [_joined([(0, True, value)]) for value in values]
        elif rest.startswith(b"*"):
            number = rest[1:].removesuffix(b"*")
            if number.isdigit() and len(number) <= NUMBER_DIGITS:
                pieces.append((int(number), rest.endswith(b"*"), values[0]))
    if pieces:
        pieces.sort(key=lambda piece: piece[0])
        encoded.append(_joined(pieces))
        unbroken = _unbroken(pieces)
        if len(unbroken) < len(pieces):
            encoded.append(_joined(unbroken))
    return encoded + plain


def _unbroken(pieces: list[tuple[int, bool, bytes]]) -> list[tuple[int, bool, bytes]]:
    """The pieces from 0 up to where a number is missing, the first of each number."""
    kept: list[tuple[int, bool, bytes]] = []
    for piece in pieces:
        if piece[0] == len(kept):
            kept.append(piece)
    return kept


def _joined(pieces: list[tuple[int, bool, bytes]]) -> Reading:
    """The value of pieces in order: `charset'language'` stands in the first that is encoded."""
    charset = None
    joined = []
    for place, (_, encoded, value) in enumerate(pieces):
        if encoded:
            if place == 0 and value.count(b"'") >= 2:
                label, _, value = value.split(b"'", 2)
                charset = label.decode("ascii", "replace").strip().lower()
            value = _unpercented(value)
        joined.append(value)
    return charset, b"".join(joined)


def _unpercented(value: bytes) -> bytes:
    """`%41` to A; a `%` that stands before no two hexadecimal digits is one."""
    first, *rest = value.split(b"%")
    made = [first]
    for piece in rest:
        try:
            made.append(unhexlify(piece[:2]) + piece[2:] if len(piece) > 1 else b"%" + piece)
        except Error:
            made.append(b"%" + piece)
    return b"".join(made)


def shown(reading: Reading) -> str:
    """The text of a value as a person sees it; words that RFC 2047 encodes are decoded in any syntax."""
    charset, value = reading
    if charset is None or b"=?" in value:
        return words.decode(value)
    return words.visible(" ".join(words.in_charset(charset, value).split()))
