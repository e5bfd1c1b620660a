"""The delivery log: one line a message that any JSON reader takes, whatever the message holds."""

from __future__ import annotations

import json
import math
import os
import stat
import syslog
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.memory import KEPT_RULES, LOG_NAME, State, as_fields, as_json, tell_syslog

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
HOSTILE = [
    'x", "status": "2.0.0 delivered"}\n{"forged": "',
    "a\r\nb",
    "\x00\x1b[2J\x7f",
    "\u2028\u2029\x85",
    "\udcff\ud800",
    "\\",
    "😀",
]


@given(PLAIN)
def test_a_value_is_one_ascii_line_that_parses_to_itself(value: Any) -> None:
    line = as_json(value)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == value


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_does_not_have_is_null(number: float) -> None:
    assert as_json([number]) == "[null]"


def test_what_json_does_not_know_is_its_text() -> None:
    assert json.loads(as_json({1: ("a", b"b")})) == {"1": ["a", "b'b'"]}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_message_can_forge_no_line_in_the_log(tmp_path: Path, text: str) -> None:
    state = State(str(tmp_path / "state"))
    assert state.record({"subject": text, "status": "4.2.2 full", text: [text]}) == ""
    assert state.record({"second": True}) == ""
    first, second = (tmp_path / "state" / LOG_NAME).read_bytes().splitlines()
    assert json.loads(first) == {"subject": text, "status": "4.2.2 full", text: [text]}
    assert json.loads(second) == {"second": True}


def test_the_log_and_its_folder_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert State(str(folder)).record({"a": 1}) == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / LOG_NAME).stat().st_mode) & 0o077 == 0


def test_a_log_that_cannot_be_written_is_told_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    problem = State(str(tmp_path / "state")).record({"a": 1})
    assert "can't be written" in problem


def test_rules_are_kept_once_by_their_digest(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    assert not state.has_rules()
    state.keep_rules(b"\x01\xff", b"keep\n")
    state.keep_rules(b"\x01\xff", b"something else\n")
    state.keep_rules(b"\x02", b"discard\n")
    folder = tmp_path / "state" / KEPT_RULES
    assert sorted(os.listdir(folder)) == ["01ff.rules", "02.rules"]
    assert (folder / "01ff.rules").read_bytes() == b"keep\n"


def test_only_the_names_of_his_rules_say_that_a_user_had_some(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    state.keep_rules(b"\x01", b"keep\n")
    assert not state.has_rules()
    state.keep_names([("/home/bob/main.rules", b"\x01\xff")])
    assert state.has_rules()
    assert (tmp_path / "state/rules/names").read_text() == "01ff /home/bob/main.rules\n"


def test_new_mailboxes_are_counted_for_a_day(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    now = 1_000_000.5
    assert state.new_mailboxes(now) == []
    state.count_new_mailboxes(2, now - 86_400)
    state.count_new_mailboxes(1, now - 86_399)
    state.count_new_mailboxes(3, now)
    assert len(state.new_mailboxes(now)) == 4
    (tmp_path / "new-mailboxes").write_bytes(b"nonsense \xff 999999 99999999999999 \n")
    assert state.new_mailboxes(now) == [999_999]


def test_the_log_keeps_the_beginning_of_a_long_text(tmp_path: Path) -> None:
    State(str(tmp_path)).record({"message-id": "x" * 100_000})
    line = (tmp_path / "deliveries.log").read_text()
    assert json.loads(line) == {"message-id": "x" * 1000 + "…"}


@pytest.mark.parametrize("text", HOSTILE)
def test_syslog_gets_one_printable_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, line: told.append((priority, line)))
    tell_syslog(f"before {text} after %s")
    ((priority, line),) = told
    assert priority == syslog.LOG_INFO
    assert line.isascii()
    assert line.isprintable()
    assert line.startswith("before ")
    assert line.endswith(" after %s")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"user": "robin", "ms": 1.5}, "user=robin ms=1.5"),
        ({"sender": "", "rule": "my boss"}, 'sender="" rule="my boss"'),
        ({"verdict": 'file "a\\b"', "x": "a=b"}, 'verdict="file \\"a\\\\b\\"" x="a=b"'),
        ({"long": "x" * 1000}, "long=" + "x" * 200),
    ],
)
def test_fields_of_a_line_can_be_told_apart(values: dict[str, object], line: str) -> None:
    assert as_fields(values) == line
