"""How much a server with all that it has started takes up: memory, descriptors, and processes that nobody waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MORE_KB, MORE_FILES = 10_240, 2  # that it may take up more in the end than when it was warm


@dataclass(frozen=True)
class Scale:
    """`kb` is resident in the server itself, `files` it has open beside those for its workers."""

    kb: int
    files: int
    zombies: int


@dataclass
class Weight:
    """The scales of a server at several times, and the largest of its workers, which come and go."""

    pid: int
    scales: list[Scale] = field(default_factory=list)
    largest_worker_kb: int = 0

    def weigh(self) -> Scale:
        zygote = children(self.pid)
        workers = [child for one in zygote for child in children(one)]
        self.largest_worker_kb = max([self.largest_worker_kb, *[resident_kb(one) for one in workers]])
        files = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        zombies = sum(state(one) == "Z" for one in (*zygote, *workers))
        scale = Scale(resident_kb(self.pid), files - len(workers), zombies)
        self.scales.append(scale)
        return scale

    def told(self) -> dict[str, float]:
        last = self.scales[-1]
        return {"kB": last.kb, "files": last.files, "largest worker kB": self.largest_worker_kb}


def grown(weight: Weight) -> dict[str, int]:
    """What is wrong with the last scale, beside the first."""
    first, last = weight.scales[0], weight.scales[-1]
    more = {
        "memory grows": last.kb - first.kb > MORE_KB,
        "descriptors grow": last.files - first.files > MORE_FILES,
        "zombies": last.zombies > 0,
    }
    return {name: 1 for name, wrong in more.items() if wrong}


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def resident_kb(pid: int) -> int:
    """Memory of a process, with what it shares; 0 for one that is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
