"""Rule files made by chance from the words of the language, each without a mistake, many of whose rules apply."""

from __future__ import annotations

from random import Random
from typing import Final

from pydeliver.language.load import compile_rules
from pydeliver.vocabulary import catalogue
from pydeliver.vocabulary.word import NOTHING, TEXTUAL, Action, Field
from tests.rules import PATH, Library

LETTERS: Final = "aeinorst"
MAILBOXES: Final = ("Work", "lists/{list-id}", "from/{from.domain}", "{slug(subject)}", "mbox:~/box")
VALUES: Final = ("{subject}", "{from.name}", "{count to} of {size}", "{1}{word}", "{message-id}")
WORDS: Final = [word for _, (_, word) in sorted(catalogue().items())]
# Left out: what changes from one delivery to the next, and programs, which a rehearsal does not run.
OTHERS: Final = ("now", "env", "arg", "run", "output", "pipe", "copy pipe", "filter", "notify")
FIELDS: Final = [word for word in WORDS if isinstance(word, Field) and not word.name.startswith(OTHERS)]
ACTIONS: Final = [word for word in WORDS if isinstance(word, Action) and not word.final and word.name not in OTHERS]
ENDINGS: Final = [word for word in WORDS if isinstance(word, Action) and word.final and word.name not in OTHERS]


def rule_file(chance: Random) -> str:
    """A rule file; a draw with a mistake in it (a field may not show what is asked for) is drawn again."""
    while True:
        text = 'set mailboxes = "~/Mail"\n' + "".join([_statement(chance) for _ in range(chance.randrange(3, 12))])
        if compile_rules(PATH, text.encode(), Library({})).ok:
            return text


def _statement(chance: Random) -> str:
    actions = [_action(chance) for _ in range(chance.randrange(3))]
    if chance.random() < 0.4:
        actions.append(_ending(chance))
    return f"if {_condition(chance)} {{ {'; '.join(actions)} }}\n"


def _condition(chance: Random) -> str:
    draw = chance.random()
    if draw < 0.15:
        return f"not ({_condition(chance)})"
    if draw < 0.3:
        return f"({_condition(chance)} {chance.choice(('and', 'or'))} {_condition(chance)})"
    field, letter = chance.choice(FIELDS), chance.choice(LETTERS)
    if field.kind not in TEXTUAL or field.argument != NOTHING or draw < 0.4:
        return field.example
    asked = ("exists", f'contains "{letter}"', f'like "*{letter}*"', f"matches /{letter}(?<word>\\w*)/")
    return f"{field.name} {chance.choice(asked)}"


def _action(chance: Random) -> str:
    value = chance.choice(VALUES)
    drawn = (f'set header "X-Drawn" = "{value}"', f'copy file "{chance.choice(MAILBOXES)}"', f'log "{value}"')
    return chance.choice((*drawn, *[word.example for word in ACTIONS]))


def _ending(chance: Random) -> str:
    boxes = ", ".join([f'"{box}"' for box in chance.sample(MAILBOXES, chance.randrange(1, 3))])
    return chance.choice((f"file {boxes}", *[word.example for word in ENDINGS]))
