"""What a server goes by, and everything that is wrong with it, told before it listens."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from pydeliver.receiver import prepared
from tests.installation import Installation

GOOD = """
server.lmtp = ["127.0.0.1:2424"]
server.user = "mail"
users.kind = "virtual"
users.home = "/srv/mail/{domain}/{user}"
users.database = "/srv/mail/users.sqlite"
policy = "hosted"
"""


@pytest.fixture
def config(public_folder: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=public_folder))
    folder.chmod(0o755)
    return folder / "settings.toml"


def mistakes(config: Path, text: str, as_root: bool = True) -> list[str]:
    config.write_text(text)
    made = prepared(str(config), (), as_root)
    return [f"{one.severity}: {one.message}" for one in (*made.mistakes, *made.doubts)]


def test_what_is_right_is_told_nothing(config: Path) -> None:
    assert mistakes(config, GOOD) == []
    assert mistakes(config, 'server.lmtp = ["unix:/run/x"]') == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["127.0.0.1:2424"]', "[]", "error: server.lmtp: nothing is listened at"),
        ('["127.0.0.1:2424"]', '["localhost"]', "error: server.lmtp: it is a list of places"),
        (
            "users.database",
            "# ",
            "error: users.kind: who the virtual users are is said by users.file or users.database",
        ),
        ("users.home", "# ", "error: users.home: where virtual users have their mail"),
        ('"virtual"', '"local"', "error: users.database: a database has virtual users"),
        ('"mail"', '"nobody-at-all"', "error: server.user: there is no user nobody-at-all"),
        ('"mail"', '"nobody"', "error: server.user: virtual users need a user who owns their mail"),
        (
            "policy",
            'server.socket-group = "no-group"\npolicy',
            "error: server.socket-group: there is no group no-group",
        ),
        ("policy", 'users.file = "/nowhere/users"\npolicy', "error: /nowhere/users does not exist"),
        ('"hosted"', '"open"', "warning: policy: rules of virtual users run programs"),
    ],
)
def test_what_is_wrong_is_told(config: Path, old: str, new: str, told: str) -> None:
    (found,) = mistakes(config, GOOD.replace(old, new))
    assert found.startswith(told)


def test_only_root_delivers_for_others(config: Path) -> None:
    (found,) = mistakes(config, 'server.lmtp = ["unix:/run/x"]', as_root=False)
    assert found == "error: users.kind: only root can deliver for other users of this system"


def test_a_check_listens_at_nothing(installation: Installation, config: Path) -> None:
    command = installation.command("serve", "--check-config", "--config", config)
    for text, code, said in ((GOOD, 0, "fine: 127.0.0.1:2424\n"), ("server.lmtp = 1", 65, "")):
        config.write_text(text)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (code, said)
        assert (code == 0) == (not done.stderr)
