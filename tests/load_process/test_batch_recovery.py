"""One loader after another, dying wherever it may: each row of each object is in bronze and in silver once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.load_process.conftest import FOLDER, KEY, klines, ledger
from tests.load_process.mortal_loader import (
    DEATHS,
    Death,
    Killed,
    MortalWarehouse,
    bronze,
    die_inserting,
    insert,
    inserter,
    landed,
    silver_count,
)

from load_process.batch_insert import Statuses
from load_process.ledger import BatchManifest, Claims
from load_process.limits import LoadLimits
from load_process.objects import DecodedObject, LoadStatus, ObjectVersion
from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_what_a_dead_loader_left_is_there_once_whoever_comes_next(
    death: Death, moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    """In the same company, in another order, with others, in part, alone."""
    companies: dict[str, Callable[[list[DecodedObject]], list[list[DecodedObject]]]] = {
        "same": lambda them: [them],
        "turned": lambda them: [them[::-1]],
        "more": lambda them: [[landed(moto_lake, "x", 1_000), *them[::-1], landed(moto_lake, "y", 1_001, 1_002)]],
        "part": lambda them: [them[1:2], them],
        "alone": lambda them: [[item] for item in them],
        "twice": lambda them: [them, them[::-1]],
    }
    for name, groups_of in companies.items():
        first = 100 * list(companies).index(name)
        objects = [
            landed(moto_lake, f"{name}-{number}", *range(first + 10 * number, first + 11 * number + 1)) for number in range(3)
        ]
        die_inserting(moto_lake, warehouse_settings, objects, death)
        for group in groups_of(objects):
            assert insert(moto_lake, warehouse, *group) == [LoadStatus.DONE] * len(group)
    expected = {f"{name}-{number}": number + 1 for name in companies for number in range(3)} | {"x": 1, "y": 2}
    assert bronze(warehouse) == expected
    assert silver_count(warehouse) == sum(expected.values())
    assert len(ledger(warehouse)) == len(expected)


def test_a_claim_alone_is_repeated_under_its_own_token(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    """The next loader wants one of three and inserts all of them, as the dead one would have."""
    objects = [landed(moto_lake, str(number), number) for number in range(3)]
    die_inserting(moto_lake, warehouse_settings, objects, DEATHS["after the claim"])
    assert insert(moto_lake, warehouse, objects[1]) == [LoadStatus.DONE]
    assert bronze(warehouse) == {"0": 1, "1": 1, "2": 1}
    assert len(ledger(warehouse)) == 3
    assert warehouse.query("select uniqExact(batch) from ops_load_claims") == [(1,)]


def test_an_insert_whose_answer_was_lost_is_repeated_and_doubles_nothing(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    def lose_the_answer() -> None:
        raise WarehouseUnavailable("connection reset")

    objects = [landed(moto_lake, str(number), number, number + 1) for number in range(3)]
    flaky = MortalWarehouse(warehouse_settings, Death("insert", is_before=False, nth=1), lose_the_answer)
    batches = inserter(moto_lake, flaky)
    with pytest.raises(WarehouseUnavailable):
        batches.insert(objects)
    assert set(batches.insert(objects).values()) == {LoadStatus.DONE}  # as the loader's loop does it
    flaky.close()
    assert bronze(warehouse) == {"0": 2, "1": 2, "2": 2}
    assert len(ledger(warehouse)) == 3


def test_an_object_that_a_rival_claims_at_the_same_moment_is_for_later(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    """The rival wrote its claim between our look at the claims and ours."""
    mine, contested, theirs = objects = [landed(moto_lake, str(number), number) for number in range(3)]
    rival = BatchManifest("rival", (contested.version, theirs.version))
    meeting = MortalWarehouse(warehouse_settings, Death("claim", is_before=True), lambda: Claims(warehouse).claim(rival))
    with closing(meeting):
        statuses = inserter(moto_lake, meeting).insert([mine, contested])
    assert statuses == {mine.version: LoadStatus.DONE, contested.version: LoadStatus.RETRY}
    assert bronze(warehouse) == {"0": 1}
    assert Claims(warehouse).manifests_with([contested.version]) == [rival]

    assert insert(moto_lake, warehouse, contested) == [LoadStatus.DONE]  # the rival died
    assert bronze(warehouse) == {"0": 1, "1": 1, "2": 1}
    assert insert(moto_lake, warehouse, *objects) == [LoadStatus.DONE] * 3
    assert silver_count(warehouse) == 3


def test_two_rivals_that_see_each_other_both_come_back_and_one_of_them_loads_it(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    one, contested, other = [landed(moto_lake, str(number), number) for number in range(3)]
    seen: list[Statuses] = []

    def meet() -> None:
        """After our claim and before our look the other one claims, looks and gives up."""
        seen.append(inserter(moto_lake, other_side).insert([contested, other]))

    other_side = MortalWarehouse(warehouse_settings, Death("claim", is_before=True), lambda: claims.claim(mine))
    claims = Claims(warehouse)
    mine = BatchManifest("mine", (one.version, contested.version))
    meet()
    assert seen == [{contested.version: LoadStatus.RETRY, other.version: LoadStatus.DONE}]
    claims.release("mine", [contested.version])  # we saw its claim, too
    assert insert(moto_lake, warehouse, contested) == [LoadStatus.DONE]
    assert insert(moto_lake, warehouse, one) == [LoadStatus.DONE]
    other_side.close()
    assert bronze(warehouse) == {"0": 1, "1": 1, "2": 1}


def test_of_two_dead_loaders_that_claimed_the_same_object_only_one_is_repeated(moto_lake: Lake, warehouse: Warehouse) -> None:
    """Both wrote their claims, and the machine lost its power before either could look."""
    objects = [landed(moto_lake, str(number), number) for number in range(3)]
    one, both, other = (item.version for item in objects)
    Claims(warehouse).claim(BatchManifest("a", (one, both)))
    Claims(warehouse).claim(BatchManifest("b", (both, other)))
    assert insert(moto_lake, warehouse, objects[1]) == [LoadStatus.DONE]
    assert insert(moto_lake, warehouse, *objects) == [LoadStatus.DONE] * 3
    assert bronze(warehouse) == {"0": 1, "1": 1, "2": 1}


def test_a_claim_on_what_another_batch_has_loaded_since_is_repeated_without_it(moto_lake: Lake, warehouse: Warehouse) -> None:
    """The other batch was under way when the dead loader wrote its claim; it died before it saw that."""
    left, loaded = objects = [landed(moto_lake, str(number), number) for number in range(2)]
    assert insert(moto_lake, warehouse, loaded) == [LoadStatus.DONE]
    Claims(warehouse).claim(BatchManifest("dead", (left.version, loaded.version)))
    assert insert(moto_lake, warehouse, *objects) == [LoadStatus.DONE] * 2
    assert bronze(warehouse) == {"0": 1, "1": 1}
    assert len(ledger(warehouse)) == 2


def test_a_batch_of_which_an_object_was_replaced_is_given_up_and_silver_stays_exact(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    objects = [landed(moto_lake, str(number), number) for number in range(3)]
    die_inserting(moto_lake, warehouse_settings, objects, DEATHS["after the claim"])
    newer = landed(moto_lake, "1", 1, 9, close="2.5")
    assert insert(moto_lake, warehouse, newer, objects[2]) == [LoadStatus.DONE] * 2
    assert insert(moto_lake, warehouse, objects[0]) == [LoadStatus.DONE]
    assert bronze(warehouse) == {"0": 1, "1": 2, "2": 1}
    assert [row[0] for row in ledger(warehouse)] == [f"{FOLDER}/{number}.parquet" for number in (1, 2, 0)]


def test_rows_of_a_batch_that_is_given_up_are_taken_out_before_they_are_loaded_anew(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    objects = [landed(moto_lake, "0", 0), landed(moto_lake, "1", 1, 5), landed(moto_lake, "2", 2)]
    die_inserting(moto_lake, warehouse_settings, objects, DEATHS["after the insert"])
    newer = landed(moto_lake, "1", 1, 9, close="2.5")
    assert insert(moto_lake, warehouse, newer, objects[2]) == [LoadStatus.DONE] * 2
    assert insert(moto_lake, warehouse, objects[0]) == [LoadStatus.DONE]
    assert bronze(warehouse) == {"0": 1, "1": 2, "2": 1}
    assert warehouse.query("select toHour(open_time) from klines order by open_time") == [(0,), (1,), (2,), (9,)]


class UnavailableForOneLook(Warehouse):
    """When somebody first asks what bronze has."""

    is_over = False

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        if not self.is_over and "from bronze_klines" in sql:
            self.is_over = True
            raise WarehouseUnavailable("unavailable for this one call")
        return super().query(sql, parameters)


def test_rows_that_a_kill_cost_the_engine_are_not_in_the_ledger_before_they_are_there(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    """MergeTree notes a block before it adds the part: the token is known, the rows are not there."""
    item = landed(moto_lake, "0", 0, 1)
    die_inserting(moto_lake, warehouse_settings, [item], DEATHS["after the insert"])
    for table in ("bronze_klines", "silver_klines"):
        warehouse.delete_object(table, item.version.key)
    batches = inserter(moto_lake, UnavailableForOneLook(warehouse._client))
    with pytest.raises(WarehouseUnavailable):
        batches.insert([item])
    assert ledger(warehouse) == []
    assert batches.insert([item]) == {item.version: LoadStatus.DONE}
    assert (bronze(warehouse), silver_count(warehouse)) == ({"0": 2}, 2)


def test_a_batch_of_which_an_object_is_gone_is_given_up_too(
    moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    objects = [
        landed(moto_lake, "0", 0),
        DecodedObject(ObjectVersion(moto_lake.store.bucket, KEY, "gone"), KLINES, klines(1), 0, 1),
    ]
    die_inserting(moto_lake, warehouse_settings, objects, DEATHS["after the claim"])
    assert insert(moto_lake, warehouse, objects[0]) == [LoadStatus.DONE]
    assert bronze(warehouse) == {"0": 1}


@pytest.mark.parametrize("seed", range(6))
def test_loaders_that_die_anywhere_in_any_company_leave_every_row_once(
    seed: int, moto_lake: Lake, warehouse: Warehouse, warehouse_settings: WarehouseSettings
) -> None:
    chance = random.Random(seed)
    objects = [landed(moto_lake, str(hour), *range(hour, hour + chance.randrange(6))) for hour in range(0, 3_000, 375)]
    for _ in range(12):
        group = chance.sample(objects, chance.randint(1, 5))
        death = Death(chance.choice(["claim", "insert", "ledger", "release"]), chance.random() < 0.5, chance.randint(1, 3))
        with closing(MortalWarehouse(warehouse_settings, death)) as mortal:
            try:
                inserter(moto_lake, mortal, LoadLimits(insert_rows=3, rows=chance.choice([4, 100]))).insert(group)
            except Killed:
                continue
    assert insert(moto_lake, warehouse, *chance.sample(objects, 8)) == [LoadStatus.DONE] * 8
    rows = {
        item.version.key.rpartition("/")[2].removesuffix(".parquet"): item.table.num_rows
        for item in objects
        if item.table.num_rows
    }
    assert bronze(warehouse) == rows
    assert silver_count(warehouse) == sum(rows.values())
    assert len(ledger(warehouse)) == 8
