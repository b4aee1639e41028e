"""The rows of some objects that a filter lets through: footers and statistics decide what of a file is read and decoded."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectMissing, ObjectRefused
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.parquet_check import read_checked

log = logging.getLogger(__name__)

WHOLE_BYTES = 4 * 1024 * 1024
"""Smaller objects of a bucket are one request; of larger ones only the columns and row groups that are needed."""

_REQUESTS = 8
"""Under way at once."""

_FORMAT = ds.ParquetFileFormat()


class ObjectRows:
    """Reads objects of one dataset. `unreadable` collects why an object was left out: the loader would quarantine it."""

    def __init__(self, store: ObjectStore, dataset: Dataset, columns: Sequence[str] | None = None) -> None:
        """`columns`: only these, in the dataset's order."""
        self._store = store
        self._dataset = dataset
        fields = [pa.field(field.name, _plain(field.type)) for field in dataset.schema]
        self._whole = pa.schema(fields)
        self.schema = pa.schema([field for field in fields if columns is None or field.name in columns])
        self.unreadable: list[str] = []

    def read(self, summaries: Sequence[ObjectSummary], wanted: ds.Expression) -> pa.Table:
        """Their rows in the order of the objects; names are plain strings. Raises LakeUnavailable, AccessRefused."""
        try:
            return self._scan(self._fragments(summaries), wanted)
        except (pa.ArrowException, OSError, ObjectRefused):
            parts = [self._read_one(summary, wanted) for summary in summaries]
        return pa.concat_tables([self.schema.empty_table(), *parts])

    def _scan(self, fragments: list[ds.Fragment], wanted: ds.Expression) -> pa.Table:
        if not fragments:
            return self.schema.empty_table()
        dataset = ds.FileSystemDataset(fragments, self._whole, _FORMAT)
        name = self._dataset.natural_key[1]
        table = dataset.to_table(columns=self.schema.names, filter=wanted | ds.field(name).is_null())
        if name in self.schema.names and table.column(name).null_count:
            raise ObjectRefused("missing_column", "names are in the key: it is read on its own")
        return table

    def _fragments(self, summaries: Sequence[ObjectSummary]) -> list[ds.Fragment]:
        store = self._store
        if isinstance(store, FolderStore):
            local = fs.LocalFileSystem(use_mmap=True)
            return [_FORMAT.make_fragment(store.where(summary.key), local) for summary in summaries]
        with ThreadPoolExecutor(_REQUESTS) as pool:
            return [_FORMAT.make_fragment(source) for source in pool.map(self._source, summaries)]

    def _source(self, summary: ObjectSummary) -> pa.NativeFile:
        if summary.size <= WHOLE_BYTES:
            return pa.BufferReader(self._store.read(summary.key).body)
        return pa.PythonFile(self._store.open(summary), mode="r")

    def _read_one(self, summary: ObjectSummary, wanted: ds.Expression) -> pa.Table:
        """An object that is not as our writer writes it: what the loader can read, we can."""
        try:
            rows = read_checked(self._store.read(summary.key).body, self._dataset, summary.key)
        except ObjectMissing:
            return self.schema.empty_table()
        except ObjectRefused as refused:
            self.unreadable.append(f"{self._store.where(summary.key)}: {refused.reason}: {refused}")
            log.warning("an object is left out", extra={"key": summary.key, "why": refused.reason})
            return self.schema.empty_table()
        return rows.cast(self._whole).filter(wanted).select(self.schema.names)


def in_chunks(found: Sequence[ObjectSummary], most_bytes: int, most_objects: int) -> Iterator[Sequence[ObjectSummary]]:
    """Neighbours, as many as fit; an object that is larger is alone."""
    start, size = 0, 0
    for place, summary in enumerate(found):
        if place > start and (size + summary.size > most_bytes or place - start >= most_objects):
            yield found[start:place]
            start, size = place, 0
        size += summary.size
    if start < len(found):
        yield found[start:]


def between(column: str, start: int, end: int) -> ds.Expression:
    """Instants from `start` up to but not including `end`, in microseconds."""
    moment: Callable[[int], pa.Scalar] = lambda instant: pa.scalar(instant, pa.timestamp("us", tz="UTC"))  # noqa: E731
    return (ds.field(column) >= moment(start)) & (ds.field(column) < moment(end))


def _plain(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(type_) else type_
