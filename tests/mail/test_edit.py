"""`mail.edit`: a change is made, and no byte beside it."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.edit import LINE_LIMIT, Edit, edited, mbox_head
from pydeliver.mail.message import FIELDS, HEAD_BYTES, Message
from pydeliver.mail.words import UNSEEN, visible

HEAD = b"From x\nA: 1\n\tmore\nSubject : hello\nnoise\na:2\nB: 3\n\n"
CRLF = HEAD.replace(b"\n", b"\r\n")

TEXTS = st.text(st.characters(codec=None), max_size=200)
NAMES = st.sampled_from(["A", "b", "Subject", "X-New"])
EDITS = st.one_of(
    st.builds(Edit, st.sampled_from(["set", "add"]), NAMES, TEXTS),
    st.builds(Edit, st.just("remove"), NAMES),
    st.builds(Edit, st.just("prefix-subject"), st.just("Subject"), TEXTS),
)
# Heads as `Message.head` gives them: lines that are fields, continue one or are noise, then an empty line.
FIELD_LINES = st.sampled_from(
    [b"A: 1", b"a : 2", b"B: 3", b"C: =?utf-8?Q?x?=", b"Subject:", b"subject: hi", b" more", b"noise"]
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    newline = draw(st.sampled_from([b"\n", b"\r\n"]))
    lines = [b"First: 0", *draw(st.lists(FIELD_LINES, max_size=6))]
    return b"".join([line + newline for line in [*lines, b""]])


@pytest.mark.parametrize(
    ("edit", "head"),
    [
        (Edit("set", "a", "new"), b"From x\na: new\nSubject : hello\nnoise\nB: 3\n\n"),
        (Edit("set", "X", "new"), b"From x\nX: new\nA: 1\n\tmore\nSubject : hello\nnoise\na:2\nB: 3\n\n"),
        (Edit("add", "A", "new"), b"From x\nA: new\nA: 1\n\tmore\nSubject : hello\nnoise\na:2\nB: 3\n\n"),
        (Edit("remove", "A"), b"From x\nSubject : hello\nnoise\nB: 3\n\n"),
        (Edit("remove", "X"), HEAD),
        (Edit("prefix-subject", "", "[x] "), HEAD.replace(b" hello", b" [x] hello")),
        (Edit("add", "X", ""), HEAD.replace(b"A: 1", b"X:\nA: 1")),
    ],
)
def test_an_edit_changes_its_field_alone(edit: Edit, head: bytes) -> None:
    assert edited(HEAD, (edit,)) == head
    assert edited(CRLF, (edit,)) == head.replace(b"\n", b"\r\n")


def test_edits_are_made_in_order() -> None:
    edits = (Edit("add", "X", "1"), Edit("add", "X", "2"), Edit("remove", "B"), Edit("set", "X", "3"))
    assert edited(b"A: 1\nB: 2\n\n", edits) == b"X: 3\nA: 1\n\n"


@pytest.mark.parametrize(
    ("subject", "prefix", "after"),
    [
        (b"Subject: hello\n\n", "[x] ", b"Subject: [x] hello\n\n"),
        (b"Subject:hello\n\n", "[x]", b"Subject: [x] hello\n\n"),
        (b"Subject:\n\n", "[x] ", b"Subject: [x]\n\n"),
        (b"Subject:\n folded\n\n", "[x] ", b"Subject: [x]\n folded\n\n"),
        (b"Subject: [X] hello\n\n", "[x] ", b"Subject: [X] hello\n\n"),
        (b"Subject: Re: [x] hello\n\n", "[x] ", b"Subject: Re: [x] hello\n\n"),
        (b"Subject: a\nSubject: b\n\n", "[x] ", b"Subject: [x] a\nSubject: b\n\n"),
        (b"Subject: hello\n\n", "", b"Subject: hello\n\n"),
        (b"Subject: hello\n\n", "a\r\nBcc: b@c.example", b"Subject: a Bcc: b@c.example hello\n\n"),
        (b"Subject: " + b"x" * 70 + b"\n\n", "[long] ", b"Subject: [long]\n " + b"x" * 70 + b"\n\n"),
        (b"A: b\n\n", "[x] ", b"Subject: [x]\nA: b\n\n"),
    ],
)
def test_a_prefix_is_put_before_the_subject_once(subject: bytes, prefix: str, after: bytes) -> None:
    edit = Edit("prefix-subject", "Subject", prefix)
    assert edited(subject, (edit,)) == after
    assert edited(subject, (edit, edit)) == after


@pytest.mark.parametrize("value", [b"hello", b"=?utf-8?Q?caf=C3=A9?=", b'"=?utf-8?Q?caf=C3=A9?="', "café".encode()])
@pytest.mark.parametrize("prefix", ["[x] ", "[ü] ", "[=?] "])
def test_a_prefix_and_the_subject_are_shown_apart(prefix: str, value: bytes) -> None:
    before = Message.of(b"Subject: " + value + b"\n\n").texts("subject")[0]
    head = edited(b"Subject: " + value + b"\n\n", (Edit("prefix-subject", "Subject", prefix),))
    assert Message.of(head).texts("subject") == (f"{prefix}{before}",)
    assert head.endswith(value + b"\n\n")


@pytest.mark.parametrize(
    ("head", "newline", "after"),
    [
        (b"", b"\n", b"X: y\n\n"),
        (b"", b"\r\n", b"X: y\r\n\r\n"),
        (b"\r\n", b"\n", b"X: y\r\n\r\n"),
        (b"A: b\n", b"\r\n", b"X: y\nA: b\n"),
        (b"A: b", b"\r\n", b"X: y\r\nA: b"),
    ],
)
def test_a_field_is_added_to_a_message_without_header_or_empty_line(head: bytes, newline: bytes, after: bytes) -> None:
    assert edited(head, (Edit("add", "X", "y"),), newline) == after


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\n", "ü", "A\0"])
def test_a_name_that_is_none_is_a_mistake(name: str) -> None:
    with pytest.raises(ValueError, match="is no field name"):
        edited(HEAD, (Edit("add", name, "x"),))


def test_a_field_that_the_limit_cut_through_is_left_alone() -> None:
    start = b"A: 1\n" + b"X: " + b"x" * (HEAD_BYTES - 20) + b"\nA: "
    head = start + b"2" * (HEAD_BYTES - len(start))
    assert edited(head, (Edit("remove", "A"),)) == head.removeprefix(b"A: 1\n")


def test_fields_beyond_the_limit_are_left_alone() -> None:
    head = b"A: 1\n" + b"B: 2\n" * (FIELDS + 5) + b"A: 3\n\n"
    assert edited(head, (Edit("remove", "A"),)) == head.removeprefix(b"A: 1\n")


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (Edit("set", "X-A", "yes"), 'set header "X-A" = "yes"'),
        (Edit("add", "X-A", 'a "b" \\'), 'add header "X-A" = "a \\"b\\" \\\\"'),
        (Edit("remove", "X"), 'remove header "X"'),
        (Edit("prefix-subject", "Subject", "[x] "), 'prefix subject "[x] "'),
        (Edit("set", "X", "a\r\nb\x1b\u2028\ud800"), 'set header "X" = "a  b  \ufffd"'),
    ],
)
def test_an_edit_says_itself_in_one_line(edit: Edit, line: str) -> None:
    assert edit.describe() == line


@given(heads(), st.sampled_from(["set", "add"]), st.sampled_from(["X-New", "A"]), TEXTS)
def test_the_value_written_is_the_value_read(head: bytes, action: str, name: str, value: str) -> None:
    after = edited(head, (Edit(action, name, value),))
    one_line = "".join([" " if c < " " or "\x7f" <= c < "\xa0" or c in "\u2028\u2029" else c for c in value])
    one_line = one_line.translate(dict.fromkeys(map(ord, UNSEEN)))
    # What is not shown alone may be composed once it is decoded, so both sides are decoded text.
    assert Message.of(after).texts(name)[0] == visible(" ".join(one_line.split()))
    written = after[len(after) - len(head) :] if action == "add" else b""
    assert action == "set" or written == head


@given(heads(), st.lists(EDITS, max_size=4).map(tuple))
def test_no_byte_of_another_field_changes(head: bytes, edits: tuple[Edit, ...]) -> None:
    before, after = Message.of(head), Message.of(edited(head, edits))
    touched = {edit.name.lower() for edit in edits}
    assert after.head == edited(head, edits)
    for name in ("first", "a", "b", "c", "subject"):
        if name not in touched:
            assert after.fields(name) == before.fields(name)
    added = [name for name in after.names() if name.lower() not in touched]
    assert added == [name for name in before.names() if name.lower() not in touched]
    assert after.newline == before.newline


@given(heads(), EDITS)
def test_what_is_left_and_what_was_are_the_same_lines(head: bytes, edit: Edit) -> None:
    name = edit.name.lower().encode()
    newline = Message.of(head).newline

    def others(block: bytes) -> list[bytes]:
        kept, mine = [], False
        for line in block.split(newline):
            if not line.startswith((b" ", b"\t")):
                mine = line.partition(b":")[0].rstrip().lower() == name and b":" in line
            if not mine:
                kept.append(line)
        return kept

    assert others(edited(head, (edit,))) == others(head)


@given(NAMES, TEXTS)
def test_the_lines_written_are_short_and_ascii_and_one_field(name: str, value: str) -> None:
    head = edited(b"First: 0\n\n", (Edit("add", name, value),))
    assert head.isascii()
    assert all(len(line) <= LINE_LIMIT for line in head.split(b"\n"))
    assert not any((byte < 32 and byte != 10) or byte == 127 for byte in head)
    assert email.message_from_bytes(head, policy=email.policy.compat32).keys() == [name, "First"]


@pytest.mark.parametrize("value", ["x" * 5000, "ü" * 5000, "\U0001f600" * 500, "word " * 1000])
def test_a_long_value_is_folded_and_read_again(value: str) -> None:
    head = edited(b"", (Edit("add", "X", value),))
    assert Message.of(head).texts("x") == (value.strip(),)
    assert max(map(len, head.split(b"\n"))) <= 76


@pytest.mark.parametrize(
    ("head", "flags", "keywords", "expected"),
    [
        (b"A: 1\n\n", "", (), b"A: 1\n\n"),
        (b"A: 1\n\n", "S", (), b"Status: RO\nA: 1\n\n"),
        (b"A: 1\r\n\r\n", "S", ("x",), b"Status: RO\r\nX-Keywords: x\r\nA: 1\r\n\r\n"),
        (b"A: 1\n\n", "FRTD", ("a", "b"), b"X-Status: AFDT\nX-Keywords: a b\nA: 1\n\n"),
        (b"A: 1\n\n", "P", (), b"A: 1\n\n"),
        (b"A: 1\nstatus : R\n O\nB: 2\n\n", "S", (), b"Status: RO\nA: 1\nX-Original-status : R\n O\nB: 2\n\n"),
        (b"Statuses: 1\nMy-Status: 2\nno Status: 3\n\n", "", (), b"Statuses: 1\nMy-Status: 2\nno Status: 3\n\n"),
        (b"", "", (), b""),
        (b"", "S", (), b"Status: RO\n\n"),
    ],
)
def test_an_mbox_header_says_what_is_so_here_and_no_longer_what_was_so_elsewhere(
    head: bytes, flags: str, keywords: tuple[str, ...], expected: bytes
) -> None:
    assert mbox_head(head, flags, keywords) == expected


@pytest.mark.parametrize(
    "name", ["Status", "X-Status", "x-keywords", "X-UID", "X-IMAP", "X-IMAPBase", "CONTENT-LENGTH"]
)
@given(heads())
def test_a_field_that_mailboxes_use_is_put_aside_wherever_it_stands(name: str, head: bytes) -> None:
    newline = b"\r\n" if b"\r" in head else b"\n"
    field = name.encode() + b": 1" + newline
    before = field + head.replace(newline + b"A: 1", newline + field + b"A: 1")
    assert mbox_head(before, "", ()) == before.replace(field, b"X-Original-" + field)
