"""Names of mailboxes: what a rule file may write, and which directory it means.

Owns `Store` (where a user's mailboxes are, and how they are laid out), the judgement of a name and its way to a
`Location`. Refuses every name that could leave the root, hide, or not be read back by an IMAP server. Maildir++:
`.Work.Boss` below the root; nested and mbox: `Work/Boss`. Modified UTF-7: RFC 3501 section 5.1.3.
"""

from __future__ import annotations

import os

from pydeliver.status import Status, Value, deferred

INBOX = "INBOX"
NAME_BYTES = 255  # NAME_MAX of every file system in use
LEVELS = 20  # as Dovecot allows
MAILDIR, MBOX, MH = "maildir", "mbox", "mh"  # formats; the latter two also begin names: `mbox:~/box`
ENCODINGS = ("utf-7", "utf-8")  # of names on disk: what new folders get (modified), and what is used where it is there

LOCK = ".lock"  # what the dotlock of an mbox ends in
_MAILDIR_PARTS = ("cur", "new", "tmp")
_NESTED_FILES = ("maildirfolder", "maildirsize", "subscriptions")
# Characters that turn the direction of text, by which a name can be shown as another (Unicode TR 36, 2.10).
_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_LINE_ENDS = "\u2028\u2029"


class Store(Value):
    """Where one user's mailboxes are. `root` is the absolute path of a directory, `home` what `~` means in names.

    `default` is the place of INBOX: the path of a Maildir, or `mbox:` or `mh:` and a path. `layout` is "maildir++",
    "nested", or "mbox" (as nested, with files for Maildirs); `sync` is how far a delivery is durable before it is
    told: "full" (file and directory), "file" or "none"; `full` is what a mailbox over its quota does: "defer" (4.2.2)
    or "refuse" (5.2.2); `locks` are those of an mbox: "both" (dotlock and fcntl) or "fcntl". What is discarded is kept
    back for `kept_seconds`, in no more than `kept_bytes` in all.
    """

    root: str
    default: str
    layout: str = "maildir++"
    sync: str = "full"
    full: str = "defer"
    locks: str = "both"
    home: str = ""
    kept_seconds: int = 7 * 86400
    kept_bytes: int = 200 << 20


class Location(Value):
    """What a name means: `base`, which is never below another mailbox, and `parts` to walk from there.

    `base` is the store's root, its default mailbox, or a path that the rules name: a directory, or the file itself of
    an mbox. The last of the parts is a directory too, or the file of an mbox.
    """

    store: Store
    name: str
    base: str
    parts: tuple[str, ...] = ()
    format: str = MAILDIR

    @property
    def path(self) -> str:
        return "/".join((self.base, *self.parts))

    @property
    def way(self) -> tuple[str, ...]:
        """Every directory from the base to the mailbox, each in the one before; without the file of an mbox."""
        depths = range(len(self.parts) + (self.format != MBOX))
        return tuple(["/".join((self.base, *self.parts[:depth])) for depth in depths])

    @property
    def exists(self) -> bool:
        return os.path.isfile(self.path) if self.format == MBOX else os.path.isdir(self.path)


def layout_of(root: str) -> str:
    """The layout of a root: nested if it holds something but neither is a Maildir nor has folders like one's."""
    try:
        names = os.listdir(root)
    except OSError:
        return "maildir++"
    known = "cur" in names or any([name[0] == "." and os.path.isdir(f"{root}/{name}/cur") for name in names])
    return "maildir++" if known or not names else "nested"


def locate(store: Store, name: str) -> Location | Status:
    """Find the place of a mailbox name; a name that is a mistake gives a Status of "try again".

    Looks at the disk only where a name has two spellings, to take the one that is there.
    """
    problem = name_problem(store, name)
    if problem is not None:
        return deferred(problem, "4.3.5")
    if name.lower() == "inbox":
        kind, path = _place(store, store.default) or (MAILDIR, store.default)
        return Location(store, INBOX, path.rstrip("/"), (), kind)
    place = _place(store, name)
    if place is not None:
        return Location(store, name, place[1].rstrip("/"), (), place[0])
    parts, other = [_parts(store, name, encoding) for encoding in ENCODINGS]
    root = store.root.rstrip("/") or "/"
    found = parts if parts == other else _as_found(store, root, parts, other)
    return Location(store, name, root, found, MBOX if store.layout == "mbox" else MAILDIR)


def _place(store: Store, name: str) -> tuple[str, str] | None:
    """The format and the path of a name that says where it is; None for one that is looked up below the root."""
    kind, path = MAILDIR, name
    for prefix in (MBOX, MH):
        if name.startswith(prefix + ":"):
            kind, path = prefix, name[len(prefix) + 1 :]
    if path.startswith("~/"):
        path = store.home + path[1:]
    if not path.startswith("/") and path == name:
        return None
    if kind == MAILDIR and not path.endswith("/") and os.path.isfile(path):
        kind = MBOX
    return kind, path


def _as_found(store: Store, root: str, parts: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The spelling in which the folder is there, or else its nearest parent; `parts` where neither is."""
    if store.layout != "maildir++":
        prefixes = [(parts[:depth], other[:depth]) for depth in range(len(parts), 0, -1)]
    else:
        ours, theirs = parts[0].split(".")[1:], other[0].split(".")[1:]
        depths = range(len(ours), 0, -1)
        prefixes = [(("." + ".".join(ours[:depth]),), ("." + ".".join(theirs[:depth]),)) for depth in depths]
    for preferred, second in prefixes:
        if os.path.isdir("/".join((root, *preferred))):
            return parts
        if os.path.isdir("/".join((root, *second))):
            return other
    return parts


def _parts(store: Store, name: str, encoding: str) -> tuple[str, ...]:
    """The file names below the root that `name` means."""
    if not name.isascii():
        import unicodedata

        name = unicodedata.normalize("NFC", name)
    encoded = [_spelled(part, encoding) for part in name.split("/")]
    return tuple(encoded) if store.layout != "maildir++" else ("." + ".".join(encoded),)


def _spelled(part: str, encoding: str) -> str:
    if encoding == "utf-7":
        return to_utf7(part)
    return os.fsdecode(part.encode())  # the same bytes on disk, whatever the locale says


def name_problem(store: Store, name: str) -> str | None:
    """What is wrong with a mailbox name, in a sentence."""
    if name.lower() == "inbox":
        return None
    if not name:
        return "the name of the mailbox is empty"
    place = _place(store, name)
    if place is not None:
        return _path_problem(name, *place)
    if name.startswith("\\"):
        return f'a Maildir has no special uses: write the name of the folder ("{name[1:]}") instead of "{name}"'
    if name.endswith("/"):
        return f'"{name}" ends in "/" but is no path: write "{name.rstrip("/")}" for a folder, "~/{name}" for a path'
    parts = name.split("/")
    if len(parts) > LEVELS:
        return f'"{name[:40]}…" has {len(parts)} levels, more than {LEVELS}'
    for part in parts:
        problem = _part_problem(store, part)
        if problem is not None:
            return f'"{name}": {problem}' if len(name) <= NAME_BYTES else problem
    if parts[0].lower() == "inbox":
        return f'"{name}": folders are not below INBOX here, write "{"/".join(parts[1:])}"'
    for encoding in ENCODINGS:
        problem = _length_problem(name, _parts(store, name, encoding), store.layout == "mbox")
        if problem is not None:
            return problem
    return None


def _length_problem(name: str, parts: tuple[str, ...] | list[str], locked: bool) -> str | None:
    """`locked`: what is made of the parts are mboxes, and beside each its lock."""
    limit = NAME_BYTES - len(LOCK) * locked
    if max([len(os.fsencode(part)) for part in parts]) <= limit:
        return None
    return f'"{name[:40]}…" is longer than the {limit} bytes that {"an mbox" if locked else "a file name"} can have'


def _path_problem(name: str, kind: str, path: str) -> str | None:
    if not path.startswith("/"):
        return f'"{name}": the place of an mbox or MH folder begins with "~/" or "/"'
    if not path.rstrip("/"):
        return f'"{name}" is not a mailbox'
    if kind == MAILDIR and not path.endswith("/"):
        return f'"{name}" names a file that is not there: write "{name}/" for a Maildir, "mbox:{name}" for an mbox'
    if kind == MBOX and path.endswith("/"):
        return f'"{name}" ends in "/", and an mbox is a file'
    if kind == MBOX and path.endswith(LOCK):
        return f'"{name}" ends like the lock of an mbox'
    if ".." in path.split("/"):
        return f'"{name}": a path to a mailbox may not contain ".."'
    character = _bad_character(path)
    if character is not None:
        return f"the path of a mailbox contains {character}"
    return _length_problem(name, path.split("/"), kind == MBOX)


def _part_problem(store: Store, part: str) -> str | None:
    """What is wrong with one level of a name. `cur`, `new` and `tmp` are refused in every layout alike."""
    if not part:
        return 'there is nothing between two "/"'
    character = _bad_character(part)
    if character is not None:
        return f"a mailbox name may not contain {character}"
    if part in (".", ".."):
        return f'"{part}" is not the name of a mailbox'
    if part[0] in ".~-":
        hint = f', write "{part[1:]}"' if part[0] == "." and part[1:] else ""
        return f'a mailbox name may not begin with "{part[0]}"{hint}'
    if part != part.strip():
        return "a mailbox name may not begin or end with a space"
    if store.layout == "maildir++" and "." in part:
        return f'"." separates levels on disk in this layout: write "{part.replace(".", "/")}" or leave it out'
    if store.layout == "mbox" and part.endswith(LOCK):
        return f'"{part}" ends like the lock of an mbox'
    if part in _MAILDIR_PARTS or (store.layout == "nested" and part in _NESTED_FILES):
        return f'"{part}" is the name of a part of a Maildir'
    return None


def _bad_character(text: str) -> str | None:
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        if character < " " or "\x7f" <= character <= "\x9f":
            return f"the control character U+{ord(character):04X}"
        if character in _DIRECTION or character in _LINE_ENDS or "\ud800" <= character <= "\udfff":
            return f"the character U+{ord(character):04X}"
    return None


# -- modified UTF-7 ---------------------------------------------------------------------------------------------


def to_utf7(text: str) -> str:
    """Modified UTF-7 of `text`. Raises ValueError for a lone surrogate, which has none."""
    if text.isascii() and text.isprintable() and "&" not in text:
        return text
    made: list[str] = []
    start = None  # of a run that is not printable ASCII
    for at, character in enumerate(text):
        if " " <= character <= "~":
            if start is not None:
                made.append(_shifted(text[start:at]))
                start = None
            made.append("&-" if character == "&" else character)
        elif start is None:
            start = at
    if start is not None:
        made.append(_shifted(text[start:]))
    return "".join(made)


def _shifted(run: str) -> str:
    import binascii

    base64 = binascii.b2a_base64(run.encode("utf-16-be"), newline=False)
    return "&" + base64.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def from_utf7(text: str) -> str:
    """Undo `to_utf7`. Raises ValueError for anything that `to_utf7` does not write."""
    import binascii

    made: list[str] = []
    rest = text
    while rest:
        plain, shift, rest = rest.partition("&")
        made.append(plain)
        if not shift:
            break
        run, end, rest = rest.partition("-")
        if not end:
            raise ValueError("a shift without an end in modified UTF-7")
        base64 = run.encode("ascii").replace(b",", b"/") + b"=" * (-len(run) % 4)
        made.append(binascii.a2b_base64(base64).decode("utf-16-be") if run else "&")
    decoded = "".join(made)
    if to_utf7(decoded) != text:
        raise ValueError("not the one spelling of modified UTF-7")
    return decoded
