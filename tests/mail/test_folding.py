"""`mail.folding`: `contains` and `matches` agree on what case is."""

from __future__ import annotations

import re2
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.folding import COMPOSED_CHARACTERS, composed, fold

# RE2 folds these two ligatures (Unicode 15.1), Python's casefold spells both "st".
EXCEPTIONS = {"\ufb05", "\ufb06"}

BMP = [chr(point) for point in range(0x10000) if not 0xD800 <= point < 0xE000]
COMPOSED = [character for character in BMP if composed(character) == character]  # decoded text holds no others


def _classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for character in COMPOSED:
        found.setdefault(fold(character), []).append(character)
    return found


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = 1 << 28
    return options


def test_what_folds_to_the_same_is_the_same_to_re2() -> None:
    for same in _classes().values():
        pattern = re2.compile("(?i)" + re2.escape(same[0]))
        assert all(pattern.fullmatch(other) for other in same[1:]), same


def test_what_is_the_same_to_re2_folds_to_the_same() -> None:
    # Two classes differ in some bit of their numbers, so a set by that bit would match a character outside.
    classes = list(_classes().values())
    everything = "".join(COMPOSED)
    outside: set[str] = set()
    for bit in range(len(classes).bit_length()):
        inside = {character for number, same in enumerate(classes) if number >> bit & 1 for character in same}
        pattern = re2.compile("(?i)[" + "".join([re2.escape(one) for one in sorted(inside)]) + "]", _options())
        outside |= set(pattern.findall(everything)) - inside
    assert outside == EXCEPTIONS


def test_every_character_folds_to_one_that_stays() -> None:
    assert all(len(fold(character)) == 1 for character in COMPOSED)
    assert all(fold(fold(character)) == fold(character) for character in BMP)


@given(st.text(max_size=30), st.text(max_size=3))
def test_containing_agrees_with_a_pattern(text: str, part: str) -> None:
    text, part = composed(text), composed(part)
    if not EXCEPTIONS & {*text, *part}:
        assert (fold(part) in fold(text)) == bool(re2.search("(?i)" + re2.escape(part), text))


def test_the_usual_traps() -> None:
    assert fold("STRASSE") != fold("Straße") == fold("STRAẞE")
    assert fold("K") == fold("k") == "k"
    assert fold("ΣΑΣ") == fold("σας") == fold("σασ")
    assert fold("I") == fold("i") != fold("ı")
    assert fold("E\u0301") == fold("é") == "é"


def test_a_span_too_long_to_compose_is_left_as_it_is() -> None:
    span = "e\u0301" * COMPOSED_CHARACTERS
    assert composed(f"e\u0301 {span}") == f"é {span}"


@given(st.text(st.sampled_from("ae \u0301\u0323ß")))
def test_long_text_is_composed_as_short_text_is(text: str) -> None:
    padding = "x" * 500 + " " + "y" * 500 + " "
    assert composed(padding + text) == padding + composed(text) or text.startswith(("\u0301", "\u0323"))
