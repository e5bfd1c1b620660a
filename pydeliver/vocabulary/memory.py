"""What earlier messages say about this one: whether it came before, whether its sender wrote before, how many came.

All of it is one question, how many messages with a key were remembered within a time, and one kind of event, that one
more came. Events are a verdict's; they are written down with the message or not at all. Keys are texts that name what
is counted, so that the log can show them.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import FACT, FORMED, Event, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Facts

DAY = 86_400
WITHIN = 7 * DAY  # in which the same message is a duplicate
SENDER_DAYS = 730  # after which a sender who has not written again is forgotten
SEPARATOR = " · "
KEY_CHARACTERS = 500  # of each value: a sender chooses how long it is


def _counted(facts: Facts, kind: str, key: str | None, seconds: int) -> int | None:
    """How many with this key there were; 0 without a key, None if nobody knows."""
    if key is None:
        return 0
    found: int | None = facts.ask(("remembered", kind, key, seconds))
    return found


def _value(facts: Facts, argument: Any) -> str | None:
    """The values of the field behind `by`, with its name; None if it is absent or unknown."""
    field, given = dict(argument)["FIELD"]
    texts = facts.strings(field, given, False, True)
    name = f"{field.name} {given}" if isinstance(given, str) and given else field.name
    return None if not texts else SEPARATOR.join([name, *[text[:KEY_CHARACTERS] for text in texts]])


# -- duplicate --------------------------------------------------------------------------------------------------


def _identity(facts: Facts, argument: Any) -> str | None:
    """What makes two messages the same: the values of a field, else Message-ID and From address together."""
    if "FIELD" in dict(argument):
        return _value(facts, argument)
    found = facts.message.texts("message-id")
    if not found or not found[0]:
        return None
    senders = [one.key for one in facts.message.addresses("from")]
    return SEPARATOR.join([found[0][:KEY_CHARACTERS], *senders[:1]])


def _duplicate(facts: Facts, argument: Any) -> tuple[bool, ...] | None:
    seconds = dict(argument).get("DURATION", WITHIN)
    found = _counted(facts, "duplicate", _identity(facts, argument), seconds)
    return None if found is None else (True,) * (found > 0)


def _is_stored(facts: Facts, argument: Any, outcome: str) -> Event | None:
    key = _identity(facts, argument)
    stored = outcome == "deliver" and key is not None
    return Event("duplicate", key or "", dict(argument).get("DURATION", WITHIN)) if stored else None


# -- seen-sender ------------------------------------------------------------------------------------------------


def _sender(facts: Facts) -> str | None:
    found = facts.message.addresses("from")
    return found[0].key if found and found[0].domain else None


def _seen(facts: Facts, _argument: Any) -> tuple[bool, ...] | None:
    found = _counted(facts, "seen-sender", _sender(facts), SENDER_DAYS * DAY)
    return None if found is None else (True,) * (found > 0)


def _has_written(facts: Facts, _argument: Any, outcome: str) -> Event | None:
    key = _sender(facts)
    return Event("seen-sender", key, SENDER_DAYS * DAY) if outcome == "deliver" and key is not None else None


# -- more than N per … by … -------------------------------------------------------------------------------------


def _more(facts: Facts, argument: Any) -> tuple[bool, ...] | None:
    found = _counted(facts, "more", _value(facts, argument), dict(argument)["PERIOD"])
    return None if found is None else (True,) * (found + 1 > dict(argument)["NUMBER"])


def _came(facts: Facts, argument: Any, outcome: str) -> Event | None:
    key = _value(facts, argument)
    taken = outcome in ("deliver", "discard") and key is not None
    return Event("more", key or "", dict(argument)["PERIOD"], every=True) if taken else None


WORDS = (
    Field(
        "duplicate",
        FACT,
        _duplicate,
        "the same message was stored before, within 7 days",
        "duplicate",
        argument=FORMED,
        forms=("by FIELD within DURATION", "by FIELD", "within DURATION", ""),
        remembers=_is_stored,
    ),
    Field(
        "seen-sender",
        FACT,
        _seen,
        "mail from this From address was stored before",
        "seen-sender",
        argument=FORMED,
        forms=("",),
        remembers=_has_written,
    ),
    Field(
        "more",
        FACT,
        _more,
        "with this message, more than so many with the same value came within the time",
        "more than 20 per hour by from.address",
        argument=FORMED,
        forms=("than NUMBER per PERIOD by FIELD",),
        remembers=_came,
    ),
)
