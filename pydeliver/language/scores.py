"""`score += …` as nodes of the plan: an action, alone, in an `if`, or with a test that counts."""

from __future__ import annotations

from pydeliver.language import tree
from pydeliver.vocabulary import operator as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.language.conditions import Conditions
    from pydeliver.language.scope import Place, Report
    from pydeliver.plan import Node

FAMILY, ACTION = "scores", "score +="
EXAMPLE = 'score += 0.5 at most 5 per body contains "$$$"'


def compiled(statement: tree.Score, place: Place, conditions: Conditions, report: Report) -> tuple[Node, ...]:
    """The nodes of the statement; none where it has a mistake, which is told."""
    if statement.name.dotted != "score":
        said = f"only the score can be added to: `{EXAMPLE}`"
        report.error(place, statement.name.span, "wrong-form", said)
        return ()
    most = _most(statement, place, report)
    if most is None:
        return ()
    condition = None
    times: Node = ("number", 1)
    if statement.condition is not None:
        condition, _ = conditions.compiled(statement.condition, place)
    if statement.per:
        counts = condition is not None and condition[0] == "test" and condition[2] in (op.MATCHES, op.CONTAINS)
        if not counts:
            assert statement.condition is not None
            said = "behind `per` stands what is counted, by `matches` or `contains`"
            report.error(place, statement.condition.span, "wrong-form", said)
            return ()
        times, condition = ("count", condition), None
    line, file = statement.span.line, place.source.number
    shown = place.source.written(statement.span)
    operands = (("number", statement.amount.value), ("number", most), times)
    added = ("do", FAMILY, ACTION, operands, place.rule, line, file, shown)
    if condition is None:
        return (added,)
    return (("if", ((condition, (added,)),), None, place.rule, line, file),)


def _most(statement: tree.Score, place: Place, report: Report) -> float | None:
    """The number behind `at most`, infinity where there is none, None with the mistake told."""
    if not statement.limit:
        return float("inf")
    words = [part.dotted for part in statement.limit if isinstance(part, tree.Name)]
    number = statement.limit[-1]
    if words == ["at", "most"] and isinstance(number, tree.Number) and number.value > 0:
        return number.value
    report.error(place, statement.limit[0].span, "wrong-form", f"a limit is written `{EXAMPLE}`")
    return None
