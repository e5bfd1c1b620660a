"""A message of our own in the inbox: that the user's rules have a mistake, told once for each broken state.

Loaded only then. Who tells it claims it first, so that of many deliveries at once one tells it; a notice that can't be
stored is unclaimed again, and changes nothing for the mail at hand.
"""

from __future__ import annotations

import os
import time

from pydeliver.agent.rules import Home
from pydeliver.mail.edit import Edit, edited
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import INBOX, Store
from pydeliver.plan import Plan, content_digest
from pydeliver.system.spool import Held
from pydeliver.transport import Work, execute
from pydeliver.verdict import DELIVER, Delivery, Verdict

_TEXT = """\
Your mail rules have a mistake:

{told}

{meanwhile} This is told once; `pydeliver check` tells it as often as you like.
"""
_SORTING = "Until it is mended, mail is sorted by the rules as they were when they last had none."
_KEEPING = "Until it is mended, mail is kept here unsorted."


def tell(home: Home, store: Store, plan: Plan, host: str, now: float) -> str:
    """Put the notice into the inbox, unless this broken state was told before. Returns what was done, for the log."""
    state = content_digest(repr(plan.sources).encode("utf-8", "surrogateescape"))[:16].hex()
    try:
        if not home.state.claim_notice(state):
            return ""
    except OSError as error:
        return f"no notice: {error.strerror}"
    data = _message(home, plan, host, now, state)
    verdict = Verdict(DELIVER, (Delivery(INBOX),))
    work = Work(Message.of(data), Held(data), Envelope(""), store, home.state.directory, host, now)
    outcome = execute(verdict, work)
    outcome.finish()
    status = outcome.status
    if not status.ok:
        home.state.forget_notices(state)
    return "told the user about the mistake" if status.ok else f"no notice: {status.line}"


def _message(home: Home, plan: Plan, host: str, now: float, state: str) -> bytes:
    first = plan.broken.split("\n", 1)[0]
    sorting = any([path not in plan.site for path, _ in plan.kept])
    text = _TEXT.format(told=plan.broken.split("\n", 2)[-1], meanwhile=_SORTING if sorting else _KEEPING)
    subject = f"Your mail rules have a mistake: {os.path.basename(first)}"[:200]
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(now))
    head = (
        f"Date: {date}\n"
        f"From: pydeliver <{home.user}@{host}>\n"
        f"To: {home.user}@{host}\n"
        f"Message-ID: <pydeliver.{state}.{int(now)}@{host}>\n"
        "Auto-Submitted: auto-generated\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
    )
    titled = edited(head.encode("ascii", "replace"), (Edit("add", "Subject", subject),))
    return titled + text.encode("utf-8", "replace")
