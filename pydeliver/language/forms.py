"""How a statement is written: `file MAILBOXES`, `set header NAME = TEXT`, held against the words of a command.

In a form a word in lower case stands for itself, one in capitals for a value.
"""

from __future__ import annotations

from pydeliver.language import tree


def operands_of(form: str, words: tuple[tree.Value, ...], command: tree.Command) -> list[tree.Value] | None:
    """The values of a command in the places of a form's capitals, or None if it is not written so."""
    before, _, behind = form.partition(" = ")
    if bool(behind) != (command.value is not None) or command.rest:
        return None
    pattern = before.split()
    if len(pattern) != len(words):
        return None
    operands = []
    for said, word in zip(pattern, words, strict=True):
        if said.isupper():
            operands.append(word)
        elif not isinstance(word, tree.Name) or word.dotted != said:
            return None
    if command.value is not None:
        operands.append(command.value)
    return operands


def flat(parts: tuple[tree.Value, ...]) -> tuple[tree.Value, ...]:
    """Parts with phrases among them written out."""
    return tuple([one for part in parts for one in (part.parts if isinstance(part, tree.Phrase) else (part,))])


def slots(form: str) -> list[str]:
    """The capitals of a form, in order."""
    return [word for word in form.split() if word.isupper()]


def fixed(form: str) -> str:
    """The words of a form that stand for themselves."""
    return " ".join([word for word in form.split() if word.islower()])
