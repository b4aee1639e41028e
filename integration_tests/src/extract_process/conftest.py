"""The backfiller between a simulated exchange and a lake in moto, and the tests' own, independent look at both sides."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.commands import ChildProcess
from tests.waiting import patience

from extract_process.backfill.plan import BackfillOptions, Source
from extract_process.backfill.runner import Backfill
from extract_process.klines import run_backfill
from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import Clock, StandingClock
from tickhouse_core.aws import s3_client
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore

if TYPE_CHECKING:
    from conftest import Lake

SOURCES = Path(__file__).resolve().parents[3] / "src"


class Kline(NamedTuple):
    """One kline in the venue's order, instants in microseconds: what every comparison here is made of."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_time: int
    quote_volume: Decimal
    trade_count: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


class Asked(NamedTuple):
    """One klines request as the exchange logged it; instants in microseconds."""

    symbol: str
    first: int
    last: int


def us(text: str) -> int:
    """An ISO instant in UTC as microseconds, by other means than the code under test."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def kline_of(row: Sequence[Any]) -> Kline:
    """A row as the venue sends it (times in ms)."""
    values: list[Any] = [Decimal(text) if isinstance(text, str) else text for text in row[:11]]
    return Kline(*values)._replace(open_time=row[0] * 1_000, close_time=row[6] * 1_000)


class Venue:
    """A simulated exchange that the environment points at."""

    def __init__(self, exchange: RunningExchange, clock: Clock | None) -> None:
        self.exchange = exchange
        self.clock = clock

    def klines(self, symbol: str, interval: str, start: str, end: str) -> list[Kline]:
        """What the exchange says of [start, end), by plain requests; forgets the tally afterwards."""
        rows: list[Kline] = []
        first, last = us(start) // 1_000, us(end) // 1_000 - 1
        with httpx.Client(base_url=self.exchange.url, trust_env=False, timeout=patience(20)) as client:
            while True:
                asked: dict[str, str | int] = {
                    "symbol": symbol,
                    "interval": interval,
                    "startTime": first,
                    "endTime": last,
                    "limit": 1000,
                }
                page = client.get("/api/v3/klines", params=asked).raise_for_status().json()
                rows += map(kline_of, page)
                if len(page) < 1000:
                    break
                first = page[-1][0] + 1
        self.exchange.reset()
        return rows

    def asked(self) -> list[Asked]:
        """The klines requests since the last `forget`, oldest range first."""
        log = self.exchange.tally()["klines_log"]
        return sorted(Asked(entry["symbol"], entry["startTime"] * 1_000, entry["endTime"] * 1_000) for entry in log)

    def forget(self) -> None:
        self.exchange.reset()

    def move_to(self, instant: str) -> None:
        """Sets a standing clock."""
        assert isinstance(self.clock, StandingClock)
        self.clock.now = us(instant) // 1_000


class LakeView:
    """Reads and damages the lake's objects without the code under test."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def klines(self, symbol: str, interval: str) -> list[Kline]:
        """Every row of every object of a series, in the order of keys and rows: doubles and disorder stay visible."""
        tables = [self.table(key) for key in self.months(symbol, interval)]
        return [kline for table in tables for kline in _klines_of(table)]

    def months(self, symbol: str, interval: str) -> list[str]:
        prefix = f"data_sources/klines_pricing/venue=binance/symbol={symbol}/interval={interval}/"
        return [item.key for item in self.store.list_keys(prefix)]

    def key(self, symbol: str, interval: str, month: str) -> str:
        return f"data_sources/klines_pricing/venue=binance/symbol={symbol}/interval={interval}/{month}.parquet"

    def table(self, key: str) -> pa.Table:
        return pq.read_table(pa.BufferReader(self.store.read(key).body))

    def etags(self, symbol: str, interval: str) -> dict[str, str]:
        return {key: self.store.read(key).etag for key in self.months(symbol, interval)}

    def events(self, event: str) -> list[dict[str, Any]]:
        """Rows of the dataset stream_events of one kind, by symbol and range; repeats included."""
        keys = [item.key for item in self.store.list_keys("data_sources/stream_events/")]
        rows = [row for key in keys for row in self.table(key).to_pylist() if row["event"] == event]
        return sorted(rows, key=lambda row: (row["symbol"], row["from_update_id"]))

    def gaps(self) -> list[tuple[str, int, int, str]]:
        return self._ranges("gap")

    def healed(self) -> list[tuple[str, int, int, str]]:
        return self._ranges("healed")

    def _ranges(self, event: str) -> list[tuple[str, int, int, str]]:
        return [(row["symbol"], row["from_update_id"], row["to_update_id"], row["cause"]) for row in self.events(event)]

    def cut_out(self, key: str, start: str, end: str, *, with_footer: bool) -> None:
        """Rewrites a month's object without the klines of [start, end); its footer is right about the rows, or lost."""
        table = self.table(key)
        opened = table["open_time"].cast(pa.int64()).to_pylist()
        kept = table.filter(pa.array([not us(start) <= at < us(end) for at in opened]))
        assert kept.num_rows < table.num_rows
        sink = pa.BufferOutputStream()
        footer = {**kept.schema.metadata, b"tickhouse.row_count": str(kept.num_rows)} if with_footer else None
        pq.write_table(kept.replace_schema_metadata(footer), sink, compression="zstd")
        self.store.write(key, sink.getvalue().to_pybytes())

    def delete(self, key: str) -> None:
        s3_client().delete_object(Bucket=self.store.bucket, Key=key)


def _klines_of(table: pa.Table) -> list[Kline]:
    instants = {name: table[name].cast(pa.int64()).to_pylist() for name in ("open_time", "close_time")}
    columns = [instants.get(name) or table[name].to_pylist() for name in Kline._fields]
    return [Kline(*row) for row in zip(*columns, strict=True)]


class Command:
    """`python -m extract_process.klines` as a user starts it."""

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "extract_process.klines", *arguments]
        variables = {**os.environ, "PYTHONPATH": str(SOURCES), **environment}
        return ChildProcess(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=patience(60))
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class OpenVenue(Protocol):
    def __call__(self, config: ExchangeConfig = ..., clock: Clock | None = None) -> Venue: ...


class RunBackfill(Protocol):
    def __call__(
        self,
        *symbols: str,
        interval: str = "1m",
        start: str,
        end: str | None = None,
        source: Source = "rest",
        recheck: bool = False,
        concurrency: int = 16,
    ) -> Backfill: ...


@pytest.fixture
def open_venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenVenue]:
    """Starts a simulated exchange that lives as long as the test."""
    with ExitStack() as stack:

        def start(config: ExchangeConfig = ExchangeConfig(), clock: Clock | None = None) -> Venue:  # noqa: B008  # frozen
            exchange = stack.enter_context(running_exchange(config, clock))
            for name, value in exchange.environment.items():
                monkeypatch.setenv(name, value)
            return Venue(exchange, clock)

        yield start


@pytest.fixture
def venue(open_venue: OpenVenue) -> Venue:
    """The generated market with the wall clock."""
    return open_venue()


@pytest.fixture
def lake(moto_lake: "Lake") -> LakeView:
    return LakeView(moto_lake.store)


@pytest.fixture
def backfill(lake: LakeView) -> RunBackfill:
    """One run of the backfiller in this process."""

    def run(
        *symbols: str,
        interval: str = "1m",
        start: str,
        end: str | None = None,
        source: Source = "rest",
        recheck: bool = False,
        concurrency: int = 16,
    ) -> Backfill:
        options = BackfillOptions(
            interval=interval,
            start_us=us(start),
            end_us=None if end is None else us(end),
            source=source,
            recheck=recheck,
            concurrency=concurrency,
        )
        return run_backfill(list(symbols), options, StopRequest())

    return run


@pytest.fixture
def command(lake: LakeView) -> Command:
    return Command()


@pytest.fixture
def load(warehouse_settings: object) -> Callable[[], None]:
    """Everything that waits in the queues, into the warehouse."""
    return lambda: run_loader(QUEUES, StopRequest(), LoaderOptions(drain=True, wait_seconds=0))


def from_json(text: str) -> Any:
    return orjson.loads(text)
