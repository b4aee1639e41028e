"""What the page saves: bounded, exact, and only for this machine or with a token."""

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pyarrow.parquet
import pytest

from status_page.app import Sources, page_app
from status_page.basis import Bases
from status_page.exports import Exports
from status_page.history import History
from status_page.lake_lag import LakeLag
from status_page.market import Markets
from status_page.poller import Poller
from status_page.processes import Processes
from status_page.queries import Queries
from status_page.server import running_page
from status_page.sql_box import SqlBox
from status_page.vitals import QueueDepths, Vitals
from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.settings import StatusSettings, WarehouseSettings
from tickhouse_core.timestamps import MINUTE_US, now_us, to_datetime
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

SERIES: dict[str, str | int] = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m"}
LAST = now_us() // MINUTE_US * MINUTE_US - 200 * MINUTE_US
ODD = Decimal("0.123456789012345678")


@pytest.fixture
def url(moto_lake: "Lake", warehouse: Warehouse) -> Iterator[str]:
    prices = {"open": 1, "high": 2, "low": 1, "close": ODD, "volume": 3, "quote_volume": 1}
    klines = [
        {**SERIES, **prices, "open_time": to_datetime(LAST) - timedelta(minutes=number), "is_closed": True, "source": "rest"}
        for number in range(9_000)
    ]
    warehouse.insert_rows("silver_klines", [kline | {"load_time": to_datetime(LAST), "object_key": "x"} for kline in klines])
    with running_page(StatusSettings(port=0)) as url:
        yield url


def file(url: str, name: str, **asked: str | int) -> httpx.Response:
    return httpx.get(f"{url}/api/export/{name}", params=SERIES | asked, timeout=30)


def test_files_are_exact_and_bounded(url: str) -> None:
    span = {"since": LAST - 8_999 * MINUTE_US, "until": LAST + MINUTE_US}
    saved = file(url, "candles.parquet", **span)
    assert 'filename="tickhouse-candles.parquet"' in saved.headers["content-disposition"]
    table = pyarrow.parquet.read_table(io.BytesIO(saved.content))
    assert set(table["close"].to_pylist()) == {ODD}
    assert len(set(table["open_time"].to_pylist())) == table.num_rows == 9_000
    lines = file(url, "candles.csv", **span).text.splitlines()
    assert len(lines) == 9_001
    assert "0.123456789012345678" in lines[1]
    too_many = file(url, "candles.csv", since=LAST - 30_000 * MINUTE_US, until=LAST)
    assert (too_many.status_code, "at most 20,000 candles" in too_many.text) == (400, True)
    assert file(url, "candles.csv", since=0, until=0).text.count("\n") == 1
    for name, status in (("candles.csv", 400), ("candles.xlsx", 404), ("trades.csv", 404), ("coverage.csv", 200)):
        assert file(url, name).status_code == status


def test_more_files_than_two_at_a_time_are_refused_at_once(tmp_path: Path) -> None:
    def connect() -> Warehouse:
        raise WarehouseUnavailable("no warehouse here")

    queries = Queries(connect)
    past, vitals = History(queries), Vitals(queries, QueueDepths())
    poller = Poller(queries, queries, LakeLag(FolderStore(tmp_path), queries), Processes({}))
    exports = Exports(queries, past, vitals)
    markets = Markets(queries, queries, queries)
    sources = Sources(poller, markets, Bases(queries), past, vitals, exports, SqlBox(WarehouseSettings))
    app = httpx.ASGITransport(page_app(sources, lambda: False, StatusSettings()))

    async def asked() -> None:
        async with httpx.AsyncClient(transport=app, base_url="http://localhost") as page:
            with exports.place():
                assert (await page.get("/api/export/health.csv")).text == "no warehouse here"
                with exports.place():
                    refused = await page.get("/api/export/health.csv")
                assert (await page.get("/api/export/health.csv")).text == "no warehouse here"
        assert (refused.status_code, refused.text) == (503, "2 files are made already: try again in a moment")

    asyncio.run(asked())


def test_without_a_token_nothing_is_saved_beyond_this_machine(moto_lake: "Lake", warehouse: Warehouse) -> None:
    with running_page(StatusSettings(host="0.0.0.0", port=0, without_token=True)) as url:
        refused = file(url.replace("0.0.0.0", "127.0.0.1"), "health.csv")
        assert (refused.status_code, "STATUS_TOKEN" in refused.text) == (403, True)
