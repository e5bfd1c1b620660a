"""Transactions by LMTP with 1 to 1,000 recipients, each with a fate of his own (G25).

Who was accepted has one reply, in the order of acceptance, and it is his; what becomes of one changes nothing for
another. The careless client gives the replies to the recipients in the order of their names, and must be caught.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.installation import AS_ROOT, new_user
from tests.lmtp import Client, Served
from tests.torture.bench import Bench
from tests.torture.report import Row
from tests.virtual import Site

PART = "replies"
SAMPLES, TRANSACTIONS = 40, 10_000
CLIENTS = 6
MOST = 1000  # recipients
FATES = {  # what a recipient of the domain `NAME.example` is told, and the rules that make it so
    "ok": ("250 2.0.0 ", 'set mailboxes = "~/Maildir"\n'),
    "gone": ("250 2.0.0 ", "discard for good\n"),
    "never": ("550 5.7.1 no, never", 'reject "no, never"\n'),
    "later": ("451 4.7.1 not now", 'defer "not now"\n'),
    "broken": ("451 4.3.5 ", "if subject conta\n"),
    "full": ("452 4.2.2 ", ""),
    "unknown": ("550 5.1.1 there is no such user", ""),
}


def run(bench: Bench) -> Iterator[Row]:
    for agent in [one for one in bench.agents if one in ("careless", "pydeliver")]:
        row = Row(PART, f"1 to {MOST} recipients", agent)
        with ExitStack() as stack:
            owner = stack.enter_context(new_user(f"replies{os.getpid()}")) if AS_ROOT else ""
            folder = Path(tempfile.mkdtemp(dir=bench.site.folder))
            folder.chmod(0o755)
            site = Site(bench.site.installation, folder, owner)
            prepare(site)
            running = stack.enter_context(site.served("server.workers = 8\n"))
            stored = play(bench, agent, running, row)
            found = len(site.messages("ok@users.example"))
            if found != stored:
                row.add(["not stored once"], f"{found} of {stored}")
        yield row


def prepare(site: Site) -> None:
    """One user for each fate, who gets all of a domain's mail."""
    names = [name for name in FATES if name != "unknown"]
    lines = [f"{name}@users.example\n@{name}.example = {name}@users.example\n" for name in names]
    site.users.write_text("".join(lines))
    for name in names:
        site.rules(f"{name}@users.example", FATES[name][1])
    for part in ("tmp", "new", "cur"):
        site.at("full@users.example").folder(f"Maildir/{part}")
    site.at("full@users.example").file("Maildir/maildirsize", "1S\n2 1\n")


def play(bench: Bench, agent: str, running: Served, row: Row) -> int:
    """Lead all transactions; how many copies have to be stored."""
    count = bench.size(agent, SAMPLES, TRANSACTIONS)

    def lead(share: int) -> Iterator[tuple[list[str], str, int, int]]:
        chance = bench.chance(PART, str(share))
        with running.client() as client:
            for number in range(share, count, CLIENTS):
                yield transact(client, chance, number, agent == "careless")

    stored = 0
    with ThreadPoolExecutor(CLIENTS) as pool:
        for found in pool.map(lambda share: list(lead(share)), range(CLIENTS)):
            for problems, example, copies, replies in found:
                row.add(problems, example)
                row.tell("replies", replies)
                stored += copies
    return stored


def transact(client: Client, chance: Random, number: int, careless: bool) -> tuple[list[str], str, int, int]:
    """What was wrong with one transaction, an example, how many copies it stores, how many replies there were."""
    size = MOST if number % 500 == 0 else min(MOST, int(chance.paretovariate(0.9)))
    named = [f"n{chance.randrange(size * 2)}@{chance.choice(list(FATES))}.example" for _ in range(size)]
    accepted = []
    problems = []
    for address, reply in zip(named, client.begin(named), strict=True):
        if "unknown" in address:
            problems += ["unknown accepted"] * (reply != FATES["unknown"][0])
        else:
            problems += ["not accepted"] * (reply != "250 2.1.5 recipient ok")
            accepted.append(address)
    if not accepted:
        problems += ["DATA without recipients"] * (client.say("DATA") != "503 5.5.1 no recipient was accepted")
        client.say("RSET")
        return problems, f"{number}: {named}", 0, 0
    replies = client.finish(b"Subject: %d\n\n%s\n" % (number, b"x" * chance.randrange(2000)), len(accepted))
    if client.say("NOOP") != "250 2.0.0 ok":
        problems.append("out of step")
    if careless:
        accepted.sort()
    for address, reply in zip(accepted, replies, strict=True):
        wanted = FATES[address.partition("@")[2].partition(".")[0]][0]
        problems += ["another's reply"] * (not reply.startswith(wanted))
    copies = len({address for address in accepted if address.endswith("@ok.example")})
    return sorted(set(problems)), f"{number}: {Counter(problems)}", copies, len(replies)
