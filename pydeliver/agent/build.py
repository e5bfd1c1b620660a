"""Rules made into a plan anew, from the files as they are: what `check` does always, and a delivery by `renew`.

Owns which files those are and whose (the site's before and behind the user's), and the diagnostics that need more
than the text: the mailboxes' names, the site's policy.
"""

from __future__ import annotations

import os

from pydeliver import plan as plans
from pydeliver import settings as site_settings
from pydeliver.agent.policy import POLICIES, Judge, site_refusal
from pydeliver.agent.rules import Shelf, find_store, matching, read_list
from pydeliver.language.grammar import is_at_hand
from pydeliver.language.load import Part, compile_parts
from pydeliver.mailbox.names import INBOX, MBOX, Store, locate, name_problem
from pydeliver.plan import Plan
from pydeliver.status import Diagnostic, Status, Value
from pydeliver.system.disk import Distrust, Trusted, close_quietly, enter_directory, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pydeliver.agent.rules import Home, Side, Site
    from pydeliver.language.cases import Case

SITE_RULES = ("rules.before", "rules.after")  # the settings that name a file


class Library:
    """The shelf as the language reads it: for the files of one side, noting what was looked for."""

    def __init__(self, home: Home, shelf: Shelf, side: Side, judge: Judge | None = None, size: int = 0) -> None:
        self.home = home
        self.shelf = shelf
        self.side = side
        self.judge = judge
        self.size = size  # of what was read, in bytes

    def read(self, path: str) -> bytes | str | None:
        if os.path.isdir(path):
            self.shelf.put(path, None, self.side)
            return f'{path} is a directory: write "{os.path.basename(path)}/*.rules"'
        found = self.shelf.take(path, self.side)
        if isinstance(found, Distrust):
            return None if found.kind == "absent" else found.text
        self.size += len(found.data)
        return (self.judge.too_large(self.size) if self.judge else "") or found.data

    def find(self, path: str, base: str) -> tuple[str, ...]:
        if not is_glob(path):
            return (self.place(path, base),)
        pattern = self.pattern(path, base)
        self.shelf.globs[pattern] = matching(pattern)
        return self.shelf.globs[pattern]

    def place(self, path: str, base: str) -> str:
        """Where a path leads that is written in the file `base`."""
        whole = self.home.expand(path)
        return os.path.normpath(whole if whole.startswith("/") else f"{os.path.dirname(base)}/{whole}")

    def pattern(self, path: str, base: str) -> str:
        """The same for a glob: what was not written in the file is no pattern, whatever the home is called."""
        from glob import escape

        if path.startswith("~/"):
            return os.path.normpath(f"{escape(self.home.path)}/{path[2:]}")
        return os.path.normpath(path if path.startswith("/") else f"{escape(os.path.dirname(base))}/{path}")


def is_glob(path: str) -> bool:
    return any([character in path for character in "*?["])


class Faults(Value):
    """What is wrong with the files of one side, or doubtful."""

    diagnostics: tuple[Diagnostic, ...] = ()
    distrusted: tuple[Distrust, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple([one for one in self.diagnostics if one.severity == "error"])

    @property
    def some(self) -> bool:
        return bool(self.distrusted or self.errors)


class Compiled(Value):
    """What became of a user's rules: a plan when nothing is wrong, and all that there is to say about them.

    `diagnostics` and `distrusted` are about the user's files, `site` is about those that are none of his: the site's
    settings and rules. `settings` are the site's alone, `cases` the rule tests in the user's files.
    """

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    distrusted: tuple[Distrust, ...]
    store: Store
    shelf: Shelf
    settings: Mapping[str, Any]
    cases: tuple[Case, ...] = ()
    site: Faults = Faults()

    @property
    def user(self) -> Faults:
        return Faults(self.diagnostics, self.distrusted)


class Parts(Value):
    """The rule files to compile, in the order in which they run: the site's, the user's, the site's."""

    before: tuple[Part, ...]
    user: Part
    after: tuple[Part, ...]

    @property
    def all(self) -> tuple[Part, ...]:
        return (*self.before, self.user, *self.after)


def compile_plan(home: Home, site: Site) -> Compiled:
    """Make the plan from the files as they are now."""
    shelf = Shelf(home)
    settings, mistakes = _settings(shelf, site)
    main = shelf.take(site.rules, shelf.user)
    before, after = [site_part(name, home, site, shelf, settings) for name in SITE_RULES]
    if isinstance(main, Distrust) and main.kind == "absent" and (site.required or home.state.has_rules()):
        shelf.user.distrusted.append(Distrust(site.rules, "absent", _gone(site)))
    user = user_part(main.data if isinstance(main, Trusted) else b"", home, site, shelf, settings)
    return compiled(home, Parts(before, user, after), shelf, settings, mistakes)


def _settings(shelf: Shelf, site: Site) -> tuple[Mapping[str, Any], tuple[Diagnostic, ...]]:
    given = shelf.settings(site.settings)
    if isinstance(given, Trusted):
        return site_settings.read(given.data, site.settings)
    return site_settings.defaults(), ()


def user_part(data: bytes, home: Home, site: Site, shelf: Shelf, settings: Mapping[str, Any]) -> Part:
    """The user's rules, bound by the site's policy; a file of the site's own, named, by what binds those."""
    if is_sites_own(site, settings):
        return Part(site.rules, data, Library(home, shelf, shelf.user), site_refusal)
    judge = judge_of(home, settings)
    return Part(site.rules, data, Library(home, shelf, shelf.user, judge, len(data)), judge.refusal)


def site_part(name: str, home: Home, site: Site, shelf: Shelf, settings: Mapping[str, Any]) -> tuple[Part, ...]:
    """The site's rule file that a setting names, if it names one; one that can't be read is noted on the shelf."""
    if not settings[name] or is_sites_own(site, settings):
        return ()
    path = os.path.normpath(settings[name])
    found = shelf.take(path, shelf.site)
    if isinstance(found, Trusted):
        return (Part(path, found.data, Library(home, shelf, shelf.site), site_refusal, True),)
    if found.kind == "absent":
        shelf.site.distrusted.append(found)
    return ()


def is_sites_own(site: Site, settings: Mapping[str, Any]) -> bool:
    """Whether the rule file to judge is one that runs before or behind the user's: then it is judged alone."""
    return os.path.normpath(site.rules) in [os.path.normpath(settings[name]) for name in SITE_RULES if settings[name]]


def judge_of(home: Home, settings: Mapping[str, Any]) -> Judge:
    """The site's policy for this user; his mailboxes are where they would be if he set nothing."""
    return Judge(POLICIES[settings["policy"]], home, find_store({**settings, "layout": ""}, home))


def compiled(
    home: Home,
    parts: Parts,
    shelf: Shelf,
    site_alone: Mapping[str, Any],
    mistakes: tuple[Diagnostic, ...] = (),
) -> Compiled:
    """Compile what was taken from the shelf; `mistakes` are those in the site's settings."""
    variables = (*site_settings.ENVIRONMENT, *site_alone["environment"])
    made = compile_parts(parts.all, variables, _tables(home))
    layout = made.options.get("mailboxes", ((), ""))[1]
    settings = (
        dict(site_alone) | {"me": (), "layout": layout} | {name: each for name, (each, _) in made.options.items()}
    )
    store = find_store(settings, home)
    sources, globs = tuple(shelf.sources.items()), tuple(shelf.globs.items())
    plan = Plan(made.statements, settings, made.files, sources, globs, site=shelf.of_site)
    found = (*made.diagnostics, *_bad_names(plan, store, shelf), *_unbelieved(plan, shelf))
    found += _beyond_limits(plan, parts.user, shelf)
    order = {path: number for number, path in enumerate(made.files)}
    ordered = sorted(found, key=lambda one: (order.get(one.file, -1), one.line, one.column))
    of_site = tuple([one for one in ordered if one.file in made.site and one.severity == "error"])
    site = Faults((*mistakes, *of_site), tuple(shelf.site.distrusted))
    user = Faults(tuple([one for one in ordered if one.file not in made.site]), tuple(shelf.user.distrusted))
    whole = None if user.some or site.some else plan
    return Compiled(whole, user.diagnostics, user.distrusted, store, shelf, site_alone, made.cases, site)


def _gone(site: Site) -> str:
    if site.required:
        return f"{site.rules} does not exist"
    return f"{site.rules} is gone; if you want no rules, leave an empty file there"


def _tables(home: Home) -> str | None:
    """The folder for the parser's tables, if only the user can write it; none where they are at hand."""
    if is_at_hand():
        return None
    try:
        make_private(home.cache)
    except OSError:
        return None
    return home.cache


def _bad_names(plan: Plan, store: Store, shelf: Shelf) -> tuple[Diagnostic, ...]:
    """Mailbox names that no delivery could use, told where they are written. A value in one is taken for a word."""
    named = [
        (name, node)
        for node in plans.actions(plan.statements)
        for kind, given in node[3]
        if kind == "boxes"
        for name in given
    ]
    named += [(node[1][2], node) for node in plans.tests(plan.statements) if node[1][1] == "mailbox"]
    found = []
    for template, node in named:
        name = (
            template if isinstance(template, str) else "".join([p if isinstance(p, str) else "value" for p in template])
        )
        problem = name_problem(store, name)
        if problem:
            found.append(_told_at(node, plan, shelf, f'"{name}"', problem, "bad-mailbox", "error"))
    return tuple(found)


def _beyond_limits(plan: Plan, part: Part, shelf: Shelf) -> tuple[Diagnostic, ...]:
    """Where the user's rules are more, or would do more, than the site allows."""
    judge = part.library.judge if isinstance(part.library, Library) else None
    if judge is None:
        return ()
    found = []
    said = judge.too_large(len(part.data))
    if said:
        found.append(Diagnostic(part.path, 1, 1, said, "policy"))
    users = tuple([node for node in plan.statements if plan.files[node[-1 if node[0] == "if" else 6]] not in plan.site])
    excess = judge.too_many(users)
    if excess is not None:
        found.append(_told_at(excess[0], plan, shelf, excess[0][7], excess[1], "policy", "error"))
    return tuple(found)


def _unbelieved(plan: Plan, shelf: Shelf) -> tuple[Diagnostic, ...]:
    """Tests of auth.spf and the like, where the site names no server whose results they could be."""
    if plan.settings["authserv-id"]:
        return ()
    said = "the site's settings name no authserv-id, so no result of SPF, DKIM or DMARC is believed here"
    return tuple(
        [
            _told_at(node, plan, shelf, node[1][1], said, "no-authserv-id", "warning")
            for node in plans.tests(plan.statements)
            if node[1][1].startswith("auth.")
        ]
    )


def _told_at(
    node: plans.Node, plan: Plan, shelf: Shelf, written: str, message: str, name: str, severity: str
) -> Diagnostic:
    """A diagnostic about what is `written` in the line of a test or an action."""
    line, number = node[5:7]
    path = plan.files[number]
    text = shelf.contents[shelf.sources[path]].decode("utf-8", "replace").splitlines()[line - 1]
    column = text.find(written) + 1
    width = len(written) if column else len(text)
    return Diagnostic(path, line, column or 1, message, name, severity, text, width)


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
