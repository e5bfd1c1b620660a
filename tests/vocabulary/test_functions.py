"""Functions of texts: what each makes, and where it may stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.vocabulary import family
from tests.rules import World, boxes, holds, judge, shown

MESSAGE = (
    b"From: Jo.Doe@Example.org\nTo: Ann@x.example, Bob@y.example\n"
    b"Subject: Re: AW[2]: =?utf-8?q?=C3=84rger?=, again!\nList-Id: Foo <The.List.example>\nX-File: C:\\mail/a.txt\n\n"
)


@pytest.mark.parametrize(
    ("name", "text", "made"),
    [
        ("lower", "ÄrGER Σ", "ärger σ"),
        ("slug", "Ärger, again! (2)", "arger-again-2"),
        ("slug", "../../etc", "etc"),
        ("slug", "日本 語", "日本-語"),
        ("slug", "!?", ""),
        ("basename", "a/b\\c.txt", "c.txt"),
        ("basename", "c.txt", "c.txt"),
        ("basename", "a/", ""),
        ("without-reply-prefix", "Re: Fwd: AW : hello: you", "hello: you"),
        ("without-reply-prefix", "RE[3]: re(2): Re^4: hello", "hello"),
        ("without-reply-prefix", "Reading: list", "Reading: list"),
        ("without-reply-prefix", "Re: ", ""),
        ("without-reply-prefix", "no colon", "no colon"),
        ("hash", "a", "6f2b8a1a52a9a2f3"),
        ("first", "hello you", "hello"),
    ],
)
def test_a_function_makes_one_text_of_one(name: str, text: str, made: str) -> None:
    word = family("functions")[name]
    if name == "hash":
        assert len(word.apply(text, 0)) == 16  # type: ignore[union-attr, misc]
        assert word.apply(text, 0) != word.apply(text + "b", 0)  # type: ignore[union-attr, misc]
        return
    assert word.apply(text, 6) == made  # type: ignore[union-attr, misc]


@pytest.mark.parametrize("name", sorted(family("functions")))
@given(text=st.text(), number=st.integers(1, 50))
def test_no_text_is_too_odd(name: str, text: str, number: int) -> None:
    assert isinstance(family("functions")[name].apply(text, number), str)  # type: ignore[union-attr, misc]


def test_many_prefixes_cost_as_much_as_they_are_long() -> None:
    assert family("functions")["without-reply-prefix"].apply("re:" * 100_000, 0) == ""  # type: ignore[union-attr, misc]


@pytest.mark.parametrize(
    "condition",
    [
        'lower(from.local) is exactly "jo.doe"',
        'slug(subject) starts with "re-aw-2-arger"',
        'without-reply-prefix(subject) is "ärger, again!"',
        "lower(from) is from",
        "from.local is lower(from.local)",
        'basename(header "X-File") is "a.txt"',
        'lower(to) contains exactly "bob"',
        'first(subject, 2) is "re"',
        'from in lines("/friends")',
    ],
)
def test_a_function_stands_on_either_side_of_a_comparison(condition: str) -> None:
    world = World(friends=frozenset(["jo.doe@example.org"]))
    assert holds(condition, MESSAGE, world) is True


def test_a_function_stands_in_a_text_and_in_a_let() -> None:
    assert (
        shown("{first(subject, 2)} {lower(from.local)} {lower(header X-File)}", MESSAGE) == "Re jo.doe c:\\mail/a.txt"
    )
    rules = 'let name = slug(list-id)\nlog "{name}"\nif name is "the-list-example" { file "lists/{name}" }\n'
    verdict = judge(rules, MESSAGE)
    assert (verdict.log, boxes(verdict)) == (("the-list-example",), ["lists/the-list-example"])


def test_a_function_takes_what_a_pattern_captured() -> None:
    assert boxes(judge('if list-id matches /<(?<name>.*)>/ { file "l/{slug(name)}" }', MESSAGE)) == [
        "l/the-list-example"
    ]
    assert boxes(judge('if list-id matches /<(.*)>/ { file "l/{slug(1)}" }', MESSAGE)) == ["l/the-list-example"]


def test_a_function_of_what_is_absent_is_absent() -> None:
    assert holds("lower(cc) exists", MESSAGE) is False
    assert shown("{lower(cc)}", MESSAGE) == ""
