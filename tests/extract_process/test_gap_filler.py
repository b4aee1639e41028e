"""Requests and their answers: an answer is parsed where it arrives and never again, recorded once, and the rest is asked for."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson
import pyarrow as pa
import pytest
from tests.waiting import patience

from extract_process.live.capture import Capture
from extract_process.live.recorder import CaptureOptions
from extract_process.live.recovery import Recovered
from extract_process.live.request_queue import Fetcher, RequestQueue
from extract_process.live.requests import GapRequest, Request, SnapshotRequest
from extract_process.ranges import Range
from extract_process.records import AnsweredTrade, DepthDiff, DepthSnapshot, Kline, StreamEvent, Trade
from extract_process.spool.limits import BatchLimits, SpoolQuota
from extract_process.spool.outbox import Outbox
from extract_process.spool.segments import Kind, leftover_segments, read_segment
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue, venue_named
from extract_process.venues.api import VenueRest
from extract_process.venues.binance import VENUE
from extract_process.venues.binance.ws import CHANNELS
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import SpoolFull, VenueUnavailable

from .full_disk import files_of_at_most

MINUTE = 60_000_000
NOON = 1_704_110_400_000_000
TRADES, KLINES = StreamKey("trades", "BTCUSDT"), StreamKey("klines", "BTCUSDT", "1m")


class Unasked(RequestQueue[Request]):
    """Keeps what was put."""

    def __init__(self) -> None:
        super().__init__()
        self.put_so_far: list[Request] = []

    def put(self, request: Request) -> None:
        self.put_so_far.append(request)


@dataclass
class Bench:
    """A capture with nothing around it, and what it asked for."""

    capture: Capture
    folder: Path
    requests: Unasked = field(default_factory=Unasked)

    def events(self) -> list[tuple[str, int | None, int | None]]:
        (segment,) = leftover_segments(self.folder)
        written = [StreamEvent(**orjson.loads(one.payload)) for one in read_segment(segment) if one.kind is Kind.EVENT]
        return [(event.event, event.from_update_id, event.to_update_id) for event in written]


def bench(folder: Path, venue: Venue = VENUE) -> Bench:
    options = CaptureOptions("main", ("BTCUSDT", "BTC-USDT"), folder, BatchLimits(), fsync_seconds=60)
    requests, outbox = Unasked(), Outbox(folder / "outbox")
    quota, nothing = SpoolQuota(10**12, CHANNELS), Recovered(1, {}, [])
    return Bench(Capture(venue, options, quota, outbox, nothing, requests, lambda: None), folder, requests)


@pytest.fixture
def binance(tmp_path: Path) -> Iterator[Bench]:
    made = bench(tmp_path)
    yield made
    assert made.capture.close(20)


def trades(*ids: int, symbol: str = "BTCUSDT") -> Answer[list[AnsweredTrade]]:
    body = orjson.dumps([{"id": n, "price": "1", "qty": "1", "time": NOON // 1_000, "isBuyerMaker": True} for n in ids])
    return Answer(body, NOON, [Trade(symbol, number, "1", "1", True, NOON, NOON) for number in ids])


def unreadable(answer: Answer[list[AnsweredTrade]], number: int) -> Answer[list[AnsweredTrade]]:
    """The answer, parsed again with a price of this trade that is no number."""
    items = orjson.loads(answer.body)
    body = orjson.dumps([item | {"price": "free"} if item["id"] == number else item for item in items])
    return Answer(body, NOON, VENUE.parse_trades(body, "BTCUSDT"))


def klines(*minutes: int) -> Answer[pa.Table]:
    row = ["1", "1", "1", "1", "1", 0, "1", 1, "1", "1", "0"]
    rows = [[NOON // 1_000 + 60_000 * number, *row[:5], NOON // 1_000 + 60_000 * number + 59_999, *row[6:]] for number in minutes]
    body = orjson.dumps(rows)
    return Answer(body, NOON, VENUE.parse_klines(body, "BTCUSDT", "1m", NOON))


def streamed(ids: list[int]) -> list[object]:
    return [Trade("BTCUSDT", number, "1", "1", True, 1, 1) for number in ids]


def test_a_channel_that_a_small_disk_stopped_leaves_a_gap_with_its_cause(
    binance: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    capture = binance.capture
    capture.on_messages(streamed([1, 2]), NOON)
    for _ in CHANNELS:
        capture.on_spool_size(284, 60_000_000)
    assert capture.quota.stopped == set(CHANNELS)
    stopped = [record for record in caplog.records if record.message == "channel is no longer recorded"]
    assert len(stopped) == len(CHANNELS)
    assert all("60,000,000 bytes are free" in record.why for record in stopped)  # type: ignore[attr-defined]
    capture.on_spool_size(284, 10**12)
    assert not capture.quota.stopped
    capture.on_messages(streamed([6]), NOON)
    gaps = [vars(record) for record in caplog.records if record.message == "gap"]
    assert [(gap["cause"], gap["from_update_id"], gap["to_update_id"]) for gap in gaps] == [("spool_full", 3, 5)]


def test_an_answer_is_not_parsed_again(tmp_path: Path) -> None:
    """A book of 5,000 levels takes 17 ms: frames that wait for it would have a receipt time that is too late."""

    def never(*_: object) -> Any:
        raise AssertionError("parsed again")

    made = bench(tmp_path, replace(VENUE, parse_depth=never, parse_trades=never, parse_klines=never))
    snapshot = DepthSnapshot("BTCUSDT", 5, [["1.0", "2.0"]], [["1.5", "2.0"]], "start")
    made.capture.on_messages([DepthDiff("BTCUSDT", 5, 6, [], [], 1)], NOON)
    (request,) = made.requests.put_so_far
    assert request == SnapshotRequest("BTCUSDT", "start")
    made.capture.on_request(request)
    made.capture.on_answer(request, Answer(b"{}", NOON, snapshot))
    assert made.capture.monitor.books(synced=True) == ["BTCUSDT"]
    made.capture.on_answer(GapRequest(TRADES, 7, 7), trades(7))
    made.capture.on_answer(GapRequest(KLINES, NOON, NOON), klines(0))
    assert made.capture.counts.rows == 3 + len(made.events())
    assert made.capture.close(20)


def test_a_gap_in_trades_is_filled_page_by_page(binance: Bench) -> None:
    """The most recent trades hold its end; its beginning is history, of which one answer is one page."""
    capture, requests = binance.capture, binance.requests.put_so_far
    capture.on_messages(streamed([5, 10]), NOON)
    assert requests == [GapRequest(TRADES, 6, 9)]
    capture.on_answer(requests[-1], trades(9, 10, 11))
    assert requests[1:] == [GapRequest(TRADES, 6, 8, is_history=True)]
    capture.on_answer(requests[-1], trades(6, 7))
    assert requests[2:] == [GapRequest(TRADES, 8, 8, is_history=True)]
    capture.on_answer(requests[-1], trades(8, 9, 10))
    assert requests[3:] == []
    assert binance.events() == [("gap", 6, 9), ("healed", 9, 9), ("healed", 6, 7), ("healed", 8, 8)]
    assert capture.counts.rows == 4 + len(binance.events()), "each missing trade once"


def test_what_the_venue_does_not_have_is_an_event_and_not_asked_for_again(binance: Bench) -> None:
    capture, requests = binance.capture, binance.requests.put_so_far
    capture.on_messages(streamed([5, 10]), NOON)
    capture.on_answer(requests[-1], trades())
    assert requests[1:] == [GapRequest(TRADES, 6, 9, is_history=True)]
    capture.on_answer(GapRequest(TRADES, 6, 9, is_history=True), trades(3))
    capture.on_refused(GapRequest(TRADES, 6, 9, is_history=True), "no history")
    assert binance.events()[1:] == [("heal_failed", 6, 9), ("heal_failed", 6, 9)]
    assert len(requests) == 2
    assert capture.counts.rows == len(binance.events())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binance", [("healed", 6, 6), ("healed", 9, 9)]),  # 8 is lacking: its ids have no holes
        ("binance-usdm", [("no_trade", 8, 8), ("healed", 6, 6), ("healed", 8, 9)]),
        ("kucoin", [("healed", 6, 6), ("healed", 8, 9)]),
    ],
)
def test_a_trade_of_an_answer_that_cannot_be_read_stays_a_gap(
    tmp_path: Path, name: str, expected: list[tuple[str, int, int]]
) -> None:
    """It is there: neither an id that is no trade, nor one that a venue with sparse ids has skipped."""
    made = bench(tmp_path, venue_named(name))
    capture, requests = made.capture, made.requests.put_so_far
    request = GapRequest(TRADES, 6, 9)
    capture.on_messages(streamed([5]), NOON)
    capture.monitor.on_break("disconnect", lambda _: True)
    capture.on_messages(streamed([10]), NOON)
    assert requests == [request]
    capture.on_answer(request, unreadable(trades(5, 6, 7, 9, 10), 7))
    assert made.events() == [("gap", 6, 9), *expected, ("refused_row", 7, 7), ("gap", 7, 7)]
    assert capture.counts.rows == len({6, 9}) + len(made.events()), "it is no row"
    assert requests == [request]
    assert capture.close(20)


def test_klines_come_in_pages_and_those_the_venue_has_not_are_named(tmp_path: Path) -> None:
    made = bench(tmp_path, replace(VENUE, page_rows=3))
    capture, requests = made.capture, made.requests.put_so_far
    for number in (-1, 5):
        opened = NOON + number * MINUTE
        capture.on_messages(
            [Kline("BTCUSDT", "1m", opened, opened + MINUTE - 1, "1", "1", "1", "1", "1", "1", 1, "1", "1", True)], NOON
        )
    whole = GapRequest(KLINES, NOON, NOON + 4 * MINUTE)
    assert requests == [whole]
    assert whole.first_page(3) == Range(NOON, NOON + 2 * MINUTE)
    capture.on_answer(whole, klines(0, 2))
    assert requests[1:] == [GapRequest(KLINES, NOON + 3 * MINUTE, NOON + 4 * MINUTE)]
    capture.on_answer(requests[-1], klines(3, 4))
    assert requests[2:] == []
    assert [(name, (first - NOON) // MINUTE, (last - NOON) // MINUTE) for name, first, last in made.events()] == [  # type: ignore[operator]
        ("gap", 0, 4), ("healed", 0, 0), ("heal_failed", 1, 1), ("healed", 2, 2), ("healed", 3, 4),
    ]  # fmt: skip
    assert capture.close(20)


def test_an_answer_without_room_on_disk_is_neither_recorded_nor_tracked(binance: Bench) -> None:
    """It is asked for again later."""
    capture = binance.capture
    capture.on_messages(streamed([5, 7]), NOON)
    written, rows = binance.events(), capture.counts.rows
    with files_of_at_most(next(binance.folder.glob("*.segment")).stat().st_size), pytest.raises(SpoolFull, match="no room in"):
        capture.on_answer(GapRequest(TRADES, 6, 6), trades(6))
    assert binance.events() == written
    assert capture.counts.rows == rows + len(CHANNELS), "one event in memory for each channel that stopped"


class LastTrades:
    """A REST API that has only these."""

    def __init__(self, *ids: int) -> None:
        self.ids = ids

    async def fetch_recent_trades(self, symbol: str) -> Answer[list[AnsweredTrade]]:
        return trades(*self.ids, symbol=symbol)


@pytest.mark.parametrize(
    ("ids", "is_behind"), [((1, 4), True), ((1, 7), True), ((1, 9), True), ((1, 10), False), ((1, 12), False)]
)
async def test_an_answer_of_a_lagging_venue_is_asked_for_again(ids: tuple[int, int], is_behind: bool) -> None:
    """REST is a moment behind the stream: a gap from 5 to 10 is asked for at once, and its last trades are not there yet."""
    request = GapRequest(TRADES, 5, 10)
    asked = Fetcher(cast("VenueRest", LastTrades(*range(ids[0], ids[1] + 1))), VENUE).fetch(request)
    if is_behind:
        with pytest.raises(VenueUnavailable, match="do not reach 10 yet"):
            await asked
    else:
        assert (await asked).parsed[-1].trade_id == ids[1]


@pytest.mark.parametrize(
    ("name", "last", "expected"),
    [
        ("binance", 7, [("healed", 5, 7), ("heal_failed", 8, 10)]),
        ("binance-usdm", 7, [("healed", 5, 7), ("heal_failed", 8, 10)]),
        ("kucoin", 7, [("healed", 5, 7), ("heal_failed", 8, 10)]),
        ("kucoin", 3, [("heal_failed", 5, 10)]),
    ],
)
async def test_a_venue_that_stays_behind_is_not_asked_without_end(
    tmp_path: Path, name: str, last: int, expected: list[tuple[str, int, int]]
) -> None:
    """Its newest trade stays before the end of the gap: what there is heals its part, the rest is said to stay a gap."""
    made = bench(tmp_path, venue_named(name))
    made.capture.on_messages(streamed([4]), NOON)
    made.capture.monitor.on_break("disconnect", lambda _: True)
    made.capture.on_messages(streamed([11]), NOON)
    (request,) = made.requests.put_so_far
    fetcher = Fetcher(cast("VenueRest", LastTrades(*range(1, last + 1))), venue_named(name), behind_seconds=0.1)
    tries = 0
    async with asyncio.timeout(patience(20)):
        while True:
            try:
                answer = await fetcher.fetch(request)
                break
            except VenueUnavailable:
                tries += 1
                await asyncio.sleep(0.02)
    assert tries
    made.capture.on_answer(cast("GapRequest", request), answer)
    assert made.events() == [("gap", 5, 10), *expected]
    assert len(made.requests.put_so_far) == 1
    with pytest.raises(VenueUnavailable):  # the next one begins anew
        await fetcher.fetch(request)
    assert made.capture.close(20)


async def test_ids_of_another_numbering_are_not_waited_for() -> None:
    request = GapRequest(TRADES, 5_000_000, 5_000_010)
    answer = await Fetcher(cast("VenueRest", LastTrades(1, 2, 3)), VENUE).fetch(request)
    assert len(answer.parsed) == 3


async def test_an_answer_that_does_not_reach_far_enough_is_none(tmp_path: Path) -> None:
    """KuCoin: whether more of them are missing is only known when a younger one is there; the request is sent again."""
    kucoin = venue_named("kucoin")
    request = GapRequest(StreamKey("trades", "BTC-USDT"), 7, 7)
    with pytest.raises(VenueUnavailable, match="do not reach 7 yet"):
        await Fetcher(cast("VenueRest", LastTrades(6, 7)), kucoin).fetch(request)
    made = bench(tmp_path, kucoin)
    made.capture.on_answer(request, await Fetcher(cast("VenueRest", LastTrades(6, 7, 9)), kucoin).fetch(request))
    assert made.capture.counts.rows == 1 + len(made.events())
    assert made.capture.close(20)
