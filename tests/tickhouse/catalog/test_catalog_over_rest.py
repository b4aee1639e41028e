"""Commits over a REST catalogue, which pyiceberg's own variables name: conflicts, lost answers, and servers that refuse."""

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from conftest import Lake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from tests.commands import run_here, run_python
from tests.tickhouse.catalog.catalogues import MONTH, register
from tests.tickhouse.catalog.rest_server import TOKEN, RestServer
from tests.tickhouse.compact.lakes import DAY, DAY_US, HOUR, SYMBOLS, record_all, run, trades_seen, with_doubles
from tests.tickhouse.test_read_api import write
from tests.transform_process.warehouse_rows import trades

import tickhouse as th
from tickhouse_core.datasets import TRADES
from tickhouse_core.errors import AccessRefused, CatalogUnavailable, UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.iceberg import rest
from tickhouse_core.iceberg.catalogue import Catalogue, open_catalogue
from tickhouse_core.iceberg.snapshots import newest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import now_us

VARIABLES = "PYICEBERG_CATALOG__TICKHOUSE__"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestServer]:
    """The settings name it."""
    with RestServer(SqlCatalog("behind", uri=f"sqlite:///{tmp_path}/behind.db")).running() as running:
        for name, value in {"TYPE": "rest", "URI": running.url, "TOKEN": TOKEN}.items():
            monkeypatch.setenv(VARIABLES + name, value)
        yield running


@pytest.fixture
def catalogue(store: FolderStore, server: RestServer) -> Catalogue:
    return open_catalogue(store)


def late(store: ObjectStore, number: int = 500) -> None:
    write(store, TRADES, trades([number], times_us=[DAY + HOUR + number]), "late", DAY + HOUR + number)
    run(store)


def table_of(catalogue: Catalogue) -> Table:
    table = catalogue.table(TRADES)
    assert table is not None
    return table


def newest_id(catalogue: Catalogue) -> int:
    found = newest(catalogue)
    assert found is not None
    return found.snapshot_id


def test_a_lake_is_registered_again_and_read_by_its_old_snapshot_until_that_ends(
    folder: Path, store: FolderStore, server: RestServer, catalogue: Catalogue
) -> None:
    register(store, catalogue)
    old, before = newest_id(catalogue), trades_seen(folder)
    late(store)
    done = register(store, catalogue)["trades"]
    assert (done.added, done.removed, done.commits, done.rows) == (2, 2, 1, 125)
    table = table_of(catalogue)
    assert table.location() == f"file://{folder}/iceberg/trades"
    assert [table.scan(snapshot_id=one.snapshot_id).to_arrow().num_rows for one in table.snapshots()] == [124, 125]
    span = (SYMBOLS, DAY, DAY + DAY_US)
    assert th.open(folder, snapshot=old).trades(*span, exact=True).arrow().to_pylist() == before
    assert th.open(folder, snapshot=newest_id(catalogue)).trades(*span, exact=True).arrow().to_pylist() == trades_seen(folder)

    files = len(list((folder / "iceberg" / "trades" / "metadata").glob("*.avro")))
    register(store, catalogue, at=now_us() + MONTH + DAY_US)
    with pytest.raises(UsageError, match=f"snapshot {old}: .* which expired: take a newer one"):
        th.open(folder, snapshot=old)
    assert len(list((folder / "iceberg" / "trades" / "metadata").glob("*.avro"))) < files
    assert th.open(folder, snapshot=newest_id(catalogue)).trades(*span, exact=True).arrow().to_pylist() == trades_seen(folder)


def test_of_two_runs_at_once_the_one_whose_commit_is_refused_decides_again(
    folder: Path, store: FolderStore, server: RestServer, catalogue: Catalogue
) -> None:
    register(store, catalogue)
    late(store)
    numbers = count()

    def meanwhile() -> None:
        if next(numbers) == 0:
            late(store, 600)
            register(store, open_catalogue(store))

    server.before_commit = meanwhile
    register(store, catalogue)
    assert server.refused.count(409) == 1
    assert table_of(catalogue).scan().to_arrow().num_rows == len(trades_seen(folder)) == 126
    assert all(one.commits == 0 for one in register(store, catalogue).values())


@pytest.mark.parametrize("status", [500, 503])
def test_a_commit_whose_answer_is_lost_counts_and_the_next_run_goes_on(
    folder: Path, store: FolderStore, server: RestServer, catalogue: Catalogue, status: int
) -> None:
    """Nothing of it may be deleted: the catalogue has it."""
    register(store, catalogue)
    late(store)
    server.after_commit = status
    with pytest.raises(CatalogUnavailable, match="what became of it is not known"):
        register(store, catalogue)
    server.after_commit = None
    assert register(store, catalogue)["trades"].added == 0
    assert table_of(catalogue).scan().to_arrow().num_rows == len(trades_seen(folder)) == 125


def test_a_catalogue_that_puts_tables_elsewhere_is_refused_in_one_line_and_left_as_it_was(
    folder: Path, store: FolderStore, server: RestServer, tmp_path: Path
) -> None:
    server.places = lambda name: f"file://{tmp_path}/warehouse/{name}-7f3a"
    for _ in range(2):
        done = run_here("tickhouse.cli", "catalog", "--data", str(folder.parent))
        said = f"the catalogue put it at file://{tmp_path}/warehouse/stream_events-7f3a instead of file://{folder}/iceberg/"
        assert (done.returncode, len(done.stderr.splitlines()), said in done.stderr) == (2, 1, True), done.stderr
    assert server.tables == []
    server.places = None
    assert run_here("tickhouse.cli", "catalog", "--data", str(folder.parent)).returncode == 0


def test_a_user_who_may_not_make_a_namespace_needs_only_that_it_is_there(
    store: FolderStore, server: RestServer, catalogue: Catalogue
) -> None:
    server.keeps_namespaces = True
    with pytest.raises(AccessRefused, match="this user makes no namespace; check the catalogue's credentials"):
        register(store, catalogue)
    server.keeps_namespaces = False
    server.make_namespace("tickhouse")
    server.keeps_namespaces = True
    assert register(store, catalogue)["trades"].rows == 124


def test_a_server_that_refuses_or_is_none_is_one_line(
    folder: Path, store: FolderStore, server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("tickhouse.cli", "catalog", "--data", str(folder.parent), "--dry-run")
    monkeypatch.setenv(f"{VARIABLES}TOKEN", "of another")
    refused = run_here(*command)
    assert (refused.returncode, "who are you?; check the catalogue's credentials" in refused.stderr) == (2, True), refused.stderr
    none = run_here(*command, "--catalog-uri", "http://127.0.0.1:9")
    assert (none.returncode, "the catalogue: " in none.stderr) == (1, True), none.stderr
    assert len(refused.stderr.splitlines()) == len(none.stderr.splitlines()) == 1


def test_a_server_that_is_silent_is_not_waited_for_without_end(
    store: FolderStore, server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "TIMEOUT_SECONDS", 0.1)
    ended = threading.Event()
    catalogue = open_catalogue(store)
    server.before_answer = lambda: ended.wait() and None
    try:
        with pytest.raises(CatalogUnavailable, match="timed out"):
            catalogue.table(TRADES)
        with pytest.raises(CatalogUnavailable, match="timed out"):
            open_catalogue(store)
    finally:
        ended.set()


def test_tables_come_with_all_snapshots_whatever_the_settings_say(
    store: FolderStore, server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no snapshot has is released: with those of branches only, objects of old snapshots would be deleted."""
    monkeypatch.setenv(f"{VARIABLES}SNAPSHOT_LOADING_MODE", "refs")
    server.overrides = {"snapshot-loading-mode": "refs"}
    catalogue = open_catalogue(store)
    register(store, catalogue)
    late(store)
    register(store, catalogue)
    assert len(table_of(catalogue).snapshots()) == 2


@pytest.mark.slow
def test_a_bucket_is_registered_over_rest_by_settings_alone(moto_lake: Lake, tmp_path: Path) -> None:
    """As the documentation says: pyiceberg's own variables, here with an id and a secret."""
    record_all(moto_lake.store, with_doubles())
    run(moto_lake.store)
    behind = SqlCatalog(
        "behind", uri=f"sqlite:///{tmp_path}/behind.db", **{"s3.endpoint": moto_lake.environment["AWS_ENDPOINT_URL"]}
    )
    with RestServer(behind).running() as server:
        named = {"TYPE": "rest", "URI": server.url, "CREDENTIAL": "id:secret"}
        environment = moto_lake.environment | {VARIABLES + name: value for name, value in named.items()}
        run_python("-m", "tickhouse", "catalog", environment=environment)
        late(moto_lake.store)
        assert "\ntrades" in run_python("-m", "tickhouse", "catalog", environment=environment).stdout
    table = behind.load_table(("tickhouse", "trades"))
    assert table.location() == f"s3://{moto_lake.store.bucket}/iceberg/trades"
    first, second = table.snapshots()
    assert [table.scan(snapshot_id=one.snapshot_id).to_arrow().num_rows for one in (first, second)] == [124, 125]
