"""The doors to the network: mail for the site's own users, and mail that its users send to others.

RFC 5321, and RFC 6409 for those who log in. A message has one reply here, however many its recipients are, and that is
the truth: 250 says that each copy is on the disk, or that the next hop has taken the message. If one copy has to be
tried again, so has the message, and who has his already is remembered for when it comes. What rules reject while others
take it goes into the quarantine, because the sender can't be told of one. Nothing waits in a queue here: what is for
other hosts is handed on while the client waits, to one next hop at a time.
"""

from __future__ import annotations

import asyncio
import time
from _blake2 import blake2b

from pydeliver.mail.message import HEAD_BYTES, Message
from pydeliver.mail.trace import HOPS, received
from pydeliver.memory import as_fields, tell_syslog
from pydeliver.receiver import path as paths
from pydeliver.receiver.connection import Connection, new_name, now_in_mail
from pydeliver.receiver.onward import Onward
from pydeliver.receiver.smtp import Claimed, Secured, SmtpSession
from pydeliver.receiver.users import Account
from pydeliver.status import Status, deferred, refused, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor
    from typing import TypeVar

    from pydeliver.receiver.gate import Gate
    from pydeliver.receiver.incoming import Incoming
    from pydeliver.receiver.server import Server
    from pydeliver.receiver.session import Event, Transaction

    Found = TypeVar("Found")

POSTMASTER = "postmaster"
HANDSHAKE = 30.0  # seconds
ONE_AT_A_TIME = Status("4.5.3", "one destination at a time: send it to the others in a message of its own")


class SmtpDoor(Connection):
    session: SmtpSession

    def __init__(self, server: Server, gate: Gate, door: str) -> None:
        super().__init__(server)
        self.door = door
        self.gate = gate
        self.session = SmtpSession(server.name, server.largest, gate.terms(door), door == "submissions")
        self._onward: tuple[Transaction, str, Onward] | None = None  # of which transaction, and to which domain

    # -- who are you? -------------------------------------------------------------------------------------------

    def _handled_here(self, event: Event) -> Coroutine[None, None, None]:
        if isinstance(event, Secured):
            return self._secure()
        assert isinstance(event, Claimed)
        return self._log_in(event)

    def _begin(self) -> None:
        if self.session.is_secure:  # from the first byte; who is only about to be counts as a client too
            self._wait_for(self._greet_in_tls())
        else:
            super()._begin()

    async def _greet_in_tls(self) -> None:
        await self._shake_hands()
        self.session.greet()

    async def _secure(self) -> None:
        self._write()
        self.session.secure()  # before: behind the handshake, the client's next word may be here already
        await self._shake_hands()

    async def _shake_hands(self) -> None:
        assert self._transport is not None
        assert self.gate.context is not None
        try:
            self._transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, self.gate.context, server_side=True, ssl_handshake_timeout=HANDSHAKE
            )
        except OSError:  # the client has thought better of it; nobody else will say that he is gone
            self._transport = None
            self.server.farewell(self)

    async def _log_in(self, claim: Claimed) -> None:
        passwords = self.gate.passwords
        assert passwords is not None
        good = await _in(self.gate.at_passwords, lambda: passwords.check(claim.user, claim.password))
        if not good:
            told = {"door": self.door, "client": self.address, "user": claim.user}
            tell_syslog(as_fields(told | {"problem": "a login failed"}))
        self.session.reply(stored() if good else refused("user and password don't fit", "5.7.8"))

    # -- for whom is it? ----------------------------------------------------------------------------------------

    def _asked(self, address: str) -> Coroutine[None, None, None]:
        return self._ask(address)

    async def _ask(self, address: str) -> None:
        self._answer(await self._found(address))

    async def _found(self, address: str) -> Account | Status:
        split = paths.split(address)
        local, domain = split or ("", "")
        if not domain and local.lower() != POSTMASTER:
            return refused("an address has a domain, behind an @", "5.1.3")
        transaction = self.session.transaction
        assert transaction is not None
        self._forget_other(transaction)
        if domain and not self.gate.is_ours(domain):
            return await self._next_hop(transaction, address, domain)
        if self._onward is not None:
            return ONE_AT_A_TIME
        found = await self._account(address) if domain else refused("there is no such user", "5.1.1")
        if local.lower() != POSTMASTER:
            return (await self._suspicion(transaction, address) or found) if isinstance(found, Account) else found
        for other in self.gate.domains:  # somebody reads that mail (RFC 5321 section 4.5.1)
            if isinstance(found, Account):
                break
            found = await self._account(f"{POSTMASTER}@{other}")
        return found

    async def _account(self, address: str) -> Account | Status:
        return self.server.users.find_at_once(address) or await self.server.users.find(address)

    async def _suspicion(self, transaction: Transaction, address: str) -> Status | None:
        hygiene, client, helo = self.gate.hygiene, self.address, self.session.peer
        if hygiene.is_off or self.session.user or self.gate.trusts(client):
            return None
        return await _in(
            self.gate.outside, lambda: hygiene.judge(client, helo, transaction.sender, address, time.time())
        )

    # -- mail for others ----------------------------------------------------------------------------------------

    async def _next_hop(self, transaction: Transaction, address: str, domain: str) -> Status:
        """Ask the next hop about a recipient: its answer is ours."""
        gate = self.gate
        if not self.session.user and not gate.trusts(self.address):
            return refused(f"mail for {domain} is not passed on for you", "5.7.1")
        where = gate.routes.smarthost or domain.lower()
        if self._onward is None:
            if transaction.recipients:
                return ONE_AT_A_TIME
            hops = await _in(gate.outside, lambda: gate.routes.find(domain))
            if isinstance(hops, Status):
                return hops
            onward = Onward(hops, self.server.name, transaction.sender, transaction.utf8, gate.login, gate.must_encrypt)
            self._onward = (transaction, where, onward)
        _, known, onward = self._onward
        if known != where:
            return ONE_AT_A_TIME
        status = await _in(gate.outside, lambda: onward.recipient(address))
        if not status.ok and not transaction.recipients:
            self._forget_onward()
        return status

    async def _handed_on(self, transaction: Transaction, onward: Onward, incoming: Incoming) -> Status:
        if _hops(incoming) >= HOPS:
            return refused(f"it has come by {HOPS} servers: it goes in circles", "5.4.6")
        name = new_name()
        whom = transaction.recipients[0] if len(transaction.recipients) == 1 else ""
        protocol = self.session.protocol(transaction)
        line = received(whom, self._peer, self.server.name, protocol, name, now_in_mail())

        def feed() -> Iterator[bytes]:
            yield line
            yield from incoming.chunks()

        status = await _in(self.gate.outside, lambda: onward.deliver(feed()))
        told = {"door": self.door, "queue": name, "client": self.address, "user": self.session.user}
        told |= {"sender": transaction.sender, "recipients": " ".join(transaction.recipients)}
        tell_syslog(as_fields({key: value for key, value in told.items() if value} | {"passed-on": status.line}))
        return status

    def _forget(self) -> None:
        super()._forget()
        self._forget_onward()

    def _forget_other(self, transaction: Transaction) -> None:
        """Let go of the next hop of a transaction that was given up."""
        if self._onward is not None and self._onward[0] is not transaction:
            self._forget_onward()

    def _forget_onward(self) -> None:
        if self._onward is not None:
            self.gate.outside.submit(self._onward[2].close)
            self._onward = None

    # -- mail for us --------------------------------------------------------------------------------------------

    async def _received(self, transaction: Transaction, accounts: list[Account], incoming: Incoming) -> None:
        self._forget_other(transaction)
        if incoming.problem is not None:
            status = incoming.problem
        elif self._onward is not None:
            status = await self._handed_on(transaction, self._onward[2], incoming)
            self._forget_onward()
            self.server.count(status)
        else:
            status = await self._delivered(transaction, accounts, incoming)
        self.session.reply(status)

    async def _delivered(self, transaction: Transaction, accounts: list[Account], incoming: Incoming) -> Status:
        """Deliver to each recipient once, and to none who has it already; the one answer for all."""
        everybody = dict(zip(transaction.recipients, accounts, strict=True))
        done: set[str] = set()
        if self.gate.visits.has_any:
            found = await asyncio.to_thread(lambda: self._done(transaction, incoming, list(everybody)))
            if isinstance(found, Status):
                return found
            done = found
        statuses = await self._statuses(transaction, everybody, [one for one in everybody if one not in done], incoming)
        if done or not all([status.code.startswith("5") for status in statuses.values()]):
            if all([not status.code.startswith("4") for status in statuses.values()]):
                unwanted = [one for one, status in statuses.items() if not status.ok]
                statuses |= await self._statuses(transaction, everybody, unwanted, incoming, "quarantine")
        else:  # nobody wants it
            return next(iter(statuses.values()))
        failed = [status for status in statuses.values() if not status.ok]
        if not failed:
            if done:
                await asyncio.to_thread(lambda: self.gate.visits.forget_done(_digest(transaction, incoming)))
            return stored()
        having = [one for one, status in statuses.items() if status.ok]
        problem = await asyncio.to_thread(lambda: self._remember(transaction, incoming, having)) if having else None
        return problem or deferred(failed[0].text, f"4{failed[0].code[1:]}")

    async def _statuses(
        self,
        transaction: Transaction,
        everybody: dict[str, Account],
        wanted: list[str],
        incoming: Incoming,
        rejected: str = "",
    ) -> dict[str, Status]:
        name = new_name()
        tasks = [self._task(transaction, one, everybody[one], name, rejected) for one in wanted]
        found = await asyncio.gather(*[self.server.deliver(task, incoming) for task in tasks])
        return dict(zip(wanted, found, strict=True))

    def _done(self, transaction: Transaction, incoming: Incoming, recipients: list[str]) -> set[str] | Status:
        return self.gate.visits.done(_digest(transaction, incoming), recipients, time.time())

    def _remember(self, transaction: Transaction, incoming: Incoming, recipients: list[str]) -> Status | None:
        return self.gate.visits.remember_done(_digest(transaction, incoming), recipients, time.time())


def _digest(transaction: Transaction, incoming: Incoming) -> bytes:
    """What tells a message that comes again from another one."""
    digest = blake2b(transaction.sender.encode("utf-8", "surrogateescape") + b"\0", digest_size=16)
    for piece in incoming.chunks():
        digest.update(piece)
    return digest.digest()


def _hops(incoming: Incoming) -> int:
    """Through how many servers it came."""
    head = b""
    for piece in incoming.chunks():
        head += piece
        if len(head) >= HEAD_BYTES or b"\n\n" in head:
            break
    return len(Message.of(head[:HEAD_BYTES]).fields("received"))


async def _in(executor: Executor, do: Callable[[], Found]) -> Found:
    """Do what may take long in a thread of those, so that it keeps nobody waiting who has nothing to do with it."""
    return await asyncio.get_running_loop().run_in_executor(executor, do)
