"""StreamFeed against real websocket servers: how it subscribes, and what it does with a venue that will not have it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import orjson
import pytest
from tests.waiting import until
from websockets.asyncio.server import ServerConnection

from extract_process.feed.interface import FeedOptions
from extract_process.feed.stream_feed import StreamFeed
from extract_process.live.capture import Capture
from extract_process.live.recorder import CaptureOptions
from extract_process.live.recovery import Recovered, rows_of_segment
from extract_process.live.request_queue import RequestQueue
from extract_process.spool.limits import BatchLimits, SpoolQuota
from extract_process.spool.outbox import Outbox
from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import Kind, leftover_segments, read_segment
from extract_process.stream_ids import StreamKey
from extract_process.venues.api import Address
from extract_process.venues.binance import VENUE
from extract_process.venues.binance.ws import CHANNELS
from extract_process.venues.rate_limit import EventLimit

from .socket_venues import SILENCE, Venue, raw_venue_that, venue_that

OPTIONS = FeedOptions(rotate_seconds=3_600, overlap_seconds=0.5, silence_seconds=SILENCE)
NAMES = [f"symbol{number}usdt@trade" for number in range(1_000)]


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    options = CaptureOptions("main", ("BTCUSDT",), tmp_path, BatchLimits(), fsync_seconds=60)
    quota = SpoolQuota(10**12, CHANNELS)
    return Capture(VENUE, options, quota, Outbox(tmp_path / "outbox"), Recovered(1, {}, []), RequestQueue(), lambda: None)


@asynccontextmanager
async def feeding(
    url: str,
    capture: Capture,
    streams: list[str],
    options: FeedOptions = OPTIONS,
    on_refused: Callable[[], None] = lambda: None,
) -> AsyncIterator[StreamFeed]:
    """A feed at work until the context ends."""

    async def find_address() -> Address:
        return Address(url)

    connects = EventLimit(VENUE.sockets.connects.most, VENUE.sockets.connects.seconds)
    feed = StreamFeed("connection 1 of 1", streams, capture, connects, options, VENUE, find_address, on_refused)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert capture.close(20)


def events(capture_folder: Path) -> list[tuple[str, str]]:
    """Event and detail of everything that was written down in the open segment."""
    (segment,) = leftover_segments(capture_folder)
    written = [orjson.loads(record.payload) for record in read_segment(segment) if record.kind is Kind.EVENT]
    return [(event["event"], event["detail"]) for event in written]


@pytest.mark.slow
async def test_many_streams_are_asked_for_without_breaking_the_venues_rule(capture: Capture) -> None:
    """Five messages a second, pongs included, however unevenly the way there delays them."""
    came: list[float] = []
    asked: list[list[str]] = []

    async def behave(venue: ServerConnection) -> None:
        async for message in venue:
            came.append(time.monotonic())
            request = orjson.loads(message)
            assert request["method"] == "SUBSCRIBE"
            asked.append(request["params"])
            await venue.send(orjson.dumps({"result": None, "id": request["id"]}))

    async with venue_that(behave) as url, feeding(url, capture, NAMES):
        await until(lambda: len(came) == 10)
    assert [name for names in asked for name in names] == NAMES
    assert max(map(len, asked)) == 100
    assert min(later - earlier for earlier, later in zip(came, came[4:], strict=False)) > 1.1, "one place is left for a pong"


async def test_a_refused_subscription_is_written_down_and_tried_again(capture: Capture, tmp_path: Path) -> None:
    tries: list[int] = []

    async def behave(venue: ServerConnection) -> None:
        async for message in venue:
            tries.append(1)
            number = orjson.loads(message)["id"]
            refusal = {"code": 2, "msg": "Invalid request: unknown property", "id": number}
            await venue.send(orjson.dumps(refusal if len(tries) == 1 else {"result": None, "id": number}))

    async with venue_that(behave) as url, feeding(url, capture, NAMES[:1]):
        await until(lambda: len(tries) == 2)
        await until(lambda: "connected" in dict(events(tmp_path)))
        assert events(tmp_path)[0] == (
            "connect_failed",
            "connection 1 of 1: subscription refused: 2 Invalid request: unknown property",
        )


@pytest.mark.parametrize("others", [NAMES[:2], []], ids=["beside others", "alone"])
async def test_a_stream_the_venue_does_not_know_is_left_out_until_it_is_listed(capture: Capture, others: list[str]) -> None:
    """KuCoin refuses a whole subscription for one delisted symbol in it."""
    asked: list[list[str]] = []
    unknown, refusals = {"oldusdt@trade"}, asyncio.Event()

    async def behave(venue: ServerConnection) -> None:
        async for message in venue:
            request = orjson.loads(message)
            asked.append(request["params"])
            refusal = {"code": 404, "msg": "topic is not found", "id": request["id"]}
            await venue.send(orjson.dumps(refusal if unknown & set(request["params"]) else {"result": None, "id": request["id"]}))

    def on_refused() -> None:
        feed.leave_out(unknown)
        refusals.set()

    async with (
        venue_that(behave) as url,
        feeding(url, capture, [*others, *unknown], replace(OPTIONS, overlap_seconds=0.1), on_refused) as feed,
    ):
        await refusals.wait()
        if others:
            await until(lambda: feed.is_delivering)
        assert feed.is_wanted is bool(others)
        names = set(unknown)
        unknown.clear()
        feed.renew(names)
        await until(lambda: len(asked) == 2 + bool(others))
    assert asked == [[*others, *names], *([others] if others else []), [*others, *names]]


@pytest.mark.slow
async def test_a_venue_that_says_goodbye_while_we_subscribe_is_dialled_again(capture: Capture, tmp_path: Path) -> None:
    """The close frame comes between two SUBSCRIBE messages, and the line stays open."""
    let_go = asyncio.Event()

    async def behave(venue: Venue) -> None:
        await venue.shake_hands()
        venue.send()
        await venue.reader.read(65_536)
        venue.protocol.send_close(1008, "Too many requests")
        venue.send()
        await let_go.wait()

    async with raw_venue_that(behave) as url, feeding(url, capture, NAMES):
        await until(lambda: len(events(tmp_path)) >= 1)
        let_go.set()
        assert events(tmp_path)[0] == ("connect_failed", "connection 1 of 1: closed by the venue: 1008 Too many requests")


async def test_a_venue_that_accepts_and_closes_is_not_dialled_thousands_of_times(capture: Capture, tmp_path: Path) -> None:
    tries: list[float] = []

    async def behave(venue: ServerConnection) -> None:
        tries.append(time.monotonic())
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))

    async with venue_that(behave) as url, feeding(url, capture, NAMES[:1]):
        await until(lambda: "disconnected" in dict(events(tmp_path)), "the first end")
        await asyncio.sleep(1)  # without a delay of our own that was enough for 1,700 connections
        lost = [detail for event, detail in events(tmp_path) if event == "disconnected"]
    assert 1 <= len(tries) <= 30
    assert lost[0].startswith("connection 1 of 1: closed by the venue: 1000 after 0.")


async def test_what_came_before_the_subscription_was_answered_is_landed(capture: Capture, tmp_path: Path) -> None:
    trade = {"e": "trade", "E": 1_700_000_000_000, "s": "BTCUSDT", "t": 7, "p": "1", "q": "1", "T": 1_700_000_000_000, "m": True}

    async def behave(venue: ServerConnection) -> None:
        number = orjson.loads(await venue.recv())["id"]
        await venue.send(orjson.dumps({"stream": "btcusdt@trade", "data": trade}))
        await venue.send(orjson.dumps({"result": None, "id": number}))
        await venue.send(orjson.dumps({"stream": "btcusdt@trade", "data": {**trade, "t": 8}}))
        await venue.recv()

    async with venue_that(behave) as url, feeding(url, capture, ["btcusdt@trade"]):
        await until(lambda: capture.counts.frames == 3 and "connected" in dict(events(tmp_path)))
        (segment,) = leftover_segments(tmp_path)
        assert rows_of_segment(segment, VENUE, RowBuffer(VENUE, "main", frozenset({"BTCUSDT"}))).rows == 2 + len(events(tmp_path))
    assert capture.monitor.last_ids()[StreamKey("trades", "BTCUSDT")][0] == 8
    assert capture.counts.gaps == 0


async def test_a_lost_connection_interrupts_what_is_recorded_of_a_stream_of_the_whole_market(
    capture: Capture, tmp_path: Path
) -> None:
    """It is subscribed as `*`, and its rows are of many symbols."""
    began, step = 1_700_000_000_000_000, 1_000_000
    ticker = {"e": "24hrMiniTicker", "c": "1", "o": "1", "h": "1", "l": "1", "v": "1", "q": "1"}
    times = count(began, 7 * step)
    connects: list[ServerConnection] = []

    async def behave(venue: ServerConnection) -> None:
        at = next(times)
        connects.append(venue)
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))
        both = [{**ticker, "E": at // 1_000, "s": symbol} for symbol in ("ETHUSDT", "BTCUSDT")]
        await venue.send(orjson.dumps({"stream": "!miniTicker@arr", "data": both}))
        await venue.wait_closed()

    async with venue_that(behave) as url, feeding(url, capture, ["!miniTicker@arr"]):
        await until(lambda: StreamKey("ticker", "BTCUSDT") in capture.monitor.last_ids())
        await connects[0].close()
        await until(lambda: capture.counts.gaps > 0)
        (segment,) = leftover_segments(tmp_path)
        told = [orjson.loads(record.payload) for record in read_segment(segment) if record.kind is Kind.EVENT]
    gap = next(event for event in told if event["event"] == "gap")
    assert (gap["channel"], gap["symbol"], gap["cause"]) == ("ticker", "BTCUSDT", "disconnect")
    assert (gap["from_update_id"], gap["to_update_id"]) == (began + 1, began + 7 * step - 1)


async def test_what_the_venue_said_before_it_closed_is_kept(capture: Capture, tmp_path: Path) -> None:
    """KuCoin says why in a message and then closes without a reason."""
    is_up = asyncio.Event()

    async def behave(venue: ServerConnection) -> None:
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))
        await is_up.wait()
        await venue.send(b'{"code":401,"msg":"token is expired","id":null}')
        await venue.close(1000)

    async with venue_that(behave) as url, feeding(url, capture, NAMES[:1]):
        await until(lambda: "connected" in dict(events(tmp_path)))
        is_up.set()
        await until(lambda: "disconnected" in dict(events(tmp_path)))
        told = dict(events(tmp_path))
    assert told["venue_error"] == "connection 1 of 1: 401 token is expired"
    assert "closed by the venue: 1000, after it said: 401 token is expired after " in told["disconnected"]


@pytest.mark.slow
async def test_a_mute_connection_is_kept_until_another_delivers(capture: Capture, tmp_path: Path) -> None:
    """The second connection is as mute, and given up; the third delivers."""
    trade = {"e": "trade", "E": 1_700_000_000_000, "s": "BTCUSDT", "p": "1", "q": "1", "T": 1_700_000_000_000, "m": True}
    connects: list[ServerConnection] = []
    may_deliver = asyncio.Event()
    ids = iter(range(1, 10_000))

    async def behave(venue: ServerConnection) -> None:
        connects.append(venue)
        number = len(connects)
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))
        if number == 3:
            await may_deliver.wait()
        for _ in range(0 if number == 2 else 120):
            await venue.send(orjson.dumps({"stream": "btcusdt@trade", "data": {**trade, "t": next(ids)}}))
            await asyncio.sleep(0.002)
        await venue.wait_closed()

    options = replace(OPTIONS, mute_seconds=0.3, overlap_seconds=0.05)
    async with venue_that(behave) as url, feeding(url, capture, ["btcusdt@trade"], options) as feed:
        await until(lambda: len(connects) == 2, "a second connection")
        assert feed.is_mute
        await until(lambda: len(connects) == 3, "a third connection")
        assert feed.is_mute
        assert not connects[0].close_code, "the first one is kept"
        may_deliver.set()
        await until(lambda: "rotated" in dict(events(tmp_path)), "the change")
        assert not feed.is_mute
        told = [event for event, _ in events(tmp_path)]
    assert told[:4] == ["connected", "mute", "successor_given_up", "rotated"]
    assert capture.counts.gaps == 0
    assert capture.monitor.last_ids()[StreamKey("trades", "BTCUSDT")][0] >= 121


@pytest.mark.slow
async def test_what_only_the_second_connection_had_is_no_hole_of_one_that_speaks_again(capture: Capture, tmp_path: Path) -> None:
    """The first one is mute behind trade 120 and goes on with 138; the second has brought 130 to 137."""
    trade = {"e": "trade", "E": 1_700_000_000_000, "s": "BTCUSDT", "p": "1", "q": "1", "T": 1_700_000_000_000, "m": True}
    speaks_again = asyncio.Event()

    async def say(venue: ServerConnection, first: int, last: int) -> None:
        for number in range(first, last + 1):
            await venue.send(orjson.dumps({"stream": "btcusdt@trade", "data": {**trade, "t": number}}))
            await asyncio.sleep(0.002)

    connects: list[ServerConnection] = []

    async def behave(venue: ServerConnection) -> None:
        connects.append(venue)
        is_first = len(connects) == 1
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))
        if is_first:
            await say(venue, 1, 120)
            await speaks_again.wait()
            await say(venue, 138, 140)
        else:
            await say(venue, 130, 137)
            await until(lambda: capture.counts.rows >= 128)
            speaks_again.set()
        await venue.wait_closed()

    options = replace(OPTIONS, mute_seconds=0.3, overlap_seconds=0.25)
    async with venue_that(behave) as url, feeding(url, capture, ["btcusdt@trade"], options):
        await until(lambda: capture.monitor.last_ids().get(StreamKey("trades", "BTCUSDT"), (0, 0))[0] == 140)
        (segment,) = leftover_segments(tmp_path)
        written = [orjson.loads(record.payload) for record in read_segment(segment) if record.kind is Kind.EVENT]
    assert [(one["from_update_id"], one["to_update_id"]) for one in written if one["event"] == "gap"] == [(121, 129)]


@pytest.mark.slow
async def test_what_a_lost_successor_delivered_is_in_no_gap(capture: Capture, tmp_path: Path) -> None:
    """The venue says goodbye; the second connection delivers trade 5 and is cut, the first one once the third has trade 7."""
    trade = {"e": "trade", "E": 1_700_000_000_000, "s": "BTCUSDT", "p": "1", "q": "1", "T": 1_700_000_000_000, "m": True}
    venues: list[ServerConnection] = []

    async def behave(venue: ServerConnection) -> None:
        venues.append(venue)
        number, last = len(venues), {1: 1, 2: 5}.get(len(venues), 7)
        await venue.send(orjson.dumps({"result": None, "id": orjson.loads(await venue.recv())["id"]}))
        await venue.send(orjson.dumps({"stream": "btcusdt@trade", "data": {**trade, "t": last}}))
        if number == 1:
            await venue.send(orjson.dumps({"e": "serverShutdown", "E": 1_700_000_000_000}))
        else:
            await until(lambda: capture.counts.frames >= 1 + 2 * number)
            venues[1 if number == 2 else 0].transport.abort()
        await venue.wait_closed()

    async with venue_that(behave) as url, feeding(url, capture, ["btcusdt@trade"]):
        await until(lambda: capture.monitor.last_ids().get(StreamKey("trades", "BTCUSDT"), (0, 0))[0] == 7)
        (segment,) = leftover_segments(tmp_path)
        written = [orjson.loads(record.payload) for record in read_segment(segment) if record.kind is Kind.EVENT]
    gaps = [(event["from_update_id"], event["to_update_id"]) for event in written if event["event"] == "gap"]
    assert gaps == [(2, 4), (6, 6)]
