"""What earlier messages say about this one: which keys are asked for, and what is remembered of which outcome."""

from __future__ import annotations

import pytest

from pydeliver.vocabulary.memory import DAY, SENDER_DAYS, WITHIN
from pydeliver.vocabulary.word import Event
from tests.rules import World, boxes, holds, judge

MESSAGE = b"From: Jo <JO@Example.org>\nMessage-ID: <a@b>\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\n"
SAME = ("duplicate", "<a@b> · jo@example.org")


def before(key: tuple[str, str], number: int | None = 1) -> World:
    world = World()
    world.remembered[key] = number
    return world


@pytest.mark.parametrize(
    ("condition", "key", "number", "outcome"),
    [
        ("duplicate", SAME, 0, False),
        ("duplicate", SAME, 1, True),
        ("duplicate", SAME, None, None),
        ("duplicate by subject", ("duplicate", "subject · grüße"), 1, True),
        ('duplicate by header "Subject" within 2 days', ("duplicate", "header subject · grüße"), 1, True),
        ("duplicate by cc", ("duplicate", "cc"), 1, False),
        ("seen-sender", ("seen-sender", "jo@example.org"), 1, True),
        ("seen-sender", ("seen-sender", "jo@example.org"), 0, False),
        ("more than 2 per hour by from.domain", ("more", "from.domain · example.org"), 1, False),
        ("more than 2 per hour by from.domain", ("more", "from.domain · example.org"), 2, True),
        ("more than 2 per hour by from.domain", ("more", "from.domain · example.org"), None, None),
        ("more than 2 per hour by cc", ("more", "cc"), 9, False),
    ],
)
def test_a_condition_asks_how_many_there_were(
    condition: str, key: tuple[str, str], number: int | None, outcome: bool | None
) -> None:
    assert holds(condition, MESSAGE, before(key, number)) is outcome


@pytest.mark.parametrize(
    "message", [b"From: a@b.c\n\n", b"From: a@b.c\nMessage-ID:\n\n", b"From: a@b.c\nMessage-ID: \n \n\n"]
)
def test_without_a_message_id_nobody_is_asked(message: bytes) -> None:
    world = World()
    assert holds("duplicate", message, world) is False
    assert world.asked == []


def test_who_wrote_it_belongs_to_what_it_is() -> None:
    world = World()
    holds("duplicate", MESSAGE.replace(b"JO@", b"mallory@"), world)
    assert world.asked == [("remembered", "duplicate", "<a@b> · mallory@example.org", WITHIN)]


def test_a_time_of_ones_own_is_asked_for_and_kept() -> None:
    world = World()
    verdict = judge("if duplicate within 30 days { discard }\n", MESSAGE, world)
    assert world.asked == [("remembered", *SAME, 30 * DAY)]
    assert verdict.events == (Event(*SAME, 30 * DAY),)


EVERYTHING = """
if duplicate { label "a" }
if seen-sender { label "b" }
if more than 2 per week by from.address { label "c" }
"""
STORED = (Event(*SAME, WITHIN), Event("seen-sender", "jo@example.org", SENDER_DAYS * DAY))
COUNTED = (Event("more", "from.address · jo@example.org", 7 * DAY, every=True),)


@pytest.mark.parametrize(
    ("end", "events"),
    [
        ("", (*STORED, *COUNTED)),
        ("keep", (*STORED, *COUNTED)),
        ('file "Work"', (*STORED, *COUNTED)),
        ("discard", COUNTED),
        ('reject "no"', ()),
        ('defer "later"', ()),
    ],
)
def test_what_is_remembered_goes_by_what_becomes_of_the_message(end: str, events: tuple[Event, ...]) -> None:
    assert judge(f"{EVERYTHING}{end}\n", MESSAGE).events == events
    assert judge(f"{end or 'keep'}\n{EVERYTHING}", MESSAGE).events == events


def test_two_rules_that_ask_the_same_remember_it_once() -> None:
    rules = 'if duplicate { label "a" }\nif not duplicate and subject exists { label "b" }\n'
    assert judge(rules, MESSAGE).events == (Event(*SAME, WITHIN),)


def test_rules_that_ask_nothing_remember_nothing() -> None:
    assert judge("keep\n", MESSAGE).events == ()


def test_the_examples_of_the_manual_are_told_apart() -> None:
    rules = 'if duplicate by subject within 1 day { file "A" }\nif duplicate { file "B" }\n'
    assert boxes(judge(rules, MESSAGE, before(("duplicate", "subject · grüße")))) == ["A"]
    assert boxes(judge(rules, MESSAGE, before(SAME))) == ["B"]
