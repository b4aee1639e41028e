"""Serves recorded REST klines row for row: lines with `src` `rest` and a klines `url`, as the shared data set has them.

Recorded socket messages are in `recorded_session` and `replay`.
"""

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from simulated_exchange.market.instruments import Instrument
from simulated_exchange.market.intervals import INTERVALS, MINUTE
from simulated_exchange.market.klines import Kline, KlineQuery, Rows, TimeUnit, joined_rows

KLINES_PATH = "/api/v3/klines"

_COLUMNS = 12
_OPEN_TIME, _CLOSE, _CLOSE_TIME = 0, 4, 6
_PRICES, _QUANTITIES = slice(1, 5), 5
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
_MICROSECONDS_FROM = 100_000_000_000_000

UNREADABLE = (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError)
"""What a line raises that is not what it should be."""

Series = dict[tuple[str, str], dict[int, list[Any]]]


class ReplayError(ValueError):
    """A file cannot be replayed: the message names it, and the line where there is one."""


class Replay:
    """A `KlineSource` of recorded rows; where two responses hold the same kline, the later one counts."""

    def __init__(self, paths: Sequence[Path], others: Mapping[str, Instrument] | None = None) -> None:
        """Reads everything; ReplayError if a file cannot be read or none of them holds a kline and `others` is None.

        `others` are instruments recorded without klines.
        """
        series: Series = {}
        for path in paths:
            _read_into(series, path)
        if not series and others is None:
            raise ReplayError(f"no recorded klines in {', '.join(map(str, paths))}")
        self._recorded = {key: [rows[time] for time in sorted(rows)] for key, rows in series.items()}
        self._rows = {
            (*key, unit): joined_rows([_rendered(row, unit) for row in rows])
            for key, rows in self._recorded.items()
            for unit in TimeUnit
        }
        symbols = sorted({symbol for symbol, _ in series})
        self.instruments = {**(others or {}), **{symbol: self._instrument(symbol) for symbol in symbols}}

    @property
    def end(self) -> int | None:
        """The millisecond after the last recorded kline: where the exchange's clock starts; None without klines."""
        closes = [int(rows[-1][_CLOSE_TIME]) for rows in self._recorded.values()]
        return max(closes) + 1 if closes else None

    def rows(self, query: KlineQuery) -> bytes:
        """Recorded rows that have opened by `query.now`, values untouched; nothing for intervals not recorded."""
        rows: Rows | None = self._rows.get((query.symbol, query.interval.name, query.unit))
        if rows is None:
            return b""
        piece, _ = rows.pick(query.first, min(query.last, query.now), query.limit, newest=query.newest)
        return piece[:-1]

    def _last_price(self, symbol: str, now: int) -> int | None:
        """The close of the latest recorded kline that has opened, in ticks."""
        opened = [row for rows in self._of(symbol) for row in rows[: _opened(rows, now)][-1:]]
        if not opened:
            return None
        latest = max(opened, key=lambda row: row[_CLOSE_TIME])
        return int(Decimal(latest[_CLOSE]).scaleb(self.instruments[symbol].tick_decimals))

    def traded(self, symbol: str, opened: int, now: int) -> list[Kline]:
        """Rows are all there is."""
        return []

    def minutes(self, symbol: str, start: int, end: int) -> list[Kline]:
        """Rows are all there is."""
        return []

    def minute_opens(self, symbol: str, start: int, number: int) -> Sequence[int]:
        """The last recorded price, for a book that runs on after the recording."""
        return [self._last_price(symbol, start + minute * MINUTE) or 1 for minute in range(number)]

    def is_halted(self, symbol: str, now: int) -> bool:
        """A recording does not say."""
        return False

    def _of(self, symbol: str) -> list[list[list[Any]]]:
        return [rows for (name, _), rows in self._recorded.items() if name == symbol]

    def _instrument(self, symbol: str) -> Instrument:
        rows = [row for rows in self._of(symbol) for row in rows]
        base, quote = base_and_quote(symbol)
        tick_decimals = decimals_in_use(price for row in rows for price in row[_PRICES])
        return Instrument(
            symbol=symbol,
            base=base,
            quote=quote,
            tick_decimals=tick_decimals,
            step_decimals=min(decimals_in_use(row[_QUANTITIES] for row in rows), 8 - tick_decimals),
            listed=min(row[_OPEN_TIME] for row in rows),
            usual_price=float(rows[-1][_CLOSE]),
            usual_quantity=sum(float(row[_QUANTITIES]) for row in rows[-50:]) / 50,
        )


def _read_into(series: Series, path: Path) -> None:
    for number, line in enumerate(lines_of(path), 1):
        try:
            record = orjson.loads(line)
            if record.get("src") != "rest" or urlsplit(record["url"]).path != KLINES_PATH:
                continue
            asked = {name: values[0] for name, values in parse_qs(urlsplit(record["url"]).query).items()}
            raw = record["raw"]
            rows = orjson.loads(raw) if isinstance(raw, str) else raw
            key = asked["symbol"], INTERVALS[asked["interval"]].name
            series.setdefault(key, {}).update((row[_OPEN_TIME], row) for row in map(_in_milliseconds, rows))
        except UNREADABLE as error:
            raise ReplayError(f"{path} line {number}: not a recorded klines response ({error!r})") from error


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, packed or not; ReplayError if it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise ReplayError(f"cannot read {path}: {error}") from error


def _in_milliseconds(row: list[Any]) -> list[Any]:
    """A copy of a recorded row; a recording made with X-MBX-TIME-UNIT: MICROSECOND is brought back to ms."""
    if len(row) != _COLUMNS:
        raise ValueError(f"{len(row)} columns instead of {_COLUMNS}")
    copy = list(row)
    if copy[_OPEN_TIME] >= _MICROSECONDS_FROM:
        copy[_OPEN_TIME], copy[_CLOSE_TIME] = copy[_OPEN_TIME] // 1000, copy[_CLOSE_TIME] // 1000
    return copy


def _rendered(row: list[Any], unit: TimeUnit) -> tuple[int, str]:
    copy = list(row)
    copy[_OPEN_TIME] = row[_OPEN_TIME] * unit
    copy[_CLOSE_TIME] = (row[_CLOSE_TIME] + 1) * unit - 1
    return row[_OPEN_TIME], orjson.dumps(copy).decode()


def _opened(rows: list[list[Any]], now: int) -> int:
    return bisect_right(rows, now, key=lambda row: int(row[_OPEN_TIME]))


def base_and_quote(symbol: str) -> tuple[str, str]:
    """BTCUSDT -> BTC, USDT; BTCUSD_PERP -> BTC, USD; a quote asset we do not know has three letters."""
    symbol = symbol.partition("_")[0]
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote), symbol[-3:])
    return symbol.removesuffix(quote), quote


def decimals_in_use(texts: Iterable[str]) -> int:
    """How many decimals are in use, trailing zeros not counted."""
    return max(len(text.partition(".")[2].rstrip("0")) for text in texts)
