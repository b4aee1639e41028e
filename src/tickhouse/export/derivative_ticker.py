"""What is known of a contract after each mark price, count of open interest and trade, in the order of receipt. Exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tickhouse.export.job import Job
from tickhouse.export.plan import Plan
from tickhouse.export.trade_story import TradeStory
from tickhouse_core.columns import DECIMAL, INSTANT
from tickhouse_core.datasets import MARK_PRICES, OPEN_INTEREST, TRADES, Dataset
from tickhouse_core.reading.ordering import Numbers, whole_numbers

CHANNELS = ("trades", "mark_prices", "open_interest")
_COLUMNS = {
    MARK_PRICES: ("next_funding_time", "funding_rate", "index_price", "mark_price"),
    OPEN_INTEREST: ("open_interest",),
    TRADES: ("price",),
}


@dataclass(frozen=True, slots=True)
class Ticks:
    """Rows of one dataset. Times in microseconds, `local` ascends; `values` are its `_COLUMNS`."""

    event: Numbers
    local: Numbers
    values: list[pa.Array]

    def part(self, start: int, end: int) -> "Ticks":
        values = [column.slice(start, end - start) for column in self.values]
        return Ticks(self.event[start:end], self.local[start:end], values)


@dataclass(frozen=True, slots=True)
class States:
    """One per received row. `dataset` says whose row it was; values are null until a first row has them."""

    event: Numbers
    local: Numbers
    dataset: list[Dataset]
    source: Numbers
    """Of each row its place in `dataset`."""

    values: dict[str, pa.Array]
    """By column: decimals, and `next_funding_time`. `price` is that of the last trade."""


def states(job: Job, plan: Plan) -> Iterator[States]:
    """Raises LakeUnavailable, AccessRefused."""
    datasets = list(_COLUMNS)
    carried = [[pa.nulls(1, _type_of(name)) for name in names] for names in _COLUMNS.values()]
    for parts in in_order([_ticks_of(dataset, job, plan) for dataset in datasets]):
        source = np.repeat(np.arange(len(parts)), [len(part.local) for part in parts])
        event, local = (np.concatenate([getattr(part, name) for part in parts]) for name in ("event", "local"))
        order = np.argsort(local, kind="stable")
        source, values = source[order], {}
        for place, names in enumerate(_COLUMNS.values()):
            seen = pa.array(np.cumsum(source == place))
            for number, name in enumerate(names):
                known = pa.concat_arrays([carried[place][number], parts[place].values[number]]).take(seen)
                carried[place][number] = known.slice(len(known) - 1, 1)
                values[name] = known
        yield States(event[order], local[order], datasets, source, values)


def _type_of(name: str) -> pa.DataType:
    return INSTANT if name == "next_funding_time" else DECIMAL


def _ticks_of(dataset: Dataset, job: Job, plan: Plan) -> Iterator[Ticks]:
    if dataset is TRADES:
        if plan.trades is not None:
            for batch in TradeStory(job, plan.trades).batches():
                yield Ticks(batch.event, batch.local, [batch.prices])
        return
    reached = 0
    for rows in job.rows(dataset).batches():
        table = pa.Table.from_batches([rows])
        event, received = (whole_numbers(table.column(name)) for name in ("event_time", "receipt_time"))
        local = np.maximum(np.maximum.accumulate(received), reached)
        reached = int(local[-1])
        yield Ticks(event, local, [table.column(name).combine_chunks() for name in _COLUMNS[dataset]])


def in_order(sources: Sequence[Iterator[Ticks]]) -> Iterator[list[Ticks]]:
    """Of each source what was received next, up to an instant that no row to come was received before."""
    waiting = [next(source, None) for source in sources]
    nothing = [Ticks(*(np.empty(0, np.int64),) * 2, [pa.nulls(0, _type_of(name)) for name in one]) for one in _COLUMNS.values()]
    while any(waiting):
        reached = min(int(ticks.local[-1]) for ticks in waiting if ticks is not None)
        parts = list(nothing)
        for place, ticks in enumerate(waiting):
            if ticks is None:
                continue
            end = int(np.searchsorted(ticks.local, reached, side="right"))
            parts[place] = ticks.part(0, end)
            waiting[place] = ticks.part(end, len(ticks.local)) if end < len(ticks.local) else next(sources[place], None)
        yield parts
