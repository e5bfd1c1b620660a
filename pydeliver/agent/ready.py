"""What a process loads beforehand that will deliver for long, or start others that do.

A delivery of its own loads what it needs when it needs it, and most need little. Processes forked from one that has all
of it share it.
"""

from __future__ import annotations

import importlib

_MODULES = (  # what deliveries load when they come to it
    "fcntl",
    "glob",
    "pwd",
    "re2",
    "zoneinfo",
    "pydeliver.agent.answers",
    "pydeliver.agent.notice",
    "pydeliver.agent.programs",
    "pydeliver.agent.renew",
    "pydeliver.agent.smarthost",
    "pydeliver.mail.discarded",
    "pydeliver.mail.forwarded",
    "pydeliver.mail.mime",
    "pydeliver.mailbox.maildir",
    "pydeliver.mailbox.mbox",
    "pydeliver.mailbox.mh",
    "pydeliver.mailbox.quarantine",
    "pydeliver.memory.ledger",
)


def load_modules() -> None:
    """Load what deliveries may need, and every word of the language."""
    from pydeliver import vocabulary

    for name in _MODULES:
        importlib.import_module(name)
    vocabulary.catalogue()


def build_grammar() -> None:
    """Have the grammar at hand, for rules that changed. Takes a second."""
    from pydeliver.language import grammar

    grammar.built()
