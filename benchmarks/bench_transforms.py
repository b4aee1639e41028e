"""The transforms over one-minute klines: a full rebuild beside Polars, and one step a minute later.

    .venv/bin/python benchmarks/bench_transforms.py [--symbols 5] [--days 92] [--short-days 15]
    .venv/bin/python benchmarks/bench_transforms.py --days 366 --short-days 31          # a year of 5 symbols
    .venv/bin/python benchmarks/bench_transforms.py --symbols 50 --days 366 --rounds 1  # reported once: a quarter of an hour

Rebuild and Polars take turns over the same rows. Polars starts with the columns in memory, rolls floats up to the same six
intervals, makes the same indicators of all seven, and stores nothing; a rebuild reads silver, sums exact decimals, says of
each row whether it is complete, and stores all of it. What counts is the median ratio of their wall times.

Two embedded warehouses take turns at steps: one with the whole history, one with a short one. Both get the same next minutes
of all symbols, one at a time: the cost of a step must not grow with the history. A third has more symbols. Bytes are the
engine's own counters (system.events) over a step: uncompressed as processed, and compressed as read from the files.
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from report import Report, options
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate
from transform_process.transformer import Transformer, TransformOptions

START = "2024-01-01 12:00:00"
LOAD = """
insert into bronze_klines (
    venue, symbol, interval, open_time, close_time, open, high, low, close, volume, quote_volume, trade_count,
    taker_buy_volume, taker_buy_quote_volume, is_closed, source, receipt_time
)
with
    toDateTime64({start:String}, 6, 'UTC') + toIntervalMinute(number) as opened,
    100 + {symbol:UInt32} + round(20 * sin(number / 5000) + (sipHash64(number, {symbol:UInt32}) % 1000) / 500, 2) as price,
    (1 + sipHash64(number, {symbol:UInt32}, 'volume') % 1000000) / 10000 as traded
select
    'binance', format('S{}USDT', toString({symbol:UInt32})), '1m', opened, opened + toIntervalMillisecond(59999),
    price, price + 1, price - 1, price + 0.5, traded, round(traded * price, 6), 10 + number % 90,
    round(traded / 3, 5), round(traded * price / 3, 6), true, 'rest', opened
from numbers({first:UInt64}, {count:UInt64})
settings max_partitions_per_insert_block = 0
"""
KEYS = ("venue", "symbol")
SUMS = ("volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")
MORE_SYMBOLS, MORE_DAYS = 50, 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one pass: seconds, and what the engine read."""

    seconds: float
    cpu_seconds: float
    built_rows: int
    read_rows: int
    read_bytes: int
    read_compressed_bytes: int


class History:
    """A warehouse with some days of klines of all symbols."""

    def __init__(self, folder: Path, name: str, symbols: int, days: int) -> None:
        settings = WarehouseSettings(path=folder, database=name)
        migrate(settings)
        self.warehouse: Warehouse = connect(settings)
        self._symbols, self._minutes = symbols, days * 1440
        self._transformer = Transformer(self.warehouse, StopRequest(), TransformOptions(lag_seconds=0))
        for symbol in range(symbols):
            self._load(symbol, 0, self._minutes)

    @property
    def rows(self) -> int:
        return self._symbols * self._minutes

    def build(self) -> Cost:
        before, began, spent = self._counters(), time.perf_counter(), time.process_time()
        built = self._transformer.run_pass()
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - spent
        after = self._counters()
        names = ("SelectedRows", "SelectedBytes", "ReadCompressedBytes")
        return Cost(seconds, cpu_seconds, built, *(after[name] - before.get(name, 0) for name in names))

    def forget(self) -> None:
        """As before the first build."""
        for table in ("stored_ohlcv", "stored_indicators", "stored_symbol_names", "ops_transform_runs"):
            self.warehouse.command("truncate table {table:Identifier}", {"table": table})

    def step(self) -> Cost:
        """The next minute of all symbols arrives, and a pass is made."""
        for symbol in range(self._symbols):
            self._load(symbol, self._minutes, 1)
        self._minutes += 1
        return self.build()

    def step_seconds(self) -> dict[str, float]:
        """Where the time of all steps went."""
        sql = "select step, sum(seconds) from ops_transform_runs where step != '' group by step order by 2 desc"
        return {str(step): float(seconds) for step, seconds in self.warehouse.query(sql)}

    def in_polars(self) -> pl.DataFrame:
        """The same rows, numbers as Float64, in order of symbol and time."""
        numbers = ", ".join(f"toFloat64({name})" for name in ("open", "high", "low", "close", *SUMS))
        frames = []
        for symbol in range(self._symbols):
            names = ("symbol", "open_time", "open", "high", "low", "close", *SUMS)
            rows = self.warehouse.query(
                f"select symbol, toUnixTimestamp64Micro(open_time), {numbers} from silver_klines final "
                "where symbol = {symbol:String} order by open_time",
                {"symbol": f"S{symbol}USDT"},
            )
            frames.append(pl.DataFrame(rows, schema=list(names), orient="row"))
        found = pl.concat(frames).with_columns(
            pl.lit("binance").alias("venue"), pl.col("open_time").cast(pl.Datetime("us", "UTC"))
        )
        return found.with_columns(pl.col(*KEYS).cast(pl.Categorical))

    def version(self) -> str:
        return str(self.warehouse.query("select version()")[0][0])

    def _load(self, symbol: int, first: int, count: int) -> None:
        self.warehouse.command(LOAD, {"start": START, "symbol": symbol, "first": first, "count": count})

    def _counters(self) -> dict[str, int]:
        return {str(name): int(value) for name, value in self.warehouse.query("select event, value from system.events")}


def by_polars(minutes: pl.DataFrame) -> int:
    """Roll-ups of the minutes and the indicators of every interval; returns the number of rows of both."""
    frames = [minutes]
    for interval in ("5m", "15m", "30m", "1h", "4h", "1d"):
        rolled = frames[-1].group_by_dynamic("open_time", every=interval, group_by=list(KEYS))
        sums = [pl.col(name).sum() for name in SUMS]
        prices = [pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()]
        frames.append(rolled.agg(*prices, *sums))
    return sum(frame.height + _indicators(frame).height for frame in frames)


def _indicators(frame: pl.DataFrame) -> pl.DataFrame:
    close, high, low = pl.col("close"), pl.col("high"), pl.col("low")
    before, change = close.shift(1), close.diff()
    gain, loss = _wilder(change.clip(lower_bound=0)), _wilder((-change).clip(lower_bound=0))
    macd = _ema(close, 12) - _ema(close, 26)
    signal = macd.ewm_mean(span=9, adjust=False, min_samples=9)
    middle, deviation = close.rolling_mean(20), close.rolling_std(20, ddof=0)
    columns = {f"sma_{period}": close.rolling_mean(period) for period in (20, 50, 200)}
    columns |= {f"ema_{period}": _ema(close, period) for period in (12, 26, 50)}
    columns |= {"rsi_14": 100 * gain / (gain + loss), "macd": macd, "macd_signal": signal, "macd_histogram": macd - signal}
    columns |= {"bollinger_upper": middle + 2 * deviation, "bollinger_middle": middle, "bollinger_lower": middle - 2 * deviation}
    columns["atr_14"] = _wilder(pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs()))
    return frame.select(*KEYS, "open_time", "close", *(column.over(KEYS).alias(name) for name, column in columns.items()))


def _ema(values: pl.Expr, period: int) -> pl.Expr:
    return values.ewm_mean(span=period, adjust=False, min_samples=period)


def _wilder(values: pl.Expr) -> pl.Expr:
    return values.ewm_mean(alpha=1 / 14, adjust=False, min_samples=14)


@contextmanager
def peak_mb(found: list[float]) -> Iterator[None]:
    """Appends the most memory this process had meanwhile, looked at every 20 ms."""
    peak, ended = [_resident_mb()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak.append(max(peak.pop(), _resident_mb()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        found.append(peak[0])


def _resident_mb() -> float:
    if not sys.platform.startswith("linux"):
        return 0.0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def compare_rebuilds(history: History, rounds: int) -> dict[str, Any]:
    """Polars, rebuild, Polars, rebuild, …: the first of each side warms up."""
    rows = history.in_polars()
    peaks: list[float] = []
    ours: list[Cost] = []
    theirs: list[float] = []
    assert rows.height == history.rows
    by_polars(rows)
    for _ in range(rounds):
        began = time.perf_counter()
        peer_rows = by_polars(rows)
        theirs.append(time.perf_counter() - began)
        history.forget()
        with peak_mb(peaks):
            ours.append(history.build())
    assert {cost.built_rows for cost in ours} == {
        peer_rows + history.warehouse.query("select count() from gold_symbol_map")[0][0]
    }
    ratios = [cost.seconds / seconds for cost, seconds in zip(ours, theirs, strict=True)]
    middle = statistics.median(cost.seconds for cost in ours)
    return {
        "klines": history.rows,
        "gold_rows": ours[-1].built_rows,
        "seconds": [round(cost.seconds, 2) for cost in ours],
        "cpu_seconds": [round(cost.cpu_seconds, 2) for cost in ours],
        "klines_per_second": round(history.rows / middle),
        "polars_seconds": [round(seconds, 2) for seconds in theirs],
        "polars_klines_per_second": round(history.rows / statistics.median(theirs)),
        "ratio": round(statistics.median(ratios), 1),
        "ratios": [round(ratio, 1) for ratio in ratios],
        "peak_mb": round(max(peaks)),
        "seconds_by_step": {name: round(seconds, 2) for name, seconds in list(history.step_seconds().items())[:6]},
    }


def middle_of(steps: list[Cost]) -> dict[str, Any]:
    """The step of the median time."""
    return asdict(sorted(steps, key=lambda step: step.seconds)[len(steps) // 2]) | {
        "fastest": min(step.seconds for step in steps),
        "slowest": max(step.seconds for step in steps),
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument("--days", type=int, default=92)
    parser.add_argument("--short-days", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7)
    arguments = parser.parse_args()
    report = Report(__file__, arguments)
    with tempfile.TemporaryDirectory(prefix="tickhouse-bench-", ignore_cleanup_errors=True) as folder:
        whole = History(Path(folder), "whole", arguments.symbols, arguments.days)
        rebuild = compare_rebuilds(whole, arguments.rounds)
        short = History(Path(folder), "short", arguments.symbols, arguments.short_days)
        more = History(Path(folder), "more", MORE_SYMBOLS, MORE_DAYS)
        short.build()
        more.build()
        pairs = [(short.step(), whole.step()) for _ in range(arguments.steps)]
        of_more = [more.step() for _ in range(arguments.steps)]
        growth = statistics.median(in_whole.seconds / in_short.seconds for in_short, in_whole in pairs)
        report.versions["ClickHouse"] = whole.version()
        steps = {
            f"{arguments.symbols} symbols, {arguments.short_days} days": middle_of([pair[0] for pair in pairs]),
            f"{arguments.symbols} symbols, {arguments.days} days": middle_of([pair[1] for pair in pairs]),
            f"{MORE_SYMBOLS} symbols, {MORE_DAYS} days": middle_of(of_more),
        }
    _tell(report, rebuild, steps, growth)


def _tell(report: Report, rebuild: dict[str, Any], steps: dict[str, dict[str, Any]], growth: float) -> None:
    middle, peer = statistics.median(rebuild["seconds"]), statistics.median(rebuild["polars_seconds"])
    report.table(
        f"Gold rebuilt: {rebuild['klines']:,} one-minute klines, {rebuild['gold_rows']:,} rows; peak {rebuild['peak_mb']:,} MB",
        ("", "seconds", "CPU seconds", "klines/s", "times Polars", "goal"),
        [
            (
                "tickhouse",
                middle,
                statistics.median(rebuild["cpu_seconds"]),
                rebuild["klines_per_second"],
                rebuild["ratio"],
                "<= 6",
            ),
            ("Polars", peer, None, rebuild["polars_klines_per_second"], 1, ""),
        ],
        """Wall time of the rebuild over that of Polars in the same round. Polars is faster: it rolls up floats that are in memory
        already and stores nothing; exact sums, completeness and storage are in ours.""",
    )
    report.table("Where a rebuild's time goes", ("step", "seconds"), list(rebuild["seconds_by_step"].items()))
    report.table(
        "Gold after one new minute of all symbols",
        ("history", "seconds", "fastest", "slowest", "CPU seconds", "gold rows", "rows read", "MB of files"),
        [
            (
                name,
                *(step[key] for key in ("seconds", "fastest", "slowest", "cpu_seconds", "built_rows", "read_rows")),
                step["read_compressed_bytes"] / 1e6,
            )
            for name, step in steps.items()
        ],
        f"""Goals: 0.4 s for 5 symbols, 1.0 s for 50. The long history takes {growth:.2f} times as long as the short one: a step
        reads what it touches.""",
    )
    report.finish()


if __name__ == "__main__":
    main()
