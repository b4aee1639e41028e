"""Healing on a schedule: one venue's trouble costs no other, what data reveals ends nothing, and wrong options are one line."""

from pathlib import Path

import pytest
from tests.commands import run_here

from extract_process.backfill.trade_healer import HealReport
from extract_process.backfill.trade_schedule import ScheduledHealing, Tell, heal_all, pause_after
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import AccessRefused, Interrupted, LakeUnavailable, VenueUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.schedule import WorkLeft

AT = 1_741_478_400_000_000  # 2025-03-09


class Venues:
    """Heals every venue that has no trouble, of which five trades were missing."""

    def __init__(self, **trouble: Exception) -> None:
        self.trouble = trouble
        self.asked: list[str] = []

    def heal(self, venue: str, tell: Tell) -> None:
        self.asked.append(venue)
        tell(HealReport(gaps=1, missing=5, healed=3, no_trades=1, lacking=1))
        if venue in self.trouble:
            raise self.trouble[venue]


def test_a_venue_in_trouble_costs_no_other_and_is_named() -> None:
    venues = Venues(a=VenueUnavailable("the archive answered 503"), b=KeyError("a fault of ours"))
    told: list[HealReport] = []
    with pytest.raises(WorkLeft) as left:
        heal_all(["a", "b", "c"], venues.heal, told.append)
    assert venues.asked == ["a", "b", "c"]
    assert left.value.reasons == ("a: the archive answered 503", "b: KeyError: 'a fault of ours'")
    assert len(told) == 3


@pytest.mark.parametrize(
    "error", [LakeUnavailable("no lake"), AccessRefused("no rights"), Interrupted("stopped"), OSError(28, "No space left")]
)
def test_what_every_venue_needs_ends_the_pass(error: Exception) -> None:
    venues = Venues(a=error)
    with pytest.raises(type(error)):
        heal_all(["a", "b"], venues.heal)
    assert venues.asked == ["a"]


class OneWait(StopRequest):
    """Set by the first wait, whose length it has."""

    waited = -1.0

    def wait(self, seconds: float) -> bool:
        self.waited = seconds
        self.set()
        return True


def healing(tmp_path: Path, venues: Venues, stop: StopRequest) -> ScheduledHealing:
    """Of three venues, two of which the lake has trades of."""
    store = FolderStore(tmp_path)
    for venue in ("binance", "binance-usdm"):
        store.write(hourly_key(TRADES, venue, AT, "a", 1), b"")
    return ScheduledHealing(store, ["binance", "binance-usdm", "binance-coinm"], venues.heal, 3_600, stop)


def test_a_pass_asks_only_venues_that_the_lake_has_trades_of_and_counts(tmp_path: Path) -> None:
    venues, stop = Venues(), OneWait()
    scheduled = healing(tmp_path, venues, stop)
    scheduled.run()
    assert venues.asked == ["binance", "binance-usdm"]
    assert stop.waited == 3_600
    found = {(sample.name, *sample.labels.values()): sample.value for sample in scheduled.samples()}
    assert found.pop(("tickhouse_healer_last_pass_timestamp_seconds",)) > AT / 1e6
    assert found == {
        ("tickhouse_healer_trades_total", "healed"): 6,
        ("tickhouse_healer_trades_total", "no_trade"): 2,
        ("tickhouse_healer_trades_total", "lacking"): 2,
        ("tickhouse_healer_passes_total",): 1,
        ("tickhouse_healer_venues_left",): 0,
    }


def test_a_venue_that_was_left_is_counted_said_and_tried_again_earlier(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    venues, stop = Venues(binance=VenueUnavailable("the archive answered 503")), OneWait()
    scheduled = healing(tmp_path, venues, stop)
    scheduled.run()
    assert stop.waited == 600
    (line,) = [line for line in caplog.records if line.message == "gaps of trades are left open"]
    assert vars(line)["why"] == "binance: the archive answered 503"
    assert scheduled.schedule.not_ready() == []
    assert ("tickhouse_healer_venues_left", 1) in {(sample.name, sample.value) for sample in scheduled.samples()}


def test_a_pass_that_left_something_is_never_repeated_later_than_one_that_did_not() -> None:
    assert [pause_after(86_400, passes) for passes in (1, 2, 3, 9)] == [600, 1_200, 2_400, 21_600]
    assert [pause_after(60, passes) for passes in (1, 2, 9)] == [60, 60, 60]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--every", "0h"), "--every '0h' is no pause: write 1h, for example"),
        (("--every", "daily"), "--every 'daily' is no length of time"),
        (("--every", "24h", "--venue", "kucoin"), "--venue kucoin: it publishes no files of trades"),
        (("--every", "24h", "--venue", "nasdaq"), "--venue 'nasdaq': choose from binance"),
        (("--every", "24h", "--symbol", "BTCUSDT"), "--every heals all open gaps of the last 30 days: leave --symbol out"),
        (("--every", "24h", "--start", "2026-11-01", "--end", "2026-11-02"), "leave --start, --end out"),
        (("--every", "24h", "--agg-trades", "--recheck"), "leave --agg-trades, --recheck out"),
        (("--every", "24h", "--data", "FOLDER"), "--every in a data folder: `tickhouse local` heals it by itself"),
    ],
)
def test_options_that_make_no_sense_on_a_schedule_are_one_line(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = run_here("extract_process.trades", *(str(tmp_path) if one == "FOLDER" else one for one in options))
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_address_of_an_archive_is_one_line_before_the_first_pass() -> None:
    done = run_here("extract_process.trades", "--every", "24h", environment={"BINANCE_COINM_ARCHIVE_URL": "nowhere"})
    assert done.returncode == 2
    assert "BINANCE_COINM_ARCHIVE_URL" in done.stderr
    assert done.stderr.count("\n") == 1
