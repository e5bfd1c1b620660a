"""Judge a message by rules written in a test: text in, verdict out, with the world answered from a dictionary."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from pydeliver import settings as site_settings
from pydeliver.language.load import compile_rules
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.plan import Plan
from pydeliver.verdict import Program, Verdict

if TYPE_CHECKING:
    from pydeliver.vocabulary.word import Question

# 2024-05-15 12:34:56 UTC, a Wednesday.
NOW: Final = 1_715_776_496.0
PATH: Final = "/rules/main.rules"


class Library:
    """Rule files by path."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        text = self.files.get(path)
        return None if text is None else text.encode()

    def find(self, path: str, base: str) -> tuple[str, ...]:
        pattern = str(PurePosixPath(base).parent / path)
        return tuple(sorted(name for name in self.files if PurePosixPath(name).match(pattern)))


class World:
    """Answers questions and remembers which it was asked. UTC; `lists` are list files by name."""

    def __init__(self, now: float | None = NOW, offset: int | None = 0, **lists: frozenset[str] | None) -> None:
        self.now = now
        self.offset = offset
        self.lists = lists
        self.refused: dict[str, str] = {}  # what the mailboxes say of a name
        self.mailboxes: dict[str, bool | None] = {}  # whether they are there; those not named are not
        self.remembered: dict[tuple[str, str], int | None] = {}  # how many came before, by kind and key
        self.programs: dict[
            tuple[str, ...], tuple[str, bool | str | Message]
        ] = {}  # what came of them, by their arguments
        self.asked: list[Question] = []

    def answer(self, question: Question) -> Any:
        self.asked.append(question)
        if question[0] == "now":
            return self.now
        if question[0] == "offset":
            return self.offset
        if question[0] == "mailbox":
            return self.refused.get(question[1], "")
        if question[0] == "mailbox-exists":
            return self.mailboxes.get(question[1], False)
        if question[0] == "program":
            return self.programs.get(question[2])
        if question[0] == "piped":
            return self.programs.get(question[1], ("ended", True))
        if question[0] == "remembered":
            return self.remembered.get(question[1:3], 0)
        return self.lists[question[1].removeprefix("/")]


def write_rested(path: Path, text: str, age: float = 60, mode: int = 0o600) -> Path:
    """Write rules or settings as they are `age` seconds later: a delivery waits for what may still be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    os.utime(path, (then := time.time() - age, then))
    return path


def plan(text: str, files: dict[str, str] | None = None, variables: tuple[str, ...] = (), **settings: Any) -> Plan:
    """The plan of rules without a mistake; `settings` replace the site's."""
    compiled = compile_rules(PATH, text.encode(), Library(files or {}), variables)
    assert compiled.ok, [f"{one.line}:{one.column} {one.message}" for one in compiled.diagnostics]
    options = {name: values for name, (values, _) in compiled.options.items()}
    kept = {**site_settings.defaults(), "me": (), "layout": "maildir++", "home": "/home/jo", **options, **settings}
    return Plan(compiled.statements, kept, compiled.files)


def judged(made: Plan, message: bytes, world: World, envelope: Envelope) -> Verdict:
    """The verdict of a plan, each question answered as it comes."""
    program = Program(made)
    view = Message.of(message)
    answers: dict[Question, Any] = {}
    while not isinstance(found := program.evaluate(envelope, view, answers), Verdict):
        assert found not in answers, f"{found} was asked twice"
        answers[found] = world.answer(found)
    return found


def judge(text: str, message: bytes = b"\n", world: World | None = None, **envelope: Any) -> Verdict:
    """The verdict that rules give on a message."""
    variables = tuple(envelope.get("environment", ()))
    return judged(plan(text, variables=variables), message, world or World(), Envelope(**envelope))


def boxes(verdict: Verdict) -> list[str]:
    """The mailboxes that a verdict delivers to, in order."""
    return [one.mailbox for one in verdict.deliveries]


def holds(condition: str, message: bytes = b"\n", world: World | None = None, **envelope: Any) -> bool | None:
    """What a condition comes to: True, False, or None when it is unknown."""
    text = f'if {condition} {{ file "yes" }}\nif not ({condition}) {{ file "no" }}\nfile "unknown"\n'
    (box,) = boxes(judge(text, message, world, **envelope))
    return {"yes": True, "no": False, "unknown": None}[box]


def shown(template: str, message: bytes = b"\n", world: World | None = None, **envelope: Any) -> str:
    """What a text with values in it comes to."""
    (line,) = judge(f'log "{template}"\n', message, world, **envelope).log
    return line
