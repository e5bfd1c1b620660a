"""`mail.parameters`: every value that some mail reader takes for a parameter."""

from __future__ import annotations

from email.message import Message as Parsed

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.parameters import PARAMETERS, label, readings, shown, split

PIECES = (*"""ab=;"\\'*01%/(), \t\r\n?""", "name", "=?utf-8?q?=C3=A9?=", "utf-8''", "%41", "é")
FIELDS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def values(field: bytes, name: bytes = b"name") -> list[str]:
    return [shown(reading) for reading in readings(split(field), name)]


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b" text/plain", "text/plain"),
        (b" TEXT/Plain ; charset=x", "text/plain"),
        (b" text/plain charset=x", "text/plain"),
        (b"\r\n attachment; filename=x", "attachment"),
        (b' "attachment"', "attachment"),
        (b" attachment, x", "attachment"),
        (b" base64(comment)", "base64"),
        (b" filename=x", ""),
        (b" ;filename=x", ""),
        (b"", ""),
        (b" \xff", "\ufffd"),
    ],
)
def test_what_a_field_starts_with(field: bytes, found: str) -> None:
    assert label(field) == found


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b"a/b; name=x", ["x"]),
        (b"a/b; NAME = x ", ["x"]),
        (b"a/b;name=x;name=y", ["x", "y"]),
        (b"a/b;;;; ;name=x;;", ["x"]),
        (b"name=x", ["x"]),
        (b"a/b name=x", ["x"]),
        (b"a/b; other=y; name=x", ["x"]),
        (b"a/b; othername=y", []),
        (b"a/b; name", []),
        (b"a/b; name=", [""]),
        (b"a/b; junk name=x", ["x"]),
        # folded
        (b"a/b;\r\n\tname=x", ["x"]),
        (b'a/b; name="one\r\n two"', ["one two"]),
        (b'a/b; name="one\n\t.exe"', ["one .exe"]),
        # quoted
        (b'a/b; name="x; y=z"; charset=a', ["x; y=z"]),
        (b'a/b; name="say \\"hi\\".txt"', ['say "hi".txt']),
        (b'a/b; name="C:\\\\x\\\\y.txt"', ["C:\\x\\y.txt"]),
        (b'a/b; name="C:\\x\\y.txt"', ["C:\\x\\y.txt"]),
        (b'a/b; name=""', [""]),
        (b'a/b; name="x" (comment)', ["x"]),
        # malformed: each reading
        (b'a/b; name="x".exe', ["x", "x.exe"]),
        (b'a/b; name="x" y', ["x", "xy"]),
        (b'a/b; name="x" size=1', ["x"]),
        (b'a/b; name="x"; name="y', ["x", "y", "y"]),
        (b'a/b; name="x.exe; size=1', ["x.exe", "x.exe; size=1"]),
        (b"a/b; name=my report.pdf", ["my report.pdf", "my"]),
        (b"a/b; name=a.exe charset=x", ["a.exe charset=x", "a.exe"]),
        (b"a/b; name=x\0.exe", ["x.exe"]),
        # RFC 2231
        (b"a/b; name*=utf-8''%c3%A9.txt", ["é.txt"]),
        (b"a/b; name*=utf-8'de'%c3%A9.txt", ["é.txt"]),
        (b"a/b; name*=\"iso-8859-1''%E9\"", ["é"]),
        (b"a/b; name*=''caf%C3%A9", ["café"]),
        (b"a/b; name*=no%20charset", ["no charset"]),
        (b"a/b; name*=x-unknown''%E9", ["é"]),
        (b"a/b; name*=utf-8''100%", ["100%"]),
        (b"a/b; name*=utf-8''%zz%4", ["%zz%4"]),
        (b"a/b; name*=utf-8''a%00b%0d%0ac", ["a\ufffdb c"]),
        (b"a/b; name*=utf-8''%ff", ["\ufffd"]),
        (b"a/b; name*=utf-8''=?utf-8?q?=C3=A9?=", ["é"]),
        (b"a/b; name*0=on; name*1=e", ["one"]),
        (b"a/b; name*1=e; name*0=on", ["one"]),
        (b"a/b; name*0*=utf-8''%C3; name*1*=%A9; name*2=%41", ["é%41"]),
        (b'a/b; name*0="a b"; name*1="; c"', ["a b; c"]),
        (b"".join([b"; name*%d=%d" % (n, n % 10) for n in range(12)]), ["012345678901"]),
        (b"a/b; name*0=a; name*2=c", ["ac", "a"]),
        (b"a/b; name*1=b; name*2=c", ["bc", ""]),
        (b"a/b; name*0=a; name*0=A; name*1=b", ["aAb", "ab"]),
        (b"a/b; name*0*=utf-8''a; name*=utf-8''b; name=c", ["b", "a", "c"]),
        (b"a/b; name*x=a; name**=b", []),
        (b"a/b; name*9999999=a", []),
        # RFC 2047
        (b"a/b; name==?utf-8?B?w6kudHh0?=", ["é.txt"]),
        (b'a/b; name="=?utf-8?Q?=C3=A9?= =?utf-8?Q?.txt?="', ["é.txt"]),
        (b'a/b; name*0="=?utf-8?Q?=C3"; name*1="=A9?="', ["é"]),
        # raw bytes
        (b"a/b; name=\xc3\xa9", ["é"]),
        (b"a/b; name=\xe9", ["é"]),
    ],
)
def test_the_values_of_a_parameter(field: bytes, found: list[str]) -> None:
    assert values(field) == found


def test_no_more_parameters_are_looked_at_than_the_limit_and_one() -> None:
    assert len(split(b"a/b" + b"; a=b" * PARAMETERS)) == PARAMETERS
    assert len(split(b"a/b" + b"; a=b" * 1_000)) == PARAMETERS + 1
    assert len(split(b"a/b" + b"=;" * 1_000)) == PARAMETERS + 1


def test_readings_hold_no_more_than_a_few_times_the_field() -> None:
    for parameter in (b" name=b", b' name="b', b' name="b" c', b' name=b "'):
        field = b"a/b;" + parameter * 10_000
        assert sum(len(value) for _, each in split(field) for value in each) < 3 * len(field)


@given(FIELDS)
def test_any_field_has_values_that_are_one_visible_line(field: str) -> None:
    for value in values(field.encode()):
        assert value == value.strip()
        assert all(character.isprintable() or character == "\ufffd" for character in value)
    assert label(field.encode()) == label(field.encode()).lower()


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40), st.sampled_from(["", "utf-8"])
)
def test_what_the_standard_library_writes_is_read(value: str, charset: str) -> None:
    part = Parsed()
    part.add_header("Content-Disposition", "attachment", name=(charset, "", value) if charset else value)
    raw = str(part["Content-Disposition"]).encode()
    if "=?" not in value:
        assert " ".join(value.split()) in values(raw)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_a_name_in_any_script_comes_back_from_rfc_2231(value: str) -> None:
    from unicodedata import normalize

    part = Parsed()
    part.add_header("Content-Disposition", "attachment", name=("utf-8", "", value))
    if "=?" not in value:
        assert values(str(part["Content-Disposition"]).encode())[0] == normalize("NFC", value)
