"""Acceptance c: connections are replaced while they deliver: no gap, no double, whoever wants the change."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.socket_limits import SocketLimits
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, ids_in_events, missing_of, row_count, rows_of

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.mark.parametrize(
    ("scale", "rotate_seconds", "rotations"),
    [
        pytest.param(4, 1.5, 8, id="in small"),
        pytest.param(4, 15.0, 30, id="every minute for half an hour of the venue's time", marks=pytest.mark.long),
    ],
)
def test_rotation_leaves_no_gap_and_no_double_in_silver(
    scale: float,
    rotate_seconds: float,
    rotations: int,
    open_venue: "OpenVenue",
    moto_lake: "Lake",
    warehouse: Warehouse,
    load: Callable[[], None],
) -> None:
    exchange = open_venue(ExchangeConfig(seed=11, time_scale=scale)).exchange
    channels = ("trades", "depth", "ticker")
    with capturing(*SYMBOLS, channels=channels, rotate_seconds=rotate_seconds, overlap_seconds=0.3):
        seconds = rotate_seconds * rotations + 60
        wait_until(lambda: exchange.tally()["sockets"]["connects"] > rotations, "the rotations", seconds)
    load()

    assert len(events_of(moto_lake.store, "rotated")) >= rotations - 1
    assert events_of(moto_lake.store, "gap") == []
    assert events_of(moto_lake.store, "disconnected") == []
    for symbol in SYMBOLS:
        for view, key, stream in (("trades", "trade_id", "trade"), ("depth_diffs", "last_update_id", "depth@100ms")):
            _, [[rows, keys, first, last]] = warehouse.query_table(
                f"select count(), uniqExact({key}), min({key}), max({key}) from {view} where symbol = '{symbol}'"
            )
            assert rows == keys > 0
            assert missing_of(exchange, f"{symbol.lower()}@{stream}") == set()
            if view == "trades":
                assert rows == last - first + 1
    _, [[broken]] = warehouse.query_table(
        "select countIf(first_update_id != before + 1) from (select first_update_id, lagInFrame(last_update_id, 1,"
        " toUInt64(first_update_id - 1)) over (partition by symbol order by last_update_id) as before from depth_diffs)"
    )
    assert broken == 0
    _, [[in_bronze, in_silver]] = warehouse.query_table(
        "select (select count() from bronze_trades), (select count() from trades)"
    )
    assert row_count(moto_lake.store, "trades") == in_bronze > in_silver, "no overlap delivered anything twice"


def test_a_venue_that_announces_its_end_is_left_before_it(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    exchange = open_venue(ExchangeConfig(seed=12)).exchange
    with capturing("BTCUSDT"):
        wait_until(lambda: bool(events_of(moto_lake.store, "synced")), "the book to be synced")
        exchange.announce_shutdown()
        wait_until(lambda: bool(events_of(moto_lake.store, "rotated")), "the rotation")
        exchange.disconnect([1])
        wait_until(lambda: row_count(moto_lake.store, "trades") > 5, "more trades")
    assert len(events_of(moto_lake.store, "server_shutdown")) == 1
    assert events_of(moto_lake.store, "gap") == []


def test_the_venues_own_limit_of_a_connections_life_costs_what_was_missed_and_no_more(
    open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    limits = SocketLimits(life_seconds=3.0)
    exchange = open_venue(ExchangeConfig(seed=13, sockets=limits)).exchange
    with capturing("BTCUSDT"):
        wait_until(lambda: len(events_of(moto_lake.store, "disconnected")) >= 2, "two lost connections")
        wait_until(lambda: len(events_of(moto_lake.store, "connected")) >= 3, "the third connection")
        wait_until(lambda: bool(events_of(moto_lake.store, "gap", "depth")), "an end that cost something", 60)
    for channel, stream, dataset, key in (
        ("depth", "btcusdt@depth@100ms", "depth_diffs", "last_update_id"),
        ("trades", "btcusdt@trade", "trades", "trade_id"),
    ):
        last = max(row[key] for row in rows_of(moto_lake.store, dataset))
        missed = {number for number in missing_of(exchange, stream) if number < last}
        assert ids_in_events(moto_lake.store, "gap", channel, "BTCUSDT") == missed
    assert {row["cause"] for row in events_of(moto_lake.store, "gap")} == {"disconnect"}
