"""Started as root for another user: nothing of the user's is opened, and nothing of it run, before root is gone."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.installation import AS_ROOT, PATIENCE, Home, Installation, install

if not AS_ROOT:
    pytest.skip("becoming another user needs root", allow_module_level=True)

MESSAGE = b"From: Jo <jo@example.org>\nSubject: hello\n\nGood morning.\n"
# What could make a Python, a shell or a C library load something; LD_PRELOAD would be run by /bin/sh before any of us.
VARIABLES = (
    "PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE PYTHONEXECUTABLE "
    "PYTHONPLATLIBDIR PYTHONBREAKPOINT PYTHONWARNINGS PYTHONPYCACHEPREFIX PYTHONNODEBUGRANGES "
    "PYTHONTRACEMALLOC PYTHONPROFILEIMPORTTIME PYTHONIOENCODING PYTHONCASEOK GCONV_PATH LOCPATH "
    "NLSPATH ENV BASH_ENV IFS CDPATH"
).split()
# Tells what it is and has, and what its parent is, and tries to become more than that.
PROBE = """#!/usr/bin/python3 -I
import json, os, resource

def tried(what, *arguments):
    try:
        return repr(what(*arguments))
    except OSError as error:
        return error.strerror

def identity(pid):
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
    return {name: fields[name].split() for name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm")}

told = {
    "fds": sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)),
    "environment": sorted(os.environ),
    "self": identity("self"),
    "delivery": identity(os.getppid()),
    "umask": os.umask(0o077),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "tried": {
        "setuid": tried(os.setuid, 0),
        "seteuid": tried(os.seteuid, 0),
        "setresuid": tried(os.setresuid, 0, 0, 0),
        "setgid": tried(os.setgid, 0),
        "setgroups": tried(os.setgroups, [0]),
        "shadow": tried(open, "/etc/shadow"),
        "root's home": tried(os.listdir, "/root"),
        "root's memory": tried(open, "/proc/1/mem"),
        "the delivery's environment": tried(open, f"/proc/{os.getppid()}/environ"),
        "chown": tried(os.chown, os.path.expanduser("~"), 0, 0),
    },
}
with open(os.path.expanduser("~/told." + told["self"]["Uid"][0] + "." + str(os.getpid())), "w") as file:
    json.dump(told, file)
"""
SEEN_BY_PROGRAMS = set("EXTENSION HOME LANG LOGNAME PATH RECIPIENT SENDER SHELL USER".split())


@pytest.fixture
def his(user: str, public_folder: Path) -> Home:
    path = Path(tempfile.mkdtemp(prefix="home-", dir=public_folder))
    subprocess.run(["usermod", "--home", path, user], check=True)
    return Home.make(path, user)


def wait_for_traps(pid: int) -> None:
    """Wait until a process handles TERM: before its first line a shell can't be saved from a signal."""
    caught = 0
    while not caught & 1 << (signal.SIGTERM - 1):
        (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("SigCgt")]
        caught = int(line.split()[1], 16)


def deliver(
    installation: Installation, his: Home, user: str, *before: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*before, installation.launcher, "-d", user],
        input=MESSAGE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(his.path)} | environment,
        cwd=his.path,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )


def test_the_message_is_stored_as_the_user(installation: Installation, his: Home, user: str) -> None:
    his.rules('file "Work"\n')
    done = deliver(installation, his, user)
    assert (done.returncode, done.stderr) == (0, b"")
    (path,) = his.path.glob("Maildir/.Work/new/*")
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (his.uid, his.gid, 0o600)


def test_nothing_planted_is_run(installation: Installation, his: Home, user: str) -> None:
    canary = his.path / "canary"
    evil = f"open({str(canary)!r}, 'a').write('x')\n"
    for name in ("email", "re", "os", "encodings", "usercustomize", "sitecustomize", "pydeliver", "sh"):
        his.file(f"{name}.py", evil)
    version = re.search(r"python3\.\d+", str(installation.package))
    assert version
    site = f".local/lib/{version[0]}/site-packages"
    his.file(f"{site}/evil.pth", f"import os; {evil}")
    his.file(f"{site}/usercustomize.py", evil)
    shell = his.file("startup", f"echo x > {canary}\n", 0o755)
    values = {name: str(his.path) for name in VARIABLES} | {"ENV": str(shell), "BASH_ENV": str(shell)}
    values |= {"PYTHONSTARTUP": str(his.path / "re.py"), "PYTHONINSPECT": "1", "IFS": "/"}
    done = deliver(installation, his, user, **values)
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
    assert len(his.messages()) == 1


def test_root_is_given_up_in_order_before_anything_of_the_users_is_opened(
    installation: Installation, his: Home, user: str
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    his.rules('file "Work"\n')
    log = his.path.parent / f"{his.path.name}.trace"
    done = deliver(installation, his, user, strace, "-f", "-qq", "-o", str(log))
    assert done.returncode == 0, done.stderr
    calls = [line.partition(" ")[2].strip() for line in log.read_text().splitlines()]
    dropped = [at for at, call in enumerate(calls) if re.match(r"set(groups|resgid|resuid)\(", call)][:3]
    assert [calls[at].partition("(")[0] for at in dropped] == ["setgroups", "setresgid", "setresuid"]
    # The kernel is shown the home only as the place to start in, never as something to open.
    early = [
        call for call in calls[: dropped[-1]] if str(his.path) in call and not call.startswith(("getcwd", "execve"))
    ]
    assert [call for call in early if re.match(r"(open|openat|execve|readlink|access)\(", call)] == []
    regained = [call for call in calls[dropped[-1] + 1 :] if re.match(r"set(uid|gid|resuid|resgid)\(.*\b0\b.*\)", call)]
    assert regained
    assert all("EPERM" in call for call in regained)


def test_programs_of_the_rules_have_nothing_of_roots(installation: Installation, his: Home, user: str) -> None:
    """In the first line of the rules, and where the message is delivered."""
    his.file("bin/probe", PROBE, 0o700)
    his.rules('if run "~/bin/probe" succeeds { mark "seen" }\npipe "~/bin/probe"\n')
    secret, wide = os.open("/etc/shadow", os.O_RDONLY), os.umask(0)
    try:
        done = subprocess.run(
            [installation.launcher, "-d", user],
            input=MESSAGE,
            env={"PATH": "/usr/bin:/bin", "HOME": "/root", "SECRET": "of root", "LD_LIBRARY_PATH": "/root"},
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            pass_fds=(secret,),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096)),
        )
    finally:
        os.close(secret)
        os.umask(wide)
    assert (done.returncode, done.stderr) == (0, b"")
    told = [json.loads(path.read_text()) for path in his.path.glob("told.*")]
    assert len(told) == 2
    none = "0" * 16
    identity = {"Uid": [str(his.uid)] * 4, "Gid": [str(his.gid)] * 4, "Groups": [str(his.gid)]}
    identity |= {"CapEff": [none], "CapPrm": [none]}
    for one in told:
        assert one["fds"] == [0, 1, 2]
        assert set(one["environment"]) <= SEEN_BY_PROGRAMS
        assert (one["self"], one["delivery"]) == (identity, identity)
        assert (one["umask"], one["core"]) == (0o077, [0, 0])
        refused = {what: said for what, said in one["tried"].items() if said.endswith(("not permitted", "denied"))}
        assert refused == one["tried"]


def test_an_interpreter_that_is_not_isolated_does_not_start_as_root(
    installation: Installation, his: Home, user: str
) -> None:
    done = subprocess.run(
        [installation.python, "-c", "from pydeliver.cli import main; main()", "-d", user],
        input=MESSAGE,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 75
    assert b"isolated" in done.stderr
    assert his.messages() == {}


@pytest.mark.parametrize(("setting", "code", "said"), [("defer", 75, b"4.1.1 "), ("refuse", 77, b"5.1.1 ")])
def test_the_site_says_what_becomes_of_mail_for_unknown_users(
    public_folder: Path, setting: str, code: int, said: bytes
) -> None:
    site = install(Path(tempfile.mkdtemp(dir=public_folder)) / "site", f'unknown-user = "{setting}"\n')
    done = subprocess.run([site.launcher, "-d", "nobody-here"], input=MESSAGE, capture_output=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(said)


def test_roots_own_mail_is_filed(installation: Installation, public_folder: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="root-", dir=public_folder))
    done = subprocess.run(
        [installation.launcher], input=MESSAGE, env={"HOME": str(home)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(home.glob("Maildir/new/*"))) == 1


@pytest.mark.parametrize("seed", range(100))
def test_a_launcher_that_is_told_to_end_leaves_nobody_behind(
    installation: Installation, his: Home, user: str, seed: int
) -> None:
    """The instant comes from the seed: a delivery takes about 20 ms."""
    running = subprocess.Popen(
        [installation.launcher, "-d", user, f"MARK={his.path.name}"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdin
    running.stdin.write(MESSAGE)  # and does not end, so that the delivery waits for more
    running.stdin.flush()
    wait_for_traps(running.pid)
    time.sleep(seed * 0.0005)  # any instant from there on will do: what is looked at is what is left in the end
    running.send_signal((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)[seed % 3])
    running.stdin.close()
    _, said = running.stdout, running.stderr
    code = running.wait(PATIENCE)
    assert said
    said.close()
    assert code in (0, 75)
    assert len(his.messages()) == (code == 0)
    left = subprocess.run(["pgrep", "-f", f"MARK={his.path.name}"], capture_output=True, check=False)
    assert left.stdout == b""


def test_root_and_the_user_himself_deliver_the_same(installation: Installation, his: Home, user: str) -> None:
    his.rules('set header "X-Who" = "{envelope.from}"\nif subject contains "hello" { copy file "{subject}" }\nkeep\n')
    assert deliver(installation, his, user).returncode == 0
    as_root = sorted((path.parts[0], data) for path, data in his.messages().items())
    for path in his.messages():
        (his.path / "Maildir" / path).unlink()
    assert his.deliver(installation, MESSAGE).returncode == 0
    assert sorted((path.parts[0], data) for path, data in his.messages().items()) == as_root
