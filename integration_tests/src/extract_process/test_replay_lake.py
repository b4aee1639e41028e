"""Acceptance: record, replay the lake as the venue, record that: silver is equal row for row - ids, prices, quantities, times."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.waiting import wait_until

from simulated_exchange.config import ExchangeConfig
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, row_count, rows_of

if TYPE_CHECKING:
    from conftest import Lake

    from .conftest import OpenVenue

MINUTE = 60_000_000
IDS = {"trades": "trade_id", "depth_diffs": "last_update_id", "tickers": "event_time"}


class Session(NamedTuple):
    """A recorded session, and how many rows it is."""

    venue: str
    recording: str
    symbols: tuple[str, ...]
    rows: dict[str, int]


BINANCE = Session(
    "binance", "binance_session_BTCUSDT_20240808.jsonl.gz", ("BTCUSDT",), {"trades": 19_904, "depth_diffs": 6_495, "tickers": 0}
)
KUCOIN = Session(
    "kucoin",
    "kucoin_session_20210425.jsonl.gz",
    ("BCHSV-USDT", "ANKR-BTC", "FET-BTC", "CAPP-BTC", "COV-BTC"),
    {"trades": 6, "depth_diffs": 2_971, "tickers": 552},
)


@pytest.mark.slow
@pytest.mark.parametrize("session", [pytest.param(BINANCE, id="binance"), pytest.param(KUCOIN, id="kucoin")])
def test_who_records_the_replay_of_a_lake_gets_the_same_rows(
    session: Session,
    open_venue: "OpenVenue",
    moto_lake: "Lake",
    warehouse: Warehouse,
    load: Callable[[], None],
    shared_data: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    first = _recorded(
        session, open_venue, moto_lake.store, ExchangeConfig(replay=(shared_data / session.recording,)), session.rows
    )
    load()
    before = _silver(warehouse)
    assert {name: len(rows) for name, rows in before.items()} == session.rows
    _moved(moto_lake.store, tmp_path / "data" / "lake", request)
    request.getfixturevalue("_schema").empty()

    again = _recorded(session, open_venue, moto_lake.store, ExchangeConfig(replay_lake=str(tmp_path / "data")), session.rows)
    load()
    after = _silver(warehouse)
    for name in IDS:
        assert after[name] == before[name], name
    assert first == again == {"gap": 0, "refused_frame": 0, "mismatch": 0}


@pytest.mark.long
def test_a_minute_at_its_own_pace_is_the_same_minute(
    open_venue: "OpenVenue", moto_lake: "Lake", shared_data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _recorded(BINANCE, open_venue, moto_lake.store, ExchangeConfig(replay=(shared_data / BINANCE.recording,)), BINANCE.rows)
    _moved(moto_lake.store, tmp_path / "data" / "lake", request)
    lake = FolderStore(tmp_path / "data" / "lake")
    begun = min(row["event_time"] for row in _rows(lake, "depth_diffs"))
    until = int(begun.timestamp() * 1_000_000) + MINUTE
    config = ExchangeConfig(replay_lake=str(tmp_path / "data"), replay_to=until, replay_speed=1.0)

    def of_the_minute(dataset: str, time: str) -> list[dict[str, Any]]:
        return [row for row in _rows(lake, dataset) if row[time].timestamp() * 1_000_000 < until - 0.5]

    wanted = {"trades": of_the_minute("trades", "trade_time"), "depth_diffs": of_the_minute("depth_diffs", "event_time")}
    counts = {name: len(rows) for name, rows in wanted.items()}
    assert _recorded(BINANCE, open_venue, moto_lake.store, config, counts) == {"gap": 0, "refused_frame": 0, "mismatch": 0}
    for name, rows in wanted.items():
        assert _rows(moto_lake.store, name) == rows
    heard = [row["receipt_time"] for row in _rows(moto_lake.store, "depth_diffs", with_receipt=True)]
    assert 55 < (max(heard) - min(heard)).total_seconds() < 70


def _recorded(
    session: Session, open_venue: "OpenVenue", store: ObjectStore, config: ExchangeConfig, rows: dict[str, int]
) -> dict[str, int]:
    """Captured until all rows are in S3; how many events of each kind of trouble there are."""
    if not config.replay_to:
        config = ExchangeConfig(replay=config.replay, replay_lake=config.replay_lake, replay_speed=0.0)
    exchange = open_venue(config).exchange
    with capturing(*session.symbols, venue=session.venue, channels=("trades", "depth", "ticker")):

        def is_over() -> bool:
            tally = exchange.tally()
            replay = (tally if session.venue == "binance" else tally["kucoin"])["sockets"]["replay"]
            return bool(replay["state"] == "finished")

        wait_until(is_over, "the end of the replay", 180)
        for dataset, count in rows.items():
            wait_until(lambda dataset=dataset, count=count: row_count(store, dataset) == count, f"all {dataset}")  # type: ignore[misc]
    return {event: len(events_of(store, event)) for event in ("gap", "refused_frame", "mismatch")}


def _silver(warehouse: Warehouse) -> dict[str, list[Any]]:
    """Whole rows without their receipt. KuCoin's diffs had no time in 2021: ours has microseconds, its messages milliseconds."""
    found = {}
    for view, number in IDS.items():
        time = "intDiv(toUnixTimestamp64Micro(event_time), 1000)"
        _, found[view] = warehouse.query_table(
            f"select * except (receipt_time, event_time), {time} from {view} order by venue, symbol, {number}"
        )
    return found


def _rows(store: ObjectStore, dataset: str, *, with_receipt: bool = False) -> list[dict[str, Any]]:
    rows = sorted(rows_of(store, dataset), key=lambda row: row[IDS[dataset]])
    return rows if with_receipt else [{name: value for name, value in row.items() if name != "receipt_time"} for row in rows]


def _moved(store: ObjectStore, folder: Path, request: pytest.FixtureRequest) -> None:
    """The bucket's objects into a folder; the bucket is empty then."""
    lake = FolderStore(folder)
    for item in list(store.list_keys("data_sources/")):
        lake.write(item.key, store.read(item.key).body)
    request.getfixturevalue("_moto").put_back()
