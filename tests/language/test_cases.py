"""What the compiler makes of rule tests: plain cases, no nodes in the plan, and every mistake in its place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pydeliver.language
from pydeliver.language.cases import Case, Expectation, Given
from pydeliver.language.letters import Attachment, Letter, Moment, Raw, Stored
from pydeliver.language.load import Compiled, compile_rules
from pydeliver.language.parse import parse
from pydeliver.language.printer import print_rules
from tests.rules import PATH, Library, judge

MESSAGE = 'message { subject "x" }'

# `what stands in a test | what is right and comes close`, then what is told of the wrong: column+width, name, message.
TABLE = r"""
message {}; keep; expect keep | message {}; expect keep
    24+4 bad-test: a test holds `message`, `given` and `expect`
message {}; expct keep; expect keep | message {}; expect keep
    24+10 bad-test: a test holds `message`, `given` and `expect`; did you mean `expect`?
message {}; if size > 1 { keep }; expect keep | message {}; given size = 2; expect keep
    24+20 bad-test: a test holds `message`, `given` and `expect`
message {}; expect { keep } | message {}; expect keep
    24+15 bad-test: a test holds `message`, `given` and `expect`
expect keep | message {}; expect keep
    1+4 bad-test: a test needs a message: `message { subject "…" }`
message {} | message {}; expect no keep
    1+4 bad-test: a test expects something: `expect file "Work"`
message {}; message {}; expect keep | message {}; expect keep; expect keep
    24+10 bad-message: a test has one message
message "a" "b"; expect keep | message "a"; expect keep
    12+15 bad-message: write `message { from "…"; subject "…" }`, `message file "x.eml"` or `message \"""…\"""`
message file; expect keep | message file "x.eml"; expect keep
    20+4 bad-text: one text stands here, like "Work"
message { subjet "x" }; expect keep | message { subject "x" }; expect keep
    22+10 bad-message: a message has no `subjet`; did you mean `subject`?
message { x-a "x" }; expect keep | message { header "X-A" = "x" }; expect keep
    22+7 bad-message: a message has no `x-a`; other fields of the header are written `header "X-Name" = "value"`
message { if size > 1 { keep } }; expect keep | message { body "x" }; expect keep
    22+20 bad-message: a message is made of header fields, like `subject "…"`, of `body` and `attachment`
message { body { keep } }; expect keep | message { body "" }; expect keep
    22+13 bad-message: a message is made of header fields, like `subject "…"`, of `body` and `attachment`
message { subject "x", "y" }; expect keep | message { to "x", "y" }; expect keep
    30+8 bad-text: one text stands here, like "Work"
message { subject = "x" }; expect keep | message { header "Subject" = "x" }; expect keep
    22+13 bad-message: write `subject "…"`
message { subject "{from}" }; expect keep | message { subject "\{from\}" }; expect keep
    30+8 bad-text: in a test a text is written out, without values of the message in it
message { header "X-A" "b" }; expect keep | message { header "X-A" = "b" }; expect keep
    22+16 bad-message: write `header "X-Name" = "value"`
message { header "X A" = "b" }; expect keep | message { header "X-A" = "b" }; expect keep
    29+5 bad-header-name: this can't be the name of a header field
message { body "a"; body "b" }; expect keep | message { body "a"; subject "b" }; expect keep
    32+8 bad-message: a message has one `body`
message { attachment "a" 3 days }; expect keep | message { attachment "a" 3 KB }; expect keep
    22+21 bad-message: write `attachment "a.pdf"`, `attachment "a.pdf" 3 MB` or `attachment "a.zip" holding "b", "c"`
message { attachment "a" 200 MB }; expect keep | message { attachment "a" 100 MB }; expect keep
    37+6 bad-message: an attachment has at most 100 MB here
message {}; given; expect keep | message {}; given size = 3; expect keep
    24+5 bad-given: write `given spam.score = 20`, `given bulk` or `given no bulk`
message {}; given no size = 3; expect keep | message {}; given no size; expect keep
    24+17 bad-given: write `given spam.score = 20`, `given bulk` or `given no bulk`
message {}; given sise = 3; expect keep | message {}; given size = 3; expect keep
    30+4 unknown-word: `sise` is not known here; did you mean `size`?
message {}; given size = 3; given size = 4; expect keep | message {}; given size = 3; given age = 4 days; expect keep
    40+14 bad-given: this is given a second time
message {}; given subject = "x"; expect keep | message { subject "x" }; expect keep
    30+7 bad-given: `subject` is read from the message: write it there
message {}; given from.domain = "x"; expect keep | message { from "a@x" }; expect keep
    30+11 bad-given: `from.domain` is read from the message: write it there
message {}; given header "X" = "x"; expect keep | message { header "X" = "x" }; expect keep
    30+10 bad-given: `header` is read from the message: write it there
message {}; given count to = 3; expect keep | message { to "a@x", "b@x", "c@x" }; expect keep
    30+8 bad-given: `count to` follows from other fields: give those
message {}; given score = 3; expect keep | message {}; given size = 3; expect keep
    30+5 bad-given: `score` is what the rules make of it
message {}; given now.hour = 3; expect keep | message {}; given now = 2026-12-24 03:00; expect keep
    30+8 bad-given: `now.hour` follows from `now`: write `given now = 2026-12-24 18:00`
message {}; given now = 18:00; expect keep | message {}; given now = 2026-12-24 18:00; expect keep
    36+5 bad-given: write one value of `now` here, without values of the message
message {}; given envelope.from.domain = "x"; expect keep | message {}; given envelope.from = "a@x"; expect keep
    30+20 bad-given: `envelope.from.domain` follows from `envelope.from`: give that
message {}; given envelope.to = "a@x", "b@x"; expect keep | message {}; given me = "a@x", "b@x"; expect keep
    44+12 bad-given: write one value of `envelope.to` here, without values of the message
message {}; given env.HOME; expect keep | message {}; given env.HOME = "/"; given no arg.1; expect keep
    24+14 bad-given: `env.HOME` has a value: write `given env.HOME = …` or `given no env.HOME`
message {}; given bulk = "yes"; expect keep | message {}; given bulk; expect keep
    37+5 bad-given: `bulk` is or is not: write `given bulk` or `given no bulk`
message {}; given arg.1 = subject; expect keep | message {}; given arg.1 = "subject"; expect keep
    38+7 bad-given: write one value of `arg` here, without values of the message
message {}; given arg.1 = "{subject}"; expect keep | message {}; given arg.1 = "x"; expect keep
    38+11 bad-given: write one value of `arg` here, without values of the message
message {}; given size = 3 days; expect keep | message {}; given size = 3 KB; expect keep
    37+6 bad-unit: `days` is no unit here; `size` is compared with something like `10 MB`
message {}; given file "~/a"; expect keep | message {}; given no file "~/a"; expect keep
    24+16 bad-given: write `given file "~/customers" = "a@example.org"`
message {}; given file "~/a" = 3; expect keep | message {}; given file "~/a" = "3", "4"; expect keep
    43+1 bad-text: one text stands here, like "Work"
message {}; expect; expect keep | message {}; expect no file; expect keep
    24+6 bad-expect: `this` can't be expected; `expect` is followed by KINDS
message {}; expect fil "x" | message {}; expect file "x"
    31+3 bad-expect: `fil` can't be expected; did you mean `file`?
message {}; expect file | message {}; expect no file
    31+4 bad-expect: write `expect file "Work"`
message {}; expect copy "x" | message {}; expect copy file "x"
    31+4 bad-expect: write COPIES
message {}; expect header "X" "y" | message {}; expect header "X" = "y"
    31+6 bad-expect: write `expect header "X-Large" = "…"` or `expect header "X-Large"`
message {}; expect mark read | message {}; expect mark "seen", flagged
    36+4 unknown-choice: `read` is no mark; it is one of seen, flagged, answered, draft, trashed
message {}; expect header "X Y" | message {}; expect header "X-Y"
    38+5 bad-header-name: this can't be the name of a header field
message {}; expect file "{now.year}" | message {}; expect file "2026"
    36+12 bad-text: in a test a text is written out, without values of the message in it
message {}; expect file Work | message {}; expect file "Work"
    36+4 bad-text: one text stands here, like "Work"
message {}; expect not keep | message {}; expect no keep
    31+3 foreign-word: behind `expect` write `no`
message {}; given not bulk; expect keep | message {}; given no bulk; expect keep
    30+3 foreign-word: behind `given` write `no`
"""


KINDS = (
    "file, copy, keep, discard, pipe, forward, reject, defer, reply, vacation, notify, mark, label, header, subject, "
    "log, by"
)
COPIES = '`expect copy file "Work"` or `expect copy pipe "prog"` or `expect copy forward "bob@example.org"`'


def compiled(text: str, files: dict[str, str] | None = None) -> Compiled:
    return compile_rules(PATH, text.encode(), Library(files or {}), ("HOME",))


def told(text: str, files: dict[str, str] | None = None) -> list[str]:
    return [
        f"{one.line}:{one.column}+{one.width} {one.severity} {one.name}: {one.message}"
        for one in compiled(text, files).diagnostics
    ]


def case(inside: str, before: str = "") -> Case:
    """The one case of a file."""
    made = compiled(f'{before}test "t" {{ {inside} }}\n')
    assert made.diagnostics == ()
    (only,) = made.cases
    return only


def rows() -> list[tuple[str, str, str]]:
    """(wrong, what is told about it, right) of the table."""
    lines = [line.replace('\\"""', '"""') for line in TABLE.strip().splitlines()]
    made = []
    for head, stated in zip(lines[::2], lines[1::2], strict=True):
        wrong, right = head.split(" | ")
        made.append((wrong, stated.strip().replace("KINDS", KINDS).replace("COPIES", COPIES), right))
    return made


@pytest.mark.parametrize(("wrong", "stated", "right"), rows(), ids=[wrong for wrong, _, _ in rows()])
def test_a_mistake_in_a_test_is_told_where_it_stands_and_what_comes_close_is_right(
    wrong: str, stated: str, right: str
) -> None:
    place, _, rest = stated.partition(" ")
    assert told(f'test "t" {{ {wrong} }}') == [f"1:{place} error {rest}"]
    assert told(f'test "t" {{ {right} }}') == []
    assert compiled(f'test "t" {{ {wrong} }}').cases == ()


def test_every_diagnostic_about_tests_has_a_row() -> None:
    (room,) = pydeliver.language.__path__
    names = set()
    calls = [
        call for name in ("cases", "letters") for call in ast.walk(ast.parse(Path(room, f"{name}.py").read_text()))
    ]
    for call in calls:
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("_wrong", "error", "warning"):
            texts = [one.value for one in call.args if isinstance(one, ast.Constant)]
            names |= {text for text in texts if isinstance(text, str) and " " not in text}
    assert names - {stated.split()[1].rstrip(":") for _, stated, _ in rows()} == {"same-name"}


NAMELESS = ["test {}", "test 3 {}", 'test "" {}', 'test "a"', 'test "a" = 3', 'test "{size}" {}', 'test "a" "b" {}']


@pytest.mark.parametrize("rules", NAMELESS)
def test_a_test_has_a_name_that_is_written_out_and_a_block(rules: str) -> None:
    assert [one.split()[2] for one in told(rules)] == ["bad-test:"]


def test_a_test_stands_at_the_top_level() -> None:
    inner = f'test "t" {{ {MESSAGE}; expect keep }}'
    said = "error bad-test: a test stands at the top level of a file"
    assert told(f"if size > 1 {{ {inner} }}") == [f"1:15+4 {said}"]
    assert told(f'rule "a" {{ {inner} }}') == [f"1:12+4 {said}"]


def test_two_tests_of_one_name_are_a_doubt() -> None:
    inner = f"{{ {MESSAGE}; expect keep }}"
    rules = f'test "a" {inner}\ntest "b" {inner}\ntest " a " {inner}'
    assert told(rules) == ["3:6+5 warning same-name: a test in line 1 has this name too"]
    assert [one.name for one in compiled(rules).cases] == ["a", "b", "a"]


def test_what_the_reader_has_told_is_not_told_again() -> None:
    assert [one.line for one in compiled('test "t" {\n message {\n subject "x\n }\n}').diagnostics] == [3]


def test_tests_make_no_node_and_are_never_unreachable() -> None:
    rules = f'discard\ntest "t" {{ {MESSAGE}; expect discard }}'
    made = compiled(rules)
    assert made.diagnostics == ()
    assert made.statements == compiled("discard").statements
    assert judge(rules).outcome == "discard"


def test_what_only_a_test_uses_is_used() -> None:
    assert told(f'let box = "Work"\ntest "t" {{ {MESSAGE}; expect file box }}') == []


def test_tests_of_included_files_come_where_the_include_stands_even_within_a_block() -> None:
    inside = f"{{ {MESSAGE}; expect keep }}"
    files = {"/rules/a.rules": f'let box = "A"\ntest "a" {inside}\nif size > 1 {{ file box }}'}
    made = compiled(f'test "1" {inside}\nif size > 9 {{ include "a.rules" }}\ntest "2" {inside}', files)
    assert made.diagnostics == ()
    assert [(one.name, one.file, one.line) for one in made.cases] == [
        ("1", PATH, 1),
        ("a", "/rules/a.rules", 2),
        ("2", PATH, 3),
    ]


def test_a_message_is_fields_in_order_a_text_and_attachments() -> None:
    inside = """message {
        from boss
        to "a@b.c", "d@e.f"
        header "X-A" = "1"; header "x-a" = "2"
        date 2026-05-01 10:30
        body \"\"\"
            One.

            Two.
            \"\"\"
        attachment "a.pdf"; attachment "b.zip" 1.5 KB
        attachment "c.zip" holding "d.exe", "e/f.txt"; attachment "g.zip" holding "h"
    }
    expect keep"""
    fields = (
        ("from", "Boss <boss@example.com>"),
        ("to", "a@b.c, d@e.f"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("date", Moment(2026, 5, 1, 630)),
    )
    attachments = (
        Attachment("a.pdf"),
        Attachment("b.zip", 1536),
        Attachment("c.zip", holding=("d.exe", "e/f.txt")),
        Attachment("g.zip", holding=("h",)),
    )
    made = Letter(fields, "One.\n\nTwo.\n", attachments)
    assert case(inside, 'let boss = "Boss <boss@example.com>"\n').message == made


def test_a_message_may_be_written_out_or_lie_in_a_file_beside_the_rules() -> None:
    assert case('message "Subject: x\\n\\ny"; expect keep').message == Raw("Subject: x\n\ny")
    assert case('message file "mail/x.eml"; expect keep').message == Stored("/rules/mail/x.eml")
    assert case('message file "~/x.eml"; expect keep').message == Stored("~/x.eml")
    assert case('message file "/x.eml"; expect keep').message == Stored("/x.eml")


GIVEN = {
    "size = 20 MB": Given("size", "", (20.0 * 1024**2,)),
    "age = 2 days": Given("age", "", (2 * 86400.0,)),
    "no size": Given("size", "", ()),
    "now = 2026-12-24": Given("now", "", (Moment(2026, 12, 24, 0),)),
    "now = 2026-12-24 18:01": Given("now", "", (Moment(2026, 12, 24, 1081),)),
    "envelope.from = null": Given("envelope.from", "", ("",)),
    'envelope.from = "Bob <bob@b.c>"': Given("envelope.from", "", ("bob@b.c",)),
    'me = ["a@b.c", "d@e.f"]': Given("me", "", ("a@b.c", "d@e.f")),
    'env.HOME = "/x"': Given("env", "HOME", ("/x",)),
    "arg.1 = 3": Given("arg", "1", ("3",)),
    'arg.list = "x"': Given("arg", "list", ("x",)),
    "bulk": Given("bulk", "", (True,)),
    "no bulk": Given("bulk", "", ()),
    'auth.dkim = "pass"': Given("auth.dkim", "", ("pass",)),
    'mailbox "Old"': Given("mailbox", "Old", (True,)),
    'no mailbox "Old"': Given("mailbox", "Old", ()),
    'file "x" = "a", "B"': Given("file", "/rules/x", ("a", "B")),
    'file "~/x" = names': Given("file", "~/x", ("a",)),
    'no file "~/x"': Given("file", "~/x", ()),
}


@pytest.mark.parametrize("written", GIVEN)
def test_what_is_given_is_read_as_the_field_has_its_values(written: str) -> None:
    made = case(f"message {{}}; given {written}; expect keep", 'let names = "a"\nlog names\n')
    assert made.given == (GIVEN[written],)


EXPECTED = {
    'file "a", "b"': ("file", ("a", "b"), None),
    'copy file "a"': ("copy file", ("a",), None),
    "keep": ("keep", (), None),
    "discard": ("discard", (), None),
    "reject": ("reject", (), None),
    'reject "no"': ("reject", (), "no"),
    'defer "no"': ("defer", (), "no"),
    "mark seen, flagged": ("mark", ("S", "F"), None),
    'label "to do", "x"': ("label", ("to-do", "x"), None),
    'header "X-A"': ("header", ("X-A",), None),
    'header "X-A" = ""': ("header", ("X-A",), ""),
    'subject "x"': ("subject", (), "x"),
    'log "x"': ("log", (), "x"),
    'by "x"': ("by", (), "x"),
}


@pytest.mark.parametrize("written", EXPECTED)
def test_what_is_expected_or_expected_not_to_be(written: str) -> None:
    kind, names, text = EXPECTED[written]
    made = case(f"message {{}}\nexpect {written}; expect no {written}")
    assert made.expectations == (
        Expectation(kind, False, names, text, f"expect {written}", 2),
        Expectation(kind, True, names, text, f"expect no {written}", 2),
    )


@pytest.mark.parametrize("kind", ["file", "copy file", "mark", "label", "log", "by"])
def test_it_can_be_expected_that_there_is_none_at_all(kind: str) -> None:
    (made,) = case(f"message {{}}; expect no {kind}").expectations
    assert (made.kind, made.no, made.names, made.text) == (kind, True, (), None)


@given(st.text(st.sampled_from('test"message{}given expect=;\nno file,3MB\\ '), max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_test_is_answered(text: str) -> None:
    made = compiled(f'test "t" {{ message {{}}; {text} }}')
    assert made.ok or made.diagnostics


def test_a_test_is_printed_one_statement_a_line_and_stays_so() -> None:
    text = (
        'test   "t" {message {from "a@b.c";subject "x"};given size=20 MB;expect copy file "a","b";expect no mark seen}'
    )
    shown = print_rules(parse(text, PATH).block)
    assert shown == (
        'test "t" {\n'
        '    message { from "a@b.c"; subject "x" }\n'
        "    given size = 20 MB\n"
        '    expect copy file "a", "b"\n'
        "    expect no mark seen\n"
        "}\n"
    )
    assert print_rules(parse(shown, PATH).block) == shown
