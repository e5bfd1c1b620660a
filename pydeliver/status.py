"""The values every room hands around: how a delivery went, and what is wrong with a rule file.

Owns `Value` (the frozen record used on the delivery path), `Status` and its one table to exit codes,
and `Diagnostic`. Imports nothing of the project and nothing that costs start-up time.
Enhanced status codes: RFC 3463. Exit codes: sysexits(3), narrowed to the three that every MTA reads alike.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_options):
        """Stand in for `typing.dataclass_transform`, whose module costs as much as the interpreter."""
        return lambda decorated: decorated


@dataclass_transform(frozen_default=True)
class _Record(type):
    """Make `__slots__`, `__init__` and equality from a class body's annotations, without `dataclasses`."""

    _fields: tuple[str, ...]
    _defaults: dict[str, Any]

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Record:
        own = tuple(body.get("__annotations__", ()))
        defaults = {field: body.pop(field) for field in own if field in body}
        body["__slots__"] = own
        made = super().__new__(mcs, name, bases, body)
        inherited = bases[0] if bases else None
        made._fields = (inherited._fields if isinstance(inherited, _Record) else ()) + own
        made._defaults = (inherited._defaults if isinstance(inherited, _Record) else {}) | defaults
        return made


class Value(metaclass=_Record):
    """A frozen record with slots: annotate the fields, give defaults, and type checkers see a frozen dataclass."""

    def __init__(self, *values: Any, **named: Any) -> None:
        cls = type(self)
        fields = cls._fields
        put = object.__setattr__
        if len(values) > len(fields):
            raise TypeError(f"{cls.__name__} takes {len(fields)} values, not {len(values)}")
        for field, value in zip(fields, values, strict=False):
            put(self, field, value)
        for field in fields[len(values) :]:
            if field in named:
                put(self, field, named.pop(field))
            elif field in cls._defaults:
                put(self, field, cls._defaults[field])
            else:
                raise TypeError(f"{cls.__name__} needs {field}")
        if named:
            raise TypeError(f"{cls.__name__} has no {', '.join(named)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def _astuple(self) -> tuple[object, ...]:
        return tuple([getattr(self, field) for field in type(self)._fields])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._astuple() == other._astuple()

    def __hash__(self) -> int:
        return hash((type(self), self._astuple()))

    def __repr__(self) -> str:
        shown = ", ".join([f"{field}={getattr(self, field)!r}" for field in type(self)._fields])
        return f"{type(self).__name__}({shown})"


# The three codes that mean the same to every MTA: stored, try again, refused for good.
DELIVERED, TRY_AGAIN, REFUSED = 0, 75, 77
_EXIT = {"2": DELIVERED, "4": TRY_AGAIN, "5": REFUSED}
# The same to SMTP and LMTP: by the whole code where one fits better than its class (RFC 5321 4.2.2, RFC 5248).
_REPLY = {"2": "250", "4": "451", "5": "550"}
_BETTER_REPLY = {"4.2.2": "452", "4.3.1": "452", "4.5.3": "452", "5.2.2": "552", "5.3.4": "552"}


class Status(Value):
    """How something went: an enhanced status code (RFC 3463, "2.0.0", "4.2.2", "5.7.1") and one line of text."""

    code: str
    text: str

    @property
    def ok(self) -> bool:
        return self.code[0] == "2"

    @property
    def exit_code(self) -> int:
        """0, 75 or 77; a code of no known class is 75, because "try again" is the answer that loses nothing."""
        return _EXIT.get(self.code[:1], TRY_AGAIN)

    @property
    def reply(self) -> str:
        """A line of SMTP or LMTP, `452 4.2.2 mailbox full`; what is of no known class is to be tried again."""
        code = _BETTER_REPLY.get(self.code) or _REPLY.get(self.code[:1], "451")
        return f"{code} {self.line}"

    @property
    def line(self) -> str:
        """One printable ASCII line, `4.2.2 mailbox full`: the form Postfix reads from a command's output."""
        shown = self.text if self.text.isascii() else _in_ascii(self.text)
        return f"{self.code} " + "".join([c if " " <= c <= "~" else " " for c in shown])[:500]


def _in_ascii(text: str) -> str:
    """Letters without their marks, `?` for what has no such form: other programs read this line."""
    from unicodedata import combining, normalize

    plain = normalize("NFKD", text.replace("ß", "ss"))
    return "".join([c for c in plain if not combining(c)]).encode("ascii", "replace").decode("ascii")


def stored(text: str = "delivered") -> Status:
    return Status("2.0.0", text)


def deferred(text: str, code: str = "4.3.0") -> Status:
    return Status(code, text)


def refused(text: str, code: str = "5.7.1") -> Status:
    return Status(code, text)


class Diagnostic(Value):
    """A mistake (severity "error") or a doubt ("warning") about one place in a rule file.

    `line` and `column` count from 1, in characters; `width` is how many characters the carets mark.
    `name` is the check's name, for example "unknown-word". `source` is the text of the line.
    """

    file: str
    line: int
    column: int
    message: str
    name: str
    severity: str = "error"
    source: str = ""
    width: int = 1
    hint: str = ""
