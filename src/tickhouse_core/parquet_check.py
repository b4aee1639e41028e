"""Whether a Parquet file is one of a dataset, and its rows exactly: names, types, nulls and values against the catalogue.

Loader and backfiller both ask here, so that what the one refuses the other does not count as there. A file of any writer fits if
no digit is lost on the way into the dataset's types.
"""

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from tickhouse_core.columns import INSTANT, instant_range
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.lake_keys import parse_object_key
from tickhouse_core.parquet_columns import (
    KNOWN_SCHEMA_VERSIONS,
    check_columns,
    check_decimals,
    check_text,
    fitted,
    is_text,
    plain,
)
from tickhouse_core.parquet_footer import Leaf, Unaskable, check_chunks
from tickhouse_core.parquet_sizes import (
    MOST_BYTES,
    check_footer,
    check_row_groups,
    cut_by_size,
    expanded_bytes,
    row_width,
    sizes_of,
)
from tickhouse_core.parquet_sums import footer_of, has_sums, is_damaged

_MOST_CHUNKS = 1_000
"""Each costs some microseconds a column in every step; above, one copy is cheaper."""

_ROWS_WORTH_THREADS = 50_000
"""Below, several objects at once keep the cores busier than the columns of one."""

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def read_checked(body: bytes, dataset: Dataset, key: str = "", *, most_bytes: int = MOST_BYTES) -> pa.Table:
    """All rows in the columns of the dataset, every value decoded and checked: nothing of a broken object gets further.

    What another tool wrote is cast to the dataset's types where that loses nothing: decimals of any precision, scale and
    width, instants of any unit and time zone, counts of any integer, text in any encoding. The order of columns does not
    matter, pandas' index columns are left out, and a name that is no column is taken from the partitions of the object's
    `key` (Hive's layout); a column goes before the key. Columns that may be null are null where an older object does not have
    them.

    Raises ObjectRefused, whose message says how to write the file instead: not_parquet, unknown_schema_version,
    missing_column, unknown_column, duplicate_column, wrong_type, too_large (`most_bytes` once decoded), broken_pages,
    wrong_row_count, null_value, wrong_value.
    """
    return CheckedFile(body, dataset, key, most_bytes=most_bytes).whole()


class CheckedFile:
    """A file whose footer fits the dataset; its rows are decoded and checked whenever they are asked for.

    `sizes` is what the footer says of them. See `read_checked` for what fits and for the reasons of a refusal.
    """

    def __init__(self, body: bytes, dataset: Dataset, key: str = "", *, most_bytes: int = MOST_BYTES) -> None:
        check_footer(body)
        file = _open(body)
        self._partitions = _partitions(key)
        check_columns(file.schema_arrow, dataset, self._partitions)
        check_decimals(file, dataset)
        check_row_groups(file.metadata)
        refuse_unaskable(file, footer_of(body))
        self.sizes = sizes_of(file, body, dataset)
        _refuse_larger(self.sizes.decoded, most_bytes, self.sizes.written_out)
        _check_rows(file.metadata)
        refuse_damaged(footer_of(body), len(body), body)
        self._body = body
        self._metadata = file.metadata
        self._dataset = dataset
        self._most_bytes = most_bytes

    def whole(self) -> pa.Table:
        """All rows. Raises ObjectRefused."""
        table = self.whole_within(self._most_bytes)
        assert table is not None, "as many bytes as any object may have"
        return table

    def whole_within(self, most_bytes: int) -> pa.Table | None:
        """All rows; None where texts that are written out for every row have more. Raises ObjectRefused."""
        with _decoding():
            table = self._reader().read(use_threads=self._metadata.num_rows >= _ROWS_WORTH_THREADS)
            table.validate(full=True)
        self._check_count(table.num_rows)
        if table.num_columns and table.column(0).num_chunks > _MOST_CHUNKS:
            table = table.unify_dictionaries().combine_chunks()
        expanded = expanded_bytes(table, self._dataset)
        written_out = table.nbytes + expanded if expanded else 0
        _refuse_larger(written_out, self._most_bytes)
        return self._fitted(table) if written_out <= most_bytes else None

    def pieces(self, piece_bytes: int) -> Iterator[pa.Table]:
        """All rows in order, in tables of at most about `piece_bytes`; every time the very same ones.

        Raises ObjectRefused on the way, also where one row is larger.
        """
        rows = max(piece_bytes // row_width(self._dataset), 1)
        batches = self._reader().iter_batches(batch_size=rows, use_threads=False)
        size = seen = 0
        while True:
            with _decoding():
                batch = next(batches, None)
                if batch is None:
                    self._check_count(seen)
                    return
                seen += batch.num_rows
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
            for field in self._dataset.schema:
                if field.name in table.schema.names:
                    check_text(table.column(field.name), field)  # before it is written out
            for part in cut_by_size(table, self._dataset, piece_bytes):
                piece = self._fitted(part)
                size += piece.nbytes
                _refuse_larger(size, self._most_bytes)
                yield piece

    def _check_count(self, rows: int) -> None:
        if rows != self._metadata.num_rows:
            said = f"the footer counts {self._metadata.num_rows} rows, its row groups have {rows}"
            raise ObjectRefused("wrong_row_count", f"{said}: write the file again")

    def _reader(self) -> pq.ParquetFile:
        """Text arrives as it is in the file, each distinct value of a page once: a few kilobytes can name gigabytes."""
        in_file = {self._metadata.schema.column(number).path for number in range(self._metadata.num_columns)}
        in_file -= self.sizes.written_out
        texts = [field.name for field in self._dataset.schema if is_text(field.type) and field.name in in_file]
        with _decoding():
            return pq.ParquetFile(
                pa.BufferReader(self._body), metadata=self._metadata, read_dictionary=texts, page_checksum_verification=True
            )

    def _fitted(self, table: pa.Table) -> pa.Table:
        columns = []
        for field in self._dataset.schema:
            in_file = field.name in table.schema.names
            column = table.column(field.name) if in_file else _constant(self._partitions, field, table.num_rows)
            columns.append(fitted(column, field, self._dataset))
        return pa.table(columns, schema=self._dataset.schema)


def is_as_we_write(file: pq.ParquetFile, dataset: Dataset, key: str = "") -> bool:
    """Whether the footer is our writer's for these very rows: then its statistics need no second look at the values.

    Names are those of the `key`'s partitions in every row.
    Tools that change values and write the file again carry our metadata over, so the statistics are looked at too.
    """
    schema, metadata, partitions = file.schema_arrow, file.schema_arrow.metadata or {}, _partitions(key)
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    return bool(
        [(field.name, plain(field.type)) for field in schema] == [(field.name, plain(field.type)) for field in dataset.schema]
        and metadata.get(b"tickhouse.schema_version", b"").decode(errors="replace") in KNOWN_SCHEMA_VERSIONS
        and metadata.get(b"tickhouse.row_count") == str(file.metadata.num_rows).encode()
        and all(_may_be_ours(group, dataset, partitions) for group in groups)
    )


def _may_be_ours(group: pq.RowGroupMetaData, dataset: Dataset, partitions: Mapping[str, str]) -> bool:
    """Whether the statistics of a row group show no null where none may be, no instant that no market can have, and no name
    but the one in the key."""
    fields = {field.name: field for field in dataset.schema}
    for number in range(group.num_columns if group.num_rows else 0):
        column = group.column(number)
        field, found = fields.get(column.path_in_schema), column.statistics
        in_key = partitions.get(column.path_in_schema)
        if in_key is not None and (found is None or not found.has_min_max or not found.min == found.max == in_key):
            return False
        if field is None or found is None:  # levels have no statistics
            continue
        if found.null_count and not field.nullable:
            return False
        if field.type == INSTANT and found.has_min_max:
            plausible = instant_range(field.name)
            if not (plausible.holds(found.min_raw) and plausible.holds(found.max_raw)):
                return False
    return True


def _open(body: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ObjectRefused("not_parquet", f"not a Parquet file of {len(body)} bytes: {error}") from error


def refuse_unaskable(file: pq.ParquetFile, footer: bytes | memoryview) -> None:
    """Before pyarrow is asked for sizes or statistics of a column: see `parquet_footer`. Raises ObjectRefused."""
    schema = file.metadata.schema
    columns = (schema.column(number) for number in range(file.metadata.num_columns))
    leaves = [Leaf(column.physical_type, column.max_repetition_level, column.max_definition_level) for column in columns]
    try:
        check_chunks(bytes(footer), leaves)
    except Unaskable as wrong:
        raise ObjectRefused("not_parquet", str(wrong)) from wrong
    except (ValueError, IndexError, RecursionError) as error:
        raise ObjectRefused("not_parquet", "not a Parquet file: its footer cannot be read") from error


def read_footer(file: io.RawIOBase | io.BufferedIOBase) -> bytes:
    """The footer alone of a file that is not in memory; see `footer_of`."""
    end = file.seek(-8, io.SEEK_END)
    size = int.from_bytes(file.read(4) or b"", "little")
    file.seek(max(end - size, 0))
    return file.read(min(size, end)) or b""


def refuse_damaged(footer: bytes | memoryview, size: int, file: bytes | memoryview | None = None) -> bool:
    """Where our writer's sums are wrong: of the footer, and of all of the `file` where it is given. Raises ObjectRefused.

    Returns whether there are sums: if so, these bytes are the ones that were written.
    """
    if is_damaged(footer, size, file):
        raise ObjectRefused("broken_pages", "damaged after it was written: its bytes are not those of its tickhouse.crc32")
    return has_sums(footer, size)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        if "decimal" in str(error).lower() and "precision" in str(error).lower():
            raise ObjectRefused("wrong_value", f"a decimal has more digits than its type: {error}") from error
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error


def _partitions(key: str) -> dict[str, str]:
    parsed = parse_object_key(key)
    return {name: value for name, value in (parsed.partitions if parsed else {}).items() if value and value != _HIVE_NULL}


def _constant(partitions: Mapping[str, str], field: pa.Field, rows: int) -> pa.ChunkedArray:
    if field.name not in partitions:
        return pa.chunked_array([pa.nulls(rows, field.type)])
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, [partitions[field.name]])])


def _refuse_larger(decoded: int, most_bytes: int, written_out: Collection[str] = ()) -> None:
    if decoded > most_bytes:
        remedy = f": write {', '.join(sorted(written_out))} in another encoding than DELTA_BYTE_ARRAY" if written_out else ""
        raise ObjectRefused("too_large", f"{decoded:,} bytes once decoded, {most_bytes:,} are allowed (--object-mb){remedy}")


def _check_rows(metadata: pq.FileMetaData) -> None:
    """Page checksums do not cover the footer: a smaller count there would leave rows out without a word.

    So a count that our writer's `tickhouse.row_count` contradicts must be the count of every column of every row group.
    Tools that rewrite a part of one of our files carry that text over: such a file is as sound as its own counts.
    """
    said = (metadata.metadata or {}).get(b"tickhouse.row_count")
    if said is None or said == str(metadata.num_rows).encode():
        return
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    flat = [number for number in range(metadata.num_columns) if metadata.schema.column(number).max_repetition_level == 0]
    is_sound = metadata.num_rows == sum(group.num_rows for group in groups) and all(
        group.column(number).num_values == group.num_rows for group in groups for number in flat
    )
    if not is_sound:
        raise ObjectRefused(
            "wrong_row_count",
            f"the footer counts {metadata.num_rows} rows, not those of its columns, and our writer landed "
            f"{said[:20].decode(errors='replace')}: write the file again, without the metadata tickhouse.row_count",
        )
