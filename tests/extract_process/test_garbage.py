"""Garbage on its way through a whole capture: nothing a venue sends ends it, is lost unseen, or keeps it from starting again."""

import io
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extract_process.live.capture import Capture
from extract_process.live.recorder import CaptureOptions
from extract_process.live.recovery import Recovered, recover
from extract_process.live.request_queue import RequestQueue
from extract_process.spool.limits import BatchLimits, SpoolQuota
from extract_process.spool.outbox import Outbox
from extract_process.spool.segments import Kind, Spool, leftover_segments
from extract_process.stream_ids import StreamKey
from extract_process.venues.binance import VENUE as BINANCE
from extract_process.venues.binance.ws import CHANNELS

NOON = 1_704_110_400_000_000
MS = NOON // 1_000
SYMBOL = "BTCUSDT"
DIFF = {"e": "depthUpdate", "E": MS, "s": SYMBOL, "U": 157, "u": 160, "b": [["0.0024", "10"]], "a": [["0.0026", "100"]]}
TRADE = {"e": "trade", "E": MS, "s": SYMBOL, "t": 12345, "p": "0.001", "q": "100", "T": MS - 1, "m": True, "M": True}
TICKER = {"e": "24hrMiniTicker", "E": MS, "s": SYMBOL, "c": "4", "o": "1", "h": "5", "l": "0.5", "v": "10000", "q": "18"}
KLINE = {
    "e": "kline", "E": MS, "s": SYMBOL,
    "k": {
        "t": MS, "T": MS + 59_999, "s": SYMBOL, "i": "1m", "f": 100, "L": 200, "o": "1", "c": "4", "h": "5",
        "l": "0.5", "v": "1000", "n": 100, "x": True, "q": "10", "V": "500", "Q": "0.5", "B": "123456",
    },
}  # fmt: skip
_ids = st.integers(0, 20) | st.integers(0, 2**64 - 1) | st.sampled_from([2**63, 2**64 - 1])
_values = (
    _ids
    | st.integers(-5, 2**53)
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "0", "1e5", "-1", "0." + "1" * 20, "9" * 40, "NaN", "1m", "1M", "3d", "5", "m", "x/../y", "1s ", "🜚"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.lists(st.lists(st.sampled_from(["1", "0", "x", ""]), max_size=3), max_size=3)
)


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    """A message of the venue in which up to three values are others."""
    message: dict[str, Any] = dict(draw(st.sampled_from([DIFF, TRADE, TICKER, KLINE])))
    inner = message["k"] = dict(message["k"]) if "k" in message else {}
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([message, inner] if inner else [message]))
        place[draw(st.sampled_from(sorted(place.keys() - {"e", "k"})))] = draw(_values)
    if not inner:
        del message["k"]
    return orjson.dumps({"stream": "x", "data": message})


def capture_in(folder: Path) -> Capture:
    options = CaptureOptions("main", (SYMBOL,), folder, BatchLimits(), fsync_seconds=60)
    quota = SpoolQuota(10**12, CHANNELS)
    return Capture(BINANCE, options, quota, Outbox(folder / "outbox"), Recovered(1, {}, []), RequestQueue(), lambda: None)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    waiting = Outbox(folder / "outbox").waiting()
    return [row for item in waiting for row in pq.read_table(io.BytesIO(item.path.read_bytes())).to_pylist()]


def killed_with(folder: Path, frames: list[bytes]) -> None:
    spool = Spool(folder, 1, fsync_seconds=60)
    for number, frame in enumerate(frames):
        spool.append(Kind.FRAME, NOON + number, frame)
    spool.close()


@settings(max_examples=40)
@given(st.lists(_frames() | st.binary(max_size=20), min_size=1, max_size=6))
@example([orjson.dumps({"stream": "x", "data": {**KLINE, "k": {**KLINE["k"], "n": 2**63}}})])  # type: ignore[dict-item]
def test_every_frame_is_a_row_or_an_event_and_the_capture_goes_on(frames: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = capture_in(folder)
        for number, frame in enumerate(frames):
            messages = capture.record([frame], NOON + number)
            capture.on_messages(messages, NOON + number)
        assert capture.close(20)
        assert [segment.path.name for segment in leftover_segments(folder)] == []
        rows = rows_in(folder)
        of_columns = [row for row in rows if row.get("event") == "refused_row" and "OverflowError" in row["detail"]]
        assert len(rows) - len(of_columns) == capture.counts.rows  # what no column can hold is two events: refused, and a gap
        said = [row["detail"] for row in rows if row.get("event") == "refused_frame"]
        more = [int(detail.split()[0]) for detail in said if " more in " in detail]
        assert len(said) - len(more) + sum(more) == capture.counts.refused_frames


@settings(max_examples=40)
@given(st.lists(_frames() | st.binary(max_size=20), min_size=1, max_size=6))
def test_whatever_it_was_killed_with_it_starts_again(frames: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        killed_with(folder, frames)
        assert recover(folder, Outbox(folder / "outbox"), BINANCE, "main", frozenset({SYMBOL})).next_sequence == 2
        assert leftover_segments(folder) == []


@pytest.mark.parametrize("interval", ["7x", "m", "1m ", "0m", "60m", "ⅷm"])
def test_a_kline_of_an_interval_that_nobody_knows_is_refused(interval: str, tmp_path: Path) -> None:
    """Its grid of open times is unknown: it cannot be judged, now or after a restart."""
    frame = orjson.dumps({**KLINE, "k": {**KLINE["k"], "i": interval}})  # type: ignore[dict-item]
    capture = capture_in(tmp_path)
    assert capture.record([frame], NOON) == []
    assert capture.close(20)
    (row,) = rows_in(tmp_path)
    assert (row["event"], row["cause"]) == ("refused_frame", "wrong_interval")
    assert f"'{interval}'" in row["detail"]


def test_what_was_said_too_often_is_one_line_whatever_its_kinds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    capture = capture_in(tmp_path)
    key = StreamKey("trades", SYMBOL)
    for number in range(50):
        capture.record([b"{", orjson.dumps({"stream": "x", "data": {**TRADE, "s": f"S{number}"}})], NOON + number)
        capture.tell("connect_failed", detail="refused")
        capture.tell("heal_failed", key, cause="not_available", ids=(number, number), started_at=NOON)
    one_by_one = Counter(record.message for record in caplog.records)
    assert one_by_one == dict.fromkeys(("refused_frame", "not_subscribed", "connect_failed", "heal_failed"), 3)
    assert capture.close(20)
    (more,) = (vars(record)["more"] for record in caplog.records[one_by_one.total() :])
    assert [kind.split()[:2] for kind in sorted(more.split(", "))] == [
        ["connect_failed", "47"], ["heal_failed", "47"], ["not_subscribed", "18"], ["refused_frame", "18"],
    ]  # fmt: skip  # of the last two, 20 events are written down and one says how many more
