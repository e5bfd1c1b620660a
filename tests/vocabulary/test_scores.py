"""The score: added to as the statements come, read as it stands."""

from __future__ import annotations

import pytest

from pydeliver.vocabulary.operator import COUNTED
from tests.rules import World, boxes, judge

MESSAGE = b"From: jo@example.org\nSubject: Winner, winner: you WIN $$$\nX-A: win\nX-A: lose, win\n\n"


def score(rules: str, message: bytes = MESSAGE, world: World | None = None) -> str:
    (line,) = judge(f'{rules}\nlog "{{score}}"\n', message, world).log
    return line


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ("", "0"),
        ("score += 3", "3"),
        ("score += 3\nscore += 0.5", "3.5"),
        ("score += -2", "-2"),
        ("score += 0.1\nscore += 0.2", "0.3"),
        ('score += 3 if subject contains "winner"', "3"),
        ('score += 3 if subject contains "looser"', "0"),
        ('if from is "jo@example.org" { score += 1 }', "1"),
        ("score += 1 per subject matches /win/", "3"),
        ('score += 1 per subject contains exactly "win"', "1"),
        ('score += 1 per subject contains "win", "$$$"', "4"),
        ('score += 1 per header "X-A" contains "win"', "2"),
        ('score += 1 per header "X-B" contains "win"', "0"),
        ("score += 0.5 at most 1 per subject matches /win/", "1"),
        ("score += 0.5 at most 9 per subject matches /win/", "1.5"),
        ("score += -2 at most 3 per subject matches /win/", "-3"),
        ("score += 4\nscore += 1 if score > 3", "5"),
    ],
)
def test_a_score_is_what_the_statements_above_added(rules: str, wanted: str) -> None:
    assert score(rules) == wanted


def test_a_score_decides_with_the_value_it_has_when_it_is_reached() -> None:
    rules = 'if score > 4 { file "early" }\nscore += 5\nif score > 4 { file "Junk" }\n'
    assert boxes(judge(rules, MESSAGE)) == ["Junk"]


def test_what_nobody_knows_adds_nothing() -> None:
    rules = 'score += 3 if from in file "/list"\nscore += 1'
    assert score(rules, MESSAGE, World(list=None)) == "1"


def test_the_trace_says_what_came_of_it() -> None:
    verdict = judge(
        'score += 2\nscore += 0.5 at most 1 per subject matches /win/\nscore += 1 per subject contains "?"\n', MESSAGE
    )
    assert [told for _, told in verdict.trace] == ["+2, now 2", "+1, now 3", "+0, now 3"]


def test_every_message_begins_at_nothing() -> None:
    assert [score("score += 3"), score("score += 3")] == ["3", "3"]


def test_places_are_counted_up_to_a_limit() -> None:
    many = b"Subject: " + b"a " * (COUNTED + 500) + b"\n\n"
    assert score("score += 1 per subject matches /a/", many) == str(COUNTED)
    assert score('score += 1 per subject contains "a"', many) == str(COUNTED)
