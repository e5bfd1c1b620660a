"""What outlives a message: one line a delivery in the log, and the rule files by which it was judged.

The log is `deliveries.log` in the state directory, one JSON object a line, appended in one write; syslog gets a
short line under `mail.info`. The sources of the rules are kept by digest, so that it can be said later why a
message went where it went. Never the text of a message. A log that can't be written delays and loses nothing.
"""

from __future__ import annotations

import os
import syslog
from _json import encode_basestring_ascii

from pydeliver.status import Value
from pydeliver.system.disk import CREATE, append_line, close_quietly, make_private, unlink_quietly, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOG_NAME = "deliveries.log"
KEPT_RULES = "rules"
NAMES, SITE_NAMES = "names", "site-names"  # of the files that the rules were made of: the user's, the site's
NOTICES = "notices"
NEW_MAILBOXES = "new-mailboxes"
NEW_MAILBOXES_LIMIT = 64 << 10  # bytes looked at
DAY = 86400
FIELD_LIMIT = 200  # characters of one value that syslog gets
TEXT_LIMIT = 1000  # characters of one text that the log keeps: a sender chooses how long a field is


class State(Value):
    """The state directory of one user, made when something is first kept in it."""

    directory: str

    def record(self, entry: Mapping[str, object]) -> str:
        """Append one line to the delivery log. Returns what went wrong, or ""."""
        line = as_json(entry).encode("ascii")
        path = f"{self.directory}/{LOG_NAME}"
        try:
            try:
                append_line(path, line)
            except FileNotFoundError:
                make_private(self.directory)
                append_line(path, line)
        except OSError as error:
            return f"the delivery log can't be written: {error.strerror}"
        return ""

    def keep_rules(self, digest: bytes, data: bytes) -> None:
        """Keep a rule file's content under its digest. Raises OSError."""
        folder = f"{self.directory}/{KEPT_RULES}"
        path = f"{folder}/{digest.hex()}.rules"
        if not os.path.exists(path):
            make_private(folder)
            write_atomic(path, data, sync=False)

    def keep_names(self, sources: Iterable[tuple[str, bytes]], names: str = NAMES) -> None:
        """Note which files, by which digests, the user's or the site's rules were made of last. Raises OSError."""
        lines = [f"{digest.hex()} {path}\n" for path, digest in sources]
        write_atomic(f"{self.directory}/{KEPT_RULES}/{names}", os.fsencode("".join(lines)), sync=False)

    def kept_rules(self, names: str = NAMES) -> dict[str, bytes]:
        """The files that these rules were made of when nothing was wrong with them; empty if any is lost."""
        folder = f"{self.directory}/{KEPT_RULES}"
        found: dict[str, bytes] = {}
        try:
            with open(f"{folder}/{names}", "rb") as file:
                lines = os.fsdecode(file.read()).splitlines()
            for line in lines:
                digest, _, path = line.partition(" ")
                with open(f"{folder}/{digest}.rules", "rb") as file:
                    found[path] = file.read()
        except (OSError, ValueError):
            return {}
        return found

    def claim_notice(self, state: str) -> bool:
        """Whether nobody was told of this broken state yet; from now on somebody was. Raises OSError."""
        folder = f"{self.directory}/{NOTICES}"
        make_private(folder)
        try:
            close_quietly(os.open(f"{folder}/{state}", CREATE, 0o600))
        except FileExistsError:
            return False
        return True

    def forget_notices(self, state: str = "") -> None:
        """Forget that somebody was told of one broken state, or, since nothing is broken any more, of any."""
        folder = f"{self.directory}/{NOTICES}"
        try:
            for name in [state] if state else os.listdir(folder):
                unlink_quietly(f"{folder}/{name}")
        except OSError:  # there are none
            pass

    def has_rules(self) -> bool:
        """Whether this user ever had a rule file of his own."""
        return os.path.exists(f"{self.directory}/{KEPT_RULES}/{NAMES}")

    def new_mailboxes(self, now: float) -> list[int]:
        """When mailboxes named by messages were made within the last day, in seconds since the epoch."""
        try:
            with open(f"{self.directory}/{NEW_MAILBOXES}", "rb") as file:
                words = file.read(NEW_MAILBOXES_LIMIT).split()
        except OSError:
            return []
        made = [int(word) for word in words if word.isdigit() and len(word) < 12]
        return [moment for moment in made if now - DAY < moment <= now]

    def count_new_mailboxes(self, number: int, now: float) -> None:
        """Note that so many were made now. Raises OSError."""
        moments = [*self.new_mailboxes(now), *[int(now)] * number]
        lines = b"".join([b"%d\n" % moment for moment in moments])
        write_atomic(f"{self.directory}/{NEW_MAILBOXES}", lines, sync=False)


def tell_syslog(line: str) -> None:
    """One line under mail.info, without control characters (log injection)."""
    clean = line.isascii() and line.isprintable()
    shown = line if clean else "".join([c if " " <= c <= "~" else "?" for c in line])
    syslog.openlog("pydeliver", syslog.LOG_PID, syslog.LOG_MAIL)
    syslog.syslog(syslog.LOG_INFO, shown)


def as_fields(values: Mapping[str, object]) -> str:
    """`name=value`, one behind the other, for a log that people and programs read; quoted where that is needed."""
    return " ".join([f"{name}={_quoted(str(value)[:FIELD_LIMIT])}" for name, value in values.items()])


def _quoted(text: str) -> str:
    if text and not any([mark in text for mark in ' "=\\']):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_json(value: object) -> str:
    """JSON in ASCII for plain values, long texts cut; the module `json` costs more than the delivery it describes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring_ascii(value if len(value) <= TEXT_LIMIT else value[:TEXT_LIMIT] + "…")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if value - value == 0 else "null"
    if isinstance(value, dict):
        return "{" + ", ".join([f"{as_json(str(key))}: {as_json(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join([as_json(item) for item in value]) + "]"
    return as_json(str(value))
