"""From tree to text, in the one form that `pydeliver fmt` gives a rule file.

Owns how rules look; what they mean is kept, `parse(print_rules(tree)) == tree`, and no comment is lost. Refuses trees
with `Broken` in them: a file with mistakes is mended by its author, not by its printer. The form:

- Indentation is four spaces; words are one space apart, and a comment two behind what it follows.
- One statement a line. Of the empty lines between statements one is kept; none begins or ends a block.
- A block that was written on one line, `{ mark seen; file "Work" }`, stays so while its whole statement fits. Else
  its statements stand on lines of their own, and with them those of the other blocks of its `if … else …`.
- What does not fit is opened from the outside in: a condition before each `and` or `or`, a list behind each comma (with
  one behind the last where brackets allow it), an action before words like `every`. A `{` behind a head that takes
  several lines stands on a line of its own. A text is never broken.
- A list or condition that holds a comment is opened.
- Texts, patterns and units stay as they were spelt; parentheses are those that the meaning needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydeliver.language import tree
from pydeliver.language.layout import CONTINUING_WORDS
from pydeliver.language.text import escaped

COLUMNS = 100  # a trailing comment does not count
INDENTATION = 4


def print_rules(block: tree.Block) -> str:
    """The canonical text of a whole file's tree."""
    lines = _lines(block)[1:]
    return _arranged(lines) + "\n" if lines else ""


# -- pieces: text that knows where its lines may end --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Break:
    """The line ends here, after an empty one if `blank`; while its group is on one line `flat` stands here instead.

    A `hard` one opens every group around it.
    """

    flat: str
    blank: bool = False
    hard: bool = False


@dataclass(frozen=True, slots=True)
class _Behind:
    """A comment at the end of the line at hand, whatever else still comes on it; opens every group around it."""

    text: str


@dataclass(frozen=True, slots=True)
class _Comma:
    """A comma that stands only in a group that is opened."""


class _Nest:
    """Pieces whose lines are indented one step more."""

    __slots__ = ("opened", "pieces")

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self.pieces = pieces
        self.opened = any(map(_opens, pieces))


class _Group(_Nest):
    """Pieces whose own breaks end lines all together, or none of them: an inner group decides for itself."""

    __slots__ = ()


_Piece = str | _Break | _Behind | _Comma | _Nest


def _opens(piece: _Piece) -> bool:
    match piece:
        case _Nest():
            return piece.opened
        case _Break():
            return piece.hard
    return isinstance(piece, _Behind)


def _arranged(pieces: Sequence[_Piece], flat: bool = False) -> str:
    """The text of `pieces`; groups stay on one line where they fit (all do if `flat`)."""
    done: list[str] = []
    column, behind = 0, ""
    waiting = [(0, flat, piece) for piece in reversed(pieces)]
    while waiting:
        indent, flat, piece = waiting.pop()
        match piece:
            case str():
                done.append(piece)
                column = len(piece) - piece.rfind("\n") - 1 if "\n" in piece else column + len(piece)
            case _Break() if flat:
                done.append(piece.flat)
                column += len(piece.flat)
            case _Break():
                done.append(behind + ("\n\n" if piece.blank else "\n") + " " * indent)
                column, behind = indent, ""
            case _Behind():
                behind = "  " + piece.text
            case _Comma():
                done.append("" if flat else ",")
            case _Group():
                flat = flat or (not piece.opened and _fits(column, piece, waiting))
                waiting += [(indent, flat, inner) for inner in reversed(piece.pieces)]
            case _Nest():
                waiting += [(indent + INDENTATION, flat, inner) for inner in reversed(piece.pieces)]
    return "".join(done) + behind


def _fits(column: int, group: _Group, waiting: list[tuple[int, bool, _Piece]]) -> bool:
    """Whether the line at hand, with `group` unopened, ends in time; `waiting` is what comes behind, last first."""
    left = len(waiting)
    todo: list[tuple[bool, _Piece]] = [(True, group)]
    while column <= COLUMNS:
        if not todo:
            if not left:
                return True
            left -= 1
            todo.append(waiting[left][1:])
        flat, piece = todo.pop()
        match piece:
            case str():
                head, line_end, _ = piece.partition("\n")
                column += len(head)
                if line_end:
                    return column <= COLUMNS
            case _Break():
                if not flat:
                    return True
                column += len(piece.flat)
            case _Comma():
                column += not flat
            case _Nest():
                flat = flat or (isinstance(piece, _Group) and not piece.opened)
                todo += [(flat, inner) for inner in reversed(piece.pieces)]
    return False


# -- statements -----------------------------------------------------------------------------------------------------


def _lines(block: tree.Block) -> list[_Piece]:
    """The statements and comments of `block`, a break before each."""
    entries: list[tree.Statement | tree.Comment] = []
    for statement in block.statements:
        entries += [*statement.comments, statement]
    entries += block.closing_comments
    pieces: list[_Piece] = []
    for entry in entries:
        blank = entry.blank_before and bool(pieces)
        if isinstance(entry, tree.Comment):
            pieces += [_Break("", blank, hard=True), entry.text]
            continue
        pieces.append(_Break("; " if pieces else " ", blank))
        if len(pieces) > 1 and isinstance(entry, tree.Command) and _continues(entry.words[0]):
            pieces.append("; ")  # else the line above would go on
        pieces.append(_Group(_statement(entry)))
        if entry.trailing:
            pieces.append(_Behind(entry.trailing.text))
    return pieces


def _block(block: tree.Block) -> list[_Piece]:
    lines = _lines(block)
    if not lines and not block.opening:
        return ["{ }"]
    opening = [_Behind(block.opening.text)] if block.opening else []
    several_lines = block.span.line != block.span.end_line
    return ["{", *opening, _Nest(lines), _Break(" ", hard=several_lines), "}"]


def _statement(statement: tree.Statement) -> list[_Piece]:
    match statement:
        case tree.If():
            return _conditional(statement)
        case tree.Rule(body=body):
            inside = _block(body) if isinstance(body, tree.Block) else _conditional(body)
            return ["rule ", _text(statement.name), " ", *inside]
        case tree.Let(
            value=tree.And() | tree.Or() | tree.Not() | tree.Comparison() | tree.Search() | tree.Question() as condition
        ):
            return [f"let {statement.name} = condition ", _condition(condition)]
        case tree.Let(value=value, otherwise=otherwise):
            shown = _value(value)  # type: ignore[arg-type]  # no condition is left
            return [f"let {statement.name} = ", shown, *_fallback(otherwise)]
        case tree.Score(name=name, condition=condition):
            word = " per " if statement.per else " if "
            behind = [] if condition is None else [word, _condition(condition)]
            return [f"{name.dotted} += ", _phrase((statement.amount, *statement.limit)), *behind]
        case tree.Command():
            pieces: list[_Piece] = [_phrase(statement.words)]
            if statement.value is not None:
                pieces += [" = ", _phrase((statement.value, *statement.rest))]
            if isinstance(statement.otherwise, tree.Block):
                return [_head([*pieces, _Nest([_Break(" "), "or else"])]), *_block(statement.otherwise)]
            pieces += _fallback(statement.otherwise)
            return pieces if statement.block is None else [_head(pieces), *_block(statement.block)]
    raise TypeError(f"{type(statement).__name__} is no statement that can be printed")


def _conditional(conditional: tree.If) -> list[_Piece]:
    pieces: list[_Piece] = []
    for condition, block in conditional.branches:
        pieces += [" else " if pieces else "", _head(["if ", _condition(condition)]), *_block(block)]
    if conditional.otherwise is not None:
        pieces += [" else ", *_block(conditional.otherwise)]
    return pieces


def _head(pieces: list[_Piece]) -> _Group:
    """What stands before a `{`."""
    return _Group([*pieces, _Break(" ")])


# -- conditions -----------------------------------------------------------------------------------------------------


def _condition(condition: tree.Condition) -> _Piece:
    match condition:
        case tree.And() | tree.Or():
            return _Nest(_conjunction(condition))
        case tree.Not(condition=inner):
            grouped = isinstance(inner, (tree.And, tree.Or, tree.Not))
            return _Group(["not ", _parenthesised(inner) if grouped else _condition(inner)])
        case tree.Search(name=name, condition=inner):
            return _Group([f"any {name.dotted} where ", _condition(inner)])
        case tree.Question():
            return _Group([_value(condition.phrase), *_fallback(condition.otherwise)])
        case tree.Comparison():
            operator = condition.operator
            if condition.negated:
                operator = "is not" if operator == "is" else f"not {operator}"
            if condition.exactly:
                operator += " exactly"
            operand = [] if condition.operand is None else [" ", _value(condition.operand)]
            return _Group([_value(condition.subject), " ", operator, *operand, *_fallback(condition.otherwise)])


def _fallback(word: tree.Name | None) -> list[_Piece]:
    return [] if word is None else [_Nest([_Break(" "), f"or else {word.dotted}"])]


def _conjunction(condition: tree.And | tree.Or) -> list[_Piece]:
    both = isinstance(condition, tree.And)
    items: list[_Piece] = []
    last = condition.conditions[-1]
    for inner in condition.conditions:
        searches = inner is not last and _ends_in_search(inner)
        if searches or isinstance(inner, tree.Or) or (both and isinstance(inner, tree.And)):
            items.append(_parenthesised(inner))
        else:
            items.append(_Group([_condition(inner)]))
    places = _places(condition.notes, 1, len(items) - 1)
    return _joined(items, places, "", "and " if both else "or ")


def _ends_in_search(condition: tree.Condition) -> bool:
    """Whether what follows would be read as a part of this condition."""
    while isinstance(condition, (tree.And, tree.Not)):
        condition = condition.condition if isinstance(condition, tree.Not) else condition.conditions[-1]
    return isinstance(condition, tree.Search)


def _parenthesised(condition: tree.Condition) -> _Group:
    inside = _conjunction(condition) if isinstance(condition, (tree.And, tree.Or)) else [_condition(condition)]
    return _Group(["(", _Nest([_Break(""), *inside]), _Break(""), ")"])


# -- values ---------------------------------------------------------------------------------------------------------


def _value(value: tree.Value) -> _Piece:
    match value:
        case tree.Text():
            return _text(value)
        case tree.Number():
            return _number(value.value)
        case tree.Quantity():
            return f"{_number(value.value)} {value.unit}"
        case tree.Date():
            day = f"{value.year:04}-{value.month:02}-{value.day:02}"
            return day if value.minute is None else f"{day} {_clock(value.minute)}"
        case tree.Clock():
            return _clock(value.minute)
        case tree.Network():
            return value.text
        case tree.Pattern():
            return f"/{value.text}/{value.flags}"
        case tree.Name():
            return value.dotted
        case tree.Call():
            return _enclosed(f"{value.name.dotted}(", value.arguments, (), ")")
        case tree.Range():
            return _Group([_value(value.low), "..", _value(value.high)])
        case tree.List(bracketed=True):
            return _enclosed("[", value.items, value.notes, "]")
        case tree.List():
            places = _places(value.notes, 1, len(value.items) - 1)
            first, *others = _joined([_value(item) for item in value.items], places, ",", "")
            return _Group([first, _Nest(others)])
        case tree.Phrase():
            return _phrase(value.parts)
    raise TypeError(f"{type(value).__name__} is no value that can be printed")


def _phrase(parts: Sequence[tree.Value]) -> _Group:
    """`parts` in a row; what comes behind the first break hangs."""
    pieces: list[_Piece] = []
    hanging: list[_Piece] = []
    for part in parts:
        row = hanging or pieces
        if pieces and _continues(part):
            row = hanging
            row.append(_Break(" "))
        elif pieces:
            row.append(" ")
        row.append(_value(part))
    return _Group([*pieces, _Nest(hanging)])


def _continues(part: tree.Value) -> bool:
    """Whether a line may end before `part`."""
    name = part.name if isinstance(part, tree.Call) else part
    return isinstance(name, tree.Name) and name.dotted in CONTINUING_WORDS


def _text(text: tree.Text) -> str:
    if text.raw:
        return text.raw
    parts = [escaped(p) if isinstance(p, str) else f"{{{_arranged([_value(p)], flat=True)}}}" for p in text.parts]
    return f'"{"".join(parts)}"'


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# -- lists and their notes --------------------------------------------------------------------------------------------


def _enclosed(opening: str, items: Sequence[tree.Value], notes: Sequence[tree.Note], closing: str) -> _Piece:
    if not items and not notes:
        return opening + closing
    places = _places(notes, 0, len(items))
    inside = _noted(places, 0)
    if items:
        row = _joined([_value(item) for item in items], places, ",", "")
        inside += [_Break(""), *row, _Comma(), *_noted(places, len(items))]
    return _Group([opening, _Nest(inside), _Break(""), closing])


def _joined(items: Sequence[_Piece], places: dict[int, list[tree.Comment]], behind: str, before: str) -> list[_Piece]:
    """`items` with the comments between them, `behind` each but the last and `before` each but the first."""
    pieces = [items[0]]
    for index, item in enumerate(items[1:], 1):
        pieces += [behind, *_noted(places, index), _Break(" "), before, item]
    return pieces


def _places(notes: Iterable[tree.Note], lowest: int, highest: int) -> dict[int, list[tree.Comment]]:
    """The comments by the item they stand before; one within the first item, where none can stay, goes behind it."""
    places: dict[int, list[tree.Comment]] = {}
    for note in notes:
        places.setdefault(min(max(note.index, lowest), highest), []).append(note.comment)
    return places


def _noted(places: dict[int, list[tree.Comment]], index: int) -> list[_Piece]:
    """The comments before item `index`: the first may stand behind what is before it, each other on its own line."""
    pieces: list[_Piece] = []
    for comment in places.get(index, ()):
        if not pieces and not comment.own_line:
            pieces.append(_Behind(comment.text))
        else:
            pieces += [_Break("", comment.blank_before and index > 0, hard=True), comment.text]
    return pieces
