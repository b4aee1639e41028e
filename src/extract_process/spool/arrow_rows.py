"""PURE. ArrowRows: records of one dataset become Arrow columns a few hundred at a time, exactly.

Thousands of decoded messages held alive cost three to four times the conversion, so every 256 records become Arrow.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

from extract_process.decimals import decimals
from extract_process.records import Levels
from tickhouse_core.datasets import INSTANT, KLINES, LEVELS, NAME, Dataset

CHUNK_RECORDS = 256

Refused = tuple[Any, int, str]
"""A record whose numbers cannot be read, its receipt_time, and why."""


class ArrowRows:
    """Records of one kind, appended one by one; `table` is called once, at the end.

    A record whose number text is no decimal(38, 18) is left out and handed out by `take_refused`: it does not spoil
    the others. What comes out depends on the appended records alone.
    """

    def __init__(self, dataset: Dataset, venue: str) -> None:
        self.dataset = dataset
        self._venue = venue
        self._records: list[Any] = []
        self._receipts: list[int] = []
        self._chunks: list[pa.Table] = []
        self._refused: list[Refused] = []

    def append(self, record: Any, receipt_time: int) -> None:
        """`receipt_time` in microseconds."""
        self._records.append(record)
        self._receipts.append(receipt_time)
        if len(self._records) == CHUNK_RECORDS:
            self._convert()

    def table(self) -> pa.Table:
        """All rows, of the dataset's schema."""
        self._convert()
        return pa.concat_tables(self._chunks).unify_dictionaries() if self._chunks else self.dataset.schema.empty_table()

    def take_refused(self) -> list[Refused]:
        """The records that have no row; complete after `table`."""
        refused, self._refused = self._refused, []
        return refused

    def _convert(self) -> None:
        records, receipts = self._records, self._receipts
        self._records, self._receipts = [], []
        if not records:
            return
        try:
            self._chunks.append(self._rows(records, receipts))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            for record, receipt_time in zip(records, receipts, strict=True):
                self._convert_alone(record, receipt_time)

    def _convert_alone(self, record: Any, receipt_time: int) -> None:
        try:
            self._chunks.append(self._rows([record], [receipt_time]))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            self._refused.append((record, receipt_time, f"{type(error).__name__}: {error}"))

    def _rows(self, records: list[Any], receipts: list[int]) -> pa.Table:
        filled = self._columns(records) | {"venue": [self._venue] * len(records), "receipt_time": receipts}
        return pa.table([_array(filled[field.name], field) for field in self.dataset.schema], schema=self.dataset.schema)

    def _columns(self, records: list[Any]) -> dict[str, Sequence[Any]]:
        """By name, in the order of the record's own fields."""
        return dict(zip(records[0]._fields, zip(*records, strict=True), strict=True))


class KlineRows(ArrowRows):
    """Closed klines, marked as streamed."""

    def __init__(self, venue: str) -> None:
        super().__init__(KLINES, venue)

    def _columns(self, records: list[Any]) -> dict[str, Sequence[Any]]:
        return super()._columns(records) | {"source": ["stream"] * len(records)}


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Raises ArrowException, TypeError, ValueError or OverflowError for values that are not the field's."""
    array = _typed(values, field.type)
    if array.null_count and not field.nullable:
        raise ValueError(f"{field.name} is missing")
    return array


def _typed(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    if type_ == LEVELS:
        return _levels(values)
    if pa.types.is_decimal(type_):
        return decimals(values)
    if type_ == NAME:
        return pa.array(values, pa.string()).dictionary_encode()
    if type_ == INSTANT:
        return pa.array(values, pa.int64()).cast(INSTANT)
    return pa.array(values, type_)


def _levels(sides: Iterable[Levels]) -> pa.Array:
    """One side of many messages: all their levels flat, then cut by message. Raises ValueError for a missing number."""
    sides = list(sides)
    prices, quantities = _flat(sides)
    price, quantity = decimals(prices), decimals(quantities)
    if price.null_count or quantity.null_count:
        raise ValueError("a price or quantity is missing")
    flat = pa.StructArray.from_arrays([price, quantity], fields=list(LEVELS.value_type))
    offsets = pa.array([0, *accumulate(map(len, sides))], pa.int32())
    return pa.ListArray.from_arrays(offsets, flat, type=LEVELS)


def _flat(sides: list[Levels]) -> tuple[Sequence[str], Sequence[str]]:
    flat = list(chain.from_iterable(chain.from_iterable(sides)))
    return flat[::2], flat[1::2]
