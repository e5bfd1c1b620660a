"""The site's settings: one TOML file, validated once.

At delivery it is a source of the cached plan like a rule file, so no TOML is read then: `plain` is what the plan
keeps. An unknown key or a wrong value is a mistake, told with its name; nothing is guessed.
"""

from __future__ import annotations

from pydeliver.status import Diagnostic, Value

TIME_LIMIT = 300  # seconds of a delivery: shorter than any MTA's own limit, because Postfix bounces at its
DEFAULT_PATH = "/etc/pydeliver/settings.toml"

# What Postfix, OpenSMTPD, qmail, Courier and Exim tell about a message in the environment (MTA manuals).
ENVIRONMENT = (
    "CLIENT_ADDRESS",
    "CLIENT_HELO",
    "CLIENT_HOSTNAME",
    "CLIENT_PROTOCOL",
    "DEFAULT",
    "DOMAIN",
    "EXT",
    "EXTENSION",
    "HOST",
    "LOCAL",
    "LOCAL_PART",
    "LOCAL_PART_SUFFIX",
    "MESSAGE_ID",
    "ORIGINAL_RECIPIENT",
    "RECIPIENT",
    "SASL_METHOD",
    "SASL_SENDER",
    "SASL_USERNAME",
    "SENDER",
    "USER",
)


class Setting(Value):
    """One key of the file: what it means, its default, and the values it may have (any text, when empty).

    `range` is that of a number: least, most, and what is counted.
    """

    name: str
    about: str
    default: object
    choices: tuple[str, ...] = ()
    range: tuple[int, int, str] = (0, 0, "")


SETTINGS = (  # a dot in a name is a table of the file: `[rules]` with `before = …`
    Setting(
        "sync",
        "what is on disk before success is said: file and directory, the file, nothing",
        "full",
        ("full", "file", "none"),
    ),
    Setting(
        "over-quota",
        "a full mailbox: the mail server tries again later, or the sender is told",
        "defer",
        ("defer", "refuse"),
    ),
    Setting(
        "mbox-locks",
        "how an mbox is locked: by a file beside it and by fcntl, or by fcntl alone",
        "both",
        ("both", "fcntl"),
    ),
    Setting(
        "broken-rules",
        "rules with a mistake, of a user who never had good ones: mail waits, or is kept unsorted",
        "defer",
        ("defer", "keep"),
    ),
    Setting(
        "unknown-user",
        "mail for a user named by -d that nobody knows: it waits, or is refused for good",
        "defer",
        ("defer", "refuse"),
    ),
    Setting(
        "reject-as",
        "what `reject` comes to: the sender is told, or, where mail is fetched, it is kept back like what is discarded",
        "reject",
        ("reject", "quarantine"),
    ),
    Setting("default-mailbox", "the default mailbox of users who set none", ""),
    Setting("subaddress", "the characters that separate a detail from the local part", "+"),
    Setting("domains", "the domains at which login names are addresses", ()),
    Setting("environment", "further environment variables that rules may read as env.NAME", ()),
    Setting(
        "trace-headers",
        "your mail server writes Return-Path and Delivered-To: believe them above the first Received",
        False,
    ),
    Setting(
        "authserv-id",
        "the names by which your mail servers sign Authentication-Results: believe those for auth.spf and the like",
        (),
    ),
    Setting(
        "time-limit",
        "seconds until a delivery gives up and asks for another try",
        TIME_LIMIT,
        range=(1, 900, "seconds"),
    ),
    Setting(
        "quarantine-days",
        "days for which what rules discard is kept back, unless the user sets it; 0 keeps nothing",
        7,
        range=(0, 365, "days"),
    ),
    Setting(
        "quarantine-size",
        "MB that a user's quarantine may take; what is oldest goes first",
        200,
        range=(1, 1_000_000, "MB"),
    ),
    Setting(
        "sendmail",
        "the program that takes the mail that rules send",
        "/usr/sbin/sendmail",
    ),
    Setting("smarthost", "the server, as host:port, that takes it by SMTP instead", ""),
    Setting(
        "forward-sender",
        "the envelope sender of what is forwarded: the one it came with, the user, or what srs-command makes of it",
        "keep",
        ("keep", "me", "srs"),
    ),
    Setting("srs-command", "a command with its arguments; it gets an address behind them, and writes another", ()),
    Setting("program-time", "seconds that a program which a rule names may take", 60, range=(1, 600, "seconds")),
    Setting("program-cpu", "seconds of the processor that it may take", 30, range=(1, 600, "seconds")),
    Setting("program-output", "MB that it may write", 200, range=(1, 10_000, "MB")),
    Setting("program-path", "the directories in which it is looked for", "/usr/local/bin:/usr/bin:/bin"),
    Setting(
        "policy",
        "what the rules of users may do: all, or nothing outside of their mailboxes and no programs",
        "open",
        ("open", "hosted"),
    ),
    Setting("rules.before", "a rule file of the site that runs before the user's", ""),
    Setting("rules.after", "a rule file of the site that runs behind the user's", ""),
)

# What only the resident server asks for: no delivery carries it along.
SERVER = (
    Setting("server.lmtp", 'where it listens for LMTP: sockets as "unix:/path", or "host:port"', ()),
    Setting("server.socket-mode", "who may connect to its sockets, as chmod writes it", "660"),
    Setting("server.socket-group", "the group of its sockets; the server's own if empty", ""),
    Setting("server.name", "what it calls itself; the host's name if empty", ""),
    Setting("server.user", "the user it runs as when root starts it, and who owns all mail of virtual users", "nobody"),
    Setting("server.workers", "deliveries at once", 16, range=(1, 1000, "deliveries")),
    Setting("server.connections", "clients at once", 1000, range=(1, 100_000, "clients")),
    Setting("server.size", "MB that a message may have", 100, range=(1, 10_000, "MB")),
    Setting("server.metrics", "where it tells Prometheus how it is, as host:port", ""),
    Setting("users.kind", "who has mail here: users of this system, or virtual ones", "local", ("local", "virtual")),
    Setting("users.file", "a file of virtual users, and of addresses that stand for others", ""),
    Setting(
        "users.database", "a database of virtual users: the path of an SQLite file, or postgresql://… or mysql://…", ""
    ),
    Setting(
        "users.query",
        "what it is asked with :address, :local and :domain",
        "SELECT home FROM users WHERE address = :address",
    ),
    Setting("users.home", "the home of a virtual user for whom none is given", ""),
)

# What it asks for besides where it listens to the network.
SMTP = (
    Setting("smtp.listen", "where it listens for mail from the network, as host:port", ()),
    Setting("smtp.submission", "where it listens for users who log in after STARTTLS, as host:port", ()),
    Setting("smtp.submissions", "where it listens for users who log in, in TLS from the first byte", ()),
    Setting("smtp.certificate", "the certificate for TLS, with its chain, in a PEM file", ""),
    Setting("smtp.key", "its private key, where that is in a file of its own", ""),
    Setting("smtp.passwords", "a file of those who may log in, user:hash, as htpasswd -B and Dovecot write it", ""),
    Setting("smtp.state", "a directory for what it remembers between conversations by SMTP", "/var/lib/pydeliver"),
    Setting("smtp.clients", "the networks whose hosts may come to it by SMTP; all if empty", ()),
    Setting("smtp.trusted", "the networks for whose hosts it passes mail on without a login", ()),
    Setting("smtp.per-client", "connections of one address at once", 20, range=(1, 10_000, "connections")),
    Setting(
        "smtp.greylist",
        "seconds for which a sender never seen is asked to wait; 0 for none",
        0,
        range=(0, 3600, "seconds"),
    ),
    Setting("smtp.blocklists", "DNS block lists: who stands there is refused", ()),
    Setting("smtp.spf", "refuse what the sender's domain says is not from it (needs pydeliver[smtp])", False),
    Setting("smtp.helo", "refuse clients that call themselves by no name of a host, or by ours", False),
    Setting("smtp.nameservers", "the name servers that it asks, instead of the system's", ()),
    Setting("onward.smarthost", "the server, as host:port, that takes all mail for others; else each domain's own", ""),
    Setting("onward.login", "a file with user:password for it", ""),
    Setting(
        "onward.tls", "mail for others goes in TLS where that is offered, or not at all without", "may", ("may", "must")
    ),
)

_NETWORK_PLACES = ("smtp.listen", "smtp.submission", "smtp.submissions")
_FILES = (
    *("rules.before", "rules.after", "users.file", "smtp.passwords", "smtp.certificate", "smtp.key"),
    *("smtp.state", "onward.login"),
)


def defaults(table: tuple[Setting, ...] = SETTINGS) -> dict[str, object]:
    return {setting.name: setting.default for setting in table}


def read(
    data: bytes, path: str, table: tuple[Setting, ...] = SETTINGS
) -> tuple[dict[str, object], tuple[Diagnostic, ...]]:
    """The settings of a table in a TOML file as plain values, with everything that is wrong with the file."""
    import tomllib

    found = defaults(table)
    try:
        written = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return found, (Diagnostic(path, 1, 1, f"this is no TOML: {error}", "bad-settings"),)
    lines = data.decode("utf-8").splitlines()
    mistakes = []
    known = {setting.name: setting for setting in (*SETTINGS, *SERVER, *SMTP)}
    for name, value in _flat(written, known):
        setting = known.get(name)
        problem = "there is no such setting" if setting is None else _problem(setting, value)
        if problem:
            number, marked = _line_of(name, lines)
            source = lines[number - 1] if lines else ""
            mistakes.append(
                Diagnostic(path, number, 1, f"{name}: {problem}", "bad-settings", "error", source, len(marked))
            )
        elif name in found:
            found[name] = tuple(value) if isinstance(value, list) else value
    return found, tuple(mistakes)


def _flat(table: dict[str, object], known: dict[str, Setting]) -> list[tuple[str, object]]:
    """The settings by their whole names: a table that some of them lie in is taken apart."""
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        if isinstance(value, dict) and any([one.startswith(f"{name}.") for one in known]):
            found += [(f"{name}.{inner}", each) for inner, each in value.items()]
        else:
            found.append((name, value))
    return found


def _line_of(name: str, lines: list[str]) -> tuple[int, str]:
    """Where a setting stands and as what: by its whole name or, in a table, by the last part of it or the table's."""
    for written in (name, name.rpartition(".")[2], name.partition(".")[0]):
        for number, line in enumerate(lines, 1):
            if line.lstrip(' "').startswith(written):
                return number, written
    return 1, name


def _problem(setting: Setting, value: object) -> str:
    """What is wrong with a value, or "" when it fits."""
    if setting.choices and value not in setting.choices:
        return f"it is one of {', '.join(setting.choices)}"
    if isinstance(setting.default, bool):
        return "" if isinstance(value, bool) else "it is true or false"
    if isinstance(setting.default, int):
        least, most, unit = setting.range
        whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if whole else f"it is a number of {unit} from {least} to {most}"
    if isinstance(setting.default, tuple):
        if not isinstance(value, list) or not all([isinstance(item, str) for item in value]):
            return "it is a list of texts"
        if setting.name == "server.lmtp" and not all([_is_address(item) for item in value]):
            return 'it is a list of places like "unix:/run/pydeliver/lmtp" or "127.0.0.1:24"'
        if setting.name in _NETWORK_PLACES and not all([_is_address(item) and ":/" not in item for item in value]):
            return 'it is a list of places like "0.0.0.0:25" or "[::]:25"'
        return ""
    if not isinstance(value, str):
        return "it is a text"
    if setting.name == "default-mailbox" and value and not value.startswith(("/", "~/")):
        return 'it is a place, like "~/Maildir"'
    if setting.name == "sendmail" and not value.startswith("/"):
        return 'it is the whole path of a program, like "/usr/sbin/sendmail"'
    if setting.name in ("smarthost", "onward.smarthost", "server.metrics") and value and not _is_address(value):
        return 'it is a host and a port, like "localhost:25"'
    if setting.name in _FILES and value and not value.startswith("/"):
        return f'it is the whole path of a file, like "/etc/pydeliver/{setting.name.replace(".", "-")}"'
    if setting.name == "users.home" and value and not value.startswith("/"):
        return 'it is a place, like "/srv/mail/{domain}/{user}"'
    if setting.name == "users.database" and value and not value.startswith("/") and "://" not in value:
        return 'it is the whole path of an SQLite file, or like "postgresql://user@host/name"'
    if setting.name == "server.socket-mode" and (len(value) != 3 or value.strip("01234567")):
        return 'it is three digits, like "660"'
    return ""


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return text.startswith("unix:/") or (bool(host) and port.isdecimal())
