"""Candles of the futures markets: exactly what the venue has, from REST and archive, and a second run asks for nothing."""

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from extract_process.backfill.plan import BackfillOptions, Source
from extract_process.klines import run_backfill
from simulated_exchange.server.clock import StandingClock
from tickhouse_core.lifecycle import StopRequest

from .conftest import kline_of, us
from .live import events_of, rows_of

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

NOW = "2025-03-10T12:34:56"
DAY_MS = 86_400_000


@pytest.mark.parametrize("source", ["rest", "archive", "auto"])
@pytest.mark.parametrize(
    ("venue", "symbol", "api"), [("binance-usdm", "NOVAUSDT", "/fapi/v1"), ("binance-coinm", "NOVAUSD_PERP", "/dapi/v1")]
)
def test_every_candle_since_its_listing_is_in_the_lake_once(
    venue: str, symbol: str, api: str, source: Source, open_venue: "OpenVenue", moto_lake: "Lake"
) -> None:
    """From years before the listing, for COIN-M in spans of 200 days, to the end of February."""
    opened = open_venue(clock=StandingClock(us(NOW) // 1_000))
    start = "2024-03-12T10:00" if source == "archive" else "2022-01-01"
    options = BackfillOptions(venue=venue, interval="1h", start_us=us(start), end_us=us("2025-03-01"), source=source)
    first = run_backfill([symbol], options, StopRequest())
    rows = rows_of(moto_lake.store, "klines_pricing")
    assert {(row["venue"], row["symbol"], row["interval"]) for row in rows} == {(venue, symbol, "1h")}
    told = told_by(opened.exchange.url, api, symbol)
    found = [(row["open_time"].timestamp() * 1_000_000, row["close"], row["volume"], row["quote_volume"]) for row in rows]
    assert sorted(found) == [(kline.open_time, kline.close, kline.volume, kline.quote_volume) for kline in told]
    assert {row["source"] for row in rows} == ({"rest"} if source == "rest" else {"archive"})
    assert {gap["cause"] for gap in events_of(moto_lake.store, "gap")} <= {"venue_has_no_data"}
    assert first.report.rows_received == len(rows)

    opened.forget()
    run_backfill([symbol], options, StopRequest())
    assert opened.exchange.tally()[venue.removeprefix("binance-")]["klines_log"] == [], "the lake has all there is"


def told_by(url: str, api: str, symbol: str) -> list[Any]:
    """Every hour up to the end of February by plain requests, 40 days each."""
    found = []
    with httpx.Client(base_url=url, trust_env=False) as client:
        for first in range(us("2024-02-01") // 1_000, us("2025-03-01") // 1_000, 40 * DAY_MS):
            last = min(first + 40 * DAY_MS, us("2025-03-01") // 1_000) - 1
            asked: dict[str, Any] = {"symbol": symbol, "interval": "1h", "startTime": first, "endTime": last, "limit": 1500}
            found += [kline_of(row) for row in client.get(f"{api}/klines", params=asked).raise_for_status().json()]
    return found
