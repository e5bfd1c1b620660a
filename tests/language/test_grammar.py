"""The grammar has no ambiguity, is found where it is shipped, and its cache is checked before it is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydeliver.language import grammar
from pydeliver.language.parse import parse

VALID = sorted((Path(__file__).parent / "valid").glob("*.rules"))


@pytest.fixture
def built_only(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list that grows by one for each time Lark builds the tables anew."""
    built: list[bool] = []
    build = grammar._build

    def counted(source: str, strict: bool) -> object:
        built.append(strict)
        return build(source, strict)

    monkeypatch.setattr(grammar, "_build", counted)
    return built


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    grammar.load(str(folder))
    return (folder / grammar.CACHE_NAME).read_bytes()


def test_no_two_readings_of_a_text_are_possible() -> None:
    made = grammar.load(strict=True)  # Lark raises on any conflict and any collision of terminals
    assert made.states


def test_a_conflict_that_is_planted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    source = grammar._source().replace("| (subject | BROKEN)", "| (subject | subject subject | BROKEN)")
    monkeypatch.setattr(grammar, "_source", lambda: source)
    with pytest.raises(Exception, match="conflict"):
        grammar.load.__wrapped__(strict=True)


def test_every_kind_that_recovery_and_layout_know_is_in_the_grammar() -> None:
    made = grammar.load()
    assert made.keywords["IF"] == "if"
    assert made.spelling["LBRACE"] == "{"
    assert set(made.keywords) < set(made.spelling)


def test_the_grammar_is_found_in_a_wheel_before_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel, checkout = tmp_path / "rules.lark", tmp_path / "grammar" / "rules.lark"
    monkeypatch.setattr(grammar, "PLACES", (str(wheel), str(checkout)))
    with pytest.raises(FileNotFoundError, match=r"rules\.lark and "):
        grammar._source()
    checkout.parent.mkdir()
    checkout.write_text("checkout")
    assert grammar._source() == "checkout"
    wheel.write_text("wheel")
    assert grammar._source() == "wheel"


def test_both_places_are_named_by_the_package() -> None:
    package = Path(grammar.__file__).parents[1]
    assert list(grammar.PLACES) == [str(package / "rules.lark"), str(package.parent / "grammar" / "rules.lark")]


def test_the_cache_is_written_once_and_then_used(tmp_path: Path, built_only: list[bool]) -> None:
    load = grammar.load.__wrapped__
    load(str(tmp_path))
    assert built_only == [False]
    load(str(tmp_path))
    assert built_only == [False]
    assert [path.name for path in tmp_path.iterdir()] == [grammar.CACHE_NAME]
    assert (tmp_path / grammar.CACHE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_cached_grammar_reads_as_a_built_one(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.getbasetemp())
    text = path.read_text(encoding="utf-8")
    grammar.load.__wrapped__(folder)
    assert parse(text, "x", grammar=grammar.load.__wrapped__(folder)) == parse(text, "x", grammar=grammar.load())


@given(st.data())
@settings(max_examples=50)
def test_a_damaged_cache_is_never_decoded(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.sampled_from(["flip", "cut", "more"]))
    if damage == "flip":
        damaged = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    else:
        damaged = whole[:place] if damage == "cut" else whole + b"\0"
    assert not grammar._intact(damaged, grammar._key(grammar._source()))
    assert grammar._intact(whole, grammar._key(grammar._source()))


def test_a_damaged_cache_is_built_anew_and_replaced(tmp_path: Path, whole: bytes, built_only: list[bool]) -> None:
    cache = tmp_path / grammar.CACHE_NAME
    cache.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert grammar.load.__wrapped__(str(tmp_path)).states
    assert built_only == [False]
    assert cache.read_bytes() != whole[:-1] + bytes([whole[-1] ^ 1])
    grammar.load.__wrapped__(str(tmp_path))
    assert built_only == [False]


def test_a_cache_of_another_grammar_is_not_believed(
    tmp_path: Path, built_only: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    grammar.load.__wrapped__(str(tmp_path))
    source = grammar._source() + "\n// changed\n"
    monkeypatch.setattr(grammar, "_source", lambda: source)
    grammar.load.__wrapped__(str(tmp_path))
    assert built_only == [False, False]


@pytest.mark.parametrize("place", ["missing/folder", "a-file"])
def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")
    assert grammar.load.__wrapped__(str(tmp_path / place)).states
    assert sorted(os.listdir(tmp_path)) == ["a-file"]
