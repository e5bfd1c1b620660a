"""One conversation by SMTP or LMTP, with neither input nor output: bytes go in, replies and events come out.

RFC 5321, with PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531) and ENHANCEDSTATUSCODES (2034). Owns
what both have in common; `lmtp` and `smtp` are what a client meets. Decides what may be said when; whether a recipient
is known and what became of a message is the server's to say, by one status for each event that asks. Refuses to
remember more than the limits below.
"""

from __future__ import annotations

from pydeliver.receiver import path as paths
from pydeliver.receiver.data import DataReader
from pydeliver.status import Status, Value, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LINE = 2048  # bytes of a command: 512, and what extensions and long addresses add (RFC 5321 4.5.3.1.4)
RECIPIENTS = 1000  # of one message; RFC 5321 4.5.3.1.8 asks for 100 at least
MISTAKES = 10  # commands in a row that nobody understands; a client that says more is none
# What a browser says, which somebody's page may have sent to this host.
_OTHER_PROTOCOLS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"HOST:")
_HELLOS = (b"HELO", b"EHLO", b"LHLO")
_KNOWN_ELSEWHERE = (b"EXPN", b"BDAT", b"STARTTLS", b"AUTH", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML", b"XCLIENT")
STRAY = refused("the message holds a CR, an LF or a NUL that stands alone", "5.6.0")


class Transaction:
    """One message on its way: from whom, for whom, by whose word. Grows until it is answered."""

    __slots__ = ("recipients", "sender", "utf8")

    def __init__(self, sender: str, utf8: bool) -> None:
        self.sender = sender
        self.utf8 = utf8
        self.recipients: list[str] = []


class Asked(Value):
    """Is this a recipient? Wants one status."""

    address: str


class Text(Value):
    """The next piece of the message; wants nothing."""

    data: bytes


class Ended(Value):
    """The message is whole; or it was refused already, and is to be forgotten.

    Wants as many statuses as `Session.answers` says, unless it was refused.
    """

    transaction: Transaction
    refused: bool


class Over(Value):
    """Nothing more is to be heard: close when all is written."""


Event = Value


class Session:
    """`host` is what this server calls itself; `largest` how many bytes a message may have; `peer` what the client

    calls itself. A `strict` one takes no message in which a CR, an LF or a NUL stands alone.
    """

    name = ""
    hello = ""  # what a client says first
    parameters = frozenset((b"SIZE", b"BODY", b"SMTPUTF8"))  # of MAIL
    commands: Mapping[bytes, Callable[[Any, bytes], None]] = {}
    strict = False

    def __init__(self, host: str, largest: int) -> None:
        self.host = host
        self.largest = largest
        self.peer = ""
        self.transaction: Transaction | None = None
        self.mistakes = 0
        self._input = b""
        self._replies: list[bytes] = []
        self._data: DataReader | None = None
        self._events: list[Event] = []
        self._asked: str | None = None
        self._waiting = 0  # statuses that are still to come before the conversation goes on
        self._skipping = False  # the rest of a line that was too long
        self._over = False
        self.has_quit = False  # whether it was the client who wanted to end it
        self._refusal = STRAY

    @property
    def waits(self) -> bool:
        """Whether it is the server's turn, and nothing that the client says is looked at."""
        return self._waiting > 0

    @property
    def is_over(self) -> bool:
        """Whether the last word has been said."""
        return self._over

    def greet(self) -> None:
        self._say(f"220 {self.host} {self.name} pydeliver")

    def offered(self) -> list[str]:
        """The extensions that the client is told of."""
        return ["PIPELINING", f"SIZE {self.largest}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]

    def answers(self, transaction: Transaction) -> int:
        """How many replies there are to a message."""
        return 1

    def protocol(self, transaction: Transaction) -> str:
        """The name by which Received tells how a message came (RFC 3848, RFC 6531 section 4.3)."""
        raise NotImplementedError

    def dismiss(self, why: Status) -> None:
        """End the conversation from this side, with a 421 (RFC 5321 3.8)."""
        self._end(why.line)

    def feed(self, data: bytes) -> None:
        self._input += data

    def unread(self) -> int:
        """Bytes that the client has said ahead of its turn."""
        return len(self._input)

    def take(self) -> bytes:
        """What is to be written to the client now."""
        said = b"".join(self._replies)
        self._replies.clear()
        return said

    def next(self) -> Event | None:
        """The next event; None when more has to be said, by the client or by the server."""
        while not self._events and not self._waiting and not self._over:
            if not (self._read_text() if self._data is not None else self._read_line()):
                break
        if not self._events:
            return None
        event = self._events.pop(0)
        if isinstance(event, Ended):  # not before: what comes ahead of it is no answer to it
            self._waiting = self.answers(event.transaction)
            while event.refused and self._waiting:
                self.reply(self._refusal)
        return event

    def reply(self, status: Status) -> None:
        """The server's answer to an event that wants one."""
        assert self._waiting > 0
        self._waiting -= 1
        if self._asked is not None:
            if status.ok:
                assert self.transaction is not None
                self.transaction.recipients.append(self._asked)
                status = Status("2.1.5", "recipient ok")
            self._asked = None
        elif not self._waiting:
            self.transaction = None
        self._say(status.reply)

    # -- the text of a message ----------------------------------------------------------------------------------

    def _read_text(self) -> bool:
        data, transaction = self._data, self.transaction
        if not self._input or data is None or transaction is None:
            return False
        text = data.read(self._input)
        self._input = b""
        is_refused = data.size > self.largest or (self.strict and data.strays)
        if text and not is_refused:
            self._events.append(Text(text))
        if data.rest is not None:
            self._input, self._data, self.mistakes = data.rest, None, 0
            self._refusal = self._too_large() if data.size > self.largest else STRAY
            self._events.append(Ended(transaction, is_refused))
        return True

    # -- commands -----------------------------------------------------------------------------------------------

    def _read_line(self) -> bool:
        end = self._input.find(b"\n")
        if end < 0:
            if len(self._input) > LINE:
                self._skipping, self._input = True, b""
            return False
        line, self._input = self._input[: end + 1], self._input[end + 1 :]
        if self._skipping or len(line) > LINE:
            self._skipping = False
            self._mistake("500 5.5.2 the line is too long")
        elif not line.endswith(b"\r\n"):
            self._mistake("500 5.5.2 lines end with CR and LF")
        else:
            self._command(line[:-2])
        return True

    def _command(self, line: bytes) -> None:
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        do = self.commands.get(verb)
        if do is not None:
            do(self, argument)
        elif verb in _OTHER_PROTOCOLS:
            self._end(f"4.7.0 this is {self.name}")
        elif verb in _HELLOS:
            self._mistake(f"500 5.5.1 this is {self.name}: say {self.hello}")
        elif verb in _KNOWN_ELSEWHERE:
            self._mistake("502 5.5.1 not done here")
        else:
            self._mistake("500 5.5.2 unknown command")

    def _extended_hello(self, argument: bytes) -> None:
        if not self._is_introduced(argument):
            return
        lines = [self.host, *self.offered()]
        self._say(*[f"250-{line}" for line in lines[:-1]], f"250 {lines[-1]}")

    def _is_introduced(self, argument: bytes) -> bool:
        """Whether a client says who he is; all that he said before is forgotten then."""
        name = argument.strip(b" ")
        if not name or not name.isascii() or any([byte <= 0x20 or byte == 0x7F for byte in name]):
            self._mistake(f"501 5.5.4 {self.hello} needs the name of a host")
            return False
        self.peer, self.transaction = name.decode("ascii")[:255], None
        return True

    def _mail(self, argument: bytes) -> None:
        if not self.peer:
            self._mistake(f"503 5.5.1 say {self.hello} first")
        elif self.transaction is not None:
            self._mistake("503 5.5.1 there is a message already: say RSET to forget it")
        elif argument[:5].upper() != b"FROM:" or (found := paths.parse(argument[5:])) is None:
            self._mistake("501 5.5.4 it is MAIL FROM:<address>")
        else:
            path, words = found
            given = dict([_parameter(word) for word in words])
            problem = self._problem(given, len(words))
            sender = _decoded(path, b"SMTPUTF8" in given)
            if problem:
                self._mistake(problem)
            elif sender is None or (sender and paths.split(sender) is None):
                self._mistake(_no_address(path, "5.1.7"))
            elif int(given.get(b"SIZE") or 0) > self.largest:
                self._say(self._too_large().reply)
            else:
                self.transaction = Transaction(sender, b"SMTPUTF8" in given)
                self._say("250 2.1.0 sender ok")

    def _problem(self, given: dict[bytes, bytes], words: int) -> str:
        """What is wrong with the parameters of MAIL, or ""."""
        if len(given) != words:
            return "501 5.5.4 a parameter is given twice"
        size, body = given.get(b"SIZE", b"0"), given.get(b"BODY", b"7BIT").upper()
        if not size.isdigit() or len(size) > 20:
            return "501 5.5.4 it is SIZE=number"
        if body not in (b"7BIT", b"8BITMIME"):
            return "501 5.5.4 BODY is 7BIT or 8BITMIME"
        if given.get(b"SMTPUTF8"):
            return "501 5.5.4 SMTPUTF8 has no value"
        unknown = given.keys() - self.parameters
        return "555 5.5.4 unknown parameter" if unknown else ""

    def _rcpt(self, argument: bytes) -> None:
        transaction = self.transaction
        if transaction is None:
            self._mistake("503 5.5.1 say MAIL first")
            return
        found = paths.parse(argument[3:]) if argument[:3].upper() == b"TO:" else None
        if found is None:
            self._mistake("501 5.5.4 it is RCPT TO:<address>")
            return
        path, words = found
        address = _decoded(path, transaction.utf8)
        if words:
            self._mistake("555 5.5.4 unknown parameter")
        elif not address or paths.split(address) is None:
            self._mistake(_no_address(path, "5.1.3"))
        elif len(transaction.recipients) >= RECIPIENTS:
            self._say(f"452 4.5.3 no more than {RECIPIENTS} recipients at once")
        else:
            self._asked, self._waiting = address, 1
            self._events.append(Asked(address))

    def _begin(self, argument: bytes) -> None:
        transaction = self.transaction
        if argument.strip(b" "):
            self._mistake("501 5.5.4 DATA has no argument")
        elif transaction is None:
            self._mistake("503 5.5.1 say MAIL first")
        elif not transaction.recipients:  # no mistake: a client that pipelines can't know (RFC 2033 4.2)
            self._say("503 5.5.1 no recipient was accepted")
        else:
            self._data = DataReader()
            self._say("354 go on, and end with a dot on a line of its own")

    def _rset(self, _argument: bytes) -> None:
        self.transaction = None
        self._say("250 2.0.0 ok")

    def _noop(self, _argument: bytes) -> None:
        self._say("250 2.0.0 ok")

    def _vrfy(self, _argument: bytes) -> None:
        self._say("252 2.5.2 RCPT tells")

    def _help(self, _argument: bytes) -> None:
        known = [verb.decode() for verb in self.commands if not verb.startswith(b"X")]
        self._say(f"214 2.0.0 {' '.join(known)}")

    def _quit(self, _argument: bytes) -> None:
        self.has_quit = True
        self._say("221 2.0.0 bye")
        self._close()

    def _too_large(self) -> Status:
        return refused(f"the message is larger than {self.largest} bytes", "5.3.4")

    # -- replies ------------------------------------------------------------------------------------------------

    def _say(self, *lines: str) -> None:
        self._replies += [line.encode("ascii", "replace") + b"\r\n" for line in lines]

    def _mistake(self, line: str) -> None:
        self.mistakes += 1
        if self.mistakes > MISTAKES:
            self._end("4.7.0 too many mistakes")
        else:
            self._say(line)

    def _end(self, text: str) -> None:
        self._say(f"421 {text}")
        self._close()

    def _close(self) -> None:
        self._over = True
        self._waiting, self._asked, self.transaction, self._data, self._input = 0, None, None, None, b""
        self._events.append(Over())


COMMANDS: Mapping[bytes, Callable[[Any, bytes], None]] = {
    b"MAIL": Session._mail,
    b"RCPT": Session._rcpt,
    b"DATA": Session._begin,
    b"RSET": Session._rset,
    b"NOOP": Session._noop,
    b"VRFY": Session._vrfy,
    b"HELP": Session._help,
    b"QUIT": Session._quit,
}


def _parameter(word: bytes) -> tuple[bytes, bytes]:
    name, _, value = word.partition(b"=")
    return name.upper(), value


def _decoded(path: bytes, utf8: bool) -> str | None:
    """An address as text; None where it holds what was not announced (RFC 6531 3.4)."""
    try:
        return path.decode("utf-8" if utf8 else "ascii")
    except UnicodeDecodeError:
        return None


def _no_address(path: bytes, code: str) -> str:
    return f"501 {code} that is no address" if path.isascii() else "553 5.6.7 an address beyond ASCII needs SMTPUTF8"
