"""`split`: takes mailboxes apart, into files or by starting a command for each message.

The command is the person's own, as at the prompt: it has this process's environment, terminal and output, as much time
as it likes, and may be root's. So it is no affair of `system.program`, which guards what rules start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

import click

from pydeliver.cli.commands import shell
from pydeliver.mail.message import split_from_line
from pydeliver.system.disk import CREATE, close_quietly, unlink_quietly, write_all
from pydeliver.workbench.rehearse import Entry
from pydeliver.workbench.rehearse import messages as read_messages

FAILED = 1
CHUNK = 64 << 10
DIGITS = 4  # at least, of a file's name
FILENO_DIGITS = 3  # at least, as formail has it

Numbered = tuple[int, Entry]  # a message and its number among all, from 1 on


class _WithCommand(click.Command):
    """Keeps what stands behind `--` apart: the words of another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@click.command(cls=_WithCommand)
@click.argument("mailboxes", nargs=-1, metavar="[MBOX]... [-- COMMAND [ARG]...]")
@click.option("--into", metavar="DIRECTORY", help="Write each message into a new file in this directory.")
@click.option("--skip", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N messages.")
@click.option("--continue", "go_on", is_flag=True, help="Go on when the command fails, and count.")
@click.pass_obj
def split(command: tuple[str, ...], mailboxes: tuple[str, ...], into: str | None, skip: int, go_on: bool) -> None:
    """Take mailboxes apart: each message into a file, or to a command of its own. MBOX may be - for stdin.

    \b
    Example:
      pydeliver split old.mbox --into messages
      pydeliver split old.mbox -- pydeliver deliver

    The command has the message on stdin, its From_ line on top, and in FILENO its number: 000, 001 … The first that
    fails ends it all, and you are told how to go on. Leaves with 1 when a command failed.
    """
    if (into is None) == (not command):
        shell.usage("say either --into DIRECTORY or -- COMMAND")
    if go_on and not command:
        shell.usage("--continue is for a command")
    mailboxes = mailboxes or ("-",)
    with ExitStack() as open_files:
        copy = _stdin(open_files) if "-" in mailboxes else None
        if into is not None:
            _into_files(into, mailboxes, copy, skip)
        elif _to_commands(command, _numbered(mailboxes, copy, skip), go_on):
            sys.exit(FAILED)


# -- the messages --


def _stdin(open_files: ExitStack) -> IO[bytes]:
    try:
        return open_files.enter_context(shell.stdin_file())
    except OSError as error:
        shell.unusable("-", error)


def _numbered(mailboxes: tuple[str, ...], copy: IO[bytes] | None, skip: int = 0) -> Iterator[Numbered]:
    """All messages behind the first `skip`; `copy` holds what came on stdin."""
    number = 0
    for path in mailboxes:
        place = path
        if path == "-" and copy is not None:
            copy.seek(0)
            place = f"/dev/fd/{copy.fileno()}"
        try:
            for entry in read_messages(place, False, sys.stdin.buffer):
                if entry.source.size or entry.from_line:  # an empty file is an mbox without messages
                    number += 1
                    if number > skip:
                        yield number, Entry(entry.label.replace(place, path, 1), entry.source, entry.from_line)
        except OSError as error:
            shell.unusable(path, error)


def _chunks(entry: Entry) -> Iterator[bytes]:
    """The bytes of a message. Raises OSError, also where the mailbox became shorter meanwhile."""
    for start in range(0, entry.source.size, CHUNK):
        chunk = entry.source.read(start, CHUNK)
        if len(chunk) != min(CHUNK, entry.source.size - start):
            raise OSError(0, "the mailbox became shorter")
        yield chunk


# -- into files --


def _into_files(directory: str, mailboxes: tuple[str, ...], copy: IO[bytes] | None, skip: int) -> None:
    """Write the messages to files whose names are all as long as the last one's."""
    digits = max(DIGITS, len(str(sum(1 for _ in _numbered(mailboxes, copy)))))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        shell.unusable(directory, error)
    written = 0
    for number, entry in shell.with_progress(_numbered(mailboxes, copy, skip), beside_answers=False):
        path = os.path.join(directory, f"{number:0{digits}}.eml")
        try:
            _write_new(path, entry)
        except OSError as error:
            click.echo(f"{shell.counted(written, 'message')} written before this failed:", err=True)
            shell.unusable(path, error)
        written += 1
    click.echo(f"{shell.counted(written, 'message')} in {directory}")


def _write_new(path: str, entry: Entry) -> None:
    """Write a message to a file that is not there yet. Raises OSError; what is half written goes."""
    fd = os.open(path, CREATE, 0o600)
    try:
        for chunk in _chunks(entry):
            write_all(fd, chunk)
    except BaseException:
        unlink_quietly(path)
        raise
    finally:
        close_quietly(fd)


# -- to commands --


def _to_commands(command: tuple[str, ...], found: Iterator[Numbered], go_on: bool) -> int:
    """Start the command for each message, in order; how many failed."""
    number = failed = done = 0
    try:
        for number, entry in shell.with_progress(found):
            problem = _run(command, number, entry)
            done += 1
            if not problem:
                continue
            failed += 1
            click.echo(f"{entry.label}: {command[0]} {problem}", err=True)
            if not go_on:
                break
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; {_how_to_go_on(number)}", err=True)
        raise
    if failed and not go_on:
        click.echo(f"stopped there; {_how_to_go_on(number)}", err=True)
    elif failed:
        click.echo(f"{shell.counted(done, 'message')}, {failed} failed", err=True)
    return failed


def _how_to_go_on(number: int) -> str:
    again = max(number - 1, 0)
    return f"go on behind it with --skip {number}, or begin with it again with --skip {again}"


def _run(command: tuple[str, ...], number: int, entry: Entry) -> str:
    """Start the command and give it the message; what went wrong, or "". One that can't be started ends it all."""
    environment = os.environ | {"FILENO": f"{number - 1:0{FILENO_DIGITS}}"}
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, bufsize=0) as process:
            assert process.stdin is not None
            try:
                write_all(process.stdin.fileno(), split_from_line(entry.from_line)[0])
                for chunk in _chunks(entry):
                    write_all(process.stdin.fileno(), chunk)
            except BrokenPipeError:  # it has read all that it wants
                pass
            except OSError:
                process.kill()  # before it takes half a message for a whole one
                raise
    except OSError as error:
        shell.unusable(error.filename or entry.label, error)
    code = process.returncode
    return "" if code == 0 else f"left with {code}" if code > 0 else f"was ended by signal {-code}"
