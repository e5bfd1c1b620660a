"""Names in zip archives: by the directory and by the headers in front of the files, whatever the archive pretends."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail import words
from pydeliver.mail.archive import BYTES, NAMES, read

DIRECTORY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
NAME = st.text(st.characters(exclude_categories=["C", "Z", "M"], exclude_characters="\\"), min_size=1, max_size=20)


def packed(*names: str, content: bytes = b"x" * 100, streamed: bool = False) -> bytes:
    """A zip archive; `streamed` without sizes in front of the files."""
    file = io.BytesIO()
    target: io.BytesIO = Unseekable(file) if streamed else file  # type: ignore[assignment]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, content)
    return file.getvalue()


class Unseekable:
    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        pass


def names(data: bytes) -> tuple[str, ...]:
    found = read(data)
    assert found is not None
    return found.names


@pytest.mark.parametrize("streamed", [False, True])
def test_the_names_of_an_archive_stand_in_order_each_once(streamed: bool) -> None:
    assert names(packed("b.txt", "dir/a.exe", "c", streamed=streamed)) == ("b.txt", "dir/a.exe", "c")


@given(st.lists(NAME, max_size=8, unique=True), st.booleans())
def test_the_names_are_those_that_were_packed(packing: list[str], streamed: bool) -> None:
    seen = dict.fromkeys([words.visible(name) for name in packing])
    assert names(packed(*packing, streamed=streamed)) == tuple(seen)


def test_an_archive_of_nothing_has_no_names() -> None:
    assert names(packed()) == ()


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive", b"x" * 100_000, b"MZ" + LOCAL * 10])
def test_what_is_no_archive(data: bytes) -> None:
    assert read(data) is None


def test_a_program_that_unpacks_itself_is_an_archive() -> None:
    assert names(b"MZ" + b"\0" * 5_000 + packed("a.exe", "b")) == ("a.exe", "b")


def test_an_archive_with_a_comment_is_one() -> None:
    made = packed("a.exe")
    assert names(made[:-2] + (1_000).to_bytes(2, "little") + b"c" * 1_000) == ("a.exe",)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_archive_without_its_end_has_the_names_in_front_of_the_files(streamed: bool) -> None:
    made = packed("a.exe", "b.txt", streamed=streamed)
    assert names(made[: made.index(DIRECTORY)]) == ("a.exe", "b.txt")
    assert names(made[: made.index(DIRECTORY) + 10]) == ("a.exe", "b.txt")


def test_an_archive_of_a_directory_alone_has_its_names() -> None:
    made = packed("a.exe", "b.txt")
    assert names(made[made.index(DIRECTORY) :]) == ("a.exe", "b.txt")


def test_a_name_that_only_one_of_the_two_headers_has_is_found() -> None:
    made = packed("good.txt", "b")
    at = made.index(DIRECTORY)
    assert set(names(made[:at].replace(b"good.txt", b"evil.exe") + made[at:])) == {"good.txt", "evil.exe", "b"}


def test_a_directory_that_leaves_out_a_file_hides_nothing() -> None:
    made = packed("a.txt", "evil.exe")
    at = made.index(DIRECTORY, made.index(DIRECTORY) + 4)
    assert names(made[:at] + made[made.index(END) :]) == ("a.txt", "evil.exe")


def test_a_size_that_covers_everything_hides_nothing() -> None:
    made = bytearray(packed("a.txt", "evil.exe"))
    made[18:22] = len(made).to_bytes(4, "little")
    assert set(names(bytes(made))) == {"a.txt", "evil.exe"}


def test_a_directory_at_a_wrong_place_hides_nothing() -> None:
    made = packed("a.txt", "evil.exe")
    assert names(made[:-10] + b"\xff" * 8 + made[-2:]) == ("a.txt", "evil.exe")


def test_the_end_of_a_large_archive_is_found_by_its_locator() -> None:
    made = packed("a.txt", "b.txt")
    directory, end = made.index(DIRECTORY), made.index(END)
    large = b"PK\x06\x06" + bytes(36) + (end - directory).to_bytes(8, "little") + directory.to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + bytes(4)
    whole = made[:end] + large + locator + END + bytes(8) + b"\xff" * 8 + bytes(2)
    assert names(whole.replace(LOCAL, b"\0\0\0\0")) == ("a.txt", "b.txt")


def test_names_are_utf_8_or_code_page_437() -> None:
    assert names(packed("Grüße.txt")) == ("Grüße.txt",)
    assert names(packed("aXb").replace(b"aXb", b"a\x84b")) == ("aäb",)
    assert names(packed("aXXb").replace(b"aXXb", "aäb".encode())) == ("aäb",)


def test_the_other_name_in_an_extra_field_is_given_too() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        entry = zipfile.ZipInfo("good.txt")
        entry.extra = b"\x75\x70\x0d\0\x01" + zlib.crc32(b"good.txt").to_bytes(4, "little") + b"evil.exe"
        made.writestr(entry, b"")
    assert set(names(file.getvalue())) == {"good.txt", "evil.exe"}


def test_a_name_ends_where_programs_end_it() -> None:
    assert names(packed("evil.exeX.txt").replace(b"exeX", b"exe\0")) == ("evil.exe",)


def test_an_archive_within_an_archive_is_a_name() -> None:
    assert names(packed("inner.zip", content=packed("evil.exe"))) == ("inner.zip",)


def test_an_encrypted_file_is_told() -> None:
    made = packed("a.txt")
    flagged = bytearray(made)
    flagged[6] |= 1
    plain, told = read(made), read(bytes(flagged))
    assert plain is not None
    assert not plain.encrypted
    assert told is not None
    assert told.encrypted


def test_more_names_than_the_limit_are_cut_and_told() -> None:
    exact, more = [read(packed(*[str(number) for number in range(count)])) for count in (NAMES, NAMES + 1)]
    assert exact is not None
    assert (len(exact.names), exact.limit) == (NAMES, "")
    assert more is not None
    assert (len(more.names), more.limit) == (NAMES, "names in an archive: 1,000")


def test_an_archive_that_is_larger_than_the_limit_is_told() -> None:
    made = packed("a.exe") + bytes(BYTES)
    found = read(made[: BYTES + 1])
    assert found is not None
    assert (found.names, found.limit) == (("a.exe",), "archive: 16,777,216 bytes")


@given(
    st.lists(st.one_of(st.sampled_from([LOCAL, DIRECTORY, END, b"PK\x06\x06", b"PK\x06\x07"]), st.binary()), max_size=9)
)
def test_nothing_is_raised_and_nothing_goes_on_for_ever(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for start in (b"", LOCAL, b"MZ"):
        read(start + data)
