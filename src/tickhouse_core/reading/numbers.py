"""PURE. Decimals of the lake as floats: of every decimal the float that is nearest, as `float(Decimal(…))` has it."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CUT = 10
"""Decimals that venues do not use: a value of 8 decimals is a whole number of 1e-8."""

_FIVES = pow(pow(5, _CUT), -1, 2**64)
_EXACT = float(2**53)
_Words = npt.NDArray[np.uint64]


def floats(table: pa.Table) -> pa.Table:
    """The table with every decimal, nested ones too, as a float64; nulls stay null."""
    columns = []
    for column in table.columns:
        chunk = column.combine_chunks()
        columns.append(_floats(chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk))
    return pa.table(columns, names=table.schema.names)


def _floats(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal128(array.type):
        return pa.array(_nearest(array), mask=None if not array.null_count else array.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type):
        levels = array.flatten()
        inner = [_floats(levels.field(number)) for number in range(levels.type.num_fields)]
        named = pa.StructArray.from_arrays(inner, names=[field.name for field in levels.type])
        offsets = array.offsets.to_numpy()
        return pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), named)
    return array


def _nearest(array: pa.Array) -> npt.NDArray[np.float64]:
    """Exact integers below 2^53 divided by a power of ten are rounded once: that is the nearest float.

    A 128-bit value v that 10^10 divides is q * 10^10. Modulo 2^64, q is (v >> 10) times the inverse of 5^10; that it is q
    itself follows from q * 10^10 being about v: they are equal modulo 2^64, and nearer than that.
    """
    words: _Words = np.frombuffer(array.buffers()[1], dtype=np.uint64)[2 * array.offset : 2 * (array.offset + len(array))]
    low, high = words[0::2], words[1::2]
    parts = ((low >> np.uint64(_CUT)) | (high << np.uint64(64 - _CUT))) * np.uint64(_FIVES)
    whole = parts.view(np.int64).astype(np.float64)
    about = high.view(np.int64) * 2.0**64 + low
    is_exact = (np.abs(whole) < _EXACT) & ((low & np.uint64(2**_CUT - 1)) == 0) & (np.abs(about - whole * 10.0**_CUT) < 2.0**60)
    values: npt.NDArray[np.float64] = whole / 10.0 ** (array.type.scale - _CUT)
    for place in np.flatnonzero(~is_exact):
        exact = array[int(place)].as_py()
        values[place] = float("nan") if exact is None else float(exact)
    return values
