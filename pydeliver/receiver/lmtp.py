"""What a client meets at LMTP (RFC 2033): one reply for each recipient that was accepted.

They come in the order of acceptance, one given twice twice, whatever happened to the message (section 4.2). XSTATUS is
a word of our own, by which `pydeliver serve status` asks.
"""

from __future__ import annotations

from pydeliver.receiver.session import COMMANDS, Session, Transaction
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Inquired(Value):
    """How is the server? Wants `tell`."""


class LmtpSession(Session):
    name = "LMTP"
    hello = "LHLO"

    def answers(self, transaction: Transaction) -> int:
        return len(transaction.recipients)

    def protocol(self, transaction: Transaction) -> str:
        return "UTF8LMTP" if transaction.utf8 else "LMTP"

    def tell(self, facts: Mapping[str, object]) -> None:
        """The server's answer to `Inquired`."""
        self._waiting -= 1
        self._say(*[f"250-{name} {value}" for name, value in facts.items()], "250 2.0.0 ok")

    def _xstatus(self, _argument: bytes) -> None:
        self._waiting = 1
        self._events.append(Inquired())


LmtpSession.commands = {b"LHLO": Session._extended_hello, **COMMANDS, b"XSTATUS": LmtpSession._xstatus}
