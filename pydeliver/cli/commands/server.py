"""`launcher`, and what `deliver --help` shows: how a mail server starts pydeliver."""

from __future__ import annotations

import os
import sys

import click

from pydeliver.cli import launcher as launchers
from pydeliver.cli import options
from pydeliver.cli.commands import shell


@click.command()
@shell.given(options.DELIVER)
def deliver(**_values: object) -> None:
    """Deliver the message on stdin, as a mail server does.

    \b
    Example:
      pydeliver deliver -f jo@example.org -r you+shop@example.net < message

    Leaves with 0 (stored), 75 (try again) or 77 (refused by a rule) and no other code; says something only on failure.
    Takes procmail's forms too: -d user, -a detail, -m FILE, NAME=value as arg.NAME.
    """


@click.command()
@click.argument("path")
@shell.given((options.CONFIG,))
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
        sys.exit(shell.NO_INPUT)
    click.echo(f"wrote {path}\n\nPostfix: postconf -e 'mailbox_command = {os.path.abspath(path)} -a \"$EXTENSION\"'")
