"""A worker: a process that delivers one message after another for one user of the system, until nobody orders more.

It is forked by the zygote and never saw a socket of the server's but its own channel. It becomes its user before it
looks at anything; then each order goes the way of a message on stdin. What hangs in it, or ends it, is one delivery:
the server then says "try again" for that, and starts another.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from pydeliver.agent import Request, deliver
from pydeliver.agent.rules import AtHand, Home, Site, home_of
from pydeliver.mail.envelope import Envelope
from pydeliver.memory import tell_syslog
from pydeliver.receiver import wire
from pydeliver.settings import TIME_LIMIT
from pydeliver.status import Status, deferred
from pydeliver.system import alarm, privilege
from pydeliver.system.disk import failure, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from typing import Never


class Worker:
    """What a worker is for its whole life: whose, and by which settings of the site."""

    def __init__(self, channel: socket.socket, entry: pwd.struct_passwd | None, config: str) -> None:
        self.channel = channel
        self.entry = entry
        self.config = config
        self.host = os.uname().nodename
        self.at_hand = AtHand()

    def run(self) -> None:
        """Deliver until the server hangs up."""
        os.umask(0o077)
        while True:
            try:
                came = wire.receive(self.channel)
            except wire.Closed:
                return
            if came is None:
                return
            order, beginning, fd = came
            try:
                status = self._delivered(order, beginning, fd)
            finally:
                if fd >= 0:
                    os.close(fd)
            self._say(status)

    def _delivered(self, order: wire.Order, beginning: bytes, fd: int) -> Status:
        try:
            alarm.guard(TIME_LIMIT)
            home = self._home(order)
            if order.base:
                _make_home(order)
            problem = privilege.home_problem(home.path, home.uid)
            if problem is not None:
                return problem
            envelope = Envelope(order.sender, order.recipient, None, None, home.user, order.name, order.door)
            site = Site(home.rules, self.config)
            now, keeps = time.time(), order.rejected == "quarantine"
            return deliver(
                Request(home, site, envelope, fd, now, self.host, self._abandon, beginning, self.at_hand, keeps)
            )
        except alarm.Interrupted as interrupted:
            return interrupted.status
        except OSError as error:
            return failure(error, "the home directory")
        except Exception as error:  # noqa: BLE001 - whatever it is, the mail must stay with the client
            tell_syslog(f"internal error: {type(error).__name__}: {error}")
            return deferred("internal error")
        finally:
            signal.alarm(0)

    def _home(self, order: wire.Order) -> Home:
        if order.home:
            return Home(order.user, os.getuid(), order.home)
        assert self.entry is not None
        return home_of(self.entry, self.entry.pw_dir.rstrip("/") or "/")

    def _say(self, status: Status) -> None:
        try:
            self.channel.sendall(wire.packed_status(status))
        except OSError:  # the server is gone; so is, then, whoever waits for this
            pass

    def _abandon(self, status: Status) -> Never:
        self._say(status)
        os._exit(0)


def _make_home(order: wire.Order) -> None:
    """Make what is missing of a virtual user's home below the site's directory. Raises OSError."""
    if not os.path.isdir(order.home) and os.path.isdir(order.base):
        make_private(order.home)


def serve(channel: socket.socket, name: str, config: str) -> Never:
    """Become the user `name` ("" stays who this process is) and work. Returns by ending the process."""
    code = 0
    try:
        entry = _become(name)
        Worker(channel, entry, config).run()
    except BaseException as error:  # noqa: BLE001 - this process was forked: nothing of the server may run on in it
        tell_syslog(f"a worker for {name or 'virtual users'} ended: {type(error).__name__}: {error}")
        code = 1
    finally:
        os._exit(code)


def _become(name: str) -> pwd.struct_passwd | None:
    if not name:
        return None
    import pwd

    entry = pwd.getpwnam(name)
    if os.getuid() == 0 and not sys.flags.isolated:
        raise PermissionError("as root, an isolated Python is needed")
    was_root = os.getuid() == 0
    privilege.become(entry)
    if was_root:
        privilege.clean_environment(entry)
    return entry
