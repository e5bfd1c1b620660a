"""Fixtures for the tests of an mbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydeliver.mailbox import mbox


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "Mail").mkdir()
    return tmp_path / "Mail" / "box"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox, "PATIENCE", 0.05)
