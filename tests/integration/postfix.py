"""A real Postfix of its own: configuration, queue and log in one folder, listening on a loopback port.

Needs root, as Postfix does. Mail to DOMAIN is delivered by local(8) through `mailbox_command`, mail to PIPED by
pipe(8), and mail to SENDERS, where the bounces go, by Postfix itself into a Maildir. Started as one process in the
foreground, and ended by its own process id.
"""

from __future__ import annotations

import os
import re
import selectors
import smtplib
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

DOMAIN: Final = "users.test"
PIPED: Final = "piped.test"
SENDERS: Final = "senders.test"
MASTER: Final = Path("/usr/lib/postfix/sbin/master")
PATIENCE: Final = 60.0  # seconds

MAIN_CF: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.{domain}
mydestination = {domain}
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
default_transport = error:nothing leaves this machine
alias_maps =
alias_database =
local_recipient_maps =
biff = no
recipient_delimiter = +
mailbox_command = {command}
virtual_mailbox_domains = {piped} {senders}
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:senders/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ {{ {piped} = piped: }} {transports} }}
piped_destination_recipient_limit = 1
"""

MASTER_CF: Final = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
piped unix - n n - - pipe
  flags=ODRhu user={user} argv={piped_command}
"""


@dataclass(frozen=True)
class Outcome:
    """What Postfix logged about one attempt: "sent", "deferred" or "bounced", the status code and the text."""

    status: str
    dsn: str
    text: str


@dataclass
class Postfix:
    """A running Postfix."""

    folder: Path
    port: int
    log: IO[bytes]
    _unread: bytes = b""
    _outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    def send(self, recipient: str, message: bytes, sender: str = f"jo@{SENDERS}") -> str:
        """Hand a message over by SMTP and return the id it was queued under."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as smtp:
            smtp.ehlo()
            for code, reply in (smtp.mail(sender, ["BODY=8BITMIME"]), smtp.rcpt(recipient), smtp.data(message)):
                assert code == 250, reply
        return reply.decode().rpartition(" ")[2]

    def outcome(self, queue_id: str) -> Outcome:
        """Wait for the next attempt to deliver a message, and tell how it went; each attempt is told once."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for number, (found, outcome) in enumerate(self._outcomes):
                if found == queue_id:
                    del self._outcomes[number]
                    return outcome
            self._read_log(deadline)

    def retry(self) -> None:
        """Have everything that was deferred tried again now."""
        subprocess.run(["postqueue", "-c", self.folder, "-f"], check=True, env=_ENVIRONMENT)

    def bounces(self) -> list[bytes]:
        """The messages that came back to the senders."""
        return [path.read_bytes() for path in (self.folder / "senders" / "new").glob("*")]

    def bounce_of(self, queue_id: str) -> bytes:
        """Wait until a message has come back to its sender."""
        return self.arrived(f"X-Postfix-Queue-ID: {queue_id}".encode())

    def arrived(self, part: bytes) -> bytes:
        """Wait for a message to the senders in which this stands."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self.bounces():
                if part in message:
                    return message
            self._read_log(deadline)

    def wait_until_open(self) -> None:
        """Wait until the master has opened its sockets, which it says in the log."""
        deadline = time.monotonic() + PATIENCE
        while b"daemon started" not in (self.folder / "log").read_bytes():
            self._read_log(deadline)

    def _read_log(self, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.log, selectors.EVENT_READ)
            if not selector.select(deadline - time.monotonic()):
                raise TimeoutError((self.folder / "log").read_text())
        *lines, self._unread = (self._unread + os.read(self.log.fileno(), 65536)).split(b"\n")
        for line in lines:
            said = line.decode(errors="replace")
            if found := re.search(r": (\w+): to=<.*, dsn=([\d.]+), status=(\w+) \((.*)\)", said):
                queue_id, dsn, status, text = found.groups()
                self._outcomes.append((queue_id, Outcome(status, dsn, text)))


_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@contextmanager
def running(
    folder: Path,
    user: str,
    uid: int,
    gid: int,
    command: str,
    piped_command: str,
    transports: Mapping[str, str] | None = None,
) -> Generator[Postfix]:
    """Run a Postfix in an empty folder that delivers to `user` by the two commands, to other domains by transports."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    values = {"folder": folder, "user": user, "uid": uid, "gid": gid, "port": port, "daemons": MASTER.parent}
    domains = {"domain": DOMAIN, "piped": PIPED, "senders": SENDERS}
    commands = {"command": command, "piped_command": piped_command}
    others = " ".join([f"{{ {domain} = {transport} }}" for domain, transport in (transports or {}).items()])
    (folder / "main.cf").write_text(MAIN_CF.format(**values, **domains, **commands, transports=others))
    (folder / "master.cf").write_text(MASTER_CF.format(**values, **domains, **commands))
    (folder / "senders").mkdir()
    os.chown(folder / "senders", uid, gid)
    (folder / "queue").mkdir()
    subprocess.run(["postfix", "-c", folder, "check"], check=True, env=_ENVIRONMENT)
    (folder / "log").touch()
    follow = subprocess.Popen(["tail", "-n", "+1", "-f", folder / "log"], stdout=subprocess.PIPE)
    master = subprocess.Popen([MASTER, "-c", folder, "-d"], env=_ENVIRONMENT, start_new_session=True)
    assert follow.stdout
    postfix = Postfix(folder, port, follow.stdout)
    try:
        postfix.wait_until_open()
        yield postfix
    finally:
        for process in (master, follow):
            process.terminate()
            process.wait(PATIENCE)
        follow.stdout.close()
