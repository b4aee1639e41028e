"""A catalog for NautilusTrader (1.231): the Parquet files of its ParquetDataCatalog, written as Arrow, without the package.

Under `data/` one folder per class and instrument; a file's name is the span of its `ts_init`. Prices and sizes are whole numbers
of 10^-16 in 16 bytes, as the package's usual build has them; the precision is in the schema's metadata. `ts_event` is the venue's
time, `ts_init` that of receipt, both in nanoseconds; files are in the order of `ts_init`.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from extract_process.listing import QUOTES
from tickhouse.export.book_story import BookStory, Piece
from tickhouse.export.job import Job
from tickhouse.export.numbers_as_text import as_raw, is_zero
from tickhouse.export.parquet_files import GroupedWriter
from tickhouse.export.plan import Outcome, Plan
from tickhouse.export.trade_story import Trades, TradeStory
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.reading.levels import flat
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.timestamps import HOUR_US, format_instant

_SCALE = 16
_RAW, _U64, _U8 = pa.binary(16), pa.uint64(), pa.uint8()
_BUYER, _SELLER = 1, 2
_ADD, _UPDATE, _DELETE, _CLEAR = 1, 2, 3, 4
_BUY, _SELL = 1, 2
_LAST, _SNAPSHOT = 128, 32
_UNITS = {"s": "SECOND", "m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "M": "MONTH"}
_UNITS |= {"min": "MINUTE", "hour": "HOUR", "day": "DAY", "week": "WEEK"}

_TRADE_FIELDS = [("price", _RAW), ("size", _RAW), ("aggressor_side", _U8), ("trade_id", pa.string())]
_DELTA_FIELDS = [
    ("action", _U8),
    ("side", _U8),
    ("price", _RAW),
    ("size", _RAW),
    ("order_id", _U64),
    ("flags", _U8),
    ("sequence", _U64),
]
_BAR_FIELDS = [(name, _RAW) for name in ("open", "high", "low", "close", "volume")]


def write_catalog(job: Job, plan: Plan, channels: tuple[str, ...], folder: Path) -> Outcome:
    """Raises LakeUnavailable, AccessRefused, Interrupted; UsageError for values of more than 16 decimals."""
    catalog = _Catalog(job, plan, folder)
    catalog.measure(channels)
    if plan.trades is not None:
        catalog.write_trades()
    if plan.book is not None:
        catalog.write_deltas()
    if "klines" in channels:
        catalog.write_bars()
    catalog.write_instrument()
    return catalog.outcome


class _Catalog:
    def __init__(self, job: Job, plan: Plan, folder: Path) -> None:
        self._job, self._plan, self._folder = job, plan, folder
        self._symbol = job.asked.symbols[0]
        self._instrument = f"{self._symbol}.{job.asked.venue.upper()}"
        self.outcome = Outcome()

    def measure(self, channels: tuple[str, ...]) -> None:
        """How fine prices and sizes are: it is in every file before its first row."""
        steps = self.outcome
        if self._plan.trades is not None:
            for table in self._job.scan(TRADES, ["price", "quantity"]).tables():
                steps.see(_whole(table, "price"), _whole(table, "quantity"))
                self._job.progress(self._job.asked.start)
        if self._plan.book is not None:
            start = self._plan.book.start_book
            for levels in () if start is None else (start.bids, start.asks):
                steps.see(levels.field(0), levels.field(1))
            for dataset in (DEPTH_DIFFS, DEPTH_SNAPSHOTS):
                self._measure_levels(dataset)
        if "klines" in channels:
            for batch in self._job.rows(KLINES).batches():
                for name in ("open", "high", "low", "close"):
                    steps.see(batch.column(name), batch.column("volume"))
        if max(steps.prices.scale, steps.quantities.scale) > _SCALE:
            raise UsageError(f"{self._symbol} has values of more than {_SCALE} decimals: NautilusTrader cannot hold them")

    def write_trades(self) -> None:
        assert self._plan.trades is not None, "asked before"
        story = TradeStory(self._job, self._plan.trades)
        file = _File(self._folder, "trade_tick", self._instrument, self._schema(_TRADE_FIELDS))
        for batch in story.batches():
            kept = batch.kept(self._plan.keeps(batch.venue))
            self.outcome.count("trades", len(batch.ids), len(kept.ids))
            file.write(_trade_columns(kept), kept.event, kept.local)
            self._job.progress(int(batch.venue[-1]))
        self.outcome.late["trades"] = story.late
        self.outcome.files += file.close()

    def write_deltas(self) -> None:
        assert self._plan.book is not None, "asked before"
        story = BookStory(self._job, self._plan.book, self._plan.whole_at(daily=False))
        file = _File(self._folder, "order_book_deltas", self._instrument, self._schema(_DELTA_FIELDS))
        for piece in story.pieces():
            parts = self._plan.parts(piece)
            if piece.kind == "diffs":
                self.outcome.count("depth_diffs", len(piece.ids), sum(len(part.ids) for part in parts))
            for part in parts:
                columns, message = _delta_columns(part)
                file.write(columns, part.event[message], part.local[message])
            self._job.progress(int(piece.venue[-1]))
        self.outcome.late["depth_diffs"], self.outcome.resets = story.late, story.resets
        self.outcome.files += file.close()

    def write_bars(self) -> None:
        """Closed klines; a bar's time is its end."""
        interval = self._job.asked.interval
        digits = interval.rstrip("abcdefghijklmnopqrstuvwxyzM")
        unit = _UNITS.get(interval[len(digits) :])
        if unit is None or not digits.isdigit():
            raise UsageError(f"--interval {interval!r}: NautilusTrader has no such bars")
        name = f"{self._instrument}-{digits}-{unit}-LAST-EXTERNAL"
        file = _File(self._folder, "bar", name, self._schema(_BAR_FIELDS, bar_type=name))
        for batch in self._job.rows(KLINES).batches():
            table = pa.Table.from_batches([batch])
            closed = table.filter(table.column("is_closed"))
            times = whole_numbers(closed.column("open_time"))
            kept = closed.filter(pa.array(self._plan.keeps(times), pa.bool_()))
            self.outcome.count("klines", table.num_rows, kept.num_rows)
            ends = (whole_numbers(kept.column("close_time")) // 1_000 + 1) * 1_000
            file.write([as_raw(_whole(kept, field), _SCALE) for field, _ in _BAR_FIELDS], ends, ends)
        self.outcome.files += file.close()

    def write_instrument(self) -> None:
        """A currency pair as fine as its values are; a symbol that cannot be taken apart has none."""
        base, quote = _parts_of(self._symbol)
        if not base:
            self.outcome.notes.append(f"no instrument was written: base and quote currency of {self._symbol} are not known")
            return
        scales = self.outcome.prices.scale, self.outcome.quantities.scale
        text = pa.dictionary(pa.int16(), pa.string())
        row: dict[str, tuple[pa.DataType, object]] = {
            "id": (pa.dictionary(pa.int64(), pa.string()), self._instrument),
            "raw_symbol": (pa.string(), self._symbol),
            "base_currency": (text, base),
            "quote_currency": (text, quote),
            "price_precision": (_U8, scales[0]),
            "size_precision": (_U8, scales[1]),
            "price_increment": (text, f"{Decimal(1).scaleb(-scales[0]):f}"),
            "size_increment": (text, f"{Decimal(1).scaleb(-scales[1]):f}"),
            "multiplier": (text, "1"),
        }
        unknown = ("lot_size", "max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price")
        row |= dict.fromkeys(unknown, (text, None))
        row |= {name: (pa.string(), "0") for name in ("margin_init", "margin_maint", "maker_fee", "taker_fee")}
        row |= {"info": (pa.binary(), b"null"), "ts_event": (_U64, 0), "ts_init": (_U64, 0)}
        schema = pa.schema([pa.field(name, kind) for name, (kind, _) in row.items()], {"class": "CurrencyPair"})
        file = _File(self._folder, "currency_pair", self._instrument, schema)
        file.write_table(pa.table([pa.array([value], kind) for kind, value in row.values()], schema=schema), 0, 0)
        self.outcome.files += file.close()

    def _measure_levels(self, dataset: Dataset) -> None:
        reach = HOUR_US if dataset is DEPTH_SNAPSHOTS else 0
        around = replace(self._job.asked, start=self._job.asked.start - reach, end=self._job.asked.end + reach)
        for table in replace(self._job, asked=around).scan(dataset, ["bids", "asks"]).tables():
            for side in ("bids", "asks"):
                levels, _ = flat(table.column(side))
                self.outcome.see(levels.field(0), levels.field(1))
            self._job.progress(self._job.asked.start)

    def _schema(self, fields: list[tuple[str, pa.DataType]], **more: str) -> pa.Schema:
        steps = {"price_precision": str(self.outcome.prices.scale), "size_precision": str(self.outcome.quantities.scale)}
        named = [*fields, ("ts_event", _U64), ("ts_init", _U64)]
        return pa.schema([pa.field(*one, nullable=False) for one in named], more | {"instrument_id": self._instrument} | steps)


class _File:
    """One file of the catalog, under another name until its last time is known."""

    def __init__(self, folder: Path, kind: str, identifier: str, schema: pa.Schema) -> None:
        self._folder, self._place, self._schema = folder, Path("data") / kind / identifier, schema
        (folder / self._place).mkdir(parents=True)
        self._path = folder / self._place / "unfinished.parquet"
        self._writer = GroupedWriter(self._path, schema)
        self._first: int | None = None
        self._last = 0

    def write(self, columns: list[pa.Array], event: Numbers, local: Numbers) -> None:
        """Rows with their times in microseconds."""
        if not len(local):
            return
        times = [pa.array((moments * 1_000).view(np.uint64)) for moments in (event, local)]
        table = pa.table([*columns, *times], schema=self._schema)
        self.write_table(table, int(local[0]) * 1_000, int(local[-1]) * 1_000)

    def write_table(self, table: pa.Table, first_ns: int, last_ns: int) -> None:
        """From the first to the last time in nanoseconds."""
        self._first, self._last = first_ns if self._first is None else self._first, last_ns
        self._writer.write(table)

    def close(self) -> list[tuple[str, int]]:
        """Its name in the export and its rows; nothing where it has none."""
        self._writer.close()
        if self._first is None:
            self._path.unlink()
            self._path.parent.rmdir()
            return []
        name = self._place / f"{_moment(self._first)}_{_moment(self._last)}.parquet"
        self._path.rename(self._folder / name)
        return [(str(name), self._writer.rows)]


def _trade_columns(trades: Trades) -> list[pa.Array]:
    side = np.where(trades.is_buyer_maker, _SELLER, _BUYER).astype(np.uint8)
    ids = pa.array(trades.ids.view(np.uint64)).cast(pa.string())
    return [as_raw(trades.prices, _SCALE), as_raw(trades.quantities, _SCALE), pa.array(side), ids]


def _delta_columns(piece: Piece) -> tuple[list[pa.Array], Numbers]:
    """Levels as deltas, and the message of each; a whole book is a clear and what it has, the last of a message is flagged."""
    messages = [np.repeat(np.arange(len(piece.ids)), np.diff(side.offsets)) for side in (piece.bids, piece.asks)]
    message = np.concatenate(messages)
    side = np.repeat([_BUY, _SELL], [len(one) for one in messages]).astype(np.uint8)
    order = np.lexsort((side, message))
    levels = pa.concat_arrays([piece.bids.levels, piece.asks.levels]).take(pa.array(order))
    message, side = message[order], side[order]
    prices, quantities = levels.field(0), levels.field(1)
    action = np.where(is_zero(quantities), _DELETE, _UPDATE).astype(np.uint8)
    flags = np.where(np.r_[message[1:] != message[:-1], True], _LAST, 0).astype(np.uint8) if len(message) else side
    raw = [as_raw(prices, _SCALE), as_raw(quantities, _SCALE)]
    if piece.kind == "reset":
        zero = pa.array([bytes(16)], _RAW)
        action, flags = np.r_[_CLEAR, np.full(len(action), _ADD)].astype(np.uint8), np.r_[0, flags].astype(np.uint8)
        flags |= np.uint8(_SNAPSHOT)
        side, message, raw = np.r_[0, side].astype(np.uint8), np.r_[0, message], [pa.concat_arrays([zero, one]) for one in raw]
    nothing = np.zeros(len(action), dtype=np.uint64)
    sequence = piece.ids[message].view(np.uint64)
    return [pa.array(action), pa.array(side), *raw, pa.array(nothing), pa.array(flags), pa.array(sequence)], message


def _parts_of(symbol: str) -> tuple[str, str]:
    """Base and quote currency; two empty texts where they cannot be told apart."""
    base, dash, quote = symbol.partition("-")
    if dash:
        return base, quote
    known = [quote for quote in QUOTES if symbol.endswith(quote) and symbol != quote]
    return (symbol.removesuffix(known[0]), known[0]) if known else ("", "")


def _whole(table: pa.Table, name: str) -> pa.Array:
    return pa.concat_arrays(table.column(name).chunks) if table.num_rows else pa.array([], table.schema.field(name).type)


def _moment(nanoseconds: int) -> str:
    """As NautilusTrader names files: `2024-08-09T00-00-00-001000000Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{format_instant(seconds * 1_000_000)[:19].replace(':', '-')}-{rest:09d}Z"
