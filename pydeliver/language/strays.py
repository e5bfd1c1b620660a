"""What a rule file holds that is no token of the language: told to the user, and replaced before lines are laid out.

Owns open texts and patterns, other quotes, bare paths and addresses, operators and words of other languages, and lines
of procmail or Sieve (one hint for all of them). What can't be guessed becomes BROKEN, so that it is told only once.
Works line by line, and cleverly only on lines a person would write: the whole is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import pairwise

from lark.lexer import Token

from pydeliver.language.grammar import Grammar
from pydeliver.language.layout import token_like
from pydeliver.language.mistakes import Mistakes

LONGEST_LINE = 500  # longer lines are not read anew to find which of their quotes was meant to close
MOST_READINGS = 8  # of one line

# What people write who come from elsewhere: the tokens that are meant, and how they are written here.
OPERATORS: dict[str, tuple[tuple[str, ...], str]] = {
    "==": (("IS",), "is"),
    "!=": (("IS", "NOT"), "is not"),
    "<>": (("IS", "NOT"), "is not"),
    "=~": (("MATCHES",), "matches"),
    "!~": (("NOT", "MATCHES"), "not matches"),
    "=>": (("MORE_EQUAL",), ">="),
    ":=": (("EQUALS",), "="),
    "&&": (("AND",), "and"),
    "&": (("AND",), "and"),
    "||": (("OR",), "or"),
    "|": (("OR",), "or"),
    "!": (("NOT",), "not"),
}
ELSE_IF = frozenset({"elif", "elsif", "elseif"})

_STRAY = frozenset("OPEN_TEXT OPEN_PATTERN CURLY_TEXT UNQUOTED DASHED FOREIGN_OPERATOR STRAY".split())
_OPEN = frozenset({"OPEN_TEXT", "OPEN_PATTERN"})
_QUOTED = frozenset({"TEXT", "PATTERN", *_OPEN})
_RUN_ENDS = frozenset({"IF", "LBRACE", "RBRACE", "SEMICOLON"})

_CURLY = "“”„‟«»‘’‚'`"
# Where a text that was never closed most likely ended, surest signs first.
_TEXT_ENDS = (
    re.compile(r"\s+\}|\s+\{(?![\w.-]+\})|\s*;|\s+#|,\s*\"|\)\s*(?:\{|$)|[“”„‟«»]|\s*$"),
    re.compile(r"\s+(?:and|or)\s|\s+\}|\s+\{|\s*$"),
)
_PATTERN_ENDS = (re.compile(r"\s+[{}](?!\d)|\s*;|\s+#|\s*$"), re.compile(r"\s+(?:and|or)\s|\s+[{}]|\s*$"))
_PATH = re.compile(r"(?:/[\w.~@+-]+)+/?(?=[\s;}]|$)")
_BARE = re.compile(r"(?:[^\s\"{}(),;\[\]]|\{[^{}\s\"]*\})+")
_MIXED = re.compile(rf"[{_CURLY}][^\n\"{_CURLY}]*\"")
_DAY_FIRST = re.compile(r"\d{1,2}-\d{1,2}-\d{4}")
_SHORT_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_RECIPE = re.compile(r"\s*:0(?:$|[\s:\w])")
_ASSIGNMENT = re.compile(r"\s*[A-Z][A-Z0-9_]*=")
_SIEVE_TAG = re.compile(
    r":(?:is|contains|matches|regex|over|under|count|value|all|localpart|domain|comparator|copy|create|flags|days)\b"
)


def found(grammar: Grammar, raw: list[Token]) -> bool:
    """Whether anything in `raw` is not of this language."""
    for token in raw:
        if token.type in _STRAY:
            return True
        if token.type == "NAME" and (token.value in ELSE_IF or token.value == "require" or _capital(grammar, token)):
            return True
    return False


def replaced(
    grammar: Grammar, source: str, raw: list[Token], mistakes: Mistakes, actions: Collection[str]
) -> list[Token]:
    """`raw` without strays: what was meant where that can be told, BROKEN where not."""
    reader = _Reader(grammar, source, mistakes, actions)
    tokens: list[Token] = []
    for line in _lines(raw):
        whole = reader.line(line)
        tokens += reader.mended
        if not whole:
            break
    reader.tell_foreign()
    return tokens


def _capital(grammar: Grammar, token: Token) -> bool:
    return not token.islower() and token.lower() in grammar.keywords.values()


def _lines(raw: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each line, its end included."""
    line: list[Token] = []
    for token in raw:
        line.append(token)
        if token.type == "LINE_END":
            yield line
            line = []
    yield line


class _Reader:
    """Goes through one file; `mended` is what became of the line at hand."""

    def __init__(self, grammar: Grammar, source: str, mistakes: Mistakes, actions: Collection[str]) -> None:
        self.grammar = grammar
        self.source = source
        self.mistakes = mistakes
        self.actions = actions
        self.mended: list[Token] = []
        self.depth = 0  # of blocks
        self.recipe = False  # a procmail recipe waits for its conditions and action
        self.procmail_blocks = 0
        self.foreign: dict[str, list[Token]] = {"a procmail recipe": [], "Sieve": []}

    def line(self, line: list[Token]) -> bool:
        """Mend one line into `mended`; false when nothing behind it can be read."""
        self.mended = []
        if self._procmail(line):
            return True
        for first, second in pairwise(line):
            if second.type == "OPEN_TEXT" and first == '""' and first.end_pos == second.start_pos:
                self.mistakes.add(first, "open-text", 'this long text is never closed: """ is missing')
                return self._cut(line, first)
        for _ in range(MOST_READINGS):
            again = self._read_anew(line)
            if again is None:
                break
            line = again
        self._sieve(line)
        position = 0
        for index, token in enumerate(line):
            if (token.start_pos or 0) >= position:
                position = self._token(line, index)
        self.depth += sum((t.type == "LBRACE") - (t.type == "RBRACE") for t in self.mended)
        return True

    def _cut(self, line: list[Token], first: Token) -> bool:
        """Give up the rest of the file, which an open text has swallowed; blocks end with it."""
        before = [token for token in line if (token.start_pos or 0) < (first.start_pos or 0)]
        depth = self.depth + sum((t.type == "LBRACE") - (t.type == "RBRACE") for t in before)
        self.mended = [*before, token_like(first, "BROKEN", ""), *[token_like(first, "RBRACE", "}")] * depth]
        return False

    # -- single tokens ----------------------------------------------------------------------------------------------

    def _token(self, line: list[Token], index: int) -> int:
        """Mend one token; gives the place behind what was read."""
        token = line[index]
        kind = token.type
        end = token.end_pos or 0
        if kind == "NAME":
            self._name(line, index)
        elif kind == "CURLY_TEXT":
            self._straight(token, token[1:-1])
        elif kind == "UNQUOTED":
            bare = _BARE.match(self.source, token.start_pos or 0)
            text = bare[0] if bare else str(token)
            end = (token.start_pos or 0) + len(text)
            self._tell(token, "unquoted-text", f'text stands in quotes: "{_shown(text)}"', width=len(text))
            self._put("TEXT", f'"{text.replace(chr(92), "")}"', token)
        elif kind == "DASHED":
            self._dashed(token)
        elif kind == "FOREIGN_OPERATOR":
            kinds, written = OPERATORS[token]
            self._tell(token, "foreign-operator", f"`{token}` is not of this language; write `{written}`")
            for kind, word in zip(kinds, written.split(), strict=True):
                self._put(kind, word, token)
        elif kind == "STRAY" and token.isspace():
            self._tell(token, "stray", f"write a plain space for the character U+{ord(token):04X}")
        elif kind in _STRAY:
            if not self.mended or self.mended[-1].type != "BROKEN" or self.mended[-1].end_pos != token.start_pos:
                self._tell(token, "stray", f"`{_shown(token[:1])}` does not belong here")
            self._put("BROKEN", str(token), token)
        else:
            self.mended.append(token)
        return end

    def _name(self, line: list[Token], index: int) -> None:
        """A word: those of other languages that are structure, and ours in capitals."""
        token = line[index]
        lower = token.lower()
        begins = not self.mended or self.mended[-1].type in ("LBRACE", "RBRACE", "SEMICOLON")
        kind = next((kind for kind, word in self.grammar.keywords.items() if word == lower), "")
        behind = line[index + 1].type if index + 1 < len(line) else ""
        if lower in ELSE_IF and begins:
            self._tell(token, "foreign-word", f"instead of `{token}` write `else if`")
            self._put("ELSE", "else", token)
            self._put("IF", "if", token)
        elif lower == "then" and behind == "LBRACE":
            self._tell(token, "foreign-word", f"leave out `{token}`: the actions of an `if` stand between {{ and }}")
        elif kind and token != lower:
            self._tell(token, "capitals", f"the words of the language are in lower case: `{lower}`")
            self._put(kind, lower, token)
        elif begins and token != lower and lower in self.actions:
            self._tell(token, "capitals", f"the words of the language are in lower case: `{lower}`")
            self._put("NAME", lower, token)
        else:
            self.mended.append(token)

    def _dashed(self, token: Token) -> None:
        day_first, short = _DAY_FIRST.fullmatch(token), _SHORT_DATE.fullmatch(token)
        if day_first or short:
            year, month, day = short.groups() if short else token.split("-")[::-1]
            date = f"{year}-{month:0>2}-{day:0>2}"
            self._tell(token, "bad-date", f"a date is written year first, in ten characters: `{date}`")
            self._put("BROKEN", str(token), token)
        elif token.count("-") == 1:
            low, _, high = token.partition("-")
            self._tell(token, "dashed-range", f"a range is written with two dots: `{_shown(low)}..{_shown(high)}`")
            for kind, text in (("NUMBER", low), ("DOTDOT", ".."), ("NUMBER", high)):
                self._put(kind, text, token)
        else:
            self._tell(token, "dashed-range", f"`{_shown(token)}` is no number, date or range")
            self._put("BROKEN", str(token), token)

    def _straight(self, token: Token, inside: str) -> None:
        self._tell(token, "quotes", f'text stands between straight double quotes: "{_shown(inside)}"')
        self._put("TEXT", '"' + inside.replace("\\", "").replace('"', "") + '"', token)

    def _put(self, kind: str, text: str, place: Token) -> None:
        self.mended.append(token_like(place, kind, text))

    def _tell(self, place: Token, name: str, message: str, width: int = 0) -> None:
        if width:
            place = token_like(place, place.type, place.value)
            place.end_column = (place.column or 1) + width
        self.mistakes.add(place, name, message)

    # -- quotes that are missing --------------------------------------------------------------------------------------

    def _read_anew(self, line: list[Token]) -> list[Token] | None:
        """The line read as if one quote that it lacks were there, or None if it lacks none."""
        for index, token in enumerate(line):
            mixed = _MIXED.match(self.source, token.start_pos or 0) if token.type == "STRAY" else None
            if mixed:
                whole = self._piece("CURLY_TEXT", mixed[0], token, 0, len(mixed[0]))
                return [*line[:index], whole, *self._rest(line, token, len(mixed[0]))]
        index = next((i for i, token in enumerate(line) if token.type in _OPEN), -1)
        if index < 0:
            return None
        return self._as_path(line) or self._closed(line, index)

    def _closed(self, line: list[Token], index: int) -> list[Token]:
        """Close the text or pattern whose closing makes most sense of the line."""
        last = line[index]
        best: tuple[int, Token, list[Token]] | None = None
        readable = (last.end_pos or 0) - (line[0].start_pos or 0) <= LONGEST_LINE
        for number in range(index, max(-1, index - MOST_READINGS) if readable else index - 1, -1):
            token = line[number]
            if token.type not in _QUOTED or token.line != last.line:
                continue
            for cost, ends in enumerate(_PATTERN_ENDS if "PATTERN" in token.type else _TEXT_ENDS):
                end = ends.search(token, 1)
                if end is None or (token.type not in _OPEN and end.start() >= len(token) - 1):
                    continue
                reading = self._ended(line, number, end)
                if number != index and any(t.type in _OPEN for t in reading):
                    continue
                cost += _touching(reading)
                if best is None or cost < best[0]:
                    best = cost, token, reading
        assert best is not None  # the open one itself always has an end
        _, token, reading = best
        if any(quote in reading[line.index(token)] for quote in "“”„‟«»"):
            self._tell(token, "quotes", "text stands between straight double quotes")
        elif "PATTERN" in token.type:
            self._tell(token, "open-pattern", "this pattern is never closed: a / is missing on this line")
        else:
            self._tell(token, "open-text", 'this text is never closed: a " is missing on this line')
        return reading

    def _ended(self, line: list[Token], number: int, end: re.Match[str]) -> list[Token]:
        token = line[number]
        length = end.start() + (end[0][:1] in "“”„‟«»" and end[0] != "")
        body = token[1:length]
        if "PATTERN" in token.type:
            closed = self._piece("BROKEN", body, token, 0, length)
        else:
            closed = self._piece("TEXT", '"' + re.sub(r'[{}\\"]', "", body) + '"', token, 0, length)
        return [*line[:number], closed, *self._rest(line, token, length)]

    def _as_path(self, line: list[Token]) -> list[Token] | None:
        """`file /var/mail/me` is no pattern but a path that lacks its quotes."""
        for index, token in enumerate(line):
            if (
                token.type in ("PATTERN", "OPEN_PATTERN")
                and index
                and line[index - 1].type not in ("MATCHES", "EXACTLY")
            ):
                path = _PATH.match(self.source, token.start_pos or 0)
                if path:
                    whole = self._piece("UNQUOTED", path[0], token, 0, len(path[0]))
                    return [*line[:index], whole, *self._rest(line, token, len(path[0]))]
        return None

    def _rest(self, line: list[Token], start: Token, offset: int) -> list[Token]:
        """What stands on the line `offset` characters behind the start of a token, cut into tokens anew."""
        behind = line[-1:] if line[-1].type == "LINE_END" else []
        first = (start.start_pos or 0) + offset
        end = self.source.find("\n", first)
        text = self.source[first : end if end >= 0 else len(self.source)]
        tokens = self.grammar.tokens(text)
        return [
            self._piece(token.type, token.value, start, offset + (token.start_pos or 0), offset + (token.end_pos or 0))
            for token in tokens
        ] + behind

    @staticmethod
    def _piece(kind: str, text: str, start: Token, low: int, high: int) -> Token:
        position, column, line = start.start_pos or 0, start.column or 1, start.line
        return Token(kind, text, position + low, line, column + low, line, column + high, position + high)

    # -- lines of other languages -------------------------------------------------------------------------------------

    def _procmail(self, line: list[Token]) -> bool:
        """Take a line of procmail out, if this is one."""
        tokens = [token for token in line if token.type not in ("LINE_END", "COMMENT")]
        if not tokens:
            self.mended = line
            return True
        first = tokens[0]
        text = self.mistakes.lines[(first.line or 1) - 1]
        if _RECIPE.match(text):
            self.recipe = True
        elif self.recipe and first == "*":
            pass
        elif self.recipe:
            self.recipe = False
            self.procmail_blocks += first == "{"
        elif self.procmail_blocks and first == "}":
            self.procmail_blocks -= 1
        elif not _ASSIGNMENT.match(text):
            return False
        self.foreign["a procmail recipe"].append(first)
        self.mended = [
            token_like(first, "BROKEN", ""),
            *[token for token in line if token.type in ("LINE_END", "COMMENT")],
        ]
        return True

    def _sieve(self, line: list[Token]) -> None:
        """Replace what only Sieve can read, so that the rest of the line is left."""
        first = next((token for token in line if token.type not in ("LINE_END", "COMMENT")), None)
        marks = [
            i for i, token in enumerate(line)
            if (token == ":" and _SIEVE_TAG.match(self.source, token.start_pos or 0))
            or (token == "require" and i + 1 < len(line) and line[i + 1].type in ("LSQUARE", "TEXT"))
        ]  # fmt: skip
        if first is None or not marks:
            return
        self.foreign["Sieve"].append(first)
        kept: list[Token] = []
        start = 0
        for i, token in enumerate([*line, None]):
            if token is None or token.type in _RUN_ENDS or token.type == "LINE_END":
                if any(start <= mark < i for mark in marks):
                    kept.append(token_like(line[start], "BROKEN", ""))
                else:
                    kept += line[start:i]
                if token is not None:
                    kept.append(token)
                start = i + 1
        line[:] = kept

    def tell_foreign(self) -> None:
        for what, lines in self.foreign.items():
            if lines:
                count = f" ({len(lines)} such lines)" if len(lines) > 1 else ""
                message = f"this looks like {what}, which is another language{count}"
                self._tell(lines[0], "foreign-language", message)


def _touching(tokens: list[Token]) -> int:
    """How many quoted tokens of a line stand against a word, which happens when quotes are paired wrongly."""
    return sum(
        first.end_pos == second.start_pos
        and (first.type in _QUOTED or second.type in _QUOTED)
        and (first[-1:].isalnum() or second[:1].isalnum() or first.type == second.type)
        for first, second in pairwise(tokens)
    )


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
