"""What is remembered commits with the message: a delivery that fails leaves no trace, two at once are one by one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pydeliver.agent import Request, deliver
from pydeliver.agent.rules import Home, Site
from pydeliver.mail.envelope import Envelope
from pydeliver.memory.ledger import NAME, Ledger
from pydeliver.status import Status, deferred
from tests.rules import write_rested

MESSAGE = b"From: Jo <Jo@example.org>\nMessage-ID: <1@x>\nSubject: hello\n\nHi.\n"
RACES = 100


@pytest.fixture
def user(tmp_path: Path) -> Home:
    tmp_path.chmod(0o700)
    return Home("tester", os.getuid(), str(tmp_path))


def rules(user: Home, text: str) -> None:
    write_rested(Path(user.rules), text)


def send(user: Home, message: bytes = MESSAGE) -> Status:
    source = Path(user.path) / f"stdin{os.getpid()}"
    source.write_bytes(message)
    fd = os.open(source, os.O_RDONLY)
    try:
        envelope = Envelope("jo@example.org", "robin@example.net")
        return deliver(Request(user, Site(user.rules, "/nonexistent"), envelope, fd, time.time(), "host", os._exit))
    finally:
        os.close(fd)


def stored(user: Home) -> dict[str, int]:
    """How many messages there are, by folder."""
    found: dict[str, int] = {}
    for path in Path(user.path, "Maildir").rglob("new/*"):
        folder = path.parent.parent.name
        found[folder] = found.get(folder, 0) + 1
    return found


def at_once(*work: Callable[[], Status]) -> list[int]:
    """Have processes do this at the same time; their exit codes."""
    reader, writer = os.pipe()
    children = []
    for one in work:
        if (child := os.fork()) == 0:
            code = 1
            try:
                os.close(writer)
                os.read(reader, 1)  # the pipe ends for all at once
                code = one().exit_code
            finally:
                os._exit(code)
        children.append(child)
    os.close(reader)
    os.close(writer)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_the_second_of_two_is_a_duplicate(user: Home) -> None:
    rules(user, 'if duplicate { file "Dups" }\n')
    assert send(user).ok
    assert send(user, MESSAGE.replace(b"hello", b"hello again")).ok
    assert send(user, MESSAGE.replace(b"<1@x>", b"<2@x>")).ok
    assert send(user, MESSAGE.replace(b"Jo@", b"mallory@")).ok  # who borrows a Message-ID hides nobody's mail
    assert stored(user) == {"Maildir": 3, ".Dups": 1}


def test_without_a_message_id_nothing_is_a_duplicate(user: Home) -> None:
    rules(user, 'if duplicate { file "Dups" }\n')
    for _ in range(2):
        assert send(user, MESSAGE.replace(b"Message-ID: <1@x>\n", b"")).ok
    assert stored(user) == {"Maildir": 2}


def test_what_a_rule_further_down_asks_is_remembered_of_messages_that_never_get_there(user: Home) -> None:
    rules(user, 'if subject is "hello" { file "Hello" }\nif seen-sender { file "Known" }\n')
    assert send(user).ok
    assert send(user, MESSAGE.replace(b"hello", b"bye")).ok
    assert stored(user) == {".Hello": 1, ".Known": 1}


def test_more_counts_this_one_and_those_that_were_discarded(user: Home) -> None:
    rules(user, 'if more than 2 per hour by from.address { file "Flood" }\nif subject is "x" { discard for good }\n')
    for number in range(5):
        assert send(user, MESSAGE.replace(b"hello", b"x" if number < 2 else b"y")).ok
    assert stored(user) == {".Flood": 3}


def test_a_message_that_is_refused_is_not_remembered(user: Home) -> None:
    rules(user, 'if duplicate { file "Dups" }\nif subject is "hello" { reject "no" }\n')
    assert send(user).exit_code == 77
    rules(user, 'if duplicate { file "Dups" }\n')
    assert send(user).ok
    assert stored(user) == {"Maildir": 1}


def test_a_delivery_that_fails_does_not_make_its_retry_a_duplicate(user: Home) -> None:
    rules(user, 'set mailboxes = "~/Maildir"\nif duplicate { file "Dups" }\nfile "mbox:~/box"\n')
    box = Path(user.path, "box")
    box.mkdir()
    assert send(user).exit_code == 75
    box.rmdir()
    assert send(user).ok
    assert box.read_bytes().count(b"Subject: hello") == 1
    assert send(user).ok
    assert stored(user) == {".Dups": 1}


@pytest.mark.parametrize("before_it_stands", [True, False])
def test_a_delivery_that_is_killed_as_it_commits_is_made_whole_by_its_retry(
    user: Home, before_it_stands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(user, 'if duplicate { log "again" }\nfile "INBOX", "Copy"\n')
    commit = Ledger.commit

    def killed(ledger: Ledger) -> Status | None:
        if not before_it_stands:
            commit(ledger)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "commit", killed)
        assert at_once(lambda: send(user)) == [-signal.SIGKILL]
    assert send(user).ok
    assert stored(user) == {"Maildir": 1, ".Copy": 1}
    assert send(user).ok
    assert stored(user) == {"Maildir": 2, ".Copy": 2}


def test_a_memory_that_cannot_be_written_takes_the_message_back(user: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(user, 'if duplicate { file "Dups" }\nfile "INBOX", "Copy"\n')
    monkeypatch.setattr(Ledger, "commit", lambda ledger: deferred("no"))
    assert send(user).exit_code == 75
    assert stored(user) == {}
    monkeypatch.undo()
    assert send(user).ok
    assert stored(user) == {"Maildir": 1, ".Copy": 1}


def test_no_rule_that_asks_means_no_file(user: Home) -> None:
    rules(user, "keep\n")
    assert send(user).ok
    assert not Path(user.path, ".local/state/pydeliver", NAME).exists()


def test_of_two_at_once_one_is_the_duplicate(user: Home) -> None:
    rules(user, 'if duplicate { file "Dups" }\n')
    assert send(user).ok  # which also compiles the rules
    for number in range(RACES):
        message = MESSAGE.replace(b"<1@x>", b"<race%d@x>" % number)
        assert at_once(*[partial(send, user, message)] * 2) == [0, 0]
    assert stored(user) == {"Maildir": RACES + 1, ".Dups": RACES}


def test_of_two_from_one_sender_at_once_one_is_the_first(user: Home) -> None:
    rules(user, 'if not seen-sender { file "New" }\n')
    assert send(user).ok
    for number in range(RACES):
        message = MESSAGE.replace(b"Jo@", b"jo%d@" % number)
        assert at_once(*[partial(send, user, message)] * 2) == [0, 0]
    assert stored(user) == {".New": RACES + 1, "Maildir": RACES}


def test_many_at_once_are_counted_one_by_one(user: Home) -> None:
    rules(user, 'if more than 10 per hour by from.address { file "Flood" }\n')
    assert send(user).ok
    messages = [MESSAGE.replace(b"<1@x>", b"<%d@x>" % number) for number in range(19)]
    assert at_once(*[partial(send, user, message) for message in messages]) == [0] * 19
    assert stored(user) == {"Maildir": 10, ".Flood": 10}
