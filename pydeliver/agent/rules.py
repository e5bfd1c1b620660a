"""A user's rules as a plan: where they lie, whether the cached plan still fits, where the mailboxes are.

The language is imported (by `renew`) only when no cached plan fits. Rules, state and cache are found the same way
through every door: below the home, `$HOME` if it belongs to the user, else the one in passwd; XDG variables are
ignored, because a mail server does not have them and a shell does.
"""

from __future__ import annotations

import os

from pydeliver import plan as plans
from pydeliver.mailbox.names import Store, layout_of
from pydeliver.memory import State
from pydeliver.plan import Plan
from pydeliver.status import Status, Value, deferred
from pydeliver.system.disk import Distrust as Distrust
from pydeliver.system.disk import Trusted, are_as_marked, read_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from collections.abc import Mapping
    from typing import Any

    from pydeliver.system.disk import Mark

CACHE_LIMIT = 64 << 20
SETTLED = 2.0  # seconds; a file that is younger may still be being written, and its time tell nothing
AT_HAND = 256  # plans that a process keeps which delivers for many users


class Home(Value):
    """Whose mail this is, and where what belongs to it lies."""

    user: str
    uid: int
    path: str
    spool: str = ""  # where the system keeps his mail, if this is the home that the system knows

    @property
    def rules(self) -> str:
        return f"{self.path}/.config/pydeliver/main.rules"

    @property
    def cache(self) -> str:
        return f"{self.path}/.cache/pydeliver"

    @property
    def state(self) -> State:
        return State(f"{self.path}/.local/state/pydeliver")

    def expand(self, path: str) -> str:
        """`~/x`, also behind the format of a mailbox (`mbox:~/x`)."""
        kind, colon, rest = path.partition(":~/")
        if colon and kind in ("mbox", "mh"):
            return f"{kind}:{self.path}/{rest}"
        return f"{self.path}/{path[2:]}" if path.startswith("~/") else path


def find_home(given: str | None) -> Home | Status:
    """The home of the user that this process runs as; `given` is what the environment says."""
    import pwd

    uid = os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        entry = None
    path = entry.pw_dir if entry else ""
    if given and given.startswith("/") and not _is_foreign(given, uid):
        path = given
    if not path:
        return deferred(f"uid {uid} has no home directory", "4.3.5")
    path = path.rstrip("/") or "/"
    return home_of(entry, path) if entry else Home(str(uid), uid, path)


def home_of(entry: pwd.struct_passwd, path: str) -> Home:
    """A home of a user of this system; several may share a uid, and then each has a home that passwd does not know."""
    spool = f"/var/mail/{entry.pw_name}" if path == (entry.pw_dir.rstrip("/") or "/") else ""
    return Home(entry.pw_name, entry.pw_uid, path, spool)


def _is_foreign(home: str, uid: int) -> bool:
    """Whether a home is there and another's. One that can't be seen now may yet be mounted: mail waits for it."""
    try:
        return os.stat(home).st_uid != uid
    except OSError:
        return False


class Side:
    """One of the two who write rules, the user and the site: whom its files belong to, and how they were found."""

    def __init__(self, home: Home) -> None:
        self.uid = home.uid
        self.home = home.path  # directories are judged up to here
        self.files: list[str] = []
        self.distrusted: list[Distrust] = []
        self.youngest = 0.0


class Shelf:
    """The files that rules are made of, read as delivery trusts them, with a note of all that was read.

    The user's may belong to him or root; the site's to the owner of its settings or root, so that who can't write
    the settings can't write the site's rules either.
    """

    def __init__(self, home: Home) -> None:
        self.user, self.site = Side(home), Side(home)
        self.sources: dict[str, bytes] = {}
        self.marks: list[Mark] = []
        self.contents: dict[bytes, bytes] = {}
        self.globs: dict[str, tuple[str, ...]] = {}

    def settings(self, path: str) -> Trusted | Distrust:
        """Read the site's settings, whose owner is from now on the one whom its rules may belong to."""
        found = self.take(path, self.site)
        if isinstance(found, Trusted):
            self.user.youngest = self.site.youngest
            if found.owner != self.user.uid:
                self.site.uid, self.site.home = found.owner, "/"
        return found

    def take(self, path: str, side: Side) -> Trusted | Distrust:
        """Read one file and note its digest; the empty digest stands for a file that is not there."""
        found = read_trusted(path, uid=side.uid, home=side.home, marks=self.marks)
        if isinstance(found, Trusted):
            self.put(path, found.data, side)
            side.youngest = max(side.youngest, found.mtime_ns / 1e9)
        elif found.kind == "absent":
            self.put(path, None, side)
        else:
            side.distrusted.append(found)
        return found

    def put(self, path: str, data: bytes | None, side: Side) -> None:
        """Note what a file held; None for one that was not there."""
        digest = b"" if data is None else plans.content_digest(data)
        self.sources[path], self.contents[digest] = digest, data or b""
        side.files.append(path)

    @property
    def of_site(self) -> tuple[str, ...]:
        """Which of the sources are the site's."""
        return tuple(dict.fromkeys(self.site.files))


def matching(pattern: str) -> tuple[str, ...]:
    """The files that a glob names, in byte order: no directory, and nothing that an editor leaves beside a file."""
    import glob

    found = [path for path in glob.glob(pattern) if not _is_left_over(os.path.basename(path))]
    return tuple(sorted([path for path in found if not os.path.isdir(path)], key=os.fsencode))


def _is_left_over(name: str) -> bool:
    """`x.rules~` and `#x.rules#`; hidden names (`.x.rules.swp`) fit no glob that does not say the dot."""
    return name.endswith("~") or name.startswith("#")


class Site(Value):
    """Which files one delivery is judged by: the user's rule file and the site's settings.

    A rule file that is absent is no rules, unless it is `required` because somebody named it.
    """

    rules: str
    settings: str
    required: bool = False


class Kept(Value):
    """A plan, and the marks of its cache file; if `fresh`, of all its sources too, by which it stays so."""

    plan: Plan
    marks: tuple[Mark, ...]
    fresh: bool = False


class AtHand:
    """Plans that a process has read which delivers for long: none is read twice while its files are the same.

    `made` is what was made of a plan, by the same path; who makes something of plans keeps it there.
    """

    def __init__(self) -> None:
        self.made: dict[str, tuple[Plan, Any]] = {}
        self._kept: dict[str, Kept] = {}

    def recall(self, path: str) -> Kept | None:
        """The plan in the cache file `path`, if what it goes by is as it was."""
        kept = self._kept.get(path)
        return kept if kept is not None and are_as_marked(kept.marks) else None

    def keep(self, path: str, kept: Kept) -> None:
        if len(self._kept) >= AT_HAND:
            self._kept.clear()
            self.made.clear()
        self._kept[path] = kept


def load_plan(home: Home, site: Site, at_hand: AtHand | None = None, now: float = 0.0) -> Plan | Status:
    """The plan for a delivery: the cached one if every source is as it was, else a new one.

    Rules that are broken, unreadable or not to be trusted give a status that asks for another try: nothing is
    sorted by half a file.
    """
    path = cache_path(home, site)
    kept = (at_hand.recall(path) if at_hand is not None else None) or _cached(path, home)
    if kept is not None and kept.fresh:
        return kept.plan
    shelf = Shelf(home)
    if kept is not None and _is_fresh(kept.plan, home, site, shelf):
        if at_hand is not None:
            if _stays_by_marks(kept.plan, shelf, now):
                kept = Kept(kept.plan, tuple(dict.fromkeys([*kept.marks, *shelf.marks])), True)
            at_hand.keep(path, kept)
        return kept.plan
    from pydeliver.agent.renew import renew_plan

    return renew_plan(home, site, path)


def _stays_by_marks(plan: Plan, shelf: Shelf, now: float) -> bool:
    """Whether a plan is fresh as long as all marks hold. Not where a file may yet come, or where one was written just

    now: that it is written to once more in the same instant would not show.
    """
    youngest = max(shelf.user.youngest, shelf.site.youngest)
    return all(shelf.sources.values()) and not plan.globs and youngest < now - SETTLED


def _cached(path: str, home: Home) -> Kept | None:
    marks: list[Mark] = []
    found = read_trusted(path, uid=home.uid, home=home.path, limit=CACHE_LIMIT, marks=marks)
    plan = plans.decode(found.data) if isinstance(found, Trusted) else None
    return Kept(plan, tuple(marks)) if plan is not None else None


def cache_path(home: Home, site: Site) -> str:
    key = f"{site.settings}\0{site.rules}".encode("utf-8", "surrogateescape")
    return f"{home.cache}/{plans.content_digest(key)[:16].hex()}.plan"


def _is_fresh(plan: Plan, home: Home, site: Site, shelf: Shelf) -> bool:
    if [path for path, _ in plan.sources[:2]] != [site.settings, site.rules]:
        return False
    shelf.settings(site.settings)
    if shelf.sources.get(site.settings) != plan.sources[0][1]:
        return False
    for path, digest in plan.sources[1:]:
        shelf.take(path, shelf.site if path in plan.site else shelf.user)
        if shelf.sources.get(path) != digest:
            return False
    if not plan.sources[1][1] and not plan.broken and (site.required or home.state.has_rules()):
        return False
    return all([matching(pattern) == paths for pattern, paths in plan.globs])


def find_store(settings: Mapping[str, Any], home: Home) -> Store:
    """Where the user's mailboxes are: what the rules set, else the site's default, else what is there.

    The root of Maildir++ is itself a mailbox, so `set mailboxes` alone names the default one too.
    """
    root = home.expand(next(iter(settings.get("mailboxes", ())), ""))
    layout = settings["layout"] or (layout_of(root.rstrip("/")) if root else "")
    default = next(iter(settings.get("default", ())), "")
    if not default and layout == "maildir++":
        default = f"{root.rstrip('/')}/"  # a Maildir, whatever is there
    default = home.expand(default or settings["default-mailbox"])
    if not default:
        default = f"{home.path}/Maildir/"
        if home.spool and not os.path.isdir(default) and _is_own_file(home.spool, home.uid):
            default = f"mbox:{home.spool}"
    root = root or (f"{home.path}/Maildir" if ":" in default else default.rstrip("/"))
    layout = layout or layout_of(root.rstrip("/"))
    sync, full, locks = settings["sync"], settings["over-quota"], settings["mbox-locks"]
    days, size = settings["quarantine-days"], settings["quarantine-size"] << 20
    kept = int(next(iter(settings.get("quarantine", ())), days * 86400))
    return Store(root, default, layout, sync, full, locks, home.path, kept, size)


def read_list(home: Home, path: str) -> Trusted | Distrust:
    """A list file, trusted as rule files are: who can write it decides where mail goes."""
    return read_trusted(home.expand(path), uid=home.uid, home=home.path, limit=CACHE_LIMIT)


def _is_own_file(path: str, uid: int) -> bool:
    try:
        return os.lstat(path).st_uid == uid
    except OSError:
        return False
