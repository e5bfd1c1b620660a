"""The time and memory that large messages take (G18), beside a shell's `cat` and `sync` to the same disk.

Run from the top of the checkout: `python -m tests.benchmarks.large_messages`. It needs 4 GB of disk.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.installation import Home, Installation, install, public_folder
from tests.realfs.test_large_message import LIMIT_KB, LINE, measure, write_large

MEGABYTES: Final = (10, 100, 1000)
BODIES: Final = {"in lines": LINE, "in one line": b"x"}
RULES: Final = {"Maildir": "", "mbox": 'file "mbox:~/Mail/box"\n'}
GOAL: Final = 2.0  # seconds over cat, for 100 MB
ROUNDS: Final = 3  # the best of them counts; the turns alternate


def timed(run: Callable[[], tuple[int, int]]) -> tuple[float, int]:
    """Seconds and the peak memory in KB."""
    begun = time.perf_counter()
    code, peak = run()
    if code:
        raise SystemExit(f"exit {code}")
    return time.perf_counter() - begun, peak


def compare(installation: Installation, home: Home, message: Path, name: str) -> str:
    def cat() -> tuple[int, int]:
        return measure(installation, home, message, "/bin/sh", "-c", f"cat > {home.path}/copy && sync {home.path}/copy")

    def deliver() -> tuple[int, int]:
        return measure(installation, home, message, installation.launcher)

    cats, deliveries = [], []
    for _ in range(ROUNDS):
        cats.append(timed(cat)[0])
        deliveries.append(timed(deliver))
        shutil.rmtree(home.path / "Maildir", ignore_errors=True)
        (home.path / "Mail/box").unlink(missing_ok=True)
    seconds, plain = min(deliveries)[0], min(cats)
    peak = max(memory for _, memory in deliveries)
    return f"{name:28} {seconds:7.2f} s  cat {plain:6.2f} s  over it {seconds - plain:6.2f} s  {peak / 1024:5.1f} MB"


def main() -> None:
    with public_folder() as folder:
        installation = install(folder / "site")
        for megabytes in MEGABYTES:
            for body, line in BODIES.items():
                message = folder / "large.eml"
                write_large(message, line, megabytes)
                for form, rules in RULES.items():
                    home = Home.make(folder / "home")
                    home.folder("Mail")
                    home.rules(rules)
                    home.deliver(installation, b"Subject: first\n\n")  # compiles the rules
                    print(compare(installation, home, message, f"{megabytes} MB {body}, {form}"), flush=True)
                    shutil.rmtree(home.path)
    print(f"  goal: 100 MB at most {GOAL:.0f} s over cat, memory at most {LIMIT_KB / 1024:.0f} MB")


if __name__ == "__main__":
    main()
