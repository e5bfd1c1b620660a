"""What one delivery costs, as a multiple of a bare interpreter, beside procmail and maildrop.

Each program delivers the same message with the same twenty rules into a Maildir of its own: one message is claimed
before any pattern is reached, one by the first pattern. Medians over ROUNDS rounds that take the programs in turn.
Run from the top of the checkout: `python -m tests.benchmarks.delivery`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import statistics
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.installation import Installation, install, public_folder

HERE: Final = Path(__file__).parent
ROUNDS: Final = 100
WARM_UP: Final = 5
BODY: Final = b"The quick brown fox jumps over the lazy dog, and the dog sleeps on.\n" * 40
MESSAGES: Final = {
    "no pattern reached": b"Our weekly digest of the garden",
    "one pattern reached": b"[ticket 4711] leak",
}
GOALS: Final = {"no pattern reached": 2.0, "one pattern reached": 2.6}
FOLDERS: Final = {"no pattern reached": ".Weekly", "one pattern reached": ".Tickets"}


def message(subject: bytes) -> bytes:
    headers = [
        b"Return-Path: <jo@example.org>",
        b"Received: from mail.example.org (mail.example.org [192.0.2.10])\n\tby mx.example.net (Postfix) with ESMTPS;"
        b" Mon, 16 Nov 2026 09:12:44 +0000",
        b"From: Jo Fields <jo@example.org>",
        b"To: Robin Vale <robin@example.net>",
        b"Subject: " + subject,
        b"Date: Mon, 16 Nov 2026 09:12:40 +0000",
        b"Message-ID: <1.jo@example.org>",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
    ]
    return b"\n".join(headers) + b"\n\n" + BODY


def milliseconds(command: Sequence[str | Path], stdin: Path, environment: dict[str, str]) -> float:
    """Run a command to its end and time it from outside, with as little between as the system allows."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0)]
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, environment, file_actions=actions)
    _, status = os.waitpid(process, 0)
    taken = time.perf_counter() - begun
    if status:
        sys.exit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return taken * 1000


def contenders(installation: Installation, folder: Path) -> dict[str, tuple[list[str | Path], Path]]:
    """Each program's command line and home."""
    homes = {name: folder / name for name in ("bare", "pydeliver", "procmail", "maildrop")}
    for home in homes.values():
        home.mkdir(mode=0o700)
    rules = homes["pydeliver"] / ".config" / "pydeliver"
    rules.mkdir(parents=True)
    shutil.copy(HERE / "twenty.rules", rules / "main.rules")
    found: dict[str, list[str | Path]] = {
        "bare": [installation.python, "-I", "-c", "pass"],
        "pydeliver": [installation.launcher],
    }
    rivals = {"procmail": ("-p", "twenty.procmailrc"), "maildrop": ("twenty.mailfilter",)}
    for name, (*options, source) in rivals.items():
        rules = homes[name] / source
        shutil.copyfile(HERE / source, rules)
        rules.chmod(0o600)
        if program := shutil.which(name):
            found[name] = [program, *options, rules]
    for name in ("procmail", "maildrop"):
        for folder_name in ("", *FOLDERS.values()):
            for part in ("tmp", "new", "cur"):
                (homes[name] / "Maildir" / folder_name / part).mkdir(parents=True)
    return {name: (command, homes[name]) for name, command in found.items()}


def measure(installation: Installation, folder: Path, what: str) -> None:
    """Print the medians for one of the messages, and their ratios to the bare interpreter and to the rivals."""
    (folder / what).mkdir()
    programs = contenders(installation, folder / what)
    stdin = folder / "message"
    stdin.write_bytes(message(MESSAGES[what]))
    times: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(WARM_UP + ROUNDS):
        for name, (command, home) in programs.items():
            environment = {"HOME": str(home), "BOX": str(home / "Maildir"), "PATH": "/usr/bin:/bin"}
            taken = milliseconds(command, stdin, environment)
            if number >= WARM_UP:
                times[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"{what} ({ROUNDS} rounds)")
    for name, median in medians.items():
        print(f"  {name:10} {median:6.2f} ms   {median / medians['bare']:5.2f} x bare")
        stored = len(list((programs[name][1] / "Maildir" / FOLDERS[what] / "new").glob("*")))
        if name != "bare" and stored != ROUNDS + WARM_UP:
            sys.exit(f"{name} stored {stored} messages in {FOLDERS[what]}")
    for name in medians.keys() - {"bare", "pydeliver"}:
        print(f"  pydeliver / {name}: {medians['pydeliver'] / medians[name]:.2f}")
    print(f"  goal: at most {GOALS[what]} x bare; measured {medians['pydeliver'] / medians['bare']:.2f}")


@contextmanager
def no_empty_spool() -> Generator[None]:
    """procmail makes its user's system mailbox wherever it delivers; take away one that was not there before."""
    spool = Path("/var/mail", pwd.getpwuid(os.getuid()).pw_name)
    existed = spool.exists()
    try:
        yield
    finally:
        if not existed and spool.exists() and spool.stat().st_size == 0:
            spool.unlink()


def main() -> None:
    with no_empty_spool(), public_folder() as folder:
        installation = install(folder / "site")
        for what in MESSAGES:
            measure(installation, folder, what)


if __name__ == "__main__":
    main()
