"""The text of a message as a person reads it: its text parts, decoded, each with its lines.

Owns which parts are text, their charset, format=flowed (RFC 3676) and how white space is folded: runs of it are one
space, lines stay lines, nothing stands at the ends, and characters of which nothing is seen are left out. It refuses
to choose between the alternatives of a multipart: a filter sees what either reader shows. What it returns holds no
control character but the line feed, and no lone surrogate.

The limits are what one message may cost: in the slowest charset, or as HTML, 2 MiB take a second. Honest mail has a
hundredth of it, and a single part may not use all of it up.
"""

from __future__ import annotations

from pydeliver.mail import words
from pydeliver.mail.folding import composed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydeliver.mail.mime import Part

PART_BYTES = 1_048_576  # of one text part, decoded
BODY_BYTES = 2_097_152  # of all of them
META_BYTES = 1_024  # of an HTML page are searched for its charset (WHATWG HTML, "prescan a byte stream")

HTML = ("text/html", "application/xhtml+xml")

_UNSEEN = words.UNSEEN + "\u202d\u202e"  # the latter two turn letters round
_BREAKS = "\x85\u2028\u2029"
_BLANKS = "\t\v\f\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_ASCII = dict.fromkeys([*range(10), *range(11, 32), 127], words.UNDECODABLE) | dict.fromkeys(b"\t\v\f", " ")
_CONTROLS = [chr(code) for code in (*range(9), *range(14, 32), *range(127, 160)) if code != 0x85]


def shown(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts whose text a reader shows: text parts but attachments, and what is in a message but attached ones.

    A disposition other than attachment, or a file name, does not hide a text: some readers show it in place.
    """
    hidden = set()
    for part in parts:
        if part.disposition == "attachment" or part.parent in hidden:
            hidden.add(part.index)
        elif part.type.startswith("text/") or part.type in HTML:
            yield part


def label(part: Part) -> str:
    """The charset that a part is labelled with, lower case, "" without one."""
    named = part.parameter("charset")
    return named[0].strip("'\" ").lower() if named else ""


def body(parts: Iterable[Part], note: Callable[[str], None]) -> tuple[str, ...]:
    """The text of each part that is shown, in order; `note` is told which limits were hit."""
    texts = []
    left = BODY_BYTES
    for part in shown(parts):
        if not left:
            note(f"text: {BODY_BYTES:,} bytes")
            break
        limit = min(PART_BYTES, left)
        data = part.decoded(limit + 1)
        if len(data) > limit:
            note(f"text of a part: {PART_BYTES:,} bytes" if limit == PART_BYTES else f"text: {BODY_BYTES:,} bytes")
            data = data[:limit]
        left -= len(data)
        texts.append(_text(part, data))
    return tuple(texts)


def _text(part: Part, data: bytes) -> str:
    charset = label(part)
    if part.type in HTML:
        from pydeliver.mail import html

        return lines(html.visible(_decoded(data, charset or _meta(data))))
    text = _decoded(data, charset)
    if "flowed" in [value.lower() for value in part.parameter("format")]:
        text = unflowed(text, "yes" in [value.lower() for value in part.parameter("delsp")])
    return lines(text)


def _decoded(data: bytes, charset: str) -> str:
    """The text of bytes; a byte order mark says more than a label (WHATWG Encoding, "decode")."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode(errors="replace")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return words.in_charset(charset, data)


def _meta(data: bytes) -> str:
    """The charset that an HTML page itself names."""
    head = data[:META_BYTES].lower()
    named = head.partition(b"charset=")[2].lstrip(b"\"' ")
    for end in (b'"', b"'", b">", b" ", b"/", b";"):
        named = named.partition(end)[0]
    return named.decode("ascii", "replace")


def unflowed(text: str, delsp: bool = False) -> str:
    """Lines joined that end in a space and go on in the next one at the same depth of quotes (RFC 3676 section 4)."""
    made = []
    paragraph: list[str] = []
    before = -1  # how deep the line was that shall go on, -1 if none shall
    for line in text.replace("\r\n", "\n").split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        flows = content.endswith(" ") and content != "-- "
        if depth != before or content == "-- ":
            made.append("".join(paragraph))
            paragraph = [">" * depth + " "] if depth else []
        paragraph.append(content[:-1] if flows and delsp else content)
        before = depth if flows else -1
    made.append("".join(paragraph))
    return "\n".join(made[1:])


def lines(text: str) -> str:
    """The text with white space folded within its lines, in form C, with U+FFFD for what cannot be shown."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        text = text.translate(_ASCII)
    else:
        for characters, instead in ((_UNSEEN, ""), (_BREAKS, "\n"), (_BLANKS, " "), (_CONTROLS, words.UNDECODABLE)):
            for character in characters:
                if character in text:
                    text = text.replace(character, instead)
        text = words.without_surrogates(text)
    while "  " in text:
        text = text.replace("  ", " ")
    return composed(text.replace("\n ", "\n").replace(" \n", "\n").strip("\n "))
