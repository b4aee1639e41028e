import random

import pytest

from load_process.ledger import BatchManifest, Claims
from load_process.objects import ObjectVersion
from tickhouse_core.warehouse import Warehouse

A, B, C, D = VERSIONS = [ObjectVersion("crypto", f"data_sources/x/{name}.parquet", "1") for name in ("a 币", "b's", "c", "d")]
ONE = BatchManifest("one", (C, A, B))


@pytest.fixture
def claims(warehouse: Warehouse) -> Claims:
    return Claims(warehouse)


def test_a_manifest_is_found_by_any_of_its_members_in_its_order(claims: Claims) -> None:
    claims.claim(ONE)
    for version in ONE.members:
        assert claims.manifests_with([version]) == [ONE]
    assert claims.manifests_with(VERSIONS) == [ONE]
    assert claims.manifests_with(dict.fromkeys(VERSIONS).keys()) == [ONE]


def test_what_nobody_claims_is_in_no_manifest(claims: Claims) -> None:
    assert claims.manifests_with([A]) == []
    claims.claim(ONE)
    assert claims.manifests_with([D]) == []
    assert claims.manifests_with([]) == []


@pytest.mark.parametrize("other", [A._replace(etag="2"), A._replace(bucket="other"), A._replace(key=f"{A.key}x")])
def test_another_version_is_another_object(other: ObjectVersion, claims: Claims) -> None:
    claims.claim(ONE)
    assert claims.manifests_with([other]) == []
    claims.claim(BatchManifest("two", (other,)))
    assert claims.manifests_with([other]) == [BatchManifest("two", (other,))]
    assert claims.manifests_with([A]) == [ONE]


def test_several_manifests_that_claim_an_object_are_all_found_but_the_own(claims: Claims) -> None:
    two = BatchManifest("two", (B, D))
    claims.claim(ONE)
    claims.claim(two)
    assert claims.manifests_with([B]) == [ONE, two]
    assert claims.manifests_with([B], other_than="one") == [two]
    assert claims.manifests_with([D], other_than="two") == []


def test_what_is_released_is_no_member_any_more(claims: Claims) -> None:
    claims.claim(ONE)
    claims.release("one", [A])
    assert claims.manifests_with([A]) == []
    assert claims.manifests_with([B]) == [BatchManifest("one", (C, B))]
    claims.release("one", [])
    claims.release("one", [B, C])
    assert claims.manifests_with(VERSIONS) == []


def test_releasing_from_one_batch_leaves_the_others(claims: Claims) -> None:
    two = BatchManifest("two", (A,))
    claims.claim(ONE)
    claims.claim(two)
    claims.release("one", ONE.members)
    assert claims.manifests_with([A]) == [two]


def test_the_later_word_counts_also_after_a_merge(claims: Claims, warehouse: Warehouse) -> None:
    claims.claim(ONE)
    claims.release("one", ONE.members)
    claims.claim(ONE)
    warehouse.command("optimize table ops_load_claims final")
    assert claims.manifests_with([A]) == [ONE]
    claims.release("one", [C])
    warehouse.command("optimize table ops_load_claims final")
    assert claims.manifests_with([A]) == [BatchManifest("one", (A, B))]


def test_a_batch_knows_when_it_was_claimed(claims: Claims, warehouse: Warehouse) -> None:
    def now() -> int:
        return int(warehouse.query("select toUnixTimestamp64Micro(now64(6))")[0][0])

    before = now()
    claims.claim(ONE)
    after = now()
    claims.release("one", [A])
    assert before <= claims.time_of("one") <= after


def test_a_window_of_a_thousand_objects_is_one_manifest_in_its_order(claims: Claims) -> None:
    members = [ObjectVersion("crypto", f"data_sources/x/币安人生USDT {number}.parquet", "1") for number in range(1_000)]
    random.Random(1).shuffle(members)
    claims.claim(BatchManifest("large", tuple(members)))
    assert claims.manifests_with(members) == [BatchManifest("large", tuple(members))]
