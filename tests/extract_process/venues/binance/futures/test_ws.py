"""Futures' frames and sockets: which ids a diff accounts for, when a book follows, and which address serves a stream."""

import orjson
import pytest

from extract_process.book.sync import Apply, BookSync, SnapshotNeeded, Synced
from extract_process.live.gap_filler import GapFiller
from extract_process.live.monitor import StreamMonitor
from extract_process.live.requests import GapRequest
from extract_process.records import DepthDiff, NoTrade, StreamKey, Trade
from extract_process.sequence import Gap
from extract_process.venues import venue_named
from extract_process.venues.binance.futures.ws import parse_frame
from extract_process.venues.parsing import FrameRefused

AT = 1_723_161_256_299


def frame(before: object, first: object, last: object) -> bytes:
    ids = {"U": first, "u": last, "pu": before}
    return orjson.dumps({"e": "depthUpdate", "E": AT, "T": AT, "s": "BTCUSDT", **ids, "b": [["1.50", "0.010"]], "a": []})


def diff(before: int, first: int, last: int) -> DepthDiff:
    (message,) = parse_frame(frame(before, first, last))
    assert isinstance(message, DepthDiff)
    return message


def test_a_diff_accounts_for_every_id_after_the_one_before_it() -> None:
    assert diff(100, 150, 160) == DepthDiff("BTCUSDT", 101, 160, [["1.50", "0.010"]], [], AT * 1_000)


@pytest.mark.parametrize(
    ("before", "first", "last"),
    [(160, 150, 160), (150, 150, 160), (100, 161, 160), (-1, 1, 2), ("100", 150, 160), (None, 150, 160)],
)
def test_ids_that_cannot_be_are_refused(before: object, first: object, last: object) -> None:
    with pytest.raises(FrameRefused, match="id"):
        parse_frame(frame(before, first, last))


def test_ids_that_jump_are_no_gap_and_a_previous_id_that_never_came_is() -> None:
    sync = BookSync()
    sync.on_diff(diff(100, 150, 160))
    assert sync.on_diff(diff(160, 170, 180)) == []
    assert sync.on_diff(diff(200, 210, 220))[0] == Gap(181, 200, "sequence")


@pytest.mark.parametrize(
    ("snapshot", "applied"),
    [(165, [(160, 180), (180, 220)]), (170, [(160, 180), (180, 220)]), (180, [(180, 220)]), (181, [(180, 220)]), (220, [])],
)
def test_a_book_starts_with_the_first_diff_that_is_not_wholly_before_the_snapshot(
    snapshot: int, applied: list[tuple[int, int]]
) -> None:
    """The venue: drop `u` < L; the first has `U` <= L <= `u`; then `pu` is the last `u`. One that ends at L changes nothing."""
    sync = BookSync()
    assert sync.on_diff(diff(100, 150, 160)) == [SnapshotNeeded("start")]
    sync.on_snapshot_asked()
    for one in (diff(160, 170, 180), diff(180, 210, 220)):
        sync.on_diff(one)
    synced, *rest = sync.on_snapshot(snapshot)
    assert synced == Synced(snapshot)
    followed = [decision.diff for decision in rest if isinstance(decision, Apply)]
    assert [(one.first_update_id - 1, one.last_update_id) for one in followed] == applied
    (last,) = sync.on_diff(diff(220, 230, 240))
    assert isinstance(last, Apply)


def test_a_snapshot_older_than_what_waits_is_useless() -> None:
    sync = BookSync()
    sync.on_diff(diff(100, 150, 160))
    assert sync.on_snapshot(99) == [SnapshotNeeded("snapshot_too_old")]


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
def test_a_trade_that_is_not_of_the_market_is_no_row_and_its_id_is_told(kind: str) -> None:
    """A price of the insurance fund may be a tenth off: it must not become a candle's low."""
    said = {"e": "trade", "E": AT, "T": AT, "s": "BTCUSDT", "t": 5, "p": "5.0", "q": "0.1", "m": True}
    (trade,) = parse_frame(orjson.dumps({**said, "X": "MARKET"}))
    assert trade == Trade("BTCUSDT", 5, "5.0", "0.1", True, AT * 1_000, AT * 1_000)
    (other,) = parse_frame(orjson.dumps({**said, "X": kind}))
    assert isinstance(other, NoTrade)
    assert (other.symbol, other.trade_id, other.event_time) == ("BTCUSDT", 5, AT * 1_000)
    assert all(words in other.why for words in (kind, "'0.1' at '5.0'", f"trade time {AT}"))


def test_an_id_that_is_no_trade_of_the_market_is_neither_a_gap_nor_asked_for() -> None:
    """As seen: a price and a quantity of 0, some 15 times a minute."""
    monitor = StreamMonitor("binance-usdm", "main", {})
    said = {"e": "trade", "E": AT, "T": AT, "s": "BTCUSDT", "p": "5.0", "q": "0.1", "X": "MARKET", "m": True}
    no_trade = {"p": "0", "q": "0", "X": "NA"}
    messages = [*parse_frame(orjson.dumps(said | {"t": 5})), *parse_frame(orjson.dumps(said | no_trade | {"t": 6}))]
    found = monitor.on_messages([*messages, *parse_frame(orjson.dumps(said | {"t": 7}))], AT * 1_000)
    assert [(event.event, event.from_update_id, event.to_update_id) for event in found.events] == [("no_trade", 6, 6)]
    assert found.requests == []
    assert monitor.last_ids()[StreamKey("trades", "BTCUSDT")][0] == 7


def test_usdm_streams_are_on_two_sockets_and_coinms_on_one() -> None:
    channels = {"BTCUSDT": ("trades", "depth", "klines", "ticker")}
    usdm, coinm = venue_named("binance-usdm"), venue_named("binance-coinm")
    names = usdm.stream_names(channels, {"BTCUSDT": "1m"})
    assert {name: usdm.socket_of(name) for name in names} == {
        "btcusdt@trade": "public",
        "btcusdt@depth@100ms": "public",
        "btcusdt@kline_1m": "market",
        "!miniTicker@arr": "market",
    }
    assert {coinm.socket_of(name) for name in names} == {""}


def test_an_answer_closes_a_gap_though_it_leaves_out_ids_that_are_no_trades() -> None:
    venue = venue_named("binance-usdm")
    monitor = StreamMonitor(venue.name, "main", {})
    trades = {number: Trade("BTCUSDT", number, "5.0", "0.1", True, AT * 1_000 + number, AT * 1_000) for number in range(1, 12)}
    found = monitor.on_messages([trades[1], trades[2], trades[10]], AT * 1_000)
    (gap,) = found.requests
    assert isinstance(gap, GapRequest)
    answer = [trades[number] for number in (1, 2, 3, 5, 6, 8, 10, 11)]  # 4, 7 and 9 are left out
    healed = GapFiller(monitor, venue).on_answer(gap, answer, AT * 1_000)
    told = [(event.event, event.from_update_id, event.to_update_id) for event in healed.events]
    assert told == [("no_trade", 4, 4), ("no_trade", 7, 7), ("no_trade", 9, 9), ("healed", 3, 9)]
    assert healed.requests == []
