from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.commands import run_here
from tests.load_process.conftest import KEY, klines, parquet
from tests.load_process.operating import (
    counts,
    drain,
    key_of,
    land,
    purge,
    redrive,
    rows_number,
    statuses,
    verdicts,
)
from tests.load_process.test_every_dataset import EVERY, body_of, seen

from load_process.ledger import QUARANTINED, Ledger, LedgerEntry
from load_process.on_demand import Outcome
from load_process.redrive import Selection
from tickhouse_core.datasets import KLINES, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SOURCE = Path(__file__).resolve().parents[2] / "src"
LOADED, ALREADY, REFUSED = Outcome.LOADED, Outcome.ALREADY, Outcome.QUARANTINED


def command(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **(environment or {})},
        check=False,
        timeout=120,
    )


# By key


def test_a_quarantined_object_that_was_repaired_under_the_same_key_is_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(key_of(1), b"a text file")
    drain(moto_lake)
    assert statuses(warehouse) == [("0001-main-1.parquet", "quarantined")]
    land(moto_lake, 1)
    purge()
    assert redrive(Selection(keys=[key_of(1)])) == {LOADED: 1}
    assert counts(warehouse) == (2, 2)
    assert verdicts(warehouse) == ["ok"]


@pytest.mark.slow
def test_the_command_that_the_quarantine_names_works_as_written(moto_lake: Lake, tmp_path: Path) -> None:
    """In processes of their own: loaded into quarantine, repaired, redriven with the very words of the reason."""
    environment = {"CLICKHOUSE_PATH": str(tmp_path / "engine"), "CLICKHOUSE_DATABASE": "crypto"}
    key = f"{TRADES.prefix}venue=binance/symbol=币安 it's/x.parquet"
    moto_lake.store.write(key, b"a text file")
    assert command("transform_process.migrate", environment=environment).returncode == 0
    assert command("load_process", "--drain", "--dataset", "trades", environment=environment).returncode == 0
    program, flag, *arguments = shlex.split(json.loads(moto_lake.store.read(f"quarantine/{key}.reason.json").body)["redrive"])
    assert (program, flag) == ("python", "-m")
    moto_lake.store.write(key, body_of(rows_number(1), TRADES))
    done = command(*arguments, environment=environment)
    assert (done.returncode, done.stdout.splitlines()[:2]) == (0, ["objects\tnumber", "loaded\t1"])


def test_what_was_quarantined_is_tried_again_under_its_old_etag(moto_lake: Lake, warehouse: Warehouse) -> None:
    """An earlier version of the loader refused what this one understands."""
    (key,) = land(moto_lake, 1)
    purge()
    etag = moto_lake.store.read(key).etag
    Ledger(warehouse).record([LedgerEntry(moto_lake.store.bucket, key, etag, "trades", 0, 0, QUARANTINED, 1)])
    assert redrive(Selection(keys=[key])) == {LOADED: 1}
    assert redrive(Selection(keys=[key])) == {ALREADY: 1}
    assert (counts(warehouse), verdicts(warehouse)) == ((2, 2), ["ok"])


def test_what_is_still_broken_is_quarantined_again(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(key_of(1), b"a text file")
    for _ in range(2):
        assert redrive(Selection(keys=[key_of(1)])) == {REFUSED: 1}
    assert statuses(warehouse) == [("0001-main-1.parquet", "quarantined")]
    assert counts(warehouse) == (0, 0)


def test_a_key_that_is_not_in_the_lake_is_bad_usage_and_nothing_is_done(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1)
    with pytest.raises(UsageError, match=r"0002-main-1\.parquet: bucket .* has no such object"):
        redrive(Selection(keys=[key_of(1), key_of(2)]))
    with pytest.raises(UsageError, match="name the object itself, not its copy"):
        redrive(Selection(keys=[f"quarantine/{key_of(1)}"]))
    assert counts(warehouse) == (0, 0)


# Again


@pytest.mark.slow
@EVERY
def test_again_is_exact_in_bronze_and_silver(dataset: Dataset, moto_lake: Lake, warehouse: Warehouse) -> None:
    keys = land(moto_lake, 1, 2, 3, dataset=dataset)
    selection = Selection(prefix=dataset.prefix)
    assert redrive(selection) == {LOADED: 3}
    before = (counts(warehouse, dataset), seen(warehouse, dataset))
    assert before[0] == (6, 6)
    assert redrive(selection) == {ALREADY: 3}
    for _ in range(2):
        assert redrive(selection, again=True) == {LOADED: 3}
        assert (counts(warehouse, dataset), seen(warehouse, dataset)) == before
    assert redrive(Selection(keys=keys[:1]), again=True) == {LOADED: 1}
    assert (counts(warehouse, dataset), seen(warehouse, dataset)) == before
    assert verdicts(warehouse, dataset) == ["ok"] * 3


def test_again_brings_back_what_was_cleared_and_mends_what_was_changed(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1, 2)
    redrive(Selection(prefix="data_sources/"))
    before = seen(warehouse, TRADES)
    warehouse.command("delete from bronze_trades where trade_id = (select min(trade_id) from bronze_trades)")
    warehouse.command("truncate table silver_trades")
    assert verdicts(warehouse) == ["missing rows", "ok"]
    assert redrive(Selection(prefix="data_sources/"), again=True) == {LOADED: 2}
    assert (counts(warehouse), seen(warehouse, TRADES), verdicts(warehouse)) == ((4, 4), before, ["ok", "ok"])


def test_again_keeps_of_several_versions_what_the_lake_has(moto_lake: Lake, warehouse: Warehouse) -> None:
    for hours in ((0,), (0, 1), (0, 1, 2)):
        moto_lake.store.write(KEY, parquet(klines(*hours)))
        redrive(Selection(keys=[KEY]))
    assert (counts(warehouse, KLINES), verdicts(warehouse, KLINES)) == ((6, 3), ["ok"])
    assert redrive(Selection(keys=[KEY]), again=True) == {LOADED: 1}
    assert (counts(warehouse, KLINES), verdicts(warehouse, KLINES)) == ((3, 3), ["ok"])
    assert Counter(status for _, status in statuses(warehouse)) == {"replaced": 2, "loaded": 1}


@pytest.mark.slow
def test_a_version_that_was_replaced_and_comes_back_to_the_lake_is_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    first, second = parquet(klines(0, close="1.5")), parquet(klines(0, close="2.5", receipt_time=1_704_300_000_000_000))
    for body in (first, second):
        moto_lake.store.write(KEY, body)
        redrive(Selection(keys=[KEY]))
    redrive(Selection(keys=[KEY]), again=True)
    moto_lake.store.write(KEY, first)
    assert redrive(Selection(keys=[KEY])) == {LOADED: 1}
    assert (counts(warehouse, KLINES), verdicts(warehouse, KLINES)) == ((1, 1), ["ok"])


# Usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "choose exactly one of --dlq, --key, --prefix, --dataset, --gap: nothing is selected"),
        (["--key", "k", "--dlq", "all"], "choose exactly one of --dlq, --key, --prefix, --dataset, --gap: not --dlq and --key"),
        (["--dataset", "candles", "--from", "2024-01-01"], "unknown dataset 'candles'"),
        (["--dataset", "trades"], "--dataset needs --from"),
        (["--dataset", "trades", "--from", "2024-01-02", "--to", "2024-01-01"], "--to 2024-01-01T00:00:00Z is not after --from"),
        (["--key", "k", "--from", "2024-01-01"], "--from and --to go with --dataset"),
        (["--gap", "BTCUSDT"], "--gap 'BTCUSDT': write SYMBOL:CHANNEL:FROM-TO"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], said: str) -> None:
    done = run_here("load_process.redrive", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
