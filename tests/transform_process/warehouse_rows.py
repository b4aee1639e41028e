"""Rows for transforms and checks to stand on: recorded or made here, brought into bronze as the loader does. Not a test."""

import gzip
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extract_process.parquet import parquet_bytes
from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.spool.row_buffer import ArrowRows
from tickhouse_core.datasets import BOOK_TICKERS, DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.timestamps import MINUTE_US
from tickhouse_core.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

SESSION = "binance_session_BTCUSDT_20240808.jsonl.gz"
RECEIVED_US = 1_735_700_000_000_000
_tokens = itertools.count()

Row = dict[str, Any]
Found = TypeVar("Found")
Part = TypeVar("Part")


def land(warehouse: Warehouse, dataset: Dataset, table: pa.Table, key: str = "test.parquet") -> None:
    """Parquet by the lake writer into bronze by the loader's insert; every call is a new version, nothing is deduplicated."""
    body = parquet_bytes(table, dataset)
    rows = read_checked(body, dataset).append_column("object_key", pa.array([key] * table.num_rows, pa.string()))
    warehouse.insert_arrow(dataset.bronze_table, rows, token=f"{key}+{next(_tokens)}")


def transform(warehouse: Warehouse, *, rebuild: bool = False, most_rows: int | None = None) -> int:
    """One pass, without the safety lag: here nothing is inserted beside it."""
    options = TransformOptions(lag_seconds=0, rebuild=rebuild, most_rows=most_rows)
    return Transformer(warehouse, StopRequest(), options).run_pass()


def same_after_rebuild(
    warehouse: Warehouse, read: Callable[[Warehouse], Found], tables: Sequence[str], most_rows: int | None = None
) -> Found:
    """What the passes so far left in these tables, by `read`. A rebuild of the emptied tables must give the same."""
    stepwise = read(warehouse)
    for table in tables:
        warehouse.command("truncate table {table:Identifier}", {"table": table})
    transform(warehouse, rebuild=True, most_rows=most_rows)
    assert read(warehouse) == stepwise
    return stepwise


def select(warehouse: Warehouse, sql: str) -> list[Row]:
    """Rows by column name; instants are UTC."""
    names, rows = warehouse.query_table(sql)
    return [dict(zip(names, map(_aware, row), strict=True)) for row in rows]


def table_of(dataset: Dataset, columns: Mapping[str, object]) -> pa.Table:
    """Columns as lists or arrays, or one value for all rows; in the dataset's types, decimals from text."""
    columns = {
        name: values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values for name, values in columns.items()
    }
    count = next(len(values) for values in columns.values() if isinstance(values, (list, pa.Array)))
    arrays = []
    for field in dataset.schema:
        values = columns[field.name]
        if isinstance(values, pa.Array):
            arrays.append(values.cast(field.type))
        else:
            arrays.append(_array(values if isinstance(values, list) else [values] * count, field.type))
    return pa.table(arrays, schema=dataset.schema)


def trades(
    ids: Sequence[int],
    *,
    times_us: Sequence[int] | None = None,
    prices: Sequence[str] | None = None,
    symbol: str = "BTCUSDT",
    latency_us: int = 5_000,
    venue: str = "binance",
) -> pa.Table:
    """Trades one second apart from 2024-08-09 unless told otherwise."""
    times = list(times_us or [us("2024-08-09") + 1_000_000 * number for number in range(len(ids))])
    columns: Row = {"venue": venue, "symbol": symbol, "trade_id": list(ids), "quantity": "0.5"}
    columns |= {"price": list(prices or ["100"] * len(ids)), "is_buyer_maker": [number % 2 == 0 for number in ids]}
    columns |= {"trade_time": times, "event_time": times, "receipt_time": [time + latency_us for time in times]}
    return table_of(TRADES, columns)


def klines(
    opens_us: Sequence[int],
    *,
    interval: str = "1m",
    minutes: int = 1,
    symbol: str = "BTCUSDT",
    close: str | Sequence[str] = "101",
    volume: str = "2",
    trade_count: int = 3,
    closed: bool = True,
    receipt_time: int = RECEIVED_US,
    venue: str = "binance",
) -> pa.Table:
    """Klines with made-up values."""
    opened = list(opens_us)
    columns: Row = {"venue": venue, "symbol": symbol, "interval": interval, "open_time": opened}
    columns |= {"close_time": [time + minutes * MINUTE_US - 1_000 for time in opened], "open": "100", "high": "102", "low": "99"}
    columns |= {
        "close": close if isinstance(close, str) else list(close),
        "volume": volume,
        "quote_volume": "201",
        "trade_count": [trade_count] * len(opened),
    }
    columns |= {"taker_buy_volume": "1", "taker_buy_quote_volume": "100.5", "is_closed": [closed] * len(opened)}
    columns |= {"source": "rest", "receipt_time": [receipt_time] * len(opened)}
    return table_of(KLINES, columns)


def depth_diff(
    first: int,
    last: int,
    *,
    event_us: int,
    bids: Any = (),
    asks: Any = (),
    latency_us: int = 5_000,
    market: tuple[str, str] = ("binance", "BTCUSDT"),
) -> pa.Table:
    """One diff; levels are pairs of text."""
    batch = ArrowRows(DEPTH_DIFFS, market[0])
    batch.append(DepthDiff(market[1], first, last, list(bids), list(asks), event_us), event_us + latency_us)
    return batch.table()


def depth_snapshot(
    last: int, *, receipt_us: int, bids: Any, asks: Any, market: tuple[str, str] = ("binance", "BTCUSDT")
) -> pa.Table:
    batch = ArrowRows(DEPTH_SNAPSHOTS, market[0])
    batch.append(DepthSnapshot(market[1], last, list(bids), list(asks), "start"), receipt_us)
    return batch.table()


def book_tickers(
    tops: Sequence[tuple[int, int, str, str, str, str]], *, market: tuple[str, str] = ("binance", "BTCUSDT")
) -> pa.Table:
    """Each: update_id, receipt_time in microseconds, bid, its quantity, ask, its quantity."""
    ids, received, *numbers = (list(column) for column in zip(*tops, strict=True))
    names = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
    columns: Row = {"venue": market[0], "symbol": market[1], "update_id": ids, "event_time": [None] * len(ids)}
    return table_of(BOOK_TICKERS, columns | dict(zip(names, numbers, strict=True)) | {"receipt_time": received})


def stream_event(
    event: str,
    channel: str,
    first: int | None,
    last: int | None,
    *,
    started_us: int,
    ended_us: int | None = None,
    cause: str = "",
    instance: str = "test",
) -> pa.Table:
    columns: Row = {"venue": ["binance"], "symbol": ["BTCUSDT"], "channel": [channel], "instance": [instance], "event": [event]}
    columns |= {"from_update_id": [first], "to_update_id": [last], "started_at": [started_us], "ended_at": [ended_us]}
    return table_of(STREAM_EVENTS, columns | {"cause": [cause], "detail": [""]})


def recorded_trades(folder: Path) -> pa.Table:
    """The 19,904 trades of the session of 2024-08-08."""
    rows = pq.read_table(folder / "trades_BTCUSDT_20240808.parquet")
    columns: Row = {"venue": "binance", "symbol": "BTCUSDT", "trade_id": rows["trade_id"], "price": rows["price"]}
    columns |= {"quantity": rows["qty"], "is_buyer_maker": rows["buyer_is_maker"]}
    columns |= {"trade_time": _from_ms(rows["trade_time_ms"]), "event_time": _from_ms(rows["event_time_ms"])}
    return table_of(TRADES, columns | {"receipt_time": _instants(pc.divide(rows["recv_ns"], 1_000))})


def recorded_klines(folder: Path, symbol: str, year_part: str = "1m_2024") -> pa.Table:
    """One-minute klines; the recording has OHLCV only, the rest is zero."""
    rows = pq.read_table(folder / f"klines_{symbol}_{year_part}.parquet")
    opened = rows["open_time_ms"]
    columns: Row = {"venue": "binance", "symbol": symbol, "interval": "1m", "open_time": _from_ms(opened)}
    columns |= {"close_time": _from_ms(pc.add(opened, 59_999)), "is_closed": [True] * len(opened), "source": "archive"}
    columns |= {name: rows[name] for name in ("open", "high", "low", "close", "volume")}
    columns |= dict.fromkeys(("quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), "0")
    return table_of(KLINES, columns | {"trade_count": [0] * len(opened), "receipt_time": [RECEIVED_US] * len(opened)})


def recorded_rest_klines(folder: Path, name: str) -> dict[int, Any]:
    """REST klines by open_time in microseconds, as the venue sent them."""
    with gzip.open(folder / name) as lines:
        return {kline[0] * 1_000: kline for line in lines for kline in orjson.loads(line)["raw"]}


def recorded_depth(folder: Path) -> tuple[pa.Table, pa.Table, list[tuple[int, Row]]]:
    """Diffs and snapshots of the session, and its bookTickers with their receipt_time (microseconds)."""
    diffs, snapshots, tickers = ArrowRows(DEPTH_DIFFS, "binance"), ArrowRows(DEPTH_SNAPSHOTS, "binance"), []
    with gzip.open(folder / SESSION) as lines:
        for line in map(orjson.loads, lines):
            received, raw = line["recv_ns"] // 1_000, line["raw"]
            if line["src"] == "rest":
                snapshots.append(DepthSnapshot("BTCUSDT", raw["lastUpdateId"], raw["bids"], raw["asks"], "start"), received)
            elif line["src"] == "ws" and raw["stream"].endswith("@bookTicker"):
                tickers.append((received, raw["data"]))
            elif line["src"] == "ws" and "@depth" in raw["stream"]:
                data = raw["data"]
                diff = DepthDiff("BTCUSDT", data["U"], data["u"], data["b"], data["a"], data["E"] * 1_000)
                diffs.append(diff, received)
    return diffs.table(), snapshots.table(), tickers


def us(text: str) -> int:
    """An ISO instant in UTC as microseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def by_part(table: pa.Table, column: str, part: Callable[[datetime], Part]) -> dict[Part, pa.Table]:
    """The rows of a table by day, hour, ... of an instant."""
    parts = [part(instant) for instant in table[column].to_pylist()]
    return {
        wanted: table.take(pa.array([place for place, found in enumerate(parts) if found == wanted]))
        for wanted in dict.fromkeys(parts)
    }


def _from_ms(milliseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return _instants(pc.multiply(milliseconds, 1_000))


def _instants(microseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return microseconds.cast(pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def _array(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(type_):
        return pa.array(values, pa.string()).cast(type_)
    if pa.types.is_timestamp(type_):
        return pa.array(values, pa.int64()).cast(type_)
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).cast(type_)
    return pa.array(values, type_)


def _aware(value: object) -> object:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


__all__ = ["BOOK_TICKERS", "DEPTH_DIFFS", "DEPTH_SNAPSHOTS", "KLINES", "STREAM_EVENTS", "TRADES", "Row"]
