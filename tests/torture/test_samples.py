"""A small sample of every part of the torture, the same in every run; `make torture` plays more, and the rivals too.

A careless agent is caught before pydeliver is tried: a harness that cannot fail proves nothing.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.installation import Installation
from tests.torture import (
    crowds,
    cuts,
    doors,
    faults,
    kills,
    media,
    mutants,
    names,
    random_kills,
    replies,
    server_kills,
    sessions,
    soak,
    writers,
)
from tests.torture.agents import Site
from tests.torture.bench import Bench
from tests.torture.report import CAUGHT, HELD, MEASURED, OURS, UNPROVEN

PARTS = [cuts, kills, faults, random_kills, media]


@pytest.fixture(scope="module")
def bench(installation: Installation, public_folder: Path) -> Bench:
    folder = public_folder / "torture"
    folder.mkdir()
    return Bench(Site(installation, folder), seed=1, agents=("careless", *OURS))


def hold(bench: Bench, part: ModuleType, form: str) -> None:
    bench.formats = (form,)
    rows = list(part.run(bench))
    assert rows
    for row in rows:
        if row.verdict == UNPROVEN and not row.runs and row.unproven:
            pytest.skip(row.unproven)
        assert row.verdict in (CAUGHT, HELD, MEASURED), f"{row.text}\n{row.examples}"


@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.PART)
def test_a_mailbox_survives(bench: Bench, part: ModuleType, form: str) -> None:
    hold(bench, part, form)


@pytest.mark.parametrize("form", ["mixed", "programs"])
@pytest.mark.parametrize("part", [kills, faults, random_kills, media], ids=lambda part: part.PART)
def test_several_mailboxes_survive_together(bench: Bench, part: ModuleType, form: str) -> None:
    hold(bench, part, form)


def test_several_agents_and_a_reader_share_an_mbox(bench: Bench) -> None:
    hold(bench, writers, "mbox")


def test_a_clock_that_stands_still_costs_no_message(bench: Bench) -> None:
    hold(bench, names, "maildir")


def test_every_way_in_leads_to_the_same(bench: Bench) -> None:
    hold(bench, doors, "maildir")


def test_every_mistake_in_rules_has_its_place(bench: Bench) -> None:
    hold(bench, mutants, "maildir")


@pytest.mark.parametrize("part", [replies, server_kills, sessions, crowds, soak], ids=lambda part: part.PART)
def test_a_server_stands_what_clients_do(bench: Bench, part: ModuleType) -> None:
    hold(bench, part, "maildir")
