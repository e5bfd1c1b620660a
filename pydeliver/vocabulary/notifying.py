"""Telling somebody that a message came, when it is stored: by a program that gets the text, or by a short mail.

It holds nothing up: a notification that can't be sent is a line in the log.
"""

from __future__ import annotations

from pydeliver.status import Value
from pydeliver.vocabulary.forwarding import owner, problem
from pydeliver.vocabulary.programs import arguments, clean
from pydeliver.vocabulary.word import UNKNOWN, Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft


class Notice(Value):
    """A text that a program gets as its last argument, or an address as a short mail, when the message is stored."""

    text: str
    argv: tuple[str, ...] = ()
    address: str = ""
    author: str = ""

    def describe(self) -> str:
        where = f'to "{self.address}"' if self.address else f'by "{" ".join(self.argv[:-1])}"'
        return f'notify "{self.text}" {where}'


def _by(draft: Draft, operands: tuple[Any, ...]) -> str | None:
    """The text is the last argument of the command, and no option."""
    text, words = operands
    argv = arguments(words, draft.facts.settings["home"])
    if argv is None:
        return UNKNOWN
    draft.notices.append(Notice(text, (*argv, clean(text).lstrip("-"))))
    return None


def _to(draft: Draft, operands: tuple[Any, ...]) -> str | None:
    text, addresses = operands
    told = None
    for pieces in addresses:
        to = "".join([one for one, _ in pieces]).strip()
        if why := problem(to):
            draft.notes.append(f"nobody was notified: {why}")
            told = "not sent"
        else:
            draft.notices.append(Notice(text, (), to, owner(draft.facts)))
    return told


WORDS = (
    Action(
        "notify",
        ("notify TEXT by COMMAND",),
        _by,
        "run a program with a text when the message is stored",
        'notify "{from}: {subject}" by "notify-send Mail"',
    ),
    Action(
        "notify to",
        ("notify TEXT to ADDRESSES",),
        _to,
        "send a short mail with a text when the message is stored",
        'notify "Mail from {from}" to "4912345@sms.example.net"',
    ),
)
