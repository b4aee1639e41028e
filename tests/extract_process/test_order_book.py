"""OrderBook: absolute quantities, prices compared as numbers."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book import order_book
from extract_process.book.order_book import MOST_NUMBERS, OrderBook, exact_number, price_number


def number_pairs(*levels: tuple[str, str]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(quantity)) for price, quantity in levels]


def test_levels_are_best_first_by_number_not_by_text() -> None:
    book = OrderBook(bids=[("99999.90", "1.0"), ("100000.10", "2.00")], asks=[("100001", "3"), ("100000.2", "0.10")])

    assert book.top(2) == (
        number_pairs(("100000.1", "2"), ("99999.9", "1")),
        number_pairs(("100000.2", "0.1"), ("100001", "3")),
    )
    assert book.top(1) == (number_pairs(("100000.1", "2")), number_pairs(("100000.2", "0.1")))


def test_the_same_price_in_another_spelling_is_the_same_level() -> None:
    book = OrderBook(bids=[("100", "1")])
    book.apply(bids=[("100.00", "5")], asks=[])

    assert book.top(5) == (number_pairs(("100", "5")), [])


def test_zero_removes_a_level_and_removing_what_is_not_there_is_normal() -> None:
    book = OrderBook(bids=[("100", "1")], asks=[("101", "1")])
    book.apply(bids=[("100.0", "0.00000000")], asks=[("150", "0")])

    assert book.top(5) == ([], number_pairs(("101", "1")))


def test_quantities_stay_as_sent() -> None:
    assert OrderBook(bids=[("100", "1.500")]).bids == {exact_number("100"): "1.500"}


@given(st.decimals(min_value=0, max_value=Decimal("1e19"), places=18, allow_nan=False))
def test_an_exact_number_is_the_decimal_in_units_of_its_last_place(number: Decimal) -> None:
    with localcontext(prec=60):
        assert exact_number(f"{number:f}") == int(number.scaleb(18))


@pytest.mark.parametrize("text", ["", ".", "-1", "+1", "1e5", "NaN", "1.2.3", " 1", "1_0", "0.1234567890123456789", "²"])
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"plain decimal|invalid literal"):
        exact_number(text)


@pytest.mark.parametrize("quantity", ["0", "0.0", "00.000", "0.00000000", "0.000000000000000000"])
def test_every_zero_removes_and_no_other_number_does(quantity: str) -> None:
    book = OrderBook(bids=[("100", "1")], asks=[("101", "00.5"), ("102", "0.00000001")])
    book.apply(bids=[("100", quantity)], asks=[])

    assert (len(book.bids), len(book.asks)) == (0, 2)


def test_prices_are_remembered_up_to_a_bound_and_forgotten_ones_are_read_again() -> None:
    prices = [f"{number}.5" for number in range(MOST_NUMBERS + 5)]

    assert [price_number(price) for price in prices] == [exact_number(price) for price in prices]
    assert price_number(prices[0]) == exact_number(prices[0])
    assert len(vars(order_book)["_NUMBERS"]) <= MOST_NUMBERS


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
