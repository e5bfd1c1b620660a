"""The fields that whoever delivers last writes on top of a message, where no mail server has done so for him.

RFC 5321 section 4.4; `with` as RFC 3848 and RFC 6531 section 4.3 register it. Delivered-To stands above Received, as
mail servers write it: so a message that comes round again is told from the delivery at hand.
"""

from __future__ import annotations

HOPS = 50  # servers that a message comes through at most; as Postfix counts them (hopcount_limit)


def trace(sender: str, recipient: str, peer: str, host: str, protocol: str, name: str, date: str) -> bytes:
    """Return-Path, Delivered-To and Received. `peer` is who handed it over, `name` that of the transaction.

    None of the texts may hold a control character: sessions refuse those.
    """
    lines = f"Return-Path: <{sender}>\nDelivered-To: {recipient}\n"
    return lines.encode("utf-8", "surrogateescape") + received(recipient, peer, host, protocol, name, date)


def received(recipient: str, peer: str, host: str, protocol: str, name: str, date: str) -> bytes:
    """Received alone, for what is passed on; without a recipient where there are several (RFC 5321 section 7.2)."""
    whom = f"\n\tfor <{recipient}>" if recipient else ""
    lines = f"Received: from {peer}\n\tby {host} (pydeliver) with {protocol} id {name}{whom}; {date}\n"
    return lines.encode("utf-8", "surrogateescape")
