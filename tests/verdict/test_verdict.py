"""What becomes of a message: which action decides, what goes on, what is undone, and what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.edit import Edit
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.verdict import Program, Verdict
from tests.rules import World, boxes, judge, judged, plan

MESSAGE = b"From: boss@example.com\nSubject: one two\nX-N: 1\n\nbody\n"


def test_a_message_that_reaches_the_end_is_kept() -> None:
    for text in ("", "# nothing\n", 'if subject is "x" { discard }\n', 'log "seen"\n', "mark seen\n"):
        verdict = judge(text, MESSAGE)
        assert verdict.outcome == "deliver"
        assert boxes(verdict) == ["INBOX"]
        assert (verdict.rule, verdict.line) == ("", 0), "the end of the rules decided, not a rule"


@pytest.mark.parametrize(
    ("action", "outcome", "made"),
    [
        ('file "First"', "deliver", ["First"]),
        ("keep", "deliver", ["INBOX"]),
        ('file "inbox"', "deliver", ["INBOX"]),
        ("discard", "discard", []),
        ('reject "no"', "reject", []),
        ('defer "later"', "defer", []),
    ],
)
def test_the_first_delivering_action_ends_the_evaluation(action: str, outcome: str, made: list[str]) -> None:
    later = 'if size > 0 { file "Second" }\nlog "unseen"\nreject "never"\n'
    verdict = judge(f"if size > 0 {{ {action} }}\n{later}", MESSAGE)
    assert (verdict.outcome, boxes(verdict), verdict.log) == (outcome, made, ())


def test_a_final_action_deep_inside_ends_everything_around_it() -> None:
    text = 'if size > 0 { if size > 1 { if size > 2 { file "Deep" }\nlog "a" }\nlog "b" }\nlog "c"\n'
    verdict = judge(text, MESSAGE)
    assert (boxes(verdict), verdict.log) == (["Deep"], ())


def test_a_copy_delivers_and_goes_on() -> None:
    verdict = judge('copy file "Archive"\nfile "Work"\n', MESSAGE)
    assert boxes(verdict) == ["Archive", "Work"]
    assert [one.final for one in verdict.deliveries] == [False, True]
    assert boxes(judge('copy file "Archive"\n', MESSAGE)) == ["Archive", "INBOX"]


def test_a_discard_after_a_copy_leaves_the_copy() -> None:
    verdict = judge('copy file "Archive"\ndiscard\n', MESSAGE)
    assert verdict.outcome == "discard"
    assert boxes(verdict) == ["Archive"]
    assert verdict.cancelled == ()


def test_several_mailboxes_are_filed_at_once() -> None:
    assert boxes(judge('file "A", "B", "A"\n', MESSAGE)) == ["A", "B"]


def test_identical_deliveries_are_one() -> None:
    assert boxes(judge('copy file "A"\ncopy file "B"\ncopy file "A"\nfile "A"\n', MESSAGE)) == ["A", "B"]
    verdict = judge('copy file "A"\nfile "A"\n', MESSAGE)
    assert [one.final for one in verdict.deliveries] == [True], "the final one stands for both"
    assert boxes(judge('copy file "INBOX"\nkeep\n', MESSAGE)) == ["INBOX"]


@pytest.mark.parametrize("change", ["mark seen", 'label "todo"', 'set header "X-A" = "b"', 'prefix subject "[x] "'])
def test_deliveries_of_another_form_are_not_identical(change: str) -> None:
    verdict = judge(f'copy file "A"\n{change}\nfile "A"\n', MESSAGE)
    assert boxes(verdict) == ["A", "A"]
    first, second = verdict.deliveries
    assert (first.flags, first.labels, first.edits) == ("", (), ())
    assert (second.flags, second.labels, second.edits) != ("", (), ())


@pytest.mark.parametrize("action", ["defer", "reject"])
def test_defer_and_reject_cancel_every_earlier_delivery(action: str) -> None:
    verdict = judge(f'copy file "A"\ncopy file "B"\n{action} "because of {{subject}}"\n', MESSAGE)
    assert verdict.outcome == action
    assert verdict.text == "because of one two"
    assert verdict.deliveries == ()
    assert [one.mailbox for one in verdict.cancelled] == ["A", "B"]


def test_edits_change_later_deliveries_only() -> None:
    verdict = judge('copy file "A"\nset header "X-N" = "2"\ncopy file "B"\nremove header "X-Y"\nfile "C"\n', MESSAGE)
    first, second = Edit("set", "X-N", "2"), Edit("remove", "X-Y")
    assert [one.edits for one in verdict.deliveries] == [(), (first,), (first, second)]


def test_conditions_look_at_the_message_as_received() -> None:
    text = (
        'set header "X-N" = "2"\nprefix subject "[x] "\nif header "X-N" is "1" and subject is "one two" { file "A" }\n'
    )
    assert boxes(judge(text, MESSAGE)) == ["A"]
    assert judge('set header "X-N" = "2"\nlog "{subject}"\nprefix subject "[x]"\nlog "{subject}"\n', MESSAGE).log == (
        "one two",
        "one two",
    )


def test_marks_made_inside_a_branch_stay_for_what_follows() -> None:
    verdict = judge('if size > 0 { mark seen }\nif size < 0 { mark flagged }\nfile "A"\n', MESSAGE)
    assert verdict.deliveries[0].flags == "S"


@pytest.mark.parametrize(("number", "taken"), [(1, "A"), (2, "B"), (3, "C"), (4, "D")])
def test_one_branch_is_taken(number: int, taken: str) -> None:
    text = "".join(
        f'{start} header "X-N" is "{at}" {{ copy file "{box}" }} '
        for at, (start, box) in enumerate((("if", "A"), ("else if", "B"), ("else if", "C")), 1)
    )
    verdict = judge(f'{text}else {{ copy file "D" }}\nfile "end"\n', b"X-N: %d\n\n" % number)
    assert boxes(verdict) == [taken, "end"]


def test_a_copy_never_triggers_its_own_else() -> None:
    text = 'if subject contains "one" { copy file "A" } else { copy file "B" }\n'
    assert boxes(judge(text, MESSAGE)) == ["A", "INBOX"]


def test_an_unknown_condition_is_not_taken_and_its_question_is_shown() -> None:
    text = 'if from in file "/gone" { file "A" }\nif not from in file "/gone" { file "B" }\nfile "C"\n'
    verdict = judge(text, MESSAGE, World(gone=None))
    assert boxes(verdict) == ["C"]
    assert verdict.unknown == (("list", "/gone", False),)
    assert [found for node, found in verdict.trace if node[0] == "test"] == [None, None]


def test_after_an_unknown_condition_its_else_is_taken() -> None:
    text = 'if from in file "/gone" { file "A" } else { file "B" }\n'
    assert boxes(judge(text, MESSAGE, World(gone=None))) == ["B"]


def test_an_unknown_value_in_a_text_is_a_question_mark() -> None:
    assert judge('log "at {now.hour} from {from}"\n', MESSAGE, World(now=None)).log == ("at ? from boss@example.com",)


# -- captures ---------------------------------------------------------------------------------------------------


def test_captures_are_seen_inside_their_branch() -> None:
    text = (
        'if subject matches /(?<w>one)/ { log "{w}"\n  if subject matches /(?<w>two)/ { log "{w}" }\n  log "{w}"\n}\n'
    )
    assert judge(text, MESSAGE).log == ("one", "two", "one")


@pytest.mark.parametrize(("number", "taken"), [(b"1", ["same"]), (b"2", ["INBOX"])])
def test_what_was_captured_is_known_behind_and(number: bytes, taken: list[str]) -> None:
    text = r'if subject matches /one (?<n>\d)/ and header "X-N" is "{n}" { file "same" }'
    assert boxes(judge(text, b"Subject: one 1\nX-N: %s\n\n" % number)) == taken


def test_captures_of_a_branch_that_was_not_taken_are_forgotten() -> None:
    text = (
        "if subject matches /(one)/ {\n"
        '  if subject matches /(two)/ and size < 0 { keep } else { log "{1}" }\n'
        '  log "{1}"\n'
        "}\n"
    )
    assert judge(text, MESSAGE).log == ("one", "one")


def test_each_branch_has_the_captures_of_its_own_condition() -> None:
    text = 'if subject matches /(one)/ and size < 0 { keep } else if subject matches /(two)/ { log "{1}" }\n'
    assert judge(text, MESSAGE).log == ("two",)


# -- questions --------------------------------------------------------------------------------------------------


def test_each_question_is_asked_once_however_often_it_is_needed() -> None:
    text = (
        'if from in file "/a" { log "a" }\nif from in file "/a" { log "a again" }\n'
        'if now.hour is 12 and now.weekday is wednesday and now > 2024-01-01 { log "{now.year}" }\n'
    )
    world = World(a=frozenset(["boss@example.com"]))
    assert judge(text, MESSAGE, world).log == ("a", "a again", "2024")
    assert len(world.asked) == len(set(world.asked)) == 3


def test_nothing_is_asked_that_does_not_matter() -> None:
    world = World()
    judge('if size > 0 or from in file "/a" { file "A" }\nif now.hour is 1 { discard }\n', MESSAGE, world)
    assert world.asked == []


def test_evaluating_again_after_a_question_leaves_no_trace_of_the_first_time() -> None:
    verdict = judge('log "once"\ncopy file "A"\nif now.hour is 12 { file "B" }\n', MESSAGE)
    assert verdict.log == ("once",)
    assert boxes(verdict) == ["A", "B"]


def test_a_program_judges_any_number_of_messages_by_the_same_facts_alike() -> None:
    made = plan('if subject matches /(\\w+)/ { copy file "{1}" }\n')
    program = Program(made)
    for word in (b"one", b"two", b"one"):
        message = Message.of(b"Subject: %s\n\n" % word)
        answers = {("mailbox", word.decode()): ""}
        verdict = program.evaluate(Envelope(), message, answers)
        assert verdict == program.evaluate(Envelope(), message, answers)
        assert isinstance(verdict, Verdict)
        assert boxes(verdict) == [word.decode(), "INBOX"]


# -- what is said -----------------------------------------------------------------------------------------------


def test_the_verdict_names_the_rule_and_line_that_decided() -> None:
    verdict = judge('\nrule "bosses" if from is "boss@example.com" {\n  mark seen\n  file "A"\n}\n', MESSAGE)
    assert (verdict.rule, verdict.line, verdict.file) == ("bosses", 4, 0)
    assert (verdict.deliveries[0].rule, verdict.deliveries[0].line) == ("bosses", 4)


def test_an_included_file_runs_in_place_and_is_named() -> None:
    made = plan('copy file "A"\ninclude "b.rules"\nfile "C"\n', {"/rules/b.rules": '\nif size > 0 { file "B" }\n'})
    verdict = judged(made, MESSAGE, World(), Envelope())
    assert boxes(verdict) == ["A", "B"]
    assert made.files[verdict.file] == "/rules/b.rules"
    assert verdict.line == 2


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ('copy file "A"\nmark seen\nfile "B"\n', 'copy file "A", file "B" marked seen'),
        ('label "x y"\nkeep\n', 'file "INBOX" label "x-y"'),
        ("discard\n", "discard"),
        ('reject "go away"\n', 'reject "go away"'),
    ],
)
def test_a_verdict_is_described_in_one_line(text: str, described: str) -> None:
    assert judge(text, MESSAGE).describe() == described


_STATEMENT = st.sampled_from(
    [
        'copy file "A"',
        'copy file "B"',
        "mark seen",
        'label "x"',
        'set header "X-Z" = "1"',
        'log "l"',
        "keep",
        'file "C", "A"',
        "discard",
        'reject "r"',
        'defer "d"',
        'if size < 0 { file "never" }',
        'if from in file "/gone" { discard }',
    ]
)


@given(st.lists(_STATEMENT, max_size=8))
def test_nothing_is_dropped_but_by_a_written_discard(statements: list[str]) -> None:
    verdict = judge("\n".join([*statements, ""]), MESSAGE, World(gone=None))
    ending = next(
        (one for one in statements if one.split()[0] in ("keep", "file", "discard", "reject", "defer")), "keep"
    )
    wanted = {"keep": "deliver", "file": "deliver"}.get(word := ending.split()[0], word)
    assert verdict.outcome == wanted
    if wanted == "deliver":
        assert any(one.final for one in verdict.deliveries)
    forms = [one.form for one in verdict.deliveries]
    assert len(forms) == len(set(forms))
    assert "never" not in boxes(verdict)


# -- the trace --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ('subject is not "x"', True),
        ('subject not contains "one"', False),
        ("cc not exists", True),
        ("not subject exists", True),
        ('from not in file "/gone"', None),
    ],
)
def test_the_trace_answers_what_it_shows(condition: str, answer: bool | None) -> None:
    verdict = judge(f'if {condition} {{ log "taken" }}\n', MESSAGE, World(gone=None))
    node, result = verdict.trace[0]
    assert node[7] == condition.removeprefix("not ")
    assert result is answer
