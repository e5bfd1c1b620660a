"""The table of rooms (DESIGN.md) is kept by import-linter, and every contract can turn red.

Works in a copy of the tree: plants the imports that the table forbids, and expects each one to be named.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
WORLD: Final = {"os", "posix", "time", "datetime", "random", "socket", "subprocess", "logging", "lark"}
# A room no contract has heard of: what is added later is refused until it is let in.
STRANGER: Final = "stranger"

# room: (the rooms it may import, what else it must never import)
TABLE: Final[dict[str, tuple[set[str], set[str]]]] = {
    "status": (set(), set()),
    "system": ({"status"}, set()),
    "settings": ({"status", "system"}, set()),
    "mail": ({"status"}, {"os", "posix", "time", "datetime"}),
    "vocabulary": ({"status", "mail"}, WORLD),
    "plan": ({"status", "system"}, set()),
    "verdict": ({"status", "mail", "vocabulary", "plan"}, WORLD),
    "language": ({"status", "vocabulary", "plan"}, set()),
    "mailbox": ({"status", "system"}, {"asyncio", "click"}),
    "memory": ({"status", "system", "settings"}, set()),
    "transport": ({"status", "system", "settings", "mail", "verdict", "mailbox", "memory"}, {"click"}),
    "agent": (
        {"status", "system", "settings", "mail", "vocabulary", "plan", "verdict", "language", "mailbox", "memory"}
        | {"scanner", "transport"},
        set(),
    ),
    "workbench": (
        {"agent", "language", "memory", "mailbox", "settings", "mail", "plan", "verdict", "status"},
        {"click"},
    ),
    "receiver": ({"agent", "settings", "memory", "system", "mail", "status"}, {"click", "lark"}),
}
# contract: (the module where an import is planted, what is planted there)
SINGLE: Final = {
    "cli": ("cli", {"lark", "aiosmtpd"}),
    "door": ("cli.door", {"click"}),
    "nobody-imports-cli": ("agent", {"pydeliver.cli"}),
    "lark": ("workbench", {"lark"}),
    "click": ("agent", {"click"}),
    "subprocess": ("transport", {"subprocess"}),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the tree, in which a violation may be planted."""
    shutil.copytree(ROOT / "pydeliver", tmp_path / "pydeliver", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def rooms(house: Path) -> set[str]:
    found = {path.stem for path in (house / "pydeliver").iterdir() if (path / "__init__.py").is_file()}
    return found | {path.stem for path in (house / "pydeliver").glob("[!_]*.py")}


def plant(house: Path, module: str, imports: set[str]) -> None:
    """Append the imports to a module, or to a new one in the package of that name."""
    place = house / "pydeliver" / module.replace(".", "/")
    target = place / "planted.py" if place.is_dir() else place.with_suffix(".py")
    with target.open("a") as file:
        file.writelines(f"import {name}\n" for name in sorted(imports))


def lint(house: Path, *options: str) -> tuple[bool, str]:
    """Run import-linter as `make check` does: whether all contracts are kept, and what it said."""
    command = [Path(sysconfig.get_path("scripts"), "lint-imports"), "--no-cache", "--no-logo", *options]
    done = subprocess.run([sys.executable, *command], cwd=house, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def named(said: str) -> set[str]:
    return set(re.findall(r"is not allowed to import (\S+):", said))


def test_the_house_as_it_stands_keeps_every_contract(house: Path) -> None:
    kept, said = lint(house)
    assert kept, said


def test_what_the_table_allows_is_allowed(house: Path) -> None:
    standing = rooms(house)
    for room, (allowed, _never) in TABLE.items():
        plant(house, room, {f"pydeliver.{other}" for other in allowed & standing})
    kept, said = lint(house)
    assert kept, said


@pytest.mark.parametrize("room", TABLE)
def test_a_room_is_refused_every_import_that_the_table_does_not_allow(house: Path, room: str) -> None:
    (house / "pydeliver" / STRANGER).mkdir()
    (house / "pydeliver" / STRANGER / "__init__.py").touch()
    allowed, never = TABLE[room]
    planted = {f"pydeliver.{other}" for other in rooms(house) - allowed - {room}} | never
    plant(house, room, planted)
    kept, said = lint(house, "--contract", room)
    assert not kept
    assert named(said) >= planted, said


@pytest.mark.parametrize("contract", SINGLE)
def test_what_one_module_alone_may_import_is_refused_to_the_others(house: Path, contract: str) -> None:
    module, planted = SINGLE[contract]
    plant(house, module, planted)
    kept, said = lint(house, "--contract", contract)
    assert not kept
    assert named(said) >= planted, said


def test_the_inside_of_a_mailbox_is_refused_to_the_commands(house: Path) -> None:
    inside = next(path.stem for path in (house / "pydeliver" / "mailbox").glob("[!_]*.py"))
    plant(house, "cli", {f"pydeliver.mailbox.{inside}"})
    kept, said = lint(house, "--contract", "cli")
    assert not kept
    assert f"pydeliver.mailbox.{inside}" in named(said), said


def test_every_contract_is_planted_against() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["id"] for contract in contracts} == TABLE.keys() | SINGLE.keys()
