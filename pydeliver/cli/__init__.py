"""The command `pydeliver`: a message on stdin goes to the door; words for people go to the commands.

This is all that runs before anything can fail: even an import that breaks must not bounce mail.
"""

from __future__ import annotations

import os
import sys

COMMANDS = ("check", "try", "fmt", "init", "help", "launcher")
TRY_AGAIN = 75


def main() -> None:
    """Run `pydeliver` with the arguments of this process."""
    arguments = sys.argv[1:]
    if _is_for_people(arguments):
        from pydeliver.cli.commands import run

        run()
    code = TRY_AGAIN
    try:
        from pydeliver.cli import door

        code = door.main(arguments[1:] if arguments[:1] == ["deliver"] else arguments, os.environ)
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
        return "--help" in arguments
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
