"""Mail that rules send, by SMTP to a server nearby, where a site has no sendmail. RFC 5321, through smtplib.

The message is not held whole: it is read, given the line ends and the dots of section 4.5.2, and sent. An answer of the
server's other than yes is an `Ended` with code 1, as of a sendmail that fails; so is a server that is not there.
"""

from __future__ import annotations

import smtplib
from contextlib import suppress

from pydeliver.system.program import EXITED, Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SAID = 500  # characters of what the server answers


def send(place: str, seconds: float, sender: str | None, address: str, feed: Iterable[bytes]) -> Ended:
    """Send to one address; `place` is host:port, an unknown sender the null one."""
    host, _, port = place.rpartition(":")
    try:
        server = smtplib.SMTP(host.strip("[]"), int(port), timeout=seconds)
    except (smtplib.SMTPException, OSError) as error:
        return Ended(EXITED, 1, said=line_of(error))
    try:
        _converse(server, sender, address, feed)
    except (smtplib.SMTPException, OSError) as error:
        return Ended(EXITED, 1, said=line_of(error))
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.putcmd("QUIT")  # what it answers changes nothing: it has taken the message, or has not
        server.close()
    return Ended(EXITED)


def _converse(server: smtplib.SMTP, sender: str | None, address: str, feed: Iterable[bytes]) -> None:
    server.ehlo_or_helo_if_needed()
    options = ["BODY=8BITMIME"] if server.has_extn("8bitmime") else []
    if not f"{sender or ''}{address}".isascii():
        options.append("SMTPUTF8")
        server.command_encoding = "utf-8"
    # Not by smtplib's own words for it, which take addresses apart and may put another together.
    _yes(server.docmd("MAIL", " ".join([f"FROM:<{sender or ''}>", *options])), 250)
    _yes(server.docmd("RCPT", f"TO:<{address}>"), 250, 251)
    _yes(server.docmd("DATA"), 354)
    assert server.sock is not None
    for piece in transparent(feed):
        server.sock.sendall(piece)
    _yes(server.getreply(), 250)


def line_of(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    else:
        text = str(error)
    return " ".join("".join([c if c.isprintable() else " " for c in text]).split())[:SAID]


def _yes(answer: tuple[int, bytes], *wanted: int) -> None:
    if answer[0] not in wanted:
        raise smtplib.SMTPResponseException(*answer)


def transparent(feed: Iterable[bytes]) -> Iterator[bytes]:
    """The message as DATA has it: every line ends with CR LF, a dot that begins one is doubled, and one more ends it.

    A CR or an LF alone would be read as a line's end by some servers and not by others, and so by all here.
    """
    begins, held = True, b""  # whether a line begins; a CR whose LF may yet come
    for chunk in feed:
        text = held + chunk
        held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if text:
            yield (b"." if begins and text.startswith(b".") else b"") + text.replace(b"\r\n.", b"\r\n..")
            begins = text.endswith(b"\r\n")
    yield (b"" if begins and not held else b"\r\n") + b".\r\n"
