"""What a client meets at SMTP: one reply to a message, TLS and a login where they are offered.

RFC 5321; STARTTLS (RFC 3207), AUTH PLAIN and LOGIN (RFC 4954, 4616), for which a client has to speak TLS first. What
was said before TLS is forgotten with the handshake: neither a command that came ahead of it nor a name holds after it.
"""

from __future__ import annotations

from binascii import Error, a2b_base64

from pydeliver.receiver.session import COMMANDS, Session, Transaction
from pydeliver.status import Status, Value

LOGINS = 3  # tries of one client


class Terms(Value):
    """What a client is offered, TLS and a login, and whether he has to log in before he hands anything over."""

    tls: bool = False
    login: bool = False
    only_with_login: bool = False


class Secured(Value):
    """The client wants to speak TLS from here on: call `secure`, and let in nothing that comes ahead of it."""


class Claimed(Value):
    """Is this the user's password? Wants one status."""

    user: str
    password: str


class SmtpSession(Session):
    """`user` is who has logged in, "" for nobody."""

    name = "ESMTP"
    hello = "EHLO"
    parameters = Session.parameters | {b"AUTH"}
    strict = True

    def __init__(self, host: str, largest: int, terms: Terms = Terms(), is_secure: bool = False) -> None:  # noqa: B008
        super().__init__(host, largest)
        self.terms = terms
        self.is_secure = is_secure
        self.is_extended = False
        self.user = ""
        self._claim = ""  # whose password is being looked at
        self._dialog: tuple[str, ...] = ()  # what AUTH has heard so far, by its mechanism
        self._logins = 0

    def offered(self) -> list[str]:
        more = ["STARTTLS"] * (self.terms.tls and not self.is_secure) + ["AUTH PLAIN LOGIN"] * self._may_log_in
        return [*super().offered(), *more]

    def protocol(self, transaction: Transaction) -> str:
        name = "UTF8SMTP" if transaction.utf8 else "ESMTP" if self.is_extended or self.is_secure else "SMTP"
        return name + "S" * self.is_secure + "A" * bool(self.user)

    def secure(self) -> None:
        """TLS is spoken from here on, and the conversation begins anew (RFC 3207 section 4.2)."""
        self._waiting, self.is_secure = 0, True
        self.peer, self.user, self.transaction, self._input = "", "", None, b""

    def reply(self, status: Status) -> None:
        if not self._claim:
            super().reply(status)
            return
        self._waiting -= 1
        user, self._claim = self._claim, ""
        if status.ok:
            self.user = user
            self._say("235 2.7.0 welcome")
        elif status.code.startswith("4"):
            self._say(f"454 {status.line}")
        elif self._logins >= LOGINS:
            self._end("4.7.0 too many logins that failed")
        else:
            self._say(f"535 {status.line}")

    @property
    def _may_log_in(self) -> bool:
        return self.terms.login and self.is_secure and not self.user

    def _command(self, line: bytes) -> None:
        if self._dialog:
            self._hear_login(line)
        else:
            super()._command(line)

    def _helo(self, argument: bytes) -> None:
        if self._is_introduced(argument):
            self.is_extended = False
            self._say(f"250 {self.host}")

    def _ehlo(self, argument: bytes) -> None:
        self.is_extended = True
        self._extended_hello(argument)

    def _mail(self, argument: bytes) -> None:
        if self.terms.only_with_login and not self.user:
            self._mistake(f"530 5.7.0 say {'AUTH' if self.is_secure else 'STARTTLS'} first")
        else:
            super()._mail(argument)

    def _starttls(self, argument: bytes) -> None:
        if not self.terms.tls:
            self._mistake("502 5.5.1 not done here")
        elif self.is_secure:
            self._mistake("503 5.5.1 this is TLS already")
        elif argument.strip(b" "):
            self._mistake("501 5.5.4 STARTTLS has no argument")
        else:
            self._say("220 2.0.0 go on in TLS")
            self._input = b""
            self._waiting = 1
            self._events.append(Secured())

    def _auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        mechanism = mechanism.upper()
        if not self.terms.login:
            self._mistake("502 5.5.1 not done here")
        elif not self.is_secure:
            self._mistake("538 5.7.11 say STARTTLS first")
        elif not self.peer:
            self._mistake("503 5.5.1 say EHLO first")
        elif self.user or self.transaction is not None:
            self._mistake("503 5.5.1 not now")
        elif mechanism not in (b"PLAIN", b"LOGIN"):
            self._mistake("504 5.5.4 it is PLAIN or LOGIN")
        else:
            self._dialog = (mechanism.decode("ascii"),)
            if initial:
                self._hear_login(b"" if initial == b"=" else initial)
            else:
                self._ask_login()

    def _ask_login(self) -> None:
        asked = {"PLAIN": ("",), "LOGIN": ("VXNlcm5hbWU6", "UGFzc3dvcmQ6")}  # Username:, Password:
        self._say(f"334 {asked[self._dialog[0]][len(self._dialog) - 1]}")

    def _hear_login(self, line: bytes) -> None:
        """The next thing that a client says of himself, in base64."""
        try:
            said = a2b_base64(line, strict_mode=True).decode("utf-8") if line else ""
        except (Error, UnicodeDecodeError):
            self._dialog = ()
            self._mistake("501 5.7.0 given up" if line == b"*" else "501 5.5.2 that is no base64")
            return
        mechanism, *before = self._dialog
        if mechanism == "LOGIN" and not before:
            self._dialog = (mechanism, said)
            self._ask_login()
            return
        self._dialog = ()
        if mechanism == "LOGIN":
            self._claimed(before[0], said)
        else:
            as_whom, *claim = said.split("\0")
            if len(claim) != 2 or as_whom not in ("", claim[0]):
                self._mistake("501 5.5.2 it is a name and a password, between NULs")
            else:
                self._claimed(*claim)

    def _claimed(self, user: str, password: str) -> None:
        if not user or not user.isprintable():
            self._mistake("501 5.5.2 that is no name")
            return
        self._logins += 1
        self._claim, self._waiting = user, 1
        self._events.append(Claimed(user, password))


SmtpSession.commands = {
    b"HELO": SmtpSession._helo,
    b"EHLO": SmtpSession._ehlo,
    **COMMANDS,
    b"MAIL": SmtpSession._mail,
    b"STARTTLS": SmtpSession._starttls,
    b"AUTH": SmtpSession._auth,
}
