"""DKIM (G15): signed messages through every way that a delivery has, and whether their signatures still hold.

    python -m tests.benchmarks.signatures [MESSAGES]

Messages of the corpora are signed with each canonicalisation of header and body in turn (RFC 6376 section 3.4), and go
into a Maildir, an mbox, an MH folder and a program, through a filter, with fields set and marks made, and on to another
address. Leaves with 1 if a signature that held does so no more. A message whose signature does not hold right after it
was made (dkimpy reads some headers in another way when it verifies) is not counted as signed.
"""

from __future__ import annotations

import base64
import itertools
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import dkim

from tests import corpora
from tests.installation import Home, Installation, install, public_folder
from tests.rules import write_rested

SEED: Final = 15
WAYS: Final = list(itertools.product((b"relaxed", b"simple"), repeat=2))
FROM_LINE: Final = re.compile(rb"\AFrom [^\n]*\n")
QUOTED: Final = re.compile(rb"^>(>*From )", re.MULTILINE)
STORE: Final = '#!/bin/sh\ncat > ~/"$1"\n'
RULES: Final = """
copy file "INBOX"
copy file "mbox:~/box"
copy file "mh:~/MH"
copy pipe "~/store piped"
copy forward "robin@example.net"
filter "cat"
copy file "Filtered"
set header "X-Seen-By" = "rules"
add header "X-Note" = "{subject}"
mark seen, flagged
label "todo"
copy file "Edited"
copy file "mbox:~/edited"
copy forward "al@example.net"
discard for good
"""


def key() -> tuple[bytes, bytes]:
    """A private key and the record that publishes its public half (RFC 6376 section 3.6.1)."""
    private = subprocess.run(["openssl", "genrsa", "-traditional", "1024"], capture_output=True, check=True).stdout
    public = subprocess.run(
        ["openssl", "rsa", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True
    ).stdout
    return private, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def holds(message: bytes, record: bytes) -> bool:
    """Whether the topmost signature does."""
    try:
        return bool(dkim.verify(message, dnsfunc=lambda *_, **__: record))
    except (dkim.DKIMException, UnicodeError):
        return False


def signed(paths: list[Path], count: int) -> tuple[list[bytes], bytes]:
    """So many signed messages, each with its signature on top, and the record by which they are verified."""
    private, record = key()
    made: list[bytes] = []
    ways = itertools.cycle(WAYS)
    for path in paths:
        data = FROM_LINE.sub(b"", path.read_bytes())
        try:
            field = dkim.sign(data, b"here", b"signer.example", private, canonicalize=next(ways))
        except (dkim.DKIMException, UnicodeError):
            continue
        message = field.replace(b"\r\n", b"\n") + data
        if holds(message, record):
            made.append(message)
        if len(made) == count:
            break
    return made, record


def stored(home: Home) -> dict[str, bytes]:
    """What every way came to, by its name; of an mbox its one message, as it was before it was quoted."""
    found = {"piped": home.path / "piped", "forwarded": home.path / "robin@example.net"}
    found["edited, forwarded"] = home.path / "al@example.net"
    folders = {"Maildir": "Maildir/new", "MH folder": "MH", "filtered": "Maildir/.Filtered/new"}
    folders["edited, Maildir"] = "Maildir/.Edited/cur"
    for name, folder in folders.items():
        (found[name],) = [path for path in (home.path / folder).iterdir() if not path.name.startswith(".")]
    read = {name: path.read_bytes() for name, path in found.items()}
    for name, box in (("mbox", "box"), ("edited, mbox", "edited")):
        read[name] = QUOTED.sub(rb"\1", (home.path / box).read_bytes().partition(b"\n")[2][:-1])
    return read


def run(messages: list[bytes], record: bytes, installation: Installation, folder: Path) -> Counter[str]:
    """Deliver all; how many signatures held, by the way the message took."""
    home = Home.make(Path(tempfile.mkdtemp(dir=folder)))
    home.file("store", STORE, 0o700)
    sendmail = home.file("sendmail", '#!/bin/sh\nfor to; do :; done\ncat > ~/"$to"\n', 0o700)
    site = write_rested(home.path / "settings.toml", f'sendmail = "{sendmail}"\n')
    home.own(site)
    home.rules(RULES)
    held: Counter[str] = Counter()
    for message in messages:
        for name in ("Maildir", "MH", "box", "edited"):
            path = home.path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        done = home.deliver(installation, message, "-r", "me@example.net", "--config", str(site))
        assert done.returncode == 0, done.stderr
        for way, data in stored(home).items():
            held[way] += holds(data, record)
    return held


def main(count: int) -> int:
    paths = [*corpora.spam_assassin(), *corpora.cpython(), *corpora.enmime()]
    random.Random(SEED).shuffle(paths)
    messages, record = signed(paths, count)
    with public_folder() as folder:
        held = run(messages, record, install(folder / "site"), folder)
    for way, number in held.items():
        print(f"{way:20} {number:6} of {len(messages)}")
    return int(set(held.values()) != {len(messages)} or len(messages) < count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
