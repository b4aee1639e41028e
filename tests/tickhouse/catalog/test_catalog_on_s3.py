"""The same over a bucket: a catalogue that the settings name, metadata and data in S3."""

from pathlib import Path

import pytest
from conftest import Lake
from pyiceberg.catalog import load_catalog
from tests.commands import run_here, run_python
from tests.tickhouse.catalog.catalogues import register
from tests.tickhouse.compact.lakes import DAY, DAY_US, HOUR, SYMBOLS, record_all, run, with_doubles
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades

import tickhouse as th
from tickhouse_core.datasets import TRADES
from tickhouse_core.iceberg.catalogue import open_catalogue
from tickhouse_core.iceberg.snapshots import files_of, newest


def test_a_bucket_is_registered_and_read_by_snapshot(moto_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_all(moto_lake.store, with_doubles())
    run(moto_lake.store)
    nameless = run_here("tickhouse.cli", "catalog")
    assert (nameless.returncode, "no catalogue is named: --catalog-uri or TICKHOUSE_CATALOG_URI" in nameless.stderr) == (2, True)

    monkeypatch.setenv("TICKHOUSE_CATALOG_URI", f"sqlite:///{tmp_path}/catalog.db")
    done = register(moto_lake.store)
    assert (done["trades"].added, done["trades"].rows) == (2, 124)
    catalogue = open_catalogue(moto_lake.store)
    table, snapshot = catalogue.table(TRADES), newest(catalogue)
    assert table is not None
    assert snapshot is not None
    assert table.location() == f"s3://{moto_lake.store.bucket}/iceberg/trades"
    assert table.scan().to_arrow().num_rows == 124

    span = (SYMBOLS, DAY, DAY + DAY_US)
    place = f"s3://{moto_lake.store.bucket}"
    assert th.open(place, snapshot=snapshot.snapshot_id).trades(*span).arrow() == th.open(place).trades(*span).arrow()


@pytest.mark.slow
def test_a_bucket_is_registered_in_glue(moto_lake: Lake) -> None:
    """As the documentation says, by variables of pyiceberg's own; the second run replaces what was compacted anew."""
    record_all(moto_lake.store, with_doubles())
    run(moto_lake.store)
    named = moto_lake.environment | {"PYICEBERG_CATALOG__TICKHOUSE__TYPE": "glue"}
    first = run_python("-m", "tickhouse", "catalog", environment=named).stdout
    assert "trades" in first
    write(moto_lake.store, TRADES, trades([500], times_us=[DAY + 2 * HOUR]), "late", DAY + 2 * HOUR)
    run(moto_lake.store)
    run_python("-m", "tickhouse", "catalog", environment=named)
    table = load_catalog("tickhouse", type="glue", **{"s3.endpoint": moto_lake.environment["AWS_ENDPOINT_URL"]}).load_table(
        ("tickhouse", "trades")
    )
    assert [len(list(files_of(table, one))) for one in table.snapshots()] == [2, 2]
    assert table.scan().to_arrow().num_rows == 125
