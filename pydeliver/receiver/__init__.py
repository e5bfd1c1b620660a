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
from pydeliver.system.disk import Trusted, make_private, read_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pydeliver.memory.visits import Visits
    from pydeliver.receiver.gate import Gate
    from pydeliver.receiver.server import Server, Site

# The settings that say where to listen for the network, and what their doors are called.
PUBLIC = {"smtp.listen": "smtp", "smtp.submission": "submission", "smtp.submissions": "submissions"}
FILE_LIMIT = 64 << 20  # bytes of a file of users


class Prepared(Value):
    """What a server goes by: settings, the users of the file, every mistake in both, and every doubt about them.

    One that was started `as_root` goes on as somebody else, but for other users of the system. `opened` are the doors
    for which systemd has opened sockets, one for each.
    """

    config: str
    as_root: bool
    values: Mapping[str, Any]
    listed: Mapping[str, users.Listed]
    mistakes: tuple[Diagnostic, ...]
    doubts: tuple[Diagnostic, ...] = ()
    opened: tuple[str, ...] = ()


def prepared(
    config: str, places: Mapping[str, Sequence[str]], as_root: bool, opened: tuple[str, ...] | None = None
) -> Prepared:
    """Read the site's settings, and the files that they name; `places` stand for what they say of where to listen.

    What systemd has opened is said in the environment, where nobody says it here.
    """
    opened = _opened() if opened is None else opened
    table = (*site_settings.SETTINGS, *site_settings.SERVER, *site_settings.SMTP)
    data, problem = _read(config)
    if problem and not (data is None and config == site_settings.DEFAULT_PATH):
        told = (Diagnostic(config, 1, 1, problem, "bad-settings"),)
        return Prepared(config, as_root, site_settings.defaults(table), {}, told)
    values, mistakes = site_settings.read(data or b"", config, table)
    values |= {name: tuple(given) for name, given in places.items() if given}
    listed: dict[str, users.Listed] = {}
    path = str(values["users.file"])
    if path:
        data, problem = _read(path)
        listed, wrong = users.read(data or b"", path, not values["users.database"])
        mistakes += (Diagnostic(path, 1, 1, problem, "bad-users"),) if problem else wrong
    if not mistakes:  # else what follows from one would be told as another
        mistakes = tuple(
            [Diagnostic(config, 1, 1, text, "bad-settings") for text in _contradictions(values, as_root, opened)]
        )
    doubts = [Diagnostic(config, 1, 1, text, "bad-settings", "warning") for text in _doubts(values, listed, opened)]
    return Prepared(config, as_root, values, listed, mistakes, tuple(doubts), opened)


def _opened() -> tuple[str, ...]:
    """By sd_listen_fds_with_names(3): FileDescriptorName= says what a socket is for; without one it is for LMTP."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return ()
    number = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return tuple([name if name in PUBLIC.values() else "lmtp" for name in [*names, *[""] * number][:number]])


def _is_public(values: Mapping[str, Any], opened: Sequence[str]) -> bool:
    """Whether it is to listen for SMTP."""
    return any([values[name] for name in PUBLIC]) or not set(opened).isdisjoint(PUBLIC.values())


def gate_of(made: Prepared, visits: Visits | None = None) -> tuple[Gate | None, tuple[Diagnostic, ...]]:
    """What holds for SMTP, if it is to be spoken, with keys and passwords; and what is wrong with that."""
    values = made.values
    if not _is_public(values, made.opened):
        return None, ()
    from pydeliver.receiver import gate, passwords

    problems = gate.contradictions(values)
    hashes: Mapping[str, str] = {}
    if values["smtp.passwords"]:
        data, problem = _read(values["smtp.passwords"])
        hashes, wrong = passwords.read(data or b"", values["smtp.passwords"])
        if wrong:
            return None, wrong
        problems += [problem] if problem else []
    login = None
    if values["onward.login"]:
        data, problem = _read(values["onward.login"])
        user, colon, password = (data or b"").decode("utf-8", "replace").strip().partition(":")
        login = (user, password)
        if problem or not colon:
            problems.append(problem or f"{values['onward.login']}: it is user:password")
    if not problems:
        try:
            return gate.Gate(values, _own_name(values), hashes, login, visits), ()
        except OSError as error:  # of ssl too
            problems.append(f"smtp.certificate, smtp.key: {error}")
    return None, tuple([Diagnostic(made.config, 1, 1, text, "bad-settings") for text in problems])


def _read(path: str) -> tuple[bytes | None, str]:
    """A file that only root or this user can have written; what is wrong with it."""
    found = read_trusted(path, uid=os.getuid(), home="/", limit=FILE_LIMIT)
    return (found.data, "") if isinstance(found, Trusted) else (None, found.text)


def _contradictions(values: Mapping[str, Any], as_root: bool, opened: Sequence[str]) -> list[str]:
    """What is wrong though each setting by itself is right."""
    found = []
    virtual = values["users.kind"] == VIRTUAL
    if not values["server.lmtp"] and not _is_public(values, opened) and not opened:
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


def _doubts(values: Mapping[str, Any], listed: Mapping[str, users.Listed], opened: Sequence[str]) -> list[str]:
    """What works, and is not what a site can want."""
    found = []
    if values["users.kind"] == VIRTUAL and values["policy"] == "open":
        found.append(
            'policy: rules of virtual users run programs as the owner of everybody\'s mail; say policy = "hosted"'
        )
    if _is_public(values, opened) and values["domains"] and not values["users.database"]:
        directory = users.Directory(values, listed)
        if not any([isinstance(directory.look_up(f"postmaster@{one}"), users.Account) for one in values["domains"]]):
            told = f"postmaster@{values['domains'][0]} = somebody"
            found.append(f'users.file: nobody reads the mail of postmaster (RFC 5321 4.5.1); write "{told}"')
    return found


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


def serve(made: Prepared) -> tuple[Diagnostic, ...]:
    """Listen and deliver until told to stop, which ends the process; what is wrong, where the settings don't allow it.

    Raises OSError where a place can't be listened at.
    """
    from pydeliver.receiver import server, zygote

    values = made.values
    only = None if values["users.kind"] != VIRTUAL else values["server.user"] if made.as_root else ""
    born = zygote.start(made.config, only)  # before anything is opened, or a key read
    gate, mistakes = gate_of(made)
    if mistakes:
        return mistakes
    mode, group = int(values["server.socket-mode"], 8), _group(values["server.socket-group"])
    sockets = server.handed_over(made.opened)
    if not sockets:
        sockets = [("lmtp", server.listening(one, mode, group)) for one in values["server.lmtp"]]
        sockets += [(door, server.listening(one, mode, group)) for name, door in PUBLIC.items() for one in values[name]]
    if gate is not None:
        _make_state(made)
    supervisor = os.environ.get("NOTIFY_SOCKET", "")
    if made.as_root:
        entry = _entry(values["server.user"])
        assert entry is not None
        privilege.become(entry)
        privilege.clean_environment(entry)

    async def run() -> None:
        running = server.Server(_site(made), users.Directory(values, made.listed), born, gate, supervisor)
        _metered(running, values["server.metrics"])
        await running.run(sockets, lambda: _reread(made, None if gate is None else gate.visits))

    asyncio.run(run())
    os._exit(0)  # nor wait for threads that wait for other hosts: who is not answered by now will not be


def _site(made: Prepared) -> Site:
    from pydeliver.receiver.server import Site

    values = made.values
    return Site(_own_name(values), values["server.size"] << 20, values["server.connections"], values["server.workers"])


def _own_name(values: Mapping[str, Any]) -> str:
    return values["server.name"] or os.uname().nodename


def _make_state(made: Prepared) -> None:
    """Make the directory for what is remembered; it belongs to whom the server becomes. Raises OSError."""
    path = made.values["smtp.state"]
    if not os.path.lexists(path):
        make_private(path)
    entry = _entry(made.values["server.user"]) if made.as_root else None
    if entry is not None and os.lstat(path).st_uid == 0:
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _reread(made: Prepared, visits: Visits | None) -> tuple[Site, users.Directory, Gate | None] | None:
    """Limits, users, certificates by today's settings; None, and a word in the log, where something is wrong there."""
    places = {name: made.values[name] for name in ("server.lmtp", *PUBLIC)}
    again = prepared(made.config, places, made.as_root, made.opened)
    gate, mistakes = gate_of(again, visits) if not again.mistakes else (None, again.mistakes)
    for one in mistakes:
        tell_syslog(f"not read again: {one.file}:{one.line}: {one.message}")
    return None if mistakes else (_site(again), users.Directory(again.values, again.listed), gate)


def _metered(running: Server, place: str) -> None:
    if place:
        from pydeliver.receiver import metrics

        metrics.start(running, place)
