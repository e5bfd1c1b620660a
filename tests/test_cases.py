"""The rule files of `tests/cases/`: every test in them passes, and fails once what it expects is turned around."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site
from pydeliver.status import Status
from pydeliver.workbench.testing import Result, run
from tests.rules import NOW

FILES = sorted((Path(__file__).parent / "cases").glob("*.rules"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home("bob", os.getuid(), str(tmp_path_factory.mktemp("home")))


def results(home: Home, path: Path, turned: bool = False) -> Iterator[Result]:
    made = compile_plan(home, Site(str(path), "/nonexistent", True))
    assert made.plan is not None, made.diagnostics
    assert not isinstance(made.store, Status)
    cases = [
        replace(case, expectations=tuple([replace(one, no=not one.no) for one in case.expectations]))
        if turned
        else case
        for case in made.cases
    ]
    assert cases
    return run(cases, made.plan, made.store, home, NOW)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_tests_of_a_rule_file_pass(home: Home, path: Path) -> None:
    assert [(one.case.name, one.failures, one.problems) for one in results(home, path) if not one.passed] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_they_expect_could_be_otherwise(home: Home, path: Path) -> None:
    for one in results(home, path, turned=True):
        assert one.failures, one.case.name
