"""Futures' frames and sockets: which ids a diff accounts for, when a book follows, and which address serves a stream."""

from collections.abc import Mapping

import orjson
import pytest

from extract_process.book.sync import Apply, BookSync, SnapshotNeeded, Synced
from extract_process.live.gap_filler import GapFiller
from extract_process.live.monitor import StreamMonitor
from extract_process.live.requests import GapRequest
from extract_process.records import DepthDiff, Liquidation, MarkPrice, NoTrade, Trade, UnreadableRow
from extract_process.sequence import Gap
from extract_process.stream_ids import StreamKey
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


@pytest.mark.parametrize("kind", ["", 1, None, True, [], {}, ["NA"], "market", "NA ", "A_WORD_OF_LATER"])
@pytest.mark.parametrize("is_trade", [True, False])
def test_a_trade_whose_kind_cannot_be_read_is_a_gap_until_the_venue_is_asked(kind: object, is_trade: bool) -> None:
    monitor, key = StreamMonitor("binance-usdm", "main", {}), StreamKey("trades", "BTCUSDT")
    said = {"e": "trade", "E": AT, "T": AT, "s": "BTCUSDT", "p": "5.0", "q": "0.1", "X": "MARKET", "m": True}
    messages = [said | {"t": 5}, said | {"t": 6, "X": kind}, said | {"t": 7}]
    found = monitor.on_messages([parsed(message) for message in messages], AT * 1_000)
    told = [(event.event, event.cause, event.from_update_id, event.to_update_id) for event in found.events]
    assert told == [("refused_row", "unreadable_number", 6, 6), ("gap", "unreadable_number", 6, 6)]
    assert f"X={kind!r}" in found.events[0].detail
    assert found.requests == [GapRequest(key, 6, 6)]

    there = [5, 6, 7] if is_trade else [5, 7]
    answer = [Trade("BTCUSDT", number, "5.0", "0.1", True, AT * 1_000, AT * 1_000) for number in there]
    healed = GapFiller(monitor, venue_named("binance-usdm")).on_answer(GapRequest(key, 6, 6), answer, AT * 1_000)
    assert [event.event for event in healed.events] == (["healed"] if is_trade else ["no_trade", "healed"])


def test_a_trade_without_a_kind_is_one_of_the_market() -> None:
    assert isinstance(parsed({"e": "trade", "E": AT, "T": AT, "s": "BTCUSDT", "t": 5, "p": "5.0", "q": "0.1", "m": True}), Trade)


def test_usdm_streams_are_on_two_sockets_and_coinms_on_one() -> None:
    channels = {"BTCUSDT": ("trades", "depth", "klines", "ticker", "mark_prices", "liquidations", "open_interest")}
    usdm, coinm = venue_named("binance-usdm"), venue_named("binance-coinm")
    names = usdm.stream_names(channels, {"BTCUSDT": "1m"})
    assert {name: usdm.socket_of(name) for name in names} == {
        "btcusdt@trade": "public",
        "btcusdt@depth@100ms": "public",
        "btcusdt@markPrice@1s": "market",
        "btcusdt@forceOrder": "market",
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


MARK_PRICE = {
    "e": "markPriceUpdate", "E": 1562305380000, "s": "BTCUSDT", "p": "11794.15000000", "i": "11784.62659091",
    "P": "11784.25641265", "r": "0.00038167", "T": 1562306400000,
}  # fmt: skip
"""developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/Mark-Price-Stream."""

OF_DELIVERY = {
    "e": "markPriceUpdate", "E": 1596095725000, "s": "BTCUSD_201225", "p": "10934.62615417", "P": "10962.17178236",
    "i": "10933.62615417", "r": "", "T": 0,
}  # fmt: skip
"""…/derivatives/coin-margined-futures/websocket-market-streams/Mark-Price-Stream."""

ORDER = {
    "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910", "ap": "9910", "X": "FILLED", "l": "0.014",
    "z": "0.014", "T": 1568014460893,
}  # fmt: skip
"""…/derivatives/usds-margined-futures/websocket-market-streams/Liquidation-Order-Streams."""

ORDER_OF_COINM = {
    "s": "BTCUSD_200925", "ps": "BTCUSD", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "1", "p": "9425.5", "ap": "9496.5",
    "X": "FILLED", "l": "1", "z": "1", "T": 1591154240949,
}  # fmt: skip
"""…/derivatives/coin-margined-futures/websocket-market-streams/Liquidation-Order-Streams."""


def parsed(message: object) -> object:
    (found,) = parse_frame(orjson.dumps(message))
    return found


def liquidation(order: Mapping[str, object], sent_at: int = 1568014460893) -> Liquidation:
    found = parsed({"e": "forceOrder", "E": sent_at, "o": order})
    assert isinstance(found, Liquidation)
    return found


def test_a_mark_price_of_the_documentation_is_its_row() -> None:
    prices = ("11794.15000000", "11784.62659091", "11784.25641265")
    expected = MarkPrice("BTCUSDT", 1562305380000_000, *prices, "0.00038167", 1562306400000_000)
    assert parsed(MARK_PRICE) == parsed(MARK_PRICE | {"ap": "1", "invented": {"later": 1}}) == expected
    assert parsed(MARK_PRICE | {"r": "-0.00038167"}) == expected._replace(funding_rate="-0.00038167")


def test_a_contract_with_a_delivery_date_has_no_funding() -> None:
    prices = ("10934.62615417", "10933.62615417", "10962.17178236")
    assert parsed(OF_DELIVERY) == MarkPrice("BTCUSD_201225", 1596095725000_000, *prices, None, None)


def test_liquidations_of_the_documentation_are_their_rows() -> None:
    usdm, coinm = liquidation(ORDER), liquidation(ORDER_OF_COINM, 1591154240950)
    at = 1568014460893
    words = ("sell", "LIMIT", "IOC", "FILLED", "0.014", "9910", "9910", "0.014", "0.014")
    assert usdm == Liquidation("BTCUSDT", usdm.liquidation_id, *words, at * 1_000, at * 1_000)
    assert usdm.liquidation_id >> 20 == at
    words = ("sell", "LIMIT", "IOC", "FILLED", "1", "9425.5", "9496.5", "1", "1")
    at = 1591154240949
    assert coinm == Liquidation("BTCUSD_200925", coinm.liquidation_id, *words, at * 1_000, (at + 1) * 1_000)
    assert liquidation(ORDER | {"S": "BUY"}).side == "buy"


def test_one_liquidation_has_one_id_and_others_of_its_millisecond_have_theirs() -> None:
    one = liquidation(ORDER)
    assert liquidation(ORDER | {"invented": 1}, sent_at=1568014461000).liquidation_id == one.liquidation_id
    others: list[dict[str, object]] = [
        {"S": "BUY"},
        {"q": "0.015"},
        {"p": "9911"},
        {"ap": "9911"},
        {"X": "NEW"},
        {"l": "0"},
        {"z": "0"},
        {"T": 1568014460894},
    ]
    ids = {liquidation({**ORDER, **other}).liquidation_id for other in others}
    assert len(ids | {one.liquidation_id}) == len(others) + 1
    assert max(ids) < 2**63


@pytest.mark.parametrize("spoilt", [{"p": "-1"}, {"p": ""}, {"i": "x"}, {"P": 5}, {"r": "--1"}, {"r": "1e99"}])
def test_a_mark_price_with_a_number_that_is_none_is_told_and_is_no_row(spoilt: dict[str, object]) -> None:
    found = parsed(MARK_PRICE | spoilt)
    assert isinstance(found, UnreadableRow)
    assert (found.channel, found.symbol, found.first_id) == ("mark_prices", "BTCUSDT", None)


@pytest.mark.parametrize("key", ["q", "p", "ap", "l", "z"])
def test_a_liquidation_with_a_number_that_is_none_is_told_and_is_no_row(key: str) -> None:
    found = parsed({"e": "forceOrder", "E": AT, "o": ORDER | {key: "-1"}})
    assert isinstance(found, UnreadableRow)
    assert (found.channel, found.symbol, found.first_id) == ("liquidations", "BTCUSDT", None)


@pytest.mark.parametrize(
    "message",
    [
        MARK_PRICE | {"E": 0},
        MARK_PRICE | {"T": "1562306400000"},
        MARK_PRICE | {"s": ""},
        {name: value for name, value in MARK_PRICE.items() if name != "p"},
        {"e": "forceOrder", "E": AT, "o": []},
        {"e": "forceOrder", "E": AT},
        {"e": "forceOrder", "E": AT, "o": ORDER | {"S": "HOLD"}},
        {"e": "forceOrder", "E": AT, "o": ORDER | {"T": -1}},
    ],
)
def test_what_is_no_mark_price_and_no_liquidation_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(FrameRefused):
        parse_frame(orjson.dumps(message))


@pytest.mark.parametrize("name", ["E", "s", "p"])
def test_a_mark_price_needs_its_time_symbol_and_price(name: str) -> None:
    with pytest.raises(FrameRefused, match=f"no key '{name}'"):
        parse_frame(orjson.dumps({key: value for key, value in MARK_PRICE.items() if key != name}))


@pytest.mark.parametrize("name", list(ORDER))
def test_a_liquidation_needs_all_of_its_order(name: str) -> None:
    order = {key: value for key, value in ORDER.items() if key != name}
    with pytest.raises(FrameRefused, match=f"no key '{name}'"):
        parse_frame(orjson.dumps({"e": "forceOrder", "E": AT, "o": order}))
