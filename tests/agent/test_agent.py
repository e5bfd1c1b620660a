"""The engine behind every door: rules found, judged, cached; deliveries that never sort by half a file."""

from __future__ import annotations

import json
import os
import pwd
import time
from pathlib import Path

import pytest

from pydeliver import plan as plans
from pydeliver import settings as site_settings
from pydeliver.agent import NEW_MAILBOXES_A_DAY, Request, deliver
from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site, cache_path, find_home, find_store, home_of, load_plan
from pydeliver.mail.envelope import Envelope
from pydeliver.plan import Plan
from pydeliver.status import Status
from tests.rules import write_rested

MESSAGE = b"From: Boss <boss@example.com>\nTo: you@example.net\nMessage-ID: <1@x>\nSubject: hello\n\nHi.\n"


@pytest.fixture
def user(tmp_path: Path) -> Home:
    tmp_path.chmod(0o700)
    (tmp_path / "Maildir").mkdir(mode=0o700)
    return Home("tester", os.getuid(), str(tmp_path))


def write_rules(user: Home, text: str, name: str = "main.rules", age: float = 60) -> Path:
    return write_rested(Path(user.rules).parent / name, text, age)


def site_of(user: Home) -> Site:
    return Site(user.rules, f"{user.path}/settings.toml")


def send(user: Home, message: bytes = MESSAGE, envelope: Envelope | None = None) -> Status:
    source = Path(user.path) / "stdin"
    source.write_bytes(message)
    fd = os.open(source, os.O_RDONLY)
    try:
        return deliver(
            Request(user, site_of(user), envelope or Envelope("a@b.example"), fd, time.time(), "host", os._exit)
        )
    finally:
        os.close(fd)


def stored(user: Home, folder: str = "") -> list[bytes]:
    places = [Path(user.path) / "Maildir" / folder / part for part in ("new", "cur")]
    return [path.read_bytes() for place in places if place.is_dir() for path in place.iterdir()]


def last_line(user: Home) -> dict[str, object]:
    lines = (Path(user.state.directory) / "deliveries.log").read_text().splitlines()
    found: dict[str, object] = json.loads(lines[-1])
    return found


def test_a_message_goes_where_the_rules_say_byte_for_byte(user: Home) -> None:
    write_rules(user, 'rule "boss" if from is "boss@example.com" { file "Work/Boss" }\n')
    assert send(user).ok
    assert stored(user, ".Work.Boss") == [MESSAGE]
    line = last_line(user)
    assert (line["rule"], line["line"], line["message-id"]) == ("boss", 1, "<1@x>")
    assert line["status"] == "2.0.0 delivered"


@pytest.mark.parametrize("place", ['"INBOX"', '"mbox:~/box"', '"mh:~/mh"', '"Work", "INBOX"'])
def test_a_message_that_comes_twice_is_stored_twice(user: Home, place: str) -> None:
    """A caller that comes again after a yes means it; only what was cut short before the yes is one message."""
    write_rules(user, f"file {place}\n")
    for _ in range(2):
        assert send(user).ok
    mh = len(list(Path(user.path).glob("mh/[0-9]*")))
    box = Path(user.path, "box")
    found = stored(user, ".Work") if "Work" in place else stored(user)
    assert len(found) + mh + (box.read_bytes().count(b"\nMessage-ID: <1@x>") if box.exists() else 0) == 2
    assert list(Path(user.state.directory).glob("journal/*")) == []
    assert list(Path(user.path).rglob("tmp/*")) == []


def test_without_a_rule_file_everything_is_kept(user: Home) -> None:
    assert send(user).ok
    assert stored(user) == [MESSAGE]


@pytest.mark.parametrize("line", [b"From a@b.example Mon Nov 23 09:00:00 2026\n", b">From a@b.example Mon Nov 23\n"])
def test_a_from_line_is_never_delivered(user: Home, line: bytes) -> None:
    assert send(user, line + MESSAGE).ok
    assert stored(user) == [MESSAGE]


@pytest.mark.parametrize("nothing", [b"", b"From a@b.example Mon Nov 23\n"])
def test_nothing_on_stdin_is_tried_again(user: Home, nothing: bytes) -> None:
    assert send(user, nothing).exit_code == 75
    assert stored(user) == []
    assert "empty" in str(last_line(user)["status"])


def test_a_rule_file_with_a_mistake_sorts_nothing(user: Home) -> None:
    write_rules(user, 'if from is "boss@example.com" { file "Work" }\nfiel "x"\n')
    status = send(user)
    assert status.exit_code == 75
    assert "main.rules:2" in status.text
    assert stored(user) == stored(user, ".Work") == []


GOOD, BAD = 'file "Good"\n', 'file "Good"\nfiel "Bad"\n'


def notices(user: Home) -> list[bytes]:
    return [text for text in stored(user) if b"Auto-Submitted: auto-generated" in text]


def test_the_last_good_rules_sort_while_the_users_have_a_mistake_and_he_is_told_once(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    write_rules(user, BAD)
    for _ in range(3):
        assert send(user).ok
    assert len(stored(user, ".Good")) == 4
    (notice,) = notices(user)
    assert b"Subject: Your mail rules have a mistake: main.rules:2" in notice
    assert b'    fiel "Bad"\n    ^^^^\n' in notice
    line = last_line(user)
    assert "the rules are broken" in str(line["notes"])
    assert line["rules"] != "", "the log names the rules by which it was judged"


def test_each_broken_state_is_told_again_after_the_rules_were_good(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    for _ in range(2):
        write_rules(user, BAD)
        assert send(user).ok
        write_rules(user, GOOD)
        assert send(user).ok
    assert len(notices(user)) == 2
    write_rules(user, BAD)
    assert send(user).ok
    write_rules(user, BAD + "fiel\n")
    assert send(user).ok
    assert len(notices(user)) == 4


def test_many_deliveries_at_once_tell_one_notice(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    write_rules(user, BAD)
    children = []
    for _ in range(6):
        if (child := os.fork()) == 0:
            code = 1
            try:
                place = Path(user.path) / f"stdin{os.getpid()}"
                place.write_bytes(MESSAGE)
                fd = os.open(place, os.O_RDONLY)
                request = Request(user, site_of(user), Envelope("a@b.example"), fd, time.time(), "host", os._exit)
                code = deliver(request).exit_code
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    assert len(notices(user)) == 1
    assert len(stored(user, ".Good")) == 7


def test_a_notice_that_cannot_be_stored_is_told_later_and_costs_no_message(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    write_rules(user, BAD)
    new = Path(user.path) / "Maildir/new"
    os.rename(new, new.with_name("elsewhere"))
    new.write_text("in the way")
    assert send(user).ok
    assert notices(user) == []
    new.unlink()
    os.rename(new.with_name("elsewhere"), new)
    assert send(user).ok
    assert len(notices(user)) == 1


def test_includes_of_the_last_good_rules_are_those_of_then(user: Home) -> None:
    write_rules(user, 'include "more.d/*.rules"\n')
    (Path(user.rules).parent / "more.d").mkdir(mode=0o700)
    write_rules(user, GOOD, "more.d/1.rules")
    assert send(user).ok
    write_rules(user, "if if\n", "more.d/1.rules")
    write_rules(user, 'file "Other"\n', "more.d/0.rules")
    assert send(user).ok
    assert len(stored(user, ".Good")) == 2


def test_a_rule_file_that_went_away_is_a_broken_one(user: Home) -> None:
    path = write_rules(user, GOOD)
    assert send(user).ok
    path.unlink()
    assert send(user).ok
    assert len(stored(user, ".Good")) == 2
    assert b"is gone" in notices(user)[0]


@pytest.mark.parametrize("lost", ["names", "*.rules"])
def test_without_the_last_good_sources_mail_waits(user: Home, lost: str) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    write_rules(user, BAD)
    for path in (Path(user.state.directory) / "rules").glob(lost):
        path.unlink()
    assert send(user).exit_code == 75


def test_last_good_rules_are_judged_by_todays_policy(user: Home) -> None:
    write_rules(user, 'if env.SECRET is "x" { discard }\n')
    settings = Path(user.path, "settings.toml")
    settings.write_text('environment = ["SECRET"]\n')
    assert send(user).ok
    write_rules(user, "if if\n")
    settings.write_text("environment = []\n")
    assert send(user).exit_code == 75


def test_unsafe_rules_are_never_replaced_by_the_last_good_ones(user: Home) -> None:
    path = write_rules(user, GOOD)
    assert send(user).ok
    path.chmod(0o666)
    assert send(user).exit_code == 75


def test_broken_settings_are_told_to_the_site_and_not_to_the_user(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    Path(user.path, "settings.toml").write_text('sink = "full"\n')
    assert send(user).exit_code == 75
    assert notices(user) == []


def test_a_site_may_keep_the_mail_of_users_who_never_had_good_rules(user: Home) -> None:
    Path(user.path, "settings.toml").write_text('broken-rules = "keep"\n')
    write_rules(user, BAD)
    assert send(user).ok
    assert MESSAGE in stored(user)
    assert b"kept here unsorted" in notices(user)[0]


def test_the_last_good_rules_sort_while_new_ones_are_being_written(user: Home) -> None:
    write_rules(user, GOOD)
    assert send(user).ok
    write_rules(user, 'file "New"\n', age=0)
    assert send(user).ok
    assert len(stored(user, ".Good")) == 2
    assert notices(user) == []


def test_the_cached_plan_is_used_while_its_sources_are_as_they_were(
    user: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rules(user, 'include "more.rules"\n')
    more = write_rules(user, 'file "One"\n', "more.rules")
    assert isinstance(load_plan(user, site_of(user)), Plan)

    def compiled_again(*_given: object) -> None:
        raise AssertionError("the language was asked")

    with monkeypatch.context() as patch:
        patch.setattr("pydeliver.agent.build.compile_parts", compiled_again)
        assert isinstance(load_plan(user, site_of(user)), Plan)
        write_rules(user, 'file "Two"\n', "more.rules")
        with pytest.raises(AssertionError, match="asked"):
            load_plan(user, site_of(user))
    assert send(user).ok
    assert stored(user, ".Two") == [MESSAGE]
    assert path.exists()
    assert more.exists()


def test_new_settings_make_a_new_plan(user: Home) -> None:
    write_rules(user, 'if envelope.to.detail exists { file "{envelope.to.detail}" }\n')
    plan = load_plan(user, site_of(user))
    assert isinstance(plan, Plan)
    assert plan.settings["subaddress"] == "+"
    Path(user.path, "settings.toml").write_text('subaddress = "-"\n')
    plan = load_plan(user, site_of(user))
    assert isinstance(plan, Plan)
    assert plan.settings["subaddress"] == "-"


def test_a_mistake_in_the_settings_sorts_nothing(user: Home) -> None:
    Path(user.path, "settings.toml").write_text('sink = "full"\n')
    assert send(user).exit_code == 75


def test_a_damaged_cache_is_made_anew(user: Home) -> None:
    write_rules(user, 'file "Work"\n')
    assert send(user).ok
    cache = Path(cache_path(user, site_of(user)))
    good = cache.read_bytes()
    for damaged in (b"", good[:40], good[:-1], bytes([good[0] ^ 1]) + good[1:], good[:-1] + bytes([good[-1] ^ 1])):
        cache.write_bytes(damaged)
        assert send(user).ok
        assert cache.read_bytes() == good
    assert len(stored(user, ".Work")) == 6


def test_a_file_still_being_written_is_waited_for(user: Home) -> None:
    write_rules(user, 'file "Work"\n', age=1.5)
    before = time.monotonic()
    assert send(user).ok
    assert time.monotonic() - before > 0.3
    assert stored(user, ".Work") == [MESSAGE]


def test_an_include_glob_notices_a_new_file(user: Home) -> None:
    write_rules(user, 'include "rules.d/*.rules"\n')
    assert send(user).ok
    (Path(user.rules).parent / "rules.d").mkdir(mode=0o700)
    write_rules(user, 'file "New"\n', "rules.d/10.rules")
    assert send(user).ok
    assert stored(user, ".New") == [MESSAGE]


def test_an_absent_list_file_defers_unless_it_is_optional(user: Home) -> None:
    write_rules(user, 'if from in file "~/friends" { file "Friends" }\n')
    assert send(user).exit_code == 75
    write_rules(user, 'if from in optional file "~/friends" { file "Friends" }\n')
    assert send(user).ok
    Path(user.path, "friends").write_text("# mine\nBOSS@example.com\n")
    assert send(user).ok
    assert len(stored(user, ".Friends")) == 1


def test_reject_and_defer_store_nothing_and_say_why(user: Home) -> None:
    write_rules(user, 'copy file "Copy"\nif subject is "hello" { reject "not here" } else { defer "later" }\n')
    refused = send(user)
    assert (refused.exit_code, refused.line) == (77, "5.7.1 not here")
    assert send(user, MESSAGE.replace(b"hello", b"other")).exit_code == 75
    assert stored(user) == stored(user, ".Copy") == []


def test_a_bad_mailbox_name_is_told_where_it_stands(user: Home) -> None:
    write_rules(user, 'if from exists {\n    file "a..b/cur"\n}\n')
    made = compile_plan(user, site_of(user))
    assert made.plan is None
    assert [(one.line, one.column, one.name) for one in made.diagnostics] == [(2, 10, "bad-mailbox")]


def test_rules_are_kept_by_digest(user: Home) -> None:
    write_rules(user, 'file "Work"\n')
    assert send(user).ok
    digest = plans.content_digest(b'file "Work"\n').hex()
    kept = Path(user.state.directory) / "rules" / f"{digest}.rules"
    assert kept.read_text() == 'file "Work"\n'


def test_a_log_that_cannot_be_written_loses_nothing(user: Home) -> None:
    write_rules(user, 'file "Work"\n')
    Path(user.path, ".local").write_text("in the way")
    assert send(user).ok
    assert stored(user, ".Work") == [MESSAGE]


@pytest.mark.parametrize("failure", [MemoryError, ValueError])
def test_what_is_stored_stays_stored_whatever_the_log_does(
    user: Home, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    def fails(line: str) -> None:
        raise failure(line)

    monkeypatch.setattr("pydeliver.agent.tell_syslog", fails)
    assert send(user).ok
    assert stored(user) == [MESSAGE]


def test_a_log_that_hangs_is_left_to_itself(user: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr("pydeliver.agent.LOG_PATIENCE", 0.1)
    monkeypatch.setattr("pydeliver.agent.tell_syslog", lambda line: os.read(reader, 1))
    assert send(user).ok
    assert stored(user) == [MESSAGE]
    os.close(reader)
    os.close(writer)


def test_a_named_mailbox_that_is_a_file_is_not_waited_for(user: Home) -> None:
    (Path(user.path) / "Mail").mkdir(mode=0o700)
    (Path(user.path) / "Mail/notes").write_text("mine")
    write_rules(user, 'set mailboxes = "~/Mail"\nset default = "~/Maildir"\nfile "{subject}", "{subject}/deep"\n')
    assert send(user, MESSAGE.replace(b"hello", b"notes")).ok
    assert stored(user) == [MESSAGE.replace(b"hello", b"notes")]
    assert (Path(user.path) / "Mail/notes").read_text() == "mine"


def test_messages_name_so_many_new_mailboxes_a_day_and_no_more(user: Home) -> None:
    write_rules(user, 'file "v/{subject}"\n')
    for number in range(NEW_MAILBOXES_A_DAY + 2):
        assert send(user, MESSAGE.replace(b"hello", b"n%d" % number)).ok
    made = [path.name for path in (Path(user.path) / "Maildir").glob(".v.*")]
    assert len(made) == NEW_MAILBOXES_A_DAY
    assert len(stored(user)) == 2
    assert "messages named" in str(last_line(user)["notes"])
    assert send(user, MESSAGE.replace(b"hello", b"n1")).ok
    assert len(stored(user, ".v.n1")) == 2, "one that is there can be used"


@pytest.mark.parametrize("day", ["1 Jan 0000 00:00:00 +0000", "31 Dec 9999 23:59:00 +0000", "1 Jan 99999 00:00 +0000"])
def test_no_date_is_too_far_for_a_time_zone(user: Home, day: str) -> None:
    write_rules(user, 'set timezone = "Europe/Berlin"\nif date > 2020-01-01 { mark seen }\n')
    assert send(user, b"Date: " + day.encode() + b"\n" + MESSAGE).ok


def test_bytes_of_the_caller_that_are_no_text_can_be_matched(user: Home) -> None:
    write_rules(user, "if envelope.to.detail matches /x/ or arg.a matches /x/ or env.EXT matches /x/ { discard }\n")
    odd = "\udcff"
    envelope = Envelope(odd, odd, odd, odd, arguments={"a": odd}, environment={"EXT": odd})
    assert send(user, envelope=envelope).ok
    assert stored(user) == [MESSAGE]


def test_rules_named_once_on_the_command_line_are_not_missed_later(user: Home) -> None:
    path = write_rules(user, 'file "Once"\n', "other.rules")
    made = load_plan(user, Site(str(path), f"{user.path}/settings.toml", required=True))
    assert isinstance(made, Plan)
    assert send(user).ok


def test_two_names_of_one_place_get_one_message(user: Home) -> None:
    write_rules(user, 'copy file "~/Maildir/"\nkeep\n')
    assert send(user).ok
    assert stored(user) == [MESSAGE]


def test_a_home_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    absent = find_home(str(tmp_path / "absent"))
    assert isinstance(absent, Home)
    assert absent.path == str(tmp_path / "absent")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a directory away")
def test_a_home_of_another_is_not_taken_for_the_users(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, -1)
    found = find_home(str(tmp_path))
    assert isinstance(found, Home)
    assert found.path == "/root"


def test_the_systems_mailbox_is_the_default_only_for_the_home_that_the_system_knows(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"")
    settings = site_settings.defaults() | {"layout": ""}
    known = Home("tester", os.getuid(), str(tmp_path), str(spool))
    assert find_store(settings, known).default == f"mbox:{spool}"
    assert find_store(settings, Home("tester", os.getuid(), str(tmp_path))).default == f"{tmp_path}/Maildir/"
    (tmp_path / "Maildir").mkdir()
    assert find_store(settings, known).default == f"{tmp_path}/Maildir/"
    entry = pwd.getpwuid(os.getuid())
    assert home_of(entry, entry.pw_dir).spool == f"/var/mail/{entry.pw_name}"
    assert home_of(entry, "/srv/virtual/alice").spool == ""
