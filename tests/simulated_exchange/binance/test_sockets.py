import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from tests.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import OffsetClock, StandingClock
from simulated_exchange.server.socket_limits import SocketLimits

from ..sockets import ask, connected, read, read_until

MINUTE = 60_000
NOW = 1_750_000_012_345


@pytest.fixture
def live() -> Iterator[RunningExchange]:
    """An exchange whose clock runs twenty times as fast as ours."""
    with running_exchange(ExchangeConfig(now=NOW, time_scale=20)) as running:
        yield running


def sockets_of(exchange: RunningExchange) -> dict[str, Any]:
    report: dict[str, Any] = exchange.tally()["sockets"]
    return report


async def test_a_raw_stream_is_not_wrapped(live: RunningExchange) -> None:
    async with connected(f"{live.ws_url}/ws/btcusdt@depth@100ms") as socket:
        diff = await read(socket)
        assert list(diff) == ["e", "E", "s", "U", "u", "b", "a"]
        assert (diff["e"], diff["s"]) == ("depthUpdate", "BTCUSDT")
        assert (await read(socket))["U"] == diff["u"] + 1


async def test_combined_streams_are_wrapped(live: RunningExchange) -> None:
    async with connected(f"{live.ws_url}/stream?streams=btcusdt@depth@100ms/ethusdt@bookTicker") as socket:
        messages = await read_until(socket, lambda message: message["stream"] == "ethusdt@bookTicker")
        assert list(messages[-1]) == ["stream", "data"]
        assert list(messages[-1]["data"]) == ["u", "s", "b", "B", "a", "A"]


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
async def test_times_can_be_microseconds(live: RunningExchange, unit: str) -> None:
    async with connected(f"{live.ws_url}/stream?streams=btcusdt@trade&timeUnit={unit}") as socket:
        trade = (await read(socket))["data"]
        assert list(trade) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
        assert NOW * 1000 < trade["T"] <= trade["E"]
    with pytest.raises(InvalidStatus) as refused:
        async with connected(f"{live.ws_url}/ws/btcusdt@trade?timeUnit=DAYS"):
            pass
    assert refused.value.response.status_code == 400


async def test_a_percent_encoded_address_is_understood(live: RunningExchange) -> None:
    async with connected(f"{live.ws_url}/stream?streams=btcusdt%40depth%40100ms") as socket:
        assert (await read(socket))["stream"] == "btcusdt@depth@100ms"


async def test_every_stream_has_the_venues_keys(live: RunningExchange) -> None:
    keys = {
        "btcusdt@trade": "e E s t p q T m M",
        "btcusdt@depth@100ms": "e E s U u b a",
        "btcusdt@bookTicker": "u s b B a A",
        "btcusdt@kline_1m": "e E s k",
        "btcusdt@kline_1s": "e E s k",
    }
    missing = set(keys) | {"!miniTicker@arr"}
    async with connected(f"{live.ws_url}/stream?streams={'/'.join(missing)}") as socket:
        while missing:
            message = await read(socket)
            data = message["data"]
            if message["stream"] == "!miniTicker@arr":
                assert {tuple(ticker) for ticker in data} == {tuple("eEscohlvq")}
            else:
                assert " ".join(data) == keys[message["stream"]]
            if "k" in data:
                assert " ".join(data["k"]) == "t T s i f L o c h l v n x q V Q B"
            missing.discard(message["stream"])


async def test_control_messages_are_answered(exchange: RunningExchange) -> None:
    async with connected(f"{exchange.ws_url}/ws") as socket:
        assert await ask(socket, "SUBSCRIBE", ["btcusdt@trade", "no@such"], 1) == {"result": None, "id": 1}
        assert await ask(socket, "UNSUBSCRIBE", ["btcusdt@trade"], 2) == {"result": None, "id": 2}
        refused = await ask(socket, "SUBSCRIB", None, 3)
        assert refused == {"code": 2, "msg": "Invalid request: expected a method and an id"}
    assert sockets_of(exchange)["client_messages"] == {
        "SUBSCRIBE": 1,
        "UNSUBSCRIBE": 1,
        "refused": 1,
    }


async def test_unsubscribing_stops_the_stream(exchange: RunningExchange, clock: StandingClock) -> None:
    async with connected(f"{exchange.ws_url}/ws/btcusdt@depth@100ms") as socket:
        clock.now += 100
        assert (await read(socket))["e"] == "depthUpdate"
        await ask(socket, "UNSUBSCRIBE", ["btcusdt@depth@100ms"])
        clock.now += 1_000
        assert await ask(socket, "UNSUBSCRIBE", [], 2) == {"result": None, "id": 2}


async def test_a_frame_above_4_kb_hangs_silently(exchange: RunningExchange) -> None:
    async with connected(f"{exchange.ws_url}/ws") as socket:
        names = [f"symbol{number:04d}@depth@100ms" for number in range(200)]
        await socket.send(orjson.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}), text=True)
        assert await ask(socket, "UNSUBSCRIBE", [], 2) == {"result": None, "id": 2}
    assert sockets_of(exchange)["client_messages"]["oversized"] == 1


async def test_more_than_five_messages_a_second_end_the_connection(exchange: RunningExchange, clock: StandingClock) -> None:
    async with connected(f"{exchange.ws_url}/ws") as socket:
        for number in range(5):
            await ask(socket, "UNSUBSCRIBE", [], number)
        clock.now += 1_000
        for number in range(4):
            await ask(socket, "UNSUBSCRIBE", [], number)
        await (await socket.ping())
        with pytest.raises(ConnectionClosed) as closed:
            await ask(socket, "UNSUBSCRIBE", [])
    assert closed.value.rcvd
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Too many requests")
    await until(lambda: sockets_of(exchange)["disconnects"] == {"too_many_messages": 1})


async def test_more_than_1024_streams_are_refused(exchange: RunningExchange, clock: StandingClock) -> None:
    names = [f"{number}@trade" for number in range(1_024)]
    async with connected(f"{exchange.ws_url}/stream?streams={'/'.join(names)}") as socket:
        assert await ask(socket, "SUBSCRIBE", ["one@trade"], 9) == {"code": 4, "msg": "Too many subscriptions", "id": 9}
    with pytest.raises(InvalidStatus) as refused:
        async with connected(f"{exchange.ws_url}/stream?streams={'/'.join([*names, 'one@trade'])}"):
            pass
    assert refused.value.response.status_code == 400


async def test_more_than_300_connects_in_five_minutes_are_refused(clock: StandingClock) -> None:
    config = ExchangeConfig(sockets=SocketLimits(connects_per_five_minutes=3))
    with running_exchange(config, clock) as exchange:
        for _ in range(3):
            async with connected(f"{exchange.ws_url}/ws"):
                pass
        with pytest.raises(InvalidStatus) as refused:
            async with connected(f"{exchange.ws_url}/ws"):
                pass
        assert refused.value.response.status_code == 429
        clock.now += 5 * MINUTE
        async with connected(f"{exchange.ws_url}/ws"):
            pass
        assert (sockets_of(exchange)["connects"], sockets_of(exchange)["refused_connects"]) == (4, {"too_many_connects": 1})


def test_a_plain_get_is_no_socket(client: httpx.Client) -> None:
    assert client.get("/ws/btcusdt@trade").status_code == 400
    assert client.get("/wsx").status_code == 404


async def test_pings_come_every_20_seconds_and_pongs_count(exchange: RunningExchange, clock: StandingClock) -> None:
    async with connected(f"{exchange.ws_url}/ws") as socket:
        pongs: list[int] = []
        while len(pongs) < 9:
            clock.now += 20_000
            pongs.append(len(pongs) + 1)
            await until(lambda: sockets_of(exchange)["client_messages"].get("pong") == len(pongs))
        assert await ask(socket, "UNSUBSCRIBE", []) == {"result": None, "id": 1}
    assert sockets_of(exchange)["pings"] == 9


async def test_no_pong_within_a_minute_ends_the_connection(exchange: RunningExchange, clock: StandingClock) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(exchange.url.rsplit(":", 1)[1]))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    clock.now += 20_000
    ping = await reader.readexactly(15)
    assert ping[:2] == b"\x89\x0d"  # a ping frame whose payload is the time in milliseconds
    assert int(ping[2:]) == clock.now
    writer.write(b"\x8a\x80\x00\x00\x00\x00")  # an unsolicited pong does not help
    await writer.drain()
    clock.now += 60_001
    assert b"Pong timeout" in await reader.read()
    assert sockets_of(exchange)["disconnects"] == {"pong_timeout": 1}
    writer.close()


async def test_a_life_ends(clock: StandingClock) -> None:
    limits = SocketLimits(life_seconds=100)
    with running_exchange(ExchangeConfig(sockets=limits), clock) as exchange:
        async with connected(f"{exchange.ws_url}/ws") as raw, connected(f"{exchange.ws_url}/stream") as combined:
            clock.now += 90_000
            await until(lambda: sockets_of(exchange)["client_messages"].get("pong") == 2)
            clock.now += 10_000
            for socket in (raw, combined):
                with pytest.raises(ConnectionClosed) as closed:
                    await read(socket)
                assert closed.value.rcvd
                assert closed.value.rcvd.code == 1001
        await until(lambda: sockets_of(exchange)["disconnects"] == {"life_over": 2})


async def test_a_shutdown_is_announced_on_demand(exchange: RunningExchange) -> None:
    url = exchange.ws_url
    async with connected(f"{url}/ws?timeUnit=microsecond") as raw, connected(f"{url}/stream") as combined:
        await asyncio.to_thread(exchange.announce_shutdown)
        assert await read(raw) == {"e": "serverShutdown", "E": NOW * 1000}
        assert await read(combined) == {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": NOW}}


async def test_connections_are_ended_on_demand(exchange: RunningExchange) -> None:
    async with connected(f"{exchange.ws_url}/ws") as one, connected(f"{exchange.ws_url}/ws") as other:
        exchange.disconnect([1])
        with pytest.raises(ConnectionClosed) as closed:
            await read(one)
        assert closed.value.rcvd is None
        assert await ask(other, "UNSUBSCRIBE", []) == {"result": None, "id": 1}
        assert [line["cause"] for line in sockets_of(exchange)["connections"]] == ["control", None]


async def test_a_slow_reader_is_cut_off() -> None:
    config = ExchangeConfig(
        now=NOW, time_scale=400, symbols=4, sockets=SocketLimits(send_buffer_bytes=100_000, pong_seconds=10**6)
    )
    streams = "/".join(f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in ("depth@100ms", "bookTicker"))
    with running_exchange(config) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(exchange.url.rsplit(":", 1)[1]), limit=1_000)
        writer.write(
            f"GET /stream?streams={streams} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await until(lambda: sockets_of(exchange)["disconnects"] == {"slow_reader": 1})
        (line,) = sockets_of(exchange)["connections"]
        assert line["unsent_bytes"] > 100_000
        writer.close()
    assert reader


async def test_the_clock_can_run_faster() -> None:
    clock = OffsetClock(NOW, 1_000)
    first = clock.now_us()
    await asyncio.sleep(0.02)
    assert clock.now_us() - first >= 20_000_000


async def test_garbage_from_a_client_is_answered_or_ends_only_its_connection(exchange: RunningExchange) -> None:
    async with connected(f"{exchange.ws_url}/ws") as socket:
        await socket.send(b"\x00\xff")
        assert (await read(socket))["code"] == 3
        await socket.send("[" * 3_000)
        assert (await read(socket))["code"] == 3
        with suppress(ConnectionClosed):  # the exchange may be quicker than the send
            await socket.send("x" * (2 << 20))
        with pytest.raises(ConnectionClosed) as closed:
            await read(socket)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1009
    async with connected(f"{exchange.ws_url}/ws") as socket:
        assert await ask(socket, "UNSUBSCRIBE", []) == {"result": None, "id": 1}
