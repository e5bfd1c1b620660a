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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydeliver.status import Diagnostic


@click.group(invoke_without_command=True)
@click.option("--lmtp", multiple=True, metavar="ADDRESS", help="Listen here, at unix:PATH or HOST:PORT.")
@click.option("--smtp", multiple=True, metavar="ADDRESS", help="Listen for mail from the network, at HOST:PORT.")
@click.option("--check-config", is_flag=True, help="Say what is wrong with the settings and the users, and leave.")
@shell.given((options.CONFIG,))
@click.pass_context
def serve(
    context: click.Context, lmtp: tuple[str, ...], smtp: tuple[str, ...], check_config: bool, config: str | None
) -> None:
    """Receive mail by LMTP or SMTP and deliver it, as a server that stays.

    \b
    Example:
      pydeliver serve --lmtp unix:/run/pydeliver/lmtp
      pydeliver serve --smtp 0.0.0.0:25
      pydeliver serve status

    The settings say who has mail here: `pydeliver help server`, and `pydeliver help smtp` for the network. Ends on
    SIGTERM when what is under way is answered.
    """
    if context.invoked_subcommand is not None:
        return
    if os.getuid() == 0 and not sys.flags.isolated:
        # root's Python must run nobody's code: not from the environment, and not from a user's site-packages
        os.execv(sys.executable, [sys.executable, "-I", "-c", "from pydeliver.cli import main; main()", *sys.argv[1:]])
    from pydeliver import receiver

    places = {"server.lmtp": lmtp, "smtp.listen": smtp}
    made = receiver.prepared(os.path.abspath(config or DEFAULT_PATH), places, os.getuid() == 0)
    _tell((*made.mistakes, *made.doubts))
    if check_config:
        _tell(receiver.gate_of(made)[1])
        every = [one for name in ("server.lmtp", *receiver.PUBLIC) for one in made.values[name]]
        click.echo(f"fine: {', '.join(every)}")
        return
    try:
        _tell(receiver.serve(made))
    except OSError as error:
        click.echo(f"can't listen: {error}", err=True)
        sys.exit(shell.NO_INPUT)


def _tell(found: Sequence[Diagnostic]) -> None:
    """Say what is wrong or doubtful, and leave if anything is wrong."""
    for one in found:
        click.echo(report.diagnostic_text(one, shell.style), err=True)
    if any([one.severity == "error" for one in found]):
        sys.exit(shell.MISTAKES)


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

    places = {"server.lmtp": (lmtp,) if lmtp else ()}
    made = receiver.prepared(os.path.abspath(config or DEFAULT_PATH), places, os.getuid() == 0)
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
