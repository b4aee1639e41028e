"""The rows of a day on local disk, by symbol, until they are merged: memory holds a piece of an object, or a part of a symbol."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.datasets import Dataset
from tickhouse_core.parquet_columns import plain
from tickhouse_core.reading.ordering import Numbers, whole_numbers

RUN_BYTES = 64 * 1024**2
"""Rows in memory before they go to disk."""

PART_BYTES = 128 * 1024**2
"""Of rows in memory that are merged at once, and become one object of about a tenth of that."""

MOST_SAMPLES = 500_000
"""Ids of a symbol that are in memory at once, and one more for each of its pieces."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A record batch of one symbol in a file. Ids from the first to the last, both included."""

    file: int
    batch: int
    rows: int
    size: int
    first: int
    last: int


class Runs:
    """`add` all rows, then read the `parts`. Uses disk as the rows in memory do, compressed. Raises OSError."""

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        on_rows: Callable[[pa.Table], object],
        run_bytes: int = RUN_BYTES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """`on_rows` is called with all rows once, those of many small objects at a time."""
        self._folder = folder
        self._on_rows = on_rows
        self._dataset = dataset
        self._run_bytes, self._part_bytes = run_bytes, part_bytes
        self._schema = pa.schema([field.with_type(plain(field.type)) for field in dataset.schema])
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._pieces: dict[str, list[_Piece]] = {}
        self._files = 0
        self._older_from = 0

    def rest_is_older(self) -> None:
        """Rows that are added from now on come before those so far: of events what was said last counts."""
        self._flush()
        self._older_from = self._files

    def add(self, rows: pa.Table) -> None:
        """Rows of the dataset's schema; rows that were added before come first in a part, but for `rest_is_older`."""
        plain_rows = rows.cast(self._schema)
        self._waiting.append(plain_rows)
        self._waiting_bytes += plain_rows.nbytes
        if self._waiting_bytes >= self._run_bytes:
            self._flush()

    def symbols(self) -> list[str]:
        """In order; one empty name for a dataset that is not divided by symbol."""
        self._flush()
        return sorted(self._pieces)

    def parts(self, symbol: str) -> Iterator[pa.Table]:
        """All rows of a symbol by ranges of their ids, in the order of the ranges: rows of one id are in one part."""
        pieces = sorted(self._pieces[symbol], key=lambda piece: piece.file < self._older_from)
        count = -(-sum(piece.size for piece in pieces) // self._part_bytes)
        if count <= 1:
            yield pa.concat_tables([self._read(piece) for piece in pieces])
            return
        bounds = self._bounds(pieces, count)
        for first, end in pairwise(bounds):
            touched = (self._read(piece) for piece in pieces if piece.first < end and piece.last >= first)
            yield pa.concat_tables([_between(table, self._ids(table), first, end) for table in touched])

    def _bounds(self, pieces: list[_Piece], count: int) -> list[int]:
        """Half-open ranges of ids with about as many rows each: by every so many-th row, since a day may have millions."""
        step = max(sum(piece.rows for piece in pieces) // MOST_SAMPLES, 1)
        ids = np.sort(np.concatenate([self._ids(self._read(piece))[::step].copy() for piece in pieces]))
        inner = [int(ids[len(ids) * number // count]) for number in range(1, count)]
        return sorted({min(piece.first for piece in pieces), *inner, max(piece.last for piece in pieces) + 1})

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_bytes = [], 0
        self._on_rows(rows)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(self._folder / str(self._files), self._schema, options=options) as writer:
            for number, (symbol, table) in enumerate(self._divided(rows)):
                (batch,) = table.combine_chunks().to_batches()
                writer.write_batch(batch)
                ids = self._ids(table)
                piece = _Piece(self._files, number, table.num_rows, table.nbytes, int(ids.min()), int(ids.max()))
                self._pieces.setdefault(symbol, []).append(piece)
        self._files += 1

    def _divided(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        if not is_by_symbol(self._dataset):
            yield "", rows
            return
        for symbol in sorted(pc.unique(rows.column("symbol")).to_pylist()):
            yield symbol, rows.filter(pc.equal(rows.column("symbol"), symbol))

    def _read(self, piece: _Piece) -> pa.Table:
        with pa.memory_map(str(self._folder / str(piece.file))) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(piece.batch)])

    def _ids(self, rows: pa.Table) -> Numbers:
        return whole_numbers(rows.column(self._dataset.id_column))


def is_by_symbol(dataset: Dataset) -> bool:
    """Whether each symbol's rows are objects of their own. Events may name no symbol, and are few."""
    return dataset.channel is not None


def _between(rows: pa.Table, ids: Numbers, first: int, end: int) -> pa.Table:
    return rows.filter(pa.array((ids >= first) & (ids < end)))
