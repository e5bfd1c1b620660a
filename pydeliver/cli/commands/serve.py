"""`serve`: the resident server, and how it is."""

from __future__ import annotations

import json
import os
import sys

import click

from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.settings import DEFAULT_PATH
from pydeliver.workbench import report


@click.group(invoke_without_command=True)
@click.option("--lmtp", multiple=True, metavar="ADDRESS", help="Listen here, at unix:PATH or HOST:PORT.")
@click.option("--check-config", is_flag=True, help="Say what is wrong with the settings and the users, and leave.")
@shell.given((options.CONFIG,))
@click.pass_context
def serve(context: click.Context, lmtp: tuple[str, ...], check_config: bool, config: str | None) -> None:
    """Receive mail by LMTP and deliver it, as a server that stays.

    \b
    Example:
      pydeliver serve --lmtp unix:/run/pydeliver/lmtp
      pydeliver serve status

    The settings say who has mail here: `pydeliver help server`. Ends on SIGTERM when what is under way is answered.
    """
    if context.invoked_subcommand is not None:
        return
    if os.getuid() == 0 and not sys.flags.isolated:
        # root's Python must run nobody's code: not from the environment, and not from a user's site-packages
        os.execv(sys.executable, [sys.executable, "-I", "-c", "from pydeliver.cli import main; main()", *sys.argv[1:]])
    from pydeliver import receiver

    made = receiver.prepared(os.path.abspath(config or DEFAULT_PATH), lmtp, os.getuid() == 0)
    for one in (*made.mistakes, *made.doubts):
        click.echo(report.diagnostic_text(one, shell.style), err=True)
    if made.mistakes:
        sys.exit(shell.MISTAKES)
    if check_config:
        click.echo(f"fine: {', '.join(made.values['server.lmtp'])}")
        return
    try:
        receiver.serve(made)
    except OSError as error:
        click.echo(f"can't listen: {error}", err=True)
        sys.exit(shell.NO_INPUT)


@serve.command()
@click.option("--lmtp", metavar="ADDRESS", help="Where it listens, instead of what the settings say.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@shell.given((options.CONFIG,))
def status(lmtp: str | None, as_json: bool, config: str | None) -> None:
    """Say how the server is; leaves with 66 where none answers.

    \b
    Example:
      pydeliver serve status
    """
    from pydeliver import receiver
    from pydeliver.receiver import inquiry

    made = receiver.prepared(os.path.abspath(config or DEFAULT_PATH), (lmtp,) if lmtp else (), os.getuid() == 0)
    address = next(iter(made.values["server.lmtp"]), None)
    if address is None:
        shell.usage("the settings name no place where it listens: say --lmtp ADDRESS")
    try:
        facts = inquiry.facts(address)
    except OSError as error:
        click.echo(f"{address}: {error.strerror or error}", err=True)
        sys.exit(shell.NO_INPUT)
    if as_json:
        click.echo(json.dumps({name: int(value) if value.isdigit() else value for name, value in facts.items()}))
        return
    for name, value in facts.items():
        click.echo(f"{name.replace('-', ' '):16} {value}")
