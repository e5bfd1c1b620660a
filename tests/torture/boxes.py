"""Messages that prove themselves whole, and what a mail reader finds of them in a Maildir or an mbox.

A message names its token and its size in its Subject, and its body follows from the two: whoever finds one can tell
without being told what was sent. Fields that an agent adds to the header are nobody's concern here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SUBJECT = re.compile(rb"^Subject: torture (\S+) (\d+)$", re.MULTILINE)
OLD = "old"  # the token of the message that is in every box before


def message(token: str, size: int) -> bytes:
    """A message of about `size` bytes, none of whose lines could be taken for mbox's From_."""
    header = f"From: Jo <jo@example.org>\nTo: Robin <robin@example.net>\nSubject: torture {token} {size}\n"
    line = hashlib.sha256(f"{token} {size}".encode()).hexdigest() + "\n"
    return header.encode() + b"\n" + line.encode() * max(1, size // len(line))


def token_of(found: bytes) -> str | None:
    """The token of a message found; None if it is not whole, byte for byte."""
    head, _, body = found.partition(b"\n\n")
    subject = SUBJECT.search(head)
    if subject is None:
        return None
    token = subject[1].decode()
    sent = message(token, int(subject[2])).partition(b"\n\n")[2]
    return token if body.rstrip(b"\n") == sent.rstrip(b"\n") else None


@dataclass(frozen=True)
class Finding:
    """How often each whole message is there, how much is there that is none, and what else lies about."""

    tokens: Counter[str]
    fragments: int = 0
    litter: tuple[str, ...] = ()  # locks, and files in tmp/


def finding(messages: Iterable[bytes], litter: Iterable[Path]) -> Finding:
    tokens = [token_of(found) for found in messages]
    counted = Counter(token for token in tokens if token is not None)
    return Finding(counted, tokens.count(None), tuple(sorted(path.name for path in litter)))


@dataclass(frozen=True)
class Maildir:
    path: Path

    def files(self) -> list[Path]:
        return [path for part in ("new", "cur") for path in sorted(self.path.glob(f"{part}/*")) if path.is_file()]

    def find(self) -> Finding:
        return finding([path.read_bytes() for path in self.files()], self.path.glob("tmp/*"))

    def snapshot(self) -> object:
        """What may not differ after "try again"."""
        return {path.name: path.read_bytes() for path in self.files()}

    def seed(self, content: bytes) -> None:
        for part in ("", "tmp", "new", "cur"):
            (self.path / part).mkdir(mode=0o700, parents=True)
        if content:
            (self.path / "cur" / "1000000000.M1P1.old:2,S").write_bytes(content)

    def intact(self, before: object) -> bool:
        """Whether what was there before is there still, byte for byte."""
        assert isinstance(before, dict)
        return before.items() <= {path.name: path.read_bytes() for path in self.files()}.items()


@dataclass(frozen=True)
class Mbox:
    path: Path
    gap: bytes = b"\n"  # what stands before a From_ line

    def read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def find(self) -> Finding:
        return finding(split(self.read(), self.gap), self.path.parent.glob(self.path.name + "?*"))

    def snapshot(self) -> object:
        return self.read()

    def seed(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if content:
            self.path.write_bytes(b"From jo@example.org Mon Nov 16 09:12:44 2026\n" + content + b"\n")

    def intact(self, before: object) -> bool:
        assert isinstance(before, bytes)
        return self.read().startswith(before)


Box = Maildir | Mbox


def split(data: bytes, gap: bytes = b"\n") -> list[bytes]:
    """The messages of an mbox, without their From_ lines; what stands before the first is one that nobody knows."""
    if not data:
        return []
    first, *rest = (b"\n\n" + data).split(b"\n" + gap + b"From ")
    return ([first] if first.strip() else []) + [found.partition(b"\n")[2] for found in rest]
