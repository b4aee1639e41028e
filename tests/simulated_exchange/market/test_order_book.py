from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.market.order_book import BookSide, OrderBook


def empty_book(background: int = 0) -> OrderBook:
    bids = BookSide(99, 1, lambda price: background if price < 100 else 0)
    asks = BookSide(101, 500, lambda price: background if price > 100 else 0)
    return OrderBook(bids, asks, 1000)


def test_the_best_price_trades_first() -> None:
    book = empty_book(5)
    book.limit(100, 7, buy=False)
    book.limit(100, 3, buy=False)
    assert book.take(8, 200, buy=True) == [(100, 8)]
    assert book.take(8, 200, buy=True) == [(100, 2), (101, 5), (102, 1)]
    assert book.top == (99, 5, 102, 4)


def test_a_limit_order_trades_what_it_can_and_the_rest_waits() -> None:
    book = empty_book(5)
    assert book.limit(102, 12, buy=True) == (2, [(101, 5), (102, 5)])
    assert book.top == (102, 2, 103, 5)
    assert book.cancel(102, 2, buy=True)
    assert not book.cancel(102, 2, buy=True)
    assert book.top == (99, 5, 103, 5)


def test_every_change_has_an_update_id_of_its_own() -> None:
    book = empty_book(5)
    book.limit(98, 1, buy=True)
    assert book.update_id == 1001
    book.take(7, 98, buy=False)
    assert book.update_id == 1003
    assert book.cancel(98, 3, buy=True)
    assert book.cancel(98, 3, buy=True), "the last one of it"
    assert book.update_id == 1005
    book.withdraw_best(buy=True)
    assert (book.update_id, book.bids.best) == (1006, 96)


def test_every_level_touched_is_told_of_once() -> None:
    """Even if it is back where it was: a snapshot may have shown it in between."""
    book = empty_book(5)
    book.limit(98, 1, buy=True)
    book.cancel(98, 1, buy=True)
    book.limit(97, 1, buy=True)
    assert book.collect() == ({98: 5, 97: 5}, {})
    assert book.collect() == ({}, {})


def test_a_side_can_run_dry() -> None:
    bids = BookSide(3, 1, lambda price: 1 if price in (1, 3) else 0)
    assert bids.levels(10) == [(3, 1), (1, 1)]
    assert bids.match(5, 1) == [(3, 1), (1, 1)]
    assert (bids.best, bids.levels(10)) == (0, [])
    bids.add(2, 4)
    assert bids.best == 2


actions = st.lists(
    st.tuples(st.sampled_from(["limit", "take", "cancel"]), st.booleans(), st.integers(90, 110), st.integers(1, 9)), max_size=60
)


@given(actions)
def test_it_agrees_with_a_naive_book(script: list[tuple[str, bool, int, int]]) -> None:
    """The model: two plain dicts, searched anew for every unit that trades."""
    book = empty_book()
    model: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for action, buy, price, quantity in script:
        own, other = model[buy], model[not buy]
        if action == "cancel":
            assert book.cancel(price, quantity, buy=buy) == bool(own.get(price))
            own[price] = max(0, own.get(price, 0) - quantity)
        else:
            expected: dict[int, int] = {}
            left = quantity
            while left and (there := [at for at, size in other.items() if size and (at <= price if buy else at >= price)]):
                at = min(there) if buy else max(there)
                expected[at] = expected.get(at, 0) + 1
                other[at] -= 1
                left -= 1
            if action == "take":
                assert book.take(quantity, price, buy=buy) == [*expected.items()]
            else:
                assert book.limit(price, quantity, buy=buy) == (left, [*expected.items()])
                own[price] = own.get(price, 0) + left
        for side, is_buy in ((book.bids, True), (book.asks, False)):
            levels = {at: size for at, size in model[is_buy].items() if size}
            assert side.levels(100) == sorted(levels.items(), reverse=is_buy)
