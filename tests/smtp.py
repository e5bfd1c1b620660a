"""A server for mail from the network, as tests need it: ports of its own, a certificate, passwords, and its clients."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from tests.lmtp import PATIENCE, Client, Served, free_port, listens, until
from tests.nexthop import certificate
from tests.virtual import USERS, Site

DOMAINS = ("example.net", "example.com")
NAME = "mx.example.net"
PASSWORD = "correct horse"
POSTMASTER = "postmaster@example.net = robin@example.net\n"


class SmtpClient(Client):
    """One connection by SMTP, which says exactly what it is told to."""

    hello = "EHLO"

    def answers(self, recipients: Sequence[str]) -> int:
        return 1


def listening(port: int, state: Path) -> str:
    """The settings by which a server takes mail at this port alone, without TLS."""
    domains = ", ".join([f'"{one}"' for one in DOMAINS])
    return f'domains = [{domains}]\nsmtp.listen = ["127.0.0.1:{port}"]\nsmtp.state = "{state}"\n'


class Public:
    """What a `Site` is given besides to be one for the network."""

    def __init__(self, site: Site, domains: Sequence[str] = DOMAINS) -> None:
        self.site = site
        self.domains = domains
        self.port, self.submission, self.submissions = free_port(), free_port(), free_port()
        self.certificate = certificate(site.folder, NAME)
        self.passwords = site.folder / "passwords"
        self.state = site.folder / "state"
        self.certificate.chmod(0o600)
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        self.passwords.write_text(f"jo@example.net:{hashed}\n")
        self.passwords.chmod(0o600)
        site.users.write_text(USERS + POSTMASTER)

    @contextmanager
    def served(self, more: str = "", before: Sequence[str] = ()) -> Generator[Served]:
        """The server, with all its doors open; `more` are settings."""
        settings = {
            "domains": list(self.domains),
            "smtp.listen": [f"127.0.0.1:{self.port}"],
            "smtp.submission": [f"127.0.0.1:{self.submission}"],
            "smtp.submissions": [f"127.0.0.1:{self.submissions}"],
            "smtp.certificate": str(self.certificate),
            "smtp.passwords": str(self.passwords),
            "smtp.state": str(self.state),
        }
        lines = [
            f"{name} = {str(value) if isinstance(value, list) else repr(value)}" for name, value in settings.items()
        ]
        with self.site.served("\n".join(lines).replace("'", '"') + f"\n{more}", before=before) as running:
            until(lambda: all([listens(port) for port in (self.port, self.submission, self.submissions)]))
            yield running

    def client(self, port: int = 0) -> smtplib.SMTP:
        """A client that has said EHLO."""
        client = smtplib.SMTP("127.0.0.1", port or self.port, "client.example.org", PATIENCE)
        client.ehlo()
        return client

    def logged_in(self) -> smtplib.SMTP:
        """A mail program's connection at port 587."""
        client = self.client(self.submission)
        client.starttls(context=self.trusting())
        client.login("jo@example.net", PASSWORD)
        return client

    def trusting(self) -> ssl.SSLContext:
        """A client's context that takes the server's certificate, and no other."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def quarantined(self, user: str) -> list[bytes]:
        folder = self.site.home(user) / ".local/state/pydeliver/quarantine"
        return [path.read_bytes() for path in folder.rglob("new/*")]
