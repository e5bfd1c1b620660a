"""Becoming a user for good, safe descriptors, and homes that may be used: each in a process of its own."""

from __future__ import annotations

import os
import pwd
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pydeliver.system import privilege

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = pwd.getpwnam("nobody")


def in_child(do: Callable[[], object]) -> object:
    """What `do` answers in a forked process; an exception comes back as its name."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            answer = repr(do())
        except BaseException as error:  # noqa: BLE001 - a child may not go on as a second pytest
            answer = repr(type(error).__name__)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        told = answers.read()
    os.waitpid(child, 0)
    return eval(told)  # what the child wrote by repr


def attempt(do: Callable[[], object]) -> bool:
    try:
        do()
    except PermissionError:
        return False
    return True


@ROOT_ONLY
def test_a_drop_changes_every_id_and_cannot_be_undone() -> None:
    def drop() -> object:
        os.setgroups([0, 1, 2])
        privilege.become(NOBODY)
        back = (
            lambda: os.setuid(0),
            lambda: os.setgid(0),
            lambda: os.setgroups([0]),
            lambda: os.open("/etc/shadow", 0),
        )
        return os.getresuid(), os.getresgid(), sorted(os.getgroups()), [attempt(one) for one in back]

    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    groups = sorted(set(os.getgrouplist(NOBODY.pw_name, gid)))
    assert in_child(drop) == ((uid,) * 3, (gid,) * 3, groups, [False] * 4)


@ROOT_ONLY
def test_after_a_drop_files_are_private_and_no_core_is_dumped() -> None:
    def drop() -> object:
        os.umask(0)
        privilege.become(NOBODY)
        return os.umask(0), resource.getrlimit(resource.RLIMIT_CORE)

    assert in_child(drop) == (0o077, (0, 0))


@ROOT_ONLY
def test_a_user_cannot_become_another() -> None:
    def try_both() -> object:
        privilege.become(NOBODY)
        privilege.become(NOBODY)  # is the user already
        return attempt(lambda: privilege.become(pwd.getpwuid(0)))

    assert in_child(try_both) is False


def test_becoming_who_one_is_changes_the_umask_only() -> None:
    def stay() -> object:
        before = os.getresuid(), os.getresgid(), os.getgroups()
        privilege.become(pwd.getpwuid(os.getuid()))
        return (os.getresuid(), os.getresgid(), os.getgroups()) == before, os.umask(0)

    assert in_child(stay) == (True, 0o077)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2), ()])
def test_closed_descriptors_become_the_null_device(closed: tuple[int, ...]) -> None:
    def secure() -> object:
        told = os.dup(9)  # out of the way of what is closed
        kept = [os.fstat(fd).st_ino for fd in (0, 1, 2) if fd not in closed]
        for fd in closed:
            os.close(fd)
        privilege.secure_descriptors()
        null = [os.fstat(fd).st_rdev for fd in closed] == [os.stat(os.devnull).st_rdev] * len(closed)
        same = [os.fstat(fd).st_ino for fd in (0, 1, 2) if fd not in closed] == kept
        inherited = all(os.get_inheritable(fd) for fd in closed)
        return null and same and inherited and not is_open(told)

    assert secured(secure)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def secured(secure: Callable[[], object]) -> bool:
    """Whether `secure` is content, told by an exit code: it closes every pipe."""
    if (child := os.fork()) == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDWR), 9)
            os._exit(0 if secure() else 1)
        except BaseException:  # noqa: BLE001 - a child may not go on as a second pytest
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_other_descriptor_stays_open() -> None:
    def secure() -> object:
        for fd in (3, 50, 200):
            os.dup2(0, fd)
        privilege.secure_descriptors()
        return not any(is_open(fd) for fd in range(3, 256))

    assert secured(secure)


def test_a_home_of_the_user_is_fine_and_every_other_is_a_reason_to_wait(tmp_path: Path) -> None:
    home, uid = tmp_path / "home", os.getuid()
    home.mkdir(mode=0o755)
    (tmp_path / "file").write_text("")
    assert privilege.home_problem(str(home), uid) is None
    problems = {}
    for mode in (0o757, 0o777, 0o1755):
        home.chmod(mode)
        problems[oct(mode)] = privilege.home_problem(str(home), uid)
    home.chmod(0o755)
    problems["another's"] = privilege.home_problem(str(home), uid + 1)
    problems["absent"] = privilege.home_problem(str(tmp_path / "absent"), uid)
    problems["file"] = privilege.home_problem(str(tmp_path / "file"), uid)
    problems["nul"] = privilege.home_problem("/home/\0", uid)
    assert all(problem is not None and problem.exit_code == 75 for problem in problems.values()), problems
    assert len({problem.text for problem in problems.values() if problem}) == 6  # two modes are one problem
    assert not (tmp_path / "absent").exists()
