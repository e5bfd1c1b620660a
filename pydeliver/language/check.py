"""Doubts about a plan that is otherwise whole: rules that an earlier one leaves nothing to do.

A rule is shadowed when an earlier one ends the evaluation for every message that it could match, and that can be
proven from what both say about the same field. Only what is certain is told: an open question or a value that is
known only while judging proves nothing.
"""

from __future__ import annotations

from pydeliver import vocabulary
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.word import TEXTUAL, Action, Field, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.plan import Node

MAX_PAIRS = 200_000  # rules are compared in pairs: beyond this many, the rest is not


def shadowed(statements: tuple[Node, ...]) -> list[tuple[Node, Node]]:
    """(later `if`, earlier `if`) pairs at one level: the later can't be reached by a message it would match."""
    words = vocabulary.catalogue()
    found: list[tuple[Node, Node]] = []
    ending: list[tuple[Node, Node]] = []  # (condition, statement) of those that end the evaluation
    pairs = 0
    for statement in statements:
        if statement[0] != "if":
            continue
        pairs += len(ending)
        if pairs > MAX_PAIRS:
            break
        if len(statement[1]) == 1 and statement[2] is None:  # else a later branch is left
            condition = statement[1][0][0]
            earlier = next((before for other, before in ending if implies(condition, other)), None)
            if earlier is not None:
                found.append((statement, earlier))
        for branch, block in statement[1]:
            if not ends(block, words):
                break  # a message of this branch goes on, so later branches prove nothing about it
            ending.append((branch, statement))
    return found


def ends(block: tuple[Node, ...], words: dict[str, tuple[str, Word]]) -> bool:
    """Whether a block surely ends the evaluation."""
    for node in block:
        if node[0] == "do":
            action = words[node[2]][1]
            if isinstance(action, Action) and action.final:
                return True
        elif node[2] is not None and ends(node[2], words) and all([ends(inner, words) for _, inner in node[1]]):
            return True
    return False


def implies(one: Node, other: Node) -> bool:
    """Whether `one` being true surely makes `other` true."""
    if one == other and one[0] == "test" and not _open(one):
        return True
    if one[0] == "or":
        return bool(one[1]) and all([implies(each, other) for each in one[1]])
    if other[0] == "and":
        return all([implies(one, each) for each in other[1]])
    if one[0] == "and" and any([implies(each, other) for each in one[1]]):
        return True
    if other[0] == "or":
        return any([implies(one, each) for each in other[1]])
    if one[0] == "not" and other[0] == "not":
        return implies(other[1], one[1])
    return one[0] == "test" and other[0] == "test" and _test_implies(one, other)


def _open(test: Node) -> bool:
    """Whether a test asks for something that may stay unknown, or for the score, which other rules change."""
    return test[1][0] == "scores" or any([operand[0] in ("list", "template", "field") for operand in test[4]])


def _test_implies(one: Node, other: Node) -> bool:
    if one[1] != other[1] or _open(one) or _open(other):
        return False
    if other[2] == op.EXISTS:
        return True  # whatever holds of a field, the field is there
    word = vocabulary.family(one[1][0])[one[1][1]]
    assert isinstance(word, Field)
    if other[3] and not one[3]:
        return False  # with case implies without it, not the other way round
    if word.kind not in TEXTUAL or one[2] in op.ORDERS or other[2] in op.ORDERS:
        return _amount_implies(one, other)
    if (one[2] in op.WHOLE) != (other[2] in op.WHOLE) and word.kind != "text":
        return False  # these look at different parts of an address
    return bool(one[4]) and all([_literal_implies(one[2], operand, other) for operand in one[4]])


def _literal_implies(operator: str, operand: Node, other: Node) -> bool:
    """Whether a value that stands to this one operand as `operator` says surely matches the other test."""
    if operator in (op.MATCHES, op.LIKE):
        return other[2] == operator and operand in other[4]
    if operand[0] != "text":
        return operand in other[4] and operator == other[2]
    text = operand[2] if other[3] else operand[1]
    wanted = [each[2] if other[3] else each[1] for each in other[4] if each[0] == "text"]
    if other[2] in (op.IS, op.IN):
        return operator in (op.IS, op.IN) and text in wanted
    if other[2] == op.CONTAINS:
        return any([piece in text for piece in wanted])
    if other[2] == op.STARTS:
        return operator in (op.IS, op.IN, op.STARTS) and text.startswith(tuple(wanted))
    if other[2] == op.ENDS:
        return operator in (op.IS, op.IN, op.ENDS) and text.endswith(tuple(wanted))
    return False


def _amount_implies(one: Node, other: Node) -> bool:
    """Whether every value that fits `one` fits one span of `other`."""
    if any(
        [operand[0] not in ("number", "range") or isinstance(operand[1], tuple) for operand in (*one[4], *other[4])]
    ):
        return False
    spans = [op.span(other[2], operand) for operand in other[4]]
    return bool(one[4]) and all(
        [any([_within(op.span(one[2], operand), span) for span in spans]) for operand in one[4]]
    )


def _within(
    inner: tuple[float, float, float | None, float | None], outer: tuple[float, float, float | None, float | None]
) -> bool:
    if inner[0] < outer[0] or inner[1] > outer[1]:
        return False
    left_out = [value for value in outer[2:] if value is not None]
    return all([not inner[0] <= value <= inner[1] or value in inner[2:] for value in left_out])
