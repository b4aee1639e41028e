"""The read API against what a reader of the lake writes by hand, on the same files, in turns; medians: the ratio counts,
by the clock and in CPU time (of all threads).

    .venv/bin/python benchmarks/bench_read_api.py [--trades 1000000] [--batch-seconds 10] [--diffs 36000] [--rounds 3]

Trades: a day of one symbol of two, by two instances that overlap for a tenth of the day, into one polars frame of floats.
By hand: polars.scan_parquet over the day's files, filter, the first received of each id, sort, cast.
Books: the best 20 levels a side at the end of every second of an hour. By hand: the same rows, a dict a side, and the best of
its sorted prices every second. Both check that the answers are equal.
"""

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import tickhouse as th
from extract_process.parquet import parquet_bytes
from report import Report, options
from tickhouse_core.columns import INSTANT, LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, TRADES, Dataset
from tickhouse_core.lake_keys import hourly_key

DAY = 1_723_161_600_000_000
SECOND, HOUR = 1_000_000, 3_600_000_000
SYMBOL = "BTCUSDT"
START, END = datetime(2024, 8, 9, tzinfo=UTC), datetime(2024, 8, 10, tzinfo=UTC)
TOP = 20

Book = tuple[int, int, list[tuple[float, float]], list[tuple[float, float]]]

MEANS = """Time of the reader's own code over that of the API, for equal answers; above 1 the API is faster. The API also
finds gaps and coverage, which the peer does not ask for."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--batch-seconds", type=int, default=10)
    parser.add_argument("--diffs", type=int, default=36_000)
    parser.add_argument("--levels", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    report, rows = Report(__file__, arguments), []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        files = write_trades(data, arguments.trades, arguments.batch_seconds)
        write_diffs(data, arguments.diffs, arguments.levels)
        for name, goal, mine, by_hand in (
            ("a day of trades, polars by hand", ">= 0.8", api_trades, polars_trades),
            ("an hour of books, a dict loop", ">= 5", api_books, dict_books),
        ):
            api, other = medians(arguments.rounds, lambda: mine(data), lambda: by_hand(data))  # noqa: B023 - called here
            for clock, mine_s, by_hand_s in zip(("clock", "CPU"), api, other, strict=True):
                rows.append((name, clock, mine_s, by_hand_s, by_hand_s / mine_s, goal))
    title = f"Reading {arguments.trades:,} trades in {files:,} objects, {arguments.diffs:,} diffs of {arguments.levels} levels"
    report.table(title, ("what, and the peer", "seconds of", "API s", "peer s", "peer / API", "goal"), rows, MEANS)
    report.finish()


def medians(rounds: int, mine: Callable[[], Any], by_hand: Callable[[], Any]) -> list[tuple[float, float]]:
    """Seconds by the clock and of CPU time, of each way. In turns, so that both see the same machine."""
    times: tuple[list[tuple[float, float]], ...] = ([], [])
    for _ in range(rounds):
        answers = []
        for way, seconds in zip((mine, by_hand), times, strict=True):
            begun, used = time.perf_counter(), time.process_time()
            answers.append(way())
            seconds.append((time.perf_counter() - begun, time.process_time() - used))
        same = answers[0].equals(answers[1]) if isinstance(answers[0], pl.DataFrame) else answers[0] == answers[1]
        assert same, "the answers differ"
    return [(statistics.median(clock), statistics.median(cpu)) for clock, cpu in (zip(*way, strict=True) for way in times)]


def api_trades(data: Path) -> pl.DataFrame:
    return th.open(data).trades(SYMBOL, START, END).polars()


def polars_trades(data: Path) -> pl.DataFrame:
    rows = pl.scan_parquet(f"{data}/lake/data_sources/trades/venue=binance/date=*/hour=*/*.parquet", hive_partitioning=False)
    times = pl.col("trade_time")
    return (
        rows.filter((pl.col("symbol") == SYMBOL) & (times >= START) & (times < END))
        .sort("receipt_time")
        .unique(["venue", "symbol", "trade_id"], keep="first", maintain_order=True)
        .sort("trade_id")
        .with_columns(pl.col("price", "quantity").cast(pl.Float64))
        .collect()
    )


def api_books(data: Path) -> list[Book]:
    books = th.open(data).books(SYMBOL, DAY, DAY + HOUR - SECOND, levels=TOP).arrow()
    ids, opened = books.column("last_update_id").to_pylist(), books.column("open_time").cast(pa.int64()).to_pylist()
    sides = [flat_side(books.column(side)) for side in ("bids", "asks")]
    return list(zip(opened, ids, *sides, strict=True))


def flat_side(column: pa.ChunkedArray) -> list[list[tuple[float, float]]]:
    """Levels as pairs: both ways end in the same Python objects."""
    array = column.combine_chunks()
    lists = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    levels, offsets = lists.flatten(), (lists.offsets.to_numpy() - lists.offsets[0].as_py()).tolist()
    pairs = list(zip(levels.field(0).to_pylist(), levels.field(1).to_pylist(), strict=True))
    return [pairs[start:end] for start, end in itertools.pairwise(offsets)]


def dict_books(data: Path) -> list[Book]:
    folder = data / "lake" / "data_sources"
    [snapshot] = _rows(folder / "depth_snapshots")
    sides: list[dict[float, float]] = [{float(p): float(q) for p, q in map(_pair, snapshot[side])} for side in ("bids", "asks")]
    found: list[Book] = []
    second, at_id = DAY, snapshot["last_update_id"]
    for diff in _rows(folder / "depth_diffs"):
        while diff["event_time"] >= second + SECOND:
            bids, asks = (sorted(side, reverse=not number)[:TOP] for number, side in enumerate(sides))
            found.append((second, at_id, [(p, sides[0][p]) for p in bids], [(p, sides[1][p]) for p in asks]))
            second += SECOND
        for side, name in zip(sides, ("bids", "asks"), strict=True):
            for price, quantity in map(_pair, diff[name]):
                if quantity == 0:
                    side.pop(float(price), None)
                else:
                    side[float(price)] = float(quantity)
        at_id = diff["last_update_id"]
    return [book for book in found if book[0] < DAY + HOUR - SECOND]


def _rows(folder: Path) -> list[dict[str, Any]]:
    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))).sort_by("last_update_id")
    for name in ("event_time", "receipt_time"):
        if name in table.schema.names:
            table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _pair(level: dict[str, Decimal]) -> tuple[Decimal, Decimal]:
    return level["price"], level["quantity"]


def write_trades(data: Path, count: int, batch_seconds: int) -> int:
    """Two symbols with as many trades each; the second instance has the last tenth of the day too, a millisecond later."""
    dice = np.random.default_rng(1)
    times = DAY + np.sort(dice.integers(0, 24 * HOUR - SECOND, count))
    prices, quantities = dice.integers(6_000_000, 6_100_000, count), dice.integers(1, 10**8, count)
    files = 0
    for instance, first, later in (("a", 0, 0), ("b", count * 9 // 10, 1_000)):
        borders = np.searchsorted(times, np.arange(DAY, DAY + 24 * HOUR, batch_seconds * SECOND))
        for start, end in zip(borders, [*borders[1:], count], strict=True):
            rows = np.arange(max(start, first), end)
            if len(rows) == 0:
                continue
            columns = {
                "trade_id": pa.array(rows, pa.uint64()),
                "price": _decimals(prices[rows], 2),
                "quantity": _decimals(quantities[rows], 8),
                "is_buyer_maker": pa.array(rows % 2 == 0),
                "trade_time": pa.array(times[rows]).cast(INSTANT),
                "event_time": pa.array(times[rows]).cast(INSTANT),
                "receipt_time": pa.array(times[rows] + 20_000 + later).cast(INSTANT),
            }
            table = pa.concat_tables(_table(TRADES, {"symbol": symbol, **columns}) for symbol in ("ETHUSDT", SYMBOL))
            files += 1
            write_table(data, TRADES, table, int(times[rows[0]]) + 20_000 + later, instance, files)
    return files


def write_diffs(data: Path, count: int, levels: int) -> None:
    """A snapshot of 1,000 levels a side and an hour of diffs, ten a second, half of the levels deletions; a minute an object."""
    dice = random.Random(2)
    snapshot = [_levels(dice, 1_000, side) for side in (-1, 1)]
    at = pa.array([DAY]).cast(INSTANT)
    columns = {"symbol": SYMBOL, "last_update_id": pa.array([0], pa.uint64()), "reason": "start", "receipt_time": at}
    columns |= {"bids": pa.array([snapshot[0]], LEVELS), "asks": pa.array([snapshot[1]], LEVELS)}
    write_table(data, DEPTH_SNAPSHOTS, _table(DEPTH_SNAPSHOTS, columns), DAY, "a", 0)
    for start in range(0, count, 600):
        ids = range(start + 1, min(start + 600, count) + 1)
        times = [DAY + (number - 1) * HOUR // count for number in ids]
        columns = {"symbol": SYMBOL, "first_update_id": pa.array(ids, pa.uint64()), "last_update_id": pa.array(ids, pa.uint64())}
        for name, side in (("bids", -1), ("asks", 1)):
            columns[name] = pa.array([_levels(dice, levels // 2, side, zeros=True) for _ in ids], LEVELS)
        columns |= {"event_time": pa.array(times).cast(INSTANT), "receipt_time": pa.array([at + 1 for at in times]).cast(INSTANT)}
        write_table(data, DEPTH_DIFFS, _table(DEPTH_DIFFS, columns), times[0] + 1, "a", start)


def _levels(dice: random.Random, count: int, side: int, *, zeros: bool = False) -> list[dict[str, Decimal]]:
    """Whole cents away from 60,000, the nearest most often."""
    away = [1 + int(dice.expovariate(1 / 500)) for _ in range(count)] if zeros else range(1, count + 1)
    quantities = [0 if zeros and dice.random() < 0.5 else dice.randrange(1, 10**8) for _ in away]
    return [
        {"price": Decimal(6_000_000 + side * cents).scaleb(-2), "quantity": Decimal(quantity).scaleb(-8)}
        for cents, quantity in zip(away, quantities, strict=True)
    ]


def _decimals(numbers: np.ndarray[Any, np.dtype[np.int64]], places: int) -> pa.Array:
    return pa.array([Decimal(int(number)).scaleb(-places) for number in numbers], TRADES.schema.field("price").type)


def _table(dataset: Dataset, columns: dict[str, Any]) -> pa.Table:
    rows = next(len(column) for column in columns.values() if isinstance(column, pa.Array))
    filled = {"venue": "binance"} | columns
    arrays = [
        filled[field.name] if isinstance(filled[field.name], pa.Array) else pa.array([filled[field.name]] * rows).cast(field.type)
        for field in dataset.schema
    ]
    return pa.table(arrays, schema=dataset.schema)


def write_table(data: Path, dataset: Dataset, table: pa.Table, received: int, instance: str, number: int) -> None:
    path = data / "lake" / hourly_key(dataset, "binance", received, instance, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet_bytes(table, dataset))


if __name__ == "__main__":
    main()
