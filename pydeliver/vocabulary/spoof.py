"""A From field that shows a person something else than what it is: `spoofed`.

It looks at the form of From alone, and proves no good faith: who may write what is the business of `auth.dmarc`. Told
are
- another address in the display name, a comment, a source route or the local part than that of the author
  (`"boss@example.com" <x@evil.example>`), in full-width letters and with spaces around the @ too;
- look-alikes: a domain, the author's or one that is shown, with a label that mixes Latin with Cyrillic or Greek
  letters, or that only looks Latin below a Latin top-level domain (`аррӏе.com`; Unicode TR 39, 4 and 5, reduced to what
  domains are forged with); and a word of the display name that reads as Latin and is only in part (`РayPal`);
- two From fields, or several authors without a Sender (RFC 5322 section 3.6.2), of which programs take different
  ones ("Composition Kills", USENIX Security 2020);
- control characters in From, and those that turn the direction of letters whatever these are.
"""

from __future__ import annotations

from pydeliver.mail import address
from pydeliver.vocabulary.word import FACT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.mail.address import Address
    from pydeliver.mail.message import Message
    from pydeliver.vocabulary.word import Facts

# Letters of Cyrillic and Greek that look like those of ASCII below them (Unicode TR 39, confusables).
_LIKE = {
    "аеорсухіјѕԁԛԝӏһѵүкАВЕКМНОРСТУХІЈЅԀԚԜӀҮ": "aeopcyxijsdqwlhvykABEKMHOPCTYXIJSDQWIY",
    "αικνορυχγωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "aiknopuxywABEZHIKMNOPTYX",
}
_LATIN = {ord(letter): latin for letters, row in _LIKE.items() for letter, latin in zip(letters, row, strict=True)}
# Other forms of what stands in addresses, and what nobody sees between two letters.
_FORMS: dict[int, str] = {full: chr(full - 0xFEE0) for full in range(0xFF01, 0xFF5F)}
_FORMS |= {0xFE6B: "@", 0xFE52: ".", 0x3002: ".", 0xFF61: "."}
_FORMS |= dict.fromkeys((0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F)), "")
_FORMS |= dict.fromkeys((*range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF), "")
_OVERRIDES = ("\u202d", "\u202e")

_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_SHIFTS = (b"\x1b$", b"\x1b(")  # of ISO-2022, which old mail has raw in its names
_ATEXT = "!#$%&'*+-/=?^_`{|}~."


def _spoofed(facts: Facts, _argument: Any) -> tuple[bool, ...]:
    message = facts.message
    authors = message.addresses("from")
    odd = (
        _is_doubled(message)
        or (len(authors) > 1 and not message.addresses("sender"))
        or any([_has_controls(raw) for raw in message.fields("from")])
        or any([_is_disguised(one.domain) for one in authors])
        or any([_misleads(text, authors) for text in message.texts("from")])
    )
    return (True,) * odd


def _is_doubled(message: Message) -> bool:
    """Whether there are two From fields, or one that only some programs take for one."""
    if len(message.fields("from")) > 1:
        return True
    head = message.head.lower()
    first = head.partition(b":")[0]
    if first[:1] in (b" ", b"\t") and first.strip() == b"from":
        return True
    # A field name may not be folded.
    return any([rest.partition(b"\n")[0].strip() == b"" for rest in (b"\n" + head).split(b"\nfrom")[1:]])


def _has_controls(raw: bytes) -> bool:
    plain = raw.replace(b"\r\n", b"").replace(b"\n", b"")
    for shift in _SHIFTS:
        plain = plain.replace(shift, b"")
    return len(plain.translate(None, _CONTROLS)) < len(plain)


# -- other addresses --------------------------------------------------------------------------------------------


def _misleads(text: str, authors: tuple[Address, ...]) -> bool:
    """Whether the decoded field shows another address than that of an author, or letters that are not what they are."""
    if any([mark in text for mark in _OVERRIDES]):
        return True
    plain = text.translate(_FORMS)
    if "<@" in plain.replace(" ", ""):
        return True
    shown = _addresses(plain)
    if not authors:
        return len({one.key for one, _ in shown}) > 1 or _is_any_disguised(plain)
    known = {address.Address("", _local(one.local), one.domain).key for one in authors}
    domains = {one.domain for one in authors}
    for one, spaced in shown:
        # `Bob @ Example.com` names a company, and a local part in 8 bits is decoded in more than one way.
        own = one.domain in domains and (spaced or not one.local.isascii())
        if not own and one.key not in known:
            return True
    return _is_any_disguised(plain)


def _addresses(text: str) -> list[tuple[Address, bool]]:
    """What looks like addresses, and whether there are spaces around the @."""
    pieces = text.split("@")
    found = []
    for number in range(len(pieces) - 1):
        before, behind = pieces[number : number + 2]
        local, domain = _local(before.rstrip()), _domain(behind.lstrip())
        one = address.parse_one(f"{local}@{domain}") if local and domain else None
        if one is not None:
            found.append((one, before.endswith(" ") or behind.startswith(" ")))
    return found


def _local(text: str) -> str:
    """The local part that a text ends with."""
    start = len(text)
    while start and (text[start - 1].isalnum() or text[start - 1] in _ATEXT):
        start -= 1
    return text[start:].lstrip("'`.")


def _domain(text: str) -> str:
    """The domain with a top-level one that a text begins with, or ""."""
    end = 0
    while end < len(text) and _is_domains(text[end]):
        end += 1
    domain = text[:end].rstrip(".-")
    return domain if _has_top_level(domain) else ""


def _has_top_level(domain: str) -> bool:
    above, dot, top = domain.rpartition(".")
    return bool(above and dot) and len(top) > 1 and (top.isalpha() or top.startswith("xn--"))


# -- look-alikes ------------------------------------------------------------------------------------------------


def _is_any_disguised(text: str) -> bool:
    """Whether a domain or another word of a text is disguised."""
    if text.isascii():
        return False
    return any([_is_disguised(word) for word in "".join([c if _is_domains(c) else " " for c in text]).split()])


def _is_domains(character: str) -> bool:
    return character.isalnum() or character in "-."


def _is_disguised(word: str) -> bool:
    """Whether a domain, or a word of a name, reads as Latin and is not."""
    if word.isascii():
        return False
    labels = word.strip(".").split(".")
    is_domain = _has_top_level(word.strip("."))
    for label in labels:
        if label.isascii():
            continue
        plain = label.translate(_FORMS).translate(_LATIN)
        latin = any([c.isalpha() and c < "\u0250" for c in label])
        if plain.isascii() and (latin or (is_domain and labels[-1].isascii())):
            return True
        if is_domain and latin and any([_is_cyrillic_or_greek(c) for c in label]):
            return True
    return False


def _is_cyrillic_or_greek(character: str) -> bool:
    return "\u0370" <= character <= "\u052f" or "\u1f00" <= character <= "\u1fff"


WORDS = (
    Field(
        "spoofed",
        FACT,
        _spoofed,
        "From shows a person something else than it is: another address, look-alike letters",
        "spoofed",
    ),
)
