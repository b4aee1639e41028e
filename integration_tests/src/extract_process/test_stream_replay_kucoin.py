"""A recorded KuCoin connection through sockets, spool, S3, SQS, loader and silver, exactly once; its books are right."""

import gzip
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig, KucoinLimits
from tickhouse_core.warehouse import Warehouse

from .conftest import us
from .live import capturing, events_of, row_count

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import Command, LakeView, OpenVenue

RECORDING = "kucoin_session_20210425.jsonl.gz"
SYMBOLS = ("BCHSV-USDT", "ANKR-BTC", "FET-BTC", "CAPP-BTC", "COV-BTC")
MESSAGES = {"depth_diffs": 2_971, "tickers": 552, "trades": 6}
LEVELS = "arrayMap(level -> (level.1, level.2), {})"


@pytest.mark.parametrize(
    "speed",
    [
        pytest.param(60.0, id="sixtyfold"),
        pytest.param(10.0, id="tenfold", marks=pytest.mark.long),
        pytest.param(0.0, id="full speed", marks=pytest.mark.heart),
    ],
)
def test_a_recorded_connection_is_in_silver_exactly_once_and_its_books_are_the_venues(
    speed: float, open_venue: "OpenVenue", moto_lake: "Lake", warehouse: Warehouse, load: Callable[[], None], shared_data: Path
) -> None:
    exchange = open_venue(ExchangeConfig(replay=(shared_data / RECORDING,), replay_speed=speed)).exchange
    with capturing(*SYMBOLS, venue="kucoin", channels=("trades", "depth", "ticker")) as run:
        wait_until(lambda: exchange.tally()["kucoin"]["sockets"]["replay"]["state"] == "finished", "the end of the replay", 60)
        for dataset, rows in MESSAGES.items():
            wait_until(lambda dataset=dataset, rows=rows: row_count(moto_lake.store, dataset) == rows, f"all {dataset}")  # type: ignore[misc]
    load()

    assert run.report is not None
    assert run.report.objects_left == 0
    assert events_of(moto_lake.store, "gap") == events_of(moto_lake.store, "refused_frame") == []
    keys = {"depth_diffs": "last_update_id", "tickers": "event_time", "trades": "trade_id"}
    for view, rows in MESSAGES.items():
        _, [counts] = warehouse.query_table(f"select count(), uniqExact(venue, symbol, {keys[view]}) from {view}")
        assert counts == (rows, rows)
    breaks = (
        "select symbol, first_update_id - lagInFrame(last_update_id) over (partition by symbol order by last_update_id) as step"
    )
    _, [[broken]] = warehouse.query_table(
        f"select countIf(step not in (1, first_update_id)) from ({breaks}, first_update_id from depth_diffs)"
    )
    assert broken == 0
    equal, compared = compare_with_tickers(warehouse, shared_data)
    assert equal == compared
    assert compared >= 543


def compare_with_tickers(warehouse: Warehouse, shared_data: Path) -> tuple[int, int]:
    """Recorded tickers whose sequence is one of a rebuilt book's states: how many have its best bid and ask, and how many."""
    states = {(symbol, sequence): best for symbol in SYMBOLS for sequence, best in states_of(warehouse, symbol)}
    equal = compared = 0
    with gzip.open(shared_data / RECORDING) as lines:
        for line in map(orjson.loads, lines):
            if line["src"] != "ws" or line["raw"].get("subject") != "trade.ticker":
                continue
            data: dict[str, Any] = line["raw"]["data"]
            best = states.get((line["raw"]["topic"].partition(":")[2], int(data["sequence"])))
            if best is not None:
                compared += 1
                equal += best == tuple(Decimal(data[key]) for key in ("bestBid", "bestBidSize", "bestAsk", "bestAskSize"))
    return equal, compared


def states_of(warehouse: Warehouse, symbol: str) -> Iterator[tuple[int, tuple[Decimal, ...]]]:
    """Best bid and ask after the first snapshot and after every diff since, by sequence."""
    sides = f"{LEVELS.format('bids')}, {LEVELS.format('asks')}"
    where = f"where venue = 'kucoin' and symbol = '{symbol}' order by last_update_id"
    _, [snapshot, *_] = warehouse.query_table(f"select last_update_id, {sides} from depth_snapshots {where}")
    _, diffs = warehouse.query_table(f"select last_update_id, {sides} from depth_diffs {where}")
    assert max(map(len, snapshot[1:])) <= 100, "the public snapshot"
    bids, asks = dict(snapshot[1]), dict(snapshot[2])
    for last_update_id, *changes in [snapshot, *(diff for diff in diffs if diff[0] > snapshot[0])]:
        for book, levels in zip((bids, asks), changes, strict=True):
            book.update(levels)
            for price in [price for price, quantity in levels if not quantity]:
                book.pop(price, None)
        yield last_update_id, (max(bids), bids[max(bids)], min(asks), asks[min(asks)])


def test_a_capture_pings_often_enough_where_the_venue_closes_silent_clients(open_venue: "OpenVenue", moto_lake: "Lake") -> None:
    limits = KucoinLimits(ping_seconds=0.3, silence_seconds=1.2)
    exchange = open_venue(ExchangeConfig(symbols=2, kucoin=limits)).exchange
    with capturing("BTC-USDT", venue="kucoin"):
        wait_until(lambda: exchange.tally()["kucoin"]["sockets"]["client_messages"].get("ping", 0) >= 10, "ten pings")
    sockets = exchange.tally()["kucoin"]["sockets"]
    assert sockets["connects"] == 1
    assert sockets["disconnects"] == {"client": 1}
    assert events_of(moto_lake.store, "gap") == []


def test_the_klines_command_completes_the_lake_and_asks_nothing_twice(
    open_venue: "OpenVenue", command: "Command", lake: "LakeView"
) -> None:
    exchange = open_venue(ExchangeConfig(symbols=4)).exchange
    options = ["--venue", "kucoin", "--symbol", "NOVA-USDT", "--start", "2024-03-01", "--end", "2024-04-01"]
    first, second = command.run(*options), command.run(*options)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    asked = exchange.tally()["kucoin"]["requests"]["/api/v1/market/candles"]["200"]
    table = lake.table("data_sources/klines_pricing/venue=kucoin/symbol=NOVA-USDT/interval=1m/2024-03.parquet")
    opened = table["open_time"].cast("int64").to_pylist()
    assert opened == list(range(us("2024-03-12T10:00"), us("2024-04-01"), 60_000_000))
    assert lake.gaps() == [("NOVA-USDT", us("2024-03-01"), us("2024-03-12T09:59"), "venue_has_no_data")]
    assert asked <= 4 + -(-len(opened) // 1_500)
    assert "rows landed" in first.stdout
    archive = command.run("--venue", "kucoin", "--symbol", "NOVA-USDT", "--source", "archive")
    assert archive.returncode == 2
    assert "error: --source archive: kucoin has no bulk files, only rest" in archive.stderr
