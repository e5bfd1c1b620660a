"""`fmt`: puts rule files into the canonical form."""

from __future__ import annotations

import sys

import click

from pydeliver.cli import manual
from pydeliver.cli.commands import shell
from pydeliver.workbench import report

DIFFERS = 1


@click.command()
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
    for path in files or (shell.home().rules,):
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
        shell.unusable(path, error)
    made, mistakes = manual.formatted(data, path)
    if mistakes:
        for found in mistakes:
            click.echo(report.diagnostic_text(found, shell.style), err=True)
        sys.exit(shell.MISTAKES)
    if path == "-" and not only_check:
        sys.stdout.write(made)
        return False
    differs = made.encode() != data
    if differs:
        click.echo(f"{path}: {'not in the canonical form' if only_check else 'formatted'}")
        if not only_check:
            manual.replace(path, made.encode())
    return differs
