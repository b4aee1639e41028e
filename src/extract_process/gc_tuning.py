"""How often Python looks for garbage in a process that decodes levels by the thousand."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

GARBAGE_THRESHOLD = 100_000
"""New containers between two collections."""


@contextmanager
def garbage_collected_seldom() -> Iterator[None]:
    """Decoded levels are lists by the thousand and none is in a cycle: Python's usual threshold of 700 new containers
    costs more than decoding and Arrow together (benchmarks/bench_extract_hot_path.py)."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
