"""One client: its session on one side, users and workers on the other.

What the session asks is answered here, one event after the other; while that takes time, the client is not read from
once it has said enough ahead of its turn. A client that goes away while its message is being delivered changes nothing
about that. `lmtp_door` and `smtp_door` say what is answered at each.
"""

from __future__ import annotations

import asyncio
import os
import time

from pydeliver.mail.trace import trace
from pydeliver.memory import tell_syslog
from pydeliver.receiver.incoming import Incoming
from pydeliver.receiver.pool import Task
from pydeliver.receiver.session import Asked, Ended, Over, Text
from pydeliver.receiver.users import Account
from pydeliver.receiver.wire import Order
from pydeliver.status import Status, deferred, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pydeliver.receiver.server import Server
    from pydeliver.receiver.session import Event, Session, Transaction

AHEAD = 64 << 10  # bytes that a client may say before it is its turn
# What a client says goes through one place, whoever he is: new room each time would scatter what is in memory.
_HEARD = memoryview(bytearray(64 << 10))
LINGER = 1.0  # seconds for a client to hear the last word, which a reset would take away from it


class Connection(asyncio.BufferedProtocol):
    """`address` is the client's on the network, "" behind a socket of this host."""

    door = ""  # as the log names it
    session: Session

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address = ""
        self.heard = time.monotonic()
        self._transport: asyncio.Transport | None = None
        self._accounts: list[Account] = []
        self._incoming: Incoming | None = None
        self._waits_for: asyncio.Task[None] | None = None
        self._choked = False

    # -- what asyncio calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.address = str(name[0]) if isinstance(name, tuple) else ""
        problem = self.server.welcome(self)
        if problem is None:
            self._begin()
        else:
            self.dismiss(problem)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _HEARD

    def buffer_updated(self, nbytes: int) -> None:
        if self.session.is_over:
            return
        self.heard = time.monotonic()
        self.session.feed(bytes(_HEARD[:nbytes]))
        if self._waits_for is None:
            self._go_on()
        self._mind_reading()

    def pause_writing(self) -> None:
        self._choked = True
        self._mind_reading()

    def resume_writing(self) -> None:
        self._choked = False
        self._mind_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waits_for is None:
            self._forget()
        self.server.farewell(self)

    # -- what the server calls ----------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no message is on its way, so that nobody is hurt when it ends now."""
        return self._waits_for is None and self.session.transaction is None

    def dismiss(self, why: Status) -> None:
        """Say 421 and hang up, unless a delivery is under way."""
        if self._waits_for is None:
            self.session.dismiss(why)
            self._go_on()

    # -- the conversation ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.session.greet()
        self._write()

    def _go_on(self) -> None:
        """Take events until one has to be waited for."""
        while self._waits_for is None and (event := self.session.next()) is not None:
            takes_time = self._handled(event)
            if takes_time is not None:
                self._wait_for(takes_time)
        self._write()

    def _wait_for(self, takes_time: Coroutine[None, None, None]) -> None:
        self._waits_for = asyncio.get_running_loop().create_task(self._waited(takes_time))

    def _handled(self, event: Event) -> Coroutine[None, None, None] | None:
        """Do what can be done at once; what takes time is returned."""
        if isinstance(event, Text):
            incoming = self._incoming = self._incoming or Incoming()
            return asyncio.to_thread(incoming.flush) if incoming.add(event.data) else None
        if isinstance(event, Asked):
            return self._asked(event.address)
        if isinstance(event, Ended):
            incoming, self._incoming = self._incoming or Incoming(), None
            if not event.refused:
                return self._whole(event.transaction, self._accounts, incoming)
            incoming.close()
            return None
        if isinstance(event, Over):
            self._write()
            self._hang_up()
            return None
        return self._handled_here(event)

    def _asked(self, address: str) -> Coroutine[None, None, None] | None:
        """Answer whether this is a recipient."""
        raise NotImplementedError

    async def _whole(self, transaction: Transaction, accounts: list[Account], incoming: Incoming) -> None:
        try:
            if incoming.is_large:
                await asyncio.to_thread(incoming.flush)
            await self._received(transaction, accounts, incoming)
        finally:
            incoming.close()

    async def _received(self, transaction: Transaction, accounts: list[Account], incoming: Incoming) -> None:
        """Answer what becomes of a message; `accounts` are of the recipients, in their order."""
        raise NotImplementedError

    def _handled_here(self, event: Event) -> Coroutine[None, None, None] | None:
        """Do what only this door is asked for."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        if self._transport is None:
            return
        if not self._transport.can_write_eof():  # in TLS, whose end goes both ways
            linger = 0.0 if self.session.has_quit else LINGER
            asyncio.get_running_loop().call_later(linger, self._transport.close)
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has not waited for it
            self._transport.close()
        else:
            asyncio.get_running_loop().call_later(LINGER, self._transport.close)

    async def _waited(self, takes_time: Coroutine[None, None, None]) -> None:
        try:
            await takes_time
        except Exception as error:  # noqa: BLE001 - whatever it is, the mail must stay with the client
            tell_syslog(f"internal error: {type(error).__name__}: {error}")
        while self.session.waits:
            self.session.reply(deferred("internal error"))
        self._waits_for = None
        self.heard = time.monotonic()
        if self._transport is None:
            self._forget()
            return
        if self.server.stopping and self.is_idle:
            self.session.dismiss(deferred("the server stops", "4.3.2"))
        self._go_on()
        self._mind_reading()

    def _answer(self, found: Account | Status) -> None:
        """Say whether the recipient at hand is one, and keep his account."""
        transaction = self.session.transaction
        if isinstance(found, Account):
            if transaction is not None and not transaction.recipients:
                self._accounts = []
            self._accounts.append(found)
            found = stored()
        self.session.reply(found)

    @property
    def _peer(self) -> str:
        """Who handed the message over, as Received says it."""
        return self.session.peer + (f" ([{self.address}])" if self.address else "")

    def _task(self, transaction: Transaction, address: str, account: Account, name: str, rejected: str = "") -> Task:
        """The delivery of a message, in the transaction of that name, to one recipient."""
        protocol, host = self.session.protocol(transaction), self.server.name
        lines = trace(transaction.sender, address, self._peer, host, protocol, name, now_in_mail())
        sender, base = transaction.sender, account.base
        order = Order(account.user, account.home, sender, address, name, base, self.door, rejected)
        return Task(account.system, order, lines)

    # -- the wire -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        said = self.session.take()
        if said and self._transport is not None:
            self._transport.write(said)

    def _mind_reading(self) -> None:
        """Read on only while the client listens, and has not said too much ahead of its turn."""
        if self._transport is None or self._transport.is_closing():
            return
        ahead = self._waits_for is not None and self.session.unread() > AHEAD
        if self._choked or ahead:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _forget(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None


def now_in_mail() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())


def new_name() -> str:
    """What a transaction is called in Received and in the log."""
    return os.urandom(6).hex().upper()
