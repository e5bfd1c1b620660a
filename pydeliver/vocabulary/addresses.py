"""The address fields of a message: from, to, cc, bcc, sender, reply-to, recipient, and their parts.

RFC 5322 3.6.2 and 3.6.3; `recipient` is to, cc and bcc with their Resent- forms (3.6.6). `is`, `in`, `like`,
`starts with` and `ends with` look at the addr-spec, never at the display name; `contains` and `matches` at all.
"""

from __future__ import annotations

from pydeliver.mail.address import split_detail
from pydeliver.vocabulary.word import ADDRESS, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.mail.address import Address
    from pydeliver.vocabulary.word import Facts

    Reader = Callable[[Facts, Any], Any]

_RECIPIENTS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")


def _reader(headers: tuple[str, ...]) -> Reader:
    if len(headers) == 1:
        (only,) = headers
        return lambda facts, _argument: facts.message.addresses(only)
    return lambda facts, _argument: tuple([one for name in headers for one in facts.message.addresses(name)])


def part_of(read: Reader, part: str) -> Reader:
    """The reader of one part of another reader's addresses; addresses without that part are left out."""

    def value(facts: Facts, address: Address) -> str:
        if part == "detail":
            return split_detail(address.local, facts.settings["subaddress"])[1]
        return str(getattr(address, part))

    def read_part(facts: Facts, argument: Any) -> Any:
        found = read(facts, argument)
        return None if found is None else tuple([text for one in found if (text := value(facts, one))])

    return read_part


_PARTS = (
    ("address", "the bare address, without the display name"),
    ("local", "what stands before the @"),
    ("domain", "what stands behind the @, with international names as people read them"),
    ("name", "the display name"),
    ("detail", "what stands behind the + in the local part"),
)


def with_parts(name: str, read: Reader, about: str, example: str, many: bool) -> tuple[Field, ...]:
    """An address field and its five parts."""
    whole = Field(name, ADDRESS, read, about, example, many)
    sample = {"address": "bob@example.org", "local": "bob", "domain": "example.org", "name": "Bob", "detail": "shop"}
    return (
        whole,
        *[
            Field(
                f"{name}.{part}",
                TEXT,
                part_of(read, part),
                f"{name}: {said}",
                f'{name}.{part} is "{sample[part]}"',
                many,
            )
            for part, said in _PARTS
        ],
    )


_FIELDS = (
    ("from", ("from",), "the author's address", 'from is "boss@example.com"', False),
    ("to", ("to",), "the addresses in To", 'to is "team@example.org"', True),
    ("cc", ("cc",), "the addresses in Cc", 'cc contains "accounting"', True),
    ("bcc", ("bcc",), "the addresses in Bcc", "bcc exists", True),
    (
        "sender",
        ("sender",),
        "the address in Sender: who sent it for the author",
        'sender ends with "@lists.example.org"',
        False,
    ),
    ("reply-to", ("reply-to",), "the addresses in Reply-To", 'reply-to.domain is "example.org"', True),
    ("recipient", _RECIPIENTS, "the addresses in To, Cc, Bcc and their Resent- forms", "recipient is me", True),
)

WORDS = tuple(
    [
        word
        for name, headers, about, example, many in _FIELDS
        for word in with_parts(name, _reader(headers), about, example, many)
    ]
)
