"""Addresses in header fields, in the envelope and in rules.

Owns `Address`, `parse` for the lists in header fields and `parse_one` for a single address. RFC 5322 sections 3.4
and 4.4 (obsolete syntax), RFC 6532 (UTF-8), RFC 5890 (`xn--` labels are shown decoded).

The structure is read before anything is decoded, so an encoded word never makes or moves an address. What has two
readings is no address: `a@b.example@c.example` (CVE-2019-16056), `a@b.example)c@d.example` (CVE-2023-27043). A display
name may hold anything, `a@b.example <c@d.example>` is c@d.example. Recovered, as mail readers do: missing commas,
`;` between addresses, an unclosed `<`. An opening quote, parenthesis or bracket that is never closed is an ordinary
character. A single word without "@" (`root`) is an address without domain; several words are none.
"""

from __future__ import annotations

from pydeliver.mail import words
from pydeliver.mail.folding import composed, fold
from pydeliver.status import Value

ADDRESSES = 10_240  # looked at in one field, as many as Postfix's header_address_token_limit
LABEL_BYTES = 63  # RFC 1035 section 2.3.4; also bounds the decoding of `xn--` labels, which is quadratic

_MARKS = tuple([b"%c" % mark for mark in b'\\"()<>[],;:@'])
_CLOSING = {b'"': b'"', b"(": b")", b"[": b"]"}
_ATOM = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~." + bytes(range(128, 256))
_PLAIN = _ATOM + b" \t\r\n"
# Stand-ins, in the text of an addr-spec, for a quoted string and for the inside of a domain literal.
_QUOTED, _LITERAL = b"\x01", b"\x02"
_STAND_INS = bytes.maketrans(b"\0\x01\x02", b"\x03\x03\x03")


class Address(Value):
    """One mailbox: the display name decoded, the local part unquoted, the domain in lower case and Unicode."""

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        """`local@domain`, quoted where it must be; `local` alone without a domain."""
        local = self.local
        if not local or local.encode("utf-8", "replace").translate(None, _ATOM):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """What is equal for equal addresses: `address` with case folded."""
        return fold(self.address)

    @property
    def text(self) -> str:
        """What a person sees: `Name <local@domain>`."""
        return f"{self.name} <{self.address}>" if self.name else self.address


def split_detail(local: str, separators: str) -> tuple[str, str]:
    """`bob+shop` to ("bob", "shop") at the first separator; RFC 5233. A leading separator separates nothing."""
    places = [at for at in [local.find(separator, 1) for separator in separators] if at > 0]
    if not places:
        return local, ""
    at = min(places)
    return local[:at], local[at + 1 :]


def parse(raw: bytes) -> tuple[Address, ...]:
    """The addresses in the value of a header field, at most ADDRESSES."""
    marks = raw.translate(None, _PLAIN)
    if marks in (b"<@>", b'""<@>'):  # one usual address: the same result, found four times as fast
        name, _, rest = raw.partition(b"<")
        spec, _, behind = rest.partition(b">")
        name, spec = name.strip(), spec.strip()
        if marks != b"<@>" and name[:1] + name[-1:] == b'""':
            name = name[1:-1]
            marks = b"<@>"
        if marks == b"<@>" and not behind.strip() and len(spec.split()) == 1:
            return tuple(_one(spec, [], name))
    elif marks == b"@" and len(raw.split()) == 1:
        return tuple(_one(raw.strip(), [], b""))
    return tuple(_List(raw).read())


def parse_one(text: str) -> Address | None:
    """The address that an envelope or a rule names, with or without `<>`; None if the text is not exactly one."""
    found = parse(text.encode("utf-8", "surrogatepass"))
    return found[0] if len(found) == 1 else None


class _List:
    """One pass over the tokens of an address list; the attributes hold the mailbox being read."""

    __slots__ = (
        "_angle",
        "_at",
        "_comment",
        "_found",
        "_has_at",
        "_name",
        "_quoted",
        "_spec",
        "_tokens",
        "_trailing",
        "_unclosed",
    )

    def __init__(self, raw: bytes) -> None:
        self._tokens = _tokens(raw)
        self._at = 0
        self._found: list[Address] = []
        self._unclosed = b""  # the opening marks that are known not to be closed in what is left
        self._trailing = False  # after a ">" without a comma
        self._clear()

    def _clear(self) -> None:
        self._angle = False
        self._has_at = False
        self._name: list[bytes] = []  # what would be the display name
        self._spec: list[bytes] = []  # what would be the addr-spec, with stand-ins
        self._quoted: list[bytes] = []  # what the stand-ins stand for
        self._comment = b""

    def read(self) -> list[Address]:
        tokens = self._tokens
        count = len(tokens)
        while self._at < count and len(self._found) < ADDRESSES:
            token = tokens[self._at]
            self._at += 1
            if token not in _MARKS:
                self._add(token)
            elif token in _CLOSING and token not in self._unclosed:
                self._enclosed(token)
            elif self._angle:
                self._in_angle(token)
            elif token == b"<":
                self._open_angle()
            elif token in b",;":
                self._end()
                self._trailing = False
            elif token == b":" and not self._has_at:
                self._clear()  # what was read is the name of a group
            else:
                self._add(token)
        self._end()
        return self._found[:ADDRESSES]

    def _add(self, token: bytes) -> None:
        self._spec.append(token)
        if not self._angle:
            self._name.append(token)
            if token == b"@":
                self._has_at = True

    def _open_angle(self) -> None:
        self._angle = True
        self._spec = []
        self._quoted = []

    def _in_angle(self, token: bytes) -> None:
        route = self._spec[:1] == [b"@"]
        if token == b">" or (token in b",;" and not route):
            self._end()
            self._trailing = token == b">"
        elif token == b":" and route:
            self._open_angle()  # `@a,@b:` was a source route (RFC 5322 section 4.4)
        elif token != b"<" or self._spec:
            self._spec.append(token)

    def _enclosed(self, mark: bytes) -> None:
        """Read a quoted string, a comment or a domain literal; the mark alone where it is not closed."""
        if mark == b"[" and self._spec[-1:] != [b"@"]:
            self._add(mark)
            return
        inside, after = _inside(self._tokens, self._at, mark)
        if not after:
            self._unclosed += mark
            self._add(mark)
            return
        self._at = after
        if mark == b"(":
            self._comment = inside
            self._spec.append(b" ")
            return
        self._quoted.append(inside)
        self._spec.append(_QUOTED if mark == b'"' else _LITERAL)
        if not self._angle:
            self._name.append(inside)

    def _end(self) -> None:
        """Finish the mailbox that was being read."""
        found = _words(b"".join(self._spec))
        if len(found) == 1:
            if self._angle:
                name = b"".join(self._name).strip() or self._comment
                self._found += _one(found[0], self._quoted, name)
            elif b"@" in found[0] or not self._trailing:
                self._found += _one(found[0], self._quoted, self._comment)
        elif found and not self._angle:
            self._found += _several(found, self._quoted)
        elif self._trailing and self._comment and self._found and not self._found[-1].name:
            last = self._found.pop()  # `<a@b.example> (Name)`
            self._found.append(Address(words.decode(self._comment), last.local, last.domain))
        self._clear()


def _tokens(raw: bytes) -> list[bytes]:
    """The marks, each alone, and what stands between them."""
    text = raw.translate(_STAND_INS)
    for mark in _MARKS:
        if mark in text:
            text = text.replace(mark, b"\0" + mark + b"\0")
    return [token for token in text.split(b"\0") if token]


def _inside(tokens: list[bytes], at: int, mark: bytes) -> tuple[bytes, int]:
    """What stands between the opening mark before `at` and its closing one, and the place after that (0: none)."""
    closing = _CLOSING[mark]
    inside: list[bytes] = []
    depth = 1
    count = len(tokens)
    while at < count:
        token = tokens[at]
        at += 1
        if token == b"\\":
            inside += tokens[at : at + 1]
            at += 1
            continue
        if token == closing:
            depth -= 1
            if not depth:
                return b"".join(inside), at
        elif token == mark and mark == b"(":
            depth += 1
        inside.append(token)
    return b"", 0


def _words(spec: bytes) -> list[bytes]:
    """The words of an addr-spec; one, if the white space is only where obsolete syntax allows it."""
    found = spec.split()
    if len(found) > 1:
        tight = b" ".join(found)
        for mark in (b"@", b"."):
            tight = tight.replace(b" " + mark, mark).replace(mark + b" ", mark)
        if b" " not in tight:
            return [tight]
    return found


def _several(found: list[bytes], quoted: list[bytes]) -> list[Address]:
    """The addresses in words without `<>` and commas, `a@b.example c@d.example`: all, or none if one is doubtful."""
    addresses: list[Address] = []
    name: list[bytes] = []
    used = 0
    for word in found:
        held = quoted[used : used + word.count(_QUOTED) + word.count(_LITERAL)]
        used += len(held)
        if b"@" in word:
            one = _one(word, held, b" ".join(name))
            if not one:
                return []
            addresses += one
            name = []
        else:
            name.append(held[0] if word == _QUOTED else word)
    return addresses


def _one(spec: bytes, quoted: list[bytes], name: bytes) -> list[Address]:
    """The address that one addr-spec or bare word is, if it is one."""
    left, at, right = spec.partition(b"@")
    local = _local(left, quoted)
    domain = ""
    if at:
        domain = f"[{words.decode(quoted[-1])}]".lower() if right == _LITERAL else _domain(right)
    if not local or bool(at) != bool(domain) or (quoted and not at):
        return []
    return [Address(words.decode(name) if name else "", local, domain)]


def _local(raw: bytes, quoted: list[bytes]) -> str:
    """The local part unquoted; "" if it is none."""
    if _QUOTED in raw:
        held = iter(quoted)
        atoms = raw.split(b".")
        if any(atom != _QUOTED and atom.translate(None, _ATOM) for atom in atoms):
            return ""
        raw = b".".join([next(held) if atom == _QUOTED else atom for atom in atoms])
    elif raw.translate(None, _ATOM):
        return ""
    return words.visible(raw.decode(errors="replace"))


def _domain(raw: bytes) -> str:
    """The domain in lower case and Unicode; "" if it is none."""
    if raw.translate(None, _ATOM) or raw.startswith(b".") or b".." in raw:
        return ""
    domain = raw.removesuffix(b".").decode(errors="replace").lower()
    if "xn--" in domain:
        domain = ".".join([_label(label) for label in domain.split(".")])
    return composed(domain)


def _label(label: str) -> str:
    """An `xn--` label decoded, unless another label would then look the same."""
    if not label.startswith("xn--") or not label.isascii() or len(label) > LABEL_BYTES:
        return label
    from unicodedata import normalize

    try:
        shown = label[4:].encode().decode("punycode")
        again = shown.encode("punycode").decode()
    except UnicodeError:
        return label
    plain = not shown.isascii() and shown.isprintable() and shown == normalize("NFKC", shown.lower())
    if not plain or again != label[4:] or "\u3002" in shown:
        return label
    return shown
