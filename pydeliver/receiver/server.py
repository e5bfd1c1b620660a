"""The resident server: listens, reads what is said, and has it delivered, until it is told to stop.

One event loop for all clients, in a process without rights over anybody's mail; what is delivered is so by workers.
SIGTERM drains: nobody new is heard, who is idle is sent away, and a message that is under way is delivered and
answered. SIGHUP reads users and limits again. systemd is told by sd_notify(3), and may have opened the sockets.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import socket
import time
from collections import Counter
from functools import partial

from pydeliver.memory import tell_syslog
from pydeliver.receiver.lmtp_door import LmtpDoor
from pydeliver.receiver.pool import KEPT_WORKERS, Pool
from pydeliver.status import Status, Value, deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pydeliver.receiver.connection import Connection
    from pydeliver.receiver.gate import Gate
    from pydeliver.receiver.incoming import Incoming
    from pydeliver.receiver.pool import Task
    from pydeliver.receiver.users import Directory
    from pydeliver.receiver.zygote import Zygote

    Reload = Callable[[], tuple["Site", Directory, Gate | None] | None]

SPARE_DESCRIPTORS = 100  # for what listens, logs, databases
BACKLOG = 1024  # clients that the kernel keeps waiting for a moment
SILENCE = 300.0  # seconds until a client that says nothing is sent away; RFC 5321 4.5.3.2.7
TICK = 5.0  # seconds between two looks at who is silent and which workers are idle
DRAIN = 10.0  # seconds for what is under way when the server is told to stop
FIRST_DESCRIPTOR = 3  # of those that systemd opened; sd_listen_fds(3)


class Site(Value):
    """What a server goes by, read from the settings: how it is called, and how much of everything there may be."""

    name: str
    largest: int
    connections: int
    workers: int


LMTP = "lmtp"


class Server:
    """`gate` is there where it listens for SMTP; `supervisor` is the socket at which systemd wants to hear of it."""

    def __init__(
        self, site: Site, users: Directory, zygote: Zygote, gate: Gate | None = None, supervisor: str = ""
    ) -> None:
        self.site = site
        self.users = users
        self.gate = gate
        self.supervisor = supervisor
        self.pool = Pool(zygote, site.workers)
        self.stopping = False
        self.began = time.time()
        self.counts: Counter[str] = Counter()  # of replies to messages, by their first digit; and of connections
        self._connections: set[Connection] = set()
        self._clients: Counter[str] = Counter()  # connections of each address on the network
        self._listeners: list[asyncio.Server] = []
        self._ended = asyncio.Event()

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def largest(self) -> int:
        return self.site.largest

    def facts(self) -> dict[str, object]:
        """How it is, for who asks; counts are since it began."""
        return {
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.began)),
            "clients": len(self._connections),
            "connections": self.counts["connections"],
            "delivered": self.counts["2"],
            "deferred": self.counts["4"],
            "refused": self.counts["5"],
            "under-way": self.pool.busy,
            "workers-idle": self.pool.idle,
            "workers-started": self.pool.started,
        }

    # -- what connections call ----------------------------------------------------------------------------------

    def welcome(self, connection: Connection) -> Status | None:
        """Why a client may not stay, if he may not."""
        self.counts["connections"] += 1
        self._connections.add(connection)
        self._clients[connection.address] += 1
        gate = self.gate if connection.door != LMTP else None
        if len(self._connections) > self.site.connections or self.stopping:
            return Status("4.3.2", "too many connections")
        if gate is not None and not gate.admits(connection.address):
            return Status("4.7.1", "clients from your network are not served here")
        if gate is not None and self._clients[connection.address] > gate.per_client:
            return Status("4.7.0", "too many connections from you")
        return None

    def farewell(self, connection: Connection) -> None:
        """A client has gone; it may be said twice."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._clients[connection.address] -= 1
        if not self._clients[connection.address]:
            del self._clients[connection.address]
        if self.stopping and not self._connections:
            self._ended.set()

    async def deliver(self, task: Task, incoming: Incoming) -> Status:
        status = incoming.problem or await self.pool.deliver(task, incoming)
        self.count(status)
        return status

    def count(self, status: Status) -> None:
        """Count what became of a message."""
        self.counts[status.code[:1]] += 1

    # -- its life -----------------------------------------------------------------------------------------------

    async def run(self, sockets: Sequence[tuple[str, socket.socket]], reload: Reload) -> None:
        """Serve on these listening sockets, each for a door, until SIGTERM or SIGINT, and end when all is answered."""
        loop = asyncio.get_running_loop()
        allow_descriptors(self.site.connections)
        for door, one in sockets:
            how: Any = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
            self._listeners.append(await how(partial(self._opened, door), sock=one, backlog=BACKLOG))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload, reload)
        ticking = asyncio.create_task(self._tick())
        notify(self.supervisor, "READY=1")
        await self._ended.wait()
        ticking.cancel()
        self.pool.close()

    def _opened(self, door: str) -> Connection:
        if door == LMTP:
            return LmtpDoor(self)
        from pydeliver.receiver.smtp_door import SmtpDoor

        assert self.gate is not None
        return SmtpDoor(self, self.gate, door)

    def stop(self) -> None:
        """Hear nobody new, send away who is idle, and the others when they are answered."""
        if self.stopping:
            return
        self.stopping = True
        notify(self.supervisor, "STOPPING=1")
        for listener in self._listeners:
            listener.close()
        for connection in [one for one in self._connections if one.is_idle]:
            connection.dismiss(deferred("the server stops", "4.3.2"))
        if not self._connections:
            self._ended.set()
        asyncio.get_running_loop().call_later(DRAIN, self._give_up)

    def _give_up(self) -> None:
        """What is not answered by now will be sent again."""
        for connection in list(self._connections):
            connection.dismiss(deferred("the server stops", "4.3.2"))
        asyncio.get_running_loop().call_soon(self._ended.set)

    def _reload(self, read: Reload) -> None:
        notify(self.supervisor, f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        found = read()
        if found is not None:
            self.site, self.users, self.gate = found
            self.pool.most = self.site.workers
            allow_descriptors(self.site.connections)
        notify(self.supervisor, "READY=1")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.pool.expire()
            silent = time.monotonic() - SILENCE
            for connection in [one for one in self._connections if one.heard < silent]:
                connection.dismiss(Status("4.4.2", "nothing was heard for too long"))


def allow_descriptors(clients: int) -> None:
    """Take as much of the limit as is needed: for each client a socket and a file, for each worker a channel."""
    wanted = 2 * clients + KEPT_WORKERS + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def listening(address: str, mode: int, gid: int) -> socket.socket:
    """A socket at `unix:PATH` or `HOST:PORT`. Raises OSError.

    One that a server left behind which is gone is replaced; one that somebody listens at is not.
    """
    if address.startswith("unix:"):
        path = address[5:]
        made = socket.socket(socket.AF_UNIX)
        try:
            with socket.socket(socket.AF_UNIX) as other:
                if other.connect_ex(path) == errno.ECONNREFUSED:
                    os.unlink(path)
            mask = os.umask(0o777)  # nobody connects before it has its owner and its mode
            try:
                made.bind(path)
            finally:
                os.umask(mask)
            if gid >= 0:
                os.chown(path, -1, gid)
            os.chmod(path, mode)
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
        return made
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return socket.create_server(
        (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
    )


def handed_over(doors: Sequence[str]) -> list[tuple[str, socket.socket]]:
    """The sockets that systemd has opened for these doors."""
    return [(door, socket.socket(fileno=FIRST_DESCRIPTOR + at)) for at, door in enumerate(doors)]


def notify(place: str, state: str) -> None:
    """Tell systemd, which listens there; nobody where there is none."""
    if not place:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), f"\0{place[1:]}" if place.startswith("@") else place)
    except OSError as error:
        tell_syslog(f"systemd can't be told: {error.strerror}")
