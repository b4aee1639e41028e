"""TextBook: the same levels as an OrderBook at every moment, however prices are written and whenever somebody looks."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.order_book import OrderBook, exact_number
from extract_process.book.text_book import WAITING_BYTES, TextBook
from extract_process.level_text import LevelText

SPELLINGS = (
    lambda units: f"{units // 10}.{units % 10}0000000",
    lambda units: f"{units // 10}.{units % 10}",
    lambda units: f"00{units // 10}.{units % 10}000000000",
    lambda units: f"{units // 10}.{units % 10}".removesuffix(".0"),
)


def levels(changes: list[tuple[int, int]], spelling: int) -> Any:
    """Of the first spelling as the venue's own text."""
    spelled = [[SPELLINGS[spelling](price), SPELLINGS[spelling](quantity)] for price, quantity in changes]
    return LevelText(orjson.dumps(spelled)[1:-1]) if spelling == 0 else spelled


changed = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=6)
diff = st.tuples(changed, changed, st.sampled_from([0, 0, 0, 1, 2, 3]), st.sampled_from([0, 0, 0, 1, 2, 3]), st.booleans())


@given(st.lists(diff, max_size=30))
def test_it_is_an_order_book(diffs: list[tuple[Any, Any, int, int, bool]]) -> None:
    book, expected = TextBook(), OrderBook()
    for bids, asks, bids_spelling, asks_spelling, is_looked_at in diffs:
        for each in (book, expected):
            each.apply(levels(bids, bids_spelling), levels(asks, asks_spelling))
        if is_looked_at:
            assert (book.bids, book.asks) == (expected.bids, expected.asks)
    assert (book.bids, book.asks) == (expected.bids, expected.asks)


def test_what_waits_is_bounded_and_a_look_changes_nothing() -> None:
    book, expected = TextBook(), OrderBook()
    one = levels([(price, price % 3) for price in range(100)], 0)
    for _ in range(3 * WAITING_BYTES // len(one.text)):
        book.apply(one, LevelText(b""))
        expected.apply(one, [])
        side = vars(book)["_bids"]
        assert sum(len(text.text) for text in side._waiting) <= WAITING_BYTES
    assert (book.bids, book.asks) == (expected.bids, {})


@pytest.mark.parametrize("price", ["0.000000001", "99999999999999999999.999999999999999999"])
def test_a_price_with_more_digits_is_a_level_of_its_own(price: str) -> None:
    book = TextBook(bids=[[price, "1"]])
    book.apply(levels([(0, 7), (1, 8)], 0), [])
    assert book.bids == {exact_number(price): "1", 0: "0.70000000", 10**17: "0.80000000"}


@pytest.mark.parametrize("price", ["", ".", "-1", "1e5", "abc"])
def test_a_price_that_is_no_number_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match=r"plain decimal|invalid literal"):
        TextBook(asks=[[price, "1"]])
