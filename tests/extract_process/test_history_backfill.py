"""A venue that publishes its open interest late: what is empty at the newest end is requested again."""

import asyncio
import types
from pathlib import Path
from typing import Any, ClassVar

import pytest

from extract_process.backfill import history
from extract_process.backfill.history import HistoryBackfill, open_interest_history
from extract_process.ranges import Range
from extract_process.venues.history_tables import open_interest_table
from extract_process.venues.rest_client import Answer
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, parse_instant

STEP = 5 * MINUTE_US
START = parse_instant("2026-11-29T10:00")


class LateVenue:
    """It has the periods up to `published`, at `now`; `asked` are its requests."""

    most_rows: ClassVar = {"open_interest": 500}

    def __init__(self) -> None:
        self.now, self.published = parse_instant("2026-11-29T12:00:30"), parse_instant("2026-11-29T11:40")
        self.asked: list[Range] = []
        client = types.SimpleNamespace(server_now=lambda: self.now)
        self.markets = types.SimpleNamespace(client=client, synchronize_clock=self._nothing, fetch_statuses=self._statuses)

    async def _nothing(self) -> None:
        pass

    async def _statuses(self, symbols: list[str]) -> dict[str, bool]:
        return dict.fromkeys(symbols, True)

    def check(self, symbol: str) -> None:
        pass

    async def fetch_open_interest(self, symbol: str, period: str, span: Range) -> Answer[Any]:
        self.asked.append(span)
        times = [at for at in range(-(-span.first // STEP) * STEP, span.last + 1, STEP) if at <= self.published]
        columns = {"event_time": times, "open_interest": ["1"] * len(times), "open_interest_value": ["1"] * len(times)}
        named = {"venue": "binance-usdm", "symbol": symbol, "period": period, "source": "rest"}
        return Answer(b"", self.now, open_interest_table(columns, **named, receipt_time=self.now))


def test_period_that_is_published_late_is_landed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venue, store = LateVenue(), FolderStore(tmp_path)
    monkeypatch.setattr(history, "now_us", lambda: venue.now)

    def run() -> tuple[int, int, int]:
        venue.asked.clear()
        backfill = HistoryBackfill("binance-usdm", open_interest_history("5m"), venue, store)  # type: ignore[arg-type]
        asyncio.run(backfill.run(["BTCUSDT"], START, None, StopRequest()))
        return backfill.report.rows_landed, backfill.report.gaps, len(venue.asked)

    assert run() == (21, 0, 1)  # 10:00 to 11:40; of 11:45 to 11:55 nothing is known
    venue.now += HOUR_US
    venue.published = venue.now
    assert run() == (15, 0, 1)  # 11:45 to 12:55
    assert run() == (0, 0, 0)
    venue.now += 3 * HOUR_US  # only 13:00 was published: what is an hour old is a gap, and not requested again
    assert run() == (1, 1, 1)
    assert run() == (0, 0, 1)
