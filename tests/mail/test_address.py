"""`mail.address`: who a message is from, by RFC 5322 and against those who want it read otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.address import ADDRESSES, LABEL_BYTES, Address, parse, parse_one, split_detail

ATOMS = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=8)
DOMAINS = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), min_size=1, max_size=4).map(".".join)
LOCALS = st.one_of(ATOMS, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12))
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(
    lambda name: " ".join(name.split())
)
SYNTAX = st.sampled_from(
    [b"a@b.example", b"<", b">", b",", b";", b":", b"@", b"(", b")", b'"', b"\\", b"[", b"]", b" ", b"."]
)


def shown(raw: bytes) -> list[str]:
    return [one.text for one in parse(raw)]


@pytest.mark.parametrize(
    ("raw", "addresses"),
    [
        # RFC 5322 appendix A
        (b"John Doe <jdoe@machine.example>", ["John Doe <jdoe@machine.example>"]),
        (b'"Joe Q. Public" <john.q.public@example.com>', ["Joe Q. Public <john.q.public@example.com>"]),
        (
            b"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            ["Mary Smith <mary@x.test>", "jdoe@example.org", "Who? <one@y.test>"],
        ),
        (
            b'<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
            ["boss@nil.test", 'Giant; "Big" Box <sysservices@example.net>'],
        ),
        (
            b"A Group:Ed Jones <joe@where.test>,joe@where.test,John <jdoe@one.test>;",
            ["Ed Jones <joe@where.test>", "joe@where.test", "John <jdoe@one.test>"],
        ),
        (b"Undisclosed recipients:;", []),
        (b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete <pete@silly.test>"]),
        (
            b"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
            b"         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
            ["Chris Jones <c@public.example>", "joe@example.org", "John <jdoe@one.test>"],
        ),
        (b"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", []),
        (b"Joe Q. Public <john.q.public@example.com>", ["Joe Q. Public <john.q.public@example.com>"]),
        (
            b"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            ["Mary Smith <mary@example.net>", "jdoe@test.example"],
        ),
        (b"John Doe <jdoe@machine(comment).  example>", ["John Doe <jdoe@machine.example>"]),
        # routes, literals, quoted local parts
        (b"<@a.test,@b.test:c@d.test>", ["c@d.test"]),
        (b"x@[192.0.2.1]", ["x@[192.0.2.1]"]),
        (b"<x@[IPv6:2001:DB8::1]>", ["x@[ipv6:2001:db8::1]"]),
        (b'"a b"@c.example', ['"a b"@c.example']),
        (b'"a@b.example"@c.example', ['"a@b.example"@c.example']),
        (b'"plain"@c.example', ["plain@c.example"]),
        (b'a."b c".d@e.example', ['"a.b c.d"@e.example']),
        (b'"<a@b.example>" <c@d.example>', ["<a@b.example> <c@d.example>"]),
        (b'""@c.example', []),
        (b"a@b.example.", ["a@b.example"]),
        (b"A.B@C.EXAMPLE", ["A.B@c.example"]),
        # names in comments, nested comments
        (b"a@b.example (Ann)", ["Ann <a@b.example>"]),
        (b"<a@b.example> (Ann (the one))", ["Ann (the one) <a@b.example>"]),
        (b"a(x(y)z)@b.example", ["x(y)z <a@b.example>"]),
        # no domain, no address
        (b"root", ["root"]),
        (b"<>", []),
        (b"", []),
        (b"just some words", []),
        (b"@b.example", []),
        (b"a@", []),
        (b"a@.b.example", []),
        (b"a@b..example", []),
        (b"a@b.example..", []),
        (b"a@b[c]", []),
        (b"a\0@b.example", []),
        (b"a@b.example\x01", []),
        # IDNA and UTF-8
        (b"a@xn--bcher-kva.example", ["a@bücher.example"]),
        ("a@BÜCHER.example".encode(), ["a@bücher.example"]),
        ("é@bücher.example".encode(), ["é@bücher.example"]),
        (b"a@xn--a.example", ["a@xn--a.example"]),
        (b"a@xn--%%%.example", ["a@xn--%%%.example"]),
        (b"=?utf-8?Q?Andr=C3=A9?= <a@b.example>", ["André <a@b.example>"]),
        (b'"=?utf-8?Q?Andr=C3=A9=2C?=" <a@b.example>', ["André, <a@b.example>"]),
        # recovered as mail readers do
        (b"a@b.example c@d.example", ["a@b.example", "c@d.example"]),
        (b"Ann <a@b.example> Bob <c@d.example>", ["Ann <a@b.example>", "Bob <c@d.example>"]),
        (b"a@b.example; c@d.example;", ["a@b.example", "c@d.example"]),
        (b"Ann <a@b.example, c@d.example", ["Ann <a@b.example>", "c@d.example"]),
        (b"Ann <a@b.example", ["Ann <a@b.example>"]),
        (b"O(Brien <a@b.example>", ["O(Brien <a@b.example>"]),
        (b'"Ann <a@b.example>', ['"Ann <a@b.example>']),
        (b"[list] Ann <a@b.example>", ["[list] Ann <a@b.example>"]),
        (b"<<a@b.example>>", ["a@b.example"]),
        (b"a@b.example <c@d.example>", ["a@b.example <c@d.example>"]),
    ],
)
def test_a_list_is_read(raw: bytes, addresses: list[str]) -> None:
    assert shown(raw) == addresses


@pytest.mark.parametrize(
    "raw",
    [
        b"a@b.example@c.example",
        b"<a@b.example@c.example>",
        b"a@b.example @c.example",
        b"a@b.example(x)@c.example",
        b"a@b.example\t@ c.example",
    ],
)
def test_two_at_signs_are_no_address(raw: bytes) -> None:  # CVE-2019-16056
    assert shown(raw) == []


@pytest.mark.parametrize("mark", [b"(", b")", b"<", b">", b"[", b"]", b":", b"@", b"\\", b'"'])
def test_what_stands_before_a_special_character_is_never_the_address(mark: bytes) -> None:  # CVE-2023-27043
    for raw in (
        b"alice@good.example" + mark + b"<bob@evil.example>",
        b"alice@good.example" + mark + b"bob@evil.example",
    ):
        assert all(one.domain != "good.example" for one in parse(raw)), raw


@pytest.mark.parametrize(
    "raw",
    [
        b"alice@good.example)bob@evil.example",
        b'alice@good.example"bob@evil.example',
        b"alice@good.example]bob@evil.example",
    ],
)
def test_two_readings_are_none(raw: bytes) -> None:
    assert shown(raw) == []


@pytest.mark.parametrize("raw", [b"<moo@example.com,", b"<moo@example.com\\"])
def test_what_crashed_procmail_is_read(raw: bytes) -> None:  # Debian #769937
    assert all(one.domain in ("", "example.com") for one in parse(raw))


@pytest.mark.parametrize("label", ["bücher", "例え", "россия", "παράδειγμα"])
def test_an_encoded_label_is_shown_decoded(label: str) -> None:
    raw = b"xn--" + label.encode("punycode")
    assert {one.domain for one in parse(b"a@" + raw + b".example, a@" + raw.upper() + b".example")} == {
        f"{label}.example"
    }


@pytest.mark.parametrize(
    "label",
    [
        *[b"xn--" + text.encode("punycode") for text in ("plain", "ﬁsch", "a。ü", "ü\u200d", "ü\u202e", "ü\ud800")],
        b"xn--" + ("ü" * LABEL_BYTES).encode("punycode"),
        b"xn--",
        b"xn--99999999",
        "xn--ü".encode(),
    ],
)
def test_a_label_that_another_could_look_like_stays_encoded(label: bytes) -> None:
    assert [one.domain for one in parse(b"a@" + label + b".example")] == [label.decode() + ".example"]


def test_one_field_gives_a_limited_number_of_addresses() -> None:
    assert len(parse(b"a@b.example," * (ADDRESSES + 5))) == ADDRESSES
    assert len(parse(b"a@b.example " * (ADDRESSES + 5))) == ADDRESSES


@pytest.mark.parametrize("text", ["", "a, b", "two words", "a@b.example, c@d.example", "a@b@c", "\ud800@", "<>"])
def test_what_is_not_exactly_one_address_is_none(text: str) -> None:
    assert parse_one(text) is None


def test_one_address_is_read_with_or_without_brackets() -> None:
    assert parse_one("a@b.example") == parse_one("<a@b.example>") == Address("", "a", "b.example")


def test_equal_addresses_have_equal_keys() -> None:
    keys = {parse(raw)[0].key for raw in (b"A@b.example", b'Ann <"a"@B.EXAMPLE.>', b"a(x)@ b . example")}
    assert keys == {"a@b.example"}


@given(NAMES, LOCALS, DOMAINS)
def test_an_address_shown_is_read_again(name: str, local: str, domain: str) -> None:
    one = Address(name, local, domain)
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    found = parse(f"{quoted} <{one.address}>".encode())
    if "=?" in name:
        assert [again.address for again in found] == ([one.address] if local else [])
    else:
        assert found == ((one,) if local else ())


@given(st.lists(st.one_of(SYNTAX, st.binary(max_size=3)), max_size=40).map(b"".join))
def test_no_bytes_raise_and_what_is_found_is_found_again(raw: bytes) -> None:
    for one in parse(raw):
        assert one.local
        assert parse_one(one.address) == Address("", one.local, one.domain)


@given(
    st.lists(st.sampled_from([b"", b" ", b"Ann", b"=?utf-8?Q?=C3=A9?=", b"\xff", b"\r\n "]), min_size=6, max_size=6),
    st.sampled_from([b"", b'"']),
)
def test_the_fast_way_reads_as_the_slow_one(parts: list[bytes], quote: bytes) -> None:
    a, b, c, d, e, f = parts
    usual = quote + a + b + quote + c + b"<" + d + b"@" + e + b">" + f
    plain = a + d + b"@" + e + b + c
    for raw in (usual, plain):
        assert parse(raw) == parse(raw + b"()")  # an empty comment says nothing and turns the fast way off


@pytest.mark.parametrize(
    ("local", "separators", "parts"),
    [
        ("bob+shop", "+", ("bob", "shop")),
        ("bob+a+b", "+", ("bob", "a+b")),
        ("bob-a+b", "+-", ("bob", "a+b")),
        ("bob-a+b", "-+", ("bob", "a+b")),
        ("bob+", "+", ("bob", "")),
        ("+bob", "+", ("+bob", "")),
        ("+bob+shop", "+", ("+bob", "shop")),
        ("bob", "+", ("bob", "")),
        ("bob+shop", "", ("bob+shop", "")),
        ("", "+", ("", "")),
    ],
)
def test_a_detail_is_what_stands_behind_the_first_separator(
    local: str, separators: str, parts: tuple[str, str]
) -> None:
    assert split_detail(local, separators) == parts


@given(st.text("ab+-_", max_size=8), st.sampled_from(["", "+", "-", "+-_"]))
def test_a_local_part_without_its_detail_has_no_detail(local: str, separators: str) -> None:
    base, detail = split_detail(local, separators)
    assert local.startswith(base)
    assert local.endswith(detail)
    assert split_detail(base, separators) == (base, "")
