"""Dates, ages and their parts, in the zone that the world answers with."""

from __future__ import annotations

import pytest

from pydeliver.vocabulary import family
from pydeliver.vocabulary.times import WEEKDAYS
from tests.rules import NOW, World, holds, plan, shown

WEDNESDAY = b"Date: Wed, 15 May 2024 23:30:00 +0000\n\n"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{now}", "2024-05-15"),
        ("{now.year}", "2024"),
        ("{now.month}", "05"),
        ("{now.day}", "15"),
        ("{now.hour}", "12"),
        ("{now.weekday}", "wednesday"),
        ("{date}", "2024-05-15"),
        ("{date.hour}", "23"),
    ],
)
def test_a_time_in_a_text(template: str, text: str) -> None:
    assert shown(template, WEDNESDAY) == text


@pytest.mark.parametrize(
    ("offset", "day", "hour", "weekday"),
    [
        (0, "2024-05-15", "23", "wednesday"),
        (120, "2024-05-16", "01", "thursday"),
        (-1440, "2024-05-14", "23", "tuesday"),
    ],
)
def test_times_are_those_of_the_users_zone(offset: int, day: str, hour: str, weekday: str) -> None:
    world = World(offset=offset)
    assert shown("{date} {date.hour} {date.weekday}", WEDNESDAY, world) == f"{day} {hour} {weekday}"
    assert holds(f"date is {day}", WEDNESDAY, World(offset=offset)) is True


@pytest.mark.parametrize("header", [b"", b"Date: yesterday\n", b"Date:\n", b"Date: 99 Foo 2024\n"])
def test_without_a_date_that_can_be_read_the_date_is_now(header: bytes) -> None:
    assert shown("{date} {date.hour}", header + b"\n") == "2024-05-15 12"
    assert holds("age is 0 s", header + b"\n") is True


def test_an_age_is_counted_from_the_date_header() -> None:
    assert holds("age is 30 days", b"Date: Mon, 15 Apr 2024 12:34:56 +0000\n\n") is True
    assert holds("age > 30 days", b"Date: Mon, 15 Apr 2024 12:34:56 +0000\n\n") is False
    assert holds("age > 30 days", b"Date: Mon, 15 Apr 2024 12:34:55 +0000\n\n") is True


def test_a_message_from_the_future_has_no_age() -> None:
    assert holds("age is 0 s", b"Date: Wed, 15 May 2030 12:34:56 +0000\n\n") is True


@pytest.mark.parametrize(("day", "name"), list(enumerate(WEEKDAYS)))
def test_every_day_of_the_week_has_its_name(day: int, name: str) -> None:
    world = World(NOW + (day - 2) * 86400)
    assert holds(f"now.weekday is {name}", world=world) is True
    assert shown("{now.weekday}", world=World(NOW + (day - 2) * 86400)) == name


@pytest.mark.parametrize("now", [0.0, 951_782_399.0, 1_709_164_800.0, 4_102_444_800.0])
def test_the_parts_agree_with_the_calendar(now: float) -> None:
    import datetime

    wanted = datetime.datetime.fromtimestamp(now, datetime.UTC)
    text = shown("{now.year}-{now.month}-{now.day} {now.hour} {now.weekday}", world=World(now))
    assert text == wanted.strftime("%Y-%m-%d %H %A").lower()


def test_the_zone_is_asked_once_a_quarter_of_an_hour() -> None:
    world = World()
    assert holds("now.hour is 12 and now.day is 15 and now is 12:34", world=world) is True
    assert world.asked == [("now",), ("offset", NOW // 900 * 900)]


def test_the_example_of_every_field_compiles() -> None:
    for word in family("times").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements  # type: ignore[union-attr]
