"""Quotas in `maildirsize`: honoured, kept up to date, counted anew when in doubt, and never invented."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mailbox import maildir, quota
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, locate
from pydeliver.status import Status

NOW = 2_000_000_000.0  # later than any file of this test, so that the sums in it are old
SIZE = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "Maildir"
    for part in ("", "cur", "new", "tmp"):
        (root / part).mkdir(mode=0o700)
    return root


def deliver(root: Path, name: str = "INBOX", *, full: str = "defer", take_back: bool = False) -> Status:
    location = locate(Store(str(root), str(root), sync="none", full=full), name)
    assert isinstance(location, Location)
    prepared = maildir.prepare(location, lambda _: [b"x" * SIZE], host="mx", now=NOW)
    if isinstance(prepared, Status):
        return prepared
    assert isinstance(prepared, Prepared)
    status = prepared.commit()
    if take_back:
        prepared.rollback()
    prepared.close()
    return status


def put(root: Path, name: str, size: int) -> None:
    place = root / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"x" * size)


def stored(root: Path) -> int:
    return sum(name.endswith(f"S={SIZE},W={SIZE}") for _, _, names in os.walk(root) for name in names)


def test_a_delivery_is_written_down(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"5000S,3C\n0 0\n")
    assert deliver(root).ok
    assert deliver(root, "Work").ok
    assert (root / "maildirsize").read_bytes() == b"5000S,3C\n0 0\n1000 1\n1000 1\n"


def test_a_delivery_taken_back_is_struck_out(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"5000S,3C\n0 0\n")
    deliver(root, take_back=True)
    assert (root / "maildirsize").read_bytes() == b"5000S,3C\n0 0\n1000 1\n-1000 -1\n"


@pytest.mark.parametrize("limit", [b"2999S", b"2C", b"2999S,100C", b"100000S,2C", b"2C,9S,2999S"])
@pytest.mark.parametrize(("full", "code", "exit_code"), [("defer", "4.2.2", 75), ("refuse", "5.2.2", 77)])
def test_a_full_mailbox_says_so_and_nothing_is_left(
    root: Path, limit: bytes, full: str, code: str, exit_code: int
) -> None:
    put(root, f"cur/1.a.x,S={SIZE}:2,S", SIZE)
    put(root, ".Work/new/2.a.x", SIZE)
    (root / "maildirsize").write_bytes(limit + b"\n2000 2\n")
    status = deliver(root, full=full)
    assert (status.line, status.exit_code) == (f"{code} mailbox full", exit_code)
    assert stored(root) == 0
    assert os.listdir(root / "tmp") == []


def test_the_last_byte_and_the_last_message_of_a_quota_can_be_used(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"2000S,2C\n1000 1\n")
    assert deliver(root).ok


def test_a_sum_over_the_limit_is_believed_only_when_fresh(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"5000S\n3000 3\n1500 1\n")  # the mail itself has been removed since
    assert deliver(root).ok
    assert (root / "maildirsize").read_bytes() == b"5000S\n0 0\n1000 1\n"


def test_counting_knows_every_folder_and_what_does_not_count(root: Path) -> None:
    put(root, "new/1.a.x", 10)
    put(root, "cur/2.a.x,S=200:2,S", 1)  # the name is believed, as everyone does
    put(root, "cur/3.a.x,S=1000:2,ST", 1000)  # marked as trashed
    put(root, ".Work/cur/4.a.x,S=3000,W=3100:2,", 3000)
    put(root, ".Trash/cur/5.a.x", 10_000)
    put(root, "tmp/6.a.x", 10_000)
    put(root, "cur/.hidden", 10_000)
    put(root, "Nested/Deep/new/7.a.x", 40_000)
    (root / "maildirsize").write_bytes(b"100S\n900 1\n")
    assert deliver(root).code == "4.2.2"
    assert (root / "maildirsize").read_bytes() == b"100S\n43210 4\n"


def test_trash_takes_mail_over_any_quota(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"1C\n1000 1\n")
    assert deliver(root, "Trash").ok
    assert (root / "maildirsize").read_bytes() == b"1C\n1000 1\n"


def test_a_file_that_has_grown_is_written_anew(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"100000S\n" + b"1 0\n" * 1500)
    assert deliver(root).ok
    assert (root / "maildirsize").read_bytes() == b"100000S\n0 0\n1000 1\n"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"nonsense\n", b"0S,0C\n5 5\n", b"-5S\n", b"12X\n", b"\xff\xfe\n1 1\n"]
)
def test_what_is_no_limit_limits_nothing(root: Path, content: bytes) -> None:
    (root / "maildirsize").write_bytes(content)
    assert deliver(root).ok


def test_a_sum_that_cannot_be_read_is_counted_anew(root: Path) -> None:
    (root / "maildirsize").write_bytes(b"5000S\n12 garbage\n\n")
    assert deliver(root).ok
    assert (root / "maildirsize").read_bytes() == b"5000S\n0 0\n1000 1\n"


def test_without_the_file_there_is_no_quota_and_none_is_made(root: Path) -> None:
    assert deliver(root).ok
    assert not (root / "maildirsize").exists()


def test_what_is_no_regular_file_is_no_quota_and_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "maildirsize")
    assert deliver(root).ok
    os.unlink(root / "maildirsize")
    (root / "precious").write_bytes(b"1C\n1 1\n")
    os.symlink("precious", root / "maildirsize")
    assert deliver(root).ok
    assert (root / "precious").read_bytes() == b"1C\n1 1\n"


@pytest.mark.parametrize("line", ["9" * 5000 + "S", "9" * 19 + "C"])
def test_a_limit_of_too_many_digits_limits_nothing(root: Path, line: str) -> None:
    (root / "maildirsize").write_text(line + "\n1 1\n")
    assert deliver(root).ok


def test_messages_of_one_transaction_are_held_against_the_quota_together(root: Path) -> None:
    (root / "maildirsize").write_text(f"{2 * SIZE - 1}S\n0 0\n")
    first, second = locate(Store(str(root), str(root)), "INBOX"), locate(Store(str(root), str(root)), "Work")
    assert isinstance(first, Location)
    assert isinstance(second, Location)
    one = maildir.prepare(first, lambda _: [b"x" * SIZE], host="mx", now=NOW)
    assert isinstance(one, Prepared)
    two = maildir.prepare(second, lambda _: [b"x" * SIZE], host="mx", now=NOW, beside=[one])
    assert isinstance(two, Status)
    assert two.code == "4.2.2"


def test_a_file_that_a_group_shares_stays_shared(root: Path) -> None:
    (root / "maildirsize").write_text("100000S\nnonsense\n")
    (root / "maildirsize").chmod(0o660)
    assert deliver(root).ok
    assert "nonsense" not in (root / "maildirsize").read_text()
    assert (root / "maildirsize").stat().st_mode & 0o777 == 0o660


@given(st.binary(max_size=60))
def test_no_content_of_the_file_stops_the_mail_for_a_bug(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    base = tmp_path_factory.getbasetemp()
    (base / "maildirsize").write_bytes(content)
    assert quota.has_room(str(base), 1, 1, NOW) in (True, False)
