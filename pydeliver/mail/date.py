"""Dates: the ones in header fields, and calendar arithmetic without a clock or a time zone table.

Owns `parse` (RFC 5322 section 3.3 with the obsolete forms of 4.3, and the orders of words that real mail has),
`civil`, `seconds` and `is_day`. All are pure; seconds count from 1970-01-01T00:00Z in the proleptic Gregorian
calendar, without leap seconds.
"""

from __future__ import annotations

LOOKED_AT = 200  # characters; a date that is longer is none

_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
# RFC 5322 section 4.3; all other names, the military letters among them, mean an unknown zone: -0000.
_ZONES = {"ut": 0, "utc": 0, "gmt": 0, "z": 0}
_ZONES |= {"est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420}
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY = 86_400


def parse(raw: str) -> tuple[float, int] | None:
    """Seconds since the epoch and the zone's minutes east of Greenwich; None if the text is no date."""
    if len(raw) > LOOKED_AT or not raw.isascii():
        return None
    found = _without_comments(raw).replace(",", " ").lower().split()
    if found and found[0].isalpha() and found[0][:3] not in _MONTHS:
        del found[0]  # the day of the week, which nobody needs
    if found and found[0].count("-") == 2:  # 20-Aug-02, 2002-08-20
        found[:1] = found[0].split("-")
    place = next((place for place, word in enumerate(found) if ":" in word), 0)
    before, behind = found[:place], found[place + 1 :]
    if len(before) == 2:  # Aug 20 12:34:56 EDT 2002
        before += [word for word in behind if word.isdigit()][:1]
        behind = [word for word in behind if not word.isdigit()]
    date = _date(before)
    second = _second(found[place].split(":")) if place else None
    if date is None or second is None:
        return None
    offset = _offset(behind[0]) if behind else 0
    return seconds(*date, 0) + second - offset * 60, offset


def civil(seconds: float, offset_minutes: int) -> tuple[int, int, int, int, int, int, int]:
    """Year, month, day, hour, minute, second and weekday (Monday is 1, Sunday 7) at that offset from UTC."""
    days, second = divmod(int(seconds // 1) + offset_minutes * 60, _DAY)
    # Days from 0000-03-01, in eras of 400 years; years start in March, so the leap day comes last.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = era * 400 + year_of_era + (month <= 2)
    return year, month, day, second // 3_600, second // 60 % 60, second % 60, (days + 3) % 7 + 1


def seconds(year: int, month: int, day: int, minute: int) -> float:
    """The UTC time of a day that `is_day`, and a minute of it."""
    year -= month <= 2  # as in `civil`, years start in March
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    era, year_of_era = divmod(year, 400)
    days = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    return float(days * _DAY + minute * 60)


def is_day(year: int, month: int, day: int) -> bool:
    """Whether the calendar has that day."""
    if not (0 <= year <= 9_999 and 1 <= month <= 12 and 1 <= day <= _DAYS_IN_MONTH[month - 1]):
        return False
    return (month, day) != (2, 29) or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def _without_comments(text: str) -> str:
    kept = []
    depth = 0
    for character in text:
        if character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            character = " "
        if not depth:
            kept.append(character)
    return "".join(kept)


def _date(words: list[str]) -> tuple[int, int, int] | None:
    """Day month year, month day year, or year and two numbers."""
    if len(words) != 3:
        return None
    if words[0].isalpha():
        words = [words[1], words[0], words[2]]
    elif len(words[0]) == 4:
        words = words[::-1]
    day, month, year = words
    if not (day.isdigit() and year.isdigit()):
        return None
    number = int(month) if month.isdigit() else _MONTHS.get(month[:3], 0)
    full = int(year)
    if len(year) == 2:
        full += 2000 if full < 50 else 1900
    elif len(year) == 3:
        full += 1900
    return (full, number, int(day)) if is_day(full, number, int(day)) else None


def _second(clock: list[str]) -> int | None:
    """Seconds after midnight of `hh:mm` or `hh:mm:ss`; a fraction is left out, a leap second is kept."""
    clock = [*clock[:2], clock[2].partition(".")[0]] if len(clock) == 3 else [*clock, "0"]
    if len(clock) != 3 or not all(part.isdigit() for part in clock):
        return None
    hour, minute, second = [int(part) for part in clock]
    return hour * 3_600 + minute * 60 + second if hour < 24 and minute < 60 and second <= 60 else None


def _offset(zone: str) -> int:
    """Minutes east of Greenwich of `+0200`, `0200`, `+02:00`, `GMT+2` or a name; 0 for a zone that nobody knows."""
    for name in ("gmt", "utc"):
        zone = zone.removeprefix(name) or zone
    digits = (zone[1:] if zone[0] in "+-" else zone).replace(":", "")
    if not digits.isdigit() or len(digits) > 4:
        return _ZONES.get(zone, 0)
    hours, minutes = (int(digits), 0) if len(digits) < 3 else (int(digits[:-2]), int(digits[-2:]))
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
