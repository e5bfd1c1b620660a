"""Header fields as text: decoded, unfolded, each occurrence a value; what is counted and measured."""

from __future__ import annotations

import pytest

from pydeliver.vocabulary import family
from tests.rules import holds, plan, shown

MESSAGE = (
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n aus\t  Bonn\n"
    b"Message-ID: <1@mail.example>\n"
    b"List-Id: The List <the-list.example.org>\n"
    b"X-Two: first\n"
    b"X-Spam-Flag: YES\n"
    b"x-two: second\n"
    b"\nSubject: in the body\nX-Body: no field\n"
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{subject}", "Grüße aus Bonn"),
        ("{message-id}", "1@mail.example"),
        ("{list-id}", "the-list.example.org"),
        ("{size}", str(len(MESSAGE))),
    ],
)
def test_a_header_in_a_text(template: str, text: str) -> None:
    assert shown(template, MESSAGE) == text


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ('header "X-TWO" is "first"', True),
        ('header "x-two" is "second"', True),
        ('header "X-Two" is "first second"', False),
        ('count header "X-Two" is 2', True),
        ('count header "X-Absent" is 0', True),
        ('header "X-Body" exists', False),
        ('header "Subject" is "grüße aus bonn"', True),
        ("headers matches /^X-Spam-Flag: yes$/", True),
        ("headers matches /^subject: grüße aus bonn$/", True),
        ('headers contains "in the body"', False),
        ("headers matches /^no field/", False),
        ("count subject is 1", True),
        (f"size is {len(MESSAGE)}", True),
        (f"size > {len(MESSAGE)}", False),
    ],
)
def test_a_condition_on_headers(condition: str, outcome: bool) -> None:
    assert holds(condition, MESSAGE) is outcome


def test_a_message_without_headers_has_no_values() -> None:
    for field in ("subject", "message-id", "list-id", 'header "From"'):
        assert holds(f"{field} exists", b"no header at all\n") is False
    assert holds("size is 0", b"") is True


def test_a_list_id_without_brackets_is_its_own_identifier() -> None:
    assert holds('list-id is "the-list.example.org"', b"List-Id: the-list.example.org\n\n") is True


def test_the_example_of_every_field_compiles() -> None:
    for word in family("headers").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements  # type: ignore[union-attr]
