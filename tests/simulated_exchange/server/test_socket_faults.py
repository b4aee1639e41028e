"""Every fault is seen by a client and is in the tally with the ids it concerns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.waiting import until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from simulated_exchange.app import RunningExchange, running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.clock import StandingClock
from simulated_exchange.server.faults import SocketFault, SocketFaultKind, SocketFaultPlan, parse_fault
from simulated_exchange.server.messages import Channel, Message

from ..sockets import apply, ask, connected, read

DEPTH = "btcusdt@depth@100ms"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", SocketFault(SocketFaultKind.DROP)),
        ("drop@btcusdt@depth*:3", SocketFault(SocketFaultKind.DROP, "btcusdt@depth*", 3)),
        ("delay@*@trade:*:0.25:700", SocketFault(SocketFaultKind.DELAY, "*@trade", None, 0.25, 700)),
        ("sequence_jump::::3+17", SocketFault(SocketFaultKind.SEQUENCE_JUMP, numbers=(3, 17))),
    ],
)
def test_faults_are_written_as_kind_stream_count_probability_value_numbers(text: str, fault: SocketFault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["drop:x", "drop:1:2", "drop:1:1:1:x", "drop:1:1:1:1:1", "drop:-1"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        parse_fault(text)


def test_chance_is_seeded_and_counts_are_kept() -> None:
    message = Message(DEPTH, "BTCUSDT", Channel.DEPTH, (1, 2), lambda unit: "{}")
    fault = SocketFault(SocketFaultKind.DROP, "btc*", 20, 0.5, after=10)
    plans = [SocketFaultPlan([fault], seed=4) for _ in range(2)]
    draws = [[plan.draw(message, [1]) for _ in range(200)] for plan in plans]
    assert draws[0] == draws[1]
    hits = [number for number, drawn in draws[0] if drawn]
    assert len(hits) == 20
    assert hits[0] > 10
    assert hits[-1] > 30


def test_a_fault_of_depth_leaves_other_channels_alone() -> None:
    plan = SocketFaultPlan([SocketFault(SocketFaultKind.FLIPPED_LEVEL)], seed=1)
    trade = Message("btcusdt@trade", "BTCUSDT", Channel.TRADE, (1, 1), lambda unit: str(TimeUnit(unit)))
    assert plan.draw(trade, [1]) == (1, None)


class Reader:
    """A client of one stream that moves the exchange's clock itself."""

    def __init__(self, exchange: RunningExchange, clock: StandingClock, socket: ClientConnection) -> None:
        self.exchange = exchange
        self.socket = socket
        self._clock = clock

    async def pass_time(self, milliseconds: int = 100) -> None:
        """A step of the market, all of it written to the sockets."""
        for _ in range(milliseconds // 100):
            self._clock.now += 100
            await asyncio.to_thread(self.exchange.settle)

    async def drained(self) -> list[dict[str, Any]]:
        """Everything that has arrived before the answer to a request does."""
        await self.socket.send('{"method":"UNSUBSCRIBE","params":[],"id":"end"}')
        messages: list[dict[str, Any]] = []
        while True:
            message = await read(self.socket)
            if message.get("id") == "end":
                return messages
            messages.append(message)

    def faults(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.exchange.tally()["sockets"]["faults"]
        return found


@asynccontextmanager
async def reading(*faults: SocketFault, stream: str = DEPTH) -> AsyncIterator[Reader]:
    clock = StandingClock(1_750_000_012_345)
    with running_exchange(ExchangeConfig(faults=faults), clock) as exchange:
        async with connected(f"{exchange.ws_url}/ws/{stream}") as socket:
            await ask(socket, "UNSUBSCRIBE", [])
            yield Reader(exchange, clock, socket)


def ids(message: dict[str, Any]) -> tuple[int, int]:
    return message["U"], message["u"]


def gaps(diffs: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """What a client of the diffs must take for missing."""
    found, last = [], diffs[0]["u"]
    for diff in diffs[1:]:
        if diff["U"] > last + 1:
            found.append((last + 1, diff["U"] - 1))
        last = max(last, diff["u"])
    return found


async def test_dropped_messages_are_the_gaps_a_client_sees() -> None:
    async with reading(SocketFault(SocketFaultKind.DROP, probability=0.3, after=1)) as reader:
        await reader.pass_time(10_000)
        diffs = await reader.drained()
        dropped = [(line["first_id"], line["last_id"]) for line in reader.faults() if line["last_id"] < diffs[-1]["u"]]
        assert len(dropped) > 15
        assert [u for gap in gaps(diffs) for u in range(gap[0], gap[1] + 1)] == [
            u for one in dropped for u in range(one[0], one[1] + 1)
        ]
        missing = reader.exchange.tally()["sockets"]["streams"][DEPTH]["missing"]
        assert missing == [list(gap) for gap in gaps(diffs)]
        assert {(line["kind"], line["symbol"], line["channel"]) for line in reader.faults()} == {("drop", "BTCUSDT", "depth")}


async def test_a_duplicate_comes_twice() -> None:
    async with reading(SocketFault(SocketFaultKind.DUPLICATE, numbers=(2,))) as reader:
        await reader.pass_time(300)
        diffs = await reader.drained()
        assert diffs[1] == diffs[2]
        assert len(diffs) == 4
        (line,) = reader.faults()
        assert (line["number"], line["first_id"], line["last_id"]) == (2, *ids(diffs[1]))


async def test_reordered_messages_change_places() -> None:
    async with reading(SocketFault(SocketFaultKind.REORDER, numbers=(2,))) as reader:
        await reader.pass_time(400)
        diffs = await reader.drained()
        assert [diff["E"] for diff in diffs] == [diffs[0]["E"] + late for late in (0, 200, 100, 300)]
        (line,) = reader.faults()
        assert (line["first_id"], line["last_id"]) == ids(diffs[2])
        assert reader.exchange.tally()["sockets"]["streams"][DEPTH]["missing"] == []


async def test_a_delayed_message_comes_later() -> None:
    async with reading(SocketFault(SocketFaultKind.DELAY, value=250, numbers=(1,))) as reader:
        await reader.pass_time(500)
        diffs = await reader.drained()
        first = min(diff["E"] for diff in diffs)
        assert [diff["E"] - first for diff in diffs] == [100, 200, 0, 300, 400]
        assert reader.faults()[0]["milliseconds"] == 250


async def test_a_disconnect_has_no_close_frame_and_loses_what_follows() -> None:
    async with reading(SocketFault(SocketFaultKind.DISCONNECT, numbers=(3,))) as reader:
        await reader.pass_time(500)
        diffs = [await read(reader.socket) for _ in range(2)]
        with pytest.raises(ConnectionClosed) as closed:
            await read(reader.socket)
        assert closed.value.rcvd is None
        (line,) = reader.faults()
        assert line["first_id"] == diffs[-1]["u"] + 1
        assert line["connections"] == [1]
        await until(lambda: reader.exchange.tally()["sockets"]["disconnects"] == {"fault": 1})
        async with connected(f"{reader.exchange.ws_url}/ws/{DEPTH}") as again:
            await ask(again, "UNSUBSCRIBE", [])
            await reader.pass_time(100)
            diff = await read(again)
        missing = reader.exchange.tally()["sockets"]["streams"][DEPTH]["missing"]
        assert missing == [[line["first_id"], diff["U"] - 1]]


@pytest.mark.slow
async def test_a_half_open_connection_stays_open_and_says_nothing() -> None:
    async with reading(SocketFault(SocketFaultKind.HALF_OPEN, numbers=(2,))) as reader:
        await reader.pass_time(300)
        await read(reader.socket)
        await reader.socket.send('{"method":"UNSUBSCRIBE","params":[],"id":1}')
        await reader.pass_time(200)
        reader.exchange.announce_shutdown()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.socket.recv(), 0.2)
        assert reader.exchange.tally()["sockets"]["open"]["1"]["streams"] == 1
        assert reader.exchange.tally()["sockets"]["pings"] == 0
        assert [line["kind"] for line in reader.faults()] == ["half_open"]


async def test_a_broken_frame_ends_the_connection_on_the_clients_side() -> None:
    async with reading(SocketFault(SocketFaultKind.BROKEN_FRAME, numbers=(2,))) as reader:
        await reader.pass_time(300)
        await read(reader.socket)
        with pytest.raises(ConnectionClosed) as closed:
            await read(reader.socket)
        assert closed.value.sent
        assert closed.value.sent.code == 1002
        assert [line["kind"] for line in reader.faults()] == ["broken_frame"]


async def test_garbage_and_wrong_json_come_in_place_of_messages() -> None:
    async with reading(
        SocketFault(SocketFaultKind.GARBAGE, numbers=(1,)), SocketFault(SocketFaultKind.WRONG_JSON, numbers=(2,))
    ) as reader:
        await reader.pass_time(300)
        garbage, cut = await reader.socket.recv(), await reader.socket.recv()
        assert isinstance(garbage, bytes)
        assert isinstance(cut, str)
        assert cut.startswith('{"e":"depthUpdate"')
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(cut)
        diff = await read(reader.socket)
        lines = reader.faults()
        assert [line["kind"] for line in lines] == ["garbage", "wrong_json"]
        assert lines[1]["last_id"] + 1 == diff["U"]


async def test_a_sequence_jump_moves_the_book() -> None:
    async with reading(SocketFault(SocketFaultKind.SEQUENCE_JUMP, value=25, numbers=(2,))) as reader:
        await reader.pass_time(1_000)
        diffs = await reader.drained()
        (line,) = reader.faults()
        assert gaps(diffs) == [(line["missing_from"], line["missing_to"])]
        assert line["missing_to"] - line["missing_from"] == 24
        assert line["missing_from"] == diffs[1]["u"] + 1
        before, after = (reader.exchange.book("BTCUSDT", diff["u"], 5000) for diff in (diffs[1], diffs[2]))
        for side, key in (("bids", "b"), ("asks", "a")):
            rebuilt = dict(before[side])
            apply(rebuilt, diffs[2][key])
            if rebuilt != dict(after[side]):
                break
        else:
            raise AssertionError("the hidden updates have changed nothing")


async def test_a_flipped_level_is_wrong_in_the_diff_and_right_in_the_book() -> None:
    async with reading(SocketFault(SocketFaultKind.FLIPPED_LEVEL, numbers=(4,))) as reader:
        await reader.pass_time(600)
        diffs = await reader.drained()
        assert gaps(diffs) == []
        (line,) = reader.faults()
        key = {"bids": "b", "asks": "a"}[line["side"]]
        assert dict(diffs[3][key])[line["price"]] == line["sent_quantity"] != line["true_quantity"]
        assert float(line["sent_quantity"]) > 0
        book = reader.exchange.book("BTCUSDT", diffs[3]["u"], 5000)
        assert dict(book[line["side"]])[line["price"]] == line["true_quantity"]


async def test_a_fault_can_be_confined_to_one_connection() -> None:
    async with (
        reading(SocketFault(SocketFaultKind.DROP, connection=1, numbers=(2,))) as reader,
        connected(f"{reader.exchange.ws_url}/ws/{DEPTH}") as other,
    ):
        await ask(other, "UNSUBSCRIBE", [])
        await reader.pass_time(300)
        spared = [await read(other) for _ in range(3)]
        assert gaps(spared) == []
        assert await reader.drained() == [spared[0], spared[2]]
        assert reader.faults()[0]["connections"] == [1]


async def test_faults_are_changed_while_it_runs() -> None:
    async with reading() as reader:
        await reader.pass_time(200)
        await asyncio.to_thread(reader.exchange.set_faults, ["drop::::1", "http_500@/api/v3/time"])
        await reader.pass_time(200)
        diffs = await reader.drained()
        assert len(diffs) == 3
        assert gaps(diffs) == [(line["first_id"], line["last_id"]) for line in reader.faults()]
