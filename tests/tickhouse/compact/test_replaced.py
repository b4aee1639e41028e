"""Sources that are replaced after their rows were merged: the merged object is made anew, and no kill or rival loses a row."""

import io
import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tickhouse.compact.lakes import (
    DAY,
    DAY_US,
    HOUR,
    LONG_AFTER,
    InterruptedStore,
    Killed,
    mortal,
    objects,
    options,
    record_all,
    replaced,
    run,
    trades_seen,
    with_doubles,
)
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades

from extract_process.parquet import parquet_bytes
from tickhouse.compact.passes import DaysLeft
from tickhouse_core import compaction_records
from tickhouse_core.compaction_records import Compactions
from tickhouse_core.datasets import TRADES
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import format_instant

BATCHES = [one for one in with_doubles() if one[0] is TRADES]
ONCE = 3
"""A trade that only the first batch of both instances has."""


class Twins:
    """A lake to compact, and one with the same recorded objects that is not: what readers must have."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._raw = folder / "lake", folder / "raw"
        self.store, self.raw = FolderStore(self.folder), FolderStore(self._raw)

    def both(self) -> tuple[ObjectStore, ObjectStore]:
        return self.store, self.raw

    def record(self, batches: Any = BATCHES) -> None:
        record_all(self.raw, batches)
        self.keys = [one.key for one in objects(self.raw)]
        for key in self.keys:
            self.store.write(key, self.raw.read(key).body)

    def late(self, trade: int, at: int) -> None:
        """The same object in both."""
        key = write(self.raw, TRADES, trades([trade], times_us=[at]), "late", at)
        self.store.write(key, self.raw.read(key).body)

    def repair(self, key: str, without: int) -> None:
        for store in self.both():
            replaced(store, key, without)

    def wanted(self) -> list[dict[str, Any]]:
        return trades_seen(self._raw)

    def are_equal(self) -> bool:
        return trades_seen(self.folder) == self.wanted()

    def nothing_is_lost(self) -> bool:
        """A trade that a replaced object received first may still be seen as that one received it."""
        seen, wanted = ({(row["symbol"], row["trade_id"]) for row in rows} for rows in (trades_seen(self.folder), self.wanted()))
        return wanted <= seen


@pytest.fixture
def twins(tmp_path: Path) -> Twins:
    found = Twins(tmp_path)
    found.record()
    return found


def test_rows_that_a_replaced_source_no_longer_has_leave_the_merged_object(twins: Twins) -> None:
    run(twins.store, options(), TRADES)
    first = {one.key for one in objects(twins.store, compacted=True)}
    for key in twins.keys[:2]:
        twins.repair(key, without=ONCE)
    assert not twins.are_equal()
    (done,) = run(twins.store, options(at=LONG_AFTER + HOUR), TRADES)
    assert (done.counts.deleted, done.counts.sources, done.counts.outputs) == (2, 12, 2)
    assert twins.are_equal()
    assert first.isdisjoint(one.key for one in objects(twins.store, compacted=True))
    run(twins.store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    assert len(objects(twins.store)) == 2
    assert twins.are_equal()


def test_a_repair_that_comes_while_sources_are_deleted_keeps_its_rows(twins: Twins) -> None:
    """After the day was listed, and before its own key is deleted."""
    run(twins.store, options(), TRADES)
    key, more = twins.keys[-1], trades([900, 901], times_us=[DAY + HOUR, DAY + HOUR + 1])
    repaired: list[str] = []

    def repair() -> None:
        if not repaired:
            repaired.append(key)
            for store in twins.both():
                before = pq.read_table(io.BytesIO(store.read(key).body))
                store.write(key, parquet_bytes(pa.concat_tables([before.cast(more.schema), more]), TRADES))

    run(InterruptedStore(twins.folder, repair), options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    assert repaired
    assert twins.nothing_is_lost()
    run(twins.store, options(at=LONG_AFTER + 4 * DAY_US), TRADES)
    run(twins.store, options(at=LONG_AFTER + 8 * DAY_US), TRADES)
    assert twins.nothing_is_lost()
    assert not objects(twins.store, compacted=False)


def test_a_record_that_unpacks_to_more_than_any_plan_has_is_damaged(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    run(twins.store, options(), TRADES)
    (name, *_) = [one.key for one in objects(twins.store, compacted=True)]
    assert Compactions(twins.store).behind(name) is not None
    (plan,) = [one for one in twins.store.list_keys("compactions/") if one.key.endswith(".plan.json.gz")]
    monkeypatch.setattr(compaction_records, "_MOST_BYTES", plan.size + 1)  # it is smaller than what it unpacks to
    assert Compactions(twins.store).behind(name) is None


def test_a_damaged_record_stops_one_day_and_no_reader(twins: Twins) -> None:
    twins.late(50, DAY + 2 * DAY_US)
    run(twins.store, options(at=LONG_AFTER + 3 * DAY_US), TRADES)
    (name, *_) = [one.key for one in objects(twins.store, compacted=True)]
    (plan, *_) = [one for one in twins.store.list_keys("compactions/") if one.key.endswith(".plan.json.gz")]
    twins.store.write(plan.key, twins.store.read(plan.key).body[:10])
    assert Compactions(twins.store).behind(name) is None
    twins.late(51, DAY + 2 * DAY_US + 1)
    with pytest.raises(DaysLeft, match="is damaged"):
        run(twins.store, options(at=LONG_AFTER + 3 * DAY_US), TRADES)
    assert twins.nothing_is_lost()
    assert len(Compactions(twins.store).of_day(TRADES, "binance", format_instant(DAY + 2 * DAY_US)[:10])) == 2


def test_a_row_that_another_source_has_too_stays_as_that_one_received_it(twins: Twins) -> None:
    run(twins.store, options(), TRADES)
    twins.repair(twins.keys[1], without=ONCE)  # of the instance that received it first
    run(twins.store, options(at=LONG_AFTER + HOUR), TRADES)
    assert any(row["trade_id"] == ONCE for row in twins.wanted())
    assert twins.are_equal()


def test_versions_that_were_made_of_the_merged_object_are_made_anew_too(twins: Twins) -> None:
    """And of a day whose first objects were deleted, what was merged since."""
    run(twins.store, options(), TRADES)
    for number in range(3):
        twins.late(100 + number, DAY + (2 + number) * HOUR)
        run(twins.store, options(at=LONG_AFTER + (1 + number) * HOUR), TRADES)
    assert len(objects(twins.store, compacted=True)) == 2 * 4
    for key in twins.keys[:2]:
        twins.repair(key, without=ONCE)
    run(twins.store, options(at=LONG_AFTER + 5 * HOUR), TRADES)
    assert len(objects(twins.store, compacted=True)) == 2
    assert twins.are_equal()


def test_a_late_object_that_is_replaced_undoes_only_what_was_made_with_it(twins: Twins) -> None:
    run(twins.store, options(), TRADES)
    run(twins.store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)  # the first sources are deleted
    first = [one.key for one in objects(twins.store)]
    twins.late(100, DAY + 2 * HOUR)
    (late,) = [one.key for one in objects(twins.store, compacted=False)]
    run(twins.store, options(at=LONG_AFTER + 3 * DAY_US), TRADES)
    for store in twins.both():
        store.write(late, parquet_bytes(trades([101], times_us=[DAY + 2 * HOUR]), TRADES))
    run(twins.store, options(at=LONG_AFTER + 3 * DAY_US + HOUR), TRADES)
    assert {one.key for one in objects(twins.store)}.issuperset(first)
    assert twins.are_equal()
    run(twins.store, options(at=LONG_AFTER + 5 * DAY_US), TRADES)
    assert len(objects(twins.store)) == 2
    assert twins.are_equal()


def test_after_the_sources_are_deleted_the_new_version_is_merged_and_the_old_rows_stay(
    twins: Twins, caplog: pytest.LogCaptureFixture
) -> None:
    run(twins.store, options(), TRADES)
    bodies = {key: twins.store.read(key).body for key in twins.keys}
    run(twins.store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)
    twins.store.write(twins.keys[0], bodies[twins.keys[0]])
    replaced(twins.store, twins.keys[0], ONCE)
    replaced(twins.raw, twins.keys[0], ONCE)
    run(twins.store, options(at=LONG_AFTER + 3 * DAY_US), TRADES)
    assert twins.nothing_is_lost()
    assert [one for one in caplog.messages if "rows that only the old version had stay" in one]
    caplog.clear()
    run(twins.store, options(at=LONG_AFTER + 5 * DAY_US), TRADES)
    assert len(objects(twins.store)) == 2
    assert not [one for one in caplog.messages if "stay" in one]


def test_a_new_version_that_a_loader_refuses_replaces_nothing(twins: Twins) -> None:
    run(twins.store, options(), TRADES)
    before = trades_seen(twins.folder)
    twins.store.write(twins.keys[0], b"PAR1 and no more")
    (done,) = run(twins.store, options(at=LONG_AFTER + HOUR), TRADES)
    assert (done.counts.deleted, done.counts.refused) == (0, [twins.keys[0]])
    assert trades_seen(twins.folder) == before


def test_a_repair_that_is_taken_back_counts_too(twins: Twins) -> None:
    body = twins.store.read(twins.keys[0]).body
    run(twins.store, options(), TRADES)
    twins.repair(twins.keys[0], without=ONCE)
    run(twins.store, options(at=LONG_AFTER + HOUR), TRADES)
    for store in twins.both():
        store.write(twins.keys[0], body)
    for hours in range(2, 5):
        run(twins.store, options(at=LONG_AFTER + hours * HOUR), TRADES)
        assert twins.are_equal()
    twins.late(100, DAY + 2 * HOUR)
    run(twins.store, options(at=LONG_AFTER + 6 * HOUR), TRADES)
    run(twins.store, options(at=LONG_AFTER + 3 * DAY_US), TRADES)
    assert twins.are_equal()
    assert len(objects(twins.store)) == 2


def test_the_dry_run_undoes_nothing_and_counts_what_it_would_do(twins: Twins) -> None:
    run(twins.store, options(), TRADES)
    twins.repair(twins.keys[0], without=ONCE)
    before = objects(twins.store)
    (done,) = run(twins.store, replace(options(at=LONG_AFTER + HOUR), is_dry=True), TRADES)
    assert (done.counts.deleted, done.counts.sources) == (2, 12)
    assert objects(twins.store) == before


@pytest.mark.slow
def test_every_effect_of_undoing_can_be_the_last_one(tmp_path: Path) -> None:
    deaths = 0
    for is_before, nth in itertools.product((True, False), range(1, 9)):
        twins = Twins(tmp_path / f"{nth}-{is_before}")
        twins.record(BATCHES[:3])
        run(twins.store, options(), TRADES)
        for key in twins.keys[:2]:
            twins.repair(key, without=ONCE)
        try:
            run(mortal(twins.folder, nth, is_before=is_before), options(at=LONG_AFTER + HOUR), TRADES)
        except Killed:
            deaths += 1
            assert twins.nothing_is_lost()
            run(twins.store, options(at=LONG_AFTER + 2 * HOUR), TRADES)
        assert twins.are_equal()
        run(twins.store, options(at=LONG_AFTER + 2 * DAY_US), TRADES)
        assert twins.are_equal()
        assert len(objects(twins.store)) == 2
    assert deaths == 2 * (1 + 2 + 1 + 2 + 1)  # fate, deletions, plan, objects, commit


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_compactors_beside_each_other_that_delete_and_undo_lose_nothing(seed: int, tmp_path: Path) -> None:
    """One is about to delete the sources, while a source is replaced and another compactor runs whole, at any of its effects."""
    chance = random.Random(seed)
    twins = Twins(tmp_path)
    twins.record(BATCHES[:6])
    run(twins.store, options(), TRADES)
    left = chance.randrange(12)

    def meanwhile() -> None:
        nonlocal left
        left -= 1
        present = {one.key for one in objects(twins.store, compacted=False)}
        if left == 0:
            key = chance.choice(twins.keys)
            if key in present:
                twins.repair(key, without=chance.randrange(30))
            run(FolderStore(twins.folder), options(at=LONG_AFTER + 3 * DAY_US, keep_us=chance.choice([0, 2 * DAY_US])), TRADES)
        assert twins.nothing_is_lost()

    run(InterruptedStore(twins.folder, meanwhile), options(at=LONG_AFTER + 3 * DAY_US, keep_us=0), TRADES)
    for days in (4, 6, 8):
        run(twins.store, options(at=LONG_AFTER + days * DAY_US), TRADES)
        assert twins.nothing_is_lost()
    assert len(objects(twins.store)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_replaced_late_and_killed_at_random_it_ends_with_what_was_recorded(seed: int, tmp_path: Path) -> None:
    """Nothing is deleted by its age meanwhile, so that every replacement comes in time."""
    chance = random.Random(seed)
    twins = Twins(tmp_path)
    twins.record(BATCHES[:6])
    deaths = 0
    for hours in itertools.count():
        if chance.random() < 0.3:
            twins.repair(chance.choice(twins.keys), without=chance.randrange(30))
        if chance.random() < 0.2:
            twins.late(100 + hours, DAY + 2 * HOUR + hours)
        settings = options(at=LONG_AFTER + hours * 60_000_000)
        try:
            run(mortal(twins.folder, chance.randint(1, 14), is_before=chance.random() < 0.5), settings, TRADES)
            run(twins.store, settings, TRADES)
            assert twins.are_equal()
        except Killed:
            deaths += 1
            assert twins.nothing_is_lost()
        if deaths == 12:
            break
    run(twins.store, options(at=LONG_AFTER + DAY_US), TRADES)
    assert twins.are_equal()
    run(twins.store, options(at=LONG_AFTER + 4 * DAY_US), TRADES)
    assert twins.are_equal()
    assert len(objects(twins.store)) == 2
