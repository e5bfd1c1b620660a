"""Signatures hold, whichever way a message goes (G15): a sample of `python -m tests.benchmarks.signatures`."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import signatures
from tests.installation import Installation

MESSAGES = 12


def test_what_was_signed_stays_signed(
    installation: Installation, public_folder: Path, spam_assassin: list[Path]
) -> None:
    messages, record = signatures.signed(spam_assassin[::97], MESSAGES)
    assert len(messages) == MESSAGES
    assert set(signatures.run(messages, record, installation, public_folder).values()) == {MESSAGES}
    broken = [message.replace(b"\n\n", b"\n\nx", 1) for message in messages]
    assert not any([signatures.holds(message, record) for message in broken])
