"""The corpora are what the figures of this project speak of, and the switch of `.ci/run` lets no skip pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import corpora

ROOT = Path(__file__).parents[2]
SKIPPING = {
    "in the test": "def test_it():\n    pytest.skip('not to be had')\n",
    "by a mark": "@pytest.mark.skip(reason='not to be had')\ndef test_it():\n    pass\n",
    "in a fixture": "@pytest.fixture\ndef it():\n    pytest.skip('not to be had')\n\ndef test_it(it):\n    pass\n",
    "while collecting": "pytest.skip('not to be had', allow_module_level=True)\n",
}


def test_the_spam_assassin_corpus_is_whole(spam_assassin: list[Path]) -> None:
    assert len(set(spam_assassin)) == 5296
    assert all(path.stat().st_size for path in spam_assassin)


def test_the_cpython_messages_are_whole(cpython_messages: list[Path]) -> None:
    assert {path.name for path in cpython_messages} >= {f"msg_{number:02}.txt" for number in range(1, 47)}


def test_a_corpus_of_another_count_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDELIVER_CORPORA", str(tmp_path))
    (tmp_path / "spam-assassin" / "spam-2").mkdir(parents=True)
    (tmp_path / "spam-assassin" / "spam-2" / "1.txt").touch()
    with pytest.raises(corpora.Unavailable, match="1 SpamAssassin messages instead of 5296"):
        corpora.spam_assassin()


@pytest.mark.parametrize("body", SKIPPING.values(), ids=SKIPPING)
@pytest.mark.parametrize(("switch", "code"), [("0", {0, 5}), ("1", {1, 2})])
def test_a_skip_is_a_failure_where_everything_is_required(
    tmp_path: Path, body: str, switch: str, code: set[int]
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_skipping.py").write_text("import pytest\n\n" + body)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=ROOT,
        env={**os.environ, "PYDELIVER_REQUIRE_ALL": switch, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in code, done.stdout + done.stderr
    assert "not to be had" in done.stdout or switch == "0"
