"""What kind of mail it is, and what your own mail server found out about it.

`bulk`: it was sent to many. `automated`: no person wrote it, and nobody would read an answer (RFC 3834). Neither
implies the other: people write to lists, and robots write to one. `personal`: it is to me, and neither of them.

`auth.spf`, `auth.dkim` and `auth.dmarc` are results from Authentication-Results (RFC 8601). Anybody can write such a
field, so it counts only if its authserv-id is one that the site's settings name, and only where the site's servers
write it. Servers must remove fields with their own authserv-id from mail that comes in (RFC 8601 section 5), but not
all do. So
- only fields above the first Received of a foreign server count, that is, one that is not by localhost, by a server
  with one of the names, or by a host of a domain with one of them. It can't be "above the first Received" at all, as
  for Return-Path: filters of Postfix and Sendmail put theirs right below the Received of their own server;
- a method's result comes from the topmost of these fields that has one: what the server wrote stands above what it
  received;
- a message without Received has not come through a server, and has no results.
"""

from __future__ import annotations

from pydeliver.mail import address
from pydeliver.mail.auth_results import parse, written_by
from pydeliver.vocabulary.transit import NULL_SENDER, me, sender
from pydeliver.vocabulary.word import FACT, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.mail.address import Address
    from pydeliver.mail.auth_results import Findings, Result
    from pydeliver.mail.message import Message
    from pydeliver.vocabulary.word import Facts

# Besides all that begin with List- (RFC 2369, 2919, 8058): what list managers wrote before those, and beside them.
# Not Feedback-ID: mail services put it into every message, also into those to one.
_LIST_FIELDS = ("mailing-list", "x-mailing-list", "x-beenthere")
_MANY = ("list", "bulk", "junk")  # values of Precedence (RFC 3834 section 3.1.8, which says that they are in use)

# What programs that answer by themselves, or report, write without Auto-Submitted.
_ROBOT_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-mail-autoreply", "x-failed-recipients")
_REPORTS = ("multipart/report", "message/delivery-status", "message/disposition-notification")  # RFC 6522, 3464, 8098
_SUPPRESSED = ("all", "oof", "autoreply")  # values of Microsoft's X-Auto-Response-Suppress that ask for no answers
# Local parts; RFC 3834 section 2 and RFC 5230 section 4.6 have the first few.
_ROBOTS = ("mailer-daemon", "listserv", "majordomo", "mailerdaemon", "mail-daemon", "listproc", "autoresponder")
_NO_REPLY = ("-noreply-", "-no-reply-", "-donotreply-", "-do-not-reply-", "-dont-reply-")

FIELDS = 30  # of Received and Authentication-Results that are looked at
_SPF = ("pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror")
_DKIM = ("pass", "fail", "neutral", "none", "policy", "temperror", "permerror")
_DMARC = ("pass", "fail", "none", "bestguesspass", "temperror", "permerror")  # one of them Microsoft's


# -- bulk, automated, personal ----------------------------------------------------------------------------------


def is_bulk(message: Message) -> bool:
    names = [name.lower() for name in message.names()]
    if any([name.startswith("list-") or name in _LIST_FIELDS for name in names]):
        return True
    return any([_keyword(text) in _MANY for text in message.texts("precedence")])


def _is_robots(message: Message) -> bool:
    """Whether the message itself says that no person wrote it."""
    if any([_keyword(text) not in ("", "no") for text in message.texts("auto-submitted")]):
        return True
    if any([_keyword(text) == "auto_reply" for text in message.texts("precedence")]):
        return True
    suppressed = " ".join(message.texts("x-auto-response-suppress")).lower().replace(",", " ").split()
    if any([word in _SUPPRESSED for word in suppressed]):
        return True
    if any([_keyword(text) in _REPORTS for text in message.texts("content-type")]):
        return True
    return any([name.lower() in _ROBOT_FIELDS for name in message.names()])


def _keyword(text: str) -> str:
    """The first word of a value, without parameters and comments behind it."""
    return next(iter(text.lower().replace(";", " ").replace("(", " ").split()), "")


def _is_robot(one: Address) -> bool:
    """Whether an address is that of a program."""
    local = one.local.lower()
    parts = "-" + local.replace("_", "-").replace(".", "-").replace("+", "-") + "-"
    return local in _ROBOTS or any([name in parts for name in _NO_REPLY])


def _is_lists(one: Address) -> bool:
    """Whether an address is where the manager of a list gets answers (RFC 3834 section 2)."""
    local = one.local.lower()
    return local.startswith("owner-") or local.endswith(("-owner", "-request"))


def _bulk(facts: Facts, _argument: Any) -> tuple[bool, ...]:
    return (True,) * is_bulk(facts.message)


def is_automated(facts: Facts) -> bool | None:
    """Whether no person wrote it; None where nobody knows."""
    message = facts.message
    if _is_robots(message) or any([_is_robot(one) or _is_lists(one) for one in message.addresses("from")]):
        return True
    found = sender(facts, None)
    if found is None:
        return None
    for one in found:
        if one == NULL_SENDER or _is_robot(one):
            return True
        # A list's envelope has the list's own address around what people write to it.
        if _is_lists(one) and not is_bulk(message):
            return True
    return False


def is_personal(facts: Facts) -> bool | None:
    """Whether it is to me, and neither bulk nor automated; None where nobody knows."""
    automated = is_automated(facts)
    if is_bulk(facts.message) or automated:
        return False
    mine = me(facts, None)
    if mine is None or (automated is None and _is_among(facts, mine)):
        return None
    return _is_among(facts, mine)


def _automated(facts: Facts, _argument: Any) -> tuple[bool, ...] | None:
    return None if (found := is_automated(facts)) is None else (True,) * found


def _personal(facts: Facts, _argument: Any) -> tuple[bool, ...] | None:
    return None if (found := is_personal(facts)) is None else (True,) * found


def _is_among(facts: Facts, mine: tuple[Address, ...]) -> bool:
    """Whether one of these addresses, with any detail, stands in To or Cc, or where somebody resent it to."""
    known = {one.key for one in mine}
    for name in ("to", "cc", "resent-to", "resent-cc"):
        for one in facts.message.addresses(name):
            local = address.split_detail(one.local, facts.settings["subaddress"])[0]
            if one.key in known or address.Address("", local, one.domain).key in known:
                return True
    return False


# -- what the site's mail server found out ----------------------------------------------------------------------


def _believed(facts: Facts) -> list[Findings]:
    """What the site's own servers wrote, from the top down."""
    servers = tuple([name.lower() for name in facts.settings["authserv-id"] if name])
    message = facts.message
    if not servers or not message.fields("received"):
        return []
    received, written = iter(message.fields("received")), iter(message.fields("authentication-results"))
    found: list[Findings] = []
    looked_at = [one for name in message.names() if (one := name.lower()) in ("received", "authentication-results")]
    for name in looked_at[:FIELDS]:
        if name == "authentication-results":
            findings = parse(next(written))
            found += [findings] * (findings.server in servers)
        elif not _is_ours(written_by(next(received)), servers):
            break
    return found


def _is_ours(host: str, servers: tuple[str, ...]) -> bool:
    return host in ("localhost", *servers) or host.endswith(tuple([f".{server}" for server in servers]))


def _results(facts: Facts, method: str) -> list[Result]:
    for findings in _believed(facts):
        found = [one for one in findings.results if one.method == method]
        if found:
            # SPF may have been asked for the name in HELO too, which says nothing about the sender.
            return [one for one in found if one.named("smtp.mailfrom")] or found
    return []


def _auth(facts: Facts, method: str) -> tuple[str, ...]:
    return tuple([one.result for one in _results(facts, method)])


def _signers(facts: Facts, _argument: Any) -> tuple[str, ...]:
    """The domains whose signatures hold, as people read them."""
    domains = []
    for one in _results(facts, "dkim"):
        if one.result == "pass":
            found = address.parse_one("x@" + (one.named("header.d") or one.named("header.i").rpartition("@")[2]))
            domains += [] if found is None else [found.domain]
    return tuple(dict.fromkeys(domains))


WORDS = (
    Field("bulk", FACT, _bulk, "it was sent to many: a list's mail, a newsletter", "bulk"),
    Field("automated", FACT, _automated, "no person wrote it: bounces, daemons, automatic replies", "automated"),
    Field("personal", FACT, _personal, "it is to you, and neither bulk nor automated", "personal"),
    Field(
        "auth.spf",
        TEXT,
        lambda facts, _argument: _auth(facts, "spf"),
        "whether the envelope sender's domain lets that server send, as your mail server found",
        'auth.spf is "fail"',
        choices=_SPF,
    ),
    Field(
        "auth.dkim",
        TEXT,
        lambda facts, _argument: _auth(facts, "dkim"),
        "whether a signature holds, as your mail server found; one value for each signature",
        'auth.dkim is "pass"',
        True,
        choices=_DKIM,
    ),
    Field(
        "auth.dkim.domain",
        TEXT,
        _signers,
        "the domains whose signatures hold, as your mail server found",
        'auth.dkim.domain is "example.org"',
        True,
    ),
    Field(
        "auth.dmarc",
        TEXT,
        lambda facts, _argument: _auth(facts, "dmarc"),
        "whether the author's domain stands for the message, as your mail server found",
        'auth.dmarc is not "pass"',
        choices=_DMARC,
    ),
)
