"""The agents under torture, each set up to put every message into the boxes of one format, and the homes they use.

Rivals run as copies without set-user-ID bits: they then do everything as the user, as pydeliver does, touch nothing
of this machine's own mail, and can be traced and given a clock like any program.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.installation import AS_ROOT, Home, Installation
from tests.lmtp import Client, served
from tests.torture import boxes
from tests.torture.boxes import Box, Finding, Maildir, Mbox
from tests.torture.entrances import knock, opened
from tests.torture.report import DOORS, OURS

FORMATS: Final = ("maildir", "mbox", "mixed", "programs")
USER: Final = "robin@example.net"
OWNER: Final = "mail"  # of virtual users' mail: a user that every Debian has
TAKE: Final = "#!/bin/sh\ncat > ~/taken/tmp/$$ && exec mv ~/taken/tmp/$$ ~/taken/new/$$\n"
PATIENCE: Final = 30  # seconds; what takes longer hangs
SLEEP: Final = 1  # seconds that procmail and maildrop wait for a lock before they look again; theirs are 8 and 5
RIVALS: Final = {
    "procmail": "procmail",
    "maildrop": "maildrop",
    "fdm": "fdm",
    "dovecot-lda": "/usr/lib/dovecot/dovecot-lda",
}


@dataclass(frozen=True)
class Run:
    """How a program ended: its exit code, minus a signal's number, or None where it had to be killed."""

    code: int | None
    seconds: float
    said: bytes


@dataclass
class Site:
    """A folder that everyone may read: pydeliver installed, and copies of the rivals that this machine has."""

    installation: Installation
    folder: Path

    def __post_init__(self) -> None:
        self.programs = {}
        for name, program in RIVALS.items():
            if found := shutil.which(program):
                copy = self.folder / name
                shutil.copyfile(found, copy)
                copy.chmod(0o755)
                self.programs[name] = copy
        self.careless = Path(shutil.copy(Path(__file__).with_name("careless.py"), self.folder))
        self.careless.chmod(0o644)
        python = f"{self.installation.python} -I"
        traced = self.installation.launcher.read_text().replace(python, f"strace $TORTURE -- {python}", 1)
        self.traced = self.folder / "traced-launcher"  # traces the interpreter, and leaves the shell in peace
        self.traced.write_text(traced)
        self.traced.chmod(0o755)

    def place(self, agent: str, form: str, sync: str = "none", folder: Path | None = None) -> Place:
        """A fresh home, where an agent delivers into boxes of a format."""
        path = Path(tempfile.mkdtemp(prefix=f"{agent}-", dir=folder or self.folder))
        if agent in DOORS:
            return Resident(self, agent, form, Home.make(path, OWNER if AS_ROOT else None), sync)
        return Place(self, agent, form, Home.make(path), sync)


@dataclass
class Place:
    """An agent and a home with its boxes, and with `taken`, which a program fills that the rules pipe mail into."""

    site: Site
    agent: str
    form: str
    home: Home
    sync: str = "none"  # what the careless agent syncs
    before: list[object] = field(default_factory=list)
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        self.mail = self.home.path / "Mail"
        # What follows a message that a killed Dovecot left is not parted from it, but told by Content-Length.
        gap = b"" if self.agent == "dovecot-lda" else b"\n"
        inbox, box, work = Maildir(self.mail / "in"), Mbox(self.mail / "box", gap), Maildir(self.mail / "in" / ".Work")
        kinds: dict[str, list[Box]] = {"maildir": [inbox], "mbox": [box], "mixed": [box, inbox, work]}
        kinds["programs"] = [box, inbox]
        self.taken = Maildir(self.home.path / "taken")
        self.boxes = kinds[self.form]
        self.command = SETUPS[self.agent](self)
        self.reset()

    def reset(self, old: bool = True) -> None:
        """Empty the boxes but for one message, and forget what deliveries remembered. Compiled rules stay."""
        shutil.rmtree(self.home.path / ".local", ignore_errors=True)
        self.empty()
        self.home.folder("Mail")
        for box in self.boxes:
            box.seed(boxes.message(boxes.OLD, 3000) if old else b"")
        if self.form == "programs":
            shutil.rmtree(self.taken.path, ignore_errors=True)
            self.taken.seed(b"")
        self.own()
        self.before = [box.snapshot() for box in self.boxes]

    def empty(self) -> None:
        """Leave no box at all: the next delivery makes it."""
        for path in self.mail.iterdir() if self.mail.exists() else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.before = []

    def own(self) -> None:
        for top in (self.mail, self.taken.path):
            for path in [top, *top.rglob("*")] if top.exists() else ():
                self.home.own(path)

    def deliver(
        self, message: bytes, *, strace: Sequence[str] = (), before: Sequence[str] = (), tries: int = 1, **more: str
    ) -> Run:
        """Deliver a message as an MTA does, traced or behind another command if need be, and again if it fails."""
        process = self.start(strace=strace, before=before, **more)
        begun = time.monotonic()
        try:
            said = process.communicate(message, self.patience)[1]
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, code = process.communicate()[1], None
            if process.stdin:
                process.stdin.close()  # which a second communicate leaves open where the first was cut short
        if tries > 1 and code not in (0, None):
            return self.deliver(message, strace=strace, before=before, tries=tries - 1, **more)
        return Run(code, time.monotonic() - begun, said)

    def start(self, *, strace: Sequence[str] = (), before: Sequence[str] = (), **more: str) -> subprocess.Popen[bytes]:
        """Start a delivery in a session of its own, so that all of it can be killed at once."""
        command = [*before, *self.command]
        if strace and self.agent == "pydeliver":
            command = [*before, str(self.site.traced)]
            more["TORTURE"] = " ".join(strace)
        elif strace:
            command = [*before, "strace", *strace, "--", *self.command]
        identity = {} if "setpriv" in before else self.home.identity
        user = {"USER": "nobody", "LOGNAME": "nobody"}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.home.environment(**user, **more),
            cwd="/",
            start_new_session=True,
            **identity,
        )

    def close(self) -> None:
        """End what runs for this place."""

    def find(self) -> list[Finding]:
        return [box.find() for box in self.boxes]

    def copies(self, token: str) -> list[int]:
        return [found.tokens[token] for found in self.find()]

    def runs(self, token: str) -> int:
        """How often the program has taken a message."""
        return self.taken.find().tokens[token]

    def untouched(self) -> bool:
        """Whether every box is as it was, with no file in `tmp/` and no lock beside it."""
        same = [box.snapshot() for box in self.boxes] == self.before
        return same and not any(found.litter for found in self.find())

    def intact(self) -> bool:
        """Whether the old message is still there, byte for byte, and every other message whole."""
        kept = all(box.intact(old) for box, old in zip(self.boxes, self.before, strict=True))
        if self.agent == "dovecot-lda" and self.form == "mbox":  # writes the next UID into the first message
            kept = all(found.tokens[boxes.OLD] == 1 for found in self.find())
        return kept and not any(found.fragments for found in self.find())


@dataclass
class Resident(Place):
    """pydeliver behind a door of its own server, which runs for this home until it is closed or must run otherwise."""

    running: ExitStack = field(default_factory=ExitStack)
    client: Client | None = None
    behind: tuple[str, ...] = ()

    def deliver(
        self, message: bytes, *, strace: Sequence[str] = (), before: Sequence[str] = (), tries: int = 1, **more: str
    ) -> Run:
        """Deliver a message to a server that was started behind `before`; its reply is an exit code here."""
        assert not strace
        assert not more
        assert tries == 1
        if self.client is None or tuple(before) != self.behind:
            self.close()
            self.serve(before)
        assert self.client is not None
        begun = time.monotonic()
        try:
            (reply,) = self.client.send(message, [USER])
        except TimeoutError:
            return Run(None, time.monotonic() - begun, b"")
        code = {"2": 0, "4": 75, "5": 77}.get(reply[:1], 1)
        return Run(code, time.monotonic() - begun, reply.encode())

    def serve(self, before: Sequence[str]) -> None:
        folder = Path(tempfile.mkdtemp(dir=self.site.folder))
        folder.chmod(0o755)
        users = folder / "users"
        users.write_text(USER)
        settings = (
            f'server.user = "{self.home.path.owner()}"\nusers.kind = "virtual"\n'
            f'users.home = "{self.home.path}"\nusers.file = "{users}"\n'
        )
        serve = partial(served, self.site.installation, folder, before=before)
        _, entrance = self.running.enter_context(opened(serve, self.agent, folder, settings))
        self.client = self.running.enter_context(knock(entrance).greet())
        self.behind = tuple(before)

    def close(self) -> None:
        self.running.close()
        self.client = None


def _pydeliver(place: Place) -> list[str]:
    box = "mbox:~/Mail/box"
    actions = {
        "maildir": "keep",
        "mbox": f'file "{box}"',
        "mixed": f'file "{box}", "INBOX", "Work"',
        "programs": f'if duplicate by subject {{ discard }}\ncopy pipe "~/take"\nfile "{box}", "INBOX"',
    }
    place.home.file("take", TAKE, 0o700)
    place.home.rules(f'set mailboxes = "~/Mail/in"\n{actions[place.form]}\n')
    return [str(place.site.installation.launcher)]


def _procmail(place: Place) -> list[str]:
    path = _path(place) + "/" * (place.form == "maildir")
    rules = place.home.file("procmailrc", f"SHELL=/bin/sh\nLOCKSLEEP={SLEEP}\nDEFAULT={path}\nORGMAIL={path}\n")
    return [str(place.site.programs["procmail"]), "-f", "jo@example.org", "-p", str(rules)]


def _maildrop(place: Place) -> list[str]:
    rules = place.home.file("mailfilter", f'LOCKSLEEP={SLEEP}\nto "{_path(place)}"\n')
    return [str(place.site.programs["maildrop"]), str(rules)]


def _fdm(place: Place) -> list[str]:
    settings = f"""set lock-types fcntl dotlock
set no-received
account "stdin" stdin
action "box" {place.form} "{_path(place)}"
match all action "box"
"""
    rules = place.home.file("fdm.conf", settings)
    return [str(place.site.programs["fdm"]), "-f", str(rules), "-m", "-a", "stdin", "fetch"]


def _dovecot(place: Place) -> list[str]:
    where = "maildir:~/Mail/in" if place.form == "maildir" else "mbox:~/folders:INBOX=~/Mail/box"
    settings = f"""mail_location = {where}:INDEX=MEMORY
log_path = /dev/null
ssl = no
mbox_write_locks = dotlock fcntl
postmaster_address = postmaster@localhost
"""
    rules = place.home.file("dovecot.conf", settings)
    return [str(place.site.programs["dovecot-lda"]), "-c", str(rules)]


def _careless(place: Place) -> list[str]:
    form = "mbox" if place.form == "mbox" else "maildir"
    return [str(place.site.installation.python), "-I", "-S", str(place.site.careless), form, place.sync, _path(place)]


def _path(place: Place) -> str:
    return str(place.boxes[0].path)


SETUPS: Final[dict[str, Callable[[Place], list[str]]]] = {
    "careless": _careless,
    "pydeliver": _pydeliver,
    **dict.fromkeys(DOORS, _pydeliver),
    "procmail": _procmail,
    "maildrop": _maildrop,
    "fdm": _fdm,
    "dovecot-lda": _dovecot,
}


def formats(agent: str, wanted: Iterable[str]) -> list[str]:
    """The formats that an agent is tried in: only pydeliver writes to several boxes as one transaction.

    "programs" is several boxes, a program that has to take the message first, and a memory of what came before.
    """
    return [form for form in wanted if form in ("maildir", "mbox") or agent in OURS]
