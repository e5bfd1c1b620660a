"""The argument of MAIL and RCPT: an address in angle brackets, and what stands behind it.

RFC 5321 4.1.2, RFC 6531 3.3 (UTF-8). A source route is read and left out (RFC 5321 appendix C). What is no address is
None, and never repaired: whoever sends it is a mail server.
"""

from __future__ import annotations

LONGEST = 1000  # octets; section 4.5.3.1 asks for 256 at least, and addresses that carry another one are longer


def parse(argument: bytes) -> tuple[bytes, list[bytes]] | None:
    """The path without its brackets, and the words behind it; None where that is no path."""
    argument = argument.strip(b" ")
    end = _closing(argument)
    if end < 0:
        return None
    path, behind = argument[1:end], argument[end + 1 :]
    if behind and not behind.startswith(b" "):
        return None
    if path.startswith(b"@"):  # @one,@two:local@domain
        route, colon, path = path.partition(b":")
        if not colon or not path or b'"' in route:
            return None
    return None if len(path) > LONGEST else (path, behind.split())


def _closing(text: bytes) -> int:
    """Where the bracket at the beginning is closed, outside of quotes; -1 where it isn't, or what no address holds

    stands in it.
    """
    if not text.startswith(b"<"):
        return -1
    quoted = escaped = False
    for at, byte in enumerate(text[1:], 1):
        if byte < 0x20 or byte == 0x7F:
            return -1
        if escaped:
            escaped = False
        elif byte == 0x5C:  # a backslash
            if not quoted:
                return -1
            escaped = True
        elif byte == 0x22:  # a double quote
            quoted = not quoted
        elif not quoted:
            if byte == 0x3E:
                return at
            if byte in b"< ":
                return -1
    return -1


def split(path: str) -> tuple[str, str] | None:
    """Local part without its quotes, and domain ("" without one); None where that is no address."""
    if path.startswith('"'):
        local, rest = _unquoted(path)
    else:
        at = path.find("@")
        local, rest = (path, "") if at < 0 else (path[:at], path[at:])
    domain = rest[1:]
    if not local or '"' in rest or (rest and (not rest.startswith("@") or not domain or "@" in domain)):
        return None
    if not path.startswith('"') and '"' in local:
        return None
    return local, domain


def _unquoted(path: str) -> tuple[str, str]:
    """What a quoted string at the beginning says, and the rest; nothing where it has no end."""
    said, at = [], 1
    while at < len(path) and path[at] != '"':
        if path[at] == "\\":
            at += 1
        said.append(path[at : at + 1])
        at += 1
    return ("".join(said), path[at + 1 :]) if at < len(path) else ("", "")
