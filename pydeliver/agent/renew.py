"""A new plan for a delivery, when no cached one fits.

Owns the waiting for a file that is still being written, the last good rules that stand in for those with a mistake,
and keeping what was made: the plan in the cache, the sources by digest in the state directory. What is wrong with the
user's files is told to him; what is wrong with the site's goes to syslog.
"""

from __future__ import annotations

import os
import time

from pydeliver import plan as plans
from pydeliver.agent.build import (
    SITE_RULES,
    Compiled,
    Faults,
    Library,
    Parts,
    compile_plan,
    compiled,
    is_glob,
    judge_of,
    site_part,
    user_part,
)
from pydeliver.agent.policy import site_refusal
from pydeliver.agent.rules import SETTLED, Shelf
from pydeliver.language.load import Part
from pydeliver.language.mistakes import described
from pydeliver.memory import NAMES, SITE_NAMES, tell_syslog
from pydeliver.plan import Plan
from pydeliver.status import Status, deferred
from pydeliver.system.disk import make_private, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydeliver.agent.rules import Home, Side, Site

PATIENCE = 10.0  # for how long a delivery waits for it
BEING_WRITTEN = "the rules are being written"


class Kept(Library):
    """The last good rules as the language reads them: what they were then, below the names that they had."""

    def __init__(self, home: Home, shelf: Shelf, side: Side, files: Mapping[str, bytes]) -> None:
        super().__init__(home, shelf, side)
        self.files = files

    def read(self, path: str) -> bytes | None:
        data = self.files.get(path)
        self.shelf.put(path, data, self.side)
        return data

    def find(self, path: str, base: str) -> tuple[str, ...]:
        if not is_glob(path):
            return (self.place(path, base),)
        from fnmatch import fnmatchcase

        pattern = self.pattern(path, base)
        alike = [name for name in self.files if name.count("/") == pattern.count("/")]  # here `*` matches `/` too
        return tuple(sorted([name for name in alike if fnmatchcase(name, pattern)], key=os.fsencode))


def renew_plan(home: Home, site: Site, cache: str) -> Plan | Status:
    """The plan for a delivery, compiled when its files have come to rest, and kept for the next one.

    While rules have a mistake, or are just being written, the last good ones go on sorting.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        made = compile_plan(home, site)
        now = time.time()
        changing = any([one.kind == "changing" for one in (*made.distrusted, *made.site.distrusted)])
        young = [side for side in (made.shelf.user, made.shelf.site) if _is_young(side, now)]
        if not changing and not young:
            break
        meanwhile = stand_in(home, site, made, now, BEING_WRITTEN)
        if meanwhile is not None:
            return meanwhile
        if time.monotonic() > deadline:
            return deferred(f"{site.rules} is being written", "4.3.5")
        time.sleep(0.1 if changing else SETTLED - now + max([side.youngest for side in young]) + 0.01)
    if made.site.some:
        tell_syslog(f"the site's rules are broken: {_first(made.site)}")
    plan = made.plan or stand_in(home, site, made, now)
    if plan is None and made.user.some and made.settings["broken-rules"] == "keep":
        plan = stand_in(home, site, made, now, unsorted=True)
    if plan is None:
        return deferred(_first(made.user) or _first(made.site), "4.3.5")
    _keep(made, plan, home, site, cache)
    return plan


def _is_young(side: Side, now: float) -> bool:
    return 0 <= now - side.youngest < SETTLED


def stand_in(home: Home, site: Site, made: Compiled, now: float, told: str = "", unsorted: bool = False) -> Plan | None:
    """The plan in which the last good sources of each side stand in for today's, where those can't be used.

    By today's settings and policy. None where a file must not be trusted: who could write it could also have broken
    it on purpose. And where the settings are broken, which the site has to know. `now` says which files are too young
    to be used, `told` is said of a plan that stands in for those; `unsorted`: the user's part is empty.
    """
    if not _is_replaceable(site, made):
        return None
    shelf = Shelf(home)
    shelf.settings(site.settings)
    user: Part | None
    if made.user.some or _is_young(made.shelf.user, now):
        user = None if site.required else _kept_user(home, site, shelf, made, unsorted)
    else:
        digest = made.shelf.sources[site.rules]
        shelf.put(site.rules, made.shelf.contents[digest] if digest else None, shelf.user)
        user = user_part(made.shelf.contents[digest], home, site, shelf, made.settings)
    around = _site_parts(home, site, shelf, made, now)
    if user is None or around is None:
        return None
    good = compiled(home, Parts(around[0], user, around[1]), shelf, made.settings).plan
    if good is None:  # a newer release, or a new policy
        return None
    broken = told or _told(made)
    used = tuple([(path, shelf.sources[path]) for path in good.files if shelf.sources[path]])
    sources, globs = tuple(made.shelf.sources.items()), tuple(made.shelf.globs.items())
    sites = tuple(dict.fromkeys((*made.shelf.of_site, *good.site)))
    return Plan(good.statements, good.settings, good.files, sources, globs, broken, used, sites)


def _is_replaceable(site: Site, made: Compiled) -> bool:
    """Whether it is the content of rules, and nothing else, that is wrong or still changing."""
    distrusted = (*made.distrusted, *made.site.distrusted)
    safe = all([one.kind in ("absent", "changing") and one.path != site.settings for one in distrusted])
    return safe and not any([one.file == site.settings for one in made.site.diagnostics])


def _kept_user(home: Home, site: Site, shelf: Shelf, made: Compiled, unsorted: bool) -> Part | None:
    """The user's last good rules, bound by today's policy."""
    files = {} if unsorted else home.state.kept_rules()
    if site.rules not in files and not unsorted:
        return None
    library = Kept(home, shelf, shelf.user, files)
    library.judge = judge_of(home, made.settings)
    return Part(site.rules, library.read(site.rules) or b"", library, library.judge.refusal)


def _site_parts(home: Home, site: Site, shelf: Shelf, made: Compiled, now: float) -> list[tuple[Part, ...]] | None:
    """The site's rule files, before and behind: today's, or all of them as they were when they last were good."""
    if not made.site.some and not _is_young(made.shelf.site, now):
        return [site_part(name, home, site, shelf, made.settings) for name in SITE_RULES]
    files = home.state.kept_rules(SITE_NAMES)
    parts: list[tuple[Part, ...]] = []
    for name in SITE_RULES:
        path = os.path.normpath(made.settings[name]) if made.settings[name] else ""
        if path and path not in files:
            return None
        library = Kept(home, shelf, shelf.site, files)
        parts.append((Part(path, library.read(path) or b"", library, site_refusal, True),) if path else ())
    return parts


def _told(made: Compiled) -> str:
    """All that is wrong, for the user: the first line alone says the most. About the site's files it is one line."""
    if not made.user.some:
        return f"the site's: {_first(made.site)}" if made.site.some else ""
    found = [one.text for one in made.distrusted] + [described(one) for one in made.user.errors]
    return "\n".join([_first(made.user), "", *found])


def _first(faults: Faults) -> str:
    """The first thing that is wrong, in one line."""
    for distrust in faults.distrusted:
        return distrust.text
    for one in faults.errors:
        return f"{one.file}:{one.line}: {one.message}"
    return ""


def _keep(made: Compiled, plan: Plan, home: Home, site: Site, cache: str) -> None:
    """Keep the plan for the next delivery, and the good sources for later ones. What fails costs time, not mail."""
    shelf = made.shelf
    try:
        if not made.user.some:
            lasting = shelf.sources[site.rules] and not site.required
            _keep_sources(shelf, shelf.user.files, home, NAMES if lasting else "")
            home.state.forget_notices()
        if not made.site.some:
            _keep_sources(shelf, [path for path in shelf.site.files if path != site.settings], home, SITE_NAMES)
        make_private(home.cache)
        write_atomic(cache, plans.encode(plan), sync=False)
    except OSError:
        return


def _keep_sources(shelf: Shelf, files: list[str], home: Home, names: str) -> None:
    """Keep files by their digests and, where `names` are given, that these are what one side's rules are made of."""
    digests = {path: shelf.sources[path] for path in files if shelf.sources[path]}
    for digest in digests.values():
        home.state.keep_rules(digest, shelf.contents[digest])
    if digests and names:
        home.state.keep_names(digests.items(), names)
