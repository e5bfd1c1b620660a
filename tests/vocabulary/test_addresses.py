"""Address fields and their parts: what each header gives, and how a detail is cut off."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.vocabulary import family
from tests.rules import holds, judge, plan, shown

MESSAGE = (
    b'From: "Nova, Boss" <Boss+Shop@Example.COM>\n'
    b"Sender: robot@lists.example.org\n"
    b"Reply-To: a@reply.example, b@reply.example\n"
    b"To: Ann <ann@one.example>, friends: carl@two.example, =?utf-8?q?J=C3=BCrg?= <jo@xn--mnchen-3ya.example>;\n"
    b"Cc: dora@three.example\n"
    b"Bcc: emil@four.example\n"
    b"Resent-To: fritz@five.example\n"
    b"Resent-Cc: gina@six.example\n"
    b"Resent-Bcc: hans@seven.example\n"
    b"\n"
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{from}", "Boss+Shop@example.com"),
        ("{from.address}", "Boss+Shop@example.com"),
        ("{from.local}", "Boss+Shop"),
        ("{from.domain}", "example.com"),
        ("{from.name}", "Nova, Boss"),
        ("{from.detail}", "Shop"),
        ("{sender.domain}", "lists.example.org"),
        ("{reply-to}", "a@reply.example"),
        ("{to.name}", "Ann"),
        ("{cc.detail}", ""),
        ("{recipient.local}", "ann"),
    ],
)
def test_a_part_of_the_first_address_in_a_text(template: str, text: str) -> None:
    assert shown(template, MESSAGE) == text


@pytest.mark.parametrize("local", ["ann", "carl", "jo", "dora", "emil", "fritz", "gina", "hans"])
def test_recipient_is_everyone_it_was_sent_or_resent_to(local: str) -> None:
    assert holds(f'recipient.local is "{local}"', MESSAGE) is True
    assert holds("count recipient is 8", MESSAGE) is True
    assert holds('recipient.local is "boss+shop"', MESSAGE) is False


def test_an_international_domain_is_compared_as_people_read_it_in_either_spelling() -> None:
    assert holds('to.domain is "münchen.example"', MESSAGE) is True
    assert holds('to is "jo@münchen.example"', MESSAGE) is True
    assert holds('to is "jo@xn--mnchen-3ya.example"', MESSAGE) is True
    assert holds('to.name is "jürg"', MESSAGE) is True


def test_an_address_without_the_part_has_no_value_there() -> None:
    assert holds("to.detail exists", MESSAGE) is False
    assert holds("count to.name is 2", MESSAGE) is True
    assert holds("from.domain exists", b"From: root\n\n") is False
    assert holds('from.local is "root"', b"From: root\n\n") is True


def test_a_display_name_that_shows_another_address_changes_nothing_but_contains() -> None:
    message = b'From: "boss@example.com" <evil@elsewhere.example>\n\n'
    assert holds('from is "boss@example.com"', message) is False
    assert holds('from.domain is "example.com"', message) is False
    assert holds('from contains "boss@example.com"', message) is True


def test_a_header_written_twice_has_all_its_addresses() -> None:
    assert holds('to is "b@x.example"', b"To: a@x.example\nTo: b@x.example\n\n") is True


def test_the_example_of_every_field_compiles() -> None:
    for word in family("addresses").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements  # type: ignore[union-attr]


def test_no_address_can_leave_its_mailbox_name() -> None:
    (delivery,) = judge('file "from/{from.local}"\n', b'From: "../../etc/x"@y.example\n\n').deliveries
    assert delivery.mailbox.count("/") == 1
    assert ".." not in delivery.mailbox


# What may stand around an address without being one: quoted names, words, comments, encoded words, folded lines.
WANTED = "boss@example.com"
TEMPTING = st.sampled_from(
    [
        WANTED,
        f"<{WANTED}>",
        f"Boss <{WANTED}>",
        f"{WANTED}, ",
        f"{WANTED}>, <{WANTED}",
        "boss",
        "example.com",
        "@",
        ", ",
    ]
) | st.text('ab @.,;:<>()"\\[]üж', max_size=12)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comment(text: str) -> str:
    for mark in "\\()":
        text = text.replace(mark, "\\" + mark)
    return f"({text})"


def in_base64(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def in_quoted_printable(text: str) -> str:
    data = "".join([c if c.isalnum() and c.isascii() else f"={byte:02X}" for c in text for byte in c.encode()][:400])
    return f"=?UTF-8?Q?{data}?="


HIDING = st.tuples(st.sampled_from([quoted, comment, in_base64, in_quoted_printable]), TEMPTING).map(
    lambda pair: pair[0](pair[1])
)
AROUND = st.lists(HIDING, max_size=3).map(" ".join)
FORMS = st.sampled_from(["{} <x@other.example> {}", "{} <x@other.example>{}", "{}\n <x@other.example> {}"])


@given(
    st.sampled_from(["From", "To", "Cc", "Sender", "Reply-To"]),
    FORMS,
    AROUND,
    st.lists(TEMPTING.map(comment), max_size=2),
)
def test_no_address_is_what_only_stands_in_a_name_a_comment_or_an_encoded_word(
    header: str, form: str, before: str, behind: list[str]
) -> None:
    message = f"{header}: {form.format(before, ' '.join(behind))}\n\n".encode()
    field = header.lower()
    for condition in (
        f'{field} is "{WANTED}"',
        f'{field} in "{WANTED}"',
        f'{field} like "*{WANTED}"',
        f'{field} starts with "boss"',
        f'{field} ends with "example.com"',
        f'{field}.address contains "boss"',
        f'{field}.local is "boss"',
        f'{field}.domain contains "example.com"',
    ):
        assert holds(condition, message) is False
    assert holds(f'{field} is "x@other.example" and count {field} is 1', message) is True
