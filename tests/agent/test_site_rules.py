"""The site's rules before and behind the user's: one sequence, whose files they are, whose mistakes they have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site, load_plan
from pydeliver.plan import Plan
from pydeliver.status import Status
from tests.agent.test_agent import BAD, GOOD, MESSAGE, last_line, notices, send, site_of, stored, write_rules
from tests.rules import write_rested

BOB = 54321  # a user that no machine has
SETTINGS = 'rules.before = "{0}/before.rules"\nrules.after = "{0}/after.rules"\n'


@pytest.fixture
def user(tmp_path: Path) -> Home:
    """A user of a site with a rule file on either side, both empty; all of it has been there for a minute."""
    tmp_path.chmod(0o700)
    (tmp_path / "Maildir").mkdir(mode=0o700)
    home = Home("tester", os.getuid(), str(tmp_path))
    write_site(home, "before.rules", "")
    write_site(home, "after.rules", "")
    write_site(home, "settings.toml", SETTINGS.format(tmp_path / "site"))
    return home


@pytest.fixture(autouse=True)
def syslog(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the site is told."""
    lines: list[str] = []
    monkeypatch.setattr("pydeliver.agent.renew.tell_syslog", lines.append)
    return lines


def write_site(home: Home, name: str, text: str, age: float = 60) -> Path:
    path = Path(home.path) / ("settings.toml" if name == "settings.toml" else f"site/{name}")
    return write_rested(path, text, age, 0o644)


def test_the_three_run_one_behind_the_other_and_the_first_that_delivers_ends_it(user: Home) -> None:
    write_site(user, "before.rules", 'if subject is "one" { file "Before" }\nmark seen\n')
    write_rules(user, 'if subject is "one" or subject is "two" { file "Mine" }\n')
    write_site(user, "after.rules", 'file "After"\n')
    for subject in (b"one", b"two", b"three"):
        assert send(user, MESSAGE.replace(b"hello", subject)).ok
    assert [len(stored(user, folder)) for folder in (".Before", ".Mine", ".After")] == [1, 1, 1]
    assert last_line(user)["file"] == f"{user.path}/site/after.rules"
    (mine,) = (Path(user.path) / "Maildir" / ".Mine" / "cur").iterdir()
    assert mine.name.endswith(":2,S"), "what the site marks is marked"


def test_a_user_without_rules_gets_the_sites(user: Home) -> None:
    write_site(user, "after.rules", 'file "After"\n')
    assert send(user).ok
    assert stored(user, ".After") == [MESSAGE]
    assert send(user).ok


def test_each_of_the_three_has_its_own_lets(user: Home) -> None:
    write_site(user, "before.rules", 'let box = "Before"\nif subject is "one" { file box }\n')
    write_rules(user, 'let box = "Mine"\nif subject is "two" { file box }\n')
    write_site(user, "after.rules", 'let box = "After"\nfile box\n')
    assert compile_plan(user, site_of(user)).diagnostics == ()
    assert send(user).ok
    assert stored(user, ".After") == [MESSAGE]
    write_rules(user, "if subject exists { file box }\n")
    write_site(user, "after.rules", "")
    (mistake,) = compile_plan(user, site_of(user)).diagnostics
    assert (mistake.file, mistake.name) == (user.rules, "unquoted")


@pytest.mark.parametrize("name", ["before.rules", "after.rules", "more.rules"])
def test_a_change_to_the_sites_rules_makes_a_new_plan(user: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_site(user, "more.rules", "")
    write_site(user, "before.rules", 'include "more.rules"\n')
    first = load_plan(user, site_of(user))
    assert isinstance(first, Plan)

    def compiled_again(*_given: object) -> None:
        raise AssertionError("the language was asked")

    with monkeypatch.context() as patch:
        patch.setattr("pydeliver.agent.build.compile_parts", compiled_again)
        assert load_plan(user, site_of(user)) == first
        write_site(user, name, 'file "New"\n')
        with pytest.raises(AssertionError, match="asked"):
            load_plan(user, site_of(user))
    assert send(user).ok
    assert stored(user, ".New") == [MESSAGE]


def test_what_the_user_includes_takes_nothing_away_from_the_site(user: Home) -> None:
    write_site(user, "after.rules", 'file "After"\n')
    write_rules(user, f'if subject is "never" {{ include "{user.path}/site/after.rules" }}\n')
    assert send(user).ok
    assert stored(user, ".After") == [MESSAGE]


def test_a_site_sets_nothing_that_is_the_users(user: Home, syslog: list[str]) -> None:
    write_rules(user, 'set mailboxes = "~/Mail"\n')
    for option in ('set mailboxes = "~/x"', 'set default = "~/x"', 'set me = "a@b.example"', 'set timezone = "UTC"'):
        write_site(user, "before.rules", f"{option}\n")
        made = compile_plan(user, site_of(user))
        assert (made.plan, made.diagnostics) == (None, ())
        (mistake,) = made.site.diagnostics
        assert (mistake.name, mistake.line, mistake.column) == ("policy", 1, option.index('"') + 1)
    assert send(user).exit_code == 75
    assert "a site's rules set no options" in syslog[0]


def test_doubts_about_the_sites_rules_are_not_for_the_user(user: Home) -> None:
    write_site(user, "before.rules", 'let unused = "x"\nif subject is "one" { file "Before" }\n')
    write_rules(user, 'if subject is "one" { file "Mine" }\nif subject exists { keep }\n')
    write_site(user, "after.rules", 'if subject contains "x" { file "After" }\n')
    made = compile_plan(user, site_of(user))
    assert (made.plan is None, made.site.some, made.site.diagnostics) == (False, False, ())
    (doubt,) = made.diagnostics
    assert (doubt.file, doubt.line, doubt.name) == (user.rules, 1, "shadowed")
    assert f"in line 2 of {user.path}/site/before.rules" in doubt.message


# -- mistakes --


def test_without_last_good_ones_a_mistake_of_the_sites_makes_mail_wait(user: Home, syslog: list[str]) -> None:
    write_site(user, "before.rules", BAD)
    status = send(user)
    assert (status.exit_code, f"{user.path}/site/before.rules:2" in status.text) == (75, True)
    assert len(syslog) == 1
    assert "before.rules:2: `fiel` is not known here" in syslog[0]
    assert notices(user) == []


def test_the_last_good_rules_of_the_site_go_on_while_it_has_a_mistake_and_no_user_is_told(
    user: Home, syslog: list[str]
) -> None:
    write_site(user, "before.rules", 'if subject is "one" { file "Before" }\n')
    write_rules(user, 'file "Mine"\n')
    assert send(user).ok
    assert syslog == []
    write_site(user, "before.rules", BAD)
    write_rules(user, 'file "Changed"\n')  # his own rules are today's
    for _ in range(3):
        assert send(user).ok
        assert send(user, MESSAGE.replace(b"hello", b"one")).ok
    assert [len(stored(user, folder)) for folder in (".Before", ".Changed", ".Good")] == [3, 3, 0]
    assert notices(user) == []
    assert len(syslog) == 1, "once for each plan that is made, not for each message"
    write_site(user, "before.rules", GOOD)
    assert send(user).ok
    assert len(stored(user, ".Good")) == 1


def test_both_may_be_broken_and_the_user_is_told_of_his_own(user: Home, syslog: list[str]) -> None:
    write_site(user, "after.rules", 'file "After"\n')
    write_rules(user, 'if subject is "one" { file "Mine" }\n')
    assert send(user).ok
    write_site(user, "after.rules", "if if\n")
    write_rules(user, BAD)
    assert send(user).ok
    assert send(user, MESSAGE.replace(b"hello", b"one")).ok
    assert [len(stored(user, folder)) for folder in (".After", ".Mine")] == [2, 1]
    (notice,) = notices(user)
    assert b"main.rules:2" in notice
    assert b"after.rules" not in notice
    assert "after.rules:1" in syslog[0]


def test_rules_that_the_user_mends_while_the_sites_are_broken_are_his_last_good_ones(user: Home) -> None:
    write_rules(user, 'file "First"\n')
    assert send(user).ok
    write_site(user, "before.rules", BAD)
    write_rules(user, 'file "Second"\n')
    assert send(user).ok
    write_rules(user, BAD)
    assert send(user).ok
    assert [len(stored(user, folder)) for folder in (".First", ".Second")] == [1, 2]


def test_a_file_of_the_sites_that_went_away_is_a_mistake(user: Home, syslog: list[str]) -> None:
    path = write_site(user, "before.rules", 'file "Before"\n')
    assert send(user).ok
    path.unlink()
    assert send(user).ok
    assert len(stored(user, ".Before")) == 2
    assert "does not exist" in syslog[0]


def test_a_mailbox_name_that_is_a_mistake_for_this_user_is_the_sites(user: Home) -> None:
    write_site(user, "before.rules", 'if size > 1 GB { file "a.b" }\n')
    made = compile_plan(user, site_of(user))
    assert (made.plan, made.diagnostics, [one.name for one in made.site.errors]) == (None, (), ["bad-mailbox"])
    write_rules(user, 'set mailboxes = "~/Mail" as nested\n')
    assert compile_plan(user, site_of(user)).plan is not None


def test_where_the_site_keeps_mail_unsorted_its_own_rules_hold_on(user: Home) -> None:
    write_site(user, "settings.toml", 'broken-rules = "keep"\n' + SETTINGS.format(f"{user.path}/site"))
    write_site(user, "before.rules", 'if subject is "one" { file "Before" }\n')
    write_rules(user, BAD)
    assert send(user).ok
    assert send(user, MESSAGE.replace(b"hello", b"one")).ok
    assert len(stored(user, ".Before")) == 1
    assert MESSAGE in stored(user)
    assert b"kept here unsorted" in notices(user)[0]


def test_the_last_good_rules_of_the_site_hold_while_new_ones_are_being_written(user: Home, syslog: list[str]) -> None:
    write_site(user, "before.rules", 'file "Before"\n')
    assert send(user).ok
    write_site(user, "before.rules", "if if\n", age=0)
    assert send(user).ok
    assert len(stored(user, ".Before")) == 2
    assert syslog == []


def test_last_good_rules_are_those_of_the_file_that_is_named_today(user: Home) -> None:
    write_site(user, "before.rules", 'file "Before"\n')
    assert send(user).ok
    other = write_site(user, "other.rules", BAD)
    write_site(user, "settings.toml", f'rules.before = "{other}"\n')
    assert send(user).exit_code == 75


def test_includes_of_the_last_good_rules_of_the_site_are_those_of_then(user: Home) -> None:
    write_site(user, "before.rules", 'include "more.rules"\n')
    write_site(user, "more.rules", 'file "More"\n')
    write_rules(user, GOOD)
    assert send(user).ok
    write_site(user, "more.rules", 'file "Changed"\n')
    write_site(user, "before.rules", "if if\n")
    for _ in range(2):
        assert send(user).ok
    assert len(stored(user, ".More")) == 3


# -- trust --


def of_bob(user: Home) -> Home:
    """The same home, given to a user who is not root, and what he may not write to root."""
    if os.getuid():
        pytest.skip("needs root, to give files to others")
    write_rules(user, "keep\n")
    for folder, _, names in os.walk(user.path):
        for path in (folder, *[f"{folder}/{name}" for name in names]):
            os.chown(path, BOB, BOB)
    for name in ("settings.toml", "site", "site/before.rules", "site/after.rules"):
        os.chown(f"{user.path}/{name}", 0, 0)
    os.rename(f"{user.path}/site", f"{user.path}-site")
    os.rename(f"{user.path}/settings.toml", f"{user.path}-site/settings.toml")
    Path(f"{user.path}-site/settings.toml").write_text(SETTINGS.format(f"{user.path}-site"))
    return Home("bob", BOB, user.path)


def site_of_bob(bob: Home) -> Site:
    return Site(bob.rules, f"{bob.path}-site/settings.toml")


def test_the_sites_rules_belong_to_the_owner_of_its_settings(user: Home) -> None:
    bob = of_bob(user)
    assert compile_plan(bob, site_of_bob(bob)).plan is not None
    os.chown(f"{bob.path}-site/before.rules", BOB, BOB)
    made = compile_plan(bob, site_of_bob(bob))
    assert (made.plan, made.distrusted, [one.kind for one in made.site.distrusted]) == (None, (), ["owner"])
    os.chown(f"{bob.path}-site/settings.toml", BOB, BOB)  # his own settings may name his own file
    assert compile_plan(bob, site_of_bob(bob)).plan is not None


def test_no_user_holds_the_sites_rules_in_his_home(user: Home) -> None:
    bob = of_bob(user)
    own = Path(bob.path, "site.rules")
    own.write_text("keep\n")
    Path(f"{bob.path}-site/settings.toml").write_text(f'rules.before = "{own}"\n')
    made = compile_plan(bob, site_of_bob(bob))
    assert (made.plan, [one.kind for one in made.site.distrusted]) == (None, ["parent-owner"])


def test_what_the_site_includes_is_the_sites_too(user: Home) -> None:
    bob = of_bob(user)
    more = Path(f"{bob.path}-site/more.rules")
    more.write_text("keep\n")
    Path(f"{bob.path}-site/before.rules").write_text('include "more.rules"\n')
    assert compile_plan(bob, site_of_bob(bob)).plan is not None
    os.chown(more, BOB, BOB)
    made = compile_plan(bob, site_of_bob(bob))
    assert (made.plan, made.distrusted, made.diagnostics) == (None, (), ())
    assert [one.kind for one in made.site.distrusted] == ["owner"]


def test_a_cached_plan_is_left_when_the_sites_rules_are_given_away(user: Home) -> None:
    bob = of_bob(user)
    for name in ("settings.toml", "before.rules", "after.rules"):
        os.utime(f"{bob.path}-site/{name}", (1, 1))
    os.utime(bob.rules, (1, 1))
    assert isinstance(load_plan(bob, site_of_bob(bob)), Plan)
    os.chown(f"{bob.path}-site/after.rules", BOB, BOB)
    assert isinstance(load_plan(bob, site_of_bob(bob)), Status)


def test_unsafe_rules_of_the_site_are_never_replaced_by_the_last_good_ones(user: Home, syslog: list[str]) -> None:
    path = write_site(user, "before.rules", 'file "Before"\n')
    assert send(user).ok
    path.chmod(0o666)
    assert send(user).exit_code == 75
    assert "written by everyone" in syslog[0]
    assert notices(user) == []
