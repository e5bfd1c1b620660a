"""What the caller says: the envelope, who `me` is, arguments and environment."""

from __future__ import annotations

from typing import Any

import pytest

from pydeliver.mail.envelope import Envelope
from pydeliver.vocabulary import family
from tests.rules import World, boxes, holds, judge, judged, plan, shown


def me(message: bytes, settings: dict[str, Any], **envelope: Any) -> bool:
    """Whether the message is addressed to me under these settings of the site."""
    made = plan('if recipient is me { file "me" }\n', **settings)
    return boxes(judged(made, message, World(), Envelope(**envelope))) == ["me"]


def to(address: str) -> bytes:
    return f"To: {address}\n\n".encode()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{envelope.from}", "Alice+x@sender.example"),
        ("{envelope.from.domain}", "sender.example"),
        ("{envelope.from.detail}", "x"),
        ("{envelope.to.local}", "bob+shop"),
        ("{envelope.to.detail}", "shop"),
        ("{envelope.original-to}", "sales@example.org"),
        ("{arg.1}", "one"),
        ("{arg.folder}", "Work"),
        ("{arg.2}", ""),
    ],
)
def test_what_the_caller_said_in_a_text(template: str, text: str) -> None:
    said = {
        "sender": "Alice+x@SENDER.example",
        "recipient": "bob+shop@example.net",
        "original_recipient": "sales@example.org",
        "arguments": {"1": "one", "folder": "Work"},
    }
    assert shown(template, **said) == text


def test_the_envelope_is_not_the_header() -> None:
    message = b"From: a@header.example\nTo: b@header.example\nReturn-Path: <c@header.example>\n\n"
    assert holds('envelope.from.domain is "header.example"', message, sender="x@envelope.example") is False
    assert holds("envelope.to exists", message) is False
    assert holds("envelope.from exists", message) is False


def test_the_detail_that_the_caller_gave_goes_before_the_one_in_the_address() -> None:
    assert holds('envelope.to.detail is "given"', recipient="bob+own@x.example", detail="given") is True
    assert holds('envelope.to.detail is "own"', recipient="bob+own@x.example") is True
    assert holds("envelope.to.detail exists", recipient="bob+own@x.example", detail="") is False
    assert holds("envelope.to.detail exists", recipient="bob@x.example") is False
    assert holds('envelope.to.detail is "given"', detail="given") is True


def test_the_site_says_what_separates_a_detail() -> None:
    made = plan('if envelope.to.detail is "shop" { file "detail" }\n', subaddress="-")
    assert boxes(judged(made, b"\n", World(), Envelope(recipient="bob-shop@x.example"))) == ["detail"]
    assert boxes(judged(made, b"\n", World(), Envelope(recipient="bob+shop@x.example"))) == ["INBOX"]


def test_me_is_whom_the_message_was_sent_to_without_the_detail() -> None:
    assert me(to("bob@example.net"), {}, recipient="bob+shop@example.net")
    assert me(to("BOB@EXAMPLE.net"), {}, recipient="bob@example.net")
    assert me(to("sales@example.org"), {}, recipient="bob@example.net", original_recipient="sales+x@example.org")
    assert not me(to("carl@example.net"), {}, recipient="bob@example.net")
    assert not me(to("bob@example.net"), {})


def test_me_is_the_login_name_at_the_domains_of_the_site() -> None:
    site = {"domains": ("example.org", "example.com")}
    assert me(to("bob@example.com"), site, user="bob")
    assert me(to("bob@example.org"), site, user="bob")
    assert not me(to("bob@example.net"), site, user="bob")
    assert not me(to("@example.org"), site, user="")


def test_set_me_goes_before_everything_else() -> None:
    own = {"me": ("me@own.example", "other@own.example")}
    assert me(to("other@own.example"), own, recipient="bob@example.net")
    assert not me(to("bob@example.net"), own, recipient="bob@example.net")
    made = plan('set me = "Me <me@own.example>"\nif to is me { file "me" }\n')
    assert boxes(judged(made, to("ME@own.example"), World(), Envelope())) == ["me"]


def test_an_address_with_a_detail_is_mine_too() -> None:
    made = plan('set me = "me@own.example"\nif to is me { file "me" }\nif to in me { file "in" }\n')
    assert boxes(judged(made, to("Me <ME+shop@own.example>"), World(), Envelope())) == ["me"]
    for other in ("me+shop@other.example", "meme+shop@own.example", "shop+me@own.example"):
        assert boxes(judged(made, to(other), World(), Envelope())) == ["INBOX"]
    assert boxes(judged(made, to("me-shop@own.example"), World(), Envelope())) == ["INBOX"]
    assert me(to("me-shop@own.example"), {"me": ("me@own.example",), "subaddress": "-"})


def test_an_environment_variable_that_is_not_there_is_absent() -> None:
    made = plan('if env.EXT exists { file "there" }\n', variables=("EXT",))
    assert boxes(judged(made, b"\n", World(), Envelope(environment={"EXT": ""}))) == ["there"]
    assert boxes(judged(made, b"\n", World(), Envelope())) == ["INBOX"]


def test_a_value_of_the_caller_is_one_component_of_a_mailbox_name() -> None:
    (box,) = boxes(judge('file "plus/{envelope.to.detail}"\n', detail="../../.ssh/x"))
    assert box.startswith("plus/")
    assert box.count("/") == 1
    assert ".." not in box


def test_the_example_of_every_field_compiles() -> None:
    for word in family("transit").values():
        made = plan(f"if {word.example} {{ keep }}\n", variables=("CLIENT_ADDRESS",))  # type: ignore[union-attr]
        assert made.statements


@pytest.mark.parametrize(
    "condition",
    [
        "envelope.from exists",
        "envelope.to exists",
        'envelope.to.detail is "x"',
        "envelope.original-to exists",
        "recipient is me",
        "arg.1 exists",
        "env.EXT not exists",
    ],
)
def test_what_is_not_known_of_an_envelope_is_unknown_and_not_absent(condition: str) -> None:
    message = b"To: bob@two.example\n\n"
    assert holds(condition, message, environment={"EXT": ""}, complete=False) in (None, False)
    text = f'if {condition} {{ file "yes" }} else if not ({condition}) {{ file "no" }}\nfile "unknown"\n'
    made = plan(text, variables=("EXT",))
    assert boxes(judged(made, message, World(), Envelope(complete=False))) == ["unknown"]
