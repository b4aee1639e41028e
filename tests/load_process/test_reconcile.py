from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here
from tests.load_process.conftest import FOLDER, klines, parquet
from tests.load_process.operating import counts, drain, key_of, land, purge, rows_number, statuses, verdicts
from tests.load_process.test_every_dataset import body_of, seen

from load_process.ledger import BatchManifest, Claims, Ledger
from load_process.limits import LoadLimits
from load_process.objects import ObjectVersion
from load_process.on_demand import on_demand_load
from load_process.reconcile import Sweep, SweepCounts, run_reconcile
from tickhouse_core.aws import s3_client, sqs_client
from tickhouse_core.datasets import DATASETS, KLINES, TRADES, Dataset
from tickhouse_core.errors import Interrupted, WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import parse_instant
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SOURCE = Path(__file__).resolve().parents[2] / "src"


def reconcile(*datasets: Dataset, since: str = "1970-01-01", min_age_seconds: float = 0, dry_run: bool = False) -> SweepCounts:
    """Of the one dataset, or of all together."""
    found = run_reconcile(
        list(datasets) or list(DATASETS),
        StopRequest(),
        since_us=parse_instant(since),
        min_age_seconds=min_age_seconds,
        dry_run=dry_run,
    )
    (counted,) = found.values() if len(found) == 1 else [SweepCounts()]
    return counted


def lose_messages(count: int) -> None:
    """Deletes by hand what has not been received yet."""
    client = sqs_client()
    url = client.get_queue_url(QueueName=TRADES.queue)["QueueUrl"]
    while count:
        for message in client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            if count and '"Records"' in message["Body"]:
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                count -= 1
            else:
                client.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


@pytest.mark.slow
def test_one_percent_of_the_messages_lost_by_hand_is_loaded_in_one_sweep(moto_lake: Lake, warehouse: Warehouse) -> None:
    for hour in range(6):
        land(moto_lake, *range(hour * 50, hour * 50 + 50), hour=hour)
    lose_messages(3)
    drain(moto_lake)
    assert counts(warehouse) == (594, 594)
    assert reconcile(TRADES) == SweepCounts(folders=6, objects=300, missing=3, loaded=3)
    assert counts(warehouse) == (600, 600)
    assert verdicts(warehouse) == ["ok"] * 300
    assert seen(warehouse, TRADES) == sorted((row for number in range(300) for row in rows_number(number)), key=repr)
    assert reconcile(TRADES) == SweepCounts(folders=6, objects=300)


def test_every_dataset_is_swept_and_what_is_printed_adds_up(
    moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    land(moto_lake, 1, 2)
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1)))
    reconcile()
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "dataset\tfolders\tobjects\tmissing\tloaded\tquarantined\tnot loaded\torphans"
    assert lines[:2] == ["klines\t1\t1\t1\t1\t0\t0\t0", "trades\t1\t2\t2\t2\t0\t0\t0"]
    assert [line.split("\t", 1) for line in lines[2:]] == [[known.name, "0\t0\t0\t0\t0\t0\t0"] for known in DATASETS[2:]]
    assert (counts(warehouse), counts(warehouse, KLINES)) == ((4, 4), (2, 2))


def test_a_dry_run_counts_and_loads_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1, 2)
    assert reconcile(TRADES, dry_run=True) == SweepCounts(folders=1, objects=2, missing=2)
    assert counts(warehouse) == (0, 0)


def test_a_young_object_still_has_its_notification_coming(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1)
    assert reconcile(TRADES, min_age_seconds=300) == SweepCounts(folders=1, objects=1)
    assert counts(warehouse) == (0, 0)


def test_hours_before_since_are_left_out(moto_lake: Lake, warehouse: Warehouse) -> None:
    for hour in (5, 6, 7):
        land(moto_lake, hour, hour=hour)
    assert reconcile(TRADES, since="2026-11-21T06:30") == SweepCounts(folders=2, objects=2, missing=2, loaded=2)
    assert [name for name, _ in statuses(warehouse)] == ["0006-main-1.parquet", "0007-main-1.parquet"]


def test_klines_know_no_hours_and_go_by_when_they_were_written(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1)))
    assert reconcile(KLINES, since="2999-01-01") == SweepCounts(folders=1)
    assert reconcile(KLINES, since="2024-06-01") == SweepCounts(folders=1, objects=1, missing=1, loaded=1)
    assert counts(warehouse, KLINES) == (2, 2)


def test_a_new_version_of_a_loaded_object_is_missing(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0)))
    reconcile(KLINES)
    moto_lake.store.write(f"{FOLDER}/2024-01.parquet", parquet(klines(0, 1)))
    assert reconcile(KLINES) == SweepCounts(folders=1, objects=1, missing=1, loaded=1)
    assert counts(warehouse, KLINES) == (3, 2)
    assert verdicts(warehouse, KLINES) == ["ok"]


def test_a_broken_object_is_quarantined_once_and_is_not_missing_again(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(key_of(1), b"a text file")
    assert reconcile(TRADES) == SweepCounts(folders=1, objects=1, missing=1, quarantined=1)
    assert reconcile(TRADES) == SweepCounts(folders=1, objects=1)
    assert statuses(warehouse) == [("0001-main-1.parquet", "quarantined")]


def test_what_was_loaded_and_is_gone_from_the_lake_is_an_orphan(moto_lake: Lake, warehouse: Warehouse) -> None:
    keys = [*land(moto_lake, 1, 2), *land(moto_lake, 3, 4, hour=9)]
    drain(moto_lake)
    for key in keys[1:]:
        s3_client().delete_object(Bucket=moto_lake.store.bucket, Key=key)
    assert reconcile(TRADES) == SweepCounts(folders=1, objects=1, orphans=3)  # two of them in a folder that is no more
    assert reconcile(TRADES, since="2026-11-21T09:00") == SweepCounts(orphans=2)
    assert counts(warehouse) == (8, 8)


def test_what_is_no_parquet_object_is_not_missing(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(f"{TRADES.prefix}venue=binance/_SUCCESS", b"")
    assert reconcile(TRADES) == SweepCounts(folders=1)
    assert counts(warehouse) == (0, 0)


def test_a_key_with_spaces_and_letters_of_any_script_is_found_and_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    for name in ("it's 100%", "币安\\", 'a"b+c'):
        moto_lake.store.write(f"{TRADES.prefix}venue={name}/x.parquet", body_of(rows_number(len(name)), TRADES))
    assert reconcile(TRADES) == SweepCounts(folders=3, objects=3, missing=3, loaded=3)
    assert reconcile(TRADES) == SweepCounts(folders=3, objects=3)
    assert verdicts(warehouse) == ["ok"] * 3


def test_the_messages_that_come_after_the_sweep_change_nothing(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1, 2, 3)
    reconcile(TRADES)
    drain(moto_lake)
    assert counts(warehouse) == (6, 6)


def test_what_the_engine_refuses_is_left_and_said(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1, 2)
    stop, found = StopRequest(), SweepCounts()
    warehouse.command("alter table bronze_trades add constraint none_at_all check trade_id < 0")
    try:
        with on_demand_load(moto_lake.store, warehouse, LoadLimits(), stop, waits=False) as load:
            Sweep(moto_lake.store, Ledger(warehouse), load, stop, 0).run(TRADES, found)
    finally:
        warehouse.command("alter table bronze_trades drop constraint none_at_all")
    assert found == SweepCounts(folders=1, objects=2, missing=2, left=2)


@pytest.mark.slow
def test_a_warehouse_in_trouble_is_an_error_and_the_counts_are_printed(
    moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    land(moto_lake, 1)
    warehouse.command("rename table bronze_trades to bronze_trades_away")
    try:
        with pytest.raises(WarehouseUnavailable):
            reconcile(TRADES)
        assert capsys.readouterr().out.splitlines()[1].startswith("trades\t1\t1\t")
    finally:
        warehouse.command("rename table bronze_trades_away to bronze_trades")
    assert reconcile(TRADES) == SweepCounts(folders=1, objects=1, missing=1, loaded=1)
    assert counts(warehouse) == (2, 2)


def test_a_stop_ends_it_between_folders(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1)
    purge()
    stop = StopRequest()
    stop.set()
    with pytest.raises(Interrupted, match="run it again"):
        run_reconcile([TRADES], stop, min_age_seconds=0)
    assert counts(warehouse) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--since", "yesterday"], "--since 'yesterday' is no instant"), (["--dataset", "candles"], "unknown dataset 'candles'")],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], said: str) -> None:
    done = run_here("load_process.reconcile", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


def claim(lake: Lake, warehouse: Warehouse, key: str) -> None:
    """What a loader leaves that died between claiming and inserting."""
    version = ObjectVersion(lake.store.bucket, key, lake.store.read(key).etag)
    Claims(warehouse).claim(BatchManifest("a batch of the dead", (version,)))


@pytest.mark.slow
def test_what_another_loader_has_in_hand_is_left_to_it_for_a_while(moto_lake: Lake, warehouse: Warehouse) -> None:
    keys = land(moto_lake, 1, 2)
    claim(moto_lake, warehouse, keys[0])
    stop, found, again = StopRequest(), SweepCounts(), SweepCounts()
    with on_demand_load(moto_lake.store, warehouse, LoadLimits(), stop, patience_seconds=600, waits=False) as load:
        Sweep(moto_lake.store, Ledger(warehouse), load, stop, 0).run(TRADES, found)
    assert found == SweepCounts(folders=1, objects=2, missing=2, loaded=1, left=1)
    with on_demand_load(moto_lake.store, warehouse, LoadLimits(), stop, patience_seconds=2) as load:
        Sweep(moto_lake.store, Ledger(warehouse), load, stop, 0).run(TRADES, again)
    assert again == SweepCounts(folders=1, objects=2, missing=1, loaded=1)
    assert (counts(warehouse), verdicts(warehouse)) == ((4, 4), ["ok", "ok"])
