"""What the SMTP server remembers: whom a message was stored for, who came when; bounded, and given up when damaged."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from pydeliver.memory import visits as module
from pydeliver.memory.visits import DAMAGED, KEPT, NAME, Visits
from pydeliver.status import Status

NOW = 1_800_000_000.0
DAY = 86_400.0
MESSAGE, OTHER = b"\x01" * 32, b"\x02" * 32
JO, KIM = "jo@example.net", "kim@example.net"
TRIPLET = ("192.0.2.0/24", "al@example.org", JO)


@pytest.fixture
def visits(tmp_path: Path) -> Generator[Visits, None, None]:
    one = Visits(str(tmp_path))
    yield one
    one.close()


def again(place: Path) -> Visits:
    """As a process finds it that is started later."""
    return Visits(str(place))


# -- whom a message was stored for ----------------------------------------------------------------------------------


def test_who_has_a_message_is_remembered_by_message_and_recipient(visits: Visits) -> None:
    assert visits.done(MESSAGE, [JO, KIM], NOW) == set()
    assert visits.remember_done(MESSAGE, [JO], NOW) is None
    assert visits.done(MESSAGE, [JO, KIM], NOW) == {JO}
    assert visits.done(MESSAGE, [KIM], NOW) == set()
    assert visits.done(OTHER, [JO, KIM], NOW) == set()
    assert visits.remember_done(MESSAGE, [KIM], NOW + 1) is None
    assert visits.done(MESSAGE, [JO, KIM], NOW + 1) == {JO, KIM}


def test_it_is_kept_for_as_long_as_mail_servers_try(visits: Visits, tmp_path: Path) -> None:
    visits.remember_done(MESSAGE, [JO], NOW)
    assert visits.done(MESSAGE, [JO], NOW + KEPT - 1) == {JO}
    assert visits.done(MESSAGE, [JO], NOW + KEPT) == set()
    visits.remember_done(OTHER, [JO], NOW + KEPT)
    assert rows(tmp_path, "done") == 1


def test_a_try_that_stores_more_keeps_the_message_for_longer(visits: Visits) -> None:
    visits.remember_done(MESSAGE, [JO], NOW)
    visits.remember_done(MESSAGE, [JO], NOW + DAY)
    assert visits.done(MESSAGE, [JO], NOW + KEPT) == {JO}


def test_a_message_that_all_have_is_forgotten(visits: Visits, tmp_path: Path) -> None:
    messages = [b"%d" % number for number in range(20)]
    for message in messages:
        assert visits.remember_done(message, [JO, KIM], NOW) is None
    for message in messages[::2]:
        visits.forget_done(message)
    left = [len(found) for message in messages if isinstance(found := visits.done(message, [JO, KIM], NOW), set)]
    assert left == [0, 2] * 10
    assert rows(tmp_path, "done") == 20


def test_as_long_as_nothing_was_remembered_the_disk_is_looked_at_once(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visits.has_any is False
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os.path, "lexists", lambda path: pytest.fail("looked again"))
    assert visits.has_any is False


def test_greylisting_alone_remembers_no_message(visits: Visits, tmp_path: Path) -> None:
    visits.greeted(TRIPLET, NOW)
    assert visits.has_any is False
    later = again(tmp_path)
    assert later.has_any is False
    later.close()


@pytest.mark.parametrize("asks_before", [False, True])
def test_what_was_remembered_is_known_to_this_process_and_to_later_ones(
    visits: Visits, tmp_path: Path, asks_before: bool
) -> None:
    if asks_before:
        assert not visits.has_any
    visits.remember_done(MESSAGE, [], NOW)
    assert not visits.has_any
    visits.remember_done(MESSAGE, [JO], NOW)
    assert visits.has_any
    later = again(tmp_path)
    assert later.has_any
    assert later.done(MESSAGE, [JO], NOW) == {JO}
    later.close()


def test_a_message_is_flushed_before_it_counts_as_remembered_and_visits_need_not_be(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits.greeted(TRIPLET, NOW)
    assert visits._file is not None
    said: list[str] = []
    visits._file.set_trace_callback(said.append)
    visits.remember_done(MESSAGE, [JO], NOW)
    visits.greeted(TRIPLET, NOW)
    visits.forget_done(MESSAGE)
    visits.welcomed(TRIPLET, NOW)
    marks = [one.removeprefix("PRAGMA synchronous = ") for one in said if one.startswith(("PRAGMA", "COMMIT"))]
    assert marks == ["FULL", "COMMIT", "NORMAL", "COMMIT"] * 2


# -- who came when --------------------------------------------------------------------------------------------------


def test_who_comes_again_is_known_for_as_long_as_since_his_first_visit(visits: Visits, tmp_path: Path) -> None:
    assert visits.greeted(TRIPLET, NOW) == 0.0
    assert visits.greeted(TRIPLET, NOW + 60) == 60.0
    later = again(tmp_path)
    assert later.greeted(TRIPLET, NOW + 300) == 300.0
    later.close()
    for other in (("192.0.3.0/24", *TRIPLET[1:]), (TRIPLET[0], KIM, JO), (*TRIPLET[:2], KIM)):
        assert visits.greeted(other, NOW + 300) == 0.0


def test_who_does_not_come_again_within_two_days_is_a_stranger(visits: Visits, tmp_path: Path) -> None:
    visits.greeted(TRIPLET, NOW)
    assert visits.greeted(TRIPLET, NOW + 2 * DAY - 1) == 2 * DAY - 1
    assert visits.greeted(TRIPLET, NOW + 4 * DAY) == 0.0
    visits.greeted((*TRIPLET[:2], KIM), NOW + 8 * DAY)
    assert rows(tmp_path, "waiting") == 1


def test_who_has_waited_is_known_until_36_days_after_his_last_visit(visits: Visits, tmp_path: Path) -> None:
    visits.greeted(TRIPLET, NOW)
    visits.welcomed(TRIPLET, NOW + 300)
    assert rows(tmp_path, "waiting") == 0
    for days in (30, 60):
        assert visits.greeted(TRIPLET, NOW + days * DAY) == days * DAY
        visits.welcomed(TRIPLET, NOW + days * DAY)
    assert visits.greeted(TRIPLET, NOW + 96 * DAY - 1) == 96 * DAY - 1
    assert visits.greeted(TRIPLET, NOW + 96 * DAY) == 0.0
    visits.welcomed((*TRIPLET[:2], KIM), NOW + 96 * DAY)
    assert rows(tmp_path, "welcome") == 1


def test_who_comes_often_is_noted_once_a_day(visits: Visits) -> None:
    visits.greeted(TRIPLET, NOW)
    visits.welcomed(TRIPLET, NOW)
    assert visits._file is not None
    said: list[str] = []
    visits._file.set_trace_callback(said.append)
    for seconds, writes in ((60, 0), (DAY - 1, 0), (DAY, 1), (DAY + 60, 0)):
        said.clear()
        assert visits.greeted(TRIPLET, NOW + seconds) == seconds
        visits.welcomed(TRIPLET, NOW + seconds)
        assert said.count("COMMIT") == writes


@pytest.mark.parametrize("waited", [False, True])
def test_a_clock_that_was_ahead_keeps_nobody_waiting(visits: Visits, waited: bool) -> None:
    visits.greeted(TRIPLET, NOW + 1000 * DAY)
    if waited:
        visits.welcomed(TRIPLET, NOW + 1000 * DAY)
    assert visits.greeted(TRIPLET, NOW) == 0.0
    assert visits.greeted(TRIPLET, NOW + 300) == 300.0
    visits.welcomed(TRIPLET, NOW + 300)
    assert visits.greeted(TRIPLET, NOW + 30 * DAY) == 30 * DAY


# -- the file -------------------------------------------------------------------------------------------------------


def rows(place: Path, table: str) -> int:
    with closing(sqlite3.connect(place / NAME)) as file:
        (number,) = file.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def test_the_oldest_go_where_there_is_too_much(visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 10)
    triplets = [("192.0.2.0/24", f"{number}@example.org", JO) for number in range(25)]
    for triplet in triplets:
        visits.greeted(triplet, NOW)
        visits.welcomed(triplet, NOW)
    for triplet in [(*triplet[:2], KIM) for triplet in triplets]:
        visits.greeted(triplet, NOW)
    visits.remember_done(MESSAGE, [sender for _, sender, _ in triplets], NOW)
    assert [rows(tmp_path, table) for table in ("done", "waiting", "welcome")] == [10, 10, 10]
    assert visits.done(MESSAGE, [triplets[14][1], triplets[15][1]], NOW) == {triplets[15][1]}
    # A crowd of strangers pushes out nobody who has waited.
    assert [visits.greeted(triplets[number], NOW + 5) for number in (15, 14)] == [5.0, 0.0]


@pytest.mark.parametrize("damage", ["no database", "a page", "another file"])
def test_a_damaged_file_is_put_aside_and_begun_anew(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(module, "tell_syslog", told.append)
    before = again(tmp_path)
    before.remember_done(MESSAGE, [f"{number}@example.net" for number in range(3000)], NOW)
    before.close()
    path = tmp_path / NAME
    data = path.read_bytes()
    damaged = {"no database": b"x" * len(data), "a page": data[:4096] + b"\xff" * len(data), "another file": b"x" * 99}
    path.write_bytes(damaged[damage])
    after = again(tmp_path)
    assert after.has_any is False
    assert after.done(MESSAGE, ["7@example.net"], NOW) == set()
    assert after.greeted(TRIPLET, NOW) == 0.0
    assert after.remember_done(MESSAGE, [JO], NOW) is None
    assert after.done(MESSAGE, [JO], NOW) == {JO}
    after.close()
    assert [one.partition(" (")[0] for one in told] == ["what SMTP remembers is damaged"]
    assert (tmp_path / DAMAGED).read_bytes() == damaged[damage]


def test_damage_that_shows_while_the_file_is_open_is_put_aside_too(visits: Visits, tmp_path: Path) -> None:
    visits.remember_done(MESSAGE, [f"{number}@example.net" for number in range(3000)], NOW)
    visits.close()
    assert visits.done(MESSAGE, [JO], NOW) == set()  # opened, and the tables are known
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(file.name) - 4096))
    asked = [f"{number}@example.net" for number in range(3000)]
    assert visits.remember_done(OTHER, asked, NOW) is None
    assert visits.done(OTHER, asked, NOW) == set(asked)
    assert (tmp_path / DAMAGED).exists()


def test_of_two_servers_that_find_the_damage_the_second_leaves_the_new_file_alone(
    visits: Visits, tmp_path: Path
) -> None:
    asked = [f"{number}@example.net" for number in range(3000)]
    visits.remember_done(MESSAGE, asked, NOW)
    visits.close()
    other = again(tmp_path)
    for one in (visits, other):
        assert one.done(MESSAGE, [], NOW) == set()
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(file.name) - 4096))
    assert visits.remember_done(OTHER, asked, NOW) is None
    assert other.done(OTHER, asked, NOW) == set(asked)
    other.close()


def test_what_cannot_be_used_is_to_be_tried_again_and_lets_mail_in(visits: Visits, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    wrong = Status("4.3.0", "what SMTP remembers can't be used: not a regular file")
    assert visits.has_any  # nobody knows, and `done` will tell
    assert visits.done(MESSAGE, [JO], NOW) == wrong
    assert visits.remember_done(MESSAGE, [JO], NOW) == wrong
    assert visits.greeted(TRIPLET, NOW) == math.inf
    visits.welcomed(TRIPLET, NOW)
    (tmp_path / NAME).rmdir()
    assert visits.done(MESSAGE, [JO], NOW) == set()


def test_a_file_that_another_one_holds_is_waited_for_and_then_to_be_tried_again(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    visits.remember_done(MESSAGE, [JO], NOW)
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = Status("4.3.0", "what SMTP remembers can't be used: database is locked")
        assert visits.remember_done(MESSAGE, [KIM], NOW) == locked
        assert visits.greeted(TRIPLET, NOW) == math.inf
        assert visits.done(MESSAGE, [JO, KIM], NOW) == {JO}
        other.execute("ROLLBACK")
    assert visits.remember_done(MESSAGE, [KIM], NOW) is None
    assert visits.greeted(TRIPLET, NOW) == 0.0


def test_a_write_that_fails_in_the_middle_leaves_nothing(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits.greeted(TRIPLET, NOW)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(module, "_forget", fail)
        full = Status("4.3.0", "what SMTP remembers can't be used: database or disk is full")
        assert visits.remember_done(MESSAGE, [JO], NOW) == full
        assert visits.greeted(TRIPLET, NOW + 5) == math.inf
    assert visits.done(MESSAGE, [JO], NOW) == set()
    assert rows(tmp_path, "done") == 0


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "state" / NAME).symlink_to(tmp_path / "elsewhere")
    assert isinstance(again(tmp_path / "state").remember_done(MESSAGE, [JO], NOW), Status)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_the_directory_and_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        one = again(tmp_path / "state")
        one.greeted(TRIPLET, NOW)
        found = {
            path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state", *(tmp_path / "state").iterdir())
        }
        one.close()
    finally:
        os.umask(before)
    assert found == {"state": 0o700, NAME: 0o600, f"{NAME}-wal": 0o600, f"{NAME}-shm": 0o600}


def test_no_address_can_be_read_from_the_file(visits: Visits, tmp_path: Path) -> None:
    visits.remember_done(MESSAGE, [JO], NOW)
    visits.greeted(TRIPLET, NOW)
    visits.close()
    assert b"example" not in (tmp_path / NAME).read_bytes()


def test_threads_share_one(visits: Visits) -> None:
    told: list[object] = []

    def work(number: int) -> None:
        ready.wait()
        for turn in range(10):
            who = f"{number}.{turn}@example.net"
            told.append(visits.remember_done(MESSAGE, [who], NOW))
            told.append(visits.greeted((*TRIPLET[:2], who), NOW) or None)

    ready = threading.Barrier(4)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [None] * 80
    everybody = [f"{number}.{turn}@example.net" for number in range(4) for turn in range(10)]
    assert visits.done(MESSAGE, everybody, NOW) == set(everybody)


def test_processes_that_begin_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """None is refused, also where all find no file yet."""
    children = []
    for number in range(4):
        if (child := os.fork()) == 0:
            code = 1
            try:
                one = again(tmp_path)
                for turn in range(10):
                    assert one.remember_done(MESSAGE, [f"{number}.{turn}@example.net"], NOW) is None
                    assert one.greeted(TRIPLET, NOW + turn) < math.inf
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    after = again(tmp_path)
    everybody = [f"{number}.{turn}@example.net" for number in range(4) for turn in range(10)]
    assert after.done(MESSAGE, everybody, NOW) == set(everybody)
    assert after.greeted(TRIPLET, NOW + 10) == 10.0
    after.close()
