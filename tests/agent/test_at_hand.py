"""Plans that a process keeps which delivers for long: read once, and never a message longer than they hold."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pydeliver.agent.rules import AtHand, Home, Site, load_plan
from pydeliver.plan import Plan
from pydeliver.status import Status
from pydeliver.system import disk
from tests.rules import write_rested

RULES = 'if subject contains "a" { file "A" }\n'


class Desk:
    """A user with rules and a site with settings, and what a worker keeps of them."""

    def __init__(self, path: Path) -> None:
        path.chmod(0o755)
        self.user = Home("tester", os.getuid(), str(path / "home"))
        (path / "home").mkdir(mode=0o700)
        self.rules, self.settings = Path(self.user.rules), path / "settings.toml"
        self.at_hand = AtHand()
        write_rested(self.rules, RULES)
        write_rested(self.settings, "")

    def plan(self) -> Plan | Status:
        return load_plan(self.user, Site(self.user.rules, str(self.settings)), self.at_hand, time.time())

    def settle(self) -> Plan:
        """Compile, then find the plan in the cache."""
        for _ in range(2):
            found = self.plan()
        assert isinstance(found, Plan)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened from here on."""
    paths: list[str] = []

    def watching(path: str, *more: int) -> int:
        paths.append(path)
        return os.open(path, *more)

    monkeypatch.setattr(disk, "os", _Os(watching))
    return paths


class _Os:
    """The module, with another `open`."""

    def __init__(self, watching: Callable[..., int]) -> None:
        self.open = watching

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_nothing_is_read_again_while_nothing_has_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = desk.settle()
    paths = opened(monkeypatch)
    assert desk.plan() is first
    assert paths == []


def test_a_rule_file_of_the_same_size_and_time_is_another(desk: Desk) -> None:
    first = desk.settle()
    before = desk.rules.stat()
    desk.rules.write_text(RULES.replace('"A"', '"B"'))
    os.utime(desk.rules, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = desk.plan()
    assert isinstance(second, Plan)
    assert second.digest != first.digest


def test_a_file_that_was_just_written_is_read_each_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.settle()
    desk.at_hand = AtHand()
    os.utime(desk.rules)
    desk.plan()
    paths = opened(monkeypatch)
    assert isinstance(desk.plan(), Plan)
    assert str(desk.rules) in paths


@pytest.mark.parametrize("place", [".", ".config", ".config/pydeliver", ".config/pydeliver/main.rules"])
def test_what_others_may_write_is_judged_anew(desk: Desk, place: str) -> None:
    desk.settle()
    (Path(desk.user.path) / place).chmod(0o777)
    assert isinstance(desk.plan(), Status)


def test_settings_that_are_gone_are_missed(desk: Desk) -> None:
    first = desk.settle()
    desk.settings.unlink()
    second = desk.plan()
    assert isinstance(second, Plan)
    assert second is not first


def test_a_link_that_leads_elsewhere_is_followed_anew(desk: Desk) -> None:
    other = write_rested(desk.rules.parent / "other.rules", RULES.replace('"A"', '"B"'))
    desk.rules.rename(kept := desk.rules.parent / "kept.rules")
    desk.rules.symlink_to(kept)
    first = desk.settle()
    desk.rules.unlink()
    desk.rules.symlink_to(other)
    second = desk.plan()
    assert isinstance(second, Plan)
    assert second.digest != first.digest


def test_a_file_that_joins_those_of_a_glob_is_seen(desk: Desk) -> None:
    write_rested(desk.rules, 'include "more/*.rules"\n')
    write_rested(desk.rules.parent / "more/a.rules", RULES)
    first = desk.settle()
    write_rested(desk.rules.parent / "more/b.rules", RULES)
    second = desk.plan()
    assert isinstance(second, Plan)
    assert len(second.files) > len(first.files)


def test_rules_that_come_where_there_were_none_are_seen(desk: Desk) -> None:
    desk.rules.unlink()
    first = desk.settle()
    write_rested(desk.rules, RULES)
    second = desk.plan()
    assert isinstance(second, Plan)
    assert second.digest != first.digest
