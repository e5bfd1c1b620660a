"""`mail.message`: where the header block ends, what its fields are, and that no byte gets lost."""

from __future__ import annotations

import email
from email.message import Message as Parsed
from email.utils import parseaddr
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.message import (
    ADDRESSES,
    CHUNK,
    FIELD_BYTES,
    FIELDS,
    FIRST_READ,
    FROM_LINE_BYTES,
    HEAD_BYTES,
    Message,
    fields_start,
    is_field_name,
    split_from_line,
)

LINES = st.sampled_from(
    b"From: a@b.example|Subject : x|X:|:|no field| more|\t||From a@b.example Mon|>From x|From : a@b.example|Received: x"
    b"|\0|To: a,|=?utf-8?Q?x?=|\xff: y".split(b"|")
)
BREAKS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b""])
MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(LINES, BREAKS).map(b"".join), max_size=12).map(b"".join),
)
# Of 5,344 messages: the two whose From holds bytes that are no UTF-8 (00706 and 00708 of spam-2, Big5). Both show
# U+FFFD, the standard library one a byte, pydeliver one an ill-formed sequence (Unicode 3.9, as browsers do).
FROM_DIFFERENCES = 2


def _looked_at(message: Message) -> None:
    """Ask for everything that rules can ask for."""
    message.header_text()
    message.trace()
    for name in (*message.names(), "from", "subject"):
        message.texts(name)
        message.addresses(name)
    assert message.newline in (b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"A: b\nC: d\n\nbody", b"A: b\nC: d\n\n"),
        (b"A: b\r\nC: d\r\n\r\nbody", b"A: b\r\nC: d\r\n\r\n"),
        (b"A: b\r\nC: d\n\nbody\r\n\r\nmore", b"A: b\r\nC: d\n\n"),
        (b"A: b\nC: d\r\n\r\nbody\n\nmore", b"A: b\nC: d\r\n\r\n"),
        (b"A: b\n\r\n\nbody", b"A: b\n\r\n"),
        (b"A: b\rC: d\r\rE: f\n\nbody", b"A: b\rC: d\r\rE: f\n\n"),
        (b"A: b\0\nC\0: d\n\nbody", b"A: b\0\nC\0: d\n\n"),
        (b"A: b\n \nC: d\n\nbody", b"A: b\n \nC: d\n\n"),
        (b"A: b\nnoise\nC: d\n\nbody", b"A: b\nnoise\nC: d\n\n"),
        # no empty line
        (b"A: b\nC: d\n", b"A: b\nC: d\n"),
        (b"A: b\nC: d", b"A: b\nC: d"),
        (b"A: b\n c\nbody: with spaces no\nC d: e\n", b"A: b\n c\nbody: with spaces no\n"),
        (b"A: b\nbody\nFrom: a@b.example\n", b"A: b\n"),
        (b"From x\nA: b\nbody\n", b"From x\nA: b\n"),
        # no header
        (b"", b""),
        (b"body\n\nA: b\n", b""),
        (b"\nbody", b"\n"),
        (b"\r\nbody", b"\r\n"),
        (b": x\n\nbody", b""),
        (b"body only", b""),
        # what may stand before the first field
        (
            b"From a@b.example Mon Nov 23 10:00:00 2026\nA: b\n\nbody",
            b"From a@b.example Mon Nov 23 10:00:00 2026\nA: b\n\n",
        ),
        (b">From a@b.example\n x\nA: b\n\nbody", b">From a@b.example\n x\nA: b\n\n"),
        (b"From a@b.example\nbody\n\nmore", b""),
        (b"From : a@b.example\n\nbody", b"From : a@b.example\n\n"),
        (b" x\nA: b\n\nbody", b" x\nA: b\n\n"),
    ],
)
def test_the_header_block_ends_where_readers_say(data: bytes, head: bytes) -> None:
    message = Message.of(data)
    assert message.head == head
    assert head + b"".join(message.chunks(len(head))) == data


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (b"Subject: x\n\n", (b" x",)),
        (b"SUBJECT:x\r\n\r\n", (b"x",)),
        (b"Subject : x\n\n", (b" x",)),
        (b"Subject\t: x\n\n", (b" x",)),
        (b"Subject: x\n y\r\n\tz\r\n\r\n", (b" x\n y\r\n\tz",)),
        (b"Subject:\n x\n\n", (b"\n x",)),
        (b"Subject:\n\n", (b"",)),
        (b"Subject: a\nX: y\nsubject: b\n\n", (b" a", b" b")),
        (b"Subject: a\nnoise\n Subject: b\nSubject: c\n\n", (b" a", b" c")),
        (b"X-Subject: a\nSubject-X: b\n\n", ()),
        (b" Subject: a\nX: y\n\n", ()),
        (b"X: y\rSubject: b\n\n", ()),
        (b"X: y\nSubj\0ect: a\nSubject: b\n\n", (b" b",)),
    ],
)
def test_fields_are_found_by_name(head: bytes, values: tuple[bytes, ...]) -> None:
    assert Message.of(head + b"Subject: body").fields("Subject") == values


def test_names_and_the_whole_header_are_shown_in_order() -> None:
    message = Message.of(b"From x\nSubject : =?utf-8?Q?caf=C3=A9?=\r\nno field\nfROM: a\n b\nSub ject: x\n\n")
    assert message.names() == ("Subject", "fROM")
    assert message.header_text() == "Subject: café\nfROM: a b"


def test_an_absent_field_is_empty() -> None:
    message = Message.of(b"A: b\n\n")
    assert (message.fields("to"), message.texts("to"), message.addresses("to"), message.trace()) == ((), (), (), {})
    assert message.fields("ünknown\ud800") == ()


def test_only_what_stands_above_the_first_received_field_is_trace() -> None:
    top = b"Return-Path: <a@b.example>\nDELIVERED-TO : c@d.example\nreturn-path: <e@f.example>\nnoise\n"
    message = Message.of(b"From x\n" + top + b"Received : x\nReceived: y\nDelivered-To: g@h.example\nX: y\n\n")
    assert message.trace() == {"return-path": "<a@b.example>", "delivered-to": "c@d.example"}
    assert Message.of(top + b"\nReceived: in the body").trace() == {}


def test_addresses_of_several_fields_are_one_list() -> None:
    message = Message.of(b"To: a@b.example\nX: y\nTo: c@d.example, e@f.example\n\n")
    assert [one.address for one in message.addresses("to")] == ["a@b.example", "c@d.example", "e@f.example"]


@pytest.mark.parametrize(
    ("data", "newline"),
    [
        (b"A: b\n\r\n", b"\n"),
        (b"A: b\r\nC: d\n\n", b"\r\n"),
        (b"body\r\n", b"\r\n"),
        (b"body\n", b"\n"),
        (b"A: b", b"\n"),
        (b"\r\nx", b"\r\n"),
        (b"", b"\n"),
    ],
)
def test_the_first_line_says_how_lines_end(data: bytes, newline: bytes) -> None:
    assert Message.of(data).newline == newline


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("offset", [0, 1, CHUNK])
def test_chunks_are_all_bytes_from_an_offset_on(length: int, offset: int) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    assert b"".join(Message.of(data[:length]).chunks(offset)) == data[offset:length]


@pytest.mark.parametrize("length", [*range(FIRST_READ - 8, FIRST_READ + 8), 2 * FIRST_READ])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_a_header_block_of_any_length_is_found_whole(length: int, end: bytes) -> None:
    head = b"A: " + b"x" * length + end
    message = Message.of(head + b"\nB: body\n\n")
    assert message.head == head
    assert message.texts("a") == ("x" * length,)
    assert message.limits == ()


def test_a_header_block_over_the_limit_is_read_as_far_as_the_limit() -> None:
    message = Message.of(b"A: b\n" + b"X: y\n" * (HEAD_BYTES // 5) + b"C: d\n\nbody")
    assert len(message.head) == HEAD_BYTES
    assert message.fields("c") == ()
    assert message.limits == ("header: 1,048,576 bytes", "header fields: 10,000")


def test_more_fields_than_the_limit_are_not_looked_at() -> None:
    within = Message.of(b"X: y\n" * (FIELDS - 1) + b"Subject: x\n\n")
    assert (within.texts("subject"), within.limits) == (("x",), ())
    beyond = Message.of(b"X: y\n" * FIELDS + b"Subject: x\n\n")
    assert (beyond.texts("subject"), beyond.limits) == ((), ("header fields: 10,000",))


def test_lines_that_are_no_field_do_not_count_as_fields() -> None:
    message = Message.of(b"X: y\n" + b"noise\n" * (2 * FIELDS) + b"Subject: x\n\n")
    assert (message.texts("subject"), message.limits) == (("x",), ())


def test_a_longer_field_than_the_limit_is_cut() -> None:
    within = Message.of(b"Subject:" + b"x" * FIELD_BYTES + b"\n\n")
    assert (within.texts("subject"), within.limits) == (("x" * FIELD_BYTES,), ())
    beyond = Message.of(b"Subject:" + b"x" * FIELD_BYTES + b"y\n\n")
    assert (beyond.texts("subject"), beyond.limits) == (("x" * FIELD_BYTES,), ("header field: 102,400 bytes",))


def test_more_addresses_than_the_limit_are_not_looked_at() -> None:
    message = Message.of((b"To: " + b"a@b," * (ADDRESSES // 2 + 1) + b"\n") * 3 + b"\n")
    assert len(message.addresses("to")) == ADDRESSES
    assert message.limits == ("addresses in to fields: 10,240",)


@pytest.mark.parametrize(
    ("data", "line", "sender"),
    [
        (
            b"From a@b.example Mon Nov 23 10:00:00 2026\nA: b\n",
            b"From a@b.example Mon Nov 23 10:00:00 2026\n",
            "a@b.example",
        ),
        (b"From a@b.example  Mon\r\nA: b\n", b"From a@b.example  Mon\r\n", "a@b.example"),
        (b">From a@b.example Mon\nA: b\n", b">From a@b.example Mon\n", "a@b.example"),
        (b"From <a@b.example> Mon\n", b"From <a@b.example> Mon\n", "a@b.example"),
        (b'From "a b"@c.example Mon\n', b'From "a b"@c.example Mon\n', '"a b"@c.example'),
        (b"From MAILER-DAEMON Mon\n", b"From MAILER-DAEMON Mon\n", "MAILER-DAEMON"),
        (b"From \nA: b\n", b"From \n", None),
        (b"From a\x1b@b.example Mon\n", b"From a\x1b@b.example Mon\n", "a\ufffd@b.example"),
        (b"From : a@b.example\n", b"", None),
        (b"From: a@b.example\n", b"", None),
        (b"A: b\nFrom a@b.example Mon\n", b"", None),
        (b"From a@b.example", b"", None),
        (b"From " + b"a" * FROM_LINE_BYTES + b"\n", b"", None),
        (b"", b"", None),
    ],
)
def test_a_from_line_is_split_off(data: bytes, line: bytes, sender: str | None) -> None:
    assert split_from_line(data) == (line, sender)


@given(MESSAGES)
def test_no_bytes_raise_and_none_get_lost(data: bytes) -> None:
    message = Message.of(data)
    _looked_at(message)
    assert message.head + b"".join(message.chunks(len(message.head))) == data
    assert message.limits == ()
    assert 0 <= fields_start(data) <= len(data)
    assert data.startswith(split_from_line(data)[0])


@given(MESSAGES)
def test_the_names_are_names_and_have_values(data: bytes) -> None:
    message = Message.of(data)
    for name in message.names():
        assert is_field_name(name.encode())
        assert len(message.fields(name)) == [one.lower() for one in message.names()].count(name.lower())


def _as_read(parsed: Parsed) -> str | None:
    """The first From address that `email` finds, its domain in lower case as ours is."""
    if parsed["From"] is None:
        return None
    local, at, domain = parseaddr(str(parsed["From"]))[1].rpartition("@")
    return local + at + domain.lower() if at else domain


def test_real_messages_are_read_as_the_standard_library_reads_them(
    spam_assassin: list[Path], cpython_messages: list[Path]
) -> None:
    different = []
    for path in [*spam_assassin, *cpython_messages]:
        data = path.read_bytes()
        message = Message.of(data)
        _looked_at(message)
        assert message.head + b"".join(message.chunks(len(message.head))) == data, path
        assert message.limits == (), path
        parsed = email.message_from_bytes(data)
        assert list(message.names()) == parsed.keys(), path
        found = message.addresses("from")
        address = found[0].address if found else "" if message.fields("from") else None
        if address != _as_read(parsed):
            different.append(path.name)
    assert len(different) == FROM_DIFFERENCES, different
