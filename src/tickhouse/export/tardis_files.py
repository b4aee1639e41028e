"""CSV files as tardis.dev's: trades, books, quotes, and of futures derivative_ticker and liquidations; gzipped, one per UTC day.

Columns and their order: https://docs.tardis.dev/downloadable-csv-files/data-types. Days are those of the venue's time.
"""

import gzip
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tickhouse.export import derivative_ticker
from tickhouse.export.book_story import BookStory, Levels, Piece
from tickhouse.export.job import Job
from tickhouse.export.numbers_as_text import as_text
from tickhouse.export.plan import Outcome, Plan
from tickhouse.export.trade_story import TradeStory
from tickhouse_core.datasets import LIQUIDATIONS, TRADES
from tickhouse_core.reading.levels import Side, play
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.timestamps import DAY_US, format_instant

_HEAD = ("exchange", "symbol", "timestamp", "local_timestamp")
_TOP_LEVELS = {"book_snapshot_25": 25, "book_snapshot_5": 5, "quotes": 1}
USUAL_TYPES = ("trades", "incremental_book_L2", *_TOP_LEVELS)
"""What is written unless types are named: every market has it."""

TYPES = (*USUAL_TYPES, "derivative_ticker", "liquidations")
_TICKER = (
    "funding_timestamp",
    "funding_rate",
    "predicted_funding_rate",
    "open_interest",
    "last_price",
    "index_price",
    "mark_price",
)
_OPTIONS = csv.WriteOptions(include_header=False, quoting_style="none")


def columns_of(data_type: str) -> tuple[str, ...]:
    """The header of a file."""
    if data_type == "derivative_ticker":
        return (*_HEAD, *_TICKER)
    if data_type in ("trades", "liquidations"):
        return (*_HEAD, "id", "side", "price", "amount")
    if data_type == "incremental_book_L2":
        return (*_HEAD, "is_snapshot", "side", "price", "amount")
    if data_type == "quotes":
        return (*_HEAD, "ask_amount", "ask_price", "bid_price", "bid_amount")
    levels = range(_TOP_LEVELS[data_type])
    return (*_HEAD, *(f"{side}[{at}].{what}" for at in levels for side in ("asks", "bids") for what in ("price", "amount")))


def channels_of(data_types: Sequence[str]) -> frozenset[str]:
    """What is read for files of these types."""
    known = {"trades": ("trades",), "derivative_ticker": derivative_ticker.CHANNELS, "liquidations": ("liquidations",)}
    return frozenset(channel for name in data_types for channel in known.get(name, ("depth",)))


class _DayFiles:
    """The files of one data type, a new one with each day."""

    def __init__(self, folder: Path, venue: str, symbol: str, data_type: str) -> None:
        self._folder, self._venue, self._symbol, self.data_type = folder, venue, symbol, data_type
        self._day, self._rows, self._name = -1, 0, ""
        self._raw: IO[bytes] | None = None
        self._file: gzip.GzipFile | None = None
        self.written: list[tuple[str, int]] = []

    def write(self, times: Numbers, columns: Sequence[pa.Array]) -> None:
        """Rows whose times in microseconds ascend: those after the symbol, each named in the header."""
        days = times // DAY_US
        borders = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for start, end in pairwise(borders):
            if start == end:
                continue
            if days[start] != self._day:
                self._begin(int(days[start]))
            names = [pa.repeat(pa.scalar(name), end - start) for name in (self._venue, self._symbol)]
            parts = [column.slice(start, end - start) for column in columns]
            csv.write_csv(pa.table([*names, *parts], names=list(columns_of(self.data_type))), self._file, _OPTIONS)
            self._rows += end - start

    def _begin(self, day: int) -> None:
        self.close()
        date = format_instant(day * DAY_US)[:10]
        self._day, self._rows = day, 0
        self._name = f"{self._venue}_{self.data_type}_{date}_{self._symbol}.csv.gz"
        self._raw = (self._folder / self._name).open("wb")
        self._file = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)
        self._file.write((",".join(columns_of(self.data_type)) + "\n").encode())

    def close(self) -> None:
        """The last file is whole then."""
        if self._file is not None and self._raw is not None:
            self._file.close()
            self._raw.close()
            self.written.append((self._name, self._rows))
            self._file = self._raw = None


def write_csv_files(job: Job, plan: Plan, data_types: Sequence[str], folder: Path) -> Outcome:
    """Raises LakeUnavailable, AccessRefused, Interrupted."""
    outcome = Outcome()
    files = {name: _DayFiles(folder, job.asked.venue, job.asked.symbols[0], name) for name in data_types}
    try:
        if "trades" in files:
            _write_trades(job, plan, files["trades"], outcome)
        if plan.book is not None and "depth" in channels_of(data_types):
            _write_book(job, plan, files, outcome)
        if "derivative_ticker" in files:
            _write_derivatives(job, plan, files["derivative_ticker"], outcome)
        if "liquidations" in files:
            _write_liquidations(job, plan, files["liquidations"], outcome)
    finally:
        for file in files.values():
            file.close()
    outcome.files = [written for file in files.values() for written in file.written]
    return outcome


def _write_trades(job: Job, plan: Plan, file: _DayFiles, outcome: Outcome) -> None:
    if plan.trades is None:
        return
    story = TradeStory(job, plan.trades)
    for batch in story.batches():
        kept = batch.kept(plan.keeps(batch.venue))
        outcome.count("trades", len(batch.ids), len(kept.ids))
        side = np.where(kept.is_buyer_maker, "sell", "buy")
        columns = [pa.array(kept.event), pa.array(kept.local), pa.array(kept.ids.view(np.uint64)), pa.array(side, pa.string())]
        file.write(kept.venue, [*columns, as_text(kept.prices), as_text(kept.quantities)])
        job.progress(int(batch.venue[-1]))
    outcome.late["trades"] = story.late


def _write_derivatives(job: Job, plan: Plan, file: _DayFiles, outcome: Outcome) -> None:
    """A row whenever a value has changed. Trades are counted where they are written."""
    reached, last = 0, None
    for found in derivative_ticker.states(job, plan):
        keep = plan.keeps(found.event)
        for place, dataset in enumerate(found.dataset):
            if dataset is not TRADES:
                outcome.count(dataset.name, int((found.source == place).sum()), int((keep & (found.source == place)).sum()))
        if not keep.any():
            continue
        columns = [column.filter(pa.array(keep)) for column in found.values.values()]
        is_new = _changed(columns, last)
        last = [column.slice(len(column) - 1, 1) for column in columns]
        kept = dict(zip(found.values, (column.filter(pa.array(is_new)) for column in columns), strict=True))
        event, local = found.event[keep][is_new], found.local[keep][is_new]
        if len(event):
            days = np.maximum(np.maximum.accumulate(event), reached)
            reached = int(days[-1])
            file.write(days, [pa.array(event), pa.array(local), *_ticker_columns(kept)])
        job.progress(int(found.event.max()))


def _ticker_columns(values: dict[str, pa.Array]) -> list[pa.Array]:
    """What no message of the venue has stays empty: it predicts no rate beyond the next settlement."""
    names = ("next_funding_time", "funding_rate", None, "open_interest", "price", "index_price", "mark_price")
    nothing = pa.nulls(len(values["price"]), pa.string())
    times = values["next_funding_time"].cast(pa.int64())
    return [nothing if name is None else times if name == "next_funding_time" else as_text(values[name]) for name in names]


def _write_liquidations(job: Job, plan: Plan, file: _DayFiles, outcome: Outcome) -> None:
    reached = 0
    for batch in job.rows(LIQUIDATIONS).batches():
        table = pa.Table.from_batches([batch])
        keep = plan.keeps(whole_numbers(table.column("trade_time")))
        outcome.count(LIQUIDATIONS.name, len(keep), int(keep.sum()))
        rows = table.filter(pa.array(keep)).combine_chunks()
        if not rows.num_rows:
            continue
        times, received = (whole_numbers(rows.column(name)) for name in ("trade_time", "receipt_time"))
        local = np.maximum(np.maximum.accumulate(received), reached)
        reached = int(local[-1])
        texts = [as_text(pa.concat_arrays(rows.column(name).chunks)) for name in ("price", "filled_quantity")]
        named = [pa.concat_arrays(rows.column(name).chunks) for name in ("liquidation_id", "side")]
        file.write(times, [pa.array(times), pa.array(local), *named, *texts])
        job.progress(int(times[-1]))


def _write_book(job: Job, plan: Plan, files: dict[str, _DayFiles], outcome: Outcome) -> None:
    assert plan.book is not None, "asked before"
    story = BookStory(job, plan.book, plan.whole_at(daily=True))
    tops = [_Tops(files[name], _TOP_LEVELS[name]) for name in _TOP_LEVELS if name in files]
    for piece in story.pieces():
        parts = plan.parts(piece)
        if piece.kind == "diffs":
            outcome.count("depth_diffs", len(piece.ids), sum(len(part.ids) for part in parts))
            if piece.is_known and parts:
                for top in tops:
                    top.write(piece, plan.keeps(piece.venue))
        if "incremental_book_L2" in files:
            for part in parts:
                _write_levels(part, files["incremental_book_L2"])
        job.progress(int(piece.venue[-1]))
    outcome.late["depth_diffs"] = story.late
    outcome.resets = story.resets


def _write_levels(piece: Piece, file: _DayFiles) -> None:
    """One row per level, bids before asks in each message."""
    messages = [np.repeat(np.arange(len(piece.ids)), np.diff(side.offsets)) for side in (piece.bids, piece.asks)]
    message = np.concatenate(messages)
    is_ask = np.repeat([0, 1], [len(one) for one in messages])
    order = np.lexsort((is_ask, message))
    flat = pa.concat_arrays([piece.bids.levels, piece.asks.levels]).take(pa.array(order))
    message = message[order]
    side = pa.array(np.where(is_ask[order] == 1, "ask", "bid"), pa.string())
    is_snapshot = pa.repeat(pa.scalar("true" if piece.kind == "reset" else "false"), len(order))
    times = [pa.array(piece.event[message]), pa.array(piece.local[message])]
    file.write(piece.venue[message], [*times, is_snapshot, side, as_text(flat.field(0)), as_text(flat.field(1))])


class _Tops:
    """Rows of the best levels, one whenever one of them changed."""

    def __init__(self, file: _DayFiles, levels: int) -> None:
        self._file, self._levels = file, levels
        self._last: list[pa.Array] | None = None

    def write(self, piece: Piece, keep: npt.NDArray[np.bool_]) -> None:
        """The books after each update of a piece."""
        sides = [
            _top_columns(side, levels, self._levels, is_bid=is_bid)
            for side, levels, is_bid in zip(piece.before, (piece.bids, piece.asks), (True, False), strict=True)
        ]
        columns = [column for asks, bids in zip(sides[1], sides[0], strict=True) for column in (*asks, *bids)]
        is_new = _changed(columns, self._last) & keep
        self._last = [column.slice(len(column) - 1, 1) for column in columns]
        if not is_new.any():
            return
        mask = pa.array(is_new, pa.bool_())
        texts = [as_text(column.filter(mask)) for column in columns]
        if self._levels == 1:
            ask_price, ask_amount, bid_price, bid_amount = texts
            texts = [ask_amount, ask_price, bid_price, bid_amount]
        self._file.write(piece.venue[is_new], [pa.array(piece.event[is_new]), pa.array(piece.local[is_new]), *texts])


def _changed(columns: Sequence[pa.Array], last: Sequence[pa.Array] | None) -> npt.NDArray[np.bool_]:
    """Of each row whether a column differs from the row before, `last` before the first one; without that the first one does."""
    found = np.zeros(len(columns[0]), dtype=bool)
    found[0] = last is None
    for place, column in enumerate(columns):
        before = pa.concat_arrays([column.slice(0, 1) if last is None else last[place], column.slice(0, len(column) - 1)])
        same = pc.or_kleene(pc.equal(column, before), pc.and_(pc.is_null(column), pc.is_null(before)))
        found |= ~same.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    return found


def _top_columns(side: Side, levels: Levels, count: int, *, is_bid: bool) -> Iterator[tuple[pa.Array, pa.Array]]:
    """For each place of the best levels its prices and quantities after each message; null where a side has fewer levels."""
    first = int(levels.offsets[0])
    stops = (levels.offsets[1:] - first).tolist()
    _, tops = play(side, levels.levels, stops, count, is_bid=is_bid)
    offsets, flat = tops.offsets.to_numpy().astype(np.int64), tops.values
    sizes = np.diff(offsets)
    for place in range(count):
        at = pa.array(offsets[:-1] + place, mask=sizes <= place)
        yield flat.field(0).take(at), flat.field(1).take(at)
