"""Files that rules are made of: found, trusted and noted as deliveries have them, with real files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, load_plan
from pydeliver.plan import Plan
from tests.agent.test_agent import notices, send, site_of, stored, write_rules


@pytest.fixture
def user(tmp_path: Path) -> Home:
    """A home whose name looks like a pattern."""
    home = tmp_path / "[a]*"
    home.mkdir(mode=0o700)
    (home / "Maildir").mkdir(mode=0o700)
    (home / ".config/pydeliver/d").mkdir(parents=True, mode=0o700)
    return Home("tester", os.getuid(), str(home))


def files(user: Home) -> list[str]:
    """The rule files that the plan is made of, below the directory of the first."""
    made = compile_plan(user, site_of(user))
    assert made.plan is not None, made.user
    return [os.path.relpath(path, os.path.dirname(user.rules)) for path in made.plan.files[1:]]


def test_an_include_is_relative_or_below_home_or_absolute(user: Home) -> None:
    (Path(user.path) / "other").mkdir(mode=0o700)
    for name in ("more.rules", "../../other/home.rules", "../../../whole.rules"):
        write_rules(user, "", name)
    write_rules(user, 'include "../more.rules"\n', "d/inner.rules")
    whole = os.path.dirname(user.path)
    write_rules(user, f'include "d/inner.rules"; include "~/other/home.rules"\ninclude "{whole}/whole.rules"\n')
    assert files(user) == ["d/inner.rules", "more.rules", "../../other/home.rules", "../../../whole.rules"]


def test_a_glob_names_files_in_the_order_of_their_bytes_and_not_what_editors_leave(user: Home) -> None:
    for name in ("b", "a", "Z", "10", "é", ".hidden"):
        write_rules(user, "", f"d/{name}.rules")
    for name in ("a.rules~", "#a.rules#", ".a.rules.swp"):
        write_rules(user, "if if", f"d/{name}")
    (Path(user.rules).parent / "d" / "directory.rules").mkdir()
    write_rules(user, 'include "d/*"\n')
    expected = ["d/10.rules", "d/Z.rules", "d/a.rules", "d/b.rules", "d/é.rules"]
    assert files(user) == expected
    write_rules(user, 'include "~/.config/pydeliver/d/*.rules"\n')
    assert files(user) == expected
    write_rules(user, 'include "d/[ab].rules"; include "d/?.rules"\n')
    assert files(user) == ["d/a.rules", "d/b.rules", "d/Z.rules", "d/é.rules"]


@pytest.mark.parametrize("change", ["one more", "one less", "another name"])
def test_a_cached_plan_is_left_when_a_glob_finds_other_files(user: Home, change: str) -> None:
    first = write_rules(user, 'file "One"\n', "d/1.rules")
    write_rules(user, 'include "d/*.rules"\nfile "None"\n')
    plan = load_plan(user, site_of(user))
    assert isinstance(plan, Plan)
    assert load_plan(user, site_of(user)) == plan
    if change == "one more":
        write_rules(user, 'file "Zero"\n', "d/0.rules")
    elif change == "one less":
        first.unlink()
    else:
        first.rename(first.with_name("2.rules"))
    again = load_plan(user, site_of(user))
    assert isinstance(again, Plan)
    assert again.files != plan.files


@pytest.mark.parametrize("optional", ["", "optional "])
def test_an_included_file_is_trusted_as_the_first_is(user: Home, optional: str) -> None:
    path = write_rules(user, 'file "More"\n', "more.rules")
    write_rules(user, f'include {optional}"more.rules"\n')
    assert send(user).ok
    path.chmod(0o666)
    made = compile_plan(user, site_of(user))
    assert made.plan is None
    assert [(one.kind, one.path) for one in made.distrusted] == [("world-writable", str(path))]
    assert [(one.line, one.column) for one in made.diagnostics] == [(1, 9 + len(optional))]
    assert send(user).exit_code == 75, "nobody knows who wrote it, so no older rules stand in"
    subprocess.run(["/bin/sh", "-c", made.distrusted[0].repair], check=True)
    assert send(user).ok
    assert len(stored(user, ".More")) == 2


def test_an_included_file_of_another_user_is_not_used(user: Home) -> None:
    if os.getuid():
        pytest.skip("needs root, to give a file to another")
    path = write_rules(user, 'file "More"\n', "more.rules")
    write_rules(user, 'include "more.rules"\n')
    os.chown(path, 54321, 54321)
    made = compile_plan(user, site_of(user))
    assert [(one.kind, one.repair.split()[0]) for one in made.distrusted] == [("owner", "chown")]
    assert send(user).exit_code == 75


def test_an_included_file_that_went_away_is_a_mistake_and_comes_back(user: Home) -> None:
    path = write_rules(user, 'file "More"\n', "more.rules")
    write_rules(user, 'include "more.rules"\n')
    assert send(user).ok
    path.unlink()
    for _ in range(2):
        assert send(user).ok
    assert len(stored(user, ".More")) == 3, "the last good rules go on"
    (notice,) = notices(user)
    assert b"there is no file" in notice
    write_rules(user, 'file "Again"\n', "more.rules")
    assert send(user).ok
    assert len(stored(user, ".Again")) == 1


def test_an_optional_file_counts_from_when_it_is_there(user: Home) -> None:
    write_rules(user, 'include optional "~/private.rules"\nfile "Mine"\n')
    assert send(user).ok
    write_rules(user, 'file "Private"\n', "../../private.rules")
    assert send(user).ok
    (Path(user.path) / "private.rules").unlink()
    assert send(user).ok
    assert [len(stored(user, folder)) for folder in (".Mine", ".Private")] == [2, 1]


def test_files_that_include_each_other_run_once(user: Home) -> None:
    write_rules(user, 'include "b.rules"\nlog "a"\n', "a.rules")
    write_rules(user, 'include "a.rules"\ninclude "main.rules"\nfile "B"\n', "b.rules")
    write_rules(user, 'include "a.rules"\n')
    assert files(user) == ["a.rules", "b.rules"]
    assert send(user).ok
    assert len(stored(user, ".B")) == 1


def test_a_directory_is_no_file_and_what_is_meant_is_said(user: Home) -> None:
    write_rules(user, "keep\n")
    assert send(user).ok
    write_rules(user, 'include "d"\n')
    made = compile_plan(user, site_of(user))
    assert (made.plan, made.distrusted) == (None, ())
    assert [(one.name, one.line, one.column) for one in made.diagnostics] == [("bad-include", 1, 9)]
    assert made.diagnostics[0].message.endswith('/d is a directory: write "d/*.rules"')
    assert send(user).ok, "a mistake like another: the last good rules go on"


def test_the_last_good_rules_of_a_glob_are_those_of_its_own_directory(user: Home) -> None:
    (Path(user.rules).parent / "d" / "inner").mkdir(mode=0o700)
    write_rules(user, 'log "1"\n', "d/1.rules")
    write_rules(user, 'if subject exists { file "Inner" }\n', "d/inner/0.rules")
    write_rules(user, 'include "d/*.rules"\nfile "Main"\ninclude "d/inner/0.rules"\n')
    assert send(user).ok
    write_rules(user, "if if\n", "d/1.rules")
    assert send(user).ok
    assert [len(stored(user, folder)) for folder in (".Main", ".Inner")] == [2, 0]


def test_a_link_of_ones_own_is_followed_and_the_way_to_it_judged(user: Home) -> None:
    (Path(user.path) / "dotfiles").mkdir(mode=0o700)
    write_rules(user, 'file "More"\n', "../../dotfiles/more.rules")
    (Path(user.rules).parent / "more.rules").symlink_to("../../dotfiles/more.rules")
    write_rules(user, 'include "more.rules"\n')
    assert send(user).ok
    (Path(user.path) / "dotfiles").chmod(0o777)
    made = compile_plan(user, site_of(user))
    assert [one.kind for one in made.distrusted] == ["parent-world-writable"]
