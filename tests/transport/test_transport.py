"""A verdict carried out on real Maildirs: all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox import maildir
from pydeliver.mailbox.names import Store
from pydeliver.status import deferred
from pydeliver.system import alarm
from pydeliver.system.spool import Held
from pydeliver.transport import Outcome, Work, execute
from pydeliver.verdict import DELIVER, Verdict
from tests.rules import judge

MESSAGE = b"From: boss@example.com\r\nSubject: one\r\nX-N: 1\r\n\r\n\0body\xff\r\nFrom here\n"
NOW = 1_715_776_496.5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "Maildir"


def carry_out(text: str, root: Path, message: bytes = MESSAGE, **store: Any) -> Outcome:
    verdict = judge(text, message)
    place = Store(str(root), str(root), home=str(root.parent), **store)
    state = str(root.parent / "state")
    work = Work(Message.of(message), Held(message), Envelope("jo@x"), place, state, "mx.example.org", NOW)
    outcome = execute(verdict, work)
    outcome.finish()
    return outcome


def mails(root: Path) -> dict[str, list[bytes]]:
    """What a reader would find: the messages by mailbox, "." for INBOX; mailboxes without a message left out."""
    found: dict[str, list[bytes]] = {}
    for part in ("new", "cur"):
        for path in sorted(root.glob(f"**/{part}/*")):
            found.setdefault(os.path.relpath(path.parent.parent, root), []).append(path.read_bytes())
    return found


def leftovers(root: Path) -> list[Path]:
    return list(root.glob("**/tmp/*"))


def test_every_delivery_is_in_its_mailbox_as_received(root: Path) -> None:
    outcome = carry_out('copy file "A/B"\ncopy file "C"\nkeep\n', root)
    assert outcome.status.ok
    assert mails(root) == {".A.B": [MESSAGE], ".C": [MESSAGE], ".": [MESSAGE]}
    assert sorted(Path(one).read_bytes() for one in outcome.files) == [MESSAGE] * 3
    assert leftovers(root) == []


def test_a_verdict_that_names_no_place_is_no_success(root: Path) -> None:
    place = Store(str(root), str(root), home=str(root.parent))
    work = Work(Message.of(MESSAGE), Held(MESSAGE), Envelope("jo@x"), place, str(root.parent), "mx.example.org", NOW)
    assert execute(Verdict(DELIVER, ()), work).status.exit_code == 75
    assert mails(root) == {}


def test_an_edit_is_in_the_later_deliveries_only(root: Path) -> None:
    outcome = carry_out('copy file "A"\nset header "X-N" = "2"\nfile "B"\n', root)
    assert outcome.status.ok
    assert mails(root) == {".A": [MESSAGE], ".B": [MESSAGE.replace(b"X-N: 1", b"X-N: 2")]}


def test_marks_are_in_the_name_of_the_file(root: Path) -> None:
    outcome = carry_out('mark seen, flagged\nfile "A"\n', root)
    (path,) = outcome.files
    assert path.endswith(":2,FS")
    assert Path(path).parent == root / ".A" / "cur"


@pytest.mark.parametrize("place", ["~/Other/", "{root}/Deep/"])
def test_a_path_is_a_maildir_of_its_own(root: Path, place: str) -> None:
    outcome = carry_out(f'file "{place.replace("{root}", str(root.parent))}"\n', root)
    assert outcome.status.ok, outcome
    (path,) = outcome.files
    assert Path(path).parent.parent.name in ("Other", "Deep")
    assert Path(path).parent.parent.parent == root.parent


@pytest.mark.parametrize(("action", "code"), [("reject", "5.7.1"), ("defer", "4.7.1")])
def test_what_is_refused_or_put_off_touches_no_disk(root: Path, action: str, code: str) -> None:
    outcome = carry_out(f'copy file "A"\n{action} "why"\n', root)
    assert (outcome.status.code, outcome.status.text, outcome.files) == (code, "why", ())
    assert not root.exists()


def test_what_is_discarded_leaves_its_copies(root: Path) -> None:
    outcome = carry_out('copy file "A"\ndiscard\n', root)
    assert outcome.status.ok
    assert mails(root) == {".A": [MESSAGE]}
    (root.parent / "other").mkdir()
    assert carry_out("discard\n", root.parent / "other" / "Maildir").status.ok
    assert not (root.parent / "other" / "Maildir").exists()


@pytest.mark.parametrize("broken", [".A", ".B", ".C"])
def test_a_delivery_that_cannot_be_prepared_leaves_none(root: Path, broken: str) -> None:
    assert carry_out("keep\n", root, b"X: first\n\n").status.ok
    (root / broken).write_bytes(b"a file where the folder should be")
    outcome = carry_out('copy file "A"\ncopy file "B"\ncopy file "C"\nkeep\n', root)
    assert outcome.status.code.startswith("4.")
    assert outcome.files == ()
    assert mails(root) == {".": [b"X: first\n\n"]}
    assert leftovers(root) == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_that_fails_takes_back_those_before_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    commit = maildir.Prepared.commit
    calls: list[int] = []

    def failing(self: maildir.Prepared) -> Any:
        calls.append(1)
        assert len(list(root.glob("**/tmp/*"))) + len(calls) - 1 >= 3, "all are prepared before any is committed"
        return deferred("no", "4.3.1") if len(calls) == number else commit(self)

    monkeypatch.setattr(maildir.Prepared, "commit", failing)
    outcome = carry_out('copy file "A"\ncopy file "B"\nkeep\n', root)
    assert (outcome.status.code, outcome.files) == ("4.3.1", ())
    assert len(calls) == number
    assert mails(root) == {}
    assert leftovers(root) == []


def test_an_interruption_while_preparing_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = maildir.prepare
    calls: list[int] = []

    def interrupted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise alarm.Interrupted(15)
        return prepare(*given, **named)

    monkeypatch.setattr(maildir, "prepare", interrupted)
    with pytest.raises(alarm.Interrupted):
        carry_out('copy file "A"\ncopy file "B"\nkeep\n', root)
    assert mails(root) == {}
    assert leftovers(root) == []


def test_no_descriptor_stays_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert carry_out('copy file "A"\nkeep\n', root).status.ok
    (root / ".B").write_bytes(b"")
    assert not carry_out('copy file "A"\ncopy file "B"\nkeep\n', root).status.ok
    assert len(os.listdir("/proc/self/fd")) == before
