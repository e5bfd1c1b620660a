"""Where the comments of a file go in its tree.

Each comment goes to the smallest list, condition or block around it, while these are built from the inside out; one
that stands elsewhere inside a statement goes above that statement. None is lost.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from pydeliver.language.tree import Block, Comment, Node, Note, Span, Statement


class Comments:
    """The comments that have no place in the tree yet, in the file's order."""

    def __init__(self, found: Sequence[Comment]) -> None:
        self._waiting = list(found)

    def notes(self, items: tuple[Node, ...], span: Span) -> tuple[Note, ...]:
        """The comments within `span`, by the item they stand before."""
        comments = self._take(start(span), end(span))
        ends = [end(item.span) for item in items] if comments else []
        return tuple([Note(bisect_right(ends, start(comment.span)), comment) for comment in comments])

    def of_header(self, before: Block, block: Block) -> Block:
        """`block` of an `else`, with the comments that stand between the `}` before and its `{` put inside."""
        comments = tuple(self._take(end(before.span), start(block.span)))
        if not comments:
            return block
        if not block.statements:
            return replace(block, closing_comments=comments + block.closing_comments)
        first = replace(block.statements[0], comments=comments + block.statements[0].comments)
        return replace(block, statements=(first, *block.statements[1:]))

    def of_block(self, block: Block, bounded: bool) -> Block:
        """`block` with its comments; a file is not `bounded` by braces and takes all that are left."""
        if not self._waiting:
            return block
        comments = self._take(start(block.span), end(block.span)) if bounded else self._waiting
        opening = None
        if bounded and comments and not comments[0].own_line and comments[0].span.line == block.span.line:
            first = block.statements[0].span if block.statements else None
            if first is None or start(comments[0].span) < start(first):
                opening = comments.pop(0)
        statements, closing = _attached(list(block.statements), comments)
        return Block(block.span, statements, closing, opening)

    def _take(self, low: tuple[int, int], high: tuple[int, int]) -> list[Comment]:
        """Take the comments between two places out of those that wait."""
        if not self._waiting:
            return []
        first, last = [bisect_left(self._waiting, place, key=lambda one: start(one.span)) for place in (low, high)]
        taken = self._waiting[first:last]
        del self._waiting[first:last]
        return taken


def start(span: Span) -> tuple[int, int]:
    return span.line, span.column


def end(span: Span) -> tuple[int, int]:
    return span.end_line, span.end_column


def _attached(
    statements: list[Statement], comments: list[Comment]
) -> tuple[tuple[Statement, ...], tuple[Comment, ...]]:
    """The statements with the comments that stand above and behind each, and the comments behind the last."""
    waiting = 0
    for index, statement in enumerate(statements):
        if waiting == len(comments):
            break
        first, span = waiting, statement.span
        while waiting < len(comments) and start(comments[waiting].span) < end(span):
            waiting += 1
        above, trailing = tuple(comments[first:waiting]), None
        if waiting < len(comments) and not comments[waiting].own_line:
            comment = comments[waiting]
            last = index + 1 == len(statements) or start(comment.span) < start(statements[index + 1].span)
            if last and comment.span.line == span.end_line:
                trailing, waiting = comment, waiting + 1
        if above or trailing:
            statements[index] = replace(statement, comments=above, trailing=trailing)
    return tuple(statements), tuple(comments[waiting:])
