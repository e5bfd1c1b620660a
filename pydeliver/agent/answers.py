"""What goes out when a message is stored: answers and notifications. RFC 3834 section 3, RFC 5230 section 5, RFC 5436.

That they do is reserved in memory before. Nothing here may change the answer to the mail server, or keep it waiting
for long: what can't be sent is a note. All of it is from the null sender, so that no bounce comes back.
"""

from __future__ import annotations

import os
import time

from pydeliver.mail.letter import letter
from pydeliver.status import Status
from pydeliver.system import alarm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.agent.programs import Programs
    from pydeliver.system.program import Ended
    from pydeliver.verdict import Verdict
    from pydeliver.vocabulary.answering import Reply
    from pydeliver.vocabulary.notifying import Notice

SECONDS = 30.0  # for all of it together: the mail server waits


def send(verdict: Verdict, programs: Programs, host: str, now: float) -> list[str]:
    """Send what the verdict says. Returns notes for the log."""
    notes: list[str] = []

    def told(what: str, ended: Ended | Status) -> None:
        if not ended.ok:
            notes.append(f"{what} was not sent: {ended.text if isinstance(ended, Status) else ended.line}")

    def all_of_it() -> None:
        for reply in verdict.replies:
            told(reply.describe(), programs.send("", reply.to, (_answer(reply, host, now),)))
        for notice in verdict.notices:
            if notice.address:
                told(notice.describe(), programs.send("", notice.address, (_notification(notice, host, now),)))
            else:
                told(notice.describe(), programs.pipe(notice.argv, 0, ()))

    try:
        alarm.within(SECONDS, all_of_it)
    except alarm.Interrupted:
        notes.append("what was to be sent took too long, and was given up")
    except Exception as error:  # noqa: BLE001 - the message is stored, and nothing here may change the answer
        notes.append(f"what was to be sent could not be: {error!r}")
    return notes


def _answer(reply: Reply, host: str, now: float) -> bytes:
    fields = [("From", reply.author), ("To", reply.to), ("Subject", reply.subject)]
    about = [("In-Reply-To", reply.identity), ("References", reply.references), ("Auto-Submitted", "auto-replied")]
    return letter([*_trace(host, now), *fields, *about], reply.text)


def _notification(notice: Notice, host: str, now: float) -> bytes:
    subject = notice.text.strip().partition("\n")[0]
    fields = [("From", notice.author), ("To", notice.address), ("Subject", subject)]
    return letter([*_trace(host, now), *fields, ("Auto-Submitted", "auto-notified")], notice.text)


def _trace(host: str, now: float) -> list[tuple[str, str]]:
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(now))
    return [("Date", date), ("Message-ID", f"<{int(now)}.{os.urandom(8).hex()}@{host}>")]
