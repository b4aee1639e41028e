"""Small objects of our own writer, decoded together: what a loader checks of each row is checked of all their rows at once.

Where the sums of an object are right, its bytes are those that our writer wrote. So nothing of it needs to be looked at twice:
its pages and the sizes that they say, and its schema, which is the same bytes in all of them.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.object_store import StoredObject
from tickhouse_core.parquet_check import refuse_damaged
from tickhouse_core.parquet_columns import KNOWN_SCHEMA_VERSIONS, fitted, plain
from tickhouse_core.parquet_headers import LIST, behind, integer
from tickhouse_core.parquet_sizes import row_width
from tickhouse_core.parquet_sums import footer_of
from tickhouse_core.reading.object_rows import SMALL_BYTES, plain_schema
from tickhouse_core.reading.tiny_objects import are_many_and_tiny, decoded

Group = tuple[list[StoredObject], pa.Table | None]

_VERSIONS = [f"\x18\x18tickhouse.schema_version\x18{chr(len(one))}{one}".encode() for one in KNOWN_SCHEMA_VERSIONS]
"""Thrift's compact form of the key and its value."""

_VERSION_FIELD, _SCHEMA_FIELD, _ROWS_FIELD = 0x15, 0x19, 0x16
"""How a footer begins: heads of the first three fields of FileMetaData (Apache Parquet: "parquet.thrift"), as our writer has
them."""

_MOST_SCHEMAS = 16
"""That are remembered: each release of pyarrow may spell it in its own way."""


class SmallObjects:
    """Of one dataset and venue. Rows have the dataset's columns, names as plain strings."""

    def __init__(self, dataset: Dataset, venue: str, most_bytes: int) -> None:
        """`most_bytes`: of rows in memory at once."""
        self._dataset, self._venue, self._most_bytes = dataset, venue, most_bytes
        self._schema = pa.schema([field.with_type(plain(field.type)) for field in dataset.schema])
        self._schemas: list[bytes] = []
        self._is_flat = not any(pa.types.is_nested(field.type) or pa.types.is_string(field.type) for field in dataset.schema)

    def groups(self, objects: Sequence[StoredObject]) -> Iterator[Group]:
        """Neighbours in their order, with all rows of them; None for those that have to be looked at one by one."""
        sizes = [self._decoded_bytes(one.body) for one in objects]
        ends = _ends(sizes, self._most_bytes)
        places = groupby(range(len(objects)), key=lambda place: (sizes[place] is None, ends[place]))
        for (is_other, _), some in places:
            found = [objects[place] for place in some]
            yield found, None if is_other else self._rows([one.body for one in found])

    def _decoded_bytes(self, body: bytes) -> int | None:
        """Of its rows in memory, about; None where it is not an object of our writer, or a large one."""
        footer = bytes(footer_of(body))
        if len(body) > SMALL_BYTES or not any(version in footer for version in _VERSIONS):
            return None
        try:
            if not refuse_damaged(footer, len(body), body):
                return None
            schema = next((known for known in self._schemas if footer.startswith(known)), None) or self._new_schema(footer, body)
            if schema is None or footer[len(schema)] != _ROWS_FIELD:
                return None
            rows, _ = integer(footer, len(schema) + 1)
        except (ObjectRefused, pa.ArrowException, OSError, ValueError, IndexError, RecursionError):
            return None
        size = rows * row_width(self._dataset)
        if not self._is_flat:  # without a dictionary: what is not compressed takes as much as in memory
            metadata = pq.read_metadata(pa.BufferReader(body))
            size += sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        return size if size <= self._most_bytes else None

    def _new_schema(self, footer: bytes, body: bytes) -> bytes | None:
        """How footers with this schema begin; None where its columns are not the dataset's."""
        if footer[0] != _VERSION_FIELD:
            return None
        _, at = integer(footer, 1)
        schema = pq.read_schema(pa.BufferReader(body))
        if footer[at] != _SCHEMA_FIELD or (schema.names, schema.types) != (self._schema.names, self._schema.types):
            return None
        found = footer[: behind(footer, at + 1, LIST)]
        self._schemas = [found, *self._schemas][:_MOST_SCHEMAS]
        return found

    def _rows(self, bodies: list[bytes]) -> pa.Table | None:
        try:
            rows = self._by_polars(bodies)
            if rows is None:
                rows = pa.concat_tables([pq.ParquetFile(pa.BufferReader(body)).read(use_threads=False) for body in bodies])
            return self._checked(rows)
        except (ObjectRefused, pa.ArrowException, OSError):  # which of them it is, and why, is found one by one
            return None

    def _by_polars(self, bodies: list[bytes]) -> pa.Table | None:
        """None where it is not the faster way."""
        needed = pa.schema([field for field in plain_schema(self._dataset) if field.name != "venue"])
        if not self._is_flat or not are_many_and_tiny([len(body) for body in bodies], needed):
            return None
        rows = decoded(bodies, needed, self._venue)
        if rows is None:
            return None
        return rows.append_column("venue", pa.repeat(pa.scalar(self._venue), rows.num_rows)).select(self._schema.names)

    def _checked(self, rows: pa.Table) -> pa.Table:
        """Raises ObjectRefused for a value that no loader takes, pyarrow's errors for one that is none of its type."""
        rows = rows.combine_chunks()
        rows.validate(full=True)
        columns = [fitted(rows.column(field.name), field, self._dataset) for field in self._schema]
        if rows.column("venue").unique().to_pylist() not in ([], [self._venue]):
            raise ObjectRefused("wrong_value", f"rows of other venues under {self._venue}")
        return pa.table(columns, schema=self._schema)


def _ends(sizes: Sequence[int | None], most_bytes: int) -> list[int]:
    """A number for each: the same for neighbours that fit into `most_bytes` together."""
    found: list[int] = []
    number = total = 0
    for size in sizes:
        total += size or 0
        if total > most_bytes:
            number, total = number + 1, size or 0
        found.append(number)
    return found
