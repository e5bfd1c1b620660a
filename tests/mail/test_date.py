"""`mail.date`: the dates real mail has, and the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.date import LOOKED_AT, civil, is_day, parse, seconds

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
OFFSETS = st.integers(-1439, 1439)


def _utc(*parts: int) -> float:
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("raw", "moment", "offset"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", _utc(1997, 11, 21, 15, 55, 6), -360),
        ("21 Nov 1997 09:55 +0530", _utc(1997, 11, 21, 4, 25), 330),
        ("Thu,\t13 Feb 1969 23:32:54 -0330 (Newfoundland (old) Time)", _utc(1969, 2, 14, 3, 2, 54), -210),
        ("Thu, 13\n Feb\n 1969\n 23:32\n -0330", _utc(1969, 2, 14, 3, 2), -210),
        # RFC 5322 section 4.3: two and three digits of a year, named zones
        ("21 Nov 97 09:55:06 GMT", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("21 Nov 49 09:55:06 UT", _utc(2049, 11, 21, 9, 55, 6), 0),
        ("21 Nov 50 09:55:06 UT", _utc(1950, 11, 21, 9, 55, 6), 0),
        ("21 Nov 100 09:55:06 Z", _utc(2000, 11, 21, 9, 55, 6), 0),
        ("21 Nov 1997 09:55:06 EST", _utc(1997, 11, 21, 14, 55, 6), -300),
        ("21 Nov 1997 09:55:06 EDT", _utc(1997, 11, 21, 13, 55, 6), -240),
        ("21 Nov 1997 09:55:06 PDT", _utc(1997, 11, 21, 16, 55, 6), -420),
        ("21 Nov 1997 09:55:06 A", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("21 Nov 1997 09:55:06 CEST", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("21 Nov 1997 09:55:06 +-0500", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", None, None),
        # what real mail has
        ("Fri, 21 Nov 1997 09:55:06", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("Fri,21 Nov 1997 09:55:06 +0100", _utc(1997, 11, 21, 8, 55, 6), 60),
        ("Fri 21 November 1997 9:55:6 GMT+2", _utc(1997, 11, 21, 7, 55, 6), 120),
        ("Friday, 21-Nov-97 09:55:06 GMT", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("Fri Nov 21 09:55:06 EST 1997", _utc(1997, 11, 21, 14, 55, 6), -300),
        ("Nov 21 1997 09:55:06 UTC", _utc(1997, 11, 21, 9, 55, 6), 0),
        ("1997-11-21 09:55:06 +01:00", _utc(1997, 11, 21, 8, 55, 6), 60),
        ("Fri, 21 Nov 1997 09:55:06.789 0100", _utc(1997, 11, 21, 8, 55, 6), 60),
        ("Sat, 31 Dec 2016 23:59:60 +0000", _utc(2017, 1, 1), 0),
        ("29 Feb 2000 00:00 +0000", _utc(2000, 2, 29), 0),
    ],
)
def test_a_date_is_read(raw: str, moment: float | None, offset: int | None) -> None:
    assert parse(raw) == (None if moment is None else (moment, offset))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "yesterday",
        "12:00",
        "Fri, 21 Nov 1997",
        "Fri, 32 Nov 1997 09:55:06 -0600",
        "29 Feb 1900 00:00:00 +0000",
        "21 Nox 1997 09:55:06",
        "21 Nov 1997 24:00:00",
        "21 Nov 1997 09:60:00",
        "21 Nov 1997 09:55:61",
        "21 Nov 1997 -1:00",
        "21 Nov 12345 09:55:06",
        "21 Nov 1997 09:55:06 ２",
        "21 Nov 1997 09:55:06 +0000" + " " * LOOKED_AT,
        "0 0 0 0:0",
        ":",
        "(" * 100,
    ],
)
def test_what_is_no_date_is_none(raw: str) -> None:
    assert parse(raw) is None


@given(MOMENTS, OFFSETS)
def test_the_calendar_agrees_with_datetime(moment: datetime, offset: int) -> None:
    moment = moment.replace(microsecond=0)
    since = (moment - datetime(1970, 1, 1)).total_seconds()
    local = moment + timedelta(minutes=offset)
    expected = (local.year, local.month, local.day, local.hour, local.minute, local.second, local.isoweekday())
    assert civil(since, offset) == expected
    minute = local.hour * 60 + local.minute
    assert seconds(local.year, local.month, local.day, minute) == since + offset * 60 - local.second


@given(st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31)).map(lambda found: found.replace(tzinfo=UTC)))
def test_a_date_that_the_standard_library_writes_is_read_as_it_reads_it(moment: datetime) -> None:
    raw = format_datetime(moment)
    found = parse(raw)
    assert found is not None
    assert found[0] == (parsedate_to_datetime(raw) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


@given(st.integers(-5, 10_005), st.integers(-1, 14), st.integers(-1, 33))
def test_the_days_are_those_of_the_calendar(year: int, month: int, day: int) -> None:
    try:
        datetime(year or 2000, month, day)  # year 0 is a leap year, as 2000 is
        real = 0 <= year <= 9_999
    except ValueError:
        real = False
    assert is_day(year, month, day) == real


@given(st.one_of(st.text(), st.text("0123456789:-+,() JanFebMonGMT", max_size=60)))
def test_no_text_raises(raw: str) -> None:
    found = parse(raw)
    if found is not None:
        civil(*found)
