import pytest

from load_process.ledger import LOADED, QUARANTINED, Ledger, LedgerEntry, LoadError
from pipeline.warehouse import Warehouse

KEY = "data_sources/klines_pricing/symbol=币安 'quoted' %3D/2024-01.parquet"


def entry(etag: str, status: str = LOADED, rows: int = 5) -> LedgerEntry:
    return LedgerEntry("crypto", KEY, etag, "klines", rows, 2**64 - 1, status, 1)


def test_what_was_never_recorded_is_not_done(warehouse: Warehouse) -> None:
    assert not Ledger(warehouse).is_done("crypto", KEY, "abc")


@pytest.mark.parametrize("status", [LOADED, QUARANTINED])
def test_what_was_loaded_or_refused_for_good_is_done(status: str, warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record(entry("abc", status))
    assert ledger.is_done("crypto", KEY, "abc")


def test_another_version_or_bucket_or_key_is_not_done(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record(entry("abc"))
    assert [
        ledger.is_done(*other) for other in [("crypto", KEY, "abd"), ("other", KEY, "abc"), ("crypto", f"{KEY}x", "abc")]
    ] == [
        False,
        False,
        False,
    ]


def test_an_entry_is_a_row_and_recording_it_twice_is_harmless(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse)
    ledger.record(entry("abc"))
    ledger.record(entry("abc"))
    rows = warehouse.query("select bucket, key, etag, dataset, rows, checksum, status, attempts from ops_loaded_objects final")
    assert [tuple(row) for row in rows] == [("crypto", KEY, "abc", "klines", 5, 2**64 - 1, "loaded", 1)]


def test_every_failed_try_is_a_row_of_its_own(warehouse: Warehouse) -> None:
    error = LoadError("crypto", KEY, "abc", "klines", "not_parquet", "it's text", "quarantined", 2)
    for _ in range(2):
        Ledger(warehouse).record_error(error)
    rows = warehouse.query("select bucket, key, etag, dataset, reason, detail, fate, attempts from ops_load_errors")
    assert [tuple(row) for row in rows] == [("crypto", KEY, "abc", "klines", "not_parquet", "it's text", "quarantined", 2)] * 2
