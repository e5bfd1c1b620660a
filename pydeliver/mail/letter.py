"""A short mail that is written here: header fields, none of which becomes two, and a text.

The text is UTF-8, as it is where every line is short enough (RFC 5322 section 2.1.1), else in base64.
"""

from __future__ import annotations

from pydeliver.mail.edit import LINE_LIMIT, Edit, edited

WIDTH = 76  # of a line of base64 (RFC 2045 section 6.8)
_PLAIN = (("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"))


def letter(fields: list[tuple[str, str]], text: str) -> bytes:
    """The mail with these fields, in order; those without a value are left out."""
    body = "".join([f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")])
    data, encoding = body.encode("utf-8", "replace"), "8bit"
    if max([len(line) for line in data.split(b"\n")]) > LINE_LIMIT or b"\0" in data:
        from binascii import b2a_base64

        encoded = b2a_base64(data, newline=False)
        data = b"".join([encoded[at : at + WIDTH] + b"\n" for at in range(0, len(encoded), WIDTH)])
        encoding = "base64"
    every = [(name, value) for name, value in (*fields, *_PLAIN, ("Content-Transfer-Encoding", encoding)) if value]
    return edited(b"", tuple([Edit("add", name, value) for name, value in reversed(every)])) + data
