"""From fields that show a person something else than they are, and ordinary ones that do not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.verdict import Program, Verdict
from pydeliver.vocabulary import family
from tests.rules import boxes, holds, plan


def spoofed(header: bytes | str) -> bool | None:
    """Whether a message with this header is spoofed."""
    raw = header if isinstance(header, bytes) else header.encode()
    return holds("spoofed", raw + b"\n\n")


def encoded(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    "author",
    [
        '"boss@example.com" <x@evil.example>',
        "boss@example.com <x@evil.example>",
        '"The Boss (boss@example.com)" <x@evil.example>',
        "'boss@example.com' via List <x@evil.example>",
        "<boss@example.com> <x@evil.example>",
        '"boss@example.com" <boss@evil.example>',
        '"boss@example.com" <x@example.com>',
        '"boss @ example.com" <x@evil.example>',
        '"boss @example.com" <x@evil.example>',
        '"boss＠example.com" <x@evil.example>',
        '"boss@example．com" <x@evil.example>',
        '"ｂｏｓｓ＠ｅｘａｍｐｌｅ．ｃｏｍ" <x@evil.example>',
        '"bo\u200bss@exam\u200dple.com" <x@evil.example>',
        '"boss@münchen.example" <x@evil.example>',
        f"{encoded('boss@example.com')} <x@evil.example>",
        f'"{encoded("boss@")}{encoded("example.com")}" <x@evil.example>',
        "x@evil.example (boss@example.com)",
        "Boss (boss@example.com) <x@evil.example>",
        '"boss@example.com"@evil.example',
        '<"boss@example.com> <x"@evil.example>',
        f"{encoded('boss@example.com')}@evil.example",
        '"moc.elpmaxe@ssob \u202eBoss" <x@evil.example>',
        "<@evil.example,@any.example:boss@example.com>",
        "< @evil.example:boss@example.com>",
    ],
)
def test_another_address_than_the_authors_is_told(author: str) -> None:
    assert spoofed(f"From: {author}") is True


@pytest.mark.parametrize(
    "author",
    [
        "boss@example.com",
        "Boss <boss@example.com>",
        '"Nova, Boss" <boss@example.com>',
        '"boss@example.com" <boss@example.com>',
        '"BOSS@Example.COM" <boss@example.com>',
        '"boss @ example.com" <boss@example.com>',
        "boss@example.com (The Boss)",
        "boss@example.com (boss@example.com)",
        '"Bob @ Example.com" <bob.smith@example.com>',
        '"Bob @ work" <bob@example.com>',
        '"Info@Company" <news@company.example>',
        '"@bob_on_the_net" <bob@example.com>',
        '"Meet @ 5.30" <bob@example.com>',
        '"Example.com" <mail@elsewhere.example>',
        "\"O'Brien, Bob\" <o'brien@example.com>",
        "'bob@example.com",
        '"john smith"@example.com',
        "root",
        "Cron Daemon <root@localhost>",
        "bob@[192.0.2.1]",
        '"jo@münchen.example" <jo@xn--mnchen-3ya.example>',
        '"jo@xn--mnchen-3ya.example" <jo@münchen.example>',
        f"{encoded('Jürg')} <jo@example.com>",
        "undisclosed senders:;",
        "",
        "Bob Smith",
    ],
)
def test_ordinary_authors_are_not(author: str) -> None:
    assert spoofed(f"From: {author}") is False


@pytest.mark.parametrize(
    "domain",
    [
        "аррӏе.com",  # all of it Cyrillic
        "xn--80ak6aa92e.com",  # the same
        "pаypal.com",  # one letter of it
        "xn--pypal-4ve.com",
        "www.pаypal.com",
        "bαnk.example",
        "οοο.example",
        "раураӏ-24.example",
        "yandeкс.example",  # mixed, and not only look-alikes
        "latинница.рф",
        "ｅxample.com",
    ],
)
def test_look_alikes_are_told_in_the_authors_domain_and_in_one_that_is_shown(domain: str) -> None:
    assert spoofed(f"From: Bob <bob@{domain}>") is True
    if "xn--" not in domain and "ｅ" not in domain:
        assert spoofed(f'From: "{domain}" <bob@evil.example>') is True
        assert spoofed(f'From: "Your {domain} account" <bob@evil.example>') is True


@pytest.mark.parametrize(
    "author",
    [
        "bob@почта.рф",
        "bob@почта.example",
        "bob@сор.рф",
        "bob@ελλάδα.example",
        "bob@münchen.example",
        "bob@中文.example",
        "bob@mail.почта.рф",
        "bob@кириллица.example.com",
        '"Сергей Иванов" <s@example.ru>',
        '"Яndex" <s@example.ru>',
        '"IT-отдел" <s@example.ru>',
        '"сор" <s@example.ru>',
        '"Ελένη Παπαδάκη" <e@example.gr>',
        '"Cергей" <s@example.ru>',
        '"ＡＢＣ株式会社" <a@example.jp>',
        '"Dvořák Łukasz Øystein" <d@example.cz>',
        '"יוסי כהן" <y@example.il>',
        '"\u200fיוסי כהן\u200f" <y@example.il>',
        '"خالد" <k@example.org>',
    ],
)
def test_people_and_domains_of_any_script_are_not_look_alikes(author: str) -> None:
    assert spoofed(f"From: {author}") is False


@pytest.mark.parametrize("name", ["РayPal", "Аmazon Support", "Your ΒankOnline", "Micrоsoft"])
def test_a_word_of_the_name_that_reads_as_latin_and_is_only_in_part_is_told(name: str) -> None:
    assert spoofed(f'From: "{name}" <x@evil.example>') is True
    assert spoofed(f"From: {encoded(name)} <x@evil.example>") is True


# After the cases of "Composition Kills" (USENIX Security 2020), which espoofer tries.
@pytest.mark.parametrize(
    "header",
    [
        "From: <x@evil.example>\nFrom: <admin@bank.example>",
        "From: <x@evil.example>\r\nFrom: <admin@bank.example>",
        "From: <x@evil.example>\nSubject: x\nfrom: <admin@bank.example>",
        " From: <x@evil.example>\nFrom: <admin@bank.example>",
        "\tFrom : <x@evil.example>\nFrom: <admin@bank.example>",
        "From: <x@evil.example>\nFrom : <admin@bank.example>",
        "Received: by mx.example\nFrom\n : <x@evil.example>\nFrom: <admin@bank.example>",
        "Received: by mx.example\r\nFrom\r\n : <x@evil.example>\r\nFrom: <admin@bank.example>",
        "Subject: x\nFrom \n : <admin@bank.example>\nSender: x@evil.example",
        "From: <x@evil.example>, <admin@bank.example>",
        f"From: {encoded('<admin@bank.example>')},<x@evil.example>",
        "From: <@evil.example,@any.example:admin@bank.example>",
        "From: <admin@bank.example>\\,<x@evil.example>",
        "From: admin@bank.example,<x@evil.example>",
        "From: <x@evil.example>admin@bank.example",
        "From: admin@bank.example <x@evil.example>",
        "From: admin@bank.example\0 <x@evil.example>",
        "From: <admin@bank.example\0@evil.example>",
        "From: admin@bank.example@evil.example.org, x",
        "From: Bob\x1b[2K <x@evil.example>",
        "From: Bob\r <x@evil.example>",
        "From: Bob\x7f <x@evil.example>",
    ],
)
def test_what_programs_read_in_different_ways_is_told(header: str) -> None:
    assert spoofed(header) is True


@pytest.mark.parametrize(
    "header",
    [
        "From: a@x.example, b@y.example\nSender: a@x.example",
        "From: team: a@x.example;",
        "From:\n Bob\n <bob@x.example>",
        "From:\r\n\tBob\r\n\t<bob@x.example>",
        "From: Bob\t<bob@x.example>",
        "Subject: x\n From: y\nFrom: bob@x.example",
        "DKIM-Signature: h=To:\n\tFrom:Date\nFrom: bob@x.example",
        "From-The-Desk: x\nFrom: bob@x.example",
        "From: bob@x.example\nX-From: ann@y.example\nResent-From: ann@y.example",
        "Subject: From: x\nTo: bob@x.example",
        "From: \x1b$B;3ED\x1b(B <yamada@x.example>",
        "From: bob@x.example\n\nFrom: x@evil.example",
    ],
)
def test_odd_and_ordinary_forms_are_not(header: str) -> None:
    assert spoofed(header) is False


def test_several_authors_need_a_sender() -> None:
    assert spoofed("From: a@x.example, b@y.example") is True
    assert spoofed("From: a@x.example, b@y.example\nSender:") is True


@given(st.text(max_size=80) | st.text("ab@.<>()\"',;: ＠аο\u202e\u200b=?", max_size=60), st.binary(max_size=40))
def test_any_from_field_is_judged(text: str, raw: bytes) -> None:
    header = b"From: " + text.encode("utf-8", "replace") + raw
    assert holds("spoofed", header + b"\nSubject: x\n\n") in (True, False)


NAMES = st.text(st.characters(categories=("L", "N", "Zs"), max_codepoint=0x24F), min_size=1, max_size=30)


@given(NAMES)
def test_a_name_in_latin_letters_is_ordinary(name: str) -> None:
    assert spoofed(f'From: "{name}" <bob@example.org>') is False
    assert spoofed(f"From: {encoded(name)} <bob@example.org>") is False


LOCALS = st.text("abcxyz019.+_-", min_size=1, max_size=10).map(lambda local: f"a{local}z".replace("..", "."))
DOMAINS = st.lists(st.text("abcxyz", min_size=2, max_size=6), min_size=2, max_size=3).map(".".join)


@given(
    LOCALS,
    DOMAINS,
    LOCALS,
    DOMAINS,
    st.sampled_from(['"{}"', "{}", '"Boss ({})"', '"<{}>"', '"Bob, {} !"']),
    st.booleans(),
)
def test_an_address_that_is_shown_is_either_the_authors_or_told(
    local: str, domain: str, other: str, elsewhere: str, form: str, hidden: bool
) -> None:
    shown = f"{local}@{domain}"
    name = encoded(form.strip('"').format(shown)) if hidden else form.format(shown)
    assert spoofed(f"From: {name} <{shown}>") is False
    if (local, domain) != (other, elsewhere):
        assert spoofed(f"From: {name} <{other}@{elsewhere}>") is True


def test_ordinary_mail_is_not_spoofed(spam_assassin: list[Path]) -> None:
    program = Program(plan('if spoofed { file "yes" }\n'))
    hits = dict.fromkeys(("easy-ham-1", "easy-ham-2", "spam-2"), 0)
    for path in spam_assassin:
        verdict = program.evaluate(Envelope(), Message.of(path.read_bytes()), {})
        assert isinstance(verdict, Verdict)
        hits[path.parent.name] += boxes(verdict) == ["yes"]
    assert hits == {"easy-ham-1": 0, "easy-ham-2": 0, "spam-2": 9}


def test_the_example_of_every_word_compiles() -> None:
    for word in family("spoof").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements
