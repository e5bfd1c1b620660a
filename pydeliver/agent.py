"""The engine behind every door: find a user's rules, decide about a message, deliver it.

`decide` is what rehearsals and deliveries share; `deliver` is `decide` and `transport.execute`, with a line in the
log. The language is imported only when no cached plan fits. Rules, state and cache are found the same way through
every door: below the home, `$HOME` if it belongs to the user, else the one in passwd; XDG variables are ignored,
because a mail server does not have them and a shell does.
"""

from __future__ import annotations

import os
import time

from pydeliver import plan as plans
from pydeliver import settings as site
from pydeliver.mail.message import Message
from pydeliver.mailbox.names import Store, layout_of
from pydeliver.memory import State
from pydeliver.plan import Plan
from pydeliver.status import Status, Value, deferred
from pydeliver.system.disk import Distrust, Trusted, make_private, read_trusted, write_atomic
from pydeliver.verdict import Program, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pydeliver.mail.envelope import Envelope
    from pydeliver.status import Diagnostic
    from pydeliver.vocabulary.word import Question

    Answer = Callable[[Question], Any]

SETTLED = 2.0  # a rule file younger than so many seconds may still be being written
PATIENCE = 10.0  # for how long a delivery waits for it
CACHE_LIMIT = 64 << 20


class Home(Value):
    """Whose mail this is, and where what belongs to it lies."""

    user: str
    uid: int
    path: str

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
    if given and given.startswith("/"):
        try:
            path = given if os.stat(given).st_uid == uid else path
        except OSError:
            path = path or given
    if not path:
        return deferred(f"uid {uid} has no home directory", "4.3.5")
    return Home(entry.pw_name if entry else str(uid), uid, path.rstrip("/") or "/")


# -- rules ------------------------------------------------------------------------------------------------------


class Shelf:
    """The files that rules are made of, read as delivery trusts them, with a note of all that was read.

    `read` and `find` are the `Library` of the language.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.sources: dict[str, bytes] = {}
        self.contents: dict[bytes, bytes] = {}
        self.globs: dict[str, tuple[str, ...]] = {}
        self.distrusted: list[Distrust] = []
        self.youngest = 0.0

    def take(self, path: str) -> Trusted | Distrust:
        """Read one file and note its digest; the empty digest stands for a file that is not there."""
        found = read_trusted(path, uid=self.home.uid, home=self.home.path)
        if isinstance(found, Trusted):
            digest = plans.content_digest(found.data)
            self.sources[path] = digest
            self.contents[digest] = found.data
            self.youngest = max(self.youngest, found.mtime_ns / 1e9)
        elif found.kind == "absent":
            self.sources[path] = b""
        else:
            self.distrusted.append(found)
        return found

    def read(self, path: str) -> bytes | str | None:
        found = self.take(path)
        if isinstance(found, Trusted):
            return found.data
        return None if found.kind == "absent" else found.text

    def find(self, path: str, base: str) -> tuple[str, ...]:
        whole = self.home.expand(path)
        if not whole.startswith("/"):
            whole = f"{os.path.dirname(base)}/{whole}"
        whole = os.path.normpath(whole)
        if not any([c in whole for c in "*?["]):
            return (whole,)
        self.globs[whole] = matching(whole)
        return self.globs[whole]


def matching(pattern: str) -> tuple[str, ...]:
    """The files that a glob names, in byte order."""
    import glob

    return tuple(sorted(glob.glob(pattern), key=os.fsencode))


class Compiled(Value):
    """What became of a user's rules: a plan when nothing is wrong, and all that there is to say about them."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    distrusted: tuple[Distrust, ...]
    files: tuple[str, ...]
    store: Store | Status
    shelf: Shelf


def compile_plan(home: Home, rules: str, settings_path: str, required: bool = False) -> Compiled:
    """Make the plan anew from the files. A rule file that is absent is no rules, unless it is `required`."""
    from pydeliver.language.load import compile_rules

    shelf = Shelf(home)
    settings, mistakes = site.defaults(), ()
    given = shelf.take(settings_path)
    if isinstance(given, Trusted):
        settings, mistakes = site.read(given.data, settings_path)
    main = shelf.take(rules)
    if isinstance(main, Distrust) and (main.kind != "absent" or required or home.state.has_rules()):
        if main.kind == "absent":
            shelf.distrusted.append(Distrust(rules, "absent", _gone(rules, required)))
        return Compiled(None, mistakes, tuple(shelf.distrusted), (), deferred(main.text, "4.3.5"), shelf)
    compiled = compile_rules(rules, main.data if isinstance(main, Trusted) else b"", shelf, _tables(home))
    settings |= {name: values for name, (values, _) in compiled.options.items()}
    settings["layout"] = compiled.options.get("mailboxes", ((), ""))[1]
    store = find_store(settings, home)
    plan = Plan(
        compiled.statements, settings, compiled.files, tuple(shelf.sources.items()), tuple(shelf.globs.items())
    )
    wrong = () if isinstance(store, Status) else _bad_names(plan, store, home, shelf)
    diagnostics = (*mistakes, *compiled.diagnostics, *wrong)
    whole = not shelf.distrusted and not any([one.severity == "error" for one in diagnostics])
    return Compiled(plan if whole else None, diagnostics, tuple(shelf.distrusted), compiled.files, store, shelf)


def _gone(rules: str, required: bool) -> str:
    return f"{rules} does not exist" if required else f"{rules} is gone; if you want no rules, leave an empty file there"


def _tables(home: Home) -> str | None:
    """The folder for the parser's tables, if only the user can write it."""
    try:
        make_private(home.cache)
    except OSError:
        return None
    return home.cache


def _bad_names(plan: Plan, store: Store, home: Home, shelf: Shelf) -> tuple[Diagnostic, ...]:
    """Mailbox names that no delivery could use, told where they are written."""
    from pydeliver.mailbox.names import name_problem
    from pydeliver.status import Diagnostic

    found = []
    for node in plans.actions(plan.statements):
        names = [name for kind, given in node[3] if kind == "boxes" for name in given if isinstance(name, str)]
        for name in names:
            problem = name_problem(store, home.expand(name))
            if problem:
                path = plan.files[node[6]]
                lines = shelf.contents[shelf.sources[path]].decode("utf-8", "replace").splitlines()
                source = lines[node[5] - 1]
                column = source.find(f'"{name}"') + 1
                found.append(
                    Diagnostic(path, node[5], max(1, column), problem, "bad-mailbox", "error", source, len(name) + 2)
                )
    return tuple(found)


def load_plan(home: Home, rules: str, settings_path: str, required: bool = False) -> Plan | Status:
    """The plan for a delivery: the cached one if every source is as it was, else a new one.

    Rules that are broken, unreadable or not to be trusted give a status that asks for another try: nothing is
    sorted by half a file.
    """
    name = plans.content_digest(f"{settings_path}\0{rules}".encode("utf-8", "surrogateescape"))[:16].hex()
    path = f"{home.cache}/{name}.plan"
    cached = read_trusted(path, uid=home.uid, home=home.path, limit=CACHE_LIMIT)
    if isinstance(cached, Trusted):
        plan = plans.decode(cached.data)
        if plan is not None and _is_fresh(plan, home, rules, settings_path):
            return plan
    made = _settled(home, rules, settings_path, required)
    if made.plan is None:
        return deferred(_complaint(made), "4.3.5")
    _save(made, made.plan, home, path)
    return made.plan


def _is_fresh(plan: Plan, home: Home, rules: str, settings_path: str) -> bool:
    if [path for path, _ in plan.sources[:2]] != [settings_path, rules]:
        return False
    shelf = Shelf(home)
    for path, digest in plan.sources:
        shelf.take(path)
        if shelf.sources.get(path) != digest:
            return False
    if not plan.sources[1][1] and home.state.has_rules():
        return False
    return all([matching(pattern) == paths for pattern, paths in plan.globs])


def _settled(home: Home, rules: str, settings_path: str, required: bool) -> Compiled:
    """Compile; while a source is so young that it may still be being written, wait and look again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        made = compile_plan(home, rules, settings_path, required)
        changing = any([one.kind == "changing" for one in made.distrusted])
        age = time.time() - made.shelf.youngest
        if not changing and not 0 <= age < SETTLED:
            return made
        if time.monotonic() > deadline:
            wait = Distrust(rules, "changing", f"{rules} is being written")
            return Compiled(None, (), (wait,), (), made.store, made.shelf)
        time.sleep(0.1 if changing else SETTLED - age + 0.01)


def _complaint(made: Compiled) -> str:
    """The first thing that is wrong, in one line."""
    for distrust in made.distrusted:
        return distrust.text
    first = next(one for one in made.diagnostics if one.severity == "error")
    return f"{first.file}:{first.line}: {first.message}"


def _save(made: Compiled, plan: Plan, home: Home, path: str) -> None:
    """Keep the plan for the next delivery and its sources for later questions. What fails costs time, not mail."""
    try:
        for data_digest, data in made.shelf.contents.items():
            home.state.keep_rules(data_digest, data)
        make_private(home.cache)
        write_atomic(path, plans.encode(plan), sync=False)
    except OSError:
        return


def find_store(settings: Mapping[str, Any], home: Home) -> Store | Status:
    """Where the user's mailboxes are: what the rules set, else the site's default, else what is there."""
    default = home.expand(next(iter(settings.get("default", ())), "") or settings["default-mailbox"])
    if not default:
        default = f"{home.path}/Maildir"
        spool = f"/var/mail/{home.user}"
        if not os.path.isdir(default) and _is_own_file(spool, home.uid):
            return deferred(
                f'the default mailbox {spool} is an mbox, which is not written by this release: '
                f'make the directory {default}, or write `set default = "~/Maildir"`',
                "4.3.5",
            )
    root = home.expand(next(iter(settings.get("mailboxes", ())), "")) or default
    layout = settings["layout"] or layout_of(root.rstrip("/"))
    return Store(root, default, layout, "utf-7", settings["sync"], settings["over-quota"])


def _is_own_file(path: str, uid: int) -> bool:
    try:
        return os.lstat(path).st_uid == uid
    except OSError:
        return False


# -- decisions --------------------------------------------------------------------------------------------------


class World:
    """Answers the questions of one message: the clock, the zone, list files. Each is answered once."""

    def __init__(self, home: Home, settings: Mapping[str, Any], now: float) -> None:
        self.home = home
        self.now = now
        self._zone_name = next(iter(settings.get("timezone", ())), "")
        self._zone: Any = None

    def answer(self, question: Question) -> Any:
        """The answer; a `Status` where it can't be had."""
        kind = question[0]
        if kind == "now":
            return self.now
        if kind == "offset":
            return self._offset(question[1])
        assert kind == "list"
        return self._listed(question[1], question[2])

    def _offset(self, moment: int) -> int:
        """Minutes east of UTC at a moment, in the user's zone."""
        if not self._zone_name:
            return time.localtime(moment).tm_gmtoff // 60
        if self._zone is None:
            import zoneinfo

            self._zone = zoneinfo.ZoneInfo(self._zone_name)
        from datetime import UTC, datetime

        offset = datetime.fromtimestamp(moment, UTC).astimezone(self._zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) // 60

    def _listed(self, path: str, optional: bool) -> frozenset[str] | Status:
        from pydeliver.mail.folding import fold

        found = read_trusted(self.home.expand(path), uid=self.home.uid, home=self.home.path, limit=CACHE_LIMIT)
        if isinstance(found, Distrust):
            if optional and found.kind == "absent":
                return frozenset()
            return deferred(f"list file: {found.text}", "4.3.5")
        lines = [line.strip() for line in found.data.decode("utf-8", "replace").splitlines()]
        return frozenset([fold(line) for line in lines if line and not line.startswith("#")])


def decide(
    program: Program, envelope: Envelope, message: Message, answer: Answer
) -> tuple[Verdict | Status, dict[Question, Any]]:
    """The verdict on a message and the answers it took; a `Status` if a question could not be answered."""
    answers: dict[Question, Any] = {}
    while True:
        found = program.evaluate(envelope, message, answers)
        if isinstance(found, Verdict):
            return found, answers
        given = answer(found)
        if isinstance(given, Status):
            return given, answers
        answers[found] = given


def completed(envelope: Envelope, message: Message, from_line: str | None, trusted: bool) -> Envelope:
    """The envelope with what the caller left out: the From_ line, and trace headers where the site believes them.

    Those count only above the first Received (RFC 5321 4.4): below it the sender wrote them.
    """
    from pydeliver.mail.envelope import Envelope, sender_from

    sender, recipient = envelope.sender, envelope.recipient
    if sender is None and from_line is not None:
        sender = sender_from(from_line)
    if trusted and (sender is None or recipient is None):
        above = message.trace()
        if sender is None and "return-path" in above:
            sender = sender_from(above["return-path"])
        if recipient is None and "delivered-to" in above:
            recipient = above["delivered-to"]
    return Envelope(
        sender,
        recipient,
        envelope.original_recipient,
        envelope.detail,
        envelope.user,
        envelope.queue_id,
        envelope.door,
        envelope.arguments,
        envelope.environment,
    )
