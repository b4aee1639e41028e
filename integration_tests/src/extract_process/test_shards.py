"""Several processes share the markets of one venue: together they record the whole, and one more can join while they record."""

import io
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from tests.waiting import patience, wait_until

from extract_process.shards import Shard
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.instruments import listed_instruments
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse

from .live import events_of, ids_in_events, start_command

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import Command, LakeView, OpenVenue

MARKETS = 12
WEIGHT_LIMIT = 300
STREAMS = (
    ("trades", "trade", "trades", "trade_id", "trade_id"),
    ("depth", "depth@100ms", "depth_diffs", "first_update_id", "last_update_id"),
)
"""Channel, stream, view, and first and last id of a row."""


def test_four_shards_record_the_whole_market_and_one_joins_while_they_record(
    open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    """Three, then four after a restart of all: one of the three is killed, and the fourth takes over from all of them."""
    venue = open_venue(ExchangeConfig(seed=51, symbols=MARKETS, time_scale=4))
    symbols = list(listed_instruments(MARKETS))
    with shards(3, symbols, moto_lake) as three:
        wait_until(lambda: recorded_by(moto_lake.store, 3, symbols), "rows of each market by its shard", patience(60))
        three[2].send_signal(signal.SIGKILL)
    with shards(4, symbols, moto_lake):
        wait_until(lambda: recorded_by(moto_lake.store, 4, symbols), "rows of each market by its new shard", patience(60))
    load()

    moved = [symbol for symbol in symbols if owner(symbol, 3) != owner(symbol, 4)]
    assert 0 < len(moved) < MARKETS / 2
    for symbol in symbols:
        for channel, stream, view, first, last in STREAMS:
            _, rows = warehouse.query_table(f"select {first}, {last} from {view} where symbol = '{symbol}' order by {last}")
            held = {number for low, high in rows for number in range(low, high + 1)}
            assert len(rows) == len({high for _, high in rows}), "nothing twice"
            gaps = ids_in_events(moto_lake.store, "gap", channel, symbol)
            assert held | gaps == set(range(min(held), max(held) + 1)), f"{channel} of {symbol}: recorded, or a gap"
            if symbol in moved and owner(symbol, 3) != 3:  # who was killed had rows that the lake did not know yet
                assert held.isdisjoint(gaps - ids_in_events(moto_lake.store, "healed", channel, symbol))
            sent = venue.exchange.tally()["sockets"]["streams"][f"{symbol.lower()}@{stream}"]
            assert min(held) <= sent["first_id"] + 5
    assert {row["cause"] for row in events_of(moto_lake.store, "gap")} == {"restart"}
    assert {row["instance"] for row in events_of(moto_lake.store, "started")} == {
        f"main-shard-{number}" for number in range(1, 5)
    }


def test_four_processes_of_one_address_never_exceed_its_weight(
    open_venue: "OpenVenue", lake: "LakeView", command: "Command"
) -> None:
    """Each has far more to request than the limit allows. Alone, each of them would use most of it."""
    venue = open_venue(ExchangeConfig(seed=52, symbols=MARKETS, weight_limit=WEIGHT_LIMIT))
    words = [word for symbol in listed_instruments(MARKETS) for word in ("--symbol", symbol)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(command.start(*words, "--start", "2025-12-01", "--concurrency", "8", "--shard", f"{number}/4"))
            for number in range(1, 5)
        ]
        wait_until(lambda: venue.exchange.tally()["weight"]["total"] > 0.9 * WEIGHT_LIMIT, "weight", patience(60))
        assert all(one.poll() is None for one in started), "all of them have more to request"
        for one in started:
            one.terminate()
        said = [one.communicate(timeout=patience(60))[1] for one in started]
    tally = venue.exchange.tally()
    assert not any(refused for causes in tally["refused"].values() for refused in causes.values()), "\n".join(said)
    assert max(tally["weight"]["per_minute"].values()) <= WEIGHT_LIMIT


def owner(symbol: str, count: int) -> int:
    (found,) = [number for number in range(1, count + 1) if Shard(number, count).has("binance", symbol)]
    return found


@contextmanager
def shards(count: int, symbols: list[str], lake: "Lake") -> Iterator[list["subprocess.Popen[str]"]]:
    """All shards of one recorder as commands, ended cleanly; one that was killed may end as it likes."""
    words = [word for symbol in symbols for word in ("--symbol", symbol)]
    tuning = ["--batch-seconds", "1", "--snapshot-levels", "100"]
    with ExitStack() as stack:
        started = [
            stack.enter_context(start_command(*words, *tuning, "--shard", f"{number}/{count}", **lake.environment))
            for number in range(1, count + 1)
        ]
        try:
            yield started
        finally:
            for one in started:
                one.terminate()
            ends = [(one.communicate(timeout=patience(60))[1], one.returncode) for one in started]
        assert all(code in (0, -signal.SIGKILL) for _, code in ends), "\n".join(said for said, _ in ends)


def recorded_by(store: ObjectStore, count: int, symbols: list[str]) -> bool:
    """Whether each market has diffs by the shard that has it of `count`."""
    seen: dict[str, set[str]] = defaultdict(set)
    for item in store.list_keys("data_sources/depth_diffs/"):
        instance = item.key.rpartition("/")[2].partition("-")[2].rpartition("-")[0]
        seen[instance] |= symbols_in(store, item.key)
    return all(symbol in seen[Shard(owner(symbol, count), count).instance("main")] for symbol in symbols)


@lru_cache(maxsize=1_000)
def symbols_in(store: ObjectStore, key: str) -> frozenset[str]:
    table = pq.read_table(io.BytesIO(store.read(key).body), columns=["symbol"])
    return frozenset(map(str, table["symbol"].to_pylist()))
