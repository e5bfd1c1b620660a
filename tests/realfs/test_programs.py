"""Programs that rules name, really run: what they get, what their end means, and that nobody else runs them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Home, Installation

MESSAGE = b"From: Jo <jo@example.org>\nSubject: hello\n\nHi.\n"
TELL = '#!/bin/sh\nfor word in "$@"; do printf \'%s\\0\' "$word"; done > ~/argv\n'
CANARIES = 40


def program(home: Home, name: str, text: str) -> Path:
    return home.file(f"bin/{name}", text, 0o700)


def place(home: Home) -> str:
    """Where the only message is: the folder, "." for INBOX."""
    (path,) = home.messages()
    return str(path.parent.parent)


def last_entry(home: Home) -> dict[str, Any]:
    lines = (home.path / ".local/state/pydeliver/deliveries.log").read_text().splitlines()
    return json.loads(lines[-1])  # type: ignore[no-any-return]


def pydeliver(installation: Installation, home: Home, *words: str, stdin: bytes) -> str:
    done = subprocess.run(
        installation.command(*words),
        input=stdin,
        env=home.environment(),
        capture_output=True,
        check=True,
        cwd=home.path,
        **home.identity,
    )
    return done.stdout.decode()


def test_a_program_gets_its_arguments_the_message_and_a_small_environment(
    installation: Installation, home: Home
) -> None:
    program(home, "tell", TELL + "cat > ~/stdin; env > ~/env; pwd > ~/pwd; id -u > ~/uid\n")
    home.rules('if run "~/bin/tell {subject} --s={from} \'a  b\' {to}" succeeds { file "Yes" }\n')
    message = MESSAGE.replace(b"hello", b"--x; $(touch ~/canary) 'q' `id` | \"")
    done = home.deliver(
        installation, message, "-f", "s@x", "-r", "bob+shop@y", environment=home.environment(SECRET="1")
    )
    assert (done.returncode, place(home)) == (0, ".Yes")
    words = (home.path / "argv").read_bytes().split(b"\0")
    assert words == [b"x; $(touch ~/canary) 'q' `id` | \"", b"--s=jo@example.org", b"a  b", b"", b""]
    assert (home.path / "stdin").read_bytes() == message
    assert (home.path / "pwd").read_text() == f"{home.path}\n"
    assert int((home.path / "uid").read_text()) == home.uid != 0
    given = dict(line.split("=", 1) for line in (home.path / "env").read_text().splitlines())
    given = {name: value for name, value in given.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")}
    assert given.pop("USER") == given.pop("LOGNAME")
    assert given == {
        "HOME": str(home.path),
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "SENDER": "s@x",
        "RECIPIENT": "bob+shop@y",
        "EXTENSION": "shop",
    }


def test_a_shell_gets_values_as_its_arguments(installation: Installation, home: Home) -> None:
    home.rules(
        'if run shell "printf %s \\"$1\\" | tr a-z A-Z > ~/said; test \\"$2\\" = jo@example.org" '
        'using "{subject} {from}" succeeds { file "Yes" }\n',
    )
    assert home.deliver(installation, MESSAGE.replace(b"hello", b'"; touch ~/canary; "')).returncode == 0
    assert place(home) == ".Yes"
    assert (home.path / "said").read_text() == '"; TOUCH ~/CANARY; "'
    assert not (home.path / "canary").exists()


def test_what_a_program_writes_is_a_value(installation: Installation, home: Home) -> None:
    program(home, "level", "#!/bin/sh\nprintf '\\n 17\\377 \\n\\n'\n")
    home.rules('let level = output of "~/bin/level"\nif level > 16 { file "l{level}" }\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert place(home).startswith(".l17")
    (answer,) = [one for one in last_entry(home)["answers"] if one[0] == "program"]
    assert answer == ["program", "output", [f"{home.path}/bin/level"], 0, ["ended", "17\ufffd"]]


FAILURES = {
    "is absent": ("/nonexistent/x", "could not be started: /nonexistent/x: No such file or directory"),
    "is a name that is not found": ("no-such-program", "could not be started: no-such-program"),
    "dies by a signal": ("~/bin/dies", "was ended by signal 9"),
    "hangs": ("~/bin/hangs", "took longer than 1 s"),
}


@pytest.mark.parametrize("way", FAILURES)
def test_a_failure_is_what_the_rule_says_and_never_the_answer_no(
    installation: Installation, home: Home, way: str
) -> None:
    name, why = FAILURES[way]
    program(home, "dies", "#!/bin/sh\nkill -9 $$\n")
    program(home, "hangs", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 9; done\n")
    settings = home.file("settings.toml", "program-time = 1\n")
    for otherwise, code, box in (("", 75, None), (" or else keep", 0, "."), (" or else no", 0, ".No")):
        home.rules(f'if run "{name}" succeeds{otherwise} {{ file "Yes" }} else {{ file "No" }}\n')
        done = home.deliver(installation, MESSAGE, "--config", str(settings))
        assert done.returncode == code
        if box is None:
            assert why.encode() in done.stderr
            assert home.messages() == {}
        else:
            assert place(home) == box
            assert any(why in note for note in last_entry(home)["notes"])
        for path in home.messages():
            (home.path / "Maildir" / path).unlink()


def test_output_fails_by_its_code_and_by_its_length(installation: Installation, home: Home) -> None:
    program(home, "says", "#!/bin/sh\necho x; echo why >&2; exit 3\n")
    program(home, "floods", "#!/bin/sh\nyes\n")
    home.rules('let x = output of "~/bin/says"\nif x is "x" { file "Yes" }\n')
    done = home.deliver(installation, MESSAGE)
    assert (done.returncode, b"ended with 3: why" in done.stderr) == (75, True)
    home.rules('let x = output of "~/bin/floods"\nif x is "x" { file "Yes" }\n')
    done = home.deliver(installation, MESSAGE)
    assert (done.returncode, b"wrote more than 65536 bytes" in done.stderr) == (75, True)
    home.rules('if run "~/bin/floods" succeeds { file "Yes" }\n')
    settings = home.file("settings.toml", "program-output = 1\n")
    os.utime(settings, (0, 0))
    done = home.deliver(installation, MESSAGE, "--config", str(settings))
    assert (done.returncode, b"wrote more than 1048576 bytes" in done.stderr) == (75, True)


def test_a_program_that_reads_nothing_of_a_large_message_may_succeed(installation: Installation, home: Home) -> None:
    home.rules('if run "true" succeeds { file "Yes" }\n')
    assert home.deliver(installation, MESSAGE + b"x" * (1 << 20)).returncode == 0
    assert place(home) == ".Yes"


def test_no_more_than_so_many_run_at_once(installation: Installation, home: Home) -> None:
    once = "mkdir ~/busy 2>/dev/null || touch ~/both; sleep 0.2; rmdir ~/busy 2>/dev/null"
    program(home, "alone", f"#!/bin/sh\n{once}\ntrue\n")
    home.rules('if run "~/bin/alone" at most 1 at once succeeds { file "Yes" }\n')
    assert home.deliver(installation, MESSAGE).returncode == 0  # which also compiles the rules
    started = [
        subprocess.Popen(
            [installation.launcher], stdin=subprocess.PIPE, env=home.environment(), cwd="/", **home.identity
        )
        for _ in range(4)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.write(MESSAGE)
        one.stdin.close()
    assert [one.wait(60) for one in started] == [0] * 4
    assert not (home.path / "both").exists()
    assert len(home.messages()) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="being root needs root")
def test_as_root_nothing_is_run_and_mail_waits(installation: Installation, home: Home) -> None:
    program(home, "tell", TELL)
    home.rules('if run "~/bin/tell" succeeds or else no { file "Yes" }\n')
    for path in [home.path, *home.path.rglob("*")]:
        os.chown(path, 0, 0)
    done = home.deliver(installation, MESSAGE, user=0, group=0)
    assert (done.returncode, b"as root" in done.stderr) == (75, True)
    assert not (home.path / "argv").exists()


RULES = """
if run "~/bin/tell" succeeds { file "Yes" }
let x = output of "~/bin/tell" or else no
if x is "x" { file "X" }
test "a" { message { subject "x" }; given no run "~/bin/tell" succeeds; expect keep }
test "b" { message { subject "x" }; given run "~/bin/tell" succeeds; expect file "Yes" }
test "c" { message { subject "x" }; expect keep }
test "d" { message { subject "x" }; given program "~/bin/tell" fails; expect defer }
"""


def test_a_rehearsal_runs_nothing_unless_it_is_told_to(installation: Installation, home: Home) -> None:
    program(home, "tell", TELL)
    home.rules(RULES)
    said = json.loads(pydeliver(installation, home, "try", "--json", stdin=MESSAGE))
    assert said["decision"] == 'file "INBOX"'
    assert said["unknown"] == ['run "~/bin/tell" succeeds', 'x is "x"']
    assert pydeliver(installation, home, "test", stdin=b"").endswith("\n4 tests\n")
    pydeliver(installation, home, "check", stdin=b"")
    assert not (home.path / "argv").exists()
    said = json.loads(pydeliver(installation, home, "try", "--json", "--run", stdin=MESSAGE))
    assert (said["decision"], said["unknown"]) == ('file "Yes"', [])
    assert (home.path / "argv").exists()
    assert home.messages() == {}


def test_hostile_values_stay_the_arguments_they_are(installation: Installation, home: Home) -> None:
    program(home, "tell", TELL)
    home.rules('if run "~/bin/tell a{subject} {from.name} {envelope.from}" succeeds { file "Yes" }\n')
    choose = random.Random(1)
    spices = [
        "; touch ~/canary",
        "$(touch ~/canary)",
        "`touch ~/canary`",
        "| touch ~/canary",
        "\n",
        "'",
        '"',
        "--",
        " ",
    ]
    for _ in range(CANARIES):
        value = "".join([choose.choice(spices) for _ in range(4)])
        shown = " ".join(value.split())
        message = MESSAGE.replace(b"hello", value.replace("\n", "\n ").encode())
        assert home.deliver(installation, message, "-f", value.replace("\n", "\r\n")).returncode == 0
        first, name, _, end = (home.path / "argv").read_bytes().decode().split("\0")
        assert (first.rstrip(), name, end) == (f"a{shown}", "Jo", "")
    assert not (home.path / "canary").exists()
    assert len(home.messages()) == CANARIES


# -- pipe -------------------------------------------------------------------------------------------------------

TAKE = "#!/bin/sh\ncat > ~/taken.$$\n"


def taken(home: Home) -> list[bytes]:
    return [path.read_bytes() for path in home.path.glob("taken.*")]


def journals(home: Home) -> list[Path]:
    return list((home.path / ".local/state/pydeliver").glob("journal/*"))


def test_a_pipe_takes_the_message_as_the_rules_changed_it(installation: Installation, home: Home) -> None:
    program(home, "take", TAKE)
    home.rules('copy pipe "~/bin/take"\nset header "Subject" = "bye"\npipe "~/bin/take {subject}" or else keep\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert sorted(taken(home)) == sorted([MESSAGE, MESSAGE.replace(b"hello", b"bye")])
    assert home.messages() == {}
    assert journals(home) == []


def test_a_copy_goes_to_the_program_and_the_message_on(installation: Installation, home: Home) -> None:
    program(home, "take", TAKE)
    home.rules('copy pipe "~/bin/take"\nfile "A"\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert (taken(home), place(home)) == ([MESSAGE], ".A")


@pytest.mark.parametrize("end", ["exit 1", "exit 75", "kill -9 $$", "exec sleep 60"])
def test_a_pipe_that_fails_leaves_nothing_of_what_was_prepared(
    installation: Installation, home: Home, end: str
) -> None:
    program(home, "fails", f"#!/bin/sh\n{end}\n")
    settings = home.file("settings.toml", "program-time = 1\n")
    home.rules('copy file "A"\ncopy file "mbox:~/box"\ncopy pipe "~/bin/fails"\nkeep\n')
    done = home.deliver(installation, MESSAGE, "--config", str(settings))
    assert (done.returncode, home.messages(), home.unfinished(), journals(home)) == (75, {}, [], [])
    assert not (home.path / "box").exists() or (home.path / "box").read_bytes() == b""
    assert b"fails" in done.stderr


@pytest.mark.parametrize(
    ("otherwise", "code", "box"),
    [
        ("", 75, None),
        ("or else defer", 75, None),
        ("or else keep", 0, "."),
        ('or else { file "Failed" }', 0, ".Failed"),
    ],
)
def test_what_holds_when_a_pipe_fails(
    installation: Installation, home: Home, otherwise: str, code: int, box: str | None
) -> None:
    home.rules(f'pipe "false" {otherwise}\nfile "Next"\n')
    done = home.deliver(installation, MESSAGE)
    assert done.returncode == code
    assert (place(home) if box else None) == box
    assert journals(home) == []
    if box:
        assert any("ended with 1" in note for note in last_entry(home)["notes"])


def test_another_try_is_asked_for_by_75_whatever_the_rule_says(installation: Installation, home: Home) -> None:
    home.rules('pipe shell "exit 75" or else keep\n')
    assert home.deliver(installation, MESSAGE).returncode == 75
    assert home.messages() == {}


def test_a_program_that_took_the_message_is_not_fed_again_by_the_retry(installation: Installation, home: Home) -> None:
    program(home, "take", TAKE)
    home.rules('copy pipe "~/bin/take"\ncopy pipe "~/bin/later"\nkeep\n')
    assert home.deliver(installation, MESSAGE).returncode == 75
    assert (len(taken(home)), len(journals(home)), home.messages()) == (1, 1, {})
    assert home.deliver(installation, MESSAGE).returncode == 75
    assert len(taken(home)) == 1
    program(home, "later", TAKE)
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert (len(taken(home)), journals(home), place(home)) == (2, [], ".")
    assert home.deliver(installation, MESSAGE).returncode == 0  # the next message is another one
    assert len(taken(home)) == 4


def test_a_delivery_killed_behind_its_program_goes_on_where_it_was(installation: Installation, home: Home) -> None:
    program(home, "take", TAKE)
    program(home, "kills", "#!/bin/sh\n[ -e ~/killed ] || { touch ~/killed; kill -9 $PPID; }\ncat > /dev/null\n")
    home.rules('copy file "A"\ncopy pipe "~/bin/take"\ncopy pipe "~/bin/kills"\nfile "B"\n')
    assert home.deliver(installation, MESSAGE).returncode == 75  # which the launcher says in its place
    assert (len(taken(home)), home.messages()) == (1, {})
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert (len(taken(home)), len(home.messages()), journals(home)) == (1, 2, [])


def test_programs_of_the_rules_run_once_however_often_the_message_is_judged(
    installation: Installation, home: Home
) -> None:
    program(home, "count", "#!/bin/sh\necho x >> ~/count\n")
    home.rules('if run "~/bin/count" succeeds { pipe "false" or else { pipe "no-such" or else { file "Last" } } }\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert place(home) == ".Last"
    assert (home.path / "count").read_text() == "x\n"


def test_the_memory_is_not_locked_while_a_program_runs(installation: Installation, home: Home) -> None:
    look = (
        "#!/usr/bin/python3\nimport os, sqlite3\n"
        "file = sqlite3.connect(os.path.expanduser('~/.local/state/pydeliver/memory.sqlite'), timeout=0)\n"
        "file.execute('BEGIN IMMEDIATE')\nfile.execute('ROLLBACK')\n"
    )
    program(home, "look", look)
    home.rules('if duplicate { file "Again" }\ncopy pipe "~/bin/look"\nkeep\n')
    message = b"Message-ID: <1@x>\n" + MESSAGE
    assert [home.deliver(installation, message).returncode for _ in range(2)] == [0, 0]
    assert sorted(str(path.parent.parent) for path in home.messages()) == [".", ".Again"]


def test_a_rehearsal_never_feeds_a_pipe(installation: Installation, home: Home) -> None:
    program(home, "take", TAKE)
    home.rules('copy pipe "~/bin/take {subject}"\npipe "~/bin/take" or else { discard }\n')
    said = json.loads(pydeliver(installation, home, "try", "--json", "--run", stdin=MESSAGE))
    wanted = f'copy pipe "{home.path}/bin/take hello", pipe "{home.path}/bin/take"'
    assert (said["decision"], taken(home)) == (wanted, [])


# -- filter -----------------------------------------------------------------------------------------------------

SHOUT = "#!/bin/sh\nsed '1,/^$/!y/i/I/; s/^Subject: /Subject: [seen] /'\n"


def test_what_a_filter_writes_is_looked_at_changed_and_delivered(installation: Installation, home: Home) -> None:
    program(home, "shout", SHOUT)
    home.rules(
        'copy file "As"\nset header "X-A" = "1"\nfilter "~/bin/shout {subject}"\nset header "X-B" = "2"\n'
        'if subject starts with "[seen]" { file "Seen", "mbox:~/box" }\n'
    )
    assert home.deliver(installation, MESSAGE, "-f", "jo@example.org").returncode == 0
    stored = {str(path.parent.parent): data for path, data in home.messages().items()}
    seen = b"X-B: 2\nX-A: 1\nFrom: Jo <jo@example.org>\nSubject: [seen] hello\n\nHI.\n"
    assert stored == {".As": MESSAGE, ".Seen": seen}
    assert (home.path / "box").read_bytes().partition(b"\n")[2] == seen + b"\n"
    (answer,) = [one for one in last_entry(home)["answers"] if one[0] == "program"]
    assert answer[1:] == ["filter", [f"{home.path}/bin/shout", "hello"], 0, ["ended", f"{len(seen) - 7} bytes"]]


def test_a_large_message_goes_through_a_filter_and_leaves_nothing_behind(
    installation: Installation, home: Home
) -> None:
    program(home, "shout", SHOUT)
    home.rules('filter "~/bin/shout"\nfilter "cat"\n')
    large = MESSAGE + b"a line of it\n" * 400_000
    assert home.deliver(installation, large).returncode == 0
    header, _, body = large.partition(b"\n\n")
    wanted = header.replace(b"hello", b"[seen] hello") + b"\n\n" + body.replace(b"i", b"I")
    assert list(home.messages().values()) == [wanted]
    assert (home.unfinished(), list(home.path.rglob("*.spool"))) == ([], [])


def test_a_from_line_that_a_filter_writes_is_no_part_of_the_message(installation: Installation, home: Home) -> None:
    home.rules('filter shell "echo From me Mon Nov 23 09:00:00 2026; cat"\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert list(home.messages().values()) == [MESSAGE]


UNFILTERED = {
    "exit 1; cat": "ended with 1",
    "cat; exit 75": "ended with 75",
    "true": "is no message",
    "echo": "is no message",
    "echo how to use it; echo more": "is no message",
    "cat; kill -9 $$": "was ended by signal 9",
    "yes x: y": "wrote more than 1048576 bytes",
    "cat; sleep 60": "took longer than 1 s",
}


@pytest.mark.parametrize("does", UNFILTERED)
def test_a_filter_that_fails_changes_nothing(installation: Installation, home: Home, does: str) -> None:
    settings = home.file("settings.toml", "program-time = 1\nprogram-output = 1\n")
    os.utime(settings, (0, 0))
    home.rules(f'copy file "A"\nfilter shell "{does}"\nkeep\n')
    done = home.deliver(installation, MESSAGE, "--config", str(settings))
    assert (done.returncode, home.messages(), home.unfinished()) == (75, {}, [])
    assert UNFILTERED[does].encode() in done.stderr
    home.rules(f'filter shell "{does}" or else no\nkeep\n')
    assert home.deliver(installation, MESSAGE, "--config", str(settings)).returncode == 0
    assert list(home.messages().values()) == [MESSAGE]
    assert any(UNFILTERED[does] in note for note in last_entry(home)["notes"])


def test_a_filter_runs_once_however_often_the_message_is_judged(installation: Installation, home: Home) -> None:
    program(home, "count", "#!/bin/sh\necho x >> ~/count\ncat\n")
    home.rules('filter "~/bin/count"\npipe "false" or else { pipe "no-such" or else { file "Last" } }\n')
    assert home.deliver(installation, MESSAGE).returncode == 0
    assert (place(home), (home.path / "count").read_text()) == (".Last", "x\n")


def test_the_command_applies_filters_and_a_rehearsal_does_if_it_is_told_to(
    installation: Installation, home: Home
) -> None:
    program(home, "shout", SHOUT)
    home.rules('filter "~/bin/shout"\nset header "X-B" = "2"\nif subject contains "seen" { file "Seen" }\n')
    large = MESSAGE + b"a line of it\n" * 40_000
    said = pydeliver(installation, home, "filter", stdin=large)
    assert said.startswith("X-B: 2\nFrom: Jo <jo@example.org>\nSubject: [seen] hello\n\nHI.\na lIne of It\n")
    said = json.loads(pydeliver(installation, home, "try", "--json", stdin=large))
    assert (said["decision"], said["unknown"]) == (
        'file "INBOX" set header "X-B" = "2"',
        ['filter "~/bin/shout"'],
    )
    said = json.loads(pydeliver(installation, home, "try", "--json", "--run", stdin=large))
    assert (said["decision"], said["unknown"]) == ('file "Seen" set header "X-B" = "2"', [])
