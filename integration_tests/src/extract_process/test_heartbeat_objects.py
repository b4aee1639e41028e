"""How many objects of a lake are heartbeats: a session of each venue, ten times as fast as usual."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from extract_process.spool.limits import BatchLimits
from simulated_exchange.config import ExchangeConfig
from tickhouse_core.datasets import HEARTBEATS, TRADES
from tickhouse_core.lake_keys import instance_of

from .live import capturing, wait_until

if TYPE_CHECKING:
    from conftest import Lake
    from integration_tests.src.extract_process.conftest import OpenVenue


@pytest.mark.parametrize(("venue", "symbol"), [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")])
def test_a_capture_that_records_trades_writes_few_heartbeats(
    venue: str, symbol: str, open_venue: OpenVenue, moto_lake: Lake
) -> None:
    """Of two captures of the same time, the second beats with every batch, as all did before."""
    open_venue(ExchangeConfig(seed=5))

    def objects(prefix: str) -> Counter[str | None]:
        return Counter(instance_of(item.key) for item in moto_lake.store.list_keys(prefix))

    options: dict[str, Any] = {"venue": venue, "limits": BatchLimits(age_seconds=1.0), "heartbeat_seconds": 1.0}
    began = time.monotonic()
    with (
        capturing(symbol, instance="few", busy_heartbeat_seconds=5.0, **options),
        capturing(symbol, instance="many", busy_heartbeat_seconds=1.0, **options),
    ):
        wait_until(lambda: min(objects(TRADES.prefix)[name] for name in ("few", "many")) >= 20, "twenty batches of each")
    beats, trades = objects(HEARTBEATS.prefix), objects(TRADES.prefix)
    assert beats["many"] > 0.6 * trades["many"]
    seconds = time.monotonic() - began  # twenty batches take longer on a busy machine
    assert beats["few"] <= seconds / 5 + 5, "with the first, the last, and those of a quiet moment"
    assert beats["few"] < 0.7 * beats["many"]
