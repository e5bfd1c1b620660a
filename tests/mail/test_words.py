"""`mail.words`: RFC 2047 as senders write it, and what it must never let through."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail import address, words

PIECES = st.sampled_from(
    [
        b"=?",
        b"?=",
        b"?",
        b"=",
        b"utf-8",
        b"x*en",
        b"Q",
        b"B",
        b"?Q?",
        b"?b?",
        b"=C3",
        b"=A9",
        b"w6k=",
        b" ",
        b"\r\n ",
        b"_",
    ]
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        # RFC 2047 section 8
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        (b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
        (b"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
        # a character split over two words
        (b"=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "café"),
        (b"=?utf-8?B?w6k=?= =?utf-8?Q?=C3?=\n =?UTF-8?B?qQ==?=", "éé"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?utf-8?Q?caf=C3?= x =?utf-8?Q?=A9?=", "caf\ufffd x \ufffd"),
        # RFC 2231 section 5
        (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        (b"=?utf-8*de-AT?B?w6k=?=", "é"),
        # charsets that are none, or are no charset
        (b"=?x-unknown?Q?caf=C3=A9?=", "café"),
        (b"=?x-unknown?Q?caf=E9?=", "café"),
        (b"=?zlib?B?eJxLBAAAYgBi?=", "x\u0153K\x04\0\0b\0b".replace("\x04", "\ufffd").replace("\0", "\ufffd")),
        (b"=?rot13?Q?abc?=", "abc"),
        (b"=?idna?Q?xn--a?=", "xn--a"),
        # what senders label wrongly
        (b"=?iso-8859-1?Q?=93quoted=94?=", "\u201cquoted\u201d"),
        (b"=?gb2312?B?xOO6ww==?=", "你好"),
        (b"=?us-ascii?Q?caf=C3=A9?=", "café"),
        # malformed words that mail readers read
        (b'"=?utf-8?Q?caf=C3=A9?="', '"café"'),
        (b"x=?utf-8?Q?caf=C3=A9?=y", "xcaféy"),
        (b"=?utf-8?Q?a b?=", "a b"),
        (b"=?utf-8?Q?what??=", "what?"),
        (b"=?utf-8?B?w6k?=", "é"),
        (b"=?utf-8?B?w6k=x?=", "é"),
        (b"=?utf-8?B?A?=", ""),
        (b"=?utf-8?Q?a=?=", "a"),
        (b"=?utf-8?Q?a=\r\n b?=", "a= b"),
        # no words at all
        (b"=?", "=?"),
        (b"=?utf-8?Q?", "=?utf-8?Q?"),
        (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
        (b"=??Q?a?=", "=??Q?a?="),
        (b"=?=?utf-8?Q?a?=", "=?a"),
        (b"a =?= b", "a =?= b"),
        # a word in a word is not decoded again
        (b"=?utf-8?Q?=3D=3Futf-8=3FQ=3Fa=3F=3D?=", "=?utf-8?Q?a?="),
        # raw eight-bit text, white space and form C
        ("grüße".encode(), "grüße"),
        (b"gr\xfc\xdfe", "grüße"),
        (b"  a \t b\r\n\tc  ", "a b c"),
        (b"=?utf-8?Q?=C2=A0a=E2=80=A8b?=", "a b"),
        ("e\u0301".encode(), "é"),
        # what is not seen, and what changes what is seen
        (b"=?utf-8?Q?V=E2=80=8Bia=C2=ADgra?=", "Viagra"),
        ("a \u200b b\ufeff".encode(), "a b"),
        ("\u202dabc\u200d".encode(), "\u202dabc\u200d"),
    ],
)
def test_a_value_is_decoded_as_a_person_sees_it(raw: bytes, shown: str) -> None:
    assert words.decode(raw) == shown


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"a\r\nBcc: b@c.example", "a Bcc: b@c.example"),
        (b"a\nb", "a b"),
        (b"a\0b", "a\ufffdb"),
        (b"a\x1b[31mb", "a\ufffd[31mb"),
        (b"\xc0\xaf", "\ufffd\ufffd"),  # overlong "/"
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),  # a lone surrogate
        (b"\xc2\x85\xc2\x9b", "\ufffd"),  # C1: a line break, which is white space, and a terminal's CSI
    ],
)
def test_what_a_word_hides_comes_out_harmless(payload: bytes, shown: str) -> None:
    assert words.decode(b"=?utf-8?B?" + b64encode(payload) + b"?=") == shown


@pytest.mark.parametrize("hidden", [b"evil@d.example", b"<evil@d.example>", b">,<evil@d.example", b'\r\n\0,;:@()[]"\\'])
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"", b" <good@c.example>"),
        (b'"', b'" <good@c.example>'),
        (b"good@c.example (", b")"),
        (b"(", b") good@c.example"),
        (b"<good@c.example> (", b")"),
        (b"", b": good@c.example;"),
    ],
)
def test_a_word_never_makes_an_address(hidden: bytes, before: bytes, behind: bytes) -> None:
    for word in (
        b"=?utf-8?B?" + b64encode(hidden) + b"?=",
        b"=?utf-8?Q?" + b"".join(b"=%02X" % b for b in hidden) + b"?=",
    ):
        found = address.parse(before + word + behind)
        assert [one.address for one in found] == ["good@c.example"]


@pytest.mark.parametrize("hidden", [b"evil@d.example", b"<evil@d.example>", b"a,evil@d.example"])
def test_a_word_alone_is_no_address(hidden: bytes) -> None:
    found = address.parse(b"=?utf-8?B?" + b64encode(hidden) + b"?=")
    assert all(not one.domain and one.address != hidden.decode() for one in found)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=4))).map(b"".join))
def test_no_bytes_raise_and_all_text_can_be_shown_on_one_line(raw: bytes) -> None:
    shown = words.decode(raw)
    assert shown == " ".join(shown.split())
    assert len(shown.splitlines()) <= 1
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in shown)
    shown.encode()


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
def test_what_cannot_be_shown_on_one_line_is_replaced(character: str) -> None:
    assert words.visible(f"a{character}b") == "a\ufffdb"


@given(st.text(st.characters(codec=None)))
def test_what_is_visible_can_be_shown_and_stays_the_same(text: str) -> None:
    shown = words.visible(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert words.visible(shown) == shown


@pytest.mark.parametrize("label", sorted(words.CHARSETS))
def test_every_charset_exists_and_takes_any_byte(label: str) -> None:
    everything = bytes(range(256)) * 2
    for kind, payload in ((b"B", b64encode(everything)), (b"Q", b"".join(b"=%02X" % byte for byte in everything))):
        words.decode(b"=?" + label.encode() + b"?" + kind + b"?" + payload + b"?=").encode()


@given(st.text(st.characters(codec="utf-8")))
def test_ascii_words_in_utf_8_come_back(text: str) -> None:
    word = b"=?utf-8?B?" + b64encode(text.encode()) + b"?="
    shown = "".join([character for character in text if character not in words.UNSEEN])
    assert words.decode(word) == words.visible(" ".join(shown.split()))
