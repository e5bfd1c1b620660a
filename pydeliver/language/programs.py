"""`pipe` and `copy pipe` as nodes of the plan: the action, behind a test where the rule says what holds if it fails.

Whoever carries a verdict out finds out that a pipe fails; the message is then judged anew, and the test is true.
"""

from __future__ import annotations

from pydeliver.language import tree
from pydeliver.language.commands import command as command_of
from pydeliver.language.reference import whole_number
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.word import COMMAND, Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.language.compile import Block, Compiler
    from pydeliver.language.scope import Place
    from pydeliver.plan import Node


def compiled(
    family: str, action: Action, values: dict[str, tree.Value], command: tree.Command, place: Place, compiler: Compiler
) -> Block:
    """The nodes of a pipe, and whether it surely ends the evaluation; none where it has a mistake, which is told."""
    program, number, otherwise = values[COMMAND], values.get("NUMBER"), command.otherwise
    parts = program.parts if isinstance(program, tree.Phrase) else (program,)
    words = command_of(parts, place, compiler.catalogue, compiler.report)
    at_once = 0 if number is None else whole_number(number, place, compiler.report)
    line, file = command.span.line, place.source.number
    shown = place.source.written(tree.over(command.words))
    kept: Node = ("do", "filing", "keep", (), place.rule, line, file, "or else keep")
    fallback: tuple[Node, ...] = (kept,)
    if isinstance(otherwise, tree.Block):
        fallback, ends = compiler.block(otherwise, place.inner())
        fallback += (kept,) * (action.final and not ends)
    elif otherwise is not None and otherwise.dotted not in ("defer", "keep"):
        said = "behind the `or else` of an action stands `defer`, `keep` or a block in braces"
        compiler.report.error(place, otherwise.span, "bad-fallback", said)
        return (), action.final
    if words is None or at_once is None:
        return (), action.final
    defers = not isinstance(otherwise, tree.Block) and (otherwise is None or otherwise.dotted == "defer")
    operands = (("command", words), ("number", at_once), ("defers", defers))
    made: Node = ("do", family, action.name, operands, place.rule, line, file, shown)
    if defers:
        return (made,), action.final
    failed = ("test", (family, "piped", ((COMMAND, words),)), op.EXISTS, False, (), line, file, f"{shown} fails", False)
    return (("if", ((failed, fallback),), (made,), place.rule, line, file),), action.final
