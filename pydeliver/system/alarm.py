"""Signals and the time limit: one exception in the main flow, and a way to hold it off while a commit ends.

Owns the handlers of TERM, INT, HUP, QUIT, ALRM and XCPU, whose default would end a delivery by a signal, which Exim and
Courier bounce. Refuses to do work in a handler: it raises `Interrupted`, and who cleans up does so in its `except`.
signal-safety(7). `_signal` is what `signal` wraps, without the cost of `enum`.
"""

from __future__ import annotations

import _thread
import os
import time

from pydeliver.status import Status, deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Never, TypeVar

    Done = TypeVar("Done")
else:
    import _signal

_NAMES: dict[int, str] = {
    _signal.SIGTERM: "TERM",
    _signal.SIGINT: "INT",
    _signal.SIGHUP: "HUP",
    _signal.SIGQUIT: "QUIT",
    _signal.SIGALRM: "ALRM",
    _signal.SIGXCPU: "XCPU",
}

GRACE = 0.25  # seconds that a handler has to run in before somebody else looks after the time

# Whose default would end a delivery too, and that ask for nothing.
_DEAF_TO = (_signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGVTALRM, _signal.SIGPROF)


class Interrupted(BaseException):
    """A signal asked for an end, or the time is up. A BaseException, so that no `except Exception` swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> Status:
        if self.number == _signal.SIGALRM:
            return deferred("the delivery took too long")
        return deferred(f"the delivery was stopped by signal {_NAMES.get(self.number, self.number)}")


def guard(seconds: int) -> None:
    """Turn the signals that ask for an end into `Interrupted`, and ask for it after `seconds` (0: never).

    A signal that was ignored at the start stays ignored, as nohup(1) means it; the time limit does not.
    """
    if _signal.getsignal(_signal.SIGALRM) is not _interrupt:
        for number in _NAMES:
            if number == _signal.SIGALRM or _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _interrupt)
        for number in _DEAF_TO:
            _signal.signal(number, _signal.SIG_IGN)
    with _turn:
        _watched.clear()  # what an exception may have left behind is not of this message
    release()  # a blocked mask is inherited across execve(2)
    _signal.alarm(seconds)


def _interrupt(number: int, frame: FrameType | None) -> Never:
    """Raise once: the others wait from here on, so that nothing cuts the cleaning up short."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, list(_NAMES))
    raise Interrupted(number)


def hold() -> None:
    """Keep the signals waiting while the last step is done; one that has already come is raised here, not later."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, list(_NAMES))


def release() -> None:
    """Let the signals through again; one that came meanwhile is raised here."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, list(_NAMES))


def watched(do: Callable[[], Done], give_up: Callable[[], object]) -> Done:
    """Call `do`; where it does not end in time and no handler can run, have `give_up` called by another thread.

    Handlers run between two steps of Python, so not while a search by RE2 takes minutes. `give_up` must end the
    process: what `do` would return then is never returned. `guard` says how much time there is.
    """
    left = _signal.getitimer(_signal.ITIMER_REAL)[0]
    if not left:
        return do()
    try:
        _watch_until(time.monotonic() + left + GRACE, give_up)
        return do()
    finally:
        with _turn:  # for ever, where the other thread has the last word
            _watched.clear()


_turn = _thread.allocate_lock()
_watched: list[tuple[float, Callable[[], object]]] = []  # what must be over by when: one thing, or nothing
_awake_at: list[float] = []  # when threads will look
os.register_at_fork(after_in_child=_awake_at.clear)  # which has none of them


def _watch_until(due: float, give_up: Callable[[], object]) -> None:
    """Have a thread look at `due`. One that looks before it will do: it stays, so that a process that delivers much

    does not start one for each message.
    """
    with _turn:
        _watched.append((due, give_up))
        if any([moment <= due for moment in _awake_at]):
            return
        _awake_at.append(due)
    hold()  # the thread is to take no signal: Python would raise it here, also while it is held off here
    try:
        _thread.start_new_thread(_watch, (due,))
    except RuntimeError:  # no more threads
        _awake_at.remove(due)
        raise
    finally:
        release()


def _watch(moment: float) -> None:
    """Look at `moment`, and then as long as there is something to look at."""
    while True:
        time.sleep(max(0.0, moment - time.monotonic()))
        with _turn:
            _awake_at.remove(moment)
            if not _watched:
                return
            moment, give_up = _watched[0]
            if moment <= time.monotonic():
                give_up()
            _awake_at.append(moment)


def within(seconds: float, do: Callable[[], Done]) -> Done:
    """Call `do` while nothing but the time can interrupt it: after `seconds`, and again for whatever hangs then.

    For what follows a commit, which may neither take the answer back nor keep it waiting. Raises `Interrupted`.
    """
    hold()
    _signal.setitimer(_signal.ITIMER_REAL, seconds, seconds / 10)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGALRM])
    try:
        return do()
    finally:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        hold()
