"""`test`: runs the tests that stand in rule files."""

from __future__ import annotations

import os
import sys
import time

import click

from pydeliver.agent.build import Compiled, compile_plan
from pydeliver.agent.rules import Home
from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.plan import Plan
from pydeliver.workbench import report
from pydeliver.workbench.testing import Result, rule_files
from pydeliver.workbench.testing import run as run_tests

FAILED = 1


@click.command()
@click.argument("files", nargs=-1)
@click.option("-k", "wanted", metavar="TEXT", default="", help="Only the tests with this text in their names.")
@click.option("--junit", metavar="FILE", help="Write the results into a file too, as XML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a test.")
@shell.given((options.CONFIG,))
def test(files: tuple[str, ...], wanted: str, junit: str | None, as_json: bool, config: str | None) -> None:
    """Run the tests that stand in rule files: where would each message go, and is that what was expected?

    FILES are rule files, or directories of them; without any, your rules. Nothing is delivered.

    \b
    Example:
      pydeliver test
      pydeliver test rules/ -k boss --junit results.xml

    Leaves with 1 when a test fails, and with 65 when a rule file has mistakes.
    """
    home = shell.home()
    now = time.time()
    results, broken = [], False
    for made in _compiled(files, home, config):
        if made.plan is None:
            broken = True
            shell.show_mistakes(made)
            continue
        cases = [case for case in made.cases if wanted.casefold() in case.name.casefold()]
        for one in shell.with_progress(run_tests(cases, made.plan, made.store, home, now), "tests"):
            results.append((one, made.plan))
            lines = [report.result_json(one, made.plan)] if as_json else report.result_text(one, made.plan, shell.style)
            click.echo("\n".join(lines))
    failed = len([one for one, _ in results if not one.passed])
    if not as_json and (results or not broken):
        click.echo(shell.counted(len(results), "test") + (f", {failed} failed" if failed else ""))
    if junit is not None:
        _write_junit(junit, results)
    sys.exit(shell.MISTAKES if broken else FAILED if failed else 0)


def _compiled(paths: tuple[str, ...], home: Home, config: str | None) -> list[Compiled]:
    """What became of each rule file; what another file of a directory includes is not judged by itself."""
    if not paths:
        return [compile_plan(home, shell.site(home, None, config))]
    named = {os.path.abspath(path): path == given for given in paths for path in rule_files(given)}
    made = {path: compile_plan(home, shell.site(home, path, config)) for path in named}
    plans = [(path, one.plan) for path, one in made.items() if one.plan is not None]
    included = {file for path, plan in plans for file in plan.files if file != path}
    return [one for path, one in made.items() if named[path] or path not in included]


def _write_junit(path: str, results: list[tuple[Result, Plan]]) -> None:
    from pydeliver.workbench.junit import junit  # an XML library that nothing else needs

    try:
        with open(path, "wb") as file:
            file.write(junit(results))
    except OSError as error:
        shell.unusable(path, error)
