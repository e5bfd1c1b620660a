"""Media that take no more (G8): a full file system, one without inodes, a limit on the size of files.

The answer is "try again", every box is as it was, with no file in `tmp/` and no lock; and once there is room, yes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress

from tests.torture.agents import Place
from tests.torture.bench import Bench, missing, settle, unproven
from tests.torture.boxes import message
from tests.torture.report import Row

PART = "media"
BYTES = 131_072
LIMIT = 65_536
MOUNTS = {"full": "size=96k", "no inode": "nr_inodes=64", "limit": ""}
ROOM = {"full": "size=1m", "no inode": "nr_inodes=1000", "limit": ""}
NEW = "new"


def run(bench: Bench) -> Iterator[Row]:
    why = missing("mount", "prlimit", root=True)
    for agent, form in bench.cases(served=True):
        yield unproven(PART, form, agent, why) if why else fill(bench, agent, form)


def fill(bench: Bench, agent: str, form: str) -> Row:
    row = Row(PART, form, agent)
    for medium in MOUNTS:
        with closing(bench.site.place(agent, form)) as place:
            settle(place)
            if not MOUNTS[medium]:
                row.add(judge(place, medium, row), medium)
            elif mount(place, MOUNTS[medium]):
                try:
                    place.reset()
                    row.add(judge(place, medium, row), medium)
                finally:
                    subprocess.run(["umount", str(place.mail)], check=True)
            else:
                return unproven(PART, form, agent, "no file system can be mounted here")
    return row


def mount(place: Place, options: str) -> bool:
    owner = f"mode=700,uid={place.home.uid},gid={place.home.gid}"
    words = ["mount", "-t", "tmpfs", "-o", f"{owner},{options}", "tmpfs", str(place.mail)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def judge(place: Place, medium: str, row: Row) -> list[str]:
    """What is wrong with a delivery onto this medium, and with the next one after room was made."""
    if medium == "no inode":
        use_up_inodes(place)
    sent = message(NEW, BYTES)
    done = place.deliver(sent, before=["prlimit", f"--fsize={LIMIT}"] if medium == "limit" else [])
    row.tell(f"exit {done.code}")
    problems = [] if done.code == 75 else ["hung" if done.code is None else "delivered" if not done.code else "bounced"]
    if not place.untouched():
        problems.append("changed")
    if ROOM[medium]:
        subprocess.run(["mount", "-o", f"remount,{ROOM[medium]}", str(place.mail)], check=True)
    retry = place.deliver(sent)
    copies = place.copies(NEW)
    if retry.code != 0 or copies != [1] * len(copies) or not place.intact():
        problems.append("not mended")
    return problems


def use_up_inodes(place: Place) -> None:
    with suppress(OSError):
        for number in range(10_000):
            (place.mail / f"inode{number}").touch()
