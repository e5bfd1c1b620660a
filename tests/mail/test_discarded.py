"""The field on top of a discarded message, and the bytes below it."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mail.discarded import FIELD, NOTE_BYTES, kept, read
from pydeliver.mail.message import Message

MESSAGE: Final = b"From: jo@example.org\nSubject: one\n\nGood morning.\n"
WHEN, WHY = "2024-05-15 12:34:56 UTC", 'by rule "junk", main.rules:12'


def made(message: bytes, why: str = WHY, largest: int = 1 << 20) -> bytes:
    return b"".join(kept(Message.of(message), WHEN, why, largest))


def received(data: bytes) -> bytes:
    note = read(data[:NOTE_BYTES], len(data))
    return data[note.skip if note else 0 :]


def test_one_field_is_above_the_bytes_received() -> None:
    field = b'X-Pydeliver-Discarded: 49 bytes, 2024-05-15 12:34:56 UTC, by rule "junk",\n main.rules:12\n'
    assert made(MESSAGE) == field + MESSAGE
    note = read(made(MESSAGE), len(made(MESSAGE)))
    assert note is not None
    assert (note.size, note.whole, note.when, note.why) == (len(MESSAGE), True, WHEN, WHY)


@given(st.binary(max_size=200), st.text(max_size=300))
@example(b"", "")
@example(b"\n", "x")
@example(b"no header at all", "x")
@example(b"no header at all", "é" * 200)
@example(b" white space first\nFrom: a@b.example\n\nx", "x")
@example(b"\tx", "a, b bytes, c")
@example(b"From a@b.example\nSubject: x\n\n", "x")
@example(b"A: b\r\n\r\nc\r\n", "é\r\nB: c")
@example(b"\r\n\r\n", "x")
@example(made(MESSAGE), "x")
@example(made(b"y"), "x")
def test_what_is_kept_gives_back_the_bytes_received(message: bytes, why: str) -> None:
    assert received(made(message, why)) == message


@given(st.binary(max_size=200))
def test_a_message_that_nobody_discarded_here_is_as_it_is(message: bytes) -> None:
    if not message.startswith(FIELD.encode()):
        assert received(message) == message


@pytest.mark.parametrize("why", ["one\nBcc: x@example.org", 'rule "\x1b[2J"', "日本語 " * 30, "\udc80"])
def test_a_reason_stays_in_the_field(why: str) -> None:
    data = made(MESSAGE, why)
    assert Message.of(data).names() == (FIELD, "From", "Subject")
    assert b"\x1b" not in data


def test_of_a_large_message_the_header_is_kept() -> None:
    data = made(MESSAGE + b"x" * 1000, largest=1000)
    note = read(data, len(data))
    assert note is not None
    assert (note.size, note.whole, note.why) == (len(MESSAGE) + 1000, False, WHY)
    assert data[note.skip :] == MESSAGE[: MESSAGE.index(b"\n\n") + 2]
    assert b"of which only the header is kept" in data
    assert received(made(MESSAGE, largest=len(MESSAGE))) == MESSAGE


def test_a_file_that_was_edited_since_is_as_it_is() -> None:
    for edited in (made(MESSAGE) + b"a line more\n", made(MESSAGE)[:-3], b"X-Label: a\n" + made(MESSAGE)):
        assert received(edited) == edited


@pytest.mark.parametrize(
    "value", [b"", b"all", b"-1 bytes, x", b"9999999999 bytes, x", b"0 bytes, x", b"\xb2 bytes, x"]
)
def test_a_field_that_says_nothing_takes_nothing_away(value: bytes) -> None:
    data = FIELD.encode() + b": " + value + b"\n" + MESSAGE
    assert received(data) == data
