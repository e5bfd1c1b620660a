"""Root's rules and policy over an ordinary user's, in the installed program: as root for him, and as himself."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, PATIENCE, Home, Installation, install

if not AS_ROOT:
    pytest.skip("rules of root's over another user's need root", allow_module_level=True)

MESSAGE = b"From: Jo <jo@example.org>\nSubject: hello\n\nGood morning.\n"
SETTINGS = 'policy = "hosted"\n[rules]\nbefore = "{0}/before.rules"\nafter = "{0}/after.rules"\n'


@pytest.fixture(scope="module")
def installed(public_folder: Path) -> Installation:
    return install(public_folder / "ruled", SETTINGS.format(public_folder / "ruled"))


@pytest.fixture
def site(installed: Installation) -> Path:
    """The site's folder, with rules that are old enough to be used."""
    for name, text in (("before", 'label "seen-by-site"\n'), ("after", 'file "After"\n')):
        path = installed.folder / f"{name}.rules"
        path.write_text(text)
        path.chmod(0o644)
        os.chown(path, 0, 0)
        os.utime(path, (1, 1))
    os.utime(installed.folder / "settings.toml", (1, 1))
    return installed.folder


@pytest.fixture
def his(user: str, public_folder: Path) -> Home:
    path = Path(tempfile.mkdtemp(prefix="home-", dir=public_folder))
    subprocess.run(["usermod", "--home", path, user], check=True)
    return Home.make(path, user)


def deliver(how: str, installed: Installation, his: Home, user: str) -> subprocess.CompletedProcess[bytes]:
    if how == "as himself":
        return his.deliver(installed, MESSAGE)
    return subprocess.run(
        [installed.launcher, "-d", user], input=MESSAGE, cwd="/", capture_output=True, check=False, timeout=PATIENCE
    )


each_way = pytest.mark.parametrize("how", ["as root", "as himself"])


@each_way
def test_roots_rules_hold_for_the_user(how: str, installed: Installation, site: Path, his: Home, user: str) -> None:
    his.rules('if subject is "other" { keep }\n')
    done = deliver(how, installed, his, user)
    assert (done.returncode, done.stderr) == (0, b"")
    (path,) = his.messages()
    assert path.parts[0] == ".After"
    assert (his.path / "Maildir/.After/dovecot-keywords").read_text().split()[-1] == "seen-by-site"


@each_way
def test_no_user_takes_their_place(how: str, installed: Installation, site: Path, his: Home, user: str) -> None:
    his.rules("keep\n")
    os.chown(site / "before.rules", his.uid, his.gid)
    done = deliver(how, installed, his, user)
    assert (done.returncode, b"belongs to" in done.stderr) == (75, True), done.stderr
    assert his.messages() == {}


@each_way
def test_roots_policy_binds_the_user(how: str, installed: Installation, site: Path, his: Home, user: str) -> None:
    his.rules('file "mbox:~/.ssh/authorized_keys"\n')
    done = deliver(how, installed, his, user)
    assert (done.returncode, b"is outside of" in done.stderr) == (75, True), done.stderr
    assert not (his.path / ".ssh").exists()
    judged = subprocess.run(
        installed.command("check", "--config", site / "settings.toml"),
        env=his.environment(),
        capture_output=True,
        check=False,
        **his.identity,
    )
    assert (judged.returncode, b"main.rules:1:6: " in judged.stdout) == (65, True)


def test_rules_of_roots_that_the_user_may_not_read_make_mail_wait(
    installed: Installation, site: Path, his: Home, user: str
) -> None:
    (site / "after.rules").chmod(0o600)
    done = deliver("as root", installed, his, user)
    assert (done.returncode, b"cannot be read" in done.stderr) == (75, True), done.stderr
