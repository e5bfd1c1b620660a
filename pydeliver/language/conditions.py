"""Conditions of the tree as nodes of the plan, with what they capture."""

from __future__ import annotations

from dataclasses import replace

from pydeliver.language import tree
from pydeliver.language.operands import Side, Values
from pydeliver.language.reference import Reference, reference
from pydeliver.language.scope import Catalogue, Place, Report, check_fallback, falling_back
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.word import FACT, TEXTUAL, THING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.plan import Node


class Conditions:
    """Compiles conditions; every mistake goes to the report, and gives a condition that is never true."""

    def __init__(self, catalogue: Catalogue, report: Report, values: Values) -> None:
        self.catalogue = catalogue
        self.report = report
        self.values = values

    def compiled(self, condition: tree.Condition, place: Place) -> tuple[Node, frozenset[str]]:
        """The node of a condition, and the captures that stand when it is true."""
        if not self.values.spend(condition.span, place):
            return ("or", ()), frozenset()
        if isinstance(condition, tree.Or | tree.And):
            both = isinstance(condition, tree.And)
            nodes, captures = [], frozenset[str]()
            for each in condition.conditions:
                # Behind `and` stands what was captured before it; of the sides of an `or` only one may have matched.
                node, names = self.compiled(each, replace(place, captures=place.captures | captures) if both else place)
                nodes.append(node)
                captures |= names
            return ("and" if both else "or", tuple(nodes)), captures
        if isinstance(condition, tree.Not):
            node, _ = self.compiled(condition.condition, place)
            return ("not", node), frozenset()
        if isinstance(condition, tree.Question):
            return self._question(condition, place)
        if isinstance(condition, tree.Search):
            return self._search(condition, place)
        return self._comparison(condition, place)

    def _question(self, question: tree.Question, place: Place) -> tuple[Node, frozenset[str]]:
        phrase = question.phrase
        nothing: tuple[Node, frozenset[str]] = (("or", ()), frozenset())
        if isinstance(phrase, tree.Name) and phrase.dotted in place.lets:
            binding = place.lets[phrase.dotted]
            binding.used = True
            check_fallback(question.otherwise, falling_back(question.otherwise, place, self.report), self.report)
            if isinstance(binding.value, tree.Condition):
                return self.compiled(binding.value, binding.place)
            if isinstance(binding.value, tree.Broken):
                return nothing
            self.report.error(
                place,
                phrase.span,
                "not-a-condition",
                f"`{phrase.dotted}` is a value; a condition is given by `let {phrase.dotted} = condition …`",
            )
            return nothing
        place = falling_back(question.otherwise, place, self.report)
        found = reference(phrase, place, self.catalogue, self.report)
        if found is None:
            return nothing
        check_fallback(question.otherwise, place, self.report)
        word = found.field
        if word.kind == FACT:
            shown = place.source.written(phrase.span)
            where = (phrase.span.line, place.source.number, shown, False)
            return ("test", found.node, op.EXISTS, False, (), *where), frozenset()
        more = f"`{word.name} exists`, or compare it, as in `{word.example}`"
        said = f"`{word.name}` alone is no condition: write {f'`{word.example}`' if word.kind == THING else more}"
        self.report.error(place, phrase.span, "not-a-condition", said)
        return nothing

    def _search(self, search: tree.Search, place: Place) -> tuple[Node, frozenset[str]]:
        found = self.catalogue.field(search.name.dotted)
        if found is None or found[1].parts is None:
            said = f"`any` goes through {' or '.join(self.catalogue.many())}, not `{search.name.dotted}`"
            self.report.error(place, search.name.span, "not-many", said)
            return ("or", ()), frozenset()
        node, captures = self.compiled(search.condition, replace(place, within=search.name.dotted))
        return ("any", (found[0], search.name.dotted), node), captures

    def _comparison(self, comparison: tree.Comparison, place: Place) -> tuple[Node, frozenset[str]]:
        nothing: tuple[Node, frozenset[str]] = (("or", ()), frozenset())
        place = falling_back(comparison.otherwise, place, self.report)
        on = reference(comparison.subject, place, self.catalogue, self.report)
        if on is None:
            return nothing
        if on.field.kind == FACT:
            alone = f"`{on.field.name}` is a condition by itself: write `{on.field.name}` or `not {on.field.name}`"
            self.report.error(place, comparison.operator_span, "stands-alone", alone)
            return nothing
        self._operator(comparison, on, place)
        if on.field.kind == THING and comparison.operator != op.EXISTS:
            return nothing  # which has been told
        side = Side(on, comparison.operator, comparison.negated)
        operands = () if comparison.operand is None else tuple(self.values.operands(comparison.operand, side, place))
        if comparison.operator != op.EXISTS and not operands:
            return nothing
        check_fallback(comparison.otherwise, place, self.report)
        shown = place.source.written(comparison.span)
        test = (
            "test",
            on.node,
            comparison.operator,
            comparison.exactly,
            _merged(operands),
            comparison.span.line,
            place.source.number,
            shown,
            comparison.negated,
        )
        captures = frozenset([name for operand in operands if operand[0] == "pattern" for name in operand[2]])  # type: ignore[attr-defined]
        return (("not", test), frozenset()) if comparison.negated else (test, captures)

    def _operator(self, comparison: tree.Comparison, on: Reference, place: Place) -> None:
        operators = op.OPERATORS[on.field.kind]
        operator = comparison.operator
        if operator not in operators:
            self.report.error(
                place,
                comparison.operator_span,
                "wrong-operator",
                f"`{on.field.name}` can't be asked with `{operator}`; it takes {', '.join(operators)}",
            )
        if comparison.exactly and (operator in (*op.ORDERS, op.EXISTS) or on.field.kind not in TEXTUAL):
            self.report.error(
                place, comparison.operator_span, "wrong-operator", f"`exactly` says nothing beside `{operator}`"
            )
        if comparison.negated and on.field.many and operator != op.EXISTS:
            self.report.warning(
                place,
                comparison.operator_span,
                "not-with-many",
                f"`{on.field.name}` can have many values: this is true only when none of them matches",
            )


def _merged(operands: tuple[Node, ...]) -> tuple[Node, ...]:
    """Operands without doubles, in order."""
    return tuple(dict.fromkeys(operands))
