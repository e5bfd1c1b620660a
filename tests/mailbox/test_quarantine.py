"""What is in the quarantine, and what has to leave it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from pydeliver.mailbox import quarantine
from pydeliver.mailbox.names import Store
from pydeliver.mailbox.quarantine import SWEPT, entries, sweep

NOW: Final = 1_715_776_496.0
DAY: Final = 86400
MB: Final = 1 << 20


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def put(state: Path, age: float, size: int = 100, part: str = "new", suffix: str = "") -> Path:
    """A message that came so many days ago and says that it has so many bytes."""
    folder = state / "quarantine" / part
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = NOW - age * DAY
    name = f"{int(moment)}.M{int(moment % 1 * 1e6)}P1Q0R{os.urandom(8).hex()}.host,S={size},W={size}{suffix}"
    (folder / name).write_bytes(b"x")
    return folder / name


def left(state: Path) -> list[str]:
    return [one.path for one in entries(quarantine.directory(str(state)))]


def swept(state: Path, days: float = 7, limit: int = 200 * MB, spared: tuple[str, ...] = ()) -> str:
    return sweep(str(state), int(days * DAY), limit, NOW, spared)


def test_the_place_is_private_and_no_mailbox(state: Path) -> None:
    place = quarantine.place(Store("/m", "/m"), str(state))
    assert place.path == f"{state}/quarantine"
    assert Path(place.path).stat().st_mode & 0o777 == 0o700


def test_entries_are_in_the_order_of_time_wherever_a_reader_moved_them(state: Path) -> None:
    wanted = [put(state, 3, part="cur", suffix=":2,S"), put(state, 2), put(state, 1 + 1e-6), put(state, 1)]
    (state / "quarantine/new/.hidden").write_text("")
    assert left(state) == [str(path) for path in wanted]
    assert [one.size for one in entries(quarantine.directory(str(state)))] == [100] * 4


def test_a_name_stays_when_a_reader_marks_the_message(state: Path) -> None:
    path = put(state, 1)
    (before,) = entries(quarantine.directory(str(state)))
    (state / "quarantine/cur").mkdir()
    path.rename(state / "quarantine/cur" / f"{path.name}:2,RS")
    (after,) = entries(quarantine.directory(str(state)))
    assert after.id == before.id
    assert after.path != before.path


def test_a_file_without_time_and_size_in_its_name_tells_itself(state: Path) -> None:
    put(state, 1).unlink()
    for name in ("saved", "12.x", "x.1,S=5", "1715776496.M1P1.host,S=é", "17157764961.M1P1.host,S=5"):
        path = state / "quarantine/new" / name
        path.write_bytes(b"12345")
        os.utime(path, (NOW, NOW - 5 * DAY))
    found = entries(quarantine.directory(str(state)))
    assert [(one.moment, one.size) for one in found] == [(NOW - 5 * DAY, 5)] * 5
    assert len({one.id for one in found}) == 5


def test_nothing_is_in_a_quarantine_that_is_not_there(state: Path) -> None:
    assert left(state) == []
    assert swept(state) == ""
    assert not state.exists()


def test_what_is_older_than_its_time_leaves(state: Path) -> None:
    put(state, 30, part="cur")
    put(state, 7.001)
    kept = [put(state, 6.999), put(state, 0), put(state, -1)]
    assert swept(state) == "old mail removed from the quarantine: 2"
    assert left(state) == [str(path) for path in kept]
    assert swept(state) == ""


def test_the_oldest_leave_until_the_rest_fits(state: Path) -> None:
    put(state, 3, 50 * MB)
    put(state, 2, 100 * MB)
    kept = [put(state, 1, 150 * MB), put(state, 0.5, 50 * MB)]
    assert "2" in swept(state)
    assert left(state) == [str(path) for path in kept]


def test_the_message_at_hand_stays_however_large_it_is(state: Path) -> None:
    put(state, 1)
    at_hand = put(state, 8, 300 * MB)
    assert "1" in swept(state, spared=(str(at_hand),))
    assert left(state) == [str(at_hand)]


def test_zero_days_leave_nothing(state: Path) -> None:
    put(state, 0)
    put(state, 1)
    assert swept(state, days=0) != ""
    assert left(state) == []


def test_one_sweep_does_not_remove_all_that_years_left_but_keeps_the_bound(state: Path) -> None:
    for _ in range(SWEPT + 10):
        put(state, 8, 1000)
    assert swept(state) == f"old mail removed from the quarantine: {SWEPT}"
    assert len(left(state)) == 10
    assert swept(state) == "old mail removed from the quarantine: 10"
    for _ in range(SWEPT + 10):
        put(state, 1, 1000)
    assert str(SWEPT + 9) in swept(state, limit=1000)


def test_what_cannot_be_removed_is_told(state: Path) -> None:
    path = put(state, 9)
    path.unlink()
    path.mkdir()
    assert swept(state).startswith("the quarantine can't be cleared: ")
    (state / "quarantine/cur").write_text("no directory")
    assert swept(state).startswith("the quarantine can't be cleared: ")


def test_what_another_process_removed_meanwhile_is_no_problem(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(state, 9)
    found = quarantine._found(quarantine.directory(str(state)))
    monkeypatch.setattr(quarantine, "_found", lambda _: found)
    assert swept(state) == "old mail removed from the quarantine: 1"
    assert swept(state) == ""
