"""Compactions on a schedule: as a process beside a recording, through outages, one of several at a time."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.commands import ChildProcess, run_here
from tests.tickhouse.compact.lakes import DAY, DAY_US, HOUR, objects, options, record_all, run, trades_seen, with_doubles
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades
from tests.waiting import patience, wait_until

from extract_process.parquet import parquet_bytes
from tickhouse.compact.counts import VenueCounts
from tickhouse.compact.day import DayOptions
from tickhouse.compact.lease import LEASE_KEY, LEASE_US, Lease
from tickhouse.compact.passes import BY_DAY, DaysLeft, Selection, compact
from tickhouse.compact.schedule import ScheduledCompaction
from tickhouse.compact.scratch import scratch_folder
from tickhouse.local_compaction import compaction_workers
from tickhouse_core.datasets import DEPTH_DIFFS, TRADES
from tickhouse_core.errors import LakeUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import Folder, ObjectSummary
from tickhouse_core.timestamps import now_us


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a lake with objects of years ago."""
    record_all(FolderStore(tmp_path / "data" / "lake"), with_doubles())
    return tmp_path / "data" / "lake"


def is_compacted(folder: Path) -> bool:
    return (
        len(objects(FolderStore(folder), compacted=True)) == 2
        and len(objects(FolderStore(folder), DEPTH_DIFFS, compacted=True)) == 2
    )


def command(folder: Path, *arguments: str) -> ChildProcess[str]:
    words = [sys.executable, "-m", "tickhouse", "compact", "--data", str(folder.parent), *arguments]
    return ChildProcess(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_it_compacts_until_a_signal_and_ends_cleanly(folder: Path) -> None:
    """The day that goes on is left alone: it would be merged anew in every pass."""
    before, today = trades_seen(folder), now_us()
    key = write(FolderStore(folder), TRADES, trades([900], times_us=[today]), "a", today)
    with command(folder, "--every", "1s", "--keep-sources", "1s", "--older-than", "0s") as process:
        wait_until(lambda: [one.key for one in objects(FolderStore(folder), compacted=False)] == [key], "the sources go", 60)
        assert is_compacted(folder)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=patience(30))
    assert process.returncode == 0, said
    assert trades_seen(folder) == before
    assert Lease(FolderStore(folder)).take(), "it gave its lease back"


@pytest.mark.slow
def test_it_ends_with_the_process_that_began_it(folder: Path) -> None:
    with command(folder, "--every", "1h", "--ends-with-input") as process:
        wait_until(lambda: is_compacted(folder), "both datasets are compacted", 60)
        process.communicate(timeout=patience(30))  # closes its input, as the end of a parent does
    assert process.returncode == 0


@pytest.mark.slow
def test_a_recording_has_it_beside_as_a_process_that_is_not_left_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COMPACT_EVERY", "1h")
    caplog.set_level("INFO")
    shown: list[str] = []
    (worker,) = compaction_workers(folder.parent, shown.append, first_seconds=0)
    worker.start()
    try:
        wait_until(lambda: is_compacted(folder), "both datasets are compacted", 60)
        wait_until(lambda: bool(shown), "the pass is shown", 60)
    finally:
        worker.stop()
    (words,) = shown
    assert re.fullmatch(r"[1-9]\d* objects into [1-9]\d*, 0 deleted", words)
    (line,) = [record for record in caplog.records if record.message == "compacted"]
    assert (line.levelname, f"{vars(line)['merged']} objects into {vars(line)['written']}") == ("INFO", words.partition(",")[0])
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    assert not children.exists() or not [one for one in children.read_text().split() if "compact" in _command_line(one)]


def _command_line(process: str) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def test_a_recording_can_do_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPACT_EVERY", "off")
    assert compaction_workers(folder.parent, print) == []
    monkeypatch.setenv("COMPACT_EVERY", "soon")
    done = run_here("tickhouse.local", "--symbol", "BTCUSDT", "--data", str(folder.parent))
    assert done.returncode == 2
    assert "COMPACT_EVERY: must be a length of time such as 1h, or off" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--every", "0h"), "--every '0h' is no pause: write 1h, for example"),
        (("--every", "often"), "--every 'often' is no length of time"),
        (("--every", "1h", "--dry-run"), "--dry-run counts once: leave --every out"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: tuple[str, ...], says: str, folder: Path) -> None:
    done = run_here("tickhouse.compact.command", "--data", str(folder.parent), *arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_an_outage_is_waited_out_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two passes fail, then the lake is there again."""
    stop, passes = WaitingStop(), 0

    def run_pass(_goes_on: Callable[[], bool], done: list[VenueCounts]) -> None:
        nonlocal passes
        passes += 1
        if passes < 3:
            raise LakeUnavailable("the lake does not answer")
        compact(FolderStore(folder), Selection(), options(), stop, done)
        stop.set()

    scheduled = ScheduledCompaction(FolderStore(folder), run_pass, 3_600, stop)
    scheduled.run()
    assert stop.waited == [5.0, 10.0, 3_600]
    assert [one for one in caplog.messages if one == "not compacted: trying again"] == ["not compacted: trying again"]
    assert is_compacted(folder)
    assert (scheduled.schedule.passes, scheduled.counts.merged, scheduled.counts.deleted) == (1, 26, 0)
    assert scheduled.schedule.not_ready() == []


def test_days_that_cannot_be_compacted_are_tried_again_within_the_hour_and_said_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop, passes = WaitingStop(), 0

    def run_pass(_goes_on: Callable[[], bool], _done: list[VenueCounts]) -> None:
        nonlocal passes
        passes += 1
        if passes == 8:
            stop.set()
        elif passes == 7:
            raise DaysLeft(["trades of binance on 2024-08-09: refused", "trades of kucoin on 2024-08-09: refused"])
        else:
            raise DaysLeft(["trades of binance on 2024-08-09: refused"])

    scheduled = ScheduledCompaction(FolderStore(folder), run_pass, 60, stop)
    scheduled.run()
    assert stop.waited == [300, 600, 1_200, 2_400, 3_600, 3_600, 3_600, 60]
    assert [one.why for one in caplog.records if one.message == "not compacted"] == [  # type: ignore[attr-defined]
        "trades of binance on 2024-08-09: refused",
        "trades of kucoin on 2024-08-09: refused",
    ]
    assert scheduled.schedule.passes == 8
    assert not scheduled.schedule.outage.is_going_on


class CountingStore(FolderStore):
    """What was listed, as prefixes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.listed: list[str] = []

    def list_keys(self, prefix: str) -> Iterator[ObjectSummary]:
        self.listed.append(prefix)
        return super().list_keys(prefix)

    def list_folder(self, prefix: str) -> tuple[Folder, list[str]]:
        self.listed.append(prefix)
        return super().list_folder(prefix)


def test_a_pass_without_work_lists_as_little_after_a_month_as_after_a_day(tmp_path: Path) -> None:
    """Empty folders of days are left in a folder, and not in a bucket: they are deleted as S3 does it."""
    found: list[int] = []
    for days in (1, 10):
        store = CountingStore(tmp_path / str(days))
        for day in range(days):
            write(store, TRADES, trades([day], times_us=[DAY + day * DAY_US]), "a", DAY + day * DAY_US)
        for later in (31, 33, 35):
            run(store, options(at=DAY + later * DAY_US))
        assert len(objects(store)) == days
        for folder in sorted((tmp_path / str(days)).glob("data_sources/*/venue=*/date=*/**/"), reverse=True):
            folder.rmdir()
        store.listed.clear()
        run(store, options(at=DAY + 36 * DAY_US))
        found.append(len(store.listed))
    assert found[0] == found[1] <= len(BY_DAY) + 2


def test_a_merged_day_that_waits_and_the_day_that_goes_on_have_no_folders_of_symbols_listed(folder: Path) -> None:
    """Late objects, replaced ones and the end of the wait are seen all the same."""
    store = CountingStore(folder)
    run(store, options(at=DAY + 2 * DAY_US))
    write(store, TRADES, trades([900], times_us=[DAY + 3 * DAY_US]), "a", DAY + 3 * DAY_US)
    store.listed.clear()
    run(store, DayOptions(DAY + 3 * DAY_US, 2 * DAY_US, clock=lambda: DAY + 3 * DAY_US))
    assert [one for one in store.listed if "symbol=" in one] == []
    key = write(store, TRADES, trades([901], times_us=[DAY + HOUR]), "late", DAY + HOUR)
    (done,) = run(store, DayOptions(DAY + 3 * DAY_US, 2 * DAY_US, clock=lambda: DAY + 3 * DAY_US))
    assert done.counts.sources == 1 + 2
    store.write(key, parquet_bytes(trades([902], times_us=[DAY + HOUR]), TRADES))
    run(store, DayOptions(DAY + 3 * DAY_US, 2 * DAY_US, clock=lambda: DAY + 3 * DAY_US))
    assert {row["trade_id"] for row in trades_seen(folder)} >= {902}
    assert 901 not in {row["trade_id"] for row in trades_seen(folder)}
    run(store, options(at=DAY + 9 * DAY_US))
    assert all("2024-08-12" in one.key for one in objects(store, compacted=False))


class WaitingStop(StopRequest):
    """Notes how long it was to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return self.is_set()


def test_of_two_one_works_and_a_dead_ones_lease_ends(folder: Path) -> None:
    store, now = FolderStore(folder), DAY
    first, second = (Lease(store, clock=lambda: now) for _ in range(2))
    assert first.take()
    assert first.take(), "it renews its own"
    assert not second.take()
    assert second.holder.split()[1] == first.holder.split()[1] if first.holder else second.holder
    now += LEASE_US
    assert second.take(), "the first one was killed"
    assert not first.take()
    second.give_back()
    assert first.take()


def test_a_pass_stops_between_days_when_the_lease_is_lost(folder: Path) -> None:
    done: list[VenueCounts] = []
    compact(FolderStore(folder), Selection(), options(), StopRequest(), done, goes_on=lambda: False)
    assert [one.days for one in done] == [0] * len(done)
    assert objects(FolderStore(folder), compacted=True) == []


def test_a_day_that_cannot_be_compacted_keeps_no_other_from_it(folder: Path) -> None:
    """The compacted object of one is gone when it is to be merged with a late one."""
    store = FolderStore(folder)
    write(store, TRADES, trades([7], times_us=[DAY + DAY_US]), "a", DAY + DAY_US)
    run(store, options(), TRADES)
    for at in (DAY + 2 * HOUR, DAY + DAY_US + 2 * HOUR):
        write(store, TRADES, trades([500], times_us=[at]), "late", at)

    class Forgetful(FolderStore):
        """Lists the first day's objects of one symbol, but does not have them."""

        def read(self, key: str, *, most_bytes: int | None = None):  # type: ignore[no-untyped-def]
            stored = super().read(key, most_bytes=most_bytes)
            return replace(stored, etag="other") if "symbol=BTCUSDT/date=2024-08-09" in key else stored

    with pytest.raises(DaysLeft, match="trades of binance on 2024-08-09: a compacted object went while it was read"):
        compact(Forgetful(folder), Selection([TRADES]), options(at=DAY + 31 * DAY_US), StopRequest(), [])
    later = [one for one in objects(store, compacted=True) if "date=2024-08-10" in one.key]
    assert len(later) == 2, "the second day's old version and its new one"


def test_folders_of_killed_processes_are_deleted_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    left = tmp_path / "scratch" / "tickhouse-compact-dead"
    left.mkdir(parents=True)
    (left / "lock").write_text("")
    (left / "0").write_text("rows")
    with scratch_folder() as first, scratch_folder() as second:
        assert not left.exists()
        assert first.exists()
        assert second.exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_nobody_takes_a_folder_that_is_just_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process deletes what others left while they begin."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))

    def use(number: int) -> bool:
        with scratch_folder() as folder:
            (folder / "rows").write_text(str(number))
            return (folder / "rows").read_text() == str(number)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(3_000)))
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"holder": "x"}', b'{"holder": "x", "until_us": 9000000000000000000}'])
def test_a_lease_that_cannot_be_meant_is_nobodys(tmp_path: Path, body: bytes) -> None:
    """Cut short, or taken by a clock that was wrong by more than a lease."""
    store = FolderStore(tmp_path)
    store.write(LEASE_KEY, body)
    assert Lease(store).take()
