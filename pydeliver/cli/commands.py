"""The commands for people: check, try, test, fmt, init, help, launcher. Built by click from the table in `options`.

Exit codes: 0 fine; 65 mistakes in the rules; 1 `fmt --check` found something to change, or a rule test failed; 64 a
wrong command line; 66 a file that can't be read. `deliver` is not here: it never goes through click.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

import click

from pydeliver import __version__
from pydeliver.agent.build import Compiled, Faults, compile_plan, list_problems, place_problem
from pydeliver.agent.renew import stand_in
from pydeliver.agent.rules import Home, Site, find_home
from pydeliver.cli import launcher as launchers
from pydeliver.cli import manual, options
from pydeliver.cli.door import Arguments, make_envelope
from pydeliver.mail.date import seconds
from pydeliver.plan import Plan
from pydeliver.settings import DEFAULT_PATH
from pydeliver.status import Status
from pydeliver.system.privilege import home_problem
from pydeliver.workbench import report
from pydeliver.workbench.rehearse import messages as read_messages
from pydeliver.workbench.rehearse import rehearse
from pydeliver.workbench.testing import Result, rule_files
from pydeliver.workbench.testing import run as run_tests

USAGE, MISTAKES, NO_INPUT, DIFFERS, FAILED = 64, 65, 66, 1, 1
_COLOURS = {"place": "bright_black", "error": "red", "warning": "yellow", "decision": "green", "title": "cyan"}


def _style(text: str, kind: str) -> str:
    return click.style(text, fg=_COLOURS[kind]) if kind in _COLOURS else text


def _given(table: tuple[options.Option, ...]) -> Callable[[Any], Any]:
    """Options of the table as click has them."""

    def decorate(command: Any) -> Any:
        for option in reversed(table):
            command = click.option(
                *option.flags, option.name, metavar=option.metavar, multiple=option.repeated, help=option.about
            )(command)
        return command

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="pydeliver %(version)s")
def commands() -> None:
    """Sort mail by rules that people can read aloud.

    A mail server runs `pydeliver deliver`, with the message on stdin; the other commands are for you.
    """


@commands.command()
@_given(options.DELIVER)
def deliver(**_values: object) -> None:
    """Deliver the message on stdin, as a mail server does.

    \b
    Example:
      pydeliver deliver -f jo@example.org -r you+shop@example.net < message

    Leaves with 0 (stored), 75 (try again) or 77 (refused by a rule) and no other code; says something only on failure.
    Takes procmail's forms too: -d user, -a detail, -m FILE, NAME=value as arg.NAME.
    """


@commands.command()
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Warnings count as mistakes.")
@_given((options.RULES, options.CONFIG))
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
    home = _home()
    site = _site(home, file or rules, config)
    made = compile_plan(home, site)
    distrusted = (*made.distrusted, *(list_problems(made.plan, home) if made.plan else ()))
    _show_facts(made, home)
    for faults in (made.site, Faults(made.diagnostics, distrusted)):
        for distrust in faults.distrusted:
            click.echo(report.distrust_text(distrust, _style))
        for found in faults.diagnostics:
            click.echo(report.diagnostic_text(found, _style))
    waits = "" if distrusted else _why_mail_waits(made, home) or _why_the_sites_rules_make_it_wait(made, home, site)
    if waits:
        click.echo(_style(f"mail would wait: {waits}", "error"))
    told = [one.text for one in distrusted]  # an included file that must not be used is told as such, and counted once
    kinds = Counter([found.severity for found in made.diagnostics if found.message not in told])
    errors = kinds["error"] + len(distrusted) + bool(waits)
    click.echo(_counted(errors, "mistake") + (f", {_counted(kinds['warning'], 'warning')}" if kinds["warning"] else ""))
    sys.exit(MISTAKES if errors or (strict and kinds["warning"]) else 0)


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


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


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
        click.echo(f"{_style(f'{name:10}', 'title')} {value}")


@commands.command("try")
@click.argument("messages", nargs=-1)
@click.option("-v", "--verbose", is_flag=True, help="Show every condition and what it answered.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@click.option("--subfolders", is_flag=True, help="Take a Maildir's folders too.")
@_given(options.REHEARSE)
def try_(messages: tuple[str, ...], verbose: bool, as_json: bool, subfolders: bool, **values: Any) -> None:
    """Say where messages would go, and by which rule. Nothing is delivered, nothing is written.

    MESSAGES are files, Maildirs, mboxes, or - for stdin.

    \b
    Example:
      pydeliver try message.eml -v
      pydeliver try ~/Maildir --json
    """
    home = _home()
    made = compile_plan(home, _site(home, values["rules"], values["config"]))
    if made.plan is None:
        _refuse(made)
    envelope = make_envelope(_arguments(values), {}, home.user, "try", complete=False)
    if isinstance(envelope, Status):
        _usage(envelope.text)
    now = _moment(values["now"]) if values["now"] else time.time()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    sums = report.Sum(Counter())
    found = _entries(messages or ("-",), subfolders)
    for one in _with_progress(rehearse(made.plan, made.store, home, envelope, found, now)):
        sums.add(one)
        if as_json:
            click.echo(report.decision_json(one, made.plan, verbose))
            continue
        click.echo(report.decision_text(one, made.plan, _style, width))
        if verbose:
            for line in report.trace_text(one, made.plan, _style):
                click.echo(line)
    if sums.messages > 1 and not as_json:
        click.echo()
        for line in sums.lines():
            click.echo(line)


@commands.command()
@click.argument("files", nargs=-1)
@click.option("-k", "wanted", metavar="TEXT", default="", help="Only the tests with this text in their names.")
@click.option("--junit", metavar="FILE", help="Write the results into a file too, as XML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a test.")
@_given((options.CONFIG,))
def test(files: tuple[str, ...], wanted: str, junit: str | None, as_json: bool, config: str | None) -> None:
    """Run the tests that stand in rule files: where would each message go, and is that what was expected?

    FILES are rule files, or directories of them; without any, your rules. Nothing is delivered.

    \b
    Example:
      pydeliver test
      pydeliver test rules/ -k boss --junit results.xml

    Leaves with 1 when a test fails, and with 65 when a rule file has mistakes.
    """
    home = _home()
    now = time.time()
    results, broken = [], False
    for made in _compiled(files, home, config):
        if made.plan is None:
            broken = True
            _show_mistakes(made)
            continue
        cases = [case for case in made.cases if wanted.casefold() in case.name.casefold()]
        for one in _with_progress(run_tests(cases, made.plan, made.store, home, now), "tests"):
            results.append((one, made.plan))
            lines = [report.result_json(one, made.plan)] if as_json else report.result_text(one, made.plan, _style)
            click.echo("\n".join(lines))
    failed = len([one for one, _ in results if not one.passed])
    if not as_json and (results or not broken):
        click.echo(_counted(len(results), "test") + (f", {failed} failed" if failed else ""))
    if junit is not None:
        _write_junit(junit, results)
    sys.exit(MISTAKES if broken else FAILED if failed else 0)


def _compiled(paths: tuple[str, ...], home: Home, config: str | None) -> list[Compiled]:
    """What became of each rule file; what another file of a directory includes is not judged by itself."""
    if not paths:
        return [compile_plan(home, _site(home, None, config))]
    named = {os.path.abspath(path): path == given for given in paths for path in rule_files(given)}
    made = {path: compile_plan(home, _site(home, path, config)) for path in named}
    plans = [(path, one.plan) for path, one in made.items() if one.plan is not None]
    included = {file for path, plan in plans for file in plan.files if file != path}
    return [one for path, one in made.items() if named[path] or path not in included]


def _write_junit(path: str, results: list[tuple[Result, Plan]]) -> None:
    from pydeliver.workbench.junit import junit  # an XML library that nothing else needs

    try:
        with open(path, "wb") as file:
            file.write(junit(results))
    except OSError as error:
        click.echo(f"{path}: {error.strerror}", err=True)
        sys.exit(NO_INPUT)


def _refuse(made: Compiled) -> NoReturn:
    """Say what is wrong with the rules, and leave."""
    _show_mistakes(made)
    sys.exit(MISTAKES)


def _show_mistakes(made: Compiled) -> None:
    for faults in (made.site, made.user):
        for distrust in faults.distrusted:
            click.echo(report.distrust_text(distrust, _style), err=True)
        for found in faults.diagnostics:
            click.echo(report.diagnostic_text(found, _style), err=True)


def _entries(messages: tuple[str, ...], subfolders: bool) -> Any:
    for path in messages:
        try:
            yield from read_messages(path, subfolders, sys.stdin.buffer)
        except OSError as error:
            click.echo(f"{path}: {error.strerror}", err=True)
            sys.exit(NO_INPUT)


def _with_progress(found: Any, what: str = "messages") -> Any:
    """Show on a terminal how many were judged, where the answers go elsewhere."""
    shown = sys.stderr.isatty() and not sys.stdout.isatty()
    number = 0
    for number, one in enumerate(found, 1):
        if shown and number % 200 == 0:
            click.echo(f"\r{number:,} {what}", err=True, nl=False)
        yield one
    if shown and number >= 200:
        click.echo(f"\r{number:,} {what}", err=True)


@commands.command()
@click.argument("files", nargs=-1)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; leave with 1 if something would change.")
def fmt(files: tuple[str, ...], only_check: bool) -> None:
    """Put rule files into the canonical form; comments stay. With -, from stdin to stdout.

    \b
    Example:
      pydeliver fmt
      pydeliver fmt --check rules/*.rules
    """
    differ = False
    for path in files or (_home().rules,):
        differ = _format(path, only_check) or differ
    sys.exit(DIFFERS if only_check and differ else 0)


def _format(path: str, only_check: bool) -> bool:
    """Format one file; True if it was not in the canonical form."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        click.echo(f"{path}: {error.strerror}", err=True)
        sys.exit(NO_INPUT)
    made, mistakes = manual.formatted(data, path)
    if mistakes:
        for found in mistakes:
            click.echo(report.diagnostic_text(found, _style), err=True)
        sys.exit(MISTAKES)
    if path == "-" and not only_check:
        sys.stdout.write(made)
        return False
    differs = made.encode() != data
    if differs:
        click.echo(f"{path}: {'not in the canonical form' if only_check else 'formatted'}")
        if not only_check:
            manual.replace(path, made.encode())
    return differs


@commands.command()
def init() -> None:
    """Write a first rule file, explained, where none is yet.

    \b
    Example:
      pydeliver init
    """
    home = _home()
    if os.path.lexists(home.rules):
        click.echo(f"{home.rules} is there already; nothing was changed")
        return
    manual.write_first_rules(home)
    click.echo(f"wrote {home.rules}\n")
    click.echo("Next: `pydeliver check` judges it, `pydeliver try ~/Maildir` shows where mail would go,")
    click.echo("and `pydeliver help postfix` tells your mail server.")


@commands.command("help")
@click.argument("topic", nargs=-1)
def help_(topic: tuple[str, ...]) -> None:
    """Show the manual: its topics, one of them, or one word of the language.

    \b
    Example:
      pydeliver help language
      pydeliver help from
      pydeliver help starts with
    """
    asked = " ".join(topic)
    text = manual.page(asked) if asked else manual.overview()
    if text is None:
        click.echo(f"the manual has no topic or word {asked}{manual.near(asked)}", err=True)
        sys.exit(USAGE)
    click.echo_via_pager(text) if sys.stdout.isatty() and text.count("\n") > 40 else click.echo(text.rstrip("\n"))


@commands.command()
@click.argument("path")
@_given((options.CONFIG,))
def launcher(path: str, config: str | None) -> None:
    """Write the script that a mail server runs: it leaves with 0, 75 or 77 even when Python itself is broken.

    \b
    Example:
      pydeliver launcher /usr/local/bin/pydeliver-mda
    """
    try:
        launchers.install(path, config)
    except (OSError, ValueError) as error:
        click.echo(f"{path}: {error}", err=True)
        sys.exit(NO_INPUT)
    click.echo(f"wrote {path}\n\nPostfix: postconf -e 'mailbox_command = {os.path.abspath(path)} -a \"$EXTENSION\"'")


# -- what the commands share --


def _home() -> Home:
    home = find_home(os.environ.get("HOME"))
    if isinstance(home, Status):
        click.echo(home.text, err=True)
        sys.exit(NO_INPUT)
    return home


def _site(home: Home, rules: str | None, config: str | None) -> Site:
    return Site(
        os.path.abspath(rules) if rules else home.rules, os.path.abspath(config or DEFAULT_PATH), rules is not None
    )


def _arguments(values: dict[str, Any]) -> Arguments:
    """What click read, as the door reads it."""
    given = {
        name: list(value) if isinstance(value, tuple) else [value]
        for name, value in values.items()
        if value is not None
    }
    return Arguments(given, ())


def _moment(text: str) -> float:
    """`--now` as seconds since the epoch, in this host's zone."""
    read = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d))?", text)
    if read is None:
        _usage(f"--now takes 2026-12-24 or 2026-12-24T18:00, not {text}")
    year, month, day, hour, minute = [int(part or 0) for part in read.groups()]
    try:
        return time.mktime((year, month, day, hour, minute, 0, 0, 0, -1))
    except (ValueError, OverflowError):
        return seconds(year, month, day, hour * 60 + minute)


def _usage(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(USAGE)


def run() -> NoReturn:
    """Run the command of this process; a wrong command line leaves with 64."""
    try:
        result = commands.main(prog_name="pydeliver", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read along has seen enough
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)
