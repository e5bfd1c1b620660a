"""What the shell shows and writes that is text: the manual's pages, the words, the first rule file, formatted files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import pydeliver
from pydeliver.agent.rules import Home
from pydeliver.language.parse import decode, parse
from pydeliver.language.printer import print_rules
from pydeliver.status import Diagnostic
from pydeliver.system.disk import make_private, write_atomic
from pydeliver.vocabulary import catalogue
from pydeliver.vocabulary.word import Action, Field, Option

PAGES = Path(pydeliver.__file__).parent / "manual"


def topics() -> dict[str, str]:
    """The manual's pages by name, with their first lines."""
    return {path.stem: path.read_text().split("\n", 1)[0].lstrip("# ") for path in sorted(PAGES.glob("*.md"))}


def overview() -> str:
    lines = ["The manual: `pydeliver help TOPIC`, or one word of the language, as in `pydeliver help list-id`.", ""]
    lines += [f"    {name:12} {title}" for name, title in topics().items()]
    words = catalogue()
    fields = [name for name in words if isinstance(words[name][1], Field) and not _is_part(name, words)]
    actions = [name for name in words if isinstance(words[name][1], Action)]
    options = [name for name in words if isinstance(words[name][1], Option)]
    for title, names in (("fields", fields), ("actions", actions), ("options", options)):
        lines += ["", f"{title}: {' · '.join(names)}"]
    return "\n".join(lines)


def _is_part(name: str, words: Mapping[str, object]) -> bool:
    return "." in name and name.rsplit(".", 1)[0] in words


def page(topic: str) -> str | None:
    """A page of the manual, what there is to say about a word, or the section about it; None for none of these."""
    path = PAGES / f"{topic}.md"
    if "/" not in topic and path.is_file():
        return path.read_text()
    words = catalogue()
    found = words.get(topic) or words.get(f"set {topic}") or words.get(topic.removesuffix(" file"))
    return section(topic) if found is None else word_text(topic, found[1])


def section(term: str) -> str | None:
    """The section of the manual that explains a word of the grammar: an operator, `if`, `let`, `null` …"""
    pages = [(PAGES / f"{name}.md").read_text() for name in ("language", "words")]
    for part in re.split(r"^(?=##+ )", "\n".join(pages), flags=re.MULTILINE)[1:]:
        if re.search(rf"`{re.escape(term)}[` ]", part):
            return part
    return None


def word_text(name: str, word: Field | Action | Option) -> str:
    """One word: what it is, and an example."""
    lines = [f"{name}: {word.about}", "", f"    {word.example}"]
    if isinstance(word, Field):
        parts = [other.split(".", 1)[1] for other in catalogue() if other.startswith(f"{name}.")]
        if parts:
            lines += ["", f"parts: {', '.join(parts)}"]
    return "\n".join(lines)


def near(topic: str) -> str:
    found = get_close_matches(topic, [*topics(), *catalogue()], 1, 0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def formatted(data: bytes, path: str) -> tuple[str, tuple[Diagnostic, ...]]:
    """A rule file in the canonical form, or why it can't be read."""
    text, damage = decode(data, path)
    parsed = parse(text, path)
    mistakes = (*damage, *parsed.diagnostics)
    return ("", mistakes) if mistakes else (print_rules(parsed.block), ())


def replace(path: str, data: bytes) -> None:
    """Put new content into a file, atomically, with the permissions it has; a link stays a link."""
    real = os.path.realpath(path)
    write_atomic(real, data, mode=os.stat(real).st_mode & 0o7777)


def write_first_rules(home: Home) -> None:
    make_private(os.path.dirname(home.rules))
    write_atomic(home.rules, FIRST_RULES.encode())


FIRST_RULES = """\
# Where my mail goes. The first delivery that is reached wins; what nothing claims stays in the inbox.
# `pydeliver check` finds mistakes, `pydeliver try ~/Maildir` shows what would happen, `pydeliver help` is the manual.
language 1
set mailboxes = "~/Maildir"

# let family = ["mum@example.org", "dad@example.org"]

# rule "boss" if from is "boss@example.com" { mark flagged; file "Work/Boss" }
# rule "family" if from in family { file "Family" }
# rule "lists" if list-id matches /<(?<list>[\\w-]+)\\.lists\\.debian\\.org>/ { file "lists/{list}" }
# rule "bills" if subject contains "invoice" { file "Bills" }
# rule "large" if size > 10 MB { copy file "Archive/{date.year}" }
"""
