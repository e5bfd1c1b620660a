"""Every mistake of a file is told at once, each in its place and only once; what is left is still read.

`invalid/*.rules` end in the exact diagnostics of what stands above them, one a line: `#! 3:12 error name: message`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.language import tree as t
from pydeliver.language.mistakes import MOST_PER_FILE, MOST_PER_LINE
from pydeliver.language.parse import parse
from pydeliver.status import Diagnostic

HERE = Path(__file__).parent
INVALID = sorted((HERE / "invalid").glob("*.rules"))
VALID = sorted((HERE / "valid").glob("*.rules"))
FIELDS = frozenset({"from", "to", "subject", "spam", "virus", "size", "list-id", "header", "family", "count"})
ACTIONS = frozenset({"file", "keep", "discard", "mark", "set", "vacation", "copy", "forward", "reject"})


def told(source: str) -> list[Diagnostic]:
    return list(parse(source, "main.rules", FIELDS, ACTIONS).diagnostics)


def shown(found: Diagnostic) -> str:
    return f"#! {found.line}:{found.column} {found.severity} {found.name}: {found.message}"


def judged(text: str) -> tuple[list[str], list[str]]:
    """What a file of `invalid/` states, and what is found in it."""
    source, mark, stated = text.partition("#! ")
    return (mark + stated).splitlines(), [shown(one) for one in told(source)]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_files_are_told_what_they_state(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        stated, found = judged(file.read())
    assert stated
    assert found == stated


def test_the_comparison_fails_where_a_statement_is_wrong() -> None:
    text = (HERE / "invalid" / "is-in.rules").read_text(encoding="utf-8")
    for damaged in (
        text.replace("1:9", "1:8"),
        text.replace("leave", "Leave"),
        text + "#! 2:1 error x: y\n",
        "keep\n" + text,
    ):
        stated, found = judged(damaged)
        assert found != stated
    stated, found = judged(text.partition("#! ")[0])
    assert stated == []
    assert found != []


def test_five_slips_are_five_mistakes() -> None:
    source = 'if from is "x { keep }\nif virus discard\nlet in = 3\nfile Work/Boss\nif spam or { keep }\n'
    assert [one.line for one in told(source)] == [1, 2, 3, 4, 5]


def test_a_mistake_shows_its_line_and_how_much_of_it_is_meant() -> None:
    (found,) = told("keep\r\n\tfile Work/Boss # why\r\nkeep")
    assert found == Diagnostic(
        "main.rules",
        2,
        7,
        'text stands in quotes: "Work/Boss"',
        "unquoted-text",
        source="\tfile Work/Boss # why",
        width=9,
    )


def test_what_was_meant_is_read_so_that_check_can_go_on() -> None:
    block = parse('if from = "x" { file Work/Boss }\nkeep\nif spam && virus { discard }', "main.rules").block
    assert (
        block == parse('if from is "x" { file "Work/Boss" }\nkeep\nif spam and virus { discard }', "main.rules").block
    )


def test_what_cannot_be_guessed_is_broken_and_its_block_is_still_read() -> None:
    first, second = parse("if (/x/ { keep }\nlet x = ? ? ?", "main.rules").block.statements
    assert isinstance(first, t.If)
    condition, block = first.branches[0]
    assert isinstance(condition, t.Question)
    assert isinstance(condition.phrase, t.Broken)
    assert block.statements == (t.Command(t.NOWHERE, (t.Name(t.NOWHERE, ("keep",)),)),)
    assert isinstance(second, t.Let)
    assert isinstance(second.value, t.Broken)


def test_comments_stay_where_a_file_is_mended() -> None:
    block = parse("# a\nfile Work/Boss # b\n# c", "main.rules").block
    assert [one.text for one in block.statements[0].comments] == ["# a"]
    assert block.statements[0].trailing is not None
    assert [one.text for one in block.closing_comments] == ["# c"]


def test_a_line_and_a_file_have_only_so_many_mistakes() -> None:
    assert len(told("file a/b c/d e/f g/h i/j")) == MOST_PER_LINE
    assert len(told("file a/b\n" * 1000)) == MOST_PER_FILE


def test_capitals_of_a_word_of_the_language_are_told_though_the_shape_is_good() -> None:
    assert [one.name for one in told("If spam { keep }")] == ["capitals"]


@pytest.mark.parametrize("word", ["elif", "elsif", "elseif"])
def test_else_if_of_other_languages_is_told_though_the_shape_is_good(word: str) -> None:
    assert [one.name for one in told(f"if spam {{ keep }} {word} virus {{ discard }}")] == ["foreign-word"]


def test_an_unindented_file_with_one_open_block_has_one_mistake() -> None:
    block = "if spam {\nkeep\n}\n"
    assert len(told(block * 3 + "if virus {\ndiscard\n" + block * 3)) == 1


@given(st.sampled_from(VALID), st.sampled_from(["if { keep }", "file Work/Boss", 'let x = "', "file (", "keep )", "}"]))
def test_a_slip_between_the_lines_of_a_valid_file_is_told_once_where_it_stands(path: Path, slip: str) -> None:
    source = path.read_text(encoding="utf-8").rstrip("\n")
    found = told(f"{source}\n{slip}\n")
    assert {one.line for one in found} == {source.count("\n") + 2}
    assert len(found) == 1
