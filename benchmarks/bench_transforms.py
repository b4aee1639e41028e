"""The transforms over a year of one-minute klines of many symbols: a full rebuild, and one step a minute later.

    .venv/bin/python benchmarks/bench_transforms.py [--symbols 3] [--days 366] [--short-days 31] [--steps 7]

Two embedded warehouses take turns: one with the whole history, one with a short one. Both get the same next minutes of all
symbols, one at a time; what counts is the ratio of their steps: the cost of a step must not grow with the history. Bytes are
the engine's own counters (system.events) over a step: uncompressed as processed, and compressed as read from the files.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tickhouse_core import logs
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import LogSettings, WarehouseSettings
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
    100 + {symbol:UInt32} + round(20 * sin(number / 5000) + (sipHash64(number, {symbol:UInt32}) % 1000) / 500, 2) as price
select
    'binance', format('S{}USDT', toString({symbol:UInt32})), '1m', opened, opened + toIntervalMillisecond(59999),
    price, price + 1, price - 1, price + 0.5, 2, 200, 10, 1, 100, true, 'rest', opened
from numbers({first:UInt64}, {count:UInt64})
settings max_partitions_per_insert_block = 0
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one pass: seconds, and what the engine read."""

    seconds: float
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
        before, began = self._counters(), time.perf_counter()
        built = self._transformer.run_pass()
        seconds = time.perf_counter() - began
        after = self._counters()
        names = ("SelectedRows", "SelectedBytes", "ReadCompressedBytes")
        return Cost(seconds, built, *(after[name] - before.get(name, 0) for name in names))

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

    def _load(self, symbol: int, first: int, count: int) -> None:
        self.warehouse.command(LOAD, {"start": START, "symbol": symbol, "first": first, "count": count})

    def _counters(self) -> dict[str, int]:
        return {str(name): int(value) for name, value in self.warehouse.query("select event, value from system.events")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=3, help="50 take a quarter of an hour")
    parser.add_argument("--days", type=int, default=366)
    parser.add_argument("--short-days", type=int, default=31)
    parser.add_argument("--steps", type=int, default=7)
    arguments = parser.parse_args()
    logs.configure(LogSettings(level="WARNING"))
    with tempfile.TemporaryDirectory(prefix="tickhouse-bench-", ignore_cleanup_errors=True) as folder:
        short = History(Path(folder), "short", arguments.symbols, arguments.short_days)
        whole = History(Path(folder), "whole", arguments.symbols, arguments.days)
        _print_build("short", short, short.build())
        _print_build("whole", whole, whole.build())
        for step, seconds in list(whole.step_seconds().items())[:6]:
            print(f"    {step:16} {seconds:8.1f} s")
        pairs = [(short.step(), whole.step()) for _ in range(arguments.steps)]
        _print_steps("short", [pair[0] for pair in pairs])
        _print_steps("whole", [pair[1] for pair in pairs])
        ratio = statistics.median(whole_step.seconds / short_step.seconds for short_step, whole_step in pairs)
        print(f"median ratio of the steps, {arguments.days} days to {arguments.short_days}: {ratio:.2f}")


def _print_build(name: str, history: History, cost: Cost) -> None:
    rate = history.rows / cost.seconds
    print(
        f"{name}: {history.rows:,} klines, built {cost.built_rows:,} gold rows in {cost.seconds:.1f} s, {rate:,.0f} klines/s",
        flush=True,
    )


def _print_steps(name: str, steps: list[Cost]) -> None:
    middle = sorted(steps, key=lambda step: step.seconds)[len(steps) // 2]
    read = f"{middle.read_rows:,} rows read, {middle.read_bytes / 1e6:,.1f} MB processed"
    print(f"{name}: one minute of all symbols in {middle.seconds:.2f} s: {middle.built_rows:,} gold rows built, {read}", end=", ")
    print(f"{middle.read_compressed_bytes / 1e6:,.1f} MB read compressed")


if __name__ == "__main__":
    main()
