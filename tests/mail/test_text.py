"""`mail.text`: what a person reads of a message, whatever its charsets, encodings and markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.message import RAW_BODY_BYTES, Message
from pydeliver.mail.text import BODY_BYTES, PART_BYTES, label, lines, shown, unflowed
from tests.mail.test_mime import MESSAGES, MIXED

PLAIN = b"Content-Type: text/plain; charset=%s\n\n"


def texts(data: bytes) -> tuple[str, ...]:
    return Message.of(data).body()


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        (b"utf-8", "Grüße €".encode(), "Grüße €"),
        (b"UTF8", "Grüße".encode(), "Grüße"),
        (b'"utf-8"', "Grüße".encode(), "Grüße"),
        (b"'utf-8'", "Grüße".encode(), "Grüße"),
        (b"iso-8859-1", b"Gr\xfc\xdfe \x93x\x94 \x80", "Grüße “x” €"),
        (b"iso-8859-9", b"\xfd\xfe", "ış"),
        (b"koi8-r", "привет".encode("koi8-r"), "привет"),
        (b"gb2312", "你好镕".encode("gbk"), "你好镕"),
        (b"iso-2022-jp", "日本".encode("iso2022_jp"), "日本"),
        (b"utf-16", "日本".encode("utf-16"), "日本"),
        (b"utf-7", b"+ZeVnLA-", "日本"),
        # a wrong label, an unknown one, or none
        (b"us-ascii", "Grüße".encode(), "Grüße"),
        (b"us-ascii", b"Gr\xfc\xdfe", "Grüße"),
        (b"x-unknown", "Grüße".encode(), "Grüße"),
        (b"x-unknown", b"Gr\xfc\xdfe", "Grüße"),
        (b"zlib", b"x\x9c", "xœ"),
        (b"", "Grüße".encode(), "Grüße"),
        (b"utf-8; charset=koi8-r", "Grüße".encode(), "Grüße"),
        # a byte order mark says more
        (b"iso-8859-1", b"\xef\xbb\xbf" + "Grüße".encode(), "Grüße"),
        (b"utf-8", b"\xff\xfe" + "日本".encode("utf-16-le"), "日本"),
        # bytes that are no text, and what must not come out
        (b"utf-8", b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
        (b"utf-8", b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"utf-7", b"+2AA-", "\ufffd"),
        (b"utf-7", b"+2D3cAA-", "\U0001f400"),
        (b"utf-16le", b"\x00\xd8", "\ufffd"),
        (b"utf-8", b"a\0b\x1bc\x7f", "a\ufffdb\ufffdc\ufffd"),
        (b"utf-8", "a\x9bb".encode(), "a\ufffdb"),
    ],
)
def test_a_text_in_a_charset(charset: bytes, data: bytes, text: str) -> None:
    assert texts(PLAIN % charset + data) == (text,)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<meta charset='koi8-r'>\xd0", "п"),
        (b'<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=KOI8-R">\xd0', "п"),
        (b"<meta charset=koi8-r/>\xd0", "п"),
        (b" " * 1_024 + b"<meta charset=koi8-r>\xd0", "Ð"),
        (b"\xd0", "Ð"),
    ],
)
def test_an_html_page_without_a_label_names_its_charset_itself(page: bytes, text: str) -> None:
    assert texts(b"Content-Type: text/html\n\n" + page) == (text,)


def test_a_label_says_more_than_an_html_page() -> None:
    page = b"<meta charset='koi8-r'>\xd0"
    assert texts(b"Content-Type: text/html; charset=iso-8859-1\n\n" + page) == ("Ð",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree"),
        ("\n\n one \t two \n\n\n three\n", "one two\n\n\nthree"),
        ("a\xa0b\u2003c\u3000d\ve\ff", "a b c d e f"),
        ("a\u2028b\u2029c\x85d", "a\nb\nc\nd"),
        ("V\u200bi\xada\u2060g\ufeffr\u202ea", "Viagra"),
        ("\u0646\u200c\u0647 👨\u200d👩", "\u0646\u200c\u0647 👨\u200d👩"),
        ("e\u0301", "é"),
        ("line\ne\u0301 \ud800", "line\né \ufffd"),
        ("", ""),
        (" \n\t\n ", ""),
    ],
)
def test_white_space_is_folded_and_lines_stay_lines(text: str, found: str) -> None:
    assert lines(text) == found


@given(st.text(st.characters(codec=None), max_size=100))
def test_any_text_is_folded_to_what_can_be_shown(text: str) -> None:
    found = lines(text)
    found.encode()
    assert "  " not in found
    assert "\n " not in found
    assert " \n" not in found
    assert found == found.strip()
    assert all([character == "\n" or not character.isspace() or character == " " for character in found])
    assert lines(found) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one \ntwo \nthree\nfour", "one two three\nfour"),
        ("one \r\ntwo\r\n", "one two\n"),
        (" from stuffed\n > no quote", "from stuffed\n> no quote"),
        ("> one \n> two\n> three", "> one two\n> three"),
        (">> one \n> two", ">> one \n> two"),
        ("> one \nmine", "> one \nmine"),
        ("end \n-- \nsignature", "end \n-- \nsignature"),
        ("-- \nnext", "-- \nnext"),
        ("last ", "last "),
        ("", ""),
        ("\n\n", "\n\n"),
    ],
)
def test_flowed_lines_are_joined(text: str, found: str) -> None:
    assert unflowed(text) == found


def test_flowed_lines_without_the_space_are_joined() -> None:
    assert unflowed("日 \n本 \n語", True) == "日本語"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (b"", "one\ntwo"),
        (b"; format=fixed", "one\ntwo"),
        (b"; format=flowed", "one two"),
        (b'; FORMAT="Flowed"', "one two"),
        (b"; format=flowed; delsp=yes", "onetwo"),
        (b"; delsp=yes", "one\ntwo"),
    ],
)
def test_a_flowed_text_is_labelled_so(parameters: bytes, text: str) -> None:
    assert texts(b"Content-Type: text/plain" + parameters + b"\n\none \ntwo\n") == (text,)


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        (b"base64", b"R3LDvMOfZQ==\n", "Grüße"),
        (b"quoted-printable", b"Gr=C3=BC=\n=C3=9Fe\n", "Grüße"),
        (b"x-uuencode", b"begin 644 x\n'1W+#O,.?90  \n`\nend\n", "Grüße"),
        (b"8bit", "Grüße".encode(), "Grüße"),
    ],
)
def test_a_text_in_a_transfer_encoding(encoding: bytes, data: bytes, text: str) -> None:
    head = b"Content-Transfer-Encoding: " + encoding + b"\nContent-Type: text/plain; charset=utf-8\n\n"
    assert [found.replace("\ufffd", "") for found in texts(head + data)] == [text]


def test_html_is_reduced_to_what_is_seen() -> None:
    page = b"<style>p{}</style><p>One &amp; <b>t</b>wo</p><script>no</script><p>three"
    assert texts(b"Content-Type: text/html\n\n" + page) == ("One & two\nthree",)


def test_every_alternative_is_text() -> None:
    head = b"Content-Type: multipart/alternative; boundary=b\n\n"
    body = b"--b\n\nplain\n--b\nContent-Type: text/html\n\n<p>page\n--b\nContent-Type: text/x-other\n\nother\n--b--\n"
    assert texts(head + body) == ("plain", "page", "other")


@pytest.mark.parametrize(
    ("fields", "is_text"),
    [
        (b"", True),
        (b"Content-Type: text/calendar\n", True),
        (b"Content-Type: application/xhtml+xml\n", True),
        (b"Content-Type: application/pdf\n", False),
        (b"Content-Disposition: inline; filename=a.txt\n", True),
        (b"Content-Disposition: odd\n", True),
        (b"Content-Disposition: attachment\n", False),
        (b"Content-Type: text/plain; name=a.txt\n", True),
        (b"Content-Type: message/delivery-status\n", False),
    ],
)
def test_which_parts_are_text(fields: bytes, is_text: bool) -> None:
    assert bool(texts(MIXED + b"--b\n" + fields + b"\nx\n--b--\n")) is is_text


def test_the_text_of_a_message_within_is_text_unless_it_is_attached() -> None:
    inner = b"\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ninner\n--c--\n--b\n\nouter\n--b--\n"
    message = MIXED + b"--b\nContent-Type: message/rfc822\n"
    assert texts(message + inner) == ("inner", "outer")
    assert texts(message + b"Content-Disposition: attachment\n" + inner) == ("outer",)


def test_preamble_and_epilogue_are_no_text() -> None:
    assert texts(MIXED + b"pre\n--b\n\none\n--b--\nepi\n") == ("one",)


@pytest.mark.parametrize(
    ("data", "found"), [(b"\n", ("",)), (b"", ("",)), (b"no header\n", ("no header",)), (MIXED, ())]
)
def test_a_message_without_text(data: bytes, found: tuple[str, ...]) -> None:
    assert texts(data) == found


def test_the_label_of_a_text() -> None:
    (part,) = shown(Message.of(b"Content-Type: text/plain; charset=\"'KOI8-R' \"\n\n").parts())
    assert label(part) == "koi8-r"


# -- limits -----------------------------------------------------------------------------------------------------


def test_a_long_part_is_cut_and_the_trace_says_so() -> None:
    just = Message.of(b"\n" + b"x" * PART_BYTES)
    assert (len(just.body()[0]), just.limits) == (PART_BYTES, ())
    more = Message.of(b"\n" + b"x" * PART_BYTES + b"y")
    assert (more.body(), more.limits) == (("x" * PART_BYTES,), (f"text of a part: {PART_BYTES:,} bytes",))


def test_many_long_parts_are_cut_and_the_trace_says_so() -> None:
    one = b"--b\n\n" + b"x" * (PART_BYTES // 2) + b"\n"
    just = Message.of(MIXED + one * (2 * BODY_BYTES // PART_BYTES) + b"--b--\n")
    assert (sum(map(len, just.body())), just.limits) == (BODY_BYTES, ())
    for more in (one, b"--b\n\nx\n"):
        message = Message.of(MIXED + one * (2 * BODY_BYTES // PART_BYTES) + more)
        assert (sum(map(len, message.body())), message.limits) == (BODY_BYTES, (f"text: {BODY_BYTES:,} bytes",))


def test_a_character_that_a_limit_cuts_does_not_spoil_the_others() -> None:
    (text,) = texts(b"\n" + "é".encode() * PART_BYTES)
    assert text == "é" * (PART_BYTES // 2)
    (text,) = texts(b"\nx" + "é".encode() * PART_BYTES)
    assert text == "x" + "é" * (PART_BYTES // 2 - 1) + "\ufffd"


def test_a_long_raw_body_is_cut_and_the_trace_says_so() -> None:
    just = Message.of(b"A: b\n\n" + b"x" * RAW_BODY_BYTES)
    assert (just.raw_body(), just.limits) == (b"x" * RAW_BODY_BYTES, ())
    more = Message.of(b"A: b\n\n" + b"x" * (RAW_BODY_BYTES + 1))
    assert (len(more.raw_body()), more.limits) == (RAW_BODY_BYTES, (f"raw body: {RAW_BODY_BYTES:,} bytes",))


# -- any bytes, real mail ---------------------------------------------------------------------------------------


@given(MESSAGES)
def test_any_bytes_have_a_text_that_can_be_shown(data: bytes) -> None:
    message = Message.of(data)
    found = message.body()
    assert len(found) == len(list(shown(message.parts())))
    for text in found:
        text.encode()
        assert all(character.isprintable() or character == "\n" or ord(character) > 127 for character in text)


# 12 of 5,344: pages of one picture (00266, 00267), in a comment that never ends (00384), empty (00700); an empty text
# beside an attachment (01306); messages that were emptied for the tests of CPython.
TEXTLESS = (
    "00266.12e001 00267.15fd4b 00384.ffe5f3 00700.e9dbef 01306.d37be8 msg_06.txt msg_08.txt msg_09.txt msg_12.txt"
)
TEXTLESS += " msg_12a.txt msg_18.txt msg_24.txt"


def test_real_mail_has_texts(spam_assassin: list[Path], cpython_messages: list[Path]) -> None:
    without = []
    for path in spam_assassin + cpython_messages:
        message = Message.of(path.read_bytes())
        if not any(message.body()):
            without.append(path.name if path.name.startswith("msg_") else path.name[:12])
        assert message.limits == ()
    assert sorted(without) == TEXTLESS.split()
