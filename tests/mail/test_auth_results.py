"""Authentication-Results and Received taken apart, with values in them that a sender chose."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mail.auth_results import LOOKED_AT, Findings, Result, parse, written_by

SPF = Result("spf", "pass", (("smtp.mailfrom", "example.net"),))


@pytest.mark.parametrize(
    ("value", "findings"),
    [
        # The examples of RFC 8601 appendix B.
        ("example.org 1; none", Findings("example.org")),
        ("example.com;\n          spf=pass smtp.mailfrom=example.net", Findings("example.com", (SPF,))),
        (
            "example.com;\n auth=pass (cram-md5) smtp.auth=sender@example.net;\n spf=pass smtp.mailfrom=example.net",
            Findings("example.com", (Result("auth", "pass", (("smtp.auth", "sender@example.net"),)), SPF)),
        ),
        (
            'example.com;\n dkim=pass reason="good signature"\n header.i=@mail-router.example.net;\n'
            " dkim=fail reason='bad signature'\n header.i=@newyork.example.com",
            Findings(
                "example.com",
                (
                    Result("dkim", "pass", (("reason", "good signature"), ("header.i", "@mail-router.example.net"))),
                    Result("dkim", "fail", (("reason", "'bad"), ("header.i", "@newyork.example.com"))),
                ),
            ),
        ),
        (
            "foo.example.net (foobar) 1 (baz);\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\n"
            " policy (A dot can go here) . (like that) expired\n (this surprised me) = (as I wasn't expecting it)"
            " 1362471462",
            Findings("foo.example.net", (Result("dkim", "fail", (("policy.expired", "1362471462"),)),)),
        ),
        # As servers write it.
        (
            "mx.google.com; dkim=pass header.i=@x.example header.s=s1 header.b=Abc+/1==;"
            " spf=pass (google.com: domain of a@x.example designates 192.0.2.1) smtp.mailfrom=a@x.example;"
            " dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=x.example",
            Findings(
                "mx.google.com",
                (
                    Result("dkim", "pass", (("header.i", "@x.example"), ("header.s", "s1"), ("header.b", "Abc+/1=="))),
                    Result("spf", "pass", (("smtp.mailfrom", "a@x.example"),)),
                    Result("dmarc", "pass", (("header.from", "x.example"),)),
                ),
            ),
        ),
        (
            "A.Example; DKIM/1=Pass Header.D=X.Example",
            Findings("a.example", (Result("dkim", "pass", (("header.d", "X.Example"),)),)),
        ),
        (
            "a.example; spf = pass smtp.mailfrom = x",
            Findings("a.example", (Result("spf", "pass", (("smtp.mailfrom", "x"),)),)),
        ),
        ('"a b.example"; spf=pass', Findings("a b.example", (Result("spf", "pass"),))),
        # What is none.
        ("", Findings("")),
        (";", Findings("")),
        ("a.example", Findings("a.example")),
        ("a.example 2; spf=pass", Findings("")),
        ("a.example b.example; spf=pass", Findings("")),
        ("a.example; spf pass", Findings("a.example")),
        ("a.example; = = =; spf=pass", Findings("a.example", (Result("spf", "pass"),))),
    ],
)
def test_a_field_is_its_server_and_its_results(value: str, findings: Findings) -> None:
    assert parse(value.encode()) == findings


@pytest.mark.parametrize(
    "value",
    [
        "a.example; spf=pass smtp.mailfrom=x@bank.example(.evil.example",
        'a.example; spf=pass smtp.mailfrom="x; dmarc=pass header.from=bank.example',
        'a.example; spf=pass smtp.mailfrom="x\\"; dmarc=pass header.from=bank.example',
        "a.example; spf=pass (((()))",
    ],
)
def test_what_is_left_open_takes_the_rest_with_it(value: str) -> None:
    assert parse(value.encode()) == Findings("a.example")
    assert parse(b"a.example; dkim=fail" + value[9:].encode()) == Findings("a.example", (Result("dkim", "fail"),))


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        ("header.d=bank.example(.evil.example)", "bank.example"),
        ("header.d=bank.example(x).evil.example", "bank.example.evil.example"),
        ('header.d=bank.example".evil.example"', "bank.example.evil.example"),
        ("header.d=bank.example'.evil.example", "bank.example'.evil.example"),
        ("header.d=evil.example header.d=bank.example", "evil.example"),
        ('header.i="x header.d=bank.example"@evil.example header.d=evil.example', "evil.example"),
        ("(header.d=bank.example) header.d=evil.example", "evil.example"),
        ("header.b==?utf-8?q?_header=2Ed=3Dbank.example?= header.d=evil.example", "evil.example"),
    ],
)
def test_a_value_that_a_sender_chose_does_not_become_another(value: str, domain: str) -> None:
    (result,) = parse(f"a.example; dkim=pass {value}".encode()).results
    assert result.named("header.d") == domain


@pytest.mark.parametrize("quoted", ["x; dmarc=pass", "x\t;dmarc = pass", 'x\\"; dmarc=pass'])
def test_a_quoted_string_holds_no_result(quoted: str) -> None:
    (result,) = parse(f'a.example; spf=fail smtp.mailfrom="{quoted}"@evil.example'.encode()).results
    assert result == Result(
        "spf", "fail", (("smtp.mailfrom", f"{quoted.replace(chr(92), '').replace(chr(9), ' ')}@evil.example"),)
    )


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("from a.example (b.example [192.0.2.1])\r\n\tby MX.Example (Postfix) with ESMTP id 1; Mon", "mx.example"),
        ("by mx.example; Mon", "mx.example"),
        ("from x (by forged.example) by mx.example id 1", "mx.example"),
        ("from by", ""),
        ("from x by", ""),
        ("by [192.0.2.1] with LMTP", "[192.0.2.1]"),
        ("(by mx.example", ""),
        ("", ""),
    ],
)
def test_a_received_field_names_the_server_that_wrote_it(value: str, host: str) -> None:
    assert written_by(value.encode()) == host


def test_a_field_that_is_too_long_is_not_read_in_part() -> None:
    value = b"a.example; dkim=pass header.d=bank.example."
    longest = value + b"x" * (LOOKED_AT - len(value))
    (result,) = parse(longest).results
    assert len(result.named("header.d")) == LOOKED_AT - value.index(b"bank")
    assert parse(longest + b"x") == Findings("")
    assert written_by(b"by mx.example " + longest) == ""


FIELDS = st.one_of(st.binary(max_size=200), st.text('a=;.()"\\ \n/1', max_size=60).map(str.encode))


@given(FIELDS)
@example(b"\x01\x02; \x03=\x04")
def test_any_bytes_are_read(raw: bytes) -> None:
    for result in parse(raw).results:
        assert result.method
        assert not any(c.isspace() for c in result.method)
        assert all("=" not in name for name, _ in result.properties)
    written_by(raw)


# A keyword, and what a careful server puts between quotes.
WORDS = st.text("abcxyz019-", min_size=1, max_size=8).filter(lambda word: word != "1")
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=12)


@given(WORDS, st.lists(st.tuples(WORDS, WORDS, st.lists(st.tuples(WORDS, VALUES), max_size=3)), max_size=4), VALUES)
def test_a_field_that_is_written_with_care_is_read_as_it_was_meant(
    server: str, results: list[tuple[str, str, list[tuple[str, str]]]], comment: str
) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    for mark in "\\()":
        comment = comment.replace(mark, "\\" + mark)
    written = "".join(
        [
            f"; ({comment}) {method} = {result}"
            + "".join([f" ({comment}) p.{name}={quoted(value)}" for name, value in properties])
            for method, result, properties in results
        ]
    )
    meant = tuple(
        [
            Result(method, result, tuple([(f"p.{name}", value) for name, value in properties]))
            for method, result, properties in results
        ]
    )
    assert parse(f"{server} ({comment}){written}".encode()) == Findings(server, meant)
