"""How fast a real Postfix gets rid of its mail: to our server, to one that throws it away, to a procmail a message.

Each takes the same messages in turn, ROUNDS times, in one run; time runs from the first message that Postfix is given
until it has logged the last as sent. Our server's part is not seen if the rate is that of `smtp-sink -L`, which is
Postfix's own. Run as root from the top of the checkout: `python -m tests.benchmarks.handover`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.delivery import message
from tests.benchmarks.lmtp import SUBJECT, virtual
from tests.installation import install, new_user, public_folder
from tests.integration import postfix
from tests.integration.postfix import PIPED, Postfix
from tests.lmtp import PATIENCE, free_port, listens, until

HERE: Final = Path(__file__).parent
ROUNDS: Final = 5
MESSAGES: Final = 1000
SESSIONS: Final = 10
USERS: Final = 10
GOAL: Final = 0.9  # of the rate into smtp-sink
OURS, SINK = "example.net", "sink.test"


@contextmanager
def sink(port: int) -> Generator[None]:
    process = subprocess.Popen(["smtp-sink", "-L", "-u", "nobody", f"127.0.0.1:{port}", "1000"])
    try:
        until(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def rate(mta: Postfix, domain: str, names: list[str], mail: Path) -> float:
    """Messages a second from the first given to the last sent."""
    log = mta.folder / "log"
    before = log.read_bytes().count(b"status=sent")
    begun = time.perf_counter()
    share = MESSAGES // len(names)
    source = ["smtp-source", "-s", str(SESSIONS // len(names) or 1), "-m", str(share), "-F", str(mail)]
    place = f"127.0.0.1:{mta.port}"
    clients = [subprocess.Popen([*source, "-f", "jo@senders.test", "-t", f"{name}@{domain}", place]) for name in names]
    if any([client.wait() for client in clients]):
        sys.exit(f"a client for {domain} failed")
    until(lambda: log.read_bytes().count(b"status=sent") >= before + share * len(names))
    return share * len(names) / (time.perf_counter() - begun)


def main() -> int:
    with public_folder() as folder, ExitStack() as stack:
        names = [f"lm{number}" for number in range(USERS)]
        user = stack.enter_context(new_user(f"ho{os.getpid()}"))
        entry = pwd.getpwnam(user)
        (ours, _) = stack.enter_context(virtual(install(folder / "site"), folder, names))
        stack.enter_context(sink(port := free_port()))
        procmail = shutil.copyfile(str(shutil.which("procmail")), folder / "procmail")  # without its set-user-ID bit
        procmail.chmod(0o755)
        rules = shutil.copyfile(HERE / "twenty.procmailrc", folder / "procmailrc")
        rules.chmod(0o644)
        box = folder / "box"
        box.mkdir()
        os.chown(box, entry.pw_uid, entry.pw_gid)
        mail = folder / "message"
        mail.write_bytes(message(SUBJECT))
        place = folder / "postfix"
        place.mkdir()
        by_procmail = f"/usr/bin/env BOX={box} {procmail} -p {rules}"
        transports = {OURS: f"lmtp:inet:127.0.0.1:{ours.port}", SINK: f"lmtp:inet:127.0.0.1:{port}"}
        mta = stack.enter_context(
            postfix.running(place, user, entry.pw_uid, entry.pw_gid, "/bin/false", by_procmail, transports)
        )
        rates: dict[str, list[float]] = {OURS: [], SINK: [], PIPED: []}
        for number in range(ROUNDS + 1):
            for domain, found in rates.items():
                one = rate(mta, domain, names, mail)
                if number:  # the first warms up
                    found.append(one)
    middle = {domain: statistics.median(found) for domain, found in rates.items()}
    for domain, shown in ((OURS, "pydeliver by LMTP"), (SINK, "smtp-sink -L"), (PIPED, "procmail, one a message")):
        print(f"{shown:24} {middle[domain]:6.0f} messages/s")
    ratio = middle[OURS] / middle[SINK]
    print(f"{ratio:.2f} x the rate into smtp-sink, goal {GOAL}; {middle[OURS] / middle[PIPED]:.2f} x procmail's")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
