"""Aggregate trades against a naive reference: random fills, every page of them, and the end that may be cut."""

import random
from decimal import Decimal
from typing import Any

from simulated_exchange.binance.agg_trades import KEPT, LOOK, first_of_page, latest_of, page_of

Trade = dict[str, Any]


def fills(dice: random.Random, number: int, most: int) -> list[Trade]:
    """At most `most` fills of one order at one price."""
    trades: list[Trade] = []
    at = 1_700_000_000_000
    while len(trades) < number:
        at += dice.choice((0, 1, 7))
        price, is_buyer_maker = dice.choice(("100.00", "100.01")), dice.random() < 0.5
        for _ in range(dice.randint(1, most)):
            one = {"id": len(trades), "price": price, "qty": f"{dice.randint(1, 10**12) / 10**8:.8f}", "time": at}
            trades.append(one | {"isBuyerMaker": is_buyer_maker})
    return trades[:number]


def naive(trades: list[Trade]) -> list[tuple[int, int, Decimal]]:
    """First and last id and quantity."""
    found: list[tuple[int, int, Decimal]] = []
    before: object = None
    for trade in trades:
        same = trade["time"], trade["price"], trade["isBuyerMaker"]
        first, quantity = (found[-1][0], found.pop()[2]) if same == before else (trade["id"], Decimal(0))
        found.append((first, trade["id"], quantity + Decimal(trade["qty"])))
        before = same
    return found


def told(page: list[Trade]) -> list[tuple[int, int, Decimal]]:
    assert all(one["a"] == one["l"] for one in page)
    return [(one["f"], one["l"], Decimal(one["q"])) for one in page]


def test_pages_by_id_are_whole_and_end_where_the_trades_end() -> None:
    dice = random.Random(5)
    for most in (1, 3, 20):
        trades = fills(dice, 5_000, most)
        limit, at = dice.choice((7, 300, 1_000)), 0
        found: list[tuple[int, int, Decimal]] = []
        while page := page_of(trades[first_of_page(at) :][:LOOK], at, limit):
            found, at = [*found, *told(page)], page[-1]["a"] + 1
        assert found == naive(trades)


def test_a_page_of_single_trades_is_as_long_as_the_limit() -> None:
    """A client that takes a short page for the last one would end there."""
    trades = [trade | {"time": trade["id"]} for trade in fills(random.Random(6), 3_000, 1)]
    for at in (0, 1, 150, 1_999):
        assert [one["a"] for one in page_of(trades[first_of_page(at) :][:LOOK], at, 1_000)] == list(range(at, at + 1_000))


def test_the_first_of_the_latest_is_left_out_where_it_may_be_cut() -> None:
    dice = random.Random(7)
    for number in (1, KEPT - 1, KEPT, 4_000):
        trades = fills(dice, number, 20)
        whole = naive(trades)
        for known in (KEPT, LOOK):
            found, unknown = latest_of(trades[-known:])
            assert told(found) == whole[len(whole) - len(found) :]
            assert (unknown is None) == (number < KEPT)
            assert unknown is None or found[0]["T"] >= unknown
