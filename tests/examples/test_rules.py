"""The rule files of `examples/rules/`: without a doubt, in the canonical form, tested; and every word is in one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pydeliver.agent.build import Compiled, compile_plan, list_problems, place_problem
from pydeliver.agent.rules import Home, Site
from pydeliver.cli.manual import formatted
from pydeliver.vocabulary import catalogue
from pydeliver.vocabulary.word import ADDRESS, MOMENT, Field
from pydeliver.workbench.testing import Result, run

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted((EXAMPLES / "rules").glob("*.rules"))
SETTINGS = EXAMPLES / "settings.toml"
COLUMNS = 100  # as in the manual
# Words that no example uses, and why not.
UNUSED = {
    "hour": "`now in 09:00..17:00` says it better",
}
# A Wednesday at noon, a Sunday at night before the new year; tests that need another time give it.
TIMES = (1_715_776_496.0, 1_798_414_200.0)
WORDS = catalogue()

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home("robin", os.getuid(), str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def made(home: Home) -> dict[Path, Compiled]:
    """What became of each file."""
    return {path: compile_plan(home, Site(str(path), str(SETTINGS), True)) for path in FILES}


def results(home: Home, one: Compiled, now: float, turned: bool = False) -> Iterator[Result]:
    """The results of a file's tests; `turned` expects the contrary of all that they expect."""
    assert one.plan is not None
    cases = [
        replace(case, expectations=tuple([replace(each, no=not each.no) for each in case.expectations]))
        if turned
        else case
        for case in one.cases
    ]
    return run(cases, one.plan, one.store, home, now)


def failed(found: Iterator[Result]) -> list[object]:
    return [(one.case.name, one.failures, one.problems) for one in found if not one.passed]


@each_file
def test_check_has_nothing_to_say(home: Home, made: dict[Path, Compiled], path: Path) -> None:
    one = made[path]
    assert one.diagnostics == ()
    assert not one.user.some
    assert not one.site.some
    assert one.plan is not None
    assert list_problems(one.plan, home) == ()
    assert place_problem(one.store) == ""


@each_file
def test_it_is_as_fmt_prints_it_and_fits_a_terminal(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text.encode(), path.name) == (text, ())
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []


@each_file
def test_it_begins_by_saying_what_it_is_for(path: Path) -> None:
    assert re.match(r"# For \S.*\n(# .+\n){1,3}[^#]", path.read_text(encoding="utf-8"))


@each_file
def test_it_has_three_tests_and_says_what_must_not_happen(made: dict[Path, Compiled], path: Path) -> None:
    cases = [case for case in made[path].cases if case.file == str(path)]
    assert len(cases) >= 3
    assert any(one.no for case in cases for one in case.expectations)


@pytest.mark.parametrize("now", TIMES)
@each_file
def test_its_tests_pass_whenever_they_run(home: Home, made: dict[Path, Compiled], path: Path, now: float) -> None:
    assert failed(results(home, made[path], now)) == []


@each_file
def test_what_its_tests_expect_could_be_otherwise(home: Home, made: dict[Path, Compiled], path: Path) -> None:
    for one in results(home, made[path], TIMES[0], turned=True):
        assert one.failures, one.case.name


SITE_AND_USER = """
if from is "boss@example.com" { file "Work" }

test "what the site refuses never comes to the user's rules" {
    message { from "boss@example.com" }
    given size = 200 MB
    expect reject
}

test "the user's rules come before those that are behind them" {
    message { from "boss@example.com"; header "X-Spam-Flag" = "YES" }
    expect file "Work"
    expect header "X-University" = "from outside"
}

test "what the user's rules leave goes on" {
    message { from "win@pills.example"; header "X-Spam-Flag" = "YES" }
    expect file "Junk"
}
"""


def test_the_rules_of_the_university_run_around_those_of_a_user(home: Home, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    settings = tmp_path / "settings.toml"
    sides = [f'rules.{side} = "{EXAMPLES}/rules/university-{side}.rules"\n' for side in ("before", "after")]
    settings.write_text(SETTINGS.read_text() + "".join(sides))
    users = tmp_path / "main.rules"
    users.write_text(SITE_AND_USER)
    one = compile_plan(home, Site(str(users), str(settings), True))
    assert one.diagnostics == ()
    assert len(one.cases) == 3
    assert failed(results(home, one, TIMES[0])) == []


# -- the words ----------------------------------------------------------------------------------------------------


def named(node: Any) -> set[str]:
    """The words that a piece of a plan names, each behind its family."""
    if not isinstance(node, tuple):
        return set()
    pairs = [(family, name) for family, name in pairwise(node) if isinstance(name, str)]
    found = {name for family, name in pairs if name in WORDS and WORDS[name][0] == family}
    return found.union(*map(named, node))


@pytest.fixture(scope="module")
def used(made: dict[Path, Compiled]) -> set[str]:
    """Every word that an example uses; a part of a field stands for the field, and for itself by its last name."""
    found = {f"set {name}" for path in FILES for name in re.findall(r"^set (\S+) =", path.read_text(), re.MULTILINE)}
    for one in made.values():
        assert one.plan is not None
        found |= named(one.plan.statements)
    parts = [name.rpartition(".") for name in found if "." in name]
    return found | {stem for stem, _, _ in parts} | {part for _, _, part in parts}


def wanted(name: str) -> str:
    """What of a word must be seen: of the many parts of addresses and moments each once, on whatever field."""
    stem, _, part = name.rpartition(".")
    whole = WORDS[stem][1] if stem in WORDS else None
    return part if isinstance(whole, Field) and whole.kind in (ADDRESS, MOMENT) else name


@pytest.mark.parametrize("word", sorted({wanted(name) for name in WORDS}))
def test_every_word_stands_in_an_example(word: str, used: set[str]) -> None:
    assert (word in used) != (word in UNUSED)
