"""The body as text: a value for each part, its lines, its charsets, its raw bytes."""

from __future__ import annotations

import pytest

from pydeliver.mail.message import RAW_BODY_BYTES
from pydeliver.mail.text import PART_BYTES
from pydeliver.vocabulary import family
from tests.rules import holds, judge, plan, shown

MESSAGE = (
    b"Subject: body\nContent-Type: multipart/alternative; boundary=b\n\n"
    b"--b\nContent-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
    b"Gr=FC=DFe  aus\t Bonn\nTotal: 12.50\nOne=\n word\n"
    b"--b\nContent-Type: text/html; charset=utf-8\n\n<p>Gr\xc3\xbc\xc3\x9fe</p><p>from <b>M</b>ainz\n"
    b"--b\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: attachment\n\nattached\n--b--\n"
)


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ('body contains "grüße aus bonn"', True),
        ('body contains "GRÜSSE"', False),
        ('body contains exactly "GRÜßE"', False),
        ('body contains "from mainz"', True),
        ('body contains "one word"', True),
        ('body contains "bonn total:"', True),
        ('body contains exactly "Bonn Total:"', True),
        ('body like "*bonn total:*"', True),
        ('body contains "<b>"', False),
        ('body contains "=FC"', False),
        ('body contains "attached"', False),
        ('body contains "body"', False),
        ('body starts with "grüße"', True),
        ('body ends with "one word"', True),
        ('body ends with "mainz"', True),
        ("body matches /^total: [\\d.]+$/", True),
        ("body matches /^from Mainz$/", True),
        ("body matches /bonn.*total/", False),
        ("count body is 2", True),
        ("body exists", True),
        ('body.raw contains "<b>M</b>"', True),
        ('body.raw contains "gr=fc"', True),
        ('body.raw contains "Subject"', False),
        ("body.raw matches /^Content-Disposition: attachment$/", True),
        ('body.raw starts with "--b"', True),
        ("count body.raw is 1", True),
        ('charset is "iso-8859-1"', True),
        ('charset is "UTF-8"', True),
        ('charset is "koi8-r"', False),
        ("count charset is 2", True),
    ],
)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_condition_on_the_body(condition: str, outcome: bool, ends: bytes) -> None:
    assert holds(condition, MESSAGE.replace(b"\n", ends)) is outcome


def test_a_text_with_the_body_in_it_is_the_first_part() -> None:
    assert shown("{body}", b"\nhello  there\n") == "hello there"
    assert shown("{charset}", MESSAGE) == "iso-8859-1"


def test_a_capture_from_the_body() -> None:
    (line,) = judge('if body matches /^Total: (?<sum>[\\d.]+)$/ { log "{sum}" }\n', MESSAGE).log
    assert line == "12.50"


def test_every_byte_of_a_raw_body_is_a_character() -> None:
    assert holds("body.raw matches /[^\\x00-\\x{ff}]/", b"\n" + bytes(range(256))) is False
    assert shown("{body.raw}", b"\n\xe9\xff") == "éÿ"


def test_a_message_without_a_body_has_an_empty_one() -> None:
    assert holds('body is ""', b"Subject: x\n\n") is True
    assert holds('body.raw is ""', b"Subject: x\n\n") is True
    assert holds("charset exists", b"Subject: x\n\n") is False


def test_a_body_that_is_cut_stands_in_the_notes() -> None:
    message = b"\n" + b"x " * RAW_BODY_BYTES
    assert judge('if body contains "y" { discard }\n', message).notes == (f"text of a part: {PART_BYTES:,} bytes",)
    assert judge('if body.raw contains "y" { discard }\n', message).notes == (f"raw body: {RAW_BODY_BYTES:,} bytes",)
    assert judge('if subject contains "y" { discard }\n', message).notes == ()


def test_the_example_of_every_field_compiles() -> None:
    for word in family("body").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements  # type: ignore[union-attr]
