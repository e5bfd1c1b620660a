"""A server for virtual users, as tests need it: their mail, their rules, and one user of this machine who owns all."""

from __future__ import annotations

import os
import pwd
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.installation import AS_ROOT, Home, Installation
from tests.lmtp import Served, served

USERS = """
robin@example.net          # a home by the template
kim@example.net
sales@example.net   = kim@example.net
@example.com        = robin@example.net
"""


class Site:
    """Virtual users of a server, whose mail belongs to one user of this machine."""

    def __init__(self, installation: Installation, folder: Path, owner: str) -> None:
        self.installation = installation
        self.folder = folder
        self.owner = owner
        self.mail = folder / "mail"
        self.mail.mkdir()
        if AS_ROOT:
            os.chown(self.mail, pwd.getpwnam(owner).pw_uid, -1)
        self.users = folder / "users"
        self.users.write_text(USERS)

    @contextmanager
    def served(self, more: str = "", port: int = 0, before: Sequence[str] = ()) -> Generator[Served]:
        settings = (
            f'server.name = "mx.example.net"\nserver.user = "{self.owner}"\nusers.kind = "virtual"\n'
            f'users.home = "{self.mail}/{{domain}}/{{user}}"\n'
        )
        if "users." not in more:
            more += f'users.file = "{self.users}"\n'
        with served(self.installation, self.folder, settings + more, port, before) as running:
            yield running

    def home(self, user: str) -> Path:
        local, _, domain = user.rpartition("@")
        return self.mail / domain / local

    def at(self, user: str) -> Home:
        """The user's home, made if it is not there."""
        home = Home.make(self.home(user), self.owner or None)
        home.own(home.path.parent)
        return home

    def rules(self, user: str, text: str) -> None:
        self.at(user).rules(text)

    def messages(self, user: str) -> list[bytes]:
        maildir = self.home(user) / "Maildir"
        found = [path for place in ("new", "cur") for path in maildir.rglob(f"{place}/*")]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]
