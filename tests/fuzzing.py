"""Fuzzing with Hypothesis: valid inputs broken in a few places, for so many seconds, and what memory that took."""

import resource
import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_ODD: list[Any] = [
    *(None, True, "", "0", "-0", "-1", "1e-8", "1E400", "NaN", ".5", "5.", "1" * 40, "9" * 400, "\u0000", "币安", "�" * 300, " "),
    *(
        0,
        -1,
        2**53,
        2**63,
        2**64 - 1,
        -(2**63),
        1e308,
        -1e308,
        1e-300,
        0.1,
        [],
        {},
        [[]],
        {"": {}},
        ["1", "2"],
        [["1"]],
        "BTCUSDT",
    ),
]
_RAW = [
    b"1e999",
    b"-1e999",
    b"1" * 400,
    b'"\\ud800"',
    b"[" * 2_000,
    b"9" * 25,
    b"0.1e-999999",
    b'"' + b"7" * 5_000 + b'"',
    b"\xff",
    b"nul",
]
_MEGABYTE = 1024  # of ru_maxrss, which counts kilobytes

Value = TypeVar("Value")


def broken_json(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes of one of the samples in which up to four values, names or bytes are others."""
    parsed = [orjson.loads(sample) for sample in samples]
    odd = st.one_of(
        st.sampled_from(_ODD),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    )
    by_value = st.builds(_with_values, st.sampled_from(parsed), st.lists(st.tuples(st.integers(0, 2**32), odd), max_size=4))
    by_text = st.builds(_with_raw, st.sampled_from(list(samples)), st.integers(0, 2**32), st.sampled_from(_RAW))
    return st.one_of(by_value, by_value, by_text, broken_bytes(samples))


def broken_bytes(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples with a few bytes exchanged, taken out or put in, or cut."""
    edits = st.lists(st.tuples(st.sampled_from("xid"), st.integers(0, 2**32), st.binary(min_size=1, max_size=9)), max_size=6)
    return st.builds(_edited, st.sampled_from(list(samples)), edits, st.one_of(st.none(), st.integers(0, 2**32)))


def fuzz(inputs: st.SearchStrategy[Value], check: Callable[[Value], None], *, minutes: float, examples: int = 400) -> None:
    """Without minutes the same examples at every run; with them others, round after round. Memory may grow by 300 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + minutes * 60

    def once() -> None:
        run = given(inputs)(check)
        as_told = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=not minutes,
            suppress_health_check=list(HealthCheck),
        )
        as_told(run)()

    once()
    while time.monotonic() < end:
        once()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / _MEGABYTE
    assert grown < 300, f"the process grew by {grown:.0f} MB"


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, item in inner for place in _places(item, (*path, name)))]


def _with_values(sample: Any, changes: list[tuple[int, Any]]) -> bytes:
    value = orjson.loads(orjson.dumps(sample))
    for number, odd in changes:
        places = _places(value)
        *path, last = places[number % len(places)] or (None,)
        if last is None:
            value = orjson.loads(orjson.dumps(odd))
            continue
        parent = reduce(lambda found, name: found[name], path, value)
        if number % 7 == 0:
            del parent[last]
        else:
            parent[last] = orjson.loads(orjson.dumps(odd))  # a copy: later changes may go into it
    return orjson.dumps(value)


def _with_raw(sample: bytes, number: int, raw: bytes) -> bytes:
    """In place of a number or a text: what no JSON writer of ours can write."""
    places = [place for place, byte in enumerate(sample) if byte in b":,["]
    start = places[number % len(places)] + 1
    end = next((place for place in range(start, len(sample)) if sample[place] in b",]}"), len(sample))
    return sample[:start] + raw + sample[end:]


def _edited(sample: bytes, edits: list[tuple[str, int, bytes]], cut: int | None) -> bytes:
    body = bytearray(sample)
    for kind, number, new in edits:
        place = number % (len(body) + 1)
        body[place : place + (len(new) if kind in "xd" else 0)] = b"" if kind == "d" else new
    return bytes(body if cut is None or cut % 3 else body[: cut % (len(body) + 1)])
