"""A delivery whose pattern takes half a minute for a message ends when its time is up, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from tests.installation import Home, install

RULES = "if body matches /(\\pL|\\pN|[^q]){1000}q/ { discard }\n"


def test_a_search_that_takes_too_long_defers_the_message(public_folder: Path, home: Home) -> None:
    site = install(public_folder / "limited", "time-limit = 1\n")
    home.rules(RULES)
    assert home.deliver(site, b"Subject: short\n\nx\n").returncode == 0
    body = "".join(Random(20261123).choices("ab", k=1_000_000)).encode()
    done = home.deliver(site, b"Subject: long\n\n" + body)
    assert done.returncode == 75
    assert done.stderr.startswith(b"4.3.0 the delivery took too long: a pattern")
    assert len(home.messages()) == 1
    assert home.unfinished() == []
    log = (home.path / ".local/state/pydeliver/deliveries.log").read_text().splitlines()
    assert json.loads(log[-1])["status"] == done.stderr.decode().rstrip("\n")
