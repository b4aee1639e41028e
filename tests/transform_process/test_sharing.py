"""A transformer beside a recorder on one processor works no more than its share of the time."""

import time
from typing import Any

import pytest

from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from transform_process.catalog import BOOK, OHLCV, Transform
from transform_process.transformer import LONGEST_REST, Transformer, TransformOptions

from . import warehouse_rows as rows
from .warehouse_rows import TRADES, land


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.ahead)


@pytest.mark.parametrize("is_sharing", [True, False])
def test_after_its_work_a_transform_rests_where_it_shares(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, is_sharing: bool
) -> None:
    clock = Clock(monkeypatch)
    shared = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0, is_sharing=is_sharing), [OHLCV])
    land(warehouse, TRADES, rows.trades([1, 2]))
    assert shared.run_pass() > 0
    land(warehouse, TRADES, rows.trades([3]))
    assert (shared.run_pass() > 0) is not is_sharing
    clock.ahead = LONGEST_REST
    assert (shared.run_pass() > 0) is is_sharing  # what waited is not lost


class StopAtFirstPause(StopRequest):
    """Ends the run at its first pause, whose length it keeps."""

    paused = -1.0

    def wait(self, seconds: float) -> bool:
        self.paused = seconds
        self.set()
        return super().wait(0)


@pytest.mark.parametrize(("is_sharing", "least", "most"), [(True, 0.0, 5.0), (False, 60.0, 60.0)])
def test_the_next_pass_begins_when_the_first_transform_has_rested_enough(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, is_sharing: bool, least: float, most: float
) -> None:
    """Books take 55 seconds: candles, whose turn was before them, have rested 55 of their 60 seconds."""
    clock = Clock(monkeypatch)
    stop = StopAtFirstPause()
    options = TransformOptions(lag_seconds=0, every_seconds=60.0, is_sharing=is_sharing)
    transformer = Transformer(warehouse, stop, options, [OHLCV, BOOK])
    run = transformer._run_transform

    def slow_books(transform: Transform, *rest: Any) -> int:
        clock.ahead += 55.0 if transform is BOOK else 0.0
        return run(transform, *rest)

    monkeypatch.setattr(transformer, "_run_transform", slow_books)
    land(warehouse, TRADES, rows.trades([1, 2]))
    transformer.run()
    assert least <= stop.paused <= most


def test_a_transform_takes_what_was_loaded_while_the_one_before_it_worked(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0), [BOOK, OHLCV])
    run = transformer._run_transform

    def loaded_meanwhile(transform: Transform, *rest: Any) -> int:
        built = run(transform, *rest)
        if transform is BOOK:
            land(warehouse, TRADES, rows.trades([1, 2]))
        return built

    monkeypatch.setattr(transformer, "_run_transform", loaded_meanwhile)
    assert transformer.run_pass() > 0
