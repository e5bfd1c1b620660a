"""`init` and `help`: how one begins."""

from __future__ import annotations

import os
import sys

import click

from pydeliver.cli import manual
from pydeliver.cli.commands import shell


@click.command()
def init() -> None:
    """Write a first rule file, explained, where none is yet.

    \b
    Example:
      pydeliver init
    """
    home = shell.home()
    if os.path.lexists(home.rules):
        click.echo(f"{home.rules} is there already; nothing was changed")
        return
    manual.write_first_rules(home)
    click.echo(f"wrote {home.rules}\n")
    click.echo("Next: `pydeliver check` judges it, `pydeliver try ~/Maildir` shows where mail would go,")
    click.echo("and `pydeliver help postfix` tells your mail server.")


@click.command("help")
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
        sys.exit(shell.USAGE)
    click.echo_via_pager(text) if sys.stdout.isatty() and text.count("\n") > 40 else click.echo(text.rstrip("\n"))
