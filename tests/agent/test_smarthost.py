"""A message as DATA has it: in lines that end with CR LF, with its dots doubled, however it comes in pieces."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pydeliver.agent.smarthost import transparent


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"x", b"\0"]), max_size=30), st.data())
def test_what_goes_out_is_in_lines_whatever_came(pieces: list[bytes], data: st.DataObject) -> None:
    text = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    sent = b"".join(transparent([text[start:end] for start, end in pairwise([0, *cuts, len(text)])]))
    lines = re.split(rb"\r\n|\r|\n", text)
    lines = lines if lines[-1] else lines[:-1]
    doubled = [b"." + line if line.startswith(b".") else line for line in lines]
    assert sent == b"".join([line + b"\r\n" for line in doubled]) + b".\r\n"


def test_a_line_without_an_end_is_not_held() -> None:
    sent = transparent([b"x" * 1000] * 3)
    assert [len(next(sent)) for _ in range(3)] == [1000] * 3
