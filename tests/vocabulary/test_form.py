"""Marks, labels, header edits and log lines: what they leave in the deliveries that follow."""

from __future__ import annotations

import pytest

from pydeliver.mail.edit import Edit, edited
from pydeliver.vocabulary import family
from pydeliver.vocabulary.word import Action
from tests.rules import judge, plan

MESSAGE = b"From: boss@example.com\nSubject: =?utf-8?q?a=0D=0ABcc:_x?=\n\nbody\n"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("mark seen", "S"),
        ("mark flagged, seen", "FS"),
        ("mark seen\nmark seen", "S"),
        ("mark trashed\nmark answered, draft", "DRT"),
    ],
)
def test_marks_are_sorted_flag_letters(text: str, flags: str) -> None:
    assert judge(f"{text}\nkeep\n").deliveries[0].flags == flags


def test_labels_are_kept_once_in_order_as_one_atom_each() -> None:
    verdict = judge('label "to do", "b"\nlabel "b", "a"\nlabel "todo"\n')
    assert verdict.deliveries[0].labels == ("to-do", "b", "a", "todo")


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ('set header "X-A" = "v {from.local}"', Edit("set", "X-A", "v boss")),
        ('add header "X-A" = "v"', Edit("add", "X-A", "v")),
        ('remove header "X-A"', Edit("remove", "X-A")),
        ('prefix subject "[x] "', Edit("prefix-subject", "Subject", "[x] ")),
    ],
)
def test_an_edit_is_written_down(text: str, edit: Edit) -> None:
    assert judge(f"{text}\nkeep\n", MESSAGE).deliveries[0].edits == (edit,)


def test_a_value_from_the_message_adds_no_header() -> None:
    verdict = judge('set header "X-A" = "{subject} {arg.1}"\n', MESSAGE, arguments={"1": "x\r\nBcc: y\r\n\r\nbody"})
    head = edited(MESSAGE[:-5], verdict.deliveries[0].edits)
    names = [line.split(b":")[0] for line in head.splitlines() if line[:1] not in (b" ", b"\t", b"")]
    assert sorted(names) == [b"From", b"Subject", b"X-A"]
    assert head.endswith(b"\n\n")
    assert head.count(b"\n\n") == 1


def test_a_log_line_is_kept_in_order() -> None:
    assert judge('log "one"\nlog "{from.domain}"\n', MESSAGE).log == ("one", "example.com")


def test_the_example_of_every_action_compiles() -> None:
    for room in ("form", "filing"):
        for word in family(room).values():
            if isinstance(word, Action):
                assert plan(f"{word.example}\n").statements
