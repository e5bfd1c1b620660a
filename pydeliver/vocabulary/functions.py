"""Functions of texts, for names of mailboxes and for comparisons: `{slug(subject)}`, `first(subject, 20)`.

Each makes one text of one text, and so many of many. None of them knows where the text comes from.
"""

from __future__ import annotations

from _blake2 import blake2b

from pydeliver.vocabulary.word import CALLED, CALLED_WITH_NUMBER, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.vocabulary.word import Facts

HASH_BYTES = 8
# How mail programs say "answer" and "passed on": English, then what is not the same in German, Dutch, French, Italian,
# Spanish, Portuguese, Danish, Norwegian, Swedish, Finnish, Polish, Czech, Turkish, Greek.
PREFIXES = frozenset(
    "re fw fwd aw wg antw doorst tr rif rv enc res sv vs vb vl odp pd ynt ilt απ πρθ".split(),
)
PREFIX_LENGTH = 20  # with a count and spaces, up to the colon


def lower(text: str, _number: int) -> str:
    return text.lower()


def slug(text: str, _number: int) -> str:
    """Lower-case letters and digits, with `-` for all that was between them: "Ärger, again!" to "arger-again"."""
    if not text.isascii():
        import unicodedata

        text = "".join([c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)])
    kept = "".join([c if c.isalnum() else " " for c in text.lower()])
    return "-".join(kept.split())


def basename(text: str, _number: int) -> str:
    """What stands behind the last `/` or `\\`."""
    return text[max(text.rfind("/"), text.rfind("\\")) + 1 :]


def without_reply_prefix(text: str, _number: int) -> str:
    """The text without `Re:`, `AW[2]:`, `Fwd :` and the like before it, however many there are."""
    at = 0
    while (colon := text.find(":", at, at + PREFIX_LENGTH)) >= 0:
        word = text[at:colon].strip().lower()
        bare = word.rstrip("])").rstrip("0123456789").rstrip("[(^ ")  # Re[2]:, Re(2):, Re^2:
        if bare not in PREFIXES:
            break
        at = colon + 1
    return text[at:].lstrip()


def digest(text: str, _number: int) -> str:
    """Sixteen hexadecimal digits that are the same for the same text."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=HASH_BYTES).hexdigest()


def first(text: str, number: int) -> str:
    return text[:number].rstrip()


def _function(name: str, apply: Callable[[str, int], str], about: str, example: str, argument: str = CALLED) -> Field:
    def read(facts: Facts, given: Any) -> Any:
        (field, inner), number = given
        texts = facts.strings(field, inner, False, False)
        return None if texts is None else tuple([apply(text, number) for text in texts])

    return Field(name, TEXT, read, about, example, argument=argument, apply=apply)


WORDS = (
    _function("lower", lower, "a text in lower case", 'lower(from.local) is exactly "jo"'),
    _function(
        "slug", slug, "letters and digits of a text, with - between", 'slug(subject) starts with "weekly-report"'
    ),
    _function("basename", basename, "what stands behind the last slash", 'basename(header "X-File") is "index.html"'),
    _function(
        "without-reply-prefix",
        without_reply_prefix,
        "a subject without Re:, Fwd: and their kin",
        'without-reply-prefix(subject) is "minutes"',
    ),
    _function("hash", digest, "sixteen digits that stand for a text", 'hash(from.domain) starts with "0"'),
    _function(
        "first",
        first,
        "the first characters of a text",
        'first(subject, 1) is "["',
        CALLED_WITH_NUMBER,
    ),
)
