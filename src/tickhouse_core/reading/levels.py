"""PURE. A side of a book as arrays: many diffs applied at once, and its best levels at chosen places between them. Exact.

Quantities are absolute and zero takes a level away, as everywhere (`extract_process.book.order_book`); here for whole hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.columns import DECIMAL, LEVELS

_Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Side:
    """The levels there are, prices ascending."""

    prices: pa.Array
    quantities: pa.Array

    def best(self, is_bid: bool) -> pa.Array:
        """All levels as structs of price and quantity, the best first."""
        order = np.arange(len(self.prices))[::-1] if is_bid else np.arange(len(self.prices))
        return _levels(self.prices.take(pa.array(order)), self.quantities.take(pa.array(order)))


EMPTY = Side(pa.array([], DECIMAL), pa.array([], DECIMAL))


def after(side: Side, changes: pa.Array) -> Side:
    """The side after changed levels, structs of price and quantity in the order in which they came."""
    return play(side, changes, [len(changes)], 0, is_bid=True)[0]


def play(side: Side, changes: pa.Array, stops: Sequence[int], count: int, *, is_bid: bool) -> tuple[Side, pa.Array]:
    """The side after all `changes`, and the best `count` levels after the first `stop` of them, for every stop, ascending.

    The second is a list array of the length of `stops`, the best level first.
    """
    prices = pa.concat_arrays([side.prices, changes.field(0)])
    quantities = pa.concat_arrays([side.quantities, changes.field(1)])
    known, codes = _ranked(prices)
    is_there = _is_not_zero(quantities)
    present = np.zeros(len(known), dtype=bool)
    newest: _Places = np.zeros(len(known), dtype=np.int64)
    begun, played, shown = len(side.prices), 0, []
    for stop in (*(begun + stop for stop in stops), len(codes)):
        changed = codes[played:stop]
        newest[changed] = np.arange(played, stop)  # of an index that comes twice the last value stays
        present[changed] = is_there[played:stop]
        played = stop
        there = np.flatnonzero(present)
        shown.append((there[-count:][::-1] if is_bid else there[:count]) if count else there[:0])
        shown[-1] = newest[shown[-1]]
    there = np.flatnonzero(present)
    offsets = np.cumsum([0, *(len(places) for places in shown[:-1])])
    places = pa.array(np.concatenate(shown[:-1])) if len(shown) > 1 else pa.array([], pa.int64())
    tops = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _levels(prices.take(places), quantities.take(places)))
    return Side(known.take(pa.array(there)), quantities.take(pa.array(newest[there]))), tops.cast(LEVELS)


def flat(levels: pa.ChunkedArray) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """A column of lists as one array of structs, and where the levels of each row begin and the last ends."""
    array = levels.combine_chunks()
    lists = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return lists.flatten(), offsets - offsets[0]


def _ranked(prices: pa.Array) -> tuple[pa.Array, _Places]:
    """The distinct prices, ascending, and of each price which of them it is."""
    encoded = prices.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return encoded.dictionary.take(pa.array(order)), ranks[encoded.indices.to_numpy()]


def _is_not_zero(quantities: pa.Array) -> npt.NDArray[np.bool_]:
    words = np.frombuffer(quantities.buffers()[1] or b"", dtype=np.uint64)
    words = words[2 * quantities.offset : 2 * (quantities.offset + len(quantities))].reshape(-1, 2)
    found: npt.NDArray[np.bool_] = (words != 0).any(axis=1)
    return found


def _levels(prices: pa.Array, quantities: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([prices, quantities], fields=list(LEVELS.value_type))
