"""A market around midnight of which every trade is known, in the bulk files of a simulated exchange a day later, and a lake."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
from integration_tests.src.extract_process.conftest import us
from integration_tests.src.extract_process.live import rows_of
from tests.waiting import patience

from extract_process.backfill.trade_healer import TradeHealer
from extract_process.parquet import parquet_bytes, write_events
from extract_process.records import StreamEvent
from extract_process.trades import run_healing
from extract_process.venues.history_tables import trades_table
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock
from tickhouse_core.datasets import TRADES
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US

if TYPE_CHECKING:
    from integration_tests.src.extract_process.conftest import OpenVenue, Venue

APIS = {"binance": "/api/v3", "binance-usdm": "/fapi/v1", "binance-coinm": "/dapi/v1"}
ARCHIVES = {"binance": "spot", "binance-usdm": "futures/um", "binance-coinm": "futures/cm"}
BEFORE_MIDNIGHT, MIDNIGHT = "2025-03-09T23:59", "2025-03-10"
ROW = ("trade_id", "price", "quantity", "is_buyer_maker", "trade_time")


@dataclass
class Recording:
    """A market of which everything is known, and a lake with some of it. Rows are in the places of `ROW`, times in us."""

    name: str
    symbol: str
    venue: "Venue"
    store: ObjectStore
    rows: list[tuple[Any, ...]]

    def record(self, *spans: tuple[int, int]) -> None:
        """Rows by their places, half-open, as a capture has them; and a gap between each two spans."""
        for number, (first, end) in enumerate(spans, start=1):
            columns = dict(zip(ROW, map(list, zip(*self.rows[first:end], strict=True)), strict=True))
            columns |= {name: list(map(str, columns[name])) for name in ("price", "quantity")}
            at = self.rows[first][4] + 50_000
            table = trades_table(columns, venue=self.name, symbol=self.symbol, receipt_time=at)
            self.store.write(hourly_key(TRADES, self.name, at, "capture", number), parquet_bytes(table, TRADES))
        for number, (before, after) in enumerate(itertools.pairwise(spans), start=1):
            last, next_one = self.rows[before[1] - 1], self.rows[after[0]]
            ids, noticed = (last[0] + 1, next_one[0] - 1), next_one[4] + 50_000
            gap = StreamEvent(self.name, self.symbol, "trades", "capture", "gap", *ids, last[4], noticed, "restart", "")
            write_events(self.store, [gap], noticed, number)

    def heal(self, *, again: bool = False, stop: StopRequest | None = None) -> TradeHealer:
        first, last = us(BEFORE_MIDNIGHT) - DAY_US, us(BEFORE_MIDNIGHT) + DAY_US
        return run_healing(Request(self.name, (), first, last), stop or StopRequest(), again=again)

    def in_lake(self) -> list[tuple[Any, ...]]:
        """Doubles stay."""
        rows = [row for row in rows_of(self.store, "trades") if row["symbol"] == self.symbol]
        return sorted((*(row[name] for name in ROW[:4]), us_of(row["trade_time"])) for row in rows)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in rows_of(self.store, "stream_events") if row["event"] == kind]

    def downloads(self) -> dict[str, int]:
        """Requests to the archive, by file."""
        tally = self.venue.exchange.tally()
        asked = tally[self.name.removeprefix("binance-")] if self.name != "binance" else tally
        by_path = {path: sum(answers.values()) for path, answers in asked["requests"].items() if path.startswith("/data/")}
        return {path.rpartition("/")[2]: count for path, count in by_path.items()}


def us_of(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def told_of(client: httpx.Client, name: str, symbol: str, clock: StandingClock, seconds: int) -> list[tuple[Any, ...]]:
    """All trades of the next seconds, by REST, in whole microseconds."""
    found: dict[int, tuple[Any, ...]] = {}
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"} if name == "binance" else {}
    for _ in range(0, seconds, 5):
        clock.now += 5_000
        answer = client.get(f"{APIS[name]}/trades", params={"symbol": symbol, "limit": 1000}, headers=headers)
        for one in answer.raise_for_status().json():
            at = one["time"] * (1 if headers else 1_000)
            found[one["id"]] = one["id"], Decimal(one["price"]), Decimal(one["qty"]), one["isBuyerMaker"], at
    return [found[number] for number in sorted(found)]


def archived_market(name: str, open_venue: "OpenVenue", store: ObjectStore, midnight: str = MIDNIGHT) -> Recording:
    """Two minutes around midnight, a day ago by the venue's clock."""
    symbol = "BTCUSD_PERP" if name == "binance-coinm" else "BTCUSDT"
    clock = StandingClock((us(midnight) - 60_000_000) // 1_000)
    config = ExchangeConfig(pace=10, weight_limit=1_000_000, futures_weight_limit=1_000_000)
    venue = open_venue(config, clock)
    with httpx.Client(base_url=venue.exchange.url, trust_env=False, timeout=patience(20)) as client:
        client.get(f"{APIS[name]}/trades", params={"symbol": symbol}).raise_for_status()
        rows = told_of(client, name, symbol, clock, 120)
    venue.forget()
    assert len(rows) > 1_000
    clock.now += 24 * 3_600_000
    return Recording(name, symbol, venue, store, rows)
