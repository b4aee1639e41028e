"""REST beside the sockets: depth, trades, klines and the true book agree with what was sent."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from simulated_exchange.app import RunningExchange
from simulated_exchange.server.clock import StandingClock

from ..sockets import apply, ask, connected, get, read_until

MINUTE = 60_000


async def test_a_local_book_kept_by_the_venues_rules_is_the_true_book(
    exchange: RunningExchange, client: httpx.Client, clock: StandingClock
) -> None:
    async with connected(f"{exchange.ws_url}/ws/btcusdt@depth@100ms") as socket:
        await ask(socket, "UNSUBSCRIBE", [])
        clock.now += 1_050
        snapshot = get(client, "depth", symbol="BTCUSDT", limit=5000)
        clock.now += 3_000
        exchange.settle()
        true = exchange.book("BTCUSDT", limit=500)
        diffs = await read_until(socket, lambda diff: diff["u"] == true["lastUpdateId"])
    assert len(snapshot["bids"]) == len(snapshot["asks"]) == 5000
    last_id = snapshot["lastUpdateId"]
    buffered = [diff for diff in diffs if diff["u"] > last_id]
    assert buffered[0]["U"] <= last_id + 1 <= buffered[0]["u"]
    bids, asks = dict(snapshot["bids"]), dict(snapshot["asks"])
    for diff in buffered:
        assert diff["U"] <= last_id + 1
        last_id = diff["u"]
        apply(bids, diff["b"])
        apply(asks, diff["a"])
    by_price = lambda level: float(level[0])  # noqa: E731
    assert sorted(bids.items(), key=by_price, reverse=True)[:500] == [tuple(level) for level in true["bids"]]
    assert sorted(asks.items(), key=by_price)[:500] == [tuple(level) for level in true["asks"]]


async def test_trades_klines_and_rest_agree(exchange: RunningExchange, client: httpx.Client, clock: StandingClock) -> None:
    streams = "btcusdt@trade/btcusdt@kline_1m/btcusdt@bookTicker"
    async with connected(f"{exchange.ws_url}/stream?streams={streams}") as socket:
        await ask(socket, "UNSUBSCRIBE", [])
        for _ in range(15):
            clock.now += 10_000
            exchange.settle()
            await (await socket.ping())
        await socket.send('{"method":"UNSUBSCRIBE","params":[],"id":"end"}')
        messages = (await read_until(socket, lambda message: message.get("id") == "end"))[:-1]
    by_stream: dict[str, list[Any]] = {}
    for message in messages:
        by_stream.setdefault(message["stream"].split("@")[1], []).append(message["data"])
    trades = by_stream["trade"]
    assert [trade["t"] for trade in trades] == list(range(trades[0]["t"], trades[-1]["t"] + 1))

    closed = [message["k"] for message in by_stream["kline_1m"] if message["k"]["x"]]
    closed = closed[:2]
    first, second = closed
    inside = [trade for trade in trades if second["t"] <= trade["T"] <= second["T"]]
    assert (second["f"], second["L"], second["n"]) == (inside[0]["t"], inside[-1]["t"], len(inside))
    assert (second["o"], second["c"]) == (inside[0]["p"], inside[-1]["p"])
    assert float(second["v"]) == pytest.approx(sum(float(trade["q"]) for trade in inside))
    assert float(second["V"]) == pytest.approx(sum(float(trade["q"]) for trade in inside if not trade["m"]))
    names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q")
    rows = get(client, "klines", symbol="BTCUSDT", interval="1m", startTime=first["t"], endTime=second["t"])
    assert [row[:11] for row in rows] == [[kline[name] for name in names] for kline in closed]

    rest = get(client, "historicalTrades", symbol="BTCUSDT", fromId=trades[0]["t"], limit=1000)
    told = [(trade["t"], trade["p"], trade["q"], trade["T"], trade["m"]) for trade in trades]
    assert [(it["id"], it["price"], it["qty"], it["time"], it["isBuyerMaker"]) for it in rest] == told
    assert get(client, "trades", symbol="BTCUSDT", limit=3) == rest[-3:]
    whole = get(client, "aggTrades", symbol="BTCUSDT", fromId=trades[0]["t"], limit=1000)
    fills = [[trade for trade in trades if one["f"] <= trade["t"] <= one["l"]] for one in whole]
    assert sum(fills, []) == trades  # noqa: RUF017 - a few
    assert [Decimal(one["q"]) for one in whole] == [sum(Decimal(trade["q"]) for trade in some) for some in fills]
    assert all(
        {(trade["p"], trade["T"], trade["m"]) for trade in some} == {(one["p"], one["T"], one["m"])}
        for one, some in zip(whole, fills, strict=True)
    )


@pytest.mark.parametrize(("path", "weight"), [("trades", 25), ("historicalTrades", 25), ("aggTrades", 4)])
def test_trades_have_the_venues_weight(client: httpx.Client, path: str, weight: int) -> None:
    answer = client.get(f"/api/v3/{path}", params={"symbol": "BTCUSDT"})
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)
    assert answer.json() == []


def test_times_are_microseconds_if_asked_for(client: httpx.Client, clock: StandingClock) -> None:
    get(client, "depth", symbol="BTCUSDT")
    clock.now += MINUTE
    answer = client.get("/api/v3/trades", params={"symbol": "BTCUSDT"}, headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert answer.json()
    assert all(trade["time"] > 10**15 for trade in answer.json())
    assert [trade["time"] // 1000 for trade in answer.json()] == [
        trade["time"] for trade in get(client, "trades", symbol="BTCUSDT")
    ]


def test_the_true_book_is_remembered_at_update_ids(client: httpx.Client, exchange: RunningExchange, clock: StandingClock) -> None:
    with pytest.raises(ValueError, match="no book of 'BTCUSDT' is running"):
        exchange.book("BTCUSDT")
    get(client, "depth", symbol="BTCUSDT")
    clock.now += 1_000
    depth = get(client, "depth", symbol="BTCUSDT", limit=5)
    clock.now += 20
    book = exchange.book("BTCUSDT", limit=5)
    assert depth == book or depth["lastUpdateId"] > book["lastUpdateId"]
    assert exchange.book("BTCUSDT", book["lastUpdateId"], limit=5) == book
    with pytest.raises(ValueError, match=r"not \(or no longer\) known"):
        exchange.book("BTCUSDT", 17)
