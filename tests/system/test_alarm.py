"""Signals become one exception where the work is, and wait while a commit ends: each in a process of its own."""

from __future__ import annotations

import _thread
import os
import signal
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from pydeliver.system import alarm
from pydeliver.vocabulary.operator import pattern

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGXCPU]


def exit_code(do: Callable[[], int]) -> int:
    if (child := os.fork()) == 0:
        try:
            os._exit(do())
        except alarm.Interrupted as interrupted:
            os._exit(interrupted.status.exit_code)
        except BaseException:  # noqa: BLE001 - a child may not go on as a second pytest
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def pause_until_signal() -> None:
    reader, _writer = os.pipe()
    os.read(reader, 1)  # nothing ever comes but a signal


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_interrupts_the_main_flow(number: int) -> None:
    def work() -> int:
        alarm.guard(300)
        os.kill(os.getpid(), number)
        return 2

    assert exit_code(work) == 75


def test_the_time_limit_ends_a_read_that_would_wait_for_ever() -> None:
    def work() -> int:
        alarm.guard(300)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        pause_until_signal()
        return 2

    assert exit_code(work) == 75


def test_the_time_limit_is_armed_and_none_is_not() -> None:
    def limit(seconds: int) -> Callable[[], int]:
        def work() -> int:
            alarm.guard(seconds)
            return int(signal.getitimer(signal.ITIMER_REAL)[0] + 0.5)

        return work

    assert exit_code(limit(100)) == 100
    assert exit_code(limit(0)) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_held_signal_waits_for_the_end_of_the_last_step(number: int) -> None:
    def work() -> int:
        alarm.guard(300)
        alarm.hold()
        os.kill(os.getpid(), number)
        steps = sum(range(1000))  # would not be reached
        try:
            alarm.release()
        except alarm.Interrupted as interrupted:
            return 42 if steps and interrupted.number == number else 3
        return 2

    assert exit_code(work) == 42


def test_the_first_signal_lets_the_cleaning_up_run_to_its_end() -> None:
    def work() -> int:
        alarm.guard(300)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except alarm.Interrupted:
            for number in SIGNALS:
                os.kill(os.getpid(), number)
            return 42
        return 2

    assert exit_code(work) == 42


def test_a_signal_ignored_from_the_start_stays_ignored_and_the_time_limit_does_not() -> None:
    def work() -> int:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        alarm.guard(300)
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGALRM)
        return 2

    assert exit_code(work) == 75


def test_an_inherited_mask_does_not_hold_the_time_limit_off() -> None:
    def work() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        alarm.guard(300)
        os.kill(os.getpid(), signal.SIGALRM)
        return 2

    assert exit_code(work) == 75


def test_no_except_for_exceptions_swallows_an_interruption() -> None:
    assert not issubclass(alarm.Interrupted, Exception)
    assert [alarm.Interrupted(number).status.code for number in SIGNALS] == ["4.3.0"] * len(SIGNALS)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGVTALRM, signal.SIGPROF])
def test_signals_that_ask_for_nothing_end_nothing(number: int) -> None:
    def work() -> int:
        alarm.guard(300)
        os.kill(os.getpid(), number)
        return 42

    assert exit_code(work) == 42


@pytest.mark.parametrize("number", SIGNALS)
def test_what_follows_a_commit_is_interrupted_by_nothing_but_the_time(number: int) -> None:
    def work() -> int:
        done = []
        alarm.guard(300)
        alarm.within(60, lambda: (None if number == signal.SIGALRM else os.kill(os.getpid(), number), done.append(42)))
        return done[0]

    assert exit_code(work) == 42


def test_what_hangs_after_a_commit_is_ended_however_often_it_hangs() -> None:
    def work() -> int:
        alarm.guard(300)
        try:
            alarm.within(0.05, pause_until_signal)
        except alarm.Interrupted:
            return 42
        return 2

    assert exit_code(work) == 42


def test_what_no_handler_can_end_is_given_up() -> None:
    def work() -> int:
        alarm.guard(300)
        search = pattern(r"(\pL|\pN|[^q]){1000}q", exactly=True).search
        text = "".join(Random(1).choices("ab", k=1_000_000))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return 2 if alarm.watched(lambda: search(text), lambda: os._exit(42)) else 3  # takes half a minute

    assert exit_code(work) == 42


def test_what_ends_in_time_is_not_given_up() -> None:
    def work() -> int:
        alarm.guard(300)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        done = alarm.watched(lambda: 7, lambda: os._exit(42))
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(2 * alarm.GRACE)
        return done

    assert exit_code(work) == 7


def test_what_a_handler_can_end_is_not_given_up() -> None:
    def work() -> int:
        alarm.guard(300)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            return alarm.watched(lambda: pause_until_signal() or 2, lambda: os._exit(42))
        finally:
            time.sleep(2 * alarm.GRACE)

    assert exit_code(work) == 75


def test_a_signal_that_is_held_off_does_not_come_through_the_watching_thread() -> None:
    def work() -> int:
        alarm.guard(300)

        def held() -> int:
            alarm.hold()
            for _ in range(100):
                os.kill(os.getpid(), signal.SIGTERM)
            return 7

        return alarm.watched(held, lambda: os._exit(42))

    assert exit_code(work) == 7


def test_without_a_limit_nobody_watches() -> None:
    def work() -> int:
        alarm.guard(0)
        before = _thread._count()  # the tests' own helpers
        return 7 + alarm.watched(_thread._count, lambda: os._exit(42)) - before

    assert exit_code(work) == 7


def test_one_thread_watches_over_what_a_process_does_one_after_the_other() -> None:
    def work() -> int:
        for _ in range(50):
            alarm.guard(300)
            alarm.watched(lambda: None, lambda: os._exit(3))
        return len(os.listdir("/proc/self/task"))

    assert exit_code(work) == 2


def test_a_process_has_its_own_thread_that_watches() -> None:
    def work() -> int:
        alarm.guard(300)
        alarm.watched(lambda: None, lambda: os._exit(3))
        return exit_code(watched_by)

    def watched_by() -> int:
        alarm.guard(300)
        alarm.watched(lambda: None, lambda: os._exit(3))
        return len(os.listdir("/proc/self/task"))

    assert exit_code(work) == 2


def test_what_has_less_time_than_what_came_before_is_watched_too() -> None:
    def work() -> int:
        alarm.guard(300)
        alarm.watched(lambda: None, lambda: os._exit(3))
        alarm.guard(300)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as while a search lets no handler run
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        alarm.watched(pause_until_signal, lambda: os._exit(42))
        return 2

    assert exit_code(work) == 42


def test_what_ended_in_time_is_not_given_up_later() -> None:
    def work() -> int:
        for _ in range(3):
            alarm.guard(300)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            alarm.watched(lambda: None, lambda: os._exit(3))
            signal.setitimer(signal.ITIMER_REAL, 0)
            while len(os.listdir("/proc/self/task")) > 1:  # until the thread has looked, and gone
                time.sleep(0.01)
        return 42

    assert exit_code(work) == 42
