"""A score that rules add to: many weak signs, weighed together as procmailsc(5) does.

It begins at 0 for every message, and has the value that the statements above gave it.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import NUMBER, Action, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.vocabulary.word import Draft, Facts


def _score(facts: Facts, _argument: Any) -> tuple[float]:
    return (facts.score,)


def _add(draft: Draft, operands: tuple[Any, ...]) -> str:
    """`operands` are the amount, the most that all of it may come to, and how often, None if unknown."""
    amount, most, times = operands
    added = min(max(amount * (times or 0), -most), most)
    draft.facts.add(added)
    return f"{added:+g}, now {draft.facts.score:g}"


WORDS = (
    Field("score", NUMBER, _score, "what the rules above have added up", "score >= 5"),
    Action(
        "score +=",
        ("score +=",),
        _add,
        "add to the score, if something holds or for each place where a pattern or a text is found",
        'score += 3 if subject contains "winner"',
    ),
)
