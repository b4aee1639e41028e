from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.waiting import wait_until
from websockets.sync.client import connect

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock

from ..sockets import get

MINI = [
    *("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
]
FULL = [
    *("symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastPrice", "lastQty"),
    *("bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
]
DAY, MINUTE = 86_400_000, 60_000


def test_the_last_24_hours_are_those_of_the_klines(client: httpx.Client, clock: StandingClock) -> None:
    get(client, "depth", symbol="BTCUSDT")  # its book runs
    clock.now += 10_000
    found = get(client, "ticker/24hr", symbol="BTCUSDT")

    start = clock.now // MINUTE * MINUTE - DAY
    rows = [*get(client, "klines", symbol="BTCUSDT", interval="1m", startTime=start, limit=1000)]
    rows += get(client, "klines", symbol="BTCUSDT", interval="1m", startTime=rows[-1][0] + 1, limit=1000)
    assert len(rows) == DAY // MINUTE + 1
    assert list(found) == FULL
    assert found["openPrice"] == rows[0][1]
    assert Decimal(found["highPrice"]) == max(Decimal(row[2]) for row in rows)
    assert Decimal(found["lowPrice"]) == min(Decimal(row[3]) for row in rows)
    assert Decimal(found["volume"]) == sum(Decimal(row[5]) for row in rows)
    assert Decimal(found["quoteVolume"]) == sum(Decimal(row[7]) for row in rows)
    assert found["count"] == sum(row[8] for row in rows) == found["lastId"] - found["firstId"] + 1
    assert Decimal(found["priceChange"]) == Decimal(found["lastPrice"]) - Decimal(found["openPrice"])
    [last] = get(client, "trades", symbol="BTCUSDT", limit=1)
    assert (found["lastPrice"], found["lastQty"], found["lastId"]) == (last["price"], last["qty"], last["id"])


def test_prices_and_tops_are_those_of_the_book(client: httpx.Client, clock: StandingClock) -> None:
    get(client, "depth", symbol="ETHUSDT")
    clock.now += 3_000
    top = get(client, "ticker/bookTicker", symbol="ETHUSDT")
    book = get(client, "depth", symbol="ETHUSDT", limit=1)
    assert [top["bidPrice"], top["bidQty"]] == book["bids"][0]
    assert [top["askPrice"], top["askQty"]] == book["asks"][0]
    [last] = get(client, "trades", symbol="ETHUSDT", limit=1)
    assert get(client, "ticker/price", symbol="ETHUSDT") == {"symbol": "ETHUSDT", "price": last["price"]}


def test_some_symbols_are_a_list_and_none_are_all(client: httpx.Client) -> None:
    some = get(client, "ticker/24hr", symbols='["BTCUSDT","ETHUSDT"]', type="MINI")
    assert [(list(one), one["symbol"]) for one in some] == [(MINI, "BTCUSDT"), (MINI, "ETHUSDT")]
    listed = [one["symbol"] for one in get(client, "exchangeInfo")["symbols"]]
    for path in ("24hr", "price", "bookTicker"):
        assert [one["symbol"] for one in get(client, f"ticker/{path}")] == listed


@pytest.mark.parametrize(
    ("path", "asked", "weight"),
    [
        ("24hr", {"symbol": "BTCUSDT"}, 2),
        ("24hr", {"symbols": '["BTCUSDT","ETHUSDT"]'}, 2),
        ("24hr", {"symbols": orjson.dumps([f"S{number}" for number in range(21)]).decode()}, 40),
        ("24hr", {"symbols": orjson.dumps([f"S{number}" for number in range(101)]).decode()}, 80),
        ("24hr", {}, 80),
        ("price", {"symbol": "BTCUSDT"}, 2),
        ("price", {}, 4),
        ("bookTicker", {"symbol": "BTCUSDT"}, 2),
        ("bookTicker", {"symbols": '["BTCUSDT"]'}, 4),
    ],
)
def test_weights_are_as_documented(path: str, asked: dict[str, Any], weight: int, client: httpx.Client) -> None:
    assert client.get(f"/api/v3/ticker/{path}", params=asked).headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


@pytest.mark.parametrize(
    ("path", "asked", "code"),
    [
        ("24hr", {"symbol": "NOSUCH"}, -1121),
        ("24hr", {"symbol": "BTCUSDT", "type": "TINY"}, -1139),
        ("price", {"symbol": "BTCUSDT", "type": "MINI"}, -1104),
        ("price", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ("bookTicker", {"symbols": "BTCUSDT"}, -1100),
        ("bookTicker", {"symbol": "BTCUSDT", "symbolStatus": "CLOSED"}, -1122),
        ("bookTicker", {"symbol": "BTCUSDT", "symbolStatus": "BREAK"}, -1220),
    ],
)
def test_wrong_questions_get_the_venues_codes(path: str, asked: dict[str, Any], code: int, client: httpx.Client) -> None:
    answer = client.get(f"/api/v3/ticker/{path}", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_halted_symbol_is_left_out_of_a_list_of_those_that_trade(exchange: RunningExchange, client: httpx.Client) -> None:
    exchange.set_halts(["ETHUSDT=2025-06-15T15:00/2025-06-15T16:00"])
    asked = {"symbols": '["BTCUSDT","ETHUSDT"]', "symbolStatus": "TRADING"}
    assert [one["symbol"] for one in get(client, "ticker/price", **asked)] == ["BTCUSDT"]


def test_a_recorded_session_has_tickers_of_what_it_has_sent(tmp_path: Path) -> None:
    trade = {"e": "trade", "E": 1, "s": "AAAUSDT", "t": 7, "p": "42.10", "q": "2", "T": 1_700_000_000_000, "m": True, "M": True}
    book = {"lastUpdateId": 3, "bids": [["42.10", "7.0"]], "asks": [["42.20", "3.0"]]}
    lines = [
        {"recv_ns": 1_700_000_000_000_000_000, "src": "ws", "raw": {"stream": "aaausdt@trade", "data": trade}},
        {"src": "rest", "url": "/api/v3/depth?symbol=AAAUSDT&limit=1000", "raw": book},
    ]
    (tmp_path / "session.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    clock = StandingClock(1_700_000_000_000)
    with (
        running_exchange(ExchangeConfig(replay=(tmp_path / "session.jsonl",)), clock) as running,
        httpx.Client(base_url=running.url, trust_env=False) as client,
    ):
        assert get(client, "ticker/price") == [{"symbol": "AAAUSDT", "price": "0.00000000"}]
        running.start_replay()
        running.settle()
        assert get(client, "ticker/price") == [{"symbol": "AAAUSDT", "price": "42.10"}]
        top = get(client, "ticker/bookTicker", symbol="AAAUSDT")
        assert (top["bidPrice"], top["askQty"]) == ("42.10", "3.0")


def test_the_tally_can_be_asked_after_a_socket_has_gone(exchange: RunningExchange, client: httpx.Client) -> None:
    with connect(f"{exchange.ws_url}/ws/btcusdt@trade", proxy=None):
        pass
    wait_until(lambda: exchange.tally()["sockets"]["disconnects"], "the end of the socket")
    assert client.get("/simulator/tally").json()["sockets"]["disconnects"] == {"client": 1}
