"""The door of a mail server: each recipient's copy is delivered by itself, and has a reply of its own (RFC 2033)."""

from __future__ import annotations

import asyncio

from pydeliver.receiver.connection import Connection, new_name
from pydeliver.receiver.lmtp import Inquired, LmtpSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pydeliver.receiver.incoming import Incoming
    from pydeliver.receiver.server import Server
    from pydeliver.receiver.session import Event, Transaction
    from pydeliver.receiver.users import Account


class LmtpDoor(Connection):
    door = "lmtp"
    session: LmtpSession

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.session = LmtpSession(server.name, server.largest)

    def _asked(self, address: str) -> Coroutine[None, None, None] | None:
        found = self.server.users.find_at_once(address)
        if found is None:
            return self._ask(address)
        self._answer(found)
        return None

    async def _ask(self, address: str) -> None:
        self._answer(await self.server.users.find(address))

    async def _received(self, transaction: Transaction, accounts: list[Account], incoming: Incoming) -> None:
        """Deliver to each recipient once, and reply in their order as soon as can be."""
        name = new_name()
        tasks = {
            address: self._task(transaction, address, account, name)
            for address, account in zip(transaction.recipients, accounts, strict=True)
        }
        under_way = {address: asyncio.ensure_future(self.server.deliver(tasks[address], incoming)) for address in tasks}
        try:
            for address in transaction.recipients:
                self.session.reply(await under_way[address])
                self._write()
        finally:
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    def _handled_here(self, event: Event) -> None:
        assert isinstance(event, Inquired)
        self.session.tell(self.server.facts())
