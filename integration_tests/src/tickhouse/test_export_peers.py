"""What `tickhouse export` wrote, as the tools read it that it is for: hftbacktest's engine and NautilusTrader's catalog.

They are in an environment of their own (`make peers`): 1.5 GB, and other versions of numpy and pyarrow than ours.
"""

import itertools
import os
import subprocess
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from conftest import ROOT
from tests.commands import run_python
from tests.transform_process.warehouse_rows import SESSION, recorded_depth, recorded_trades, stream_event
from tests.waiting import patience

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SCRIPTS = ROOT / "integration_tests" / "peers"
FROM, TO = "2024-08-08T23:00", "2024-08-09T01:00"
_sequences = itertools.count(1)

pytestmark = pytest.mark.slow


def peer(script: str, *arguments: Path | str) -> Any:
    """What a script of the peers' environment prints in its last line."""
    if not PYTHON.exists():
        pytest.skip("no environment with hftbacktest and NautilusTrader: make peers")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [PYTHON, "-W", "ignore", SCRIPTS / script, *arguments],
        capture_output=True, text=True, timeout=patience(120), check=False, env=clean,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return orjson.loads(done.stdout.splitlines()[-1])


def land(store: FolderStore, dataset: Dataset, table: pa.Table, instance: str) -> None:
    """As a recorder does it: batch by batch."""
    for start in range(0, table.num_rows, 1_000):
        part = table.slice(start, 1_000)
        first = min(part.column("started_at" if dataset is STREAM_EVENTS else "receipt_time").cast(pa.int64()).to_pylist())
        store.write(hourly_key(dataset, "binance", first, instance, next(_sequences)), parquet_bytes(part, dataset))


@pytest.fixture(scope="module")
def whole(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session as two instances recorded it."""
    return recorded(tmp_path_factory.mktemp("peers") / "data", shared_data, missing=0)


@pytest.fixture(scope="module")
def broken(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same; both miss 20 updates."""
    return recorded(tmp_path_factory.mktemp("peers") / "data", shared_data, missing=20)


def recorded(folder: Path, shared_data: Path, missing: int) -> Path:
    store = FolderStore(folder / "lake")
    deals, (diffs, snapshots, _) = recorded_trades(shared_data), recorded_depth(shared_data)
    if missing:
        first, end = 2_900, 2_900 + missing
        received = diffs.column("receipt_time").cast(pa.int64()).to_pylist()
        ids = diffs.column("first_update_id")[first].as_py(), diffs.column("last_update_id")[end - 1].as_py()
        gap = stream_event("gap", "depth", *ids, started_us=received[first - 1], ended_us=received[end], cause="disconnect")
        land(store, STREAM_EVENTS, gap, "a")
        diffs = pa.concat_tables([diffs.slice(0, first), diffs.slice(end)])
    land(store, DEPTH_SNAPSHOTS, snapshots, "a")
    for dataset, table in ((TRADES, deals), (DEPTH_DIFFS, diffs)):
        land(store, dataset, table, "a")
        land(store, dataset, table.slice(500, 3_000), "b")
    return folder


def export(data: Path, out: Path, form: str, *more: str) -> dict[str, Any]:
    """The certificate's part about the symbol."""
    where = ("--data", str(data), "--symbol", "BTCUSDT", "--from", FROM, "--to", TO, "--out", str(out))
    run_python("-m", "tickhouse", "export", form, *where, *more)
    found: dict[str, Any] = orjson.loads((out / "certificate.json").read_bytes())["symbols"]["BTCUSDT"]
    return found


def test_hftbacktests_depth_is_the_exact_book_after_every_update(
    whole: Path, broken: Path, shared_data: Path, tmp_path: Path
) -> None:
    """All levels of both sides, by its own engine. Beside a gap only what is proven can be, and all of that is."""
    certificates = [
        export(whole, tmp_path / "whole", "hftbacktest"),
        export(broken, tmp_path / "broken", "hftbacktest", "--only-proven"),
    ]

    found = peer("hftbacktest_depth.py", shared_data / SESSION, tmp_path / "whole", tmp_path / "broken")

    for judged, least, certificate in zip(found, (6_490, 2_890), certificates, strict=True):
        assert judged["looked"] >= least
        assert (judged["equal"], judged["crossed"]) == (judged["looked"], 0)
        assert certificate["rows_written"]["depth_diffs"] >= judged["looked"]
    assert [len(one["channels"]["depth"]["gaps_in_words"]) for one in certificates] == [0, 1]


def test_nautilus_reads_every_trade_and_every_level(whole: Path, tmp_path: Path) -> None:
    certificate = export(whole, tmp_path / "out", "nautilus")
    lake = th.open(whole)

    peer("nautilus_catalog.py", tmp_path / "out", "BTCUSDT.BINANCE", tmp_path / "found.json")

    found = orjson.loads((tmp_path / "found.json").read_bytes())
    deals = lake.trades("BTCUSDT", FROM, TO, exact=True).arrow().to_pylist()
    assert [(Decimal(price), Decimal(size), side, int(one), event) for price, size, side, one, event, _ in found["trades"]] == [
        (row["price"], row["quantity"], "SELLER" if row["is_buyer_maker"] else "BUYER", row["trade_id"], _ns(row["trade_time"]))
        for row in deals
    ]
    updates = [
        (Decimal(price), Decimal(size), side, sequence, event)
        for action, side, price, size, flags, sequence, event, _ in found["deltas"]
        if action != "CLEAR" and not flags & 32
    ]
    rows = lake.depth_diffs("BTCUSDT", FROM, TO, exact=True).arrow().to_pylist()
    assert updates == [
        (level["price"], level["quantity"], side, row["last_update_id"], _ns(row["event_time"]))
        for row in rows
        for side, name in (("BUY", "bids"), ("SELL", "asks"))
        for level in row[name]
    ]
    assert all(one[-1] <= other[-1] for one, other in itertools.pairwise(found["deltas"]))
    assert Counter(action for action, *_ in found["deltas"])["CLEAR"] == certificate["whole_books"] == 1
    assert "CurrencyPair(id=BTCUSDT.BINANCE" in found["instruments"][0]
    book = lake.book("BTCUSDT", TO, exact=True).arrow().to_pylist()
    for side, name in (("bid", "bids"), ("ask", "asks")):
        wanted = [[row["price"], row["quantity"]] for row in book if row["side"] == side]
        assert [[Decimal(price), Decimal(size)] for price, size in found["book"][name]] == wanted


def test_hftbacktests_converter_reads_the_csv_files(broken: Path, tmp_path: Path) -> None:
    """Its converter of tardis.dev's files; the rows are those of the lake."""
    types = ("--type", "trades", "--type", "incremental_book_L2")
    certificate = export(broken, tmp_path / "out", "tardis-csv", *types)

    found = peer("tardis_conversion.py", tmp_path / "out")

    rows = th.open(broken).depth_diffs("BTCUSDT", FROM, TO).arrow().to_pylist()
    assert found["trades"] == certificate["rows_written"]["trades"] == 19_904
    assert found["updates"] == sum(len(row["bids"]) + len(row["asks"]) for row in rows)
    assert found["snapshots"] >= 2_000
    assert found["clears"] == 2 * certificate["whole_books"]


def _ns(instant: Any) -> int:
    return int(pa.scalar(instant, pa.timestamp("us", tz="UTC")).value) * 1_000
