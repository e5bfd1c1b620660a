"""The power goes out at the instant of success (G1, G2): the disk's image is copied at exit 0, and the copy mounted.

After the 250 of our own server too, at each of its doors (G4). Every message is whole in its box there, in a box that
was there already and in one that the delivery made. The careless agents must lose all: without any sync, and, in a
Maildir, with the file synced and the directory not.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.torture.agents import Place
from tests.torture.bench import JOBS, Bench, missing, settle, unproven
from tests.torture.boxes import Finding, message
from tests.torture.report import DOORS, OURS, Row

PART = "cuts"
SAMPLES = 4
CUTS = {"maildir": 1000, "mbox": 250, "maildir new": 125, "mbox new": 125}  # on each file system: G1, and G2
SERVED = 125  # of each format, by each door: G4
BYTES = (1_000, 5_000, 40_000)


@dataclass(frozen=True)
class Kind:
    """A kind of file system; `again` is how a copy of one is mounted beside it."""

    name: str
    program: str
    megabytes: int
    options: str = "loop"
    again: str = "loop"


KINDS = (
    Kind("ext4", "ext4", 48),
    Kind("ext4 noauto_da_alloc", "ext4", 48, "loop,noauto_da_alloc", "loop,noauto_da_alloc"),
    Kind("xfs", "xfs", 320, "loop", "loop,nouuid"),
    Kind("btrfs", "btrfs", 128),
)


@dataclass(frozen=True)
class Disk:
    kind: Kind
    image: Path
    mount: Path

    def find_after_cut(self, place: Place) -> list[Finding]:
        """What the place's boxes would hold if the power went out now."""
        copy, after = self.image.with_suffix(".copy"), self.mount.with_suffix(".after")
        after.mkdir(exist_ok=True)
        command("cp", "--sparse=always", str(self.image), str(copy))
        command("mount", "-o", self.kind.again, str(copy), str(after))
        try:
            return [type(box)(after / box.path.relative_to(self.mount)).find() for box in place.boxes]
        finally:
            unmount(after)
            copy.unlink()


def command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def unmount(path: Path) -> None:
    """Also where a process that another thread is just starting still has what was open here."""
    command("umount", "--lazy", str(path))


class Unmountable(Exception):
    """This machine mounts no such image."""


@contextmanager
def disk(kind: Kind, folder: Path) -> Generator[Disk]:
    """A file system in an image, which itself is in memory. Raises Unmountable."""
    if why := missing("mount", "mkfs." + kind.program, root=True):
        raise Unmountable(why)
    folder.mkdir()
    made = Disk(kind, folder / "image", folder / "disk")
    with ExitStack() as undo:
        undo.callback(folder.rmdir)
        try:
            command("mount", "-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", str(folder))
            undo.callback(unmount, folder)
            made.mount.mkdir()
            with open(made.image, "wb") as image:
                image.truncate(kind.megabytes << 20)
            command(f"mkfs.{kind.program}", "-q", "-F" if kind.program == "ext4" else "-f", str(made.image))
            command("mount", "-o", kind.options, str(made.image), str(made.mount))
            undo.callback(unmount, made.mount)
        except subprocess.CalledProcessError as error:
            raise Unmountable(f"no {kind.name} image can be mounted here: {error.stderr.decode().strip()}") from error
        yield made


def run(bench: Bench) -> Iterator[Row]:
    with ThreadPoolExecutor(JOBS) as pool:
        for rows in pool.map(partial(on_kind, bench), KINDS):
            yield from rows


def on_kind(bench: Bench, kind: Kind) -> list[Row]:
    try:
        with disk(kind, bench.site.folder / kind.name.replace(" ", "-")) as made:
            return list(on_disk(bench, made))
    except Unmountable as why:
        return [unproven(PART, kind.name, "pydeliver", str(why))]


def on_disk(bench: Bench, made: Disk) -> Iterator[Row]:
    for agent, form in bench.cases(served=True):
        if form in ("mixed", "programs"):
            continue
        if agent == "careless":
            yield cut(bench, made, agent, form)
            if form == "maildir":
                yield cut(bench, made, agent, form, sync="file")
            continue
        yield cut(bench, made, agent, form)
        if agent not in DOORS:
            yield cut(bench, made, agent, form, new=True)


def cut(bench: Bench, made: Disk, agent: str, form: str, sync: str = "none", new: bool = False) -> Row:
    how = f"{form} new" if new else form
    row = Row(
        PART,
        f"{made.kind.name.replace('noauto_da_alloc', 'noauto')} {how}",
        agent if sync == "none" else f"careless/{sync}",
    )
    with closing(bench.site.place(agent, form, sync, made.mount)) as place:
        settle(place)
        for number in range(bench.size(agent, SAMPLES, SERVED if agent in DOORS else CUTS[how])):
            if new:
                place.empty()
                command("sync", "-f", str(made.mount))
            elif number % 100 == 0:
                place.reset()
                command("sync", "-f", str(made.mount))
            token = f"n{number}"
            done = place.deliver(message(token, BYTES[number % len(BYTES)]))
            if done.code != 0:
                row.tell(f"exit {done.code}")
                continue
            found = made.find_after_cut(place)
            copies = [one.tokens[token] for one in found]
            problems = ["lost"] * (0 in copies) + ["torn"] * any(one.fragments for one in found)
            row.add(problems, f"cut {number}: {copies} copies")
    if agent in OURS and row.told:
        row.add(["not delivered"], f"{row.told}")
    shutil.rmtree(place.home.path)
    return harmless(row) if row.agent.startswith("careless") else row


def harmless(row: Row) -> Row:
    """A careless agent that lost less than everything means that the method sees less than a power cut would do."""
    if row.bad["lost"] < row.runs:
        row.bad.clear()
    return row
