"""What a site lets the rules of its users do: profiles as data, and their judgement while rules are compiled.

Refused at its place by `check`, before any mail arrives, and the same way when a delivery compiles rules. The files
of the site itself are bound by no profile; they may only not set what is the user's. Names are judged as they are
written: who can make links below a home can write there without a rule. Limits: those of Sieve as Dovecot's
Pigeonhole has them (`sieve_max_actions`, `sieve_max_redirects`).
"""

from __future__ import annotations

import os

from pydeliver import vocabulary
from pydeliver.mailbox.names import MBOX, MH
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.agent.rules import Home
    from pydeliver.mailbox.names import Store
    from pydeliver.plan import Node

PROGRAMS = (
    "filter",
    "notify by",
    "output",
    "pipe",
    "run",
    "shell",
)  # words that start one, in whatever phrase they stand
PLACES = ("mailbox", "set default", "set mailboxes")
FILES = ("include", "list")


class Policy(Value):
    """One profile. A limit of 0 is none; deliveries and forwards are those that one message can meet on its way."""

    words: tuple[str, ...] = ()
    confined: bool = False  # mailboxes to the root of mailboxes, other files to the home
    rule_bytes: int = 0  # of all the rule files of one user
    deliveries: int = 0
    forwards: int = 0


POLICIES = {
    "open": Policy(),
    "hosted": Policy(PROGRAMS, True, 256 << 10, 32, 4),
}


class Judge:
    """A policy for one user, whose mailboxes would be in `store` if he set nothing."""

    def __init__(self, policy: Policy, home: Home, store: Store) -> None:
        self.policy = policy
        self.home = home
        self.store = store

    def refusal(self, kind: str, text: str) -> str:
        """Why a rule may not say this, or ""; the kinds are those of `language.scope.is_allowed`."""
        policy = self.policy
        if kind == "word" and any([word in policy.words for word in (text, *text.replace(".", " ").split())]):
            return f"`{text}` is not allowed: this site's rules start no programs"
        if not policy.confined:
            return ""
        if kind in PLACES and not self._is_mailbox(text):
            return f'"{text}" is outside of {self.store.root}: this site lets rules use no other place for mail'
        if kind in FILES and not _within(self.home.expand(text), self.home.path):
            return f'"{text}" is outside of {self.home.path}: this site lets rules read no other files'
        return ""

    def _is_mailbox(self, text: str) -> bool:
        """Whether a name, or a place with its format before it, lies below the root."""
        whole = self.home.expand(text)
        kind, _, path = whole.partition(":")
        place = path if kind in (MBOX, MH) else whole
        if not place.startswith("/"):
            return kind not in (MBOX, MH)
        return whole == self.store.default or _within(place, self.store.root)

    def too_large(self, size: int) -> str:
        """Why rules of so many bytes are too many, or ""."""
        limit = self.policy.rule_bytes
        return f"these rules have {size} bytes, more than the {limit} of this site" if limit and size > limit else ""

    def too_many(self, statements: tuple[Node, ...]) -> tuple[Node, str] | None:
        """The action with which one message can come to more deliveries or forwards than one may, and what to say."""
        for limit, words, noun in (
            (self.policy.deliveries, ("file", "copy"), "mailboxes"),
            (self.policy.forwards, ("forward",), "addresses"),
        ):
            node = _Count(words, limit).first(statements) if limit else None
            if node is not None:
                return node, f"one message could go to more than {limit} {noun} here: this site allows no more"
        return None


def site_refusal(kind: str, text: str) -> str:
    """Why a site's own rules may not say this, or "": options hold for the user's rules too, so they are his."""
    return "a site's rules set no options: the site has its settings" if kind.startswith("set ") else ""


def _within(path: str, root: str) -> bool:
    path, root = os.path.normpath(path), os.path.normpath(root)
    return path == root or path.startswith(root.rstrip("/") + "/")


class _Count:
    """Counts how many actions with these words one message can meet: branches are alternatives, rules add up."""

    def __init__(self, words: tuple[str, ...], limit: int) -> None:
        self.words = words
        self.limit = limit
        self.found: Node | None = None

    def first(self, statements: tuple[Node, ...]) -> Node | None:
        """The first action that exceeds the limit."""
        self._most(statements, 0)
        return self.found

    def _most(self, nodes: tuple[Node, ...], met: int) -> int | None:
        """The most that a message has met behind these statements; None if none gets behind them."""
        for node in nodes:
            if node[0] == "if":
                blocks = [block for _, block in node[1]] + [node[2] or ()]
                passed = [most for block in blocks if (most := self._most(block, met)) is not None]
                if not passed:
                    return None
                met = max(passed)
                continue
            if any([word in self.words for word in node[2].split()]):
                met += sum([len(given) for kind, given in node[3] if kind in ("boxes", "addresses")]) or 1
                if met > self.limit and self.found is None:
                    self.found = node
            if vocabulary.family(node[1])[node[2]].final:  # type: ignore[union-attr]
                return None
        return met
