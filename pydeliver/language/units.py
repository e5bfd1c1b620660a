"""Units: how many bytes or seconds a word means."""

from __future__ import annotations

SIZES = {"b": 1, "byte": 1, "bytes": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
DURATIONS = {
    name: seconds
    for names, seconds in (
        (("second", "seconds", "s"), 1),
        (("minute", "minutes", "min"), 60),
        (("hour", "hours", "h"), 3600),
        (("day", "days", "d"), 86400),
        (("week", "weeks", "w"), 7 * 86400),
        (("month", "months"), 30 * 86400),
        (("year", "years"), 365 * 86400),
    )
    for name in names
}
PERIODS = {name: DURATIONS[name] for name in ("minute", "hour", "day", "week")}  # behind `per`
