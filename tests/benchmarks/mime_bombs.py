"""What hostile MIME costs: linear time, and within the limits however large the message is.

Each bomb is a message that grows with n. In one table, the processor time to look at all that rules can ask of parts
and body, at n, 2n, 4n and 8n, where 8n stays within the limits of `mail.mime` and `mail.text`, so that the ratio per
doubling tells what is linear. In the other, wall-clock time and peak memory of a process that does so at full size,
as RELIABILITY Appendix C has it or more, with the message in a file, as the spool has it.
Run from the top of the checkout: `python -m tests.benchmarks.mime_bombs`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from pydeliver.mail.folding import fold
from pydeliver.mail.message import Message
from tests.benchmarks.bombs import (
    MEGABYTES_GOAL,
    SECONDS_GOAL,
    alone,
    concluded,
    doublings,
    measured,
    ratios,
    table,
    within_goals,
)
from tests.benchmarks.header_bombs import numbered

SNIFFED: Final = 4_096  # bytes of a part, to tell its type by

BOUNDARY: Final = b'Content-Type: multipart/mixed; boundary="b"\n\n'
FORM: Final = b"Content-Type: %s; charset=%s\nContent-Transfer-Encoding: %s\n\n"

Build = Callable[[int], bytes]
# A name, how it is built, n of the ratios, n at full size.
Bomb = tuple[str, Build, int, int]


def parts(part: bytes) -> Build:
    return lambda n: BOUNDARY + part * n


def in_field(before: bytes, part: bytes, after: bytes = b"\n\nbody\n") -> Build:
    return lambda n: before + part * n + after


def text(kind: bytes, part: bytes, charset: bytes = b"utf-8", encoding: bytes = b"8bit") -> Build:
    head = FORM % (kind, charset, encoding)
    return lambda n: head + part * n


def texts(part: bytes, size: int, charset: bytes, kind: bytes = b"text/plain") -> Build:
    """Parts of one size each, so that no limit but that on all is reached."""
    one = b"--b\n" + FORM % (kind, charset, b"8bit") + part * (size // len(part)) + b"\n"
    return lambda n: BOUNDARY + one * n


def nested_multipart(n: int) -> bytes:
    return b"".join([b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n)]) + b"\nx\n"


def nested_and_closed(n: int) -> bytes:
    return nested_multipart(n) + b"".join([b"--b%d--\n" % i for i in range(n - 1, -1, -1)])


def nested_encoded(n: int) -> bytes:
    one = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
    return one * 100 + b"\n" + b"=41\n" * n


def looked_for(line: bytes) -> Build:
    """A hundred boundaries of different lengths, none of which the lines have, though they start like one."""
    opened = b"".join(
        [b"Content-Type: multipart/mixed; boundary=%s%d\n\n--%s%d\n" % ((b"a" * i, i) * 2) for i in range(99)]
    )
    return lambda n: opened + b"\n" + line * n


def one_boundary(boundary: bytes, line: bytes) -> Build:
    return lambda n: b'Content-Type: multipart/mixed; boundary="%s"\n\n' % boundary + line * n


def long_boundary(n: int) -> bytes:
    return b'Content-Type: multipart/mixed; boundary="%s"\n\n' % (b"a" * 900) + (b"--" + b"a" * 899 + b"\n") * n


def growing_boundaries(n: int) -> bytes:
    return b"".join(
        [b"Content-Type: multipart/mixed; boundary=%s\n\n--%s\n" % (b"a" * i, b"a" * i) for i in range(1, n)]
    )


def parts_of_parameters(parameter: bytes, times: int) -> Build:
    one = b"--b\nContent-Type: a/b" + parameter * times + b"\n\n"
    return lambda n: BOUNDARY + one * n


BOMBS: Final[tuple[Bomb, ...]] = (
    ("multipart nested 1,000", nested_multipart, 12, 1_000),
    ("multipart nested 10,000", nested_multipart, 12, 10_000),
    ("multipart nested and closed", nested_and_closed, 12, 10_000),
    ("multipart nested with one boundary", in_field(b"", BOUNDARY + b"--b\n"), 12, 10_000),
    ("message/rfc822 nested 1,000", in_field(b"", b"Content-Type: message/rfc822\n\n", b"\n"), 12, 1_000),
    ("message/rfc822 nested 10,000", in_field(b"", b"Content-Type: message/rfc822\n\n", b"\n"), 12, 10_000),
    ("messages quoted-printable, nested", nested_encoded, 50_000, 2_000_000),
    ("boundaries that grow, nested", growing_boundaries, 12, 900),
    ("parts 100 k", parts(b"--b\n\n\n"), 1_000, 100_000),
    ("parts 1 M", parts(b"--b\n\n\n"), 1_000, 1_000_000),
    ("parts without a body 1 M", parts(b"--b\n"), 1_000, 1_000_000),
    ("parts with a name", parts(b"--b\nContent-Type: a/b; name=c\n\nx\n"), 1_000, 1_000_000),
    ("parts in a digest", lambda n: BOUNDARY.replace(b"mixed", b"digest") + b"--b\n\nA: b\n\nx\n" * n, 600, 1_000_000),
    ("parts of long headers", parts(b"--b\n" + b"A: b\n" * 10_000 + b"\nx\n"), 8, 400),
    ("parts of one long header", parts(b"--b\nContent-Type: a/b; name=" + b"x" * 60_000 + b"\n\nx\n"), 8, 400),
    ("last delimiters 1 M", parts(b"--b--\n"), 100_000, 1_000_000),
    ("boundary prefix 100 k", one_boundary(b"bound", b"--boun\n"), 12_000, 100_000),
    ("boundary prefix 1 M", one_boundary(b"bound", b"--boun\n"), 12_000, 1_000_000),
    ("boundary as long as a line", long_boundary, 1_000, 20_000),
    ("boundary of 100 KB", one_boundary(b"a" * 100_000, b"--" + b"a" * 900 + b"\n"), 10, 20_000),
    ("a hundred boundaries, --", looked_for(b"--\n"), 100_000, 1_000_000),
    ("a hundred boundaries, --a", looked_for(b"--aaa\n"), 100_000, 1_000_000),
    ("semicolons 100 k", in_field(b"Content-Type: a/b", b";"), 12_000, 100_000),
    ("semicolons 100 k in Content-Disposition", in_field(b"Content-Disposition: a", b";"), 12_000, 100_000),
    ("parameters 100 k", in_field(b"Content-Type: a/b", b";name=b"), 1_800, 100_000),
    ("parameters without semicolons", in_field(b"Content-Type: a/b", b" name=b"), 1_800, 100_000),
    ("RFC 2231 parts 10 k", in_field(b"Content-Type: a/b", b"; name*1*=x"), 1_100, 10_000),
    ("RFC 2231 parts numbered", lambda n: b"Content-Type: a/b" + numbered(b"; name*%d=x", n) + b"\n\n", 900, 10_000),
    ("equals signs in a field", in_field(b"Content-Type: a/b; ", b"= "), 6_000, 1_000_000),
    ("quotes and equals signs in a field", in_field(b"Content-Type: a/b; ", b'="'), 6_000, 1_000_000),
    ("percent signs", in_field(b"Content-Type: a/b; name*=''", b"%41"), 4_000, 100_000),
    ("quotes in a parameter", in_field(b"Content-Type: a/b; name=", b'"'), 12_000, 1_000_000),
    ("backslashes in a parameter", in_field(b'Content-Type: a/b; name="', b"\\"), 12_000, 1_000_000),
    ("spaces before a value", in_field(b"Content-Type: a/b; name=", b" "), 12_000, 1_000_000),
    ("encoded words in a name", in_field(b"Content-Type: a/b; name=", b"=?utf-8?Q?=C3=A9?= "), 600, 100_000),
    ("parts of 128 parameters", parts_of_parameters(b";a=", 128), 900, 10_000),
    ("parts of 128 names", parts_of_parameters(b";name=b", 128), 450, 10_000),
    ("parts of 128 RFC 2231 parts", parts_of_parameters(b";name*1*=b", 128), 300, 10_000),
    ("base64 5 MB", text(b"text/plain", b"QUJD" * 19 + b"\n", encoding=b"base64"), 2_000, 68_000),
    ("base64 50 MB", text(b"text/plain", b"QUJD" * 19 + b"\n", encoding=b"base64"), 2_000, 680_000),
    ("base64 of padding", text(b"text/plain", b"=", encoding=b"base64"), 600_000, 5_000_000),
    ("base64 of padded letters", text(b"text/plain", b"QQ=", encoding=b"base64"), 200_000, 1_700_000),
    ("base64 of early padding", text(b"text/plain", b"Q=", encoding=b"base64"), 300_000, 2_500_000),
    ("base64 of junk", text(b"text/plain", b"!\n", encoding=b"base64"), 1_000_000, 25_000_000),
    ("QP soft line breaks 1 M", text(b"text/plain", b"=\n", encoding=b"quoted-printable"), 100_000, 1_000_000),
    ("QP soft breaks with space", text(b"text/plain", b"= \n", encoding=b"quoted-printable"), 100_000, 1_000_000),
    ("QP equals signs", text(b"text/plain", b"=", encoding=b"quoted-printable"), 100_000, 5_000_000),
    ("QP without a line feed", text(b"text/plain", b"=41", encoding=b"quoted-printable"), 100_000, 5_000_000),
    ("uuencode lines", text(b"text/plain", b"#0V%T\n", encoding=b"x-uuencode"), 40_000, 1_000_000),
    ("uuencode without a line feed", text(b"text/plain", b"#0V%T", encoding=b"x-uuencode"), 100_000, 5_000_000),
    ("lines of a flowed text", text(b"text/plain", b"a \n", b'utf-8; format="flowed"'), 40_000, 2_000_000),
    ("quotes of a flowed text", text(b"text/plain", b"> a \n>\n", b'utf-8; format="flowed"'), 18_000, 1_000_000),
    ("depth of a flowed text", text(b"text/plain", b">", b'utf-8; format="flowed"'), 120_000, 5_000_000),
    ("line feeds", text(b"text/plain", b"\n"), 120_000, 5_000_000),
    ("words", text(b"text/plain", b"a "), 60_000, 5_000_000),
    ("spaces", text(b"text/plain", b" "), 120_000, 5_000_000),
    ("texts of control characters", texts(bytes(range(32)), 500_000, b"utf-8"), 1, 20),
    ("texts of unseen characters", texts("\xad​\x85\xa0\u2028é".encode(), 500_000, b"utf-8"), 1, 20),
    ("texts of combining marks", texts(b"\xcc\xa3\xcc\x81", 500_000, b"utf-8"), 1, 20),
    ("texts of words with marks", texts("a\u0323\u0301 ".encode(), 500_000, b"utf-8"), 1, 20),
    ("texts that fold to more", texts("ß".encode(), 500_000, b"utf-8"), 1, 20),
    ("texts of words that fold to more", texts("ß ".encode(), 500_000, b"utf-8"), 1, 20),
    ("texts of emoji", texts("😀".encode(), 500_000, b"utf-8"), 1, 20),
    ("texts that are no UTF-8", texts(b"\xff", 500_000, b"utf-8"), 1, 20),
    ("texts that are no UTF-7", texts(b"\xff", 500_000, b"utf-7"), 1, 20),
    ("texts of surrogates in UTF-7", texts(b"+2AA-", 500_000, b"utf-7"), 1, 20),
    ("texts that are no Hebrew", texts(b"\xff", 500_000, b"iso-8859-8"), 1, 20),
    ("HTML tags", text(b"text/html", b"<b>"), 40_000, 1_000_000),
    ("HTML nested", text(b"text/html", b"<div>a"), 20_000, 1_000_000),
    ("HTML tags without end", text(b"text/html", b"<a "), 40_000, 1_000_000),
    ("HTML less-than signs", text(b"text/html", b"<"), 120_000, 5_000_000),
    ("HTML comments without end", text(b"text/html", b"<!--"), 30_000, 1_000_000),
    ("HTML comments", text(b"text/html", b"<!---->"), 16_000, 1_000_000),
    ("HTML scripts", text(b"text/html", b"<script>"), 16_000, 1_000_000),
    ("HTML attributes", lambda n: FORM % (b"text/html", b"utf-8", b"8bit") + b"<a" + b" b=c" * n, 30_000, 1_000_000),
    ("HTML quotes", lambda n: FORM % (b"text/html", b"utf-8", b"8bit") + b"<a b=" + b'"' * n, 120_000, 5_000_000),
    ("HTML references", text(b"text/html", b"&amp;"), 24_000, 1_000_000),
    ("HTML ampersands", text(b"text/html", b"&"), 120_000, 5_000_000),
    ("HTML numbers", text(b"text/html", b"&#1"), 40_000, 1_000_000),
    ("HTML hidden", text(b"text/html", b"<i style='display:none'>a</i>"), 4_000, 1_000_000),
    ("HTML end tags", text(b"text/html", b"</b>"), 30_000, 1_000_000),
    ("HTML tables", text(b"text/html", b"<table><tr><td>"), 8_000, 1_000_000),
    ("HTML texts of many parts", texts(b"<p>a b</p>", 500_000, b"utf-8", b"text/html"), 1, 20),
    ("body of 50 MB", lambda n: b"\n" + b"a" * n, 500_000, 50_000_000),
)


class Spooled:
    """A message in a file, read in pieces."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.size = os.fstat(file).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)


def look(one: Message) -> None:
    """Ask for all that rules can ask for of parts and body."""
    for part in one.parts():
        part.names()
        assert part.is_attachment in (True, False)
        part.parameter("charset")
        part.decoded(SNIFFED)
        part.decoded_size()
    for value in one.body():
        fold(value)
    fold(one.raw_body().decode("latin-1"))


def cases() -> Iterator[tuple[list[str], list[float]]]:
    for name, build, times, _ in BOMBS:
        makes = [partial(Message.of, build(times << power)) for power in range(4)]
        yield [name, f"{times:,}"], doublings(makes, look)


def full_sizes() -> bool:
    rows = [["bomb", "bytes", "seconds", "MB", "limits"]]
    good = True
    for number, (name, build, _, full) in enumerate(BOMBS):
        with tempfile.TemporaryFile() as file:
            file.write(build(full))
            file.flush()
            size = os.fstat(file.fileno()).st_size
            taken, peak, limits = alone(__spec__.name, number, file.fileno())
        good = good and within_goals(taken, peak)
        rows.append([name, f"{size:,}", f"{taken:.2f}", f"{peak:.0f}", limits])
    table(f"Full size, goals {SECONDS_GOAL} s and {MEGABYTES_GOAL} MB with the interpreter", rows)
    return good


def main() -> int:
    if len(sys.argv) > 1:
        one = Message(Spooled(0))
        print(measured(lambda: look(one)), "; ".join(one.limits))
        return 0
    return concluded([ratios("", ["bomb", "n"], cases()), full_sizes()])


if __name__ == "__main__":
    sys.exit(main())
