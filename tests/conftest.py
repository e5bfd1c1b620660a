"""Fixtures that every room's tests may use, and the one switch that turns skips into failures.

A test that lacks something on this machine skips with a reason. With `PYDELIVER_REQUIRE_ALL=1`, as `.ci/run` sets it,
every skip is a failure: nothing is left out there without being seen.
"""

from __future__ import annotations

import os
import pwd
import signal
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings

from tests import corpora
from tests import installation as installation_
from tests.installation import AS_ROOT, Home, Installation, install
from tests.virtual import Site

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGXCPU)
# How long an example takes is for benchmarks to tell.
settings.register_profile("pydeliver", deadline=None)
settings.load_profile("pydeliver")
REQUIRE_ALL: Final = os.environ.get("PYDELIVER_REQUIRE_ALL") == "1"


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (PYDELIVER_REQUIRE_ALL allows no skip)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    _refuse_skip(report)
    return report


def _corpus(fetch: Callable[[], list[Path]]) -> list[Path]:
    try:
        return fetch()
    except corpora.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spam_assassin() -> list[Path]:
    """The paths of 5,296 real messages."""
    return _corpus(corpora.spam_assassin)


@pytest.fixture(scope="session")
def cpython_messages() -> list[Path]:
    """The paths of CPython's 48 test messages."""
    return _corpus(corpora.cpython)


@pytest.fixture(scope="session")
def enmime() -> list[Path]:
    """The paths of enmime's 79 test messages."""
    return _corpus(corpora.enmime)


@pytest.fixture(scope="session")
def dkimpy() -> list[Path]:
    """The paths of dkimpy's 13 test messages."""
    return _corpus(corpora.dkimpy)


@pytest.fixture(scope="session")
def public_folder() -> Generator[Path, None, None]:
    with installation_.public_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def installation(public_folder: Path) -> Installation:
    """pydeliver as a site has it; not to be damaged."""
    return install(public_folder / "site")


@pytest.fixture(autouse=True)
def _signals() -> Generator[None, None, None]:
    """Undo what a delivery does to this process: handlers, a time limit, and signals that wait from its commit on.

    Whatever started the tests may ignore some (nohup, a shell's `&`): here they work as at a terminal.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@pytest.fixture(scope="module")
def user() -> Generator[str, None, None]:
    """A user of this machine, made by root and gone afterwards."""
    with installation_.new_user(f"pydeliver{os.getpid()}") as name:
        yield name


@pytest.fixture
def home(public_folder: Path) -> Home:
    """A fresh home of an ordinary user."""
    return Home.make(Path(tempfile.mkdtemp(prefix="home-", dir=public_folder)))


@pytest.fixture
def site(installation: Installation, public_folder: Path, request: pytest.FixtureRequest) -> Site:
    """A place for a server of virtual users, whose mail belongs to a user of this machine."""
    owner = request.getfixturevalue("user") if AS_ROOT else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="serve-", dir=public_folder))
    folder.chmod(0o755)
    return Site(installation, folder, owner)
