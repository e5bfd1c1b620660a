"""A rule file compiled to plain data, and its cache on disk.

A plan holds tuples, strings and numbers only, so that a delivery loads it without the language. Its nodes:

statement  ("if", branches, otherwise, rule, line, file): branches are (condition, block) pairs, a block is a tuple
           ("do", family, word, operands, rule, line, file, shown)
condition  ("and", conditions) · ("or", conditions) · ("not", condition) · ("any", (family, word), condition)
           ("test", field, operator, exactly, operands, line, file, shown, negated): `negated` says that `shown`, the
           text for the trace, says `not`; then the test stands in a "not"
field      (family, word, argument); the argument of `count` is again a field, that of a function (field, number)
operand    of a test: see `vocabulary.operator`
           of an action ("text", template) · ("boxes", templates) · ("names", names)
template   a text, or a tuple of texts, ("capture", name), ("field", family, word, argument) and
           ("call", family, function, template, number)

A cached plan is believed only if its digest holds (`marshal` crashes on damaged bytes), if this engine made it,
and if every source still has the content it was made from. It is never the only copy of anything.
"""

from __future__ import annotations

import marshal
import sys
from _blake2 import blake2b

from pydeliver import __version__
from pydeliver.status import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Node = tuple[Any, ...]

FORMAT = 4
DIGEST_BYTES = 32


class Plan(Value):
    """`files` are the rule files by the number that nodes give; `sources` are (path, digest) of all that was read,

    with an empty digest for a file that was absent; `globs` are (pattern, paths) of includes. `settings` hold the
    site's settings and the file's own options as plain values. A plan that is `broken` stands in for sources with a
    mistake, which it tells, first in one line, then all there is to say: it was made from those `kept` when all was
    well. `site` are the sources that are the site's and not the user's.
    """

    statements: tuple[Node, ...]
    settings: Mapping[str, Any]
    files: tuple[str, ...] = ()
    sources: tuple[tuple[str, bytes], ...] = ()
    globs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    broken: str = ""
    kept: tuple[tuple[str, bytes], ...] = ()
    site: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names the rules by which mail is judged, for the log: one digest over every source."""
        seal = blake2b(digest_size=16)
        for path, content in self.kept if self.broken else self.sources:
            seal.update(path.encode("utf-8", "surrogateescape") + b"\0" + content)
        return seal.hexdigest()


def content_digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def _engine() -> bytes:
    """Whatever must be the same for cached bytes to be understood: format, release, Python."""
    return f"pydeliver plan {FORMAT} {__version__} {sys.hexversion:x}\n".encode()


def encode(plan: Plan) -> bytes:
    """The bytes of a cache file: a digest, then the plan."""
    rest: tuple[Any, ...] = plan._astuple()[2:]
    payload = marshal.dumps((plan.statements, dict(plan.settings), *rest))
    return content_digest(_engine() + payload) + payload


def decode(data: bytes) -> Plan | None:
    """The plan of a cache file; None for bytes that are damaged or of another engine."""
    payload = data[DIGEST_BYTES:]
    if not payload or content_digest(_engine() + payload) != data[:DIGEST_BYTES]:
        return None
    return Plan(*marshal.loads(payload))


def tests(statements: tuple[Node, ...]) -> list[Node]:
    """Every test of a plan's conditions, in the order of writing."""
    found: list[Node] = []
    for node in statements:
        if node[0] == "do":
            continue
        for condition, block in node[1]:
            found += _tests_of(condition)
            found += tests(block)
        found += tests(node[2] or ())
    return found


def _tests_of(condition: Node) -> list[Node]:
    if condition[0] == "test":
        return [condition]
    inner = (condition[-1],) if condition[0] in ("not", "any") else condition[1]
    return [test for each in inner for test in _tests_of(each)]


def actions(statements: tuple[Node, ...]) -> list[Node]:
    """Every action of a plan, in the order of writing."""
    found: list[Node] = []
    for node in statements:
        if node[0] == "do":
            found.append(node)
            continue
        for _, block in node[1]:
            found += actions(block)
        found += actions(node[2] or ())
    return found
