"""Other programs: what rules ask them, whether one succeeds and what one says; `pipe`, which delivers to one; and

`filter`, by which what one writes becomes the message.

A program gets the message on its standard input, and as arguments what the rule gives it. Each value of the message
stays inside the one argument it stands in, whatever it holds, and is never an option. Nothing is run here: it is a
question, answered by (ENDED, what came of it) or (FAILED, why). What comes of a filter is a message, which is looked
at, edited and delivered from there on. A program that fails gave no answer, not the answer "no": then the word behind
`or else` holds. A pipe succeeds as long as nobody answers that it failed: whoever carries the verdict out finds that,
and has the message judged anew with this answer.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import COMMAND, FACT, FALLBACK, FORMED, TEXT, UNKNOWN, Action, Decided, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.mail.edit import Edit
    from pydeliver.vocabulary.word import Draft, Facts, Question

    Piece = tuple[str | None, bool]

ENDED, FAILED = "ended", "failed"
FILTER = "filter"
VALUE_CHARACTERS = 10_000  # of a value in an argument: the kernel takes 128 KB in one
SHOWN = 80  # characters of a command in a note


def clean(text: str) -> str:
    """A value without NUL, and with U+FFFD for control characters and what has no bytes in UTF-8."""
    text = text[:VALUE_CHARACTERS].replace("\0", "")
    return text if text.isprintable() else "".join(["\ufffd" if _is_control(c) else c for c in text])


def _is_control(c: str) -> bool:
    return c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff"


def arguments(words: tuple[tuple[Piece, ...], ...], home: str) -> tuple[str, ...] | None:
    """The words of a command as a program gets them, None where a value is unknown."""
    if any([text is None for word in words for text, _ in word]):
        return None
    return tuple([_argument(word, home) for word in words])


def _argument(word: tuple[Piece, ...], home: str) -> str:
    made = "".join([clean(text or "") if value else text or "" for text, value in word])
    if word and word[0][1]:
        return made.lstrip("-")  # a value is never an option
    return f"{home}/{made[2:]}" if made.startswith("~/") else made


def shown(argv: tuple[str, ...]) -> str:
    """A command for the log: the program, of a shell its text."""
    text = f"shell {argv[2]}" if argv[:2] == SHELL else argv[0]
    return f'"{text[:SHOWN]}"'


SHELL = ("/bin/sh", "-c")


def question(facts: Facts, word: str, argv: tuple[str, ...], at_once: int, edits: tuple[Edit, ...] = ()) -> Question:
    """Asks what comes of a program: ("program", word, argv, how many at once), and behind these the message that it

    gets, where that is not the one received or has edits.
    """
    asked: Question = ("program", word, argv, at_once)
    return asked if facts.message is facts.received and not edits else (*asked, facts.message, edits)


def _failed(facts: Facts, argv: tuple[str, ...], why: str, fallback: str) -> None:
    """Go on where `or else no` says so, else end as it says."""
    why = f"{shown(argv)} {why}"
    if fallback != "no":
        raise Decided(fallback, why)
    facts.notes.append(why)


def _asked(facts: Facts, word: str, argument: Any) -> Any:
    """What came of a program; None if nobody knows, () where it failed and `or else no` takes that for an answer."""
    given = dict(argument)
    argv = arguments(given[COMMAND](facts), facts.settings["home"])
    answer = None if argv is None else facts.ask(question(facts, word, argv, given.get("NUMBER", 0)))
    if argv is None or answer is None:
        return None
    how, came = answer
    if how == FAILED:
        _failed(facts, argv, came, given[FALLBACK])
        return ()
    return came


def _succeeds(facts: Facts, argument: Any) -> tuple[bool, ...] | None:
    found = _asked(facts, "run", argument)
    return None if found is None else (True,) * bool(found)


def _output(facts: Facts, argument: Any) -> tuple[str, ...] | None:
    found = _asked(facts, "output", argument)
    return (found,) if isinstance(found, str) else found


def _has_failed(facts: Facts, argument: Any) -> tuple[bool, ...]:
    """Whether a pipe is known to have failed."""
    argv = arguments(dict(argument)[COMMAND](facts), facts.settings["home"])
    how, why = facts.ask(("piped", argv)) if argv is not None else (ENDED, True)
    if how == ENDED:
        return ()
    facts.notes.append(f"{shown(argv or ())} {why}")
    return (True,)


def _pipe(draft: Draft, operands: tuple[Any, ...], final: bool = True) -> None:
    words, at_once, fallback = operands
    known = tuple([tuple([("?" if text is None else text, value) for text, value in word]) for word in words])
    draft.pipe(arguments(known, draft.facts.settings["home"]) or (), at_once, fallback == "defer", final)


def _copy_pipe(draft: Draft, operands: tuple[Any, ...]) -> None:
    _pipe(draft, operands, final=False)


def _filter(draft: Draft, operands: tuple[Any, ...]) -> str:
    words, at_once, fallback = operands
    facts = draft.facts
    argv = arguments(words, facts.settings["home"])
    answer = None if argv is None else facts.ask(question(facts, FILTER, argv, at_once, draft.edits))
    facts.set_unfiltered(answer is not None and answer[0] == FAILED)
    if argv is None or answer is None:
        return UNKNOWN
    how, came = answer
    if how == FAILED:
        _failed(facts, argv, came, fallback)
        return "failed"
    draft.become(came)
    return f"{came.size} bytes"


def _is_unfiltered(facts: Facts, _argument: Any) -> tuple[bool, ...]:
    """Whether the filter above failed."""
    return (True,) * facts.unfiltered


# What the rules go by where a block stands behind `or else`: before a pipe, and behind a filter.
INNER = (
    Field("piped", FACT, _has_failed, "a pipe failed", "", argument=FORMED, forms=(COMMAND,)),
    Field("unfiltered", FACT, _is_unfiltered, "a filter failed", ""),
)

WORDS = (
    Field(
        "run",
        FACT,
        _succeeds,
        "a program that gets the message ends with 0",
        'run "grep -q {from}" succeeds',
        argument=FORMED,
        forms=("COMMAND at most NUMBER at once succeeds", "COMMAND succeeds"),
    ),
    Field(
        "output",
        TEXT,
        _output,
        "what a program that gets the message writes",
        'output of "wc -l" > 500',
        argument=FORMED,
        forms=("of COMMAND at most NUMBER at once", "of COMMAND"),
    ),
    Action(
        "pipe",
        ("pipe COMMAND at most NUMBER at once", "pipe COMMAND"),
        _pipe,
        "deliver the message to a program, and end",
        'pipe "~/bin/archive {subject}"',
        True,
    ),
    Action(
        FILTER,
        ("filter COMMAND at most NUMBER at once", "filter COMMAND"),
        _filter,
        "make what a program writes the message, and go on",
        'filter "spamc -x"',
    ),
    Action(
        "copy pipe",
        ("copy pipe COMMAND at most NUMBER at once", "copy pipe COMMAND"),
        _copy_pipe,
        "deliver the message to a program, and go on",
        'copy pipe "~/bin/count {from.domain}"',
    ),
)
