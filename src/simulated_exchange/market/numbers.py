"""PURE. Decimals of the lake as the text that Binance sends: eight places."""

from decimal import Decimal

import numpy as np
import pyarrow as pa

from simulated_exchange.market.instruments import DECIMALS
from simulated_exchange.market.klines import decimals_of

_EIGHT = pa.decimal128(38, DECIMALS)


def eight_places(column: pa.Array) -> pa.Array:
    """`61234.56000000`; a value with more places keeps all of them. Nulls stay null. Of decimal128, none negative."""
    try:
        cut = column.cast(_EIGHT)
    except pa.ArrowInvalid:  # it would lose places
        return pa.array([None if value is None else _plain(value) for value in column.to_pylist()], pa.string())
    words = np.frombuffer(cut.buffers()[1] or b"", dtype=np.int64)[2 * cut.offset : 2 * (cut.offset + len(cut))]
    if words[1::2].any() or (words[0::2] < 0).any():  # 9.2e10 and more
        return pa.array([None if value is None else f"{value:.{DECIMALS}f}" for value in column.to_pylist()], pa.string())
    whole = pa.array(words[0::2], mask=cut.is_null().to_numpy(zero_copy_only=False) if cut.null_count else None)
    return decimals_of(whole, 1)


def _plain(value: Decimal) -> str:
    whole, _, part = f"{value:f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<{DECIMALS}}"
