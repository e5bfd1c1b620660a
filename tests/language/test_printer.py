"""The canonical form: how rules look in it, that meaning and comments are kept, and that it is reached at once."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydeliver.language import layout, tree
from pydeliver.language.grammar import load
from pydeliver.language.parse import parse
from pydeliver.language.printer import COLUMNS, print_rules
from pydeliver.language.tree import NOWHERE

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "examples" / "rules").glob("*.rules")), ROOT / "tests" / "benchmarks" / "twenty.rules"]


def read(text: str) -> tree.Block:
    parsed = parse(text, "x.rules")
    assert parsed.diagnostics == ()
    return parsed.block


def formatted(text: str) -> str:
    """The canonical text of `text`, which must mean the same and be its own canonical text."""
    block = read(text)
    printed = print_rules(block)
    again = read(printed)
    assert again == block
    assert print_rules(again) == printed
    assert comments(printed) == comments(text)
    return printed


def comments(text: str) -> list[str]:
    return sorted(token.rstrip() for token in load().tokens(text) if token.type == "COMMENT")


def stays(text: str) -> None:
    text = dedent(text).lstrip("\n")
    assert formatted(text) == text


def becomes(text: str, wanted: str) -> None:
    assert formatted(dedent(text)) == dedent(wanted).lstrip("\n")


# -- how it looks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_file_keeps_all_but_the_spaces_before_its_comments(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == re.sub(r"(?<=\S) {2,}#", "  #", text)


def test_the_rules_of_the_language_s_own_picture_are_canonical() -> None:
    stays(
        """
        # ~/.config/pydeliver/main.rules
        language 1  # what this file was written for; old files keep working
        set mailboxes = "~/Maildir"  # where mailbox names are looked up
        let family = ["mum@example.org", "dad@example.org"]

        rule "viruses" if virus { discard }
        if duplicate { discard }  # seen this Message-ID within 7 days

        if from is "boss@example.com" { mark flagged; file "Work/Boss" }
        if from in family { file "Family" }

        rule "junk" if spam.score >= 15 { discard } else if spam { file "Junk" }

        rule "lists" if list-id matches /<(?<list>[\\w-]+)\\.lists\\.debian\\.org>/ {
            file "lists/{list}"
        }

        if envelope.to.detail exists { file "plus/{envelope.to.detail}" }  # bob+shop@example.net

        if size > 10 MB { set header "X-Large" = "yes"; copy file "Archive/{now.year}" }

        if now in 2026-12-20..2027-01-03 and personal {
            vacation "I am away until 3 January." every 7 days
        }

        include "work.rules"

        test "the boss never lands in Junk" {
            message { from "Boss <boss@example.com>"; subject "urgent" }
            given spam.score = 20
            expect file "Work/Boss"
        }
        """
    )


@pytest.mark.parametrize(
    "text",
    [
        'from is not "a", "b"',
        'from not contains exactly "Bob"',
        "from.domain is not envelope.from.domain",
        'header "X-A" not exists',
        "size not < 10 MB",
        'subject starts with "a" and subject not ends with "b" or attachment.name like "*.pdf"',
        "envelope.client in 192.0.2.0/24, 2001:db8::/32 and now in 18:30..19:00 or a in 9..17",
        "lower(subject) is without-reply-prefix(header, 2)",
        'in-file is file ["a", ["b"], 1..2]',
        'any attachment where name ends with ".exe"',
        "count to > 20 per hour by from.address",
        "size in 1 MB..20 MB",
        "date < 2026-12-20 18:05 and age > 0.5 days",
        'run "a" succeeds or else no and output of "b" is "c" or else keep or f > 2 or else no',
        'header "X" exists or else no',
        "not (a and not (b or c)) and (d and e) and not f is 1 or g and h or (i or j)",
    ],
)
def test_a_condition_written_canonically_stays(text: str) -> None:
    stays(f"if {text} {{ keep }}\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("if   ((a))and(((b)or(c))){keep}", "if a and (b or c) { keep }\n"),
        ("if (a and b) or (not (c)) { keep; }", "if a and b or not c { keep }\n"),
        ("a;b  ;;c", "a\nb\nc\n"),
        ("if a { b { c } d }", "if a { b { c }; d }\n"),
        ("if a {\n}else{\n\n}", "if a { } else { }\n"),
        ("x [ 1,2 , ] ,9:05 .. 10:00", "x [1, 2], 09:05..10:00\n"),
        ("x 007.50 10MB 3..-4", "x 7.5 10 MB 3..-4\n"),
        ("x f ( a,) \t 0.000001", "x f(a) 0.000001\n"),
        ("let x=condition a", "let x = condition a\n"),
        ('pipe "a"  or  else{b ; c}', 'pipe "a" or else { b; c }\n'),
        ('pipe "a"\n or else keep\nb', 'pipe "a" or else keep\nb\n'),
        ('let x = a "b"  or \t else   no', 'let x = a "b" or else no\n'),
        ("\n\n\na\r\n\n\n\nb\n\n", "a\n\nb\n"),
        ("a; every 7 days", "a\n; every 7 days\n"),
        ("", ""),
        ("\n  # only this  \n\n", "# only this\n"),
    ],
)
def test_spaces_and_needless_signs_become_canonical(text: str, wanted: str) -> None:
    assert formatted(text) == wanted


def test_a_block_stays_open_or_closed_as_it_was_written() -> None:
    stays("if a { b; c }\n")
    stays("if a {\n    b\n}\n")
    becomes("if a { b\n}", "if a {\n    b\n}\n")


def test_the_blocks_of_one_if_are_opened_together() -> None:
    becomes("if a { b; c } else {\nd }", "if a {\n    b\n    c\n} else {\n    d\n}\n")
    becomes("if a { b }\n\nelse if c { d }", "if a { b } else if c { d }\n")


def test_a_block_is_opened_from_the_column_that_does_not_fit() -> None:
    fits = f'if a {{ file "{"x" * (COLUMNS - 16)}" }}\n'
    assert len(fits) == COLUMNS + 1
    stays(fits)
    stays(fits.replace("\n", "  # a comment does not count\n"))
    becomes(fits.replace("if a", "if aa"), fits.replace("if a { ", "if aa {\n    ").replace(" }", "\n}"))


def test_what_is_too_wide_is_opened_from_the_outside_in() -> None:
    a, b, c = [f'"{letter * 30}"' for letter in "abc"]
    becomes(
        f"""
        let x = [{a}, {b}, {c}]
        let y = condition from is {a} or (spam or virus) and subject contains {b} or to is {c}
        if from is {a}, {b}, {c} {{ keep }}
        if spam or from is {a}, {b}, {c} and not (to is {a} or to is {b} or to is {c}, {a}) {{ keep }}
        vacation {a} {b} {c} every 7 days until 2026-12-20
        file {a}, {b}, {c} {{ keep }}
        set header = {a} {b}, {c} [{a}]
        """,
        f"""
        let x = [
            {a},
            {b},
            {c},
        ]
        let y = condition from is {a}
            or (spam or virus) and subject contains {b}
            or to is {c}
        if from is {a},
            {b},
            {c}
        {{
            keep
        }}
        if spam
            or from is {a},
                    {b},
                    {c}
                and not (
                    to is {a}
                    or to is {b}
                    or to is {c}, {a}
                )
        {{
            keep
        }}
        vacation {a} {b} {c}
            every 7 days
            until 2026-12-20
        file {a},
            {b},
            {c}
        {{
            keep
        }}
        set header = {a} {b},
            {c} [{a}]
        """,
    )


def test_a_long_text_keeps_every_character() -> None:
    stays('if a {\n    reply """\n  Hello,\n      {name}\n """ every 7 days\n    keep\n}\n')
    stays('if subject is """a\nb""" { keep }\n')


# -- comments -------------------------------------------------------------------------------------------------------


def test_comments_stay_in_their_places() -> None:
    stays(
        """
        # above

        # nearer
        a  # behind

        # apart

        if b {  # opening
            # above c
            c  # behind c

            # closing
        }  # behind all
        rule "x" {  # nothing else
        }
        let x = [  # opening
            # above 1
            1,
            2,  # behind 2
            # above 3

            # nearer
            3,  # behind 3
            # closing
        ]
        file "a",  # behind a
            # above b
            "b"
        if c  # behind c
            # above d
            and d
            and (
                e
                # above f
                or f
            )
        {
            keep
        }
        # end
        """
    )


def test_a_comment_without_a_place_moves_to_the_next_best() -> None:
    found = "# 1\nif a is a {\n    b\n} else {\n    # 2\n    # 3\n    c\n}\n"
    becomes("if a is # 1\n a { b } # 2\n else # 3\n { c }", found)
    becomes("if a is # 1\n b # 2\n and c { }", "if a is b  # 1\n    # 2\n    and c\n{ }\n")
    becomes("x f( # 1\n 1 # 2\n, # 3\n 2)", "# 1\n# 2\n# 3\nx f(1, 2)\n")
    becomes("if a and ( # 1\n b) { c; # 2\n}", "if a  # 1\n    and b\n{\n    c  # 2\n}\n")


def test_a_tree_with_a_gap_is_refused() -> None:
    gap = tree.Let(NOWHERE, "x", tree.Broken(NOWHERE))
    with pytest.raises(TypeError, match="Broken"):
        print_rules(tree.Block(NOWHERE, (gap,)))


# -- any tree -------------------------------------------------------------------------------------------------------
#
# The shapes of the grammar, one function a line of it; `depth` is how many more may stand inside one another.

Draw = st.DrawFn
WORDS = st.sampled_from(["from", "subject", "x-y", "größe", "a1", "file", "lower", "every", "until", "within"])
UNITS = st.sampled_from(["MB", "days", "ü", "T", "e"])
DECIMALS = st.decimals(-(10**9), 10**9, places=4, allow_nan=False).map(float) | st.integers(-(10**14), 10**14).map(
    float
)
MINUTES = st.integers(0, 24 * 60 - 1)
NETWORKS = (
    st.ip_addresses().map(str) | st.ip_addresses(v=4).map("{}/24".format) | st.ip_addresses(v=6).map("{}/64".format)
)
PATTERNS = st.sampled_from([r"a\/b", "[^/]+ #{2,3}", "[]/]", r"\\", '"', "x" * 60])
LITERALS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SPANS = st.sampled_from([NOWHERE, tree.Span(1, 1, 2, 1)])
TEXT_OPERATORS = st.sampled_from(["is", "contains", "starts with", "ends with", "like", "matches", "in"])
ORDERS = st.sampled_from(["<", "<=", ">", ">="])


@st.composite
def names(draw: Draw) -> tree.Name:
    return tree.Name(NOWHERE, tuple(draw(st.lists(WORDS, min_size=1, max_size=2))))


@st.composite
def leaves(draw: Draw) -> tree.Value:
    day, minute = draw(st.dates()), draw(MINUTES)
    return draw(
        st.sampled_from(
            [
                draw(names()),
                tree.Number(NOWHERE, draw(DECIMALS)),
                tree.Quantity(NOWHERE, draw(DECIMALS), draw(UNITS)),
                tree.Date(NOWHERE, day.year, day.month, day.day, draw(st.sampled_from([None, minute]))),
                tree.Clock(NOWHERE, minute),
                tree.Network(NOWHERE, draw(NETWORKS)),
            ]
        )
    )


@st.composite
def texts(draw: Draw, depth: int) -> tree.Text:
    parts: list[str | tree.Value] = []
    for literal in draw(st.lists(st.booleans(), max_size=3)):
        if literal and not (parts and isinstance(parts[-1], str)):
            parts.append(draw(LITERALS))
        else:
            parts.append(draw(holes(depth)))
    return tree.Text(NOWHERE, tuple(parts))


@st.composite
def holes(draw: Draw, depth: int) -> tree.Value:
    if draw(st.booleans()):
        return tree.Name(NOWHERE, (str(draw(st.integers(0, 99))),))
    return alone((draw(names()), *draw(rows(depth - 1, False, 0))))


@st.composite
def atoms(draw: Draw, depth: int, quoted: bool) -> tree.Value:
    """`quoted`: texts and patterns may stand in it; in a hole they may not."""
    kind = draw(st.integers(0, 7))
    if depth > 0 and kind in (0, 1):
        items = tuple(draw(st.lists(items_(depth - 1, quoted), max_size=4)))
        return tree.List(NOWHERE, items) if kind else tree.Call(NOWHERE, draw(names()), items)
    if quoted and kind == 2:
        return tree.Pattern(NOWHERE, draw(PATTERNS), draw(st.sampled_from(["", "i"])))
    return draw(texts(depth)) if quoted and kind in (3, 4) else draw(leaves())


@st.composite
def items_(draw: Draw, depth: int, quoted: bool) -> tree.Value:
    if draw(st.integers(0, 5)):
        return draw(atoms(depth, quoted))
    return tree.Range(NOWHERE, draw(atoms(depth, quoted)), draw(atoms(depth, quoted)))


@st.composite
def rows(draw: Draw, depth: int, quoted: bool = True, least: int = 1, several: bool = False) -> tuple[tree.Value, ...]:
    """Values in a row; `several`: where one value stands, some may stand, joined by commas."""
    parts: list[tree.Value] = []
    for _ in range(draw(st.integers(least, 3))):
        values = draw(st.lists(items_(depth, quoted), min_size=1, max_size=4 if several and draw(st.booleans()) else 1))
        before = edge(parts[-1], -1) if parts else None
        unit = isinstance(before, tree.Number) and isinstance(edge(values[0], 0), tree.Name)
        time = isinstance(before, tree.Date) and isinstance(edge(values[0], 0), tree.Clock)
        if unit or time:
            values[0] = tree.List(NOWHERE, ())  # behind a number a word would be its unit, behind a date a time its own
        parts.append(values[0] if len(values) == 1 else tree.List(NOWHERE, tuple(values), bracketed=False))
    return tuple(parts)


@st.composite
def phrases(draw: Draw, depth: int) -> tuple[tree.Value, ...]:
    """What a command or a condition begins with: a word, and what is behind it."""
    return (draw(names()), *draw(rows(depth, least=0, several=True)))


def fallbacks() -> st.SearchStrategy[tree.Name | None]:
    """What stands behind an `or else`, if one is there."""
    return st.none() | st.sampled_from(["defer", "keep", "no"]).map(lambda word: tree.Name(NOWHERE, (word,)))


@st.composite
def operands(draw: Draw, depth: int) -> tree.Value:
    values = tuple([alone(row) for row in draw(st.lists(rows(depth), min_size=1, max_size=3))])
    return values[0] if len(values) == 1 else tree.List(NOWHERE, values, bracketed=False)


def edge(value: tree.Value, side: int) -> tree.Value:
    """The first or the last of what stands in `value` without brackets."""
    if isinstance(value, tree.List) and not value.bracketed:
        return edge(value.items[side], side)
    if isinstance(value, tree.Range):
        return value.high if side else value.low
    return value


def alone(parts: tuple[tree.Value, ...]) -> tree.Value:
    return parts[0] if len(parts) == 1 else tree.Phrase(NOWHERE, parts)


@st.composite
def conditions(draw: Draw, depth: int) -> tree.Condition:
    kind = draw(st.integers(0, 6))
    if depth > 0 and kind in (0, 1, 2):
        if kind == 0:
            return tree.Not(NOWHERE, draw(conditions(depth - 1)))
        parts = tuple(draw(st.lists(conditions(depth - 1), min_size=2, max_size=3)))
        return tree.And(NOWHERE, parts) if kind == 1 else tree.Or(NOWHERE, parts)
    subject, negated = alone(draw(phrases(1))), draw(st.booleans())
    if kind == 3:
        return tree.Question(NOWHERE, subject, draw(fallbacks()))
    if kind == 4:
        return tree.Comparison(NOWHERE, subject, "exists", None, negated, otherwise=draw(fallbacks()))
    operand = draw(operands(2))
    if kind == 5:
        return tree.Comparison(NOWHERE, subject, draw(ORDERS), operand, negated, otherwise=draw(fallbacks()))
    exactly = draw(st.booleans())
    return tree.Comparison(NOWHERE, subject, draw(TEXT_OPERATORS), operand, negated, exactly, draw(fallbacks()))


@st.composite
def blocks(draw: Draw, depth: int) -> tree.Block:
    return tree.Block(draw(SPANS), tuple(draw(st.lists(statements(depth), max_size=3))))


@st.composite
def ifs(draw: Draw, depth: int) -> tree.If:
    branches = draw(st.lists(st.tuples(conditions(2), blocks(depth)), min_size=1, max_size=2))
    return tree.If(NOWHERE, tuple(branches), draw(st.none() | blocks(depth)))


@st.composite
def statements(draw: Draw, depth: int) -> tree.Statement:
    kind, blank = draw(st.integers(0, 6)), draw(st.booleans())
    if depth > 0 and kind == 0:
        return draw(ifs(depth - 1))
    if depth > 0 and kind == 1:
        body = draw(ifs(depth - 1) if draw(st.booleans()) else blocks(depth - 1))
        return tree.Rule(NOWHERE, draw(texts(1)), body, blank_before=blank)
    if kind == 2:
        if draw(st.booleans()):
            return tree.Let(NOWHERE, draw(WORDS), draw(conditions(2)), blank_before=blank)
        return tree.Let(NOWHERE, draw(WORDS), draw(operands(3)), draw(fallbacks()), blank_before=blank)
    value, *rest = draw(rows(2, several=True)) if draw(st.booleans()) else (None,)
    if kind == 4:
        otherwise = draw(blocks(depth - 1) if depth > 0 and draw(st.booleans()) else fallbacks())
        return tree.Command(NOWHERE, draw(phrases(2)), otherwise=otherwise, blank_before=blank)
    block = draw(blocks(depth - 1)) if depth > 0 and kind == 3 else None
    return tree.Command(NOWHERE, draw(phrases(2)), value, tuple(rest), block, blank_before=blank)


@settings(suppress_health_check=[HealthCheck.too_slow])  # trees are large
@given(blocks(2))
def test_any_tree_is_read_back_the_same_from_its_text(block: tree.Block) -> None:
    printed = print_rules(block)
    again = read(printed)
    assert again == block
    assert print_rules(again) == printed


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(blocks(2), st.data())
def test_no_comment_is_lost_wherever_it_stands(block: tree.Block, data: st.DataObject) -> None:
    written = strewn(print_rules(block), data)
    read_back = read(written)
    assert read_back == block
    assert formatted(written).endswith("\n") or not written.strip()


def strewn(text: str, data: st.DataObject) -> str:
    """`text` with comments and empty lines wherever a line may end without ending a statement, or has ended."""
    raw = load().tokens(text)
    written, last, count = "", "LINE_END", 0
    for token in raw:
        goes_on = (
            last in layout.GOES_ON_AFTER | {"LINE_END", "SEMICOLON"}
            or token.type in layout.GOES_ON_BEFORE | {"LINE_END", "SEMICOLON"}
            or token in layout.CONTINUING_WORDS
        )
        if goes_on and not data.draw(st.integers(0, 3)):
            count += 1
            written += (
                data.draw(st.sampled_from([" ", "\n", "\n\n"])) + f"# {count}" + "\n" * data.draw(st.integers(1, 2))
            )
        written += " " + token
        last = token.type
    return written
