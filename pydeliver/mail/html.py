"""What a person sees of an HTML text.

Owns `visible`: the text of a mail's HTML part as a mail reader shows it, without scripts, style sheets and comments,
without what is hidden (see `hidden`), with references decoded and a line for each block. It refuses to build a tree,
to read style sheets and to raise. HTML Living Standard, 13.2.5 (how markup is cut), with scripting off, as in mail:
`<noscript>` is shown.

Tags within a line join words, `V<b></b>iagra` is "Viagra"; the cells of a row are kept apart by a space; an image
stands for its alternative text. Every character is looked at a few times at most, whatever the text is made of.
"""

from __future__ import annotations

from pydeliver.mail import words
from pydeliver.mail.hidden import BLOCKS, Elements

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SPACES = ("\t", "\n", "\f", "\r")

_APART = (
    dict.fromkeys(BLOCKS, "\n") | dict.fromkeys(("br", "caption", "textarea"), "\n") | dict.fromkeys(("td", "th"), " ")
)

# Elements whose content is text up to their own end tag: of the first nothing is shown.
_DROPPED = frozenset(["script", "style", "title", "iframe", "noembed", "noframes"])
_PLAIN = frozenset(["textarea", "xmp"])
_CHARACTERS = "<![CDATA["  # text within <svg> and <math>, elsewhere a comment

# The references of most mails; for any other the table of the standard library is loaded, which costs as much as `re`.
_COMMON = {
    "amp;": "&", "lt;": "<", "gt;": ">", "quot;": '"', "apos;": "'", "nbsp;": "\xa0", "shy;": "\xad",
    "zwnj;": "\u200c", "zwj;": "\u200d", "copy;": "©", "reg;": "®", "bull;": "•", "middot;": "·", "hellip;": "…",
    "ndash;": "–", "mdash;": "—", "lsquo;": "‘", "rsquo;": "’", "ldquo;": "“", "rdquo;": "”", "laquo;": "«",
    "raquo;": "»", "auml;": "ä", "ouml;": "ö", "uuml;": "ü", "Auml;": "Ä", "Ouml;": "Ö", "Uuml;": "Ü",
    "szlig;": "ß", "eacute;": "é", "egrave;": "è", "agrave;": "à", "euro;": "€",
}  # fmt: skip
_BEGINS = _LETTERS | {"#"}
_NAME = 32  # the longest name, with its semicolon
_BARE_NAME = 6  # the longest that may stand without
_DIGITS = 7  # no character has a number of more, but for leading zeros
_DECIMAL = "0123456789"
_HEXADECIMAL = "0123456789abcdefABCDEF"


def visible(text: str) -> str:
    """The text that is shown, its blocks on lines of their own, white space folded.

    Control characters and lone surrogates are left in it.
    """
    for space in _SPACES:
        text = text.replace(space, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    pieces = _pieces(text)
    lines = [" ".join(line.split()) for line in "".join(pieces).replace("\0", "").split("\n")]
    return "\n".join([line for line in lines if line])


def _pieces(text: str) -> list[str]:
    """The pieces of text that are shown, in order, with what keeps them apart; every white space is one space."""
    pieces: list[str] = []
    elements = Elements(text)
    at = 0
    while True:
        start = text.find("<", at)
        if elements.shown and start != at:
            piece = text[at:start] if start >= 0 else text[at:]
            pieces.append(_decoded(piece) if "&" in piece else piece)
        if start < 0:
            return pieces
        sign = text[start + 1 : start + 2]
        if sign in _LETTERS:
            at = _start_tag(text, start + 1, elements, pieces)
        elif sign == "/" and text[start + 2 : start + 3] in _LETTERS:
            name, _, at = _tag(text, start + 2)
            if at <= len(text):
                pieces.append(_APART.get(name, ""))
                elements.end(name)
        elif elements.foreign and text.startswith(_CHARACTERS, start):
            at = start + len(_CHARACTERS)
        elif sign == "!" or sign == "?" or (sign == "/" and start + 2 < len(text)):
            at = _comment_end(text, start + 1)
        else:
            if elements.shown:
                pieces.append("<")
            at = start + 1


def _start_tag(text: str, at: int, elements: Elements, pieces: list[str]) -> int:
    """Take the start tag whose name stands there, and with some all their content; returns where the text goes on."""
    name, attributes, end = _tag(text, at)
    if end > len(text):
        return end  # a tag without an end is nothing
    shown = elements.shown
    if (name in _DROPPED or name in _PLAIN) and not elements.foreign:
        stop = _content_end(text, end, name)
        if name in _PLAIN and shown:
            pieces += [_APART[name], _decoded(text[end:stop]) if name == "textarea" else text[end:stop]]
        return stop
    apart = _APART.get(name)
    if apart:
        pieces.append(apart)
    seen = elements.start(name, attributes)
    if name == "img" and seen and attributes.get("alt"):
        pieces.append(f" {attributes['alt']} ")
    if name == "plaintext":
        pieces.append(text[end:] if seen else "")
        return len(text)
    return end


def _tag(text: str, at: int) -> tuple[str, dict[str, str], int]:
    """The tag whose name stands there: the name, the attributes, the place behind it; over the end without `>`.

    Attributes are only read where they matter.
    """
    close = text.find(">", at)
    if close < 0:
        return "", {}, len(text) + 1
    inner = text[at:close]
    if inner.isalnum():
        return inner.lower(), {}, close + 1
    name = inner.partition(" ")[0].partition("/")[0]
    if '"' not in inner and "'" not in inner:
        lowered = inner.lower()
        if "style" not in lowered and "hidden" not in lowered and "alt" not in lowered:
            return name.lower(), {}, close + 1
    attributes, close = _attributes(text, at + len(name))
    for which in ("style", "alt"):
        if "&" in attributes.get(which, ""):
            attributes[which] = _decoded(attributes[which])
    return name.lower(), attributes, close + 1


def _attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes from there on, the first of each name, and the place of the `>` that ends the tag.

    The nearest of each sign is kept until it is passed: looking for it anew would be quadratic.
    """
    found: dict[str, str] = {}
    size = len(text)
    close = space = slash = equals = -1
    while True:
        while text[at : at + 1] in (" ", "/"):
            at += 1
        if close < at:
            close = text.find(">", at)
            if close < 0:
                return found, size
        if close == at:
            return found, at
        if space < at and (space := text.find(" ", at, close)) < 0:
            space = close
        if slash < at and (slash := text.find("/", at, close)) < 0:
            slash = close
        if equals <= at and (equals := text.find("=", at + 1, close)) < 0:  # a name may begin with one
            equals = close
        end = min(close, space, slash, equals)
        name = text[at:end].lower()
        at = end + 1 if end == space < close and text[end + 1] == "=" else end
        value = ""
        if text[at] == "=":
            at += 2 if text[at + 1] == " " else 1
            quote = text[at]
            if quote in ('"', "'"):
                end = text.find(quote, at + 1)
                if end < 0:
                    return found, size
                value = text[at + 1 : end]
                at = end + 1
            else:
                if space < at and (space := text.find(" ", at, close)) < 0:
                    space = close
                end = min(space, close)
                value = text[at:end]
                at = end
        found.setdefault(name, value)


def _comment_end(text: str, at: int) -> int:
    """Behind the comment that begins there, with or without dashes: at the end of the text if it has no end."""
    if not text.startswith("!--", at):
        return text.find(">", at) + 1 or len(text)
    at += 3
    if text.startswith((">", "->"), at):
        return text.find(">", at) + 1
    while True:
        at = text.find("--", at)
        if at < 0:
            return len(text)
        if text.startswith((">", "!>"), at + 2):
            return text.find(">", at) + 1
        at += 1


def _content_end(text: str, at: int, name: str) -> int:
    """Where the end tag of an element stands that holds nothing but text."""
    while True:
        at = text.find("</", at)
        if at < 0:
            return len(text)
        behind = at + 2 + len(name)
        if text[at + 2 : behind].lower() == name and text[behind : behind + 1] in (" ", "/", ">"):
            return at
        at += 2


# -- references (13.2.5.72 to 80) -------------------------------------------------------------------------------------


def _decoded(text: str) -> str:
    """The text with its character references decoded; none of them breaks a line."""
    first, *others = text.split("&")
    pieces = [first]
    for piece in others:
        if piece[:1] not in _BEGINS:
            pieces += ["&", piece]
            continue
        end = piece.find(";", 0, _NAME) + 1
        common = _COMMON.get(piece[:end]) if end else None
        if common is not None:
            pieces += [common, piece[end:]]
        elif piece.startswith("#"):
            pieces.append(_by_number(piece))
        else:
            pieces.append(_by_name(piece, end))
    return "".join(pieces).replace("\n", " ")


def _by_name(piece: str, end: int) -> str:
    """What stands behind `&`, beginning with the name of a reference or with none."""
    if not piece[1:2].isalnum():
        return f"&{piece}"
    from html.entities import html5

    if end and piece[:end] in html5:
        return html5[piece[:end]] + piece[end:]
    for length in range(_BARE_NAME, 1, -1):
        if piece[:length] in html5:
            return html5[piece[:length]] + piece[length:]
    return f"&{piece}"


def _by_number(piece: str) -> str:
    """What stands behind `&`, beginning with `#`."""
    hexadecimal = piece[1:2] in ("x", "X")
    start, digits, base = (2, _HEXADECIMAL, 16) if hexadecimal else (1, _DECIMAL, 10)
    rest = piece[start:].lstrip(digits)
    number = piece[start : len(piece) - len(rest)]
    if not number:
        return f"&{piece}"
    number = number.lstrip("0")
    code = int(number or "0", base) if len(number) <= _DIGITS else 0
    return _character(code) + rest.removeprefix(";")


def _character(code: int) -> str:
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return words.UNDECODABLE
    if 0x80 <= code <= 0x9F:
        return bytes([code]).decode("cp1252", "ignore") or chr(code)
    return chr(code)
