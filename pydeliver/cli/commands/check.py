"""`check`: finds every mistake in the rules, and says what it judged."""

from __future__ import annotations

import math
import sys
from collections import Counter

import click

from pydeliver.agent.build import Compiled, Faults, compile_plan, list_problems, place_problem
from pydeliver.agent.renew import stand_in
from pydeliver.agent.rules import Home, Site
from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.system.privilege import home_problem
from pydeliver.workbench import report


@click.command()
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Warnings count as mistakes.")
@shell.given((options.RULES, options.CONFIG))
def check(file: str | None, strict: bool, rules: str | None, config: str | None) -> None:
    """Find every mistake in the rules, with its place and what was probably meant.

    \b
    Example:
      pydeliver check
      pydeliver check new.rules --strict

    Judges the files as a delivery would, permissions included, and says which files, home and mailboxes it took.
    Leaves with 65 when there are mistakes in your files, or when mail would wait for another reason. What is wrong
    with the site's rules is said too, but is no mistake of yours.
    """
    home = shell.home()
    site = shell.site(home, file or rules, config)
    made = compile_plan(home, site)
    distrusted = (*made.distrusted, *(list_problems(made.plan, home) if made.plan else ()))
    _show_facts(made, home)
    for faults in (made.site, Faults(made.diagnostics, distrusted)):
        for distrust in faults.distrusted:
            click.echo(report.distrust_text(distrust, shell.style))
        for found in faults.diagnostics:
            click.echo(report.diagnostic_text(found, shell.style))
    waits = "" if distrusted else _why_mail_waits(made, home) or _why_the_sites_rules_make_it_wait(made, home, site)
    if waits:
        click.echo(shell.style(f"mail would wait: {waits}", "error"))
    told = [one.text for one in distrusted]  # an included file that must not be used is told as such, and counted once
    kinds = Counter([found.severity for found in made.diagnostics if found.message not in told])
    errors = kinds["error"] + len(distrusted) + bool(waits)
    click.echo(
        shell.counted(errors, "mistake")
        + (f", {shell.counted(kinds['warning'], 'warning')}" if kinds["warning"] else "")
    )
    sys.exit(shell.MISTAKES if errors or (strict and kinds["warning"]) else 0)


def _why_mail_waits(made: Compiled, home: Home) -> str:
    """What no rule can help: the home, or where the mailboxes are."""
    problem = home_problem(home.path, home.uid)
    return place_problem(made.store) if problem is None else problem.text


def _why_the_sites_rules_make_it_wait(made: Compiled, home: Home, site: Site) -> str:
    """What the site has to mend, unless the rules that it had before go on sorting meanwhile."""
    if not made.site.some:
        return ""
    if stand_in(home, site, made, math.inf) is not None:
        click.echo("the site's rules have a mistake; meanwhile they hold as they were before")
        return ""
    return "the site's settings or rules have a mistake"


def _show_facts(made: Compiled, home: Home) -> None:
    """What `check` judged."""
    files = [path for path, digest in made.shelf.sources.items() if digest]
    sites = [path for path in files if path in made.shelf.of_site]
    own = [path for path in files if path not in sites]
    facts = [("home", home.path), *[("site", path) for path in sites], *[("file", path) for path in own]]
    if not own and not made.distrusted:
        what = "the site's rules alone sort" if len(sites) > 1 else "all mail is kept"
        facts.append(("file", f"none: {what} (`pydeliver init` writes {home.rules})"))
    facts += [
        ("mailboxes", f"{made.store.root} ({made.store.layout})"),
        ("default", made.store.default.rstrip("/")),
    ]
    if made.plan is not None:
        facts.append(("me", ", ".join(made.plan.settings["me"]) or "the addresses that mail is sent to"))
    for name, value in facts:
        click.echo(f"{shell.style(f'{name:10}', 'title')} {value}")
