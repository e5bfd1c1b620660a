"""Two servers of ours that forward to each other, or answer each other: it ends (G39)."""

from __future__ import annotations

import os
import pwd
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, Installation
from tests.lmtp import until
from tests.smtp import Public
from tests.virtual import Site

HEAD = b"From: Jo <jo@example.org>\r\nTo: robin@here.example\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n"
MESSAGE = HEAD + b"\r\nbody\r\n"
HERE, THERE = "here.example", "there.example"


class Pair:
    """Two servers, of which each takes what the rules of the other send; `robin` lives at both."""

    def __init__(self, installation: Installation, folder: Path, owner: str) -> None:
        self.servers = {}
        for domain in (HERE, THERE):
            place = Path(tempfile.mkdtemp(prefix="loop-", dir=folder))
            place.chmod(0o755)
            made = self.servers[domain] = Public(Site(installation, place, owner), [domain])
            made.site.users.write_text(f"robin@{domain}\npostmaster@{domain} = robin@{domain}\n")

    def start(self, stack: ExitStack) -> None:
        others = [self.servers[THERE], self.servers[HERE]]
        for server, other in zip(self.servers.values(), others, strict=True):
            stack.enter_context(server.served(f'smarthost = "127.0.0.1:{other.port}"\nsmtp.per-client = 100\n'))

    def messages(self, domain: str) -> list[bytes]:
        return self.servers[domain].site.messages(f"robin@{domain}")


@pytest.fixture
def pair(installation: Installation, public_folder: Path, request: pytest.FixtureRequest) -> Pair:
    owner = request.getfixturevalue("user") if AS_ROOT else pwd.getpwuid(os.getuid()).pw_name
    return Pair(installation, public_folder, owner)


def test_a_circle_of_forwards_ends_after_one_round(pair: Pair) -> None:
    for domain, other in ((HERE, THERE), (THERE, HERE)):
        pair.servers[domain].site.rules(f"robin@{domain}", f'forward "robin@{other}"\n')
    with ExitStack() as stack:
        pair.start(stack)
        with pair.servers[HERE].client() as client:
            client.sendmail("jo@example.org", ["robin@here.example"], MESSAGE)
    assert pair.messages(THERE) == []
    (kept,) = pair.messages(HERE)
    assert kept.count(b"\nReceived: from ") == 3
    assert kept.endswith(b"\n\nbody\n")


def test_who_forwards_to_himself_keeps_it(pair: Pair) -> None:
    pair.servers[HERE].site.rules("robin@here.example", 'forward "robin+again@here.example"\n')
    with ExitStack() as stack:
        server = pair.servers[HERE]
        stack.enter_context(server.served(f'smarthost = "127.0.0.1:{server.port}"\nsmtp.per-client = 100\n'))
        with server.client() as client:
            client.sendmail("jo@example.org", ["robin@here.example"], MESSAGE)
    assert len(pair.messages(HERE)) == 1


def test_two_who_are_away_answer_each_other_once(pair: Pair) -> None:
    for domain in (HERE, THERE):
        pair.servers[domain].site.rules(f"robin@{domain}", f'set me = "robin@{domain}"\nvacation "I am away."\n')
    with ExitStack() as stack:
        pair.start(stack)
        letter = MESSAGE.replace(b"jo@example.org>\r\nTo", b"robin@there.example>\r\nTo")
        with pair.servers[HERE].client() as client:
            for number in range(3):
                client.sendmail("robin@there.example", ["robin@here.example"], letter.replace(b"<1@", b"<%d@" % number))
        until(lambda: len(pair.messages(THERE)) > 0)
    assert len(pair.messages(HERE)) == 3
    (answer,) = pair.messages(THERE)
    assert b"Auto-Submitted: auto-replied" in answer
