"""What every part is given: the installation under torture, how much to do, and chance that can be repeated."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.installation import AS_ROOT, install, public_folder
from tests.torture.agents import FORMATS, RIVALS, Place, Site, formats
from tests.torture.report import DOORS, OURS, Row

Point = TypeVar("Point")
JOBS = os.cpu_count() or 1
PATIENCE_WITH_RIVALS = 5  # seconds


@dataclass
class Bench:
    """`agents` are tried in `formats`, by samples; pydeliver, if `full`, as often as the goals say."""

    site: Site
    full: bool = False
    seed: int = 0
    agents: tuple[str, ...] = ("careless", *OURS, *RIVALS)
    formats: tuple[str, ...] = FORMATS

    def cases(self, served: bool = False) -> Iterator[tuple[str, str]]:
        """Agent by agent and format by format, the careless first: a harness that can't fail proves nothing.

        Through the doors of our own server too, if `served`.
        """
        for agent in self.agents:
            if agent in ("careless", "pydeliver") or (agent in DOORS and served) or agent in self.site.programs:
                for form in formats(agent, self.formats):
                    yield agent, form

    def goes_all_the_way(self, agent: str) -> bool:
        return self.full and agent in OURS

    def size(self, agent: str, sample: int, full: int) -> int:
        return full if self.goes_all_the_way(agent) else sample

    def sample(self, agent: str, points: Sequence[Point], count: int, *salt: str) -> list[Point]:
        """All points for who goes all the way, else some, spread over all: the same for the same seed."""
        if self.goes_all_the_way(agent) or len(points) <= count:
            return list(points)
        chance = self.chance(agent, *salt)
        step = len(points) / count
        return [points[int(step * (number + chance.random()))] for number in range(count)]

    def chance(self, *salt: str) -> random.Random:
        return random.Random(f"{self.seed} {salt}")

    def on_all_cores(
        self, agent: str, form: str, points: Iterable[Point], try_one: Callable[[Place, Point], None]
    ) -> None:
        """Try every point, on each core in a home of its own, where one delivery has been made before."""
        queue = iter(points)
        turn = threading.Lock()

        def work() -> None:
            place = self.site.place(agent, form)
            if agent != "pydeliver":
                place.patience = PATIENCE_WITH_RIVALS
            settle(place)
            while True:
                with turn:
                    point = next(queue, None)
                if point is None:
                    return
                try_one(place, point)

        with ThreadPoolExecutor(JOBS) as pool:
            for done in [pool.submit(work) for _ in range(JOBS)]:
                done.result()


def settle(place: Place) -> None:
    """Deliver once, so that rules are compiled; what pydeliver's first home learnt of the grammar is lent to all."""
    learnt = place.home.path / ".cache/pydeliver/grammar.tables"
    lent = place.site.folder / "grammar.tables"
    if lent.exists():
        place.home.file(".cache/pydeliver/grammar.tables", lent.read_bytes())
    place.deliver(b"Subject: first\n\n")
    if learnt.exists() and not lent.exists():
        copy = lent.with_suffix(f".{threading.get_native_id()}")
        shutil.copyfile(learnt, copy)
        os.replace(copy, lent)
    place.reset()


@contextmanager
def bench(full: bool = False, seed: int = 0) -> Generator[Bench]:
    """An installation of the checkout in a folder of its own, gone afterwards."""
    with public_folder() as folder:
        yield Bench(Site(install(folder / "site"), folder), full, seed)


def traced(bench: Bench, part: str, sweep: Callable[[Bench, str, str], Row]) -> Iterator[Row]:
    """A row for each case of a part that needs strace."""
    for agent, form in bench.cases():
        why = missing("strace")
        yield unproven(part, form, agent, why) if why else sweep(bench, agent, form)


def unproven(part: str, case: str, agent: str, why: str) -> Row:
    return Row(part, case, agent, unproven=why)


def missing(*programs: str, root: bool = False) -> str:
    """Why a part can't be played on this machine; empty where it can."""
    if root and not AS_ROOT:
        return "needs root"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [name for name in programs if not any(Path(where, name).exists() for where in path.split(":"))]
    return f"{', '.join(absent)} not installed" if absent else ""
