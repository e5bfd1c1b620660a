"""Answering the sender: reply, vacation. RFC 3834 and RFC 5230, of which no rule can switch anything off.

An answer goes to the envelope sender, from the null sender, once to each within a time, and only where the message is
stored in the end. None goes to a bounce, to a program, to many (`bulk`), to oneself, to what is marked as spam or goes
in circles. `vacation` answers only what is really to me, and all `vacation` of one user together answer once.
Whether somebody was answered is a question to memory, and that he now is an event, as for `duplicate`.
"""

from __future__ import annotations

from pydeliver.status import Value
from pydeliver.vocabulary.forwarding import own, owner, person, problem, too_far
from pydeliver.vocabulary.operator import local_time
from pydeliver.vocabulary.transit import me
from pydeliver.vocabulary.trust import is_automated, is_bulk, is_personal
from pydeliver.vocabulary.word import UNKNOWN, Action, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft, Facts

DAY = 86_400
AGAIN = 7 * DAY  # after which the same sender is answered again, where the rule gives no other time
SEPARATOR = " · "
REFERENCES = 20  # of the message, the last ones


class Reply(Value):
    """An answer to the sender, sent when the message is stored: `word` is reply or vacation.

    `identity` is the Message-ID of the message answered, `references` what it referred to, and it.
    """

    word: str
    to: str
    author: str
    subject: str
    text: str
    identity: str = ""
    references: str = ""

    def describe(self) -> str:
        return f'{self.word} to "{self.to}"'


def _refusal(facts: Facts, personal: bool) -> str | None:
    """Why nobody is answered, "" where somebody is, None where what it takes to know is not known."""
    sender = facts.envelope.sender
    if sender is None:
        return None if not facts.envelope.complete else "nobody knows who sent it"
    if not sender:
        return "it is a bounce"
    if problem(sender):
        return "the sender has no plain address"
    mine, here = own(facts), person(facts, owner(facts))
    far, automated = too_far(facts), is_automated(facts)
    for refused, why in (
        (automated, "no person wrote it"),
        (is_bulk(facts.message), "it was sent to many"),
        (person(facts, sender) in (here, *mine), "it is from you"),
        (any([text[:3].lower() == "yes" for text in facts.message.texts("x-spam-flag")]), "it is marked as spam"),
        (far, far),
    ):
        if refused:
            return why
    if automated is None:
        return None
    if not personal:
        return ""
    if facts.settings["me"] and facts.envelope.recipient and here not in mine:
        return "it came to an address that is not yours"
    found = is_personal(facts)
    return None if found is None else "" if found else "you are not among those it is to"


def _author(facts: Facts) -> str:
    """From whom the answer is: the recipient at hand, by the name that `set me` has for that address."""
    bare = owner(facts)
    known = [one.text for one in me(facts, None) or () if person(facts, one.address) == person(facts, bare)]
    return next((text for text in known if text != bare), bare)


def _is_time(facts: Facts, days: list[tuple[int, int, int]]) -> bool | None:
    """Whether today is from the first day until the last, both included."""
    if not days:
        return True
    now = facts.ask(("now",))
    local = None if now is None else local_time(facts, now)
    return None if local is None else days[0] <= local[:3] <= days[1]


def _answer(draft: Draft, operands: tuple[Any, ...], word: str = "reply") -> str | None:
    """Decide on an answer; a word for the trace on why there is none."""
    facts = draft.facts
    body, *options = operands
    days = [one for one in options if isinstance(one, tuple)]
    seconds = next((one for one in options if isinstance(one, int)), AGAIN)
    now = _is_time(facts, days)
    why = _refusal(facts, word == "vacation")
    if now is False:
        return "not sent: it is not the time"
    if why:
        return f"not sent: {why}"
    if now is None or why is None:
        return UNKNOWN
    to = facts.envelope.sender or ""
    key = SEPARATOR.join([word, draft.rule if word == "reply" else "", person(facts, to)])
    before = facts.ask(("remembered", "reply", key, seconds))
    if before is None:
        return UNKNOWN
    if before:
        return "not sent: the sender was answered before"
    text = body if isinstance(body, str) else facts.ask(("text", body[1]))
    if text is None:
        draft.notes.append(f"no answer was sent: {body[1]} can't be read")
        return "not sent: its text can't be read"
    message = facts.message
    identity = next(iter(message.texts("message-id")), "")
    earlier = " ".join(message.texts("references") or message.texts("in-reply-to")).split()[-REFERENCES:]
    about = next(iter(message.texts("subject")), "")
    subject = next((one for one in options if isinstance(one, str)), f"Auto: {about}")
    reply = Reply(word, to, _author(facts), subject, text, identity, " ".join([*earlier, identity]).strip())
    draft.answer(reply, Event("reply", key, seconds))
    return None


def _vacation(draft: Draft, operands: tuple[Any, ...]) -> str | None:
    return _answer(draft, operands, "vacation")


def _forms(word: str) -> tuple[str, ...]:
    """The text or the file that has it, and what may stand behind, in this order."""
    return tuple(
        [
            f"{word} {body}{subject}{window}{every}"
            for body in ("TEXT", "file PATH")
            for subject in ("", " subject TEXT")
            for window in ("", " from DAY until DAY")
            for every in ("", " every DURATION")
        ]
    )


LEAST = (DAY, "the same sender is answered once a day at most")  # RFC 5230 section 4.1
WORDS = (
    Action(
        "reply",
        _forms("reply"),
        _answer,
        "answer the sender, once in 7 days or the time behind `every`",
        'reply "Thank you, a person will answer." every 1 day',
        least=LEAST,
    ),
    Action(
        "vacation",
        _forms("vacation"),
        _vacation,
        "the same, and only if the message is really to you",
        'vacation "I am away." from 2026-12-20 until 2027-01-03 every 7 days',
        least=LEAST,
    ),
)
