"""What `tickhouse catalog` registered, as other engines read it: pyiceberg, polars, chDB, DuckDB (`make peers`), Spark.

Counts, sums and decimals of a recorded session are those of our own API, before and after a compaction, and by an old snapshot.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import ROOT
from integration_tests.src.docs.shell import blocks_of
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from tests.tickhouse.catalog.catalogues import register, table_of
from tests.tickhouse.catalog.rest_server import TOKEN, RestServer
from tests.tickhouse.compact.lakes import LONG_AFTER, options, run
from tests.tickhouse.test_read_api import land_session, session  # noqa: F401
from tests.transform_process.warehouse_rows import trades, us
from tests.waiting import patience

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import DEPTH_DIFFS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key

PEERS = ROOT / ".venv-peers" / "bin" / "python"
SPARK = ROOT / ".venv-spark" / "bin" / "python"
RECIPES = ROOT / "docs" / "recipes.md"
CHDB = "import sys, chdb, json; print(json.dumps([str(chdb.query(one, 'TSV')).split() for one in sys.argv[1:]]))"
FIGURES_OF_DUCKDB = ROOT / "integration_tests" / "peers" / "iceberg_figures.py"
FIGURES_OF_SPARK = ROOT / "integration_tests" / "peers" / "spark_figures.py"
SPAN = ("2024-08-08", "2024-08-10")
FIGURES = "select count(*), sum(price), sum(quantity), max(trade_id), min(symbol) from {table}"
LEVELS = (
    "select count(*), sum(bids[1].price), sum(asks[1].quantity), max(last_update_id), min(venue) from {table} "
    "where event_time < '2024-08-08 23:59:00'"
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Registered:
    """A lake with two snapshots of its trades, and what our API says of each: figures of trades, and of diffs."""

    folder: Path
    old: int
    before: list[str]
    after: list[str]
    diffs: list[str]

    @property
    def expected(self) -> list[list[str]]:
        """Of trades now, of trades by the old snapshot, of diffs now."""
        return [self.after, self.before, self.diffs]

    def table(self, name: str) -> Table:
        return table_of(self.folder, {"trades": TRADES, "depth_diffs": DEPTH_DIFFS}[name])


@pytest.fixture(scope="module")
def registered(
    session: tuple[dict[Dataset, list[tuple[str, pa.Table]]], pa.Table],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Registered:
    """The session of two instances is compacted and registered; then a late object comes, and all of it once more."""
    folder = tmp_path_factory.mktemp("iceberg") / "data" / "lake"
    store = FolderStore(folder)
    land_session(store, session)
    midnight = us("2024-08-09")
    both = trades([9_100_000_000 + one for one in range(5)], times_us=[midnight - 2 + one for one in range(5)])
    for instance, at in (("x", midnight - 1), ("y", midnight + 1)):  # each files them under another day
        store.write(hourly_key(TRADES, "binance", at, instance, 1), parquet_bytes(both, TRADES))
    run(store)
    assert register(store)["trades"].doubles == 5
    before = _figures(folder)
    old = table_of(folder, TRADES).current_snapshot()
    assert old is not None
    at = us("2024-08-08T23:59:30")
    late = trades(
        [9_000_000_000 + one for one in range(7)], times_us=[at + one for one in range(7)], prices=["0.000000000000000001"] * 7
    )
    store.write(hourly_key(TRADES, "binance", at, "late", 1), parquet_bytes(late, TRADES))
    run(store, options(at=LONG_AFTER))
    run(store, options(at=LONG_AFTER + 2 * 86_400_000_000))
    register(store)
    diffs = th.open(folder).depth_diffs("BTCUSDT", "2024-08-08", "2024-08-08T23:59", exact=True).arrow().to_pylist()
    prices = [row["bids"][0]["price"] for row in diffs if row["bids"]]
    quantities = [row["asks"][0]["quantity"] for row in diffs if row["asks"]]
    said = [
        len(diffs),
        sum(prices, Decimal(0)),
        sum(quantities, Decimal(0)),
        max(row["last_update_id"] for row in diffs),
        "binance",
    ]
    return Registered(folder, old.snapshot_id, before, _figures(folder), _plain(said))


def test_pyiceberg_reads_the_same_as_the_api(registered: Registered) -> None:
    found = [registered.table("trades").scan(snapshot_id=one).to_arrow() for one in (None, registered.old)]
    assert [_of_rows(rows) for rows in found] == [registered.after, registered.before]
    assert registered.after != registered.before
    diffs = registered.table("depth_diffs").scan("event_time < '2024-08-08T23:59:00+00:00'").to_arrow()
    assert diffs.num_rows == int(registered.diffs[0]) > 0


def test_polars_reads_the_same_as_the_api(registered: Registered) -> None:
    """By pyiceberg: its own reader refuses unsigned ids for a column of Iceberg's `long`."""
    place = registered.table("trades").metadata_location
    found = [
        pl.scan_iceberg(place, snapshot_id=one, reader_override="pyiceberg").collect().to_arrow()
        for one in (None, registered.old)
    ]
    assert [_of_rows(rows) for rows in found] == [registered.after, registered.before]


def test_the_recipe_for_chdb_reads_the_same_as_the_api(registered: Registered) -> None:
    count, _, quantity, _, symbol = registered.after
    (query,) = blocks_of(RECIPES, "clickhouse")
    assert _said([sys.executable, "-c", CHDB, query.strip().rstrip(";")], registered.folder) == [[symbol, count, quantity]]


def test_the_recipe_for_duckdb_reads_the_same_as_the_api(registered: Registered) -> None:
    if not PEERS.exists():
        pytest.skip("no environment with DuckDB's extension for Iceberg: make peers")
    count, _, quantity, _, symbol = registered.after
    (query,) = blocks_of(RECIPES, "duckdb")
    query = query.replace("<metadata_location>", registered.table("trades").metadata_location)
    assert _said([str(PEERS), str(FIGURES_OF_DUCKDB), query], registered.folder) == [[symbol, count, quantity]]


def test_chdb_reads_the_same_as_the_api(registered: Registered) -> None:
    """In a process of its own: the engine reads local files only below the folder that it was started in."""
    queries = [
        FIGURES.format(table="icebergLocal('iceberg/trades')"),
        FIGURES.format(table="icebergLocal('iceberg/trades')") + f" settings iceberg_snapshot_id = {registered.old}",
        LEVELS.format(table="icebergLocal('iceberg/depth_diffs')"),
    ]
    assert _said([sys.executable, "-c", CHDB, *queries], registered.folder) == registered.expected


def test_duckdb_reads_the_same_as_the_api(registered: Registered) -> None:
    if not PEERS.exists():
        pytest.skip("no environment with DuckDB's extension for Iceberg: make peers")
    places = {name: registered.table(name).metadata_location for name in ("trades", "depth_diffs")}
    queries = [
        FIGURES.format(table=f"iceberg_scan('{places['trades']}')"),
        FIGURES.format(table=f"iceberg_scan('{places['trades']}', snapshot_from_id = {registered.old}::ubigint)"),
        LEVELS.format(table=f"iceberg_scan('{places['depth_diffs']}')"),
    ]
    assert _said([str(PEERS), str(FIGURES_OF_DUCKDB), *queries], registered.folder) == registered.expected


def test_spark_reads_the_same_as_the_api(registered: Registered) -> None:
    """By a REST catalogue over the lake's own. With a column of lists it refuses the table's unsigned ids."""
    if not SPARK.exists() or not shutil.which("java"):
        pytest.skip("no environment with Spark, or no Java: make spark")
    trades_table, diffs_table = "tickhouse.tickhouse.trades", "tickhouse.tickhouse.depth_diffs"
    queries = [
        FIGURES.format(table=trades_table),
        FIGURES.format(table=f"{trades_table} version as of {registered.old}"),
        f"select count(*), max(last_update_id), min(venue) from {diffs_table} where event_time < '2024-08-08 23:59:00'",
        LEVELS.format(table=diffs_table).replace("[1]", "[0]"),
    ]
    with RestServer(SqlCatalog("tickhouse", uri=f"sqlite:///{registered.folder}/iceberg/catalog.db")).running() as server:
        found = _said([str(SPARK), str(FIGURES_OF_SPARK), server.url, TOKEN, *queries], registered.folder)
    count, _, _, last, venue = registered.diffs
    assert found == [registered.after, registered.before, [count, last, venue], ["Unsupported logical type: UINT_64"]]


def _figures(folder: Path) -> list[str]:
    return _of_rows(th.open(folder).trades("BTCUSDT", *SPAN, exact=True).arrow())


def _of_rows(rows: pa.Table) -> list[str]:
    sums = [sum(rows[name].to_pylist(), Decimal(0)) for name in ("price", "quantity")]
    return _plain([rows.num_rows, *sums, pc.max(rows["trade_id"]).as_py(), pc.min(rows["symbol"]).as_py()])


def _plain(values: list[object]) -> list[str]:
    """Decimals without zeros at their end: engines print as many as they like."""
    return [f"{value.normalize():f}" if isinstance(value, Decimal) else str(value) for value in values]


def _said(command: list[str], folder: Path) -> list[list[str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return [_plain([Decimal(value) if "." in value else value for value in line]) for line in found]
