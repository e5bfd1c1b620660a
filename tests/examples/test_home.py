"""The home server of `examples/home`: what it shows is run, with other places for its files and its ports."""

from __future__ import annotations

import imaplib
import os
import re
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.installation import AS_ROOT, ROOT, Home, Installation, new_user
from tests.lmtp import PATIENCE, end_family, free_port, listens, until
from tests.nexthop import NextHop, certificate

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="needs root, as Dovecot does")

PASSWORD = "correct horse"
MESSAGE = b"From: Jo <jo@home.example>\r\nTo: kim@home.example\r\nSubject: dinner\r\n\r\nat eight?\r\n"


def copied(name: str, folder: Path, changed: Mapping[str, str]) -> Path:
    """A file of the example with what differs on this machine; each of these has to stand in it."""
    text = (ROOT / "examples" / "home" / name).read_text()
    for old, new in changed.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return path


@contextmanager
def started(command: list[str | Path], port: int) -> Generator[None]:
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]})
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        end_family(process.pid)


def test_who_lives_there_writes_to_each_other_and_to_others(installation: Installation, public_folder: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=public_folder))
    folder.chmod(0o755)
    owner = f"vmail{os.getpid()}"
    port, submissions, imap = free_port(), free_port(), free_port()
    pem = certificate(folder, "mail.home.example")
    provider = certificate(folder, "mail.provider.example")
    with new_user(owner), NextHop(certificate=provider) as hop:
        (folder / "mail.pem").write_bytes(pem.read_bytes())
        (folder / "smarthost").write_text("jo:secret\n")
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "passwords").write_text("".join([f"{user}@home.example:{hashed}\n" for user in ("jo", "kim")]))
        for name in ("mail.pem", "smarthost", "passwords"):
            (folder / name).chmod(0o600)
        (folder / "passwords").chmod(0o640)
        subprocess.run(["chown", "root:dovecot", folder / "passwords"], check=True)
        (folder / "mail").mkdir()
        subprocess.run(["chown", owner, folder / "mail"], check=True)
        rules = Home.make(folder / "mail/kim", owner)
        rules.rules('if subject contains "dinner" { mark flagged; file "Home" }\n')
        places = {"/etc/pydeliver/": f"{folder}/", "/srv/mail": f"{folder}/mail", "vmail": owner}
        copied("users", folder, {})
        settings = copied(
            "settings.toml",
            folder,
            {
                **places,
                "0.0.0.0:25": f"127.0.0.1:{port}",
                "0.0.0.0:465": f"127.0.0.1:{submissions}",
                "mail.provider.example:465": f"127.0.0.1:{hop.port}",
            },
        )
        conf = copied("dovecot.conf", folder, places)
        more = f"base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nfirst_valid_uid = 1\n"
        listeners = f"inet_listener imap {{\nport = 0\n}}\ninet_listener imaps {{\nport = {imap}\n}}\n"
        more += f"service imap-login {{\n{listeners}}}\n"
        conf.write_text(conf.read_text() + more)
        trusting = ssl.create_default_context(cafile=str(pem))
        trusting.check_hostname = False
        serve = installation.command("serve", "--config", settings)
        with started([*serve], port), started(["dovecot", "-F", "-c", conf], imap):
            with smtplib.SMTP_SSL("127.0.0.1", submissions, "laptop", context=trusting, timeout=PATIENCE) as client:
                client.login("jo@home.example", PASSWORD)
                client.sendmail("jo@home.example", ["family@home.example"], MESSAGE)
                client.mail("jo@home.example")
                code, said = client.rcpt("friend@elsewhere.example")
                assert (code, b"certificate" in said) == (451, True), (
                    said
                )  # the provider's is not one that this host trusts
            with imaplib.IMAP4_SSL("127.0.0.1", imap, ssl_context=trusting, timeout=PATIENCE) as reader:
                reader.login("kim@home.example", PASSWORD)
                assert reader.select("Home")[0] == "OK"
                _, found = reader.fetch("1:*", "(FLAGS BODY.PEEK[])")
    ((flags, text), *_) = found
    assert re.search(rb"FLAGS \(\\Flagged", flags)
    assert text.endswith(MESSAGE)
