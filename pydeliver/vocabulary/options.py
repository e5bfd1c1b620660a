"""What a rule file says about itself: `set mailboxes`, `default`, `me`, `timezone`, `quarantine`.

Options are read once, when the rules are compiled; they stand at the top level and hold only literal text.
"""

from __future__ import annotations

from pydeliver.mail import address
from pydeliver.vocabulary.word import DURATION, Option

DAY = 86400
QUARANTINE_DAYS = 365  # at most
LAYOUTS = ("maildir++", "nested", "mbox")


def _folder(values: tuple[str, ...]) -> str:
    (path,) = values
    if not path.startswith(("/", "~/")):
        return f'"{path}" is no place: write "~/Maildir" or a path from /'
    if ".." in path.split("/"):
        return "a place is written without `..`"
    return ""


def _mailbox(values: tuple[str, ...]) -> str:
    """A folder, or a place with its format before it."""
    kind, colon, path = values[0].partition(":")
    return _folder((path,)) if colon and kind in ("mbox", "mh") else _folder(values)


def _addresses(values: tuple[str, ...]) -> str:
    for text in values:
        found = address.parse_one(text)
        if found is None or not found.domain:
            return f'"{text}" is no mail address'
    return ""


def _zone(values: tuple[str, ...]) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(values[0])
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return f'"{values[0]}" is no time zone; they are written like "Europe/Berlin"'
    return ""


def _time_kept(values: tuple[str, ...]) -> str:
    return f"at most {QUARANTINE_DAYS} days" if int(values[0]) > QUARANTINE_DAYS * DAY else ""


WORDS = (
    Option(
        "mailboxes",
        "where mailbox names are looked up, and in which layout",
        'set mailboxes = "~/Maildir"',
        _folder,
        kinds=LAYOUTS,
    ),
    Option("default", "the default mailbox, INBOX in rules", 'set default = "~/Maildir"', _mailbox),
    Option("me", "your own addresses", 'set me = "bob@example.org", "bob@example.com"', _addresses, many=True),
    Option(
        "quarantine",
        "how long what you `discard` is kept back, instead of the site's `quarantine-days`; `0 days` keeps nothing",
        "set quarantine = 3 days",
        _time_kept,
        kind=DURATION,
    ),
    Option("timezone", "the zone in which times of day and dates are read", 'set timezone = "Europe/Berlin"', _zone),
)
