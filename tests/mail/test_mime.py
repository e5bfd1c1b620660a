"""`mail.mime`: which parts a message has, where they are and what they say they are, whatever the sender does."""

from __future__ import annotations

import email
from email.message import Message as Parsed
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mail import mime, parameters
from pydeliver.mail.message import FIELDS, Message
from pydeliver.mail.mime import (
    BOUNDARY_BYTES,
    FIRST_READ,
    NAMES,
    NESTING,
    PART_HEAD_BYTES,
    PART_HEADS_BYTES,
    PARTS,
    Part,
    walk,
)

MIXED = b'Content-Type: multipart/mixed; boundary="b"\n\n'

# 15 of 5,344: five reports, whose blocks of fields the standard library makes parts of; five multiparts in which no
# part begins, of which it makes none (msg_42 has such a one too); three in which it does not see delimiters (msg_15
# and msg_39 give a part the boundary of the one around, msg_37 has two in a row); one label with a space in it.
DIFFERENCES = {
    "delivery-status": ["01311.b6a06b", "01436.dc449b", "01542.ed72bf", "msg_16.txt", "msg_43.txt"],
    "no part begins": ["01214.973b45", "msg_17.txt", "msg_25.txt", "msg_31.txt", "msg_41.txt", "msg_42.txt"],
    "delimiters": ["msg_15.txt", "msg_37.txt", "msg_39.txt"],
    "label": ["00204.4cf15f"],
}

REGRESS = Path(__file__).parents[1] / "regress"

# Where the standard library stops at the padding of base64, behind which a mailing list wrote its own lines; takes two
# equals signs for one in quoted-printable; drops the last line break of a part that no delimiter ends.
UNDECODED = "00588.44b644 00853.ee1fe2 00960.ae114c 01309.4da3e5 00673.89b0df 00734.0c1975 01041.1ece6e 01304.114140"
UNDECODED += " 00009.1e1a8c 00714.cd13d8"

TOKENS = st.sampled_from(
    b"--b|--b--|--c|--c--|--bc|--|-|Content-Type: multipart/mixed; boundary=b"
    b"|Content-Type: multipart/digest; boundary=c|Content-Type: message/rfc822"
    b"|Content-Type: text/html; charset=utf-7|Content-Transfer-Encoding: base64"
    b"|Content-Transfer-Encoding: quoted-printable|Content-Transfer-Encoding: x-uuencode|begin 644 a|QUJD=|=41= |#0V%T"
    b"|Content-Disposition: attachment; filename=\"a.exe|Content-Type: a/b; name*0*=utf-8''%41; name*1=b; name=c d"
    b"|Content-Type: multipart/alternative; boundary=bc; boundary=c|text||\0|\xff|+2AA-".split(b"|")
)
BREAKS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b""])
MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(TOKENS, BREAKS).map(b"".join), max_size=30).map(b"".join),
)


def tree(data: bytes) -> list[tuple[int, str, bytes]]:
    """Depth, type and body of each part but the message itself."""
    return [(part.depth, part.type, data[part.body : part.end]) for part in Message.of(data).parts()[1:]]


def bodies(data: bytes) -> list[bytes]:
    return [body for _, _, body in tree(data)]


def only(data: bytes) -> Part:
    """The part of a message that has no others."""
    (part,) = Message.of(data).parts()
    return part


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"--b\n\none\n--b\n\ntwo\n--b--\n", [b"one", b"two"]),
        (b"--b\n\none\n\n--b--\n", [b"one\n"]),
        (b"--b\n\none\n--b\n\ntwo\n", [b"one", b"two\n"]),
        (b"--b\n\none", [b"one"]),
        (b"preamble\n--b\n\none\n--b--\nepilogue\n", [b"one"]),
        (b"--b\n\none\n--b--\nepilogue\n--b\n\nafter the end\n", [b"one"]),
        (b"--b \t\n\none\n--b-- \n", [b"one"]),
        (b"--b \r\n\r\none\r\n--b--\r\n", [b"one"]),
        (b"--bees\n\none\n--b--s\n", [b"one"]),
        (b"x --b\n--b\n\none --b\n --b\n--b--", [b"one --b\n --b"]),
        (b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\n\r\n--b--\r\n", [b"one", b"two\n"]),
        (b"--b\n\none\r--b\n--b--", [b"one\r--b"]),
        (b"--b\n\n--b\n\n--b--", [b"", b""]),
        (b"--b\n--b\n--b--", [b"", b""]),
        (b"--b", [b""]),
        (b"--b\n", [b""]),
        (b"--b\n\n", [b""]),
    ],
)
def test_what_stands_between_the_delimiters_is_a_part(body: bytes, parts: list[bytes]) -> None:
    assert bodies(MIXED + body) == parts


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"A: b\n\n", b"text\n"),
        (b"A: b\r\n\r\n", b"text\n"),
        (b"\n", b"A: b\n"),
        (b"", b"no field\ntext\n"),
        (b"A: b\n c\nD: e\n\n", b"text\n"),
        (b"A: b\n" * 1_000 + b"\n", b"text\n"),
        (b"A: b\nno field\nD: e\n\n", b"text\n"),
        (b"A: b\n c\n", b"no field\n\ntext\n"),
        (b"A: b\r\n", b"no field\r\n  more\r\n\r\ntext\n"),
        (b"Content-Transfer-Encoding: base64\nno field\n\n", b"text\n"),
    ],
)
def test_the_header_of_a_part_ends_at_an_empty_line(head: bytes, body: bytes) -> None:
    start = len(MIXED) + len(b"--b\n")
    _, part = Message.of(MIXED + b"--b\n" + head + body + b"\n--b--\n").parts()
    assert (part.start, part.body, part.end - part.body) == (start, start + len(head), len(body))


def test_a_delimiter_ends_the_header_of_a_part_too() -> None:
    data = MIXED + b"--b\nContent-Type: text/html\n--b\nContent-Type: a/b\n\nbody\n"
    assert tree(data) == [(1, "text/html", b""), (1, "a/b", b"body\n")]


def test_a_delimiter_of_an_outer_part_ends_the_parts_within() -> None:
    inner = b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--c\n--b--\n"
    assert tree(MIXED + inner) == [
        (1, "multipart/mixed", b"--c\n\none"),
        (2, "text/plain", b"one"),
        (1, "text/plain", b"two\n--c"),
    ]


def test_of_two_boundaries_the_longer_one_is_meant() -> None:
    inner = b"--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n"
    assert [(depth, body) for depth, _, body in tree(MIXED + inner)][1:] == [(2, b"one"), (1, b"two")]


def test_of_two_equal_boundaries_the_inner_one_is_meant_until_it_has_ended() -> None:
    inner = b"--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n"
    assert [(depth, body) for depth, _, body in tree(MIXED + inner)][1:] == [(2, b"one"), (1, b"two")]


@pytest.mark.parametrize("value", [b"", b"; boundary", b"; boundary=", b'; boundary=""', b"; boundary=other"])
def test_a_multipart_in_which_no_part_begins_is_one_text(value: bytes) -> None:
    head = b"Content-Type: multipart/mixed" + value + b"\nContent-Transfer-Encoding: base64\n\n"
    whole, part = Message.of(head + b"QUJD").parts()
    assert (part.type, part.depth, part.parent, part.decoded(9)) == ("text/plain", 1, 0, b"ABC")
    assert (part.start, part.body, part.end) == (whole.body, whole.body, whole.end)


def test_an_empty_multipart_has_no_part() -> None:
    assert tree(MIXED) == []


@pytest.mark.parametrize(
    "value",
    [
        b"boundary=b",
        b'boundary="b"',
        b'BOUNDARY = "b "',
        b"boundary=b ; charset=x",
        b"boundary*=us-ascii''%62",
        b"boundary*0=b",
        b"boundary=x; boundary=b",
        b"boundary=b; boundary=x",
        b'boundary="b" charset="x"',
        b"boundary=b (a comment)",
        b"boundary=b charset=x",
        b'boundary="b',
    ],
)
def test_a_boundary_in_any_syntax(value: bytes) -> None:
    head = b"Content-Type: multipart/mixed; " + value + b"\n\n"
    assert bodies(head + b"--b\n\none\n--b--\n") == [b"one"]


def test_a_boundary_may_look_like_an_encoded_word() -> None:
    head = b'Content-Type: multipart/mixed; boundary="=?utf-8?q?a?="\n\n'
    assert bodies(head + b"--=?utf-8?q?a?=\n\none\n") == [b"one\n"]


def test_both_of_two_boundaries_count() -> None:
    head = b"Content-Type: multipart/mixed; boundary=x; boundary=y\n\n"
    assert bodies(head + b"--x\n\none\n--y\n\ntwo\n--x--\n") == [b"one", b"two"]


def test_of_a_long_boundary_the_beginning_counts() -> None:
    long = b"x" * 5_000
    head = b"Content-Type: multipart/mixed; boundary=" + long + b"\n\n"
    assert bodies(head + b"--" + long + b"\n\none\n--" + long[:BOUNDARY_BYTES] + b"--\n") == [b"one"]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (b"", "text/plain"),
        (b"Content-Type:\n", "text/plain"),
        (b"Content-Type: Text/HTML\n", "text/html"),
        (b"Content-Type : text/html;\n", "text/html"),
        (b"Content-Type:\n text/html; charset=x\n", "text/html"),
        (b'Content-Type: "text/html"\n', "text/html"),
        (b"Content-Type: text/html charset=x\n", "text/html"),
        (b"Content-Type: text/html(a page)\n", "text/html"),
        (b"Content-Type: text\n", "text/plain"),
        (b"Content-Type: text/\n", "text/plain"),
        (b"Content-Type: /html\n", "text/plain"),
        (b"Content-Type: text/html/x\n", "text/plain"),
        (b"Content-Type: charset=x\n", "text/plain"),
        (b"Content-Type: text/html\nContent-Type: a/b\n", "text/html"),
        (b"Content-Type: text/html\nContent-Type: multipart/mixed; boundary=b\n", "multipart/mixed"),
    ],
)
def test_the_type_that_a_part_is_labelled_with(field: bytes, kind: str) -> None:
    assert Message.of(field + b"\n").parts()[0].type == kind


@pytest.mark.parametrize(
    ("fields", "encoding"),
    [
        (b"A: b\n", ""),
        (b"Content-Transfer-Encoding: Base64\n", "base64"),
        (b'Content-Transfer-Encoding: "base64";\n', "base64"),
        (b"Content-Transfer-Encoding: base64 (as ever)\n", "base64"),
        (b"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n", "base64"),
        (b"Content-Transfer-Encoding: x-odd\n", "x-odd"),
    ],
)
def test_the_transfer_encoding_that_a_part_is_labelled_with(fields: bytes, encoding: str) -> None:
    assert only(fields + b"\n").encoding == encoding


def test_a_message_within_is_walked_into() -> None:
    inner = b"Subject: in\n" + MIXED.replace(b'"b"', b"c") + b"--c\n\none\n--c--\n"
    data = MIXED + b"--b\nContent-Type: message/rfc822; name=a.eml\n\n" + inner + b"--b\n\ntwo\n--b--\n"
    assert [(depth, kind) for depth, kind, _ in tree(data)] == [
        (1, "message/rfc822"),
        (2, "multipart/mixed"),
        (3, "text/plain"),
        (1, "text/plain"),
    ]
    parts = Message.of(data).parts()
    assert [part.parent for part in parts] == [-1, 0, 1, 2, 0]
    assert [part.is_container for part in parts] == [True, True, True, False, False]
    assert parts[2].fields("SUBJECT") == (b" in",)
    assert data[parts[1].body : parts[1].end] == inner.removesuffix(b"\n")


@pytest.mark.parametrize(
    ("fields", "walked"),
    [
        (b"Content-Type: message/rfc822\n", True),
        (b"Content-Type: message/global\n", True),
        (b"Content-Type: message/external-body; access-type=url\n", True),
        (b"Content-Type: message/partial; number=1; id=x\n", True),
        (b"Content-Type: message/partial; number=2; id=x\n", False),
        (b"Content-Type: message/delivery-status\n", False),
        (b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n", True),
        (b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n", False),
    ],
)
def test_which_messages_are_walked_into(fields: bytes, walked: bool) -> None:
    parts = Message.of(fields + b"\nContent-Type: text/html\n\nbody\n").parts()
    assert [part.type for part in parts[1:]] == (["text/html"] if walked else [])


def test_a_part_of_a_digest_is_a_message_where_it_does_not_say_other() -> None:
    data = (
        MIXED.replace(b"mixed", b"digest") + b"--b\n\nSubject: x\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--\n"
    )
    assert tree(data) == [
        (1, "message/rfc822", b"Subject: x\n\none"),
        (2, "text/plain", b"one"),
        (1, "text/plain", b"two"),
    ]


@pytest.mark.parametrize(
    ("fields", "attachment"),
    [
        (b"", False),
        (b"Content-Type: text/html\n", False),
        (b"Content-Disposition: inline\n", False),
        (b"Content-Disposition: attachment\n", True),
        (b"Content-Disposition: ATTACHMENT; x\n", True),
        (b"Content-Disposition: odd\n", True),
        (b"Content-Disposition: inline; filename=a.txt\n", True),
        (b"Content-Disposition: filename=a.txt\n", True),
        (b"Content-Type: text/plain; name=a.txt\n", True),
        (b"Content-Type: application/pdf\n", True),
        (b"Content-Type: image/png\nContent-Disposition: inline\n", True),
        (b"Content-Type: message/rfc822\n", True),
        (b"Content-Type: multipart/mixed; name=a.txt\n", False),
    ],
)
def test_what_an_attachment_is(fields: bytes, attachment: bool) -> None:
    assert Message.of(fields + b"\n").parts()[0].is_attachment is attachment


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (b"", ()),
        (b"Content-Disposition: attachment; filename=a.txt\n", ("a.txt",)),
        (b"Content-Type: a/b; name=a.txt\n", ("a.txt",)),
        (b"Content-Type: a/b; filename=a.txt\n", ("a.txt",)),
        (b"Content-Type: a/b; name=a.txt\nContent-Disposition: attachment; filename=a.txt\n", ("a.txt",)),
        (b"Content-Type: a/b; name=b.exe\nContent-Disposition: attachment; filename=a.txt\n", ("a.txt", "b.exe")),
        (
            b"Content-Disposition: attachment; filename=a.txt; filename*=utf-8''b.exe; filename*0=c; filename*1=.js\n"
            b"Content-Type: a/b; name==?utf-8?b?ZC5iYXQ=?=\n",
            ("b.exe", "c.js", "a.txt", "d.bat"),
        ),
        (b'Content-Disposition: attachment; filename=""\n', ()),
        (b"Content-Disposition: x; filename=a\nContent-Disposition: x; filename=b\n", ("a", "b")),
    ],
)
def test_the_names_of_a_part(fields: bytes, names: tuple[str, ...]) -> None:
    assert only(fields + b"\n").names() == names


def test_every_value_of_a_parameter_counts() -> None:
    part = only(b'Content-Type: text/plain; charset=utf-8; CHARSET="koi8-r"; charset=utf-8\n\n')
    assert part.parameter("charset") == ("utf-8", "koi8-r")
    assert part.parameter("format") == ()


def test_the_fields_of_a_part() -> None:
    data = MIXED + b"--b\nX-A: one\n  more\nContent-ID : <c>\nx-a: two\n\nX-A: body\n--b--\n"
    part = Message.of(data).parts()[1]
    assert part.fields("X-A") == (b" one\n  more", b" two")
    assert part.fields("content-id") == (b" <c>",)
    assert part.fields("absent") == ()


def test_the_bytes_of_a_part_without_their_encoding() -> None:
    data = MIXED + b"--b\nContent-Transfer-Encoding: base64\n\n" + b"QUJD\n" * 100_000 + b"--b--\n"
    part = Message.of(data).parts()[1]
    assert part.decoded(10) == b"ABCABCABCA"
    assert part.decoded(1_000_000) == b"ABC" * 100_000
    assert part.decoded(0) == b""
    assert part.decoded_size() == 300_000
    assert b"".join(part.chunks()) == data[part.body : part.end]


def test_a_container_has_no_encoding_of_its_own() -> None:
    head = b"Content-Transfer-Encoding: base64\n" + MIXED
    whole = Message.of(head + b"--b\n\nQUJD\n--b--\n").parts()[0]
    assert whole.decoded(5) == b"--b\n\n"
    assert whole.decoded_size() == len(b"--b\n\nQUJD\n--b--\n")


# -- limits -----------------------------------------------------------------------------------------------------


def test_parts_beyond_the_limit_are_passed_over_and_the_trace_says_so() -> None:
    just = Message.of(MIXED + b"--b\n\n" * (PARTS - 1))
    assert (len(just.parts()), just.limits) == (PARTS, ())
    more = Message.of(MIXED + b"--b\n\n" * PARTS)
    assert (len(more.parts()), more.limits) == (PARTS, (f"parts: {PARTS:,}",))


@pytest.mark.parametrize(
    "layer", [b"Content-Type: message/rfc822\n\n", b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"]
)
def test_parts_nested_beyond_the_limit_are_not_walked_into_and_the_trace_says_so(layer: bytes) -> None:
    just = Message.of(layer * NESTING + b"\nbody\n")
    assert (just.parts()[-1].depth, just.parts()[-1].type, just.limits) == (NESTING, "text/plain", ())
    more = Message.of(layer * (NESTING + 5_000) + b"\nbody\n")
    assert max(part.depth for part in more.parts()) == NESTING
    assert more.limits[0] == f"nested parts: {NESTING}"


def test_a_header_block_of_a_part_is_cut_at_the_limit_and_the_trace_says_so() -> None:
    name = b"Content-Type: a/b; name=x\n"
    just = Message.of(MIXED + b"--b\n" + b"A: bcdef\n" * 7_000 + name + b"\nbody")
    assert just.parts()[1].names() == ("x",)
    assert just.limits == ()
    more = Message.of(MIXED + b"--b\n" + name + b"A: bcdef\n" * 8_000 + b"\nbody")
    assert more.parts()[1].names() == ("x",)
    assert more.parts()[1].body - more.parts()[1].start == PART_HEAD_BYTES
    assert more.limits == (f"header of a part: {PART_HEAD_BYTES:,} bytes",)


def test_fields_of_a_part_beyond_the_limit_are_passed_over_and_the_trace_says_so() -> None:
    name = b"Content-Type: a/b; name=x\n"
    just = Message.of(MIXED + b"--b\n" + b"A: b\n" * (FIELDS - 2) + name + b"\nbody")
    assert (just.parts()[1].names(), just.limits) == (("x",), ())
    more = Message.of(MIXED + b"--b\n" + b"A: b\n" * (FIELDS + 1) + name + b"\nbody")
    assert (more.parts()[1].names(), more.limits) == ((), (f"header fields: {FIELDS:,}",))


def test_the_header_blocks_of_all_parts_are_bounded_and_the_trace_says_so() -> None:
    one = b"--b\n" + b"A: b\n" * 9_000 + b"\n"
    many = Message.of(MIXED + one * 60)
    assert PART_HEADS_BYTES <= sum(part.body - part.start for part in many.parts()[1:]) < PART_HEADS_BYTES + 50_000
    assert many.limits == (f"headers of parts: {PART_HEADS_BYTES:,} bytes",)


def test_parameters_beyond_the_limit_are_passed_over_and_the_trace_says_so() -> None:
    filler = b"; a=b" * (parameters.PARAMETERS - 1)
    just = Message.of(b"Content-Type: a/b" + filler + b"; name=x\n\n")
    assert (just.parts()[0].names(), just.limits) == (("x",), ())
    more = Message.of(b"Content-Type: a/b" + filler + b"; a=b; name=x\n\n")
    assert more.parts()[0].names() == ()
    assert more.limits == (f"parameters of a field: {parameters.PARAMETERS}",)


def test_names_beyond_the_limit_are_passed_over_and_the_trace_says_so() -> None:
    message = Message.of(b"Content-Type: a/b" + b"".join([b"; name=%d" % n for n in range(NAMES + 1)]) + b"\n\n")
    assert message.parts()[0].names() == tuple(str(n) for n in range(NAMES))
    assert message.limits == (f"names of a part: {NAMES}",)


def test_the_walk_holds_little_of_a_large_message() -> None:
    """A gigabyte, read in pieces of a few kilobytes, none of them kept."""
    size = 2**30
    start = MIXED + b"--b\nContent-Type: a/b\n\n"
    end = b"\n--b\n\nlast\n--b--\n"
    asked = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        data = bytearray(b"x" * max(min(length, size - offset), 0))
        for place, known in ((0, start), (size - len(end), end)):
            low, high = max(place, offset), min(place + len(known), offset + length)
            if low < high:
                data[low - offset : high - offset] = known[low - place : high - place]
        return bytes(data)

    parts = walk(read, size, MIXED, asked.append, 2**20)
    assert [(part.body, part.end) for part in parts[1:]] == [
        (len(start), size - len(end)),
        (size - len(b"last\n--b--\n"), size - len(b"\n--b--\n")),
    ]
    assert max(asked) == 2**20
    assert len(asked) < 1_100


# -- any bytes --------------------------------------------------------------------------------------------------


def found(data: bytes, chunk: int) -> tuple[list[tuple[object, ...]], list[str]]:
    notes: list[str] = []
    message = Message.of(data)
    parts = walk(lambda at, n: data[at : at + n], len(data), message.head, notes.append, chunk)
    shown = [(part.index, part.parent, part.depth, part.type, part.start, part.body, part.end) for part in parts]
    return shown, notes


def assert_nested(data: bytes) -> None:
    """The parts lie within their parents, in order, and those that hold no others do not overlap."""
    message = Message.of(data)
    parts = message.parts()
    assert (parts[0].start, parts[0].body, parts[0].end) == (0, len(message.head), len(data))
    for number, part in enumerate(parts):
        assert part.index == number
        assert part.start <= part.body <= part.end
        if number:
            around = parts[part.parent]
            assert around.body <= part.start
            assert part.end <= around.end
            assert around.is_container
            assert (part.parent < number, part.depth) == (True, around.depth + 1)
    assert [part.start for part in parts] == sorted(part.start for part in parts)
    leaves = [part for part in parts if not part.is_container]
    assert all(one.end <= other.start for one, other in pairwise(leaves))


@given(MESSAGES)
@example(b"")
@example(b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n--b")
def test_any_bytes_have_parts_that_lie_within_their_parent(data: bytes) -> None:
    assert_nested(data)


@given(MESSAGES)
def test_any_bytes_can_be_asked_for_everything(data: bytes) -> None:
    for part in Message.of(data).parts():
        whole = part.decoded(len(data) + 1)
        assert part.decoded_size() == len(whole)
        assert part.decoded(3) == whole[:3]
        assert all(name.isprintable() or "�" in name for name in part.names())
        assert part.is_attachment in (True, False)
        part.parameter("charset")
        part.fields("Content-Type")


@given(MESSAGES, st.integers(min_value=1, max_value=60))
def test_the_parts_are_the_same_whatever_is_read_at_once(data: bytes, chunk: int) -> None:
    assert found(data, chunk) == found(data, 65_536)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_the_parts_are_the_same_wherever_a_read_ends(ends: bytes) -> None:
    """Delimiters and header blocks come to lie across every edge of what is read first."""
    one = b"--b\nA: b\n\none\n--b \n\ntwo\n--b--\n".replace(b"\n", ends)
    head = MIXED.replace(b"\n", ends)
    for gap in range(FIRST_READ - 60, FIRST_READ + 5):
        assert bodies(head + b"x" * gap + ends + one) == [b"one", b"two"]
        assert bodies(head + b"--b" + ends + b"A: " + b"x" * gap + ends + one) == [b"", b"one", b"two"]


@given(MESSAGES)
def test_a_message_with_other_line_breaks_has_the_same_parts(data: bytes) -> None:
    bare = data.replace(b"\r\n", b"\n").replace(b"\r", b"")
    for (depth, kind, body), other in zip(tree(bare), tree(bare.replace(b"\n", b"\r\n")), strict=True):
        assert other == (depth, kind, body.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("path", sorted(REGRESS.glob("mime_*.eml")), ids=lambda path: path.stem)
def test_messages_that_once_had_parts_outside_their_parent_do_not(path: Path) -> None:
    assert_nested(path.read_bytes())


# -- real mail --------------------------------------------------------------------------------------------------


def test_real_mail_has_the_parts_that_the_standard_library_sees(
    spam_assassin: list[Path], cpython_messages: list[Path]
) -> None:
    other = []
    for path in spam_assassin + cpython_messages:
        data = path.read_bytes()
        message = Message.of(data)
        parsed: Parsed = email.message_from_bytes(data)
        if [part.type for part in message.parts()] != [part.get_content_type() for part in parsed.walk()]:
            other.append(path.name[:12])
        assert message.limits == ()
    assert sorted(other) == sorted(name for names in DIFFERENCES.values() for name in names)


def test_real_mail_decodes_to_the_bytes_that_the_standard_library_sees(
    spam_assassin: list[Path], cpython_messages: list[Path]
) -> None:
    named = [name for names in DIFFERENCES.values() for name in names]
    other = set()
    for path in spam_assassin + cpython_messages:
        if path.name[:12] in named:
            continue
        data = path.read_bytes()
        for part, parsed in zip(Message.of(data).parts(), email.message_from_bytes(data).walk(), strict=True):
            if not part.is_container:
                wanted = parsed.get_payload(decode=True)
                assert isinstance(wanted, bytes)
                assert part.decoded_size() == len(part.decoded(len(data)))
                if part.decoded(len(data)) != wanted:
                    other.add(path.name[:12])
    assert sorted(other) == sorted(UNDECODED.split())


def test_no_part_is_looked_for_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message.of(MIXED + b"--b\n\none\n--b--\n")
    monkeypatch.setattr(mime, "walk", None)
    assert message.texts("subject") == ()
    monkeypatch.undo()
    assert message.parts() is message.parts()
