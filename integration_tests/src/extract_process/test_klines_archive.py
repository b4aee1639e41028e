"""The bulk archive as a source: the same klines as REST, proven by their CHECKSUM, and every disagreement on the record."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.extract_process.conftest import Asked, us

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import Fault, FaultKind
from tickhouse_core.errors import VenueError

if TYPE_CHECKING:
    from integration_tests.src.extract_process.conftest import Command, LakeView, OpenVenue, RunBackfill, Venue

    from extract_process.backfill.plan import Source
    from tickhouse_core.warehouse import Warehouse

NOW = "2025-03-10T12:00"
HOUR_US = 3_600_000_000
NO_FILE = "archive_has_no_data"
DECEMBER = "/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12"
DAYS_OF_DECEMBER = "/data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12"
BROKEN = (FaultKind.ARCHIVE_BAD_CHECKSUM, FaultKind.ARCHIVE_TRUNCATED, FaultKind.HTTP_500, FaultKind.HTTP_403)


@pytest.fixture
def venue(open_venue: "OpenVenue") -> "Venue":
    return open_venue(ExchangeConfig(now=us(NOW) // 1_000))


@pytest.mark.parametrize("source", ["archive", "auto"])
def test_klines_of_both_eras_equal_those_of_rest(
    source: "Source", venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    """The archive's times are milliseconds up to 2024 and microseconds from 2025 on."""
    expected = venue.klines("BTCUSDT", "1h", "2024-11-15", "2025-03-01")

    first = backfill("BTCUSDT", interval="1h", start="2024-11-15", end="2025-03-01", source=source)
    files = archive_requests(venue)
    asked = len(venue.asked())
    backfill("BTCUSDT", interval="1h", start="2024-11-15", end="2025-03-01", source=source)

    assert lake.klines("BTCUSDT", "1h") == expected
    assert first.report.rows_landed == len(expected)
    assert sum(files.values()) == 4 * 2, "four zip files and their CHECKSUMs"
    assert asked == (1 if source == "auto" else 0), "auto asks REST where the series begins"
    assert archive_requests(venue) == files, "the second run asks for no file"
    assert len(venue.asked()) == asked
    sources = {name for key in lake.months("BTCUSDT", "1h") for name in lake.table(key)["source"].unique().to_pylist()}
    assert sources == {"archive"}


@pytest.mark.parametrize("interval", ["1m", "1d", "3d", "1w", "1M"])
def test_every_interval_of_the_archive_equals_rest(
    interval: str, venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    start = "2024-12-20" if interval == "1m" else "2024-06-01"
    end = "2025-01-10" if interval == "1m" else "2025-02-01"
    expected = venue.klines("BTCUSDT", interval, start, end)

    backfill("BTCUSDT", interval=interval, start=start, end=end, source="archive")

    assert lake.klines("BTCUSDT", interval) == expected
    assert lake.gaps() == []


@pytest.mark.heart
def test_auto_takes_finished_months_from_the_archive_and_the_running_one_from_rest(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2025-01-01", NOW)

    backfill("BTCUSDT", interval="1h", start="2025-01-01", source="auto")

    assert lake.klines("BTCUSDT", "1h") == expected
    assert Asked("BTCUSDT", us("2025-03-01"), us("2025-03-10T11:00")) in venue.asked()
    assert len(venue.asked()) == 2
    by_month = {key[-15:-8]: lake.table(key)["source"].unique().to_pylist() for key in lake.months("BTCUSDT", "1h")}
    assert by_month == {"2025-01": ["archive"], "2025-02": ["archive"], "2025-03": ["rest"]}


def test_archive_takes_daily_files_of_the_running_month_and_says_what_is_not_published(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2025-02-20", "2025-03-10")

    with pytest.raises(VenueError, match=r"2025-03: 12 klines from 2025-03-10T00:00:00Z to 2025-03-10T12:00:00Z are missing"):
        backfill("BTCUSDT", interval="1h", start="2025-02-20", source="archive")

    assert lake.klines("BTCUSDT", "1h") == expected
    assert venue.asked() == []
    today = ("BTCUSDT", us("2025-03-10"), us("2025-03-10T11:00"), NO_FILE)
    assert lake.gaps() == [today]

    backfill("BTCUSDT", interval="1h", start="2025-02-20", source="rest")
    assert len(lake.klines("BTCUSDT", "1h")) == len(expected) + 12, "not proven absent: another source is asked for it"
    assert lake.gaps() == [today]
    assert lake.healed() == [today]


def test_months_before_the_listing_are_absent_by_the_first_kline_of_rest_and_not_requested_again(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    """Listed on 2024-03-12. A run that could not ask left gaps, which are closed then."""
    expected = venue.klines("NOVAUSDT", "1d", "2024-02-01", "2024-05-01")
    venue.exchange.set_faults([Fault(FaultKind.HTTP_500, path="/api/v3/klines")])
    with pytest.raises(VenueError, match=r"2024-02: 29 klines .* are missing without a proof"):
        backfill("NOVAUSDT", interval="1d", start="2024-02-01", end="2024-05-01", source="archive")
    assert {cause for *_, cause in lake.gaps()} == {NO_FILE}

    venue.exchange.set_faults([])
    backfill("NOVAUSDT", interval="1d", start="2024-02-01", end="2024-05-01", source="archive")
    assert lake.klines("NOVAUSDT", "1d") == expected
    assert {cause for *_, cause in lake.gaps()} == {NO_FILE, "venue_has_no_data"}
    assert lake.healed() == [], "what is proven absent did not come"

    files, asked = archive_requests(venue), venue.asked()
    backfill("NOVAUSDT", interval="1d", start="2024-02-01", end="2024-05-01", source="archive")
    assert (archive_requests(venue), venue.asked()) == (files, asked)


# Broken files


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (".zip.CHECKSUM", FaultKind.TRUNCATED_BODY),
        (".zip.CHECKSUM", FaultKind.HTTP_500),
        (".zip", FaultKind.TRUNCATED_BODY),
        (".zip", FaultKind.DROPPED_BODY),
        (".zip", FaultKind.DROPPED_CONNECTION),
    ],
)
def test_file_that_comes_broken_is_asked_for_again(
    what: str, kind: FaultKind, venue: "Venue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2024-12-01", "2025-01-01")
    after = 1 if what == ".zip" else 0  # the CHECKSUM is asked for first, and its path begins with the zip's
    venue.exchange.set_faults([Fault(kind, count=1, path=DECEMBER, after=after)])

    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="archive")

    assert venue.exchange.tally()["faults"] == {kind: 1}
    assert lake.klines("BTCUSDT", "1h") == expected
    assert [record.levelname for record in caplog.records if record.message == "asking again"] == ["WARNING"]


@pytest.mark.parametrize("kind", BROKEN)
def test_daily_files_stand_in_for_a_monthly_one_that_stays_broken(
    kind: FaultKind, venue: "Venue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2024-12-01", "2025-01-01")
    venue.exchange.set_faults([Fault(kind, path=DECEMBER)])

    report = backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="archive").report

    assert lake.klines("BTCUSDT", "1h") == expected
    assert (report.unusable_files, report.rows_unproven) == (1, 0)
    [unusable] = [record for record in caplog.records if record.message == "archive not usable"]
    assert "BTCUSDT-1h-2024-12.zip" in unusable.__dict__["why"]


@pytest.mark.parametrize("kind", BROKEN)
def test_file_that_stays_broken_is_replaced_by_rest_in_auto_and_named_in_archive(
    kind: FaultKind, venue: "Venue", backfill: "RunBackfill", lake: "LakeView", caplog: pytest.LogCaptureFixture
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2024-11-01", "2025-02-01")
    december = [kline for kline in expected if us("2024-12-01") <= kline.open_time < us("2025-01-01")]
    venue.exchange.set_faults([Fault(kind, path=DECEMBER), Fault(kind, path=DAYS_OF_DECEMBER)])

    with pytest.raises(VenueError, match=r"BTCUSDT-1h-2024-12\.zip"):
        backfill("BTCUSDT", interval="1h", start="2024-11-01", end="2025-02-01", source="archive")
    assert lake.klines("BTCUSDT", "1h") == [kline for kline in expected if kline not in december]
    assert venue.asked() == []

    backfill("BTCUSDT", interval="1h", start="2024-11-01", end="2025-02-01", source="auto")
    assert lake.klines("BTCUSDT", "1h") == expected
    assert Asked("BTCUSDT", us("2024-12-01"), us("2024-12-31T23:00")) in venue.asked()
    unusable = [record for record in caplog.records if record.message == "archive not usable"]
    assert len(unusable) == 2, "once in each run"
    assert all("BTCUSDT-1h-2024-12.zip" in record.__dict__["why"] for record in unusable)
    assert lake.events("disagreement") == []


def test_broken_file_is_one_line_and_exit_code_1(venue: "Venue", command: "Command", lake: "LakeView") -> None:
    venue.exchange.set_faults(["http_403@" + DECEMBER, "http_403@" + DAYS_OF_DECEMBER])
    range_ = ("--start", "2024-12-01", "--end", "2025-01-01", "--interval", "1h")

    archive = command.run("--symbol", "BTCUSDT", *range_, "--source", "archive")
    auto = command.run("--symbol", "BTCUSDT", *range_, "--source", "auto")

    assert (archive.returncode, auto.returncode) == (1, 0), archive.stderr + auto.stderr
    assert "BTCUSDT-1h-2024-12.zip" in archive.stderr.splitlines()[-1]
    assert archive.stderr.splitlines()[-1].startswith("error: ")
    assert "archive not usable" in auto.stderr


def test_rows_the_archive_lacks_come_from_rest_in_auto(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    expected = venue.klines("BTCUSDT", "1m", "2024-12-01", "2025-01-01")
    venue.exchange.set_faults([FaultKind.ARCHIVE_MISSING_ROWS])

    backfill("BTCUSDT", start="2024-12-01", end="2025-01-01", source="auto")

    assert lake.klines("BTCUSDT", "1m") == expected
    assert Asked("BTCUSDT", us("2024-12-31T23:00"), us("2024-12-31T23:59")) in venue.asked()
    assert len(venue.asked()) == 2
    assert lake.gaps() == []


def test_rows_the_archive_lacks_are_a_gap_in_archive_until_another_source_has_them(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("BTCUSDT", "1m", "2024-12-01", "2025-01-01")
    venue.exchange.set_faults([FaultKind.ARCHIVE_MISSING_ROWS])

    with pytest.raises(VenueError, match=r"60 klines from 2024-12-31T23:00:00Z to 2025-01-01T00:00:00Z are missing"):
        backfill("BTCUSDT", start="2024-12-01", end="2025-01-01", source="archive")
    assert lake.klines("BTCUSDT", "1m") == expected[:-60]
    assert lake.gaps() == [("BTCUSDT", us("2024-12-31T23:00"), us("2024-12-31T23:59"), NO_FILE)]

    backfill("BTCUSDT", start="2024-12-01", end="2025-01-01")
    assert venue.asked() == [Asked("BTCUSDT", us("2024-12-31T23:00"), us("2024-12-31T23:59"))]
    assert lake.klines("BTCUSDT", "1m") == expected
    assert lake.healed() == lake.gaps()


@pytest.mark.heart
def test_halt_inside_an_archived_month_is_proven_by_rest_in_auto(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    venue.exchange.set_halts(["BTCUSDT=2024-12-10T04:00/2024-12-10T09:00"])
    expected = venue.klines("BTCUSDT", "1h", "2024-12-01", "2025-01-01")

    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="auto")
    asked = venue.asked()
    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="auto")

    assert lake.klines("BTCUSDT", "1h") == expected
    assert lake.gaps() == [("BTCUSDT", us("2024-12-10T04:00"), us("2024-12-10T08:00"), "venue_has_no_data")]
    assert venue.asked() == asked


# Disagreement


def test_disagreement_of_archive_and_lake_is_reported_with_both_values_and_changes_nothing(
    venue: "Venue",
    backfill: "RunBackfill",
    lake: "LakeView",
    load: Callable[[], None],
    warehouse: "Warehouse",
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2024-12-01", "2025-01-01")
    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01")
    venue.exchange.set_faults([FaultKind.ARCHIVE_DIFFERS])

    report = backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="archive", recheck=True).report
    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="archive", recheck=True)

    assert (report.disagreements, report.rows_landed) == (1, 0)
    assert lake.klines("BTCUSDT", "1h") == expected
    load()
    rows = warehouse.query("select from_update_id, to_update_id, cause, detail from stream_events where event = 'disagreement'")
    [(first, last, cause, detail)] = rows
    [mine] = [kline for kline in expected if kline.open_time == first]
    values = json.loads(detail)
    assert (last, cause, list(values)) == (first, "archive_differs", ["close"])
    assert Decimal(values["close"]["in_lake"]) == mine.close
    assert abs(Decimal(values["close"]["offered"]) - mine.close) == Decimal("0.01")
    assert any("sources disagree" in record.message and record.levelname == "ERROR" for record in caplog.records)


def test_disagreement_shows_also_where_an_archive_month_heals_a_hole(
    venue: "Venue", backfill: "RunBackfill", lake: "LakeView"
) -> None:
    expected = venue.klines("BTCUSDT", "1h", "2024-12-01", "2025-01-01")
    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01")
    lake.cut_out(lake.key("BTCUSDT", "1h", "2024-12"), "2024-12-03T04:00", "2024-12-03T06:00", with_footer=True)
    venue.exchange.set_faults([FaultKind.ARCHIVE_DIFFERS])

    report = backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-01-01", source="archive").report

    assert (report.rows_landed, report.disagreements) == (2, 1)
    assert lake.klines("BTCUSDT", "1h") == expected


def test_recheck_of_sources_that_agree_is_silent(venue: "Venue", backfill: "RunBackfill", lake: "LakeView") -> None:
    backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-02-01")
    stored = lake.etags("BTCUSDT", "1h")

    report = backfill("BTCUSDT", interval="1h", start="2024-12-01", end="2025-02-01", source="archive", recheck=True).report

    assert (report.disagreements, report.rows_landed, report.gaps) == (0, 0, 0)
    assert lake.events("disagreement") == []
    assert lake.etags("BTCUSDT", "1h") == stored, "the same rows are the same bytes"


def archive_requests(venue: "Venue") -> dict[str, int]:
    requests = venue.exchange.tally()["requests"]
    return {path: sum(by_status.values()) for path, by_status in requests.items() if path.startswith("/data/")}
