"""The zygote: a process from before any socket was opened or key read, which forks workers and does nothing else.

So no worker inherits what its user must not have, and none pays for an interpreter's start. As root, it is the only
part of a server that stays root: it is asked for a worker by name, gives back one end of a channel, and looks at
nothing that a client said but that name.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket

from pydeliver.agent import ready
from pydeliver.memory import tell_syslog
from pydeliver.receiver import worker
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

NAME_LIMIT = 512
LEISURE = 0.5  # seconds without a request after the start: then there is time to build the grammar
ASK = "for "  # begins a request, so that none is empty


class Zygote(Value):
    """The server's end: one packet a request, a name; one a reply, with a channel."""

    channel: socket.socket
    pid: int


def start(config: str, only: str | None) -> Zygote:
    """Fork the zygote. `only` is the one user that all workers become ("" for the present one); None for any."""
    server, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        own.close()
        server.setblocking(False)
        return Zygote(server, pid)
    server.close()
    _serve(own, config, only)


def _fork_worker(channel: socket.socket, name: str, config: str) -> None:
    ours, its = socket.socketpair()
    with ours, its:
        if os.fork() == 0:
            channel.close()
            ours.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            worker.serve(its, name, config)
        socket.send_fds(channel, [b"here"], [ours.fileno()])


def _serve(channel: socket.socket, config: str, only: str | None) -> Never:
    code = 0
    try:
        os.closerange(3, channel.fileno())  # systemd may have opened sockets for the server
        os.closerange(channel.fileno() + 1, min(os.sysconf("SC_OPEN_MAX"), 1 << 16))
        os.setsid()  # what a terminal sends is for the server, who hangs up when it is time
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers: the kernel buries them
        os.chdir("/")
        ready.load_modules()
        gc.freeze()  # what is there now is never collected, and so stays shared with every worker
        if not select.select([channel], [], [], LEISURE)[0]:
            ready.build_grammar()  # a worker that is wanted at once does without it
            gc.freeze()
        while asked := channel.recv(NAME_LIMIT):
            name = asked.decode("utf-8", "replace").removeprefix(ASK) if only is None else only
            try:
                _fork_worker(channel, name, config)
            except OSError as error:  # no more processes, no more descriptors: somebody may yet end
                channel.send(f"{error.strerror}".encode())
    except BaseException as error:  # noqa: BLE001 - this process was forked: nothing of the server may run on in it
        tell_syslog(f"the zygote ended: {type(error).__name__}: {error}")
        code = 1
    finally:
        os._exit(code)
