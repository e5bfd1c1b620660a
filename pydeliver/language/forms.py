"""How words are arranged: `file MAILBOXES`, `set header NAME = TEXT`, held against those that somebody wrote.

In a form a word in lower case stands for itself, one in capitals for a value; FIELD and COMMAND for several in a row.
"""

from __future__ import annotations

from pydeliver.language import tree
from pydeliver.vocabulary.word import COMMAND

LONG = ("FIELD", COMMAND)


def operands_of(form: str, words: tuple[tree.Value, ...], command: tree.Command) -> list[tree.Value] | None:
    """The values of a command in the places of a form's capitals, or None if it is not written so."""
    before, _, behind = form.partition(" = ")
    if bool(behind) != (command.value is not None) or command.rest:
        return None
    if command.otherwise is not None and COMMAND not in form:
        return None
    found = fitted(before.split(), words)
    if found is None:
        return None
    operands = [values[0] if len(values) == 1 else tree.Phrase(tree.over(values), values) for _, values in found]
    if command.value is not None:
        operands.append(command.value)
    return operands


def fitted(form: list[str], words: tuple[tree.Value, ...]) -> list[tuple[str, tuple[tree.Value, ...]]] | None:
    """The values in the places of a form's capitals, with these, or None if it is not written so."""
    found: list[tuple[str, tuple[tree.Value, ...]]] = []
    at = 0
    for number, said in enumerate(form):
        if not said.isupper():  # a word, or a sign, which no value is
            if at == len(words) or word_of(words[at]) != said:
                return None
            at += 1
            continue
        end = at + 1
        if said in LONG:
            stop = form[number + 1] if number + 1 < len(form) else None
            while end < len(words) and word_of(words[end]) != stop:
                end += 1
        if end > len(words):
            return None
        found.append((said, words[at:end]))
        at = end
    return found if at == len(words) else None


def word_of(value: tree.Value) -> str:
    """The word that a value is, or ""."""
    return value.dotted if isinstance(value, tree.Name) else ""


def flat(parts: tuple[tree.Value, ...]) -> tuple[tree.Value, ...]:
    """Parts with phrases among them written out."""
    return tuple([one for part in parts for one in (part.parts if isinstance(part, tree.Phrase) else (part,))])


def slots(form: str) -> list[str]:
    """The capitals of a form, in order."""
    return [word for word in form.split() if word.isupper()]


def fixed(form: str) -> str:
    """The words of a form that stand for themselves."""
    return " ".join([word for word in form.split() if word.islower()])
