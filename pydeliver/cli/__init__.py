"""The command `pydeliver`: a message on stdin goes to the door; words for people go to the commands.

This is all that runs before anything can fail: even an import that breaks must not bounce mail.
"""

from __future__ import annotations

import os
import sys

COMMANDS = ("check", "try", "test", "filter", "split", "fmt", "init", "help", "launcher", "quarantine", "serve")
TRY_AGAIN = 75


def main() -> None:
    """Run `pydeliver` with the arguments of this process: a command at a shell, or a delivery."""
    arguments = sys.argv[1:]
    if _is_for_people(arguments):
        from pydeliver.cli.commands import run

        run()
    deliver(arguments[1:] if arguments[:1] == ["deliver"] else arguments)


def deliver(arguments: list[str], stderr: int = 2) -> None:
    """Deliver the message on stdin, whatever the arguments look like: a sender chooses what stands behind a `+`.

    `stderr` is the descriptor that the caller reads. Leaves with 0, 75 or 77.
    """
    code = TRY_AGAIN
    try:
        if stderr != 2:
            os.dup2(stderr, 2)
        from pydeliver.cli import door

        code = door.main(arguments, os.environ)
    except BaseException as error:  # noqa: BLE001 - an import that fails: the mail must stay with the MTA
        _last_words(f"4.3.0 pydeliver can't start: {type(error).__name__}\n")
    finally:
        os._exit(code)


def _is_for_people(arguments: list[str]) -> bool:
    """Whether this is a command at a shell. At a terminal nobody types a message, but many a misspelt command."""
    if not arguments:
        return _at_terminal()
    first = arguments[0]
    if first in COMMANDS or first in ("--help", "--version", "-h"):
        return True
    if first == "deliver":
        return arguments == ["deliver", "--help"]
    return not first.startswith("-") and _at_terminal()


def _at_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _last_words(line: str) -> None:
    try:
        while os.read(0, 65536):
            pass
    except OSError:
        pass
    try:
        os.write(2, line.encode("ascii", "replace"))
    except OSError:
        pass
