"""What goes over the wire to a real server: where messages end, and what comes of clients who say anything at all."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lmtp import Client, Served
from tests.receiver import endings
from tests.virtual import Site

CLIENTS = 8  # at once


@pytest.mark.parametrize("way", endings.WAYS)
def test_nothing_but_the_end_ends_a_message(site: Site, way: str) -> None:
    """838 variants, in one segment, byte by byte, and cut at every place: one message each, in one form (G20)."""
    tried = [(one, pieces) for one in endings.NOT_THE_END for pieces in endings.segments(one, way)]
    with site.served() as running:
        with ThreadPoolExecutor(CLIENTS) as pool:
            wrong = [one for one in pool.map(lambda each: _smuggles(running, *each), tried) if one]
        assert wrong == []
    stored = Counter(one.partition(b"+0000\n")[2] for one in site.messages("robin@example.net"))
    assert stored == Counter(endings.stored(one) for one, _ in tried)


def _smuggles(running: Served, looks_like: bytes, pieces: list[bytes]) -> bytes:
    with Client(running.path) as client:
        client.greet().begin(["robin@example.net"])
        assert client.say("DATA").startswith("354 ")
        for piece in pieces:
            client.socket.sendall(piece)
        heard = list(itertools.takewhile(bool, iter(client.hear, None)))
    good = heard[0] == "250 2.0.0 delivered" and not any([one.startswith("354") for one in heard])
    return b"" if good else looks_like
