"""PURE. Rows once and in order: of several with one natural key the one that silver keeps, then by time and id."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.datasets import KLINES, Dataset

Numbers = npt.NDArray[np.int64]
RECENT = 100_000
"""Ids of a symbol that are remembered: a row that comes again after it was handed out is not handed out again."""


def versions(dataset: Dataset, table: pa.Table) -> Numbers:
    """Of rows with one key the greatest stays: a closed kline, then the later received; market data: the first received."""
    version: Numbers = np.negative(whole_numbers(table.column("receipt_time")))
    if dataset is KLINES:
        closed = table.column("is_closed").combine_chunks().cast(pa.int8()).to_numpy(zero_copy_only=False)
        version = (closed.astype(np.int64) << 62) - version
    return version


def whole_numbers(column: pa.ChunkedArray) -> Numbers:
    """Ids and instants as int64. Ids from 2^63 on are negative: no venue has them."""
    chunk = column.combine_chunks()
    array = chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) and chunk.num_chunks else chunk
    if isinstance(array, pa.ChunkedArray):
        return np.empty(0, dtype=np.int64)
    values = array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array
    numbers: Numbers = values.to_numpy(zero_copy_only=False).view(np.int64)
    return numbers


@dataclass(frozen=True, slots=True)
class Ordered:
    """Where in a table the rows are that stay, in order, and the time each is ordered by."""

    places: Numbers
    times: Numbers


class Ordering:
    """Rows of some symbols that come piece by piece.

    In a symbol rows go by id. Between symbols they go by time; where times run against ids, a row counts as not earlier than
    the row before it.
    """

    def __init__(self, dataset: Dataset, symbols: tuple[str, ...]) -> None:
        """No symbols: all that come."""
        self._dataset = dataset
        self._symbols = list(symbols)
        self._is_one = len(symbols) == 1
        self._recent: dict[int, Numbers] = {}

    def ordered(self, table: pa.Table) -> Ordered:
        """What of the table is to be handed out. Nothing is remembered of it until `handed_out`."""
        ids = whole_numbers(table.column(self._dataset.id_column))
        codes = self._codes(table)
        stays = self._unseen(ids, codes)
        ids, codes = ids[stays], codes[stays]
        kept = _kept(ids, codes, versions(self._dataset, table)[stays])
        places = stays[kept]
        times = whole_numbers(table.column(self._dataset.time_column))[places]
        ids, codes = ids[kept], codes[kept]
        borders = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        parts = np.split(times, borders)
        times = np.concatenate([np.maximum.accumulate(part) for part in parts])
        if len(borders):
            order = np.lexsort((ids, codes, times))
            places, times = places[order], times[order]
        return Ordered(places, times)

    def handed_out(self, table: pa.Table) -> None:
        """These rows are gone for good."""
        ids, codes = whole_numbers(table.column(self._dataset.id_column)), self._codes(table)
        for code in np.unique(codes):
            known = self._recent.get(int(code))
            mine = ids[codes == code]
            self._recent[int(code)] = (mine if known is None else np.r_[known, mine])[-RECENT:]

    def _unseen(self, ids: Numbers, codes: Numbers) -> Numbers:
        seen = np.zeros(len(ids), dtype=bool)
        for code, recent in self._recent.items():
            again = np.flatnonzero((codes == code) & (ids <= recent.max())) if len(recent) else ()
            if len(again):
                seen[again] = np.isin(ids[again], recent)
        return np.flatnonzero(~seen)

    def _codes(self, table: pa.Table) -> Numbers:
        if self._is_one:
            return np.zeros(table.num_rows, dtype=np.int64)
        names = table.column("symbol")
        self._symbols += sorted(set(pc.unique(names).to_pylist()).difference(self._symbols))
        found = pc.index_in(names, value_set=pa.array(self._symbols, pa.string())).combine_chunks()
        chunk = found.chunk(0) if isinstance(found, pa.ChunkedArray) and found.num_chunks else found
        if isinstance(chunk, pa.ChunkedArray):
            return np.empty(0, dtype=np.int64)
        codes: Numbers = chunk.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes


def _kept(ids: Numbers, codes: Numbers, version: Numbers) -> Numbers:
    """One place of each symbol and id, by symbol and id; of equal versions the first."""
    if len(ids) == 0:
        return np.empty(0, dtype=np.int64)
    one_symbol = bool((codes == codes[0]).all())
    if one_symbol and bool((ids[1:] > ids[:-1]).all()):
        return np.arange(len(ids))
    order = np.argsort(ids, kind="stable") if one_symbol else np.lexsort((ids, codes))
    ids, codes = ids[order], codes[order]
    is_first = np.r_[True, (ids[1:] != ids[:-1]) | (codes[1:] != codes[:-1])]
    if bool(is_first.all()):
        return order
    starts = np.flatnonzero(is_first)
    best = np.repeat(np.maximum.reduceat(version[order], starts), np.diff(np.r_[starts, len(ids)]))
    winners = np.flatnonzero(version[order] == best)
    group = np.cumsum(is_first)[winners]
    return order[winners[np.r_[True, group[1:] != group[:-1]]]]
