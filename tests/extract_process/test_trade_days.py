"""Whole days of trades beside what the lake has: rows that others recorded, days without a file, files that are replaced."""

import asyncio
import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tickhouse.compact.lakes import run, run_and_retire

import tickhouse as th
from extract_process.backfill import days_without_file, trade_days
from extract_process.backfill.day_writer import HistoryReport
from extract_process.backfill.trade_days import TradeDays
from extract_process.backfill.trade_listing import Listing
from extract_process.parquet import parquet_bytes, write_events
from extract_process.records import StreamEvent
from extract_process.venues import venue_named
from extract_process.venues.api import Archive
from extract_process.venues.binance.archive_trades import BinanceTradeFile
from extract_process.venues.history_tables import trades_table
from tickhouse_core.datasets import STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US, MINUTE_US, parse_instant

DAY, NEXT, THIRD, FOURTH = ("2024-03-09", "2024-03-10", "2024-03-11", "2024-03-12")
START = parse_instant(DAY)
SYMBOL = "BTCUSDT"


@dataclass
class Files(Archive):
    """Of trades alone: CSV rows by date."""

    venue: str = "binance"
    rows: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, date: str, ids: Iterable[int], *, began: int | None = None, price: str = "1.5") -> None:
        """A trade a minute from `began` (us) on, which is that of the first id."""
        ids = list(ids)
        at = parse_instant(date) if began is None else began
        self.rows[date] = [(one, price, "2", "3", (at + (one - ids[0]) * MINUTE_US) // 1_000, "true", "true") for one in ids]

    @property
    def requests(self) -> int:
        return 0

    async def fetch_trades(self, symbol: str, date: str, sink: IO[bytes], dataset: Dataset = TRADES) -> BinanceTradeFile | None:
        self.asked.append(date)
        if date not in self.rows:
            return None
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as packed:
            packed.writestr("a.csv", "".join(",".join(map(str, row)) + "\n" for row in self.rows[date]))
        sink.write(body.getvalue())
        sink.seek(0)
        sha = hashlib.sha256(repr(self.rows[date]).encode()).hexdigest()
        return BinanceTradeFile(sink, f"/{symbol}-trades-{date}.zip", sha, self.venue, symbol, date, dataset)


@dataclass
class Listed(Listing):
    """What the venue says of the symbol, and how often it was asked for its first candle."""

    doubtful: str = ""
    first: str = ""
    asked: int = 0

    async def doubt(self, symbol: str) -> str:
        return self.doubtful

    async def first_day(self, symbol: str, since: int) -> int:
        self.asked += 1
        return parse_instant(self.first) // DAY_US if self.first else 0


@dataclass
class Lake:
    folder: Path
    files: Files = field(default_factory=Files)
    told: int = 0
    listing: Listed = field(default_factory=Listed)

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "lake")

    def record(
        self, start: str = DAY, end: str = NEXT, *, again: bool = False, part_rows: int = 1_000, store: ObjectStore | None = None
    ) -> HistoryReport:
        async def days() -> HistoryReport:
            venue = venue_named(self.files.venue)
            spool = self.folder / "spool"
            found = TradeDays(venue, self.files, store or self.store, spool, TRADES, self.listing, part_rows=part_rows)
            asked = Request(self.files.venue, (SYMBOL,), parse_instant(start), parse_instant(end))
            await found.run(asked, StopRequest(), again=again)
            return found.report

        return asyncio.run(days())

    def capture(self, ids: Iterable[int], began: int = START) -> None:
        """A trade a minute."""
        ids = list(ids)
        times = [began + place * MINUTE_US for place in range(len(ids))]
        columns: dict[str, Any] = {"trade_id": pa.array(ids, pa.uint64()), "trade_time": times}
        columns |= {"price": ["1.5"] * len(ids), "quantity": ["2"] * len(ids), "is_buyer_maker": [True] * len(ids)}
        table = trades_table(columns, venue=self.files.venue, symbol=SYMBOL, receipt_time=0)
        received = pa.array([at + 1_000 for at in times], pa.timestamp("us", tz="UTC"))
        place = table.schema.get_field_index("receipt_time")
        table = table.set_column(place, TRADES.schema.field("receipt_time"), received)
        self.told += 1
        self.store.write(hourly_key(TRADES, self.files.venue, began + 1_000, "a1", self.told), parquet_bytes(table, TRADES))

    def gap(self, first: int, last: int, began: int, ended: int) -> None:
        self._tell(StreamEvent(self.files.venue, SYMBOL, "trades", "a1", "gap", first, last, began, ended, "restart", ""))

    def no_trade(self, first: int, last: int, began: int) -> None:
        """Another recorder was told so."""
        self._tell(StreamEvent(self.files.venue, SYMBOL, "trades", "b1", "no_trade", first, last, began, None, "", "X"))

    def _tell(self, event: StreamEvent) -> None:
        self.told += 1
        write_events(self.store, [event], event.ended_at or event.started_at, self.told)

    def events(self) -> list[tuple[str, int, int]]:
        """Without the days that are recorded."""
        keys = [one.key for one in self.store.list_keys(STREAM_EVENTS.prefix)]
        rows = [row for key in keys for row in pq.read_table(pa.BufferReader(self.store.read(key).body)).to_pylist()]
        found = [(row["event"], row["from_update_id"], row["to_update_id"]) for row in rows]
        return [one for one in found if one[0] != "backfilled"]

    def rows(self, start: str = DAY, end: str = NEXT) -> Any:
        return th.open(self.folder).trades(SYMBOL, start, end, venue=self.files.venue)

    def prices(self) -> Counter[float]:
        return Counter(self.rows().arrow()["price"].to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def at(minute: int) -> int:
    return START + minute * MINUTE_US


def test_gap_of_futures_is_healed_where_the_file_has_its_ids_or_says_that_they_are_no_trades(lake: Lake) -> None:
    lake.files.venue = "binance-usdm"
    lake.files.put(DAY, [one for one in range(100, 300) if one not in (150, 151)])
    lake.capture(range(100, 120))
    lake.capture(range(180, 300), at(80))
    lake.gap(120, 179, at(19), at(80))

    report = lake.record()

    assert lake.events() == [("gap", 120, 179), ("no_trade", 150, 151), ("healed", 120, 179)]
    assert (report.healed, report.no_trades) == (60, 2)
    assert lake.rows().is_complete


@pytest.mark.parametrize("lacking", [range(150, 170), range(150, 155)])
@pytest.mark.parametrize("venue", ["binance", "binance-usdm"])
def test_ids_that_a_capture_recorded_are_neither_a_gap_nor_no_trades(lake: Lake, venue: str, lacking: range) -> None:
    lake.files.venue = venue
    lake.files.put(DAY, [one for one in range(100, 300) if one not in lacking])
    lake.capture(range(100, 300))
    report = lake.record()
    assert lake.events() == []
    assert (report.gaps, report.no_trades) == (0, 0)
    assert lake.rows().arrow().num_rows == 200


def test_of_a_hole_that_a_capture_filled_in_part_only_the_rest_is_a_gap(lake: Lake) -> None:
    lake.files.venue = "binance-usdm"
    lake.files.put(DAY, [one for one in range(100, 300) if not 150 <= one < 190])
    lake.capture(range(150, 160), at(50))
    lake.capture(range(163, 170), at(63))
    lake.record()
    assert lake.events() == [("no_trade", 160, 162), ("gap", 170, 189), ("heal_failed", 170, 189)]


def test_day_that_a_capture_recorded_whole_is_no_gap_if_its_file_is_not_published_yet(lake: Lake) -> None:
    lake.capture([99], START - MINUTE_US)
    lake.capture(range(100, 300))
    lake.capture([300], START + DAY_US)
    report = lake.record()
    assert lake.events() == []
    assert (report.complete, report.lacking, report.failures) == (1, 0, [])
    assert lake.rows().is_complete


def test_file_that_may_still_come_is_said_to_and_its_day_is_a_gap_until_then(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue lists the symbol, so that its spelling is right: also where the lake has nothing of it."""
    lake.files.put(DAY, range(100, 110))
    files, lake.files.rows = lake.files.rows, {}
    not_yet = f"{DAY}: no file is published yet: it comes in the course of the next day, and the next run requests it again"
    for now, said in ((parse_instant(THIRD) - 1, not_yet), (parse_instant(THIRD), f"{DAY}: no file is published")):
        for module in (trade_days, days_without_file):
            monkeypatch.setattr(module, "now_us", lambda now=now: now)
        assert lake.record().failures == [f"{SYMBOL}: {said}"]
        assert [event for event, _, _ in lake.events()] == ["gap"], "one, however often it is requested"
    lake.files.rows = files
    assert lake.record().failures == []
    assert [event for event, _, _ in lake.events()] == ["gap", "healed"]


def test_symbol_that_the_venue_may_not_list_is_one_line_and_no_gap_unless_the_lake_has_it(lake: Lake) -> None:
    lake.listing.doubtful = "unknown symbol"
    report = lake.record(DAY, THIRD)
    assert report.failures == [f"{SYMBOL}: no file is published of {DAY} to {NEXT}: unknown symbol"]
    assert (report.lacking, report.gaps, lake.events()) == (2, 0, [])
    lake.capture([7], START - 5 * DAY_US)
    assert lake.record(DAY, THIRD).failures == [f"{SYMBOL}: {DAY} to {NEXT}: no file is published"]
    assert [event for event, _, _ in lake.events()] == ["gap", "gap"]


def test_days_before_the_first_candle_are_recorded_once_as_such_and_not_requested_again(lake: Lake) -> None:
    """Whole months, days of a month, and gaps that a run recorded while REST was unavailable."""
    assert lake.record("2024-03-08", THIRD).lacking == 3
    lake.files.put(NEXT, range(100, 110))
    lake.listing.first = NEXT
    report = lake.record("2024-01-01", THIRD)
    days = (parse_instant(NEXT) - parse_instant("2024-01-01")) // DAY_US
    assert (report.early, report.recorded, report.lacking, report.failures) == (days, 1, 0, [])
    absent = ("gap", parse_instant("2024-01-01"), parse_instant(NEXT) - 1)
    assert absent in lake.events()
    months = [date for date in lake.files.asked if date < "2024-03"]
    assert months == ["2024-01", "2024-02"], "no file of a day where month and first candle say that there is none"
    lake.files.asked.clear()
    told, asked = lake.events(), lake.listing.asked
    again = lake.record("2024-01-01", THIRD)
    assert (again.early, again.complete, again.lacking, again.failures) == (days, 1, 0, [])
    assert (lake.files.asked, lake.listing.asked, lake.events()) == ([], asked, told)
    gaps = lake.rows("2024-01-01", THIRD).gaps.to_pylist()
    assert {gap["is_open"] for gap in gaps} == {False}, "nothing is left to heal, the older gaps of these days too"


def test_file_of_a_day_before_the_first_candle_is_recorded(lake: Lake) -> None:
    """Files prove that there was trading; a market may have been listed twice."""
    lake.listing.first = THIRD
    lake.record(DAY, FOURTH)
    lake.files.put(DAY, range(100, 110))
    assert lake.record(DAY, FOURTH).recorded == 0, "it is not requested again"
    report = lake.record(DAY, FOURTH, again=True)
    assert (report.recorded, report.early, report.lacking) == (1, 0, 2), "the candles do not say since when it trades"
    assert ("healed", START, START + DAY_US - 1) in lake.events()
    report = lake.record(DAY, FOURTH)
    assert (report.complete, report.early, report.lacking) == (1, 0, 2)


def test_day_without_a_file_after_a_recorded_one_is_a_gap_and_nobody_is_asked_since_when_it_trades(lake: Lake) -> None:
    lake.files.put(DAY, range(100, 110))
    lake.listing.first = FOURTH
    assert lake.record(DAY, THIRD).failures == [f"{SYMBOL}: {NEXT}: no file is published"]
    assert lake.listing.asked == 0


@pytest.mark.parametrize("captured", [range(100, 300), [*range(99, 150), *range(151, 301)]])
def test_day_without_a_file_that_a_capture_recorded_in_part_is_a_gap(lake: Lake, captured: Iterable[int]) -> None:
    lake.capture(captured)
    report = lake.record()
    assert [event for event, _, _ in lake.events()] == ["gap"]
    assert report.failures == [f"{SYMBOL}: {DAY}: no file is published"]
    lake.capture(range(99, 301), START - MINUTE_US)
    lake.capture([301], START + DAY_US)
    assert lake.record().failures == []
    assert [event for event, _, _ in lake.events()] == ["gap", "healed"], "recorded by another capture meanwhile"


@pytest.mark.parametrize("count", [1, 10])
def test_day_of_futures_without_a_file_is_a_gap_while_a_gap_of_few_ids_in_it_is_open(lake: Lake, count: int) -> None:
    """No file says whether they are trades. Ids that no gap names may be none."""
    lake.files.venue = "binance-usdm"
    lake.capture([99, *range(100, 150), *range(150 + count, 301), 303], START - MINUTE_US)
    lake.capture([304], START + DAY_US)
    assert lake.record().failures == []

    lake.gap(150, 149 + count, at(49), at(50))
    assert lake.record().failures == [f"{SYMBOL}: {DAY}: no file is published"]
    assert not lake.rows().is_complete
    lake.files.put(DAY, [*range(100, 150), *range(150 + count, 301)])
    assert lake.record().failures == []
    assert [event for event, _, _ in lake.events()] == ["gap", "gap", "no_trade", "healed", "healed"]


def test_gap_of_ids_that_another_recorder_was_told_are_no_trades_is_healed(lake: Lake) -> None:
    lake.files.venue = "binance-usdm"
    lake.capture([99, *range(100, 150), *range(152, 301)], START - MINUTE_US)
    lake.capture([301], START + DAY_US)
    lake.gap(150, 151, at(49), at(50))
    lake.no_trade(150, 151, at(49))

    report = lake.record()

    assert (report.complete, report.no_trades, report.failures) == (1, 2, [])
    assert sorted(lake.events()) == [("gap", 150, 151), ("healed", 150, 151), ("no_trade", 150, 151)]
    assert lake.rows().is_complete
    assert lake.record().no_trades == 0


def test_day_without_a_trade_between_ids_that_follow_each_other_is_complete(lake: Lake) -> None:
    lake.files.put(DAY, range(100, 300))
    lake.files.put(FOURTH, range(300, 310))
    report = lake.record(DAY, "2024-03-13")
    assert lake.events() == []
    assert (report.recorded, report.complete, report.failures) == (2, 2, [])
    lake.files.put(FOURTH, range(301, 310))
    other = Lake(lake.folder / "other", lake.files)
    assert other.record(DAY, "2024-03-13").lacking == 2, "an id is missing: each of the days may have had it"


def test_day_between_two_files_that_a_capture_recorded_is_no_gap_of_ids(lake: Lake) -> None:
    lake.files.put(DAY, range(100, 300))
    lake.files.put(THIRD, range(400, 410))
    lake.capture(range(300, 400), START + DAY_US)
    assert lake.record(DAY, FOURTH).failures == []
    assert lake.events() == []


def test_recheck_whose_file_is_away_is_one_line_and_no_gap(lake: Lake) -> None:
    lake.files.put(DAY, range(100, 200))
    lake.record()
    files, lake.files.rows = lake.files.rows, {}
    assert lake.record(again=True).failures == [f"{SYMBOL}: {DAY}: no file is published"]
    assert lake.events() == []
    assert lake.rows().is_complete
    lake.files.rows = files
    assert lake.record(again=True).failures == []


def test_recorded_day_that_is_told_to_be_a_gap_is_healed_by_the_next_run(lake: Lake) -> None:
    """Of two runs at once, one of which came before the file was published."""
    lake.files.put(DAY, range(100, 200))
    other = Lake(lake.folder / "other")
    other.capture([7], START - 5 * DAY_US)
    other.record()
    lake.record()
    for one in other.store.list_keys(STREAM_EVENTS.prefix):
        lake.store.write(one.key.replace("-1.parquet", "-9.parquet"), other.store.read(one.key).body)
    assert not lake.rows().is_complete
    assert lake.record().files == 0
    assert [event for event, _, _ in lake.events()] == ["gap", "healed"]
    assert lake.rows().is_complete


def test_file_without_a_trade_of_its_day_is_said_to_be_that(lake: Lake) -> None:
    lake.files.venue = "binance-usdm"
    lake.files.put(DAY, range(5), price="0")
    (said,) = lake.record().failures
    assert said == f"{SYMBOL}: {DAY}: {SYMBOL}-trades-{DAY}.zip has no trade of the day"


def test_id_that_no_trade_can_have_costs_its_day_alone(lake: Lake) -> None:
    lake.files.put(NEXT, range(100, 110))
    for wrong in (2**63 - 1, 2**63, 2**64 - 1):
        lake.files.rows[DAY] = [(one, "1", "2", "3", START // 1_000, "true", "true") for one in (5, wrong)]
        (said,) = lake.record(DAY, THIRD).failures
        assert said.startswith(f"{SYMBOL}: {DAY}: ")
        assert f"it has an id that no trade can have: {wrong}" in said
        assert lake.rows().arrow().num_rows == 0
    assert lake.rows(NEXT, THIRD).arrow().num_rows == 10


def replaced(lake: Lake) -> None:
    """Corrected prices and a row more: other parts."""
    lake.files.put(DAY, range(100, 200), began=at(1))
    lake.record(part_rows=30)
    lake.files.put(DAY, range(99, 200), price="9.9")


def test_file_that_replaces_another_leaves_no_row_of_it(lake: Lake) -> None:
    replaced(lake)
    assert lake.record(again=True, part_rows=30).rows == 101
    assert lake.prices() == {9.9: 101}
    assert lake.rows().is_complete
    assert lake.record(again=True, part_rows=30).rows == 0


def test_row_that_the_new_file_lacks_goes_with_the_gap_before_it(lake: Lake) -> None:
    lake.files.put(DAY, range(100, 200))
    right = lake.files.rows[DAY]
    lake.files.rows[DAY] = [*right, (500, "1.5", "2", "3", at(101) // 1_000, "true", "true")]
    lake.record()
    assert not lake.rows().is_complete
    lake.files.rows[DAY] = right
    lake.record(again=True)
    assert lake.rows().arrow().num_rows == 100
    assert ("healed", 200, 499) in lake.events()
    assert lake.rows().is_complete


class Killed(FolderStore):
    """Cannot be written to any more after some objects: what is left of a process that was killed then."""

    def __init__(self, folder: Path, writes: int) -> None:
        super().__init__(folder)
        self.left = writes

    def write(self, key: str, body: bytes, *, replaces: str | None = None, must_be_new: bool = False) -> str:
        if not self.left:
            raise LakeUnavailable("killed")
        self.left -= 1
        return super().write(key, body, replaces=replaces, must_be_new=must_be_new)


def test_run_that_is_killed_while_it_replaces_rows_is_repeated_by_any_run(tmp_path: Path) -> None:
    writes = 0
    while True:
        lake = Lake(tmp_path / str(writes))
        replaced(lake)
        store = Killed(lake.folder / "lake", writes)
        try:
            lake.record(again=True, part_rows=30, store=store)
        except LakeUnavailable:
            assert len(lake.prices()) == 1 or not lake.rows().is_complete, "rows of both files"
            lake.record(again=writes == 0, part_rows=30)
        else:
            break
        assert lake.prices() == {9.9: 101}
        assert lake.rows().is_complete
        writes += 1
    assert writes > 6, "several parts, and events"


def test_old_file_that_is_published_again_ends_what_another_began(lake: Lake) -> None:
    replaced(lake)
    new = lake.files.rows[DAY]
    with pytest.raises(LakeUnavailable):
        lake.record(again=True, part_rows=30, store=Killed(lake.folder / "lake", 3))
    lake.files.put(DAY, range(100, 200), began=at(1))
    assert lake.record(part_rows=30).recorded == 1
    assert lake.record(part_rows=30).files == 0
    assert lake.prices() == {1.5: 100}
    lake.files.rows[DAY] = new
    assert lake.record(again=True, part_rows=30).recorded == 1
    assert lake.record(again=True, part_rows=30).recorded == 0
    assert lake.prices() == {9.9: 101}


def test_file_of_a_day_closes_no_gap_of_another_day_of_the_month(lake: Lake) -> None:
    lake.files.put(DAY, [one for one in range(100, 200) if one not in (120, 150)])
    day = lake.files.rows.pop(DAY)
    lake.files.put(NEXT, [one for one in range(200, 300) if one != 250])
    lake.files.rows["2024-03"] = [*day, *lake.files.rows.pop(NEXT)]
    lake.record(DAY, THIRD)
    assert [ids for event, *ids in lake.events() if event == "gap"] == [[120, 120], [150, 150], [250, 250]]
    lake.files.put(DAY, [one for one in range(100, 200) if one != 120])
    assert lake.record(DAY, THIRD, again=True).recorded == 1
    healed = [ids for event, *ids in lake.events() if event == "healed"]
    assert healed == [[150, 150], [START, START + DAY_US - 1]]
    is_open = {gap["from_update_id"]: gap["is_open"] for gap in lake.rows(NEXT, THIRD).gaps.to_pylist()}
    assert is_open == {250: True}


@pytest.mark.parametrize("compact", [run, run_and_retire])
def test_compacted_day_whose_file_is_replaced(lake: Lake, compact: Callable[[FolderStore], object]) -> None:
    """Its sources are kept for a day, in which a compaction is undone; later the rows stay. The run says so."""
    replaced(lake)
    compact(lake.store)
    report = lake.record(again=True, part_rows=30)
    compact(lake.store)
    assert lake.rows().arrow().num_rows == 101
    assert lake.prices() == ({9.9: 101} if compact is run else {1.5: 100, 9.9: 1})
    (said,) = report.failures
    assert said.startswith(f"{SYMBOL}: {DAY}: its file was replaced after the day was compacted: ")
