"""Messages of rule tests as bytes: read back, by this project and by Python's own reader, they say what was written."""

from __future__ import annotations

import email
import email.policy
import io
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.language.letters import Attachment, Letter, Moment
from pydeliver.mail.message import Message
from pydeliver.workbench.compose import composed


def local(moment: Moment) -> datetime:
    return datetime(moment.year, moment.month, moment.day, *divmod(moment.minute, 60), tzinfo=UTC)


def made(*fields: tuple[str, str | Moment], body: str = "", attachments: tuple[Attachment, ...] = ()) -> bytes:
    return composed(Letter(fields, body, attachments), local)


def test_nothing_is_invented() -> None:
    assert made() == b"\n"
    assert made(("subject", "x"), ("X-a", "b"), body="One.\n") == b"Subject: x\nX-a: b\n\nOne.\n"


def test_a_moment_is_a_date() -> None:
    assert made(("date", Moment(2026, 12, 24, 545))) == b"Date: Thu, 24 Dec 2026 09:05:00 +0000\n\n"


def test_a_text_that_is_not_ascii_says_how_it_is_encoded_unless_the_test_does() -> None:
    assert made(body="ü").startswith(b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n")
    assert made(body="u") == b"\nu"
    assert made(("content-type", "text/html"), ("mime-version", "1.0"), body="ü") == (
        b"content-type: text/html\nmime-version: 1.0\nContent-Transfer-Encoding: 8bit\n\n\xc3\xbc"
    )


# Header values without what a header can't hold, as a person would type them.
VALUES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=200).map(str.strip)


@given(VALUES.filter(lambda text: "=?" not in text))
def test_a_value_is_read_back_as_it_was_written(value: str) -> None:
    data = made(("subject", value), ("X-A", value))
    assert data.isascii()
    view = Message.of(data)
    (wanted,) = Message.of(f"Subject: {value}\n\n".encode()).texts("subject")
    assert (view.texts("subject"), view.texts("x-a")) == ((wanted,), (wanted,))


ADDRESSES = {
    "Bob <bob@example.org>": [("Bob", "bob@example.org")],
    "Åsa Öberg <asa@example.org>": [("Åsa Öberg", "asa@example.org")],
    '"Müller, Jörg" <jm@example.org>, bo@example.org': [("Müller, Jörg", "jm@example.org"), ("", "bo@example.org")],
    '"Jörg \\"J\\" M" <jm@example.org>': [('Jörg "J" M', "jm@example.org")],
    "bob@exämple.org": [("", "bob@exämple.org")],
    "Ü <a@b.c>, Ö <d@e.f>": [("Ü", "a@b.c"), ("Ö", "d@e.f")],
    f"{'Ü' * 100} <a@b.c>": [("Ü" * 100, "a@b.c")],
}


@pytest.mark.parametrize("written", ADDRESSES)
def test_addresses_are_read_back_name_by_name(written: str) -> None:
    found = Message.of(made(("to", written))).addresses("to")
    assert [(one.name, one.address) for one in found] == ADDRESSES[written]


def test_attachments_stand_behind_the_text_with_their_names_and_sizes() -> None:
    attachments = (Attachment("a.pdf", 3), Attachment('übung "1".zip', 100_000), Attachment('b"\\.xyz'))
    data = made(("subject", "x"), body="grüße\n", attachments=attachments)
    read = email.message_from_bytes(data, policy=email.policy.default)
    text, *attached = read.iter_parts()  # type: ignore[attr-defined]
    assert text.get_content() == "grüße\n"
    assert [(one.get_filename(), one.get_content_type(), len(one.get_payload(decode=True))) for one in attached] == [
        ("a.pdf", "application/pdf", 3),
        ('übung "1".zip', "application/zip", 100_000),
        ('b"\\.xyz', "application/octet-stream", 0),
    ]


def test_a_message_may_be_nothing_but_an_attachment() -> None:
    read = email.message_from_bytes(made(attachments=(Attachment("a.pdf", 1),)), policy=email.policy.default)
    assert [one.get_filename() for one in read.iter_parts()] == ["a.pdf"]  # type: ignore[attr-defined]


def test_an_archive_holds_the_files_that_are_named() -> None:
    one = Message.of(made(attachments=(Attachment("a.zip", holding=("b.exe", "ü/c.txt")),)))
    (part,) = one.attachments()
    with zipfile.ZipFile(io.BytesIO(part.decoded(10_000))) as archive:
        assert archive.namelist() == ["b.exe", "ü/c.txt"]
