"""TopN: what a listener holds after every change equals the best levels of a sorted naive book, however rarely it listens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract_process.book.order_book import OrderBook, exact_number
from extract_process.book.top_n import DELETED, SPARE, Changes, PriceChanges, TopN
from extract_process.book.verification import BoundedBook
from extract_process.records import DepthDiff

Sides = tuple[dict[int, str], dict[int, str]]


class Listener:
    """Holds what it was told, as a subscriber does."""

    def __init__(self) -> None:
        self.bids: dict[int, str] = {}
        self.asks: dict[int, str] = {}

    def hear(self, changes: Changes) -> None:
        for side, told in ((self.bids, changes.bids), (self.asks, changes.asks)):
            assert len({price for price, _ in told}) == len(told), "a price is told once a message"
            for price, quantity in told:
                if quantity == DELETED:
                    del side[price]  # only what is held can leave
                else:
                    assert side.get(price) != quantity, "only what changed is told"
                    side[price] = quantity


def best(side: dict[int, str], count: int, *, highest: bool, border: int | None) -> dict[int, str]:
    known = [price for price in side if border is None or (price >= border if highest else price <= border)]
    return {price: side[price] for price in sorted(known, reverse=highest)[:count]}


def diff(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> DepthDiff:
    def levels(pairs: list[tuple[int, int]]) -> list[list[str]]:
        return [[str(price), f"{quantity}.0"] for price, quantity in pairs]

    return DepthDiff("BTCUSDT", 1, 1, levels(bids), levels(asks), 0)


_changes = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 1, 2])), max_size=12)
_messages = st.lists(st.tuples(_changes, _changes, st.booleans()), max_size=30)
_border = st.none() | st.integers(1, 40)


@given(start=st.tuples(_changes, _changes), borders=st.tuples(_border, _border), messages=_messages, count=st.integers(1, 8))
def test_a_listener_holds_the_top_of_a_sorted_book_whenever_it_is_told(
    start: tuple[list[tuple[int, int]], list[tuple[int, int]]],
    borders: tuple[int | None, int | None],
    messages: list[tuple[list[tuple[int, int]], list[tuple[int, int]], bool]],
    count: int,
) -> None:
    first = diff(*start)
    lowest_bid, highest_ask = (None if price is None else exact_number(str(price)) for price in borders)
    known = BoundedBook(OrderBook(first.bids, first.asks), lowest_bid, highest_ask)
    view, listener = TopN(count, thin_below=count), Listener()
    view.reset(known)
    listener.hear(view.take_changes())
    for bids, asks, is_told in messages:
        message = diff(bids, asks)
        known.book.apply(message.bids, message.asks)
        view.on_diff(message)
        expected_bids = best(known.book.bids, count, highest=True, border=lowest_bid)
        expected_asks = best(known.book.asks, count, highest=False, border=highest_ask)
        is_known = (lowest_bid is None or len(expected_bids) == count) and (highest_ask is None or len(expected_asks) == count)
        assert view.is_known == is_known
        if is_told:
            listener.hear(view.take_changes())
            assert (listener.bids, listener.asks) == (expected_bids, expected_asks)
            assert view.take_changes() == ([], [])
    whole = view.take_all()
    assert [price for price, _ in whole.bids] == sorted(dict(whole.bids), reverse=True)
    assert [price for price, _ in whole.asks] == sorted(dict(whole.asks))
    assert dict(whole.bids) == best(known.book.bids, count, highest=True, border=lowest_bid)
    assert view.take_changes() == ([], [])


def test_a_deeper_level_moves_in_when_one_leaves() -> None:
    known = BoundedBook(OrderBook([], [["1", "5"], ["2", "6"], ["3", "7"]]), None, None)
    view = TopN(2, 0)
    view.reset(known)
    view.take_all()
    known.book.apply([], [["1", "0"]])
    view.on_diff(diff([], [(1, 0)]))

    assert named(view.take_changes().asks) == [("3", "7"), ("1", DELETED)]


def test_a_level_that_is_pushed_out_has_left() -> None:
    known = BoundedBook(OrderBook([["2", "5"], ["1", "6"]]), None, None)
    view = TopN(2, 0)
    view.reset(known)
    view.take_all()
    known.book.apply([["3", "1"]], [])
    view.on_diff(diff([(3, 1)], []))

    assert named(view.take_changes().bids) == [("3", "1"), ("1", DELETED)]


def test_what_went_and_came_back_between_two_messages_is_not_told() -> None:
    known = BoundedBook(OrderBook([["2", "5"]]), None, None)
    view = TopN(2, 0)
    view.reset(known)
    view.take_all()
    for quantity in ("0", "5"):
        known.book.apply([["2", quantity]], [])
        view.on_diff(diff([(2, 1)], []))

    assert view.take_changes() == ([], [])


@pytest.mark.parametrize("levels", [1, 30])
def test_a_side_that_ends_in_the_unknown_is_thin_before_it_is_unknown(levels: int) -> None:
    asks = [[str(price), "1"] for price in range(1, 1001)]
    known = BoundedBook(OrderBook([], asks), None, exact_number("1000"))
    view = TopN(levels, thin_below=250)
    view.reset(known)
    was_thin_at = None
    for price in range(1, 1001):
        known.book.apply([], [[str(price), "0"]])
        view.on_diff(diff([], [(price, 0)]))
        if view.is_thin and was_thin_at is None:
            was_thin_at = 1000 - price
        assert view.is_known == (1000 - price >= levels)
    assert was_thin_at is not None
    assert 250 - levels * SPARE <= was_thin_at < 250


def named(changes: PriceChanges) -> list[tuple[str, str]]:
    return [(str(price // 10**18), quantity) for price, quantity in changes]
