"""Programs run by `system.program`: real ones, ended in time, with everything that belongs to them.

`call` refuses to work for root, so it is called in a process that is no longer root's, and its answer sent back.
"""

from __future__ import annotations

import _signal
import errno
import hashlib
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from pydeliver.status import Status
from pydeliver.system import alarm, program
from pydeliver.system.alarm import Interrupted
from pydeliver.system.program import CHUNK, EXITED, NOT_STARTED, SIGNALLED, TIMED_OUT, TOO_MUCH, Ended
from tests.installation import AS_ROOT, Home

ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin"}
MEGABYTE: Final = 1 << 20
UNLIMITED: Final = 3600.0  # seconds nobody waits for
NO_STEPS: Final = (callable, _signal.getsignal)

Answer = TypeVar("Answer")


def drop(home: Home) -> None:
    if AS_ROOT:
        os.setgroups([])
        os.setgid(home.gid)
        os.setuid(home.uid)


def as_user(home: Home, do: Callable[[], Answer]) -> Answer:
    """What `do` answers, or raises, in a process of the home's owner."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        code = 1
        try:
            drop(home)
            try:
                answer: Any = (True, do())
            except BaseException as error:  # noqa: BLE001 - raised again by the parent
                answer = (False, error)
            with open(writing, "wb") as file:
                pickle.dump(answer, file)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    went_well, answer = pickle.loads(data)
    if not went_well:
        raise answer
    result: Answer = answer
    return result


def called(
    argv: Iterable[str],
    home: Home,
    *,
    seconds: float = UNLIMITED,
    cpu_seconds: int = 3600,
    output_limit: int = MEGABYTE,
    environment: dict[str, str] | None = None,
    feed: Iterable[bytes] = (),
    sink: Callable[[bytes], object] | None = None,
) -> Ended | Status:
    """`call`, by this process."""
    return program.call(
        tuple(argv),
        directory=str(home.path),
        environment=ENVIRONMENT if environment is None else environment,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        output_limit=output_limit,
        feed=feed,
        sink=sink,
    )


def call(argv: Iterable[str], home: Home, **options: Any) -> Ended:
    """How a program ends that the owner of `home` runs; it must come to its running."""

    def do() -> tuple[object, ...]:
        ended = called(argv, home, **options)
        assert isinstance(ended, Ended), ended
        return ended._astuple()

    values: Any = as_user(home, do)
    return Ended(*values)


def sh(script: str, home: Home, *words: str, **options: Any) -> Ended:
    return call(("sh", "-c", script, "sh", *words), home, **options)


def state(pid: int) -> str:
    """The letter of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


def members(number: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            if os.getpgid(pid) == number and is_running(pid):
                found.append(pid)
        except ProcessLookupError:
            pass
    return found


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def gone(place: Path) -> bool:
    """Whether nobody runs any more in the group of the process whose number the file holds; death takes a moment."""
    number = int(place.read_text())
    wait_for(lambda: not members(number))
    return True


# -- how it ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 64, 75, 77, 100, 126, 127, 128, 143, 255])
def test_an_exit_code_is_told_as_it_is(code: int, home: Home) -> None:
    ended = sh(f"exit {code}", home)
    assert ended == Ended(EXITED, code)
    assert ended.ok == (code == 0)
    assert ended.line == f"ended with {code}"


@pytest.mark.parametrize(
    "name", "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM VTALRM PROF SYS XFSZ".split()
)
def test_a_signal_that_ends_it_is_told(name: str, home: Home) -> None:
    assert sh(f"kill -{name} $$; sleep 60", home) == Ended(SIGNALLED, signal.Signals[f"SIG{name}"])


def test_a_signal_has_a_name_in_the_log(home: Home) -> None:
    assert sh("echo oh >&2; kill -SEGV $$", home).line == "was ended by signal 11 (Segmentation fault): oh"


def test_a_program_that_hangs_is_ended(home: Home) -> None:
    ended = sh("echo so far; exec sleep 1000", home, seconds=0.3)
    assert ended == Ended(TIMED_OUT, output=b"so far\n", why="took longer than 0.3 s")
    assert ended.line == "took longer than 0.3 s"


def test_a_program_that_closes_its_pipes_and_hangs_is_ended(home: Home) -> None:
    assert sh("exec <&- >&- 2>&-; exec sleep 1000", home, seconds=0.3).how == TIMED_OUT


def test_a_program_that_stops_itself_is_ended(home: Home) -> None:
    assert sh("kill -STOP $$", home, seconds=0.3).how == TIMED_OUT


def test_a_program_that_has_time_to_tidy_up_does(home: Home) -> None:
    ended = sh("trap 'echo tidy > tidied; exit 3' TERM; sleep 1000 & wait", home, seconds=0.3)
    assert ended.how == TIMED_OUT
    assert (home.path / "tidied").read_text() == "tidy\n"


def test_a_program_that_is_deaf_to_signals_is_killed(home: Home) -> None:
    deaf = "trap '' TERM HUP INT QUIT PIPE; echo $$ > pid; while :; do sleep 1000; done"
    assert sh(deaf, home, seconds=0.3).how == TIMED_OUT
    assert gone(home.path / "pid")


def test_a_program_that_takes_too_much_of_the_processor_is_ended(home: Home) -> None:
    ended = sh("while :; do :; done", home, cpu_seconds=1)
    assert ended == Ended(TIMED_OUT, why="took more than 1 s of the processor")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no hard limit can be set from outside")
def test_who_ignores_the_signal_of_that_limit_is_killed(home: Home) -> None:
    assert sh("trap '' XCPU; while :; do :; done", home, cpu_seconds=1) == Ended(SIGNALLED, signal.SIGKILL)


# -- what is left of it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("echo $$ > pid; sleep 1000 & sleep 1000 & exit 0", EXITED),
        ("echo $$ > pid; (sleep 1000; sleep 1000) & exec >&- 2>&-; exit 0", EXITED),
        ("echo $$ > pid; trap '' TERM; sleep 1000 & sleep 1000 & wait", TIMED_OUT),
        ("echo $$ > pid; (yes; yes) & yes", TOO_MUCH),
        ("echo $$ > pid; sleep 1000 & kill -KILL $$", SIGNALLED),
    ],
)
def test_nobody_of_its_group_is_left_and_no_zombie(script: str, how: str, home: Home) -> None:
    def do() -> tuple[str, str]:
        ended = called(("sh", "-c", script), home, seconds=UNLIMITED if how != TIMED_OUT else 0.3)
        assert isinstance(ended, Ended)
        return ended.how, Path("/proc/thread-self/children").read_text()

    assert as_user(home, do) == (how, "")
    assert gone(home.path / "pid")


def test_who_holds_the_pipes_after_the_program_ended_is_not_waited_for(home: Home) -> None:
    assert sh("echo done; sleep 1000 & exit 4", home) == Ended(EXITED, 4, b"done\n")


def test_who_left_the_group_and_holds_the_pipes_is_not_waited_for(home: Home) -> None:
    ended = sh("setsid sh -c 'echo $$ > escaped; exec sleep 1000' & until [ -s escaped ]; do :; done; echo done", home)
    assert ended == Ended(EXITED, 0, b"done\n")
    escaped = int((home.path / "escaped").read_text())
    assert is_running(escaped)
    os.kill(escaped, signal.SIGKILL)


def test_who_left_the_group_and_writes_without_end_is_not_listened_to(home: Home) -> None:
    writer = "head -c 200000 /dev/zero; echo $$ > escaped; exec yes"
    script = f"setsid sh -c '{writer}' & until [ -s escaped ]; do :; done"

    def do() -> tuple[str, int]:
        pieces = 0

        def sink(data: bytes) -> None:
            nonlocal pieces
            pieces += 1
            hashlib.pbkdf2_hmac("sha256", data, b"", 50_000)  # the pipe is full again after it

        ended = called(("sh", "-c", script), home, sink=sink, output_limit=1 << 40)
        assert isinstance(ended, Ended)
        return ended.how, pieces

    how, pieces = as_user(home, do)
    assert how == EXITED
    assert pieces < 10 * program.LEFT_CHUNKS
    escaped = int((home.path / "escaped").read_text())
    wait_for(lambda: not is_running(escaped))  # its pipe is closed


@pytest.mark.parametrize("script", ["exec sleep 1000", "trap '' TERM; while :; do sleep 1000; done", "yes", "cat"])
def test_an_interruption_ends_the_program_before_it_goes_on(script: str, home: Home) -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield b"x" * 1000

    def do() -> tuple[int, bool, str]:
        alarm.guard(0)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            called(("sh", "-c", f"echo $$ > pid; {script}"), home, feed=endless(), sink=len, output_limit=1 << 50)
        except Interrupted as interrupted:
            pid = int((home.path / "pid").read_text())
            return interrupted.number, gone(home.path / "pid"), state(pid)
        raise AssertionError("not interrupted")

    assert as_user(home, do) == (signal.SIGALRM, True, "")


def interrupted_at(step: int, home: Home) -> int:
    """What becomes of a call that a signal reaches at its n-th step: 0 no such step, 3 nothing is left, 4 a process is.

    A step is that of a profiler: a function of Python or of C is entered or left, but for those that ask each signal.
    """
    if (pid := os.fork()) == 0:
        taken = 0

        def count(_frame: object, _event: str, what: object) -> None:
            nonlocal taken
            if what not in NO_STEPS:
                taken += 1
                if taken == step:
                    os.kill(os.getpid(), signal.SIGTERM)

        try:
            alarm.guard(0)
            try:
                sys.setprofile(count)
                called(("true",), home)
                sys.setprofile(None)
                os._exit(0 if taken < step else 5)
            except Interrupted:
                sys.setprofile(None)
                os._exit(4 if Path("/proc/thread-self/children").read_text() else 3)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_interruption_at_any_step_leaves_nothing(home: Home) -> None:
    def do() -> tuple[int, list[tuple[int, int]]]:
        step, odd = 1, []
        while code := interrupted_at(step, home):
            if code != 3:
                odd.append((step, code))
            step += 1
        return step, odd

    steps, odd = as_user(home, do)
    assert odd == []
    assert steps > 50


def test_a_signal_held_back_by_the_caller_stays_held_back(home: Home) -> None:
    def do() -> tuple[str, bool]:
        alarm.guard(0)
        alarm.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        ended = called(("true",), home)
        assert isinstance(ended, Ended)
        try:
            alarm.release()
        except Interrupted:
            return ended.how, True
        return ended.how, False

    assert as_user(home, do) == (EXITED, True)


# -- what goes in -----------------------------------------------------------------------------------------------


def test_the_feed_is_its_input(home: Home) -> None:
    assert call(("cat",), home, feed=[b"one\n", b"", b"two\n"]) == Ended(EXITED, 0, b"one\ntwo\n")


def test_without_a_feed_its_input_is_empty(home: Home) -> None:
    assert call(("wc", "-c"), home).output.strip() == b"0"


@pytest.mark.parametrize("script", ["exit 0", "exec <&-; echo shut; exit 0", "head -c 10 >/dev/null; exit 0"])
def test_a_program_that_does_not_read_all_of_it_has_done_no_wrong(script: str, home: Home) -> None:
    assert sh(script, home, feed=[b"x" * MEGABYTE] * 10).ok


def test_a_program_that_never_reads_and_hangs_is_ended(home: Home) -> None:
    assert sh("exec sleep 1000", home, feed=[b"x" * MEGABYTE] * 10, seconds=0.3).how == TIMED_OUT


def test_a_feed_that_fails_ends_the_program_and_is_not_its_fault(home: Home) -> None:
    def broken() -> Iterable[bytes]:
        yield b"beginning"
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def do() -> tuple[int, str, str]:
        status = called(("cat",), home, feed=broken())
        assert isinstance(status, Status)
        return status.exit_code, status.text, Path("/proc/thread-self/children").read_text()

    assert as_user(home, do) == (75, "feeding a program and keeping its output: Input/output error", "")


# -- what comes out ---------------------------------------------------------------------------------------------


def test_output_up_to_the_limit_is_kept_and_one_byte_more_ends_the_program(home: Home) -> None:
    assert sh("head -c 100000 /dev/zero", home, output_limit=100_000) == Ended(EXITED, 0, b"\0" * 100_000)
    ended = sh("head -c 100001 /dev/zero", home, output_limit=100_000)
    assert ended == Ended(TOO_MUCH, output=b"\0" * 100_000, why="wrote more than 100000 bytes")


def test_a_gigabyte_of_output_is_not_taken(home: Home) -> None:
    assert sh("head -c 1073741824 /dev/zero", home, output_limit=1000) == Ended(
        TOO_MUCH, output=b"\0" * 1000, why="wrote more than 1000 bytes"
    )


def test_a_sink_gets_the_output_and_the_result_does_not(home: Home) -> None:
    place = home.path / "out"

    def do() -> Any:
        with place.open("wb") as file:
            ended = called(("head", "-c", "300000", "/dev/zero"), home, sink=file.write)
        assert isinstance(ended, Ended)
        return ended._astuple()

    assert Ended(*as_user(home, do)) == Ended(EXITED)
    assert place.read_bytes() == b"\0" * 300_000


def test_a_sink_that_fails_ends_the_program_and_is_not_its_fault(home: Home) -> None:
    def do() -> tuple[int, str]:
        with open("/dev/full", "wb", buffering=0) as full:
            status = called(("yes",), home, sink=full.write)
        assert isinstance(status, Status)
        return status.exit_code, status.line

    assert as_user(home, do) == (75, "4.3.1 feeding a program and keeping its output: No space left on device")


def test_a_bug_in_the_sink_is_a_bug_and_the_program_ends(home: Home) -> None:
    def bug(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        sh("echo $$ > pid; echo x; sleep 1000", home, sink=bug)
    assert gone(home.path / "pid")


def test_a_large_message_goes_through_a_program_in_little_memory(home: Home) -> None:
    def pieces() -> Iterable[bytes]:
        return (number.to_bytes(4, "big") * (16 << 10) for number in range(1600))

    def do() -> tuple[str, str, int]:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seen = hashlib.sha256()
        ended = called(("cat",), home, feed=pieces(), sink=seen.update, output_limit=1600 * CHUNK)
        assert isinstance(ended, Ended)
        return ended.how, seen.hexdigest(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    how, digest, grown = as_user(home, do)
    expected = hashlib.sha256()
    for piece in pieces():
        expected.update(piece)
    assert (how, digest) == (EXITED, expected.hexdigest())
    assert grown < 4096  # KB


def test_of_its_errors_the_beginning_is_told_in_one_visible_line(home: Home) -> None:
    said = sh(r"printf 'one\n\ttwo \033[31mred\007 \377\342\200\256 end\n' >&2", home).said
    assert said == "one two [31mred \N{REPLACEMENT CHARACTER} end"


def test_ten_megabytes_of_errors_block_nothing_and_are_not_kept(home: Home) -> None:
    ended = sh("head -c 10485760 /dev/zero | tr '\\0' x >&2; echo done", home)
    assert ended == Ended(EXITED, 0, b"done\n", "x" * program.SAID_LIMIT)


def test_everything_at_once_blocks_nothing(home: Home) -> None:
    ended = sh("tee /dev/stderr", home, feed=[b"x" * MEGABYTE] * 20, sink=len, output_limit=1 << 30)
    assert ended == Ended(EXITED, said="x" * program.SAID_LIMIT)


# -- what does not start ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
@pytest.mark.parametrize("ids", [(0, 0), (0, 65534), (65534, 0)])
def test_nothing_is_run_for_a_rule_as_root(ids: tuple[int, int], tmp_path: Path, home: Home) -> None:
    if (pid := os.fork()) == 0:
        try:
            os.setresuid(*ids, 0)
            status = called(("sh", "-c", f"touch {tmp_path}/ran {home.path}/ran"), home)
            os._exit(0 if isinstance(status, Status) and status.exit_code == 75 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not (tmp_path / "ran").exists()
    assert not (home.path / "ran").exists()


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ((), "No such file or directory"),
        (("",), "No such file or directory"),
        (("no-such-program",), "no-such-program: No such file or directory"),
        (("/no/such/program",), "/no/such/program: No such file or directory"),
        (("/usr/bin",), "/usr/bin: Permission denied"),
        ((".",), ".: Permission denied"),
        (("bin/plain",), "HOME/bin/plain: Permission denied"),
        (("bin/text",), "HOME/bin/text: neither a program nor a script whose first line begins with #!"),
        (("bin/orphan",), "HOME/bin/orphan: what its first line names is not there"),
        (("bin/plain/x",), "HOME/bin/plain/x: Not a directory"),
        (("echo", "a\0b"), "embedded null byte"),
        (("e\0cho",), "e cho: No such file or directory"),
        (("/bin/e\0cho",), "embedded null byte"),
        (("echo", "\ud800"), "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"),
        (("echo", "x" * (4 << 20)), "/usr/bin/echo: Argument list too long"),
        (("no\x1b[31m\nred",), "no [31m red: No such file or directory"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_can_not_be_started_is_told(argv: tuple[str, ...], why: str, home: Home) -> None:
    home.file("bin/plain", "#!/bin/sh\n", 0o600)
    home.file("bin/text", "echo without\n", 0o700)
    home.file("bin/orphan", "#!/no/such/interpreter\n", 0o700)
    ended = call(argv, home)
    assert ended.how == NOT_STARTED
    assert ended.line.replace(str(home.path), "HOME") == ended.why.replace(str(home.path), "HOME")
    told = ended.line.replace(str(home.path), "HOME")
    assert told in (f"could not be started: {why}", f"could not be started: : {why}")


def test_a_directory_that_is_not_there_is_told(home: Home) -> None:
    elsewhere = Home(home.path / "gone", home.uid, home.gid)
    assert call(("true",), elsewhere).why == f"could not be started: {elsewhere.path}: No such file or directory"


def test_a_variable_that_can_not_be_is_told(home: Home) -> None:
    assert call(("true",), home, environment={**ENVIRONMENT, "A=B": "x"}).how == NOT_STARTED
    assert call(("true",), home, environment={**ENVIRONMENT, "A": "x\0y"}).how == NOT_STARTED


def test_a_machine_without_room_is_no_fault_of_the_program(home: Home) -> None:
    def do() -> tuple[int, str]:
        room = 3 + max([int(name) for name in os.listdir("/dev/fd")])
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, room))
        try:
            while True:
                last = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            os.close(last)
        status = called(("true",), home)
        assert isinstance(status, Status)
        return status.exit_code, status.text

    assert as_user(home, do) == (75, "starting a program: Too many open files")


def test_what_does_not_start_leaves_no_descriptor(home: Home) -> None:
    def do() -> tuple[int, int]:
        before = len(os.listdir("/dev/fd"))
        for argv in (("no-such-program",), ("/usr/bin",), ("true", "\0"), ("true",)):
            called(argv, home)
        return before, len(os.listdir("/dev/fd"))

    before, after = as_user(home, do)
    assert before == after


def test_a_program_is_sought_in_its_own_path_and_never_in_relative_directories(home: Home) -> None:
    home.file("own/tool", "#!/bin/sh\necho own\n", 0o700)
    home.file("tool", "#!/bin/sh\necho here\n", 0o700)
    home.file("closed/tool", "#!/bin/sh\necho closed\n", 0o600)
    own, closed = home.path / "own", home.path / "closed"
    assert call(("tool",), home, environment={"PATH": f"{closed}:{own}:/bin"}).output == b"own\n"
    assert call(("tool",), home, environment={"PATH": f":.:own:{closed}"}).why.endswith("tool: Permission denied")
    assert call(("tool",), home, environment={"PATH": ":.:own"}).why.endswith("tool: No such file or directory")
    assert call(("tool",), home, environment={}).how == NOT_STARTED
    assert call(("./tool",), home, environment={}).output == b"here\n"


# -- what it has ------------------------------------------------------------------------------------------------


def test_its_environment_is_exactly_what_is_given(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    given = {**ENVIRONMENT, "SENDER": "() { :; }; echo", "LINES": "one\ntwo", "ODD": "\udcff=", "EMPTY": ""}
    shown = call(("env", "-0"), home, environment=given).output
    assert sorted(os.fsdecode(shown).split("\0")[:-1]) == sorted(f"{name}={value}" for name, value in given.items())


def test_its_arguments_are_exactly_what_is_given(home: Home) -> None:
    words = ["", " ", "$(touch canary)", "`touch canary`", "; touch canary", "-n", "--", "*", "'\"\\", "a\nb", "\udcff"]
    shown = call(("printf", r"%s\0", *words), home).output
    assert os.fsdecode(shown).split("\0")[:-1] == words
    assert not (home.path / "canary").exists()


def test_its_descriptors_are_0_1_and_2_whatever_leaked_to_us(home: Home) -> None:
    def do() -> bytes:
        near, far = os.pipe()
        os.set_inheritable(near, True)
        os.dup2(far, 60, inheritable=True)
        ended = called(("sh", "-c", "cd /proc/$$/fd; for fd in *; do [ -e $fd ] && echo $fd; done"), home)
        assert isinstance(ended, Ended)
        return ended.output

    assert as_user(home, do).split() == [b"0", b"1", b"2"]


def test_its_umask_directory_group_and_limits(home: Home) -> None:
    script = "umask; pwd -P; ps -o pgid= -p $$; echo $$; grep -E 'core|cpu' /proc/self/limits"
    lines = sh(script, home, cpu_seconds=7).output.decode().splitlines()
    assert lines[:2] == ["0077", str(home.path)]
    assert int(lines[2]) == int(lines[3])
    limits = [line.split()[-3:-1] for line in lines[4:]]
    assert limits == ([["7", "8"], ["0", "0"]] if hasattr(resource, "prlimit") else limits)


def test_its_signals_are_those_of_a_fresh_process(home: Home) -> None:
    def do() -> bytes:
        alarm.guard(0)
        for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGTSTP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        ended = called(("grep", "^Sig[BI]", "/proc/self/status"), home)
        assert isinstance(ended, Ended)
        return ended.output

    _, blocked, _, ignored = as_user(home, do).split()
    ours = sum(1 << number - 1 for number in signal.valid_signals())  # not the C library's own
    assert (int(blocked, 16), int(ignored, 16) & ours) == (0, 0)


def test_an_exit_code_is_known_though_our_caller_ignored_the_end_of_children(home: Home) -> None:
    def do() -> Any:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        ended = called(("sh", "-c", "exit 7"), home)
        assert isinstance(ended, Ended)
        return ended._astuple()

    assert Ended(*as_user(home, do)) == Ended(EXITED, 7)


def test_our_own_surroundings_are_as_before(home: Home) -> None:
    def seen() -> tuple[object, ...]:
        umask = os.umask(0)
        os.umask(umask)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return umask, os.getcwd(), resource.getrlimit(resource.RLIMIT_CPU), mask, len(os.listdir("/dev/fd"))

    def do() -> bool:
        os.umask(0o027)
        os.chdir("/usr")
        before = seen()
        for argv in (("true",), ("no-such-program",), ("/usr",), ("true", "\0"), ("sh", "-c", "sleep 60 &")):
            called(argv, home)
        return before == seen()

    assert as_user(home, do)


def test_a_directory_of_ours_that_is_gone_hinders_nothing(home: Home) -> None:
    gone = home.folder("gone")

    def do() -> str:
        os.chdir(gone)
        os.rmdir(gone)
        ended = called(("true",), home)
        assert isinstance(ended, Ended)
        return ended.how

    assert as_user(home, do) == EXITED


def test_threads_start_programs_beside_each_other_each_in_its_directory(home: Home) -> None:
    folders = [home.folder(f"f{number}") for number in range(8)]

    def do() -> list[bool]:
        found: list[bool] = []
        sys.setswitchinterval(1e-6)  # whatever can come between, does

        def work(folder: Path) -> None:
            place = Home(folder, home.uid, home.gid)
            for _ in range(20):
                ended = called(("pwd", "-P"), place)
                found.append(isinstance(ended, Ended) and ended.output.decode() == f"{folder}\n")

        threads = [threading.Thread(target=work, args=(folder,)) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    assert as_user(home, do) == [True] * 160


def test_a_program_runs_while_another_thread_watches_the_time(home: Home) -> None:
    def do() -> Any:
        alarm.guard(300)
        ended = alarm.watched(lambda: called(("sh", "-c", "umask"), home), lambda: os._exit(9))
        assert isinstance(ended, Ended)
        return ended._astuple()

    assert Ended(*as_user(home, do)) == Ended(EXITED, 0, b"0077\n")


def test_systems_without_waitid_and_prlimit_do_as_well(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid", raising=False)
    monkeypatch.delattr(resource, "prlimit", raising=False)
    assert sh("echo x; exit 3", home) == Ended(EXITED, 3, b"x\n")
    assert sh("kill -KILL $$", home) == Ended(SIGNALLED, signal.SIGKILL)
    assert sh("while :; do :; done", home, cpu_seconds=1).why == "took more than 1 s of the processor"
    assert sh("echo $$ > pid; trap '' TERM; sleep 1000 & wait", home, seconds=0.3).how == TIMED_OUT
    assert gone(home.path / "pid")
    assert sh("echo $$ > pid; sleep 1000 &", home).how == EXITED
    assert gone(home.path / "pid")


# -- at most N at once ------------------------------------------------------------------------------------------


def slot(directory: Path, name: str = "spamc", count: int = 2, seconds: float = 0) -> program.Slot | Status:
    return program.slot(str(directory), name, count, seconds=seconds)


def test_so_many_have_a_slot_and_the_next_is_to_try_again(tmp_path: Path) -> None:
    slots = tmp_path / "slots"
    one, two, three = slot(slots), slot(slots), slot(slots)
    assert isinstance(one, program.Slot)
    assert isinstance(two, program.Slot)
    assert isinstance(three, Status)
    descriptors = len(os.listdir("/dev/fd"))
    assert isinstance(slot(slots, seconds=0.2), Status)
    assert len(os.listdir("/dev/fd")) == descriptors
    assert (three.exit_code, three.text) == (75, "2 at once are running already")
    one.release()
    one.release()
    with slot(slots) as four:  # type: ignore[union-attr]
        assert isinstance(four, program.Slot)
        assert isinstance(slot(slots), Status)
    assert isinstance(slot(slots), program.Slot)
    assert slots.stat().st_mode & 0o777 == 0o700


def test_any_text_names_slots_and_other_names_are_others(tmp_path: Path) -> None:
    names = ["a", "../b", "c/d", "", "\udcff", "x" * 10_000]
    held = [slot(tmp_path / "slots", name, 1) for name in names]
    assert [type(one) for one in held] == [program.Slot] * len(names)
    assert [type(slot(tmp_path / "slots", name, 1)) for name in names] == [Status] * len(names)
    assert len(list((tmp_path / "slots").iterdir())) == len(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slots"]


def test_a_slot_is_waited_for(tmp_path: Path) -> None:
    held = slot(tmp_path / "slots", count=1)
    assert isinstance(held, program.Slot)
    threading.Timer(0.2, held.release).start()
    assert isinstance(slot(tmp_path / "slots", count=1, seconds=60), program.Slot)


def test_a_killed_holder_gives_its_slot_back_though_its_program_lives(tmp_path: Path) -> None:
    slots, told = tmp_path / "slots", tmp_path / "told"
    if (pid := os.fork()) == 0:
        held = slot(slots, count=1)
        os.posix_spawn("/bin/sleep", ("sleep", "1000"), {})
        told.write_text(f"{type(held).__name__} {Path(f'/proc/self/task/{os.getpid()}/children').read_text()}\n")
        signal.pause()
    wait_for(lambda: told.exists() and told.read_text().endswith("\n"))
    name, sleeping = told.read_text().split()
    assert name == "Slot"
    assert isinstance(slot(slots, count=1), Status)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert isinstance(slot(slots, count=1), program.Slot)
    os.kill(int(sleeping), signal.SIGKILL)


def test_never_more_than_so_many_processes_hold_a_slot(tmp_path: Path) -> None:
    """Each holder makes a file and counts: the files there can never be more than the slots."""
    inside = tmp_path / "inside"
    inside.mkdir()
    children = []
    for _ in range(6):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                for turn in range(10):
                    with slot(tmp_path / "slots", count=2, seconds=60):  # type: ignore[union-attr]
                        mine = inside / f"{os.getpid()}.{turn}"
                        mine.touch()
                        assert len(os.listdir(inside)) <= 2
                        time.sleep(0.002)
                        mine.unlink()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6


def test_a_directory_that_can_not_hold_slots_is_a_reason_to_try_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status = slot(tmp_path / "file")
    assert isinstance(status, Status)
    assert status.exit_code == 75


# -- the house's own helpers ------------------------------------------------------------------------------------


def python(script: str, *words: str, seconds: float = 60) -> int:
    return program.run((sys.executable, "-I", "-S", "-c", script, *words), seconds=seconds)


def shell(script: str, *words: str, seconds: float = 60) -> int:
    return program.run(("/bin/sh", "-c", script, "sh", *words), seconds=seconds)


@pytest.mark.parametrize("code", [0, 1, 75, 255])
def test_an_exit_code_is_given_as_it_is(code: int) -> None:
    assert shell(f"exit {code}") == code


def test_a_signal_that_ended_it_is_given_as_a_negative_number() -> None:
    assert shell("kill -TERM $$") == -signal.SIGTERM


def test_a_helper_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        program.run(("/nonexistent/program",), seconds=1)


def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    assert shell('trap "" TERM HUP; sleep 1000 & echo $! $$ > "$1"; wait', str(pids), seconds=0.5) == -signal.SIGKILL
    wait_for(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


def test_what_a_helper_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    assert shell('sleep 1000 & echo $! > "$1"', str(tmp_path / "pid")) == 0
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_an_interruption_ends_the_helper_before_it_goes_on(tmp_path: Path) -> None:
    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(Interrupted):
        shell('echo $$ > "$1"; exec sleep 1000', str(tmp_path / "pid"))
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_helper_gets_fresh_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    near, far = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    script = """if True:
        import os, signal, sys
        ours = [fd for fd in sys.argv[2:] if os.path.exists(f"/proc/self/fd/{fd}")]
        status = open("/proc/self/status").read()
        words = dict(line.split(":", 1) for line in status.splitlines())
        with open(sys.argv[1], "w") as file:
            print(ours, [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)], file=file)
            print(sorted(os.environ.items()), file=file)
            print(int(words["SigBlk"], 16), os.getpgrp() == os.getpid(), file=file)
    """
    assert python(script, str(tmp_path / "seen"), str(near), str(far)) == 0
    os.close(near)
    os.close(far)
    streams, environment, rest = (tmp_path / "seen").read_text().splitlines()
    assert streams == "[] ['/dev/null', '/dev/null', '/dev/null']"
    assert environment == "[('LC_ALL', 'C'), ('PATH', '/usr/bin:/bin')]"
    assert rest == "0 True"


def test_signals_that_python_ignores_work_in_a_helper() -> None:
    assert shell("kill -PIPE $$; kill -XFSZ $$") == -signal.SIGPIPE
    assert shell("kill -XFSZ $$") == -signal.SIGXFSZ
