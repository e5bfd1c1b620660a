"""What hostile header blocks cost: linear time, and within the limits however large the message is.

Each bomb is a header block that grows with n. In one table, the time to look at all that rules can ask for, at n, 2n,
4n and 8n, where 8n stays within the limits of `mail.message`, so that the ratio per doubling tells what is linear
(but for several To fields, which together reach the limit on addresses sooner and then cost no more).
In the other, wall-clock time and peak memory of a process that does so at full size, far over the limits.
Run from the top of the checkout: `python -m tests.benchmarks.header_bombs`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Final

from pydeliver.mail.date import parse
from pydeliver.mail.edit import Edit, edited
from pydeliver.mail.folding import fold
from pydeliver.mail.message import ADDRESSES, FIELD_BYTES, FIELDS, HEAD_BYTES, Message
from tests.benchmarks.bombs import (
    MEGABYTES_GOAL,
    SECONDS_GOAL,
    alone,
    concluded,
    doublings,
    measured,
    ratios,
    table,
    within_goals,
)

ADDRESS_FIELDS: Final = ("from", "to", "cc", "bcc", "sender", "reply-to")
EDITS: Final = (
    Edit("add", "X-Seen", "yes"),
    Edit("set", "Subject", "new"),
    Edit("remove", "Received"),
    Edit("prefix-subject", "Subject", "[x] "),
)

# A name, a part that is repeated, the name of the field it stands in ("" if it is a field of its own) and how often it
# is repeated at full size, as RELIABILITY Appendix C has it or more.
Bomb = tuple[str, bytes, str, int]
BOMBS: Final[tuple[Bomb, ...]] = (
    ("header fields", b"X-%d: y\n", "", 1_000_000),
    ("empty fields", b"A:\n", "", 1_000_000),
    ("Received fields", b"Received: from a.example by b.example\n", "", 100_000),
    ("From fields", b"From: a@b.example\n", "", 1_000_000),
    ("To fields of many addresses", b"To: " + b"a," * 10_240 + b"\n", "", 60),
    ("Subject fields of encoded words", b"Subject: =?utf-8?Q?=C3=A9?=\n", "", 1_000_000),
    ("lines that are no field", b"noise\n", "", 1_000_000),
    ("From lines", b"From a@b.example\n", "", 1_000_000),
    ("long Subject", b"x", "Subject", 10_000_000),
    ("words in Subject", b"x ", "Subject", 5_000_000),
    ("continuation lines", b"\n ", "Subject", 1_000_000),
    ("addresses", b"Ann Bee <ann.bee@c.example>, ", "To", 100_000),
    ("short addresses", b"a,", "To", 1_000_000),
    ("addresses without commas", b"a@b ", "To", 1_000_000),
    ("quoted names", b'"a" <a@b>,', "To", 1_000_000),
    ("addresses with xn-- labels", b"a@xn--bcher-kva.xn--bcher-kva,", "To", 100_000),
    ("labels of one domain", b"xn--bcher-kva.", "From", 100_000),
    ("encoded words", b"=?utf-8?Q?=C3=A9?= ", "Subject", 100_000),
    ("encoded words in two charsets", b"=?utf-8?B?w6k=?= =?koi8-r?B?w6k=?=", "Subject", 100_000),
    ("one long encoded word", b"=?utf-8?Q?" + b"=C3=A9" * 300 + b"?=", "Subject", 5_000),
    ("beginnings of encoded words", b"=?", "Subject", 1_000_000),
    ("ends of encoded words", b"?=", "Subject", 1_000_000),
    ("encoded words without end", b"=?a?Q?", "Subject", 1_000_000),
    ("question marks", b"?", "Subject", 1_000_000),
    ("semicolons", b";", "Content-Type", 100_000),
    ("RFC 2231 parts", b"; a*1*=x", "Content-Type", 100_000),
    ("combining marks", b"\xcc\xa3\xcc\x81", "Subject", 500_000),
    ("ligatures that fold to more", "ﬃ".encode(), "Subject", 500_000),
    ("bytes without a charset", b"\xff\x80", "Subject", 500_000),
    ("digits in Date", b"1:", "Date", 1_000_000),
    *(
        (f"{mark.decode()} in From", mark, "From", 1_000_000)
        for mark in (
            b"(",
            b")",
            b"()",
            b"((",
            b"<",
            b">",
            b"<>",
            b",",
            b";",
            b":",
            b"@",
            b".",
            b"[",
            b"@[",
            b"@[]",
            b'"',
        )
    ),
    ("\\ in From", b"\\", "From", 1_000_000),
    ('"\\" in From', b'"\\"', "From", 1_000_000),
    ("nested comments closed", b"(", "From)", 1_000_000),
    ("routes", b"@a,", "From<", 1_000_000),
    ("quoted strings with dots", b'"a".', "From", 1_000_000),
)


def numbered(part: bytes, times: int) -> bytes:
    """The part that many times with its number in it, made with little more memory than it takes."""
    block = bytearray()
    for number in range(times):
        block += part % number
    return bytes(block)


def message(bomb: Bomb, times: int) -> Message:
    _, part, field, _ = bomb
    if not field:
        block = numbered(part, times) if b"%d" in part else part * times
    else:
        name = field.rstrip("<)")
        closing = b")" * times if field.endswith(")") else b""
        block = name.encode() + b": " + (b"<" if field.endswith("<") else b"") + part * times + closing + b"\n"
    return Message.of(b"Subject: first\n" + block + b"From: last@example.com\n\nbody\n")


def look(one: Message) -> None:
    """Ask for all that rules can ask for."""
    fold(one.header_text())
    one.trace()
    for name in ADDRESS_FIELDS:
        one.addresses(name)
        one.texts(name)
    for text in (*one.texts("subject"), *one.texts("content-type"), *one.texts("received")):
        fold(text)
    for text in one.texts("date"):
        parse(text)
    edited(one.head, EDITS)


def within_limits(bomb: Bomb) -> int:
    """The largest n whose eightfold is within the limits."""
    _, part, field, full = bomb
    room = FIELD_BYTES // (2 if field.endswith(")") else 1) if field else HEAD_BYTES - 1_000
    times = min(room // len(part % 0 if b"%d" in part else part), full)
    if not field and b":" in part:
        times = min(times, FIELDS - 2)
    if field == "To":
        times = min(times, ADDRESSES)
    return max(times // 10, 1)  # a number of more digits takes more room


def cases() -> Iterator[tuple[list[str], list[float]]]:
    for bomb in BOMBS:
        times = within_limits(bomb)
        makes = [partial(message, bomb, times << power) for power in range(4)]
        yield [bomb[0], str(times)], doublings(makes, look)


def full_sizes() -> bool:
    rows = [["bomb", "bytes", "seconds", "MB"]]
    good = True
    for number, bomb in enumerate(BOMBS):
        taken, peak, _ = alone(__spec__.name, number)
        good = good and within_goals(taken, peak)
        rows.append([bomb[0], f"{message(bomb, bomb[3]).size:,}", f"{taken:.2f}", f"{peak:.0f}"])
    table(f"Full size, goals {SECONDS_GOAL} s and {MEGABYTES_GOAL} MB with interpreter and message", rows)
    return good


def main() -> int:
    if len(sys.argv) > 1:
        bomb = BOMBS[int(sys.argv[1])]
        one = message(bomb, bomb[3])
        print(measured(lambda: look(one)))
        return 0
    return concluded([ratios("", ["bomb", "n"], cases()), full_sizes()])


if __name__ == "__main__":
    sys.exit(main())
