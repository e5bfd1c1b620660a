"""Where a message goes: file, copy file, keep, discard, reject, defer; and whether a mailbox is there.

The first that delivers wins; `copy file` delivers and goes on. A mailbox name takes its structure from literal text
only: a value from a message is at most one component and is cleaned here, or sends the message to the default mailbox.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import OF_MAILBOX, THING, Action, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft, Facts

    # A mailbox name in pieces: (text, whether it is a value rather than written in the rule).
    Pieces = tuple[tuple[str, bool], ...]

INBOX = "INBOX"
# Of 255 bytes a folder's name may have on disk (NAME_MAX), what a value may use: the rest is for what stands around it.
VALUE_BYTES = 160
VALUE_CHARACTERS = 1000  # of a value that are looked at: normalising long runs of marks is quadratic
SHOWN = 80  # characters of a value in a note
_RESERVED = ("cur", "new", "tmp", "inbox")
_FORMATS = ("mbox:", "mh:")  # what makes a path of a name, where a rule says so


def clean(value: str, dots: bool) -> str:
    """A value as one component of a mailbox name, "" when nothing usable is left of it.

    Lower case, NFC, without control, format and bidi characters; `/` and (where `dots` are not allowed) `.` become
    `_`, leading `.~-_` and spaces go, `..` too, and so does a tail that would not fit a file name.
    """
    text = value[:VALUE_CHARACTERS].lower()
    if text.isascii():
        text = "".join([c for c in text if " " <= c <= "~"])
    else:
        import unicodedata

        text = "".join([c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")])
        text = unicodedata.normalize("NFC", text)
    text = text.replace("/", "_").replace("\\", "_")
    text = text.replace(".", "_") if not dots else text.replace("..", "_")
    text = _fitting(" ".join(text.split()).lstrip("._~- ")).rstrip(". ")
    return "" if text in _RESERVED else text


def _fitting(text: str) -> str:
    """The beginning of `text` that stays below the limit in UTF-8 and in modified UTF-7 alike."""
    used = 0
    for at, character in enumerate(text):
        # Modified UTF-7 spends 8 bytes on 3 UTF-16 units, and two on entering and leaving (RFC 3501 5.1.3).
        used += 1 if character.isascii() and character != "&" else 5 if character <= "\uffff" else 8
        if used > VALUE_BYTES:
            return text[:at]
    return text


def mailbox_name(pieces: Pieces, dots: bool) -> str:
    """The name that the pieces make, "" when a value left nothing usable.

    A value that would make a format of how the name begins (`mbox:` and then `/x`) loses the colon.
    """
    made = []
    for text, from_value in pieces:
        cleaned = clean(text, dots) if from_value else text
        if from_value and not cleaned:
            return ""
        made.append(cleaned)
    name = "".join(made)
    if name.startswith(_FORMATS) and (pieces[0][1] or not made[0].startswith(_FORMATS)):
        return name.replace(":", "_", 1)
    return name


def _file(draft: Draft, operands: tuple[Any, ...], final: bool = True) -> None:
    dots = draft.facts.settings["layout"] != "maildir++"
    for pieces in operands[0]:
        name = mailbox_name(pieces, dots)
        problem = "" if name else "a value leaves no name"
        if name and any([value for _, value in pieces]):
            # The values fit; what they make together may not, or is more than may be made.
            problem = draft.facts.ask(("mailbox", name)) or ""
        if problem:
            shown = "".join(["{" + text[:SHOWN] + "}" if value else text for text, value in pieces])
            draft.notes.append(f'"{shown}": {problem}: the default mailbox instead')
        draft.deliver(INBOX if problem or name.lower() == "inbox" else name, final)


def _copy(draft: Draft, operands: tuple[Any, ...]) -> None:
    _file(draft, operands, final=False)


def _keep(draft: Draft, _operands: tuple[Any, ...]) -> None:
    draft.deliver(INBOX, final=True)


def _discard(draft: Draft, _operands: tuple[Any, ...]) -> None:
    draft.end("discard")


def _discard_for_good(draft: Draft, _operands: tuple[Any, ...]) -> None:
    draft.end("discard")
    draft.for_good = True


def _reject(draft: Draft, operands: tuple[Any, ...]) -> None:
    draft.end("reject", operands[0])


def _defer(draft: Draft, operands: tuple[Any, ...]) -> None:
    draft.end("defer", operands[0])


def _mailbox(facts: Facts, name: str) -> tuple[bool, ...] | None:
    there = facts.ask(("mailbox-exists", name))
    return None if there is None else (True,) * bool(there)


WORDS = (
    Field(
        "mailbox",
        THING,
        _mailbox,
        "whether a mailbox is there already",
        'mailbox "Work" exists',
        argument=OF_MAILBOX,
    ),
    Action(
        "file",
        ("file MAILBOXES",),
        _file,
        "put the message into a mailbox, or several, and end",
        'file "Work/Boss"',
        True,
    ),
    Action(
        "copy", ("copy file MAILBOXES",), _copy, "put a copy into a mailbox and go on", 'copy file "Archive/{now.year}"'
    ),
    Action("keep", ("keep",), _keep, "put the message into the default mailbox and end", "keep", True),
    Action(
        "discard",
        ("discard",),
        _discard,
        "keep the message out of the mailboxes and end; for some days `pydeliver quarantine` can bring it back",
        "discard",
        True,
    ),
    Action(
        "discard for good",
        ("discard for good",),
        _discard_for_good,
        "drop the message and end; nothing of it is kept",
        "discard for good",
        True,
    ),
    Action(
        "reject",
        ("reject TEXT",),
        _reject,
        "refuse the message: the sender is told why",
        'reject "no such project here"',
        True,
    ),
    Action("defer", ("defer TEXT",), _defer, "ask the mail server to try again later", 'defer "back on Monday"', True),
)
