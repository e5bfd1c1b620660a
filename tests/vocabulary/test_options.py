"""What a rule file says about itself, and which values it may not say."""

from __future__ import annotations

import pytest

from pydeliver import vocabulary
from pydeliver.language.load import compile_rules
from pydeliver.vocabulary.options import WORDS
from tests.rules import Library, plan

PROBLEMS = {word.name: word.problem for word in WORDS}


@pytest.mark.parametrize("name", ["mailboxes", "default"])
@pytest.mark.parametrize("path", ["~/Maildir", "/var/mail/bob", "~/a..b", "~/.Mail"])
def test_a_place_is_a_path_from_the_home_or_the_root(name: str, path: str) -> None:
    assert PROBLEMS[name]((path,)) == ""


@pytest.mark.parametrize("name", ["mailboxes", "default"])
@pytest.mark.parametrize("path", ["", "Maildir", "./Maildir", "~bob/Maildir", "~", "~/../x", "/a/../b", "/.."])
def test_any_other_text_is_no_place(name: str, path: str) -> None:
    assert PROBLEMS[name]((path,)) != ""


def test_my_addresses_have_domains() -> None:
    assert PROBLEMS["me"](("a@b.example", "Bob <bob@c.example>")) == ""
    for wrong in ("bob", "", "a@b@c", "bob smith"):
        assert repr(wrong)[1:-1] in PROBLEMS["me"](("a@b.example", wrong))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_a_zone_that_exists_is_taken(zone: str) -> None:
    assert PROBLEMS["timezone"]((zone,)) == ""


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../../etc/passwd", "/etc/passwd", "a\0b", "Europe"])
def test_a_zone_that_does_not_exist_is_told(zone: str) -> None:
    assert "no time zone" in PROBLEMS["timezone"]((zone,))


@pytest.mark.parametrize(("written", "seconds"), [("0 days", 0), ("12 hours", 43_200), ("1 year", 31_536_000)])
def test_the_time_in_the_quarantine_is_a_duration(written: str, seconds: int) -> None:
    assert plan(f"set quarantine = {written}\n").settings["quarantine"] == (str(seconds),)


@pytest.mark.parametrize("written", ["3", '"3 days"', "3 MB", "1 day, 2 days", "366 days", "days"])
def test_what_is_no_such_duration_is_told(written: str) -> None:
    made = compile_rules("main.rules", f"set quarantine = {written}\n".encode(), Library({}))
    (found,) = made.diagnostics
    assert found.name == "bad-option"
    assert "3 days" in found.message or "365 days" in found.message


def test_the_example_of_every_option_is_taken() -> None:
    for word in WORDS:
        assert word.name in plan(f"{word.example}\n").settings


def test_every_word_of_the_language_is_in_one_family_only() -> None:
    names = [
        f"set {word.name}" if type(word).__name__ == "Option" else word.name
        for room in ("addresses", "headers", "transit", "times", "filing", "form", "options")
        for word in vocabulary.family(room).values()
    ]
    assert len(names) == len(set(names))
    assert set(names) <= set(vocabulary.catalogue())
    with pytest.raises(ImportError):
        vocabulary.family("nothing")
