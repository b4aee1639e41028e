"""LevelText: levels in the venue's bytes are as good as a list of pairs."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.level_text import LevelText, numbers_of

number = st.decimals(min_value=0, max_value=10**9, places=8, allow_nan=False).map("{:f}".format)
side = st.lists(st.lists(number, min_size=2, max_size=2), max_size=5)


def as_text(levels: Any) -> LevelText:
    return LevelText(orjson.dumps(levels)[1:-1])


@given(side, side)
def test_it_is_the_sequence_of_its_levels(levels: list[list[str]], others: list[list[str]]) -> None:
    text = as_text(levels)
    assert (list(text), len(text), bool(text), text[:2], repr(text)) == (
        levels,
        len(levels),
        bool(levels),
        levels[:2],
        repr(levels),
    )
    assert text == levels
    assert levels == text
    assert (text == as_text(others)) is (levels == others)
    assert (text != others) is (levels != others)


def test_a_level_that_is_not_there_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        as_text([["1.00000000", "2.00000000"]])[1]


@given(st.lists(side, max_size=5))
def test_the_numbers_of_many_sides_come_in_turn(sides: list[list[list[str]]]) -> None:
    assert numbers_of(map(as_text, sides)).decode() == ",".join(text for levels in sides for level in levels for text in level)
