"""What a command at the shell needs: home, site, options, styles, progress, exit codes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

from pydeliver.agent.build import Compiled
from pydeliver.agent.rules import Home, Site, find_home
from pydeliver.cli import options
from pydeliver.cli.door import Arguments
from pydeliver.settings import DEFAULT_PATH
from pydeliver.status import Status
from pydeliver.workbench import report

USAGE, MISTAKES, NO_INPUT = 64, 65, 66
_COLOURS = {"place": "bright_black", "error": "red", "warning": "yellow", "decision": "green", "title": "cyan"}


def style(text: str, kind: str) -> str:
    return click.style(text, fg=_COLOURS[kind]) if kind in _COLOURS else text


def given(table: tuple[options.Option, ...]) -> Callable[[Any], Any]:
    """Options of the table as click has them."""

    def decorate(command: Any) -> Any:
        for option in reversed(table):
            command = click.option(
                *option.flags, option.name, metavar=option.metavar, multiple=option.repeated, help=option.about
            )(command)
        return command

    return decorate


def counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def refuse(made: Compiled) -> NoReturn:
    """Say what is wrong with the rules, and leave."""
    show_mistakes(made)
    sys.exit(MISTAKES)


def show_mistakes(made: Compiled) -> None:
    for faults in (made.site, made.user):
        for distrust in faults.distrusted:
            click.echo(report.distrust_text(distrust, style), err=True)
        for found in faults.diagnostics:
            click.echo(report.diagnostic_text(found, style), err=True)


def with_progress(found: Any, what: str = "messages", beside_answers: bool = True) -> Any:
    """Show on a terminal how many there were; where answers are shown all along, only if these go elsewhere."""
    shown = sys.stderr.isatty() and not (beside_answers and sys.stdout.isatty())
    number = 0
    for number, one in enumerate(found, 1):
        if shown and number % 200 == 0:
            click.echo(f"\r{number:,} {what}", err=True, nl=False)
        yield one
    if shown and number >= 200:
        click.echo(f"\r{number:,} {what}", err=True)


def home() -> Home:
    found = find_home(os.environ.get("HOME"))
    if isinstance(found, Status):
        click.echo(found.text, err=True)
        sys.exit(NO_INPUT)
    return found


def site(home: Home, rules: str | None, config: str | None) -> Site:
    return Site(
        os.path.abspath(rules) if rules else home.rules, os.path.abspath(config or DEFAULT_PATH), rules is not None
    )


def arguments(values: dict[str, Any]) -> Arguments:
    """What click read, as the door reads it."""
    read = {
        name: list(value) if isinstance(value, tuple) else [value]
        for name, value in values.items()
        if value is not None
    }
    return Arguments(read, ())


def usage(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(USAGE)


def unusable(path: str, error: OSError) -> NoReturn:
    """Say which file can't be read or written and why, and leave."""
    click.echo(f"{path}: {error.strerror or error}", err=True)
    sys.exit(NO_INPUT)


@contextmanager
def stdin_file() -> Generator[IO[bytes]]:
    """All that comes on stdin, in a file that has no name and goes with this process. Raises OSError."""
    with open(0, "rb", closefd=False) as stdin, tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stdin, file)
        file.seek(0)
        yield file
