"""Open interest that was not requested for a while: a gap by time, with its cause."""

import io
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from extract_process.live.recovery import recover
from extract_process.live.requests import PollRequest
from extract_process.spool.outbox import Outbox
from extract_process.spool.segments import Kind, RestAnswer, Spool
from extract_process.stream_ids import StreamKey
from extract_process.venues import venue_named
from extract_process.venues.rest_client import Answer
from tickhouse_core.datasets import STREAM_EVENTS
from tickhouse_core.timestamps import to_datetime

from .test_gap_filler import NOON, Bench, bench

VENUE = venue_named("binance-usdm")
POLL, KEY = PollRequest("open_interest", "BTCUSDT"), StreamKey("open_interest", "BTCUSDT")
MINUTE = 60_000_000


def value_at(at_us: int) -> bytes:
    return orjson.dumps({"symbol": "BTCUSDT", "openInterest": "5", "time": at_us // 1_000})


def gaps_of(made: Bench) -> list[dict[str, Any]]:
    assert made.capture.close(20)
    written = [item.path for item in Outbox(made.folder / "outbox").waiting() if item.key.startswith(STREAM_EVENTS.prefix)]
    rows = [row for path in written for row in pq.read_table(io.BytesIO(path.read_bytes())).to_pylist()]
    return [row for row in rows if row["event"] == "gap"]


def answered(made: Bench, at_us: int) -> None:
    body = value_at(at_us)
    made.capture.on_answer(POLL, Answer(body, at_us + 5_000, VENUE.polls["open_interest"].parse(body, "BTCUSDT")))


@pytest.mark.parametrize("missed", [0, 1, 5])
def test_turns_without_an_answer_are_one_gap_by_time(tmp_path: Path, missed: int) -> None:
    made = bench(tmp_path, VENUE)
    for turn in range(3):
        made.capture.on_poll_due(POLL)
        answered(made, NOON + turn * MINUTE)
    last, back = NOON + 2 * MINUTE, NOON + (3 + missed) * MINUTE
    for _ in range(missed + 1):
        made.capture.on_poll_due(POLL)
        made.capture.on_poll_due(PollRequest("open_interest", "ETHUSDT"))
    answered(made, back)
    made.capture.on_poll_due(POLL)
    answered(made, back + MINUTE)
    told = [[gap[name] for name in ("channel", "symbol", "cause", "started_at", "ended_at")] for gap in gaps_of(made)]
    times = [to_datetime(last + 5_000), to_datetime(back + 5_000)]
    assert told == [["open_interest", "BTCUSDT", "missed_poll", *times]][: min(missed, 1)]


def test_a_killed_capture_remembers_when_it_last_had_a_value(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1, fsync_seconds=60)
    spool.append(Kind.REST_ANSWER, NOON + 5_000, RestAnswer("open_interest", "BTCUSDT", value_at(NOON)).payload())
    spool.append(Kind.REST_ANSWER, NOON + MINUTE, RestAnswer("open_interest", "BTCUSDT", value_at(NOON + MINUTE)).payload())
    spool.close()
    found = recover(tmp_path, Outbox(tmp_path / "outbox"), VENUE, "main", frozenset({"BTCUSDT"}))
    assert found.last_ids == {KEY: (NOON + MINUTE, NOON + MINUTE)}
    assert not found.gaps, "ids that are instants have no holes"
