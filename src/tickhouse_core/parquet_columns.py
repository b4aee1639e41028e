"""PURE. Whether a Parquet file's columns can be a dataset's, by the footer alone, and their values in the dataset's types."""

import base64
import re
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse_core.columns import INSTANT, instant_range, most_text_bytes
from tickhouse_core.datasets import SCHEMA_VERSION, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.timestamps import format_instant

KNOWN_SCHEMA_VERSIONS = frozenset({SCHEMA_VERSION})

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def check_columns(schema: pa.Schema, dataset: Dataset, partitions: Mapping[str, str] | None = None) -> None:
    """What the footer alone can say: raises ObjectRefused for columns whose values cannot fit, whatever they are."""
    _check_version(schema.metadata or {}, dataset)
    try:
        _check_schema(schema, dataset, partitions or {})
    except UnicodeDecodeError as error:  # a time zone that is no text: pyarrow decodes it when it is asked for
        raise ObjectRefused("not_parquet", f"not a Parquet file: {error}") from error


def check_decimals(file: pq.ParquetFile, dataset: Dataset) -> None:
    """Page checksums do not cover the footer: another scale there is another price, without a word.

    The scales are said twice: pyarrow and others write their own schema beside Parquet's, and our writer always has the
    dataset's types. Raises ObjectRefused where the two contradict each other.
    """
    said = file.metadata.metadata or {}
    if (copy := said.get(b"ARROW:schema")) is not None:
        try:
            meant = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(copy)))
        except (pa.ArrowException, ValueError, OSError) as error:
            raise ObjectRefused("not_parquet", f"its ARROW:schema cannot be read: {error}") from error
    elif b"tickhouse.schema_version" in said:
        meant = dataset.schema
    else:
        return
    scales = dict(_decimals_of(meant))
    for path, found in _decimals_of(file.schema_arrow):
        if path in scales and scales[path] != found:
            raise ObjectRefused("not_parquet", f"the footer contradicts itself: {path} is {found}, its writer had {scales[path]}")


def _decimals_of(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    """Every decimal by its path, those of nested levels too."""
    waiting = [(field.name, field.type) for field in schema]
    while waiting:
        path, type_ = waiting.pop()
        if pa.types.is_decimal(type_):
            yield path, type_
        elif pa.types.is_list(type_):
            waiting.append((path, type_.value_type))
        elif pa.types.is_struct(type_):
            waiting += [(f"{path}.{field.name}", field.type) for field in type_]


def _check_version(metadata: dict[bytes, bytes], dataset: Dataset) -> None:
    """A file that does not say (another tool wrote it) is judged by its columns alone."""
    version = metadata.get(b"tickhouse.schema_version", SCHEMA_VERSION.encode()).decode(errors="replace")
    if version not in KNOWN_SCHEMA_VERSIONS:
        known = ", ".join(sorted(KNOWN_SCHEMA_VERSIONS))
        raise ObjectRefused(
            "unknown_schema_version",
            f"schema version {version!r} of {dataset.name}: this loader knows {known}; update it, then redrive the object",
        )


def _check_schema(schema: pa.Schema, dataset: Dataset, partitions: Mapping[str, str]) -> None:
    if schema.equals(dataset.schema):
        return
    expected = {field.name: field.type for field in dataset.schema}
    from_key = {name for name in partitions if name in expected and is_text(expected[name])}
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
            said = f"column {name} is {found}, {dataset.name} needs {plain(wanted)}"
            raise ObjectRefused("wrong_type", f"{said}: {_remedy(found, wanted)}")


def _may_fit(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of the one can be the very same in the other; which of them are, the cast finds out."""
    found, wanted = plain(found), plain(wanted)
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
    found, wanted = plain(found), plain(wanted)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(wanted):
        return "without a time zone an hour may be anybody's; write it with one (pandas: .dt.tz_localize('UTC'))"
    if pa.types.is_decimal(wanted) and pa.types.is_floating(found):
        return "a float has lost digits already; write exact decimals of up to that precision and scale"
    if pa.types.is_decimal(wanted) and pa.types.is_integer(found):
        return "an integer may be scaled; write exact decimals of up to that precision and scale"
    return "write it in that type"


def is_text(type_: pa.DataType) -> bool:
    """Whether it is text, however it is encoded."""
    return bool(pa.types.is_string(plain(type_)))


def fitted(column: pa.ChunkedArray, field: pa.Field, dataset: Dataset) -> pa.ChunkedArray:
    """In the field's type, every value as it was."""
    path = _null_path(column, field)
    if path:
        raise ObjectRefused("null_value", f"column {path} has nulls where {dataset.name} allows none")
    check_text(column, field)
    if column.type != field.type:
        column = _cast(column, field, dataset)
    if field.type == INSTANT:
        _check_instants(column, field.name)
    return column


def _cast(column: pa.ChunkedArray, field: pa.Field, dataset: Dataset) -> pa.ChunkedArray:
    """pyarrow's safe casts: they raise instead of rounding, cutting or wrapping."""
    said = f"column {field.name} is {column.type}, {dataset.name} needs {plain(field.type)}"
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


def check_text(column: pa.ChunkedArray, field: pa.Field) -> None:
    """Raises ObjectRefused for a text that is longer than the catalogue allows."""
    allowed = most_text_bytes(field)
    if allowed is None:
        return
    for chunk in column.chunks if not pa.types.is_null(column.type) else ():
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if pa.types.is_string_view(texts.type):
            texts = texts.cast(pa.large_string())
        longest = pc.max(pc.binary_length(texts)).as_py() if len(texts) else None
        if longest is not None and longest > allowed:
            raise ObjectRefused("wrong_value", f"column {field.name} has a text of {longest:,} bytes, {allowed:,} are allowed")


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


def plain(type_: pa.DataType) -> pa.DataType:
    """The type without how it is encoded: dictionaries, large strings and views hold the same text."""
    if pa.types.is_dictionary(type_):
        return plain(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    return type_
