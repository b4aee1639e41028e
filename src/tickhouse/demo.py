"""`tickhouse demo`: the whole pipeline in one process against a simulated exchange, and the proof that it is exact."""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from extract_process.backfill.plan import BackfillOptions
from extract_process.backfill.runner import Backfill
from extract_process.klines import run_backfill
from load_process.__main__ import run_loader
from load_process.limits import limits_here
from load_process.loader import LoaderOptions
from status_page.server import running_page
from tickhouse.demo_live import (
    MARKETS,
    PERPETUAL,
    BasisFigures,
    Check,
    LiveFigures,
    check_live,
    compare_venues,
    count_live,
    measure_basis,
    record_live,
)
from tickhouse.embedded import data_folder, environment_variables
from tickhouse_core.datasets import KLINES, QUEUES
from tickhouse_core.errors import TickhouseError, UsageError
from tickhouse_core.lake import open_lake, open_queue
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.timestamps import DAY_US, MINUTE_US, now_us
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate

DAYS = 90
LIVE_SECONDS = 15.0
"""At least: a proof of every book, and some seconds to compare."""

HALT_MINUTES = 80  # the length of the real outage of 2023-03-24

_NEXT = """the demo's data is deleted. Next, the real exchange, in a terminal of its own:
    tickhouse local --data data --symbol BTCUSDT
and from another one:
    tickhouse query --data data "select symbol, count(), max(trade_time) from trades group by symbol\""""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of the pipeline did, counted at every stage."""

    rows_asked: int
    rows_in_parquet: int
    rows_in_bronze: int
    rows_in_silver: int
    gaps: int
    klines_requests: int
    weight: int
    seconds: float


def run_demo(stop: StopRequest, seconds: float) -> None:
    """Backfills, loads, does it all again, then records live until `seconds` are over; prints figures and checks.

    The status page is served meanwhile. Raises TickhouseError if a check fails.
    """
    out, began = Console(), time.monotonic()
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="tickhouse-demo-", ignore_cleanup_errors=True)))
        parts.enter_context(data_folder(folder))
        end_us = now_us() // DAY_US * DAY_US
        halt_us = end_us - 30 * DAY_US + 760 * MINUTE_US
        exchange = parts.enter_context(_simulated_exchange(halt_us))
        parts.enter_context(environment_variables(exchange.environment))
        migrate(read(WarehouseSettings))
        warehouse = connect(read(WarehouseSettings))
        parts.callback(warehouse.close)
        url = parts.enter_context(running_page(read(StatusSettings), or_any_port=True))
        out.print(f"status page: [link={url}]{url}[/link], for {seconds:.0f} seconds")
        markets = ", ".join(f"{' and '.join(symbols)} ({venue})" for venue, symbols in MARKETS.items())
        out.print(f"{DAYS} days of 1m klines of {markets}, from a simulated exchange")
        runs = [_run_once(end_us, warehouse, stop) for _ in range(2)]
        out.print(_figures_table(runs))
        checks = _check(runs, warehouse, halt_us, exchange.tally())
        out.print("recording both venues and a perpetual live: trades, order books, funding")
        exchange.reset()
        record_live(stop, max(LIVE_SECONDS, seconds - (time.monotonic() - began)))
        cross, live, basis = compare_venues(warehouse), count_live(warehouse, exchange.tally()), measure_basis(warehouse)
        out.print(_live_table(live))
        out.print(_cross_table(cross))
        out.print(_basis_table(basis))
        checks += check_live(live, cross, basis)
    for check in checks:
        out.print(f"[green]ok[/]   {check.claim}" if check.holds else f"[red]FAIL[/] {check.claim}")
    if not all(check.holds for check in checks):
        raise TickhouseError("the demo found the pipeline inexact: see the checks above")
    out.print(_NEXT, soft_wrap=True, highlight=False)


def _simulated_exchange(halt_us: int) -> Any:
    """The exchange in a thread of its own; one market was halted for a while, so that there is a gap to record."""
    try:
        from simulated_exchange.app import running_exchange
        from simulated_exchange.config import ExchangeConfig
        from simulated_exchange.market.generated import Halt
    except ImportError as error:
        raise UsageError("aiohttp is not installed: install the extra `embedded`, or run `make setup`") from error
    halt = Halt(MARKETS["binance"][0], halt_us // 1_000, halt_us // 1_000 + HALT_MINUTES * 60_000)
    return running_exchange(ExchangeConfig(halts=(halt,)))


def _run_once(end_us: int, warehouse: Warehouse, stop: StopRequest) -> Figures:
    """The backfill of both venues with a loader at work beside it, until the queues are empty."""
    start_us = end_us - DAYS * DAY_US
    began = time.monotonic()
    end_of_run = StopRequest()
    loader = _in_background(lambda: run_loader(QUEUES, end_of_run, LoaderOptions(wait_seconds=1, limits=limits_here())))
    try:
        backfills = [
            run_backfill(list(symbols), BackfillOptions("1m", start_us, end_us, venue=venue), stop)
            for venue, symbols in MARKETS.items()
        ]
        run_loader(QUEUES, stop, LoaderOptions(drain=True, limits=limits_here()))
    finally:
        end_of_run.set()
        loader.join()
    return _count(backfills, warehouse, time.monotonic() - began)


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="loader")
    thread.start()
    return thread


def _count(backfills: list[Backfill], warehouse: Warehouse, seconds: float) -> Figures:
    counts = "select (select count() from bronze_klines), (select count() from klines), count() from stream_events"
    bronze, silver, gaps = warehouse.query(f"{counts} where event = 'gap'")[0]
    return Figures(
        rows_asked=sum(backfill.report.rows_missing for backfill in backfills),
        rows_in_parquet=_lake_rows().num_rows,
        rows_in_bronze=bronze,
        rows_in_silver=silver,
        gaps=gaps,
        klines_requests=sum(backfill.rest.client.tally.klines for backfill in backfills),
        weight=sum(backfill.rest.client.tally.weight for backfill in backfills),
        seconds=seconds,
    )


def _lake_rows() -> pa.Table:
    """All klines in the lake, as any Parquet reader sees them."""
    store = open_lake()
    files = [pa.BufferReader(store.read(found.key).body) for found in store.list_keys(KLINES.prefix)]
    return pa.concat_tables([KLINES.schema.empty_table(), *(pq.read_table(file).cast(KLINES.schema) for file in files)])


def _check(runs: list[Figures], warehouse: Warehouse, halt_us: int, tally: dict[str, Any]) -> list[Check]:
    first, second = runs
    wanted = DAYS * 1440 * sum(map(len, MARKETS.values()))
    halted = HALT_MINUTES * len(MARKETS)
    gap = warehouse.query("select from_update_id, to_update_id from stream_events where event = 'gap'")
    sums = warehouse.query("select sum(close), sum(quote_volume), uniqExact(venue, symbol, open_time) from klines")[0]
    lake = _lake_rows()
    exact = (pc.sum(lake["close"]).as_py(), pc.sum(lake["quote_volume"]).as_py(), lake.num_rows)
    dead_letters = [open_queue(f"{name}-dlq").depth() for name in QUEUES]
    expected_gap = [(halt_us, halt_us + (HALT_MINUTES - 1) * MINUTE_US)] * len(MARKETS)
    return [
        Check(
            f"every kline there is was recorded: {wanted:,} less a halt of {HALT_MINUTES} minutes of one market per venue",
            first.rows_in_parquet == wanted - halted,
        ),
        Check("bronze holds what Parquet holds, row for row", first.rows_in_bronze == first.rows_in_parquet),
        Check("silver holds each kline once", first.rows_in_silver == first.rows_in_parquet),
        Check("prices and volumes are equal to the last decimal", tuple(sums) == exact),
        Check("the halt is recorded as one gap per venue, with its first and last missing kline", gap == expected_gap),
        Check("the second run asked the exchange for no kline", second.klines_requests == 0),
        Check(
            "the second run doubled nothing",
            (second.rows_in_parquet, second.rows_in_bronze, second.rows_in_silver, second.gaps)
            == (first.rows_in_parquet, first.rows_in_bronze, first.rows_in_silver, first.gaps),
        ),
        Check(
            "the exchanges counted the same request weight as we did",
            tally["weight"]["total"] + tally["kucoin"]["weight"]["total"] == first.weight + second.weight,
        ),
        Check("no message ended in a dead-letter queue", all(depth.is_empty for depth in dead_letters)),
    ]


def _live_table(figures: list[LiveFigures]) -> Table:
    table = Table(*(name.replace("_", " ") for name in LiveFigures.__slots__), title="live, end to end")
    for one in figures:
        table.add_row(*(str(getattr(one, name)) for name in LiveFigures.__slots__))
    return table


def _cross_table(rows: list[tuple[Any, ...]]) -> Table:
    table = Table(
        "market", "by", "common seconds", "spread, bps", "lead, s", "correlation", title="kucoin above binance, in one minute"
    )
    for market, basis, seconds, spread, lead, correlation in rows:
        table.add_row(market, basis, str(seconds), f"{spread:+.3f}", *_lead(lead, correlation))
    return table


def _basis_table(basis: BasisFigures) -> Table:
    table = Table("seconds", "basis, bps", "funding, in a year", title=f"{' '.join(PERPETUAL)} above binance {PERPETUAL[1]}")
    funding = "" if basis.annualised_funding is None else f"{basis.annualised_funding:.2%}"
    table.add_row(str(basis.seconds), f"{basis.average_bps:+.3f}", funding)
    return table


def _lead(seconds: int | None, correlation: float | None) -> tuple[str, str]:
    return ("", "") if seconds is None or correlation is None else (f"{seconds:+d}", f"{correlation:.2f}")


def _figures_table(runs: list[Figures]) -> Table:
    table = Table("", "first run", "second run", title="klines, end to end")
    for name in Figures.__slots__:
        values = [getattr(run, name) for run in runs]
        table.add_row(
            name.replace("_", " "), *(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in values)
        )
    return table
