"""Programs that rules name, run for one message: in which surroundings, and what their end means to the rule.

Owns the environment that they get: HOME, USER, LOGNAME, SHELL, PATH, LANG, and of the envelope SENDER, RECIPIENT and
EXTENSION. Nothing else of the caller's goes to them; of the message they get what the rule gives as arguments, and
all of it on standard input. `system.program` starts and ends them.
"""

from __future__ import annotations

from pydeliver.status import Status
from pydeliver.system.program import EXITED, Ended, Slot, call, slot
from pydeliver.vocabulary.addresses import split_detail
from pydeliver.vocabulary.programs import ENDED as ENDED
from pydeliver.vocabulary.programs import FAILED as FAILED
from pydeliver.vocabulary.programs import SHELL, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pydeliver.agent.rules import Home
    from pydeliver.mail.envelope import Envelope
    from pydeliver.mail.message import Message
    from pydeliver.vocabulary.word import Question

    Answer = tuple[str, bool | str]

TEXT_BYTES = 64 << 10  # of what `output of` takes


class Programs:
    """What may be run for one message of one user."""

    def __init__(self, home: Home, settings: Mapping[str, Any], envelope: Envelope, message: Message) -> None:
        self.home = home
        self.settings = settings
        self.envelope = envelope
        self.message = message

    def answer(self, question: Question) -> Answer | Status:
        """The answer to ("program", word, argv, how many at once); a status where nothing could be run at all."""
        _, word, argv, at_once = question
        if word == "run":  # what it says is for nobody
            ended = self.call(argv, at_once, self.message.chunks(), self.most, sink=lambda data: None)
        else:
            ended = self.call(argv, at_once, self.message.chunks(), TEXT_BYTES)
        if isinstance(ended, Status):
            return ended
        if word == "run" and ended.how == EXITED:
            return ENDED, ended.code == 0
        if ended.ok:
            return ENDED, ended.output.decode("utf-8", "replace").strip()
        return FAILED, ended.line

    def pipe(self, argv: tuple[str, ...], at_once: int, feed: Iterable[bytes]) -> Ended | Status:
        """Deliver to a program what `feed` says; what it writes is for nobody."""
        return self.call(argv, at_once, feed, self.most, sink=lambda data: None)

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
