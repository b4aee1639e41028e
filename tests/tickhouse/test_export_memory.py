"""An export holds a part of its range in memory, not the range: three times the rows take the same memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.commands import SOURCES
from tests.transform_process.warehouse_rows import table_of, us

from extract_process.parquet import parquet_bytes
from tickhouse_core.columns import LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, Dataset
from tickhouse_core.lake_keys import hourly_key

DAY = us("2024-08-09")
STEP, LATENCY = 100_000, 5_000
LEVELS_A_SIDE, OBJECT_ROWS = 16, 5_000
ROWS = 100_000
"""So many fill every buffer."""

MB = 1024**2


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A book of ROWS updates, and one of three times as many: 1.3 kB each in memory, of digits that do not compress."""
    dice = np.random.default_rng(3)
    folders = []
    for rows in (ROWS, 3 * ROWS):
        data = tmp_path_factory.mktemp("memory") / "data"
        whole = {"last_update_id": [0], "reason": "start", "receipt_time": [DAY]}
        _write(data, DEPTH_SNAPSHOTS, whole | _sides(dice, 1), DAY, 0)
        for first in range(0, rows, OBJECT_ROWS):
            ids = np.arange(first, first + OBJECT_ROWS) + 1
            times = DAY + ids * STEP
            columns = {"first_update_id": pa.array(ids, pa.uint64()), "last_update_id": pa.array(ids, pa.uint64())}
            columns |= {"event_time": pa.array(times), "receipt_time": pa.array(times + LATENCY)} | _sides(dice, len(ids))
            _write(data, DEPTH_DIFFS, columns, int(times[0]) + LATENCY, first)
        folders.append(data)
    return folders


@pytest.mark.long
@pytest.mark.parametrize("form", ["parquet", "hftbacktest", "nautilus", "tardis-csv"])
def test_three_times_the_range_takes_the_same_memory(form: str, lakes: list[Path], tmp_path: Path) -> None:
    once, thrice = (_peak_bytes(form, data, tmp_path / data.parent.name) for data in lakes)

    more_rows = 2 * ROWS * 2 * LEVELS_A_SIDE * 32  # a level is two decimals of 16 bytes
    assert thrice - once < more_rows / 2, f"{once / MB:.0f} MB, then {thrice / MB:.0f} MB"


def _peak_bytes(form: str, data: Path, out: Path) -> int:
    where = ("--data", str(data), "--symbol", "BTCUSDT", "--from", "2024-08-09", "--to", "2024-08-10", "--out", str(out))
    command = [sys.executable, "-m", "tickhouse.cli", "export", form, "--channel", "depth", *where]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCES)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * 1024


def _sides(dice: np.random.Generator, rows: int) -> dict[str, pa.Array]:
    """Bids below 1,000 and asks from there on."""
    return {name: _side(dice, rows, least) for name, least in (("bids", 500), ("asks", 1_000))}


def _side(dice: np.random.Generator, rows: int, least: int) -> pa.Array:
    count = LEVELS_A_SIDE * rows
    numbers = (least + dice.integers(0, 500, count), dice.integers(0, 10**7, count))
    levels = pa.StructArray.from_arrays(
        [pa.array(one).cast(field.type) for one, field in zip(numbers, LEVELS.value_type, strict=True)],
        fields=list(LEVELS.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(0, count + 1, LEVELS_A_SIDE), pa.int32()), levels)


def _write(data: Path, dataset: Dataset, columns: dict[str, object], received: int, number: int) -> None:
    path = data / "lake" / hourly_key(dataset, "binance", received, "a", number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet_bytes(table_of(dataset, {"venue": "binance", "symbol": "BTCUSDT"} | columns), dataset))
