"""The fields that whoever delivers last writes on top of a message, where no mail server has done so for him.

RFC 5321 section 4.4; `with` as RFC 3848 and RFC 6531 section 4.3 register it. Delivered-To stands above Received, as
mail servers write it: so a message that comes round again is told from the delivery at hand.
"""

from __future__ import annotations


def trace(sender: str, recipient: str, peer: str, host: str, protocol: str, name: str, date: str) -> bytes:
    """Return-Path, Delivered-To and Received. `peer` is who handed it over, `name` that of the transaction.

    None of the texts may hold a control character: sessions refuse those.
    """
    lines = (
        f"Return-Path: <{sender}>",
        f"Delivered-To: {recipient}",
        f"Received: from {peer}",
        f"\tby {host} (pydeliver) with {protocol} id {name}",
        f"\tfor <{recipient}>; {date}",
    )
    return "".join([f"{line}\n" for line in lines]).encode("utf-8", "surrogateescape")
