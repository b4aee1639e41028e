"""A transformer beside a recorder on one processor works no more than its share of the time."""

import time

import pytest

from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.warehouse import Warehouse
from transform_process.catalog import OHLCV
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
