"""PriceFormat: the venue's own spelling of every price, whatever it is."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.order_book import exact_number
from extract_process.mirror.mirror_book import PriceFormat

_spellings = st.from_regex(r"\A0{0,2}(0|[1-9][0-9]{0,5})(\.[0-9]{0,6})?\Z")


@given(st.lists(st.lists(_spellings, max_size=5), max_size=20))
def test_every_price_is_told_as_it_was_sent_last(messages: list[list[str]]) -> None:
    texts, last = PriceFormat(), dict[int, str]()
    for message in messages:
        texts.learn([[text, "1"] for text in message])
        last |= {exact_number(text): text for text in message}
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
