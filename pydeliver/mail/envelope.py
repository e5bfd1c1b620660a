"""What the caller says about a message: who sent it, for whom, with what detail, by which door.

RFC 5321 2.3.1. A value, filled by a door; nothing here is read from the message itself.
"""

from __future__ import annotations

from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# The ways callers spell the null sender of a bounce (OpenSMTPD gives @, Postfix pipe MAILER-DAEMON, qmail #@[]).
_NULL_SENDERS = ("", "<>", "@", "<@>", "mailer-daemon", "#@[]")


class Envelope(Value):
    """`sender` is None when nobody said one and "" for the null sender (a bounce).

    `detail` is what stands behind the separator in the recipient's local part; `user` the login name;
    `arguments` are the caller's positional values by name ("1", "2", or a NAME given as NAME=value). Not `complete` is
    an envelope of which only a part is known (a rehearsal): what is not in it is unknown then, and not absent.
    """

    sender: str | None = None
    recipient: str | None = None
    original_recipient: str | None = None
    detail: str | None = None
    user: str = ""
    queue_id: str = ""
    door: str = "deliver"
    arguments: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    complete: bool = True

    def with_addresses(self, sender: str | None, recipient: str | None) -> Envelope:
        """The same but for these two."""
        if (sender, recipient) == (self.sender, self.recipient):
            return self
        kept = {field: getattr(self, field) for field in Envelope._fields}
        return Envelope(**kept | {"sender": sender, "recipient": recipient})


def sender_from(text: str) -> str:
    """A caller's sender without angle brackets; every spelling of the null sender is ""."""
    text = text.strip()
    if text.lower() in _NULL_SENDERS:
        return ""
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    return text
