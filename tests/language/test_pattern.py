"""Patterns: what they are translated to, what they match, and what is told about those that can't be run."""

from __future__ import annotations

from string import printable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pydeliver.language.load import compile_rules
from pydeliver.language.pattern import Problem, prepare
from pydeliver.vocabulary.operator import pattern
from tests.rules import PATH, Library, holds, judge

WORD = r"\p{L}\p{M}\p{N}_"
SPACE = r"\t\n\v\f\r\x{85}\p{Z}"

TRANSLATED = [
    ("abc", "abc"),
    ("", ""),
    (r"\w+", f"[{WORD}]+"),
    (r"\W", f"[^{WORD}]"),
    (r"\d", r"\p{Nd}"),
    (r"\D", r"\P{Nd}"),
    (r"\s", f"[{SPACE}]"),
    (r"\S", f"[^{SPACE}]"),
    (r"[\w.-]", f"[{WORD}.-]"),
    (r"[^\w]", f"[^{WORD}]"),
    (r"[\d\s]", rf"[\p{{Nd}}{SPACE}]"),
    (r"[^\D]", r"[^\P{Nd}]"),
    # A ] that stands first is a member of its class, as the names in [: :] are.
    (r"[]\w]\w", f"[]{WORD}][{WORD}]"),
    (r"[^]\w]\w", f"[^]{WORD}][{WORD}]"),
    (r"[[:alpha:]\d]\d", r"[[:alpha:]\p{Nd}]\p{Nd}"),
    # What is escaped means itself.
    (r"\\w", r"\\w"),
    (r"\[\w", rf"\[[{WORD}]"),
    (r"[\]\w]\w", rf"[\]{WORD}][{WORD}]"),
    (r"\/", r"\/"),
    # What RE2 knows by itself stays.
    (r"^a$|\bb\B", r"^a$|\bb\B"),
    (r"(?i:a)(?s).", r"(?i:a)(?s)."),
    (r"\p{Greek}\x{e4}\Aa\z", r"\p{Greek}\x{e4}\Aa\z"),
    ("ä*?b+?c??d{2,3}?", "ä*?b+?c??d{2,3}?"),
]

CAPTURES = [
    ("a", ["0"]),
    ("(a)(b)", ["0", "1", "2"]),
    ("(?:a)(b)", ["0", "1"]),
    (r"\((a)\)", ["0", "1"]),
    ("(?<n>a)", ["0", "1", "n"]),
    ("(?P<n>a)", ["0", "1", "n"]),
    ("(?<n>a)(b)(?P<m_2>c)", ["0", "1", "2", "3", "n", "m_2"]),
    ("(?<a>(?<b>x))", ["0", "1", "2", "a", "b"]),
    (r"\(?<n>a", ["0"]),
]

LOOK = "look-around and other Perl extensions are not possible in linear time"
BACK = "RE2 does not know this escape (back references are not possible in linear time)"
INSIDE = "can't stand inside [ ]; write a negated class [^…] instead"

# A pattern, what is wrong with it, from where and for how many characters.
PROBLEMS = [
    ("a(?=x)", LOOK, 1, 3),
    ("a(?!x)", LOOK, 1, 3),
    ("a(?<=x)", LOOK, 1, 4),
    ("a(?<!x)", LOOK, 1, 4),
    ("a(?>x)", LOOK, 1, 3),
    ("(?P=a)", LOOK, 0, 3),
    (r"(a)\1", BACK, 3, 2),
    (r"(?<n>a)\k<n>", BACK, 7, 2),
    (r"a\y", BACK, 1, 2),
    (r"\Z", BACK, 0, 2),
    (r"[a\W]", rf"`\W` {INSIDE}", 2, 2),
    (r"[^\S]", rf"`\S` {INSIDE}", 2, 2),
    ("a|*", "nothing stands before this to repeat", 2, 1),
    ("a**", "repetition operators can't be doubled", 1, 2),
    ("a?+", "repetition operators can't be doubled", 1, 2),
    ("a{1001}", "a repetition goes from less to more, and up to 1000", 1, 6),
    ("ä(b", "this ( is never closed", 1, 1),
    ("(a)(b(c)", "this ( is never closed", 3, 1),
    (r"\([(](a", "this ( is never closed", 5, 1),
    ("(?<n>a", "this ( is never closed", 0, 1),
    ("(a))", "this ) closes nothing", 3, 1),
    ("a[b", "this [ is never closed", 1, 2),
    ("a[z-a]", "this range runs backwards", 2, 3),
    ("ab\\", "a pattern can't end in a backslash", 2, 1),
    ("(?<1a>x)", "`1a` can't name a capture: letters, digits and _ only", 3, 2),
    ("(?<a-b>x)", "`a-b` can't name a capture: letters, digits and _ only", 3, 3),
    ("(?P<ä>x)", "`ä` can't name a capture: letters, digits and _ only", 4, 1),
    ("(?<>x)", "`` can't name a capture: letters, digits and _ only", 3, 1),
    ("(?<a>x)(?<b>y)(?P<a>z)", "two captures are named `a`", 18, 1),
    ("(?<a", "a capture is named with letters, digits and _ only", 0, 4),
]


@pytest.mark.parametrize(("written", "source"), TRANSLATED)
def test_a_pattern_is_translated_for_re2(written: str, source: str) -> None:
    made = prepare(written)
    assert not isinstance(made, Problem)
    assert made[0] == source


@pytest.mark.parametrize(("written", "names"), CAPTURES)
def test_captures_are_known_by_number_and_by_name(written: str, names: list[str]) -> None:
    made = prepare(written)
    assert not isinstance(made, Problem)
    assert list(made[1]) == names


@pytest.mark.parametrize(("written", "message", "at", "width"), PROBLEMS)
def test_a_mistake_is_told_in_plain_words_where_it_stands(written: str, message: str, at: int, width: int) -> None:
    assert prepare(written) == Problem(message, at, width)


def test_the_place_in_a_pattern_is_a_place_in_the_file() -> None:
    text = 'keep\nif subject matches /ä\\/(b/ or from is "x" { keep }\n'
    (found,) = [one for one in compile_rules(PATH, text.encode(), Library({})).diagnostics if one.severity == "error"]
    assert (found.line, found.column, found.width, found.name) == (2, 24, 1, "bad-pattern")
    assert found.message == "this ( is never closed"


@pytest.mark.parametrize("written", [r"a\/b", r"a[\/]b"])
def test_a_slash_is_escaped_in_a_rule(written: str) -> None:
    assert holds(f"subject matches /{written}/", b"Subject: xa/bx\n\n")


@pytest.mark.parametrize(
    ("written", "subject", "fits"),
    [
        (r"^\w+$", "Größe", True),
        (r"^\w+$", "по_чта", True),
        (r"^\w+$", "e\u0301", True),
        (r"^\w+$", "日本語", True),
        (r"^\w+$", "a-b", False),
        (r"\W", "Größe", False),
        (r"^\d\d$", "٤٢", True),
        (r"^\d$", "²", False),
        (r"\D", "٤٢", False),
        (r"^a\sb$", "a\u3000b", True),
        (r"^a\Sb$", "aäb", True),
        (r"^[\w.]+$", "ä.ö", True),
        (r"^[^\w]$", "ä", False),
        (r"straße", "STRAßE", True),
        (r"größe", "GRÖSSE", False),
        (r"ÄÖ", "äö", True),
        (r"^a.b$", "a€b", True),
        # Unlike \w, \b knows ASCII only.
        (r"\bl\b", "öl", True),
        (r"\bl\b", "ol", False),
    ],
)
def test_classes_mean_letters_digits_and_spaces_of_every_script(written: str, subject: str, fits: bool) -> None:
    assert holds(f"subject matches /{written}/", f"Subject: {subject}\n\n".encode()) is fits


def test_exactly_asks_for_case() -> None:
    message = b"Subject: Winner\n\n"
    assert holds("subject matches /wINNER/", message)
    assert holds("subject matches exactly /Winner/", message)
    assert not holds("subject matches exactly /winner/", message)
    assert holds("subject matches exactly /(?i)winner/", message)


def test_line_ends_are_those_of_every_line() -> None:
    message = b"A: 1\nX-Spam: yes\nB: 2\n\n"
    assert holds("headers matches /^x-spam: yes$/", message)
    assert not holds(r"headers matches /\Ax-spam/", message)
    assert not holds("headers matches /yes.b/", message)


@pytest.mark.parametrize("named", ["(?<tag>", "(?P<tag>"])
def test_what_is_captured_is_shown_by_number_and_by_name(named: str) -> None:
    rules = rf'if subject matches /\[{named}\w+)( #(\d+))?\]/ {{ log "{{0}} {{1}} {{tag}} {{3}}." }}'
    assert judge(rules, b"Subject: x [Bug #12]\n\n").log == ("[Bug #12] Bug Bug 12.",)
    assert judge(rules, b"Subject: x [Bug]\n\n").log == ("[Bug] Bug Bug .",)
    for unknown in (rules.replace("{3}", "{4}"), rules.replace("{tag}", "{tags}")):
        assert not compile_rules(PATH, unknown.encode(), Library({})).ok


# Pieces that patterns are made of, whole and broken.
PIECES = [
    *r"( ) [ ] [^ (?: (?<n> (?P<m> (?= {2} { * + ? | ^ $ . - \ \w \d \S \b \1 \Q [:alpha:] a Z ä 0 < >".split(),
    " ",
    "\n",
]


@settings(phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=1_000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(printable, max_size=20))
def test_whatever_is_written_is_told_inside_it_or_runs(written: str) -> None:
    made = prepare(written)
    if isinstance(made, Problem):
        assert made.message
        assert 0 <= made.at <= len(written)
        assert 1 <= made.width <= max(1, len(written) - made.at)
    else:
        source, names = made
        compiled = pattern(source, exactly=False)
        assert names[: compiled.groups + 1] == tuple(str(number) for number in range(compiled.groups + 1))
