from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load_process.conftest import klines

from load_process.ledger import BatchManifest
from load_process.limits import INSERTERS, LoadLimits
from load_process.objects import DecodedObject, ObjectVersion, cut_into_batches
from tickhouse_core.datasets import KLINES, TRADES, Dataset

ONE_ROW = klines(0).nbytes
VERSIONS = st.builds(
    ObjectVersion, st.sampled_from(["crypto", "crypt"]), st.sampled_from(["a", "b", "o/a", "ab"]), st.text(max_size=2)
)


def read(number: int, rows: int = 1, dataset: Dataset = KLINES) -> DecodedObject:
    return DecodedObject(ObjectVersion("crypto", f"{number}", "e"), dataset, klines(*range(rows)), 0, 1)


def cut(objects: list[DecodedObject], limits: LoadLimits) -> list[list[str]]:
    return [[item.version.key for item in batch] for batch in cut_into_batches(objects, limits)]


@pytest.mark.parametrize(
    ("rows", "most", "batches"),
    [
        ([], 5, []),
        ([1, 1, 1], 5, [["0", "1", "2"]]),
        ([2, 3], 5, [["0", "1"]]),
        ([2, 3, 1], 5, [["0", "1"], ["2"]]),
        ([6], 5, [["0"]]),
        ([1, 6, 1], 5, [["0"], ["1"], ["2"]]),
        ([5, 5], 5, [["0"], ["1"]]),
        ([5, 0, 0, 5], 5, [["0", "1", "2"], ["3"]]),
        ([0, 0], 1, [["0", "1"]]),
    ],
)
def test_objects_are_together_up_to_the_rows_of_a_batch(rows: list[int], most: int, batches: list[list[str]]) -> None:
    assert cut([read(number, count) for number, count in enumerate(rows)], LoadLimits(rows=most)) == batches


@pytest.mark.parametrize(
    ("most", "batches"),
    [(1, [["0"], ["1"], ["2"]]), (2 * ONE_ROW, [["0", "1"], ["2"]]), (3 * ONE_ROW, [["0", "1", "2"]])],
)
def test_objects_are_together_up_to_the_bytes_of_a_batch(most: int, batches: list[list[str]]) -> None:
    assert cut([read(number) for number in range(3)], LoadLimits(batch_bytes=most)) == batches


def test_datasets_are_never_together_and_split_no_others() -> None:
    objects = [read(0), read(1, dataset=TRADES), read(2), read(3, dataset=TRADES)]
    assert cut(objects, LoadLimits()) == [["0", "2"], ["1", "3"]]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([KLINES, TRADES])), max_size=30), st.integers(1, 20))
def test_every_object_is_in_one_batch_in_its_order_and_no_batch_is_too_large(
    objects: list[tuple[int, Dataset]], most: int
) -> None:
    items = [read(number, rows, dataset) for number, (rows, dataset) in enumerate(objects)]
    batches = list(cut_into_batches(items, LoadLimits(rows=most)))
    assert sorted((item for batch in batches for item in batch), key=items.index) == items
    for dataset in (KLINES, TRADES):
        assert [item for batch in batches for item in batch if item.dataset is dataset] == [
            item for item in items if item.dataset is dataset
        ]
    for batch in batches:
        assert len({item.dataset.name for item in batch}) == 1
        assert len(batch) == 1 or sum(item.table.num_rows for item in batch) <= most


@given(st.lists(VERSIONS, max_size=4), st.lists(VERSIONS, max_size=4))
def test_a_token_is_of_these_members_in_this_order(one: list[ObjectVersion], other: list[ObjectVersion]) -> None:
    assert (BatchManifest("b", tuple(one)).token == BatchManifest("b", tuple(other)).token) is (one == other)


def test_a_token_tells_batches_and_members_apart() -> None:
    members = [ObjectVersion("crypto", "a", "1"), ObjectVersion("crypto", "b", "1")]
    others = [members[::-1], members[:1], members[1:], [], [members[0]._replace(etag="2"), members[1]]]
    tokens = {BatchManifest(batch, tuple(some)).token for batch in ("b", "c") for some in [members, *others]}
    assert len(tokens) == 12


def test_a_token_is_the_same_in_every_process() -> None:
    """A loader that repeats what another began has nothing but the manifest."""
    assert BatchManifest("b", (ObjectVersion("crypto", "币 安", "1"),)).token == "b:d5737a4141f2346b5b521ac7a29f0573"


def test_the_same_table_of_two_versions_are_two_members() -> None:
    items = [read(0), replace(read(0), version=ObjectVersion("crypto", "0", "f"))]
    assert cut(items, LoadLimits()) == [["0", "0"]]


@given(
    rows=st.integers(0, 10_000_000),
    size=st.integers(0, 2**34),
    limits=st.builds(LoadLimits, insert_rows=st.integers(1, 10**6), insert_bytes=st.integers(1, 2**30)),
)
def test_slices_of_an_insert_keep_both_limits_and_are_no_more_than_that_takes(rows: int, size: int, limits: LoadLimits) -> None:
    """Rows are taken for equally large; a row that is larger than the limit alone is a slice."""
    slice_rows = limits.rows_an_insert(rows, size)
    assert 1 <= slice_rows <= limits.insert_rows
    assert slice_rows == 1 or (slice_rows - 1) * size <= limits.insert_bytes * rows
    needed = max(rows / limits.insert_rows, size / limits.insert_bytes)
    assert rows <= slice_rows * (needed + INSERTERS), "no more slices than the limits ask for and connections share evenly"


def test_a_batch_of_wide_rows_goes_in_several_slices() -> None:
    assert LoadLimits().rows_an_insert(125_000, 160 * 1024**2) == 62_500
    assert LoadLimits().rows_an_insert(1_000_000, 200 * 1024**2) == 500_000
    assert LoadLimits().rows_an_insert(2_000, 400_000) == 2_000


def test_each_connection_gets_as_many_slices() -> None:
    assert LoadLimits().rows_an_insert(1_000_000, 360 * 1024**2) == 250_000, "three would do, and one connection would wait"
