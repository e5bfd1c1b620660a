"""Rule tests as plain data: `test "name" { message …; given …; expect … }`.

Owns what may stand in a test, and every mistake in one. A test makes no node of the plan: no delivery knows of it.
What a message looks like on the wire, and whether a test passes, is the workbench's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydeliver.language import tree
from pydeliver.language.commands import command as command_of
from pydeliver.language.forms import fixed, flat, operands_of, slots
from pydeliver.language.letters import CONTENTS, HEADERS, Letters, Message, Moment, Texts
from pydeliver.language.operands import Side, Values, beside, plain_number
from pydeliver.language.reference import Reference, reference
from pydeliver.language.scope import Catalogue, Place, Report, literal
from pydeliver.vocabulary import operator as op
from pydeliver.vocabulary.word import COMMAND, FACT, FLAGS, FORMED, MOMENT, TEXT, TEXTUAL, THING

# Fields that are read from the message, and from which others are: given apart, they would contradict it.
IN_THE_MESSAGE = (*HEADERS, *CONTENTS, "recipient", "headers", "charset")
ENVELOPE = ("envelope.from", "envelope.to", "envelope.original-to", "envelope.to.detail")

# What can be expected, and what can be expected not to be; `expect no mark` says that there is none at all.
EXPECTATIONS = (
    *("file MAILBOXES", "copy file MAILBOXES", "keep", "discard"),
    *("pipe COMMAND", "copy pipe COMMAND", "forward ADDRESSES", "copy forward ADDRESSES"),
    *("reject TEXT", "reject", "defer TEXT", "defer", "reply", "vacation", "notify TEXT", "notify"),
    *("mark FLAGS", "label LABELS", "header NAME = TEXT", "header NAME", "subject TEXT", "log TEXT", "by TEXT"),
)
WRITTEN = {FACT: 'run "prog" succeeds', TEXT: 'given output of "prog" = "what it writes"'}
NONE_AT_ALL = ("file", "copy file", "pipe", "copy pipe", "forward", "copy forward", "mark", "label", "log", "by")


@dataclass(frozen=True, slots=True)
class Given:
    """The values of a field, or of a list file (its `name` is then `file`); none for what is absent.

    Of a program the `argument` is the words that its command begins with; its `name` is `program` where it fails.
    """

    name: str
    argument: str | tuple[str, ...]
    values: tuple[str | float | Moment, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """`kind` is the words of the form; `names` are mailboxes, addresses, letters of marks, labels, or a field's name.

    Of a pipe they are the words that its command begins with.
    """

    kind: str
    no: bool
    names: tuple[str, ...]
    text: str | None
    shown: str
    line: int


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    name: str
    file: str
    line: int
    message: Message
    given: tuple[Given, ...]
    expectations: tuple[Expectation, ...]


class Cases:
    """Compiles `test` statements; `found` are those without a mistake, in order."""

    def __init__(self, catalogue: Catalogue, report: Report, values: Values) -> None:
        self.catalogue = catalogue
        self.report = report
        self.values = values
        self.found: list[Case] = []
        self._known: dict[tuple[str, str], int] = {}  # the lines of names, by file

    def add(self, command: tree.Command, place: Place) -> None:
        words = flat(command.words)
        if place.depth != place.source.level:
            return self._wrong(place, words[0].span, "bad-test", "a test stands at the top level of a file")
        name = words[1] if len(words) == 2 else None
        if not isinstance(name, tree.Text) or command.block is None or command.value is not None:
            return self._wrong(place, command.span, "bad-test", 'write `test "name" { message …; expect … }`')
        if any([not isinstance(part, str) for part in name.parts]) or not literal(name).strip():
            return self._wrong(place, name.span, "bad-test", "a test's name is written out, without values in it")
        called = " ".join(literal(name).split())
        earlier = self._known.setdefault((place.source.path, called), command.span.line)
        if earlier != command.span.line:
            said = f"a test in line {earlier} has this name too"
            self.report.warning(place, name.span, "same-name", said)
        before = self.report.errors
        made = _Body(self, place)
        for statement in command.block.statements:
            made.read(statement)
        if self.report.errors > before or self.report.told(place, command.span):
            return None
        if made.message is None:
            return self._wrong(place, words[0].span, "bad-test", 'a test needs a message: `message { subject "…" }`')
        if not made.expectations:
            return self._wrong(place, words[0].span, "bad-test", 'a test expects something: `expect file "Work"`')
        line = command.span.line
        given, expectations = tuple(made.given), tuple(made.expectations)
        self.found.append(Case(called, place.source.path, line, made.message, given, expectations))
        return None

    def _wrong(self, place: Place, span: tree.Span, name: str, message: str) -> None:
        self.report.error(place, span, name, message)


class _Body(Texts):
    """What stands in one test."""

    def __init__(self, cases: Cases, place: Place) -> None:
        super().__init__(cases.catalogue, cases.report, cases.values, place)
        self.message: Message | None = None
        self.given: list[Given] = []
        self.expectations: list[Expectation] = []

    def read(self, statement: tree.Statement) -> None:
        words = flat(statement.words) if isinstance(statement, tree.Command) else ()
        head = words[0].dotted if words and isinstance(words[0], tree.Name) else ""
        if isinstance(statement, tree.Command) and statement.otherwise is not None:
            said = "no `or else` stands in a test: write `given program … fails`"
            return self._wrong(statement.otherwise, "bad-test", said)
        if isinstance(statement, tree.Command) and head == "message":
            if self.message is not None:
                self._wrong(statement, "bad-message", "a test has one message")
            self.message = Letters(self.catalogue, self.report, self.values, self.place).message(statement, words)
        elif isinstance(statement, tree.Command) and head in ("given", "expect") and statement.block is None:
            (self._given if head == "given" else self._expect)(statement, words[1:])
        else:
            words_here = ["message", "given", "expect"]
            near = "" if head in words_here else self.catalogue.near(head, words_here)
            self._wrong(statement, "bad-test", f"a test holds `message`, `given` and `expect`{near}")

    # -- what is given --

    def _given(self, command: tree.Command, words: tuple[tree.Value, ...]) -> None:
        no = _is_no(words)
        words = words[no:]
        if not words or command.rest or (no and command.value is not None):
            said = "write `given spam.score = 20`, `given bulk` or `given no bulk`"
            return self._wrong(command, "bad-given", said)
        if isinstance(words[0], tree.Name) and words[0].dotted == "file":
            made = self._list_file(command, words, no)
        elif isinstance(words[0], tree.Name) and words[0].dotted == "program":
            made = self._failing(command, words, no)
        else:
            phrase = words[0] if len(words) == 1 else tree.Phrase(tree.over(words), words)
            on = reference(phrase, self.place, self.catalogue, self.report)
            made = None if on is None else self._supplied(command, phrase, on, no)
        if made is not None and any([(one.name, one.argument) == (made.name, made.argument) for one in self.given]):
            return self._wrong(command, "bad-given", "this is given a second time")
        if made is not None:
            self.given.append(made)
        return None

    def _list_file(self, command: tree.Command, words: tuple[tree.Value, ...], no: bool) -> Given | None:
        """`given file "~/customers" = "a@x", "b@x"`, or `given no file "~/customers"`: nothing is in it."""
        operands = operands_of("file PATH" if no else "file PATH = TEXTS", words, command)
        if operands is None:
            self._wrong(command, "bad-given", 'write `given file "~/customers" = "a@example.org"`')
            return None
        path, texts = self._text(operands[0]), () if no else self._texts(operands[1])
        if path is None or texts is None:
            return None
        return Given("file", beside(path, self.place.source.path), texts)

    def _supplied(self, command: tree.Command, phrase: tree.Value, on: Reference, no: bool) -> Given | None:
        name, kind, argument = on.field.name, on.field.kind, on.argument
        shown = self.place.source.written(phrase.span)
        if on.field.argument == FORMED and COMMAND in dict(on.argument):  # type: ignore[call-overload]
            return self._program(command, phrase, on, no)
        if on.field.argument == FORMED:
            argument = ""  # it answers this question for every message and time
        if not isinstance(argument, str) or (problem := _not_to_give(name)):
            said = problem if isinstance(argument, str) else f"`{shown}` follows from other fields: give those"
            self._wrong(phrase, "bad-given", said)
            return None
        if no:
            return Given(name, argument, ())
        if kind in (FACT, THING):
            if command.value is not None:
                said = f"`{shown}` is or is not: write `given {shown}` or `given no {shown}`"
                self._wrong(command.value, "bad-given", said)
                return None
            return Given(name, argument, (True,))
        if command.value is None:
            said = f"`{shown}` has a value: write `given {shown} = …` or `given no {shown}`"
            self._wrong(command, "bad-given", said)
            return None
        values = self._values(command.value, on)
        return None if values is None else Given(name, argument, values)

    def _program(self, command: tree.Command, phrase: tree.Value, on: Reference, no: bool) -> Given | None:
        """`given run "prog" succeeds`, `given output of "prog" = "…"`: of all commands that begin with these words."""
        argv = self._argv(phrase, dict(on.argument)[COMMAND])  # type: ignore[call-overload]
        if argv is None:
            return None
        if on.field.kind == FACT and command.value is None:
            return Given(on.field.name, argv, () if no else (True,))
        text = None if command.value is None or no or on.field.kind == FACT else self._text(command.value)
        if text is not None:
            return Given(on.field.name, argv, (text,))
        if not self.report.told(self.place, command.span):
            wanted = {FACT: f"given {WRITTEN[FACT]}` or `given no {WRITTEN[FACT]}"}.get(on.field.kind, WRITTEN[TEXT])
            self._wrong(command, "bad-given", f"write `{wanted}`")
        return None

    def _failing(self, command: tree.Command, words: tuple[tree.Value, ...], no: bool) -> Given | None:
        """`given program "prog" fails`."""
        found = command_of(words[1:-1], self.place, self.catalogue, self.report) if _ends(words, "fails") else None
        if found is not None and command.value is None and not no:
            argv = self._argv(tree.Phrase(tree.over(words), words), found)
            return None if argv is None else Given("program", argv, ())
        if not self.report.told(self.place, command.span):
            self._wrong(command, "bad-given", 'write `given program "prog" fails`')
        return None

    def _argv(self, written: tree.Value, words: object) -> tuple[str, ...] | None:
        """The words of a command that is written out."""
        assert isinstance(words, tuple)
        if all([isinstance(part, str) for word in words for part in word]):
            return tuple(["".join(word) for word in words])
        self._wrong(written, "bad-given", "a command in a test is written out, without values in it")
        return None

    def _values(self, value: tree.Value, on: Reference) -> tuple[str | float | Moment, ...] | None:
        """What stands behind the `=`, as the field has its values."""
        made: list[str | float | Moment] = []
        before = self.report.errors
        for operand in self.values.operands(value, Side(on, op.IS), self.place):
            if operand[0] == "text":
                made.append(str(operand[2]))
            elif operand[0] == "number":
                number = float(operand[1])  # type: ignore[arg-type]
                made.append(plain_number(number) if on.field.kind in TEXTUAL else number)
            elif operand[0] == "date" and on.field.kind == MOMENT:
                made.append(Moment(*[int(part) for part in (*operand[1:], 0)[:4]]))  # type: ignore[call-overload]
        if self.report.errors > before:
            return None
        if not made or (len(made) > 1 and not on.field.many):
            many = "values" if on.field.many else "one value"
            self._wrong(value, "bad-given", f"write {many} of `{on.field.name}` here, without values of the message")
            return None
        return tuple(made)

    # -- what is expected --

    def _expect(self, command: tree.Command, words: tuple[tree.Value, ...]) -> None:
        no = _is_no(words)
        for form in (*EXPECTATIONS, *(NONE_AT_ALL if no else ())):
            operands = operands_of(form, words[no:], command)
            if operands is not None:
                return self._expected(form, operands, no, command)
        first = words[no] if len(words) > no else None
        head = first.dotted if isinstance(first, tree.Name) else "this"
        forms = [f"`expect {_sample(form)}`" for form in EXPECTATIONS if form.split()[0] == head]
        kinds = list(dict.fromkeys([form.split()[0] for form in EXPECTATIONS]))
        near = self.catalogue.near(head, kinds) or f"; `expect` is followed by {', '.join(kinds)}"
        said = f"write {' or '.join(forms)}" if forms else f"`{head}` can't be expected{near}"
        return self._wrong(first or command, "bad-expect", said)

    def _expected(self, form: str, operands: list[tree.Value], no: bool, command: tree.Command) -> None:
        names: tuple[str, ...] | None = ()
        text = None
        for slot, value in zip(slots(form), operands, strict=True):
            if slot == "TEXT":
                text = self._text(value)
            elif slot == COMMAND:
                words = value.parts if isinstance(value, tree.Phrase) else (value,)
                found = command_of(words, self.place, self.catalogue, self.report)
                names = None if found is None else self._argv(value, found)
            elif slot == "NAME":
                name = self._field_name(value)
                names = None if name is None else (name,)
            else:
                names = self._flags(value) if slot == "FLAGS" else self._texts(value)
            if slot == "LABELS" and names is not None:
                names = tuple(["-".join(name.split()) for name in names])  # as the action writes them
        if names is None or (text is None and "TEXT" in slots(form)):
            return
        shown = self.place.source.written(command.span)
        self.expectations.append(Expectation(fixed(form), no, names, text, shown, command.span.line))

    def _flags(self, value: tree.Value) -> tuple[str, ...] | None:
        """The letters of the marks."""
        letters = {name: letter for letter, name in FLAGS.items()}
        made = []
        for item in value.items if isinstance(value, tree.List) else (value,):
            name = item.dotted if isinstance(item, tree.Name) else literal(item) if isinstance(item, tree.Text) else ""
            if name not in letters:
                near = self.catalogue.near(name, list(letters)) or f"; it is one of {', '.join(letters)}"
                self._wrong(item, "unknown-choice", f"`{name}` is no mark{near}")
                return None
            made.append(letters[name])
        return tuple(made)


def marks(letters: str) -> str:
    """Letters of marks as a test writes them."""
    return ", ".join([FLAGS[letter] for letter in letters])


def _ends(words: tuple[tree.Value, ...], word: str) -> bool:
    return len(words) > 2 and isinstance(words[-1], tree.Name) and words[-1].dotted == word


def _is_no(words: tuple[tree.Value, ...]) -> bool:
    return bool(words) and isinstance(words[0], tree.Name) and words[0].dotted == "no"


def _not_to_give(name: str) -> str:
    """Why a field is not given by itself, or ""."""
    stem, _, part = name.partition(".")
    if stem in IN_THE_MESSAGE:
        return f"`{name}` is read from the message: write it there"
    if stem == "now" and part:
        return f"`{name}` follows from `now`: write `given now = 2026-12-24 18:00`"
    if stem == "envelope" and name not in ENVELOPE:
        return f"`{name}` follows from `{name.rpartition('.')[0]}`: give that"
    return "`score` is what the rules make of it" if name == "score" else ""


def _sample(form: str) -> str:
    """A form with examples in place of its capitals."""
    samples = {
        "MAILBOXES": '"Work"',
        "ADDRESSES": '"bob@example.org"',
        "FLAGS": "flagged",
        "LABELS": '"todo"',
        "NAME": '"X-Large"',
        "TEXT": '"…"',
    }
    samples[COMMAND] = '"prog"'
    return " ".join([samples.get(word, word) for word in form.split()])
