"""The manual says what is so: its rules compile, and it leaves out no word, no setting and no command."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from pydeliver import settings
from pydeliver.agent.build import compile_plan
from pydeliver.agent.rules import Home, Site
from pydeliver.cli.commands import commands
from pydeliver.cli.manual import PAGES
from pydeliver.language.load import compile_rules
from pydeliver.status import Status
from pydeliver.vocabulary import catalogue
from pydeliver.vocabulary.word import Action, Field, Word
from pydeliver.workbench.testing import run

TOPICS = (
    "commands",
    "language",
    "postfix",
    "quarantine",
    "reliability",
    "sending",
    "server",
    "settings",
    "smtp",
    "trouble",
    "words",
)
COLUMNS = 100
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INCLUDED = re.compile(r'^include (?:optional )?"([^"]+)"', re.MULTILINE)


class Named:
    """A library that holds, empty, the files which a text includes, and no other."""

    def __init__(self, rules: str) -> None:
        self._names = frozenset(_INCLUDED.findall(rules))

    def find(self, path: str, base: str) -> tuple[str, ...]:
        return (path,)

    def read(self, path: str) -> bytes | str | None:
        return b"" if path in self._names else None


def page(topic: str) -> str:
    return (PAGES / f"{topic}.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[tuple[str, str]]:
    """(where it stands, text) of every fenced block of a kind."""
    found = []
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for match in _FENCED.finditer(text):
            if match[1] == kind:
                found.append((f"{path.stem}:{text.count(chr(10), 0, match.start()) + 1}", match[2]))
    return found


def remarks(rules: str) -> list[tuple[str, int, str]]:
    """What there is to say about a text of rules: (error or warning, line, what)."""
    made = compile_rules("manual.rules", rules.encode(), Named(rules), settings.ENVIRONMENT)
    return [(one.severity, one.line, one.message) for one in made.diagnostics]


def errors(rules: str) -> list[tuple[str, int, str]]:
    return [one for one in remarks(rules) if one[0] == "error"]


def as_rules(word: Word) -> str:
    """A word's own example where such a word may stand."""
    return f"if {word.example} {{ keep }}" if isinstance(word, Field) else word.example


def shown(name: str, word: Word, text: str) -> bool:
    """Whether rules use the word: a field in a condition, an action or option at the head of a statement."""
    if isinstance(word, Field):
        return re.search(rf"^if [^{{]*(?<![\w.-]){re.escape(name)}(?![\w-]|\.[a-z])", text, re.MULTILINE) is not None
    said = ".* ".join([re.escape(part) for part in name.split()])  # of `notify … to` a text stands between
    return re.search(rf"(?:^|[{{;] *){said}(?![\w-])", text, re.MULTILINE) is not None


RULES = blocks("rules")
WORDS = [(name, word) for name, (_, word) in catalogue().items()]
each_word = pytest.mark.parametrize(("name", "word"), WORDS, ids=[name for name, _ in WORDS])


def test_every_topic_has_its_page_and_no_other() -> None:
    assert tuple(sorted(path.stem for path in Path(PAGES).glob("*.md"))) == TOPICS


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_begins_with_its_title_and_fits_a_terminal(topic: str) -> None:
    lines = page(topic).split("\n")
    assert re.fullmatch(r"# \S.*", lines[0])
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("topic", TOPICS)
def test_every_fence_is_closed(topic: str) -> None:
    assert "```" not in _FENCED.sub("", page(topic))


@pytest.mark.parametrize("rules", [text for _, text in RULES], ids=[place for place, _ in RULES])
def test_the_rules_in_the_manual_compile_without_a_doubt(rules: str) -> None:
    assert remarks(rules) == []


def test_the_tests_in_the_manual_pass(tmp_path: Path) -> None:
    home = Home("bob", os.getuid(), str(tmp_path))
    (tmp_path / "hello.eml").write_text("Subject: hello\n\n")
    path = tmp_path / "manual.rules"
    names = []
    for _, rules in [block for block in RULES if re.search("^test ", block[1], re.MULTILINE)]:
        path.write_text(rules)
        made = compile_plan(home, Site(str(path), "/nonexistent", True))
        assert made.plan is not None
        assert not isinstance(made.store, Status)
        results = list(run(made.cases, made.plan, made.store, home, 0.0))
        assert [(one.case.name, one.failures, one.problems) for one in results if not one.passed] == []
        names += [one.case.name for one in results]
    assert "the boss never lands in the archive" in names


def test_rules_with_a_mistake_or_an_unnamed_file_do_not_compile() -> None:
    assert errors('if frmo is "bob@example.org" { keep }')
    made = compile_rules("manual.rules", b'include "work.rules"', Named(""))
    assert not made.ok


@each_word
def test_every_word_is_used_in_the_rules_of_the_page_of_words(name: str, word: Word) -> None:
    text = "\n".join(text for place, text in RULES if place.startswith("words:"))
    wanted = {"arg": "arg.1", "env": "env.CLIENT_ADDRESS", "copy": "copy file"}.get(name, name)
    if name == "me":  # it stands on the right
        assert "is me" in text
    else:
        assert shown(wanted, word, text)


@each_word
def test_the_example_of_every_word_compiles(name: str, word: Word) -> None:
    assert errors(as_rules(word)) == []


@each_word
def test_the_example_of_every_word_uses_the_word(name: str, word: Word) -> None:
    assert (word.name.split()[0] if isinstance(word, Action) else word.name) in word.example


@pytest.mark.parametrize("action", [word for _, word in WORDS if isinstance(word, Action)], ids=lambda word: word.name)
def test_every_choice_of_an_action_is_named_on_the_page_of_words(action: Action) -> None:
    assert [choice for choice in action.choices if f"`{choice}`" not in page("words")] == []


def test_every_variable_that_rules_may_read_is_named_on_the_page_of_words() -> None:
    assert [name for name in settings.ENVIRONMENT if not re.search(rf"\b{name}\b", page("words"))] == []


TABLES = {"settings": settings.SETTINGS, "server": settings.SERVER, "smtp": settings.SMTP}


@pytest.mark.parametrize(("topic", "setting"), [(topic, setting) for topic in TABLES for setting in TABLES[topic]])
def test_every_setting_has_its_section_with_an_example(topic: str, setting: settings.Setting) -> None:
    section = page(topic).partition(f"\n## {setting.name}\n")[2].partition("\n## ")[0]
    assert re.search(rf"^```toml\n{setting.name} = ", section, re.MULTILINE)


@pytest.mark.parametrize("text", [text for _, text in blocks("toml")])
def test_the_settings_in_the_manual_are_taken(text: str) -> None:
    _, found = settings.read(text.encode(), "settings.toml")
    assert found == ()


@pytest.mark.parametrize("topic", TABLES)
def test_the_whole_file_of_settings_shows_the_defaults(topic: str) -> None:
    whole = next(text for name, text in blocks("toml") if name.startswith(f"{topic}:"))
    assert settings.read(whole.encode(), "settings.toml", TABLES[topic]) == (settings.defaults(TABLES[topic]), ())
    written = re.findall(r"^(\S+) = ", whole, re.MULTILINE)
    assert written == [setting.name for setting in TABLES[topic]]


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_command_has_an_example_and_a_section(name: str) -> None:
    command = commands.commands[name]
    with click.Context(command, info_name=f"pydeliver {name}") as context:
        assert f"Example:\n    pydeliver {name}" in command.get_help(context)
    assert re.search(rf"^## {name}\n(?:(?!## ).*\n)*    pydeliver {name}", page("commands"), re.MULTILINE)
