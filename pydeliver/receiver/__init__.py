"""The resident door: one process that listens, and workers that deliver.

Bytes from a client become a `session`'s events; a `connection` answers them with `users` and the `pool`, whose workers
give each message to the agent. `prepared` reads what a site has set, `serve` runs by it.
"""

from __future__ import annotations

import asyncio
import os

from pydeliver import settings as site_settings
from pydeliver.memory import tell_syslog
from pydeliver.receiver import users
from pydeliver.receiver.users import VIRTUAL
from pydeliver.status import Diagnostic, Value
from pydeliver.system import privilege
from pydeliver.system.disk import Trusted, read_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pydeliver.receiver.server import Server, Site

FILE_LIMIT = 64 << 20  # bytes of a file of users


class Prepared(Value):
    """What a server goes by: settings, the users of the file, every mistake in both, and every doubt about them.

    One that was started `as_root` goes on as somebody else, but for other users of the system.
    """

    config: str
    as_root: bool
    values: Mapping[str, Any]
    listed: Mapping[str, users.Listed]
    mistakes: tuple[Diagnostic, ...]
    doubts: tuple[Diagnostic, ...] = ()


def prepared(config: str, lmtp: Sequence[str], as_root: bool) -> Prepared:
    """Read the site's settings, and the file of users that they name; `lmtp` stands for what they say of it."""
    table = (*site_settings.SETTINGS, *site_settings.SERVER)
    data, problem = _read(config)
    if problem and not (data is None and config == site_settings.DEFAULT_PATH):
        told = (Diagnostic(config, 1, 1, problem, "bad-settings"),)
        return Prepared(config, as_root, site_settings.defaults(table), {}, told)
    values, mistakes = site_settings.read(data or b"", config, table)
    if lmtp:
        values["server.lmtp"] = tuple(lmtp)
    listed: dict[str, users.Listed] = {}
    path = str(values["users.file"])
    if path:
        data, problem = _read(path)
        listed, wrong = users.read(data or b"", path, not values["users.database"])
        mistakes += (Diagnostic(path, 1, 1, problem, "bad-users"),) if problem else wrong
    if not mistakes:  # else what follows from one would be told as another
        mistakes = tuple([Diagnostic(config, 1, 1, text, "bad-settings") for text in _contradictions(values, as_root)])
    doubts = [Diagnostic(config, 1, 1, text, "bad-settings", "warning") for text in _doubts(values)]
    return Prepared(config, as_root, values, listed, mistakes, tuple(doubts))


def _read(path: str) -> tuple[bytes | None, str]:
    """A file that only root or this user can have written; what is wrong with it."""
    found = read_trusted(path, uid=os.getuid(), home="/", limit=FILE_LIMIT)
    return (found.data, "") if isinstance(found, Trusted) else (None, found.text)


def _contradictions(values: Mapping[str, Any], as_root: bool) -> list[str]:
    """What is wrong though each setting by itself is right."""
    found = []
    virtual = values["users.kind"] == VIRTUAL
    if not values["server.lmtp"] and "LISTEN_FDS" not in os.environ:
        found.append('server.lmtp: nothing is listened at; say, for example, ["unix:/run/pydeliver/lmtp"]')
    if virtual and not values["users.file"] and not values["users.database"]:
        found.append("users.kind: who the virtual users are is said by users.file or users.database")
    if virtual and not values["users.home"]:
        found.append('users.home: where virtual users have their mail, like "/srv/mail/{domain}/{user}"')
    if not virtual and values["users.database"]:
        found.append('users.database: a database has virtual users; say users.kind = "virtual"')
    if as_root and _entry(values["server.user"]) is None:
        found.append(f"server.user: there is no user {values['server.user']}")
    if as_root and virtual and values["server.user"] in ("nobody", "root"):
        found.append("server.user: virtual users need a user who owns their mail, and is nobody else")
    if not virtual and not as_root:
        found.append("users.kind: only root can deliver for other users of this system")
    if values["server.socket-group"] and _group(values["server.socket-group"]) < 0:
        found.append(f"server.socket-group: there is no group {values['server.socket-group']}")
    return found


def _doubts(values: Mapping[str, Any]) -> list[str]:
    """What works, and is not what a site can want."""
    if values["users.kind"] == VIRTUAL and values["policy"] == "open":
        return ['policy: rules of virtual users run programs as the owner of everybody\'s mail; say policy = "hosted"']
    return []


def _entry(name: str) -> pwd.struct_passwd | None:
    import pwd

    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> int:
    """The number of a group; -1 for none."""
    import grp

    try:
        return grp.getgrnam(name).gr_gid if name else -1
    except KeyError:
        return -1


def serve(made: Prepared) -> None:
    """Listen and deliver until told to stop. Raises OSError where a place can't be listened at."""
    from pydeliver.receiver import server, zygote

    values = made.values
    only = None if values["users.kind"] != VIRTUAL else values["server.user"] if made.as_root else ""
    born = zygote.start(made.config, only)  # before anything is opened
    mode, group = int(values["server.socket-mode"], 8), _group(values["server.socket-group"])
    sockets = server.handed_over() or [server.listening(one, mode, group) for one in values["server.lmtp"]]
    if made.as_root:
        entry = _entry(values["server.user"])
        assert entry is not None
        privilege.become(entry)
        privilege.clean_environment(entry)

    async def run() -> None:
        running = server.Server(_site(made), users.Directory(values, made.listed), born)
        _metered(running, values["server.metrics"])
        await running.run(sockets, lambda: _reread(made))

    asyncio.run(run())


def _site(made: Prepared) -> Site:
    from pydeliver.receiver.server import Site

    values = made.values
    name = values["server.name"] or os.uname().nodename
    return Site(name, values["server.size"] << 20, values["server.connections"], values["server.workers"])


def _reread(made: Prepared) -> tuple[Site, users.Directory] | None:
    """Limits and users by today's settings; None, and a word in the log, where something is wrong with those."""
    again = prepared(made.config, made.values["server.lmtp"], made.as_root)
    for one in again.mistakes:
        tell_syslog(f"not read again: {one.file}:{one.line}: {one.message}")
    return None if again.mistakes else (_site(again), users.Directory(again.values, again.listed))


def _metered(running: Server, place: str) -> None:
    if place:
        from pydeliver.receiver import metrics

        metrics.start(running, place)
