"""Best bids and asks per second, and effective spreads of trades, against what is computed here by hand."""

import random
from bisect import bisect_left
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tickhouse_core.timestamps import SECOND_US, from_datetime
from tickhouse_core.warehouse import Warehouse

from . import warehouse_rows as rows
from .warehouse_rows import BOOK_TICKERS, STREAM_EVENTS, TRADES, Row, land, select, transform, us

START = us("2024-08-09 10:00:00")
SPREADS = "select * from gold_effective_spread(venue = 'binance', symbol = 'BTCUSDT', since = '2024-08-08', until = '2024-08-10')"
Top = tuple[int, int, str, str, str, str]


def at(seconds: float) -> int:
    return START + round(seconds * SECOND_US)


def quotes(warehouse: Warehouse) -> list[Row]:
    return select(warehouse, "select * from gold_quotes_1s order by venue, symbol, open_time")


def stored(warehouse: Warehouse) -> list[Row]:
    return select(
        warehouse, "select * except build_version from stored_quotes final where quotes > 0 order by venue, symbol, open_time"
    )


def gap(first_seconds: float, last_seconds: float) -> Any:
    return rows.stream_event(
        "gap", "book_tickers", 1, 2, started_us=at(first_seconds), ended_us=at(last_seconds), cause="restart"
    )


def test_a_second_has_its_last_quote_and_figures_made_by_hand(warehouse: Warehouse) -> None:
    tops = [
        (10, at(0.1), "100", "1", "101", "3"),
        (12, at(1.2), "100.5", "2", "101", "6"),
        (11, at(1.9), "7", "7", "8", "7"),  # received later by another recorder
        (13, at(3.0), "100.00000001", "1", "100.00000002", "1"),
        (14, at(4.0), "0", "0", "101", "1"),
        (15, at(5.0), "1", "1", "2", "1"),
    ]
    land(warehouse, BOOK_TICKERS, rows.book_tickers(tops))
    transform(warehouse)
    first, second, third, empty, last = quotes(warehouse)
    assert [(row["open_time"].second, row["update_id"], row["quotes"]) for row in (first, second, third, empty, last)] == [
        (0, 10, 1), (1, 12, 2), (3, 13, 1), (4, 14, 1), (5, 15, 1),
    ]  # fmt: skip
    assert (second["bid_price"], second["ask_quantity"]) == (Decimal("100.5"), Decimal(6))
    assert (second["mid"], second["spread"]) == (Decimal("100.75"), Decimal("0.5"))
    assert second["microprice"] == pytest.approx((100.5 * 6 + 101 * 2) / 8, rel=1e-15)
    assert second["spread_bps"] == pytest.approx(0.5 / 100.75 * 1e4, rel=1e-15)
    assert third["mid"] == Decimal("100.000000015")
    assert [empty[name] for name in ("mid", "spread", "spread_bps", "microprice")] == [None] * 4


def test_a_second_is_complete_between_others_and_where_no_gap_touches_it(warehouse: Warehouse) -> None:
    land(warehouse, BOOK_TICKERS, rows.book_tickers([(number, at(number + 0.5), "1", "1", "2", "1") for number in range(8)]))
    land(warehouse, STREAM_EVENTS, gap(2.5, 3.2))
    land(warehouse, STREAM_EVENTS, gap(5.0, 5.0))
    transform(warehouse)
    assert [row["is_complete"] for row in quotes(warehouse)] == [False, True, False, False, True, False, True, False]
    other = rows.stream_event("gap", "depth", 1, 2, started_us=at(1), ended_us=at(2))
    land(warehouse, STREAM_EVENTS, other)
    assert quotes(warehouse)[1]["is_complete"], "a gap of another channel"


def test_a_second_whose_only_update_another_recorder_received_in_the_second_before_has_no_row(warehouse: Warehouse) -> None:
    land(warehouse, BOOK_TICKERS, rows.book_tickers([(1, at(59.0), "1", "1", "2", "1"), (2, at(60.1), "3", "1", "4", "1")]))
    transform(warehouse)
    assert [row["open_time"].second for row in quotes(warehouse)] == [59, 0]
    land(warehouse, BOOK_TICKERS, rows.book_tickers([(2, at(59.9), "3", "1", "4", "1")]))
    transform(warehouse)
    (row,) = quotes(warehouse)
    assert (row["open_time"].second, row["update_id"], row["quotes"]) == (59, 2, 2)
    stepwise = stored(warehouse)
    transform(warehouse, rebuild=True)
    assert stored(warehouse) == stepwise


TOPS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 130)), min_size=1, max_size=30)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recordings=st.lists(TOPS, min_size=1, max_size=4))
def test_windows_in_any_order_give_what_a_rebuild_gives(recordings: list[list[tuple[int, int]]], warehouse: Warehouse) -> None:
    """Recorders receive the same updates within ten seconds of each other."""
    for table in ("bronze_book_tickers", "silver_book_tickers", "stored_quotes"):
        warehouse.command(f"truncate table {table}")
    dice = random.Random(7)
    for recording in recordings:
        tops = [
            (number, at(number * 3 + dice.random() * 10), str(number), "1", str(number + 1), str(second + 1))
            for number, second in recording
        ]
        land(warehouse, BOOK_TICKERS, rows.book_tickers(tops))
        transform(warehouse)
    stepwise = stored(warehouse)
    transform(warehouse, rebuild=True)
    assert stored(warehouse) == stepwise != []


def test_the_effective_spread_is_that_of_the_last_quote_received_before_the_trade(warehouse: Warehouse) -> None:
    tops = [
        (1, at(1.0), "99", "1", "101", "1"),
        (2, at(2.0), "5", "1", "6", "1"),
        (3, at(2.0), "100", "1", "102", "1"),  # of one callback the last one
        (4, at(3.0), "0", "0", "102", "1"),  # one side is empty: no middle
    ]
    land(warehouse, BOOK_TICKERS, rows.book_tickers(tops))
    times = [0.5, 1.5, 2.0, 2.5, 3.5, 700.0]
    prices = ["100", "101", "100.5", "101.25", "103", "100"]
    trades = rows.trades(range(1, 7), times_us=[at(seconds) for seconds in times], prices=prices, latency_us=0)
    land(warehouse, TRADES, trades)
    land(warehouse, TRADES, rows.trades([9], times_us=[at(1.2)], prices=["100"], latency_us=11 * SECOND_US))  # healed
    land(warehouse, STREAM_EVENTS, gap(3.1, 3.2))
    found = {row["trade_id"]: row for row in select(warehouse, SPREADS)}
    assert len(found) == 7
    expected = {2: 2 * 1 / 100, 3: 2 * 0.5 / 100, 4: 2 * 0.25 / 101, 5: 2 * 2 / 101}
    for number, row in found.items():
        if number in expected:
            assert row["effective_spread"] == pytest.approx(expected[number], rel=1e-15), number
        else:
            assert row["effective_spread"] is row["mid"] is row["quote_update_id"] is None, number
    assert {number: row["quote_update_id"] for number, row in found.items() if number in expected} == {2: 1, 3: 1, 4: 3, 5: 3}
    assert {number for number, row in found.items() if row["is_complete"]} == {2, 3, 4}


@pytest.mark.slow
def test_the_recorded_session_by_second_and_by_trade(warehouse: Warehouse, shared_data: Path) -> None:
    """Every second and every trade of the session against a loop over its messages."""
    _, _, tickers = rows.recorded_depth(shared_data)
    trades = rows.recorded_trades(shared_data)
    tops = [(raw["u"], received, *(raw[key] for key in "bBaA")) for received, raw in tickers]
    land(warehouse, BOOK_TICKERS, rows.book_tickers(tops))
    land(warehouse, TRADES, trades)
    transform(warehouse)

    by_second: dict[int, list[Top]] = {}
    for top in tops:
        by_second.setdefault(top[1] // SECOND_US, []).append(top)
    made = quotes(warehouse)
    assert [from_datetime(row["open_time"]) // SECOND_US for row in made] == sorted(by_second)
    for row in made:
        second = by_second[from_datetime(row["open_time"]) // SECOND_US]
        best = max(second)
        assert (row["update_id"], row["quotes"]) == (best[0], len(second))
        bid, bid_quantity, ask, ask_quantity = map(Decimal, best[2:])
        assert (row["bid_price"], row["bid_quantity"], row["ask_price"], row["ask_quantity"]) == (
            bid,
            bid_quantity,
            ask,
            ask_quantity,
        )
        assert (row["mid"], row["spread"]) == ((bid + ask) / 2, ask - bid)
    assert [row["is_complete"] for row in made] == [False, *[True] * (len(made) - 2), False]

    received = [top[1] for top in tops]
    assert received == sorted(received)
    found = select(warehouse, f"{SPREADS} order by trade_id")
    assert len(found) == trades.num_rows
    columns = (trades[name].to_pylist() for name in ("trade_id", "price", "receipt_time"))
    for row, (trade_id, price, at_time) in zip(found, zip(*columns, strict=True), strict=True):
        place = bisect_left(received, from_datetime(at_time)) - 1
        assert row["trade_id"] == trade_id
        if place < 0:
            assert row["effective_spread"] is None
            continue
        same = [top for top in tops[max(0, place - 200) : place + 1] if top[1] == received[place]]
        _, _, bid_text, _, ask_text, _ = max(same)
        middle = (Decimal(bid_text) + Decimal(ask_text)) / 2
        assert row["mid"] == middle
        assert row["effective_spread"] == pytest.approx(float(2 * abs(price - middle) / middle), rel=1e-12)
    assert sum(row["effective_spread"] is not None for row in found) > 19_000
