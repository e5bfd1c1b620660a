"""Sending the message on: forward, copy forward. The bytes stay as received but for the fields that say whose it was.

Never in circles (RFC 5321 section 6.3, RFC 5228 section 10): what was forwarded from here before, under any detail,
or has passed through HOPS servers, is kept instead. The envelope sender follows the site's `forward-sender`; a bounce
stays one, so nobody answers it. An address may hold values; what is no plain address then is no place to send mail to.
"""

from __future__ import annotations

from pydeliver.mail import address
from pydeliver.mail.trace import HOPS
from pydeliver.vocabulary.programs import clean
from pydeliver.vocabulary.transit import me
from pydeliver.vocabulary.word import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft, Facts

INBOX = "INBOX"
SHOWN = 80  # characters of an address in a note
LONGEST = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
KEEP, ME, SRS = "keep", "me", "srs"
_REFUSED = frozenset(' "(),:;<>[\\]|\ufffd')
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~.")


def problem(text: str) -> str:
    """Why a text is no address to send to, or "". Quoted local parts and comments are none: what programs make of

    them differs.
    """
    found = address.parse_one(text)
    local, _, domain = text.rpartition("@")
    if found is None or not local or not domain or len(text) > LONGEST:
        return "this is no mail address"
    plain = set(local) <= _PLAIN or not local.isascii()
    visible = text.isprintable() and not set(text) & _REFUSED and text.count("@") == 1
    return "" if plain and visible else "this is no plain mail address"


def owner(facts: Facts) -> str:
    """Whose mail this is: the recipient without detail, else the first of `me`; "" if nobody knows."""
    recipient = facts.envelope.recipient or ""
    local, at, domain = recipient.rpartition("@")
    if at:
        return f"{address.split_detail(local, facts.settings['subaddress'])[0]}@{domain}"
    return next((one.address for one in me(facts, None) or ()), "")


def _circle(facts: Facts) -> str:
    """Why the message must not go further, or ""."""
    if why := too_far(facts):
        return why
    names = [name.lower() for name in facts.message.names()]
    texts = facts.message.texts("delivered-to")
    if texts and "delivered-to" in (names[: names.index("received")] if "received" in names else names):
        texts = texts[1:]  # the topmost is of this very delivery, by the mail server
    mine = {person(facts, owner(facts)), *own(facts)}
    return "it was forwarded from here before" if any([person(facts, text) in mine for text in texts if text]) else ""


def too_far(facts: Facts) -> str:
    """Why a message that has come through so many mail servers goes in circles, or ""."""
    hops = len(facts.message.fields("received"))
    return f"it has come through {HOPS} mail servers" if hops >= HOPS else ""


def own(facts: Facts) -> set[str]:
    """The user's own addresses, without detail."""
    return {person(facts, one.address) for one in me(facts, None) or ()}


def person(facts: Facts, text: str) -> str:
    """What is equal for one person's addresses, whatever the detail."""
    found = address.parse_one(text)
    if found is None:
        return text
    return address.Address("", address.split_detail(found.local, facts.settings["subaddress"])[0], found.domain).key


def _sender(facts: Facts) -> str | None:
    """The envelope sender of what is sent on; None where nobody knows any, and the mail server says who it was."""
    said, policy = facts.envelope.sender, facts.settings["forward-sender"]
    if said == "":
        return ""
    if said is None or policy == ME:
        return owner(facts) or None
    if policy == SRS:
        answer = facts.ask(("srs", clean(said)))
        return "?" if answer is None else str(answer)
    return clean(said)


def _forward(draft: Draft, operands: tuple[Any, ...], final: bool = True) -> None:
    facts = draft.facts
    circle = _circle(facts)
    for pieces in operands[0]:
        text = "".join([one for one, _ in pieces]).strip()
        why = circle or problem(text)
        if not why:
            draft.forward(text, _sender(facts), owner(facts), final)
            continue
        draft.notes.append(f'not forwarded to "{text[:SHOWN]}": {why}{", kept instead" if final else ""}')
        if final:
            draft.deliver(INBOX, final=True)


def _copy_forward(draft: Draft, operands: tuple[Any, ...]) -> None:
    _forward(draft, operands, final=False)


WORDS = (
    Action(
        "forward",
        ("forward ADDRESSES",),
        _forward,
        "send the message on to an address, or several, and end",
        'forward "robin@example.net"',
        True,
    ),
    Action(
        "copy forward",
        ("copy forward ADDRESSES",),
        _copy_forward,
        "send a copy on and go on",
        'copy forward "team@example.org"',
    ),
)
