from __future__ import annotations

import hashlib
import io
import json
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_process.backfill.plan import BackfillOptions, BackfillReport, Source
from extract_process.backfill.runner import Backfill
from extract_process.venues.binance import VENUE
from extract_process.venues.binance.archive import BinanceArchive
from extract_process.venues.binance.rest import BinanceRest, classify, tally_of
from extract_process.venues.rate_limit import RateLimit
from extract_process.venues.rest_client import BanStore, RestClient
from tickhouse_core.errors import Interrupted, UsageError, VenueError, VenueUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import MINUTE_US, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lake

NO_FILE = (
    "^BTCUSDT 1h 2024-02: 696 klines from 2024-02-01T00:00:00Z to 2024-03-01T00:00:00Z are missing without a proof: "
    "no file of the archive has them; --source auto asks REST for them$"
)
HOUR_MS = 3_600_000
START = parse_instant("2024-01-01")
END = parse_instant("2024-03-01")
HOURS = 60 * 24  # January and February 2024
FOLDER = "data_sources/klines_pricing/venue=binance/symbol=BTCUSDT/interval=1h"


@dataclass
class Venue:
    """Hourly klines from `listed` on, without `holes`; its clock stands at `now`. Serves REST and the archive's months."""

    now: int = parse_instant("2024-06-01")
    listed: int = START
    holes: set[int] = field(default_factory=set)
    price: str = "1.5"
    archived: dict[str, str] = field(default_factory=dict)  # month: price
    first_days: int = 31  # of a month in its monthly file
    daily: bool = False
    without_checksum: bool = False
    knows: tuple[str, ...] = ("BTCUSDT",)
    asked: list[tuple[int, int]] = field(default_factory=list)  # ranges of hours, counted from START
    files: list[str] = field(default_factory=list)
    status: int = 200
    odd: Callable[[list[list[object]]], object] | None = None  # what ODDUSDT's rows become
    stop: StopRequest | None = None

    def kline(self, at_ms: int, price: str) -> list[object]:
        return [at_ms, price, "2", "1", "1.5", "10", at_ms + HOUR_MS - 1, "15", 3, "5", "7.5", "0"]

    def open_times(self, first_ms: int, last_ms: int) -> list[int]:
        first = max(-(-first_ms // HOUR_MS) * HOUR_MS, self.listed // 1_000)
        times = range(first, min(last_ms, self.now // 1_000) + 1, HOUR_MS)
        return [time for time in times if (time - START // 1_000) // HOUR_MS not in self.holes]

    def rest(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v3/time":
            return httpx.Response(200, json={"serverTime": self.now // 1_000})
        if request.url.path == "/api/v3/exchangeInfo":
            limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
            asked = json.loads(request.url.params.get("symbols") or json.dumps([request.url.params["symbol"]]))
            if any(symbol not in self.knows for symbol in asked):
                return httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
            symbols = [{"symbol": symbol, "status": "TRADING"} for symbol in asked]
            return httpx.Response(200, json={"rateLimits": [limit], "symbols": symbols})
        if request.url.params["symbol"] not in self.knows:
            return httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
        first, last, most = (int(request.url.params[name]) for name in ("startTime", "endTime", "limit"))
        self.asked.append(((first - START // 1_000) // HOUR_MS, (last - START // 1_000) // HOUR_MS))
        if self.stop is not None:
            self.stop.set()
        if self.status != 200:
            return httpx.Response(self.status, json={"code": -1000, "msg": "down"})
        rows = [self.kline(time, self.price) for time in self.open_times(first, last)[:most]]
        if self.odd is not None and request.url.params["symbol"] == "ODDUSDT":
            answer = self.odd(rows)
            return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)
        return httpx.Response(200, json=rows)

    def archive(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[1]
        self.files.append(name)
        date = name.split("1h-")[1].split(".")[0]
        is_there = date[:7] in self.archived and ("/monthly/" in request.url.path or self.daily)
        if not is_there or name.startswith("NOPE") or (self.without_checksum and name.endswith(".CHECKSUM")):
            return httpx.Response(404)
        body = zipped(self, date)
        if name.endswith(".CHECKSUM"):
            return httpx.Response(200, content=f"{hashlib.sha256(body).hexdigest()}  file.zip\n".encode())
        return httpx.Response(200, content=body)


def zipped(venue: Venue, date: str) -> bytes:
    """The file of a day or of the first days of a month, its first kline twice."""
    is_day = len(date) > len("2024-01")
    first = parse_instant(date if is_day else f"{date}-01") // 1_000
    days = 1 if is_day else venue.first_days
    times = [time for time in venue.open_times(first, first + days * 24 * HOUR_MS - 1) if iso_month(time) == date[:7]]
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as files:
        lines = [",".join(map(str, venue.kline(time, venue.archived[date[:7]]))) for time in [times[0], *times]]
        files.writestr(zipfile.ZipInfo("file.csv"), "\n".join(lines) + "\n")
    return sink.getvalue()


def later(rows: list[list[object]]) -> list[list[object]]:
    return [[int(str(row[0])) + 10_000 * HOUR_MS, *row[1:6], int(str(row[6])) + 10_000 * HOUR_MS, *row[7:]] for row in rows]


def refused() -> httpx.Response:
    return httpx.Response(400, json={"code": -1100, "msg": "Illegal characters found in parameter 'symbol'."})


def iso_month(time_ms: int) -> str:
    return "2024-01" if time_ms < parse_instant("2024-02-01") // 1_000 else "2024-02" if time_ms < END // 1_000 else "later"


async def run(
    venue: Venue,
    lake: Lake,
    folder: Path,
    *,
    source: Source = "rest",
    end_us: int | None = END,
    recheck: bool = False,
    symbols: tuple[str, ...] = ("BTCUSDT",),
    stop: StopRequest | None = None,
    fails: str | None = None,
    newest_first: bool = False,
) -> BackfillReport:
    """`fails`: what the VenueError at the end says."""
    rest_client = httpx.AsyncClient(transport=httpx.MockTransport(venue.rest), base_url="https://rest.test")
    archive_client = httpx.AsyncClient(transport=httpx.MockTransport(venue.archive), base_url="https://archive.test")
    async with rest_client, archive_client:
        limit = RateLimit(1_200, MINUTE_US, is_aligned=True)
        rest = BinanceRest(RestClient(rest_client, limit, BanStore(folder, "binance", "rest.test"), classify, tally_of))
        options = BackfillOptions(
            interval="1h",
            start_us=START,
            end_us=end_us,
            source=source,
            concurrency=1 if newest_first else 3,
            recheck=recheck,
            newest_first=newest_first,
        )
        backfill = Backfill(VENUE, rest, BinanceArchive(archive_client), lake.store, options)
        with pytest.raises(VenueError, match=fails) if fails else nullcontext():
            await backfill.run(list(symbols), stop or StopRequest())
        return backfill.report


def table(store: ObjectStore, month: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(f"{FOLDER}/{month}.parquet").body))


def stored_hours(store: ObjectStore, symbol: str = "BTCUSDT") -> list[int]:
    keys = [summary.key for summary in store.list_keys(FOLDER.replace("BTCUSDT", symbol))]
    tables = [pq.read_table(pa.BufferReader(store.read(key).body)) for key in keys]
    return [(time.value - START) // (HOUR_MS * 1_000) for one in tables for time in one["open_time"]]


def events(store: ObjectStore) -> set[tuple[str, str, int, int]]:
    found = set()
    for row in event_rows(store):
        ids = [(row[name] - START) // (HOUR_MS * 1_000) for name in ("from_update_id", "to_update_id")]
        found.add((row["event"], row["cause"], ids[0], ids[1]))
    return found


def event_rows(store: ObjectStore) -> list[dict[str, Any]]:
    keys = [summary.key for summary in store.list_keys("data_sources/stream_events/")]
    return [row for key in keys for row in pq.read_table(pa.BufferReader(store.read(key).body)).to_pylist()]


async def test_a_first_run_lands_every_month_and_a_second_asks_for_nothing(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue()
    report = await run(venue, moto_lake, tmp_path)
    assert stored_hours(moto_lake.store) == list(range(HOURS))
    assert [summary.key for summary in moto_lake.store.list_keys(FOLDER)] == [
        f"{FOLDER}/2024-01.parquet",
        f"{FOLDER}/2024-02.parquet",
    ]
    assert (report.rows_wanted, report.rows_missing, report.rows_landed, report.months_landed) == (HOURS, HOURS, HOURS, 2)
    assert (report.gaps, report.disagreements, report.failures) == (0, 0, [])
    venue.asked.clear()
    again = await run(venue, moto_lake, tmp_path)
    assert venue.asked == []
    assert (again.rows_wanted, again.rows_missing, again.rows_landed, again.months_landed) == (HOURS, 0, 0, 0)


async def test_the_newest_first_goes_back_in_time_symbol_by_symbol_in_turn(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(knows=("BTCUSDT", "ETHUSDT"))
    await run(venue, moto_lake, tmp_path, symbols=("BTCUSDT", "ETHUSDT"), newest_first=True)
    pages = [page for page in venue.asked if page != (0, HOURS - 1)]  # that looks for a symbol's first kline of all
    assert pages == [(1_000, HOURS - 1)] * 2 + [(0, 999)] * 2
    assert stored_hours(moto_lake.store) == list(range(HOURS))


async def test_a_gap_in_the_middle_of_a_month_is_all_that_is_asked_for(moto_lake: Lake, tmp_path: Path) -> None:
    await run(Venue(holes={100, 101}), moto_lake, tmp_path)
    assert stored_hours(moto_lake.store) == [hour for hour in range(HOURS) if hour not in (100, 101)]
    assert events(moto_lake.store) == {("gap", "venue_has_no_data", 100, 101)}
    key = f"{FOLDER}/2024-01.parquet"
    moto_lake.store.write(key, without_footer(table(moto_lake.store, "2024-01").slice(0, 50)))
    venue = Venue(holes={100, 101})
    report = await run(venue, moto_lake, tmp_path)
    assert sorted(venue.asked) == [(50, 743)]
    assert report.rows_landed == 744 - 50 - 2


def without_footer(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata(None), sink)
    return sink.getvalue()


async def test_what_was_proven_absent_is_not_asked_for_again(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(listed=parse_instant("2024-01-20"), holes={700})
    report = await run(venue, moto_lake, tmp_path)
    assert report.rows_without_data == 19 * 24 + 1
    assert events(moto_lake.store) == {("gap", "venue_has_no_data", 0, 455), ("gap", "venue_has_no_data", 700, 700)}
    venue.asked.clear()
    assert (await run(venue, moto_lake, tmp_path)).rows_missing == 0
    assert venue.asked == []


async def test_the_open_kline_is_never_stored(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(now=parse_instant("2024-01-02T03:59:59"))
    await run(venue, moto_lake, tmp_path, end_us=None)
    assert stored_hours(moto_lake.store) == list(range(27))
    venue.now = parse_instant("2024-01-02T05:00:01")
    venue.asked.clear()
    await run(venue, moto_lake, tmp_path, end_us=None)
    assert stored_hours(moto_lake.store) == list(range(29))
    assert venue.asked == [(27, 28)]  # the running month is refreshed from where it ends


async def test_a_kline_that_may_only_be_late_is_asked_for_again(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(now=parse_instant("2024-01-01T05:01"), holes={4})
    report = await run(venue, moto_lake, tmp_path, end_us=None)
    assert (stored_hours(moto_lake.store), report.gaps) == ([0, 1, 2, 3], 0)
    venue.holes, venue.asked = set(), []
    await run(venue, moto_lake, tmp_path, end_us=None)
    assert (venue.asked, stored_hours(moto_lake.store)) == ([(4, 4)], [0, 1, 2, 3, 4])


async def test_the_archive_gives_whole_months_without_a_question_to_rest(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"})
    await run(venue, moto_lake, tmp_path, source="archive")
    assert stored_hours(moto_lake.store) == list(range(HOURS))
    assert venue.asked == []
    assert table(moto_lake.store, "2024-01")["source"][0].as_py() == "archive"


async def test_auto_asks_rest_for_what_the_archive_lacks(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "1.5"})
    await run(venue, moto_lake, tmp_path, source="auto")
    assert stored_hours(moto_lake.store) == list(range(HOURS))
    sources = [table(moto_lake.store, month)["source"][0].as_py() for month in ("2024-01", "2024-02")]
    assert sources == ["archive", "rest"]
    assert sorted(venue.asked) == [(0, HOURS - 1), (744, HOURS - 1)]  # since when is it listed, and the page of February


async def test_what_the_archive_alone_cannot_give_is_a_gap_and_asked_for_again(moto_lake: Lake, tmp_path: Path) -> None:
    report = await run(Venue(archived={"2024-01": "1.5"}), moto_lake, tmp_path, source="archive", fails=NO_FILE)
    assert stored_hours(moto_lake.store) == list(range(744))
    gap = ("gap", "archive_has_no_data", 744, HOURS - 1)
    assert (report.gaps, report.rows_unproven, events(moto_lake.store)) == (1, 696, {gap})
    await run(Venue(archived={"2024-01": "1.5"}), moto_lake, tmp_path, source="archive", fails=NO_FILE)
    assert events(moto_lake.store) == {gap}, "written down once"
    report = await run(Venue(holes={800}), moto_lake, tmp_path)
    assert stored_hours(moto_lake.store) == [hour for hour in range(HOURS) if hour != 800]
    healed = {("healed", "archive_has_no_data", 744, 799), ("healed", "archive_has_no_data", 801, HOURS - 1)}
    assert events(moto_lake.store) == {gap, ("gap", "venue_has_no_data", 800, 800)} | healed


async def test_daily_files_fill_a_monthly_one_that_is_cut(moto_lake: Lake, tmp_path: Path) -> None:
    """A monthly file with 7 days of a month whose daily files are whole."""
    venue = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"}, first_days=7, daily=True)
    report = await run(venue, moto_lake, tmp_path, source="archive")
    assert stored_hours(moto_lake.store) == list(range(HOURS))
    assert (report.rows_landed, report.rows_unproven, events(moto_lake.store)) == (HOURS, 0, set()), "repeats do not count"
    assert "BTCUSDT-1h-2024-01-07.zip" not in venue.files, "days that are there are not asked for"


async def test_auto_asks_rest_only_for_what_monthly_and_daily_files_lack(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"}, first_days=7)
    await run(venue, moto_lake, tmp_path, source="auto")
    assert stored_hours(moto_lake.store) == list(range(HOURS))
    assert sorted(venue.asked) == [(0, HOURS - 1), (7 * 24, 743), (744 + 7 * 24, HOURS - 1)]


async def test_a_gap_is_healed_in_parts_as_the_files_come(moto_lake: Lake, tmp_path: Path) -> None:
    cut = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"}, first_days=7)
    missing = "BTCUSDT 1h 2024-0[12]: [0-9]+ klines from 2024-0[12]-08T00:00:00Z to 2024-0[23]-01T00:00:00Z are missing"
    await run(cut, moto_lake, tmp_path, source="archive", fails=missing)
    later = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"}, first_days=20)
    report = await run(later, moto_lake, tmp_path, source="archive", fails="2024-02-21T00:00:00Z to 2024-03-01T00:00:00Z")
    assert report.rows_landed == 2 * 13 * 24
    found = {event for event in events(moto_lake.store) if event[2] < 744}
    assert found == {("gap", "archive_has_no_data", 7 * 24, 743), ("healed", "archive_has_no_data", 7 * 24, 20 * 24 - 1)}


@pytest.mark.parametrize("daily", [True, False])
async def test_a_file_without_a_checksum_is_not_taken_and_named(daily: bool, moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "1.5", "2024-02": "1.5"}, daily=daily, without_checksum=True)
    report = await run(venue, moto_lake, tmp_path, source="archive", fails=r"BTCUSDT-1h-2024-0[12].zip has no CHECKSUM beside it")
    assert stored_hours(moto_lake.store) == []
    assert report.unusable_files == (2 + 2 * 2 if daily else 2), "two unusable daily files end a month"
    assert len(venue.files) == len(set(venue.files)), "none is asked for again"


async def test_a_symbol_that_only_the_archive_knows_is_fetched_from_there(moto_lake: Lake, tmp_path: Path) -> None:
    for source, months in (("archive", "2024-01"), ("auto", "2024-02")):
        venue = Venue(archived={"2024-01": "1.5", months: "1.5"}, knows=())
        if source == "archive":
            await run(venue, moto_lake, tmp_path, source="archive", fails="no file of the archive has them")
        else:
            await run(venue, moto_lake, tmp_path, source="auto")
        assert venue.asked == [], "REST does not know it"
    assert stored_hours(moto_lake.store) == list(range(HOURS))


@pytest.mark.parametrize("source", ["archive", "auto"])
async def test_a_symbol_that_nobody_knows_is_refused(source: Source, moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "1.5"}, daily=True)
    with pytest.raises(UsageError, match=r"^NOPE: unknown to the exchange and to the archive in this range: .*BTCUSDT$"):
        await run(venue, moto_lake, tmp_path, source=source, symbols=("NOPE",))
    assert list(moto_lake.store.list_keys("data_sources/")) == []


async def test_a_recheck_reports_what_differs_and_overwrites_nothing(moto_lake: Lake, tmp_path: Path) -> None:
    await run(Venue(price="1.5"), moto_lake, tmp_path, end_us=START + 5 * HOUR_MS * 1_000)
    report = await run(Venue(price="9.5"), moto_lake, tmp_path, end_us=START + 5 * HOUR_MS * 1_000, recheck=True)
    assert (report.disagreements, report.rows_landed) == (5, 0)
    assert {str(price.as_py()).rstrip("0") for price in table(moto_lake.store, "2024-01")["open"]} == {"1.5"}
    assert events(moto_lake.store) == {("disagreement", "rest_differs", hour, hour) for hour in range(5)}


async def test_an_unknown_symbol_is_bad_usage_and_nothing_lands(moto_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^unknown symbol NOPE on binance"):
        await run(Venue(), moto_lake, tmp_path, symbols=("NOPE",))
    assert list(moto_lake.store.list_keys("data_sources/")) == []


@pytest.mark.parametrize("source", ["rest", "auto"])
async def test_one_unknown_symbol_keeps_no_other_from_its_klines(
    source: Source, moto_lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The range ends in the venue's present: a month the archive has not published yet is asked of REST."""
    fails = r"^unknown symbol OLDUSDT on binance; all others are complete$"
    await run(Venue(now=END), moto_lake, tmp_path, source=source, symbols=("OLDUSDT", "BTCUSDT"), fails=fails)
    assert len(table(moto_lake.store, "2024-01")) == 744
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [vars(record)["symbols"] for record in said] == ["OLDUSDT"]
    written = [row for row in event_rows(moto_lake.store) if row["event"] == "unknown_symbol"]
    assert [(row["symbol"], row["channel"], row["instance"]) for row in written] == [("OLDUSDT", "klines", "backfill-OLDUSDT-1h")]


async def test_a_venue_that_stays_down_ends_the_run_as_such(moto_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(VenueUnavailable, match=r"answered 500 -1000: down$"):
        await run(Venue(status=500), moto_lake, tmp_path)


@pytest.mark.parametrize(
    ("odd", "cause", "why"),
    [
        pytest.param(lambda rows: rows[::-1], "unusable_answer", "not in ascending order", id="reversed"),
        pytest.param(lambda rows: rows[:1] + rows, "unusable_answer", "not in ascending order", id="a row twice"),
        pytest.param(later, "unusable_answer", "got others", id="to another question"),
        pytest.param(lambda rows: [*rows, None], "unusable_answer", "unusable answer", id="malformed"),
        pytest.param(lambda _: refused(), "venue_refused", "-1100", id="refused"),
    ],
)
async def test_one_symbol_that_is_answered_oddly_costs_its_neighbours_nothing(
    odd: Callable[[list[list[object]]], object], cause: str, why: str, moto_lake: Lake, tmp_path: Path
) -> None:
    both = ("ODDUSDT", "BTCUSDT")
    venue = Venue(knows=both, odd=odd)
    fails = rf"^ODDUSDT 1h: 1,440 klines, the first of 2024-01-01T00:00:00Z, are missing without a proof: .*{why}"
    report = await run(venue, moto_lake, tmp_path, symbols=both, fails=fails)
    assert stored_hours(moto_lake.store) == list(range(HOURS)), "those of BTCUSDT"
    gaps = {("gap", cause, 0, 743), ("gap", cause, 744, HOURS - 1)}
    assert (report.rows_unproven, events(moto_lake.store)) == (HOURS, gaps)
    await run(Venue(knows=both), moto_lake, tmp_path, symbols=both)
    healed = {("healed", *gap[1:]) for gap in gaps}
    assert (len(stored_hours(moto_lake.store, "ODDUSDT")), events(moto_lake.store)) == (HOURS, gaps | healed)


async def test_a_symbol_that_is_only_answered_oddly_is_not_asked_for_ever(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(now=parse_instant("2025-01-01"), knows=("ODDUSDT",), odd=lambda rows: rows[::-1])
    report = await run(venue, moto_lake, tmp_path, symbols=("ODDUSDT",), end_us=parse_instant("2025-01-01"), fails="ODDUSDT")
    assert report.rows_unproven == 366 * 24
    assert len({hours for hours in venue.asked if hours[1] - hours[0] < 1_000}) <= 4, "of nine pages"


async def test_a_stop_keeps_what_has_arrived_and_the_next_run_goes_on(moto_lake: Lake, tmp_path: Path) -> None:
    stop = StopRequest()
    with pytest.raises(Interrupted, match=r"run again to go on"):
        await run(Venue(stop=stop), moto_lake, tmp_path, stop=stop)
    await run(Venue(), moto_lake, tmp_path)
    assert stored_hours(moto_lake.store) == list(range(HOURS))


async def test_a_broken_archive_file_is_a_failure_that_is_named_at_the_end(moto_lake: Lake, tmp_path: Path) -> None:
    venue = Venue(archived={"2024-01": "no number", "2024-02": "1.5"})
    file = r"^BTCUSDT 1h 2024-01: 744 klines .* are missing without a proof: /data/.*/BTCUSDT-1h-2024-01.zip cannot be read: "
    await run(venue, moto_lake, tmp_path, source="archive", fails=file)
    assert stored_hours(moto_lake.store) == list(range(744, HOURS))


async def test_a_symbol_asked_for_twice_is_one_series(moto_lake: Lake, tmp_path: Path) -> None:
    report = await run(Venue(), moto_lake, tmp_path, symbols=("BTCUSDT", "BTCUSDT"))
    assert (report.rows_wanted, json.dumps(report.failures)) == (HOURS, "[]")
