"""The site's settings: what may stand in the file, and how a mistake is told."""

from __future__ import annotations

import tomllib

import pytest

from pydeliver.settings import ENVIRONMENT, SETTINGS, defaults, read

PATH = "/etc/pydeliver/settings.toml"


def problem(text: str) -> str:
    """What is wrong with the one line that is wrong; the setting keeps its default."""
    found, (mistake,) = read(text.encode(), PATH)
    assert found == defaults()
    assert (mistake.file, mistake.severity) == (PATH, "error")
    return mistake.message


def test_an_empty_file_is_the_defaults() -> None:
    assert read(b"", PATH) == (defaults(), ())
    assert read(b"# nothing\n", PATH) == (defaults(), ())


def test_the_defaults_fit_their_own_settings() -> None:
    for setting in SETTINGS:
        if setting.choices:
            assert setting.default in setting.choices
    assert defaults()["sync"] == "full", "mail is on disk before success is said unless the site says otherwise"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('sync = "file"', "sync", "file"),
        ('over-quota = "refuse"', "over-quota", "refuse"),
        ('default-mailbox = "~/Maildir"', "default-mailbox", "~/Maildir"),
        ('default-mailbox = "/var/mail/x"', "default-mailbox", "/var/mail/x"),
        ('default-mailbox = ""', "default-mailbox", ""),
        ('subaddress = "+-"', "subaddress", "+-"),
        ('subaddress = ""', "subaddress", ""),
        ('domains = ["a.example", "b.example"]', "domains", ("a.example", "b.example")),
        ("domains = []", "domains", ()),
        ('environment = ["X"]', "environment", ("X",)),
        ("trace-headers = true", "trace-headers", True),
        ('authserv-id = ["mx.example"]', "authserv-id", ("mx.example",)),
        ("time-limit = 1", "time-limit", 1),
        ("time-limit = 900", "time-limit", 900),
        ("quarantine-days = 0", "quarantine-days", 0),
        ("quarantine-size = 50", "quarantine-size", 50),
        ("program-time = 600", "program-time", 600),
        ("program-cpu = 1", "program-cpu", 1),
        ("program-output = 1", "program-output", 1),
        ('program-path = "/bin"', "program-path", "/bin"),
        ('policy = "hosted"', "policy", "hosted"),
        ('rules.before = "/etc/pydeliver/before.rules"', "rules.before", "/etc/pydeliver/before.rules"),
        ('rules = { after = "/a" }', "rules.after", "/a"),
        ('[rules]\nbefore = "/b"', "rules.before", "/b"),
        ('rules.after = ""', "rules.after", ""),
    ],
)
def test_a_value_that_fits_is_taken(line: str, name: str, value: object) -> None:
    found, mistakes = read(f"{line}\n".encode(), PATH)
    assert mistakes == ()
    assert found == {**defaults(), name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('sync = "later"', "full, file, none"),
        ("sync = true", "full, file, none"),
        ("sync = []", "full, file, none"),
        ('over-quota = "drop"', "defer, refuse"),
        ('default-mailbox = "Maildir"', "place"),
        ("default-mailbox = 1", "text"),
        ("subaddress = 1", "text"),
        ('domains = "a.example"', "list of texts"),
        ("domains = [1]", "list of texts"),
        ('trace-headers = "yes"', "true or false"),
        ("trace-headers = 1", "true or false"),
        ('authserv-id = "mx.example"', "list of texts"),
        ("time-limit = 0", "1 to 900"),
        ("time-limit = 901", "1 to 900"),
        ("time-limit = true", "1 to 900"),
        ("time-limit = 1.5", "1 to 900"),
        ('time-limit = "300"', "1 to 900"),
        ("quarantine-days = -1", "days from 0 to 365"),
        ("quarantine-days = true", "days from 0 to 365"),
        ("quarantine-size = 0", "MB from 1"),
        ('quarantine-size = "200 MB"', "MB from 1"),
        ("nonsense = 1", "no such setting"),
        ("[sync]", "full, file, none"),
        ('policy = "closed"', "open, hosted"),
        ('rules.before = "before.rules"', "whole path"),
        ('rules.after = "~/after.rules"', "whole path"),
        ("rules.after = 1", "text"),
        ('rules.between = "/x"', "no such setting"),
        ('rules = "/x"', "no such setting"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_name(line: str, said: str) -> None:
    message = problem(f"{line}\n")
    assert said in message
    assert message.startswith(line.split(" =")[0].strip("[]"))


def test_a_mistake_names_its_line_and_the_others_stay() -> None:
    found, mistakes = read(b'# site\nsubaddress = "-"\n\nnonsense = 1\ntime-limit = 0\nsync = "none"\n', PATH)
    assert [(one.line, one.source) for one in mistakes] == [(4, "nonsense = 1"), (5, "time-limit = 0")]
    assert (found["subaddress"], found["sync"], found["time-limit"]) == ("-", "none", 300)


def test_a_mistake_in_a_table_is_told_in_its_line() -> None:
    _, mistakes = read(b'sync = "full"\n[rules]\nbefore = "/x"\nafter = "y"\nbetween = "/z"\n', PATH)
    assert [(one.line, one.source, one.width) for one in mistakes] == [(4, 'after = "y"', 5), (5, 'between = "/z"', 7)]
    assert [one.message.partition(":")[0] for one in mistakes] == ["rules.after", "rules.between"]


@pytest.mark.parametrize("data", [b"sync = ", b"sync\n", b"= 1", b'sync = "full"\nsync = "file"\n', b"\xff\xfe", b"[["])
def test_what_is_no_toml_is_one_mistake(data: bytes) -> None:
    found, (mistake,) = read(data, PATH)
    assert found == defaults()
    assert "TOML" in mistake.message
    with pytest.raises((tomllib.TOMLDecodeError, UnicodeDecodeError)):
        tomllib.loads(data.decode())


def test_the_environment_that_rules_may_read_has_no_secret_and_no_loader() -> None:
    assert len(set(ENVIRONMENT)) == len(ENVIRONMENT)
    assert not {"PATH", "HOME", "SHELL"} & set(ENVIRONMENT)
    assert not [name for name in ENVIRONMENT if name.startswith(("LD_", "PYTHON"))]
