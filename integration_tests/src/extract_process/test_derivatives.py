"""Mark prices, liquidations and open interest of every venue that has them, from sockets and REST to the views: each once."""

import signal
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from extract_process.venues import venue_named
from simulated_exchange.binance.futures.messages import FuturesWording
from simulated_exchange.binance.futures.product import PRODUCTS
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.derivatives import FUNDING_EVERY, funding_rate
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.timestamps import from_datetime
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, row_count, rows_of, start_command
from .venue_cases import CASES, VenueCase

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

CHANNELS = ("mark_prices", "liquidations", "open_interest")
FUTURES = [case for case in CASES if set(CHANNELS) <= set(venue_named(case.venue).channels)]
pytestmark = pytest.mark.parametrize("case", FUTURES, ids=lambda case: case.venue)
SCALE = 5.0


def streams(case: VenueCase) -> tuple[str, str]:
    return f"{case.symbol.lower()}@markPrice@1s", f"{case.symbol.lower()}@forceOrder"


def seconds_between(times: list[datetime]) -> list[float]:
    return [(later - earlier).total_seconds() for earlier, later in pairwise(sorted(times))]


@pytest.mark.heart
def test_each_lands_once_and_as_the_venue_said_it_whatever_connections_are_replaced(
    case: VenueCase, open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    exchange = open_venue(ExchangeConfig(symbols=2, seed=41, time_scale=SCALE)).exchange
    marks, orders = streams(case)
    with capturing(case.symbol, venue=case.venue, channels=CHANNELS, rotate_seconds=2.0, overlap_seconds=0.3, poll_seconds=1.0):
        wait_until(lambda: case.sent(exchange, orders) >= 3 and case.sent(exchange, marks) > 60, "liquidations", 90)
        wait_until(lambda: len(events_of(moto_lake.store, "rotated")) >= 2, "two rotations", 60)
        wait_until(lambda: row_count(moto_lake.store, "open_interest") >= 5, "polls of open interest", 60)
        sent = {stream: case.sent(exchange, stream) for stream in (marks, orders)}
    load()
    assert events_of(moto_lake.store, "gap") == []
    assert events_of(moto_lake.store, "refused_row") == events_of(moto_lake.store, "refused_frame") == []
    assert [row["channel"] for row in events_of(moto_lake.store, "silent_stream")] == []

    prices = seen(warehouse, "mark_prices", case)
    assert set(seconds_between([row["event_time"] for row in prices])) == {1.0}, "every second, and none twice"
    assert sent[marks] <= len(prices) <= case.sent(exchange, marks)
    assert row_count(moto_lake.store, "mark_prices") > len(prices), "no overlap delivered anything twice"
    assert {from_datetime(row["next_funding_time"]) % (FUNDING_EVERY * 1_000) for row in prices} == {0}
    for row in prices:
        settled = from_datetime(row["next_funding_time"]) // 1_000
        assert row["funding_rate"] == type(row["mark_price"])(funding_rate(case.symbol, settled))
        assert abs(row["mark_price"] / row["index_price"] - 1) < 1
    liquidations = seen(warehouse, "liquidations", case)
    assert sent[orders] <= len(liquidations) <= case.sent(exchange, orders)
    assert len({row["liquidation_id"] for row in liquidations}) == len(liquidations)
    assert all(row["quantity"] == row["filled_quantity"] > 0 < row["average_price"] for row in liquidations)
    assert {row["side"] for row in liquidations} <= {"buy", "sell"}
    polled = seen(warehouse, "open_interest", case)
    assert {(row["period"], row["source"], row["open_interest_value"]) for row in polled} == {("", "poll", None)}
    for row in polled:
        assert row["open_interest"] == type(row["open_interest"])(open_at(case, row["event_time"]))


@pytest.mark.heart
def test_a_killed_process_loses_what_came_while_it_was_away_and_nothing_else(
    case: VenueCase, open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    exchange = open_venue(ExchangeConfig(symbols=2, seed=42, time_scale=SCALE)).exchange
    marks, _ = streams(case)
    chosen = [word for channel in CHANNELS for word in ("--channel", channel)]
    named = ["--venue", case.venue, "--symbol", case.symbol, *chosen, "--batch-seconds", "1", "--poll-seconds", "1"]
    for how in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        with start_command(*named, **moto_lake.environment) as process:
            before = case.sent(exchange, marks)
            wait_until(lambda before=before: case.sent(exchange, marks) > before + 7, "mark prices")  # type: ignore[misc]
            process.send_signal(how)
            _, err = process.communicate()
    assert process.returncode == 0, err
    load()
    prices = seen(warehouse, "mark_prices", case)
    holes = [seconds for seconds in seconds_between([row["event_time"] for row in prices]) if seconds != 1.0]
    assert len(holes) == 2, "one while each of two processes was away"
    assert min(holes) > 1.0
    assert len(prices) >= case.sent(exchange, marks) - 3 * SCALE, "what was sent is there, but for what was under way at the end"
    assert seen(warehouse, "open_interest", case)


def test_polls_wait_while_the_venue_refuses_and_go_on_afterwards(
    case: VenueCase, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    path = venue_named(case.venue).polls["open_interest"].path
    faults = (Fault(FaultKind.HTTP_500, path=path, count=3), Fault(FaultKind.HTTP_429, path=path, after=4, count=1, value=1))
    open_venue(ExchangeConfig(symbols=2, seed=43, time_scale=SCALE, faults=faults))
    with capturing(case.symbol, venue=case.venue, channels=("open_interest",), poll_seconds=1.0):
        wait_until(lambda: row_count(moto_lake.store, "open_interest") >= 3, "polls after the troubles", 60)
    rows = rows_of(moto_lake.store, "open_interest")
    assert len({row["event_time"] for row in rows}) == len(rows)
    assert {(row["venue"], row["symbol"]) for row in rows} == {(case.venue, case.symbol)}


def seen(warehouse: Warehouse, view: str, case: VenueCase) -> list[dict[str, Any]]:
    """The rows of a view, all of this market."""
    names, rows = warehouse.query_table(f"select * from {view}")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert {(row["venue"], row["symbol"]) for row in found} == {(case.venue, case.symbol)}
    return found


def open_at(case: VenueCase, at: datetime) -> str:
    """What the exchange says of this instant."""
    product = next(product for product in PRODUCTS if product.name == case.part)
    return FuturesWording(product.instruments(listed_instruments(2))[case.symbol]).open_interest(from_datetime(at) // 1_000)
