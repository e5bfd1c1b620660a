"""Discarded mail on its way back: released as received, once, and never lost between the two places."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import pytest

from pydeliver.agent import Request, deliver, quarantine
from pydeliver.agent.rules import Home, Site
from pydeliver.mail import discarded
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.quarantine import Entry
from pydeliver.status import Status
from pydeliver.system.spool import Held
from pydeliver.transport import Work, execute
from pydeliver.verdict import DISCARD, Verdict
from tests.rules import write_rested

MESSAGE: Final = b"Return-Path: <jo@example.org>\nReceived: x\nFrom: Jo <jo@b.example>\nSubject: hello\n\nFrom here.\n"


@pytest.fixture
def user(tmp_path: Path) -> Home:
    tmp_path.chmod(0o700)
    return Home("tester", os.getuid(), str(tmp_path))


def site(user: Home) -> Site:
    return Site(user.rules, f"{user.path}/settings.toml")


def send(user: Home, rules: str = "discard\n", message: bytes = MESSAGE, settings: str = "") -> Status:
    for path, text in ((Path(user.rules), rules), (Path(user.path, "settings.toml"), settings)):
        write_rested(path, text)
    source = Path(user.path) / "stdin"
    source.write_bytes(message)
    fd = os.open(source, os.O_RDONLY)
    try:
        return deliver(Request(user, site(user), Envelope("jo@x", "me@x"), fd, time.time(), "host", os._exit))
    finally:
        os.close(fd)


def discard(user: Home, message: bytes = MESSAGE, **bounds: int) -> None:
    """Discard a message as a delivery does, which is quicker without any rules."""
    work = Work(
        Message.of(message), Held(message), Envelope("jo@x"), store(user, **bounds), user.state.directory, "host", 1e9
    )
    outcome = execute(Verdict(DISCARD, (), "", "junk", 1), work)
    assert outcome.status.ok
    outcome.finish()


def store(user: Home, **bounds: int) -> Store:
    root = f"{user.path}/Maildir"
    return Store(root, root, home=user.path, **bounds)


def only(user: Home) -> Entry:
    (entry,) = quarantine.listed(user)
    return entry


def mails(user: Home, folder: str = "") -> list[bytes]:
    return [path.read_bytes() for path in Path(user.path).glob(f"Maildir/{folder}/new/*")]


def last_line(user: Home) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(user.state.directory, "deliveries.log").read_text().splitlines()[-1])
    return found


def test_a_discarded_message_is_in_the_quarantine_and_in_no_mailbox(user: Home) -> None:
    assert send(user, 'rule "junk" if subject is "hello" { discard }\n').ok
    with quarantine.opened(only(user)) as kept:
        assert b"".join(kept.message.chunks()) == MESSAGE
        assert (kept.why, kept.whole, kept.size) == ('by rule "junk", main.rules:1', True, len(MESSAGE))
    assert mails(user) == []
    assert last_line(user)["files"] == [only(user).path]


def test_the_site_and_the_user_say_how_long_it_is_kept(user: Home) -> None:
    for rules, settings, seconds, number in (
        ("discard for good\n", "", 7 * 86400, 0),
        ("discard\n", "quarantine-days = 0", 0, 0),
        ("set quarantine = 0 days\ndiscard\n", "", 0, 0),
        ("set quarantine = 12 hours\ndiscard\n", "quarantine-days = 0", 12 * 3600, 1),
        ("discard\n", "quarantine-days = 2\nquarantine-size = 3", 2 * 86400, 2),
    ):
        assert send(user, rules, settings=settings).ok
        found = quarantine.store_of(user, site(user))
        assert isinstance(found, Store)
        assert (found.kept_seconds, found.kept_bytes) == (seconds, (3 if "size" in settings else 200) << 20)
        assert len(quarantine.listed(user)) == number


def test_a_quarantine_that_cannot_be_written_makes_the_mail_wait(user: Home) -> None:
    Path(user.state.directory).mkdir(mode=0o700, parents=True)
    Path(user.state.directory, "quarantine").write_text("in the way")
    assert send(user).exit_code == 75
    Path(user.state.directory, "quarantine").unlink()
    assert send(user).ok
    assert len(quarantine.listed(user)) == 1


@pytest.mark.parametrize(
    "message", [MESSAGE, b"no header\n", b"\n", b" \n", MESSAGE.replace(b"\n", b"\r\n"), MESSAGE + b"x" * (1 << 20)]
)
def test_what_is_released_is_what_was_received(user: Home, message: bytes) -> None:
    discard(user, message)
    assert quarantine.release(only(user), user, store(user)).ok
    assert mails(user) == [message]
    assert quarantine.listed(user) == []
    assert list(Path(user.path).glob("**/tmp/*")) == []


def test_a_release_goes_where_it_is_told_and_is_in_the_log(user: Home) -> None:
    discard(user)
    assert quarantine.release(only(user), user, store(user), "Work").ok
    assert mails(user, ".Work") == [MESSAGE]
    line = last_line(user)
    assert (line["door"], line["verdict"], line["status"]) == ("quarantine", 'file "Work"', "2.0.0 delivered")
    discard(user)
    assert quarantine.release(only(user), user, store(user), "mbox:~/box").ok
    assert Path(user.path, "box").read_bytes().startswith(b"From jo@example.org ")


def test_what_cannot_be_released_stays(user: Home) -> None:
    discard(user)
    for name in ("", "../x", "mbox:~/no/such/place"):
        assert not quarantine.release(only(user), user, store(user), name).ok
    with quarantine.opened(only(user)) as kept:
        assert kept.message.size == len(MESSAGE)


def test_of_a_header_alone_no_message_is_made(user: Home) -> None:
    discard(user, MESSAGE + b"x" * (2 << 20), kept_bytes=1 << 20)
    status = quarantine.release(only(user), user, store(user))
    assert (status.ok, "only the header" in status.text) == (False, True)
    with quarantine.opened(only(user)) as kept:
        assert (kept.whole, kept.size) == (False, len(MESSAGE) + (2 << 20))
        assert kept.message.texts("subject") == ("hello",)
    assert mails(user) == []


@pytest.mark.parametrize("name", ["take_out", "execute"])
def test_killed_behind_either_step_it_is_released_once(user: Home, name: str) -> None:
    discard(user)
    if (child := os.fork()) == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                if name == "execute":
                    patch.setattr(quarantine, "take_out", lambda _: os._exit(0))
                else:
                    take_out = quarantine.take_out
                    patch.setattr(quarantine, "take_out", lambda entry: (take_out(entry), os._exit(0)))
                quarantine.release(only(user), user, store(user))
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert mails(user) == [MESSAGE]
    for entry in quarantine.listed(user):
        assert quarantine.release(entry, user, store(user)).ok
    assert mails(user) == [MESSAGE]
    assert quarantine.listed(user) == []


def test_a_file_that_a_reader_put_there_is_released_as_it_is(user: Home) -> None:
    discard(user)
    Path(only(user).path).write_bytes(b"Subject: other\n\nx\n")
    with quarantine.opened(only(user)) as kept:
        assert (kept.note, kept.whole, kept.size, kept.why) == (None, True, 18, "")
    assert quarantine.release(only(user), user, store(user)).ok
    assert mails(user) == [b"Subject: other\n\nx\n"]


def test_what_is_no_file_is_not_opened(user: Home) -> None:
    discard(user)
    path = Path(only(user).path)
    path.rename(path.parent.parent / "other")
    path.symlink_to(path.parent.parent / "other")
    with pytest.raises(OSError, match="symbolic"), quarantine.opened(only(user)):
        pass
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"), quarantine.opened(only(user)):
        pass
    assert not quarantine.release(only(user), user, store(user)).ok


def entries(*names: str) -> list[Entry]:
    return [Entry(1.0, f"/q/new/{name}", 1) for name in names]


def test_messages_are_called_by_the_beginnings_of_their_ids() -> None:
    found = entries("1.a,S=1", "1.b,S=1", "1.c,S=1")
    first, second, _ = found
    assert quarantine.called((first.id, second.id[:6].upper(), first.id[:8]), found) == [first, second]
    assert "called zz" in str(quarantine.called((first.id, "zz"), found))
    assert isinstance(quarantine.called(("",), found), str)
    assert quarantine.short_id(found) == quarantine.short_id([]) == 6


def test_an_id_that_fits_several_is_told_with_what_they_are_called() -> None:
    found = entries(*[f"1.{number},S=1" for number in range(300)])
    alike = {one.id[0] for one in found}.pop()
    said = quarantine.called((alike,), found)
    assert isinstance(said, str)
    assert "write more of it" in said
    length = quarantine.short_id(found)
    assert len({one.id[:length] for one in found}) == 300


def test_what_is_purged_is_gone(user: Home) -> None:
    discard(user)
    found = quarantine.listed(user)
    assert quarantine.purge(found) == 1
    assert quarantine.purge(found) == 0
    assert quarantine.listed(user) == []


def last_why(entry: Entry) -> str:
    note = discarded.read(Path(entry.path).read_bytes(), entry.size)
    assert note is not None
    return note.why


REJECTING = 'rule "old" if subject is "hello" { copy file "A"; reject "no such project" }\n'


def test_what_is_rejected_is_kept_back_where_nobody_can_be_told(user: Home) -> None:
    status = send(user, REJECTING, settings='reject-as = "quarantine"\n')
    assert (status.exit_code, status.text) == (0, "kept back instead of rejected")
    assert mails(user) == mails(user, ".A") == []
    entry = only(user)
    assert last_why(entry) == 'rejected by rule "old", main.rules:1: no such project'
    assert quarantine.listed(user) == [entry]
    assert send(user, REJECTING).exit_code == 77


def test_what_is_rejected_is_kept_where_nothing_is_kept_back(user: Home) -> None:
    status = send(user, REJECTING, settings='reject-as = "quarantine"\nquarantine-days = 0\n')
    assert status.exit_code == 0
    assert (mails(user), quarantine.listed(user)) == ([MESSAGE], [])
