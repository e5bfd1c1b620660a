"""What systemd does with the server: it opens the sockets, and is told how far the server is.

sd_listen_fds(3), sd_notify(3). A shell stands for systemd: it says in the environment whose the sockets are.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lmtp import PATIENCE, Client, end_family, until
from tests.rules import write_rested
from tests.smtp import POSTMASTER, SmtpClient
from tests.virtual import USERS, Site

MESSAGE = b"From: jo@example.org\nTo: robin@example.net\nSubject: hello\n\nbody\n"
# The sockets are handed over as descriptors 3, 4 …, and LISTEN_PID is of who becomes the server.
AS_SYSTEMD = 'export LISTEN_PID=$$; exec "$@"'


@contextmanager
def started(
    site: Site, sockets: Sequence[socket.socket], more: str = "", **environment: str
) -> Generator[subprocess.Popen[bytes]]:
    site.users.write_text(USERS + POSTMASTER)
    settings = (
        f'server.name = "mx.example.net"\nserver.user = "{site.owner}"\nusers.kind = "virtual"\n'
        f'users.home = "{site.mail}/{{domain}}/{{user}}"\nusers.file = "{site.users}"\npolicy = "hosted"\n'
        f'domains = ["example.net"]\nsmtp.state = "{site.folder}/state"\n{more}'
    )
    config = write_rested(site.folder / "server.toml", settings, mode=0o644)
    command = ["sh", "-c", AS_SYSTEMD, "sh", *site.installation.command("serve", "--config", config)]
    # What the shell gets is numbered from 3 on, as systemd numbers it.
    moved = [os.dup2(one.fileno(), 100 + at) for at, one in enumerate(sockets)]

    def number() -> None:
        for at, fd in enumerate(moved):
            os.dup2(fd, 3 + at)
            os.set_inheritable(3 + at, True)

    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], "LISTEN_FDS": str(len(sockets)), **environment},
        pass_fds=[*range(3, 3 + len(moved)), *moved],
        preexec_fn=number,
    )
    for fd in moved:
        os.close(fd)
    try:
        yield process
    finally:
        end_family(process.pid)
        process.wait(PATIENCE)


def listening(place: Path | None = None) -> socket.socket:
    made = socket.socket(socket.AF_UNIX if place else socket.AF_INET)
    made.bind(str(place) if place else ("127.0.0.1", 0))
    made.listen()
    return made


def test_sockets_that_systemd_has_opened_are_served(site: Site) -> None:
    path = site.folder / "lmtp"
    with listening(path) as lmtp, listening() as smtp:
        port: int = smtp.getsockname()[1]
        with started(site, [lmtp, smtp], LISTEN_FDNAMES="pydeliver.socket:smtp") as process:
            for _ in range(2):
                with Client(path) as client:
                    assert client.greet().send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]
                with SmtpClient(port) as client:
                    assert client.greet().send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]
                site.users.write_text(f"{site.users.read_text()}new@example.net\n")
                process.send_signal(signal.SIGHUP)  # a socket is for the same afterwards
                until(lambda: _knows(path, "new@example.net"))
                site.users.write_text(USERS + POSTMASTER)
    texts = site.messages("robin@example.net")
    assert [b" with LMTP id " in one for one in texts] == [True, False] * 2
    assert all(b" with ESMTP id " in one for one in texts[1::2])


def _knows(path: Path, address: str) -> bool:
    with Client(path) as client:
        return client.greet().begin([address]) == ["250 2.1.5 recipient ok"]


def test_systemd_is_told_how_far_the_server_is(site: Site) -> None:
    place = site.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, listening(site.folder / "lmtp") as lmtp:
        told.bind(str(place))
        place.chmod(0o777)
        told.settimeout(PATIENCE)
        with started(site, [lmtp], NOTIFY_SOCKET=str(place)) as process:
            assert told.recv(100) == b"READY=1"
            process.send_signal(signal.SIGHUP)
            reloading = told.recv(100)
            assert reloading.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert told.recv(100) == b"READY=1"
            process.terminate()
            assert told.recv(100) == b"STOPPING=1"
            assert process.wait(PATIENCE) == 0
