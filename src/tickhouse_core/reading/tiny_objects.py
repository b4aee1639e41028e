"""Many tiny objects decoded in one call: polars, where it is installed, needs a quarter of pyarrow's time for each of them.

Only objects whose sums are right come here: their bytes are our writer's. All others go one by one.
"""

from collections.abc import Sequence
from types import ModuleType

import pyarrow as pa

from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import refuse_damaged
from tickhouse_core.parquet_sums import footer_of

TINY_BYTES = 64 * 1024
"""On average: decoding such an object costs about as much as a look at its statistics, which may say that it is not wanted."""

MANY = 200
"""Fewer do not pay for the import of polars, which takes as long as decoding 500 of them by pyarrow."""

_TRIED_SINCE = (1, 33)
"""Of polars: an older release is not asked."""


def are_many_and_tiny(sizes: Sequence[int], needed: pa.Schema) -> bool:
    """Whether `decoded` is the faster way to the columns `needed`, and can be taken. Levels of books are nested: pyarrow's."""
    is_tiny = len(sizes) >= MANY and sum(sizes) <= TINY_BYTES * len(sizes)
    return is_tiny and not any(pa.types.is_nested(type_) for type_ in needed.types) and _polars() is not None


def decoded(bodies: Sequence[bytes], needed: pa.Schema, venue: str) -> pa.Table | None:
    """All their rows in their order, in one chunk; None where an object has no sums, or polars is not here.

    Raises ObjectRefused where a sum is wrong, for rows of another venue, and for columns in other types.
    """
    polars = _polars()
    if polars is None or not all(refuse_damaged(footer_of(body), len(body), body) for body in bodies):
        return None
    try:
        frame = polars.read_parquet(
            bodies, columns=["venue", *needed.names], use_statistics=False, hive_partitioning=False, glob=False
        )
    except polars.exceptions.PolarsError as error:
        raise ObjectRefused("wrong_type", "written by another version: it is read on its own") from error
    names = frame["venue"]
    if frame.height and (names.null_count() or not names.min() == names.max() == venue):
        raise ObjectRefused("wrong_value", "of several venues: it is read on its own")
    table = frame.select(needed.names).rechunk().to_arrow(compat_level=polars.CompatLevel.oldest())
    if table.schema.types != [_of_polars(type_) for type_ in needed.types]:
        raise ObjectRefused("wrong_type", "written by another version: it is read on its own")
    return table.cast(needed)


def _of_polars(type_: pa.DataType) -> pa.DataType:
    return pa.large_string() if pa.types.is_string(type_) else type_


def _polars() -> ModuleType | None:
    try:
        import polars  # an eighth of a second, so only where there are many objects
    except ModuleNotFoundError:
        return None
    major, minor = polars.__version__.split(".")[:2]
    return polars if (int(major), int(minor)) >= _TRIED_SINCE else None
