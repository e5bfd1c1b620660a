"""The operators: how a field's values are held against what a rule writes on the right.

`bind` turns one comparison of a plan into a function of `Facts` that answers True, False or None (unknown).
A field with many values matches if any value does, a list on the right if any item does. Every operator is
linear in the text it looks at: patterns run on RE2, globs are cut at their stars. For a pattern a text has lines; for
every other operator a line break is a space, so that a phrase is found wherever a mail program broke the line.
Negation is not here: `F not OP x` is exactly `not (F OP x)`.

Operands as a plan holds them, told apart by their first item:
("text", folded, plain) · ("template", parts) · ("field", family, name, argument) · ("list", path, optional) ·
("network", version, first, last) · ("range", low, high) · ("number", n) · ("date", y, m, d[, minute]) ·
("clock", minute) · ("pattern", source, names) · ("glob", pieces)
"""

from __future__ import annotations

from pydeliver.mail.folding import fold
from pydeliver.vocabulary.word import (
    ADDRESS,
    DURATION,
    FACT,
    IDENTIFIER,
    MOMENT,
    NUMBER,
    SIZE,
    TEXTUAL,
    THING,
    within_brackets,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.vocabulary.word import Facts, Field

    Test = Callable[[Facts], bool | None]
    Operand = tuple[Any, ...]
    Render = Callable[[Facts], str | None]
    Span = tuple[float, float, float | None, float | None]

IS, CONTAINS, STARTS, ENDS, LIKE = "is", "contains", "starts with", "ends with", "like"
MATCHES, IN, EXISTS = "matches", "in", "exists"
ORDERS = ("<", "<=", ">", ">=")

# Which operators a kind of value takes; `check` tells the others.
_TEXT_OPERATORS = (IS, CONTAINS, STARTS, ENDS, LIKE, MATCHES, IN, EXISTS, *ORDERS)
_NUMBER_OPERATORS = (IS, IN, EXISTS, *ORDERS)
OPERATORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TEXTUAL, _TEXT_OPERATORS),
    **dict.fromkeys((NUMBER, SIZE, DURATION, MOMENT), _NUMBER_OPERATORS),
    FACT: (),
    THING: (EXISTS,),
}

COUNTED = 1000  # more places than this weigh no more
# `contains` and `matches` look at all that a person sees, the others at what identifies: an address, a list's name.
WHOLE = (CONTAINS, MATCHES)


def bind(
    field: Field,
    argument: Any,
    operator: str,
    exactly: bool,
    operands: tuple[Operand, ...],
    asked: Callable[[tuple[str, str, Any]], tuple[Field, Any]],
    render: Callable[[Any], Render],
) -> Test:
    """The test of one comparison. `asked(node)` finds a field on the right, `render` binds a template."""
    if operator == EXISTS:
        return lambda facts: None if (values := facts.values(field, argument)) is None else len(values) > 0
    if operator in ORDERS or field.kind not in TEXTUAL:
        return _by_amount(field, argument, operator, operands)
    whole = operator in WHOLE
    folded = not exactly
    if operator == MATCHES:
        return _by_pattern(field, argument, exactly, operands)
    tests = []
    literals = tuple([operand[1] if folded else operand[2] for operand in operands if operand[0] == "text"])
    if literals:
        tests.append(_LITERAL[operator](literals))
    for operand in operands:
        if operand[0] == "glob":
            tests.append(_glob(operand[1] if folded else operand[2]))
        elif operand[0] == "network":
            tests.append(_network(operand))
        elif operand[0] in ("number", "range"):
            tests.append(_amount(span(operator, operand)))
    questions = [
        _asked(operand, operator, whole, folded, asked, render)
        for operand in operands
        if operand[0] in ("template", "field", "list")
    ]

    def test(facts: Facts) -> bool | None:
        texts = facts.strings(field, argument, whole, folded)
        if texts is None:
            return None
        if not folded:
            texts = in_one_line(texts)
        for each in tests:
            if each(texts):
                return True
        unknown = False
        if texts:
            for question in questions:
                answer = question(facts, texts)
                if answer:
                    return True
                unknown = unknown or answer is None
        return None if unknown else False

    return test


# -- text -------------------------------------------------------------------------------------------------------


def _is(wanted: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    if len(wanted) == 1:
        (only,) = wanted
        return lambda texts: only in texts
    known = frozenset(wanted)
    return lambda texts: not known.isdisjoint(texts)


def _contains(wanted: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    return lambda texts: any([piece in text for text in texts for piece in wanted])


def _starts(wanted: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    return lambda texts: any([text.startswith(wanted) for text in texts])


def _ends(wanted: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    return lambda texts: any([text.endswith(wanted) for text in texts])


_LITERAL = {IS: _is, IN: _is, CONTAINS: _contains, STARTS: _starts, ENDS: _ends}


def _asked(
    operand: Operand,
    operator: str,
    whole: bool,
    folded: bool,
    asked: Callable[[tuple[str, str, Any]], tuple[Field, Any]],
    render: Callable[[Any], Render],
) -> Callable[[Facts, tuple[str, ...]], bool | None]:
    """Hold the texts against what is only known while judging: a text with values, another field, a list file."""
    if operand[0] == "list":
        question = operand

        def listed(facts: Facts, texts: tuple[str, ...]) -> bool | None:
            answer = facts.ask(question)
            return None if answer is None else not answer.isdisjoint([fold(text) for text in texts])

        return listed
    compare = _LITERAL[operator]
    if operand[0] == "field":
        other, argument = asked(operand[1:])

        def against_field(facts: Facts, texts: tuple[str, ...]) -> bool | None:
            wanted = facts.strings(other, argument, whole and other.kind != ADDRESS, folded)
            if wanted is None:
                return None
            if other.reaches is not None:
                texts = (*texts, *other.reaches(facts, texts))
            return bool(wanted) and compare(in_one_line(wanted))(texts)

        return against_field
    shown = render(operand[1])

    def against_text(facts: Facts, texts: tuple[str, ...]) -> bool | None:
        text = shown(facts)
        # An empty value would be part of every text: it matches nothing but the empty text.
        if text is None or (not text and operator != IS):
            return None if text is None else False
        return compare((fold(text) if folded else text,))(texts)

    return against_text


def in_one_line(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([text.replace("\n", " ") if "\n" in text else text for text in texts])


def literal(text: str, kind: str, operator: str) -> Operand:
    """A text as it is written in a rule, in the form that the field's values have."""
    plain = " ".join(text.split()) if text.strip() else text
    if operator not in (IS, IN) and text.strip():  # a space at its end says where a word ends
        plain = f"{' ' if text[0].isspace() else ''}{plain}{' ' if text[-1].isspace() else ''}"
    if operator in (IS, IN) and kind == ADDRESS:
        from pydeliver.mail import address

        found = address.parse_one(text)
        plain = plain if found is None else found.address
    elif operator in (IS, IN) and kind == IDENTIFIER:
        plain = within_brackets(text)
    return ("text", fold(plain), plain)


def glob(text: str) -> Operand:
    return ("glob", cut_glob(fold(text)), cut_glob(text))


def cut_glob(text: str) -> tuple[tuple[str, ...], ...]:
    """`*.p?f` to its pieces between stars, each a tuple of runs between question marks: (((""),), (".p", "f"))."""
    return tuple([tuple(piece.split("?")) for piece in text.split("*")])


def _glob(pieces: tuple[tuple[str, ...], ...]) -> Callable[[tuple[str, ...]], bool]:
    """The leftmost place for each piece in turn is enough, as a star takes any gap; a `?` costs one step more."""
    return lambda texts: any([_fits_glob(pieces, text) for text in texts])


def _fits_glob(pieces: tuple[tuple[str, ...], ...], text: str) -> bool:
    first, last = pieces[0], pieces[-1]
    if not _at(first, text, 0):
        return False
    if len(pieces) == 1:
        return _length(first) == len(text)
    at, end = _length(first), len(text) - _length(last)
    if end < at or not _at(last, text, end):
        return False
    for piece in pieces[1:-1]:
        at = _find(piece, text, at, end)
        if at < 0:
            return False
        at += _length(piece)
    return True


def _length(piece: tuple[str, ...]) -> int:
    return sum([len(run) for run in piece]) + len(piece) - 1


def _at(piece: tuple[str, ...], text: str, at: int) -> bool:
    if at + _length(piece) > len(text):
        return False
    for run in piece:
        if not text.startswith(run, at):
            return False
        at += len(run) + 1
    return True


def _find(piece: tuple[str, ...], text: str, start: int, end: int) -> int:
    if len(piece) == 1:
        return text.find(piece[0], start, end)
    for at in range(start, end - _length(piece) + 1):
        if _at(piece, text, at):
            return at
    return -1


def _network(operand: Operand) -> Callable[[tuple[str, ...]], bool]:
    """The values that are IP addresses, held against a network given as its first and last address."""
    _, version, first, last = operand

    def test(texts: tuple[str, ...]) -> bool:
        import ipaddress

        for text in texts:
            try:
                address = ipaddress.ip_address(text.strip("[] ").removeprefix("ipv6:"))
            except ValueError:
                continue
            mapped = getattr(address, "ipv4_mapped", None)
            address = mapped or address
            if address.version == version and first <= address.packed <= last:
                return True
        return False

    return test


def _amount(fitting: Span) -> Callable[[tuple[str, ...]], bool]:
    """The values that begin with a number, held against an amount."""
    return lambda texts: any([(found := leading_number(text)) is not None and _fits(found, fitting) for text in texts])


# -- patterns ---------------------------------------------------------------------------------------------------


def pattern(source: str, exactly: bool) -> Any:
    """An RE2 pattern, compiled: linear time, quiet about mistakes, ^ and $ at every line. Raises re2.error."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = exactly
    return re2.compile(f"(?m){source}", options)


def _by_pattern(field: Field, argument: Any, exactly: bool, operands: tuple[Operand, ...]) -> Test:
    compiled: list[Any] = []

    def test(facts: Facts) -> bool | None:
        texts = facts.strings(field, argument, True, False)
        if not texts:
            return None if texts is None else False
        if not compiled:
            compiled.extend([pattern(operand[1], exactly) for operand in operands])
        for text in texts:
            for each in compiled:
                found = each.search(text)
                if found is not None:
                    facts.captures.update(_captured(found))
                    return True
        return False

    return test


def counted(
    field: Field, argument: Any, operator: str, exactly: bool, operands: tuple[Operand, ...]
) -> Callable[[Facts], int | None]:
    """How many places of the values fit a pattern or hold a text, at most COUNTED; None when unknown."""
    literals = [operand[2] if exactly else operand[1] for operand in operands if operand[0] == "text"]
    patterns: list[Any] = []

    def count(facts: Facts) -> int | None:
        texts = facts.strings(field, argument, True, operator == CONTAINS and not exactly)
        if texts is None:
            return None
        if literals:
            texts = in_one_line(texts)
        if operator == MATCHES and not patterns:
            patterns.extend([pattern(operand[1], exactly) for operand in operands])
        found = sum([text.count(piece) for text in texts for piece in literals])
        for text in texts:
            for each in patterns:
                for _ in each.finditer(text):
                    found += 1
                    if found >= COUNTED:
                        return COUNTED
        return min(found, COUNTED)

    return count


def _captured(found: Any) -> dict[str, str]:
    kept = {str(number): text or "" for number, text in enumerate(found.groups(), 1)}
    kept["0"] = found.group(0)
    for name, text in found.groupdict().items():
        kept[name] = text or ""
    return kept


# -- amounts ----------------------------------------------------------------------------------------------------


def _by_amount(field: Field, argument: Any, operator: str, operands: tuple[Operand, ...]) -> Test:
    """Numbers, sizes, durations and moments. An order comparison on an absent value is false."""
    if field.kind == MOMENT:
        return _by_moment(field, argument, operator, operands)
    spans = tuple([span(operator, operand) for operand in operands])
    textual = field.kind in TEXTUAL

    def test(facts: Facts) -> bool | None:
        values = facts.values(field, argument)
        if values is None:
            return None
        for value in values:
            amount = leading_number(value if isinstance(value, str) else value.text) if textual else value
            if amount is not None and any([_fits(amount, each) for each in spans]):
                return True
        return False

    return test


def _fits(amount: float, fitting: Span) -> bool:
    least, most, over, under = fitting
    return least <= amount <= most and amount != over and amount != under


def span(operator: str, operand: Operand) -> Span:
    """The values that fit, as (least, most, not this one, nor this one)."""
    if operand[0] == "range":
        return operand[1], operand[2], None, None
    number = operand[1]
    endless = float("inf")
    if operator == "<":
        return -endless, number, number, None
    if operator == "<=":
        return -endless, number, None, None
    if operator == ">":
        return number, endless, None, number
    if operator == ">=":
        return number, endless, None, None
    return number, number, None, None


def leading_number(text: str) -> float | None:
    """The number a text begins with (`15.2 (required 5)`), None where there is none."""
    text = text.strip()
    end = 1 if text[:1] in ("+", "-") else 0
    dots = 0
    while end < len(text) and (text[end] in "0123456789" or (text[end] == "." and not dots)):
        dots += text[end] == "."
        end += 1
    try:
        return float(text[:end])
    except ValueError:
        return None


def _by_moment(field: Field, argument: Any, operator: str, operands: tuple[Operand, ...]) -> Test:
    """A date is its whole day, a time of day belongs to any day; both in the user's time zone."""

    def test(facts: Facts) -> bool | None:
        values = facts.values(field, argument)
        if values is None:
            return None
        unknown = False
        for value in values:
            local = local_time(facts, value)
            if local is None:
                unknown = True
            elif any([_in_time(operator, local, operand) for operand in operands]):
                return True
        return None if unknown else False

    return test


def local_time(facts: Facts, moment: float) -> tuple[int, int, int, int, int, int, int] | None:
    """(year, month, day, hour, minute, second, weekday) of an epoch time in the user's zone; None when unknown."""
    from pydeliver.mail.date import civil

    # The offset changes on the hour or half hour at the earliest, so one question serves a quarter of an hour.
    offset = facts.ask(("offset", int(moment // 900) * 900))
    return None if offset is None else civil(moment, offset)


def _in_time(operator: str, local: tuple[int, ...], operand: Operand) -> bool:
    if operand[0] == "range":
        low, high = operand[1], operand[2]
        if low[0] == "clock" and low[1] > high[1]:  # 22:00..06:00 goes over midnight
            return _compare(local, low) >= 0 or _compare(local, high) <= 0
        return _compare(local, low) >= 0 and _compare(local, high) <= 0
    order = _compare(local, operand)
    if operator == "<":
        return order < 0
    if operator == "<=":
        return order <= 0
    if operator == ">":
        return order > 0
    if operator == ">=":
        return order >= 0
    return order == 0


def _compare(local: tuple[int, ...], operand: Operand) -> int:
    """-1, 0 or 1: the local time is before, within or after the operand's day or minute."""
    minute = local[3] * 60 + local[4]
    mine: tuple[int, ...]
    if operand[0] == "clock":
        mine, other = (minute,), operand[1:]
    elif len(operand) == 4:
        mine, other = local[:3], operand[1:]
    else:
        mine, other = (*local[:3], minute), operand[1:]
    return (mine > other) - (mine < other)
