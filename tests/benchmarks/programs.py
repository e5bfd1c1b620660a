"""Programs that misbehave (RELIABILITY.md, G40): how long after the limit each is over, and what is told of it.

Each is fed a message of 1 MB by a process of an ordinary user, as a rule would. The goal is an end at most a second
after the limit, the documented result, and nobody of the process group left.
Run as `python -m tests.benchmarks.programs`; leaves with 1 when a goal is missed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pydeliver.status import Status
from pydeliver.system.program import EXITED, NOT_STARTED, SIGNALLED, TIMED_OUT, TOO_MUCH, call
from tests.benchmarks.bombs import concluded, table
from tests.installation import AS_ROOT, Home, public_folder

LIMIT: Final = 1.0
CPU_LIMIT: Final = 1
OVER_GOAL: Final = 1.0
OUTPUT_LIMIT: Final = 8 << 20
FEED: Final = [b"x" * (64 << 10)] * 16
LINGER: Final = 10.0  # seconds the dying may take; who lives after that was left behind

DIES: Final = "HUP INT QUIT ILL ABRT BUS FPE KILL SEGV PIPE ALRM TERM XFSZ".split()
# What it does, as a shell's script, and how it is told to have ended.
SCRIPTS: Final = (
    ("never reads, ends well", "exit 0", EXITED),
    ("never reads, hangs", "exec sleep 1000", TIMED_OUT),
    ("reads one line", "read line; exit 0", EXITED),
    ("closes its input at once, hangs", "exec <&-; exec sleep 1000", TIMED_OUT),
    ("closes its input at once, ends well", "exec <&-; exit 0", EXITED),
    ("reads all, hangs", "cat >/dev/null; exec sleep 1000", TIMED_OUT),
    ("writes 1 GB", "head -c 1073741824 /dev/zero", TOO_MUCH),
    ("writes for ever", "exec yes", TOO_MUCH),
    ("writes for ever, deaf to TERM and PIPE", "trap '' TERM PIPE; while :; do echo yes; done", TIMED_OUT),
    ("writes 10 MB of errors", "head -c 10485760 /dev/zero >&2", EXITED),
    ("writes errors for ever", "exec yes >&2", TIMED_OUT),
    ("writes slowly for ever", "while :; do echo .; sleep 0.05; done", TIMED_OUT),
    ("closes its output, hangs", "exec >&-; exec sleep 1000", TIMED_OUT),
    ("closes all, hangs", "exec <&- >&- 2>&-; exec sleep 1000", TIMED_OUT),
    ("forks, the child holds the pipes", "sleep 1000 & exit 0", EXITED),
    ("forks, the child writes for ever", "yes & exit 0", EXITED),
    ("forks, the child is deaf to TERM", "(trap '' TERM; sleep 1000; sleep 1000) & sleep 1000", TIMED_OUT),
    ("forks 50 children, hangs", "n=0; while [ $n -lt 50 ]; do sleep 1000 & n=$((n+1)); done; wait", TIMED_OUT),
    ("leaves the group, holds the pipes", "setsid sleep 3 & sleep 0.1; exit 0", EXITED),
    ("leaves the group, writes for ever", "setsid yes & sleep 0.1; exec sleep 1000", TOO_MUCH),
    ("ignores TERM, HUP and INT, hangs", "trap '' TERM HUP INT; while :; do sleep 1000; done", TIMED_OUT),
    ("answers TERM by starting others", "trap 'sleep 1000 & sleep 1000' TERM; sleep 1000 & wait", TIMED_OUT),
    ("stops itself", "kill -STOP $$", TIMED_OUT),
    ("takes all of a processor", "while :; do :; done", TIMED_OUT),
    ("exits 1", "exit 1", EXITED),
    ("exits 127", "exit 127", EXITED),
    ("exits 255", "exit 255", EXITED),
    *((f"dies by {name}", f"kill -{name} $$; sleep 1000", SIGNALLED) for name in DIES),
)
ABSENT: Final = (
    ("is not there", "/no/such/program", NOT_STARTED),
    ("is a directory", "/usr", NOT_STARTED),
    ("has no #!", "text", NOT_STARTED),
)


def measured(argv: tuple[str, ...], home: Home) -> tuple[float, str, str]:
    """Seconds, how it ended and the line told of it, of a program called by this process."""
    begun = time.perf_counter()
    ended = call(
        argv,
        directory=str(home.path),
        environment={"PATH": "/usr/bin:/bin"},
        seconds=LIMIT,
        cpu_seconds=CPU_LIMIT,
        output_limit=OUTPUT_LIMIT,
        feed=FEED,
        sink=len,
    )
    taken = time.perf_counter() - begun
    if isinstance(ended, Status):
        return taken, "status", ended.line
    return taken, ended.how, ended.line


def left(number: int) -> int:
    """How many of a process group go on running."""
    deadline = time.monotonic() + LINGER
    while (running := _running(number)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return running


def _running(number: int) -> int:
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, _, group = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += int(group) == number and state not in "ZX"
    return found


def main() -> int:
    if AS_ROOT:
        with public_folder() as folder:
            return _as_nobody(folder)
    with tempfile.TemporaryDirectory() as name:
        return _report(Home.make(Path(name)))


def _as_nobody(folder: Path) -> int:
    """Root runs no program for a rule: a process of an ordinary user does all of it."""
    home = Home.make(folder / "home")
    if (pid := os.fork()) == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(home.gid)
            os.setuid(home.uid)
            code = _report(home)
            sys.stdout.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _report(home: Home) -> int:
    home.file("text", "echo without\n", 0o700)
    pid = home.path / "pid"
    cases = [(name, ("sh", "-c", f"echo $$ > pid; {script}"), how) for name, script, how in SCRIPTS]
    cases += [(name, (f"{home.path}/{path}" if path == "text" else path,), how) for name, path, how in ABSENT]
    rows = [["program", "seconds", "over the limit", "left", "told"]]
    good = []
    for name, argv, how in cases:
        pid.write_text("0")
        taken, ended, line = measured(argv, home)
        number = int(pid.read_text())
        remaining = left(number) if number else 0
        over = max(0.0, taken - LIMIT)
        good.append(over <= OVER_GOAL and ended == how and remaining == 0)
        shown = "" if good[-1] else f"  MISSED, {how} expected"
        rows.append(
            [name, f"{taken:.2f}", f"{over:.2f}", str(remaining), line.replace(str(home.path), "~")[:75] + shown]
        )
    table(f"{len(cases)} programs that misbehave, limit {LIMIT:g} s, goal at most {OVER_GOAL:g} s more", rows)
    return concluded(good)


if __name__ == "__main__":
    sys.exit(main())
