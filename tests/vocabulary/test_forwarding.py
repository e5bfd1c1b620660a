"""Forwarding as a decision: to which addresses, from whom, and never in circles."""

from __future__ import annotations

from typing import Any

import pytest

from pydeliver.mail.envelope import Envelope
from pydeliver.verdict import Verdict
from pydeliver.vocabulary.forwarding import HOPS, problem
from tests.rules import World, judge, judged, plan

MESSAGE = b"Received: by mx\nFrom: Jo <jo@example.org>\nTo: robin@example.net\nSubject: bob@example.com\n\nHi.\n"
ENVELOPE = Envelope("jo@example.org", "robin+shop@example.net", user="robin")


def sent(rules: str, message: bytes = MESSAGE, envelope: Envelope = ENVELOPE, **settings: Any) -> Verdict:
    return judged(plan(rules, **settings), message, World(), envelope)


@pytest.mark.parametrize(
    ("rules", "decision"),
    [
        ('forward "bob@example.com"\ndiscard', 'forward "bob@example.com"'),
        ('forward "a@x.example", "b@x.example"', 'forward "a@x.example", forward "b@x.example"'),
        ('copy forward "a@x.example"\nfile "A"', 'copy forward "a@x.example", file "A"'),
        ('copy forward "a@x.example"\nforward "a@x.example"', 'forward "a@x.example"'),
        ('forward "{subject}"', 'forward "bob@example.com"'),
        ('mark seen\nset header "X" = "1"\nforward "a@x.example"', 'forward "a@x.example" set header "X" = "1"'),
        ('copy forward "a@x.example"\nreject "no"', 'reject "no"'),
    ],
)
def test_the_message_goes_where_the_rule_says(rules: str, decision: str) -> None:
    assert sent(rules).describe() == decision


@pytest.mark.parametrize(
    "text",
    [
        *("", "bob", "a@b@c", "a b@x", '"a b"@x', "|prog@x", "/etc/passwd", "a@", "@x", "a@x\r\nRCPT TO:<b@x>"),
        *("a,b@x", "<a@x>", "a@[127.0.0.1]", "a@x (b)", "x" * 260 + "@x", "a\0@x", "@a:b@c"),
    ],
)
def test_what_is_no_plain_address_is_nowhere_to_send_to(text: str) -> None:
    assert problem(text)
    message = b"X-To: =?utf-8?q?" + "".join([f"={byte:02x}" for byte in text.encode()]).encode() + b"?=\n\n"
    verdict = sent('forward "{header X-To}"\ndiscard', message)
    assert verdict.describe() == 'file "INBOX"'
    assert "address" in verdict.notes[0]
    assert sent('copy forward "{header X-To}"\nfile "A"', message).describe() == 'file "A"'


@pytest.mark.parametrize("text", ["a@x", "a.b+c=d@x-y.example", "-rf@x", "müller@example.org", "a@bücher.example"])
def test_plain_addresses_are_plain(text: str) -> None:
    assert problem(text) == ""


CIRCLES = {
    "forwarded from here": b"Received: by mx\nDelivered-To: robin@example.net\nReceived: by mx\n\n",
    "under another detail": b"Received: by mx\nDelivered-To: Robin+work@Example.net\nReceived: by mx\n\n",
    "to another own address": b"Delivered-To: robin@example.net\nReceived: by mx\nDelivered-To: r@home.example\n\n",
    "too many hops": b"Received: by mx\n" * HOPS + b"\n",
    "twice on top": b"Delivered-To: robin+a@example.net\nDelivered-To: robin@example.net\nSubject: x\n\n",
}


@pytest.mark.parametrize("way", CIRCLES)
def test_what_goes_in_circles_is_kept_and_says_so(way: str) -> None:
    verdict = sent('forward "bob@example.com"\ndiscard', CIRCLES[way], me=("robin@example.net", "r@home.example"))
    assert verdict.describe() == 'file "INBOX"'
    assert verdict.notes[0].startswith('not forwarded to "bob@example.com": it ')
    assert sent('copy forward "b@x.example"\nfile "A"', CIRCLES[way], me=("r@home.example",)).describe() == 'file "A"'


@pytest.mark.parametrize(
    "message",
    [
        b"Delivered-To: robin+shop@example.net\nReceived: by mx\n\n",
        b"Delivered-To: robin+shop@example.net\n\n",
        b"Received: by mx\nDelivered-To: list@example.net\nReceived: by mx\n\n",
        b"Received: by mx\n" * (HOPS - 1) + b"\n",
    ],
)
def test_what_this_delivery_and_others_wrote_is_no_circle(message: bytes) -> None:
    assert sent('forward "bob@example.com"', message).describe() == 'forward "bob@example.com"'


@pytest.mark.parametrize(
    ("said", "policy", "sender"),
    [
        ("jo@example.org", "keep", "jo@example.org"),
        ("jo@example.org", "me", "robin@example.net"),
        ("jo@example.org", "srs", "SRS0=x@example.net"),
        ("", "keep", ""),
        ("", "me", ""),
        ("", "srs", ""),
        (None, "keep", "robin@example.net"),
    ],
)
def test_the_envelope_sender_follows_the_sites_policy_and_a_bounce_stays_one(
    said: str | None, policy: str, sender: str
) -> None:
    world = World()
    world.answer = lambda question: "SRS0=x@example.net"  # type: ignore[method-assign, assignment]
    made = plan('forward "bob@example.com"', **{"forward-sender": policy})
    verdict = judged(made, MESSAGE, world, Envelope(said, "robin+shop@example.net"))
    assert [one.sender for one in verdict.deliveries] == [sender]
    assert [one.owner for one in verdict.deliveries] == ["robin@example.net"]


def test_where_nobody_knows_who_it_is_the_mail_server_says() -> None:
    (one,) = judge('forward "bob@example.com"', MESSAGE).deliveries
    assert (one.sender, one.owner) == (None, "")
