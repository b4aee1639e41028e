"""Acceptance a: through gaps, resyncs, refreshed books and lost messages the rebuilt top 30 is the truth after every message.

MIRROR_MINUTES=100 makes it 2,000 symbol-minutes instead of 40.
"""

import gzip
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from extract_process.book.sync import SnapshotNeeded
from extract_process.mirror.messages import MessageForms
from extract_process.mirror.mirror_book import MirrorBook, RefreshNeeded, Step
from extract_process.mirror.subscriber_book import Applied, SubscriberBook
from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.venues.binance.ws import parse_frame

from .mirrored_market import MirroredMarket, Trouble, symbols

MINUTES = int(os.environ.get("MIRROR_MINUTES", "2"))
RECORDING = "binance_session_BTCUSDT_20240808.jsonl.gz"


@pytest.mark.parametrize("number", range(20))
def test_a_rebuilt_book_of_a_troubled_market_is_right_after_every_message(number: int) -> None:
    market = MirroredMarket(symbols(20)[number], seed=number)
    market.run(MINUTES, Trouble())

    tally = market.tally
    print(tally.compared, dict(tally.happened))
    assert tally.wrong == []
    assert tally.compared > MINUTES * 250
    assert tally.happened["gap"] >= 1
    assert tally.happened["resync"] >= 2
    assert tally.happened["snapshot"] >= 5
    assert tally.happened["delta"] > tally.happened["snapshot"]


def test_without_trouble_no_message_is_lost_and_one_snapshot_begins_it() -> None:
    market = MirroredMarket("BTCUSDT", seed=3, levels=5, snapshot_levels=100)
    market.run(1, Trouble(drop=0, burst=0, repeat=0, quiet=0, lose_published=0))

    assert market.tally.wrong == []
    assert market.tally.happened["jump"] == market.tally.happened["waiting"] == market.tally.happened["gap"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7], ids=["every diff", "conflated"])
def test_the_rebuilt_top_30_of_the_recording_is_the_truth_after_every_message(every: int, shared_data: Path) -> None:
    snapshot, diffs = _recording(shared_data / RECORDING)
    truth = _NaiveBook(snapshot)
    mirror = MirrorBook(MessageForms("binance", "BTCUSDT"), 30, 1_000, sequence=0)
    rebuilt, compared, refreshed = SubscriberBook(), 0, 0
    for number, diff in enumerate(diffs):
        truth.apply(diff)
        steps: list[Step] = mirror.on_diff(diff, diff.event_time)
        while steps:
            refreshed += isinstance(steps[0], RefreshNeeded)
            asked = [step for step in steps if isinstance(step, SnapshotNeeded | RefreshNeeded)]
            steps = []
            for step in asked:
                mirror.on_snapshot_asked(as_proof=isinstance(step, RefreshNeeded))
                answer = snapshot if isinstance(step, SnapshotNeeded) else truth.snapshot()
                steps += mirror.on_snapshot(answer, 1_000, diff.event_time)
        if number % every:
            continue
        message = mirror.take()
        if message is None:
            continue
        assert rebuilt.apply(message.kind, orjson.loads(message.data)) in (Applied.SNAPSHOT, Applied.DELTA)
        assert rebuilt.last_update_id == truth.last_update_id
        assert (rebuilt.bids, rebuilt.asks) == truth.top(30)
        compared += 1
    print(compared, refreshed)
    assert compared > 6_000 / every * 0.9
    assert refreshed >= 1, "the price leaves what the recorded snapshot knows"


class _NaiveBook:
    """Two dicts, sorted whole."""

    def __init__(self, snapshot: DepthSnapshot) -> None:
        self.last_update_id = snapshot.last_update_id
        self._sides: list[dict[Decimal, tuple[str, str]]] = [
            {Decimal(price): (price, quantity) for price, quantity in side} for side in (snapshot.bids, snapshot.asks)
        ]

    def apply(self, diff: DepthDiff) -> None:
        if diff.last_update_id <= self.last_update_id:
            return
        self.last_update_id = diff.last_update_id
        for side, levels in zip(self._sides, (diff.bids, diff.asks), strict=True):
            for price, quantity in levels:
                side[Decimal(price)] = (price, quantity)
                if not Decimal(quantity):
                    del side[Decimal(price)]

    def top(self, count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        bids, asks = self._sides
        return [bids[price] for price in sorted(bids, reverse=True)[:count]], [asks[price] for price in sorted(asks)[:count]]

    def snapshot(self) -> DepthSnapshot:
        bids, asks = (list(map(list, side)) for side in self.top(1_000))
        return DepthSnapshot("BTCUSDT", self.last_update_id, bids, asks, "refresh")


def _recording(path: Path) -> tuple[DepthSnapshot, list[DepthDiff]]:
    """The one recorded snapshot and every diff after it."""
    snapshot, diffs = None, list[DepthDiff]()
    with gzip.open(path) as lines:
        for line in map(orjson.loads, lines):
            raw: dict[str, Any] = line["raw"]
            if line["src"] == "rest" and "lastUpdateId" in raw:
                snapshot = DepthSnapshot("BTCUSDT", raw["lastUpdateId"], raw["bids"], raw["asks"], "start")
            elif line["src"] == "ws" and raw["stream"].endswith("@depth@100ms"):
                diffs += [message for message in parse_frame(orjson.dumps(raw)) if isinstance(message, DepthDiff)]
    assert snapshot is not None
    return snapshot, diffs
