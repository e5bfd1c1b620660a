"""Rule tests as they are run: what passes, what fails and what is then shown, and what the world is for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydeliver.agent.build import Compiled, compile_plan
from pydeliver.agent.rules import Home, Site
from pydeliver.language.cases import Case, Expectation
from pydeliver.language.letters import Letter
from pydeliver.plan import Plan
from pydeliver.status import Status
from pydeliver.workbench import report
from pydeliver.workbench.junit import junit
from pydeliver.workbench.testing import Failure, Result, rule_files, run
from tests.rules import NOW


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One for all: what the parser needs is made in it once."""
    return Home("bob", os.getuid(), str(tmp_path_factory.mktemp("home")))


def made(home: Home, rules: str) -> Compiled:
    path = Path(home.path) / "x.rules"
    path.write_text(rules)
    found = compile_plan(home, Site(str(path), "/nonexistent", True))
    assert found.plan is not None, found.diagnostics
    return found


def results(home: Home, rules: str) -> list[Result]:
    found = made(home, rules)
    assert found.plan is not None
    assert not isinstance(found.store, Status)
    return list(run(found.cases, found.plan, found.store, home, NOW))


def result(home: Home, rules: str, inside: str) -> Result:
    (only,) = results(home, f'{rules}\ntest "t" {{ {inside} }}\n')
    return only


RULES = """
copy file "All"
rule "junk" if subject is "junk" { mark seen; label "bad"; set header "X-A" = "1"; log "l"; file "Junk", "More" }
if subject is "gone" { discard }
if subject is "no" { reject "why" }
if subject is "later" { defer "busy" }
if subject is "twice" { copy file "Box"; file "Box" }
"""
# What holds of the message with this subject, and what does not.
HOLDS = {
    "junk": [
        'file "Junk", "More", "All"',
        'file "More", "Junk"; expect copy file "All"',
        'copy file "All"',
        'no copy file "Junk"',
        "no keep",
        "no discard",
        "no reject",
        "mark seen",
        "no mark flagged, draft",
        'label "bad"',
        'no label "good"',
        'header "X-A"',
        'header "x-a" = " 1 "',
        'no header "X-A" = "2"',
        'subject "junk"',
        'log "l"',
        'no log "m"',
        'by "junk"',
        'no by "rule"',
    ],
    "gone": ['discard; expect copy file "All"', "no keep", 'no file "Junk"', "no by", "no log", "no mark", "no label"],
    "no": ["reject", 'reject "why"', "no file", "no copy file", "no defer", "no mark", 'no header "Subject"'],
    "later": ["defer", 'defer "busy"', "no file", 'no reject "why"'],
    "twice": ['file "Box", "All"', 'no copy file "Box"'],
    "else": ['keep; expect copy file "All"', 'file "INBOX", "All"', 'no file "Box"'],
}
FAILS = {
    "junk": [
        'file "Junk", "More"',
        'file "Junk"; expect copy file "All"',
        'copy file "All", "Junk"',
        "keep",
        "discard",
        'no file "Box", "Junk"',
        "no file",
        "no copy file",
        'no copy file "Box", "All"',
        "mark flagged",
        "mark seen, flagged",
        "no mark",
        "no mark flagged, seen",
        'label "bad", "good"',
        "no label",
        'header "X-B"',
        'header "X-A" = "2"',
        'no header "X-A"',
        'subject "jun"',
        'log "m"',
        "no log",
        'by "Junk"',
        "no by",
    ],
    "gone": ["discard", "keep", "no discard"],
    "no": ["defer", 'reject "because"', "no reject", 'file "All"', "mark seen", 'header "Subject"', 'subject "no"'],
    "later": ["reject", 'defer "why"'],
    "twice": ['copy file "Box"'],
    "else": ["keep", 'no file "Inbox"', "no keep"],
}


def rows(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(subject, expected) for subject, several in table.items() for expected in several]


@pytest.mark.parametrize(("subject", "expected"), rows(HOLDS))
def test_what_is_so_passes(home: Home, subject: str, expected: str) -> None:
    assert result(home, RULES, f'message {{ subject "{subject}" }}; expect {expected}').passed


@pytest.mark.parametrize(("subject", "expected"), rows(FAILS))
def test_what_is_not_so_fails(home: Home, subject: str, expected: str) -> None:
    found = result(home, RULES, f'message {{ subject "{subject}" }}; expect {expected}')
    assert not found.passed
    assert len(found.failures) == 1
    assert found.problems == ()


def test_a_header_is_what_a_person_sees(home: Home) -> None:
    inside = 'message { subject "gru\u0308n   und blau" }; expect subject "gr\u00fcn und  blau"'
    assert result(home, "", inside).passed
    assert result(home, "", inside.replace("subject", 'header "Subject" =')).passed


def test_a_failure_says_what_was_expected_what_came_and_why(home: Home) -> None:
    inside = 'message { subject "junk" }\nexpect keep\nexpect no mark\nexpect by "x"'
    found = made(home, f'{RULES}test "boss" {{ {inside} }}')
    assert found.plan is not None
    assert not isinstance(found.store, Status)
    (one,) = run(found.cases, found.plan, found.store, home, NOW)
    assert report.result_text(one, found.plan) == [
        "FAILED boss (x.rules:8)",
        "    expected keep",
        '    got      copy file "All", file "Junk" marked seen label "bad" set header "X-A" = "1", '
        'file "More" marked seen label "bad" set header "X-A" = "1"  (rule "junk", x.rules:3)',
        "    expected no mark",
        "    got      mark seen",
        '    expected by "x"',
        '    got      by "junk"',
        '    do  x.rules:2  copy file "All"',
        '    yes x.rules:3  subject is "junk"',
        "    do  x.rules:3  mark seen",
        '    do  x.rules:3  label "bad"',
        '    do  x.rules:3  set header "X-A" = "1"',
        '    do  x.rules:3  log "l"',
        '    do  x.rules:3  file "Junk", "More"',
        "    log l",
    ]


def test_a_test_that_passes_is_one_line(home: Home) -> None:
    found = made(home, 'test "a\\tb" { message {}; expect keep }')
    assert found.plan is not None
    assert not isinstance(found.store, Status)
    (one,) = run(found.cases, found.plan, found.store, home, NOW)
    assert report.result_text(one, found.plan) == ["ok     a b (x.rules:1)"]


def test_a_list_file_that_cannot_be_read_fails_a_test_whatever_it_expects(home: Home) -> None:
    rules = 'if from in file "~/gone" { discard }'
    found = result(home, rules, 'message { from "a@b.c" }; expect keep')
    assert not found.passed
    assert found.failures == ()
    assert found.problems == (
        f'list file: {home.path}/gone does not exist; a test may give it: given file "~/gone" = …',
    )
    assert result(home, rules, 'message { from "a@b.c" }; given no file "~/gone"; expect keep').passed


def test_a_list_file_that_is_not_given_is_read(home: Home) -> None:
    (Path(home.path) / "friends").write_text("Ann@b.c\n")
    assert result(home, 'if from in file "friends" { discard }', 'message { from "ann@b.c" }; expect discard').passed


def test_a_message_that_is_not_there_fails_its_test_and_no_other(home: Home) -> None:
    rules = 'test "a" { message file "gone.eml"; expect keep }\ntest "b" { message {}; expect keep }\n'
    first, second = results(home, rules)
    assert (first.problems, first.judged) == ((f"{home.path}/gone.eml does not exist",), None)
    assert second.passed


def test_an_empty_message_is_none(home: Home) -> None:
    (Path(home.path) / "empty.eml").write_text("")
    assert result(home, "", 'message file "empty.eml"; expect keep').problems


def test_a_message_file_that_others_can_write_is_not_read(home: Home) -> None:
    path = Path(home.path) / "x.eml"
    path.write_text("Subject: x\n\n")
    assert result(home, "", 'message file "x.eml"; expect subject "x"').passed
    path.chmod(0o622)
    assert result(home, "", 'message file "x.eml"; expect subject "x"').problems


def test_the_time_is_that_of_the_run_where_none_is_given(home: Home) -> None:
    rules = 'set timezone = "UTC"\nif now is 2024-05-15 { file "Now" }'
    assert result(home, rules, 'message {}; expect file "Now"').passed
    assert result(home, rules, "message {}; given now = 2024-05-16; expect keep").passed


@pytest.mark.parametrize(("time", "utc"), [("2026-03-29 03:00", 1), ("2026-03-29 01:59", 0), ("2026-10-25 03:00", 2)])
def test_a_time_is_the_users_also_where_the_clock_is_changed(home: Home, time: str, utc: int) -> None:
    rules = 'set timezone = "Europe/Berlin"\nlog "{now.hour}:{date.hour}"'
    hour = int(time[11:13])
    assert result(
        home, rules, f'message {{ date {time} }}; given now = {time}; expect log "{hour:02}:{hour:02}"'
    ).passed
    found = result(home, rules, f"message {{ date {time} }}; expect no log")
    assert found.judged is not None
    (date,) = found.judged.message.texts("date")
    assert int(date[17:19]) - int(date[-5:-2]) == utc


def test_mailboxes_are_those_that_are_given_whatever_is_on_the_disk(home: Home) -> None:
    for name in ("cur", "new", "tmp", ".Old", ".Old/cur", ".Old/new", ".Old/tmp"):
        (Path(home.path) / "Maildir" / name).mkdir(parents=True)
    (Path(home.path) / "Maildir" / ".A").write_text("")
    rules = 'if mailbox "Old" exists { file "Old" }\nfile "{from.local}"'
    message = 'message { from "a@b.c" }'
    assert result(home, rules, f'{message}; expect file "a"').passed
    assert result(home, rules, f'{message}; given mailbox "Old"; expect file "Old"').passed


def test_of_the_envelope_is_there_what_is_given_or_what_a_mail_server_wrote(home: Home) -> None:
    rules = 'log "{envelope.from}/{envelope.to}/{envelope.to.detail}"'
    assert result(home, rules, 'message { from "a@b.c" }; expect log "//"').passed
    given = 'given envelope.from = "x@y.z"; given envelope.to = "b+c@d.e"'
    assert result(home, rules, f'message {{}}; {given}; expect log "x@y.z/b+c@d.e/c"').passed
    assert result(
        home, rules, f'message {{}}; {given}; given no envelope.to.detail; expect log "x@y.z/b+c@d.e/"'
    ).passed
    trace = 'message { return-path "<r@s.t>"; header "Received" = "by x" }'
    assert result(home, rules, f'{trace}; expect log "r@s.t//"').passed


def test_a_given_value_is_asked_counted_and_shown(home: Home) -> None:
    rules = 'if auth.dkim is "FAIL" and count auth.dkim is 1 and bulk { log "{auth.dkim}" }'
    inside = 'message {}; given auth.dkim = "fail"; given bulk; expect log "fail"'
    assert result(home, rules, inside).passed
    assert not result(home, rules, inside.replace("given bulk; ", "")).passed


def test_a_test_leaves_nothing_behind_for_the_next(home: Home) -> None:
    rules = """if bulk { discard }
if to is me { file "Mine" }
test "1" { message { to "a@b.c" }; given bulk; expect discard }
test "2" { message { to "a@b.c" }; given me = "a@b.c"; expect file "Mine" }
test "3" { message { to "a@b.c" }; expect keep }
"""
    assert [one.passed for one in results(home, rules)] == [True, True, True]


def test_rule_files_of_a_directory_come_in_order_whatever_else_lies_there(tmp_path: Path) -> None:
    for name in ("b.rules", "a.rules", "c/d.rules", "x.eml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert rule_files(str(tmp_path)) == [f"{tmp_path}/{name}" for name in ("a.rules", "b.rules", "c/d.rules")]
    assert rule_files("gone.rules") == ["gone.rules"]


def test_the_results_as_json_are_one_object(home: Home) -> None:
    found = made(home, 'test "t" { message {}; expect discard }')
    assert found.plan is not None
    assert not isinstance(found.store, Status)
    (one,) = run(found.cases, found.plan, found.store, home, NOW)
    shown = json.loads(report.result_json(one, found.plan))
    assert (shown["test"], shown["line"], shown["passed"]) == ("t", 1, False)
    assert shown["failures"] == [{"expected": "expect discard", "got": 'file "INBOX"'}]
    assert shown["judged"]["outcome"] == "deliver"


@given(st.text())
@settings(deadline=None)
def test_the_results_as_xml_can_be_read_whatever_stands_in_them(text: str) -> None:
    plan = Plan((), {})
    case = Case(text, "/x/y.rules", 3, Letter(), (), (Expectation("keep", False, (), None, text, 4),))
    several = [Result(case, (Failure(text, text),), ()), Result(case, (), (text,)), Result(case, (), ())]
    root = ElementTree.fromstring(junit([(one, plan) for one in several]))
    (suite,) = root.findall("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [len(shown) for shown in suite] == [1, 1, 0]
