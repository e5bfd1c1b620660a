"""Names of mailboxes: what may be written, where it leads, and that it never leads out of the root."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mailbox.names import Location, Store, from_utf7, layout_of, locate, name_problem, to_utf7
from pydeliver.status import Status

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

PLUS = Store("/home/bob/Maildir", "/home/bob/Maildir")
NESTED = Store("/home/bob/Mail", "/home/bob/Mail/INBOX", layout="nested")
LAYOUTS = pytest.mark.parametrize("store", [PLUS, NESTED], ids=["maildir++", "nested"])


def place(store: Store, name: str) -> str:
    found = locate(store, name)
    assert isinstance(found, Location), found
    return found.path


# -- modified UTF-7 ---------------------------------------------------------------------------------------------

# The first is the example of RFC 3501 section 5.1.3.
KNOWN = {
    "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
    "&": "&-",
    "Entwürfe": "Entw&APw-rfe",
    "a&b": "a&-b",
    "\U0001f4e7": "&2D3c5w-",
    "äöü": "&AOQA9gD8-",
    "": "",
}


@pytest.mark.parametrize(("text", "encoded"), KNOWN.items())
def test_modified_utf7_is_spelled_as_the_standard_says(text: str, encoded: str) -> None:
    assert to_utf7(text) == encoded
    assert from_utf7(encoded) == text


@given(st.text(st.characters(exclude_categories=("Cs",))))
@example("&ü&-")
def test_modified_utf7_comes_back_as_it_went(text: str) -> None:
    encoded = to_utf7(text)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert from_utf7(encoded) == text


@given(st.text("&-,+AZaz09=/ü", max_size=12))
def test_what_is_not_the_one_spelling_is_refused(text: str) -> None:
    try:
        decoded = from_utf7(text)
    except ValueError:
        return
    assert to_utf7(decoded) == text


@pytest.mark.parametrize("text", ["&", "&AGE-", "&A-", "&AOQ", "ü", "&AOQ-&APY-", "&2D0-", "&AOQ=-", "&!!-"])
def test_bad_modified_utf7_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_utf7(text)


# -- places -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["INBOX", "inbox", "InBox"])
@LAYOUTS
def test_inbox_in_any_case_is_the_default_mailbox(store: Store, name: str) -> None:
    assert place(store, name) == store.default


@pytest.mark.parametrize(
    ("name", "plus", "nested"),
    [
        ("Work", ".Work", "Work"),
        ("Work/Boss", ".Work.Boss", "Work/Boss"),
        ("lists/debian user", ".lists.debian user", "lists/debian user"),
        ("Büro/a&b", ".B&APw-ro.a&-b", "B&APw-ro/a&-b"),
        ("dovecot", ".dovecot", "dovecot"),
        ("Inboxes", ".Inboxes", "Inboxes"),
    ],
)
def test_a_name_is_a_folder_below_the_root(name: str, plus: str, nested: str) -> None:
    assert place(PLUS, name) == "/home/bob/Maildir/" + plus
    assert place(NESTED, name) == "/home/bob/Mail/" + nested


def test_a_name_is_composed() -> None:
    assert place(PLUS, "Bu\u0308ro") == place(PLUS, "B\u00fcro")


def test_a_path_that_ends_in_a_slash_is_a_maildir_of_its_own() -> None:
    assert place(PLUS, "/srv/archive/bob/") == "/srv/archive/bob"
    assert locate(PLUS, "/srv/archive/bob/") == Location(PLUS, "/srv/archive/bob/", "/srv/archive/bob")


REFUSED = [
    "", "/", "//", "/srv/mbox", "/srv/../etc/", "/srv/\0/", "Work/", "Work//Boss", ".", "..", "../x", "Work/../../x",
    ".Work", "~bob", "~/Mail", "-rf", "Work/-rf", "Work/.hidden", "cur", "new", "tmp", "Work/cur", " Work", "Work ",
    "a\0b", "a\nb", "a\x7fb", "a\x85b", "a\u202eb", "a\u2066b", "a\u2028b", "\ud800", "\udc80",
    "\\Junk", "INBOX/Work", "inbox/Work", "x" * 256, "ü" * 130, "/".join("x" * 21),
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
@LAYOUTS
def test_a_name_that_is_a_mistake_is_told_in_a_sentence_and_never_lost_mail(store: Store, name: str) -> None:
    problem = name_problem(store, name)
    status = locate(store, name)
    assert isinstance(status, Status)
    assert status.exit_code == 75
    assert problem == status.text
    assert len(problem) > 10


def test_a_literal_dot_is_a_mistake_only_where_dots_separate_levels() -> None:
    assert name_problem(PLUS, "example.org") == (
        '"example.org": "." separates levels on disk in this layout: write "example/org" or leave it out'
    )
    assert name_problem(NESTED, "example.org") is None


def test_files_of_a_nested_root_are_no_folders() -> None:
    for name in ("subscriptions", "maildirsize", "Work/maildirfolder"):
        assert name_problem(NESTED, name) is not None
        assert name_problem(PLUS, name) is None


def test_a_long_name_is_judged_as_it_is_spelled_on_disk() -> None:
    fits = "x" * 127 + "/" + "y" * 126  # ".x.y" has 255 bytes
    assert name_problem(PLUS, fits) is None
    assert name_problem(PLUS, fits + "y") is not None
    assert name_problem(NESTED, fits + "y") is None
    assert len(os.path.basename(place(PLUS, fits))) == 255


def test_beside_an_mbox_there_is_room_for_its_lock() -> None:
    mboxes = Store("/home/bob/Mail", "mbox:/home/bob/Mail/inbox", layout="mbox")
    for name in ("x" * 250, "y/" + "x" * 250, "mbox:~/" + "x" * 250, "mbox:/var/mail/" + "x" * 250):
        assert name_problem(mboxes, name) is None
        assert "longer than the 250 bytes that an mbox can have" in str(name_problem(mboxes, name + "x"))


@given(name=st.one_of(st.text(max_size=40), st.text("./~-\\ aI\0\n&üｆcurnewtmp", max_size=12)), nested=st.booleans())
@example("ınbox/x", False)
@example("．．/x", True)
def test_no_name_leads_out_of_the_root(name: str, nested: bool) -> None:
    store = NESTED if nested else PLUS
    found = locate(store, name)
    if isinstance(found, Status):
        return
    if name.startswith("/"):
        assert found.path == name.rstrip("/")
        assert ".." not in name.split("/")
    elif found.parts:
        below = os.path.relpath(os.path.normpath(found.path), store.root)
        assert found.path == f"{store.root}/{below}"
        assert not below.startswith("..")
        assert len(found.parts) == (name.count("/") + 1 if nested else 1)
        assert all(0 < len(os.fsencode(part)) <= 255 for part in found.parts)
        assert not {"cur", "new", "tmp"}.intersection(found.parts)
        assert all(part.startswith(".") is not nested for part in found.parts)
        levels = found.parts if nested else tuple(found.parts[0][1:].split("."))
        assert "/".join(map(from_utf7, levels)) == unicodedata.normalize("NFC", name)
    else:
        assert found.path == store.default
        assert name.isascii()


# -- what is on the disk ----------------------------------------------------------------------------------------


def test_an_existing_folder_is_used_in_either_spelling(fs: FakeFilesystem) -> None:
    plus = Store("/plus", "/plus")
    nested = Store("/nested", "/plus", layout="nested")
    for existing in ("/plus/.Büro", "/plus/.M&APw-ll", "/nested/Büro", "/nested/M&APw-ll"):
        fs.create_dir(existing)
    assert place(plus, "Büro") == "/plus/.Büro"
    assert place(plus, "Müll") == "/plus/.M&APw-ll"
    assert place(nested, "Büro") == "/nested/Büro"
    assert place(nested, "Müll") == "/nested/M&APw-ll"


def test_a_new_folder_is_spelled_as_the_nearest_one_above_it(fs: FakeFilesystem) -> None:
    plus = Store("/plus", "/plus")
    nested = Store("/nested", "/plus", layout="nested")
    for existing in ("/plus/.Büro", "/plus/.M&APw-ll", "/nested/Büro", "/nested/M&APw-ll"):
        fs.create_dir(existing)
    assert place(plus, "Büro/Ä/x") == "/plus/.Büro.Ä.x"
    assert place(plus, "Müll/Ä") == "/plus/.M&APw-ll.&AMQ-"
    assert place(nested, "Büro/Ä/x") == "/nested/Büro/Ä/x"
    assert place(nested, "Müll/Ä") == "/nested/M&APw-ll/&AMQ-"
    assert place(plus, "Ä") == "/plus/.&AMQ-"


def test_of_two_spellings_that_are_there_the_usual_one_is_used(fs: FakeFilesystem) -> None:
    fs.create_dir("/m/.Büro")
    fs.create_dir("/m/.B&APw-ro")
    assert place(Store("/m", "/m"), "Büro") == "/m/.B&APw-ro"


def test_the_layout_of_a_root_is_seen_from_what_is_in_it(fs: FakeFilesystem) -> None:
    for folder in ("/plus/cur", "/plus/new", "/plus/tmp", "/nested/Work/cur", "/empty"):
        fs.create_dir(folder)
    fs.create_dir("/folders/.Sent/cur")
    assert layout_of("/plus") == "maildir++"
    assert layout_of("/folders") == "maildir++"
    assert layout_of("/nested") == "nested"
    assert layout_of("/empty") == "maildir++"
    assert layout_of("/absent") == "maildir++"
