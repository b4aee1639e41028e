"""Rows that are in the objects of two days, as two instances file them around midnight: in a table the first received counts.

The others are deleted by their positions (Iceberg's format 2): objects stay as they are, and every engine leaves the rows out.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry
from pyiceberg.table import Table
from pyiceberg.types import PrimitiveType

from tickhouse_core.datasets import Dataset
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.timestamps import from_datetime

_PATH_ID, _POSITION_ID = 2147483546, 2147483545
"""Reserved field ids (Iceberg's specification, "Reserved Field IDs")."""

_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(_PATH_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(_POSITION_ID)}),
    ]
)

Place = tuple[object, ...]
"""A partition: venue and symbol."""

Positions = dict[str, Numbers]
"""Of rows that do not count, in ascending order, by the path of their file."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """What a table's snapshot has of them: files of positions, one per partition. Entries are those of the snapshot before."""

    added: list[DataFile]
    kept: list[ManifestEntry]
    removed: list[ManifestEntry]


@dataclass(frozen=True, slots=True)
class _Span:
    """A file, and the ids of its first and its last row."""

    path: str
    first: int
    last: int


def deletions_of(table: Table) -> list[ManifestEntry]:
    """Of the current snapshot. Errors: those of pyiceberg, as everywhere here."""
    snapshot = table.current_snapshot()
    manifests = [] if snapshot is None else snapshot.manifests(table.io)
    found = [one.fetch_manifest_entry(table.io) for one in manifests if one.content == ManifestContent.DELETES]
    return [entry for entries in found for entry in entries]


class Doubles:
    """Of a table of market data, whose natural key is venue, symbol, id and the series of a symbol where it has some."""

    def __init__(self, table: Table, dataset: Dataset) -> None:
        self._table, self._dataset = table, dataset
        self._column = table.schema().find_field(dataset.id_column)

    def after(self, current: Collection[DataFile], added: Collection[DataFile], removed: Collection[DataFile]) -> Deletions:
        """Once these files were added and removed. Reads only the edges of files whose neighbours are other ones then."""
        entries = {_place_of(entry.data_file): entry for entry in deletions_of(self._table)}
        gone = {file.file_path for file in removed}
        new = [*(file for file in current if file.file_path not in gone), *added]
        before, after = self._by_place(current), self._by_place(new)
        found = Deletions([], [], [])
        for place in sorted({*before, *after, *entries}, key=str):
            entry, spans = entries.get(place), (before.get(place, []), after.get(place, []))
            known = {} if entry is None or set(spans[0]) == set(spans[1]) else self._read(entry.data_file)
            wanted = known if set(spans[0]) == set(spans[1]) else self._positions(*spans, known)
            if entry is not None:
                (found.kept if _same(wanted, known) else found.removed).append(entry)
            if not _same(wanted, known) and wanted:
                found.added.append(self._written(wanted, next(file for file in new if _place_of(file) == place)))
        return found

    def _by_place(self, files: Iterable[DataFile]) -> dict[Place, list[_Span]]:
        spans: dict[Place, list[_Span]] = {}
        for file in files:
            first, last = (self._id_of(bounds[self._column.field_id]) for bounds in (file.lower_bounds, file.upper_bounds))
            spans.setdefault(_place_of(file), []).append(_Span(file.file_path, first, last))
        return spans

    def _id_of(self, bound: bytes) -> int:
        assert isinstance(self._column.field_type, PrimitiveType), "ids are numbers or instants"
        return int(from_bytes(self._column.field_type, bound))

    def _positions(self, before: list[_Span], after: list[_Span], known: Positions) -> Positions:
        """Those of a file stay the `known` ones while it overlaps the same files."""
        partners_before, partners = _partners(before), _partners(after)
        found: Positions = {}
        for span in after:
            if partners_before.get(span) == partners[span]:
                lost = known.get(span.path, np.empty(0, np.int64))
            else:
                lost = self._lost(span, partners[span])
            if len(lost):
                found[span.path] = lost
        return found

    def _lost(self, mine: _Span, partners: Collection[_Span]) -> Numbers:
        """Rows that another file has too, and received before; of rows that were received at once the first path's counts."""
        lost = [np.empty(0, np.int64)]
        for other in partners:
            first, last = max(mine.first, other.first), min(mine.last, other.last)
            others = self._rows(other.path, first, last)
            for series, (ids, received, positions) in self._rows(mine.path, first, last).items():
                if series not in others:
                    continue
                other_ids, other_received, _ = others[series]
                _, places, other_places = np.intersect1d(ids, other_ids, assume_unique=True, return_indices=True)
                ahead = other_received[other_places] - received[places]
                lost.append(positions[places[(ahead < 0) | ((ahead == 0) & (other.path < mine.path))]])
        return np.unique(np.concatenate(lost))

    def _rows(self, path: str, first: int, last: int) -> dict[Place, tuple[Numbers, Numbers, Numbers]]:
        """By series of the symbol: ids, receipts and positions of the rows with ids in between, both included.

        Other row groups are not read.
        """
        apart = self._dataset.series_columns
        names = [self._dataset.id_column, "receipt_time", *apart]
        found: dict[Place, list[tuple[Numbers, Numbers, Numbers]]] = {}
        start = 0
        with self._table.io.new_input(path).open() as stream:
            file = pq.ParquetFile(stream)
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                if _may_have(group, names[0], first, last):
                    rows = file.read_row_group(number, columns=names)
                    ids, received = (whole_numbers(rows.column(name)).astype(np.int64) for name in names[:2])
                    inside = np.flatnonzero((ids >= first) & (ids <= last))
                    for series, places in _by_series(rows.select(apart), inside):
                        found.setdefault(series, []).append((ids[places], received[places], places + start))
                start += group.num_rows
        return {series: _joined(parts) for series, parts in found.items()}

    def _read(self, file: DataFile) -> Positions:
        with self._table.io.new_input(file.file_path).open() as stream:
            rows = pq.read_table(stream).to_pydict()
        pairs = zip(rows["file_path"], rows["pos"], strict=True)  # in order
        return {path: np.array([pos for _, pos in each], np.int64) for path, each in groupby(pairs, key=lambda pair: pair[0])}

    def _written(self, positions: Positions, sample: DataFile) -> DataFile:
        """A new file; what stays of it after a lost commit is named by nothing."""
        paths = sorted(positions)
        rows = pa.table(
            [
                pa.array(np.repeat(np.array(paths, object), [len(positions[path]) for path in paths])).cast(pa.string()),
                pa.array(np.concatenate([positions[path] for path in paths])),
            ],
            schema=_SCHEMA,
        )
        output = self._table.io.new_output(f"{self._table.location()}/data/deletes-{uuid4().hex}.parquet")
        with output.create() as stream:
            pq.write_table(rows, stream, compression="zstd")
        return DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=output.location,
            file_format=FileFormat.PARQUET,
            partition=sample.partition,
            record_count=rows.num_rows,
            file_size_in_bytes=len(output),
            lower_bounds={_PATH_ID: paths[0].encode()},
            upper_bounds={_PATH_ID: paths[-1].encode()},
            spec_id=self._table.metadata.default_spec_id,
        )


def _place_of(file: DataFile) -> Place:
    return tuple(file.partition[place] for place in range(len(file.partition)))


def _partners(spans: Iterable[_Span]) -> dict[_Span, set[_Span]]:
    """Of each the others whose ids overlap its own."""
    found: dict[_Span, set[_Span]] = {}
    reaching: list[_Span] = []
    for span in sorted(spans, key=lambda one: (one.first, one.last, one.path)):
        reaching = [one for one in reaching if one.last >= span.first]
        found[span] = set(reaching)
        for one in reaching:
            found[one].add(span)
        reaching.append(span)
    return found


def _by_series(rows: pa.Table, places: Numbers) -> Iterator[tuple[Place, Numbers]]:
    """The places of the rows of each series; a table without columns has one."""
    if not rows.num_columns:
        yield (), places
        return
    named = np.array(list(zip(*(column.to_pylist() for column in rows.columns), strict=True)), dtype=object)
    mine = [tuple(names) for names in named[places]]
    for series in dict.fromkeys(mine):
        yield series, places[[names == series for names in mine]]


def _joined(parts: list[tuple[Numbers, Numbers, Numbers]]) -> tuple[Numbers, Numbers, Numbers]:
    ids, received, positions = (np.concatenate(column) for column in zip(*parts, strict=True))
    return ids, received, positions


def _may_have(group: "pq.RowGroupMetaData", name: str, first: int, last: int) -> bool:
    columns = (group.column(number) for number in range(group.num_columns))
    said = next(one.statistics for one in columns if one.path_in_schema == name)
    if said is None or not said.has_min_max:
        return True
    least, most = (value if isinstance(value, int) else from_datetime(value) for value in (said.min, said.max))
    return bool(least <= last and most >= first)


def _same(one: Positions, other: Positions) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[path], other[path]) for path in one)
