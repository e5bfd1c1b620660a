"""The workers of a server: who is idle, who may be given what, and when one is let go.

A worker has one order at a time. At most `most` orders are under way, so that a busy hour makes no thousand processes,
and at most PER_USER for one user, so that a program of his that hangs, or a lock, keeps nobody else waiting. The worker
that was busy last is taken first: so those that are not needed grow old, and end.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter

from pydeliver.receiver import wire
from pydeliver.receiver.zygote import ASK, Zygote
from pydeliver.status import Status, Value, deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.receiver.incoming import Incoming

PER_USER = 4  # deliveries for one user at once
KEPT_SECONDS = 30.0  # for which a worker without work is kept
KEPT_WORKERS = 250  # without work, at most
PATIENCE = 540.0  # seconds in a queue; RFC 5321 4.5.3.2.6: a client waits ten minutes


class Task(Value):
    """An order, the `account` of the system whose worker it is for ("" where all users have one), the text on top."""

    account: str
    order: wire.Order
    trace: bytes


class Hand:
    """The server's end of one worker: an order goes out, a status comes back."""

    def __init__(self, channel: socket.socket) -> None:
        self.idle_since = 0.0
        self.is_gone = False
        self._channel = channel
        self._heard = b""
        self._status: asyncio.Future[Status] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel, self._hear)

    async def deliver(self, task: Task, incoming: Incoming) -> Status:
        """What becomes of the task. Raises OSError, or wire.Closed where the worker is gone."""
        status: asyncio.Future[Status] = self._loop.create_future()
        self._status = status
        data = wire.packed(task.order, task.trace + incoming.text)
        if incoming.is_large:
            fd = incoming.open()
            try:
                sent = socket.send_fds(self._channel, [data], [fd])
            finally:
                os.close(fd)
        else:
            sent = self._channel.send(data)
        if sent < len(data):
            await self._loop.sock_sendall(self._channel, data[sent:])
        return await status

    def close(self) -> None:
        """Hang up; a worker ends when it is done."""
        if not self.is_gone:
            self.is_gone = True
            self._loop.remove_reader(self._channel)
            self._channel.close()
        if self._status is not None and not self._status.done():
            self._status.set_exception(wire.Closed())

    def _hear(self) -> None:
        try:
            piece = self._channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._heard += piece
        said = wire.status_from(self._heard)
        if not piece or self._status is None or self._status.done():  # gone, or it speaks out of its turn
            self.close()
        elif said is not None:
            self._heard = b""
            self._status.set_result(said)


class Pool:
    def __init__(self, zygote: Zygote, most: int) -> None:
        self.zygote = zygote
        self.most = most
        self.busy = 0
        self.started = 0
        self._idle: dict[str, list[Hand]] = {}
        self._of_user: Counter[str] = Counter()
        self._queue: list[tuple[str, asyncio.Future[bool]]] = []
        self._asking = asyncio.Lock()

    @property
    def idle(self) -> int:
        return sum(map(len, self._idle.values()))

    async def deliver(self, task: Task, incoming: Incoming) -> Status:
        """Have it delivered. A worker that dies over it has left it undone, or done: both mean "try again"."""
        user = task.order.user
        if not await self._enter(user):
            return deferred("too many deliveries at once", "4.3.2")
        try:
            return await self._delivered(task, incoming)
        except (OSError, wire.Closed):
            return deferred("the delivery was cut short")
        finally:
            self._leave(user)

    def expire(self, age: float = KEPT_SECONDS) -> None:
        """Let go of the workers that had nothing to do for so many seconds, and of the oldest beyond KEPT_WORKERS."""
        now = time.monotonic()
        every = sorted([one.idle_since for workers in self._idle.values() for one in workers], reverse=True)
        limit = max(now - age, every[KEPT_WORKERS] if len(every) > KEPT_WORKERS else now - age)
        for account, workers in list(self._idle.items()):
            for one in [one for one in workers if one.idle_since <= limit or one.is_gone]:
                workers.remove(one)
                one.close()
            if not workers:
                del self._idle[account]

    def close(self) -> None:
        """Hang up: workers end when they are done, and then the zygote."""
        self.expire(age=-1.0)
        self.zygote.channel.close()

    async def _enter(self, user: str) -> bool:
        """Wait for one's turn. False where that takes too long."""
        if self._has_room(user):
            self._take(user)
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append((user, turn))
        try:
            return await asyncio.wait_for(turn, PATIENCE)
        except TimeoutError:
            self._queue.remove((user, turn))
            return False

    def _leave(self, user: str) -> None:
        """Give one's place to the first in the queue who may have it."""
        self.busy -= 1
        self._of_user[user] -= 1
        if not self._of_user[user]:
            del self._of_user[user]
        for waiting in self._queue:
            if self._has_room(waiting[0]):
                self._take(waiting[0])
                self._queue.remove(waiting)
                waiting[1].set_result(True)
                break

    def _has_room(self, user: str) -> bool:
        return self.busy < self.most and self._of_user[user] < PER_USER

    def _take(self, user: str) -> None:
        self.busy += 1
        self._of_user[user] += 1

    async def _delivered(self, task: Task, incoming: Incoming) -> Status:
        hand = self._taken(task.account) or await self._new(task.account)
        try:
            status = await hand.deliver(task, incoming)
        except BaseException:
            hand.close()
            raise
        hand.idle_since = time.monotonic()
        self._idle.setdefault(task.account, []).append(hand)
        return status

    def _taken(self, account: str) -> Hand | None:
        """The worker that had work last, of those that are still alive."""
        workers = self._idle.get(account, [])
        while workers:
            hand = workers.pop()
            if not hand.is_gone:
                return hand
        return None

    async def _new(self, account: str) -> Hand:
        """Ask the zygote for a worker. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            zygote = self.zygote.channel
            await loop.sock_sendall(zygote, f"{ASK}{account}".encode())
            readable: asyncio.Future[bool] = loop.create_future()
            loop.add_reader(zygote, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(zygote)
            said, files, _, _ = socket.recv_fds(zygote, 1024, 1)
        if not files:
            raise OSError(said.decode("utf-8", "replace") or "the zygote is gone")
        self.started += 1
        channel = socket.socket(fileno=files[0])
        channel.setblocking(False)
        return Hand(channel)


def _set(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(True)
