"""What only the site's settings and the user's mailboxes can tell about rules, and the questions about mailboxes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pydeliver import settings as site_settings
from pydeliver.agent import World
from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site, find_store
from pydeliver.status import Diagnostic, Status


@pytest.fixture
def user(tmp_path: Path) -> Home:
    tmp_path.chmod(0o700)
    (tmp_path / "Maildir").mkdir(mode=0o700)
    return Home("tester", os.getuid(), str(tmp_path))


def told(user: Home, rules: str, settings: str = "") -> tuple[Diagnostic, ...]:
    """What is told about rules under these settings of the site."""
    for path, text in ((user.rules, rules), (f"{user.path}/settings.toml", settings)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        Path(path).chmod(0o600)
    return compile_plan(user, Site(user.rules, f"{user.path}/settings.toml")).diagnostics


def places(found: tuple[Diagnostic, ...]) -> list[tuple[int, int, int, str, str]]:
    return [(one.line, one.column, one.width, one.severity, one.name) for one in found]


def test_a_mailbox_that_is_asked_about_has_a_name_that_can_be_used(user: Home) -> None:
    found = told(user, 'mark seen\nif not mailbox "a//b" exists and size > 1 { keep }\n')
    assert places(found) == [(2, 16, 6, "error", "bad-mailbox")]
    assert found[0].message == '"a//b": there is nothing between two "/"'
    assert told(user, 'if mailbox "a/b" exists or mailbox "INBOX" exists or mailbox "~/x/" exists { keep }\n') == ()


def test_rules_of_a_hosted_user_ask_about_no_other_place(user: Home) -> None:
    rules = 'if mailbox "/var/mail/" exists or mailbox "Work" exists { keep }\n'
    assert places(told(user, rules, 'policy = "hosted"\n')) == [(1, 12, 12, "error", "policy")]
    assert told(user, rules) == ()


def test_results_that_no_server_could_give_are_a_doubt(user: Home) -> None:
    rules = 'if auth.spf is "fail" { keep }\nif size > 1 or not auth.dkim.domain is from.domain { log "x" }\n'
    found = told(user, rules)
    assert places(found) == [(1, 4, 8, "warning", "no-authserv-id"), (2, 20, 16, "warning", "no-authserv-id")]
    assert "authserv-id" in found[0].message
    assert told(user, rules, 'authserv-id = ["mx.example.org"]\n') == ()
    assert told(user, "if bulk { keep }\n") == ()


def test_the_world_knows_which_mailboxes_are_there(user: Home) -> None:
    settings = {**site_settings.defaults(), "layout": ""}
    world = World(user, find_store(settings, user), settings, time.time())
    Path(user.path, "Maildir/.Work.Boss").mkdir()
    Path(user.path, "box").write_text("")
    answers = {name: world.answer(("mailbox-exists", name)) for name in ("Work/Boss", "Work", "inbox", "mbox:~/box")}
    assert answers == {"Work/Boss": True, "Work": False, "inbox": True, "mbox:~/box": True}
    assert isinstance(world.answer(("mailbox-exists", "a//b")), Status)
    assert world.new == set()
