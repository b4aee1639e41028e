"""PURE. What a price or quantity is: a decimal that the lake's decimal128(38, 18) holds exactly, as text. Only rates may be
negative.

Frames and answers are held to it where they are parsed (`plain_number`, `plain_levels`), so that lake, book, proof and
mirror never meet anything else. `decimals` makes Arrow columns of such texts, without a float in between, `separated` the
arrays of texts.
"""

import re
import reprlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse_core.columns import DECIMAL

_PLAIN = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,18})?")
_MANY_PLAIN = re.compile(r"(?:[0-9]{1,20}(?:\.[0-9]{1,18})?,)*+")
_WRITTEN_OTHERWISE = re.compile(r"([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,2}))?")
_LONGEST_WRITTEN = 64
_DIGITS = 18  # after the point
_TOO_MUCH = 10**38  # in units of 1e-18


class UnreadableNumber(ValueError):
    """A price or quantity that is none."""


def plain_number(text: object) -> str:
    """The number as plain digits with at most one point: as sent, or `0.00000001` for `1e-8`, `0.5` for `.5`.

    Raises UnreadableNumber for what is no text, negative, or not exactly a decimal of 20 digits before the point and 18
    after it.
    """
    return text if type(text) is str and _PLAIN.fullmatch(text) else _rewritten(text)


def plain_rate(text: object) -> str:
    """As `plain_number`, of a number that may be negative, as a funding rate may. Raises UnreadableNumber."""
    return f"-{plain_number(text[1:])}" if type(text) is str and text.startswith("-") else plain_number(text)


def plain_levels(levels: list[list[str]]) -> list[list[str]]:
    """Pairs whose texts are all plain numbers; the very list where they are already. Raises UnreadableNumber."""
    flat = [*chain.from_iterable(levels), ""]
    try:
        joined = ",".join(flat)
    except TypeError:  # one is no text
        joined = ""
    if joined.count(",") == len(flat) - 1 and _MANY_PLAIN.fullmatch(joined):
        return levels
    return [[plain_number(text) for text in level] for level in levels]


def _rewritten(text: object) -> str:
    parts = _WRITTEN_OTHERWISE.fullmatch(text) if type(text) is str and len(text) <= _LONGEST_WRITTEN else None
    if parts is None or not (digits := parts[1] + parts[2]):
        raise UnreadableNumber(f"{reprlib.repr(text)} is no plain number")
    places = _DIGITS - len(parts[2]) + int(parts[3] or 0)
    units, rest = divmod(int(digits), 10**-places) if places < 0 else (int(digits) * 10**places, 0)
    if rest or units >= _TOO_MUCH:
        raise UnreadableNumber(f"{reprlib.repr(text)} is no decimal of 20 digits before the point and {_DIGITS} after it")
    whole, fraction = divmod(units, 10**_DIGITS)
    return f"{whole}.{fraction:018}".rstrip("0").rstrip(".")


_LONGEST_SAFE = 20  # characters: as many digits as decimal128(38, 18) has before the point
_SCALED = pa.decimal256(76, 18)


def decimals(texts: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> Any:
    """An array of decimal128(38, 18); nulls stay nulls.

    Arrow's cast of text to decimal128 wraps around silently where the number is too large, so only text that cannot be
    (short, no exponent) takes it directly. Its cast to decimal256 reads past its tables, and may end the process, where
    an exponent or a fraction is long: such texts are read here. Raises ValueError (ArrowInvalid, UnreadableNumber) for
    what does not fit or is no number.
    """
    array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
    if _has_exponent(array):
        array = _rewritten_where(pc.match_substring(array, "e", ignore_case=True), array)
    longest = _longest(array)
    if longest > _LONGEST_WRITTEN:
        array = _rewritten_where(pc.greater(pc.binary_length(array), _LONGEST_WRITTEN), array)
    return pc.cast(pc.cast(array, _SCALED) if longest > _LONGEST_SAFE else array, DECIMAL)


def separated(texts: bytes) -> pa.Array:
    """ASCII texts with a comma between them as an array, without an object for each; nothing is no text."""
    commas = np.flatnonzero(np.frombuffer(texts, np.uint8) == ord(","))
    count = len(commas) + 1 if texts else 0
    joined = texts.translate(None, b",")
    offsets = np.zeros(count + 1, np.int32)
    offsets[1:-1] = commas - np.arange(len(commas))
    offsets[-1] = len(joined)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(joined))


def _rewritten_where(mask: Any, array: Any) -> pa.Array:
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    chosen = pc.fill_null(mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask, False)
    rewritten = [plain_rate(text) for text in whole.filter(chosen).to_pylist()]
    return pc.replace_with_mask(whole, chosen, pa.array(rewritten, whole.type))


def _longest(array: Any) -> int:
    return pc.max(pc.binary_length(array)).as_py() or 0


def _has_exponent(array: Any) -> bool:
    """Looks through the bytes of all texts at once: a search per value would cost as much as the cast."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    texts = [chunk.buffers()[2].to_pybytes() for chunk in chunks if len(chunk) and chunk.buffers()[2] is not None]
    return any(b"e" in text or b"E" in text for text in texts)
