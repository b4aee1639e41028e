"""Venues that publish late, change their past or say one settlement twice: what a history requests again, keeps and records."""

import asyncio
import logging
import types
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_process.backfill import history_series
from extract_process.backfill.history import HistoryBackfill, funding_history, open_interest_history
from extract_process.ranges import Range
from extract_process.venues.history_tables import funding_rates_table, open_interest_table
from extract_process.venues.rest_client import Answer
from tickhouse_core.errors import Interrupted, TickhouseError, VenueError, VenueRefused, VenueUnavailable
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

    def check(self, symbol: str, channel: str) -> None:
        pass

    async def fetch_open_interest(self, symbol: str, period: str, span: Range) -> Answer[Any]:
        self.asked.append(span)
        times = [at for at in range(-(-span.first // STEP) * STEP, span.last + 1, STEP) if at <= self.published]
        columns = {"event_time": times, "open_interest": ["1"] * len(times), "open_interest_value": ["1"] * len(times)}
        named = {"venue": "binance-usdm", "symbol": symbol, "period": period, "source": "rest"}
        return Answer(b"", self.now, open_interest_table(columns, **named, receipt_time=self.now))


def test_period_that_is_published_late_is_landed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venue, store = LateVenue(), FolderStore(tmp_path)
    monkeypatch.setattr(history_series, "now_us", lambda: venue.now)

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


class CountingStore(FolderStore):
    """It counts the versions of each object of open interest: a loader loads every one of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.versions: Counter[str] = Counter()

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if "/open_interest/" in key:
            self.versions[key.rpartition("/")[2]] += 1
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


class EndingVenue(LateVenue):
    """The answer to one of its requests (from 0 on) is an error, or never comes and the run is stopped."""

    def __init__(self, request: int, end: Exception | None) -> None:
        super().__init__()
        self.published, self.stop = self.now, StopRequest()
        self._request, self._end = request, end

    async def fetch_open_interest(self, symbol: str, period: str, span: Range) -> Answer[Any]:
        answer = await super().fetch_open_interest(symbol, period, span)
        if len(self.asked) - 1 != self._request:
            return answer
        if self._end is not None:
            raise self._end
        self.stop.set()
        await asyncio.Event().wait()
        raise AssertionError("it is cancelled")


def fill(venue: EndingVenue, store: FolderStore, **options: Any) -> HistoryBackfill:
    """Three weeks around the end of a month, by 5m: a page has less than two days."""
    backfill = HistoryBackfill("binance-usdm", open_interest_history("5m"), venue, store, **options)  # type: ignore[arg-type]
    asyncio.run(backfill.run(["BTCUSDT"], parse_instant("2026-10-31"), parse_instant("2026-11-21"), venue.stop))
    return backfill


def test_month_is_written_once_and_not_after_each_answer(tmp_path: Path) -> None:
    venue, store = EndingVenue(-1, None), CountingStore(tmp_path)
    report = fill(venue, store).report
    assert len(venue.asked) == 13
    assert store.versions == {"2026-10.parquet": 1, "2026-11.parquet": 1}
    assert (report.rows_landed, report.months_landed, report.gaps) == (21 * 288, 2, 0)


@pytest.mark.parametrize(
    ("end", "raised"),
    [(None, Interrupted), (VenueRefused("no"), VenueError), (VenueUnavailable("away"), VenueUnavailable)],
)
def test_run_that_ends_early_lands_what_has_arrived_and_the_next_one_asks_for_the_rest(
    end: Exception | None, raised: type[TickhouseError], tmp_path: Path
) -> None:
    venue, store = EndingVenue(7, end), CountingStore(tmp_path)
    with pytest.raises(raised):
        fill(venue, store)
    assert len(rows_in(store, "open_interest")) == 7 * 499
    rest = EndingVenue(-1, None)
    fill(rest, store)
    assert len(rest.asked) == 13 - 7
    assert len(rows_in(store, "open_interest")) == 21 * 288
    assert store.versions == {"2026-10.parquet": 1, "2026-11.parquet": 2}


def test_answers_are_not_in_memory_only_for_long(tmp_path: Path) -> None:
    """A run that is killed loses what waits for its month."""
    store = CountingStore(tmp_path)
    fill(EndingVenue(-1, None), store, longest_wait=0)
    assert store.versions == {"2026-10.parquet": 1, "2026-11.parquet": 13}


OLDEST = "2026-10-30T13:05"  # 30 days before the venue's now but an hour, and up to the next period


@pytest.mark.parametrize(
    ("start", "end", "too_old", "wanted"),
    [
        ("2026-10-30T12:55", "2026-10-30T13:15", 2, 2),
        ("2026-10-30T12:55", OLDEST, 2, 0),
        (OLDEST, "2026-10-30T13:10", 0, 1),
        ("2026-01-01", "2026-01-02", 288, 0),
        ("2026-01-01T00:01", "2026-01-01T00:11", 2, 0),
    ],
)
def test_too_old_is_counted_within_the_range_and_nothing_else_is_one_line(
    start: str, end: str, too_old: int, wanted: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    venue = LateVenue()
    backfill = HistoryBackfill("binance-usdm", open_interest_history("5m"), venue, FolderStore(tmp_path))  # type: ignore[arg-type]
    run = backfill.run(["BTCUSDT"], parse_instant(start), parse_instant(end), StopRequest())
    if wanted:
        asyncio.run(run)
        lines = [line for line in caplog.records if line.levelno == logging.WARNING]
        assert [vars(line)["before"] for line in lines] == [f"{OLDEST}:00Z"] * bool(too_old)
    else:
        says = r" is too old: binance-usdm has the open interest of the last 30 days; name an --end after 2026-10-30T13:05:00Z, "
        with pytest.raises(VenueError, match=rf"^{start}\S* to {end}\S*{says}"):
            asyncio.run(run)
    assert (backfill.report.too_old, backfill.report.slots_wanted, len(venue.asked)) == (too_old, wanted, bool(wanted))


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (
            "2026-11-29T10:01",
            "2026-11-29T10:02",
            "nothing to request: no open interest of a period of 5m is between 2026-11-29T10:01:00Z and 2026-11-29T10:02:00Z; "
            "the last one before is of 2026-11-29T10:00:00Z, the next one of 2026-11-29T10:05:00Z",
        ),
        (
            "2026-11-29T12:00",
            None,
            "nothing to request yet: the open interest of a period of 5m of 2026-11-29T12:00:00Z cannot be final before "
            "2026-11-29T12:05:00Z",
        ),
    ],
)
def test_range_without_an_instant_is_one_line_and_no_failure(
    start: str, end: str | None, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    venue, until = LateVenue(), None if end is None else parse_instant(end)
    backfill = HistoryBackfill("binance-usdm", open_interest_history("5m"), venue, FolderStore(tmp_path))  # type: ignore[arg-type]
    asyncio.run(backfill.run(["BTCUSDT", "ETHUSDT"], parse_instant(start), until, StopRequest()))
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [said]
    assert venue.asked == []


class SettlingVenue(LateVenue):
    """Rates by their time, as one answer has them; those that are no answer's range are left out."""

    most_rows: ClassVar = {"funding_rates": 1_000}

    def __init__(self, *rates: tuple[int, str]) -> None:
        super().__init__()
        self.rates = list(rates)

    async def fetch_funding_rates(self, symbol: str, span: Range) -> Answer[Any]:
        self.asked.append(span)
        rates = [(at, rate) for at, rate in self.rates if span.first <= at <= span.last]
        columns = {"funding_time": [at for at, _ in rates], "funding_rate": [rate for _, rate in rates]}
        columns["mark_price"] = ["7"] * len(rates)
        return Answer(b"", self.now, funding_rates_table(columns, venue="v", symbol=symbol, receipt_time=self.now))


def settle(venue: SettlingVenue, store: FolderStore, *, recheck: bool) -> HistoryBackfill:
    venue.asked.clear()
    backfill = HistoryBackfill("v", funding_history(), venue, store, recheck=recheck)  # type: ignore[arg-type]
    asyncio.run(backfill.run(["BTCUSDT"], EIGHT, DAY_END, StopRequest()))
    return backfill


def rows_in(store: FolderStore, folder: str) -> list[dict[str, Any]]:
    tables = [pq.read_table(pa.BufferReader(store.read(one.key).body)) for one in store.list_keys(f"data_sources/{folder}/")]
    return [row for table in tables for row in table.to_pylist()]


def events_in(store: FolderStore) -> set[tuple[str, str, int]]:
    return {(row["event"], row["cause"], row["from_update_id"]) for row in rows_in(store, "stream_events")}


EIGHT, SIXTEEN = parse_instant("2026-11-28T08:00"), parse_instant("2026-11-28T16:00")
DAY_END = parse_instant("2026-11-29T00:00")


def test_recheck_requests_everything_keeps_what_is_stored_and_records_what_differs(tmp_path: Path) -> None:
    venue, store = SettlingVenue((EIGHT, "0.1")), FolderStore(tmp_path)
    assert (settle(venue, store, recheck=False).report.gaps, events_in(store)) == (1, {("gap", "venue_has_no_data", SIXTEEN)})
    venue.rates = [(EIGHT + 4_000, "0.2"), (SIXTEEN, "0.3")]  # a settlement has moved by four milliseconds, and has another rate
    assert (settle(venue, store, recheck=False).report.rows_landed, venue.asked) == (0, [])
    report = settle(venue, store, recheck=True).report
    assert (report.rows_landed, report.differences, report.gaps, len(venue.asked)) == (1, 1, 0, 1)
    assert [(row["funding_time"].hour, str(row["funding_rate"])[:3]) for row in rows_in(store, "funding_rates")] == [
        (8, "0.1"),
        (16, "0.3"),
    ]
    assert events_in(store) == {
        ("gap", "venue_has_no_data", SIXTEEN),
        ("healed", "venue_has_no_data", SIXTEEN),
        ("disagreement", "rest_differs", EIGHT),
    }
    (said,) = [orjson.loads(row["detail"]) for row in rows_in(store, "stream_events") if row["event"] == "disagreement"]
    assert {name: values["offered"][:25] for name, values in said.items()} == {
        "funding_time": "2026-11-28 08:00:00.00400",
        "funding_rate": "0.200000000000000000",
    }
    venue.rates = [(EIGHT, "0.1"), (SIXTEEN, "0.3")]
    versions = {one.key: one.etag for one in store.list_keys("data_sources/")}
    assert settle(venue, store, recheck=True).report.differences == 0
    assert {one.key: one.etag for one in store.list_keys("data_sources/")} == versions


@pytest.mark.parametrize("second", [(EIGHT, "0.2"), (EIGHT + 7_000, "0.1")])
def test_two_settlements_of_one_minute_in_one_answer_are_one_row_and_an_event(tmp_path: Path, second: tuple[int, str]) -> None:
    venue, store = SettlingVenue((EIGHT, "0.1"), second, (SIXTEEN, "0.3"), (SIXTEEN, "0.3")), FolderStore(tmp_path)
    report = settle(venue, store, recheck=False).report
    assert (report.rows_landed, report.differences) == (2, 1)  # what is the same twice is no difference
    assert events_in(store) == {("disagreement", "rest_differs", EIGHT)}
    assert [str(row["funding_rate"])[:3] for row in rows_in(store, "funding_rates")] == ["0.1", "0.3"]
