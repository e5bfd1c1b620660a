"""A resident server of an installation, and a client that says exactly what it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.installation import Installation
from tests.rules import write_rested

PATIENCE = 60.0  # seconds; a server that says nothing for so long hangs
GREETING = b"LHLO client.example.net\r\n"


class Client:
    """One connection, from an address of this host if one is named. `say` gives the reply to what is said."""

    hello = "LHLO"

    def __init__(self, place: Path | int, patience: float = PATIENCE, source: str = "") -> None:
        self.socket = socket.socket(socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET)
        self.socket.settimeout(patience)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(str(place) if isinstance(place, Path) else ("127.0.0.1", place))
        self._heard = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def hear(self) -> str:
        """The last line of the next reply; "" when the server has hung up."""
        while True:
            line, end, rest = self._heard.partition(b"\r\n")
            if end:
                self._heard = rest
                if line[3:4] == b" ":
                    return line.decode("ascii")
                continue
            piece = self.socket.recv(65536)
            if not piece:
                assert not self._heard
                return ""
            self._heard += piece

    def say(self, line: bytes | str) -> str:
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.hear()

    def greet(self) -> Client:
        assert self.hear().startswith("220 ")
        assert self.say(f"{self.hello} client.example.net").startswith("250 ")
        return self

    def begin(self, recipients: Sequence[str], sender: str = "jo@example.org") -> list[str]:
        """MAIL, and the replies to each RCPT."""
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250 ")
        return [self.say(f"RCPT TO:<{one}>") for one in recipients]

    def finish(self, message: bytes, replies: int) -> list[str]:
        """DATA, and the replies to the message."""
        assert self.say("DATA").startswith("354 ")
        self.socket.sendall(stuffed(message))
        return [self.hear() for _ in range(replies)]

    def send(self, message: bytes, recipients: Sequence[str], sender: str = "jo@example.org") -> list[str]:
        """One whole transaction; the replies to the message, all recipients being accepted."""
        accepted = self.begin(recipients, sender)
        assert all(one.startswith("250 ") for one in accepted), accepted
        return self.finish(message, self.answers(recipients))

    def answers(self, recipients: Sequence[str]) -> int:
        """How many replies there are to a message."""
        return len(recipients)


def stuffed(message: bytes) -> bytes:
    """The message as it goes over the wire, with its end."""
    lines = re.sub(rb"\r?\n", b"\r\n", message)
    lines += b"" if lines.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"^\.", b"..", lines, flags=re.MULTILINE) + b".\r\n"


@dataclass
class Served:
    """A server that runs, at the socket `path`."""

    process: subprocess.Popen[bytes]
    path: Path

    def client(self) -> Client:
        return Client(self.path).greet()

    def children(self, pid: int | None = None) -> list[int]:
        """The processes that a process has started; the server's without one."""
        found = Path(f"/proc/{pid or self.process.pid}/task/{pid or self.process.pid}/children").read_text()
        return [int(one) for one in found.split()]

    @property
    def zygote(self) -> int:
        (found,) = self.children()
        return found

    @property
    def workers(self) -> list[int]:
        return self.children(self.zygote)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def served(
    installation: Installation, folder: Path, settings: str, port: int = 0, before: Sequence[str] = ()
) -> Generator[Served]:
    """Serve by these settings, behind another command if need be; at the socket `folder`/lmtp, and a port if named."""
    path, config = folder / "lmtp", folder / "server.toml"
    places = f'"unix:{path}"' + (f', "127.0.0.1:{port}"' if port else "")
    write_rested(config, f'server.lmtp = [{places}]\nserver.socket-mode = "666"\n{settings}', mode=0o644)
    process = subprocess.Popen(
        [*before, *installation.command("serve", "--config", config)],
        env={"PATH": os.environ["PATH"]},
    )
    session = 0
    try:
        until(lambda: listens(path) or process.poll() is not None)
        assert process.poll() is None, "the server has ended"
        running = Served(process, path)
        session = running.zygote  # of it and all workers, also when the server is gone
        yield running
    finally:
        end_family(process.pid, *[one for one in _everybody() if session and _fields(one)[3:4] == [str(session)]])
        process.wait(PATIENCE)


def end_family(*pids: int) -> None:
    """Kill processes and all that they started, and wait until the kernel has let go of them."""
    family = [*pids]
    for one in family:
        try:
            family += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    for one in family:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    until(lambda: not any([_lives(one) for one in family]))


def _everybody() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _fields(pid: int) -> list[str]:
    """State, parent, group, session … of a process (proc(5)); nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _lives(pid: int) -> bool:
    return _fields(pid)[:1] not in ([], ["Z"])


def until(condition: object) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.01)


def listens(place: Path | int) -> bool:
    """Whether somebody listens at a socket, or at a port of this host."""
    if isinstance(place, int):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", place)) == 0
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(place)) == 0


def free_port() -> int:
    """A port of this host at which nobody listened a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
