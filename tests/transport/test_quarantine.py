"""A discarded message is stored in the quarantine as surely as any other in its mailbox, or the mail waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from pydeliver import transport
from pydeliver.mail.discarded import NOTE_BYTES, read
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox import quarantine
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Store
from pydeliver.system import alarm
from pydeliver.system.spool import Held
from pydeliver.transport import Outcome, Work, execute
from tests.rules import judge
from tests.transport.test_journal import dies_after

MESSAGE: Final = b"From: boss@example.com\r\nSubject: one\r\nX-N: 1\r\n\r\n\0body\xff\r\nFrom here\n"
DISCARD: Final = 'rule "junk" if size > 0 {\ndiscard\n}\n'
BOTH: Final = 'copy file "A"\ndiscard\n'


def carry_out(home: Path, rules: str = DISCARD, message: bytes = MESSAGE, now: float = 0, **store: Any) -> Outcome:
    place = Store(str(home / "Maildir"), str(home / "Maildir"), home=str(home), **store)
    envelope = Envelope("jo@x", "me@x")
    work = Work(
        Message.of(message),
        Held(message),
        envelope,
        place,
        str(home / "state"),
        os.uname().nodename,  # or nobody could tell that a process of it is gone
        now or time.time(),
        ("/home/me/main.rules",),
    )
    outcome = execute(judge(rules, message), work)
    outcome.finish()
    return outcome


def kept(home: Path) -> list[bytes]:
    return [Path(one.path).read_bytes() for one in quarantine.entries(f"{home}/state/quarantine")]


def received(data: bytes) -> bytes:
    note = read(data[:NOTE_BYTES], len(data))
    assert note is not None
    return data[note.skip :]


def copies(home: Path) -> int:
    return len(list(home.glob("Maildir/.A/new/*")))


def test_a_discarded_message_is_kept_as_received_and_says_why(tmp_path: Path) -> None:
    outcome = carry_out(tmp_path, now=1_715_776_496.5)
    assert (outcome.status.line, len(outcome.files)) == ("2.0.0 discarded", 1)
    (data,) = kept(tmp_path)
    note = read(data, len(data))
    assert note is not None
    assert (note.when, note.why) == ("2024-05-15 12:34:56 UTC", 'by rule "junk", main.rules:2')
    assert received(data) == MESSAGE
    assert (tmp_path / "state/quarantine").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "Maildir").exists()
    assert list((tmp_path / "state").glob("**/tmp/*")) == []


def test_edits_marks_and_labels_do_not_change_what_is_kept(tmp_path: Path) -> None:
    rules = 'set header "X-N" = "2"\nmark seen\nlabel "todo"\ncopy file "A"\ndiscard\n'
    assert carry_out(tmp_path, rules).status.ok
    assert [received(data) for data in kept(tmp_path)] == [MESSAGE]
    (copy,) = tmp_path.glob("Maildir/.A/cur/*")
    assert b"X-N: 2" in copy.read_bytes()


@pytest.mark.parametrize(("rules", "store"), [("discard for good\n", {}), (DISCARD, {"kept_seconds": 0})])
def test_for_good_and_zero_days_keep_nothing(tmp_path: Path, rules: str, store: dict[str, int]) -> None:
    outcome = carry_out(tmp_path, rules, **store)
    assert (outcome.status.line, outcome.files) == ("2.0.0 discarded", ())
    assert list(tmp_path.iterdir()) == []


def test_with_zero_days_what_was_kept_before_leaves_with_the_next_discard(tmp_path: Path) -> None:
    carry_out(tmp_path, now=time.time() - 1)
    assert carry_out(tmp_path, kept_seconds=0).recovered == ("old mail removed from the quarantine: 1",)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("rules", [DISCARD, BOTH])
def test_where_nothing_can_be_kept_the_mail_waits_and_no_copy_is_made(tmp_path: Path, rules: str) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/quarantine").write_text("in the way")
    assert carry_out(tmp_path, rules).status.exit_code == 75
    (tmp_path / "state/quarantine").unlink()
    (tmp_path / "state/quarantine").mkdir(mode=0o700)
    (tmp_path / "state/quarantine/something").write_text("no Maildir")
    assert carry_out(tmp_path, rules).status.exit_code == 75
    assert copies(tmp_path) == 0
    assert kept(tmp_path) == []


def test_where_the_copy_cannot_be_made_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "Maildir").mkdir(mode=0o700)
    (tmp_path / "Maildir/.A").write_text("in the way")
    assert carry_out(tmp_path, BOTH).status.exit_code == 75
    assert kept(tmp_path) == []
    assert list((tmp_path / "state").glob("**/tmp/*")) == []


@pytest.mark.parametrize("store", [{"kept_bytes": 1 << 20}, {}])
def test_of_a_message_that_is_too_large_the_header_is_kept(
    tmp_path: Path, store: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "LARGEST", 2 << 20)
    assert carry_out(tmp_path, message=MESSAGE + b"x" * (2 << 20), **store).status.ok
    (data,) = kept(tmp_path)
    assert received(data) == MESSAGE[: MESSAGE.index(b"\r\n\r\n") + 4]
    assert b"only the header is kept" in data


def test_the_bound_holds_after_each_of_many(tmp_path: Path) -> None:
    limit = 20_000
    for number in range(100):
        message = MESSAGE + b"x" * (number * 37 % 3000)
        assert carry_out(tmp_path, message=message, now=time.time() - 100 + number, kept_bytes=limit).status.ok
        found = quarantine.entries(f"{tmp_path}/state/quarantine")
        assert sum(one.size for one in found) <= limit
        assert received(Path(found[-1].path).read_bytes()) == message, "the newest stays"
    assert len(found) > 5


def test_old_mail_leaves_with_the_next_discard_of_either_kind(tmp_path: Path) -> None:
    for rules in (DISCARD, "discard for good\n"):
        carry_out(tmp_path, now=time.time() - 8 * 86400)
        outcome = carry_out(tmp_path, rules)
        assert outcome.recovered == ("old mail removed from the quarantine: 1",)
        assert len(kept(tmp_path)) == 1, "that of today"


def test_a_sweep_that_hangs_is_ended(tmp_path: Path) -> None:
    def hanging(_: str) -> Any:
        while True:
            pass

    if (child := os.fork()) == 0:
        code = 1
        try:
            alarm.guard(60)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(quarantine, "_found", hanging)
                patch.setattr(transport, "SWEEP_PATIENCE", 0.05)
                outcome = carry_out(tmp_path)
            code = 0 if outcome.status.ok and "took too long" in outcome.recovered[0] else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError("Permission denied")])
def test_a_sweep_that_fails_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(_: str) -> Any:
        raise error

    monkeypatch.setattr(quarantine, "_found", failing)
    outcome = carry_out(tmp_path)
    assert outcome.status.ok
    (note,) = outcome.recovered
    assert note.startswith("the quarantine can't be cleared: ")
    assert "Permission denied" in note
    monkeypatch.undo()
    assert len(kept(tmp_path)) == 1


def dies_in_the_sweep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quarantine, "sweep", lambda *_: os._exit(0))


def dies_before_the_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outcome, "finish", lambda _: os._exit(0))


def dies_before_the_link(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Prepared, "_place", lambda _: os._exit(0))


@pytest.mark.parametrize("rules", [DISCARD, BOTH])
@pytest.mark.parametrize(
    "at", [dies_before_the_link, dies_after("commit", 1), dies_in_the_sweep, dies_before_the_answer]
)
def test_killed_anywhere_the_retry_keeps_it_once(
    tmp_path: Path, rules: str, at: Callable[[pytest.MonkeyPatch], None]
) -> None:
    if (child := os.fork()) == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                at(patch)
                carry_out(tmp_path, rules)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "it died where it should"
    assert carry_out(tmp_path, rules).status.ok
    assert [received(data) for data in kept(tmp_path)] == [MESSAGE]
    assert copies(tmp_path) == (rules == BOTH)
    assert list((tmp_path / "state").glob("journal/*")) == []
    if rules == DISCARD:  # without a journal what was cut short is found at once, else after its time
        assert list(tmp_path.glob("**/tmp/*")) == []
