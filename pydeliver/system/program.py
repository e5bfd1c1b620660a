"""Other programs: started without a shell, fed, listened to, and ended in time with all of their process group.

Owns starting and waiting. `call` is for rules: `pipe`, `filter`, `run`, `output of`, `shell` (`/bin/sh -c` is an argv
like any other), forwarding. `run` is for the house's own helpers, which neither get nor say anything. `slot` holds
"at most N at once". Refuses to run anything for a rule as root, to wait longer than told, to keep more in memory than
told, and to leave a process of the group behind. RELIABILITY 2.2(4); posix_spawn(3), setpgid(2), flock(2).

    ended = call(("spamc", "-E"), directory=home, environment={"PATH": "/usr/bin:/bin"}, seconds=60, cpu_seconds=30,
                 output_limit=200 << 20, feed=message.chunks(), sink=lambda data: write_all(fd, data))

gives an `Ended`: how the program fared, which is its rule's to judge. A `Status` is no word of the program: this
process is root's, or the machine had no room for the program, the message or its output. Always "try again".

What a program has: the environment given and nothing else, descriptors 0 to 2, umask 077, no core dumps, every signal
as in a fresh process, a process group of its own. What it leaves in its group when it ends is killed. A process that
left the group (setsid) is let go: it is the user's own, no limit is waited for on its account, and the pipes it may
hold are closed on our side.

os.posix_spawn, because nothing of Python runs in the child: other threads may hold any lock (os.fork warns of that
since 3.12), signals can be held here and free there, and no module is loaded (subprocess doubles the start of a
delivery). It knows no directory, umask and limits; so this process has them for as long as posix_spawn takes, by one
thread at a time. No path below `cli` is relative, so no other thread asks for the working directory. A shell in
between could set them too, but adds variables, and says neither whether a program started nor why not.

Descriptors 0 to 2 must be open here (`privilege.secure_descriptors`).
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
import resource
import select
import stat
import time
from _blake2 import blake2b

from pydeliver.status import Status, Value, deferred
from pydeliver.system.disk import close_quietly, failure, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any
else:
    import _signal

PAUSE_FIRST, PAUSE_LONGEST = 0.001, 0.05  # between two looks at whether it has ended
GRACE = 0.3  # seconds between TERM and KILL
PATIENCE = 0.5  # seconds for the killed to be gone: one that hangs in the kernel ends when the kernel lets it
SETTLING = 0.05  # seconds for those it left behind: nobody can tell the dying from the dead whom init has yet to bury
SAID_LIMIT = 500  # bytes of its standard error
CHUNK = 64 << 10  # one read; also what a pipe holds
LEFT_CHUNKS = 16  # reads of what is left in a pipe: more than the largest pipe that a user may ask for

EXITED, SIGNALLED, TIMED_OUT, TOO_MUCH, NOT_STARTED = "exited", "signalled", "timed out", "too much", "not started"

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_NO_STREAMS = (
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
)
_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # of this machine, whatever the program
_HERE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_SLOT = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# The working directory, the umask and the limits are the whole process's: so is who may change them.
_surroundings = _thread.allocate_lock()


class Ended(Value):
    """How a program ended: `code` is its exit code (EXITED) or the signal (SIGNALLED), `why` a text for the others.

    `output` is what it wrote where no sink took it, `said` the beginning of its standard error as one visible line.
    """

    how: str
    code: int = 0
    output: bytes = b""
    said: str = ""
    why: str = ""

    @property
    def ok(self) -> bool:
        return self.how == EXITED and self.code == 0

    @property
    def line(self) -> str:
        """The one line for the log, the trace and the report."""
        if self.how == EXITED:
            told = f"ended with {self.code}"
        elif self.how == SIGNALLED:
            told = f"was ended by signal {self.code} ({_signal.strsignal(self.code)})"
        else:
            told = self.why
        return f"{told}: {self.said}" if self.said else told


def call(
    argv: Sequence[str],
    *,
    directory: str,
    environment: Mapping[str, str],
    seconds: float,
    cpu_seconds: int,
    output_limit: int,
    feed: Iterable[bytes] = (),
    sink: Callable[[bytes], object] | None = None,
) -> Ended | Status:
    """Run the program `argv[0]`, sought in the environment's PATH, in `directory`; `feed` is its standard input.

    A name with a slash is sought from `directory`. Not reading the input, or not all of it, is no failure. Standard
    output goes to `sink` piece by piece, or into `Ended.output`; one byte above `output_limit` ends the program.
    Raises `alarm.Interrupted`, with the program ended.
    """
    if 0 in (os.getuid(), os.geteuid()):
        return deferred("programs are not run for rules as root", "4.3.5")
    pieces: list[bytes] = []
    child = _Child(feed, sink or pieces.append, output_limit)
    try:
        cut = _live(child, lambda: child.start_for_rule(argv, directory, environment, cpu_seconds), seconds)
    except OSError as error:
        if child.was_started:
            return failure(error, "feeding a program and keeping its output")
        if error.errno in _SHORTAGES:
            return failure(error, "starting a program")
        return Ended(NOT_STARTED, why=f"could not be started: {_reason(error)}")
    how, code, why = cut, 0, ""
    if cut == TIMED_OUT:
        why = f"took longer than {seconds:g} s"
    elif cut == TOO_MUCH:
        why = f"wrote more than {output_limit} bytes"
    elif child.code == -_signal.SIGXCPU:
        how, why = TIMED_OUT, f"took more than {cpu_seconds} s of the processor"
    else:
        how, code = EXITED if child.code >= 0 else SIGNALLED, abs(child.code)
    return Ended(how, code, b"".join(pieces), _visible(child.complaint.decode(errors="replace")), why)


def run(argv: tuple[str, ...], *, seconds: float) -> int:
    """Run the helper at the absolute path `argv[0]`; its exit code, or minus the signal that ended it.

    After `seconds` it is ended, and what it left in its process group when it ends. Raises OSError where it can't be
    started.
    """
    child = _Child()
    _live(child, lambda: child.start(argv, _ENVIRONMENT, _NO_STREAMS), seconds)
    return child.code


def find(name: str, path: str, directory: str) -> str:
    """The place of a program, looked for as execvp(3) does but in absolute directories only. Raises OSError."""
    if "/" in name:
        return os.path.join(directory, name)
    refusal = errno.ENOENT
    for place in path.split(":") if name else ():
        candidate = f"{place}/{name}"
        if place.startswith("/") and os.path.exists(candidate):
            if os.access(candidate, os.X_OK) and stat.S_ISREG(os.stat(candidate).st_mode):
                return candidate
            refusal = errno.EACCES
    raise OSError(refusal, os.strerror(refusal), name)


def _reason(error: OSError) -> str:
    text = str(error.strerror)
    if error.errno == errno.ENOEXEC:
        text = "neither a program nor a script whose first line begins with #!"
    elif error.errno == errno.ENOENT and error.filename and os.path.exists(error.filename):
        text = "what its first line names is not there"
    return _visible(f"{error.filename}: {text}" if error.filename else text)


def _visible(text: str) -> str:
    """One line without anything that a terminal or a log would act on."""
    return " ".join("".join([c if c.isprintable() else " " for c in text]).split())


# -- a program's life -------------------------------------------------------------------------------------------


def _live(child: _Child, begin: Callable[[], None], seconds: float) -> str:
    """Start, attend and end a program; how it was cut short, or "". Raises OSError."""
    try:
        with _Held():  # no signal comes between the start and the knowledge of it
            begin()
        return child.attend(time.monotonic() + seconds)
    finally:
        try:
            child.end()
        finally:  # an interruption may cut the first end short, on its first step; it is the only one (`alarm`)
            child.end()


class _Held:
    """The signals that Python handles wait for what is done meanwhile; one that came is raised afterwards."""

    __slots__ = ("_mask",)

    def __enter__(self) -> None:
        handled = [number for number in _signal.valid_signals() if callable(_signal.getsignal(number))]
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, handled)

    def __exit__(self, *_: object) -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)


class _Child:
    """A program, our ends of its pipes, and what it said on standard error; `code` is known when it has ended."""

    __slots__ = ("_chunks", "_pending", "_pid", "_pipes", "_reaped", "_room", "_sink", "code", "complaint")

    def __init__(
        self, feed: Iterable[bytes] = (), sink: Callable[[bytes], object] | None = None, output_limit: int = 0
    ) -> None:
        self._chunks, self._sink, self._room = iter(feed), sink, output_limit
        self._pending = memoryview(b"")
        self._pid = 0
        self._pipes = [-1, -1, -1]  # by the program's number for the other end
        self._reaped = False
        self.code, self.complaint = 0, b""

    @property
    def was_started(self) -> bool:
        return self._pid != 0

    # Its beginning.

    def start_for_rule(
        self, argv: Sequence[str], directory: str, environment: Mapping[str, str], cpu_seconds: int
    ) -> None:
        """Start with pipes, limits and nothing of ours. Raises OSError."""
        place = find(argv[0] if argv else "", environment.get("PATH", ""), directory)
        theirs: list[int] = []
        try:
            for number in range(3):
                reading, writing = os.pipe()
                self._pipes[number] = reading if number else writing
                theirs.append(writing if number else reading)
                os.set_blocking(self._pipes[number], False)
            actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(theirs)]
            actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _leaking()]
            with _surroundings:
                _elsewhere(directory, cpu_seconds, lambda: self.start((place, *argv[1:]), environment, actions))
        finally:
            for fd in theirs:
                close_quietly(fd)
        _limit_processor(self._pid, cpu_seconds)

    def start(self, argv: Sequence[str], environment: Mapping[str, str], actions: Sequence[tuple[Any, ...]]) -> None:
        """Start the program at `argv[0]`, with signals held here. Raises OSError."""
        default = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
        try:
            if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:  # as inherited: no exit code would be kept
                _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            self._pid = os.posix_spawn(
                argv[0], tuple(argv), environment, file_actions=actions, setpgroup=0, setsigmask=(), setsigdef=default
            )
        except ValueError as error:  # a NUL, a character without bytes, not the main thread
            raise OSError(errno.EINVAL, str(error)) from None

    # Its life.

    def attend(self, deadline: float) -> str:
        """Feed it and take what it says until it has ended; else TIMED_OUT or TOO_MUCH. Raises OSError of the sink."""
        streams = select.poll()
        for number, fd in enumerate(self._pipes):
            if fd >= 0:
                streams.register(fd, select.POLLIN if number else select.POLLOUT)
        pause = PAUSE_FIRST
        while not self._has_ended():
            left = deadline - time.monotonic()
            if left <= 0:
                return TIMED_OUT
            ready = streams.poll(min(pause, left) * 1000)
            for fd, _ in ready:
                number = self._pipes.index(fd)
                if not (self._listen(number) if number else self._feed()):
                    streams.unregister(fd)
                    self._close(number)
                if self._room < 0:
                    return TOO_MUCH
            pause = PAUSE_FIRST if ready else min(2 * pause, PAUSE_LONGEST)
        return self._hear_the_rest()

    def _hear_the_rest(self) -> str:
        """Take what is in the pipes, and not wait for what others, who hold them too, may yet write."""
        self._kill(_signal.SIGKILL)
        for number in (1, 2):
            for _ in range(LEFT_CHUNKS):
                if self._room < 0 or self._pipes[number] < 0 or not self._listen(number, patient=False):
                    break
        return TOO_MUCH if self._room < 0 else ""

    def _feed(self) -> bool:
        """Write what the pipe takes at once; whether there is more to write."""
        while not self._pending:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._pending = memoryview(chunk)
        try:
            self._pending = self._pending[os.write(self._pipes[0], self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it wants no more
            return False
        return True

    def _listen(self, number: int, *, patient: bool = True) -> bool:
        """Read what is there of its output (1) or its errors (2); whether to look again."""
        try:
            data = os.read(self._pipes[number], CHUNK)
        except BlockingIOError:
            return patient
        if number == 2:
            self.complaint += data[: SAID_LIMIT - len(self.complaint)]
        elif data and self._sink is not None:
            self._sink(data[: self._room])
            self._room -= len(data)
        return bool(data)

    def _has_ended(self) -> bool:
        """Whether it ended. It is not reaped, where that can be: until then its group's number means no other group."""
        if not self._reaped:
            if hasattr(os, "waitid"):  # not in Python for macOS
                return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            self._reap(os.WNOHANG)
        return self._reaped

    # Its end.

    def end(self) -> None:
        """Leave nothing of it: no pipe, no process of its group, no zombie."""
        with _Held():
            for number in range(3):
                self._close(number)
            if self._pid and not self._reaped:
                self._end_group()

    def _end_group(self) -> None:
        if not self._has_ended():
            self._kill(_signal.SIGTERM)
            _wait(GRACE, self._has_ended)
        self._kill(_signal.SIGKILL)
        if _wait(PATIENCE, self._has_ended):
            self._reap(0)
            _wait(SETTLING, lambda: not self._kill(0))

    def _kill(self, number: int) -> bool:
        """Send a signal to the group; whether anybody is there to get it."""
        try:
            os.killpg(self._pid, number)
        except OSError:  # nobody; or another user's by now (setuid)
            return False
        return True

    def _reap(self, options: int) -> None:
        if not self._reaped:
            pid, status = os.waitpid(self._pid, options)
            if pid:
                self._reaped, self.code = True, os.waitstatus_to_exitcode(status)

    def _close(self, number: int) -> None:
        if self._pipes[number] >= 0:
            close_quietly(self._pipes[number])
            self._pipes[number] = -1


def _wait(seconds: float, over: Callable[[], bool]) -> bool:
    """Wait up to `seconds` for something to be over; whether it is."""
    deadline, pause = time.monotonic() + seconds, PAUSE_FIRST
    while not over():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, PAUSE_LONGEST)
    return True


# -- what a program is born into --------------------------------------------------------------------------------


def _elsewhere(directory: str, cpu_seconds: int, do: Callable[[], None]) -> None:
    """Call `do` in another directory, with a private umask and with limits, and come back. Raises OSError.

    Core dumps stay off: they would hold mail. Of the processor's time the soft limit is lowered, because a hard one
    can't be raised again; what this process has used so far is added, or it would be ended itself.
    """
    here = _open_here()
    umask = os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    try:
        os.chdir(directory)
        own = _lowest(int(time.process_time()) + 1 + cpu_seconds, soft, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (own, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        do()
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        os.umask(umask)
        if here >= 0:
            try:
                os.fchdir(here)
            except OSError:  # closed to this user
                pass
            os.close(here)


def _open_here() -> int:
    try:
        return os.open(".", _HERE)
    except OSError:  # removed, or closed to this user: nothing to come back to
        return -1


def _limit_processor(pid: int, cpu_seconds: int) -> None:
    """Make the limit exact and hard where that can be done from outside: on Linux."""
    if hasattr(resource, "prlimit"):
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_CPU)
            limits = _lowest(cpu_seconds, hard), _lowest(cpu_seconds + 1, hard)
            resource.prlimit(pid, resource.RLIMIT_CPU, limits)
        except OSError:  # it has ended, or has become another user's (setuid)
            pass


def _lowest(wanted: int, *limits: int) -> int:
    """A limit no higher than those there are; RLIM_INFINITY is none."""
    return min([wanted, *[limit for limit in limits if limit != resource.RLIM_INFINITY]])


def _leaking() -> list[int]:
    """Descriptors that a program would inherit beyond its three: Python's own close by themselves (PEP 446)."""
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no such file system: those of the caller went at the start
        return []
    return [fd for fd in numbers if fd > 2 and _is_inheritable(fd)]


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the listing's own
        return False


# -- at most N at once ------------------------------------------------------------------------------------------


class Slot:
    """The right to be one of so many; given back by `release`, by `with`, and by the kernel when the process ends."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            close_quietly(self._fd)
            self._fd = -1

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def slot(directory: str, name: str, count: int, *, seconds: float) -> Slot | Status:
    """Be one of at most `count` holders of `name`, after a wait of up to `seconds`; else a Status to try again.

    The lock files are in `directory`, which is made where it is missing; any text will do for a name.
    """
    seal = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    deadline = time.monotonic() + seconds
    try:
        make_private(directory)
        while True:
            for number in range(count):
                taken = Slot(os.open(f"{directory}/{seal}.{number}", _SLOT, 0o600))
                try:
                    fcntl.flock(taken._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return taken
                except BlockingIOError:
                    taken.release()
                except BaseException:
                    taken.release()
                    raise
            left = deadline - time.monotonic()
            if left <= 0:
                return deferred(f"{count} at once are running already", "4.3.2")
            time.sleep(min(left, PAUSE_LONGEST))
    except OSError as error:
        return failure(error, "waiting for a free place to run a program")
