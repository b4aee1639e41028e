from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.market.order_book import RESTING, BookSide, OrderBook


def empty_book(background: int = 0) -> OrderBook:
    bids = BookSide(99, 1, lambda price: background if price < 100 else 0)
    asks = BookSide(101, 500, lambda price: background if price > 100 else 0)
    return OrderBook(bids, asks, 1000)


def test_the_oldest_order_at_the_best_price_trades_first() -> None:
    book = empty_book(5)
    book.limit(100, 7, buy=False)
    book.limit(100, 3, buy=False)
    assert book.take(8, 200, buy=True) == [(100, 7), (100, 1)]
    assert book.take(8, 200, buy=True) == [(100, 2), (101, 5), (102, 1)]
    assert book.top == (99, 5, 102, 4)


def test_a_limit_order_trades_what_it_can_and_the_rest_waits() -> None:
    book = empty_book(5)
    order_id, fills = book.limit(102, 12, buy=True)
    assert fills == [(101, 5), (102, 5)]
    assert book.top == (102, 2, 103, 5)
    assert book.cancel(102, order_id, buy=True)
    assert not book.cancel(102, order_id, buy=True)
    assert book.top == (99, 5, 103, 5)


def test_every_change_has_an_update_id_of_its_own() -> None:
    book = empty_book(5)
    order_id, _ = book.limit(98, 1, buy=True)
    assert book.update_id == 1001
    book.take(7, 98, buy=False)
    assert book.update_id == 1003
    assert book.cancel(98, RESTING, buy=True)
    assert book.cancel(98, order_id, buy=True)
    assert book.update_id == 1005
    book.cancel_front(buy=True)
    assert (book.update_id, book.bids.best) == (1006, 96)


def test_every_level_touched_is_told_of_once() -> None:
    """Even if it is back where it was: a snapshot may have shown it in between."""
    book = empty_book(5)
    order_id, _ = book.limit(98, 1, buy=True)
    book.cancel(98, order_id, buy=True)
    book.limit(97, 1, buy=True)
    assert book.collect() == ({98: 5, 97: 5}, {})
    assert book.collect() == ({}, {})


def test_a_side_can_run_dry() -> None:
    bids = BookSide(3, 1, lambda price: 1 if price in (1, 3) else 0)
    assert bids.levels(10) == [(3, 1), (1, 1)]
    assert bids.match(5, 1) == [(3, 1), (1, 1)]
    assert (bids.best, bids.levels(10)) == (0, [])
    bids.add(2, 4, 1)
    assert bids.best == 2


actions = st.lists(
    st.tuples(st.sampled_from(["limit", "take", "cancel"]), st.booleans(), st.integers(90, 110), st.integers(1, 9)), max_size=60
)


@given(actions)
def test_it_agrees_with_a_naive_book(script: list[tuple[str, bool, int, int]]) -> None:
    """The model: one list of orders, sorted again for every match."""
    book = empty_book()
    model: list[tuple[bool, int, int, int]] = []  # buy, price, order id, quantity
    for action, buy, price, quantity in script:
        if action == "cancel":
            own = [order for order in model if order[0] == buy]
            if own:
                order = own[price % len(own)]
                assert book.cancel(order[1], order[2], buy=buy)
                model.remove(order)
            continue
        queue = sorted((o for o in model if o[0] != buy), key=lambda o: (o[1] if buy else -o[1], o[2]))
        expected, left = [], quantity
        for order in queue:
            if not left or (order[1] > price if buy else order[1] < price):
                break
            traded = min(left, order[3])
            expected.append((order[1], traded))
            left -= traded
            model.remove(order)
            if traded < order[3]:
                model.append((*order[:3], order[3] - traded))
        if action == "take":
            assert book.take(quantity, price, buy=buy) == expected
        else:
            order_id, fills = book.limit(price, quantity, buy=buy)
            assert fills == expected
            assert bool(order_id) == bool(left)
            if left:
                model.append((buy, price, order_id, left))
        for side, is_buy in ((book.bids, True), (book.asks, False)):
            totals: dict[int, int] = {}
            for order in model:
                if order[0] == is_buy:
                    totals[order[1]] = totals.get(order[1], 0) + order[3]
            assert dict(side.levels(100)) == totals
