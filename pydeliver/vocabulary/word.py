"""What a word is, and what words work with: the facts they look at and the draft they write.

A family module lists its words as `WORDS`, each one of
`Field`   something a condition asks about or a text shows: it reads values from `Facts`;
`Action`  something a rule does: it writes into the `Draft`;
`Option`  a setting of the rule file itself: `set mailboxes = …`.

Pure: no room of the world is imported here. What only the world knows is a question (a tuple whose first item
names it), answered from outside; an answer of None means that nobody knows, and makes a condition unknown.
"""

from __future__ import annotations

from pydeliver.mail.folding import fold
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydeliver.mail.edit import Edit
    from pydeliver.mail.envelope import Envelope
    from pydeliver.mail.message import Message
    from pydeliver.vocabulary.answering import Reply
    from pydeliver.vocabulary.notifying import Notice

    Question = tuple[Any, ...]

# Kinds of values. They decide which operators a field takes and how a literal beside it is read.
TEXT, ADDRESS, IDENTIFIER = "text", "address", "identifier"
NUMBER, SIZE, DURATION, MOMENT = "number", "size", "duration", "moment"
TEXTUAL = (TEXT, ADDRESS, IDENTIFIER)
# A fact is a condition by itself (`if bulk`) and reads (True,), () or None. A thing is only there or not.
FACT, THING = "fact", "thing"

# What stands behind a field's name: nothing, a text (`header "X"`), another field (`count to`),
# a free name (`env.HOME`) or a free number (`arg.1`); of a function, what stands between its parentheses.
NOTHING, OF_TEXT, OF_FIELD, OF_NAME, OF_NUMBER = "", "text", "field", "name", "number"
OF_MAILBOX = "mailbox"  # the name of a mailbox: `mailbox "Work"`
CALLED, CALLED_WITH_NUMBER = "called", "called with a number"  # `lower(subject)`, `first(subject, 20)`
# What one of the field's `forms` says behind its name: FIELD is a field, NUMBER a whole number, DURATION a time like
# `3 days`, PERIOD one like `hour`, the latter two in seconds. The argument is pairs of such a name and its value.
# COMMAND is a program with its arguments, as a function to their pieces, and brings FALLBACK, the word of `or else`.
FORMED = "formed"
COMMAND, FALLBACK = "COMMAND", "FALLBACK"
FALLBACKS = ("defer", "keep", "no")
UNKNOWN = "?"  # what an action gives for the trace where nobody knows what would come of it
HERE = "here"  # the argument of a part's field inside `any … where`: of the part at hand alone


# Flags by the letters that Maildir has for them (Maildir specification, "info").
FLAGS = {"S": "seen", "F": "flagged", "R": "answered", "D": "draft", "T": "trashed"}


class Unanswered(Exception):
    """Evaluation needs the answer to `question` before it can go on."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Decided(Exception):
    """A program failed, and its rule wants to end there: by "defer" or "keep", and why."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(outcome, why)
        self.outcome = outcome
        self.why = why


class Event(Value):
    """What is to be remembered of a message: that one with this key came, for so many seconds.

    `every` one counts; otherwise only the last is kept.
    """

    kind: str
    key: str
    seconds: int
    every: bool = False


class Delivery(Value):
    """An action bound to this message: put it, in this form, there.

    `mailbox` is a mailbox name ("INBOX", "lists/debian-user", an absolute path that ends in "/"); `flags` are Maildir
    flag letters, `labels` keywords, `edits` the header edits made so far; `final` tells `file` from `copy file`.
    With an `argv` it is a pipe, into a program of which at most so many run `at_once` (0: any number). A failure of one
    that `defers` makes the mail wait; else the rules say what holds. `message` is what a filter made of the message,
    None for the one received. With an `address` it is sent on there, by the envelope `sender` (None: whoever the mail
    server says), and says that it was `owner`'s.
    """

    mailbox: str
    flags: str = ""
    labels: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    line: int = 0
    file: int = 0
    rule: str = ""
    final: bool = True
    argv: tuple[str, ...] = ()
    at_once: int = 0
    defers: bool = True
    message: Message | None = None
    address: str = ""
    sender: str | None = None
    owner: str = ""

    @property
    def form(self) -> tuple[object, ...]:
        """What makes two deliveries the same: place and shape, whichever rule asked for them."""
        return (self.mailbox, self.flags, self.labels, self.edits, self.argv, self.message, self.address)

    @property
    def way_out(self) -> tuple[str, ...]:
        """What names the program or the address that it goes to; () where it goes into a mailbox."""
        return ("", self.address) if self.address else self.argv  # no program has an empty name

    def describe(self) -> str:
        """One line for the report, the trace and the log."""
        if self.address:
            shown = ["forward" if self.final else "copy forward", f'"{self.address}"']
        elif self.argv:
            shown = ["pipe" if self.final else "copy pipe", f'"{" ".join(self.argv)}"']
        else:
            shown = ["file" if self.final else "copy file", f'"{self.mailbox}"']
        shown += [f"marked {FLAGS[letter]}" for letter in self.flags]
        shown += [f'label "{label}"' for label in self.labels]
        shown += [edit.describe() for edit in self.edits]
        return " ".join(shown)


class Facts:
    """What conditions look at while one message is judged, with every value read at most once."""

    __slots__ = (
        "_strings",
        "_values",
        "answers",
        "captures",
        "envelope",
        "given",
        "message",
        "notes",
        "part",
        "received",
        "score",
        "settings",
        "unfiltered",
    )

    def __init__(
        self,
        envelope: Envelope,
        message: Message,
        answers: dict[Question, Any],
        settings: dict[str, Any],
        given: dict[tuple[str, Any], Any] | None = None,
    ) -> None:
        self.envelope = envelope
        self.received = message
        self.message = message  # the one received, or what the last filter made of it
        self.unfiltered = False  # whether the last filter failed
        self.answers = answers
        self.settings = settings
        self.given = given or {}  # values that a rule test supplies, by field and argument
        self.captures: dict[str, str] = {}
        self.notes: list[str] = []  # for the log and the trace
        self.score = 0.0
        self.part = -1  # the number of the part at hand, inside `any … where`
        self._values: dict[tuple[str, Any, int], Any] = {}
        self._strings: dict[tuple[str, Any, int, bool, bool], tuple[str, ...] | None] = {}

    def ask(self, question: Question) -> Any:
        """The answer to a question, None for "nobody knows"; raises `Unanswered` while it has not been asked."""
        try:
            return self.answers[question]
        except KeyError:
            raise Unanswered(question) from None

    def values(self, field: Field, argument: Any) -> Any:
        """The field's values in order, empty when it is absent, or None when unknown."""
        key = (field.name, argument, self.part)
        found = self._values.get(key, self)
        if found is self:
            supplied = self.given.get(key[:2], self) if self.given else self
            found = self._values[key] = field.read(self, argument) if supplied is self else supplied
        return found

    def add(self, amount: float) -> None:
        """Add to the score, which is read anew from here on."""
        self.score = round(self.score + amount, 6)  # 0.1 + 0.2 is 0.3
        self._values.pop(("score", "", self.part), None)

    def set_unfiltered(self, failed: bool) -> None:
        """Whether the filter at hand failed, which is read anew from here on."""
        self.unfiltered = failed
        self._values.pop(("unfiltered", "", self.part), None)

    def become(self, message: Message) -> None:
        """Look at another message from here on."""
        self.message = message
        self._values.clear()
        self._strings.clear()

    def strings(self, field: Field, argument: Any, whole: bool, folded: bool) -> tuple[str, ...] | None:
        """The values as text: `whole` as a person sees them, else the part that identifies.

        `folded` ignores case and where lines end.
        """
        key = (field.name, argument, self.part, whole, folded)
        try:
            return self._strings[key]
        except KeyError:
            pass
        values = self.values(field, argument)
        if values is None:
            return None
        shown = tuple([shown_as(field.kind, value, whole) for value in values])
        found = self._strings[key] = tuple([fold(text).replace("\n", " ") for text in shown]) if folded else shown
        return found


class Draft:
    """What has been decided so far for one message; becomes the verdict."""

    __slots__ = (
        "cancelled",
        "deliveries",
        "edits",
        "facts",
        "file",
        "flags",
        "for_good",
        "labels",
        "line",
        "log",
        "notes",
        "notices",
        "outcome",
        "replies",
        "reserved",
        "rule",
        "text",
    )

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.deliveries: list[Delivery] = []
        self.edits: tuple[Edit, ...] = ()
        self.flags = ""
        self.labels: tuple[str, ...] = ()
        self.log: list[str] = []
        self.notes = facts.notes
        self.outcome = ""  # "" while undecided, then: deliver, discard, reject or defer
        self.text = ""  # why, for reject and defer
        self.for_good = False  # discarded without a copy for the quarantine
        self.rule, self.line, self.file = "", 0, 0  # the statement at hand
        self.cancelled: tuple[Delivery, ...] = ()
        self.replies: list[Reply] = []
        self.reserved: list[Event] = []  # by which it is known who was answered
        self.notices: list[Notice] = []

    def answer(self, reply: Reply, event: Event) -> None:
        """Answer the sender, once however often the rules say so."""
        if not any([one.key == event.key for one in self.reserved]):
            self.replies.append(reply)
            self.reserved.append(event)

    def deliver(self, mailbox: str, final: bool) -> None:
        """Add a delivery in the form the message has by now; an identical one is made once."""
        where = (self.line, self.file, self.rule, final)
        self._add(Delivery(mailbox, self.flags, self.labels, self.edits, *where, message=self._made))

    def pipe(self, argv: tuple[str, ...], at_once: int, defers: bool, final: bool) -> None:
        """The same into a program. What a mailbox only notes beside a message is nothing to it."""
        where = (self.line, self.file, self.rule, final)
        self._add(Delivery("", "", (), self.edits, *where, argv, at_once, defers, self._made))

    def forward(self, address: str, sender: str | None, owner: str, final: bool) -> None:
        """The same to an address."""
        where = (self.line, self.file, self.rule, final)
        made = self._made
        self._add(Delivery("", "", (), self.edits, *where, message=made, address=address, sender=sender, owner=owner))

    @property
    def _made(self) -> Message | None:
        facts = self.facts
        return None if facts.message is facts.received else facts.message

    def become(self, message: Message) -> None:
        """Go on with what a filter made of the message, in which the edits so far have been made."""
        self.facts.become(message)
        self.edits = ()

    def _add(self, made: Delivery) -> None:
        for number, earlier in enumerate(self.deliveries):
            if earlier.form == made.form:
                if made.final:
                    self.deliveries[number] = made
                break
        else:
            self.deliveries.append(made)
        if made.final:
            self.outcome = "deliver"

    def end(self, outcome: str, text: str = "") -> None:
        """Decide for discard, reject or defer. The latter two cancel every earlier delivery, copies included."""
        if outcome != "discard":
            self.cancelled = tuple(self.deliveries)
            self.deliveries.clear()
        self.outcome = outcome
        self.text = text


class Field(Value):
    """Something conditions ask about. `read(facts, argument)` gives its values, () when absent, None when unknown."""

    name: str
    kind: str
    read: Callable[[Facts, Any], Any]
    about: str
    example: str
    many: bool = False
    argument: str = NOTHING
    choices: tuple[str, ...] = ()
    digits: int = 0  # as a text a number has at least so many digits: `{now.month}` is 03
    apply: Callable[[str, int], str] | None = None  # what a function makes of one text and its number
    # On the right of an operator: what else counts as the texts on the left.
    reaches: Callable[[Facts, tuple[str, ...]], tuple[str, ...]] | None = None
    forms: tuple[str, ...] = ()  # what may stand behind the name, the longest first
    remembers: Callable[[Facts, Any, str], Event | None] | None = None  # of the message, by its outcome
    parts: Callable[[Facts], int] | None = None  # how many there are for `any … where` to go through


class Action(Value):
    """Something a rule does. `forms` are the ways to write it: lower-case words stand for themselves, and

    TEXT is a text with values in it, NAME a header field's name, MAILBOXES one or more mailbox names,
    FLAGS one or more of `choices`, LABELS one or more keywords. `decide(draft, operands)` gets them in order, and
    may give a word for the trace on what came of it.
    `final`: the evaluation ends here. `least`: the shortest DURATION in seconds, and what is said of a shorter one.
    """

    name: str
    forms: tuple[str, ...]
    decide: Callable[[Draft, tuple[Any, ...]], str | None]
    about: str
    example: str
    final: bool = False
    choices: tuple[str, ...] = ()
    least: tuple[int, str] = (0, "")


class Option(Value):
    """A setting of the rule file, `set NAME = VALUE`: `problem(values)` says in a sentence what is wrong, or "".

    Values are texts, or of the kind DURATION: then they are written like `3 days`, and are texts of whole seconds.
    """

    name: str
    about: str
    example: str
    problem: Callable[[tuple[str, ...]], str]
    many: bool = False
    kinds: tuple[str, ...] = ()  # words that may follow `as`
    kind: str = TEXT


Word = Field | Action | Option


def shown_as(kind: str, value: Any, whole: bool = False) -> str:
    """One value as text: an address whole or as addr-spec, an identifier with or without what stands around <…>."""
    if kind == ADDRESS:
        if not value.local and not value.domain:
            return ""  # the null sender
        return value.text if whole else value.address  # type: ignore[no-any-return]
    if kind == IDENTIFIER and not whole:
        return within_brackets(value)
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def within_brackets(text: str) -> str:
    """`Debian users <debian-user.lists.debian.org>` to its identifier (RFC 2919 3); text without <…> is its own."""
    start = text.rfind("<")
    end = text.find(">", start)
    return text[start + 1 : end].strip() if 0 <= start < end else text.strip()
