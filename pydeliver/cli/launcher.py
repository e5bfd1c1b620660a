"""The launcher: a small shell script that a mail server starts in pydeliver's place.

It lets nothing out but 0, 75 and 77, even when the interpreter or the package is broken: to Postfix and Exim any
other code is a bounce. It starts Python isolated (`-I`: neither the user's home nor the directory at hand is
imported from) and without `site` (`-S`, a quarter of the start-up), naming the two places of what is imported. It
passes a request to end on to its child as TERM, and waits for it. No word behind it is ever a command.
"""

from __future__ import annotations

import os
import sys

from pydeliver.system.disk import shell_word, write_atomic

_SCRIPT = """#!/bin/sh
# pydeliver for a mail server; made by `pydeliver launcher`, which see. Leaves with 0, 75 or 77 and nothing else.
child= asked=
leave() {
    code=$?
    case $code in
        0 | 75 | 77) exit "$code" ;;
    esac
    while read -r _; do :; done <&3 # reads on without a process of its own, where none can be started
    echo '4.3.0 pydeliver could not be run' >&4
    exit 75
}
trap leave EXIT
trap '' PIPE XFSZ USR1 USR2 VTALRM PROF
trap 'asked=1; test -n "$child" && kill -TERM "$child"' TERM INT HUP QUIT ALRM XCPU
# What this shell or a broken Python says is for nobody: a mail server reads one line, and takes any for a failure.
command exec 4>&2 2>/dev/null || exec 4>/dev/null 2>/dev/null
command exec 3<&0 || exec 3</dev/null
@PYTHON@ -I -S -c @PROGRAM@ @OPTIONS@"$@" <&3 3<&- &
child=$!
test -z "$asked" || kill -TERM "$child"
wait "$child"
code=$?
while kill -0 "$child"; do
    wait "$child"
    code=$?
done
exit "$code"
"""


def script(config: str | None) -> str:
    """The text of the launcher for this interpreter and this installation. Raises ValueError for impossible paths."""
    import re2

    import pydeliver

    places = [os.path.dirname(os.path.dirname(os.path.abspath(str(module.__file__)))) for module in (pydeliver, re2)]
    found = list(dict.fromkeys(places))
    # Garbage is not collected: in one delivery that costs more (0.08 of an interpreter's start) than it frees.
    program = (
        f"import gc, sys; gc.disable(); sys.path[len(sys.path):] = {found!r}\n"
        "from pydeliver.cli import deliver; deliver(sys.argv[1:], 4)"
    )
    options = "" if config is None else f"--config {shell_word(os.path.abspath(config))} "
    text = _SCRIPT.replace("@PYTHON@", shell_word(sys.executable)).replace("@PROGRAM@", shell_word(program))
    return text.replace("@OPTIONS@", options)


def install(path: str, config: str | None) -> None:
    """Write the launcher, readable and executable for everyone. Raises OSError and ValueError."""
    write_atomic(os.path.abspath(path), script(config).encode("utf-8", "surrogateescape"), mode=0o755)
    os.chmod(path, 0o755)
