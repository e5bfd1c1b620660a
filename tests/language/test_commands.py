"""The commands of programs: every mistake in one is told at its place, and no value ever gets into a shell's text."""

from __future__ import annotations

import pytest

from pydeliver.language.load import compile_rules
from tests.rules import PATH, Library


def mistakes(text: str) -> list[tuple[int, int, str, str]]:
    made = compile_rules(PATH, text.encode(), Library({}))
    return [(one.line, one.column, one.name, one.message) for one in made.diagnostics if one.severity == "error"]


@pytest.mark.parametrize("character", list("|&;<>()$`\\*?"))
def test_what_only_a_shell_acts_on_is_told_unless_it_stands_in_quotes(character: str) -> None:
    written = {"\\": "\\\\"}.get(character, character)
    said = f"`{character}` means nothing here: put it in quotes, or write `shell` before the text"
    assert mistakes(f'if run "prog a{written}b" succeeds {{ keep }}') == [(1, 8, "shell-syntax", said)]
    assert mistakes(f"if run \"prog 'a{written}b'\" succeeds {{ keep }}") == []
    assert mistakes(f'if run shell "prog a{written}b" succeeds {{ keep }}') == []


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('if run shell "grep {subject}" succeeds { keep }', 1, 21),
        ('if run shell "a {from} {to}" succeeds { keep }', 1, 18),
        ('if output of shell "x \'{lower(subject)}\'" is "y" { keep }', 1, 25),
        ('if subject matches /(.*)/ and run shell "a {1}" succeeds { keep }', 1, 45),
        ('if subject matches /(?<x>.*)/ and run shell "a {x}" succeeds { keep }', 1, 49),
        ('let x = output of "a"\nif run shell "b {x}" succeeds { keep }', 2, 18),
        ('let x = "a {subject}"\nif run shell "b {x}" succeeds { keep }', 2, 18),
        ('let x = "a {subject}"\nif run shell x succeeds { keep }', 1, 13),
        ('let x = subject\nif run shell "b {x}" succeeds { keep }', 2, 18),
        ('if run shell """\n    a\n    b {env.USER}\n    """ succeeds { keep }', 3, 8),
    ],
)
def test_a_value_in_the_text_of_a_shell_is_a_mistake_at_its_place(text: str, line: int, column: int) -> None:
    made = compile_rules(PATH, text.encode(), Library({}), ("USER",))
    found = [(one.line, one.column, one.name) for one in made.diagnostics if one.severity == "error"]
    assert found == [(line, column, "value-in-shell")]


def test_a_literal_let_may_be_part_of_a_shell_s_text() -> None:
    assert mistakes('let words = "~/words"\nif run shell "grep x {words}" succeeds { keep }') == []


@pytest.mark.parametrize(
    ("text", "column", "name"),
    [
        ('if run "" succeeds { keep }', 8, "empty-text"),
        ("if run \"'' x\" succeeds { keep }", 8, "empty-text"),
        ('if run shell " " succeeds { keep }', 14, "empty-text"),
        ('if run "{subject}" succeeds { keep }', 8, "bad-command"),
        ('if run "a{subject} b" succeeds { keep }', 8, "bad-command"),
        ('if run "a \'b" succeeds { keep }', 8, "open-quote"),
        ("if run prog succeeds { keep }", 8, "wrong-form"),
        ('if run shell "x" given "y" succeeds { keep }', 8, "wrong-form"),
        ('if run "x" { keep }', 4, "wrong-form"),
        ('if run "x" fails { keep }', 4, "wrong-form"),
        ('if run "x" at most 0 at once succeeds { keep }', 20, "wrong-kind"),
        ('if run "x" at most 1.5 at once succeeds { keep }', 20, "wrong-kind"),
        ('if output "x" is "y" { keep }', 4, "wrong-form"),
        ('if output of "x" { keep }', 4, "not-a-condition"),
        ('log "{output}"', 7, "wrong-form"),
        ('if run "x" succeeds or else discard { keep }', 29, "bad-fallback"),
        ('if subject is "x" or else no { keep }', 27, "bad-fallback"),
        ("if bulk or else no { keep }", 17, "bad-fallback"),
        ('let x = "y" or else no\nlog x', 21, "bad-fallback"),
        ('let x = condition run "x" succeeds\nif x or else no { keep }', 14, "bad-fallback"),
        ('if run "x {frm}" succeeds or else no { keep }', 12, "unknown-word"),
        ('pipe "x {frm}" or else { keep }', 10, "unknown-word"),
        ('pipe "x" or else { fiel "x" }', 20, "unknown-word"),
        ('pipe "x" or else no', 18, "bad-fallback"),
        ('copy pipe "x" or else no', 23, "bad-fallback"),
        ('pipe "a | b"', 6, "shell-syntax"),
        ('copy pipe shell "{subject}"', 19, "value-in-shell"),
        ('pipe "x" at most 0 at once', 18, "wrong-kind"),
        ('pipe "x" { keep }', 1, "unknown-word"),
        ("pipe", 1, "wrong-form"),
        ('file "x" or else keep', 18, "bad-fallback"),
        ('copy file "x" or else { keep }', 1, "wrong-form"),
        ('log "x" or else { keep }', 17, "bad-fallback"),
        ('fiel "x" or else keep', 1, "unknown-word"),
        ('test "x" { message { subject "x" }; expect pipe "y" or else keep }', 61, "bad-test"),
        ('test "x" { message { subject "x" }; given bulk or else no; expect keep }', 56, "bad-test"),
        ('test "x" { message { subject "x" }; expect pipe "y {subject}" }', 49, "bad-given"),
        ('test "x" { message { subject "x" }; given program "y" }', 37, "bad-given"),
    ],
)
def test_a_mistake_is_told_once_at_its_place(text: str, column: int, name: str) -> None:
    ((_, found, said, _),) = mistakes(text)
    assert (found, said) == (column, name)
