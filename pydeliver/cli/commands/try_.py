"""`try`: says where messages would go."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections import Counter
from typing import Any

import click

from pydeliver.agent.build import compile_plan
from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.cli.door import make_envelope
from pydeliver.mail.date import seconds
from pydeliver.status import Status
from pydeliver.workbench import report
from pydeliver.workbench.rehearse import MEMORIES, Known, rehearse
from pydeliver.workbench.rehearse import messages as read_messages


@click.command("try")
@click.argument("messages", nargs=-1)
@click.option("-v", "--verbose", is_flag=True, help="Show every condition and what it answered.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@click.option("--subfolders", is_flag=True, help="Take a Maildir's folders too.")
@click.option("--ask", is_flag=True, help="Ask memory what came before; without it that is unknown.")
@click.option("--run", is_flag=True, help="Run the programs that rules ask; without it their answers are unknown.")
@shell.given(options.REHEARSE)
def try_(
    messages: tuple[str, ...], verbose: bool, as_json: bool, subfolders: bool, ask: bool, run: bool, **values: Any
) -> None:
    """Say where messages would go, and by which rule. Nothing is delivered, nothing is written.

    MESSAGES are files, Maildirs, mboxes, or - for stdin.

    \b
    Example:
      pydeliver try message.eml -v
      pydeliver try ~/Maildir --json
    """
    home = shell.home()
    made = compile_plan(home, shell.site(home, values["rules"], values["config"]))
    if made.plan is None:
        shell.refuse(made)
    memory = Known(_memories(values), ask)
    envelope = make_envelope(shell.arguments(values), {}, home.user, "try", complete=False)
    if isinstance(envelope, Status):
        shell.usage(envelope.text)
    now = _moment(values["now"]) if values["now"] else time.time()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    sums = report.Sum(Counter())
    found = _entries(messages or ("-",), subfolders)
    for one in shell.with_progress(rehearse(made.plan, made.store, home, envelope, found, now, memory, run)):
        sums.add(one)
        if as_json:
            click.echo(report.decision_json(one, made.plan, verbose))
            continue
        click.echo(report.decision_text(one, made.plan, shell.style, width))
        if verbose:
            for line in report.trace_text(one, made.plan, shell.style):
                click.echo(line)
    if sums.messages > 1 and not as_json:
        click.echo()
        for line in sums.lines():
            click.echo(line)


def _memories(values: dict[str, Any]) -> dict[str, bool]:
    """What `--given` says of earlier messages; it is taken out of the values, which are then about this one."""
    said = {name: answer for name, _, answer in [one.partition("=") for one in values["given"]] if name in MEMORIES}
    values["given"] = tuple([one for one in values["given"] if one.partition("=")[0] not in MEMORIES])
    for name, answer in said.items():
        if answer not in ("yes", "no"):
            shell.usage(f"--given {name} is yes or no: {name}=yes")
    return {name: answer == "yes" for name, answer in said.items()}


def _moment(text: str) -> float:
    """`--now` as seconds since the epoch, in this host's zone."""
    read = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d))?", text)
    if read is None:
        shell.usage(f"--now takes 2026-12-24 or 2026-12-24T18:00, not {text}")
    year, month, day, hour, minute = [int(part or 0) for part in read.groups()]
    try:
        return time.mktime((year, month, day, hour, minute, 0, 0, 0, -1))
    except (ValueError, OverflowError):
        return seconds(year, month, day, hour * 60 + minute)


def _entries(messages: tuple[str, ...], subfolders: bool) -> Any:
    for path in messages:
        try:
            yield from read_messages(path, subfolders, sys.stdin.buffer)
        except OSError as error:
            shell.unusable(path, error)
