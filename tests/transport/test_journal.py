"""Several destinations: wherever a delivery is killed, the retry leaves each with the message exactly once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pydeliver import transport
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox import journal as journals
from pydeliver.mailbox.journal import Journal
from pydeliver.mailbox.names import Store
from pydeliver.system.spool import Held
from pydeliver.transport import Outcome, Work, execute
from tests.rules import judge

BODY = b"Message-ID: <1@x>\nSubject: one\n\nFrom the beginning.\n"
RULES = 'copy file "A"\ncopy file "B"\ncopy file "mbox:~/one"\ncopy file "mbox:~/two"\nkeep\n'
PLACES = 5


def work(home: Path, message: bytes = BODY, recipient: str = "me@x") -> Work:
    root = str(home / "Maildir")
    store = Store(root, root, home=str(home))
    envelope = Envelope("jo@x", recipient)
    return Work(Message.of(message), Held(message), envelope, store, str(home / "state"), "host", time.time())


def carry_out(home: Path, message: bytes = BODY, recipient: str = "me@x", rules: str = RULES) -> Outcome:
    outcome = execute(judge(rules), work(home, message, recipient))
    outcome.finish()
    return outcome


def counts(home: Path) -> dict[str, int]:
    """How often each place has the message."""
    found = {}
    for folder in ("", ".A", ".B"):
        places = [home / "Maildir" / folder / part for part in ("new", "cur")]
        found[folder] = sum(len(list(place.glob("*"))) for place in places)
    for name in ("one", "two"):
        box = home / name
        found[name] = box.read_bytes().count(b"Message-ID: <1@x>") if box.exists() else 0
    return found


ONCE = {"": 1, ".A": 1, ".B": 1, "one": 1, "two": 1}


def killed(home: Path, at: Callable[[pytest.MonkeyPatch], None], rules: str = RULES, message: bytes = BODY) -> None:
    """A delivery in a process of its own, which dies where `at` says."""
    if (child := os.fork()) == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                at(patch)
                carry_out(home, message, rules=rules)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def dies_after(name: str, times: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Dies behind the given call of a method that every format has."""

    def at(patch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        real = transport._format

        def formats(kind: str) -> Any:
            module = real(kind)
            method = getattr(module.Prepared, name)

            def counted(self: Any, *given: Any) -> Any:
                result = method(self, *given)
                calls.append(kind)
                if len(calls) >= times:
                    os._exit(0)
                return result

            if method.__name__ != "counted":
                patch.setattr(module.Prepared, name, counted)
            return module

        patch.setattr(transport, "_format", formats)

    return at


@pytest.mark.parametrize("times", range(1, PLACES + 1))
def test_killed_between_two_commits(tmp_path: Path, times: int) -> None:
    killed(tmp_path, dies_after("commit", times))
    outcome = carry_out(tmp_path)
    assert outcome.status.ok
    assert counts(tmp_path) == ONCE
    assert any("cut short" in one for one in outcome.recovered)
    assert journals.is_empty(str(tmp_path / "state/journal"))


def test_killed_before_and_behind_the_decision(tmp_path: Path) -> None:
    def before(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Journal, "write", lambda *_: os._exit(0))

    def behind(patch: pytest.MonkeyPatch) -> None:
        write = Journal.write
        patch.setattr(Journal, "write", lambda *given: (write(*given), os._exit(0)))

    killed(tmp_path, before)
    assert carry_out(tmp_path).status.ok
    assert counts(tmp_path) == ONCE
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    killed(other, behind)
    assert carry_out(other).status.ok
    assert counts(other) == ONCE


def test_another_message_is_not_held_for_the_unfinished_one(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 2))
    assert carry_out(tmp_path, BODY.replace(b"<1@x>", b"<2@x>")).status.ok
    assert carry_out(tmp_path, recipient="other@x").status.ok
    assert carry_out(tmp_path).status.ok
    assert counts(tmp_path)["one"] == 2, "one for each recipient"


def test_a_retry_is_known_below_what_mail_servers_put_on_top(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 3), message=b"Received: by this host\n\tat some time\n" + BODY)
    again = b"Return-Path: <jo@x>\nReceived: by this host, once more\n\tat another time\nDelivered-To: me@x\n" + BODY
    assert carry_out(tmp_path, again).status.ok
    assert counts(tmp_path) == ONCE


def test_what_came_round_again_is_no_retry(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 3), message=b"Received: by this host\n" + BODY)
    again = b"Received: by this host\nDelivered-To: me@x\nReceived: by this host\n" + BODY
    assert carry_out(tmp_path, again).status.ok
    assert set(counts(tmp_path).values()) == {2}, "what was decided for the first, and all of the second"


def test_a_retry_is_judged_by_todays_rules(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 1))
    done = [place for place, count in counts(tmp_path).items() if count]
    assert carry_out(tmp_path, rules='copy file "A"\nfile "C"\n').status.ok
    assert len(list((tmp_path / "Maildir/.C/new").iterdir())) == 1
    assert counts(tmp_path)[".A"] == 1
    assert done


def test_a_damaged_journal_counts_for_nothing(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 1))
    (path,) = (tmp_path / "state/journal").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert carry_out(tmp_path).status.ok
    assert all(count >= 1 for count in counts(tmp_path).values())


def test_a_journal_that_cannot_be_written_undoes_everything(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/journal").write_text("in the way")
    assert carry_out(tmp_path).status.exit_code == 75
    assert set(counts(tmp_path).values()) == {0}


@pytest.mark.parametrize("rules", [RULES, 'file "mbox:~/one"\n'])
def test_killed_behind_the_last_commit(tmp_path: Path, rules: str) -> None:
    def before_the_answer(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Outcome, "finish", lambda _: os._exit(0))

    killed(tmp_path, before_the_answer, rules)
    assert carry_out(tmp_path, rules=rules).status.ok
    assert counts(tmp_path)["one"] == 1
    assert set(counts(tmp_path).values()) <= {0, 1}


def test_one_destination_needs_no_journal(tmp_path: Path) -> None:
    assert carry_out(tmp_path, rules="keep\n").status.ok
    assert not (tmp_path / "state/journal").exists()


def test_old_journals_are_given_up(tmp_path: Path) -> None:
    killed(tmp_path, dies_after("commit", 1))
    (path,) = (tmp_path / "state/journal").iterdir()
    os.utime(path, (time.time() - 31 * 86400,) * 2)
    outcome = carry_out(tmp_path, BODY.replace(b"<1@x>", b"<2@x>"))
    assert "gave up 1 unfinished" in outcome.recovered[0]
    assert not path.exists()
