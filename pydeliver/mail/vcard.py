"""The mail addresses of an address book: the EMAIL properties of vCards. RFC 6350 (and 2426), section 3."""

from __future__ import annotations

BEGIN = "BEGIN:VCARD"


def is_vcard(text: str) -> bool:
    return text.lstrip("\ufeff \r\n")[: len(BEGIN)].upper() == BEGIN


def addresses(text: str) -> list[str]:
    """Every address, in order; a property may have a group before it and parameters behind it."""
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    found = []
    for line in unfolded.split("\n"):
        name, colon, value = line.partition(":")
        word = name.partition(";")[0].rpartition(".")[2]
        if colon and word.strip().upper() == "EMAIL" and value.strip():
            found.append(value.strip().removeprefix("mailto:"))
    return found
