"""Whether a Parquet file may enter a table: names, types and nulls against the catalogue. Inserts nothing."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.datasets import Dataset
from pipeline.errors import ObjectRefused


def count_loadable_rows(body: bytes, dataset: Dataset) -> int:
    """The rows the footer promises, after checking the schema. Reads the footer only.

    Raises ObjectRefused: not_parquet, missing_column, unknown_column, duplicate_column, wrong_type.
    """
    file = _open(body)
    _check_schema(file.schema_arrow, dataset)
    return int(file.metadata.num_rows)


def check_every_value(body: bytes, dataset: Dataset) -> None:
    """Decodes the whole file, so that nothing of a broken object reaches the engine.

    Raises ObjectRefused: broken_pages, null_value.
    """
    try:
        table = _open(body).read()
    except (pa.ArrowException, OSError) as error:
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: {error}") from error
    for field in dataset.schema:
        path = _null_path(table.column(field.name), field)
        if path:
            raise ObjectRefused("null_value", f"column {path} has nulls where {dataset.name} allows none")


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
    expected = {field.name: field.type for field in dataset.schema}
    missing = [name for name in expected if name not in schema.names]
    unknown = [name for name in schema.names if name not in expected]
    if missing:
        raise ObjectRefused("missing_column", f"no column {', '.join(missing)}, which {dataset.name} needs")
    if unknown:
        raise ObjectRefused("unknown_column", f"column {', '.join(unknown)} is not in the schema of {dataset.name}")
    twice = [name for name in expected if schema.names.count(name) > 1]
    if twice:
        raise ObjectRefused("duplicate_column", f"column {', '.join(twice)} is there more than once")
    for name, wanted in expected.items():
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
