"""Valid texts become the trees they should; whatever else the parser is given, it answers, and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pydeliver.language import tree as t
from pydeliver.language.layout import MOST_BLOCKS, MOST_BRACKETS
from pydeliver.language.parse import MOST_CHARACTERS, decode, parse
from pydeliver.status import Diagnostic

VALID = sorted((Path(__file__).parent / "valid").glob("*.rules"))
TEXTS = [path.read_text(encoding="utf-8") for path in VALID]
AT = t.NOWHERE


def block(text: str) -> t.Block:
    parsed = parse(text, "main.rules")
    assert parsed.diagnostics == ()
    return parsed.block


def statement(text: str) -> t.Statement:
    (only,) = block(text).statements
    return only


def condition(text: str) -> t.Condition:
    made = statement(f"if {text} {{ keep }}")
    assert isinstance(made, t.If)
    return made.branches[0][0]


def value(text: str) -> t.Value:
    made = statement(f"let x = {text}")
    assert isinstance(made, t.Let)
    return made.value  # type: ignore[return-value]


def mistakes(text: str) -> list[tuple[int, int, str]]:
    return [(one.line, one.column, one.name) for one in parse(text, "main.rules").diagnostics]


def name(dotted: str) -> t.Name:
    return t.Name(AT, tuple(dotted.split(".")))


def text(*parts: str | t.Value) -> t.Text:
    return t.Text(AT, parts)


def in_file(found: Diagnostic, source: str) -> bool:
    """Whether the place and the caret lie in the file, the end of a line included."""
    lines = source.removeprefix("\ufeff").split("\n")
    return (
        1 <= found.line <= len(lines)
        and 1 <= found.column <= len(lines[found.line - 1]) + 1
        and found.column + found.width <= len(lines[found.line - 1]) + 2
        and found.source == lines[found.line - 1].rstrip("\r")
    )


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_files_are_read_without_a_word(path: Path) -> None:
    parsed = parse(path.read_text(encoding="utf-8"), path.name)
    assert parsed.diagnostics == ()


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    assert block("\ufeff" + written.replace("\n", "\r\n")) == block(written)


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"a"', text("a")),
        ('""', text()),
        ('"a{b.c}d"', text("a", name("b.c"), "d")),
        ('"{1}"', text(name("1"))),
        ('"{lower(x)}"', text(t.Call(AT, name("lower"), (name("x"),)))),
        ('"{first 3 of x}"', text(t.Phrase(AT, (name("first"), t.Number(AT, 3), name("of"), name("x"))))),
        (r'"\"\\\n\t\{\}}\Junk"', text('"\\\n\t{}}\\Junk')),
        ('"""a"b"""', text('a"b')),
        ('"""\n    a\n      {b}\n    """', text("a\n  ", name("b"), "\n")),
        ('"""a\r\n  b"""', text("a\nb")),
        ("3", t.Number(AT, 3)),
        ("-1.5", t.Number(AT, -1.5)),
        ("10 MB", t.Quantity(AT, 10, "MB")),
        ("10MB", t.Quantity(AT, 10, "MB")),
        ("3 per hour", t.Phrase(AT, (t.Number(AT, 3), name("per"), name("hour")))),
        ("2026-12-20", t.Date(AT, 2026, 12, 20)),
        ("2026-12-20T18:30", t.Date(AT, 2026, 12, 20, 1110)),
        ("18:30", t.Clock(AT, 1110)),
        ("192.0.2.0/24", t.Network(AT, "192.0.2.0/24")),
        ("2001:db8::/32", t.Network(AT, "2001:db8::/32")),
        ("::ffff:192.0.2.1", t.Network(AT, "::ffff:192.0.2.1")),
        (r"/a\/[/]{2,3}/", t.Pattern(AT, r"a\/[/]{2,3}")),
        ("/x/i", t.Pattern(AT, "x", "i")),
        ("a.b-c", name("a.b-c")),
        ("Zu\u0308rich", name("Zürich")),
        ("lower(x, 1,)", t.Call(AT, name("lower"), (name("x"), t.Number(AT, 1)))),
        ("9..17", t.Range(AT, t.Number(AT, 9), t.Number(AT, 17))),
        ("a..b", t.Range(AT, name("a"), name("b"))),
        ("[1, 2,]", t.List(AT, (t.Number(AT, 1), t.Number(AT, 2)))),
        ("[]", t.List(AT, ())),
        ("1, 2", t.List(AT, (t.Number(AT, 1), t.Number(AT, 2)), bracketed=False)),
        ('output of "x"', t.Phrase(AT, (name("output"), name("of"), text("x")))),
    ],
)
def test_a_value_is_what_it_looks_like(written: str, meant: t.Value) -> None:
    assert value(written) == meant


def test_a_text_keeps_its_spelling() -> None:
    found = value(r'"\Junk"')
    assert isinstance(found, t.Text)
    assert found.raw == r'"\Junk"'


@pytest.mark.parametrize(
    ("written", "check"),
    [
        ("2026-02-30", "bad-date"),
        ("2026-01-01T24:00", "bad-date"),
        ("24:00", "bad-time"),
        ("9" * 20, "bad-number"),
        ("9" * 20 + " MB", "bad-number"),
    ],
)
def test_a_value_that_cannot_be_is_told_and_broken(written: str, check: str) -> None:
    parsed = parse(f"let x = {written}", "main.rules")
    assert [(one.column, one.name) for one in parsed.diagnostics] == [(9, check)]
    (let,) = parsed.block.statements
    assert isinstance(let, t.Let)
    assert isinstance(let.value, t.Broken)


@pytest.mark.parametrize("hole", ["{}", "{a", "{a, b}", "{2,3}", "{a is}", "{-1}"])
def test_a_hole_that_holds_no_value_is_told(hole: str) -> None:
    found = parse(f'\nfile "x{hole}"', "main.rules").diagnostics
    assert [(one.line, one.column, one.name) for one in found] == [(2, 8, "bad-hole")]
    assert "\\{" in found[0].hint


def test_a_hole_in_a_long_text_is_found_on_its_line() -> None:
    assert mistakes('log """\n  one\n  two {}\n"""') == [(3, 7, "bad-hole")]


def test_places_in_a_hole_are_those_of_the_file() -> None:
    command = statement('\n  file "x/{ subject }"')
    assert isinstance(command, t.Command)
    found = command.words[1]
    assert isinstance(found, t.Text)
    assert isinstance(found.parts[1], t.Name)
    assert found.parts[1].span == t.Span(2, 13, 2, 20)


# -- conditions -------------------------------------------------------------------------------------------------


def question(dotted: str) -> t.Question:
    return t.Question(AT, name(dotted))


@pytest.mark.parametrize(
    ("written", "operator", "negated", "exactly"),
    [
        ("is", "is", False, False),
        ("is not", "is", True, False),
        ("is not exactly", "is", True, True),
        ("contains exactly", "contains", False, True),
        ("not contains", "contains", True, False),
        ("starts with", "starts with", False, False),
        ("not ends  with", "ends with", True, False),
        ("like", "like", False, False),
        ("matches", "matches", False, False),
        ("not in", "in", True, False),
        ("<", "<", False, False),
        ("not >=", ">=", True, False),
    ],
)
def test_an_operator_is_read_with_its_negation(written: str, operator: str, negated: bool, exactly: bool) -> None:
    found = condition(f"subject {written} x")
    assert found == t.Comparison(AT, name("subject"), operator, name("x"), negated, exactly)
    assert isinstance(found, t.Comparison)
    assert found.operator_span == t.Span(1, 12, 1, 12 + len(written))


def test_exists_has_no_operand() -> None:
    subject = t.Phrase(AT, (name("header"), text("X")))
    assert condition('header "X" exists') == t.Comparison(AT, subject, "exists", None)
    assert condition('header "X" not exists') == t.Comparison(AT, subject, "exists", None, negated=True)


def test_and_binds_tighter_than_or_and_not_tighter_than_both() -> None:
    a, b, c = question("a"), question("b"), question("c")
    assert condition("a or not b and c") == t.Or(AT, (a, t.And(AT, (t.Not(AT, b), c))))
    assert condition("a and b and c") == t.And(AT, (a, b, c))
    assert condition("a and (b and c)") == t.And(AT, (a, t.And(AT, (b, c))))
    assert condition("not (a or b)") == t.Not(AT, t.Or(AT, (a, b)))


def test_parentheses_belong_to_the_place_of_what_they_hold() -> None:
    found = condition("not (\na\n)")
    assert found.span == t.Span(1, 4, 3, 2)
    (let,) = block("let x = condition (\na\n) # behind").statements
    assert let.trailing is not None


def test_operands_may_be_phrases_joined_by_commas() -> None:
    phrase = t.Phrase(AT, (name("optional"), name("file"), text("a")))
    several = t.List(AT, (text("x"), phrase, text("b")), bracketed=False)
    assert condition('from in "x", optional file "a", "b"') == t.Comparison(AT, name("from"), "in", several)


def test_a_question_is_a_phrase() -> None:
    parts = (name("duplicate"), name("by"), name("message-id"), name("within"), t.Quantity(AT, 7, "days"))
    assert condition("duplicate by message-id within 7 days") == t.Question(AT, t.Phrase(AT, parts))


# -- statements -------------------------------------------------------------------------------------------------


def test_words_of_the_vocabulary_are_nothing_to_the_grammar() -> None:
    assert statement('gargle "x" sideways 3') == t.Command(
        AT, (name("gargle"), text("x"), name("sideways"), t.Number(AT, 3))
    )


def test_a_command_may_give_a_value_and_have_a_block() -> None:
    keep = t.Command(AT, (name("keep"),))
    assert statement('set mailboxes = "~/Mail" as mbox') == t.Command(
        AT, (name("set"), name("mailboxes")), text("~/Mail"), (name("as"), name("mbox"))
    )
    assert statement('test "x" { keep }') == t.Command(AT, (name("test"), text("x")), block=t.Block(AT, (keep,)))


def test_a_chain_of_else_if_is_flat() -> None:
    made = statement("if a { keep } else if b { } else { discard }")
    assert isinstance(made, t.If)
    assert [found for found, _ in made.branches] == [question("a"), question("b")]
    assert made.otherwise == t.Block(AT, (t.Command(AT, (name("discard"),)),))


def test_a_let_may_hold_a_condition() -> None:
    assert statement("let x = condition a") == t.Let(AT, "x", question("a"))
    assert statement("let x = a") == t.Let(AT, "x", name("a"))


def test_a_let_has_a_plain_name() -> None:
    assert mistakes("let a.b = 1") == [(1, 5, "bad-name")]


def test_a_rule_has_a_condition_or_a_block() -> None:
    keep = t.Block(AT, (t.Command(AT, (name("keep"),)),))
    assert statement('rule "x" { keep }') == t.Rule(AT, text("x"), keep)
    assert statement('rule "x" if a { keep }') == t.Rule(AT, text("x"), t.If(AT, ((question("a"), keep),)))


# -- lines and comments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["a\nb", "a;b", "a ; ; \n b;", "if x { a; } b", "if x\n{\na\n}\nb", "a # c\nb"])
def test_statements_end_at_the_line_end_or_a_semicolon_or_a_brace(written: str) -> None:
    assert len(block(written).statements) == 2


@pytest.mark.parametrize(
    "written",
    [
        'from is\n"a"',
        'from is "a",\n"b"',
        "a\nand b",
        "a or\nb",
        "not\na",
        "(\na\n)",
        'from is [\n"a",\n"b",\n]',
        "seen\nwithin 7 days",
        'from is "a", # comment\n # another\n "b"',
    ],
)
def test_a_line_goes_on_where_a_statement_cannot_end(written: str) -> None:
    condition(written)


def test_comments_find_their_places() -> None:
    found = block("# a\n\nkeep # b\nif x { # c\n# d\ndiscard # e\n# f\n} # g\n\n# h\n")
    keep, conditional = found.statements
    assert [c.text for c in keep.comments] == ["# a"]
    assert keep.blank_before
    assert keep.trailing is not None
    assert keep.trailing.text == "# b"
    assert isinstance(conditional, t.If)
    inner = conditional.branches[0][1]
    assert inner.opening is not None
    assert inner.opening.text == "# c"
    assert [c.text for c in inner.statements[0].comments] == ["# d"]
    assert inner.statements[0].trailing is not None
    assert [c.text for c in inner.closing_comments] == ["# f"]
    assert conditional.trailing is not None
    assert conditional.trailing.text == "# g"
    assert [(c.text, c.blank_before) for c in found.closing_comments] == [("# h", True)]


def test_comments_inside_lists_and_conditions_are_notes() -> None:
    found = value("[ # a\n1, # b\n# c\n2 # d\n]")
    assert isinstance(found, t.List)
    shown = [(note.index, note.comment.text, note.comment.own_line) for note in found.notes]
    assert shown == [(0, "# a", False), (1, "# b", False), (1, "# c", True), (2, "# d", False)]
    both = condition("a # a\n and b")
    assert isinstance(both, t.And)
    assert [(note.index, note.comment.text) for note in both.notes] == [(1, "# a")]


def test_a_comment_in_any_other_place_goes_above_its_statement() -> None:
    (let,) = block("let x = # a\n1").statements
    assert [c.text for c in let.comments] == ["# a"]


def test_a_comment_before_else_goes_into_its_block() -> None:
    (made,) = block("if a { keep }\n# why\nelse {\n discard\n}").statements
    assert isinstance(made, t.If)
    assert made.otherwise is not None
    assert [c.text for c in made.otherwise.statements[0].comments] == ["# why"]


def test_a_number_sign_in_a_text_or_a_pattern_is_no_comment() -> None:
    assert block('if a matches /#/ { file "#" }').closing_comments == ()
    assert value('"#"') == text("#")


# -- bytes ------------------------------------------------------------------------------------------------------


def test_bytes_of_a_good_file_are_its_text() -> None:
    assert decode("let Zürich = 1\r\n\t\f".encode(), "main.rules") == ("let Zürich = 1\n\t\f", ())
    assert decode(b'# one\rkeep\r\rlog ""\r\n', "main.rules") == ('# one\nkeep\n\nlog ""\n', ())


def test_bad_bytes_are_told_where_they_stand_once_a_line() -> None:
    shown, found = decode(b'keep\nfile "\xff\xfe" # \xe4\n\x00', "main.rules")
    assert shown == 'keep\nfile "\ufffd\ufffd" # \ufffd\n\ufffd'
    assert [(one.line, one.column, one.name) for one in found] == [(2, 7, "bad-byte"), (3, 1, "bad-byte")]
    assert "0xff" in found[0].message
    assert "0x00" in found[1].message
    assert all(in_file(one, shown) for one in found)


def test_what_was_told_of_bytes_is_not_told_again_of_text() -> None:
    shown, found = decode(b"keep \xff\n", "main.rules")
    assert len(found) == 1
    assert parse(shown, "main.rules").diagnostics == ()


@given(st.binary(max_size=200))
def test_any_bytes_can_be_decoded(data: bytes) -> None:
    shown, found = decode(data, "main.rules")
    assert bool(found) == ("\ufffd" in shown and "\ufffd".encode() not in data) or not found
    assert all(in_file(one, shown) for one in found)


# -- limits -----------------------------------------------------------------------------------------------------


def nested_blocks(depth: int) -> str:
    return "if a { " * depth + "keep" + " }" * depth


def nested_brackets(depth: int) -> str:
    return f"if {'(' * depth}a{')' * depth} {{ keep }}"


def test_blocks_and_brackets_may_nest_as_deep_as_is_said() -> None:
    block(nested_blocks(MOST_BLOCKS))
    block(nested_brackets(MOST_BRACKETS))


@pytest.mark.parametrize("source", [nested_blocks(MOST_BLOCKS + 1), nested_brackets(MOST_BRACKETS + 1)])
def test_what_nests_deeper_is_told_once(source: str) -> None:
    assert [check for _, _, check in mistakes(source)] == ["too-deep"]


def test_a_file_that_is_too_long_is_told() -> None:
    assert mistakes("#" * (MOST_CHARACTERS + 1)) == [(1, 1, "too-long")]
    assert mistakes("#" * MOST_CHARACTERS) == []


@pytest.mark.parametrize(
    "piece",
    ["(", ")", "{", "}", "[", "{\n", "if ", "not ", '"', '""" ', "/", "/[", "a ", "a,", "a:", "a\n", "1.", "\\", "“",
     "=", "\x00", "!", "if a { ", "else ", "@\n", "'a", ":0\n", "~/", "a-", "1-", "\n ", "#\n",
     "let x = (\n", '"a{', '"\\'],
)  # fmt: skip
def test_a_mountain_of_anything_is_answered(piece: str) -> None:
    source = piece * (20_000 // len(piece))
    found = parse(source, "main.rules").diagnostics
    assert all(in_file(one, source) for one in found)


# -- anything ---------------------------------------------------------------------------------------------------

WORDS = ["if", "else", "rule", "let", "condition", "and", "or", "not", "is", "contains", "starts", "with", "in",
         "exists", "exactly", "from", "file", '"x"', '"a{b}"', "7 days", "9..17", "/x/", "{", "}", "(", ")", "[", "]",
         ",", ";", "=", "\n", "# c\n", "<", '"', "“x”", "Work/Boss", "==", "elif", "then", "IF", "2026-1-1", ":0",
         '"""']  # fmt: skip


@given(st.text(max_size=300))
@example("\u2028\x85\xa0\ud800")
@example('"' * 7)
def test_any_text_is_answered_with_places_inside_the_file(source: str) -> None:
    parsed = parse(source, "main.rules")
    assert all(in_file(one, source) for one in parsed.diagnostics)


@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
@settings(max_examples=300)
def test_any_row_of_tokens_is_answered_with_places_inside_the_file(source: str) -> None:
    parsed = parse(source, "main.rules")
    assert all(in_file(one, source) for one in parsed.diagnostics)


@given(st.sampled_from(TEXTS), st.data())
def test_any_valid_file_with_a_piece_cut_out_or_put_in_is_answered(source: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(source)))
    last = min(len(source), first + data.draw(st.integers(0, 10)))
    put = data.draw(st.sampled_from(["", "{", "}", '"', "(", ",", "\n", "if ", "/", "é", "\x00"]))
    damaged = source[:first] + put + source[last:]
    parsed = parse(damaged, "main.rules")
    assert all(in_file(one, damaged) for one in parsed.diagnostics)


def test_the_condition_of_a_rule_may_stand_on_the_next_line() -> None:
    assert (
        parse('rule "a"\nif from is "x" { keep }\n', "x").block
        == parse('rule "a" if from is "x" { keep }\n', "x").block
    )
