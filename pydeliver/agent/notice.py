"""A message of our own in the inbox: that the user's rules have a mistake, told once for each broken state.

Loaded only then. Who tells it claims it first, so that of many deliveries at once one tells it; a notice that can't be
stored is unclaimed again, and changes nothing for the mail at hand.
"""

from __future__ import annotations

import os
import time
from base64 import b64encode
from hashlib import blake2b

from pydeliver.agent.rules import Home
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import INBOX, Store
from pydeliver.plan import Plan
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
    state = blake2b(repr(plan.sources).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
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
    text = _TEXT.format(told=plan.broken.split("\n", 2)[-1], meanwhile=_SORTING if plan.kept else _KEEPING)
    subject = f"Your mail rules have a mistake: {os.path.basename(first)}"[:200]
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(now))
    head = (
        f"Date: {date}\n"
        f"From: pydeliver <{home.user}@{host}>\n"
        f"To: {home.user}@{host}\n"
        f"Subject: {_word(subject)}\n"
        f"Message-ID: <pydeliver.{state}.{int(now)}@{host}>\n"
        "Auto-Submitted: auto-generated\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
    )
    return head.encode("ascii", "replace") + text.encode("utf-8", "replace")


def _word(text: str) -> str:
    """A subject on one line: as it is, or as encoded words (RFC 2047), each of whole characters."""
    line = "".join([c if c.isprintable() else " " for c in text])
    if line.isascii():
        return line
    pieces = [line[at : at + 10] for at in range(0, len(line), 10)]
    return "\n ".join([f"=?utf-8?b?{b64encode(piece.encode('utf-8', 'replace')).decode()}?=" for piece in pieces])
