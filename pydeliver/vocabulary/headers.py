"""Header fields as text: subject, message-id, list-id, any other by name, the whole block; how many, how large.

Decoded, unfolded, white space folded (RFC 5322 2.2.3, RFC 2047), as a person sees them.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import IDENTIFIER, NUMBER, OF_FIELD, OF_TEXT, SIZE, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Facts


def _subject(facts: Facts, _argument: Any) -> tuple[str, ...]:
    return facts.message.texts("subject")


def _message_id(facts: Facts, _argument: Any) -> tuple[str, ...]:
    return facts.message.texts("message-id")


def _list_id(facts: Facts, _argument: Any) -> tuple[str, ...]:
    return facts.message.texts("list-id")


def _header(facts: Facts, name: str) -> tuple[str, ...]:
    return facts.message.texts(name)


def _headers(facts: Facts, _argument: Any) -> tuple[str, ...]:
    return (facts.message.header_text(),)


def _count(facts: Facts, counted: tuple[Field, Any]) -> Any:
    values = facts.values(*counted)
    return None if values is None else (len(values),)


def _size(facts: Facts, _argument: Any) -> tuple[int]:
    return (facts.message.size,)


WORDS = (
    Field("subject", TEXT, _subject, "the subject, decoded", 'subject contains "invoice"'),
    Field("message-id", IDENTIFIER, _message_id, "the Message-ID", 'message-id ends with "@github.com"'),
    Field(
        "list-id",
        IDENTIFIER,
        _list_id,
        "the list's name in List-Id (RFC 2919): what stands between < and >; contains and matches look at all of it",
        'list-id is "debian-user.lists.debian.org"',
    ),
    Field(
        "header",
        TEXT,
        _header,
        "every occurrence of any header field",
        'header "X-Mailer" contains "bulk"',
        True,
        OF_TEXT,
    ),
    Field(
        "headers",
        TEXT,
        _headers,
        "the whole header block, decoded, one field a line",
        "headers matches /^X-Spam-Flag: yes/",
    ),
    Field("count", NUMBER, _count, "how many values a field has", "count recipient > 20", False, OF_FIELD),
    Field("size", SIZE, _size, "the size of the message as received", "size > 10 MB"),
)
