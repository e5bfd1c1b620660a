"""What a mail server found out about a message: the field Authentication-Results, taken apart.

Owns `parse` for the value of one field and `written_by` for the server's name in a Received field. Whom to believe is
not decided here. RFC 8601 section 2.2; RFC 5321 section 4.4 (Received).

Many values come from the sender, and what a careless server lets through must not change the meaning: encoded words
are not decoded, a result that leaves a comment or a quoted string open is dropped with all that follows it, and a
comment inside a value does not end that value (`header.d=bank.example(x).evil.example`; "Composition Kills", USENIX
Security 2020).
"""

from __future__ import annotations

from pydeliver.status import Value

LOOKED_AT = 8_192  # bytes; a field that is longer is not read, as half a value can be another one

# Control characters stand for the beginning of a quoted string and, inside it, for what would separate something.
_QUOTED = "\x05"
_HIDE = {" ": "\x01", "\t": "\x02", ";": "\x03", "=": "\x04"}
_SHOW = {ord(hidden): shown for shown, hidden in _HIDE.items()} | {ord(_QUOTED): ""}
_CONTROLS = dict.fromkeys(range(32), " ")


class Result(Value):
    """`dkim=pass header.d=example.org`: method and result in lower case, the properties by lower-case name."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()

    def named(self, name: str) -> str:
        """The value of a property, "" where it is not given."""
        return next((value for known, value in self.properties if known == name), "")


class Findings(Value):
    """One field: the name of the server that wrote it, in lower case, and its results in order."""

    server: str
    results: tuple[Result, ...] = ()


def parse(raw: bytes) -> Findings:
    """The value of a field. One that can't be read, or is of another version than 1, has no server and no results."""
    head, *parts = _plain(raw).split(";")
    words = _words(head)
    if not words or words[1:] not in ([], ["1"]):
        return Findings("")
    return Findings(_shown(words[0]).lower(), tuple([one for part in parts if (one := _result(part)) is not None]))


def written_by(raw: bytes) -> str:
    """The host behind `by` in the value of a Received field, in lower case; "" where there is none."""
    words = _words(_plain(raw).lower())
    at = words.index("by") + 1 if "by" in words else len(words)
    return _shown(words[at]).rstrip(";") if at < len(words) else ""


def _plain(raw: bytes) -> str:
    """The text without comments and quotes, up to the result that leaves one of them open."""
    if len(raw) > LOOKED_AT:
        return ""
    made: list[str] = []
    opened = 0  # how much was made when the comment or string at hand began
    depth = 0
    quoted = escaped = False
    for character in raw.decode(errors="replace").translate(_CONTROLS):
        if escaped or (quoted and character not in '\\"'):
            escaped = False
            if quoted:
                made.append(_HIDE.get(character, character))
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif quoted:
            quoted = False
        elif depth:
            depth += (character == "(") - (character == ")")
        elif character in '"(':
            quoted, depth, opened = character == '"', int(character == "("), len(made)
            made += [_QUOTED] * quoted
        else:
            made.append(character)
    if not quoted and not depth:
        return "".join(made)
    whole = "".join(made[:opened])
    return whole[: whole.rfind(";") + 1]


def _words(text: str) -> list[str]:
    """What stands between spaces, of which only those of ASCII count."""
    return [word for word in text.split(" ") if word]


def _shown(word: str) -> str:
    return word.translate(_SHOW)


def _result(part: str) -> Result | None:
    """One result, `method[/version]=result` and its properties; None for `none` and for what is no result."""
    pairs: list[tuple[str, str]] = []
    for word in _joined(part):
        name, equals, value = word.partition("=")
        if equals:
            pairs.append((name.lower(), _shown(value)))
        elif not pairs:
            return None
    if not pairs or not pairs[0][0]:
        return None
    method, result = pairs[0]
    return Result(method.partition("/")[0], result.lower(), tuple(pairs[1:]))


def _joined(part: str) -> list[str]:
    """The words of a result, with `dkim / 1`, `header . d` and `name = value` each as one of them."""
    found: list[str] = []
    for word in _words(" ".join(_words(part)).replace(" / ", "/").replace(" . ", ".")):
        before = found[-1] if found else "="
        if (word[0] == "=" and "=" not in before) or before.find("=") == len(before) - 1 > 0:
            found[-1] += word
        else:
            found.append(word)
    return found
