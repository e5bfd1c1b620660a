"""Rules made into a plan anew: what a delivery does when no cached plan fits, and `check` always.

Owns the waiting for a file that is still being written, the diagnostics that need the mailboxes' names, and keeping
what was made: the plan in the cache, the sources by digest in the state directory.
"""

from __future__ import annotations

import os
import time

from pydeliver import plan as plans
from pydeliver import settings as site_settings
from pydeliver.agent.rules import Shelf, find_store, matching, read_list
from pydeliver.language.load import compile_rules
from pydeliver.language.mistakes import described
from pydeliver.mailbox.names import INBOX, MBOX, Store, locate, name_problem
from pydeliver.plan import Plan
from pydeliver.status import Diagnostic, Status, Value, deferred
from pydeliver.system.disk import Distrust, Trusted, close_quietly, enter_directory, make_private, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydeliver.agent.rules import Home, Site

SETTLED = 2.0  # a rule file younger than so many seconds may still be being written
PATIENCE = 10.0  # for how long a delivery waits for it


class Library(Shelf):
    """The shelf as the language reads it."""

    def read(self, path: str) -> bytes | str | None:
        found = self.take(path)
        if isinstance(found, Trusted):
            return found.data
        return None if found.kind == "absent" else found.text

    def place(self, path: str, base: str) -> str:
        """Where a path leads that is written in the file `base`."""
        whole = self.home.expand(path)
        return os.path.normpath(whole if whole.startswith("/") else f"{os.path.dirname(base)}/{whole}")

    def find(self, path: str, base: str) -> tuple[str, ...]:
        whole = self.place(path, base)
        if not any([c in whole for c in "*?["]):
            return (whole,)
        self.globs[whole] = matching(whole)
        return self.globs[whole]


class Compiled(Value):
    """What became of a user's rules: a plan when nothing is wrong, and all that there is to say about them.

    `settings` are the site's alone.
    """

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    distrusted: tuple[Distrust, ...]
    store: Store | Status
    shelf: Shelf
    settings: Mapping[str, object]


class Kept(Library):
    """The last good rules as the language reads them: what they were then, below the names that they had."""

    def __init__(self, home: Home, files: Mapping[str, bytes]) -> None:
        super().__init__(home)
        self.files = files

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def find(self, path: str, base: str) -> tuple[str, ...]:
        from fnmatch import fnmatchcase

        pattern = self.place(path, base)
        return tuple([name for name in self.files if fnmatchcase(name, pattern)])


def compile_plan(home: Home, site: Site) -> Compiled:
    """Make the plan from the files as they are now."""
    shelf = Library(home)
    settings, mistakes = _settings(shelf, site)
    main = shelf.take(site.rules)
    if isinstance(main, Distrust) and (main.kind != "absent" or site.required or home.state.has_rules()):
        if main.kind == "absent":
            shelf.distrusted.append(Distrust(site.rules, "absent", _gone(site)))
        return Compiled(None, mistakes, tuple(shelf.distrusted), deferred(main.text, "4.3.5"), shelf, settings)
    made = _compiled(home, site, shelf, main.data if isinstance(main, Trusted) else b"", settings)
    if not mistakes:
        return made
    return Compiled(None, (*mistakes, *made.diagnostics), made.distrusted, made.store, shelf, settings)


def _settings(shelf: Shelf, site: Site) -> tuple[Mapping[str, object], tuple[Diagnostic, ...]]:
    given = shelf.take(site.settings)
    if isinstance(given, Trusted):
        return site_settings.read(given.data, site.settings)
    return site_settings.defaults(), ()


def _compiled(home: Home, site: Site, shelf: Library, data: bytes, site_alone: Mapping[str, object]) -> Compiled:
    variables = (*site_settings.ENVIRONMENT, *site_alone["environment"])  # type: ignore[misc]
    compiled = compile_rules(site.rules, data, shelf, variables, _tables(home))
    layout = compiled.options.get("mailboxes", ((), ""))[1]
    settings = (
        dict(site_alone) | {"me": (), "layout": layout} | {name: each for name, (each, _) in compiled.options.items()}
    )
    store = find_store(settings, home)
    plan = Plan(compiled.statements, settings, compiled.files, tuple(shelf.sources.items()), tuple(shelf.globs.items()))
    order = {path: number for number, path in enumerate(compiled.files)}
    found = (*compiled.diagnostics, *_bad_names(plan, store, shelf))
    diagnostics = tuple(sorted(found, key=lambda one: (order.get(one.file, -1), one.line, one.column)))
    whole = not shelf.distrusted and not any([one.severity == "error" for one in diagnostics])
    return Compiled(plan if whole else None, diagnostics, tuple(shelf.distrusted), store, shelf, site_alone)


def _gone(site: Site) -> str:
    if site.required:
        return f"{site.rules} does not exist"
    return f"{site.rules} is gone; if you want no rules, leave an empty file there"


def _tables(home: Home) -> str | None:
    """The folder for the parser's tables, if only the user can write it."""
    try:
        make_private(home.cache)
    except OSError:
        return None
    return home.cache


def _bad_names(plan: Plan, store: Store, shelf: Library) -> tuple[Diagnostic, ...]:
    """Mailbox names that no delivery could use, told where they are written. A value in one is taken for a word."""
    found = []
    for node in plans.actions(plan.statements):
        for template in [name for kind, given in node[3] if kind == "boxes" for name in given]:
            name = (
                template
                if isinstance(template, str)
                else "".join([p if isinstance(p, str) else "value" for p in template])
            )
            problem = name_problem(store, name)
            if problem:
                path = plan.files[node[6]]
                lines = (shelf.read(path) or b"").decode("utf-8", "replace").splitlines()  # type: ignore[union-attr]
                text = lines[node[5] - 1]
                column = max(1, text.find(f'"{name}"') + 1)
                width = len(name) + 2 if column > 1 else len(text)
                found.append(Diagnostic(path, node[5], column, problem, "bad-mailbox", "error", text, width))
    return tuple(found)


def list_problems(plan: Plan, home: Home) -> tuple[Distrust, ...]:
    """The list files that a delivery could not use now: not a mistake in the rules, but mail would wait."""
    lists = {operand[1:] for test in plans.tests(plan.statements) for operand in test[4] if operand[0] == "list"}
    found = [(read_list(home, path), optional) for path, optional in sorted(lists)]
    return tuple(
        [one for one, optional in found if isinstance(one, Distrust) and not (optional and one.kind == "absent")]
    )


def place_problem(store: Store) -> str:
    """Why no mailbox could be written in this store now, or ""."""
    default = locate(store, INBOX)
    if isinstance(default, Status):
        return default.text
    for place in dict.fromkeys((default.path, store.root.rstrip("/"))):
        try:
            if place == default.path and default.format == MBOX:
                from pydeliver.mailbox.mbox import judge

                judge(os.lstat(place))
            else:
                close_quietly(enter_directory(place))
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(place)):
                return f"{place} can't be made: {os.path.dirname(place)} does not exist"
        except OSError as error:
            return f"{place} can't be used: {error.strerror}"
    return ""


def build_plan(home: Home, site: Site, cache: str) -> Plan | Status:
    """The plan for a delivery, compiled when its files have come to rest, and kept for the next one.

    While the user's own rules have a mistake, or are just being written, the last good ones go on sorting.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        made = compile_plan(home, site)
        changing = any([one.kind == "changing" for one in made.distrusted])
        age = time.time() - made.shelf.youngest
        if not changing and not 0 <= age < SETTLED:
            break
        meanwhile = _last_good(home, site, made, "the rules are being written")
        if meanwhile is not None:
            return meanwhile
        if time.monotonic() > deadline:
            return deferred(f"{site.rules} is being written", "4.3.5")
        time.sleep(0.1 if changing else SETTLED - age + 0.01)
    plan = made.plan or _last_good(home, site, made, _told(made)) or _unsorted(home, site, made)
    if plan is None:
        return deferred(_complaint(made), "4.3.5")
    _keep(made, plan, home, site, cache)
    return plan


def _last_good(home: Home, site: Site, made: Compiled, told: str) -> Plan | None:
    """The plan of the last good sources, by today's settings, in place of what was made of today's sources.

    None where a file must not be trusted: who could write it could also have broken it on purpose. And where the
    settings are broken, which the site has to know.
    """
    if not _is_users_mistake(site, made):
        return None
    kept = home.state.kept_rules()
    if site.rules not in kept:
        return None
    good = _compiled(home, site, Kept(home, kept), kept[site.rules], made.settings).plan
    if good is None:  # a newer release, or a new policy
        return None
    sources, globs = tuple(made.shelf.sources.items()), tuple(made.shelf.globs.items())
    used = tuple([(path, plans.content_digest(kept[path])) for path in good.files])
    return Plan(good.statements, good.settings, good.files, sources, globs, told, used)


def _unsorted(home: Home, site: Site, made: Compiled) -> Plan | None:
    """No rules at all, where the site wants mail kept rather than waiting."""
    if made.settings["broken-rules"] != "keep" or not _is_users_mistake(site, made):
        return None
    settings = {**made.settings, "me": (), "layout": ""}
    sources, globs = tuple(made.shelf.sources.items()), tuple(made.shelf.globs.items())
    return Plan((), settings, (), sources, globs, _told(made))


def _is_users_mistake(site: Site, made: Compiled) -> bool:
    """Whether it is the content of the user's own rules, and nothing else, that is wrong or still changing."""
    safe = all([one.kind in ("absent", "changing") and one.path != site.settings for one in made.distrusted])
    return safe and not site.required and not any([one.file == site.settings for one in made.diagnostics])


def _told(made: Compiled) -> str:
    """All that is wrong, for the user: the first line alone says the most."""
    found = [one.text for one in made.distrusted]
    found += [described(one) for one in made.diagnostics if one.severity == "error"]
    return "\n".join([_complaint(made), "", *found]) if found else ""


def _complaint(made: Compiled) -> str:
    """The first thing that is wrong, in one line."""
    for distrust in made.distrusted:
        return distrust.text
    first = next(one for one in made.diagnostics if one.severity == "error")
    return f"{first.file}:{first.line}: {first.message}"


def _keep(made: Compiled, plan: Plan, home: Home, site: Site, cache: str) -> None:
    """Keep the plan for the next delivery and its sources for later questions. What fails costs time, not mail."""
    try:
        if not plan.broken:
            for path in plan.files:
                digest = made.shelf.sources[path]
                if digest:
                    home.state.keep_rules(digest, made.shelf.contents[digest])
            if plan.sources[1][1] and not site.required:
                home.state.keep_names([(path, made.shelf.sources[path]) for path in plan.files])
            home.state.forget_notices()
        make_private(home.cache)
        write_atomic(cache, plans.encode(plan), sync=False)
    except OSError:
        return
