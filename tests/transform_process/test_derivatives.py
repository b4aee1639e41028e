"""Funding, carry, open interest and liquidations of contracts, against figures made by hand."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tickhouse_core.datasets import FUNDING_RATES, KLINES, LIQUIDATIONS, MARK_PRICES, OPEN_INTEREST, STREAM_EVENTS
from tickhouse_core.errors import WarehouseRefused
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, SECOND_US, from_datetime
from tickhouse_core.warehouse import Warehouse

from .warehouse_rows import Row, klines, land, select, table_of, transform, us

START = us("2024-08-09T00:00:00")
USDM: Row = {"venue": "binance-usdm", "symbol": "BTCUSDT"}
COINM: Row = {"venue": "binance-coinm", "symbol": "BTCUSD_PERP"}


def fundings(warehouse: Warehouse, hours: Sequence[int], rates: Sequence[str], late_us: int = 3_000) -> None:
    times = [START + hour * HOUR_US + late_us for hour in hours]
    columns: Row = {"funding_time": times, "funding_rate": list(rates), "mark_price": [None] * len(times)}
    land(warehouse, FUNDING_RATES, table_of(FUNDING_RATES, USDM | columns | {"receipt_time": times}))


def marks(warehouse: Warehouse, rows: Sequence[tuple[float, str, str | None, str | None, int | None]]) -> None:
    """Each: seconds since START, mark price, index price, funding rate, hours from START to the next funding."""
    seconds, prices, indices, rates, hours = (list(column) for column in zip(*rows, strict=True))
    times = [START + round(second * SECOND_US) for second in seconds]
    columns: Row = {"event_time": times, "mark_price": prices, "index_price": indices, "settle_price": [None] * len(times)}
    columns |= {"funding_rate": rates, "receipt_time": times}
    columns["next_funding_time"] = [None if hour is None else START + hour * HOUR_US for hour in hours]
    land(warehouse, MARK_PRICES, table_of(MARK_PRICES, USDM | columns))


def view(warehouse: Warehouse, name: str, market: Row, until: str = "2024-08-10", more: str = "") -> list[Row]:
    asked = f"venue = '{market['venue']}', symbol = '{market['symbol']}', {more}since = '2024-08-09', until = '{until}'"
    return select(warehouse, f"select * from {name}({asked}) order by open_time")


def test_a_settlement_is_for_the_hours_since_the_one_before(warehouse: Warehouse) -> None:
    """Every 8 hours, then every 4; one is missing, the venue's milliseconds are no time."""
    fundings(warehouse, [0, 8, 16, 20, 24], ["0.0001", "0.0001", "-0.0002", "0.0001", "0.0003"])
    fundings(warehouse, [40], ["0.0001"], late_us=0)
    fundings(warehouse, [8], ["0.0001"])  # loaded again
    rows = select(warehouse, "select * from gold_funding order by funding_time")
    assert [row["funding_hours"] for row in rows] == [None, 8, 8, 4, 4, None]
    expected = [0.0001 * 365 * 3, -0.0002 * 365 * 3, 0.0001 * 365 * 6, 0.0003 * 365 * 6]
    assert [row["annualised_funding"] for row in rows[1:5]] == pytest.approx(expected, rel=1e-12)
    assert rows[0]["annualised_funding"] is rows[5]["annualised_funding"] is None
    assert rows[2]["funding_rate"] == Decimal("-0.0002")


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([0, 4, 8, 16, 20], [None, 4, 4, None, 4]),  # 12 is missing
        ([0, 8, 12, 16], [None, None, 4, 4]),  # 4 may be missing
        ([0, 4, 8, 16], [None, 4, 4, None]),  # 12 may be missing
        ([0, 4, 8, 16, 24], [None, 4, 4, 8, 8]),  # every 8 from now on
        ([0, 2, 4, 16, 20, 22], [None, 2, 2, None, None, 2]),
        ([0, 8], [None, 8]),
    ],
)
def test_a_longer_time_than_beside_it_lacks_a_settlement(
    warehouse: Warehouse, hours: list[int], expected: list[int | None]
) -> None:
    fundings(warehouse, hours, ["0.0001"] * len(hours))
    rows = select(warehouse, "select * from gold_funding order by funding_time")
    assert [row["funding_hours"] for row in rows] == expected
    assert [row["annualised_funding"] is None for row in rows] == [one is None for one in expected]


def test_carry_is_the_running_funding_in_a_year_by_the_hours_of_the_contract(warehouse: Warehouse) -> None:
    marks(
        warehouse,
        [
            (1, "100", "100", "0.0001", 4),
            (2, "101", "100", "0.0002", 4),
            (60, "99.5", "100", "-0.0001", 4),
            (4 * 3600, "100", "100", "0.0003", 8),
            (8 * 3600, "100", None, None, None),
        ],
    )
    marks(warehouse, [(1, "100", "100", "0.0001", 4)])  # loaded again
    first, second, third, dated = view(warehouse, "gold_carry_1m", USDM)
    assert (first["mark_price"], first["index_price"], first["funding_rate"]) == (101, 100, Decimal("0.0002"))
    assert (first["premium_bps"], first["mark_prices"]) == (pytest.approx(100.0), 2)
    assert (first["funding_hours"], first["annualised_funding"]) == (4, pytest.approx(0.0002 * 6 * 365)), "as the next period"
    assert second["premium_bps"] == pytest.approx(-50.0)
    assert (third["funding_hours"], third["annualised_funding"]) == (4, pytest.approx(0.0003 * 6 * 365))
    assert [dated[name] for name in ("index_price", "premium_bps", "funding_rate", "next_funding_time")] == [None] * 4
    assert dated["annualised_funding"] is dated["funding_hours"] is None
    fundings(warehouse, [0], ["0.0001"])
    first, second, *_ = view(warehouse, "gold_carry_1m", USDM)
    assert (first["funding_hours"], second["annualised_funding"]) == (4, pytest.approx(-0.0001 * 6 * 365))


def test_carry_of_a_first_period_is_of_eight_hours_until_another_is_known(warehouse: Warehouse) -> None:
    marks(warehouse, [(1, "100", "100", "0.0002", 4)])
    (first,) = view(warehouse, "gold_carry_1m", USDM)
    assert (first["funding_hours"], first["annualised_funding"]) == (None, pytest.approx(0.0002 * 3 * 365))
    fundings(warehouse, [0], ["0.0001"])
    (first,) = view(warehouse, "gold_carry_1m", USDM)
    assert first["funding_hours"] == 4


@pytest.mark.parametrize("are_settled", [False, True])
def test_carry_of_a_contract_keeps_its_hours_where_settlements_are_missing(warehouse: Warehouse, are_settled: bool) -> None:
    """A contract of one hour: what is recorded ends at 02:10 and goes on at 05:20, when 06:00 is the next settlement."""
    minutes = {10: 1, 70: 2, 130: 3, 320: 6, 370: 7}
    marks(warehouse, [(minute * 60, "100", "100", "0.0001", hour) for minute, hour in minutes.items()])
    if are_settled:
        fundings(warehouse, [-3, -2, -1, 0, 1, 2, 6], ["0.0001"] * 7)
    rows = view(warehouse, "gold_carry_1m", USDM)
    assert [row["funding_hours"] for row in rows] == [1] * 5
    assert [row["annualised_funding"] for row in rows] == [pytest.approx(0.0001 * 24 * 365)] * 5


def test_carry_follows_a_contract_that_changes_its_hours(warehouse: Warehouse) -> None:
    """Each hour, from 02:00 on every four, as the venue names it at the beginning of the period; then each hour again."""
    marks(warehouse, [(second, "100", "100", "0.0001", hour) for second, hour in ((1, 1), (3601, 2), (7201, 6), (21601, 7))])
    assert [row["funding_hours"] for row in view(warehouse, "gold_carry_1m", USDM)] == [1, 1, 4, 1]


def interest(warehouse: Warehouse, market: Row, counts: Sequence[tuple[float, str]], period: str = "") -> None:
    times = [START + round(minutes * MINUTE_US) for minutes, _ in counts]
    columns: Row = {"event_time": times, "open_interest": [count for _, count in counts], "receipt_time": times}
    columns |= {"open_interest_value": [None] * len(times), "period": period, "source": "rest" if period else "poll"}
    land(warehouse, OPEN_INTEREST, table_of(OPEN_INTEREST, market | columns))


def test_open_interest_changes_against_the_interval_before_beside_the_price(warehouse: Warehouse) -> None:
    opens = [START + hour * HOUR_US for hour in (-1, 0, 1, 2, 4)]
    closes = ["90", "100", "110", "99", "120"]
    for market in (USDM, COINM):
        land(warehouse, KLINES, klines(opens, interval="1h", minutes=60, close=closes, **market))
        interest(warehouse, market, [(-30, "1000"), (1, "1"), (59, "1100"), (61, "1050"), (240, "2000"), (300, "2100")])
        interest(warehouse, market, [(0, "5"), (110, "990.000000000000000001")], period="5m")
        interest(warehouse, market, [(110, "991")])  # polled at the same time
    transform(warehouse)
    first, second, last, dark = view(warehouse, "gold_open_interest", USDM, more="interval = '1h', ")
    assert [(from_datetime(row["open_time"]) - START) // HOUR_US for row in (first, second, last, dark)] == [0, 1, 4, 5]
    assert (first["open_interest"], first["open_interest_change"], first["open_interest_quote"]) == (1100, 100, 110_000)
    assert (first["close"], first["price_change"]) == (100, 10)
    assert (first["open_interest_return"], first["price_return"]) == (pytest.approx(0.1), pytest.approx(1 / 9))
    assert (second["open_interest"], second["open_interest_change"], second["price_change"]) == (991, -109, 10)
    changes = [f"{of}_{what}" for of in ("open_interest", "price") for what in ("change", "return")]
    assert [last[name] for name in changes] == [None] * 4, "the hour before has no count"
    assert dark["open_interest_change"] == 100
    assert [dark[name] for name in ("close", "open_interest_quote", *changes[2:])] == [None] * 4, "the hour has no candle"
    size = {"channel": "", "instance": "main", "event": "contract", "cause": "", "detail": "100"}
    times: Row = {"from_update_id": [None], "to_update_id": [None], "started_at": [START], "ended_at": [None]}
    land(warehouse, STREAM_EVENTS, table_of(STREAM_EVENTS, COINM | size | times))
    assert [row["open_interest_quote"] for row in view(warehouse, "gold_open_interest", COINM, more="interval = '1h', ")] == [
        110_000, 99_100, 200_000, 210_000,
    ]  # fmt: skip
    with pytest.raises(WarehouseRefused, match="interval: choose from 1m, 5m"):
        view(warehouse, "gold_open_interest", USDM, more="interval = '2h', ")


def liquidation(number: int, second: float, side: str, filled: str, average: str, **order: Any) -> Row:
    wanted = {"quantity": "10", "price": "95", "order_type": "LIMIT", "time_in_force": "IOC", "status": "FILLED"} | order
    done = {"filled_quantity": filled, "last_filled_quantity": filled, "average_price": average}
    at = START + round(second * SECOND_US)
    return wanted | done | {"liquidation_id": number, "side": side, "trade_time": at, "event_time": at, "receipt_time": at}


def test_liquidated_longs_and_shorts_of_a_minute(warehouse: Warehouse) -> None:
    rows = [
        liquidation(1, 1.0, "sell", "4", "96", status="PARTIALLY_FILLED"),
        liquidation(2, 1.5, "sell", "10", "95.5"),  # the same order
        liquidation(3, 2.0, "sell", "2", "100", price="99", quantity="2"),
        liquidation(4, 3.0, "buy", "1.5", "101", price="103", quantity="1.5"),
        liquidation(4, 3.0, "buy", "1.5", "101", price="103", quantity="1.5"),  # received twice
        liquidation(5, 4.0, "buy", "0", "0", price="104", quantity="7", status="NEW"),
        liquidation(6, 60.0, "buy", "1", "102"),
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for market in (USDM, COINM):
        land(warehouse, LIQUIDATIONS, table_of(LIQUIDATIONS, market | columns))
    first, second = view(warehouse, "gold_liquidations_1m", USDM)
    assert (first["long_orders"], first["long_quantity"], first["long_quote_volume"]) == (2, 12, Decimal(955 + 200))
    assert (first["short_orders"], first["short_quantity"], first["short_quote_volume"]) == (2, Decimal("1.5"), Decimal("151.5"))
    assert (second["long_orders"], second["long_quote_volume"], second["short_quote_volume"]) == (0, 0, 102)
    size = {"channel": "", "instance": "main", "event": "contract", "cause": "", "detail": "100"}
    times: Row = {"from_update_id": [None], "to_update_id": [None], "started_at": [START], "ended_at": [None]}
    land(warehouse, STREAM_EVENTS, table_of(STREAM_EVENTS, COINM | size | times))
    first, second = view(warehouse, "gold_liquidations_1m", COINM)
    assert (first["long_quantity"], first["long_quote_volume"], first["short_quote_volume"]) == (12, 1200, 150)


def test_an_order_that_is_filled_over_minutes_counts_once(warehouse: Warehouse) -> None:
    """Each fill in its own minute, with its volume. An order is new after a filled one, or a minute later."""
    rows = [
        liquidation(1, 59.9, "sell", "4", "96", status="PARTIALLY_FILLED"),
        liquidation(2, 60.1, "sell", "10", "95.4"),
        liquidation(3, 119.0, "sell", "3", "95", status="PARTIALLY_FILLED"),  # in the minute of an equal one
        liquidation(4, 121.0, "sell", "10", "95"),  # goes on, and has 10 already
        liquidation(5, 181.0, "sell", "10", "94"),  # after a filled one
        liquidation(6, 250.0, "buy", "3", "97", status="PARTIALLY_FILLED"),
        liquidation(7, 320.0, "buy", "5", "97"),  # more than a minute later
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    land(warehouse, LIQUIDATIONS, table_of(LIQUIDATIONS, USDM | columns))
    minutes = view(warehouse, "gold_liquidations_1m", USDM)
    assert [(row["long_orders"], row["long_quantity"], row["long_quote_volume"]) for row in minutes] == [
        (1, 4, 384), (0, 6, 570), (0, 0, 0), (1, 10, 940), (0, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    assert [(row["short_orders"], row["short_quantity"]) for row in minutes[4:]] == [(1, 3), (1, 5)]
    asked = "venue = 'binance-usdm', symbol = 'BTCUSDT', since = '2024-08-09 00:01:00', until = '2024-08-09 00:02:00'"
    [alone] = select(warehouse, f"select * from gold_liquidations_1m({asked})")
    assert alone == minutes[1], "the fill before the range is known"
