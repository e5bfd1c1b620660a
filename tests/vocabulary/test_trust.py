"""What kind of mail it is, and whose results of SPF, DKIM and DMARC are believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.envelope import Envelope
from pydeliver.vocabulary import family
from tests.rules import World, boxes, holds, judge, judged, plan

# -- bulk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        b"List-Id: <users.lists.example.org>",
        b"list-unsubscribe: <https://example.org/u>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        b"List-Whatever-Comes-Next:",
        b"Mailing-List: contact users-help@example.org; run by ezmlm",
        b"X-Mailing-List: <users@example.org> archive/latest/1",
        b"X-BeenThere: users@example.org",
        b"Precedence: bulk",
        b"Precedence: LIST",
        b"Precedence: junk (who cares)",
        b"Precedence: first-class\nPrecedence: bulk",
    ],
)
def test_what_was_sent_to_many_says_so_in_its_header(field: bytes) -> None:
    assert holds("bulk", field + b"\n\n") is True


@pytest.mark.parametrize(
    "field",
    [
        b"Subject: List-Id: x",
        b"Listen: x",
        b"Precedence: first-class",
        b"Precedence:",
        b"X-Precedence: bulk",
        b"Feedback-ID: 1.eu-west-1.abc:AmazonSES",
        b"Auto-Submitted: auto-generated",
        b"To: a@x.example, b@x.example, c@x.example",
        b"Subject: x\n\nList-Id: <in.the.body>",
    ],
)
def test_what_only_comes_close_is_not_bulk(field: bytes) -> None:
    assert holds("bulk", field + b"\n\n") is False


# -- automated --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: auto-replied",
        b'auto-submitted: AUTO-GENERATED; owner-email="bob@example.org"',
        b"Auto-Submitted: auto-notified(x)",
        b"Auto-Submitted: something-new",
        b"Auto-Submitted: no\nAuto-Submitted: auto-replied",
        b"Precedence: auto_reply",
        b"X-Auto-Response-Suppress: DR, OOF, AutoReply",
        b"X-Auto-Response-Suppress: All",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x",
        b"Content-Type: MULTIPART/Report ;\n boundary=x",
        b"Content-Type: message/disposition-notification",
        b"X-Autoreply: yes",
        b"X-Failed-Recipients: bob@example.org",
        b"From: Mail Delivery System <MAILER-DAEMON@mx.example>",
        b"From: MAILER-DAEMON",
        b"From: no-reply@shop.example",
        b"From: Shop <noreply@shop.example>",
        b"From: Shop <noreply+12345@shop.example>",
        b"From: <jobs-noreply@work.example>",
        b"From: do_not_reply@shop.example",
        b"From: DoNotReply@shop.example",
        b"From: majordomo@lists.example",
        b"From: owner-users@lists.example",
        b"From: users-request@lists.example",
    ],
)
def test_nobody_wrote_what_says_that_a_program_did(field: bytes) -> None:
    assert holds("automated", field + b"\n\n", sender="x@y.example") is True
    assert holds("automated", field + b"\n\n", complete=False) is True


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: no",
        b"Auto-Submitted: No (a person)",
        b"Auto-Submitted:",
        b"X-Auto-Response-Suppress: DR, RN, NRN",
        b"X-Auto-Response-Suppress: none",
        b'Content-Type: text/plain; name="multipart/report"',
        b"Content-Type: multipart/mixed; boundary=x\n\nContent-Type: multipart/report",
        b"From: nathan.oreply@example.org",
        b"From: majordomo-users@lists.example",
        b"From: MAILER-DAEMON <bob@example.org>",
        b"From: postmaster@example.org",
        b"From: home-owner-x@example.org",
        b"List-Id: <users.lists.example.org>",
        b"Precedence: bulk",
        b"Subject: Auto-Submitted: auto-replied",
    ],
)
def test_what_only_comes_close_was_written_by_somebody(field: bytes) -> None:
    assert holds("automated", field + b"\n\n", sender="x@y.example") is False


@pytest.mark.parametrize(
    "sender",
    ["", "MAILER-DAEMON@mx.example", "noreply@shop.example", "owner-users@lists.example", "a-request@x.example"],
)
def test_an_envelope_sender_that_nobody_reads_makes_it_automated(sender: str) -> None:
    assert holds("automated", b"From: bob@example.org\n\n", sender=sender) is True


@pytest.mark.parametrize("sender", ["owner-users@lists.example", "users-request@lists.example"])
def test_what_people_write_to_a_list_is_bulk_and_not_automated(sender: str) -> None:
    message = b"From: bob@example.org\nList-Id: <users.lists.example>\n\n"
    assert holds("bulk and not automated", message, sender=sender) is True


def test_a_robot_that_writes_to_one_is_automated_and_not_bulk() -> None:
    assert holds("automated and not bulk", b"From: noreply@shop.example\n\n", sender="x@shop.example") is True


def test_a_sender_that_nobody_said_leaves_open_whether_it_is_automated_only_in_a_rehearsal() -> None:
    message = b"From: bob@example.org\n\n"
    assert holds("automated", message) is False
    assert holds("automated", message, complete=False) is None
    assert holds("automated", message, sender="x@y.example", complete=False) is False


# -- personal ---------------------------------------------------------------------------------------------------

TO_ME = b"From: ann@example.org\nTo: Bob <bob@example.net>\n"


@pytest.mark.parametrize(
    "header",
    [
        TO_ME,
        b"Cc: ann@x.example, BOB@example.net\n",
        b"To: bob+shop@example.net\n",
        b"To: ann@x.example\nResent-To: bob@example.net\n",
    ],
)
def test_what_is_written_to_me_by_hand_is_personal(header: bytes) -> None:
    assert holds("personal", header + b"\n", recipient="bob+x@example.net", sender="ann@example.org") is True


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        (b"To: ann@example.net\n", "x@y.example"),
        (b'To: "bob@example.net" <list@x.example>\n', "x@y.example"),
        (b"Bcc: bob@example.net\n", "x@y.example"),
        (b"", "x@y.example"),
        (TO_ME + b"Precedence: bulk\n", "x@y.example"),
        (TO_ME + b"List-Help: <x>\n", "x@y.example"),
        (TO_ME + b"Auto-Submitted: auto-replied\n", "x@y.example"),
        (TO_ME, ""),
    ],
)
def test_what_is_not_to_me_or_not_by_hand_is_not_personal(header: bytes, sender: str) -> None:
    assert holds("personal", header + b"\n", recipient="bob@example.net", sender=sender) is False


def test_who_i_am_is_what_the_rules_say_first() -> None:
    rules = 'set me = "own@me.example"\nif personal { file "personal" }\n'
    for to, wanted in ((b"own@me.example", "personal"), (b"bob@example.net", "INBOX")):
        assert boxes(judge(rules, b"To: " + to + b"\n\n", recipient="bob@example.net")) == [wanted]


def test_it_is_unknown_whether_mail_is_personal_while_it_is_unknown_who_i_am() -> None:
    assert holds("personal", TO_ME + b"\n", complete=False) is None
    assert holds("personal", TO_ME + b"\n", complete=False, sender="a@x.example") is None
    assert holds("personal", TO_ME + b"Precedence: bulk\n\n", complete=False) is False
    # `automated` is open here, but it is not to me.
    assert holds("personal", b"To: ann@x.example\n\n", complete=False, recipient="bob@example.net") is False
    assert holds("personal", TO_ME + b"\n", complete=False, recipient="bob@example.net") is None


# -- auth -------------------------------------------------------------------------------------------------------

OURS = b"Received: from x.example by mx.site.example with ESMTP; Mon, 23 Nov 2026 09:00:00 +0000\n"
THEIRS = b"Received: from a.example by x.example with ESMTP; Mon, 23 Nov 2026 08:59:00 +0000\n"
GOOD = b"Authentication-Results: mx.site.example; spf=pass; dkim=pass header.d=bank.example; dmarc=pass\n"
BAD = b"Authentication-Results: mx.site.example; spf=fail; dkim=none; dmarc=fail\n"
FROM = b"From: ann@example.org\n\n"


def believes(condition: str, message: bytes, *servers: str) -> bool:
    """Whether a condition holds where the site names these servers."""
    settings: dict[str, Any] = {"authserv-id": servers or ("mx.site.example",)}
    made = plan(f'if {condition} {{ file "yes" }}\n', **settings)
    return boxes(judged(made, message, World(), Envelope())) == ["yes"]


@pytest.mark.parametrize(
    "message",
    [
        GOOD + OURS + THEIRS + FROM,  # as Exim writes it
        OURS + GOOD + THEIRS + FROM,  # as filters of Postfix and Sendmail do
        OURS + GOOD + FROM,
        b"Received: by localhost (scanner); x\nReceived: from localhost by mx.site.example; x\n" + GOOD + THEIRS + FROM,
        b"Received: from y by IN.mx.site.example; x\n" + GOOD + THEIRS + FROM,
        b"Return-Path: <a@b.example>\nAuthentication-Results: MX.SITE.EXAMPLE 1;\n\tspf=pass;\n\tdkim=pass "
        b"header.d=bank.example;\n\tdmarc=pass (p=none)\n" + OURS + FROM,
        OURS + GOOD.replace(b"; dkim", b"\nAuthentication-Results: mx.site.example; dkim") + THEIRS + FROM,
    ],
)
def test_what_the_sites_server_found_out_is_believed(message: bytes) -> None:
    for condition in ('auth.spf is "pass"', "auth.dkim is pass", 'auth.dmarc is "pass"'):
        assert believes(condition, message)
    assert believes('auth.dkim.domain is "bank.example"', message)
    assert believes("count auth.dkim is 1", message)


@pytest.mark.parametrize(
    "message",
    [
        OURS + THEIRS + GOOD + FROM,  # forged, or of an earlier time
        GOOD.replace(b"mx.site", b"mx.evil") + OURS + FROM,
        GOOD.replace(b"mx.site.example", b"mx.site.example.evil.example") + OURS + FROM,
        GOOD.replace(b"mx.site.example;", b"(mx.site.example) evil.example;") + OURS + FROM,
        GOOD.replace(b"mx.site.example", b"mx.site.example 2") + OURS + FROM,
        THEIRS + GOOD + OURS + FROM,
        b"Received: from x by notmx.site.example; x\n" + GOOD + FROM,
        b"Received: from x (by mx.site.example) by evil.example; x\n" + GOOD + FROM,
        GOOD + FROM,  # it came through no server
        OURS + b"X-" + GOOD + FROM,
        OURS + FROM + GOOD,
        OURS + FROM,
    ],
)
def test_what_anybody_else_could_have_written_is_absent(message: bytes) -> None:
    for name in ("auth.spf", "auth.dkim", "auth.dkim.domain", "auth.dmarc"):
        assert believes(f"{name} not exists", message)


@pytest.mark.parametrize("message", [BAD + GOOD + OURS + FROM, OURS + BAD + GOOD + FROM, BAD + OURS + GOOD + FROM])
def test_below_what_the_server_wrote_a_forged_result_does_not_count(message: bytes) -> None:
    assert believes('auth.spf is "fail" and auth.dmarc is "fail" and auth.dkim is "none"', message)
    assert believes('auth.dmarc is not "pass" and auth.dkim.domain not exists', message)


def test_where_the_site_names_no_server_nothing_is_believed() -> None:
    for message in (GOOD + OURS + FROM, GOOD.replace(b"mx.site.example;", b'"";') + OURS + FROM):
        assert holds("auth.spf exists", message) is False
        assert not believes("auth.dmarc exists", message, "")


def test_results_are_those_of_the_sender_and_of_every_signature() -> None:
    written = (
        b"Authentication-Results: mx.site.example; spf=pass smtp.helo=x.example; spf=softfail smtp.mailfrom=a@x.example"
        b"; dkim=fail header.d=bank.example; dkim=pass header.d=XN--MNCHEN-3YA.example; dkim=pass header.i=@b.example\n"
    )
    message = OURS + written + FROM
    assert believes('auth.spf is "softfail" and auth.spf is not "pass"', message)
    assert believes('auth.dkim is "pass" and auth.dkim is "fail" and count auth.dkim is 3', message)
    assert believes('auth.dkim.domain is "münchen.example" and auth.dkim.domain is "b.example"', message)
    assert believes('not auth.dkim.domain is "bank.example"', message)
    assert believes("auth.dkim.domain is from.domain", message.replace(b"@example.org", b"@b.example"))


@pytest.mark.parametrize(
    "value",
    [
        b"dkim=pass header.d=bank.example(.evil.example",
        b"dkim=pass header.d=bank.example(x).evil.example",
        b"dkim=pass header.d=bank.example'.evil.example",
        b"dkim=pass header.d=bank.example\\.evil.example",
        b'dkim=pass header.d="bank.example" .evil.example"',
        b"dkim=fail header.d=(dkim=pass header.d=)bank.example",
        b"dkim=pass header.d=a@bank.example",
    ],
)
def test_a_signature_of_another_domain_never_becomes_the_banks(value: bytes) -> None:
    message = OURS + b"Authentication-Results: mx.site.example; " + value + b"\n" + FROM
    assert not believes('auth.dkim.domain is "bank.example"', message)


# -- conditions that stand alone ---------------------------------------------------------------------------------


def test_a_condition_that_stands_alone_can_be_named_and_is_traced_as_it_is_written() -> None:
    rules = "let people = condition bulk and not  automated\nif people { keep }\n"
    verdict = judge(rules, b"Precedence: list\nFrom: bob@x.example\n\n", sender="x@y.example")
    assert [(node[7], found) for node, found in verdict.trace if node[0] == "test"] == [
        ("bulk", True),
        ("automated", False),
    ]
    assert verdict.line == 2


# -- all --------------------------------------------------------------------------------------------------------

NAMES = (b"Received", b"Authentication-Results", b"From", b"To", b"Auto-Submitted", b"Precedence", b"Content-Type")
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6)
CONDITIONS = 'bulk or automated or personal or auth.spf is "pass" or auth.dkim.domain is "x" or auth.dmarc is "pass"'


@given(HEADERS)
def test_any_header_is_judged(fields: list[tuple[bytes, bytes]]) -> None:
    message = b"".join([name + b": " + value + b"\n" for name, value in fields]) + b"\n"
    settings: dict[str, Any] = {"authserv-id": ("x",)}
    judged(plan(f"if {CONDITIONS} {{ keep }}\n", **settings), message, World(), Envelope(recipient="bob@x.example"))


def test_the_example_of_every_word_compiles() -> None:
    for word in family("trust").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements
