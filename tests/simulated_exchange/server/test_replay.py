import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.waiting import patience, until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.binance.recording import read_recording, stream_of
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from simulated_exchange.server.paced import Start
from simulated_exchange.server.recorded_klines import ReplayError

from ..sockets import Message, apply, ask, connected, get, read, read_until

SESSION = "binance_session_BTCUSDT_20240808"
FOUR = "binance_session_4symbols_20211012"
DEPTH = "aaausdt@depth@100ms"


def diff(first: int, last: int, quantity: str = "1.50000000") -> dict[str, Any]:
    return {
        "e": "depthUpdate",
        "E": 1_700_000_000_000 + first,
        "s": "AAAUSDT",
        "U": first,
        "u": last,
        "b": [["42.10", quantity]],
        "a": [],
    }


def write(path: Path, *messages: Any, wrapped: bool = True, snapshot: bool = True) -> Path:
    """One message every 100 ms, a snapshot between the first two."""
    lines: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        raw = {"stream": DEPTH, "data": message} if wrapped else message
        lines.append({"recv_ns": 1_700_000_000_000_000_000 + number * 100_000_000, "src": "ws", "raw": raw})
        if snapshot and not number:
            body = {"lastUpdateId": messages[0]["u"], "bids": [["42.10", "7.0"], ["42.00", "2.0"]], "asks": [["42.20", "3.0"]]}
            lines.append({"src": "rest", "url": "/api/v3/depth?symbol=AAAUSDT&limit=1000", "raw": body})
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return path


def replay_of(exchange: RunningExchange) -> dict[str, Any]:
    report: dict[str, Any] = exchange.tally()["sockets"]["replay"]
    return report


def recorded(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.slow
async def test_the_real_session_comes_out_verbatim_and_whole(shared_data: Path) -> None:
    path = shared_data / f"{SESSION}.jsonl.gz"
    texts = [
        line[line.index(b'"raw":') + 6 : -1] for line in gzip.decompress(path.read_bytes()).splitlines() if b'"src":"ws"' in line
    ]
    config = ExchangeConfig(replay=(path,), replay_speed=0)
    with running_exchange(config) as exchange:
        streams = "btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
        async with connected(f"{exchange.ws_url}/stream?streams={streams}", max_size=None) as socket:
            for text in texts:
                assert await socket.recv(decode=False) == text
            report = exchange.tally()["sockets"]
            assert await ask(socket, "UNSUBSCRIBE", []) == {"result": None, "id": 1}
    assert report["replay"]["state"] == "finished"
    counts = {name: stream["messages"] for name, stream in report["streams"].items()}
    assert counts == {"btcusdt@depth@100ms": 6_495, "btcusdt@trade": 19_904, "btcusdt@bookTicker": 73_174}
    assert all(report["streams"][f"btcusdt@{name}"]["missing"] == [] for name in ("depth@100ms", "trade"))


@pytest.mark.slow
async def test_only_what_is_subscribed_is_sent_and_the_book_is_the_recorded_one(shared_data: Path) -> None:
    path = shared_data / f"{SESSION}.jsonl.gz"
    lines = recorded(path)
    (snapshot,) = [line["raw"] for line in lines if line["src"] == "rest"]
    tickers = {line["raw"]["data"]["u"]: line["raw"]["data"] for line in lines if "bookTicker" in line["raw"].get("stream", "")}
    config = ExchangeConfig(replay=(path,), replay_speed=0)
    with running_exchange(config) as exchange, httpx.Client(base_url=exchange.url, trust_env=False) as client:
        async with connected(f"{exchange.ws_url}/ws") as socket:
            await ask(socket, "SUBSCRIBE", ["btcusdt@depth@100ms"])
            diffs = [await read(socket) for _ in range(6_495)]
        asked: dict[str, Any] = {"symbol": "BTCUSDT", "limit": 1000}
        assert get(client, "depth", **asked) == snapshot
        later = get(client, "depth", **asked)
        assert exchange.tally()["sockets"]["messages"] == 6_495
    bids, asks = dict(snapshot["bids"]), dict(snapshot["asks"])
    equal = compared = 0
    for message in diffs:
        if message["u"] <= snapshot["lastUpdateId"]:
            continue
        apply(bids, message["b"])
        apply(asks, message["a"])
        if ticker := tickers.get(message["u"]):
            compared += 1
            best = max(bids, key=float), min(asks, key=float)
            equal += (ticker["b"], ticker["a"]) == best and (ticker["B"], ticker["A"]) == (bids[best[0]], asks[best[1]])
    assert equal == compared > 100
    assert later["lastUpdateId"] == diffs[-1]["u"]
    assert [level[0] for level in later["bids"][:500]] == sorted(bids, key=float, reverse=True)[:500]


async def test_several_symbols_and_snapshots(shared_data: Path) -> None:
    path = shared_data / f"{FOUR}.jsonl.gz"
    lines = recorded(path)
    messages = [line["raw"] for line in lines if line["src"] == "ws"]
    streams = "/".join(sorted({message["stream"] for message in messages}))
    config = ExchangeConfig(replay=(path,), replay_speed=0, replay_start=Start.ALL)
    with running_exchange(config) as exchange, httpx.Client(base_url=exchange.url, trust_env=False) as client:
        async with connected(f"{exchange.ws_url}/stream?streams={streams}") as socket:
            assert [await read(socket) for _ in messages] == messages
        for line in lines:
            if line["src"] == "rest":
                symbol = line["url"].split("symbol=")[1].split("&")[0]
                assert get(client, "depth", symbol=symbol, limit=1000) == line["raw"]
        symbols = [item["symbol"] for item in get(client, "exchangeInfo")["symbols"]]
        assert symbols == ["BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"]


async def test_a_session_without_a_snapshot_has_no_depth(shared_data: Path) -> None:
    path = shared_data / "binance_depth_nosnapshot_BTCUSDT_20251207.jsonl.gz"
    with running_exchange(ExchangeConfig(replay=(path,), replay_speed=0)) as exchange:
        async with connected(f"{exchange.ws_url}/ws/btcusdt@depth@100ms") as socket:
            diffs = [await read(socket) for _ in range(3_286)]
        answer = await asyncio.to_thread(httpx.get, f"{exchange.url}/api/v3/depth?symbol=BTCUSDT", trust_env=False)
        assert answer.json()["code"] == -1112
    assert all(after["U"] == before["u"] + 1 for before, after in pairwise(diffs))


@pytest.mark.slow
async def test_trades_of_a_recording_can_be_healed_by_rest(shared_data: Path) -> None:
    path = shared_data / f"{SESSION}.jsonl.gz"
    config = ExchangeConfig(replay=(path,), replay_speed=0)
    with running_exchange(config) as exchange, httpx.Client(base_url=exchange.url, trust_env=False) as client:
        asked: dict[str, Any] = {"symbol": "BTCUSDT", "fromId": 3_735_683_260, "limit": 3}
        assert get(client, "historicalTrades", **asked) == []
        async with connected(f"{exchange.ws_url}/ws/btcusdt@trade") as socket:
            trades = [await read(socket) for _ in range(100)]
        healed = get(client, "historicalTrades", **asked)
    assert [(it["id"], it["price"], it["qty"], it["time"]) for it in healed] == [
        (it["t"], it["p"], it["q"], it["T"]) for it in trades[1:4]
    ]


async def test_the_pace_is_the_recorded_one_times_the_speed(tmp_path: Path, clock: StandingClock) -> None:
    path = write(tmp_path / "a.jsonl", *(diff(number, number) for number in range(1, 21)))
    with running_exchange(ExchangeConfig(replay=(path,), replay_speed=10, replay_start=Start.CONTROL), clock) as exchange:
        async with connected(f"{exchange.ws_url}/ws/{DEPTH}") as socket:
            await ask(socket, "UNSUBSCRIBE", [])
            exchange.start_replay()
            exchange.settle()
            assert replay_of(exchange) == {"state": "running", "passed": 1, "messages": 20, "streams": 1}
            clock.now += 100
            exchange.settle()
            assert replay_of(exchange)["passed"] == 11
            clock.now += 90
            exchange.settle()
            assert replay_of(exchange)["state"] == "finished"
            assert [(await read(socket))["u"] for _ in range(20)] == list(range(1, 21))


async def test_it_starts_half_a_second_after_the_last_subscription(tmp_path: Path, clock: StandingClock) -> None:
    path = write(tmp_path / "a.jsonl", diff(1, 1), diff(2, 2))
    with running_exchange(ExchangeConfig(replay=(path,), replay_speed=0), clock) as exchange:
        async with connected(f"{exchange.ws_url}/ws/another@trade") as socket:
            await ask(socket, "UNSUBSCRIBE", [])
            clock.now += 600
            exchange.settle()
            assert replay_of(exchange)["state"] == "waiting"
            await ask(socket, "SUBSCRIBE", [DEPTH])
            clock.now += 499
            exchange.settle()
            assert replay_of(exchange)["state"] == "waiting"
            clock.now += 1
            assert (await read(socket))["u"] == 1
            assert (await read(socket))["u"] == 2


async def test_at_full_speed_it_waits_for_a_reader_who_was_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *(diff(number, number) for number in range(1, 3_001)))
    config = ExchangeConfig(replay=(path,), replay_speed=0, time_scale=20)
    with running_exchange(config) as exchange:
        exchange.set_faults([SocketFault(SocketFaultKind.DISCONNECT, numbers=(1500,))])
        seen: list[int] = []
        for _ in range(2):
            async with connected(f"{exchange.ws_url}/ws/{DEPTH}") as socket:
                seen += [message["u"] async for message in _messages(socket, 3_000)]
        (fault,) = exchange.tally()["sockets"]["faults"]
        missing = exchange.tally()["sockets"]["streams"][DEPTH]["missing"]
    lost = sorted(set(range(1, 3_001)) - set(seen))
    assert lost[0] == fault["first_id"] == 1_500
    assert [u for hole in missing for u in range(hole[0], hole[1] + 1)] == lost


async def _messages(socket: ClientConnection, last: int) -> AsyncIterator[Message]:
    """Up to the last one or to the end of the connection."""
    try:
        async for text in socket:
            message: Message = orjson.loads(text)
            yield message
            if message["u"] == last:
                return
    except ConnectionClosed:
        return


@pytest.mark.slow
async def test_a_slow_reader_slows_it_down_at_full_speed(tmp_path: Path) -> None:
    big = [["42.10", f"{number}.5"] for number in range(1_000)]
    path = write(tmp_path / "a.jsonl", *({**diff(number, number), "b": big} for number in range(1, 1_001)))
    config = ExchangeConfig(replay=(path,), replay_speed=0, time_scale=20)
    with running_exchange(config) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(exchange.url.rsplit(":", 1)[1]), limit=1_000)
        writer.write(
            f"GET /ws/{DEPTH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await until(lambda: replay_of(exchange)["passed"] > 0)
        before = -1
        while before != (before := replay_of(exchange)["passed"]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert replay_of(exchange)["state"] == "running"
        started = time.monotonic()
        tail = b""
        while b'"u":1000,' not in tail:
            received = await reader.read(1 << 16)
            assert received, "the exchange cut the connection"
            tail = tail[-100:] + received
        assert time.monotonic() - started < patience(10)
        assert replay_of(exchange)["state"] == "finished"
        writer.close()
        await writer.wait_closed()


async def test_faults_happen_to_recordings_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *(diff(number * 5 + 1, number * 5 + 5) for number in range(10)))
    config = ExchangeConfig(replay=(path,), replay_speed=0, time_scale=20)
    with running_exchange(config) as exchange:
        faults = [
            SocketFault(SocketFaultKind.SEQUENCE_JUMP, value=8, numbers=(2,)),
            SocketFault(SocketFaultKind.FLIPPED_LEVEL, numbers=(4,)),
        ]
        exchange.set_faults([*faults])
        async with connected(f"{exchange.ws_url}/ws/{DEPTH}") as socket:
            messages = await read_until(socket, lambda message: message["u"] == 50)
        jump, flip = exchange.tally()["sockets"]["faults"]
    assert [message["U"] for message in messages] == [1, 6, 21, 26, 31, 36, 41, 46]
    assert (jump["missing_from"], jump["missing_to"]) == (11, 20)
    assert messages[3]["b"] == [["42.10", flip["sent_quantity"]]] != [["42.10", flip["true_quantity"]]]


async def test_the_control_endpoint_starts_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", diff(1, 1))
    with (
        running_exchange(ExchangeConfig(replay=(path,), replay_start=Start.CONTROL)) as exchange,
        httpx.Client(base_url=exchange.url, trust_env=False) as client,
    ):
        assert replay_of(exchange)["state"] == "waiting"
        await asyncio.to_thread(client.post, "/simulator/replay/start")
        await until(lambda: replay_of(exchange)["state"] == "finished")
        assert get(client, "time")["serverTime"] - 1_700_000_000_000 < 60_000


def test_there_is_nothing_to_start_without_a_recording(client: httpx.Client) -> None:
    answer = client.post("/simulator/replay/start")
    assert (answer.status_code, answer.json()["msg"]) == (400, "there is no recorded session to start")


@pytest.mark.slow
def test_bare_messages_name_their_stream_themselves(shared_data: Path) -> None:
    checked = 0
    for name in (SESSION, FOUR):
        for line in recorded(shared_data / f"{name}.jsonl.gz")[:3_000]:
            if line["src"] == "ws":
                assert stream_of(line["raw"]["data"]) == line["raw"]["stream"]
                checked += 1
    assert checked > 3_000
    assert stream_of([]) == "!miniTicker@arr"
    assert stream_of({"result": None, "id": 1}) == ""


async def test_recordings_without_stream_names_are_sent_to_whom_they_concern(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", diff(1, 1), {"result": None, "id": 3}, diff(2, 2), wrapped=False)
    with running_exchange(ExchangeConfig(replay=(path,), replay_speed=0, time_scale=20)) as exchange:
        async with connected(f"{exchange.ws_url}/stream?streams={DEPTH}") as socket:
            assert [(await read(socket))["data"]["u"] for _ in range(2)] == [1, 2]


def test_the_same_samples_of_every_kind_are_read(shared_data: Path) -> None:
    session = read_recording([shared_data / "binance_ws_samples.jsonl.gz"])
    assert session
    assert len(session.lines) == 14


def test_files_side_by_side_start_together(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", diff(1, 1), diff(2, 2)) for name in ("a", "b")]
    session = read_recording(paths)
    assert session
    assert [line.offset for line in session.lines if line.stream] == [0, 0, 100_000, 100_000]


@pytest.mark.parametrize(
    "line",
    [
        b'{"src":"ws","raw":{"stream":"x@depth@100ms","data":{}}}',
        b'{"src":"ws","raw":"{"}',
        b'{"src":"ws"}',
        b'{"src":"rest","url":"/api/v3/depth","raw":{}}',
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(line)
    with pytest.raises(ReplayError, match=r"bad\.jsonl line 1"):
        read_recording([path])
