"""PURE. The values of one column in the type of its dataset, every one as it was: casts, nulls, instants and texts."""

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.datasets import INSTANT, Dataset, instant_range, most_text_bytes
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.timestamps import format_instant


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
