"""What people see of the site's rules and policy: `check` names and judges them, `try` traces through them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import rules, run

GOOD, BAD = 'if subject is "one" { file "Before" }\n', "if if\n"
OUTSIDE = 'file "/srv/x/"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "before.rules").write_text("")
    return tmp_path


def settings(home: Path, policy: str = "open") -> tuple[str, str]:
    path = home / "site" / "settings.toml"
    path.write_text(f'policy = "{policy}"\n[rules]\nbefore = "{home}/site/before.rules"\n')
    return "--config", str(path)


TABLE = [  # the site's rules, the user's, the policy; exit code, what is said, what is not
    (GOOD, "keep\n", "open", 0, ["no mistakes", "site/before.rules"], [":1:"]),
    (GOOD, None, "open", 0, ["the site's rules alone sort", "no mistakes"], []),
    (GOOD, BAD, "open", 65, ["main.rules:1:4: ", "1 mistake"], ["before.rules:"]),
    (BAD, "keep\n", "open", 65, ["before.rules:1:4: ", "mail would wait: the site's", "1 mistake"], ["main.rules:"]),
    (BAD, BAD, "open", 65, ["before.rules:1:4: ", "main.rules:1:4: ", "2 mistakes"], []),
    ("let unused = 1\n", "keep\n", "open", 0, ["no mistakes"], ["unused", "warning"]),
    ('set me = "a@b.c"\n', "keep\n", "open", 65, ["before.rules:1:10: a site's rules set no options"], []),
    (GOOD, OUTSIDE, "open", 0, ["no mistakes"], []),
    (GOOD, OUTSIDE, "hosted", 65, ['main.rules:1:6: "/srv/x/" is outside of', '    file "/srv/x/"\n         ^^^'], []),
    (OUTSIDE, "keep\n", "hosted", 0, ["no mistakes"], ["outside"]),
]


@pytest.mark.parametrize(("before", "own", "policy", "code", "said", "not_said"), TABLE)
def test_check_tells_whose_mistake_it_is(
    home: Path, before: str, own: str | None, policy: str, code: int, said: list[str], not_said: list[str]
) -> None:
    (home / "site" / "before.rules").write_text(before)
    if own is not None:
        rules(home, own)
    done = run(home, "check", *settings(home, policy))
    assert done.returncode == code, done.stdout
    assert [text for text in said if text not in done.stdout] == [], done.stdout
    assert [text for text in not_said if text in done.stdout] == [], done.stdout


def test_a_mistake_of_the_sites_is_no_reason_to_leave_with_65_while_its_last_good_rules_hold(home: Path) -> None:
    rules(home, "keep\n")
    given = settings(home)
    message = "From: a@b.example\nSubject: one\n\nHi.\n"
    assert run(home, "deliver", *given, stdin=message).returncode == 0
    (home / "site" / "before.rules").write_text(BAD)
    done = run(home, "check", *given)
    assert done.returncode == 0, done.stdout
    assert "before.rules:1:4: " in done.stdout
    assert "meanwhile they hold as they were before" in done.stdout
    assert "no mistakes" in done.stdout


def test_a_file_of_the_sites_is_judged_alone_when_it_is_named(home: Path) -> None:
    given = settings(home, "hosted")
    path = home / "site" / "before.rules"
    path.write_text(GOOD + OUTSIDE)
    rules(home, BAD)
    done = run(home, "check", str(path), *given, "--strict")
    assert (done.returncode, "no mistakes" in done.stdout) == (0, True), done.stdout
    path.write_text('set default = "~/x"\nlet unused = 1\n')
    done = run(home, "check", str(path), *given)
    assert done.returncode == 65
    assert "before.rules:1:15: a site's rules set no options" in done.stdout
    assert "1 mistake, 1 warning" in done.stdout


def test_an_unsafe_file_of_the_sites_is_told_with_its_repair(home: Path) -> None:
    rules(home, "keep\n")
    path = home / "site" / "before.rules"
    path.chmod(0o666)
    done = run(home, "check", *settings(home))
    assert done.returncode == 65
    assert f"repair: chmod go-w {path}" in done.stdout


def test_an_unsafe_included_file_is_one_mistake(home: Path) -> None:
    more = rules(home, 'include "more.rules"\n').with_name("more.rules")
    more.write_text("keep\n")
    more.chmod(0o666)
    done = run(home, "check", *settings(home))
    assert done.returncode == 65
    assert f"repair: chmod go-w {more}" in done.stdout
    assert "main.rules:1:9: " in done.stdout
    assert "1 mistake\n" in done.stdout


def test_a_trace_goes_through_the_files_of_the_site(home: Path) -> None:
    (home / "site" / "before.rules").write_text(GOOD)
    rules(home, 'if subject is "two" { file "Mine" }\n')
    given = settings(home)
    done = run(home, "try", "-v", *given, stdin="Subject: one\n\nHi.\n")
    assert '-: file "Before"  (before.rules:1)' in done.stdout
    assert '    yes before.rules:1  subject is "one"' in done.stdout
    done = run(home, "try", "-v", *given, stdin="Subject: two\n\nHi.\n")
    assert '    no  before.rules:1  subject is "one"' in done.stdout
    assert '    yes main.rules:1  subject is "two"' in done.stdout
    (home / "site" / "before.rules").write_text(BAD)
    done = run(home, "try", *given, stdin="Subject: one\n\nHi.\n")
    assert (done.returncode, "before.rules:1:4: " in done.stderr) == (65, True)
