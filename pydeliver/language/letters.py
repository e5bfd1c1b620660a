"""The message of a rule test: in its parts, written out, or in a file.

Owns the shapes (`Letter`, `Raw`, `Stored`) and reading them from what stands behind `message`, with every mistake told.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydeliver.language import tree
from pydeliver.language.forms import flat, operands_of
from pydeliver.language.operands import Values, beside
from pydeliver.language.scope import Catalogue, Place, Report, is_field_name
from pydeliver.language.units import SIZES

# What a message block names by a word of its own; every other header field is `header "X-Name" = "value"`.
ADDRESSES = ("from", "to", "cc", "bcc", "sender", "reply-to")
HEADERS = (*ADDRESSES, "subject", "date", "message-id", "list-id", "in-reply-to", "references", "return-path")
CONTENTS = ("header", "body", "attachment")
MOST_ATTACHED = 100 << 20  # bytes of an attachment


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, and a minute of it, in the user's zone."""

    year: int
    month: int
    day: int
    minute: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file: its name, and its size in bytes or the names of the files that it, a zip archive, holds."""

    name: str
    size: int = 0
    holding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in its parts: header fields in order, the text, attachments."""

    fields: tuple[tuple[str, str | Moment], ...] = ()
    body: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A message written out."""

    text: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a file."""

    path: str


Message = Letter | Raw | Stored


class Texts:
    """Reads what a test writes out at a place; every mistake goes to the report and gives None."""

    def __init__(self, catalogue: Catalogue, report: Report, values: Values, place: Place) -> None:
        self.catalogue = catalogue
        self.report = report
        self.values = values
        self.place = place

    def _wrong(self, node: tree.Node, name: str, message: str) -> None:
        self.report.error(self.place, node.span, name, message)

    def _text(self, value: tree.Value) -> str | None:
        """A text that is written out, or a `let` that is one; None with the mistake told."""
        place = self.place
        if isinstance(value, tree.Name) and value.dotted in place.lets:
            binding = place.lets[value.dotted]
            binding.used = True
            value, place = (binding.value, binding.place) if isinstance(binding.value, tree.Text) else (value, place)
        if not isinstance(value, tree.Text):
            self._wrong(value, "bad-text", 'one text stands here, like "Work"')
            return None
        made = self.values.template(value, place)
        if made is not None and not isinstance(made, str):
            self._wrong(value, "bad-text", "in a test a text is written out, without values of the message in it")
            return None
        return made

    def _texts(self, value: tree.Value) -> tuple[str, ...] | None:
        texts = [self._text(item) for item in (value.items if isinstance(value, tree.List) else (value,))]
        return tuple([text for text in texts if text is not None]) if None not in texts else None

    def _field_name(self, value: tree.Value) -> str | None:
        name = self._text(value)
        if name is not None and not is_field_name(name):
            self._wrong(value, "bad-header-name", "this can't be the name of a header field")
            return None
        return name


class Letters(Texts):
    """Reads messages."""

    def message(self, command: tree.Command, words: tuple[tree.Value, ...]) -> Message:
        """What stands behind `message`; an empty one with every mistake told."""
        if command.block is not None and len(words) == 1 and command.value is None:
            return self._letter(command.block)
        if command.block is None and (stored := operands_of("message file PATH", words, command)):
            path = self._text(stored[0])
            return Letter() if path is None else Stored(beside(path, self.place.source.path))
        if command.block is None and (raw := operands_of("message TEXT", words, command)):
            text = self._text(raw[0])
            return Letter() if text is None else Raw(text)
        said = 'write `message { from "…"; subject "…" }`, `message file "x.eml"` or `message """…"""`'
        self._wrong(command, "bad-message", said)
        return Letter()

    def _letter(self, block: tree.Block) -> Letter:
        fields: list[tuple[str, str | Moment]] = []
        bodies: list[str] = []
        attachments: list[Attachment] = []
        for entry in block.statements:
            words = flat(entry.words) if isinstance(entry, tree.Command) and entry.block is None else ()
            head = words[0].dotted if words and isinstance(words[0], tree.Name) else ""
            if not isinstance(entry, tree.Command) or head not in (*HEADERS, *CONTENTS):
                self._wrong(entry, "bad-message", self._no_content(head))
            elif head == "header":
                fields += self._header(entry, words)
            elif head == "attachment":
                attachments += self._attachment(entry, words)
            elif head == "body":
                bodies += self._alone(entry, words)
            else:
                fields += self._named(head, entry, words)
            if len(bodies) > 1:
                self._wrong(entry, "bad-message", "a message has one `body`")
        return Letter(tuple(fields), "".join(bodies), tuple(attachments))

    def _no_content(self, head: str) -> str:
        if not head or head in (*HEADERS, *CONTENTS):
            return 'a message is made of header fields, like `subject "…"`, of `body` and `attachment`'
        near = self.catalogue.near(head, [*HEADERS, *CONTENTS])
        other = '; other fields of the header are written `header "X-Name" = "value"`'
        return f"a message has no `{head}`{near or other}"

    def _alone(self, entry: tree.Command, words: tuple[tree.Value, ...]) -> list[str]:
        """The text of `subject "x"`."""
        operands = operands_of("WORD TEXT", words, entry)
        if operands is None:
            assert isinstance(words[0], tree.Name)
            self._wrong(entry, "bad-message", f'write `{words[0].dotted} "…"`')
            return []
        text = self._text(operands[1])
        return [] if text is None else [text]

    def _named(self, name: str, entry: tree.Command, words: tuple[tree.Value, ...]) -> list[tuple[str, str | Moment]]:
        operands = operands_of("WORD TEXT", words, entry)
        value = operands[1] if operands else None
        if name == "date" and isinstance(value, tree.Date):
            return [(name, Moment(value.year, value.month, value.day, value.minute or 0))]
        if name in ADDRESSES and isinstance(value, tree.List):
            texts = self._texts(value)
            return [] if texts is None else [(name, ", ".join(texts))]
        return [(name, text) for text in self._alone(entry, words)]

    def _header(self, entry: tree.Command, words: tuple[tree.Value, ...]) -> list[tuple[str, str | Moment]]:
        operands = operands_of("header NAME = TEXT", words, entry)
        if operands is None:
            self._wrong(entry, "bad-message", 'write `header "X-Name" = "value"`')
            return []
        name, text = self._field_name(operands[0]), self._text(operands[1])
        return [] if name is None or text is None else [(name, text)]

    def _attachment(self, entry: tree.Command, words: tuple[tree.Value, ...]) -> list[Attachment]:
        if packed := operands_of("attachment NAME holding NAMES", words, entry):
            name, holding = self._text(packed[0]), self._texts(packed[1])
            return [] if name is None or holding is None else [Attachment(name, holding=holding)]
        sized = operands_of("attachment NAME SIZE", words, entry)
        operands = sized or operands_of("attachment NAME", words, entry)
        size = sized[1] if sized else tree.Number(entry.span, 0)
        factor = SIZES.get(size.unit.lower()) if isinstance(size, tree.Quantity) else 0
        if operands is None or factor is None or not isinstance(size, tree.Quantity | tree.Number):
            said = 'write `attachment "a.pdf"`, `attachment "a.pdf" 3 MB` or `attachment "a.zip" holding "b", "c"`'
            self._wrong(entry, "bad-message", said)
            return []
        number = int(size.value * factor)
        if not 0 <= number <= MOST_ATTACHED:
            self._wrong(size, "bad-message", f"an attachment has at most {MOST_ATTACHED >> 20} MB here")
        name = self._text(operands[0])
        return [] if name is None else [Attachment(name, number)]
