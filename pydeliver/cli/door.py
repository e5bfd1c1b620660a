"""The door that an MTA opens: arguments, environment and stdin become an envelope and a message.

Leaves with 0, 75 or 77 and with nothing else, whatever happens; says something on stderr only when it fails, one
line that begins with an enhanced status code (RFC 3463), the form that Postfix reads; always reads stdin to its end.
Takes procmail's forms where they have a meaning here, and refuses the rest with 75. No click: see `options`.
"""

from __future__ import annotations

import os
import sys
import time

from pydeliver.agent import Request, deliver
from pydeliver.agent.rules import Home, Site, find_home, home_of
from pydeliver.cli import options
from pydeliver.mail.envelope import Envelope, sender_from
from pydeliver.memory import tell_syslog
from pydeliver.settings import DEFAULT_PATH, TIME_LIMIT
from pydeliver.status import Status, Value, deferred, refused
from pydeliver.system import alarm, privilege
from pydeliver.system.disk import Trusted, read_trusted
from pydeliver.system.spool import drain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Never

STDIN = 0

# Variables of procmail's rc files: as arguments they are settings there, and must not be taken for values here.
PROCMAIL_VARIABLES = frozenset(
    "DEFAULT DELIVERED DROPPRIVS EXITCODE HOST INCLUDERC LINEBUF LOCKEXT LOCKFILE LOCKSLEEP LOCKTIMEOUT LOG "
    "LOGABSTRACT LOGFILE MAILDIR MSGPREFIX NORESRETRY ORGMAIL SENDMAIL SENDMAILFLAGS SHELL SHELLFLAGS SHELLMETAS SHIFT "
    "SUSPEND SWITCHRC TIMEOUT TRAP UMASK VERBOSE".split()
)


class Arguments(Value):
    """The command line, read: values by option name, and what stood alone."""

    values: Mapping[str, list[str]]
    alone: tuple[str, ...]

    def last(self, option: options.Option) -> str | None:
        return next(reversed(self.values.get(option.name, [])), None)

    def all(self, option: options.Option) -> list[str]:
        return self.values.get(option.name, [])


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Deliver the message on stdin. Returns 0, 75 or 77."""
    try:
        privilege.secure_descriptors()
        alarm.guard(TIME_LIMIT)
        request = _request(arguments, environment)
        if isinstance(request, Status):
            status = request
            tell_syslog(f"no delivery: {status.line}")
        else:
            status = deliver(request)
        if not status.ok:
            drain(STDIN)
    except alarm.Interrupted as interrupted:
        status = interrupted.status
    except BaseException as error:  # noqa: BLE001 - whatever it is, the mail must stay with the MTA
        status = deferred(f"internal error: {type(error).__name__}: {error}", "4.3.0")
        tell_syslog(f"internal error: {_where(error)}")
        drain(STDIN)
    if not status.ok:
        _say(status.line)
    return status.exit_code


def _where(error: BaseException) -> str:
    """The innermost places of an error, for the log."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} at {' '.join(places[-5:])}"


def _say(line: str) -> None:
    try:
        os.write(2, line.encode("ascii", "replace") + b"\n")
    except OSError:  # nobody listens: the exit code says it too
        pass


def _abandon(status: Status) -> Never:
    _say(status.line)
    os._exit(status.exit_code)


def _request(arguments: Sequence[str], environment: Mapping[str, str]) -> Request | Status:
    read = parse(arguments)
    if isinstance(read, Status):
        return read
    config = os.path.abspath(read.last(options.CONFIG) or DEFAULT_PATH)
    environment = dict(environment)  # as the caller gave it; this process's own may be cleaned below
    home = _become(read.last(options.USER), environment, config)
    if isinstance(home, Status):
        return home
    problem = privilege.home_problem(home.path, home.uid)
    if problem is not None:
        return problem
    envelope = make_envelope(read, environment, home.user)
    if isinstance(envelope, Status):
        return envelope
    rules = read.last(options.RULES)
    site = Site(
        home.rules if rules is None else os.path.abspath(rules),
        config,
        rules is not None,
    )
    return Request(home, site, envelope, STDIN, time.time(), os.uname().nodename, _abandon)


def _become(user: str | None, environment: Mapping[str, str], config: str) -> Home | Status:
    """The home of the user to deliver for; as root, `-d USER` becomes that user before anything of his is opened."""
    if user is None:
        os.umask(0o077)
        return find_home(environment.get("HOME"))
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return _unknown(user, config)
    uid = os.getuid()
    if uid not in (0, entry.pw_uid):
        return deferred(f"-d {user} needs root", "4.3.5")
    if uid == 0 and not sys.flags.isolated:
        return deferred("as root, -d needs an isolated Python: use the launcher (`pydeliver launcher PATH`)", "4.3.5")
    try:
        privilege.become(entry)
    except OSError as error:
        return deferred(f"can't become {user}: {error.strerror}", "4.3.0")
    if uid == 0:
        privilege.clean_environment(entry)
    return home_of(entry, entry.pw_dir.rstrip("/") or "/")


def _unknown(user: str, config: str) -> Status:
    """A user that nobody knows: mail waits, as a directory of users may be down, or is refused where the site says so.

    The site's file is read as its own user would have to trust it; broken settings refuse nothing.
    """
    from pydeliver import settings

    text = f"there is no user {user}"
    found = read_trusted(config, uid=os.getuid(), home="/nonexistent")
    if isinstance(found, Trusted):
        values, mistakes = settings.read(found.data, config)
        if values["unknown-user"] == "refuse" and not mistakes:
            return refused(text, "5.1.1")
    return deferred(text, "4.1.1")


# -- arguments --------------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> Arguments | Status:
    """Read the command line as getopt does: clustered flags, values attached or apart, `--`, then what stands alone."""
    known = {flag: option for option in options.DELIVER for flag in option.flags}
    values: dict[str, list[str]] = {}
    pending = list(arguments)
    alone: list[str] = []
    while pending:
        word = pending.pop(0)
        if word == "--":
            alone += pending
            break
        if word.startswith("--"):
            flag, _, attached = word.partition("=")
            option = known.get(flag)
            if option is None:
                return _misused(f"unknown option {flag}")
            if "=" not in word and not pending:
                return _misused(f"{flag} needs a value")
            values.setdefault(option.name, []).append(attached if "=" in word else pending.pop(0))
        elif word.startswith("-") and word != "-":
            problem = _cluster(word, pending, known, values)
            if problem:
                return _misused(problem)
        else:
            alone.append(word)
    return _sensible(Arguments(values, tuple(alone)))


def _cluster(word: str, pending: list[str], known: Mapping[str, options.Option], values: dict[str, list[str]]) -> str:
    """Read `-tYf sender`: flags, then perhaps one option with its value. Returns what is wrong, or ""."""
    for at in range(1, len(word)):
        flag = f"-{word[at]}"
        if flag in options.IGNORED:
            continue
        option = known.get(flag)
        if option is None:
            return f"unknown option {flag}"
        attached = word[at + 1 :]
        if not attached and not pending:
            return f"{flag} needs a value"
        values.setdefault(option.name, []).append(attached or pending.pop(0))
        break
    return ""


def _sensible(read: Arguments) -> Arguments | Status:
    if len(read.all(options.USER)) > 1 or (read.all(options.USER) and any(["=" not in one for one in read.alone])):
        return _misused("one recipient at a time: give -d once, and nothing behind it")
    for word in read.alone:
        name, equals, _ = word.partition("=")
        if equals and name in PROCMAIL_VARIABLES:
            return _misused(f"{name} is a variable of procmail's; here the rule file says such things")
    return read


def _misused(text: str) -> Status:
    return deferred(text, "4.3.5")


# -- the envelope -----------------------------------------------------------------------------------------------


def make_envelope(
    read: Arguments, environment: Mapping[str, str], user: str, door: str = "deliver", complete: bool = True
) -> Envelope | Status:
    """What the caller says, from arguments first and then from the environment (MTA manuals: see `settings`).

    Not `complete`: the caller is no mail server, and what he does not say is unknown.
    """
    sender = read.last(options.SENDER)
    if sender is None or sender == "-":  # procmail's `-f -` says "whoever it was"
        sender = environment.get("SENDER")
    details = read.all(options.DETAIL)
    arguments = _arguments(read, details[1:])
    variables = dict(environment)  # which of them rules may name is checked when the rules are compiled
    for given in read.all(options.GIVEN):
        name, equals, value = given.partition("=")
        kind, dot, rest = name.partition(".")
        if not equals or not dot or kind not in ("env", "arg") or not rest:
            return _misused(f"--given takes env.NAME=VALUE or arg.NAME=VALUE, not {given}")
        (variables if kind == "env" else arguments)[rest] = value
    return Envelope(
        None if sender is None else sender_from(sender),
        read.last(options.RECIPIENT) or _recipient(environment),
        environment.get("ORIGINAL_RECIPIENT") or None,
        (details[0] if details else "") or _detail(environment),
        user,
        environment.get("MESSAGE_ID", ""),
        door,
        arguments,
        variables,
        complete,
    )


def _arguments(read: Arguments, further: list[str]) -> dict[str, str]:
    """arg.1, arg.2 … from further -a and what stands alone, arg.NAME from NAME=value."""
    named = [word.partition("=") for word in read.alone if "=" in word]
    numbered = [*further, *[word for word in read.alone if "=" not in word]]
    return {name: value for name, _, value in named} | {str(at): text for at, text in enumerate(numbered, 1)}


def _recipient(environment: Mapping[str, str]) -> str | None:
    """Postfix, OpenSMTPD and qmail say RECIPIENT; Exim says the parts (LOCAL_PART is without its suffix)."""
    if environment.get("RECIPIENT"):
        return environment["RECIPIENT"]
    local, domain = environment.get("LOCAL_PART"), environment.get("DOMAIN")
    return f"{local}{environment.get('LOCAL_PART_SUFFIX', '')}@{domain}" if local and domain else None


def _detail(environment: Mapping[str, str]) -> str | None:
    """Postfix and OpenSMTPD say EXTENSION, qmail and Courier EXT, Exim LOCAL_PART_SUFFIX with its separator."""
    return (
        environment.get("EXTENSION") or environment.get("EXT") or environment.get("LOCAL_PART_SUFFIX", "")[1:] or None
    )
