"""Reading what is there: Maildirs, mboxes, folders of files and single files, without holding or changing them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mailbox import reader


def contents(path: Path, *, subfolders: bool = False) -> list[tuple[str, bytes]]:
    found = reader.entries(str(path), subfolders=subfolders)
    return [(os.path.relpath(one.label, path), one.source.read(0, one.source.size)) for one in found]


def bodies(path: Path, data: bytes) -> list[bytes]:
    path.write_bytes(data)
    return [data for _, data in contents(path)]


def test_a_maildir_is_read_new_first_and_tmp_never(tmp_path: Path) -> None:
    for name in ("new/2", "cur/1:2,S", "tmp/3", "cur/.hidden", ".Work/cur/4:2,", ".Work/new/.x", "Nested/Deep/new/5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for folder in (".Work", "Nested/Deep"):
        for part in ("cur", "new"):
            (tmp_path / folder / part).mkdir(exist_ok=True)
    own = [("new/2", b"new/2"), ("cur/1:2,S", b"cur/1:2,S")]
    below = [(".Work/cur/4:2,", b".Work/cur/4:2,"), ("Nested/Deep/new/5", b"Nested/Deep/new/5")]
    assert contents(tmp_path) == own
    assert contents(tmp_path, subfolders=True) == own + below


def test_a_folder_of_files_is_read_in_order_and_its_mboxes_split(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(b"Subject: b\n\n")
    (tmp_path / "a.mbox").write_bytes(b"From x\nSubject: 1\n\n\nFrom x\nSubject: 2\n\n")
    (tmp_path / ".hidden").write_bytes(b"no")
    (tmp_path / "folder").mkdir()
    assert contents(tmp_path) == [
        ("a.mbox:1", b"Subject: 1\n\n"),
        ("a.mbox:2", b"Subject: 2\n"),
        ("b.eml", b"Subject: b\n\n"),
    ]


def test_a_single_message_is_itself(tmp_path: Path) -> None:
    assert bodies(tmp_path / "m", b"Subject: x\n\n>From here\n") == [b"Subject: x\n\n>From here\n"]
    assert bodies(tmp_path / "m", b"") == [b""]


@pytest.mark.parametrize(
    ("mbox", "messages"),
    [
        (b"From a\nS: 1\n\nbody\n\nFrom b\nS: 2\n\nbody\n", [b"S: 1\n\nbody\n", b"S: 2\n\nbody\n"]),
        (b"From a\nS: 1\n\nFrom is no line here\n", [b"S: 1\n", b""]),
        (b"From a\nS: 1\n\nbody\nFrom here it is text\n", [b"S: 1\n\nbody\nFrom here it is text\n"]),
        (b"From a\nS: 1\n\n>From b\n>>From c\n> From d\n", [b"S: 1\n\nFrom b\n>From c\n> From d\n"]),
        (b"From a\r\nS: 1\r\n\r\nx\r\n\r\nFrom b\r\nS: 2\r\n\r\n", [b"S: 1\r\n\r\nx\r\n", b"S: 2\r\n"]),
        (b"From a", [b""]),
        (b"From a\n", [b""]),
        (b"From a\nno end of line", [b"no end of line"]),
        (b"From " + b"a" * 200_000 + b"\nS: 1\n\nx\n", [b"S: 1\n\nx\n"]),
        (b"From a\n\n" + b"x" * 65_535 + b"\nFrom b\n", [b"\n" + b"x" * 65_535 + b"\nFrom b\n"]),
        (b"From a\n\n" + b"x" * 65_536 + b"From b\n", [b"\n" + b"x" * 65_536 + b"From b\n"]),
        (b"From a\n\n" + b"x" * 65_536 + b"\n\nFrom b\n", [b"\n" + b"x" * 65_536 + b"\n", b""]),
    ],
)  # fmt: skip
def test_an_mbox_is_split_where_messages_begin(tmp_path: Path, mbox: bytes, messages: list[bytes]) -> None:
    assert bodies(tmp_path / "box", mbox) == messages


def quoted(message: bytes) -> bytes:
    """mboxrd: every line that is `From ` behind any number of `>` gets one more."""
    lines = message.splitlines(keepends=True)
    return b"".join([b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines])


LINES = st.sampled_from([b"\n", b"From x\n", b">From x\n", b">>From x\n", b"> From\n", b"text\n", b"Fro", b">\n"])


@given(st.lists(st.lists(LINES, max_size=6).map(lambda lines: b"".join(lines)), min_size=1, max_size=5))
def test_messages_come_out_of_an_mbox_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]
) -> None:
    messages = [message if message.endswith(b"\n") else message + b"\n" for message in messages]
    box = b"".join([b"From x\n" + quoted(message) + b"\n" for message in messages])
    assert bodies(tmp_path_factory.getbasetemp() / "box", box) == messages


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\0", b">From ")), st.integers(0, 99), st.integers(0, 99))
def test_any_part_of_a_message_is_read_as_the_whole_has_it(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, offset: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "box"
    path.write_bytes(b"From x\n" + data)
    for entry in reader.entries(str(path)):
        whole = entry.source.read(0, entry.source.size)
        assert len(whole) == entry.source.size
        assert entry.source.read(offset, length) == whole[offset : offset + length]


def test_what_is_no_file_is_an_error_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "absent", Path("/dev/null")):
        with pytest.raises(OSError, match=r"."):
            list(reader.entries(str(path)))


def test_a_large_mbox_costs_little_memory(tmp_path: Path) -> None:
    box = tmp_path / "box"
    with open(box, "wb") as out:
        for number in range(4):
            out.write(b"From x\nSubject: %d\n\n" % number + (b">From " + b"x" * 70 + b"\n") * 400_000 + b"\n")
    program = (
        "import resource, sys; from pydeliver.mailbox import reader\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sizes = [entry.source.size for entry in reader.entries(sys.argv[1])]\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sys.exit(0 if sizes == [30_400_012] * 4 and after - before < 16_000 else f'{sizes} {after - before} KiB')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(reader.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program, str(box)], check=True, env=environment)


def test_what_stands_behind_a_bare_carriage_return_is_a_line_too(tmp_path: Path) -> None:
    mbox = b"From a\n>From b\r>From c\r>>From d\rx >From e\r> From f\n"
    assert bodies(tmp_path / "box", mbox) == [b"From b\rFrom c\r>From d\rx >From e\r> From f\n"]
