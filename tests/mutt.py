"""mutt, as a person would use it: it sends by SMTP, and reads what lies in a Maildir or an mbox."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.installation import PATIENCE, Home

READS: Final = """
set mbox_type=Maildir folder={out} sort=mailbox-order quit=yes
set confirmappend=no confirmcreate=no move=no copy=no wait_key=no sleep_time=0
push "<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{out}/all<enter><quit>"
"""
SENDS: Final = """
set from = "{sender}"
set use_from = yes
set envelope_from = yes
set use_envelope_from = yes
set smtp_url = "smtp://127.0.0.1:25"
set ssl_force_tls = no
set ssl_starttls = no
set copy = no
set send_charset = "utf-8"
"""


def at_terminal(home: Home, command: Sequence[str | Path]) -> None:
    """Run something that wants a terminal, until it leaves."""
    master, slave = pty.openpty()
    running = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=home.environment(TERM="xterm", LANG="C.UTF-8"),
        start_new_session=True,
        **home.identity,
    )
    os.close(slave)
    with open(master, "rb", buffering=0) as screen:
        try:
            while screen.read(1 << 16):
                pass
        except OSError:  # how a terminal says that nobody is there any more
            pass
    assert running.wait(PATIENCE) == 0


def copied(home: Home, box: Path) -> list[bytes]:
    """What mutt finds in a mailbox: it copies all into a Maildir, where each is a file."""
    if shutil.which("mutt") is None:
        pytest.skip("mutt is not installed")
    out = home.folder("mutt")
    shutil.rmtree(out / "all", ignore_errors=True)
    at_terminal(home, ["mutt", "-n", "-F", home.file("muttrc", READS.format(out=out)), "-R", "-f", box])
    return [path.read_bytes() for path in out.glob("all/*/*")]


def sent(home: Home, sender: str, to: str, subject: str, text: str, before: Sequence[str] = ()) -> str:
    """Send a mail by the server of this host, behind another command if need be; what mutt says if that fails."""
    become = ["setpriv", f"--reuid={home.uid}", f"--regid={home.gid}", "--clear-groups"]
    rc = home.file("muttrc-send", SENDS.format(sender=sender))
    done = subprocess.run(
        [*before, *become, "--", "mutt", "-n", "-F", str(rc), "-s", subject, "--", to],
        input=text.encode(),
        capture_output=True,
        env=home.environment(LANG="C.UTF-8", TERM="dumb"),
        timeout=PATIENCE,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr).decode("utf-8", "replace")
