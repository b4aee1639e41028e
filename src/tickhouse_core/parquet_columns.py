"""PURE. Whether the columns of a Parquet file can be a dataset's: version, names and types, by the footer alone."""

import re
from collections.abc import Mapping

import pyarrow as pa

from tickhouse_core.datasets import SCHEMA_VERSION, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_values import plain

KNOWN_SCHEMA_VERSIONS = frozenset({SCHEMA_VERSION})

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def check_columns(schema: pa.Schema, dataset: Dataset, partitions: Mapping[str, str] | None = None) -> None:
    """What the footer alone can say: raises ObjectRefused for columns whose values cannot fit, whatever they are."""
    _check_version(schema.metadata or {}, dataset)
    try:
        _check_schema(schema, dataset, partitions or {})
    except UnicodeDecodeError as error:  # a time zone that is no text: pyarrow decodes it when it is asked for
        raise ObjectRefused("not_parquet", f"not a Parquet file: {error}") from error


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
