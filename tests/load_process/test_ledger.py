import pytest

from load_process.ledger import LOADED, QUARANTINED, Ledger, LedgerEntry, LoadError
from load_process.objects import ObjectVersion
from tickhouse_core.warehouse import Warehouse

KEY = "data_sources/klines_pricing/symbol=币安 'quoted' %3D/2024-01.parquet"
VERSION = ObjectVersion("crypto", KEY, "abc")


def entry(etag: str, status: str = LOADED, rows: int = 5) -> LedgerEntry:
    return LedgerEntry("crypto", KEY, etag, "klines", rows, 2**64 - 1, status, 1)


def test_what_was_never_recorded_is_not_done(warehouse: Warehouse) -> None:
    assert Ledger(warehouse).done([VERSION]) == set()
    assert Ledger(warehouse).done([]) == set()


@pytest.mark.parametrize("status", [LOADED, QUARANTINED])
def test_what_was_loaded_or_refused_for_good_is_done(status: str, warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record([entry("abc", status)])
    assert ledger.done([VERSION]) == {VERSION}


def test_another_version_or_bucket_or_key_is_not_done(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record([entry("abc")])
    others = [VERSION._replace(etag="abd"), VERSION._replace(bucket="other"), VERSION._replace(key=f"{KEY}x")]
    assert ledger.done(others) == set()
    assert ledger.done([*others, VERSION]) == {VERSION}


def test_many_are_asked_for_and_recorded_at_once(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    versions = [VERSION._replace(key=f"{KEY}/{number}") for number in range(1_000)]  # a whole window
    ledger.record([LedgerEntry(*version, "klines", 1, 1, LOADED, 1) for version in versions[::2]])
    assert ledger.done(versions) == set(versions[::2])


def test_an_entry_is_a_row_and_recording_it_twice_is_harmless(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record([entry("abc")])
    ledger.record([entry("abc")])
    rows = warehouse.query("select bucket, key, etag, dataset, rows, checksum, status, attempts from ops_loaded_objects final")
    assert [tuple(row) for row in rows] == [("crypto", KEY, "abc", "klines", 5, 2**64 - 1, "loaded", 1)]


def test_every_failed_try_is_a_row_of_its_own(warehouse: Warehouse) -> None:
    error = LoadError("crypto", KEY, "abc", "klines", "not_parquet", "it's text", "quarantined", 2)
    for _ in range(2):
        Ledger(warehouse).record_error(error)
    rows = warehouse.query("select bucket, key, etag, dataset, reason, detail, fate, attempts from ops_load_errors")
    assert [tuple(row) for row in rows] == [("crypto", KEY, "abc", "klines", "not_parquet", "it's text", "quarantined", 2)] * 2
