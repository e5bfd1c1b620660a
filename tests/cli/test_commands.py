"""The commands as a person types them, in the installed program: what is shown, and with which code it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pydeliver.cli import COMMANDS
from pydeliver.cli.commands import commands

ROOT = Path(__file__).parents[2]
FIVE_SLIPS = """\
iff from is "x" { keep }
if subject contains "a" or "b" { file "B" }
if size > 10 megs { file "C" }
if frm is "x" { file "D" }
if subject matches /(a/ { file Work/Boss }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def run(home: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pydeliver.cli import main; main()", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=home,
    )


def rules(home: Path, text: str) -> Path:
    folder = home / ".config" / "pydeliver"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.rules").write_text(text)
    return folder / "main.rules"


def test_five_slips_are_told_at_once_with_their_places(home: Path) -> None:
    rules(home, FIVE_SLIPS)
    done = run(home, "check")
    assert done.returncode == 65
    for place in (":1:1: ", ":2:25: ", ":3:11: ", ":4:4: ", ":5:21: ", ":5:32: "):
        assert f"main.rules{place}" in done.stdout
    assert "did you mean `from`?" in done.stdout
    assert "6 mistakes" in done.stdout


def test_a_list_file_is_judged_as_a_delivery_would(home: Path) -> None:
    path = rules(home, 'if from in file "friends", file "/gone" { keep }\nif to in optional file "~/nobody" { keep }\n')
    friends = path.with_name("friends")  # a relative name begins where the rule file lies
    friends.write_text("a@example.org\n")
    friends.chmod(0o602)
    done = run(home, "check")
    assert done.returncode == 65
    assert f"{friends}: " in done.stdout
    assert f"repair: chmod go-w {friends}" in done.stdout
    assert "/gone: " in done.stdout
    assert "nobody" not in done.stdout
    assert "2 mistakes" in done.stdout


@pytest.mark.parametrize("place", ["/nonexistent/foo", "~/deep/er/Mail", "/dev/null"])
def test_a_place_where_no_mailbox_can_be_is_told(home: Path, place: str) -> None:
    rules(home, f'set default = "{place}"\n')
    done = run(home, "check")
    assert done.returncode == 65
    assert "mail would wait: " in done.stdout
    assert not (home / "deep").exists()


def test_mistakes_are_told_in_the_order_of_lines_whoever_finds_them(home: Path) -> None:
    rules(home, 'copy file "../x"\nlog zzz\nfile "{from}/"\n')
    done = run(home, "check").stdout
    assert [line.split(":")[1] for line in done.splitlines() if "main.rules:" in line] == ["1", "2", "3"]


def test_try_says_what_it_cannot_know(home: Path) -> None:
    rules(home, 'if recipient is me { reject "x" }\nif from in file "~/none" { discard }\n')
    message = "From: a@b.example\nTo: me@x.example\n\n"
    done = run(home, "try", stdin=message)
    assert 'file "INBOX"' in done.stdout
    assert "? recipient is me" in done.stdout
    assert '? from in file "~/none"' in done.stdout
    assert "reject" in run(home, "try", "-r", "me@x.example", stdin=message).stdout


def test_try_takes_the_sender_of_an_mbox(home: Path) -> None:
    rules(home, 'if envelope.from is "jo@x.example" { file "Jo" }\n')
    (home / "box").write_text("From jo@x.example Mon Nov 23 09:00:00 2026\nSubject: x\n\nHi.\n")
    assert 'file "Jo"' in run(home, "try", "box").stdout


def test_no_message_and_no_rule_can_forge_a_line_of_the_trace(home: Path) -> None:
    rules(home, 'log "a\\n    do  main.rules:1  discard"\nreject "one\\ntwo"\n')
    done = run(home, "try", "-v", stdin="Subject: x\n\n")
    assert len([line for line in done.stdout.splitlines() if line.startswith("    do ")]) == 2
    assert len(done.stdout.splitlines()) == 4


def test_help_knows_the_words_of_the_grammar_too(home: Path) -> None:
    for words in (["contains"], ["starts", "with"], ["let"], ["include"], ["set", "me"], ["copy", "file"], ["null"]):
        done = run(home, "help", *words)
        assert (done.returncode, words[-1] in done.stdout) == (0, True), words


def test_warnings_pass_unless_strict(home: Path) -> None:
    rules(home, 'let unused = "x"\nset mailboxes = "~/Maildir"\n')
    assert run(home, "check").returncode == 0
    assert run(home, "check", "--strict").returncode == 65


def test_check_says_what_it_judged_and_how_to_repair_permissions(home: Path) -> None:
    path = rules(home, 'set mailboxes = "~/Maildir"\nkeep\n')
    told = run(home, "check").stdout
    assert str(home) in told
    assert str(home / "Maildir") in told
    path.chmod(0o666)
    done = run(home, "check")
    assert done.returncode == 65
    assert f"chmod go-w {path}" in done.stdout


def test_a_shadowed_rule_is_told_with_the_one_that_shadows_it(home: Path) -> None:
    rules(home, 'if from is "a@b.example", "c@d.example" { file "A" }\nif from is "c@d.example" { file "B" }\n')
    assert (
        "2:1: warning: nothing is left for this rule: whatever it matches has ended in line 1"
        in run(home, "check").stdout
    )


def test_try_says_where_and_why_and_touches_nothing(home: Path) -> None:
    rules(home, 'set mailboxes = "~/Maildir"\nrule "boss" if from is "boss@example.com" { file "Work" }\n')
    run(home, "check")  # the parser's tables are kept from here on
    before = sorted(home.rglob("*"))
    done = run(home, "try", str(ROOT / "examples/mail/01-boss.eml"), "-v")
    assert done.returncode == 0
    assert 'file "Work"  (rule "boss", main.rules:2)' in done.stdout
    assert 'yes main.rules:2  from is "boss@example.com"' in done.stdout
    assert sorted(home.rglob("*")) == before


def test_try_as_json_gives_one_object_a_line(home: Path) -> None:
    rules(home, 'set mailboxes = "~/Maildir"\nif envelope.from is null { discard }\n')
    done = run(home, "try", str(ROOT / "examples/mail"), "--json", "-f", "<>")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(list((ROOT / "examples/mail").glob("*.eml")))
    assert {line["outcome"] for line in lines} == {"discard"}


def test_try_reads_a_message_on_stdin_and_judges_as_at_another_time(home: Path) -> None:
    rules(home, 'set mailboxes = "~/Maildir"\nif now in 2026-12-20..2027-01-03 { file "Holiday/{now.month}" }\n')
    message = "Subject: x\n\nbody\n"
    assert 'file "Holiday/12"' in run(home, "try", "--now", "2026-12-24", stdin=message).stdout
    assert 'file "INBOX"' in run(home, "try", "--now", "2026-11-24", stdin=message).stdout


def test_fmt_is_canonical_and_idempotent(home: Path) -> None:
    path = rules(home, 'if   from is "a@b.example"{file "A"}   # mine\n')
    assert run(home, "fmt", "--check").returncode == 1
    assert run(home, "fmt").returncode == 0
    assert "# mine" in path.read_text()
    assert run(home, "fmt", "--check").returncode == 0


def test_init_writes_rules_that_check_accepts_and_never_overwrites(home: Path) -> None:
    assert run(home, "init").returncode == 0
    path = home / ".config/pydeliver/main.rules"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(home, "check", "--strict").returncode == 0
    path.write_text("keep\n")
    assert "nothing was changed" in run(home, "init").stdout
    assert path.read_text() == "keep\n"


def test_help_shows_topics_and_words(home: Path) -> None:
    assert "list-id" in run(home, "help").stdout
    assert "RFC 2919" in run(home, "help", "list-id").stdout
    done = run(home, "help", "lst-id")
    assert (done.returncode, "did you mean `list-id`?" in done.stderr) == (64, True)


@pytest.mark.parametrize("command", ["check", "try", "test", "fmt", "init", "help", "launcher", "deliver"])
def test_every_help_has_an_example(home: Path, command: str) -> None:
    done = run(home, command, "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


def test_every_command_is_told_from_a_delivery() -> None:
    assert set(COMMANDS) | {"deliver"} == set(commands.commands)


def test_a_wrong_command_line_leaves_with_64(home: Path) -> None:
    assert run(home, "check", "--nothing").returncode == 64
    assert run(home, "--version").stdout.startswith("pydeliver ")


@pytest.mark.parametrize("words", [("--nothing",), ("deliver", "-x"), ("-d",)])
def test_a_delivery_with_a_wrong_command_line_is_tried_again(home: Path, words: tuple[str, ...]) -> None:
    done = run(home, *words, stdin="Subject: x\n\n")
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith("4.3.5 ")
    assert done.stderr.count("\n") == 1


def test_an_mbox_is_judged_as_a_delivery_would(home: Path) -> None:
    rules(home, 'set default = "mbox:~/box"\n')
    assert run(home, "check").returncode == 0
    (home / "box").symlink_to("elsewhere")
    done = run(home, "check")
    assert done.returncode == 65
    assert "it is a link" in done.stdout


TESTED = """\
rule "boss" if from is "boss@example.com" { file "Work" }
test "the boss" { message { from "boss@example.com" }; expect file "Work" }
test "the rest" { message { from "jo@example.org" }; expect file "Work" }
"""


def test_the_tests_of_the_users_rules_are_run_and_counted(home: Path) -> None:
    path = rules(home, TESTED)
    done = run(home, "test", "--junit", "results.xml")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "ok     the boss (main.rules:2)"
    assert lines[1] == "FAILED the rest (main.rules:3)"
    assert lines[2:4] == ['    expected file "Work"', '    got      file "INBOX"  (end of the rules)']
    assert lines[-1] == "2 tests, 1 failed"
    suite = ElementTree.parse(home / "results.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (str(path), "2", "1")
    assert not (home / "Maildir").exists()


def test_tests_are_chosen_by_their_names(home: Path) -> None:
    rules(home, TESTED)
    done = run(home, "test", "-k", "THE BOSS")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 test")
    none = run(home, "test", "-k", "the wife")
    assert (none.returncode, none.stdout) == (0, "no tests\n")


def test_a_failing_test_is_no_mistake(home: Path) -> None:
    rules(home, TESTED)
    assert run(home, "check", "--strict").returncode == 0
    delivered = run(home, stdin="From: boss@example.com\n\n")
    assert (delivered.returncode, delivered.stderr) == (0, "")


def test_a_mistake_in_a_test_is_told_and_the_other_files_are_tested(home: Path) -> None:
    (home / "a.rules").write_text('test "a" { message {}; expct keep }\n')
    (home / "b.rules").write_text('test "b" { message {}; expect keep }\n')
    done = run(home, "test", "a.rules", "b.rules")
    assert done.returncode == 65
    assert "a.rules:1:24: a test holds `message`, `given` and `expect`; did you mean `expect`?" in done.stderr
    assert done.stdout == "ok     b (b.rules:1)\n1 test\n"
    alone = run(home, "test", "a.rules")
    assert (alone.returncode, alone.stdout) == (65, "")
    assert run(home, "test", "gone.rules").returncode == 65


def test_an_included_file_is_tested_where_it_is_included_and_by_itself_where_it_is_named(home: Path) -> None:
    (home / "r").mkdir()
    (home / "r" / "z.rules").write_text('let box = "B"\ninclude "a.rules"\n')
    (home / "r" / "a.rules").write_text('test "a" { message {}; expect no file box }\n')
    done = run(home, "test", "r")
    assert (done.returncode, done.stdout) == (0, "ok     a (a.rules:1)\n1 test\n")
    assert run(home, "test", "r/a.rules").returncode == 65


def test_the_results_as_json_are_one_object_a_line(home: Path) -> None:
    rules(home, TESTED)
    shown = [json.loads(line) for line in run(home, "test", "--json").stdout.splitlines()]
    assert [(one["test"], one["passed"]) for one in shown] == [("the boss", True), ("the rest", False)]


def test_results_that_cannot_be_written_are_told(home: Path) -> None:
    rules(home, TESTED)
    done = run(home, "test", "--junit", "gone/results.xml", "-k", "boss")
    assert (done.returncode, done.stderr) == (66, "gone/results.xml: No such file or directory\n")


def test_the_rule_files_of_the_project_pass_their_tests(home: Path) -> None:
    done = run(home, "test", str(ROOT / "tests" / "cases"))
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.splitlines()[-1].split()[0]) > 30
