"""Mailbox names out of messages: one clean component, or the default mailbox."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mail.envelope import Envelope
from pydeliver.mailbox.names import Store, name_problem, to_utf7
from pydeliver.vocabulary.filing import clean, mailbox_name
from tests.rules import World, boxes, holds, judge, judged, plan


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("Work", "work"),
        ("debian-user", "debian-user"),
        ("a.b", "a_b"),
        ("a/b\\c", "a_b_c"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", ""),
        (".", ""),
        ("", ""),
        ("   ", ""),
        ("~root", "root"),
        ("-rf", "rf"),
        ("._~- x", "x"),
        ("x ", "x"),
        ("a \t b", "a b"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        ("cur", ""),
        ("NEW", ""),
        ("Inbox", ""),
        ("tmp", ""),
        ("\u202egnp.exe", "gnp_exe"),
        ("a\u2028b\u200dc\ufeffd", "abcd"),
        ("A\u0308", "ä"),
        ("Ünï & cö", "ünï & cö"),
        ("x" * 300, "x" * 160),
    ],
)
def test_a_value_is_cleaned(value: str, cleaned: str) -> None:
    assert clean(value, dots=False) == cleaned


def test_a_layout_that_has_dots_keeps_single_ones() -> None:
    assert clean("www.example.org", dots=True) == "www.example.org"
    assert clean("a..b", dots=True) == "a_b"
    assert clean(".hidden", dots=True) == "hidden"
    assert clean("tail.", dots=True) == "tail"


@given(value=st.text(), dots=st.booleans())
@example(value="&" * 300, dots=False)
@example(value="é" * 300, dots=False)
@example(value="😀" * 300, dots=False)
@example(value="a\u0301é&😀" * 60, dots=True)
@example(value="x" * 159 + " y", dots=True)
@example(value="x" * 159 + ".y", dots=True)
@example(value="./.././..", dots=True)
@example(value="cur.", dots=True)
@example(value="e\u200b\u0301", dots=False)
@example(value="\u0301\u0316" * 50_000, dots=False)
def test_a_cleaned_value_is_one_harmless_component(value: str, dots: bool) -> None:
    cleaned = clean(value, dots)
    assert "/" not in cleaned
    assert "\\" not in cleaned
    assert ".." not in cleaned
    assert dots or "." not in cleaned
    assert not cleaned.startswith((".", "~", "-", " "))
    assert not cleaned.endswith((" ", "."))
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert cleaned not in ("cur", "new", "tmp", "inbox")
    assert cleaned == unicodedata.normalize("NFC", cleaned)
    assert len(cleaned.encode()) <= 255
    assert len(to_utf7(cleaned)) <= 255


@given(st.text())
@example("cur.")
@example("x" * 300)
@example("é" * 300)
def test_a_cleaned_value_is_a_name_that_a_maildir_takes(value: str) -> None:
    name = mailbox_name((("lists/", False), (value, True)), False)
    if name:
        assert name_problem(Store("/m", "/m", "maildir++"), name) is None


@given(st.text(max_size=12), st.text(max_size=12))
def test_values_never_add_a_level(first: str, second: str) -> None:
    name = mailbox_name((("a/", False), (first, True), ("/b-", False), (second, True)), False)
    assert name == "" or name.count("/") == 2


@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        ([("mbox:", True), ("/deep", False)], "mbox_/deep"),
        ([("MH:~", True), ("/deep", False)], "mh_~/deep"),
        ([("m", False), ("box:~", True), ("/deep", False)], "mbox_~/deep"),
        ([("mh", True), (":~", False), ("/deep", False)], "mh_~/deep"),
        ([("mh:~/MH/", False), ("mbox:~", True)], "mh:~/MH/mbox:~"),
        ([("re: mbox:", True)], "re: mbox:"),
    ],
)
def test_a_format_comes_from_literal_text_only(pieces: list[tuple[str, bool]], name: str) -> None:
    assert mailbox_name(tuple(pieces), True) == name


def test_a_look_alike_of_the_inbox_is_a_folder_like_any_other() -> None:
    assert "ınbox".upper() == "INBOX"
    assert boxes(judge('file "{arg.1}"\n', arguments={"1": "ınbox"})) == ["ınbox"]


@given(st.text())
def test_cleaning_leaves_harmless_ascii_words_alone(value: str) -> None:
    word = "".join(c for c in value if c.isascii() and c.isalnum()).lower()
    if word and word not in ("cur", "new", "tmp", "inbox"):
        assert clean(word, False) == word


def test_a_name_that_the_mailboxes_refuse_goes_to_the_default_mailbox_and_says_so() -> None:
    world = World()
    world.refused["lists/b-c"] = "50 mailboxes were made today"
    verdict = judged(plan('file "lists/{arg.1}-{arg.2}"\n'), b"\n", world, Envelope(arguments={"1": "b", "2": "c"}))
    assert boxes(verdict) == ["INBOX"]
    assert verdict.notes == ('"lists/{b}-{c}": 50 mailboxes were made today: the default mailbox instead',)


def test_a_name_that_is_written_out_is_asked_of_nobody() -> None:
    world = World()
    judge('file "Work/Boss"\n', world=world)
    assert world.asked == []


def test_a_note_is_short_whatever_a_sender_writes() -> None:
    (note,) = judge('file "{arg.1}"\n', arguments={"1": "/" * 100_000}).notes
    assert len(note) < 200


def test_a_name_without_values_is_as_it_is_written() -> None:
    assert mailbox_name((("Work/Boss", False),), False) == "Work/Boss"
    assert boxes(judge('file "Work/Boss"\n')) == ["Work/Boss"]


@pytest.mark.parametrize("value", ["", "..", "/", "inbox", "cur"])
def test_a_value_that_leaves_nothing_goes_to_the_default_mailbox_and_says_so(value: str) -> None:
    verdict = judge('file "lists/{arg.1}"\n', arguments={"1": value})
    assert boxes(verdict) == ["INBOX"]
    (note,) = verdict.notes
    assert "default mailbox" in note
    assert "\n" not in note


def test_an_unusable_copy_still_goes_on() -> None:
    verdict = judge('copy file "{arg.1}"\nfile "Work"\n', arguments={"1": ".."})
    assert boxes(verdict) == ["INBOX", "Work"]


def test_the_layout_decides_about_dots() -> None:
    envelope = Envelope(arguments={"1": "www.example.org"})
    for layout, box in (("maildir++", "www_example_org"), ("nested", "www.example.org")):
        made = plan('file "{arg.1}"\n', layout=layout)
        assert boxes(judged(made, b"\n", World(), envelope)) == [box]


def test_two_spellings_of_a_value_are_one_mailbox() -> None:
    spellings = ["Ärger", "ÄRGER", "A\u0308rger"]
    assert {clean(one, False) for one in spellings} == {"ärger"}


def test_whether_a_mailbox_is_there_is_asked_by_the_name_that_is_written() -> None:
    world = World()
    world.mailboxes = {"Work/Boss": True, "Nobody knows": None}
    for name, there in (("Work/Boss", True), ("work/boss", False), ("Nobody knows", None)):
        assert holds(f'mailbox "{name}" exists', world=world) is there
        assert ("mailbox-exists", name) in world.asked
    assert holds('mailbox "Other" not exists', world=world) is True


def test_a_discard_for_good_is_told_apart() -> None:
    found = [(one.outcome, one.for_good, one.describe()) for one in (judge("discard\n"), judge("discard for good\n"))]
    assert found == [("discard", False, "discard"), ("discard", True, "discard for good")]
    assert judge('copy file "A"\ndiscard for good\n').describe() == 'copy file "A", discard for good'
