"""A forwarded message: what is taken off, what is put on, and that signatures over the rest hold."""

from __future__ import annotations

import pytest

from pydeliver.mail.edit import Edit
from pydeliver.mail.forwarded import forwarded
from pydeliver.mail.message import Message

OWNER = "robin@example.net"
TO = b"Delivered-To: robin@example.net\n"


def made(message: bytes, edits: tuple[Edit, ...] = (), owner: str = OWNER) -> bytes:
    return b"".join(forwarded(Message.of(message), edits, owner))


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (b"Subject: x\n\nHi.\n", TO + b"Subject: x\n\nHi.\n"),
        (
            b"Return-Path: <jo@x>\nX-Original-To: robin@x\nReceived: by mx\nReturn-Path: <old@x>\n\nHi.\n",
            TO + b"X-Original-To: robin@x\nReceived: by mx\nReturn-Path: <old@x>\n\nHi.\n",
        ),
        (TO + b"Return-Path: <jo@x>\nReceived: by mx\n\nHi.\n", TO + b"Received: by mx\n\nHi.\n"),
        (b"Received: by mx\n" + TO + b"\n", TO + b"Received: by mx\n" + TO + b"\n"),
        (b"Subject: x\r\n\r\nHi.\r\n", b"Delivered-To: robin@example.net\r\nSubject: x\r\n\r\nHi.\r\n"),
        (b"no header here\n", b"no header here\n"),
    ],
)
def test_it_says_whose_it_was_and_has_no_return_path_of_this_delivery(message: bytes, sent: bytes) -> None:
    assert made(message) == sent


def test_nobody_in_particular_is_not_named() -> None:
    assert made(b"Return-Path: <jo@x>\nReceived: by mx\n\n", owner="") == b"Received: by mx\n\n"


def test_the_edits_are_made_first() -> None:
    assert made(b"Subject: x\n\n", (Edit("add", "X-A", "1"),)) == TO + b"X-A: 1\nSubject: x\n\n"
