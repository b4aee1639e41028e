"""What a killed process left behind: objects under the keys they would have had, and holes as gaps."""

import io
from dataclasses import asdict
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from extract_process.live.monitor import StreamMonitor
from extract_process.live.recovery import Recovered, recover
from extract_process.records import Heartbeat, Trade
from extract_process.sequence import Gap
from extract_process.spool.outbox import Outbox
from extract_process.spool.row_buffer import RowBuffer
from extract_process.spool.segments import (
    Checkpoint,
    Kind,
    RestAnswer,
    Spool,
    leftover_segments,
    load_checkpoint,
    parse_rest_answer,
)
from extract_process.stream_ids import StreamKey
from extract_process.venues import Venue, venue_named
from extract_process.venues.binance import VENUE as BINANCE

NOON = 1_704_110_400_000_000
SYMBOLS = frozenset({"BTCUSDT"})
TRADES, DEPTH = StreamKey("trades", "BTCUSDT"), StreamKey("depth", "BTCUSDT")
SNAPSHOT = b'{"lastUpdateId":55,"bids":[["1","2"]],"asks":[]}'


def trade(trade_id: int) -> bytes:
    message = {"e": "trade", "E": 1_704_110_400_000, "s": "BTCUSDT", "t": trade_id, "p": "1", "q": "1", "T": 1_704_110_400_000}
    return orjson.dumps({"stream": "btcusdt@trade", "data": {**message, "m": True}})


def diff(first: int, last: int) -> bytes:
    return orjson.dumps(
        {"e": "depthUpdate", "E": 1_704_110_400_000, "s": "BTCUSDT", "U": first, "u": last, "b": [["1", "2"]], "a": []}
    )


def recovered(folder: Path, venue: Venue = BINANCE) -> tuple[Recovered, Outbox]:
    outbox = Outbox(folder / "outbox")
    return recover(folder, outbox, venue, "main", SYMBOLS), outbox


def killed_with(folder: Path, sequence: int, *records: tuple[Kind, bytes]) -> None:
    spool = Spool(folder, sequence, fsync_seconds=60)
    for number, (kind, payload) in enumerate(records):
        spool.append(kind, NOON + number, payload)
    spool.close()


def test_a_fresh_folder_has_nothing_to_recover(tmp_path: Path) -> None:
    found, outbox = recovered(tmp_path)
    assert (found.next_sequence, found.last_ids, found.gaps) == (1, {}, [])
    assert outbox.waiting() == []


def test_leftover_records_become_objects_with_their_original_times_and_keys(tmp_path: Path) -> None:
    event = StreamMonitor("binance", "main", {}).event("connected", NOON)
    beat = Heartbeat("binance", "stream", "main", NOON, NOON + 9, 1, 2, 3, 4, "")
    answer = RestAnswer("depth", "BTCUSDT", SNAPSHOT, reason="start")
    killed_with(
        tmp_path,
        4,
        (Kind.EVENT, orjson.dumps(asdict(event))),
        (Kind.FRAME, trade(7)),
        (Kind.FRAME, diff(50, 60)),
        (Kind.EXTRA_FRAME, trade(8)),
        (Kind.REST_ANSWER, answer.payload()),
        (Kind.FRAME, b"garbage"),
        (Kind.HEARTBEAT, orjson.dumps(asdict(beat))),
    )
    found, outbox = recovered(tmp_path)

    rows = {item.key: pq.read_table(io.BytesIO(item.path.read_bytes())).to_pylist() for item in outbox.waiting()}
    where = "venue=binance/date=2024-01-01/hour=12"
    assert {key: len(value) for key, value in rows.items()} == {
        f"data_sources/depth_diffs/{where}/{NOON + 2}-main-4.parquet": 1,
        f"data_sources/depth_snapshots/{where}/{NOON + 4}-main-4.parquet": 1,
        f"data_sources/heartbeats/{where}/{NOON + 9}-main-4.parquet": 1,
        f"data_sources/stream_events/{where}/{NOON}-main-4.parquet": 1,
        f"data_sources/trades/{where}/{NOON + 1}-main-4.parquet": 2,
    }
    trades = rows[f"data_sources/trades/{where}/{NOON + 1}-main-4.parquet"]
    assert [int(row["receipt_time"].timestamp() * 1e6) - NOON for row in trades] == [1, 3]
    assert found.next_sequence == 5
    assert found.last_ids == {TRADES: (8, NOON + 3), DEPTH: (60, NOON + 2)}
    assert leftover_segments(tmp_path) == []
    assert load_checkpoint(tmp_path).last_ids == found.last_ids


def test_recovering_twice_gives_the_same_keys_and_bytes(tmp_path: Path) -> None:
    killed_with(tmp_path, 4, (Kind.FRAME, trade(7)), (Kind.FRAME, diff(50, 60)))
    kept = (tmp_path / "000000000004.segment").read_bytes()
    first = {item.key: item.path.read_bytes() for item in recovered(tmp_path)[1].waiting()}
    (tmp_path / "000000000004.segment").write_bytes(kept)  # killed after the objects, before the segment went
    found, outbox = recovered(tmp_path)
    assert {item.key: item.path.read_bytes() for item in outbox.waiting()} == first
    assert found.next_sequence == 5


def test_what_fell_out_in_the_crash_is_a_gap_and_what_was_written_down_is_not(tmp_path: Path) -> None:
    Checkpoint(3, {TRADES: (5, 1)}).save(tmp_path)
    gap = StreamMonitor("binance", "main", {}).event("gap", NOON, TRADES, cause="sequence", ids=(8, 9))
    killed_with(tmp_path, 4, *((Kind.FRAME, trade(number)) for number in (7, 10, 12)), (Kind.EVENT, orjson.dumps(asdict(gap))))
    found, _ = recovered(tmp_path)
    assert found.gaps == [(TRADES, Gap(6, 6, "restart")), (TRADES, Gap(11, 11, "restart"))]
    assert found.last_ids[TRADES][0] == 12


def test_the_objects_are_those_the_living_process_would_have_made(tmp_path: Path) -> None:
    killed_with(tmp_path, 4, (Kind.FRAME, trade(7)), (Kind.FRAME, diff(50, 60)), (Kind.FRAME, trade(8)))
    landing = RowBuffer(BINANCE, "main", SYMBOLS)
    for number, frame in enumerate((trade(7), diff(50, 60), trade(8))):
        landing.add_messages(BINANCE.parse_frame(frame, NOON), NOON + number)
    living = dict(landing.objects(4))
    assert {item.key: item.path.read_bytes() for item in recovered(tmp_path)[1].waiting()} == living


def test_a_rest_answer_comes_back_as_it_was_asked(tmp_path: Path) -> None:
    answer = RestAnswer("klines", "币USDT", b'[[1,"\n"]]', interval="1m", from_id=5, to_id=9)
    assert parse_rest_answer(answer.payload()) == answer


def test_only_the_missing_trades_of_an_answer_are_landed() -> None:
    body = orjson.dumps(
        [{"id": number, "price": "1", "qty": "2", "time": 1_704_110_400_000, "isBuyerMaker": False} for number in range(1, 10)]
    )
    landing = RowBuffer(BINANCE, "main", SYMBOLS)
    landing.add_answer(RestAnswer("trades", "BTCUSDT", body, from_id=3, to_id=5), NOON)
    ((_, parquet),) = landing.objects(1)
    assert pq.read_table(io.BytesIO(parquet))["trade_id"].to_pylist() == [3, 4, 5]


def test_a_row_whose_number_cannot_be_read_is_an_event_with_what_came() -> None:
    landing = RowBuffer(BINANCE, "main", SYMBOLS)
    landing.add_messages([Trade("BTCUSDT", 7, "one", "1", True, NOON, NOON)], NOON)
    ((key, parquet),) = landing.objects(1)
    assert key.startswith("data_sources/stream_events/")
    refused, gap = pq.read_table(io.BytesIO(parquet)).to_pylist()
    assert (refused["event"], refused["symbol"], refused["cause"]) == ("refused_row", "BTCUSDT", "unreadable_number")
    assert "one" in refused["detail"]
    assert [(row["event"], row["from_update_id"], row["to_update_id"]) for row in (refused, gap)] == [
        ("refused_row", 7, 7),
        ("gap", 7, 7),
    ]


def test_of_a_stream_of_the_whole_market_only_collected_symbols_are_remembered(tmp_path: Path) -> None:
    ticker = {"e": "24hrMiniTicker", "E": NOON // 1_000, "c": "1", "o": "1", "h": "1", "l": "1", "v": "1", "q": "1"}
    array = orjson.dumps([{**ticker, "s": symbol} for symbol in ("BTCUSDT", "ETHUSDT")])
    killed_with(tmp_path, 1, (Kind.FRAME, orjson.dumps({"stream": "!miniTicker@arr", "data": orjson.Fragment(array)})))
    found, _ = recovered(tmp_path)
    assert found.last_ids == {StreamKey("ticker", "BTCUSDT"): (NOON, NOON)}


def test_an_unreadable_row_whose_events_a_kill_has_cost_is_a_gap_of_the_next_start(tmp_path: Path) -> None:
    frames = [trade(5), trade(6).replace(b'"p":"1"', b'"p":"one"'), trade(7)]
    killed_with(tmp_path, 1, *((Kind.FRAME, frame) for frame in frames))
    result, _ = recovered(tmp_path)
    assert [gap for _, gap in result.gaps] == [Gap(6, 6, "restart")]


def test_a_new_numbering_and_an_absurd_id_of_a_killed_process_are_no_gap(tmp_path: Path) -> None:
    """What the monitor found out is in the spool behind the frames that showed it."""
    most = 2**64 - 1
    judged = StreamMonitor("binance", "main", {})
    records: list[tuple[Kind, bytes]] = []
    for number in (101, 102, most, 103, 1, 2, 8, 9):
        records.append((Kind.FRAME, trade(number)))
        events = judged.on_messages(BINANCE.parse_frame(trade(number), NOON), NOON).events
        records += [(Kind.EVENT, orjson.dumps(asdict(event))) for event in events]
    killed_with(tmp_path, 1, *records, (Kind.FRAME, trade(11)))
    found, _ = recovered(tmp_path)
    assert [gap for _, gap in found.gaps] == [Gap(10, 10, "restart")]
    assert {key: last for key, (last, _) in found.last_ids.items()} == {TRADES: 11}


def test_answer_that_cannot_be_read_any_more_is_an_event_and_heals_nothing(tmp_path: Path) -> None:
    """As after an update of tickhouse: one answer of each kind is refused, everything beside it is recovered."""
    monitor = StreamMonitor("binance-usdm", "main", {})
    events = [
        monitor.event("gap", NOON, TRADES, ids=(5, 9)),
        monitor.event("healed", NOON, TRADES, ids=(5, 6)),
        monitor.event("healed", NOON, TRADES, ids=(20, 21)),
    ]
    gap, healed, other = [(Kind.EVENT, orjson.dumps(asdict(event))) for event in events]
    answers = {"trades": RestAnswer("trades", "BTCUSDT", b'[{"id": "a"}]', from_id=5, to_id=6)}
    answers["klines"] = RestAnswer("klines", "BTCUSDT", b"[[1]]", interval="1m", from_id=NOON, to_id=NOON)
    answers |= {what: RestAnswer(what, "BTCUSDT", b"{}") for what in ("depth", "open_interest")}
    refused = [(Kind.REST_ANSWER, answer.payload()) for answer in answers.values()]
    killed_with(tmp_path, 4, (Kind.FRAME, trade(4)), gap, *refused, healed, other, (Kind.FRAME, trade(10)))

    found, outbox = recovered(tmp_path, venue_named("binance-usdm"))

    tables = {item.key.split("/")[1]: pq.read_table(io.BytesIO(item.path.read_bytes())).to_pylist() for item in outbox.waiting()}
    assert [row["trade_id"] for row in tables["trades"]] == [4, 10]
    told = [(row["event"], row["channel"], row["from_update_id"], row["cause"]) for row in tables["stream_events"]]
    assert told == [
        ("gap", "trades", 5, ""),
        ("refused_frame", "trades", None, "unusable_answer"),
        ("refused_frame", "klines", None, "unusable_answer"),
        ("refused_frame", "depth", None, "unusable_answer"),
        ("refused_frame", "open_interest", None, "unusable_answer"),
        ("gap", "open_interest", None, "unusable_answer"),
        ("healed", "trades", 20, ""),
    ]
    assert (found.gaps, leftover_segments(tmp_path)) == ([], [])
