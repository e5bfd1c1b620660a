"""Who receives mail here: an address becomes an account, or the reason why it doesn't.

Accounts are users of the system, or virtual ones that a file or a database names. An address is looked for as it is
written, then without its detail, then as one of all the others of its domain. Nobody found is refused for good (5.1.1);
what can't be asked means "try again", because it may only be down.
"""

from __future__ import annotations

import asyncio
import pwd
import time

from pydeliver.mail.address import split_detail
from pydeliver.memory import tell_syslog
from pydeliver.receiver import path as paths
from pydeliver.status import Diagnostic, Status, Value, deferred, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

REMEMBERED_SECONDS = 30.0  # for which an account that took long to find is believed to be there
REMEMBERED = 10_000
HOPS = 10  # from one address to the next
LOCAL, VIRTUAL = "local", "virtual"


class Account(Value):
    """`system` is the user whose worker delivers, "" where all share one; `home` and `base` as in an order."""

    user: str
    system: str = ""
    home: str = ""
    base: str = ""


class Listed(Value):
    """A line of the file of users: a home ("" for the one by the template), or the address that it stands for."""

    home: str = ""
    stands_for: str = ""


def read(data: bytes, path: str, alone: bool = True) -> tuple[dict[str, Listed], tuple[Diagnostic, ...]]:
    """The users in a file: `address`, `address  /home`, `address = other`, `@domain = other` for all the others.

    Where the file is not `alone`, because there is a database too, an address may stand for one that is there.
    """
    found: dict[str, Listed] = {}
    standing: dict[str, tuple[int, str]] = {}
    mistakes = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        name, _, rest = line.partition(" " if " " in line else "\t")
        rest = rest.strip()
        problem = ""
        if name.lower() in found:
            problem = f"{name} stands here twice"
        elif rest.startswith("="):
            found[name.lower()] = Listed(stands_for=rest[1:].strip().lower())
            standing[name.lower()] = (number, raw)
            problem = "" if rest[1:].strip() else "which address does it stand for?"
        elif rest and not rest.startswith("/"):
            problem = 'behind an address stands a home, like "/srv/mail/jo", or "= another address"'
        elif name.startswith("@"):
            problem = "what all the others of a domain stand for is written `@example.org = jo@example.org`"
        else:
            found[name.lower()] = Listed(home=rest)
        if problem:
            mistakes.append(Diagnostic(path, number, 1, problem, "bad-users", "error", raw, len(raw) or 1))
    for name, (number, raw) in standing.items():
        other = found[name].stands_for
        if alone and "@" in other and other not in found:
            problem = f"{name} stands for {other}, who is not here"
            mistakes.append(Diagnostic(path, number, 1, problem, "bad-users", "error", raw, len(raw)))
    return found, tuple(mistakes)


class Directory:
    """Finds accounts by the site's settings; `listed` is the file of users, read."""

    def __init__(self, settings: Mapping[str, Any], listed: Mapping[str, Listed]) -> None:
        self._kind = settings["users.kind"]
        self._home = settings["users.home"]
        self._base = self._home.partition("{")[0].rpartition("/")[0]
        self._separators = settings["subaddress"]
        self._domains = tuple([domain.lower() for domain in settings["domains"]])
        self._listed = listed
        self._database = None
        if settings["users.database"]:
            from pydeliver.receiver.database import Database

            self._database = Database(settings["users.database"], settings["users.query"])
        self._may_wait = self._kind == LOCAL or self._database is not None
        self._remembered: dict[str, tuple[float, Account]] = {}

    def find_at_once(self, address: str) -> Account | Status | None:
        """What is known without waiting; None where somebody has to be asked."""
        if not self._may_wait:
            return self.look_up(address)
        found = self._remembered.get(address)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    async def find(self, address: str) -> Account | Status:
        looked_up = await asyncio.to_thread(self.look_up, address)
        if isinstance(looked_up, Account):
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[address] = (time.monotonic() + REMEMBERED_SECONDS, looked_up)
        return looked_up

    def look_up(self, address: str) -> Account | Status:
        """The same, and it may wait: for the names of the system, or for a database."""
        split = paths.split(address)
        if split is None or "/" in split[0] or "\0" in split[0] or split[0].startswith("."):
            return refused("there is no such user", "5.1.1")
        local, domain = split[0], split[1].lower()
        try:
            for one in dict.fromkeys((local, split_detail(local, self._separators)[0])):
                found = self._account(one, domain, HOPS)
                if found is not None:
                    return found
            others = self._listed.get(f"@{domain}") or self._listed.get("@")
            if others is not None and others.stands_for:
                return self._named(others.stands_for, HOPS) or refused("there is no such user", "5.1.1")
        except Exception as error:  # noqa: BLE001 - drivers of databases raise what they like
            tell_syslog(f"the users can't be asked: {type(error).__name__}: {error}")
            return deferred("the users can't be asked")
        return refused("there is no such user", "5.1.1")

    def _named(self, address: str, hops: int) -> Account | None:
        local, _, domain = address.rpartition("@") if "@" in address else (address, "", "")
        return self._account(local, domain, hops)

    def _account(self, local: str, domain: str, hops: int) -> Account | None:
        address = f"{local}@{domain}" if domain else local
        listed = self._listed.get(address.lower())
        if listed is not None and listed.stands_for:
            return self._named(listed.stands_for, hops - 1) if hops else None
        if self._kind == LOCAL:
            return self._of_system(local) if not self._domains or domain in self._domains or not domain else None
        if listed is not None:
            return self._virtual(address.lower(), listed.home)
        if self._database is not None:
            row = self._database.find(address.lower(), local.lower(), domain)
            if row is not None:
                return self._virtual(row[1] or address.lower(), row[0])
        return None

    def _of_system(self, local: str) -> Account | None:
        for name in dict.fromkeys((local, local.lower())):
            try:
                return Account(pwd.getpwnam(name).pw_name, name)
            except KeyError:
                continue
        return None

    def _virtual(self, user: str, home: str) -> Account:
        local, _, domain = user.rpartition("@")
        made = home or self._home.replace("{user}", local or user).replace("{domain}", domain)
        return Account(user, "", made.rstrip("/"), "" if home else self._base)
