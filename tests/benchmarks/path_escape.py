"""10,000 hostile values through rules that file by them, in every layout (G30): what lands outside, what fails.

Run from the top of the checkout: `python -m tests.benchmarks.path_escape`. TMPDIR says on which file system.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.realfs.test_path_escape import attack, is_harmless

MESSAGES: Final = 10_000
SHOWN: Final = 5


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        area = Path(place) / "area"
        (area / "cwd").mkdir(parents=True)
        here = os.getcwd()
        os.chdir(area / "cwd")  # a relative name would land there
        try:
            report = attack(area, MESSAGES)
        finally:
            os.chdir(here)
    harmful = sorted(name for _, name in report.folders if not is_harmless(name))
    bad = {
        "made or changed outside of the mailbox roots": report.strayed,
        "exceptions and deliveries that failed": report.failed,
        "messages in neither the cleaned name nor, with a note, the default mailbox": report.misfiled,
        "names that mean or look like another place": harmful,
    }
    print(f"{report.messages:,} messages in {report.seconds:.0f} s")
    made = Counter(layout for layout, _ in report.folders)
    print(f"{len(report.folders):,} folders: {', '.join(f'{count:,} {layout}' for layout, count in made.items())}")
    print(f"{report.notes.total():,} values to the default mailbox, with a note:")
    for why, count in report.notes.most_common(10):
        print(f"  {count:6,} {why}")
    for title, found in bad.items():
        print(f"{len(found):,} {title}")
        for one in found[:SHOWN]:
            print(f"  {one!r}")
    return int(any(bad.values()))


if __name__ == "__main__":
    sys.exit(main())
