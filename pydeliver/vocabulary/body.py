"""The body as text: what a person reads, the bytes as they came, the charsets of the text.

`body` has one value for each text part, so that a pattern's `^` and `$` stand at the ends of a line of that part.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Facts


def _body(facts: Facts, _argument: Any) -> tuple[str, ...]:
    return facts.message.body()


def _raw(facts: Facts, _argument: Any) -> tuple[str, ...]:
    # Every byte is a character, and the rule does not depend on how the door ends its lines.
    return (facts.message.raw_body().decode("latin-1").replace("\r\n", "\n"),)


def _charset(facts: Facts, _argument: Any) -> tuple[str, ...]:
    from pydeliver.mail import text

    labels = [text.label(part) for part in text.shown(facts.message.parts())]
    return tuple(dict.fromkeys([label for label in labels if label]))


WORDS = (
    Field(
        "body",
        TEXT,
        _body,
        "the text that a reader shows, decoded, HTML as it is seen: a value for each text part",
        'body contains "unsubscribe"',
        True,
    ),
    Field(
        "body.raw",
        TEXT,
        _raw,
        "the bytes behind the header, nothing decoded, each a character",
        'body.raw contains "<script"',
    ),
    Field(
        "charset",
        TEXT,
        _charset,
        "the charsets that the text parts are labelled with",
        'charset is "koi8-r", "windows-1251"',
        True,
    ),
)
