"""What a server goes by, and everything that is wrong with it, told before it listens."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from pydeliver.receiver import gate_of, prepared
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
    made = prepared(str(config), {}, as_root)
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


PUBLIC = """
smtp.listen = ["127.0.0.1:2525"]
domains = ["example.net"]
server.user = "mail"
users.kind = "virtual"
users.home = "/srv/mail/{domain}/{user}"
users.database = "/srv/mail/users.sqlite"
policy = "hosted"
"""


def mistakes_at_the_gate(config: Path, text: str) -> list[str]:
    config.write_text(text)
    made = prepared(str(config), {}, True)
    assert [one.message for one in (*made.mistakes, *made.doubts)] == []
    return [one.message for one in gate_of(made)[1]]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", ""),
        ('smtp.clients = ["192.0.2.0/33"]', "smtp.clients: 192.0.2.0/33 is no network"),
        ('smtp.trusted = ["localhost"]', "smtp.trusted: localhost is no network"),
        ('smtp.nameservers = ["dns.example.net"]', "smtp.nameservers: dns.example.net is no address"),
        ('smtp.key = "/etc/x.key"', "smtp.key: it belongs to a certificate"),
        ('smtp.submission = ["127.0.0.1:587"]', "smtp.submission: who hands over his own mail logs in, in TLS"),
        ('smtp.certificate = "/nowhere/x.pem"', "smtp.certificate, smtp.key: [Errno 2]"),
        ('smtp.passwords = "/nowhere/passwords"', "/nowhere/passwords does not exist"),
        ('onward.login = "/nowhere/login"', "/nowhere/login does not exist"),
    ],
)
def test_what_is_wrong_at_the_gate_is_told(config: Path, more: str, told: str) -> None:
    found = mistakes_at_the_gate(config, PUBLIC + more)
    assert len(found) == bool(told)
    assert all(one.startswith(told) for one in found)


def test_whose_domains_it_has_must_be_said(config: Path) -> None:
    (found,) = mistakes_at_the_gate(config, PUBLIC.replace("domains", "# domains"))
    assert found.startswith("domains: which are yours?")


@pytest.mark.parametrize("place", ["unix:/run/x", "example.net", ":25", "25"])
def test_it_listens_to_the_network_at_a_host_and_a_port(config: Path, place: str) -> None:
    (found,) = mistakes(config, PUBLIC.replace("127.0.0.1:2525", place))
    assert found.startswith("error: smtp.listen: it is a list of places like")


def test_nobody_who_reads_the_mail_of_the_postmaster_is_a_doubt(config: Path) -> None:
    users = config.with_name("users")
    text = PUBLIC.replace('users.database = "/srv/mail/users.sqlite"', f'users.file = "{users}"')
    users.write_text("jo@example.net\n")
    (found,) = mistakes(config, text)
    assert 'write "postmaster@example.net = somebody"' in found
    users.write_text("jo@example.net\npostmaster@example.net = jo@example.net\n")
    assert mistakes(config, text) == []
