"""Item 8: two instances record the same market side by side; silver merges them by id, and one fills the other's holes."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, missing_of

if TYPE_CHECKING:
    from .conftest import LakeView, OpenVenue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
STREAMS = (("trades", "trade_id", "trade_id", "trade"), ("depth_diffs", "first_update_id", "last_update_id", "depth@100ms"))
"""View, first and last id of a row, stream."""


@pytest.mark.heart
def test_two_instances_are_both_in_bronze_and_once_in_silver(
    open_venue: "OpenVenue", lake: "LakeView", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    exchange = open_venue(ExchangeConfig(seed=41, time_scale=10)).exchange

    def connections() -> list[int]:
        return sorted(map(int, exchange.tally()["sockets"]["open"]))

    with capturing(*SYMBOLS, instance="a", snapshot_levels=100):
        wait_until(lambda: len(connections()) == 1, "the first instance's connection")
        (first,) = connections()
        with capturing(*SYMBOLS, instance="b", snapshot_levels=100):
            wait_until(lambda: len(connections()) == 2, "the second instance's connection")
            wait_until(lambda: exchange.tally()["sockets"]["messages"] > 600, "messages")
            exchange.disconnect([first])
            wait_until(lambda: len(connections()) == 2, "the first instance to come back")
            wait_until(lambda: bool(events_of(lake.store, "gap", "depth")), "what it missed")
            before = exchange.tally()["sockets"]["messages"]
            wait_until(lambda: exchange.tally()["sockets"]["messages"] > before + 300, "more messages")
    load()

    spool = Path(os.environ["SPOOL_DIR"])
    assert sorted(folder.name for folder in spool.glob("stream-*")) == ["stream-binance-a", "stream-binance-b"]
    assert {row["instance"] for row in events_of(lake.store, "gap")} == {"a"}
    assert {row["instance"] for row in events_of(lake.store, "stopped")} == {"a", "b"}
    for symbol in SYMBOLS:
        for view, from_id, to_id, stream in STREAMS:
            landed = {instance: ids_of(lake, view, to_id, symbol, instance) for instance in ("a", "b")}
            assert max(landed["a"].values()) == max(landed["b"].values()) == 1
            both = landed["a"].keys() & landed["b"].keys()
            assert len(both) > 20

            _, rows = warehouse.query_table(f"select {to_id} from bronze_{view} where symbol = '{symbol}'")
            in_bronze = Counter(number for (number,) in rows)
            assert in_bronze == landed["a"] + landed["b"]
            assert {in_bronze[number] for number in both} == {2}

            _, rows = warehouse.query_table(f"select {from_id}, {to_id} from {view} where symbol = '{symbol}' order by {to_id}")
            assert [last for _, last in rows] == sorted(in_bronze)
            assert missing_of(exchange, f"{symbol.lower()}@{stream}") == set()
            assert all(after == last + 1 for (_, last), (after, _) in pairwise(rows)), "no hole in silver"
            if view == "depth_diffs":  # which no REST question heals
                assert len(landed["a"]) < len(rows)


def ids_of(lake: "LakeView", dataset: str, column: str, symbol: str, instance: str) -> Counter[int]:
    """How often each id is in the objects of one instance."""
    keys = [item.key for item in lake.store.list_keys(f"data_sources/{dataset}/")]
    return Counter(
        row[column]
        for key in keys
        if key.rsplit("-", 2)[1] == instance
        for row in lake.table(key).to_pylist()
        if row["symbol"] == symbol
    )
