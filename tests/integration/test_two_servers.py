"""Two hosts with nothing but pydeliver, each in a network of its own: mutt here writes to mutt there.

mutt hands a mail to the server of its own host, which asks a name server for the other domain's MX and passes the mail
on at port 25; there rules sort it, and a mutt reads it. Hosts are network namespaces (ip-netns(8)), joined by a cable.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, ROOT, Home, Installation, new_user
from tests.lmtp import Served, served
from tests.mutt import copied, sent

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="needs root, to make networks")

HERE, THERE = "10.99.7.1", "10.99.7.2"
NAMES = {"here.test": HERE, "there.test": THERE}
ZONES = {
    **{domain: {"MX": [f"10 mail.{domain}."]} for domain in NAMES},
    **{f"mail.{domain}": {"A": [address]} for domain, address in NAMES.items()},
    "nobody.test": {"MX": ["0 ."]},
}
NAME_SERVER = """
import json, signal, sys
from tests.dns import NameServer
with NameServer(json.loads(sys.argv[1]), sys.argv[2], 53):
    print("ready", flush=True)
    signal.pause()
"""


@contextmanager
def networks() -> Generator[dict[str, str]]:
    """Two namespaces with a cable between them, by the domain whose host lives there."""
    made = {domain: f"pyd{os.getpid()}{domain[0]}" for domain in NAMES}
    with ExitStack() as stack:
        for name in made.values():
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        first, second = made.values()
        ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        for domain, address in NAMES.items():
            for command in (
                ["addr", "add", f"{address}/24", "dev", "cable"],
                ["link", "set", "cable", "up"],
                ["link", "set", "lo", "up"],
            ):
                ip("-n", made[domain], *command)
        yield made


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def name_server(network: str) -> Generator[None]:
    command = ["ip", "netns", "exec", network, sys.executable, "-c", NAME_SERVER, json.dumps(ZONES), HERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.terminate()


class Host:
    """A user of this machine stands for the only one of a host; the server has his mail."""

    def __init__(self, installation: Installation, folder: Path, domain: str, user: str) -> None:
        self.installation, self.domain, self.user = installation, domain, user
        self.folder = folder / domain
        self.folder.mkdir()
        self.home = self.folder / "home"

    def at_home(self) -> Home:
        return Home.make(self.home, self.user)

    @contextmanager
    def served(self, network: str) -> Generator[Served]:
        address = f"{self.user}@{self.domain}"
        (self.folder / "users").write_text(f"{address} {self.home}\npostmaster@{self.domain} = {address}\n")
        settings = (
            f'server.name = "mail.{self.domain}"\nserver.user = "{self.user}"\nusers.kind = "virtual"\n'
            f'users.home = "{self.home}"\nusers.file = "{self.folder}/users"\ndomains = ["{self.domain}"]\n'
            f'smtp.listen = ["0.0.0.0:25"]\nsmtp.trusted = ["127.0.0.0/8"]\nsmtp.nameservers = ["{HERE}"]\n'
            f'smtp.state = "{self.folder}/state"\n'
        )
        with served(self.installation, self.folder, settings, before=["ip", "netns", "exec", network]) as running:
            yield running


def test_mutt_here_writes_to_mutt_there_and_back(installation: Installation, public_folder: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="two-", dir=public_folder))
    folder.chmod(0o755)
    with ExitStack() as stack:
        jo = stack.enter_context(new_user(f"jo{os.getpid()}"))
        kim = stack.enter_context(new_user(f"kim{os.getpid()}"))
        here, there = [Host(installation, folder, domain, user) for domain, user in zip(NAMES, (jo, kim), strict=True)]
        nets = stack.enter_context(networks())
        stack.enter_context(name_server(nets["here.test"]))
        for host in (here, there):
            host.at_home().rules('if subject contains "report" { mark flagged; file "Work" }\n')
            stack.enter_context(host.served(nets[host.domain]))
        enter = ["ip", "netns", "exec", nets["here.test"]]
        assert sent(here.at_home(), f"{jo}@here.test", f"{kim}@there.test", "the report", "Grüße\n", before=enter) == ""
        (found,) = copied(there.at_home(), there.home / "Maildir/.Work")
        assert b"Subject: the report" in found
        assert found.count(b"\nReceived: from ") == 2
        back = ["ip", "netns", "exec", nets["there.test"]]
        assert sent(there.at_home(), f"{kim}@there.test", f"{jo}@here.test", "Re: hello", "yes\n", before=back) == ""
        (found,) = copied(here.at_home(), here.home / "Maildir")
        assert b"Subject: Re: hello" in found
        nobody = sent(here.at_home(), f"{jo}@here.test", f"{kim}@nobody.test", "x", "x\n", before=enter)
        assert "5.1.10" in nobody
        stranger = sent(here.at_home(), f"{jo}@here.test", "nobody@there.test", "x", "x\n", before=enter)
        assert "there is no such user" in stranger
