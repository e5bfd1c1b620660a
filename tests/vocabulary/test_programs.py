"""Programs as conditions and values: what they are called with, and what comes of their answers; nothing is run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.message import Message
from pydeliver.verdict import Verdict
from pydeliver.vocabulary.programs import ENDED, FAILED, VALUE_CHARACTERS, arguments
from tests.rules import World, boxes, holds, judge, shown

MESSAGE = b'From: -Jo <-jo@example.org>\nSubject: it\'s; $(id) `id` | "x" --all\nX-Dash: --all\n\nHi.\n'


def asked(command: str, message: bytes = MESSAGE) -> list[Any]:
    """The questions about programs that a command in a condition comes to."""
    world = World()
    assert holds(f"run {command} succeeds", message, world) is None
    return [question for question in dict.fromkeys(world.asked) if question[0] == "program"]


def argv(text: str, message: bytes = MESSAGE) -> tuple[str, ...]:
    ((_, _, found, _),) = asked(f'"{text}"', message)
    return found  # type: ignore[no-any-return]


def answered(how: str, came: bool | str) -> World:
    world = World()
    world.programs["prog",] = (how, came)
    return world


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prog", ("prog",)),
        ("  prog\ta  b ", ("prog", "a", "b")),
        ("prog 'a  b' \\\"c 'd'\\\" ''", ("prog", "a  b", "c 'd'", "")),
        ("prog a'b c'd", ("prog", "ab cd")),
        ("prog '|' '$HOME' \\\"`x` *\\\"", ("prog", "|", "$HOME", "`x` *")),
        ("~/bin/prog ~/x a~/b", ("/home/jo/bin/prog", "/home/jo/x", "a~/b")),
        ("prog {subject}", ("prog", 'it\'s; $(id) `id` | "x" --all')),
        ("prog --about={subject}!", ("prog", '--about=it\'s; $(id) `id` | "x" --all!')),
        ("prog '{from} and {to}'", ("prog", "jo@example.org and ")),
        ("prog {to}", ("prog", "")),
        ("prog {header X-Dash}", ("prog", "all")),
        ("prog {to}{header X-Dash}", ("prog", "all")),
        ("prog {to}--all", ("prog", "all")),
        ("prog -- {header X-Dash}", ("prog", "--", "all")),
        ("prog -{header X-Dash}", ("prog", "---all")),
    ],
)
def test_a_text_is_cut_into_words_and_a_value_stays_in_its_own(text: str, words: tuple[str, ...]) -> None:
    assert argv(text) == words


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("a\0b\n-c\x1b[2J\x7f\x85", "ab\ufffd-c\ufffd[2J\ufffd\ufffd"),
        ("\0--rm", "rm"),
        ("-\0-", ""),
        ("~/x", "~/x"),
        ("\udcff", "\ufffd"),
        ("x" * (VALUE_CHARACTERS + 1), "x" * VALUE_CHARACTERS),
    ],
)
def test_a_value_is_cleaned_and_no_option(value: str, argument: str) -> None:
    assert arguments((((value, True),),), "/home/jo") == (argument,)


@given(st.lists(st.tuples(st.text() | st.just("--x"), st.booleans()), max_size=4))
def test_any_pieces_make_one_argument_that_the_kernel_takes(pieces: list[tuple[str, bool]]) -> None:
    texts = [
        (text if value else text.replace("\0", "").encode("utf-8", "replace").decode(), value) for text, value in pieces
    ]
    (made,) = arguments((tuple(texts),), "/home/jo") or ("-",)
    assert "\0" not in made
    made.encode()
    if texts and texts[0][1]:
        assert not made.startswith("-")


def test_a_let_that_is_a_text_is_one_argument_and_may_be_the_whole_command() -> None:
    world = World()
    judge('let name = "a {subject}"\nlet all = "prog {name}"\nif run all succeeds { keep }', MESSAGE, world)
    assert ("program", "run", ("prog", 'a it\'s; $(id) `id` | "x" --all'), 0) in world.asked


def test_a_capture_is_an_argument() -> None:
    world = World()
    judge('if subject matches /(\\$.*)\\)/ and run "prog {1}" succeeds { keep }', MESSAGE, world)
    assert ("program", "run", ("prog", "$(id"), 0) in world.asked


def test_a_shell_has_its_text_as_written_and_values_as_its_arguments() -> None:
    words = ("/bin/sh", "-c", 'a | b "$1" $\\{HOME}'.replace("\\", ""), "sh", "jo@example.org", "x")
    assert asked('shell "a | b \\"$1\\" $\\{HOME}" using "{from} x"') == [("program", "run", words, 0)]
    assert asked('shell "a" at most 3 at once') == [("program", "run", ("/bin/sh", "-c", "a", "sh"), 3)]


def test_a_command_with_an_unknown_value_is_unknown_and_not_asked() -> None:
    world = World(now=None)
    assert holds('run "prog {now.year}" succeeds', MESSAGE, world) is None
    assert not [question for question in world.asked if question[0] == "program"]


@pytest.mark.parametrize(("came", "holding"), [(True, True), (False, False)])
def test_a_program_that_ends_has_succeeded_or_not(came: bool, holding: bool) -> None:
    assert holds('run "prog" succeeds', MESSAGE, answered(ENDED, came)) is holding
    assert holds('not run "prog" succeeds', MESSAGE, answered(ENDED, came)) is not holding


def test_what_a_program_says_is_a_text_like_any_other() -> None:
    world = answered(ENDED, "17.5 (of 20)")
    assert holds('output of "prog" > 17', MESSAGE, world)
    assert holds('output of "prog" at most 2 at once ends with ")"', MESSAGE, world)
    assert holds('output of "prog" is "17"', MESSAGE, world) is False
    assert holds('subject contains output of "prog"', b"Subject: a 17.5 (OF 20)\n\n", world)
    assert judge('let level = output of "prog"\nlog "{level}, {first(level, 2)}"', MESSAGE, world).log == (
        "17.5 (of 20), 17",
    )


FAILING = [
    'if run "prog" succeeds{} {{ file "Yes" }} else {{ file "No" }}',
    'if output of "prog" exists{} {{ file "Yes" }} else {{ file "No" }}',
    'if output of "prog" is "x"{} {{ file "Yes" }} else {{ file "No" }}',
    'if subject contains output of "prog"{} {{ file "Yes" }} else {{ file "No" }}',
    'let x = output of "prog"{}\nif x is "y" {{ file "Yes" }} else {{ file "No" }}',
    'let x = condition run "prog" succeeds{}\nif x {{ file "Yes" }} else {{ file "No" }}',
]


@pytest.mark.parametrize("rules", FAILING)
@pytest.mark.parametrize("said", ["", " or else defer"])
def test_a_failure_makes_the_mail_wait_and_says_why(rules: str, said: str) -> None:
    verdict = judge('copy file "All"\n' + rules.format(said), MESSAGE, answered(FAILED, "took longer than 60 s"))
    assert (verdict.outcome, verdict.text) == ("defer", '"prog" took longer than 60 s')
    assert verdict.deliveries == ()
    assert verdict.line > 1


@pytest.mark.parametrize("rules", FAILING)
def test_a_failure_may_keep_the_message(rules: str) -> None:
    verdict = judge(
        'copy file "All"\n' + rules.format(" or else keep") + "\ndiscard", MESSAGE, answered(FAILED, "took too long")
    )
    assert boxes(verdict) == ["All", "INBOX"]
    assert verdict.notes == ('"prog" took too long',)


@pytest.mark.parametrize("rules", FAILING)
def test_a_failure_may_stand_for_no(rules: str) -> None:
    verdict = judge(rules.format(" or else no"), MESSAGE, answered(FAILED, "took too long"))
    assert boxes(verdict) == ["No"]
    assert verdict.notes == ('"prog" took too long',)


def test_the_answer_no_is_no_failure() -> None:
    verdict = judge(FAILING[0].format(" or else keep"), MESSAGE, answered(ENDED, False))
    assert boxes(verdict) == ["No"]


def test_a_value_that_nobody_knows_shows_as_a_question_mark() -> None:
    assert shown("{first(subject, 2)}", MESSAGE) == "it"
    assert judge('let x = output of "prog"\nlog "<{x}>"', MESSAGE, World()).log == ("<?>",)


@pytest.mark.parametrize("kind", ["a", "b"])
def test_the_same_command_is_asked_once(kind: str) -> None:
    world = answered(ENDED, kind)
    judge('let x = output of "prog"\nif x is "a" { log "A" }\nif x is "b" { log "B" }\nlog "{x}"', MESSAGE, world)
    assert len([question for question in world.asked if question[0] == "program"]) == 1


# -- pipe -------------------------------------------------------------------------------------------------------


def piped(*argv: str) -> World:
    """The world in which this pipe has failed."""
    world = World()
    world.programs[argv] = (FAILED, "ended with 1")
    return world


def described(rules: str, world: World | None = None) -> str:
    return judge(rules, MESSAGE, world).describe()


@pytest.mark.parametrize(
    ("rules", "decision"),
    [
        ('pipe "prog {from}"\ndiscard', 'pipe "prog jo@example.org"'),
        ('copy pipe "prog {from}"\ndiscard', 'copy pipe "prog jo@example.org", discard'),
        ('copy pipe "prog"\ncopy pipe "prog"\nkeep', 'copy pipe "prog", file "INBOX"'),
        ('copy pipe "prog"\npipe "prog"', 'pipe "prog"'),
        ('copy pipe "prog"\nreject "no"', 'reject "no"'),
        ('mark seen\nlabel "x"\nset header "X" = "1"\npipe "prog"', 'pipe "prog" set header "X" = "1"'),
        ('pipe "prog" or else keep\ndiscard', 'pipe "prog"'),
        ('pipe "prog" at most 2 at once or else { discard }\ndiscard', 'pipe "prog"'),
        ('pipe shell "a | b" using "{from}"', 'pipe "/bin/sh -c a | b sh jo@example.org"'),
    ],
)
def test_a_pipe_is_a_delivery(rules: str, decision: str) -> None:
    assert described(rules) == decision


@pytest.mark.parametrize(
    ("rules", "decision"),
    [
        ('pipe "prog" or else keep\ndiscard', 'file "INBOX"'),
        ('pipe "prog" or else { file "Failed" }\ndiscard', 'file "Failed"'),
        ('pipe "prog" or else { pipe "other" }\ndiscard', 'pipe "other"'),
        ('pipe "prog" or else { mark flagged }\ndiscard', 'file "INBOX" marked flagged'),
        ('pipe "prog" or else { }\ndiscard', 'file "INBOX"'),
        ('pipe "prog" or else { if subject is "x" { discard } }\ndiscard', 'file "INBOX"'),
        ('copy pipe "prog" or else keep\ndiscard', 'file "INBOX"'),
        ('copy pipe "prog" or else { }\ndiscard', "discard"),
        ('copy pipe "prog" or else { copy file "Failed" }\ndiscard', 'copy file "Failed", discard'),
        ('copy pipe "other" or else keep\npipe "prog" or else { discard }', 'copy pipe "other", discard'),
    ],
)
def test_a_pipe_that_failed_is_what_its_rule_says_and_never_the_next_rule(rules: str, decision: str) -> None:
    verdict = judge(rules, MESSAGE, piped("prog"))
    assert verdict.describe() == decision
    assert '"prog" ended with 1' in verdict.notes


# -- filter -----------------------------------------------------------------------------------------------------

MADE = b"From: Al <al@example.net>\nSubject: made\nMessage-ID: <made@x>\n\nBye.\n"


def made(message: bytes = MADE) -> World:
    """The world in which this comes of the filter."""
    world = World()
    world.programs["prog",] = (ENDED, Message.of(message))
    return world


def bodies(verdict: Verdict) -> list[bytes | None]:
    """What each delivery carries instead of the message received."""
    return [one.message and b"".join(one.message.chunks()) for one in verdict.deliveries]


def test_from_a_filter_on_conditions_and_values_see_what_it_wrote() -> None:
    verdict = judge(
        'log "{subject}"\nfilter "prog"\nlog "{subject}"\nif from is "al@example.net" { file "{subject}" }',
        b"Subject: first\n\n",
        made(),
    )
    assert (verdict.log, boxes(verdict), bodies(verdict)) == (("first", "made"), ["made"], [MADE])


def test_what_was_delivered_before_a_filter_keeps_its_form() -> None:
    verdict = judge('copy file "A"\nfilter "prog"\ncopy file "A"\nkeep', MESSAGE, made())
    assert (boxes(verdict), bodies(verdict)) == (["A", "A", "INBOX"], [None, MADE, MADE])


def test_a_filter_gets_the_edits_and_they_begin_anew_while_marks_and_labels_stay() -> None:
    world = made()
    verdict = judge(
        'set header "X" = "1"\nmark seen\nlabel "a"\nfilter "prog"\nset header "Y" = "2"\nfile "A"', MESSAGE, world
    )
    assert verdict.describe() == 'file "A" marked seen label "a" set header "Y" = "2"'
    (asked_for,) = [question for question in world.asked if question[0] == "program"]
    assert asked_for[1:4] == ("filter", ("prog",), 0)
    assert [edit.name for edit in asked_for[5]] == ["X"]


def test_each_filter_gets_what_the_one_before_wrote_and_so_does_any_program() -> None:
    world = made()
    judge('filter "prog"\nfilter "prog"\nif run "other" succeeds { keep }\n', MESSAGE, world)
    first, second, other = [question for question in world.asked if question[0] == "program"]
    assert len(first) == 4
    assert second[4] is other[4] is world.programs["prog",][1]


@pytest.mark.parametrize(
    ("otherwise", "outcome", "box"),
    [
        ("", "defer", []),
        (" or else defer", "defer", []),
        (" or else keep", "deliver", ["INBOX"]),
        (" or else no", "deliver", ["Next"]),
        (" or else { }", "deliver", ["Next"]),
        (' or else { file "Failed" }', "deliver", ["Failed"]),
    ],
)
def test_a_filter_that_fails_leaves_the_message_as_it_was(otherwise: str, outcome: str, box: list[str]) -> None:
    verdict = judge(
        f'copy file "All"\nfilter "prog"{otherwise}\nfile "Next"', MESSAGE, answered(FAILED, "ended with 1")
    )
    assert (verdict.outcome, boxes(verdict)) == (outcome, ["All", *box] if box else [])
    assert set(bodies(verdict)) <= {None}
    assert '"prog" ended with 1' in (*verdict.notes, verdict.text)


def test_the_block_of_a_filter_is_passed_over_where_it_works_and_by_the_next_that_does() -> None:
    rules = 'filter "bad" or else { log "bad" }\nfilter "prog" or else { log "prog" }\nkeep'
    world = made()
    world.programs["bad",] = (FAILED, "ended with 1")
    verdict = judge(rules, MESSAGE, world)
    assert (verdict.log, bodies(verdict)) == (("bad",), [MADE])


def test_a_filter_that_nobody_runs_leaves_the_message_and_is_told() -> None:
    verdict = judge('filter "prog"\nif subject contains "id" { file "Id" }', MESSAGE, World())
    assert (boxes(verdict), bodies(verdict)) == (["Id"], [None])
    assert [question[1] for question in verdict.unknown] == ["filter"]
    assert verdict.trace[0][1] is None


def test_what_is_remembered_is_the_message_before_and_behind_a_filter() -> None:
    verdict = judge('if duplicate by subject { discard }\nfilter "prog"\nkeep', b"Subject: first\n\n", made())
    assert {event.key for event in verdict.events} == {"subject \u00b7 first", "subject \u00b7 made"}
