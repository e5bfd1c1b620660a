"""What the caller says rather than the message: the envelope, who `me` is, arguments, environment.

RFC 5321 2.3.1; the environment variables are those of an allow-list (see `settings`), held by the envelope.
"""

from __future__ import annotations

from pydeliver.mail import address, words
from pydeliver.vocabulary.addresses import with_parts
from pydeliver.vocabulary.word import ADDRESS, OF_NAME, OF_NUMBER, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.mail.address import Address
    from pydeliver.vocabulary.word import Facts

NULL_SENDER = address.Address("", "", "")


def _parsed(text: str) -> tuple[Address, ...]:
    found = address.parse_one(words.visible(text))
    return () if found is None else (found,)


def _unsaid(facts: Facts) -> tuple[Any, ...] | None:
    """What nobody said: absent, or unknown while only a part of the envelope is known."""
    return () if facts.envelope.complete else None


def sender(facts: Facts, _argument: Any) -> tuple[Address, ...] | None:
    """No value while nobody said who sent it; the null sender of a bounce is an address of its own."""
    said = facts.envelope.sender
    if said is None:
        return _unsaid(facts)
    return _parsed(said) if said else (NULL_SENDER,)


def _recipient(facts: Facts, _argument: Any) -> tuple[Address, ...] | None:
    recipient = facts.envelope.recipient
    return _parsed(recipient) if recipient else _unsaid(facts)


def _original_recipient(facts: Facts, _argument: Any) -> tuple[Address, ...] | None:
    recipient = facts.envelope.original_recipient
    return _parsed(recipient) if recipient else _unsaid(facts)


def _detail(facts: Facts, _argument: Any) -> tuple[str, ...] | None:
    """What the caller gave, else what stands in the recipient's address."""
    given = facts.envelope.detail
    if given is None:
        recipients = _recipient(facts, None)
        if recipients is None:
            return None
        given = next((address.split_detail(one.local, facts.settings["subaddress"])[1] for one in recipients), "")
    return (words.visible(given),) if given else ()


def me(facts: Facts, _argument: Any) -> tuple[Address, ...] | None:
    """`set me`, else the recipients without detail, and the login name at the site's domains."""
    settings, envelope = facts.settings, facts.envelope
    if settings["me"]:
        return tuple([one for text in settings["me"] for one in _parsed(text)])
    found = []
    for one in (*(_recipient(facts, None) or ()), *(_original_recipient(facts, None) or ())):
        local = address.split_detail(one.local, settings["subaddress"])[0]
        found.append(address.Address("", local, one.domain))
    if envelope.user:
        found += [address.Address("", envelope.user, domain) for domain in settings["domains"]]
    return tuple(dict.fromkeys(found)) or _unsaid(facts)


def _without_detail(facts: Facts, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Mail to robin+shop@example.net is to robin@example.net."""
    found = []
    for text in texts:
        local, at, domain = text.rpartition("@")
        found.append(f"{address.split_detail(local, facts.settings['subaddress'])[0]}{at}{domain}")
    return tuple(found)


def _argument(facts: Facts, name: str) -> tuple[str, ...] | None:
    found = facts.envelope.arguments.get(name)
    return _unsaid(facts) if found is None else (words.visible(found),)


def _environment(facts: Facts, name: str) -> tuple[str, ...] | None:
    found = facts.envelope.environment.get(name)
    return _unsaid(facts) if found is None else (words.visible(found),)


def _envelope_to(name: str, read: Any, about: str, example: str) -> tuple[Field, ...]:
    """An envelope recipient: its detail is the one the caller gave, where he gave one."""
    whole = with_parts(name, read, about, example, False)
    return (*whole[:-1], Field(f"{name}.detail", TEXT, _detail, whole[-1].about, whole[-1].example))


WORDS = (
    *with_parts("envelope.from", sender, "the envelope sender; `null` for a bounce", "envelope.from is null", False),
    *_envelope_to("envelope.to", _recipient, "the envelope recipient", 'envelope.to.detail is "shop"'),
    *with_parts(
        "envelope.original-to",
        _original_recipient,
        "the recipient before aliases and forwards",
        'envelope.original-to is "sales@example.org"',
        False,
    ),
    Field(
        "me",
        ADDRESS,
        me,
        "your own addresses, with any detail: `set me`, else those the message was sent to",
        "to is me",
        True,
        reaches=_without_detail,
    ),
    Field(
        "arg",
        TEXT,
        _argument,
        "an argument of the caller: arg.1 or arg.NAME for NAME=value",
        'arg.1 is "shop"',
        False,
        OF_NUMBER,
    ),
    Field(
        "env",
        TEXT,
        _environment,
        "an environment variable of the caller",
        "env.CLIENT_ADDRESS in 192.0.2.0/24",
        False,
        OF_NAME,
    ),
)
