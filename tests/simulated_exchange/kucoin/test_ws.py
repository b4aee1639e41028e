"""The simulated KuCoin as a plain client sees it: token, welcome, acks, pings, errors, and the silence that ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from tests.waiting import patience
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulated_exchange.app import SimulatedExchange
from simulated_exchange.config import ExchangeConfig, KucoinLimits


async def address(exchange: SimulatedExchange) -> str:
    async with httpx.AsyncClient(base_url=exchange.url) as client:
        data = (await client.post("/api/v1/bullet-public")).json()["data"]
    return f"{data['instanceServers'][0]['endpoint']}?token={data['token']}&connectId=mine"


@asynccontextmanager
async def connected(**limits: Any) -> AsyncIterator[tuple[SimulatedExchange, ClientConnection]]:
    async with (
        SimulatedExchange(ExchangeConfig(symbols=2, kucoin=KucoinLimits(**limits))) as exchange,
        connect(await address(exchange), ping_interval=None) as socket,
    ):
        assert orjson.loads(await socket.recv()) == {"id": "mine", "type": "welcome"}
        yield exchange, socket


async def say(socket: ClientConnection, **message: object) -> dict[str, Any]:
    """Sends a message and returns the next that is no data."""
    await socket.send(orjson.dumps(message).decode())
    async with asyncio.timeout(patience(10)):
        while True:
            answer: dict[str, Any] = orjson.loads(await socket.recv())
            if answer["type"] != "message":
                return answer


async def read_for_ever(socket: ClientConnection) -> None:
    async with asyncio.timeout(patience(10)):
        while True:
            await socket.recv()


async def test_topics_are_acked_and_a_symbol_is_a_stream() -> None:
    async with connected() as (exchange, socket):
        topic = "/market/level2:BTC-USDT,ETH-USDT"
        assert await say(socket, id=1, type="subscribe", topic=topic, response=True) == {"id": "1", "type": "ack"}
        assert await say(socket, id=9, type="ping") == {"id": "9", "type": "pong"}
        seen: set[str] = set()
        last: dict[str, int] = {}
        while len(seen) < 2 or min(last.values()) < 1:
            message = orjson.loads(await socket.recv())
            data, symbol = message["data"], message["data"]["symbol"]
            assert last.get(symbol, data["sequenceStart"] - 1) == data["sequenceStart"] - 1
            last[symbol] = data["sequenceEnd"]
            seen.add(message["topic"])
        assert seen == {"/market/level2:BTC-USDT", "/market/level2:ETH-USDT"}
        assert (await say(socket, id=2, type="unsubscribe", topic=topic, response=True))["type"] == "ack"
        assert exchange.tally()["kucoin"]["sockets"]["open"]["1"]["streams"] == 0


async def test_the_best_prices_are_those_of_the_ticker_of_the_same_instant() -> None:
    async with connected() as (_, socket):
        for number, topic in enumerate(("/spotMarket/level1", "/market/ticker"), start=1):
            assert (await say(socket, id=number, type="subscribe", topic=f"{topic}:BTC-USDT", response=True))["type"] == "ack"
        tops: dict[int, tuple[list[str], list[str]]] = {}
        tickers: dict[int, tuple[list[str], list[str]]] = {}
        async with asyncio.timeout(patience(20)):
            while len(tops.keys() & tickers.keys()) < 3:
                message = orjson.loads(await socket.recv())
                data = message["data"]
                if message["subject"] == "level1":
                    assert set(data) == {"asks", "bids", "timestamp"}
                    tops[data["timestamp"]] = (data["bids"], data["asks"])
                else:
                    best = [data[key] for key in ("bestBid", "bestBidSize", "bestAsk", "bestAskSize")]
                    tickers[data["time"]] = (best[:2], best[2:])
    assert all(tops[at] == tickers[at] for at in tops.keys() & tickers.keys())


@pytest.mark.parametrize(
    ("topic", "code"),
    [("/market/nothing:BTC-USDT", 404), ("/market/match: BTC-USDT", "400"), ("/market/candles:BTC-USDT_9min", 404)],
)
async def test_a_topic_that_is_none_is_refused(topic: str, code: object) -> None:
    async with connected() as (_, socket):
        answer = await say(socket, id=3, type="subscribe", topic=topic, response=True)
    assert (answer["id"], answer["type"], answer["code"]) == ("3", "error", code)


async def test_an_unknown_symbol_is_acked_and_silent_and_too_many_are_refused() -> None:
    async with connected(topics_per_connection=3) as (_, socket):
        answer = await say(socket, id=1, type="subscribe", topic="/market/match:NO-PE", response=True)
        assert answer["type"] == "ack"
        topic = "/market/match:A-B,C-D,E-F"
        assert (await say(socket, id=2, type="subscribe", topic=topic, response=True))["code"] == "509"


async def test_a_client_that_does_not_ping_is_closed_while_data_flows() -> None:
    async with connected(silence_seconds=0.5) as (exchange, socket):
        await say(socket, id=1, type="subscribe", topic="/market/level2:BTC-USDT", response=True)
        with pytest.raises(ConnectionClosed):
            await read_for_ever(socket)
    assert exchange.tally()["kucoin"]["sockets"]["disconnects"] == {"pong_timeout": 1}


async def test_nobody_comes_in_without_a_token() -> None:
    async with SimulatedExchange(ExchangeConfig(symbols=2)) as exchange:
        with pytest.raises(InvalidStatus, match="401"):
            async with connect(f"{exchange.url.replace('http', 'ws')}/endpoint?token=forged"):
                pass
        assert exchange.tally()["kucoin"]["tokens"] == {"given": 0, "used": 0, "reused": 0}
