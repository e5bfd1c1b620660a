"""Programs that rules name, run for one message: in which surroundings, and what their end means to the rule.

Owns what filters make of the message, until `close`, and the environment that programs get: HOME, USER, LOGNAME, SHELL,
PATH, LANG, and of the envelope SENDER, RECIPIENT and EXTENSION. Nothing else of the caller's goes to them; of the
message they get what the rule gives as arguments, and all of it on standard input. `system.program` starts and ends
them.
"""

from __future__ import annotations

from pydeliver.mail.address import split_detail
from pydeliver.mail.message import FROM_LINE_BYTES, Message, split_from_line
from pydeliver.status import Status, deferred
from pydeliver.system.program import EXITED, Ended, Slot, call, slot
from pydeliver.system.spool import Held
from pydeliver.vocabulary.forwarding import problem
from pydeliver.vocabulary.programs import ENDED as ENDED
from pydeliver.vocabulary.programs import FAILED as FAILED
from pydeliver.vocabulary.programs import FILTER, SHELL, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pydeliver.agent.rules import Home
    from pydeliver.mail.edit import Edit
    from pydeliver.mail.envelope import Envelope
    from pydeliver.vocabulary.word import Question

    Answer = tuple[str, bool | str | Message]
    SpoolDirectory = Callable[[], str | Status]

TEXT_BYTES = 64 << 10  # of what `output of` takes


class Programs:
    """What may be run for one message of one user; large output of filters goes to a file in `spool_dir`."""

    def __init__(
        self,
        home: Home,
        settings: Mapping[str, Any],
        envelope: Envelope,
        message: Message,
        spool_dir: SpoolDirectory,
    ) -> None:
        self.home = home
        self.settings = settings
        self.envelope = envelope
        self.message = message
        self.spool_dir = spool_dir
        self._made: list[Held] = []

    def close(self) -> None:
        """Forget what filters made of the message."""
        while self._made:
            self._made.pop().remove()

    def answer(self, question: Question) -> Answer | Status:
        """The answer to `vocabulary.programs.question`; a status where nothing could be run at all."""
        word, argv, at_once, message, edits = [*question[1:], self.message, ()][:5]
        if word == FILTER:
            return self._filtered(argv, at_once, message, edits)
        if word == "run":  # what it says is for nobody
            ended = self.call(argv, at_once, message.chunks(), self.most, sink=lambda data: None)
        else:
            ended = self.call(argv, at_once, message.chunks(), TEXT_BYTES)
        if isinstance(ended, Status):
            return ended
        if word == "run" and ended.how == EXITED:
            return ENDED, ended.code == 0
        if ended.ok:
            return ENDED, ended.output.decode("utf-8", "replace").strip()
        return FAILED, ended.line

    def _filtered(
        self, argv: tuple[str, ...], at_once: int, message: Message, edits: tuple[Edit, ...]
    ) -> Answer | Status:
        """What a program makes of a message with its edits; nothing, and what is no message, is a failure."""
        from pydeliver.mail.edit import rewritten

        directory = self.spool_dir()
        if isinstance(directory, Status):
            return directory
        held = Held()
        self._made.append(held)
        feed = rewritten(message, edits) if edits else message.chunks()
        ended = self.call(argv, at_once, feed, self.most, sink=lambda data: held.add(data, spool_dir=directory))
        if isinstance(ended, Status):
            return ended
        if not ended.ok:
            return FAILED, ended.line
        held.finish()
        held.skip = len(split_from_line(held.read(0, FROM_LINE_BYTES))[0])
        made = Message(held)
        return (ENDED, made) if made.head.strip() else (FAILED, "ended with 0, and what it wrote is no message")

    def pipe(self, argv: tuple[str, ...], at_once: int, feed: Iterable[bytes]) -> Ended | Status:
        """Deliver to a program what `feed` says; what it writes is for nobody."""
        return self.call(argv, at_once, feed, self.most, sink=lambda data: None)

    def send(self, sender: str | None, address: str, feed: Iterable[bytes]) -> Ended | Status:
        """Give a message to the mail server for one address; `sender` is "" for a bounce, None for who the server says.

        `-i`: a line with a single dot is no end. What follows `--` is no option, whatever it looks like.
        """
        if self.settings["smarthost"]:
            from pydeliver.agent import smarthost

            return smarthost.send(self.settings["smarthost"], self.settings["program-time"], sender, address, feed)
        by = () if sender is None else ("-f", sender or "<>")
        return self.call((self.settings["sendmail"], "-i", *by, "--", address), 0, feed, TEXT_BYTES)

    def rewritten_sender(self, sender: str) -> str | Status:
        """What the site's `srs-command` makes of an envelope sender, so that bounces come back this way."""
        command = self.settings["srs-command"]
        ended = self.call((*command, sender), 0, (), TEXT_BYTES)
        if isinstance(ended, Status):
            return ended
        found = ended.output.decode("utf-8", "replace").strip()
        if not ended.ok or problem(found):
            return deferred(f"rewriting the sender: {ended.line}: {clean(found)[:80]!r}", "4.3.0")
        return found

    @property
    def most(self) -> int:
        """The bytes that a program may write."""
        return int(self.settings["program-output"]) << 20

    def call(
        self,
        argv: tuple[str, ...],
        at_once: int,
        feed: Iterable[bytes],
        most: int,
        sink: Callable[[bytes], object] | None = None,
    ) -> Ended | Status:
        """Run a program, one of at most so many `at_once` (0: any number)."""
        seconds = self.settings["program-time"]
        place: Slot | Status | None = None
        if at_once:
            name = " ".join(argv[: 3 if argv[:2] == SHELL else 1])
            place = slot(f"{self.home.state.directory}/slots", name, at_once, seconds=seconds)
        if isinstance(place, Status):
            return place
        try:
            return call(
                argv,
                directory=self.home.path,
                environment=self.environment(),
                seconds=seconds,
                cpu_seconds=self.settings["program-cpu"],
                output_limit=most,
                feed=feed,
                sink=sink,
            )
        finally:
            if place is not None:
                place.release()

    def _detail(self) -> str:
        """What the caller says, else what the recipient's address says."""
        if self.envelope.detail is not None:
            return self.envelope.detail
        local = (self.envelope.recipient or "").rpartition("@")[0]
        return split_detail(local, self.settings["subaddress"])[1]

    def environment(self) -> dict[str, str]:
        home, envelope = self.home, self.envelope
        return {
            "HOME": home.path,
            "USER": home.user,
            "LOGNAME": home.user,
            "SHELL": SHELL[0],
            "PATH": self.settings["program-path"],
            "LANG": "C.UTF-8",
            "SENDER": clean(envelope.sender or ""),
            "RECIPIENT": clean(envelope.recipient or ""),
            "EXTENSION": clean(self._detail()),
        }
