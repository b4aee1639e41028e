"""PURE. Decimal text to exact Arrow decimals, without a float in between and without Arrow's silent overflow."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.datasets import DECIMAL

_LONGEST_SAFE = 20  # characters: as many digits as decimal128(38, 18) has before the point


def decimals(texts: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> Any:
    """An array of decimal128(38, 18); nulls stay nulls.

    Arrow's cast of text to decimal128 wraps around silently where the number is too large, so only text that cannot be
    (short, no exponent) takes it directly. Raises ArrowInvalid for what does not fit or is no number.
    """
    array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
    if _longest(array) > _LONGEST_SAFE or _has_exponent(array):
        array = pc.cast(array, pa.decimal256(76, 18))
    return pc.cast(array, DECIMAL)


def _longest(array: Any) -> int:
    return pc.max(pc.binary_length(array)).as_py() or 0


def _has_exponent(array: Any) -> bool:
    """Looks through the bytes of all texts at once: a search per value would cost as much as the cast."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    texts = [chunk.buffers()[2].to_pybytes() for chunk in chunks if len(chunk) and chunk.buffers()[2] is not None]
    return any(b"e" in text or b"E" in text for text in texts)
