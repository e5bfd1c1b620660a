"""No value of a message leaves the mailbox root: hostile values through every layout, a diff of all around it (G30).

`attack` is also what `python -m tests.benchmarks.path_escape` runs with 10,000 values.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from pydeliver.agent import NEW_MAILBOXES_A_DAY, Request, deliver
from pydeliver.agent.rules import Home, Site
from pydeliver.mail.envelope import Envelope
from pydeliver.mailbox.names import from_utf7
from pydeliver.memory import DAY, NEW_MAILBOXES
from pydeliver.vocabulary.filing import clean
from tests.rules import write_rested

MESSAGES: Final = 2_000
SEED: Final = 20261123
HOME: Final = "users/victim"
DECOY: Final = "users/decoy"
# What a delivery may write to: the mailbox roots, and the directories that the manual names.
ROOTS: Final = ("Maildir", "plus", "nested", "boxes", "MH")
OWN: Final = (*ROOTS, ".local/state/pydeliver", ".cache/pydeliver")
# A rule that names a path means one that is there but for its last directory, whose name the value may be.
PARENTS: Final = ("lists", "plus", "both", "caught")
SETTINGS: Final = 'sync = "none"\n'  # what is on the disk after a power cut is another test's affair

# The layout, where it is, and how its mailboxes are named in a rule.
LAYOUTS: Final = {
    "maildir++": ('set mailboxes = "~/plus" as "maildir++"\nset default = "~/Maildir/"\n', "plus", ""),
    "nested": ('set mailboxes = "~/nested" as "nested"\nset default = "~/Maildir/"\n', "nested", ""),
    "mbox": ('set mailboxes = "~/boxes" as "mbox"\nset default = "~/Maildir/"\n', "boxes", ""),
    "mh": ('set default = "~/Maildir/"\n', "MH", "mh:~/MH/"),
}
# What files, and the names that it makes: `{0}`, `{1}` are the values that the rule wrote into the log before.
WAYS: Final = {
    "list": (("{list-id}",), 'file "@lists/{list-id}"', ("lists/{0}",)),
    "subject": (("{subject}",), 'file "@{subject}"', ("{0}",)),
    "detail": (("{envelope.to.detail}",), 'copy file "@plus/{envelope.to.detail}"', ("plus/{0}", "INBOX")),
    "name": (("{from.name}",), 'file "@{from.name}/deep", "@Fixed"', ("{0}/deep", "Fixed")),
    "both": (("{subject}", "{from.name}"), 'copy file "@both/{subject}-{from.name}x"', ("both/{0}-{1}x", "INBOX")),
    "format": (("{subject}",), 'file "m{subject}/deep"', ("m{0}/deep",)),
    "capture": (("{all}",), 'if subject matches /^(?<all>(?s:.*))$/ { LOG; file "@caught/{all}" }', ("caught/{0}",)),
}

WORDS: Final = (
    *(
        "word",
        "list.example.org",
        "Émile",
        "e\u0301",
        "中文",
        "\U0001f600",
        "a b",
        "x&y",
        "INBOX",
        "inbox",
        "InBoX",
        "ıNBOX",
    ),
    *("mbox:", "mh:", "mbox:~", "mh:~", "maildir:~", "MBOX:~", "bo", "box:~", "h:"),
    *("cur", "new", "tmp", "CUR", ".lock", "maildirfolder", "subscriptions", "dovecot-keywords", ".mh_sequences", "12"),
)
SLASHES: Final = ("/", "//", "\\", "\uff0f", "\u2044", "\u2215", "\u29f8", "%2f", "%252F", "&AC8-", "+AC8-", "\xc0\xaf")
DOTS: Final = (
    "..",
    ".",
    "...",
    "\uff0e\uff0e",
    "\u2024\u2024",
    "\u2025",
    "%2e%2e",
    "&AC4ALg-",
    "+AC4ALg-",
    ". .",
    ".\u200b.",
)
SPICES: Final = (
    *("\0", "\n", "\r\n", "\r\n ", "\t", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\u00a0", "\u200b"),
    *(
        "\u202e",
        "\u2066",
        "\u200f",
        "\u061c",
        "\ud800",
        "\udfff",
        "\ue000",
        "\uffff",
        "\U000e0001",
        "\ufffd",
        "\u0300" * 60,
    ),
    *(
        "~",
        "~root",
        "~/",
        "-",
        "-rf",
        "_",
        " ",
        "  ",
        ". ",
        "&",
        "&-",
        "&AOk",
        "*",
        "?",
        "$HOME",
        "$(id)",
        "`id`",
        "{x}",
    ),
    *(":", ":2,S", "|id", "\x00/", "%00", "%n"),
)


def value(choose: random.Random, area: Path) -> str:
    """A value as somebody would choose it who wants to be somewhere else."""
    decoy = f"{area}/{DECOY}/Maildir"
    kind = choose.randrange(12)
    if kind == 0:
        return "../" * choose.randrange(1, 20) + choose.choice(
            ["decoy/Maildir", ".ssh/authorized_keys", "etc", decoy[1:]]
        )
    if kind == 1:
        return choose.choice(
            [decoy, f"{decoy}/", "~/.ssh/x", "~decoy/x", f"mbox:{decoy}", f"mh:{decoy}", f"file://{decoy}"]
        )
    if kind == 2:
        return choose.choice([".", "..", "a", "中", "\u0301", "../", "😀", " ", "é/"]) * choose.randrange(1, 4096)
    if kind == 3:
        return choose.choice([" ", ".", "-", ""]) + choose.choice(WORDS) + choose.choice(["", ".", "..", " ", ". ."])
    pools = choose.choice([(WORDS, SLASHES, DOTS), (WORDS, SPICES), (WORDS, SLASHES, DOTS, SPICES), (DOTS, SLASHES)])
    return "".join([choose.choice(choose.choice(pools)) for _ in range(choose.randrange(1, 8))])


def written(choose: random.Random, text: str) -> bytes:
    """A value as a sender can write it into a field: raw, folded, or in encoded words of several charsets."""
    data = text.encode("utf-8", "surrogatepass")
    kind = choose.randrange(6)
    if kind == 0:
        return b"=?utf-8?B?" + base64.b64encode(data) + b"?="
    if kind == 1:
        half = len(data) // 2
        words = [b"".join([b"=%02X" % byte for byte in part]) for part in (data[:half], data[half:])]
        return b" ".join([b"=?UTF-8?q?" + word + b"?=" for word in words])
    if kind == 2:
        return b"=?utf-16?B?" + base64.b64encode(text.encode("utf-16", "surrogatepass")) + b"?="
    if kind == 3:
        return b"=?utf-7?Q?" + text.encode("utf-8", "replace").decode().encode("utf-7").replace(b" ", b"_") + b"?="
    if kind == 4:
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\n ").replace(b"\r", b"\r ")
    return data.replace(b"\r", b"").replace(b"\n", b"")


def tree(area: Path) -> dict[str, tuple[object, ...]]:
    """All that there is: kind, permissions, size, when it was changed, and what a file holds or a link names."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(area)):
        for name in (b".", *folders, *files):
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            what = (
                os.readlink(path)
                if os.path.islink(path)
                else b""
                if name in (b".", *folders)
                else Path(os.fsdecode(path)).read_bytes()
            )
            found[os.fsdecode(os.path.normpath(path))] = (seen.st_mode, seen.st_size, seen.st_mtime_ns, what)
    return found


def is_own(path: str, home: str) -> bool:
    return any(path == f"{home}/{own}" or path.startswith(f"{home}/{own}/") for own in OWN)


def _placed(text: str, prefix: str) -> str:
    """Names of mailboxes as this layout has them: none is below one that a value names where they are paths."""
    return text.replace("@", prefix).replace("/deep", "-deep" if prefix else "/deep")


@dataclass
class Report:
    """What came of an attack."""

    messages: int = 0
    folders: set[tuple[str, str]] = field(default_factory=set)  # layout and name, each decoded from the disk
    notes: Counter[str] = field(default_factory=Counter)  # why a message went to the default mailbox instead
    failed: list[str] = field(default_factory=list)  # statuses that were no success
    strayed: list[str] = field(default_factory=list)  # what was made, changed or removed outside
    misfiled: list[str] = field(default_factory=list)  # neither the cleaned name nor the default mailbox with a note
    seconds: float = 0.0


class Area:
    """A user's home among others, with mailboxes in every layout, and what a sender would like to write to."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for user in (HOME, DECOY):
            for name in (".ssh/authorized_keys", ".config/app/settings", "Maildir/new/1.mail", "notes"):
                path = place / user / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{user} {name}\n")
        (place / DECOY / "link").symlink_to(place / HOME)
        for root in (*OWN, *[f"MH/{name}" for name in PARENTS]):
            (place / HOME / root).mkdir(parents=True, exist_ok=True)
        (place / HOME).chmod(0o700)
        (place / HOME / "Maildir" / "new" / "1.mail").unlink()
        self.home = Home("victim", os.getuid(), str(place / HOME))
        (place / "settings.toml").write_text(SETTINGS)
        self.sites = {layout: self._site(layout) for layout in LAYOUTS}
        self._log = Path(self.home.state.directory) / "deliveries.log"
        self._count = Path(self.home.state.directory) / NEW_MAILBOXES

    def _site(self, layout: str) -> Site:
        head, _, prefix = LAYOUTS[layout]
        rules = [head, 'log "{header X-Way}"\n']
        for way, (values, statement, _) in WAYS.items():
            logs = "; ".join([f'log "{one}"' for one in values])
            body = statement.replace("LOG", logs) if "LOG" in statement else f"{logs}; {statement}"
            rules.append(f'if header "X-Way" is "{way}" {{ {_placed(body, prefix)} }}\n')
        path = self.place / HOME / ".config" / "pydeliver" / f"{layout}.rules"
        write_rested(path, "".join(rules))
        return Site(str(path), str(self.place / "settings.toml"), True)

    def deliver(self, layout: str, message: bytes, detail: str, now: float) -> str:
        """Deliver one message; what went wrong, or ""."""
        fd = os.memfd_create("message")
        try:
            os.write(fd, message)
            os.lseek(fd, 0, os.SEEK_SET)
            envelope = Envelope("jo@example.org", "me@example.org", None, detail, "victim")
            status = deliver(Request(self.home, self.sites[layout], envelope, fd, now, "host", os._exit))
        finally:
            os.close(fd)
        return "" if status.ok else status.line

    def forget_count(self) -> None:
        """As if it were another day."""
        self._count.unlink(missing_ok=True)

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._log.read_bytes().splitlines()]

    def box(self, layout: str, file: str) -> str:
        """The name of the mailbox that a file is in, read back from the disk's spelling; "" for one that is nowhere."""
        root, *parts = os.path.relpath(file, self.home.path).split("/")
        if root not in ("Maildir", LAYOUTS[layout][1]):
            return ""
        if root != "Maildir" and layout == "mh":  # a path, spelled as the rule says
            return "/".join(parts[:-1])
        if root != "Maildir" and layout == "mbox":  # with the place of the message in the file
            return "/".join([from_utf7(part) for part in (*parts[:-1], parts[-1].rpartition("@")[0])])
        assert parts[-2] == "new", file
        if parts[:-2] and (root == "Maildir" or layout == "maildir++"):
            (folder,) = parts[:-2]
            assert folder[0] == ".", file
            return "/".join([from_utf7(part) for part in folder[1:].split(".")])
        return "/".join([from_utf7(part) for part in parts[:-2]]) or "INBOX"


def message_of(way: str, subject: bytes, list_id: bytes, name: bytes) -> bytes:
    return b"X-Way: %s\nSubject: %s\nList-Id: a list <%s>\nFrom: %s <jo@example.org>\n\nbody\n" % (
        way.encode(),
        subject,
        list_id,
        name,
    )


def expected(way: str, layout: str, logged: list[str]) -> list[str]:
    """The names that the values make, once cleaned; "" where a value leaves nothing."""
    values, statement, names = WAYS[way]
    prefix = LAYOUTS[layout][2]
    # The mh: folders lie below a path, and the layout of the names that do not is maildir++ there.
    dots = layout in ("nested", "mbox")
    # The log keeps as much of a value as makes a name.
    cleaned = [clean(text[:1000], dots) for text in logged[1 : 1 + len(values)]]
    made = []
    for name in names:
        used = [text for number, text in enumerate(cleaned) if f"{{{number}}}" in name]
        text = _placed(name, prefix).format(*cleaned) if all(used) else ""
        # A format comes from literal text only.
        if not (prefix and "@" in statement):
            text = text.replace(":", "_", 1) if text.startswith(("mbox:", "mh:")) else text
            text = unicodedata.normalize("NFC", text)  # a mark composes with the letter before it
        made.append(text)
    return made


def is_harmless(name: str) -> bool:
    """Whether a name, as read back from the disk, is one that can't mean another place or be shown as another."""
    parts = name.split("/")
    return all(
        part
        and part[0] not in ".~-"
        and part.lower() not in ("..", "cur", "new", "tmp", "inbox")
        and part == part.strip()
        and not part.endswith(".")
        and "\\" not in part
        and not [c for c in part if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        and len(part.encode()) <= 255
        for part in parts
    )


def attack(place: Path, number: int) -> Report:
    """Deliver so many messages of hostile values into a new area at `place`, and look at what is where then."""
    area = Area(place)
    choose = random.Random(SEED)
    for layout in LAYOUTS:
        assert not area.deliver(layout, message_of("none", b"", b"", b""), "", time.time())
    before, done = tree(place), len(area.log())
    report = Report(number)
    ways = []
    started = time.monotonic()
    for turn in range(number):
        layout, way = list(LAYOUTS)[turn % len(LAYOUTS)], choose.choice(list(WAYS))
        subject, list_id, name = [written(choose, value(choose, place)) for _ in range(3)]
        detail = value(choose, place)
        area.forget_count()
        problem = area.deliver(layout, message_of(way, subject, list_id, name), detail, time.time())
        if problem:
            report.failed.append(f"{layout} {way}: {problem}")
        ways.append((layout, way))
    report.seconds = time.monotonic() - started
    for (layout, way), entry in zip(ways, area.log()[done:], strict=True):
        _judge(report, area, layout, way, entry)
    after = tree(place)
    touched = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    report.strayed += sorted(path for path in touched if not is_own(path, area.home.path))
    return report


def _judge(report: Report, area: Area, layout: str, way: str, entry: dict[str, object]) -> None:
    logged, notes = list(entry["log"]), list(entry["notes"])  # type: ignore[call-overload]
    files: list[str] = entry["files"]  # type: ignore[assignment]
    boxes = {area.box(layout, file) for file in files}
    report.strayed += [file for file in files if not area.box(layout, file)]
    wanted = set(expected(way, layout, logged))
    if way == "capture" and len(logged) == 1:
        wanted = {"INBOX"}  # there was nothing to match
    missing = wanted - boxes
    fallen = [note for note in notes if note.endswith(": the default mailbox instead")]
    if (
        boxes - wanted - {"INBOX"}
        or (missing and not ("INBOX" in boxes and fallen))
        or ("INBOX" in boxes - wanted and not fallen)
    ):
        report.misfiled.append(f"{layout} {way}: {sorted(boxes)} for {sorted(wanted)}, {notes}")
    report.folders |= {(layout, box) for box in boxes - {"INBOX"}}
    for note in fallen:
        report.notes[note.removesuffix(": the default mailbox instead").rpartition('": ')[2]] += 1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An area, and a working directory in it that a relative name would land in."""
    area = tmp_path / "area"
    (area / "cwd").mkdir(parents=True)
    monkeypatch.chdir(area / "cwd")
    return area


def test_no_value_of_a_message_leaves_the_mailbox_root(place: Path) -> None:
    report = attack(place, MESSAGES)
    assert report.failed == []
    assert report.strayed == []
    assert report.misfiled == []
    assert [name for _, name in report.folders if not is_harmless(name)] == []
    # The values were really tried: many made a folder, many did not.
    assert {layout for layout, _ in report.folders} == LAYOUTS.keys()
    assert len(report.folders) > MESSAGES // 4
    assert report.notes.total() > MESSAGES // 20


def test_what_lands_outside_of_the_root_would_be_seen(place: Path) -> None:
    area = Area(place)
    before = tree(place)
    (place / DECOY / "Maildir" / "new" / "2.mail").touch()
    touched = [path for path, what in tree(place).items() if before.get(path) != what]
    assert sorted(touched) == [f"{place}/{DECOY}/Maildir/new", f"{place}/{DECOY}/Maildir/new/2.mail"]
    assert not any(is_own(path, area.home.path) for path in touched)


def test_messages_name_no_more_new_mailboxes_in_a_day_than_the_limit(place: Path) -> None:
    area = Area(place)
    now = time.time()
    for turn in range(NEW_MAILBOXES_A_DAY + 10):
        layout = list(LAYOUTS)[turn % len(LAYOUTS)]
        assert not area.deliver(layout, message_of("list", b"x", b"list-%d" % turn, b"Jo"), "", now)
    told = [bool(entry["notes"]) for entry in area.log()]
    assert told == [False] * NEW_MAILBOXES_A_DAY + [True] * 10
    (file,) = area.log()[-1]["files"]  # type: ignore[misc]
    assert area.box("mh", file) == "INBOX"
    # A mailbox that is there already is used all the same, and tomorrow there are new ones again.
    assert not area.deliver("maildir++", message_of("list", b"x", b"list-0", b"Jo"), "", now)
    assert not area.deliver("maildir++", message_of("list", b"x", b"list-new", b"Jo"), "", now + DAY + 1)
    assert [entry["notes"] for entry in area.log()[-2:]] == [[], []]
