"""PriceFormat: the venue's own spelling of every price, whatever it is."""

import pickle

import orjson
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.order_book import exact_number
from extract_process.level_text import LevelText
from extract_process.mirror.mirror_book import PriceFormat

_spellings = st.from_regex(r"\A0{0,2}(0|[1-9][0-9]{0,5})(\.[0-9]{0,6})?\Z")


@given(st.lists(st.lists(_spellings, max_size=5), max_size=20))
def test_every_price_is_told_as_it_was_sent_last(messages: list[list[str]]) -> None:
    texts, last = PriceFormat(), dict[int, str]()
    for message in messages:
        texts.learn([[text, "1"] for text in message])
        last |= {exact_number(text): text for text in message}
        assert {number: texts.text_of(number) for number in last} == last


_usual = st.integers(0, 10**10).map(lambda units: f"{units // 10**8}.{units % 10**8:08}")


@given(st.lists(st.tuples(st.booleans(), st.lists(_usual, max_size=3), st.lists(_spellings, max_size=2)), max_size=10))
def test_prices_in_the_venues_text_are_told_as_well(messages: list[tuple[bool, list[str], list[str]]]) -> None:
    texts, last = PriceFormat(), dict[int, str]()
    for is_text, usual, others in messages:
        levels = [[text, "1.00000000"] for text in (usual if is_text else usual + others)]
        texts.learn(LevelText(orjson.dumps(levels)[1:-1]) if is_text else levels)
        last |= {exact_number(text): text for text, _ in levels}
        assert {number: texts.text_of(number) for number in last} == last


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=50))
def test_prices_that_are_spelled_alike_cost_nothing(numbers: list[int]) -> None:
    texts = PriceFormat()
    spelled = [f"{number // 10**8}.{number % 10**8:08}" for number in numbers]
    texts.learn([[text, "1"] for text in spelled])
    one = PriceFormat()
    one.learn([[spelled[0], "1"]])
    assert pickle.dumps(texts) == pickle.dumps(one), "as much is remembered as of one price"
    assert [texts.text_of(exact_number(text)) for text in spelled] == spelled


def test_other_spellings_are_forgotten_with_their_levels() -> None:
    texts = PriceFormat()
    texts.learn([["1.50", "1"], ["2.5", "1"], ["3.5", "1"]])
    texts.keep({exact_number("3.5")})
    assert texts.text_of(exact_number("3.5")) == "3.5"
    assert texts.text_of(exact_number("2.5")) == "2.50"


def test_a_forgotten_spelling_is_never_another_number() -> None:
    """A level that left the book may still have to be deleted at subscribers."""
    for first in ("35847.7", "35847"):
        texts = PriceFormat()
        texts.learn([(first, "1"), ("35847.73", "2"), ("0.00000001", "3")])
        texts.keep(())
        for text in (first, "35847.73", "0.00000001"):
            assert texts.text_of(exact_number(text)) == text
