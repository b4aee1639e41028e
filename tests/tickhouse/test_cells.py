"""Cells: each has a bucket and queues of its own; what readers of all cells need is printed, and the engine takes it."""

import xml.etree.ElementTree as ET

import pytest
from conftest import Lake
from tests.commands import run_here

from tickhouse.cells import cluster_config, statements, view_names
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.cells import Cell, cell_named
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lake import lakes_of_other_cells, open_lake, open_queue
from tickhouse_core.settings import LakeSettings, read
from tickhouse_core.warehouse import Warehouse


def test_provision_makes_every_cell_and_the_first_has_the_usual_names(moto_lake: Lake) -> None:
    base = moto_lake.store.bucket
    for _ in range(2):
        done = run_here("tickhouse.cli", "provision", "--cells", "3")
        assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [f"TICKHOUSE_CELL={n}/3" for n in (1, 2, 3)]
    queues = {url.rpartition("/")[2] for url in sqs_client().list_queues()["QueueUrls"]}
    kinds = [name for queue in QUEUES for name in (queue, f"{queue}-dlq")]
    assert queues == {f"{name}{suffix}" for name in kinds for suffix in ("", "-cell-2", "-cell-3")}
    for suffix in ("", "-cell-2", "-cell-3"):
        configured = s3_client().get_bucket_notification_configuration(Bucket=f"{base}{suffix}")["QueueConfigurations"]
        arrive = {entry["QueueArn"].rpartition(":")[2] for entry in configured}
        assert arrive == {f"{queue}{suffix}" for queue in QUEUES}


def test_a_process_of_a_cell_has_its_bucket_and_queues(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    base = moto_lake.store.bucket
    assert run_here("tickhouse.cli", "provision", "--cells", "2").returncode == 0
    in_the_first = waiting()
    monkeypatch.setenv("TICKHOUSE_CELL", "2/2")
    assert open_lake().bucket == f"{base}-cell-2"
    assert [lake.bucket for lake in lakes_of_other_cells()] == [base]
    before = waiting()
    open_lake().write("data_sources/trades/venue=x/a.parquet", b"x")
    assert waiting() == before + 1
    monkeypatch.setenv("TICKHOUSE_CELL", "1/2")
    assert waiting() == in_the_first
    assert open_lake().bucket == base


def waiting() -> int:
    """A test event of S3 included."""
    return open_queue("trades-notifications").depth().visible


@pytest.mark.parametrize("text", ["2", "0/2", "3/2", "1/101", "a/b"])
def test_what_is_no_cell_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="number/count, such as 2/4"):
        cell_named(text)
    monkeypatch.setenv("TICKHOUSE_CELL", text)
    done = run_here("extract_process.stream", "--symbol", "X")
    assert done.returncode == 2
    assert "environment variable TICKHOUSE_CELL: must be number/count, such as 2/4" in done.stderr


@pytest.mark.parametrize("more", [["--aws"], ["--data", "somewhere"]])
def test_cells_are_made_alone(more: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_here("tickhouse.cli", "provision", "--cells", "2", *more)
    assert (done.returncode, "--cells makes buckets and queues of all cells" in done.stderr) == (2, True)
    monkeypatch.setenv("TICKHOUSE_CELL", "2/2")
    done = run_here("tickhouse.cli", "provision", "--cells", "2")
    assert (done.returncode, "unset TICKHOUSE_CELL" in done.stderr) == (2, True)


def test_a_cell_without_a_number_is_the_only_one() -> None:
    assert read(LakeSettings).cell == Cell() == cell_named("1/1")
    assert [str(cell) for cell in Cell(2, 3).all] == ["2/3", "1/3", "3/3"]


def test_the_engine_makes_a_table_over_all_cells_for_each_view(warehouse: Warehouse) -> None:
    """Its statements are parsed, and run with `remote` in place of the cluster, which an engine without a port lacks."""
    names = view_names(warehouse)
    assert {"trades", "klines", "depth_diffs", "gold_ohlcv_1m", "stream_events"} <= set(names)
    assert not [name for name in names if name.startswith("ops_") or name in ("gold_book_at", "silver_trades_mv")]
    printed = run_here("tickhouse.cells").stdout
    made = statements(names, warehouse.query("select currentDatabase()")[0][0])
    assert printed == "".join(f"{statement};\n" for statement in made)
    for statement in made:
        assert warehouse.query(f"explain ast {statement}")


def test_the_cluster_has_one_shard_a_cell_and_no_password() -> None:
    config = ET.fromstring(cluster_config(["one", "two:9440"], "a<b"))
    (cluster,) = config.iterfind("remote_servers/tickhouse_cells")
    replicas = [
        [shard.findtext(f"replica/{name}") for name in ("host", "port", "secure", "user")] for shard in cluster.iterfind("shard")
    ]
    assert replicas == [["one", "9000", "0", "a<b"], ["two", "9440", "1", "a<b"]]
    assert {node.get("from_env") for node in cluster.iter("password")} == {"CLICKHOUSE_CELLS_PASSWORD"}
    done = run_here("tickhouse.cells", "--host", "one:http")
    assert (done.returncode, "--host 'one:http'" in done.stderr) == (2, True)
