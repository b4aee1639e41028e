"""A lake served as the venue itself: a small one, made of rows, watched through REST and sockets."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.commands import ChildProcess, run_here
from tests.transform_process.warehouse_rows import depth_diff, depth_snapshot, klines, table_of, trades, us
from tests.waiting import patience, wait_until
from websockets.sync.client import ClientConnection, connect

from extract_process.parquet import parquet_bytes
from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.binance.lake import BinanceWords
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.kucoin.lake import KucoinWords
from simulated_exchange.lake.source import open_venues
from simulated_exchange.market.numbers import eight_places
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.paced import Start
from tickhouse_core.columns import DECIMAL
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TICKERS, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key, klines_month_key

from ..sockets import get

T0 = us("2024-08-09T10:00")
SECOND, MINUTE = 1_000_000, 60_000_000
KUCOIN = ("kucoin", "BTC-USDT")
SOURCES = Path(__file__).resolve().parents[3] / "src"
_sequence = itertools.count(1)


def write(data: Path, dataset: Dataset, table: pa.Table, venue: str = "binance", received: int | None = None) -> None:
    first = received or min(table.column("receipt_time").cast(pa.int64()).to_pylist())
    _put(data / "lake" / hourly_key(dataset, venue, first, "a", next(_sequence)), table, dataset)


def write_klines(data: Path, table: pa.Table, venue: str = "binance", symbol: str = "BTCUSDT") -> None:
    _put(data / "lake" / klines_month_key(venue, symbol, "1m", "2024-08"), table, KLINES)


def _put(path: Path, table: pa.Table, dataset: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet_bytes(table, dataset))


def ticker(symbol: str, at: int, close: str, venue: str = "binance", **best: str) -> pa.Table:
    columns: dict[str, Any] = {field.name: [None] for field in TICKERS.schema}
    columns |= {"venue": [venue], "symbol": [symbol], "event_time": [at], "receipt_time": [T0 + 5 * SECOND], "close": [close]}
    columns |= {name: [text] for name, text in best.items()}
    return table_of(TICKERS, columns)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten seconds: a trade and a diff each second, a snapshot in the third diff, a ticker, some minutes of klines."""
    times = [T0 + number * SECOND + 123 for number in range(10)]
    prices = [f"{100 + number}.5" for number in range(10)]
    write(tmp_path, TRADES, trades(range(1, 11), times_us=times, prices=prices))
    diffs = [
        depth_diff(10 * number, 10 * number + 9, event_us=T0 + number * SECOND, bids=[["100.1", str(number)]], asks=[])
        for number in range(1, 11)
    ]
    write(tmp_path, DEPTH_DIFFS, pa.concat_tables(diffs).unify_dictionaries())
    sides: dict[str, Any] = {"bids": [["100.1", "7"], ["99.5", "2"]], "asks": [["100.2", "0.00000001"]]}
    write(tmp_path, DEPTH_SNAPSHOTS, depth_snapshot(35, receipt_us=T0 + 3 * SECOND + 5_000, **sides))
    day = {"open": "90", "high": "120", "low": "80", "volume": "5000", "quote_volume": "500000"}
    write(tmp_path, TICKERS, pa.concat_tables([ticker(name, T0 + 5 * SECOND, "104.5", **day) for name in ("BTCUSDT", "ETHUSDT")]))
    write_klines(tmp_path, klines([T0 + (number - 5) * MINUTE for number in range(7)], close=[str(100 + n) for n in range(7)]))
    return tmp_path


@contextmanager
def replaying(data: Path, **config: Any) -> Iterator[tuple[RunningExchange, StandingClock, httpx.Client]]:
    """A clock that stands still; the replay begins at its own time when `start_replay` is called."""
    clock = StandingClock(1_800_000_000_000)
    options = {"replay_start": Start.CONTROL} | config
    with (
        running_exchange(ExchangeConfig(replay_lake=str(data), **options), clock) as running,
        httpx.Client(base_url=running.url, trust_env=False) as client,
    ):
        yield running, clock, client


def until(running: RunningExchange, clock: StandingClock, seconds: float) -> None:
    """Everything up to so long after the beginning has been written; the tape is read in a thread of its own."""
    clock.now = 1_800_000_000_000 + int(seconds * 1000)

    until_is(running, lambda report: report["state"] == "finished" or report["at"] >= T0 + seconds * SECOND)


def until_is(running: RunningExchange, has_come: Callable[[dict[str, Any]], bool]) -> None:
    def is_so() -> bool:
        running.settle()
        tally = running.tally()
        return has_come(tally["sockets"]["replay"] or tally["kucoin"]["sockets"]["replay"])

    wait_until(is_so, "the replay to come so far")


def subscribed(running: RunningExchange, *streams: str, query: str = "&timeUnit=MICROSECOND") -> ClientConnection:
    socket = connect(f"{running.ws_url}/stream?streams={'/'.join(streams)}{query}", proxy=None, max_size=None)
    wait_until(lambda: any(one["streams"] for one in running.tally()["sockets"]["open"].values()), "the subscription")
    return socket


def received(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [orjson.loads(socket.recv(timeout=patience(10))) for _ in range(count)]


def test_rows_become_the_messages_they_were(data: Path) -> None:
    with replaying(data) as (running, clock, _), subscribed(running, "btcusdt@trade", "btcusdt@depth@100ms") as socket:
        running.start_replay()
        until(running, clock, 1.5)
        first, second, diff = (message["data"] for message in received(socket, 3))
        assert first == {
            "e": "trade",
            "E": T0 + 123,
            "s": "BTCUSDT",
            "t": 1,
            "p": "100.50000000",
            "q": "0.50000000",
            "T": T0 + 123,
            "m": False,
            "M": True,
        }
        until(running, clock, 9.5)
        rest = received(socket, 16)
    diff, second = (diff, second) if diff["e"] == "depthUpdate" else (second, diff)
    assert diff == {
        "e": "depthUpdate",
        "E": T0 + SECOND,
        "s": "BTCUSDT",
        "U": 10,
        "u": 19,
        "b": [["100.10000000", "1.00000000"]],
        "a": [],
    }
    assert second["t"] == 2
    assert [one["data"]["u"] for one in rest if one["stream"] == "btcusdt@depth@100ms"] == [29, 39, 49, 59, 69, 79, 89, 99]


def test_nothing_is_sent_before_its_time(data: Path) -> None:
    with replaying(data) as (running, clock, _), subscribed(running, "btcusdt@trade") as socket:
        running.start_replay()
        for number in range(4):
            until(running, clock, number + 0.5)
            assert running.tally()["sockets"]["streams"]["btcusdt@trade"]["messages"] == number + 1
        assert [message["data"]["t"] for message in received(socket, 4)] == [1, 2, 3, 4]


def test_speed_ten_is_ten_times_the_pace(data: Path) -> None:
    with replaying(data, replay_speed=10.0) as (running, clock, _), subscribed(running, "btcusdt@trade"):
        running.start_replay()
        clock.now += 450
        until_is(running, lambda report: report["at"] >= T0 + 4_500_000)
        assert running.tally()["sockets"]["streams"]["btcusdt@trade"]["last_id"] == 5


def test_the_first_subscriber_sees_everything_and_full_speed_waits_for_one(data: Path) -> None:
    with replaying(data, replay_speed=0.0, replay_start=Start.ANY) as (running, clock, _):
        clock.now += 60_000
        running.settle()
        assert running.tally()["sockets"]["replay"]["state"] == "waiting"
        with subscribed(running, "btcusdt@trade") as socket:
            clock.now += 600
            assert [message["data"]["t"] for message in received(socket, 10)] == list(range(1, 11))


def test_the_book_is_that_of_the_moment(data: Path) -> None:
    with replaying(data) as (running, clock, client):
        running.start_replay()
        ahead = get(client, "depth", symbol="BTCUSDT")  # nothing is known yet: the snapshot that was recorded next
        assert ahead["lastUpdateId"] == 35
        until(running, clock, 3.5)
        assert get(client, "depth", symbol="BTCUSDT") == {
            "lastUpdateId": 39,
            "bids": [["100.10000000", "3.00000000"], ["99.50000000", "2.00000000"]],
            "asks": [["100.20000000", "0.00000001"]],
        }
        until(running, clock, 6.5)
        assert get(client, "depth", symbol="BTCUSDT", limit=1)["bids"] == [["100.10000000", "6.00000000"]]
        assert get(client, "ticker/bookTicker", symbol="BTCUSDT")["bidQty"] == "6.00000000"
        assert get(client, "time") == {"serverTime": (T0 + 6_500_000) // 1000}


def test_behind_a_hole_there_is_no_book_until_the_next_snapshot(data: Path) -> None:
    write(data, DEPTH_DIFFS, depth_diff(200, 205, event_us=T0 + 200 * SECOND, bids=[["100.1", "9"]]))
    write(data, DEPTH_DIFFS, depth_diff(206, 209, event_us=T0 + 300 * SECOND, bids=[["100.1", "8"]]))
    sides: dict[str, Any] = {"bids": [["98", "1"]], "asks": [["99", "1"]]}
    write(data, DEPTH_SNAPSHOTS, depth_snapshot(207, receipt_us=T0 + 300 * SECOND + 5_000, **sides))
    with replaying(data) as (running, clock, client):
        running.start_replay()
        until(running, clock, 201)
        assert client.get("/api/v3/depth", params={"symbol": "BTCUSDT"}).json()["code"] == -1112
        until(running, clock, 300.5)
        book = get(client, "depth", symbol="BTCUSDT")
        assert (book["lastUpdateId"], book["bids"][0]) == (209, ["100.10000000", "8.00000000"])


def test_from_the_middle_books_and_trades_are_known_at_once(data: Path) -> None:
    with replaying(data, replay_from=T0 + 5 * SECOND, replay_to=T0 + 8 * SECOND) as (running, clock, client):
        assert get(client, "depth", symbol="BTCUSDT")["lastUpdateId"] == 49
        assert [trade["id"] for trade in get(client, "trades", symbol="BTCUSDT")] == [1, 2, 3, 4, 5]
        with subscribed(running, "btcusdt@trade") as socket:
            running.start_replay()
            clock.now += 60_000
            until_is(running, lambda report: report["state"] == "finished")
            assert [message["data"]["t"] for message in received(socket, 3)] == [6, 7, 8]


def test_two_recordings_are_one_venue(data: Path) -> None:
    times = [T0 + number * SECOND + 123 for number in range(10)]
    prices = [f"{100 + number}.5" for number in range(10)]
    write(data, TRADES, trades(range(1, 11), times_us=times, prices=prices, latency_us=9_000))
    with replaying(data, replay_speed=0.0) as (running, clock, _), subscribed(running, "btcusdt@trade") as socket:
        running.start_replay()
        clock.now += 1_000
        assert [message["data"]["t"] for message in received(socket, 10)] == list(range(1, 11))
        until_is(running, lambda report: report["state"] == "finished")
        assert running.tally()["sockets"]["streams"]["btcusdt@trade"]["messages"] == 10


def test_trades_are_found_by_their_ids_long_after_and_before_the_start(tmp_path: Path) -> None:
    times = [T0 + number * 10_000_000 for number in range(3_000)]  # more than eight hours
    for first in range(0, 3_000, 250):
        write(tmp_path, TRADES, trades(range(1_000 + first, 1_250 + first), times_us=times[first : first + 250]))
    with replaying(tmp_path, replay_from=times[1_000], replay_speed=0.0) as (running, clock, client):
        with subscribed(running, "btcusdt@trade") as socket:
            running.start_replay()
            clock.now += 1_000
            until_is(running, lambda report: report["state"] == "finished")
            received(socket, 2_000)

        def ids(**asked: int) -> list[int]:
            return [trade["id"] for trade in get(client, "historicalTrades", symbol="BTCUSDT", **asked)]

        assert ids(limit=3) == [3_997, 3_998, 3_999]
        assert ids(fromId=3_998) == [3_998, 3_999]
        assert ids(fromId=2_010, limit=1_000) == list(range(2_010, 3_010))
        assert ids(fromId=2_900, limit=200) == list(range(2_900, 3_100))
        assert ids(fromId=1_010, limit=5) == list(range(1_010, 1_015))  # an hour and more before the start
        assert ids(fromId=1, limit=2) == [1_000, 1_001]
        assert ids(fromId=4_000) == []


def test_aggregate_trades_are_those_of_one_order_at_one_price(tmp_path: Path) -> None:
    """Three trades each, but for a price that changes in between; `fromId` in the middle of one, long before the end."""
    number = 3_000
    times = [T0 + place // 3 * SECOND for place in range(number)]
    prices = ["101" if place % 30 == 29 else "100" for place in range(number)]
    table = trades(range(number), times_us=times, prices=prices)
    write(tmp_path, TRADES, table.set_column(5, table.schema.field(5), pa.array([False] * number)))
    with replaying(tmp_path, replay_speed=0.0) as (running, clock, client), subscribed(running, "btcusdt@trade") as socket:
        running.start_replay()
        clock.now += 1_000
        until_is(running, lambda report: report["state"] == "finished")
        received(socket, number)

        def found(**asked: int) -> list[tuple[int, int]]:
            page = get(client, "aggTrades", symbol="BTCUSDT", **asked)
            assert all(one["a"] == one["l"] and one["M"] and one["m"] is False for one in page)
            assert [one["q"] for one in page] == [f"{(one['l'] - one['f'] + 1) / 2:.8f}" for one in page]
            assert [one["T"] for one in page] == [(T0 + one["l"] // 3 * SECOND) // 1_000 for one in page]
            assert [one["p"][:3] for one in page] == ["101" if one["f"] % 30 == 29 else "100" for one in page]
            return [(one["f"], one["l"]) for one in page]

        assert found(limit=2) == [(2_997, 2_998), (2_999, 2_999)]
        assert found(fromId=301, limit=2) == [(300, 302), (303, 305)]
        assert found(fromId=303, limit=1) == [(303, 305)]
        whole: list[tuple[int, int]] = []
        at = 0
        while page := found(fromId=at, limit=300):
            whole, at = [*whole, *page], page[-1][1] + 1
        assert [first for first, _ in whole] == [0, *(last + 1 for _, last in whole[:-1])]
        assert (whole[-1][1], len(whole)) == (number - 1, 1_100)
        assert found(startTime=(T0 + 990 * SECOND) // 1_000, endTime=(T0 + 991 * SECOND) // 1_000) == [
            (2_970, 2_972),
            (2_973, 2_975),
        ]
        asked: dict[str, str | int] = {"symbol": "BTCUSDT", "startTime": T0 // 1_000}
        refused = client.get("/api/v3/aggTrades", params=asked)
        assert (refused.status_code, refused.json()["code"]) == (400, -1000)
        assert "fromId" in refused.json()["msg"]
        assert client.get("/api/v3/aggTrades", params=asked | {"fromId": 1}).json()["code"] == -1128


def test_klines_are_pages_of_what_has_closed(data: Path) -> None:
    with replaying(data) as (running, clock, client):
        rows = get(client, "klines", symbol="BTCUSDT", interval="1m")
        assert [row[0] for row in rows] == [(T0 + number * MINUTE) // 1000 for number in range(-5, 0)]
        assert rows[0][1:] == ["100.00000000", *rows[0][2:4], "100.00000000", "2.00000000", rows[0][0] + 59_999, *rows[0][7:]]
        assert get(client, "klines", symbol="BTCUSDT", interval="1m", startTime=rows[1][0], limit=2) == rows[1:3]
        assert get(client, "klines", symbol="BTCUSDT", interval="1m", endTime=rows[3][0], limit=2) == rows[2:4]
        assert get(client, "klines", symbol="ETHUSDT", interval="1h") == []  # it has no klines at all
        refused = client.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1h"})
        assert refused.status_code == 400
        assert refused.json() == {"code": -1120, "msg": "Invalid interval. This lake has 1m of BTCUSDT."}
        with subscribed(running, "btcusdt@kline_1m") as socket:
            write_end(data)
            running.start_replay()
            until(running, clock, 9.5)
            assert running.tally()["sockets"]["messages"] == 0
        assert socket.close_code


def write_end(data: Path) -> None:
    """A trade two minutes later."""
    write(data, TRADES, trades([11], times_us=[T0 + 2 * MINUTE + SECOND]))


def test_a_kline_is_told_when_it_has_closed(data: Path) -> None:
    write_end(data)
    with replaying(data) as (running, clock, _), subscribed(running, "btcusdt@kline_1m") as socket:
        running.start_replay()
        until(running, clock, 121)
        found = [message["data"]["k"] for message in received(socket, 2)]
    assert [(kline["t"], kline["T"], kline["c"], kline["x"], kline["n"]) for kline in found] == [
        (T0, T0 + MINUTE - 1, "105.00000000", True, 3),
        (T0 + MINUTE, T0 + 2 * MINUTE - 1, "106.00000000", True, 3),
    ]


def test_tickers_of_one_frame_are_one_message_again(data: Path) -> None:
    with replaying(data) as (running, clock, client), subscribed(running, "!miniTicker@arr", "ethusdt@miniTicker") as socket:
        running.start_replay()
        until(running, clock, 5.9)
        whole, one = (message["data"] for message in received(socket, 2))
        assert [entry["s"] for entry in whole] == ["BTCUSDT", "ETHUSDT"]
        assert one == whole[1]
        assert (one["E"], one["c"], one["o"], one["v"]) == (T0 + 5 * SECOND, "104.50000000", "90.00000000", "5000.00000000")
        day = get(client, "ticker/24hr", symbol="BTCUSDT")
        assert (day["lastPrice"], day["openPrice"], day["volume"]) == ("105.50000000", "90.00000000", "5000.00000000")
        assert get(client, "ticker/price", symbol="ETHUSDT") == {"symbol": "ETHUSDT", "price": "104.50000000"}


def test_the_lakes_symbols_are_listed(data: Path) -> None:
    with replaying(data) as (_, _, client):
        found = get(client, "exchangeInfo")["symbols"]
        assert [(one["symbol"], one["baseAsset"], one["quoteAsset"], one["status"]) for one in found] == [
            ("BTCUSDT", "BTC", "USDT", "TRADING"),
            ("ETHUSDT", "ETH", "USDT", "TRADING"),
        ]
        assert client.get("/api/v3/depth", params={"symbol": "NOVAUSDT"}).json()["code"] == -1121
        assert client.get("/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-08-08.zip").status_code == 404


def test_kucoins_rows_become_its_messages(tmp_path: Path) -> None:
    write(tmp_path, TRADES, trades([7, 9], times_us=[T0 + 1, T0 + SECOND], symbol=KUCOIN[1], venue="kucoin"), "kucoin")
    changes: dict[str, Any] = {"bids": [["100.10", "0"], ["100.00", "5"]], "asks": []}
    diffs = [depth_diff(10, 12, event_us=T0 + 5_000, **changes, market=KUCOIN)]
    diffs.append(depth_diff(13, 13, event_us=T0 + 6_000, market=KUCOIN))
    write(tmp_path, DEPTH_DIFFS, pa.concat_tables(diffs).unify_dictionaries(), "kucoin")
    sides: dict[str, Any] = {"bids": [["100.1", "7"], ["99", "1"]], "asks": [["100.2", "3"]]}
    write(tmp_path, DEPTH_SNAPSHOTS, depth_snapshot(9, receipt_us=T0, **sides, market=KUCOIN), "kucoin")
    tops = {"best_bid_price": "100", "best_bid_quantity": "5"}
    write(tmp_path, TICKERS, ticker("BTC-USDT", T0 + 7_000, "100.50", "kucoin", **tops), "kucoin")
    write_klines(
        tmp_path, klines([T0 - 2 * MINUTE, T0 - MINUTE], symbol=KUCOIN[1], venue="kucoin", trade_count=0), "kucoin", KUCOIN[1]
    )
    with replaying(tmp_path) as (running, clock, client):

        def ask(method: str, path: str, **asked: Any) -> Any:
            return client.request(method, f"/api/{path}", params=asked).json()["data"]

        token = ask("POST", "v1/bullet-public")["token"]
        with connect(f"{running.ws_url}/endpoint?token={token}", proxy=None) as socket:
            assert received(socket, 1)[0]["type"] == "welcome"
            for topic in ("level2", "match", "ticker"):
                socket.send(orjson.dumps({"id": 1, "type": "subscribe", "topic": f"/market/{topic}:BTC-USDT"}), text=True)
            wait_until(lambda: running.tally()["kucoin"]["sockets"]["open"]["1"]["streams"] == 3, "the subscriptions")
            running.start_replay()
            until(running, clock, 0.5)
            match, diff, placeholder, tick = (message["data"] for message in received(socket, 4))
        assert match == {
            "symbol": "BTC-USDT",
            "type": "match",
            "takerOrderId": "0",
            "makerOrderId": "0",
            "sequence": "7",
            "price": "100",
            "size": "0.5",
            "side": "buy",
            "tradeId": "7",
            "time": f"{T0 + 1}000",
        }
        assert diff["changes"] == {"bids": [["100.1", "0", "12"], ["100", "5", "12"]], "asks": []}
        assert (diff["sequenceStart"], diff["sequenceEnd"], diff["time"]) == (10, 12, (T0 + 5_000) // 1000)
        assert placeholder["changes"] == {"bids": [], "asks": [["0", "0", "13"]]}
        assert (tick["price"], tick["bestBid"], tick["bestAsk"], tick["time"]) == ("100.5", "100", None, (T0 + 7_000) // 1000)
        book = ask("GET", "v1/market/orderbook/level2_20", symbol="BTC-USDT")
        assert (book["sequence"], book["bids"], book["asks"]) == ("13", [["100", "5"], ["99", "1"]], [["100.2", "3"]])
        assert [trade["sequence"] for trade in ask("GET", "v1/market/histories", symbol="BTC-USDT")] == ["7"]
        [second, first] = ask("GET", "v1/market/candles", symbol="BTC-USDT", type="1min")
        assert int(second[0]) - int(first[0]) == 60
        assert [(one["symbol"], one["priceIncrement"]) for one in ask("GET", "v2/symbols")] == [("BTC-USDT", "1")]


@pytest.mark.parametrize(("later", "origin"), [(5 * SECOND, T0 + 123), (48 * 60 * MINUTE, T0 + 48 * 60 * MINUTE)])
def test_venues_that_were_recorded_together_begin_together(later: int, origin: int, data: Path) -> None:
    write(data, TRADES, trades([7], times_us=[T0 + later], symbol=KUCOIN[1], venue="kucoin"), "kucoin")
    found = open_venues(FolderStore(data / "lake"), (BinanceWords(), KucoinWords()), None, None, "data")
    assert {name: venue.origin for name, venue in found.items()} == {"binance": T0 + 123, "kucoin": origin}
    for venue in found.values():
        venue.tape.close()


def test_a_jump_of_the_book_leaves_out_the_recorded_diffs_after_it(data: Path) -> None:
    faults = ("sequence_jump@btcusdt@depth@100ms:1:1:15:2",)
    with replaying(data, replay_speed=0.0) as (running, clock, _), subscribed(running, "btcusdt@depth@100ms") as socket:
        running.set_faults(faults)
        running.start_replay()
        clock.now += 1_000
        assert [message["data"]["u"] for message in received(socket, 8)] == [19, 29, 59, 69, 79, 89, 99, 109]
        [fault] = running.tally()["sockets"]["faults"]
        assert (fault["missing_from"], fault["missing_to"]) == (30, 49)


def test_what_was_recorded_of_a_replay_can_be_replayed(tmp_path: Path) -> None:
    """Its rows were received years after the venue's time."""
    late = us("2026-11-29") - T0
    write(tmp_path, TRADES, trades(range(1, 6), times_us=[T0 + n * SECOND for n in range(5)], latency_us=late))
    write(tmp_path, DEPTH_DIFFS, depth_diff(1, 5, event_us=T0 + SECOND, bids=[["1", "1"]], latency_us=late))
    write(tmp_path, DEPTH_SNAPSHOTS, depth_snapshot(3, receipt_us=T0 + late, bids=[["2", "1"]], asks=[]))
    with replaying(tmp_path, replay_from=T0 + 2 * SECOND, replay_speed=0.0) as (running, clock, client):
        assert get(client, "depth", symbol="BTCUSDT")["lastUpdateId"] == 5
        with subscribed(running, "btcusdt@trade") as socket:
            running.start_replay()
            clock.now += 1_000
            assert [message["data"]["t"] for message in received(socket, 3)] == [3, 4, 5]


def test_a_lake_without_rows_in_the_range_is_one_clear_line(data: Path) -> None:
    for config in ({"replay_from": T0 + MINUTE}, {"replay_to": T0 - MINUTE}):
        with pytest.raises(UsageError, match=r"nothing was recorded from .* to .*: no trade, no diff, no ticker"):
            RunningConfig(data, **config)


def RunningConfig(data: Path, **config: Any) -> None:  # noqa: N802
    with replaying(data, **config):
        raise AssertionError("it runs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--replay-lake", "no-such-folder"), "no-such-folder: no lake there"),
        (("--replay-lake", "{data}", "--speed", "fast"), "--speed 'fast': a number such as 1 or 10, or max"),
        (("--replay-lake", "{data}", "--speed", "nan"), "--speed 'nan': a number such as 1 or 10, or max"),
        (("--replay-lake", "{data}", "--speed", "inf"), "--speed 'inf': a number such as 1 or 10, or max"),
        (("--replay-lake", "{data}", "--from", "yesterday"), "--from: 'yesterday' is not an ISO date or instant"),
        (("--from", "2024-08-09"), "--from and --to are of --replay-lake"),
        (
            ("--replay-lake", "{data}", "--from", "2024-08-10", "--to", "2024-08-09T12:00"),
            "--from 2024-08-10T00:00:00Z is not before --to 2024-08-09T12:00:00Z",
        ),
        (("--speed", "10"), "--speed is of --replay and --replay-lake"),
        (("--replay-start", "now"), "--replay-start is of --replay and --replay-lake"),
        (("--replay", "{data}", "--replay-end", "exit"), "--replay-end is of --replay-lake"),
        (("--replay-lake", "{data}", "--to", ""), "--to: '' is not an ISO date or instant"),
        (("--replay-lake", "{data}", "--replay", "x.jsonl"), "either --replay or --replay-lake"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(arguments: tuple[str, ...], said: str, data: Path) -> None:
    run = run_here("simulated_exchange", *(one.format(data=data) for one in arguments))
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulated_exchange", "--port", "0", *arguments]


@pytest.mark.slow
def test_at_the_end_it_says_so_and_ends_if_asked_to(data: Path) -> None:
    arguments = command("--replay-lake", str(data), "--speed", "max", "--replay-end", "exit")
    with ChildProcess(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1].replace("http", "ws")
        with connect(f"{url}/ws/btcusdt@trade", proxy=None) as socket:
            assert [message["t"] for message in received(socket, 10)] == list(range(1, 11))
            assert "the replay is over: 23 messages up to 2024-08-09T10:00:10" in process.stdout.readline()
            assert [*socket] == []
            assert (socket.close_code, socket.close_reason) == (1001, "the replay is over")
        assert process.wait(patience(10)) == 0


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.decimals(0, 10**17, places=18, allow_nan=False), st.decimals(0, 10**12, places=8))))
def test_texts_have_eight_places_or_more_and_the_same_value(values: list[Decimal | None]) -> None:
    for start in (0, 1):
        texts = eight_places(pa.array(values, DECIMAL).slice(start)).to_pylist()
        assert [None if text is None else Decimal(text) for text in texts] == values[start:]
        assert all(text is None or len(text.partition(".")[2]) >= 8 for text in texts)
