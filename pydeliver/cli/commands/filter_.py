"""`filter`: the message on stdin, as the rules would store it, to stdout.

Exit codes: 0 here it is, or a rule discarded it and stdout is empty; 77 a rule rejected it; 75 a rule deferred it, or
it can't be judged or written now; 65 mistakes in the rules.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, NoReturn

import click

from pydeliver.agent.build import compile_plan
from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.cli.door import make_envelope
from pydeliver.mail.words import visible
from pydeliver.plan import Plan
from pydeliver.status import REFUSED, TRY_AGAIN, Status
from pydeliver.system.disk import write_all
from pydeliver.verdict import DEFER, DISCARD, REJECT
from pydeliver.workbench import filtering, report
from pydeliver.workbench.rehearse import Rehearsal

STDOUT = 1


@click.command("filter")
@click.option("-v", "--verbose", is_flag=True, help="Show on stderr every condition and what it answered.")
@shell.given(options.FILTER)
def filter_(verbose: bool, **values: Any) -> None:
    """Write the message on stdin to stdout in the form in which your rules would store it. Nothing is delivered.

    \b
    Example:
      pydeliver filter < message > edited
      pydeliver split old.mbox -- pydeliver filter -m tidy.rules

    The edits, marks and labels of the rule that decides are made; all else stays as it is. Leaves with 0, also when
    a rule discards the message and stdout stays empty; with 77 when a rule rejects it, and with 75 when a rule
    defers it or it can't be judged now.
    """
    home = shell.home()
    made = compile_plan(home, shell.site(home, values["rules"], values["config"]))
    if made.plan is None:
        shell.refuse(made)
    envelope = make_envelope(shell.arguments(values), os.environ, home.user, "filter")
    if isinstance(envelope, Status):
        shell.usage(envelope.text)
    try:
        with (
            shell.stdin_file() as file,
            filtering.judged(made.plan, made.store, home, envelope, file.fileno(), time.time()) as one,
        ):
            if isinstance(one, Status):
                _leave(one.text, TRY_AGAIN)
            if verbose:
                for line in report.trace_text(one, made.plan, shell.style):
                    click.echo(line, err=True)
            _write(one, made.plan)
    except BrokenPipeError:  # whoever read along has seen enough
        pass
    except OSError as error:
        _leave(f"filter: {error.strerror}", TRY_AGAIN)


def _write(one: Rehearsal, plan: Plan) -> None:
    outcome, text = one.verdict.outcome, visible(one.verdict.text)
    if outcome == REJECT:
        _leave(text, REFUSED)
    if outcome == DEFER:
        _leave(text, TRY_AGAIN)
    if outcome == DISCARD:
        click.echo(f"discarded {report.because(one, plan)}", err=True)
        return
    for chunk in filtering.formed(one):
        write_all(STDOUT, chunk)


def _leave(text: str, code: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
