"""PURE. Decimals of the lake in other exact forms: as text without needless zeros, as whole numbers of a smaller unit."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_DIGITS, _MOST = 38, 18


def decimals_needed(values: pa.Array, known: int = 0) -> int:
    """How many digits after the point are needed for all of them, at least `known`."""
    for scale in range(known, _MOST):
        try:
            values.cast(pa.decimal128(_DIGITS, scale))
        except pa.ArrowInvalid:
            continue
        return scale
    return _MOST


def as_text(values: pa.Array) -> pa.Array:
    """As the venue would write them: no exponent, no zeros behind the last digit."""
    scale = decimals_needed(values)
    whole = _words(values.cast(pa.decimal128(_DIGITS, scale)))
    if whole is None:
        return pa.array([None if value is None else _plain(value) for value in values.to_pylist()], pa.string())
    if scale == 0:
        return pa.array(whole).cast(pa.string())
    unit = 10**scale
    negative = np.where(whole < 0, "-", "").astype(object)
    size = np.abs(whole)
    head = pc.binary_join_element_wise(pa.array(negative, pa.string()), pa.array(size // unit).cast(pa.string()), "")
    tail = pc.utf8_rtrim(pc.utf8_lpad(pa.array(size % unit).cast(pa.string()), scale, "0"), "0")
    return pc.utf8_rtrim(pc.binary_join_element_wise(head, tail, "."), ".")


def as_raw(values: pa.Array, scale: int) -> pa.Array:
    """Whole numbers of 10^-scale, 16 bytes each, the least first. Raises pyarrow's ArrowInvalid where digits are lost."""
    cast = values.cast(pa.decimal128(_DIGITS, scale))
    return pa.Array.from_buffers(pa.binary(16), len(cast), [None, cast.buffers()[1]], offset=cast.offset)


def is_zero(values: pa.Array) -> npt.NDArray[np.bool_]:
    """For each of them."""
    words = np.frombuffer(values.buffers()[1] or b"", dtype=np.uint64)
    words = words[2 * values.offset : 2 * (values.offset + len(values))].reshape(-1, 2)
    found: npt.NDArray[np.bool_] = (words == 0).all(axis=1)
    return found


def _words(values: pa.Array) -> npt.NDArray[np.int64] | None:
    """Their unscaled numbers; None where one has more than 64 bits, or there is a null."""
    if values.null_count:
        return None
    words = np.frombuffer(values.buffers()[1] or b"", dtype=np.int64)
    words = words[2 * values.offset : 2 * (values.offset + len(values))].reshape(-1, 2)
    return words[:, 0].copy() if bool((words[:, 1] == words[:, 0] >> 63).all()) else None


def _plain(value: object) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Steps:
    """How fine the values are that it saw: `scale` digits after the point, and all of them multiples of `step`."""

    def __init__(self) -> None:
        self.scale = 0
        self._divisor = 0

    def see(self, values: pa.Array) -> None:
        """Takes decimals into account."""
        if not len(values):
            return
        scale = decimals_needed(values, self.scale)
        self._divisor *= 10 ** (scale - self.scale)
        self.scale = scale
        words = _words(values.cast(pa.decimal128(_DIGITS, scale)))
        if words is None:
            here = math.gcd(*(int(Fraction(value) * 10**scale) for value in values.to_pylist()))
        else:
            here = int(np.gcd.reduce(words))
        self._divisor = math.gcd(self._divisor, here)

    @property
    def step(self) -> Decimal | None:
        """None before a value other than zero was seen."""
        return Decimal(f"{self._divisor}E-{self.scale}") if self._divisor else None
