"""Answers as a decision: to whom, with what, and to whom never (RFC 3834, RFC 5230)."""

from __future__ import annotations

from typing import Any

import pytest

from pydeliver.mail.envelope import Envelope
from pydeliver.verdict import Verdict
from pydeliver.vocabulary.answering import Reply
from pydeliver.vocabulary.forwarding import HOPS
from tests.rules import World, judged, plan

HEAD = b"Received: by mx\nFrom: Jo <jo@x.example>\nTo: robin+shop@example.net\nMessage-ID: <1@x>\nSubject: hello\n"
MESSAGE = HEAD + b"\nHi.\n"
ENVELOPE = Envelope("jo+list@x.example", "robin+shop@example.net", user="robin")
DAY = 86_400


def decided(
    rules: str,
    message: bytes = MESSAGE,
    envelope: Envelope = ENVELOPE,
    before: dict[str, int | None] | None = None,
    now: float | None = 1_715_776_496.0,  # 2024-05-15 12:34:56 UTC
    **settings: Any,
) -> Verdict:
    """The verdict, where so many answers of a kind were sent before."""
    world = World(now=now)
    ask = world.answer

    def answer(question: Any) -> Any:
        if question[:2] == ("remembered", "reply"):
            return (before or {}).get(question[2].partition(" ")[0], 0)
        if question[0] == "text":
            return {"/rules/away.txt": "I am away.\n"}.get(question[1])
        return ask(question)

    world.answer = answer  # type: ignore[method-assign]
    return judged(plan(rules, **settings), message, world, envelope)


def test_an_answer_goes_to_the_envelope_sender_and_says_what_it_answers() -> None:
    message = HEAD + b"References: <a@x>\n <b@x>\nReply-To: other@x.example\n\nHi.\n"
    verdict = decided('vacation "I am away, {from.name}." every 3 days\nfile "A"', message)
    (reply,) = verdict.replies
    assert reply.text == "I am away, Jo."
    assert (reply.to, reply.author, reply.subject) == ("jo+list@x.example", "robin@example.net", "Auto: hello")
    assert (reply.identity, reply.references) == ("<1@x>", "<a@x> <b@x> <1@x>")
    assert [(event.kind, event.seconds, event.every) for event in verdict.events] == [("reply", 3 * DAY, False)]
    assert verdict.describe() == 'file "A", vacation to "jo+list@x.example"'


def test_the_subject_may_be_given_and_the_text_may_stand_in_a_file() -> None:
    (reply,) = decided('reply file "away.txt" subject "Away: {subject}"\nkeep').replies
    assert reply == Reply(
        "reply", "jo+list@x.example", "robin@example.net", "Away: hello", "I am away.\n", "<1@x>", "<1@x>"
    )
    verdict = decided('reply file "gone.txt"\nkeep')
    assert (verdict.replies, verdict.events) == ((), ())
    assert verdict.notes == ("no answer was sent: /rules/gone.txt can't be read",)


def test_the_author_has_the_name_that_set_me_gives_him() -> None:
    (reply,) = decided('reply "x"', me=("Robin <robin@example.net>", "r@home.example")).replies
    assert reply.author == "Robin <robin@example.net>"


NOBODY = {
    "a bounce": (b"", ""),
    "nobody said who": (b"", None),
    "no plain address": (b"", '"a b"@x.example'),
    "a robot": (b"", "no-reply@x.example"),
    "a list's manager": (b"", "debian-user-request@lists.example"),
    "an answer": (b"Auto-Submitted: auto-replied\n", "jo@x.example"),
    "a list": (b"List-Id: <a.example>\n", "jo@x.example"),
    "bulk": (b"Precedence: bulk\n", "jo@x.example"),
    "myself": (b"", "robin+other@example.net"),
    "spam": (b"X-Spam-Flag: YES\n", "jo@x.example"),
    "circles": (b"Received: by mx\n" * HOPS, "jo@x.example"),
    "Microsoft says no": (b"X-Auto-Response-Suppress: All\n", "jo@x.example"),
}


@pytest.mark.parametrize("word", ["reply", "vacation"])
@pytest.mark.parametrize("whom", NOBODY)
def test_who_must_not_be_answered_is_not(word: str, whom: str) -> None:
    field, sender = NOBODY[whom]
    verdict = decided(f'{word} "x"', field + MESSAGE, Envelope(sender, "robin@example.net"))
    assert (verdict.replies, verdict.events) == ((), ())
    assert "not sent: " in str(verdict.trace[0][1])


@pytest.mark.parametrize(
    ("to", "recipient", "me", "answered"),
    [
        (b"robin+x@example.net", "robin@example.net", (), True),
        (b"other@example.net", "robin@example.net", (), False),
        (b"robin@home.example", "robin@example.net", ("robin@example.net", "robin@home.example"), True),
        (b"robin@example.net", "sales@example.net", ("robin@example.net",), False),
    ],
)
def test_vacation_answers_only_what_is_really_to_me(
    to: bytes, recipient: str, me: tuple[str, ...], answered: bool
) -> None:
    message = MESSAGE.replace(b"robin+shop@example.net", to)
    envelope = Envelope("jo@x.example", recipient)
    assert bool(decided('vacation "x"', message, envelope, me=me).replies) is answered
    assert decided('reply "x"', message, envelope, me=me).replies


def test_who_was_answered_within_the_time_is_not_answered_again_nor_remembered_anew() -> None:
    verdict = decided('vacation "x"', before={"vacation": 1})
    assert (verdict.replies, verdict.events) == ((), ())
    assert verdict.trace[0][1] == "not sent: the sender was answered before"


def test_all_vacations_answer_once_and_replies_of_rules_with_other_names_each() -> None:
    assert [one.text for one in decided('vacation "x"\nvacation "y" every 2 days\nkeep').replies] == ["x"]
    verdict = decided('rule "a" { reply "x" }\nrule "b" { reply "y" }\nreply "z"\nreply "z"\nkeep')
    assert [one.text for one in verdict.replies] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("window", "answered"),
    [
        ("from 2024-05-15 until 2024-05-15", True),
        ("from 2024-05-01 until 2024-05-14", False),
        ("from 2024-05-16 until 2024-05-20", False),
        ("from 2024-01-01 until 2024-12-31", True),
    ],
)
def test_a_vacation_has_a_first_and_a_last_day(window: str, answered: bool) -> None:
    verdict = decided(f'vacation "x" {window} every 7 days')
    assert bool(verdict.replies) is answered
    assert answered or verdict.trace[0][1] == "not sent: it is not the time"


@pytest.mark.parametrize("end", ["discard", 'reject "no"', 'defer "later"'])
def test_nobody_is_answered_or_notified_where_the_message_is_not_stored(end: str) -> None:
    verdict = decided(f'reply "x"\nnotify "x" by "tell"\nnotify "x" to "a@x.example"\n{end}')
    assert (verdict.replies, verdict.notices, verdict.events) == ((), (), ())


def test_what_nobody_knows_is_unknown() -> None:
    verdict = decided('reply "x"', envelope=Envelope(complete=False))
    assert (verdict.replies, verdict.trace[0][1]) == ((), None)
    assert decided('reply "x"', before={"reply": None}).trace[0][1] is None
    assert decided('reply "x" from 2024-01-01 until 2024-12-31', now=None).trace[0][1] is None
