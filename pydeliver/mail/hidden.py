"""Which elements of an HTML text are hidden from a person.

Owns `Elements`: told of every start and end tag, it says whether text at that place is shown. It follows what senders
write at the element itself: the attribute `hidden`, `<template>`, and in `style` display:none, visibility:hidden, a
font size or opacity of about nothing, a block of no height whose overflow is hidden. It refuses to read style sheets,
colours and positions.

The rule is: in doubt it is shown. A word too many does little harm, while a text that a person reads and the rules do
not see is what a cheat is after. So a hidden element ends with everything that may end it in the algorithm of
browsers (HTML Living Standard, 13.2.6, without its tree), tables included, and where a style sheet could overrule a
declaration, or a declaration needs more than a glance to read, it does not hide.

While nothing is hidden only numbers are kept; within hidden elements there is a stack, for FOLLOWED tags at most.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FOLLOWED = 50_000  # start tags within hidden elements; behind so many nothing is hidden
PIXELS = 1.0  # letters up to this size are not seen
OPACITY = 0.1  # text below this is not seen

# What a state is made of. GONE holds for all within; the others can be undone by an element within.
GONE, INVISIBLE, TINY, CLIPPED = 1, 2, 4, 8

BLOCKS = frozenset(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer"
    " form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol optgroup option p plaintext pre"
    " section summary table tbody tfoot thead tr ul xmp".split()
)
_END_P = BLOCKS - frozenset("body html legend optgroup option tbody tfoot thead tr".split())
# Elements without an end tag.
_VOID = frozenset("area base basefont bgsound br col embed frame hr img input link meta param source track wbr".split())
# A second tag of these is merged, ignored or broken out of, so that what they hide is not what they seem to.
_FOREIGN = frozenset(["svg", "math", "select"])
_NEVER_HIDE = frozenset(["html", "head", "body", "form", "frameset", "noscript"]) | _FOREIGN
# Names that end one another are taken for one.
_ALIAS = dict.fromkeys(["h2", "h3", "h4", "h5", "h6"], "h1") | {"dt": "dd", "th": "td"}
_ALIAS |= {"tfoot": "tbody", "thead": "tbody"}

_CELLS = ("td", "caption")
_WALLS = (*_CELLS, "table")
# An element that ends an open one of its own name, up to these walls.
_ALONE: dict[str, tuple[str, ...]] = dict.fromkeys(["a", "button", "nobr", "h1", "option", "optgroup"], _WALLS)
_ALONE |= {"li": (*_WALLS, "ul", "ol"), "dd": (*_WALLS, "dl")}
# A part of a table ends all that is open within the nearest of these.
_WITHIN = {
    "td": ("tr", "tbody", "table"),
    "tr": ("tbody", "table"),
    "tbody": ("table",),
    "caption": ("table",),
    "col": ("table",),
    "colgroup": ("table",),
}
_ROWS = frozenset(["table", "tbody", "tr", "colgroup"])  # what else is within these stands before the table
_TABLE = _ROWS | frozenset(_WITHIN)
_OWN_SIZE = frozenset(["font", "table", "button", "input", "select", "textarea"])  # they do not inherit a font size

_STRINGS = {'"': '"', "'": "'", "(": ")", "[": "]", "{": "}"}
_NUMBER = "+-.0123456789"
_RELATIVE = ("em", "%", "ex", "ch", "lh")


class Elements:
    """The elements that are open at one place of a text; `shown` says whether text there is seen."""

    __slots__ = ("_last", "_left", "_names", "_outer", "_overruled", "_states", "_styled", "foreign", "shown")

    def __init__(self, text: str) -> None:
        self._styled, self._overruled = _sheets(text)
        self._outer: dict[str, int] = {}  # how many are open around the stack, or more: end tags may be left out
        self._names: list[str] = []  # the stack, from the outermost element that hides anything
        self._states: list[int] = []
        self._last: dict[str, list[int]] = {}  # where in the stack a name stands
        self._left = FOLLOWED
        self.shown = True
        self.foreign = False  # whether an element is open in which markup has other rules

    def start(self, name: str, attributes: dict[str, str]) -> bool:
        """A start tag; returns whether the element itself is shown."""
        name = _ALIAS.get(name, name)
        if self._names:
            self._left -= 1
            if self._left:
                self._end_by_start(name)
            else:
                self._cut(0)
        if name in _FOREIGN:
            self._count_foreign(name, 1)
        elif name in _NEVER_HIDE and not self._names:
            self._outer[name] = self._outer.get(name, 0) + 1
        ignored = name in _NEVER_HIDE or (name in _WITHIN and not self._is_open("table"))
        if ignored or self.foreign or not self._left:
            return self._look()
        state = self._inherited(name)
        if name == "template":
            state |= GONE
        elif "style" in attributes or "hidden" in attributes:
            state = self._state(name, attributes, state)
        if name not in _VOID:
            if self._names or state:
                self._push(name, state)
            else:
                self._outer[name] = self._outer.get(name, 0) + 1
        self._look()
        return not state

    def end(self, name: str) -> None:
        """An end tag: it ends the nearest element of its name and all within, else an element around the stack."""
        name = _ALIAS.get(name, name)
        if name in _FOREIGN:
            self._count_foreign(name, -1)
        elif not self._names:
            if self._outer.get(name):
                self._outer[name] -= 1
        elif name in ("tr", "tbody") and self._is_open("table"):  # they need no start tag
            self._cut(max(self._nearest(name), self._nearest("table") + 1))
        elif (at := self._nearest(name)) >= 0:
            self._cut(at)
            self._outer[name] -= 1
        elif self._outer.get(name):
            self._outer[name] -= 1
            self._cut(0)
        self._look()

    def _count_foreign(self, name: str, step: int) -> None:
        self._outer[name] = max(self._outer.get(name, 0) + step, 0)
        self.foreign = any([self._outer.get(one) for one in _FOREIGN])

    # -- the stack --

    def _nearest(self, name: str) -> int:
        places = self._last.get(name)
        return places[-1] if places else -1

    def _within(self, names: Iterable[str]) -> int:
        """Where in the stack the nearest of these stands, or -1."""
        return max([self._nearest(name) for name in names])

    def _is_open(self, name: str) -> bool:
        return bool(self._last.get(name) or self._outer.get(name))

    def _push(self, name: str, state: int) -> None:
        places = self._last.get(name)
        if places is None:
            places = self._last[name] = []
        places.append(len(self._names))
        self._names.append(name)
        self._states.append(state)

    def _cut(self, height: int) -> None:
        """End what stands at this height and above. It still counts, as browsers may have it open."""
        names, outer = self._names, self._outer
        while height < len(names):
            name = names.pop()
            self._last[name].pop()
            outer[name] = outer.get(name, 0) + 1
        del self._states[height:]

    def _look(self) -> bool:
        self.shown = not self._names or not self._around()
        return self.shown

    def _end_by_start(self, name: str) -> None:
        """End what a start tag ends without an end tag (13.2.6.4.7 "in body", 13.2.6.4.9 to 15 in tables)."""
        contexts = _WITHIN.get(name)
        if contexts:
            self._cut(self._within(contexts) + 1)
            return
        if name == "table":
            cell = self._within(_CELLS)
            if self._within(_ROWS) > cell or (cell < 0 and self._outer.get(name)):  # in no cell, it ends the one around
                self._cut(max(self._nearest(name), 0))
                return
        if name in _END_P:
            self._end_open("p", _WALLS)
        walls = _ALONE.get(name)
        if walls:
            self._end_open(name, walls)

    def _end_open(self, name: str, walls: tuple[str, ...]) -> None:
        at = self._nearest(name)
        if at < 0 and not self._outer.get(name):
            return
        wall = -1 if at == len(self._names) - 1 else self._within(walls)
        if at > wall:
            self._cut(at)
        elif wall < 0:
            self._outer[name] -= 1
            self._cut(0)

    # -- what is hidden --

    def _around(self) -> int:
        """The state at the top; between the cells of a table that in front of it, where browsers put what is there."""
        if self._names[-1] not in _ROWS:
            return self._states[-1]
        table = self._nearest("table")
        return self._states[table - 1] if table > 0 else 0

    def _inherited(self, name: str) -> int:
        if not self._names:
            return 0
        state = self._states[-1] if name in _WITHIN else self._around()
        if self._styled:
            state &= GONE
        return state & ~TINY if name in _OWN_SIZE else state

    def _state(self, name: str, attributes: dict[str, str], state: int) -> int:
        """What an element with these attributes makes of the state around it."""
        style = attributes.get("style", "")
        said, firm = _declarations(style) if style else ({}, set())
        if "hidden" in attributes and "display" not in said and not self._styled:
            state |= GONE
        if not said:
            return state
        # Only what nothing can overrule hides.
        hiding = {which: value for which, value in said.items() if which in firm or not self._overruled}
        if hiding.get("display") == "none" or _is_below(hiding.get("opacity", ""), OPACITY):
            state |= GONE
        if "visibility" in said:
            hidden = hiding.get("visibility") in ("hidden", "collapse")
            state = state | INVISIBLE if hidden else state & ~INVISIBLE
        size = said.get("font-size", "")
        if _is_tiny(hiding.get("font-size", "")):
            state |= TINY
        elif size and not size.endswith(_RELATIVE):
            state &= ~TINY
        if said.get("position") in ("absolute", "fixed"):
            state &= ~CLIPPED  # it is placed outside of what clips it
        elif name in BLOCKS and name not in _TABLE and _is_flat(said, hiding):
            state |= CLIPPED
        return state


def _sheets(text: str) -> tuple[bool, bool]:
    """Whether there are style sheets, and whether one may overrule what stands in an attribute `style`."""
    lowered = text.lower()
    if "<link" in lowered:
        return True, True
    sheets = [sheet.partition("</style>")[0] for sheet in lowered.split("<style")[1:]]
    # "!important", or "@import" of another sheet, or either with an escape
    return bool(sheets), any(["import" in sheet or "\\" in sheet for sheet in sheets])


def _declarations(style: str) -> tuple[dict[str, str], set[str]]:
    """The declarations of a style, the last of each name, and the names of the important ones (CSS Cascade 4, 6.1).

    None where there is an escape or a comment, which mail has no use for but to cheat.
    """
    said: dict[str, str] = {}
    firm: set[str] = set()
    if "\\" in style or "/*" in style:
        return said, firm
    for declaration in _outside_strings(style.lower()).split(";"):
        name, _, value = declaration.partition(":")
        name = name.strip(" ")
        value, _, rank = value.partition("!")
        important = rank.strip(" ") == "important"
        if name in firm and not important:
            continue
        if important:
            firm.add(name)
        value = value.strip(" ")
        if name == "font":
            name, value = "font-size", _size_of_font(value)
            if important:
                firm.add(name)
        said[name] = value
    return said, firm


def _outside_strings(style: str) -> str:
    """The style without strings and what stands in brackets, where a semicolon ends nothing."""
    if not any([mark in style for mark in _STRINGS]):
        return style
    kept = []
    closing: list[str] = []
    for character in style:
        if closing and character == closing[-1]:
            closing.pop()
        elif character in _STRINGS and (not closing or closing[-1] not in "\"'"):
            closing.append(_STRINGS[character])
            kept.append("?")
        elif not closing:
            kept.append(character)
    return "".join(kept)


def _size_of_font(value: str) -> str:
    """The size in the shorthand `font: bold 12px/1.5 Arial`; a bare number but 0 is a weight."""
    for word in value.split(" "):
        size = word.partition("/")[0]
        number, unit = _amount(size)
        if number is not None and (unit or number == 0):
            return size
    return value


def _amount(value: str) -> tuple[float | None, str]:
    """`12px` to its number and unit."""
    unit = value.lstrip(_NUMBER)
    try:
        return float(value[: len(value) - len(unit)]), unit
    except ValueError:
        return None, unit


def _is_below(value: str, limit: float) -> bool:
    number, unit = _amount(value)
    return number is not None and unit in ("", "%") and number < (limit * 100 if unit else limit)


def _is_tiny(value: str) -> bool:
    number, unit = _amount(value)
    return number is not None and (number == 0 or (0 < number <= PIXELS and unit in ("px", "pt")))


def _is_flat(said: dict[str, str], hiding: dict[str, str]) -> bool:
    """Whether a block has no height and shows nothing outside of itself, not even in its padding."""
    if hiding.get("overflow") != "hidden" or said.get("display", "block") != "block":
        return False
    if not any([_is_zero(hiding.get(which, "")) for which in ("max-height", "height")]):
        return False
    return all([_is_zero(value) for which, value in said.items() if which.startswith(("padding", "min-", "overflow-"))])


def _is_zero(value: str) -> bool:
    return all([_amount(one)[0] == 0 for one in value.split(" ")])
