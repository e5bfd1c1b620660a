"""What a message looks like from here on: marks, labels, header edits, and lines for the log.

They change later deliveries only; conditions go on looking at the message as received. Header edits are made by
`mail.edit`, which leaves every other byte as it is.
"""

from __future__ import annotations

from pydeliver.mail.edit import Edit
from pydeliver.vocabulary.word import FLAGS, Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft

LETTERS = {name: letter for letter, name in FLAGS.items()}


def _mark(draft: Draft, operands: tuple[Any, ...]) -> None:
    letters = set(draft.flags).union([LETTERS[name] for name in operands[0]])
    draft.flags = "".join(sorted(letters))


def _label(draft: Draft, operands: tuple[Any, ...]) -> None:
    for text in operands[0]:
        label = "-".join(text.split())  # a keyword is one atom (RFC 9051 2.3.2)
        if label and label not in draft.labels:
            draft.labels = (*draft.labels, label)


def _edit(action: str) -> Any:
    def decide(draft: Draft, operands: tuple[Any, ...]) -> None:
        draft.edits = (*draft.edits, Edit(action, operands[0], operands[1] if len(operands) > 1 else ""))

    return decide


def _prefix(draft: Draft, operands: tuple[Any, ...]) -> None:
    draft.edits = (*draft.edits, Edit("prefix-subject", "Subject", operands[0]))


def _log(draft: Draft, operands: tuple[Any, ...]) -> None:
    draft.log.append(operands[0])


WORDS = (
    Action(
        "mark",
        ("mark FLAGS",),
        _mark,
        "set flags that a mail reader shows",
        "mark seen, flagged",
        choices=tuple(LETTERS),
    ),
    Action("label", ("label LABELS",), _label, "set keywords that a mail reader shows", 'label "todo"'),
    Action(
        "set header",
        ("set header NAME = TEXT",),
        _edit("set"),
        "give a header field a value, in place of those it has",
        'set header "X-Large" = "yes"',
    ),
    Action(
        "add header",
        ("add header NAME = TEXT",),
        _edit("add"),
        "add a header field above the others",
        'add header "X-Seen-By" = "pydeliver"',
    ),
    Action(
        "remove header",
        ("remove header NAME",),
        _edit("remove"),
        "remove every occurrence of a header field",
        'remove header "X-Priority"',
    ),
    Action(
        "prefix subject",
        ("prefix subject TEXT",),
        _prefix,
        "put a text before the subject, once",
        'prefix subject "[list] "',
    ),
    Action("log", ("log TEXT",), _log, "write a line into the delivery log", 'log "from {from.domain}"'),
)
