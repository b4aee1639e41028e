"""Whether a Parquet file may enter a table: names, types and nulls against the catalogue. Inserts nothing."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse_core.datasets import SCHEMA_VERSION, Dataset
from tickhouse_core.errors import ObjectRefused

KNOWN_SCHEMA_VERSIONS = frozenset({SCHEMA_VERSION})

_WIDTHS = {"FIXED_LEN_BYTE_ARRAY": 16, "INT64": 8, "INT32": 4, "BYTE_ARRAY": 4, "BOOLEAN": 1}
"""Bytes in memory of a value of the types that datasets have, at least; of a name its index."""
_ROWS_WORTH_THREADS = 50_000
"""Below, several objects at once keep the cores busier than the columns of one."""


def read_checked(body: bytes, dataset: Dataset, *, most_bytes: int = 2 * 1024**3) -> pa.Table:
    """All rows in the columns of the dataset, every value decoded and checked: nothing of a broken object gets further.

    Columns that may be null are null where an older object does not have them.

    Raises ObjectRefused: not_parquet, unknown_schema_version, missing_column, unknown_column, duplicate_column,
    wrong_type, too_large (`most_bytes` once decoded), broken_pages, wrong_row_count, null_value, wrong_value.
    """
    file = _open(body)
    schema = file.schema_arrow
    metadata = schema.metadata or {}
    _check_version(metadata, dataset)
    try:
        _check_schema(schema, dataset)
    except UnicodeDecodeError as error:  # a time zone that is no text: pyarrow decodes it when it is asked for
        raise ObjectRefused("not_parquet", f"not a Parquet file of {len(body)} bytes: {error}") from error
    _check_size(file.metadata, most_bytes)
    table = _with_every_column(_decode(_with_names_as_indices(file, body, dataset)), dataset)
    _check_row_count(metadata, table.num_rows)
    for field in dataset.schema:
        path = _null_path(table.column(field.name), field)
        if path:
            raise ObjectRefused("null_value", f"column {path} has nulls where {dataset.name} allows none")
    if table.schema.equals(dataset.schema):
        return table.replace_schema_metadata(None)
    return table.cast(dataset.schema)


def _with_names_as_indices(file: pq.ParquetFile, body: bytes, dataset: Dataset) -> pq.ParquetFile:
    """Names come out of the file as it encodes them, a dictionary: making strings of them first costs as much as all else."""
    found = file.schema_arrow
    names = [field.name for field in dataset.schema if pa.types.is_dictionary(field.type) and field.name in found.names]
    plain = [name for name in names if pa.types.is_string(found.field(name).type)]
    if not plain:
        return file
    source = pa.BufferReader(body)
    return pq.ParquetFile(source, metadata=file.metadata, read_dictionary=plain, page_checksum_verification=True)


def _decode(file: pq.ParquetFile) -> pa.Table:
    try:
        table = file.read(use_threads=file.metadata.num_rows >= _ROWS_WORTH_THREADS)
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if "decimal" in str(error).lower() and "precision" in str(error).lower():
            raise ObjectRefused("wrong_value", f"a decimal has more digits than its type: {error}") from error
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    return table


def _with_every_column(table: pa.Table, dataset: Dataset) -> pa.Table:
    names = table.schema.names
    if names == dataset.schema.names:
        return table
    for field in dataset.schema:
        if field.name not in names:
            table = table.append_column(field.name, pa.nulls(table.num_rows, field.type))
    return table.select(dataset.schema.names)


def _check_version(metadata: dict[bytes, bytes], dataset: Dataset) -> None:
    """A file that does not say (another tool wrote it) is judged by its columns alone."""
    version = metadata.get(b"tickhouse.schema_version", SCHEMA_VERSION.encode()).decode(errors="replace")
    if version not in KNOWN_SCHEMA_VERSIONS:
        known = ", ".join(sorted(KNOWN_SCHEMA_VERSIONS))
        raise ObjectRefused(
            "unknown_schema_version",
            f"schema version {version!r} of {dataset.name}: this loader knows {known}; update it, then redrive the object",
        )


def _check_row_count(metadata: dict[bytes, bytes], rows: int) -> None:
    """Page checksums do not cover the footer: a smaller count there would leave rows out without a word."""
    said = metadata.get(b"tickhouse.row_count", str(rows).encode()).decode(errors="replace")
    if said != str(rows):
        raise ObjectRefused("wrong_row_count", f"{rows} rows were read, the writer landed {said}")


def _check_size(metadata: pq.FileMetaData, most_bytes: int) -> None:
    """A page of equal values is a few bytes whatever their number, so the values count, not only what encodes them."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    decoded = sum(
        max(column.total_uncompressed_size, column.num_values * _WIDTHS.get(column.physical_type, 16)) for column in columns
    )
    if decoded > most_bytes:
        raise ObjectRefused("too_large", f"{decoded:,} bytes once decoded, {most_bytes:,} are allowed (--object-mb)")


def _null_path(column: pa.ChunkedArray, field: pa.Field) -> str:
    """Where the first null is that the field does not allow, at any depth (`bids.element.price`); empty if nowhere."""
    if not field.nullable and column.null_count:
        return str(field.name)
    if pa.types.is_list(field.type):
        inside = [(pc.list_flatten(column), field.type.value_field)]
    elif pa.types.is_struct(field.type):
        inside = [(pc.struct_field(column, child.name), child) for child in field.type]
    else:
        return ""
    found = (_null_path(values, child) for values, child in inside)
    return next((f"{field.name}.{path}" for path in found if path), "")


def _open(body: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ObjectRefused("not_parquet", f"not a Parquet file of {len(body)} bytes: {error}") from error


def _check_schema(schema: pa.Schema, dataset: Dataset) -> None:
    if schema.equals(dataset.schema):
        return
    expected = {field.name: field.type for field in dataset.schema}
    missing = [field.name for field in dataset.schema if not field.nullable and field.name not in schema.names]
    unknown = [name for name in schema.names if name not in expected]
    if missing:
        raise ObjectRefused("missing_column", f"no column {', '.join(missing)}, which {dataset.name} needs")
    if unknown:
        raise ObjectRefused("unknown_column", f"column {', '.join(unknown)} is not in the schema of {dataset.name}")
    present = {name: type_ for name, type_ in expected.items() if name in schema.names}
    twice = [name for name in present if schema.names.count(name) > 1]
    if twice:
        raise ObjectRefused("duplicate_column", f"column {', '.join(twice)} is there more than once")
    for name, wanted in present.items():
        found = schema.field(name).type
        if _plain(found) != _plain(wanted):
            raise ObjectRefused("wrong_type", f"column {name} is {found}, {dataset.name} needs {_plain(wanted)}")


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type without how it is encoded or declared: dictionaries and large strings hold the same values, and whether
    there are nulls is found by looking."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_timestamp(type_) and type_.tz in ("+00:00", "Etc/UTC"):
        return pa.timestamp(type_.unit, tz="UTC")
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(pa.field("element", _plain(type_.value_type)))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(child.name, _plain(child.type)) for child in type_])
    return type_
