"""Notifications as a decision: the text, and the program or address that gets it."""

from __future__ import annotations

from pydeliver.mail.envelope import Envelope
from pydeliver.vocabulary.notifying import Notice
from tests.rules import World, judge

MESSAGE = b"From: Jo <jo@x.example>\nSubject: --rm `id`\n\nHi.\n"


def notices(rules: str) -> tuple[Notice, ...]:
    return judge(rules, MESSAGE, World(), recipient="robin@example.net").notices


def test_the_text_is_the_last_argument_of_a_program_and_no_option() -> None:
    (one,) = notices('notify "{subject}" by "~/bin/tell -t {from}"')
    assert one == Notice("--rm `id`", ("/home/jo/bin/tell", "-t", "jo@x.example", "rm `id`"))
    assert one.describe() == 'notify "--rm `id`" by "/home/jo/bin/tell -t jo@x.example"'


def test_a_short_mail_goes_to_an_address_from_the_recipient() -> None:
    assert notices('notify "Mail from {from}" to "a@x.example", "b@x.example"') == tuple(
        [Notice("Mail from jo@x.example", (), f"{name}@x.example", "robin@example.net") for name in "ab"]
    )


def test_what_is_no_address_is_not_written_to() -> None:
    verdict = judge('notify "x" to "{subject}"', MESSAGE)
    assert verdict.notices == ()
    assert verdict.notes == ("nobody was notified: this is no mail address",)


def test_an_envelope_is_not_needed() -> None:
    assert Envelope().recipient is None
    assert len(judge('notify "x" by "tell"', MESSAGE).notices) == 1
