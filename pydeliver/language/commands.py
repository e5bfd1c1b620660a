"""The command of a program as the plan has it: its words, each as pieces of text and values.

A text is cut into words at blanks, and '…' and "…" keep together what stands in them; that is all. What only a shell
would act on is a mistake where it stands unquoted, so that nobody takes this for one. Behind `shell` stands a text for
/bin/sh, in which no value of the message may stand: those it gets behind `using`, as "$1", "$2" and so on.
"""

from __future__ import annotations

from pydeliver.language import tree
from pydeliver.language.operands import Values
from pydeliver.language.scope import Catalogue, Place, Report, is_allowed

Word = tuple[object, ...]

SHELL = (("/bin/sh",), ("-c",))
OF_A_SHELL = "|&;<>()$`\\*?"
WRITTEN = '"prog {subject}"`, `shell "prog | other"` or `shell "prog \\"$1\\"" using "{subject}"'


def command(values: tuple[tree.Value, ...], place: Place, catalogue: Catalogue, report: Report) -> object | None:
    """The words of a command, or None with the mistake told."""
    words = [value.dotted if isinstance(value, tree.Name) else "" for value in values]
    reader = _Reader(place, catalogue, report)
    if len(values) == 1:
        return reader.program(values[0])
    if words[0] == "shell" and (len(values) == 2 or (len(values) == 4 and words[2] == "using")):
        return reader.shell(values)
    report.error(place, tree.over(values), "wrong-form", f"a program is written `{WRITTEN}`")
    return None


class _Reader:
    """Reads the texts of one command."""

    def __init__(self, place: Place, catalogue: Catalogue, report: Report) -> None:
        self.place = place
        self.report = report
        self.values = Values(catalogue, report)

    def program(self, value: tree.Value) -> tuple[Word, ...] | None:
        words = self._words(value)
        if words is None:
            return None
        if not words or not words[0]:
            self._wrong(value, "empty-text", "this names no program")
            return None
        if not all([isinstance(part, str) for part in words[0]]):
            self._wrong(value, "bad-command", "the name of a program is written out, without values in it")
            return None
        return words

    def shell(self, values: tuple[tree.Value, ...]) -> tuple[Word, ...] | None:
        if not is_allowed("word", "shell", values[0].span, self.place, self.report):
            return None
        script, given = self._script(values[1]), self._words(values[3]) if len(values) == 4 else ()
        if script is None or given is None:
            return None
        return (*SHELL, (script,), ("sh",), *given)

    def _script(self, value: tree.Value) -> str | None:
        found = self._text(value)
        if found is None:
            return None
        text, place = found
        pieces: list[str] = []
        for part in text.parts:
            made = [part] if isinstance(part, str) else self._parts(part, place)
            if made is None:
                return None
            if not isinstance(part, str) and not all([isinstance(one, str) for one in made]):
                said = 'the text of a shell holds no values: write "$1" there, and behind it `using "{subject}"`'
                self.report.error(place, part.span, "value-in-shell", said)
                return None
            pieces += [str(one) for one in made]
        script = "".join(pieces)
        if not script.strip():
            self._wrong(value, "empty-text", "this text is empty")
            return None
        return script

    def _words(self, value: tree.Value) -> tuple[Word, ...] | None:
        """The words of a text; what stands in braces is cut nowhere."""
        found = self._text(value)
        if found is None:
            return None
        text, place = found
        words: list[list[object]] = []
        quote, inside = "", False  # the quote that is open; whether a word is
        for part in text.parts:
            if not isinstance(part, str):
                made = self._parts(part, place)
                if made is None:
                    return None
                words += [] if inside else [[]]
                words[-1] += made
                inside = True
                continue
            for character in part:
                if character == quote:
                    quote = ""
                elif not quote and character.isspace():
                    inside = False
                    continue
                elif not quote and character in OF_A_SHELL:
                    said = f"`{character}` means nothing here: put it in quotes, or write `shell` before the text"
                    self._wrong(value, "shell-syntax", said)
                    return None
                else:
                    words += [] if inside else [[]]
                    inside = True
                    if not quote and character in "'\"":
                        quote = character
                    else:
                        words[-1].append(character)
        if quote:
            self._wrong(value, "open-quote", f"in this command a {quote} is never closed")
            return None
        return tuple([_joined(word) for word in words])

    def _parts(self, value: tree.Value, place: Place) -> list[object] | None:
        """What a value in braces comes to: texts and values."""
        made = self.values.value_in_text(value, place)
        return made if made is None or isinstance(made, list) else [made]

    def _text(self, value: tree.Value) -> tuple[tree.Text, Place] | None:
        """The text that a value is, itself or by a `let`, and where that stands."""
        place = self.place
        if isinstance(value, tree.Name) and value.dotted in place.lets:
            binding = place.lets[value.dotted]
            binding.used = True
            if isinstance(binding.value, tree.Broken):
                return None
            if isinstance(binding.value, tree.Text):
                value, place = binding.value, binding.place
        if not isinstance(value, tree.Text):
            self._wrong(value, "wrong-form", f"a program is written `{WRITTEN}`")
            return None
        if not value.parts and value.raw.strip('"'):
            return None  # a value in it could not be read
        return value, place

    def _wrong(self, value: tree.Value, name: str, message: str) -> None:
        self.report.error(self.place, value.span, name, message)


def _joined(parts: list[object]) -> Word:
    """The pieces of a word with neighbouring texts as one, and without empty ones."""
    made: list[object] = []
    for part in parts:
        if isinstance(part, str) and made and isinstance(made[-1], str):
            made[-1] += part
        elif part != "":
            made.append(part)
    return tuple(made)
