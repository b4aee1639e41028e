"""docs/python.md: its blocks are run one after the other on a small lake. And what the API needs to be installed."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT
from tests.tickhouse.catalog.catalogues import register
from tests.tickhouse.compact.lakes import run
from tests.tickhouse.test_read_api import DAY, SECOND, write
from tests.transform_process.warehouse_rows import depth_diff, depth_snapshot, klines, stream_event, table_of, trades

from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, STREAM_EVENTS, TICKERS, TRADES
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import klines_month_key

PAGE = ROOT / "docs" / "python.md"
WITHOUT_EXTRAS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ("chdb", "moto", "aiohttp", "flask", "polars", "pandas", "pyiceberg"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import tickhouse as th
assert not {"pyarrow", "numpy", "boto3"} & set(sys.modules), "import tickhouse is light"
rows = th.open("data").trades("BTCUSDT", "2024-08-09", "2024-08-10")
assert rows.arrow().num_rows == 3 and rows.gaps.num_rows == 1
assert len(th.open("data").books("BTCUSDT", "2024-08-09", "2024-08-10").arrow()) == 2
for frame in (rows.polars, rows.pandas, lambda: th.open("data", snapshot=1)):
    try:
        frame()
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def small_lake(folder: Path) -> None:
    """Three trades with a gap, three diffs on a snapshot, a minute of klines, also of another symbol, and a ticker."""
    store = FolderStore(folder / "lake")
    write(store, TRADES, trades([1, 2, 5]))
    write(store, STREAM_EVENTS, stream_event("gap", "trades", 3, 4, started_us=DAY + SECOND, ended_us=DAY + 2 * SECOND))
    bids, asks = [["99.5", "1"]], [["100.5", "2"]]
    write(store, DEPTH_SNAPSHOTS, depth_snapshot(1, receipt_us=DAY, bids=bids, asks=asks))
    for number, at in enumerate((DAY, DAY + SECOND, DAY + 2 * SECOND)):
        write(store, DEPTH_DIFFS, depth_diff(number + 1, number + 1, event_us=at, bids=bids, asks=asks))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        month = klines([DAY], symbol=symbol)
        store.write(klines_month_key("binance", symbol, "1m", "2024-08"), parquet_bytes(month, KLINES))
    ticker = dict.fromkeys(TICKERS.schema.names, "1") | {"venue": "binance", "symbol": ["BTCUSDT"]}
    write(store, TICKERS, table_of(TICKERS, ticker | {"event_time": [DAY], "receipt_time": [DAY]}))


def test_every_block_of_the_page_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    small_lake(tmp_path / "data")
    run(FolderStore(tmp_path / "data" / "lake"))
    register(FolderStore(tmp_path / "data" / "lake"))
    names: dict[str, Any] = {}

    with contextlib.redirect_stdout(io.StringIO()) as said:
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(block.replace("datetime.now(UTC)", "datetime(2024, 8, 9, 0, 1, tzinfo=UTC)"), names)

    assert "False" in said.getvalue()
    assert "2024-08-09 00:00:01+00:00 99.5 100.5" in said.getvalue()
    assert "missing: " in said.getvalue()
    assert "1 open gap, known to be recorded from 2024-08-09T00:00:00Z to 2024-08-09T00:00:02Z" in said.getvalue()
    assert names["turnover"] == 150.0
    assert names["last_price"] == 100.0
    assert [len(names[name]) for name in ("exact", "klines", "diffs", "tickers", "old", "same")] == [3, 1, 3, 1, 3, 3]


def test_the_core_install_is_enough_and_an_absent_frame_library_is_named(tmp_path: Path) -> None:
    small_lake(tmp_path / "data")

    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    lines = [f"UsageError: the package {name} is not here: install it" for name in ("polars", "pandas")]
    lines += ["UsageError: the package pyiceberg is not here: pip install 'tickhouse[catalog]'"]
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == lines
