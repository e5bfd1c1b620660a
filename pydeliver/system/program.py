"""Other programs: started without a shell, in a process group of their own, and ended with it.

Owns starting and waiting. Refuses to wait longer than told, to leave a process of the group behind, and to hand on
what this process has: environment, signals and the three streams are fresh, other descriptors close by themselves
(PEP 446; those of the caller went at the start, see `privilege`). posix_spawn(3).
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

PAUSE_FIRST, PAUSE_LONGEST = 0.001, 0.05  # between two looks at whether it has ended

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_NO_STREAMS = (
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
)
_DEFAULTS = (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGUSR1, _signal.SIGUSR2)  # ignored here, some by Python itself


def run(argv: tuple[str, ...], *, seconds: float) -> int:
    """Run the program at the absolute path `argv[0]`; its exit code, or minus the signal that ended it.

    After `seconds` it is killed, and so is what it left in its process group when it ends. Raises OSError where it
    can't be started.
    """
    pid = os.posix_spawn(
        argv[0], argv, _ENVIRONMENT, file_actions=_NO_STREAMS, setpgroup=0, setsigmask=(), setsigdef=_DEFAULTS
    )
    try:
        deadline = time.monotonic() + seconds
        pause = PAUSE_FIRST
        # WNOWAIT leaves the ended program in the table: until it is reaped, its group's number means no other group.
        while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_LONGEST)
    finally:
        try:
            os.killpg(pid, _signal.SIGKILL)
        except PermissionError:  # another user's by now (setuid), and ended by itself
            pass
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
