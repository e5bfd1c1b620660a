"""The resident server, with real workers: what it answers, where mail is then, and what it survives."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import sqlite3
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from pydeliver.receiver.incoming import HELD
from tests.installation import AS_ROOT, Installation, new_user
from tests.lmtp import Client, Served, free_port, served, until
from tests.virtual import USERS, Site

MESSAGE = b"From: jo@example.org\nTo: robin@example.net\nSubject: hello\nMessage-ID: <1@example.org>\n\nbody\n"


def test_a_message_is_stored_below_what_the_last_server_writes(site: Site) -> None:
    with site.served() as running, running.client() as client:
        assert client.send(MESSAGE, ["Robin+shop@Example.NET"]) == ["250 2.0.0 delivered"]
    (stored,) = site.messages("robin@example.net")
    trace = (
        rb"Return-Path: <jo@example\.org>\n"
        rb"Delivered-To: Robin\+shop@Example\.NET\n"
        rb"Received: from client\.example\.net\n"
        rb"\tby mx\.example\.net \(pydeliver\) with LMTP id [0-9A-F]{12}\n"
        rb"\tfor <Robin\+shop@Example\.NET>; \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n"
    )
    assert re.fullmatch(trace + re.escape(MESSAGE), stored)


def test_each_recipient_has_a_reply_of_his_own(site: Site) -> None:
    site.rules("kim@example.net", 'reject "no mail, please"\n')
    with site.served() as running, running.client() as client:
        recipients = ["robin@example.net", "sales+x@example.net", "anybody@example.com", "robin@example.net"]
        assert client.begin([*recipients, "nobody@example.net"])[-1] == "550 5.1.1 there is no such user"
        replies = client.finish(MESSAGE, 4)
    assert replies == [
        "250 2.0.0 delivered",
        "550 5.7.1 no mail, please",
        "250 2.0.0 delivered",
        "250 2.0.0 delivered",
    ]
    assert len(site.messages("robin@example.net")) == 2  # as himself, given twice, and as anybody
    assert site.messages("kim@example.net") == []


def test_broken_rules_of_one_keep_nobody_else_from_his_mail(site: Site) -> None:
    site.rules("kim@example.net", "if subject conta\n")
    with site.served() as running, running.client() as client:
        kims, robins = client.send(MESSAGE, ["kim@example.net", "robin@example.net"])
        assert kims.startswith("451 4.3.5 ")
        assert robins == "250 2.0.0 delivered"


def test_a_large_message_goes_to_several_whole(site: Site) -> None:
    message = MESSAGE + b"".join([b"%07d %s\n" % (number, b"x" * 60) for number in range(80_000)])
    with site.served() as running, running.client() as client:
        assert client.send(message, ["robin@example.net", "kim@example.net"]) == ["250 2.0.0 delivered"] * 2
    for user in ("robin@example.net", "kim@example.net"):
        (stored,) = site.messages(user)
        assert stored.endswith(message)
        assert not list(site.home(user).glob("Maildir/tmp/*"))


@pytest.mark.parametrize("size", [HELD - 100, HELD, HELD + 100, 2 * HELD])
def test_a_message_goes_into_a_file_also_where_its_end_comes_with_it(site: Site, size: int) -> None:
    message = MESSAGE + b"x" * (size - len(MESSAGE) - 1) + b"\n"
    with site.served() as running, running.client() as client:
        assert client.send(message, ["robin@example.net"]) == ["250 2.0.0 delivered"]
    (stored,) = site.messages("robin@example.net")
    assert stored.endswith(message)


def test_what_is_too_large_is_refused_for_each_and_the_session_goes_on(site: Site) -> None:
    with site.served("server.size = 1\n") as running, running.client() as client:
        refused = "552 5.3.4 the message is larger than 1048576 bytes"
        assert client.send(MESSAGE + b"x" * (1 << 20), ["robin@example.net", "kim@example.net"]) == [refused] * 2
        assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


def test_a_worker_that_is_killed_leaves_a_message_to_be_tried_again(site: Site) -> None:
    site.rules("kim@example.net", 'pipe "sleep 1000"\n')
    with site.served() as running, running.client() as client:
        client.begin(["kim@example.net", "robin@example.net"])
        with ThreadPoolExecutor(1) as pool:
            replies = pool.submit(client.finish, MESSAGE, 2)
            until(lambda: any([running.children(one) for one in running.workers]))
            (busy,) = [one for one in running.workers if running.children(one)]
            (program,) = running.children(busy)
            os.kill(busy, signal.SIGKILL)
            os.kill(program, signal.SIGKILL)
            assert replies.result() == ["451 4.3.0 the delivery was cut short", "250 2.0.0 delivered"]
        assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


def test_a_worker_that_died_of_boredom_is_replaced_unseen(site: Site) -> None:
    with site.served() as running, running.client() as client:
        client.send(MESSAGE, ["robin@example.net"])
        (idle,) = running.workers
        os.kill(idle, signal.SIGKILL)
        until(lambda: not running.workers)
        assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]
        assert running.workers != [idle]


def test_no_rules_keep_another_user_waiting(site: Site) -> None:
    """One user's programs hang in as many deliveries as he may have, and more wait for him."""
    site.rules("kim@example.net", 'pipe "sleep 1000"\n')
    with site.served("server.workers = 5\n") as running, ExitStack() as stack:
        clients = [stack.enter_context(running.client()) for _ in range(8)]
        for one in clients:
            one.begin(["kim@example.net"])
            one.say("DATA")
            one.socket.sendall(b"Subject: %d\r\n\r\n.\r\n" % id(one))
        until(lambda: len([one for one in running.workers if running.children(one)]) == 4)
        with running.client() as client:
            assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


def test_who_does_not_wait_for_the_last_word_is_no_error(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with site.served('policy = "hosted"\n', port) as running:
        for _ in range(50):
            with Client(port) as client:
                assert client.greet().send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]
                client.socket.sendall(b"QUIT\r\n")
        assert running.stop() == 0
    assert capfd.readouterr().err == ""


def test_there_may_be_more_clients_than_descriptors_are_usual(site: Site) -> None:
    with site.served(before=["prlimit", "--nofile=64:4096"]) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.client()) for _ in range(100)]
        assert clients[-1].send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


def test_sigterm_lets_what_is_under_way_end(site: Site) -> None:
    site.rules("kim@example.net", 'pipe shell "cat > /dev/null; sleep 2"\n')
    with site.served() as running, running.client() as busy, running.client() as idle:
        assert busy.begin(["kim@example.net"]) == ["250 2.1.5 recipient ok"]
        with ThreadPoolExecutor(1) as pool:
            replies = pool.submit(busy.finish, MESSAGE, 1)
            until(lambda: any([running.children(one) for one in running.workers]))
            running.process.send_signal(signal.SIGTERM)
            assert idle.hear() == "421 4.3.2 the server stops"
            assert replies.result() == ["250 2.0.0 delivered"]
        assert busy.hear() == "421 4.3.2 the server stops"
        assert running.process.wait(20) == 0


def test_nothing_is_left_when_the_server_is_killed(site: Site) -> None:
    with site.served() as running, running.client() as client:
        client.send(MESSAGE, ["robin@example.net"])
        left = [running.zygote, *running.workers]
        running.process.kill()
        until(lambda: not any([Path(f"/proc/{one}").exists() for one in left]))
    with site.served() as running, running.client() as client:  # its socket is in nobody's way
        assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


def test_sighup_reads_the_users_again(site: Site) -> None:
    with site.served() as running, running.client() as client:
        assert client.begin(["new@example.net"]) == ["550 5.1.1 there is no such user"]
        site.users.write_text(f"{USERS}new@example.net\n")
        running.process.send_signal(signal.SIGHUP)
        client.say("RSET")
        client.say("MAIL FROM:<jo@example.org>")
        until(lambda: client.say("RCPT TO:<new@example.net>") == "250 2.1.5 recipient ok")
        site.users.write_text("nonsense nonsense\n")
        running.process.send_signal(signal.SIGHUP)
        assert client.say("RCPT TO:<new@example.net>") == "250 2.1.5 recipient ok"  # a mistake changes nothing


def test_beyond_the_cap_a_client_is_told_so(site: Site) -> None:
    with site.served("server.connections = 2\n") as running, running.client(), running.client() as second:
        with Client(running.path) as third:
            assert third.hear() == "421 4.3.2 too many connections"
            assert third.hear() == ""
        assert second.say("QUIT") == "221 2.0.0 bye"
        until(lambda: _is_welcome(running))


def _is_welcome(running: Served) -> bool:
    with Client(running.path) as client:
        return client.hear().startswith("220 ")


def test_users_may_be_in_a_database(site: Site) -> None:
    place = site.folder / "users.sqlite"
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE users (address TEXT, home TEXT)")
        elsewhere = str(site.mail / "elsewhere")
        database.executemany(
            "INSERT INTO users VALUES (?, ?)", [("ann@example.net", None), ("bo@example.net", elsewhere)]
        )
    place.chmod(0o644)
    (site.mail / "elsewhere").mkdir(0o700)
    if AS_ROOT:
        os.chown(site.mail / "elsewhere", pwd.getpwnam(site.owner).pw_uid, -1)
    with site.served(f'users.database = "{place}"\n') as running, running.client() as client:
        assert client.send(MESSAGE, ["Ann+x@example.net", "bo@example.net"]) == ["250 2.0.0 delivered"] * 2
        assert client.begin(["cy@example.net"]) == ["550 5.1.1 there is no such user"]
        client.say("RSET")
        place.unlink()
        assert client.begin(["dan@example.net"]) == ["451 4.3.0 the users can't be asked"]
    assert len(site.messages("ann@example.net")) == 1
    assert len(list((site.mail / "elsewhere/Maildir/new").iterdir())) == 1


def test_where_nothing_is_mounted_nothing_is_made(site: Site) -> None:
    site.mail.rename(site.folder / "unmounted")
    with site.served() as running, running.client() as client:
        assert client.send(MESSAGE, ["robin@example.net"]) == ["451 4.3.5 the home directory does not exist"]
        (site.folder / "unmounted").rename(site.mail)
        assert client.send(MESSAGE, ["robin@example.net"]) == ["250 2.0.0 delivered"]


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
class TestUsersOfTheSystem:
    """A worker for each, who has become that user and has nothing of the server's."""

    @pytest.fixture
    def users(self, public_folder: Path) -> Generator[list[str]]:
        names = [f"lm{os.getpid()}a", f"lm{os.getpid()}b"]
        with new_user(names[0]), new_user(names[1]):
            for name in names:
                home = Path(pwd.getpwnam(name).pw_dir)
                home.mkdir(0o700)
                os.chown(home, pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)
            yield names

    def test_each_has_his_mail_and_his_worker(self, installation: Installation, users: list[str], site: Site) -> None:
        first, second = users
        homes = [Path(pwd.getpwnam(name).pw_dir) for name in users]
        with served(installation, site.folder, "") as running, running.client() as client:
            assert client.send(MESSAGE, [f"{first}@x.example", f"{second}+y@x.example"]) == ["250 2.0.0 delivered"] * 2
            assert client.begin(["nobody-at-all@x.example"]) == ["550 5.1.1 there is no such user"]
            owners = {Path(f"/proc/{one}").stat().st_uid for one in running.workers}
            assert owners == {pwd.getpwnam(name).pw_uid for name in users}
            assert Path(f"/proc/{running.process.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
            for one in running.workers:
                sockets = [os.readlink(path) for path in Path(f"/proc/{one}/fd").iterdir()]
                assert len([place for place in sockets if place.startswith("socket:")]) <= 2  # its own, and syslog
                status = Path(f"/proc/{one}/status").read_text()
                assert len(set(re.findall(r"\d+", *re.findall(r"^Uid:(.*)$", status, re.MULTILINE)))) == 1
                assert re.search(r"^Groups:\s*\d*\s*$", status, re.MULTILINE)
        for home in homes:
            (stored,) = (home / "Maildir/new").iterdir()
            assert stored.stat().st_uid == home.stat().st_uid


def test_an_address_in_use_is_not_taken_over(site: Site) -> None:
    with site.served():
        command = site.installation.command("serve", "--config", site.folder / "server.toml")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 66
        assert "Address already in use" in done.stderr


def test_it_says_how_it_is(site: Site) -> None:
    site.rules("kim@example.net", 'reject "no mail, please"\n')
    with site.served() as running, running.client() as client:
        client.send(MESSAGE, ["robin@example.net", "kim@example.net"])
        command = site.installation.command("serve", "status", "--config", site.folder / "server.toml")
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True)
        told = json.loads(done.stdout)
        assert told.pop("since").startswith("20")
        assert told.pop("connections") >= 2  # and who looked whether it listens
        assert told.pop("workers-idle") == told.pop("workers-started") == 2
        assert told == {"clients": 2, "delivered": 1, "deferred": 0, "refused": 1, "under-way": 0}
        running.stop()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (66, f"unix:{running.path}: Connection refused\n")


def test_prometheus_is_told(site: Site) -> None:
    port = free_port()
    with site.served(f'server.metrics = "127.0.0.1:{port}"\n') as running, running.client() as client:
        client.send(MESSAGE, ["robin@example.net"])
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
    assert 'pydeliver_deliveries_total{outcome="delivered"} 1.0' in lines
    assert "pydeliver_clients 1.0" in lines
