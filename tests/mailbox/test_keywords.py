"""Labels as letters: one file a folder, under the lock that Dovecot takes, and a header field where that fails."""

from __future__ import annotations

import os
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.message import Message
from pydeliver.mailbox import keywords, maildir
from pydeliver.mailbox.maildir import Prepared
from pydeliver.mailbox.names import Location, Store, locate
from pydeliver.transport import formed
from pydeliver.vocabulary.word import Delivery

MESSAGE = b"Subject: x\n\nbody\n"


def deliver(root: Path, *labels: str, message: bytes = MESSAGE, flags: str = "") -> Path:
    location = locate(Store(str(root), str(root)), "INBOX")
    assert isinstance(location, Location)
    prepared = maildir.prepare(
        location,
        lambda keywords: formed(Message.of(message), Delivery("INBOX"), keywords),
        host="mx",
        now=time.time(),
        labels=labels,
        flags=flags,
    )
    assert isinstance(prepared, Prepared), prepared
    assert prepared.commit().ok
    prepared.close()
    return Path(prepared.path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    deliver(tmp_path / "Maildir")
    return tmp_path / "Maildir"


def flags_of(path: Path) -> str:
    return path.name.partition(":2,")[2]


def test_a_label_gets_the_first_free_letter_and_keeps_it(root: Path) -> None:
    assert flags_of(deliver(root, "todo")) == "a"
    assert flags_of(deliver(root, "later", "todo", flags="S")) == "Sab"
    assert (root / "dovecot-keywords").read_bytes() == b"0 todo\n1 later\n"
    assert deliver(root, "todo").parent.name == "cur"
    assert not (root / "dovecot-keywords.lock").exists()


def test_the_words_of_others_keep_their_letters_and_gaps_are_filled(root: Path) -> None:
    (root / "dovecot-keywords").write_bytes(b"0 $Forwarded\n2 NonJunk\n")
    assert flags_of(deliver(root, "todo", "NonJunk", "later")) == "bcd"
    assert (root / "dovecot-keywords").read_bytes() == b"0 $Forwarded\n1 todo\n2 NonJunk\n3 later\n"


def test_without_a_free_letter_a_header_field_tells_the_label(root: Path) -> None:
    full = b"".join(b"%d word%d\n" % (index, index) for index in range(26))
    (root / "dovecot-keywords").write_bytes(full)
    assert flags_of(deliver(root, "word3")) == "d"
    path = deliver(root, "todo", "word3")
    assert path.parent.name == "new"
    assert path.read_bytes() == b"X-Keywords: todo word3\n" + MESSAGE
    assert f",S={path.stat().st_size}," in path.name
    assert (root / "dovecot-keywords").read_bytes() == full


def test_the_header_field_has_the_line_ends_of_the_message(root: Path) -> None:
    (root / "dovecot-keywords.lock").write_bytes(b"")
    path = deliver(root, "todo", message=b"Subject: x\r\n\r\nbody\r\n")
    assert path.read_bytes() == b"X-Keywords: todo\r\nSubject: x\r\n\r\nbody\r\n"


def test_a_lock_of_another_is_respected_and_not_waited_for(root: Path) -> None:
    (root / "dovecot-keywords.lock").write_bytes(b"another's")
    path = deliver(root, "todo", flags="F")
    assert flags_of(path) == "F"
    assert path.read_bytes().startswith(b"X-Keywords: todo\n")
    assert (root / "dovecot-keywords.lock").read_bytes() == b"another's"
    assert sorted(os.listdir(root)) == ["cur", "dovecot-keywords.lock", "new", "tmp"]


def test_a_lock_that_somebody_died_with_is_taken_over(root: Path) -> None:
    lock = root / "dovecot-keywords.lock"
    lock.write_bytes(b"")
    os.utime(lock, (time.time() - 121,) * 2)
    assert flags_of(deliver(root, "todo")) == "a"
    assert not lock.exists()


@pytest.mark.parametrize("content", [b"zero todo\n", b"26 todo\n", b"-1 todo\n", b"\xff\n", b"todo\n"])
def test_a_file_that_is_not_understood_is_left_as_it_is(root: Path, content: bytes) -> None:
    (root / "dovecot-keywords").write_bytes(content)
    assert deliver(root, "later").read_bytes().startswith(b"X-Keywords: later\n")
    assert (root / "dovecot-keywords").read_bytes() == content


def test_a_link_or_fifo_in_place_of_the_file_is_not_followed(root: Path) -> None:
    (root / "dovecot-keywords").symlink_to("/etc/passwd")
    assert deliver(root, "todo").read_bytes().startswith(b"X-Keywords")
    (root / "dovecot-keywords").unlink()
    os.mkfifo(root / "dovecot-keywords")
    assert deliver(root, "todo").read_bytes().startswith(b"X-Keywords")


def label_many(root: str, mark: int) -> None:
    for number in range(6):
        fd = os.open(root, os.O_RDONLY)
        while keywords.letters(fd, (f"w{mark}.{number}",), durable=False) is None:
            pass  # another process had the lock for longer than a delivery waits
        os.close(fd)


def test_many_processes_give_every_word_a_letter_of_its_own(root: Path) -> None:
    context = get_context("fork")
    processes = [context.Process(target=label_many, args=(str(root), mark)) for mark in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = (root / "dovecot-keywords").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(24))
    assert len({line.split()[1] for line in lines}) == 24


@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_label_becomes_an_atom_or_nothing(labels: list[str]) -> None:
    made = keywords.atoms(tuple(labels))
    assert len(set(made)) == len(made) <= len(labels)
    for atom in made:
        assert 0 < len(atom) <= keywords.ATOM_BYTES
        assert all("!" <= character <= "~" and character not in '(){%*"\\]' for character in atom)


def test_atoms_are_spelled_as_mail_readers_spell_them() -> None:
    assert keywords.atoms(("todo", "$Junk", "wichtig ü", "a&b", "\\Seen", "todo", "")) == (
        "todo", "$Junk", "wichtig_&APw-", "a&-b", "_Seen",
    )  # fmt: skip
