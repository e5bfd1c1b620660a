"""Whatever is wrong around a delivery's start, the MTA sees 0 or 75, and 0 only with the message on disk.

Every insult is played on the launcher that an MTA runs, as an ordinary user, with one rule file that is fine unless
the insult is about it. 0 with no message would lose mail; 75 with one would deliver it twice.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.installation import AS_ROOT, PATIENCE, Home, Installation

MESSAGE = b"From: Jo <jo@example.org>\nSubject: hello\n\n" + b"Good morning.\n" * 500
RULES = 'if subject is "nothing like this" { file "Elsewhere" }\n'
# What dash says before it reads a line of the launcher.
SHELL_WITHOUT_FOLDER = b"sh: 0: getcwd() failed: No such file or directory\n"
STORED, LATER = {0}, {75}
EITHER = STORED | LATER


@dataclass
class Insult:
    """What happens to a delivery: shell words before it starts, its redirections, its environment, its home."""

    name: str
    expect: set[int]
    before: str = ""
    redirect: str = ""
    environment: dict[str, str | None] = field(default_factory=dict)
    prepare: Callable[[Home], object] = lambda _home: None
    uid: int | None = None


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def rules_path(home: Home) -> Path:
    return home.folder(".config/pydeliver") / "main.rules"


def replace_rules(make: Callable[[Path], object]) -> Callable[[Home], object]:
    """Put something else where the rule file was; it belongs to the user, as the file did."""

    def prepare(home: Home) -> None:
        path = rules_path(home)
        path.unlink()
        make(path)
        if path.is_symlink() or path.exists():
            home.own(path)

    return prepare


def sparse(path: Path) -> None:
    path.touch(0o600)
    os.truncate(path, 1 << 30)


def in_the_way(name: str) -> Callable[[Home], object]:
    return lambda home: home.file(name, "in the way")


def mode(name: str, bits: int) -> Callable[[Home], object]:
    return lambda home: home.folder(name, bits)


def rules(content: str | bytes, bits: int = 0o600) -> Callable[[Home], object]:
    return lambda home: home.file(".config/pydeliver/main.rules", content, bits)


def evil_modules(home: Home) -> None:
    for name in ("re", "os", "posixpath", "pydeliver", "sitecustomize", "usercustomize"):
        home.file(f"{name}.py", "raise SystemExit(1)\n")


INSULTS = [
    # Where its output goes.
    Insult("stdout is a full device", STORED, redirect=">/dev/full"),
    Insult("stderr is a full device", STORED, redirect="2>/dev/full"),
    Insult("both outputs are a full device", STORED, redirect=">/dev/full 2>&1"),
    Insult("both outputs are a full device, and it fails", LATER, redirect=">/dev/full 2>&1", prepare=rules("if if")),
    Insult("stdout is open for reading only", STORED, redirect="1</dev/null"),
    Insult("stderr is closed, and it fails", LATER, redirect="2>&-", prepare=rules("if if")),
    *(
        Insult(f"descriptors {closed} are closed", LATER if "0" in closed else STORED, redirect=redirect)
        for closed, redirect in {
            "0": "0<&-",
            "1": "1>&-",
            "2": "2>&-",
            "0 and 1": "0<&- 1>&-",
            "0 and 2": "0<&- 2>&-",
            "1 and 2": "1>&- 2>&-",
            "0, 1 and 2": "0<&- 1>&- 2>&-",
        }.items()
    ),
    Insult("stdin is a directory", LATER, redirect="</"),
    Insult("stdin is open for writing only", LATER, redirect="0>/dev/null"),
    Insult("stdin is empty", LATER, redirect="</dev/null"),
    # Its home and the folder it starts in.
    Insult("HOME is not set", LATER, environment={"HOME": None}),
    Insult("HOME is empty", LATER, environment={"HOME": ""}),
    Insult("HOME is relative", LATER, environment={"HOME": "home"}),
    Insult("HOME does not exist", LATER, environment={"HOME": "/nonexistent/home"}),
    Insult("HOME belongs to another", LATER, environment={"HOME": "/"}),
    Insult("HOME is a file", LATER, environment={"HOME": "/etc/passwd"}),
    Insult("HOME is not readable", LATER, prepare=mode(".", 0o000)),
    Insult("HOME is not writable", LATER, prepare=mode(".", 0o500)),
    Insult("HOME is writable by everyone", LATER, prepare=mode(".", 0o777)),
    Insult("HOME is sticky", LATER, prepare=mode(".", 0o1700)),
    Insult("the current directory is gone", STORED, before='cd "$(mktemp -d)"; rmdir "$PWD";'),
    Insult("the current directory holds modules of the same names", STORED, before="cd;", prepare=evil_modules),
    # Its environment.
    Insult("LANG is garbage", STORED, environment={"LANG": "gar\x01bage", "LC_ALL": "xx_YY.no-such"}),
    Insult("the locale is C", STORED, environment={"LC_ALL": "C"}),
    Insult("TZ is garbage", STORED, environment={"TZ": "../../../garbage"}),
    Insult("PYTHONHOME points nowhere", STORED, environment={"PYTHONHOME": "/nonexistent"}),
    Insult("PYTHONINSPECT is set", STORED, environment={"PYTHONINSPECT": "1", "PYTHONSTARTUP": "/etc/passwd"}),
    Insult("the environment is not UTF-8", STORED, environment={"SENDER": "\udcff\udcfe", "EXTENSION": "\udce9"}),
    Insult("the environment is large", STORED, environment={f"V{number}": "x" * 100_000 for number in range(10)}),
    Insult("PATH is not set", STORED, environment={"PATH": None}),
    # Limits, down to where the shell itself still starts.
    *(Insult(f"address space is {kb} KB", EITHER, before=f"ulimit -v {kb};") for kb in (4000, 8000, 12000, 20000)),
    *(Insult(f"{number} open files are allowed", EITHER, before=f"ulimit -n {number};") for number in (11, 12, 13, 16)),
    Insult("no process may be started", EITHER, before="ulimit -p 0;"),
    Insult("no file may grow", LATER, before="ulimit -f 0;"),
    Insult("a file may grow to 4 KB", LATER, before="ulimit -f 8;"),
    Insult("the stack is 64 KB", EITHER, before="ulimit -s 64;"),
    # Its rule file.
    Insult("the rule file is missing", STORED, prepare=replace_rules(lambda _path: None)),
    Insult("the rule file is a directory", LATER, prepare=replace_rules(Path.mkdir)),
    Insult("the rule file is a FIFO", LATER, prepare=replace_rules(os.mkfifo)),
    Insult("the rule file is a socket", LATER, prepare=replace_rules(socket_at)),
    Insult("the rule file is 1 GB", LATER, prepare=replace_rules(sparse)),
    Insult("the rule file links to nothing", LATER, prepare=replace_rules(lambda path: path.symlink_to("gone"))),
    Insult("the rule file links to itself", LATER, prepare=replace_rules(lambda path: path.symlink_to(path))),
    Insult("the rule file links to a device", LATER, prepare=replace_rules(lambda path: path.symlink_to("/dev/zero"))),
    Insult("the rule file is binary", LATER, prepare=rules(bytes(range(256)) * 64)),
    Insult("the rule file is not readable", LATER, prepare=rules(RULES, 0o000)),
    Insult("the rule file is writable by everyone", LATER, prepare=rules(RULES, 0o666)),
    Insult("the rule file has a mistake", LATER, prepare=rules(RULES + "fiel 'Work'\n")),
    Insult("the folder of the rules is not readable", LATER, prepare=mode(".config/pydeliver", 0o000)),
    # Where it keeps things.
    Insult("a file is where the cache belongs", STORED, prepare=in_the_way(".cache")),
    Insult("the cache cannot be written", STORED, prepare=mode(".cache", 0o500)),
    Insult("a file is where the state belongs", EITHER, prepare=in_the_way(".local")),
    Insult("the state cannot be written", EITHER, prepare=mode(".local", 0o500)),
    Insult("a file is where the Maildir belongs", LATER, prepare=in_the_way("Maildir")),
    Insult("the Maildir cannot be written", LATER, prepare=mode("Maildir", 0o500)),
    Insult("the user is not in passwd", EITHER, uid=54321),
]


def obey(home: Home, codes: set[int], done: subprocess.CompletedProcess[bytes]) -> None:
    """0 with the message, 75 without: anything else is a bounce, a loss or a second copy."""
    assert done.returncode in codes, done.stderr
    if AS_ROOT:
        home.path.chmod(0o700)
    found = list(home.messages().values())
    assert [message.endswith(MESSAGE) for message in found] == [True] * (done.returncode == 0)
    said = done.stdout + done.stderr.replace(SHELL_WITHOUT_FOLDER, b"")
    if done.returncode == 0:
        assert said == b""
    elif said:
        assert re.fullmatch(rb"4\.\d\.\d [ -~]+\n", said), said


def play(installation: Installation, home: Home, insult: Insult) -> subprocess.CompletedProcess[bytes]:
    environment = home.environment(**{name: value for name, value in insult.environment.items() if value is not None})
    for name, value in insult.environment.items():
        if value is None:
            del environment[name]
    message = home.path.with_suffix(".eml")
    message.write_bytes(MESSAGE)
    identity = home.identity | ({"user": insult.uid} if insult.uid is not None else {})
    with message.open("rb") as stdin:
        return subprocess.run(
            ["/bin/sh", "-c", f'{insult.before} exec "$0" {insult.redirect}', installation.launcher],
            stdin=stdin,
            env=environment,
            cwd="/",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            **identity,
        )


@pytest.mark.parametrize("insult", [pytest.param(insult, id=insult.name) for insult in INSULTS])
def test_an_insult_at_the_start_costs_no_message(installation: Installation, home: Home, insult: Insult) -> None:
    if not AS_ROOT and (insult.uid is not None or "HOME" in insult.environment):
        pytest.skip("a user without a home of his own needs root")
    if insult.uid is not None:
        home = Home(home.path, insult.uid, home.gid)
        home.folder(".")
    home.rules(RULES)
    insult.prepare(home)
    obey(home, insult.expect, play(installation, home, insult))


@pytest.mark.parametrize("word", ["help", "check", "try", "fmt", "init", "launcher", "deliver"])
def test_a_word_that_a_sender_chose_is_no_command(installation: Installation, home: Home, word: str) -> None:
    home.rules(RULES)
    obey(home, STORED, home.deliver(installation, MESSAGE, word))


@pytest.mark.parametrize("words", [("-a", "--help"), ("-f", "--version"), ("-r", "check"), ("deliver", "-a", "--help")])
def test_a_value_that_a_sender_chose_is_no_option(
    installation: Installation, home: Home, words: tuple[str, ...]
) -> None:
    home.rules(RULES)
    obey(home, STORED, home.deliver(installation, MESSAGE, *words))


@pytest.mark.parametrize("word", ["--help", "--version", "-h", "--no-such-option", "-a"])
def test_an_option_that_is_none_keeps_the_message(installation: Installation, home: Home, word: str) -> None:
    home.rules(RULES)
    obey(home, LATER, home.deliver(installation, MESSAGE, word))


def test_a_user_who_never_had_rules_gets_every_message(installation: Installation, home: Home) -> None:
    for _ in range(3):
        assert home.deliver(installation, MESSAGE).returncode == 0
    assert list(home.messages().values()) == [MESSAGE] * 3


@pytest.fixture
def damaged(installation: Installation, public_folder: Path) -> Installation:
    """A copy of the installation, to be damaged."""
    folder = Path(tempfile.mkdtemp(prefix="damaged-", dir=public_folder))
    folder.chmod(0o755)
    copy = Installation(folder)
    shutil.copytree(installation.folder, folder, symlinks=True, dirs_exist_ok=True)
    text = installation.launcher.read_text().replace(str(installation.folder), str(folder))
    copy.launcher.write_text(text)
    return copy


def first_module(installation: Installation) -> Path:
    return installation.package / "status.py"


def drop_caches(installation: Installation) -> None:
    shutil.rmtree(installation.package / "__pycache__")


def module_not_readable(installation: Installation) -> None:
    drop_caches(installation)
    first_module(installation).chmod(0o000)


def module_missing(installation: Installation) -> None:
    drop_caches(installation)
    first_module(installation).unlink()


def module_garbled(installation: Installation) -> None:
    drop_caches(installation)
    first_module(installation).write_bytes(bytes(range(256)))


def module_raises(installation: Installation) -> None:
    drop_caches(installation)
    first_module(installation).write_text("raise SystemExit(1)\n")


def bytecode_truncated(installation: Installation) -> None:
    for path in installation.package.rglob("*.pyc"):
        os.truncate(path, 40)


def package_not_readable(installation: Installation) -> None:
    installation.package.chmod(0o000)


def package_missing(installation: Installation) -> None:
    shutil.rmtree(installation.package)


def python_missing(installation: Installation) -> None:
    installation.python.unlink()


def python_not_executable(installation: Installation) -> None:
    installation.python.unlink()
    installation.python.touch(0o644)


def python_of_another_kind(installation: Installation) -> None:
    installation.python.unlink()
    installation.python.write_bytes(b"\x7fELF garbage")
    installation.python.chmod(0o755)


def python_fails(installation: Installation) -> None:
    installation.python.unlink()
    installation.python.symlink_to("/bin/false")


def settings_broken(installation: Installation) -> None:
    (installation.folder / "settings.toml").write_bytes(b"\xff[")


DAMAGES: list[Any] = [
    module_not_readable,
    module_missing,
    module_garbled,
    module_raises,
    bytecode_truncated,
    package_not_readable,
    package_missing,
    python_missing,
    python_not_executable,
    python_of_another_kind,
    python_fails,
    settings_broken,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_installation_costs_no_message(
    damaged: Installation, home: Home, damage: Callable[[Installation], None]
) -> None:
    home.rules(RULES)
    damage(damaged)
    obey(home, LATER, play(damaged, home, Insult("damaged", LATER)))


def traced(installation: Installation, home: Home, *options: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Deliver under strace, whose exit code is the launcher's."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    return subprocess.run(
        [strace, "-f", "-qq", *options, "--", installation.launcher],
        input=MESSAGE,
        env=home.environment(),
        cwd="/",
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        **home.identity,
    )


def instants(trace: str, count: int) -> list[str]:
    """Instants spread over the life of the interpreter, as strace names them: `openat:when=17`.

    strace counts the calls of each name and process for itself; so an instant is taken only where the shell, which
    makes few calls, never gets to. The interpreter is the process that makes most.
    """
    calls: dict[str, list[str]] = {}
    for line in trace.splitlines():
        process, _, call = line.partition(" ")
        if name := re.match(r"(\w+)\(", call.strip()):
            calls.setdefault(process, []).append(name[1])
    *shell, interpreter = sorted(calls.values(), key=len)
    seen: Counter[str] = Counter()
    possible = []
    for name in interpreter:
        seen[name] += 1
        if all(seen[name] > other.count(name) for other in shell):
            possible.append(f"{name}:when={seen[name]}")
    return [possible[len(possible) * number // count] for number in range(count)]


@pytest.fixture(scope="module")
def settled(installation: Installation, public_folder: Path) -> Home:
    """A home that mail was delivered to before, so that the plan is cached."""
    home = Home.make(Path(tempfile.mkdtemp(prefix="home-", dir=public_folder)))
    home.rules(RULES)
    assert home.deliver(installation, MESSAGE).returncode == 0
    return home


@pytest.fixture(scope="module")
def twenty(installation: Installation, settled: Home) -> list[str]:
    log = settled.path / "trace"
    assert traced(installation, settled, "-o", log).returncode == 0
    return instants(log.read_text(), 20)


@pytest.fixture
def emptied(settled: Home) -> Home:
    for path in settled.messages():
        (settled.path / "Maildir" / path).unlink()
    return settled


def signalled(installation: Installation, home: Home, where: str, name: str) -> subprocess.CompletedProcess[bytes]:
    """Deliver, with a signal sent at an instant; the signal is seen to arrive."""
    log = home.path / "trace"
    call, _, when = where.partition(":")
    done = traced(installation, home, "-e", f"inject={call}:signal=SIG{name}:{when}", "-o", log)
    assert f"--- SIG{name} " in log.read_text()
    return done


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "ALRM", "XCPU"])
@pytest.mark.parametrize("number", range(20))
def test_a_signal_at_any_instant_costs_no_message(
    installation: Installation, emptied: Home, twenty: list[str], name: str, number: int
) -> None:
    obey(emptied, EITHER, signalled(installation, emptied, twenty[number], name))
    assert emptied.unfinished() == []


@pytest.mark.parametrize(
    "name", ["TERM", "HUP", "INT", "QUIT", "ALRM", "XCPU", "USR1", "USR2", "PIPE", "XFSZ", "VTALRM", "PROF"]
)
def test_a_signal_to_the_launcher_reaches_the_delivery(installation: Installation, emptied: Home, name: str) -> None:
    obey(emptied, EITHER, signalled(installation, emptied, "wait4:when=1", name))
    assert emptied.unfinished() == []
