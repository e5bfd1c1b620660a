"""The commands for people, each in a file of its own, built by click from the table in `options`.

Exit codes: 0 fine; 65 mistakes in the rules; 1 `fmt --check` found something to change, a rule test or a command of
`split` failed; 64 a wrong command line; 66 a file that can't be read or written; 75 and 77 from `filter`, which see.
`deliver` is here for its help only: it never goes through click.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from pydeliver import __version__
from pydeliver.cli.commands import check, filter_, fmt, quarantine, serve, server, shell, split, start, test, try_


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="pydeliver %(version)s")
def commands() -> None:
    """Sort mail by rules that people can read aloud.

    A mail server runs `pydeliver deliver`, with the message on stdin; the other commands are for you.
    """


# A further command also needs its name in `cli.COMMANDS`, by which a word at the shell is told from a delivery.
for _command in (
    check.check,
    filter_.filter_,
    fmt.fmt,
    quarantine.group,
    serve.serve,
    server.deliver,
    server.launcher,
    split.split,
    start.help_,
    start.init,
    test.test,
    try_.try_,
):
    commands.add_command(_command)


def run() -> NoReturn:
    """Run the command of this process; a wrong command line leaves with 64."""
    try:
        result = commands.main(prog_name="pydeliver", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(shell.USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read along has seen enough
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)
