"""Whether a Parquet file is one of a dataset, and its rows exactly: names, types, nulls and values against the catalogue.

Loader and backfiller both ask here, so that what the one refuses the other does not count as there. Whoever wrote the file,
it fits if no digit is lost on the way into the dataset's types.
"""

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse_core.datasets import INSTANT, SCHEMA_VERSION, Dataset, instant_range, most_text_bytes
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.lake_keys import parse_object_key
from tickhouse_core.timestamps import format_instant

KNOWN_SCHEMA_VERSIONS = frozenset({SCHEMA_VERSION})

_WIDTHS = {"FIXED_LEN_BYTE_ARRAY": 16, "INT64": 8, "INT32": 4, "BYTE_ARRAY": 4, "BOOLEAN": 1}
"""Bytes in memory of a value of the types that datasets have, at least; of a name its index."""
_ROWS_WORTH_THREADS = 50_000
"""Below, several objects at once keep the cores busier than the columns of one."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def read_checked(body: bytes, dataset: Dataset, key: str = "", *, most_bytes: int = 2 * 1024**3) -> pa.Table:
    """All rows in the columns of the dataset, every value decoded and checked: nothing of a broken object gets further.

    What another tool wrote is cast to the dataset's types where that loses nothing: decimals of any precision, scale and
    width, instants of any unit and time zone, counts of any integer, text in any encoding. The order of columns does not
    matter, pandas' index columns are left out, and a name that is no column is taken from the partitions of the object's
    `key` (Hive's layout). Columns that may be null are null where an older object does not have them.

    Raises ObjectRefused, whose message says how to write the file instead: not_parquet, unknown_schema_version,
    missing_column, unknown_column, duplicate_column, wrong_type, too_large (`most_bytes` once decoded), broken_pages,
    wrong_row_count, null_value, wrong_value.
    """
    file = _open(body)
    partitions = _partitions(key)
    check_columns(file.schema_arrow, dataset, partitions)
    _check_size(file.metadata, most_bytes)
    _check_rows(file.metadata)
    table = _decode(body, file, dataset)
    _check_expanded_size(table, dataset, most_bytes)
    rows = table.num_rows
    columns = []
    for field in dataset.schema:
        column = table.column(field.name) if field.name in table.schema.names else _constant(partitions, field, rows)
        columns.append(_fitted(column, field, dataset))
    return pa.table(columns, schema=dataset.schema)


def check_columns(schema: pa.Schema, dataset: Dataset, partitions: Mapping[str, str] | None = None) -> None:
    """What the footer alone can say: raises ObjectRefused for columns whose values cannot fit, whatever they are."""
    _check_version(schema.metadata or {}, dataset)
    try:
        _check_schema(schema, dataset, partitions or {})
    except UnicodeDecodeError as error:  # a time zone that is no text: pyarrow decodes it when it is asked for
        raise ObjectRefused("not_parquet", f"not a Parquet file: {error}") from error


def is_as_we_write(file: pq.ParquetFile, dataset: Dataset) -> bool:
    """Whether the footer is our writer's for these very rows: then its statistics need no second look at the values.

    Tools that change values and write the file again carry our metadata over, so the statistics are looked at too.
    """
    schema, metadata = file.schema_arrow, file.schema_arrow.metadata or {}
    return bool(
        [(field.name, _plain(field.type)) for field in schema] == [(field.name, _plain(field.type)) for field in dataset.schema]
        and metadata.get(b"tickhouse.schema_version", b"").decode(errors="replace") in KNOWN_SCHEMA_VERSIONS
        and metadata.get(b"tickhouse.row_count") == str(file.metadata.num_rows).encode()
        and all(_may_be_ours(file.metadata.row_group(number), dataset) for number in range(file.metadata.num_row_groups))
    )


def _may_be_ours(group: pq.RowGroupMetaData, dataset: Dataset) -> bool:
    """Whether the statistics of a row group show no null where none may be, and no instant that no market can have."""
    fields = {field.name: field for field in dataset.schema}
    for number in range(group.num_columns if group.num_rows else 0):
        column = group.column(number)
        field, found = fields.get(column.path_in_schema), column.statistics
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


def _decode(body: bytes, file: pq.ParquetFile, dataset: Dataset) -> pa.Table:
    """Text arrives as it is in the file, each distinct value of a page once: a few kilobytes can name gigabytes."""
    columns = {file.metadata.schema.column(number).path for number in range(file.metadata.num_columns)}
    texts = [field.name for field in dataset.schema if _is_text(field.type) and field.name in columns]
    try:
        reader = pq.ParquetFile(
            pa.BufferReader(body), metadata=file.metadata, read_dictionary=texts, page_checksum_verification=True
        )
        table = reader.read(use_threads=file.metadata.num_rows >= _ROWS_WORTH_THREADS)
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if "decimal" in str(error).lower() and "precision" in str(error).lower():
            raise ObjectRefused("wrong_value", f"a decimal has more digits than its type: {error}") from error
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    return table


def _partitions(key: str) -> dict[str, str]:
    parsed = parse_object_key(key)
    return {name: value for name, value in (parsed.partitions if parsed else {}).items() if value and value != _HIVE_NULL}


def _constant(partitions: Mapping[str, str], field: pa.Field, rows: int) -> pa.ChunkedArray:
    if field.name not in partitions:
        return pa.chunked_array([pa.nulls(rows, field.type)])
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, [partitions[field.name]])])


def _fitted(column: pa.ChunkedArray, field: pa.Field, dataset: Dataset) -> pa.ChunkedArray:
    """In the field's type, every value as it was."""
    path = _null_path(column, field)
    if path:
        raise ObjectRefused("null_value", f"column {path} has nulls where {dataset.name} allows none")
    if column.type != field.type:
        column = _cast(column, field, dataset)
    _check_text(column, field)
    if field.type == INSTANT:
        _check_instants(column, field.name)
    return column


def _cast(column: pa.ChunkedArray, field: pa.Field, dataset: Dataset) -> pa.ChunkedArray:
    """pyarrow's safe casts: they raise instead of rounding, cutting or wrapping."""
    said = f"column {field.name} is {column.type}, {dataset.name} needs {_plain(field.type)}"
    try:
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        why = f"a value does not fit without loss ({str(error).splitlines()[0][:200]})"
        raise ObjectRefused("wrong_value", f"{said}: {why}; write values of that type") from error
    except pa.ArrowNotImplementedError as error:
        raise ObjectRefused("wrong_type", f"{said}: write it in that type") from error


def _check_instants(column: pa.ChunkedArray, name: str) -> None:
    plausible, found = instant_range(name), pc.min_max(column)
    for instant in (found["min"], found["max"]):
        if instant.is_valid and not plausible.holds(instant.value):
            raise ObjectRefused(
                "wrong_value",
                f"column {name} has an instant of {instant.value} us since 1970, which is not from "
                f"{format_instant(plausible.first)} up to {format_instant(plausible.end)}: "
                "write microseconds, UTC; is it in another unit?",
            )


def _check_text(column: pa.ChunkedArray, field: pa.Field) -> None:
    allowed = most_text_bytes(field)
    if allowed is None:
        return
    for chunk in column.chunks:
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        longest = pc.max(pc.binary_length(texts)).as_py() if len(texts) else None
        if longest is not None and longest > allowed:
            raise ObjectRefused("wrong_value", f"column {field.name} has a text of {longest:,} bytes, {allowed:,} are allowed")


def _check_version(metadata: dict[bytes, bytes], dataset: Dataset) -> None:
    """A file that does not say (another tool wrote it) is judged by its columns alone."""
    version = metadata.get(b"tickhouse.schema_version", SCHEMA_VERSION.encode()).decode(errors="replace")
    if version not in KNOWN_SCHEMA_VERSIONS:
        known = ", ".join(sorted(KNOWN_SCHEMA_VERSIONS))
        raise ObjectRefused(
            "unknown_schema_version",
            f"schema version {version!r} of {dataset.name}: this loader knows {known}; update it, then redrive the object",
        )


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


def _check_size(metadata: pq.FileMetaData, most_bytes: int) -> None:
    """A page of equal values is a few bytes whatever their number, so the values count, not only what encodes them."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    decoded = sum(
        max(column.total_uncompressed_size, column.num_values * _WIDTHS.get(column.physical_type, 16)) for column in columns
    )
    _refuse_larger(decoded, most_bytes)


def _check_expanded_size(table: pa.Table, dataset: Dataset, most_bytes: int) -> None:
    """Text that is not dictionary-encoded in the dataset is written out for every row."""
    written_out = [field.name for field in dataset.schema if pa.types.is_string(field.type) and field.name in table.schema.names]
    expanded = 0
    for name in written_out:
        for chunk in table.column(name).chunks:
            if pa.types.is_dictionary(chunk.type) and len(chunk):
                lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
                expanded += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    _refuse_larger(table.nbytes + expanded if expanded else 0, most_bytes)


def _refuse_larger(decoded: int, most_bytes: int) -> None:
    if decoded > most_bytes:
        raise ObjectRefused("too_large", f"{decoded:,} bytes once decoded, {most_bytes:,} are allowed (--object-mb)")


def _null_path(column: pa.ChunkedArray, field: pa.Field) -> str:
    """Where the first null is that the field does not allow, at any depth (`bids.element.price`); empty if nowhere."""
    if not field.nullable and column.null_count:
        return str(field.name)
    if pa.types.is_null(column.type):
        return ""
    if pa.types.is_list(field.type):
        inside = [(pc.list_flatten(column), field.type.value_field)]
    elif pa.types.is_struct(field.type):
        inside = [(pc.struct_field(column, child.name), child) for child in field.type]
    else:
        return ""
    found = (_null_path(values, child) for values, child in inside)
    return next((f"{field.name}.{path}" for path in found if path), "")


def _check_schema(schema: pa.Schema, dataset: Dataset, partitions: Mapping[str, str]) -> None:
    if schema.equals(dataset.schema):
        return
    expected = {field.name: field.type for field in dataset.schema}
    from_key = {name for name in partitions if name in expected and _is_text(expected[name])}
    names = [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]
    missing = [
        field.name for field in dataset.schema if not field.nullable and field.name not in names and field.name not in from_key
    ]
    unknown = [name for name in names if name not in expected]
    if missing:
        raise ObjectRefused("missing_column", f"no column {', '.join(missing)}, which {dataset.name} needs")
    if unknown:
        said = f"column {', '.join(unknown)} is not in the schema of {dataset.name}"
        raise ObjectRefused("unknown_column", f"{said}: write the file without it")
    twice = [name for name in expected if names.count(name) > 1]
    if twice:
        raise ObjectRefused("duplicate_column", f"column {', '.join(twice)} is there more than once")
    for name in names:
        found, wanted = schema.field(name).type, expected[name]
        if not _may_fit(found, wanted):
            said = f"column {name} is {found}, {dataset.name} needs {_plain(wanted)}"
            raise ObjectRefused("wrong_type", f"{said}: {_remedy(found, wanted)}")


def _may_fit(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of the one can be the very same in the other; which of them are, the cast finds out."""
    found, wanted = _plain(found), _plain(wanted)
    if pa.types.is_null(found):  # a column of nothing but nulls
        return True
    if pa.types.is_decimal(wanted):
        return bool(pa.types.is_decimal(found))
    if pa.types.is_integer(wanted):
        return bool(pa.types.is_integer(found) or pa.types.is_decimal(found))
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) and found.tz)
    if pa.types.is_list(wanted):
        return bool(pa.types.is_list(found) or pa.types.is_large_list(found)) and _may_fit(found.value_type, wanted.value_type)
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(found) or sorted(child.name for child in found) != sorted(child.name for child in wanted):
            return False
        return all(_may_fit(found.field(child.name).type, child.type) for child in wanted)
    return bool(found == wanted)


def _remedy(found: pa.DataType, wanted: pa.DataType) -> str:
    """Why it is not guessed, and what to write instead."""
    found, wanted = _plain(found), _plain(wanted)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(wanted):
        return "without a time zone an hour may be anybody's; write it with one (pandas: .dt.tz_localize('UTC'))"
    if pa.types.is_decimal(wanted) and pa.types.is_floating(found):
        return "a float has lost digits already; write exact decimals of up to that precision and scale"
    if pa.types.is_decimal(wanted) and pa.types.is_integer(found):
        return "an integer may be scaled; write exact decimals of up to that precision and scale"
    return "write it in that type"


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(_plain(type_)))


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type without how it is encoded: dictionaries, large strings and views hold the same text."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    return type_
