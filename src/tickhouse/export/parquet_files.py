"""Plain Parquet: one file per dataset and symbol in the columns of the read API, each row once, prices as exact decimals."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tickhouse.export.job import Job
from tickhouse.export.plan import Outcome, Plan
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, Dataset
from tickhouse_core.reading.ordering import whole_numbers

_GROUP_ROWS = 100_000


class GroupedWriter:
    """A Parquet file that is written in row groups of about the same size: the same rows give the same bytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._waiting = schema.empty_table()
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """In the file's schema."""
        self._waiting = pa.concat_tables([self._waiting, table])
        self.rows += table.num_rows
        while self._waiting.num_rows >= _GROUP_ROWS:
            self._writer.write_table(self._waiting.slice(0, _GROUP_ROWS).combine_chunks(), row_group_size=_GROUP_ROWS)
            self._waiting = self._waiting.slice(_GROUP_ROWS)

    def close(self) -> None:
        """The file is whole then."""
        if self._waiting.num_rows:
            self._writer.write_table(self._waiting.combine_chunks(), row_group_size=_GROUP_ROWS)
            self._waiting = self._waiting.slice(self._waiting.num_rows)
        self._writer.close()


def write_tables(job: Job, plan: Plan, channels: tuple[str, ...], folder: Path) -> Outcome:
    """Raises LakeUnavailable, AccessRefused, Interrupted."""
    outcome = Outcome()
    begun = _Beginnings()
    for dataset in _datasets(channels):
        name = f"{job.asked.symbols[0]}_{dataset.name}{f'_{job.asked.interval}' if dataset is KLINES else ''}.parquet"
        rows = job.rows(dataset)
        writer = GroupedWriter(folder / name, rows.schema)
        try:
            for batch in rows.batches():
                table = pa.Table.from_batches([batch])
                times = whole_numbers(table.column(dataset.time_column))
                keep = plan.keeps(times)
                if dataset is DEPTH_DIFFS:
                    begun.see(table, keep)
                elif dataset is DEPTH_SNAPSHOTS:
                    keep = keep | begun.stand_on(table)
                kept = table.filter(pa.array(keep, pa.bool_()))
                outcome.count(dataset.name, table.num_rows, kept.num_rows)
                writer.write(kept)
                job.progress(int(times[-1]))
        finally:
            writer.close()
        outcome.files.append((name, writer.rows))
    return outcome


class _Beginnings:
    """The updates at which what is kept begins. A snapshot that one of them goes on from is kept too."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._was_kept = False

    def see(self, diffs: pa.Table, keep: npt.NDArray[np.bool_]) -> None:
        """The next updates, in order, and which of them are kept."""
        starts = np.flatnonzero(keep & ~np.r_[self._was_kept, keep[:-1]])
        self._first += whole_numbers(diffs.column("first_update_id"))[starts].tolist()
        self._last += whole_numbers(diffs.column("last_update_id"))[starts].tolist()
        self._was_kept = bool(keep[-1])

    def stand_on(self, snapshots: pa.Table) -> npt.NDArray[np.bool_]:
        """Binance: the first update on a snapshot has first_update_id <= lastUpdateId + 1 <= last_update_id."""
        following = whole_numbers(snapshots.column("last_update_id"))[:, None] + 1
        found: npt.NDArray[np.bool_] = np.any((np.array(self._first) <= following) & (following <= np.array(self._last)), axis=1)
        return found


def _datasets(channels: tuple[str, ...]) -> Iterator[Dataset]:
    for channel in channels:
        yield from (dataset for dataset in DATASETS if dataset.channel == channel)
