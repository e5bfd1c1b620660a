"""One transaction with the next hop, while our own client waits: there is no queue, so its answers are ours.

RFC 5321 through smtplib; 8BITMIME (RFC 6152), SMTPUTF8 (6531), AUTH (4954), and STARTTLS (3207, by 7435 where nobody
asks for more). Hosts are tried in turn until one answers to MAIL; from there on nobody else is asked. Whatever the
network does is a `Status`. Refuses to wait for ever, to read an answer without end, and to say a password where others
can read it.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from itertools import chain

from pydeliver.agent.smarthost import line_of, transparent
from pydeliver.status import Status, deferred, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from pydeliver.receiver.routes import Hop

TLS_PORT = 465  # where nothing is said before the handshake (RFC 8314 3.3)
# In times of `seconds`. With its 60, our client has its answer before it goes away: 5 minutes for RCPT, 10 for the
# message (RFC 5321 4.5.3.2). Who gives up on the answer to a message makes two of it: that one is waited for longest.
CONNECTING = 0.25
FINDING = 3.0  # a host that takes MAIL
SENDING = 3.0  # the message
TAKING = 4.0  # and having it taken
PARTING = 2.0  # seconds for an answer to QUIT, which changes nothing
REPLY = 64 << 10  # bytes of one answer; RFC 5321 4.5.3.1.5 has 512 a line
HEAD = 256 << 10  # bytes in which a message's header is looked for
_ANSWER = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)", re.ASCII)


class Onward:
    """The methods wait for the network: not for an event loop, and one after the other.

    `sender` and addresses have no control characters in them: sessions refuse those. `utf8` is whether our client has
    announced SMTPUTF8. `must_encrypt`, which a `login` implies, wants TLS and a certificate of the host's name.
    """

    def __init__(
        self,
        hops: Sequence[Hop],
        name: str,
        sender: str,
        utf8: bool,
        login: tuple[str, str] | None = None,
        must_encrypt: bool = False,
        seconds: float = 60.0,
    ) -> None:
        self.host = ""  # the one that has taken MAIL
        self._hops = hops
        self._name = name
        self._sender = sender
        self._utf8 = utf8 or not sender.isascii()
        self._login = login
        self._must_encrypt = must_encrypt or login is not None
        self._seconds = seconds
        self._client: _Client | None = None
        self._problem: Status | None = None  # why there is nobody to talk to any more

    def recipient(self, address: str) -> Status:
        """What the next hop says of a recipient; the first one makes the connection."""
        if self._client is None and self._problem is None:
            self._utf8 = self._utf8 or not address.isascii()
            self._problem = self._begin()
        client = self._client
        if client is None:
            return self._problem or _NOT_BEGUN
        if not address.isascii() and not client.takes_utf8:
            return _NO_UTF8
        try:
            return _answered(*client.docmd("RCPT", f"TO:<{address}>"))
        except OSError as error:
            return self._lost(error)

    def deliver(self, feed: Iterable[bytes]) -> Status:
        """Send the message, whose lines end with LF. Only the answer to its end is a yes."""
        client = self._client
        if client is None:
            return self._problem or _NOT_BEGUN
        pieces = iter(feed)
        try:
            if self._utf8 and not client.takes_utf8:
                head = _head(pieces)
                if not (b"\n" + head).partition(b"\n\n")[0].isascii():
                    return _NO_UTF8
                pieces = chain([head], pieces)
            code, said = client.docmd("DATA")
            if code != 354:
                status = _answered(code, said)
                return _answered(-1, said) if status.ok else status
            client.send_all(transparent(pieces), SENDING * self._seconds)
            client.patience = TAKING * self._seconds
            return _answered(*client.getreply())
        except OSError as error:
            return self._lost(error)

    def close(self) -> None:
        """Take leave."""
        client, self._client = self._client, None
        self._problem = self._problem or _NOT_BEGUN
        if client is not None:
            client.leave()

    def _lost(self, error: OSError) -> Status:
        """Nothing can be said any more, least of all the end of a message that was not sent whole."""
        self._problem = deferred(f"the connection with {self.host} was lost: {line_of(error)}", "4.4.2")
        if self._client is not None:
            self._client.close()
            self._client = None
        return self._problem

    # -- until MAIL is taken ------------------------------------------------------------------------------------

    def _begin(self) -> Status | None:
        """Find a host that takes MAIL. None, or why there is none: as told by the last one that was tried."""
        until = time.monotonic() + FINDING * self._seconds
        context = _context(self._must_encrypt)
        problems = []
        places = [(hop, address) for hop in self._hops for address in hop.addresses or (hop.host,)]
        for hop, address in places:
            if time.monotonic() >= until:
                break
            client = self._greeted(hop, address, until, context)
            if isinstance(client, Status):
                problems.append(client)
                continue
            try:
                status = self._mail(client)
            except OSError as error:
                client.close()
                problems.append(_passed_over(hop, error))
                continue
            if not status.ok:
                client.leave()
                return status
            client.until = float("inf")
            self._client, self.host = client, hop.host
            return None
        if not problems:
            return deferred("there is no host that takes it", "4.4.1")
        last = problems[-1]
        for_good = all([one.code[0] == "5" for one in problems])
        return last if for_good else deferred(last.text, f"4{last.code[1:]}")

    def _greeted(
        self, hop: Hop, address: str, until: float, context: ssl.SSLContext, in_clear: bool = False
    ) -> _Client | Status:
        """Somebody who waits for MAIL; or why this host is passed over."""
        try:
            client = _Client(hop, address, self._name, self._seconds, until, context)
        except (OSError, ValueError) as error:  # ValueError: a name that can't be encoded
            return _passed_over(hop, error, "4.4.1")
        try:
            client.ehlo_or_helo_if_needed()
            if not client.is_encrypted and not in_clear and client.has_extn("starttls"):
                try:
                    client.encrypt(context)
                except (OSError, ValueError):
                    if self._must_encrypt:
                        raise
                    client.close()  # some security or none, but the mail (RFC 7435)
                    return self._greeted(hop, address, until, context, in_clear=True)
            if self._must_encrypt and not client.is_encrypted:
                client.leave()
                return deferred(f"{hop.host} offers no TLS", "4.7.4")
            if self._login is not None:
                client.login(*self._login)
        except (OSError, ValueError) as error:  # ValueError: a password beyond ASCII, a challenge that is not base64
            client.close()
            return _passed_over(hop, error)
        return client

    def _mail(self, client: _Client) -> Status:
        options = " BODY=8BITMIME" if client.has_extn("8bitmime") else ""
        if self._utf8 and client.has_extn("smtputf8"):
            options += " SMTPUTF8"
            client.command_encoding = "utf-8"
        elif not self._sender.isascii():
            return _NO_UTF8
        return _answered(*client.docmd("MAIL", f"FROM:<{self._sender}>{options}"))


_NOT_BEGUN = deferred("there is no connection with the next hop", "4.4.2")
_NO_UTF8 = refused("the next hop takes only ASCII in addresses and headers", "5.6.7")


class _Client(smtplib.SMTP):
    """A connection to one address of a host. No answer takes longer than `patience`, nor than `until`.

    The library reads lines as long as they come, so a host could hold a thread, and fill the memory, for ever.
    """

    def __init__(
        self, hop: Hop, address: str, name: str, patience: float, until: float, context: ssl.SSLContext
    ) -> None:
        self.patience = patience
        self.until = until
        self._address = address
        self._context = context if hop.port == TLS_PORT else None
        self._heard = b""
        super().__init__(hop.host, hop.port, name, patience)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        patience = self._patience(CONNECTING * self.patience)
        self.sock = socket.create_connection((self._address, port), patience, source_address)
        try:
            if self._context is not None:
                self.sock = self._context.wrap_socket(self.sock, server_hostname=host)
            return self.getreply()
        except BaseException:
            self.close()
            raise

    @property
    def is_encrypted(self) -> bool:
        return isinstance(self.sock, ssl.SSLSocket)

    @property
    def takes_utf8(self) -> bool:
        """Whether addresses beyond ASCII may be said, since MAIL has announced them."""
        return self.command_encoding == "utf-8"

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Raises OSError or ValueError where there is no handshake; nothing can be said then."""
        self.starttls(context=context)
        self._heard = b""  # what was put behind the answer, in the clear, is nobody's word
        self.ehlo_or_helo_if_needed()

    def getreply(self) -> tuple[int, bytes]:
        until = min(self.until, time.monotonic() + self.patience)
        room = REPLY
        said: list[bytes] = []
        code, goes_on = -1, True
        while goes_on:
            line = self._line(until, room)
            room -= len(line) + 1
            found = _ANSWER.fullmatch(line.rstrip())
            code, goes_on, text = (int(found[1]), found[2] == b"-", found[3]) if found else (-1, False, line)
            said.append((text or b"").strip())
        if self.sock is not None:
            self.sock.settimeout(self._patience(self.patience))  # for a handshake, and for what is sent
        return code, b"\n".join(said)

    def _line(self, until: float, room: int) -> bytes:
        while b"\n" not in self._heard:
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("nobody is there any more")
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.sock.settimeout(left)
            piece = self.sock.recv(4096)
            if not piece:
                raise smtplib.SMTPServerDisconnected("it has hung up")
            self._heard += piece
            if len(self._heard) > room:
                raise smtplib.SMTPServerDisconnected("its answer has no end")
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _patience(self, wanted: float) -> float:
        return max(0.001, min(wanted, self.until - time.monotonic()))

    def send_all(self, pieces: Iterator[bytes], seconds: float) -> None:
        """Raises TimeoutError before the last piece when that could not be sent in time."""
        until = time.monotonic() + seconds
        for piece in pieces:
            if self.sock is None or time.monotonic() > until:
                raise TimeoutError("it takes the message too slowly")
            self.sock.sendall(piece)

    def leave(self) -> None:
        """Say QUIT, and hang up whatever the answer. Never raises."""
        self.patience = min(self.patience, PARTING)
        try:
            self.docmd("QUIT")
        except OSError:
            pass
        self.close()


def _context(verified: bool) -> ssl.SSLContext:
    if verified:
        return ssl.create_default_context()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _head(pieces: Iterator[bytes]) -> bytes:
    """The beginning of a message, as far as it takes to see all of the header."""
    head = b""
    for piece in pieces:
        head += piece
        if b"\n\n" in head or len(head) > HEAD:
            break
    return head


def _passed_over(hop: Hop, error: Exception, code: str = "4.4.2") -> Status:
    """Why a host is passed over. `code` is for what the network did."""
    if isinstance(error, smtplib.SMTPAuthenticationError):  # a mistake of the site's: no mail is refused for it
        return deferred(f"{hop.host} does not let us in: {line_of(error)}", "4.7.8")
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return _answered(error.smtp_code, said if isinstance(said, bytes) else said.encode())
    if isinstance(error, UnicodeError):  # which would show what can't be said
        return deferred(f"{hop.host}: its name, or the login for it, is beyond ASCII", "4.3.5")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        code = "4.4.2"
    elif isinstance(error, ssl.SSLError):
        code = "4.7.5"
    elif isinstance(error, smtplib.SMTPException):
        code = "4.7.0"
    return deferred(f"{hop.host}: {line_of(error)}", code)


def _answered(code: int, said: bytes) -> Status:
    """An answer as a status: with its enhanced code (RFC 2034), where that says the same as its first digit."""
    lines = said.decode("utf-8", "replace").split("\n")
    kind = str(code)[0]
    if kind not in ("2", "4", "5"):
        shown = f"{code} " if code > 0 else ""
        return deferred(line_of(Exception(f"an answer that means nothing here: {shown}{' '.join(lines)}")), "4.5.0")
    found = _ENHANCED.match(lines[0])
    enhanced = found[0] if found is not None and found[0][0] == kind else f"{kind}.0.0"
    text = " ".join([f"{line} ".removeprefix(f"{enhanced} ") for line in lines])
    return Status(enhanced, line_of(Exception(text)))
