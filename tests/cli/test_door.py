"""The door that an MTA opens: arguments and environment to an envelope, and nothing out but 0, 75 and 77."""

from __future__ import annotations

import pytest

from pydeliver.cli import options
from pydeliver.cli.door import Arguments, make_envelope, parse
from pydeliver.mail.envelope import Envelope
from pydeliver.status import Status


def read(*words: str) -> Arguments:
    found = parse(words)
    assert isinstance(found, Arguments), found
    return found


def envelope(*words: str, **environment: str) -> Envelope:
    made = make_envelope(read(*words), environment, "bob")
    assert isinstance(made, Envelope)
    return made


@pytest.mark.parametrize("spelled", ["", "<>", "@", "MAILER-DAEMON", "#@[]"])
def test_every_spelling_of_the_null_sender_is_one(spelled: str) -> None:
    assert envelope("-f", spelled).sender == ""


@pytest.mark.parametrize(
    "words",
    [
        ("-f", "a@b"),
        ("-fa@b",),
        ("--sender=a@b",),
        ("--sender", "a@b"),
        ("-tYf", "a@b"),
        ("-t", "-Y", "-o", "-p", "-f", "<a@b>"),
    ],
)
def test_the_sender_is_read_in_every_form(words: tuple[str, ...]) -> None:
    assert envelope(*words).sender == "a@b"


def test_without_a_sender_the_environment_is_asked() -> None:
    assert envelope(SENDER="a@b").sender == "a@b"
    assert envelope("-f", "-", SENDER="").sender == ""
    assert envelope().sender is None


def test_the_first_detail_is_the_detail_and_others_are_arguments() -> None:
    made = envelope("-a", "shop", "-a", "two", "three", "NAME=value")
    assert made.detail == "shop"
    assert made.arguments == {"1": "two", "2": "three", "NAME": "value"}


@pytest.mark.parametrize(
    "environment",
    [{"EXTENSION": "shop"}, {"EXT": "shop"}, {"LOCAL_PART_SUFFIX": "+shop"}],
    ids=["postfix", "qmail", "exim"],
)
def test_the_detail_comes_from_any_mta(environment: dict[str, str]) -> None:
    assert envelope("-a", "", **environment).detail == "shop"


def test_the_recipient_comes_from_any_mta() -> None:
    assert envelope("-r", "a@b", RECIPIENT="c@d").recipient == "a@b"
    assert envelope(RECIPIENT="c@d").recipient == "c@d"
    assert envelope(LOCAL_PART="bob", LOCAL_PART_SUFFIX="+x", DOMAIN="d").recipient == "bob+x@d"


def test_words_behind_two_hyphens_are_no_options() -> None:
    assert envelope("-f", "a@b", "--", "-x").arguments == {"1": "-x"}


def test_procmails_m_takes_the_rule_file_as_its_argument() -> None:
    found = read("-Y", "-m", "/etc/x.rules", "a@b", "bob")
    assert (found.last(options.RULES), found.alone) == ("/etc/x.rules", ("a@b", "bob"))


@pytest.mark.parametrize(
    "words",
    [("-x",), ("--nothing",), ("-f",), ("-d", "a", "-d", "b"), ("-d", "a", "b"), ("DEFAULT=/x",), ("MAILDIR=/x",)],
)
def test_what_has_no_meaning_here_is_refused_for_now(words: tuple[str, ...]) -> None:
    found = parse(words)
    assert isinstance(found, Status)
    assert found.exit_code == 75


def test_given_says_what_only_a_caller_knows() -> None:
    made = envelope("--given", "env.CLIENT_HELO=x", "--given", "arg.1=y")
    assert (made.environment["CLIENT_HELO"], made.arguments["1"]) == ("x", "y")
    assert isinstance(make_envelope(read("--given", "spam=1"), {}, "bob"), Status)
