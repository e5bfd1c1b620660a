"""A mail server for tests, on loopback, that does what a script says, and keeps what it was told.

An answer is found by the line that was said, else by its verb; the greeting by "", the end of a message by ".".
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HANG_UP: Final = "hang up"
SAY_NOTHING: Final = "say nothing"  # and wait for the other side to go away
DRIP: Final = "drip"  # one byte after the other, and never a whole answer

ANSWERS: Final = {
    "": "220 next.example.net",
    "HELO": "250 next.example.net",
    "STARTTLS": "220 go on",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    ".": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
}
END: Final = b"\r\n.\r\n"


@dataclass
class Conversation:
    """What one client said: its lines, those that were said in the clear among them, and the bytes behind DATA."""

    lines: list[str] = field(default_factory=list)
    in_clear: list[str] = field(default_factory=list)
    text: bytes = b""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def verbs(self) -> list[str]:
        return [line.partition(" ")[0].upper() for line in self.lines]

    @property
    def message(self) -> bytes:
        """The text without its end, and without the dots that were doubled."""
        assert self.text == b".\r\n" or self.text.endswith(END)
        return (b"\r\n" + self.text[:-3]).replace(b"\r\n.", b"\r\n")[2:]


class NextHop:
    """Listens while it is entered. `offers` is what it says to EHLO; with a `certificate` it can do STARTTLS.

    `instead` is what it says instead of its part of a handshake; `tls_first` begins with one. `received` counts the
    bytes of messages while they come.
    """

    def __init__(
        self,
        answers: Mapping[str, str] | None = None,
        offers: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8"),
        certificate: Path | None = None,
        instead: str = "",
        tls_first: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        self.answers = {**ANSWERS, **(answers or {})}
        self.offers = [*offers, "STARTTLS"] if certificate and not tls_first else list(offers)
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.instead = instead
        self.tls_first = tls_first
        self.conversations: list[Conversation] = []
        self.received = 0
        hop = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                conversation = Conversation()
                hop.conversations.append(conversation)
                try:
                    _Talk(hop, self.request, conversation).go()
                except OSError:
                    pass  # the client has gone
                finally:
                    conversation.over.set()

        self._server = socketserver.ThreadingTCPServer((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def address(self) -> str:
        return str(self._server.server_address[0])

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def last(self) -> Conversation:
        """The last conversation, when it is over."""
        found = self.conversations[-1]
        assert found.over.wait(10)
        return found

    def __enter__(self) -> NextHop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()  # which waits for conversations


class _Talk:
    def __init__(self, hop: NextHop, channel: socket.socket, conversation: Conversation) -> None:
        self.hop = hop
        self.channel = channel
        self.heard = channel.makefile("rb")
        self.conversation = conversation
        channel.settimeout(10)  # a client that is never heard of again is a failure, and no reason to hang

    def go(self) -> None:
        try:
            if self.hop.tls_first and not self._secure():
                return
            if not self._say(self.hop.answers[""]):
                return
            while line := self.heard.readline():
                if not self._answer(line.decode().removesuffix("\r\n")):
                    return
        finally:
            self.heard.close()
            self.channel.close()

    def _answer(self, line: str) -> bool:
        """Whether to go on."""
        conversation, answers = self.conversation, self.hop.answers
        conversation.lines.append(line)
        if not isinstance(self.channel, ssl.SSLSocket):
            conversation.in_clear.append(line)
        verb = line.partition(" ")[0].upper()
        answer = answers.get(line) or answers.get(verb)
        if answer is None and verb == "EHLO":
            said = ["next.example.net", *self.hop.offers]
            answer = "\r\n".join([f"250-{one}" for one in said[:-1]] + [f"250 {said[-1]}"])
        if not self._say(answer or "500 5.5.2 what?"):
            return False
        if verb == "STARTTLS" and answer and answer.startswith("220"):
            return self._secure()
        if verb == "DATA" and answer and answer.startswith("354"):
            return self._take()
        return verb != "QUIT"

    def _say(self, answer: str) -> bool:
        if answer == SAY_NOTHING:
            while self.channel.recv(65536):
                pass
        while answer == DRIP:
            self.channel.sendall(b"2")
            threading.Event().wait(0.01)
        if answer in (SAY_NOTHING, HANG_UP):
            return False
        self.channel.sendall(answer.encode("utf-8", "surrogateescape") + b"\r\n")
        return True

    def _secure(self) -> bool:
        if self.hop.instead:
            self._say(self.hop.instead)
            return False
        assert self.hop.context is not None
        self.heard.close()
        self.channel = self.hop.context.wrap_socket(self.channel, server_side=True)
        self.heard = self.channel.makefile("rb")
        return True

    def _take(self) -> bool:
        pieces, tail = [], b"\r\n"
        while not tail.endswith(END):
            piece = self.heard.read1(65536)  # type: ignore[attr-defined]
            if not piece:
                break
            pieces.append(piece)
            self.hop.received += len(piece)
            tail = (tail + piece)[-len(END) :]
        self.conversation.text = b"".join(pieces)
        return tail.endswith(END) and self._say(self.hop.answers["."])


def certificate(folder: Path, name: str) -> Path:
    """A certificate that a host of that name has signed itself, and its key, in one file."""
    path = folder / f"{name}.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made = subprocess.run(["openssl", "req", "-x509", *key, *names, "-days", "2"], capture_output=True, check=True)
    path.write_bytes(path.read_bytes() + made.stdout)
    return path
