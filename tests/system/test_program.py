"""Programs run by `system.program`: real ones, ended in time, with everything that belongs to them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pydeliver.system import program
from pydeliver.system.alarm import Interrupted


def python(script: str, *words: str, seconds: float = 60) -> int:
    return program.run((sys.executable, "-I", "-S", "-c", script, *words), seconds=seconds)


def shell(script: str, *words: str, seconds: float = 60) -> int:
    return program.run(("/bin/sh", "-c", script, "sh", *words), seconds=seconds)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("code", [0, 1, 75, 255])
def test_an_exit_code_is_given_as_it_is(code: int) -> None:
    assert shell(f"exit {code}") == code


def test_a_signal_that_ended_it_is_given_as_a_negative_number() -> None:
    assert shell("kill -TERM $$") == -signal.SIGTERM


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        program.run(("/nonexistent/program",), seconds=1)


def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    assert shell('trap "" TERM HUP; sleep 1000 & echo $! $$ > "$1"; wait', str(pids), seconds=0.5) == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while any(is_running(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline


def test_what_a_program_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    assert shell('sleep 1000 & echo $! > "$1"', str(tmp_path / "pid")) == 0
    deadline = time.monotonic() + 30
    while is_running(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline


def test_an_interruption_ends_the_program_before_it_goes_on(tmp_path: Path) -> None:
    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(Interrupted):
        shell('echo $$ > "$1"; exec sleep 1000', str(tmp_path / "pid"))
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_program_gets_fresh_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_signals_that_python_ignores_work_in_a_program() -> None:
    assert shell("kill -PIPE $$; kill -XFSZ $$") == -signal.SIGPIPE
    assert shell("kill -XFSZ $$") == -signal.SIGXFSZ
