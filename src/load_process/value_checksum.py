"""PURE. One number for the values of a table, whatever their order: what the ledger says of an object and bronze must repeat.

The same number is computed in SQL by the views `ops_accounting_<dataset>` (sql/clickhouse/schema): `value_checksum` has the
definition that both follow. It is no defence against forgers, only against mistakes.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Words = npt.NDArray[np.uint64]
Number = TypeVar("Number", bound=np.generic)

BLOCK = 32_768
"""Values at a time: what is computed on the way takes little memory, whatever the size of the table."""

_NUMBERS: dict[pa.DataType, type[np.integer[Any]]] = {
    pa.int8(): np.int8,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.uint8(): np.uint8,
    pa.uint16(): np.uint16,
    pa.uint32(): np.uint32,
    pa.uint64(): np.uint64,
}


@lru_cache(maxsize=256)
def constant_of(name: str) -> np.uint64:
    """K(name), see `value_checksum`."""
    return np.uint64(xxhash.xxh64_intdigest(name.encode()) | 1)


ROW = constant_of("row")
HIGH_HALF = constant_of("high half")
NULL = constant_of("null")
PRICE, QUANTITY = constant_of("price"), constant_of("quantity")
INDEX, LENGTH = constant_of("index"), constant_of("length")


def value_checksum(table: pa.Table) -> int:
    """The checksum of all rows, 0 <= checksum < 2^64. All arithmetic is on UInt64 and wraps; xxHash64 has seed 0.

        checksum      = sum over rows of finalise(K('row') + sum over columns of K(column's name) * (word(value) - word(null)))
        K(name)       = xxHash64(name) | 1
        finalise(z)   : z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27; z *= 0x94d049bb133111eb; z ^= z >> 31 (splitmix64)
        word(null)    = K('null'), in every type
        word(integer) = its two's complement; of a bool 0 or 1; of an instant its microseconds since 1970-01-01 UTC
        word(decimal) = low 64 bits + K('high half') * high 64 bits of the unscaled Int128
        word(string)  = xxHash64 of the UTF-8 bytes
        word(levels)  = K('length') * number of levels + sum over levels of
                        finalise(K('price') * word(price) + K('quantity') * word(quantity) + K('index') * (1, 2, ... in the list))

    So the order of rows, of columns, chunks and encodings do not matter, the order in a list does, and the checksums of two
    tables add up (mod 2^64) to that of both. A null adds nothing: a column that a later schema adds, null in all older rows,
    leaves their checksum as the ledger has it. Raises TypeError for a type that no dataset has.
    """
    rows = np.full(table.num_rows, row_without_values(table.column_names))
    for name, column in zip(table.column_names, table.columns, strict=True):
        factor = constant_of(name)
        for place, values in _blocks(column):
            words = _words(values)
            words *= factor
            rows[place] += words
    for place in _places(len(rows)):
        rows[place] = _finalise(rows[place])
    return int(rows.sum(dtype=np.uint64))


def row_without_values(names: Iterable[str]) -> np.uint64:
    """K('row') less K(name) * word(null) for every column: with it `K(name) * word(value)` is all that is left to add."""
    return np.uint64((int(ROW) - int(NULL) * sum(int(constant_of(name)) for name in names)) % 2**64)


def _blocks(column: pa.ChunkedArray) -> Iterator[tuple[slice, pa.Array]]:
    """Pieces of a column with their places in it; strings and levels arrive as their words."""
    start = 0
    for chunk in column.chunks:
        values = _words_first(chunk)
        for place in _places(len(values)):
            yield slice(start + place.start, start + place.stop), values.slice(place.start, place.stop - place.start)
        start += len(chunk)


def _places(length: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK))


def _words_first(array: pa.Array) -> pa.Array:
    """What is not of fixed width as UInt64, in one go: a dictionary is hashed once, levels are cut into blocks of their own."""
    type_ = array.type
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pa.array(_words_of_names(array.dictionary_encode()))
    if pa.types.is_dictionary(type_):
        return pa.array(_words_of_names(array))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.array(_words_of_levels(array))
    return array


def _words(array: pa.Array) -> Words:
    """The words of values of fixed width, in an array of its own."""
    words = _words_without_nulls(array)
    if array.null_count:
        words[~_is_valid(array)] = NULL
    return words


def _words_without_nulls(array: pa.Array) -> Words:
    """What is under a null is whatever Arrow has there."""
    type_ = array.type
    if pa.types.is_decimal128(type_):
        halves = _view(array, np.uint64, 2)
        words: Words = halves[1::2] * HIGH_HALF
        words += halves[0::2]
        return words
    if pa.types.is_boolean(type_):
        return _view(array.cast(pa.uint8()), np.uint8).astype(np.uint64)
    if pa.types.is_timestamp(type_) and type_.unit == "us":
        return _view(array, np.int64).astype(np.uint64)
    if type_ in _NUMBERS:
        return _view(array, _NUMBERS[type_]).astype(np.uint64)
    raise TypeError(f"no checksum is defined for values of {type_}")


def _words_of_names(array: pa.DictionaryArray) -> Words:
    texts = array.dictionary
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise TypeError(f"no checksum is defined for values of {array.type}")
    hashes = np.full(len(texts) + 1, NULL)  # the last one for what has no index
    for place in _places(len(texts)):
        block = texts.slice(place.start, place.stop - place.start).cast(pa.large_binary()).to_pylist()
        hashes[place] = [NULL if text is None else xxhash.xxh64_intdigest(text) for text in block]
    indices = array.indices.fill_null(len(texts)) if array.null_count else array.indices
    words: Words = hashes[_view(indices, _NUMBERS[indices.type])]
    return words


def _words_of_levels(array: pa.ListArray) -> Words:
    """Sums per list are differences of one running sum: it wraps like everything here."""
    bounds = _view(array.offsets, _NUMBERS[array.offsets.type]).astype(np.int64)
    first, last = int(bounds[0]), int(bounds[-1])
    running = np.zeros(last - first + 1, np.uint64)
    _hash_levels(array.values.slice(first, last - first), bounds - first, running[1:])
    np.cumsum(running, out=running)
    words: Words = np.diff(running[bounds - first])
    words += LENGTH * np.diff(bounds).astype(np.uint64)
    if array.null_count:
        words[~_is_valid(array)] = NULL
    return words


def _hash_levels(levels: pa.StructArray, bounds: npt.NDArray[np.int64], hashes: Words) -> None:
    """Fills `hashes` with finalise(...) of each level; the lists are between the `bounds`."""
    names = [field.name for field in levels.type] if pa.types.is_struct(levels.type) else []
    if sorted(names) != ["price", "quantity"]:
        raise TypeError(f"no checksum is defined for lists of {levels.type}")
    columns = dict(zip(names, levels.flatten(), strict=True))
    before = np.repeat(bounds[:-1].astype(np.uint64), np.diff(bounds))
    for place in _places(len(levels)):
        size = place.stop - place.start
        index = np.arange(place.start + 1, place.stop + 1, dtype=np.uint64)
        index -= before[place]
        index *= INDEX
        for name, factor in (("price", PRICE), ("quantity", QUANTITY)):
            words = _words(columns[name].slice(place.start, size))
            words *= factor
            index += words
        hashes[place] = _finalise(index)


def _finalise(words: Words) -> Words:
    """In place: every bit of a word comes to bear on every bit."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def _view(array: pa.Array, type_: type[Number], per_value: int = 1) -> npt.NDArray[Number]:
    """The values in Arrow's own memory, `per_value` numbers each."""
    if not len(array):
        return np.empty(0, type_)
    numbers = np.frombuffer(array.buffers()[1], type_)
    return numbers[array.offset * per_value : (array.offset + len(array)) * per_value]


def _is_valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid
