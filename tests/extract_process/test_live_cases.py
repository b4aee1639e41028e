"""The collected live messages that once failed, where they are there: every id is a row or part of a gap, and no other is."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from extract_process.live.monitor import StreamMonitor
from extract_process.stream_ids import ids_of, key_of
from extract_process.venues.binance import VENUE as BINANCE

Spans = list[tuple[str, int, int]]


def told(case: Path) -> tuple[set[tuple[str, int]], Spans, list[str]]:
    """Channel and id of every row, gaps, and the names of all events."""
    judge, rows, gaps, names = StreamMonitor("binance", "main", {}), set[tuple[str, int]](), Spans(), list[str]()
    for number, line in enumerate(case.read_bytes().splitlines()):
        message: dict[str, Any] = orjson.loads(line)
        if "rest" in message and "body" in message:
            snapshot = BINANCE.parse_depth(orjson.dumps(message["body"]), "BTCUSDT", "start")
            judge.on_snapshot(snapshot, 1_000, number)
        if "stream" not in message:
            continue
        frame = line.replace(b"$9x5000", b"9" * 5_000)
        messages = BINANCE.parse_frame(frame, number)
        for record in messages:
            key, ids = key_of(record), ids_of(record)
            if key is not None and ids is not None:
                rows |= {(key.channel, ids[0]), (key.channel, ids[1])}
        for event in judge.on_messages(messages, number).events:
            names.append(event.event)
            if event.event == "gap" and event.from_update_id is not None and event.to_update_id is not None:
                gaps.append((event.channel, event.from_update_id, event.to_update_id))
    return rows, gaps, names


@pytest.mark.parametrize(
    ("name", "gaps", "events"),
    [
        ("01_number_forms.jsonl", [("depth", number, number) for number in (103, 104, 105, 106)], {"refused_row"}),
        ("02_ids_begin_anew.jsonl", [("depth", 5, 9), ("trades", 3, 7)], {"new_numbering"}),
        ("10_unreadable_trade_number.jsonl", [("trades", 5, 5)], {"refused_row"}),
        (
            "11_price_kinds.jsonl",
            [("depth", number, number) for number in (103, 104, 105, 106, 108, 109, 110, 111, 112)],
            {"refused_row"},
        ),
        ("12_id_max.jsonl", [], {"implausible_id"}),
        ("13_ids_go_back_same_socket.jsonl", [("depth", 21, 30), ("trades", 21, 30)], {"new_numbering"}),
    ],
)
def test_a_collected_case_gives_its_right_result(name: str, gaps: Spans, events: set[str], shared_data: Path) -> None:
    case = shared_data.parent / "cases" / "live" / name
    if not case.exists():
        pytest.skip(f"no collected cases: {case} is not there")
    rows, found, names = told(case)
    assert sorted(found) == gaps
    assert events <= set(names)
    assert not {"not_judged", "healed"} & set(names)
    assert all((channel, number) not in rows for channel, first, last in found for number in range(first, last + 1))
