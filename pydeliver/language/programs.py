"""`pipe`, `copy pipe` and `filter` as nodes of the plan: the action, and a test where a block holds if it fails.

Whoever carries a verdict out finds out that a pipe fails; the message is then judged anew, and the test before it is
true. What came of a filter is known at once, and tested behind it.
"""

from __future__ import annotations

from pydeliver.language import tree
from pydeliver.language.commands import command as command_of
from pydeliver.language.reference import whole_number
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.programs import FILTER
from pydeliver.vocabulary.word import COMMAND, FALLBACKS, Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.language.compile import Block, Compiler
    from pydeliver.language.scope import Place
    from pydeliver.plan import Node


def compiled(
    family: str, action: Action, values: dict[str, tree.Value], command: tree.Command, place: Place, compiler: Compiler
) -> Block:
    """The nodes of such an action, and whether it surely ends; none where it has a mistake, which is told."""
    program, number, otherwise = values[COMMAND], values.get("NUMBER"), command.otherwise
    parts = program.parts if isinstance(program, tree.Phrase) else (program,)
    words = command_of(parts, place, compiler.catalogue, compiler.report)
    at_once = 0 if number is None else whole_number(number, place, compiler.report)
    line, file = command.span.line, place.source.number
    shown = place.source.written(tree.over(command.words))
    kept: Node = ("do", "filing", "keep", (), place.rule, line, file, "or else keep")
    fallback: tuple[Node, ...] = (kept,)
    known = FALLBACKS if action.name == FILTER else ("defer", "keep")
    if isinstance(otherwise, tree.Block):
        fallback, ends = compiler.block(otherwise, place.inner())
        fallback += (kept,) * (action.final and not ends)
    elif otherwise is not None and otherwise.dotted not in known:
        said = f"behind the `or else` of `{action.name}` stands `{'`, `'.join(known)}` or a block in braces"
        compiler.report.error(place, otherwise.span, "bad-fallback", said)
        return (), action.final
    if words is None or at_once is None:
        return (), action.final
    word = "no" if isinstance(otherwise, tree.Block) else "defer" if otherwise is None else otherwise.dotted
    operands = (("command", words), ("number", at_once), ("word", word))
    made: Node = ("do", family, action.name, operands, place.rule, line, file, shown)
    if word == "defer" or (action.name == FILTER and not isinstance(otherwise, tree.Block)):
        return (made,), action.final
    asked = (family, "unfiltered", "") if action.name == FILTER else (family, "piped", ((COMMAND, words),))
    failed = ("test", asked, op.EXISTS, False, (), line, file, f"{shown} fails", False)
    branch = ((failed, fallback),)
    if action.name == FILTER:
        return (made, ("if", branch, None, place.rule, line, file)), action.final
    return (("if", branch, (made,), place.rule, line, file),), action.final
