"""Attachments: their names, types and sizes, and what stands in archives; also of those in forwarded messages.

An attachment is a part that a mail reader lists as a file (`mail.mime.Part.is_attachment`). What is odd about one is
told in every way that some reader takes it: all its names, and its type both by label and by content.
Inside `any attachment where …` every field is read of the attachment at hand alone.
"""

from __future__ import annotations

from pydeliver.vocabulary.word import FACT, HERE, SIZE, TEXT, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydeliver.mail.archive import Archive
    from pydeliver.mail.mime import Part
    from pydeliver.vocabulary.word import Facts

# What is not seen in a name: zero-width characters and those that turn the direction of letters.
_UNSEEN = dict.fromkeys(
    [0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)


def attachments(facts: Facts) -> tuple[Part, ...]:
    """All attachments of the message, in order."""
    return facts.message.attachments()


def _asked(facts: Facts, argument: Any) -> tuple[Part, ...]:
    found = attachments(facts)
    return found[facts.part : facts.part + 1] if argument == HERE else found


def _attachment(facts: Facts, argument: Any) -> tuple[str, ...]:
    return tuple([(part.names() or ("",))[0] for part in _asked(facts, argument)])


def _name(facts: Facts, argument: Any) -> tuple[str, ...]:
    return tuple([name for part in _asked(facts, argument) for name in _names(part)])


def _names(part: Part) -> tuple[str, ...]:
    """The names as they are, and as they end up on a disk where that differs."""
    names = part.names()
    return tuple(dict.fromkeys([*names, *[_stored(name) for name in names]]))


def _stored(name: str) -> str:
    """Windows drops dots and spaces at the end, and what is not seen only deceives."""
    return (name if name.isascii() else name.translate(_UNSEEN)).rstrip(". ") or name


def _extension(facts: Facts, argument: Any) -> tuple[str, ...]:
    found = []
    for part in _asked(facts, argument):
        for name in part.names():
            file = _stored(name).replace("\\", "/").rpartition("/")[2]
            _, dot, extension = file.rpartition(".")
            if dot and extension:
                found.append(extension.lower())
    return tuple(dict.fromkeys(found))


def _type(facts: Facts, argument: Any) -> tuple[str, ...]:
    from pydeliver.mail import content

    found = []
    for part in _asked(facts, argument):
        found.append(part.type)
        kind = content.kind(part.decoded(content.BYTES))
        if kind and kind != part.type:
            found.append(kind)
    return tuple(found)


def _size(facts: Facts, argument: Any) -> tuple[int, ...]:
    return tuple([part.decoded_size() for part in _asked(facts, argument)])


def _archives(facts: Facts, argument: Any) -> list[Archive]:
    """The archives among them; a message is none, but its parts may be."""
    from pydeliver.mail import archive

    parts = facts.message.parts()
    found = []
    for part in _asked(facts, argument):
        inside = parts[part.index + 1 : part.index + 2]
        if not inside or inside[0].parent != part.index:
            one = archive.read(part.decoded(archive.BYTES + 1))
            if one is not None:
                if one.limit:
                    facts.message.note(one.limit)
                found.append(one)
    return found


def _inner_name(facts: Facts, argument: Any) -> tuple[str, ...]:
    names = [name for archive in _archives(facts, argument) for name in archive.names]
    return tuple(dict.fromkeys([one for name in names for one in (name, _stored(name))]))


def _encrypted(facts: Facts, argument: Any) -> tuple[bool, ...]:
    return (True,) if any([archive.encrypted for archive in _archives(facts, argument)]) else ()


WORDS = (
    Field(
        "attachment",
        TEXT,
        _attachment,
        "the attachments: of each the name that most readers show, an empty text if it has none",
        "count attachment > 3",
        True,
        parts=lambda facts: len(attachments(facts)),
    ),
    Field(
        "attachment.name",
        TEXT,
        _name,
        "every name of every attachment, in all the ways in which a reader takes it",
        'attachment.name ends with ".exe"',
        True,
    ),
    Field(
        "attachment.extension",
        TEXT,
        _extension,
        "what stands behind the last dot of the names, in lower case",
        'attachment.extension is "exe", "js", "scr"',
        True,
    ),
    Field(
        "attachment.type",
        TEXT,
        _type,
        "the types of the attachments, by their labels and by their first bytes",
        'attachment.type is "application/vnd.microsoft.portable-executable"',
        True,
    ),
    Field(
        "attachment.size",
        SIZE,
        _size,
        "the sizes of the attachments, decoded",
        "attachment.size > 5 MB",
        True,
    ),
    Field(
        "attachment.inner.name",
        TEXT,
        _inner_name,
        "the names of the files in zip archives that are attached, with their folders",
        'attachment.inner.name ends with ".exe"',
        True,
    ),
    Field(
        "attachment.encrypted",
        FACT,
        _encrypted,
        "a zip archive is attached that needs a password",
        "attachment.encrypted",
    ),
)
