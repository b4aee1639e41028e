"""PURE. The toy venue's letters in our words: socket frames and REST bodies in, records or Arrow columns out."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
import pyarrow as pa

from extract_process.decimal_text import decimals
from extract_process.kline_grid import grid_of
from extract_process.order_book import exact_number
from extract_process.records import DepthDiff, DepthSnapshot, Trade
from extract_process.venues.parsing import Dialect, FrameRefused, Reply, Unknown
from tickhouse_core.datasets import INSTANT, KLINES, NAME
from tickhouse_core.errors import VenueUnavailable

VENUE_NAME = "toy"
Parsed = TypeVar("Parsed")


def parse_frame(frame: bytes, receipt_time: int) -> list[Any]:
    """One message a frame. Raises FrameRefused."""
    try:
        message = orjson.loads(frame)
        match message:
            case {"did": int(number), "error": str(error)}:
                return [Reply(number, error)]
            case {"kind": "trade"}:
                return [_trade(message, message["market"])]
            case {"kind": "book"}:
                first, last = int(message["first"]), int(message["last"])
                return [DepthDiff(message["market"], first, last, message["bids"], message["asks"], int(message["at"]) * 1_000)]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise FrameRefused("wrong_type", f"{error!r}") from error
    return [Unknown(str(message)[:40])]


def channel_of_frame(frame: bytes) -> str:
    """The channel whose row a frame would be; empty for everything else."""
    try:
        (message,) = parse_frame(frame, 0)
    except FrameRefused:
        return ""
    return {DepthDiff: "depth", Trade: "trades"}.get(type(message), "")


def parse_depth(body: bytes, symbol: str, reason: str) -> DepthSnapshot:
    """`{"id":7,"bids":[["1.5","2"]],"asks":[…]}`, best levels first."""

    def read(answer: dict[str, Any]) -> DepthSnapshot:
        for price, quantity in (*answer["bids"], *answer["asks"]):
            exact_number(price)
            exact_number(quantity)
        return DepthSnapshot(symbol, int(answer["id"]), answer["bids"], answer["asks"], reason)

    return parsed(body, read)


def parse_trades(body: bytes, symbol: str) -> list[Trade]:
    """A list of trades as the stream has them, oldest first."""
    return parsed(body, lambda answer: [_trade(item, symbol) for item in answer])


def parse_klines(body: bytes, symbol: str, interval: str, receipt_time: int) -> pa.Table:
    """`[[open time in ms, open, high, low, close, volume, turnover, trades, bought, paid], …]`, oldest first."""

    def read(answer: list[list[Any]]) -> pa.Table:
        rows, grid = len(answer), grid_of(interval)
        opens = [int(row[0]) * 1_000 for row in answer]
        constants = {"venue": VENUE_NAME, "symbol": symbol, "interval": interval, "source": "rest"}
        columns: dict[str, Any] = {name: pa.array([value] * rows, pa.string()).cast(NAME) for name, value in constants.items()}
        columns["open_time"] = pa.array(opens, INSTANT)
        columns["close_time"] = pa.array([grid.after(opened) - 1_000 for opened in opens], INSTANT)
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 6}
        places |= {"taker_buy_volume": 8, "taker_buy_quote_volume": 9}
        columns |= {name: decimals(pa.array([row[place] for row in answer], pa.string())) for name, place in places.items()}
        columns["trade_count"] = pa.array([int(row[7]) for row in answer], pa.int64())
        columns["is_closed"] = pa.array([True] * rows)
        columns["receipt_time"] = pa.array([receipt_time] * rows, INSTANT)
        return pa.table([columns[field.name] for field in KLINES.schema], schema=KLINES.schema)

    return parsed(body, read)


def parsed(body: bytes, read: Callable[[Any], Parsed]) -> Parsed:
    """A body that is cut or of another shape is the venue's passing trouble: the question is asked again."""
    try:
        return read(orjson.loads(body))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError, pa.ArrowException) as error:
        raise VenueUnavailable(f"unusable answer of {len(body)} bytes ({error})") from error


def _trade(item: dict[str, Any], symbol: str) -> Trade:
    at = int(item["at"]) * 1_000
    return Trade(symbol, int(item["id"]), item["price"], item["amount"], item["taker"] == "seller", at, at)


TOY = Dialect(
    venue=VENUE_NAME,
    parse_frame=parse_frame,
    channel_of_frame=channel_of_frame,
    parse_depth=parse_depth,
    parse_trades=parse_trades,
    parse_klines=parse_klines,
)
