"""A further venue is a folder, a registry line and its markets: the toy venue of ADD_A_VENUE.md, recorded and backfilled."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from extract_process import venues
from extract_process.backfill.plan import BackfillOptions
from extract_process.klines import run_backfill
from extract_process.live.options import StreamOptions
from extract_process.live.session import run_capture
from extract_process.markets import read_markets
from extract_process.spool.limits import BatchLimits
from tickhouse_core.errors import UsageError
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import parse_instant

from .server import SYMBOL, running_toy

if TYPE_CHECKING:
    from conftest import Lake

TOY = Path(__file__).parent / "toy"
GUIDE = Path(__file__).resolve().parents[2] / "ADD_A_VENUE.md"
BLOCK = re.compile(r"^`((?:src/extract_process|resources)/\S+)`:\n\n```\w*\n(.*?)^```$", re.S | re.M)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder where `src/extract_process/venues/toy` would be, and the registry line; both gone afterwards."""
    monkeypatch.setattr(venues, "__path__", [*venues.__path__, str(TOY.parent)])
    monkeypatch.setattr(venues, "_MODULES", dict(venues._MODULES))
    venues.register("toy", "extract_process.venues.toy")


def blocks() -> dict[str, list[str]]:
    """The guide's blocks by the file that each names."""
    found: dict[str, list[str]] = {}
    for file, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        found.setdefault(file, []).append(text)
    return found


def test_the_guide_copies_the_toy_and_every_block_of_it_is_the_toys() -> None:
    guide = blocks()
    home = "src/extract_process/venues/toy"
    (copied,) = re.findall(r"^    cp -r (\S+) (\S+)$", GUIDE.read_text(encoding="utf-8"), re.M)
    assert (GUIDE.parent / copied[0], copied[1]) == (TOY, home)
    shown = {file: parts for file, parts in guide.items() if file.startswith(home)}
    assert set(shown) == {f"{home}/{path.name}" for path in TOY.glob("*.py")}
    for file, parts in shown.items():
        text = (TOY / Path(file).name).read_text(encoding="utf-8")
        assert [part for part in parts if part not in text] == [], file
    assert [text.strip() for text in guide["src/extract_process/venues/__init__.py"]] == ['"toy": "extract_process.venues.toy",']


def test_its_markets_are_read_from_the_tiers(toy: None, tmp_path: Path) -> None:
    path = tmp_path / "markets.yaml"
    (written,) = blocks()["resources/markets.yaml"]
    path.write_text(written, encoding="utf-8")
    venue = venues.venue_named("toy")
    assert yaml.safe_load(path.read_text(encoding="utf-8"))
    assert read_markets(path, venue).wanted == {SYMBOL: ("trades", "depth")}


def test_a_name_that_is_not_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="--venue 'toy': choose from binance, kucoin"):
        venues.venue_named("toy")


def test_it_is_backfilled(toy: None, moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = parse_instant("2024-01-01"), parse_instant("2024-01-02")
    with running_toy() as exchange:
        monkeypatch.setenv("TOY_URL", exchange.url)
        first, second = (run_backfill([SYMBOL], BackfillOptions("1m", start, end, venue="toy"), StopRequest()) for _ in range(2))
        with pytest.raises(UsageError, match="unknown symbol NO/PE on toy"):
            run_backfill(["NO/PE"], BackfillOptions("1m", start, end, venue="toy"), StopRequest())
    assert (first.report.rows_landed, first.report.rows_without_data) == (1440 - 90, 90)
    assert second.rest.client.tally.klines == 0
    assert {row["venue"] for row in rows_of(moto_lake.store, "klines_pricing")} == {"toy"}


@pytest.mark.slow
def test_it_is_recorded_and_its_gaps_are_written_down(toy: None, moto_lake: "Lake", monkeypatch: pytest.MonkeyPatch) -> None:
    with running_toy() as exchange:
        monkeypatch.setenv("TOY_URL", exchange.url)
        options = StreamOptions({SYMBOL: ("trades", "depth")}, venue="toy", limits=BatchLimits(age_seconds=0.5), prove_seconds=1)
        stop, failures = StopRequest(), list[BaseException]()
        thread = threading.Thread(target=lambda: capture(options, stop, failures))
        thread.start()
        try:
            until(lambda: {"synced", "proven"} <= events(moto_lake.store), failures)
            exchange.skip = frozenset(range(exchange.number + 20, exchange.number + 23))
            until(lambda: max(ids_of(moto_lake.store), default=0) > max(exchange.skip), failures)
        finally:
            stop.set()
            thread.join(30)
    assert failures == []
    ids = ids_of(moto_lake.store)
    gaps = [row for row in rows_of(moto_lake.store, "stream_events") if row["event"] == "gap"]
    told = {number for row in gaps for number in range(row["from_update_id"], row["to_update_id"] + 1)}
    assert told == exchange.skip
    assert sorted(set(ids) | told) == list(range(min(ids), max(ids) + 1))
    prices = {str(row["price"]) for row in rows_of(moto_lake.store, "trades")}
    assert prices == {"100.000000000001000000"}


def capture(options: StreamOptions, stop: StopRequest, failures: list[BaseException]) -> None:
    try:
        run_capture(options, stop)
    except BaseException as failure:  # noqa: BLE001  # the test looks at it
        failures.append(failure)


def until(condition: Callable[[], bool], failures: list[BaseException]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert not failures
        assert time.monotonic() < end
        time.sleep(0.1)


def ids_of(store: ObjectStore) -> list[int]:
    return [row["last_update_id"] for row in rows_of(store, "depth_diffs")]


def events(store: ObjectStore) -> set[str]:
    return {row["event"] for row in rows_of(store, "stream_events")}


def rows_of(store: ObjectStore, folder: str) -> list[dict[str, Any]]:
    keys = [item.key for item in store.list_keys(f"data_sources/{folder}/venue=toy/")]
    return [row for key in keys for row in pq.read_table(pa.BufferReader(store.read(key).body)).to_pylist()]
