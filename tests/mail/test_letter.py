"""A short mail that is written here: complete, readable by others, and nothing in it that was not meant."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.letter import letter

SPICED = st.text(st.sampled_from("aä \t\r\n\0\x1b:<>=?\u2028\ud800\u202e")) | st.text()


def test_fields_in_order_and_a_text() -> None:
    assert letter([("From", "a@x"), ("To", ""), ("Subject", "Grüße")], "Hallo,\r\nwie geht's?\n.\nä") == (
        b"From: a@x\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\nHallo,\nwie geht's?\n.\n\xc3\xa4\n"
    )


def test_a_text_with_long_lines_is_encoded() -> None:
    made = letter([("From", "a@x")], "x" * 2000)
    assert b"base64" in made
    assert max([len(line) for line in made.split(b"\n")]) <= 76
    assert email.message_from_bytes(made, policy=email.policy.default).get_content() == "x" * 2000 + "\n"


@given(SPICED, SPICED)
def test_no_value_becomes_a_field_or_a_control(subject: str, text: str) -> None:
    made = letter([("From", "a@x"), ("Subject", subject), ("To", "b@x")], text)
    head, _, _ = made.partition(b"\n\n")
    parsed = email.message_from_bytes(made)
    assert set(parsed.keys()) <= {
        *("From", "Subject", "To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    }
    assert parsed["To"] == "b@x"
    assert not [byte for byte in head if (byte < 32 and byte != 10) or byte == 127]
