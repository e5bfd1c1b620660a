"""When: the Date header, the message's age, the moment of judging, and their parts.

RFC 5322 3.3. Moments are seconds since the epoch, shown and compared in the user's time zone. `date` is the Date
header, else now. The clock and the zone are questions ("now",) and ("offset", seconds).
"""

from __future__ import annotations

from pydeliver.vocabulary.operator import local_time
from pydeliver.vocabulary.word import DURATION, MOMENT, NUMBER, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.vocabulary.word import Facts

    Reader = Callable[[Facts, Any], Any]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PLACES = {"year": 0, "month": 1, "day": 2, "hour": 3}


def _now(facts: Facts, _argument: Any) -> Any:
    moment = facts.ask(("now",))
    return None if moment is None else (moment,)


def _date(facts: Facts, _argument: Any) -> Any:
    from pydeliver.mail.date import parse

    for text in facts.message.texts("date"):
        found = parse(text)
        if found is not None:
            return (found[0],)
    return _now(facts, None)


def _age(facts: Facts, _argument: Any) -> Any:
    """Seconds since the Date header; a message dated in the future has the age 0."""
    now, date = _now(facts, None), _date(facts, None)
    return None if now is None else (max(0.0, now[0] - date[0]),)


def _part(read: Reader, part: str) -> Reader:
    def read_part(facts: Facts, argument: Any) -> Any:
        moments = read(facts, argument)
        local = None if moments is None else local_time(facts, moments[0])
        if local is None:
            return None
        if part == "weekday":
            return (WEEKDAYS[local[6] - 1],)
        return (local[_PLACES[part]],)

    return read_part


def _moment(name: str, read: Reader, about: str, example: str) -> tuple[Field, ...]:
    return (
        Field(name, MOMENT, read, about, example),
        *[
            Field(
                f"{name}.{part}",
                NUMBER,
                _part(read, part),
                f"{name}: the {part} as a number",
                f"{name}.{part} is {sample}",
                digits=digits,
            )
            for part, sample, digits in (("year", 2026, 4), ("month", 12, 2), ("day", 24, 2), ("hour", 9, 2))
        ],
        Field(
            f"{name}.weekday",
            TEXT,
            _part(read, "weekday"),
            f"{name}: the day of the week in English",
            f'{name}.weekday in "saturday", "sunday"',
            choices=WEEKDAYS,
        ),
    )


WORDS = (
    *_moment("date", _date, "the Date header, else now", "date < 2020-01-01"),
    *_moment("now", _now, "the moment at which the message is judged", "now in 2026-12-20..2027-01-03"),
    Field("age", DURATION, _age, "how long ago the Date header says it was sent", "age > 30 days"),
)
