"""replay: what was received, in the order in which it was received, from several datasets merged into one iterator."""

import heapq
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from tickhouse_core.reading.lake import Lake, Symbols
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Instant
from tickhouse_core.reading.result import Rows
from tickhouse_core.timestamps import MINUTE_US

Kind = Literal[
    "trade", "depth_diff", "depth_snapshot", "ticker", "book_ticker", "mark_price", "liquidation", "open_interest", "gap"
]  # fmt: skip

_BATCH_ROWS = 10_000
_DICTS = 500
"""Rows that are Python objects at a time, of each dataset."""

_BEHIND_US = MINUTE_US
"""A row is received at most so long before the venue's own time: clocks differ by less."""

_NEVER = 2**63 - 1


class Item(NamedTuple):
    """One thing that was received. `receipt_time` in microseconds, of a gap: when it was noticed.

    `row` has the columns of the kind's table (`Lake.trades`, `.depth_diffs`, …), of a gap those of `Rows.gaps`.
    """

    kind: Kind
    receipt_time: int
    row: dict[str, Any]


def replay(
    lake: Lake, symbols: Symbols, start: Instant, end: Instant, venue: str = "binance", *, exact: bool = False
) -> Iterator[Item]:
    """Trades, diffs, snapshots, tickers, best prices and what futures have beside them, whose own time is in the range, and
    the gaps that touch it, in order of receipt.

    Each row once. What was healed comes when it came. At one instant: gaps first, then diffs, snapshots, trades, tickers, best
    prices, mark prices, liquidations, open interest.
    Memory holds some batches of each and what was received late, not the range. Raises UsageError; while it runs
    LakeUnavailable, AccessRefused.
    """
    named = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    asked = (named, start, end, venue)
    tops = lake.book_tickers(*asked, exact=exact)
    diffs, deals = lake.depth_diffs(*asked, exact=exact), lake.trades(*asked, exact=exact)
    sources = [
        _Source("depth_diff", diffs, "event_time"),
        _Source("depth_snapshot", lake.depth_snapshots(*asked, exact=exact), "receipt_time"),
        _Source("trade", deals, "trade_time"),
        _Source("ticker", lake.tickers(*asked, exact=exact), "event_time"),
        _Source("book_ticker", tops, "receipt_time"),
        _Source("mark_price", lake.mark_prices(*asked, exact=exact), "event_time"),
        _Source("liquidation", lake.liquidations(*asked, exact=exact), "trade_time"),
        _Source("open_interest", lake.open_interest(*asked[:3], venue=venue, exact=exact), "event_time"),
    ]
    return _merged(sources, (deals, diffs, tops))


def _merged(sources: "list[_Source]", with_gaps: tuple[Rows, ...]) -> Iterator[Item]:
    gaps = sorted((item for rows in with_gaps for item in _gap_items(rows.gaps)), key=attrgetter("receipt_time"))
    until = 0
    while until < _NEVER:
        next(iter(sorted(sources, key=attrgetter("reached")))).pull()
        until = min(source.until for source in sources)
        noticed = [item for item in gaps if item.receipt_time < until]
        gaps = gaps[len(noticed) :]
        parts = [iter(noticed), *(source.taken(until) for source in sources)]
        yield from heapq.merge(*parts, key=attrgetter("receipt_time"))


class _Source:
    """The rows of one dataset: read in order of the venue's time, given in order of receipt."""

    def __init__(self, kind: Kind, rows: Rows, time_column: str) -> None:
        self._kind, self._time_column = kind, time_column
        self._batches = rows.batches(_BATCH_ROWS)
        self._waiting = rows.schema.empty_table()
        self.reached = -1
        """The venue's time up to which everything was read; `_NEVER` at the end."""

    @property
    def until(self) -> int:
        """Whatever is still to be read was received later."""
        return self.reached if self.reached in (-1, _NEVER) else self.reached - _BEHIND_US

    def pull(self) -> None:
        """Reads one batch more."""
        batch = next(self._batches, None)
        if batch is None:
            self.reached = _NEVER
            return
        self._waiting = pa.concat_tables([self._waiting, pa.Table.from_batches([batch])])
        self.reached = max(self.reached, int(whole_numbers(pa.chunked_array([batch.column(self._time_column)])).max()))

    def taken(self, until: int) -> Iterator[Item]:
        """What was received before an instant; it does not wait any more."""
        received = whole_numbers(self._waiting.column("receipt_time"))
        order: Numbers = np.argsort(received, kind="stable")
        count = int((received < until).sum())
        ready, self._waiting = self._waiting.take(order[:count]), self._waiting.take(np.sort(order[count:]))
        return self._items(ready, received[order[:count]])

    def _items(self, ready: pa.Table, received: Numbers) -> Iterator[Item]:
        for start in range(0, len(received), _DICTS):
            rows = ready.slice(start, _DICTS).to_pylist()
            for at, row in zip(received[start : start + _DICTS].tolist(), rows, strict=True):
                yield Item(self._kind, at, row)


def _gap_items(gaps: pa.Table) -> Iterator[Item]:
    noticed = pa.compute.coalesce(gaps.column("ended_at"), gaps.column("started_at"))
    for at, row in zip(whole_numbers(noticed).tolist(), gaps.to_pylist(), strict=True):
        yield Item("gap", at, row)
