"""What a site lets the rules of its users do: refused at its place, by `check` and by deliveries alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pydeliver.agent.build import compile_plan
from pydeliver.agent.policy import POLICIES, PROGRAMS, Judge, Policy
from pydeliver.agent.rules import Home, find_store
from pydeliver.settings import SETTINGS, defaults
from tests.agent.test_agent import MESSAGE, notices, send, site_of, stored, write_rules
from tests.agent.test_site_rules import write_site

HOSTED = POLICIES["hosted"]


@pytest.fixture
def user(tmp_path: Path) -> Home:
    """A user of a site whose policy is `hosted`."""
    tmp_path.chmod(0o700)
    (tmp_path / "Maildir").mkdir(mode=0o700)
    home = Home("tester", os.getuid(), str(tmp_path))
    write_site(home, "settings.toml", 'policy = "hosted"\n')
    return home


def judge(user: Home, policy: Policy = HOSTED) -> Judge:
    return Judge(policy, user, find_store({**defaults(), "layout": ""}, user))


def told(user: Home, rules: str) -> list[str]:
    """What is wrong with rules: `line:column+width name`."""
    write_rules(user, rules)
    made = compile_plan(user, site_of(user))
    assert not made.site.some
    assert (made.plan is None) == bool(made.user.errors)
    return [f"{one.line}:{one.column}+{one.width} {one.name}" for one in made.user.errors]


def test_the_setting_names_every_policy() -> None:
    (setting,) = [one for one in SETTINGS if one.name == "policy"]
    assert setting.choices == tuple(POLICIES)
    assert POLICIES[str(setting.default)] == Policy()


REFUSED = [
    ('file "/srv/box/"', "1:6+11"),
    ('if size > 1 KB {\n    file "Work", "~/elsewhere/"\n}', "2:18+14"),
    ('file "mbox:~/.ssh/authorized_keys"', "1:6+29"),
    ('file "mbox:/var/mail/other"', "1:6+22"),
    ('file "mh:~/Mail"', "1:6+11"),
    ('file "~/Maildir-of-another/"', "1:6+23"),
    ('copy file "~/{subject}/"', "1:11+14"),
    ('let box = "~/x/"\nfile box', "2:6+3"),
    ('set mailboxes = "~/.ssh" as mbox', "1:17+8"),
    ('set mailboxes = "~/"', "1:17+4"),
    ('set default = "~/other"', "1:15+9"),
    ('set default = "mbox:/var/mail/other"', "1:15+22"),
    ('if from in file "/etc/passwd" { keep }', "1:17+13"),
    ('if from in optional file "../../../../etc/passwd" { keep }', "1:26+24"),
    ('if from in lines("/etc/passwd") { keep }', "1:18+13"),
    ('include "/etc/x.rules"', "1:9+14"),
    ('include optional "../../../x.rules"', "1:18+18"),
]


@pytest.mark.parametrize(("rules", "place"), REFUSED)
def test_what_lies_outside_is_refused_where_it_stands(user: Home, rules: str, place: str) -> None:
    assert told(user, f"{rules}\n") == [f"{place} policy"]
    write_site(user, "settings.toml", "")
    assert "policy" not in " ".join(told(user, f"{rules}\n"))


ALLOWED = [
    'file "Work/Boss"',
    'file "~/Maildir/Work/"',
    'file "mbox:~/Maildir/archive"',
    'file "{subject}", "INBOX"',
    'set mailboxes = "~/Maildir" as nested',
    'set default = "~/Maildir"',
    'set default = "~/Maildir/.Inbox"',
    'set me = "a@b.example"',
    'if from in optional file "~/friends" { keep }',
    'if from in optional file "friends" { keep }',
    'include optional "~/more.rules"',
    'include optional "../../more.rules"',
    'reject "no"',
]


@pytest.mark.parametrize("rules", ALLOWED)
def test_what_lies_inside_is_not(user: Home, rules: str) -> None:
    assert told(user, f"{rules}\n") == []


def test_the_systems_mailbox_may_be_named_where_it_is_the_default(user: Home) -> None:
    store = find_store({**defaults(), "layout": "", "default-mailbox": "/srv/mail/tester"}, user)
    named = Judge(HOSTED, user, store)
    assert named.refusal("set default", "/srv/mail/tester") == ""
    assert named.refusal("mailbox", "/srv/mail/tester/.Work/") == ""
    assert named.refusal("mailbox", "/srv/mail/other/") != ""
    assert named.refusal("mailbox", "~/Maildir/x/") != ""


@pytest.mark.parametrize("phrase", [*PROGRAMS, "copy pipe", "run.output"])
def test_no_phrase_with_a_word_for_a_program_is_allowed(user: Home, phrase: str) -> None:
    assert "start no programs" in judge(user).refusal("word", phrase)
    assert judge(user, POLICIES["open"]).refusal("word", phrase) == ""


@pytest.mark.parametrize("phrase", ["forward", "copy forward", "file", "copy file", "reject", "subject", "prefix"])
def test_other_words_are_allowed(user: Home, phrase: str) -> None:
    assert judge(user).refusal("word", phrase) == ""


def test_a_refused_word_is_told_where_it_stands(user: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICIES, "hosted", Policy(words=("discard", "copy", "size")))
    rules = 'if size > 1 KB { discard }\nif from exists { copy file "x" } else { keep }\nlog "{size}"\n'
    assert told(user, rules) == ["1:4+4 policy", "1:18+7 policy", "2:18+4 policy", "3:7+4 policy"]


def test_the_sites_own_rules_are_not_bound(user: Home) -> None:
    write_site(user, "before.rules", f'copy file "{user.path}/archive/"\ncopy file "~/all/"\n')
    write_site(user, "settings.toml", f'policy = "hosted"\nrules.before = "{user.path}/site/before.rules"\n')
    assert told(user, 'file "Mine"\n') == []
    assert told(user, f'file "{user.path}/archive/"\n') == [f"1:6+{len(user.path) + 11} policy"]


# -- limits --


def copies(number: int, first: int = 0) -> str:
    return "".join([f'if size > {n} KB {{ copy file "box{n}" }}\n' for n in range(first, first + number)])


def test_one_message_goes_to_so_many_mailboxes(user: Home) -> None:
    most = HOSTED.deliveries
    assert told(user, copies(most)) == []
    assert told(user, copies(most - 1) + 'file "last"\n') == []
    assert told(user, copies(most) + 'file "last"\n') == [f"{most + 1}:1+11 policy"]
    assert told(user, copies(most - 1) + 'file "a", "b"\n') == [f"{most}:1+13 policy"]


def test_branches_are_alternatives_and_what_ends_the_evaluation_ends_the_count(user: Home) -> None:
    most = HOSTED.deliveries
    final = "".join([f'if size > {n} KB {{ file "box{n}" }}\n' for n in range(most * 2)])
    assert told(user, final) == []
    either = "if from exists {\n" + copies(most) + "} else {\n" + copies(most) + "}\n"
    assert told(user, either) == []
    assert told(user, either + 'copy file "x"\n') == [f"{2 * most + 4}:1+13 policy"]
    ended = "if from exists {\n" + copies(most) + "keep } else { keep }\n"
    assert told(user, ended + copies(most)) == []


def test_the_sites_copies_do_not_count_for_the_user(user: Home) -> None:
    write_site(user, "before.rules", copies(20, 100))
    write_site(user, "settings.toml", f'policy = "hosted"\nrules.before = "{user.path}/site/before.rules"\n')
    assert told(user, copies(20)) == []


def test_forwards_have_a_limit_of_their_own(user: Home) -> None:
    def forward(at: int) -> tuple[object, ...]:
        return ("do", "filing", "copy", (("text", "a@b.example"),), "", at, 0, "")

    hosted = judge(user, Policy(deliveries=9, forwards=4))
    assert hosted.too_many(tuple([forward(at) for at in range(9)])) is None
    hosted = judge(user, Policy(deliveries=3))
    excess = hosted.too_many(tuple([forward(at) for at in range(9)]))
    assert excess is not None
    assert excess[0][5] == 3, "the fourth is one too many"


def test_rules_are_so_large_and_no_larger(user: Home) -> None:
    comment = "# " + "x" * 1000 + "\n"
    full = comment * (HOSTED.rule_bytes // len(comment))
    assert told(user, full) == []
    assert told(user, full + comment) == ["1:1+1 policy"]
    write_rules(user, comment, "more.rules")
    assert told(user, 'include "more.rules"\n' + full[: -len(comment)]) == []
    assert told(user, 'include "more.rules"\n' + full) == ["1:9+12 bad-include"]


# -- deliveries --


def test_a_delivery_refuses_it_too_and_the_last_good_rules_go_on(user: Home) -> None:
    write_rules(user, 'file "Good"\n')
    assert send(user).ok
    write_rules(user, 'file "~/elsewhere/"\n')
    assert send(user).ok
    assert len(stored(user, ".Good")) == 2
    assert not Path(user.path, "elsewhere").exists()
    assert b'file "~/elsewhere/"\n         ^^^^^^^^^^^^^^' in notices(user)[0]


def test_last_good_rules_are_bound_by_todays_policy(user: Home) -> None:
    write_site(user, "settings.toml", "")
    write_rules(user, 'file "~/elsewhere/"\n')
    assert send(user).ok
    write_site(user, "settings.toml", 'policy = "hosted"\n')
    status = send(user)
    assert (status.exit_code, "is outside of" in status.text) == (75, True)
    write_rules(user, "if if\n")
    assert send(user).exit_code == 75
    assert [path.read_bytes() for path in Path(user.path, "elsewhere/new").iterdir()] == [MESSAGE]
