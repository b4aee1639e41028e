"""OrderBook: absolute quantities, prices compared as numbers."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from extract_process.order_book import OrderBook


def test_levels_are_best_first_and_text_is_kept_as_sent() -> None:
    book = OrderBook()
    book.replace(bids=[("99999.90", "1.0"), ("100000.10", "2.00")], asks=[("100001", "3"), ("100000.2", "0.10")])

    assert book.top(2) == ([("100000.10", "2.00"), ("99999.90", "1.0")], [("100000.2", "0.10"), ("100001", "3")])
    assert book.top(1) == ([("100000.10", "2.00")], [("100000.2", "0.10")])


def test_the_same_price_in_another_spelling_is_the_same_level() -> None:
    book = OrderBook()
    book.replace(bids=[("100", "1")], asks=[])
    book.apply(bids=[("100.00", "5")], asks=[])

    assert book.top(5) == ([("100.00", "5")], [])


def test_zero_removes_a_level_and_removing_what_is_not_there_is_normal() -> None:
    book = OrderBook()
    book.replace(bids=[("100", "1")], asks=[("101", "1")])
    book.apply(bids=[("100.0", "0.00000000")], asks=[("150", "0")])

    assert book.top(5) == ([], [("101", "1")])


def test_a_snapshot_replaces_all_there_was() -> None:
    book = OrderBook()
    book.replace(bids=[("100", "1")], asks=[])
    book.replace(bids=[], asks=[("7", "1")])

    assert book.top(5) == ([], [("7", "1")])


_levels = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), max_size=40)


@given(changes=_levels, depth=st.integers(0, 25))
def test_top_equals_a_sorted_naive_book(changes: list[tuple[int, int]], depth: int) -> None:
    book, naive = OrderBook(), dict[Decimal, int]()
    for price, quantity in changes:
        book.apply(bids=[(str(price), str(quantity))], asks=[(f"{price}.0", str(quantity))])
        naive[Decimal(price)] = quantity
    expected = sorted((price, quantity) for price, quantity in naive.items() if quantity)

    bids, asks = book.top(depth)
    assert [(Decimal(price), int(quantity)) for price, quantity in bids] == expected[::-1][:depth]
    assert [(Decimal(price), int(quantity)) for price, quantity in asks] == expected[:depth]
