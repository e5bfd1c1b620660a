"""`python -m tests.torture [PART…] [--full] [--seed N]`: the table on stdout, JSON lines for it on stderr.

Leaves with 1 if pydeliver failed or a careless agent was not caught, with 3 if anything could not be proven here.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from tests.torture.agents import FORMATS
from tests.torture.bench import bench
from tests.torture.report import FAILED, HEADING, MISSED, UNPROVEN

PARTS = (
    "cuts",
    "kills",
    "faults",
    "random_kills",
    "media",
    "writers",
    "names",
    "mutants",
    "doors",
    "replies",
    "server_kills",
    "sessions",
    "crowds",
    "soak",
)


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.torture")
    asked.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    asked.add_argument("--full", action="store_true", help="as often as the goals say; hours")
    asked.add_argument("--seed", type=int, default=0, help="which samples; the same seed takes the same")
    asked.add_argument(
        "--format", action="append", choices=FORMATS, metavar="FORMAT", help=f"{', '.join(FORMATS)}; all without it"
    )
    asked.add_argument("--agent", action="append", help="careless, pydeliver or a rival; all without it")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing stays mounted
    verdicts = set()
    print(HEADING, flush=True)
    with bench(given.full, given.seed) as tried:
        tried.formats = tuple(given.format or tried.formats)
        tried.agents = tuple(given.agent or tried.agents)
        for part in given.parts or PARTS:
            for row in importlib.import_module(f"tests.torture.{part}").run(tried):
                verdicts.add(row.verdict)
                print(row.text, flush=True)
                print(row.json, file=sys.stderr, flush=True)
    if verdicts & {FAILED, MISSED}:
        return 1
    return 3 if UNPROVEN in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
