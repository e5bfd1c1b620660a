"""A real Postfix delivers through pydeliver, by `mailbox_command` (local(8)) and by pipe(8), as the manual says."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, Home, install
from tests.integration import postfix
from tests.integration.postfix import DOMAIN, PIPED, Postfix
from tests.rules import write_rested

RULES = """
if subject is "refuse me" { reject "no thanks, not today" }
if subject is "forward me" { forward "jo@senders.test" }
if envelope.from is null { file "Bounces" }
if envelope.to.detail exists { file "plus/{envelope.to.detail}" }
if from is "boss@example.com" { file "Work" }
if subject is "where are you" { vacation "I am away." }
"""
# Whole, so that Postfix has nothing to add to it.
MESSAGE = (
    b"From: Jo <jo@example.org>\r\nTo: robin@users.test\r\nDate: Mon, 16 Nov 2026 09:12:40 +0000\r\n"
    b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nGood morning.\r\n"
)

if not AS_ROOT:
    pytest.skip("Postfix needs root", allow_module_level=True)
if not postfix.MASTER.exists():
    pytest.skip("Postfix is not installed", allow_module_level=True)

each_way = pytest.mark.parametrize("domain", [DOMAIN, PIPED])


@pytest.fixture(scope="module")
def users_home(user: str, public_folder: Path) -> Home:
    path = public_folder / f"home-of-{user}"
    subprocess.run(["usermod", "--home", path, user], check=True)
    return Home.make(path, user)


@pytest.fixture(scope="module")
def mta(user: str, users_home: Home, public_folder: Path) -> Generator[Postfix]:
    installation = install(public_folder / "postfix-site")
    folder = Path(tempfile.mkdtemp(prefix="postfix-", dir=public_folder))
    folder.chmod(0o755)
    by_local = f'{installation.launcher} -a "$EXTENSION"'
    by_pipe = f"{installation.launcher} -f ${{sender}} -r ${{recipient}} -a ${{extension}}"
    with postfix.running(folder, user, users_home.uid, users_home.gid, by_local, by_pipe) as started:
        write_rested(installation.folder / "settings.toml", f'smarthost = "127.0.0.1:{started.port}"\n', mode=0o644)
        yield started


@pytest.fixture
def home(users_home: Home) -> Home:
    """The user's home, emptied, with the rules above."""
    for path in users_home.path.iterdir():
        shutil.rmtree(path)
    users_home.rules(RULES)
    return users_home


def folders(home: Home) -> list[str]:
    """The folder of each message: the inbox is an empty name."""
    return sorted(str(path.parent.parent).removeprefix(".") for path in home.messages())


@each_way
def test_a_message_is_delivered(mta: Postfix, home: Home, user: str, domain: str) -> None:
    outcome = mta.outcome(mta.send(f"{user}@{domain}", MESSAGE))
    assert (outcome.status, outcome.dsn) == ("sent", "2.0.0")
    assert folders(home) == [""]
    (stored,) = home.messages().values()
    assert stored.endswith(MESSAGE.replace(b"\r\n", b"\n"))
    assert not stored.startswith(b"From ")


@each_way
def test_a_rule_of_the_users_files_it(mta: Postfix, home: Home, user: str, domain: str) -> None:
    outcome = mta.outcome(mta.send(f"{user}@{domain}", MESSAGE.replace(b"jo@example.org", b"boss@example.com")))
    assert outcome.status == "sent"
    assert folders(home) == ["Work"]


@each_way
def test_the_detail_of_a_plus_address_reaches_the_rules(mta: Postfix, home: Home, user: str, domain: str) -> None:
    assert mta.outcome(mta.send(f"{user}+shop@{domain}", MESSAGE)).status == "sent"
    assert folders(home) == ["plus.shop"]


@each_way
def test_the_null_sender_of_a_bounce_reaches_the_rules(mta: Postfix, home: Home, user: str, domain: str) -> None:
    assert mta.outcome(mta.send(f"{user}@{domain}", MESSAGE, sender="")).status == "sent"
    assert folders(home) == ["Bounces"]


@each_way
def test_eight_bit_bytes_arrive_as_they_were_sent(mta: Postfix, home: Home, user: str, domain: str) -> None:
    message = MESSAGE.replace(b"hello", b"caf\xe9").replace(b"morning", bytes(range(128, 256)))
    assert mta.outcome(mta.send(f"{user}@{domain}", message)).status == "sent"
    (stored,) = home.messages().values()
    assert stored.endswith(message.replace(b"\r\n", b"\n"))


@each_way
def test_a_message_waits_in_the_queue_while_the_mailbox_cannot_be_written(
    mta: Postfix, home: Home, user: str, domain: str
) -> None:
    maildir = home.folder("Maildir", mode=0o500)
    queued = mta.send(f"{user}@{domain}", MESSAGE)
    outcome = mta.outcome(queued)
    assert outcome.status == "deferred"
    assert outcome.dsn.startswith("4.")
    assert folders(home) == []
    maildir.chmod(0o700)
    mta.retry()
    assert mta.outcome(queued).status == "sent"
    assert folders(home) == [""]


@each_way
def test_a_message_waits_in_the_queue_while_the_rules_are_broken(
    mta: Postfix, home: Home, user: str, domain: str
) -> None:
    home.rules("if if if")
    queued = mta.send(f"{user}@{domain}", MESSAGE)
    assert mta.outcome(queued).status == "deferred"
    home.rules('file "Repaired"')
    mta.retry()
    assert mta.outcome(queued).status == "sent"
    assert folders(home) == ["Repaired"]


@each_way
def test_a_refused_message_comes_back_with_the_text_of_the_rule(
    mta: Postfix, home: Home, user: str, domain: str
) -> None:
    queued = mta.send(f"{user}@{domain}", MESSAGE.replace(b"hello", b"refuse me"))
    outcome = mta.outcome(queued)
    assert (outcome.status, outcome.dsn[0]) == ("bounced", "5")
    assert "no thanks, not today" in outcome.text
    assert b"no thanks, not today" in mta.bounce_of(queued)
    assert folders(home) == []


@each_way
def test_a_forward_goes_out_by_the_same_server(mta: Postfix, home: Home, user: str, domain: str) -> None:
    message = MESSAGE.replace(b"hello", b"forward me").replace(b"<1@", f"<{domain}@".encode())
    assert mta.outcome(mta.send(f"{user}+shop@{domain}", message)).status == "sent"
    assert folders(home) == []
    arrived = mta.arrived(f"<{domain}@".encode())
    assert f"Delivered-To: {user}".encode() in arrived
    assert arrived.endswith(message.replace(b"\r\n", b"\n"))


@each_way
def test_an_answer_reaches_the_sender_by_the_same_server(mta: Postfix, home: Home, user: str, domain: str) -> None:
    message = MESSAGE.replace(b"hello", b"where are you").replace(b"<1@", f"<away.{domain}@".encode())
    message = message.replace(b"robin@users.test", f"{user}@{domain}".encode())
    assert mta.outcome(mta.send(f"{user}@{domain}", message)).status == "sent"
    assert folders(home) == [""]
    arrived = mta.arrived(f"In-Reply-To: <away.{domain}@".encode())
    assert arrived.startswith(b"Return-Path: <>\n")
    assert f"\nFrom: {user}@{domain}\n".encode() in arrived
    assert b"\nAuto-Submitted: auto-replied\n" in arrived
    assert arrived.endswith(b"\n\nI am away.\n")
