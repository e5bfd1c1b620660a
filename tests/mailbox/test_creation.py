"""Folders made on demand: whole, private, announced, and never more than was asked for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pydeliver.mailbox import maildir
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, layout_of, locate
from pydeliver.status import Status


def deliver(store: Store, name: str) -> Status:
    location = locate(store, name)
    assert isinstance(location, Location), location
    prepared = maildir.prepare(location, lambda _: [b"Subject: x\n\n"], host="mx", now=1.0)
    if isinstance(prepared, Status):
        return prepared
    assert isinstance(prepared, Prepared)
    status = prepared.commit()
    prepared.close()
    return status


def folders(top: Path) -> set[str]:
    return {os.path.relpath(where, top) for where, _, _ in os.walk(top)} - {"."}


def whole(*names: str) -> set[str]:
    return {os.path.normpath(f"{name}/{part}") for name in names for part in ("", "cur", "new", "tmp")} - {"."}


@pytest.fixture
def plus(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "Maildir"), str(tmp_path / "Maildir"))


@pytest.fixture
def nested(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "Mail"), str(tmp_path / "Mail/Inbox"), layout="nested")


def test_the_default_mailbox_is_made_whole_and_private(plus: Store, tmp_path: Path) -> None:
    before = os.umask(0o022)
    assert deliver(plus, "INBOX").ok
    os.umask(before)
    assert folders(tmp_path) == whole("Maildir")
    assert {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in whole("Maildir")} == {0o700}


def test_a_plus_folder_is_made_beside_the_others_and_marked(plus: Store, tmp_path: Path) -> None:
    assert deliver(plus, "Work/Boss").ok
    assert folders(tmp_path) == whole("Maildir", "Maildir/.Work.Boss")
    assert os.listdir(tmp_path / "Maildir/.Work.Boss/new")
    assert (tmp_path / "Maildir/.Work.Boss/maildirfolder").read_bytes() == b""
    assert not (tmp_path / "Maildir/maildirfolder").exists()


def test_a_root_that_is_not_the_default_mailbox_keeps_its_layout(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "Mail"), str(tmp_path / "Maildir"))
    assert deliver(store, "Work").ok
    assert layout_of(store.root) == "maildir++"


def test_a_nested_folder_is_made_level_by_level(nested: Store, tmp_path: Path) -> None:
    assert deliver(nested, "Work/Boss/Urgent").ok
    assert folders(tmp_path) == {"Mail", "Mail/Work", "Mail/Work/Boss"} | whole("Mail/Work/Boss/Urgent")
    assert deliver(nested, "Work").ok
    assert whole("Mail/Work") <= folders(tmp_path)
    assert not (tmp_path / "Mail/Work/maildirfolder").exists()
    assert layout_of(nested.root) == "nested"


def test_what_is_missing_of_a_maildir_is_made_again(plus: Store, tmp_path: Path) -> None:
    assert deliver(plus, "Work").ok
    for part in ("cur", "tmp"):
        os.rmdir(tmp_path / "Maildir/.Work" / part)
        assert deliver(plus, "Work").ok
        assert folders(tmp_path) == whole("Maildir", "Maildir/.Work")


def test_a_path_is_made_if_it_is_new_and_spared_if_it_holds_other_things(plus: Store, tmp_path: Path) -> None:
    assert deliver(plus, f"{tmp_path}/Archive/").ok
    assert whole("Archive") <= folders(tmp_path)
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents/letter.txt").write_text("")
    status = deliver(plus, f"{tmp_path}/Documents/")
    assert status.exit_code == 75
    assert "no Maildir" in status.text
    assert os.listdir(tmp_path / "Documents") == ["letter.txt"]
    (tmp_path / "Empty").mkdir()
    assert deliver(plus, f"{tmp_path}/Empty/").ok


@pytest.mark.parametrize("name", ["INBOX", "Work"])
def test_no_home_is_made_up(tmp_path: Path, name: str) -> None:
    root = str(tmp_path / "home/Maildir")
    status = deliver(Store(root, root), name)
    assert status == Status("4.3.0", f"mailbox {name}: the directory above it does not exist")
    assert os.listdir(tmp_path) == []


def test_a_spool_directory_is_a_part_of_the_default_mailbox(plus: Store, tmp_path: Path) -> None:
    assert maildir.spool_directory(Location(plus, "INBOX", plus.default)) == str(tmp_path / "Maildir/tmp")
    assert folders(tmp_path) == whole("Maildir")
    lost = maildir.spool_directory(Location(Store("/nonexistent/x", "/nonexistent/x"), "INBOX", "/nonexistent/x"))
    assert isinstance(lost, Status)
    assert lost.exit_code == 75


@pytest.mark.parametrize(
    ("layout", "content", "expected"),
    [
        ("maildir++", b"", b"Work.Boss\nB&APw-ro\n"),
        ("maildir++", b"Other\n", b"Other\nWork.Boss\nB&APw-ro\n"),
        ("maildir++", b"Other", b"Other\nWork.Boss\nB&APw-ro\n"),
        ("maildir++", b"B&APw-ro\n", b"B&APw-ro\nWork.Boss\n"),
        ("maildir++", b"V\t2\n\nOther\n", b"V\t2\n\nOther\nWork\tBoss\nB&APw-ro\n"),
        ("nested", b"Other\n", b"Other\nWork/Boss\nB&APw-ro\n"),
        ("nested", b"V\t2\n\n", b"V\t2\n\nWork\tBoss\nB&APw-ro\n"),
    ],
)
def test_a_new_folder_is_subscribed_in_the_files_own_form(
    tmp_path: Path, layout: str, content: bytes, expected: bytes
) -> None:
    root = tmp_path / "Mail"
    root.mkdir()
    (root / "subscriptions").write_bytes(content)
    store = Store(str(root), str(tmp_path / "Inbox"), layout=layout)
    for name in ("Work/Boss", "Büro", "Work/Boss"):
        assert deliver(store, name).ok
    assert (root / "subscriptions").read_bytes() == expected


def test_without_a_subscriptions_file_none_is_made_and_a_strange_one_stops_no_mail(plus: Store) -> None:
    assert deliver(plus, "Work").ok
    assert not os.path.exists(plus.root + "/subscriptions")
    os.mkfifo(plus.root + "/subscriptions")
    assert deliver(plus, "Lists").ok
    os.unlink(plus.root + "/subscriptions")
    os.symlink("/etc/passwd", plus.root + "/subscriptions")
    assert deliver(plus, "Other").ok
