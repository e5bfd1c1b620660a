"""As many messages as a busy host has in a night (G28): all stored, and the server as large as before.

smtp-source sends, by LMTP and by SMTP, in sizes drawn from real mail; rules sort. Memory may not grow by more than 1 kB
for each 1,000 messages from when the server is warm, descriptors by 2, and nobody is left a zombie. The careless judge
weighs itself while it keeps every message, and must be caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import linear_regression

from tests import corpora
from tests.installation import AS_ROOT, new_user
from tests.torture.bench import Bench, missing, unproven
from tests.torture.entrances import Entrance, opened
from tests.torture.report import DOORS, Row
from tests.torture.weight import Weight
from tests.virtual import Site

PART = "soak"
SAMPLE, MESSAGES = 2_000, 200_000  # by each door
ROUND = 1_000  # messages between two scales
WARM = 0.2  # of all rounds
SLOPE = 1.0  # kB for each 1,000 messages
FILES = 2
MUCH = 64 << 20  # bytes that the careless keeps of a round: more than a process may have lying about, freed but kept
SMALLEST, LARGEST = 100, 1 << 20  # bytes; a few in the corpus are larger
USERS = 10
RULES = """
if size > 20 KB { file "Large" }
if body contains "XX" { file "lists/{from.local}" }
"""


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        why = missing("smtp-source")
        try:
            sizes = [] if why else [path.stat().st_size for path in corpora.spam_assassin()]
        except corpora.Unavailable as error:
            why = str(error)
        if why:
            yield unproven(PART, "messages", agent, why)
            continue
        for door in DOORS[:1] if agent == "careless" else DOORS:
            with ExitStack() as stack:
                owner = stack.enter_context(new_user(f"soaks{os.getpid()}")) if AS_ROOT else ""
                folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
                folder.chmod(0o755)
                site = Site(bench.site.installation, folder, owner)
                users = [f"u{number}@example.net" for number in range(USERS)]
                site.users.write_text("\n".join(users))
                for user in users:
                    site.rules(user, RULES)
                running, entrance = stack.enter_context(opened(site.served, door, folder))
                weight = Weight(os.getpid() if agent == "careless" else running.process.pid)
                yield soak(bench, Row(PART, f"messages {door}", agent), site, entrance, weight, users, sizes)
                shutil.rmtree(site.mail)


def soak(
    bench: Bench, row: Row, site: Site, entrance: Entrance, weight: Weight, users: list[str], sizes: list[int]
) -> Row:
    agent, chance = row.agent, bench.chance(PART)
    kept = []
    rounds = bench.size(agent, SAMPLE, MESSAGES) // ROUND
    for _ in range(rounds):
        send(entrance, users, [min(max(chance.choice(sizes), SMALLEST), LARGEST) for _ in users], row)
        weight.weigh()
        if agent == "careless":
            kept.append(b"x" * MUCH)
    warm = weight.scales[int(len(weight.scales) * WARM) :]
    slope = linear_regression(range(len(warm)), [scale.kb for scale in warm]).slope
    stored = sum(1 for user in users for part in ("new", "cur") for _ in site.home(user).glob(f"Maildir/**/{part}/*"))
    row.told |= {"stored": stored, "kB": warm[-1].kb, "kB per 1,000": slope, "files": warm[-1].files}
    row.told |= {"largest worker kB": weight.largest_worker_kb}
    row.bad.update({"not stored": rounds * ROUND - stored} if stored != rounds * ROUND else {})
    # over few rounds, pages more or less are not a slope
    row.bad.update({"grows": 1} if slope > SLOPE and (agent == "careless" or rounds > SAMPLE // ROUND) else {})
    row.bad.update({"descriptors": 1} if warm[-1].files - warm[0].files > FILES else {})
    row.bad.update({"zombies": warm[-1].zombies} if warm[-1].zombies else {})
    return row


def send(entrance: Entrance, users: list[str], lengths: list[int], row: Row) -> None:
    """A round of messages: each user's of one size."""
    each = ROUND // len(users)
    where = [f"inet:127.0.0.1:{entrance}"] if isinstance(entrance, int) else ["-L", f"unix:{entrance}"]
    clients = [
        subprocess.Popen(
            [*"smtp-source -s 1 -f jo@example.org".split(), "-t", user, "-m", str(each), "-l", str(length), *where]
        )
        for user, length in zip(users, lengths, strict=True)
    ]
    for client in clients:
        failed = client.wait() != 0
        for _ in range(each):
            row.add(["client failed"] * failed)
