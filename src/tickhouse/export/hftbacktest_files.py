"""hftbacktest (2.4): one npz per symbol and UTC day with its events; each file begins with the whole book if that is known.

Every event is seen twice there, by the exchange at `exch_ts` and by the strategy at `local_ts`, in nanoseconds. A row that is
in order by both clocks is one event with both flags; a row that was overtaken on its way is one event for each, as
hftbacktest's own `correct_event_order` does it. Of equal times trades come first: an update contains what they took.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tickhouse.export.book_story import BookStory, Piece
from tickhouse.export.job import Job
from tickhouse.export.plan import Outcome, Plan
from tickhouse.export.trade_story import Trades, TradeStory
from tickhouse_core.reading.numbers import floats
from tickhouse_core.reading.ordering import Numbers
from tickhouse_core.timestamps import DAY_US, format_instant

EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
_DEPTH, _TRADE, _CLEAR, _SNAPSHOT = 1, 2, 3, 4
_EXCHANGE, _LOCAL, _BUY, _SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
_HEADER_BYTES = 320
_COPY_BYTES = 4 * 1024 * 1024

Events = npt.NDArray[Any]


def of_trades(trades: Trades, correction_us: int) -> Events:
    """One event per trade; the side is the aggressor's."""
    events = np.zeros(len(trades.ids), EVENT)
    events["ev"] = _TRADE | np.where(trades.is_buyer_maker, _SELL, _BUY)
    events["exch_ts"], events["local_ts"] = trades.venue * 1_000, (trades.local + correction_us) * 1_000
    events["px"], events["qty"] = _as_floats(trades.prices), _as_floats(trades.quantities)
    return events


def of_book(piece: Piece, correction_us: int) -> Events:
    """One event per changed level, bids before asks; of a whole book first a clear of each side."""
    parts, messages, sides = [], [], []
    kind = _SNAPSHOT if piece.kind == "reset" else _DEPTH
    for place, (levels, side) in enumerate(((piece.bids, _BUY), (piece.asks, _SELL))):
        flat = levels.levels
        events = np.zeros(len(flat), EVENT)
        events["ev"] = kind | side
        events["px"], events["qty"] = _as_floats(flat.field(0)), _as_floats(flat.field(1))
        message = np.repeat(np.arange(len(piece.ids)), np.diff(levels.offsets))
        if piece.kind == "reset":
            clear = np.zeros(1, EVENT)
            clear["ev"], clear["px"] = _CLEAR | side, np.nan
            events, message = np.concatenate([clear, events]), np.r_[0, message]
        parts.append(events)
        messages.append(message)
        sides.append(np.full(len(events), place))
    message = np.concatenate(messages)
    order = np.lexsort((np.concatenate(sides), message))
    events, message = np.concatenate(parts)[order], message[order]
    events["exch_ts"], events["local_ts"] = piece.venue[message] * 1_000, (piece.local[message] + correction_us) * 1_000
    return events


def in_both_orders(events: Events) -> Events:
    """Events with their flags. They ascend by exch_ts; a latency is never negative."""
    local = events["local_ts"]
    later = np.minimum.accumulate(local[::-1])[::-1]
    is_overtaken = np.r_[local[:-1] > later[1:], False]
    out: Events = events[~is_overtaken]
    out["ev"] |= np.uint64(_EXCHANGE | _LOCAL)
    if not is_overtaken.any():
        return out
    overtaken = np.flatnonzero(is_overtaken)
    at_exchange, at_home = events[overtaken], events[overtaken]
    at_exchange["ev"] |= np.uint64(_EXCHANGE)
    at_home["ev"] |= np.uint64(_LOCAL)
    leaves = np.cumsum(~is_overtaken)[overtaken]
    ahead = np.flatnonzero(~is_overtaken)
    arrives = np.searchsorted(out["local_ts"], at_home["local_ts"], side="left")
    ties = np.searchsorted(out["local_ts"], at_home["local_ts"], side="right")
    arrives = np.minimum(np.maximum(arrives, np.searchsorted(ahead, overtaken)), ties)
    slots = np.concatenate([np.arange(len(out)) * 2 + 1, leaves * 2, arrives * 2])
    ranks = np.concatenate([np.zeros(len(out), dtype=np.int64), overtaken, at_home["local_ts"]])
    order = np.lexsort((np.concatenate([np.zeros(len(out), dtype=np.int64), overtaken, overtaken]), ranks, slots))
    found: Events = np.concatenate([out, at_exchange, at_home])[order]
    return found


class EventMerger:
    """Trades and book events, each in order by both clocks, into one stream of complete stretches, day by day."""

    def __init__(self) -> None:
        self._waiting = {"trades": np.zeros(0, EVENT), "book": np.zeros(0, EVENT)}
        self._floor = np.iinfo(np.int64).min

    def add(self, source: str, events: Events) -> None:
        """Of `trades` or the `book`."""
        self._waiting[source] = np.concatenate([self._waiting[source], events])

    def ready(self, until_ns: int, *, is_end: bool) -> Events:
        """Nothing more comes from before this instant. At the end of a day, or of all, everything before it is given."""
        taken = {name: int(np.searchsorted(events["exch_ts"], until_ns)) for name, events in self._waiting.items()}
        events = np.concatenate([self._waiting[name][:count] for name, count in taken.items()])
        rest = {name: self._waiting[name][count:] for name, count in taken.items()}
        order = np.argsort(events["exch_ts"], kind="stable")  # trades first
        sources = np.repeat(np.arange(len(taken)), list(taken.values()))[order]
        events = events[order]
        events["local_ts"] = np.maximum(events["local_ts"], self._floor)
        count = len(events) if is_end else self._whole(events["local_ts"], until_ns)
        for number, name in enumerate(self._waiting):
            self._waiting[name] = np.concatenate([events[count:][sources[count:] == number], rest[name]])
        if count == 0:
            return events[:0]
        found = in_both_orders(events[:count])
        self._floor = int(events["local_ts"][:count].max())
        return found

    @staticmethod
    def _whole(local: Numbers, until_ns: int) -> int:
        """How many of the first events no other one can overtake any more: what is still to come is received after `until_ns`."""
        most = np.maximum.accumulate(local)
        least = np.r_[np.minimum.accumulate(local[::-1])[::-1][1:], until_ns]
        ends = np.flatnonzero((most <= least) & (most < until_ns))
        return int(ends[-1]) + 1 if len(ends) else 0


class DayFiles:
    """Writes stretches of events into one npz per day; memory holds none of them."""

    def __init__(self, folder: Path, symbol: str) -> None:
        self._folder, self._symbol = folder, symbol
        self._day, self._rows = -1, 0
        self.written: list[tuple[str, int]] = []
        """Names of files and their events."""

    def write(self, day_us: int, events: Events) -> None:
        """Days ascend."""
        if not len(events):
            return
        if day_us != self._day:
            self.close()
            self._day, self._rows = day_us, 0
            with self._raw.open("wb") as file:
                file.write(b"\0" * _HEADER_BYTES)
        with self._raw.open("ab") as file:
            file.write(events.tobytes())
        self._rows += len(events)

    def close(self) -> None:
        """The last file is whole then."""
        if self._day < 0:
            return
        with self._raw.open("r+b") as file:
            file.write(_npy_header(self._rows))
        name = f"{self._symbol}_{format_instant(self._day)[:10].replace('-', '')}.npz"
        entry = zipfile.ZipInfo("data.npy")  # its date is that of 1980, whenever it runs
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        entry.file_size = self._raw.stat().st_size
        with (
            zipfile.ZipFile(self._folder / name, "w") as archive,
            archive.open(entry, "w") as target,
            self._raw.open("rb") as source,
        ):
            while chunk := source.read(_COPY_BYTES):
                target.write(chunk)
        self._raw.unlink()
        self.written.append((name, self._rows))
        self._day = -1

    @property
    def _raw(self) -> Path:
        return self._folder / f"{self._symbol}.events"


def write_events(job: Job, plan: Plan, folder: Path) -> Outcome:
    """Trades and book of a symbol. Raises LakeUnavailable, AccessRefused, Interrupted."""
    outcome, merger, files = (
        Outcome(clock_correction=plan.clock_correction),
        EventMerger(),
        DayFiles(folder, job.asked.symbols[0]),
    )
    sources = {"trades": _trades(job, plan, outcome), "book": _book(job, plan, outcome)}
    reached = dict.fromkeys(sources, job.asked.start)
    day = job.asked.start // DAY_US * DAY_US
    while sources:
        name = min(sources, key=lambda source: reached[source])
        if (more := next(sources[name], None)) is None:
            del sources[name]
            reached[name] = job.asked.end
        else:
            reached[name], events = more
            merger.add(name, events)
        until = min(reached.values())
        while day + DAY_US <= until:
            files.write(day, merger.ready((day + DAY_US) * 1_000, is_end=True))
            day += DAY_US
        files.write(day, merger.ready(until * 1_000, is_end=not sources))
        job.progress(until)
    files.close()
    outcome.files = files.written
    return outcome


def _trades(job: Job, plan: Plan, outcome: Outcome) -> Iterator[tuple[int, Events]]:
    """Events, and how far they reach."""
    if plan.trades is None:
        return
    story = TradeStory(job, plan.trades)
    for batch in story.batches():
        kept = batch.kept(plan.keeps(batch.venue))
        outcome.count("trades", len(batch.ids), len(kept.ids))
        outcome.see(kept.prices, kept.quantities)
        yield int(batch.venue[-1]), of_trades(kept, plan.clock_correction)
    outcome.late["trades"] = story.late


def _book(job: Job, plan: Plan, outcome: Outcome) -> Iterator[tuple[int, Events]]:
    if plan.book is None:
        return
    story = BookStory(job, plan.book, plan.whole_at(daily=True))
    for piece in story.pieces():
        parts = plan.parts(piece)
        if piece.kind == "diffs":
            outcome.count("depth_diffs", len(piece.ids), sum(len(part.ids) for part in parts))
        events = [of_book(part, plan.clock_correction) for part in parts]
        for part in parts:
            for side in (part.bids.levels, part.asks.levels):
                outcome.see(side.field(0), side.field(1))
        yield int(piece.venue[-1]), np.concatenate([np.zeros(0, EVENT), *events])
    outcome.late["depth_diffs"] = story.late
    outcome.resets = story.resets


def _npy_header(rows: int) -> bytes:
    """Version 1.0 of numpy's format, always of the same length."""
    text = repr({"descr": np.lib.format.dtype_to_descr(EVENT), "fortran_order": False, "shape": (rows,)})
    size = _HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + (text.ljust(size - 1) + "\n").encode()


def _as_floats(values: pa.Array) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = floats(pa.table({"value": values})).column(0).to_numpy()
    return found
