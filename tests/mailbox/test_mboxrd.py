"""The form of a message in an mbox, undone again by reading."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mailbox.mboxrd import from_line, quoted
from tests.mboxes import NOW, deliver, messages, standard_count


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "Mail").mkdir()
    return tmp_path / "Mail" / "box"


LINES = st.lists(
    st.sampled_from(
        [
            b"From ",
            b">From ",
            b">>",
            b">",
            b"F",
            b"Fr",
            b"From",
            b" ",
            b"x",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"\xff",
            b"\0",
        ]
    ),
    max_size=40,
).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def quoted_simply(data: bytes) -> bytes:
    return re.sub(rb"(^|[\r\n])(>*From )", rb"\1>\2", data)


@given(LINES, st.lists(st.integers(0, 200), max_size=12))
def test_quoting_does_not_depend_on_how_the_bytes_come(data: bytes, places: list[int]) -> None:
    assert b"".join(quoted(cut(data, places))) == quoted_simply(data)


@given(st.lists(st.tuples(LINES, st.lists(st.integers(0, 200), max_size=5)), min_size=1, max_size=4))
def test_reading_gives_back_the_bytes_written(tmp_path_factory: pytest.TempPathFactory, bodies: list[Any]) -> None:
    box = tmp_path_factory.mktemp("quote") / "Mail" / "box"
    box.parent.mkdir()
    for body, places in bodies:
        deliver(box, cut(b"Subject: x\n\n" + body, places), sync="none")
    written = [b"Subject: x\n\n" + body for body, _ in bodies]
    assert messages(box) == [body if body.endswith(b"\n") else body + b"\n" for body in written]
    assert standard_count(box) == len(bodies)


@pytest.mark.parametrize("marks", [0, 1, 65_530, 65_536, 200_000])
def test_a_line_of_any_length_is_quoted_and_read_back(box: Path, marks: int) -> None:
    body = b"Subject: x\n\n" + b">" * marks + b"From a\r" + b">" * marks + b"From b\n"
    deliver(box, [body[start : start + 1000] for start in range(0, len(body), 1000)])
    assert box.read_bytes().count(b">") == 2 * marks + 2
    assert messages(box) == [body]


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("jo@example.org", "jo@example.org"),
        ("", "MAILER-DAEMON"),
        (None, "MAILER-DAEMON"),
        ('"a b"@c.example', '"a_b"@c.example'),
        ("a\nFrom b\x1b[m\x85\u2028@c", "a_From_b_[m__@c"),
        ("ü@c.example", "ü@c.example"),
        ("\udcff", "_"),
        ("x" * 9999, "x" * 512),
    ],
)
def test_a_from_line_is_one_line_of_seven_words(sender: str | None, name: str) -> None:
    line = from_line(sender, NOW)
    assert line == f"From {name} Tue Nov 14 22:13:20 2023\n".encode()
    assert len(line.split()) == 7
