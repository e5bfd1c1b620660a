"""`mail.transfer`: bodies without their transfer encoding, as mail readers take them."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.transfer import DENSE, decoded, is_encoded

ENCODINGS = ("base64", "quoted-printable", "x-uuencode", "7bit", "")
CODED = st.lists(
    st.sampled_from(
        [b"QUJD", b"Q", b"=", b"==", b"\n", b"\r\n", b"=\n", b"=41", b"= ", b"\t", b"!", b"end\n", b"#0V%T"]
    ),
    max_size=40,
).map(b"".join)


def plain(data: bytes, encoding: str, chunk: int = 65_536) -> bytes:
    return b"".join(decoded([data[at : at + chunk] for at in range(0, len(data), chunk)], encoding))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"QUJD", b"ABC"),
        (b"QUJD\r\nREVG\r\n", b"ABCDEF"),
        (b"QUI=", b"AB"),
        (b"QQ==", b"A"),
        # padding that is missing, too early, too much, or in the middle
        (b"QUI", b"AB"),
        (b"QQ", b"A"),
        (b"Q", b""),
        (b"QUJDQ", b"ABC"),
        (b"QQ=", b"A"),
        (b"QQ======", b"A"),
        (b"QQ==QUJD", b"AABC"),
        (b"QUI=\nQUI=\n", b"ABAB"),
        (b"=QUJD", b"ABC"),
        (b"Q=UJD", b"ABC"),
        (b"QUJD=QUJD", b"ABCABC"),
        # junk
        (b"Q U\tJ-D!\xff\0", b"ABC"),
        (b"--\nQUJD", b"ABC"),
        (b"\n\n\n", b""),
        (b"====", b""),
        (b"", b""),
    ],
)
def test_base64(data: bytes, found: bytes) -> None:
    assert plain(data, "base64") == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"plain\n", b"plain\n"),
        (b"=41=42=c3=A9", b"AB\xc3\xa9"),
        (b"one=\ntwo=\r\nthree", b"onetwothree"),
        (b"one= \t\ntwo", b"onetwo"),
        (b"one= \r\ntwo", b"onetwo"),
        (b"one=\rtwo\nthree", b"onetwo\nthree"),
        (b"one =\ntwo", b"one two"),
        (b"a= b", b"a= b"),
        (b"a=b=zz=4", b"a=b=zz=4"),
        (b"a==41", b"a=A"),
        (b"a===41==\nb", b"a==A=b"),
        (b"a=", b"a"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"_", b"_"),
        (b"=0A=0D=00", b"\n\r\0"),
        (b"", b""),
    ],
)
def test_quoted_printable(data: bytes, found: bytes) -> None:
    assert plain(data, "quoted-printable") == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"begin 644 cat.txt\n#0V%T\n`\nend\n", b"Cat"),
        (b"begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n", b"Cat"),
        (b"#0V%T\n", b"Cat"),
        (b"#0V%T", b"Cat"),
        (b"#0V%TJUNK\n", b"Cat"),
        (b"\xff\xff\n#0V%T\n", b"Cat"),
        (b"x" * 1_000 + b"\n#0V%T\n", b"Cat"),
        (b"", b""),
    ],
)
def test_uuencode(data: bytes, found: bytes) -> None:
    assert plain(data, "x-uuencode")[-len(found) :] == found
    assert plain(data, "uuencode") == plain(data, "x-uue") == plain(data, "x-uuencode")


@pytest.mark.parametrize("encoding", ["", "7bit", "8bit", "binary", "x-unknown", "base-64"])
def test_a_body_in_no_known_encoding_is_what_it_says(encoding: str) -> None:
    assert plain(b"QUJD=41\n", encoding) == b"QUJD=41\n"
    assert not is_encoded(encoding)


def test_which_encodings_stand_for_other_bytes() -> None:
    assert all(is_encoded(encoding) for encoding in (*DENSE, "quoted-printable"))


@given(st.binary(max_size=300))
def test_what_others_encode_comes_back(data: bytes) -> None:
    assert plain(base64.encodebytes(data), "base64") == data
    assert plain(base64.b64encode(data).rstrip(b"="), "base64") == data
    lines = b"".join([binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45)])
    assert plain(b"begin 644 x\n" + lines + b"`\nend\n", "x-uuencode") == data
    # The standard library keeps lines as they are, so only text comes back.
    text = data.replace(b"\r", b"")
    assert plain(quopri.encodestring(text), "quoted-printable") == text


@given(CODED, st.sampled_from(ENCODINGS), st.integers(min_value=1, max_value=9))
def test_any_bytes_are_decoded_alike_wherever_a_chunk_ends(data: bytes, encoding: str, chunk: int) -> None:
    # A soft line break with more white space behind it than a chunk holds is the one thing that is torn.
    if encoding != "quoted-printable" or (b"= " not in data and b"=\t" not in data):
        assert plain(data, encoding, chunk) == plain(data, encoding)


@given(st.binary(max_size=300), st.sampled_from(ENCODINGS))
def test_any_bytes_are_decoded(data: bytes, encoding: str) -> None:
    # A line of uuencode says in one letter how much it stands for, and what is cut off it was zeros.
    assert len(plain(data, encoding)) <= len(data) * (63 if encoding == "x-uuencode" else 1)
