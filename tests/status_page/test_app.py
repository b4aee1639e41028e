"""The page's addresses over real HTTP: what they answer, what they refuse, and that nothing gets in."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from tests.commands import run_here

from status_page.app import ASSETS
from status_page.server import running_page
from tickhouse_core.errors import UsageError, WarehouseUnavailable
from tickhouse_core.resources import SQL_ROOT
from tickhouse_core.settings import StatusSettings, WarehouseSettings
from tickhouse_core.timestamps import DAY_US, MINUTE_US
from tickhouse_core.warehouse import Warehouse, connect_reader

if TYPE_CHECKING:
    from conftest import Lake

WRONG = (
    {"venue": "binance", "symbol": "BTCUSDT' or 1=1 --"},
    {"venue": "binance", "symbol": "{x:String}"},
    {"venue": "", "symbol": "BTCUSDT"},
    {"venue": "binance", "symbol": "B" * 41},
    {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m; drop table klines"},
    {"venue": "binance", "symbol": "<script>"},
)
OPENED = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None) - timedelta(hours=1)


def insert_klines(warehouse: Warehouse, symbol: str = "BTCUSDT", count: int = 30, days_ago: int = 0) -> None:
    rows = []
    for number in range(count):
        opened = OPENED + timedelta(minutes=number) - timedelta(days=days_ago)
        prices = {"open": 100, "high": 110, "low": 90, "close": 100 + number}
        money = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
        rows.append(
            {
                "venue": "binance",
                "symbol": symbol,
                "interval": "1m",
                "open_time": opened,
                "close_time": opened + timedelta(seconds=59),
                **{name: Decimal(value) for name, value in prices.items()},
                **{name: Decimal("1.5") for name in money},
                "trade_count": 3,
                "is_closed": True,
                "source": "rest",
                "receipt_time": opened + timedelta(minutes=2),
                "object_key": "x",
            }
        )
    warehouse.insert_rows("bronze_klines", rows)


@pytest.fixture
def url(moto_lake: "Lake", warehouse: Warehouse) -> Iterator[str]:
    insert_klines(warehouse)
    with running_page(StatusSettings(port=0)) as url:
        yield url


def test_the_page_and_its_assets_come_from_here_alone(url: str) -> None:
    page = httpx.get(url)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("https://www.tradingview.com/lightweight-charts/", "")
    for asset in ("page.js", "page.css", "market.js", "vendor/lightweight-charts.standalone.production.js"):
        assert httpx.get(f"{url}/assets/{asset}").status_code == 200
    assert httpx.get(f"{url}/assets/../app.py").status_code == 404


def test_the_state_is_json_for_scripts_and_health_is_honest(url: str) -> None:
    state = httpx.get(f"{url}/api/status", timeout=30).json()
    assert [stage["name"] for stage in state["stages"]] == ["venue", "lake", "warehouse", "gold"]
    assert {queue["name"] for queue in state["queues"]} >= {"klines-notifications", "ops-notifications"}
    assert state["verdict"] == "idle"
    assert state["trouble"] == {}
    assert httpx.get(f"{url}/healthz").text == "ok\n"
    assert httpx.get(f"{url}/readyz").text == "ok\n"
    assert "tickhouse_status_looks_total" in httpx.get(f"{url}/metrics").text


def window(url: str, **asked: str | int) -> dict[str, Any]:
    answer = httpx.get(f"{url}/api/klines", params={"venue": "binance", "symbol": "BTCUSDT", "interval": "1m", **asked})
    assert answer.status_code == 200
    return dict(answer.json())


def test_klines_are_those_of_the_warehouse(url: str) -> None:
    rows = window(url)["klines"]
    assert len(rows) == 30
    assert rows[-1][1:] == [100.0, 110.0, 90.0, 129.0, 1.5, True, "klines"]
    assert sum(row[5] for row in window(url, interval="1h")["klines"]) == 45.0
    nothing = window(url, symbol="NONE")
    assert (nothing["klines"], nothing["gaps"], nothing["before"], nothing["after"]) == ([], [], 0, 0)


def test_a_symbol_may_be_written_in_any_script(url: str, warehouse: Warehouse) -> None:
    insert_klines(warehouse, "币安人生USDT", count=2)
    assert len(window(url, symbol="币安人生USDT")["klines"]) == 2


def test_a_window_is_a_stretch_of_time_and_knows_the_klines_beside_it(url: str, warehouse: Warehouse) -> None:
    insert_klines(warehouse, "ETHUSDT")
    insert_klines(warehouse, "ETHUSDT", days_ago=9)
    newest = window(url, symbol="ETHUSDT")
    assert len(newest["klines"]) == 30
    assert newest["until"] - newest["since"] == 1_000 * MINUTE_US
    assert newest["after"] == 0
    older = window(url, symbol="ETHUSDT", until=newest["before"] + MINUTE_US)
    assert len(older["klines"]) == 30
    assert older["klines"][-1][0] == newest["before"] == newest["klines"][-1][0] - 9 * DAY_US
    assert (older["before"], older["after"]) == (0, newest["klines"][0][0])


def test_a_window_within_a_dense_history_knows_the_klines_right_beside_it(url: str, warehouse: Warehouse) -> None:
    insert_klines(warehouse, "XRPUSDT", count=1_010, days_ago=1)
    start = int((OPENED - timedelta(days=1)).replace(tzinfo=UTC).timestamp()) * 1_000_000
    inside = window(url, symbol="XRPUSDT", until=start + 1_005 * MINUTE_US)
    assert (inside["before"], inside["after"]) == (start + 4 * MINUTE_US, start + 1_005 * MINUTE_US)
    assert [row[0] for row in inside["klines"]] == [start + number * MINUTE_US for number in range(5, 1_005)]
    hours = window(url, symbol="XRPUSDT", interval="1h")["klines"]
    assert sum(row[5] for row in hours) == pytest.approx(1.5 * 1_010)


def test_the_newest_window_of_a_history_ends_at_its_last_kline(url: str, warehouse: Warehouse) -> None:
    insert_klines(warehouse, "SOLUSDT", days_ago=200)
    newest = window(url, symbol="SOLUSDT")
    assert len(newest["klines"]) == 30
    assert newest["until"] == newest["klines"][-1][0] + MINUTE_US


def insert_event(warehouse: Warehouse, event: str, ids: tuple[int, int] | None, lasted: timedelta, **more: object) -> None:
    first, last = ids or (None, None)
    row = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trades",
        "instance": "main",
        "event": event,
        "from_update_id": first,
        "to_update_id": last,
        "started_at": OPENED + timedelta(minutes=5),
        "ended_at": OPENED + timedelta(minutes=5) + lasted,
        "cause": "disconnect",
        "detail": "",
        "object_key": "x",
    }
    warehouse.insert_rows("bronze_stream_events", [row | more])


def test_without_any_candle_the_market_has_what_is_loaded_of_it(url: str, warehouse: Warehouse) -> None:
    """86,400 klines of a minute are not "no klines": of an hour there is none before gold made them."""
    assert window(url)["loaded"] == []
    insert_klines(warehouse, "ADAUSDT", count=7)
    trade = {"venue": "binance", "symbol": "ADAUSDT", "price": 1, "quantity": 1, "is_buyer_maker": True, "object_key": "x"}
    instants = dict.fromkeys(("trade_time", "event_time", "receipt_time"), OPENED - timedelta(days=3))
    warehouse.insert_rows("bronze_trades", [trade | instants | {"trade_id": number} for number in range(3)])
    nothing = window(url, symbol="ADAUSDT", interval="1s")
    assert (nothing["klines"], nothing["loaded"]) == ([], [["klines", "1m", 7], ["trades", "", 3]])
    assert window(url, symbol="NONE")["loaded"] == []


def test_a_gap_of_the_book_ends_where_the_book_is_in_sync_again(url: str, warehouse: Warehouse) -> None:
    began = OPENED + timedelta(minutes=5)
    for minutes in (0, 10, 20):
        at = {"started_at": began + timedelta(minutes=minutes), "ended_at": began + timedelta(minutes=minutes, seconds=1)}
        insert_event(warehouse, "gap", (minutes, minutes), timedelta(0), channel="depth", **at)
    for minutes in (2, 9, 10, 40):
        insert_event(warehouse, "synced", (1, 1), timedelta(0), channel="depth", started_at=began + timedelta(minutes=minutes))
    insert_event(warehouse, "synced", (1, 1), timedelta(0), channel="depth", started_at=began, symbol="ETHUSDT")
    start = int(began.replace(tzinfo=UTC).timestamp() * 1e6)
    found = {gap[4]: (gap[7] - start) // MINUTE_US for gap in window(url)["gaps"]}
    assert found == {0: 2, 10: 10, 20: 40}


def test_a_book_that_broke_after_its_proof_is_not_called_verified(warehouse: Warehouse) -> None:
    def proof() -> list[Any]:
        since = int((OPENED - timedelta(days=1)).replace(tzinfo=UTC).timestamp() * 1e6)
        market = {"venue": "binance", "symbol": "BTCUSDT", "since_us": since}
        (row,) = warehouse.query((SQL_ROOT / "status" / "book_proof.sql").read_text(encoding="utf-8"), market)
        return [bool(at_us) for at_us in row]

    assert proof() == [False, False]
    insert_event(warehouse, "proven", (1, 1), timedelta(0), channel="depth", started_at=OPENED)
    assert proof() == [True, False]
    insert_event(warehouse, "gap", (2, 3), timedelta(0), channel="depth", started_at=OPENED + timedelta(minutes=1))
    assert proof() == [False, True]
    insert_event(warehouse, "proven", (9, 9), timedelta(0), channel="depth", started_at=OPENED + timedelta(minutes=2))
    assert proof() == [True, True]


def test_gaps_come_with_their_window_and_say_whether_they_were_healed(url: str, warehouse: Warehouse) -> None:
    insert_event(warehouse, "gap", (10, 19), timedelta(seconds=30))
    insert_event(warehouse, "healed", (10, 14), timedelta(0))
    insert_event(warehouse, "healed", (15, 19), timedelta(0))
    insert_event(warehouse, "gap", (30, 39), timedelta(seconds=40))
    insert_event(warehouse, "healed", (30, 38), timedelta(0))
    for first, last in ((44, 60), (40, 47), (72, 80), (3, 4)):
        insert_event(warehouse, "healed", (first, last), timedelta(0))
    for first, last in ((45, 50), (70, 71)):
        insert_event(warehouse, "gap", (first, last), timedelta(seconds=1))
    insert_event(warehouse, "gap", None, timedelta(0), channel="depth", cause="restart")
    opened = int((OPENED + timedelta(minutes=20)).replace(tzinfo=UTC).timestamp()) * 1_000_000
    for interval, instance in (("1m", "backfill-BTCUSDT-1m"), ("1h", "backfill-BTCUSDT-1h")):
        insert_event(
            warehouse, "gap", (opened, opened + MINUTE_US), timedelta(0), channel="klines", instance=instance, detail=interval
        )
    asked = window(url)
    assert {(channel, first, last, healed) for channel, _, _, _, first, last, healed, _ in asked["gaps"]} == {
        ("trades", 10, 19, True),
        ("trades", 30, 39, False),
        ("trades", 45, 50, True),
        ("trades", 70, 71, False),
        ("depth", None, None, False),
        ("klines", opened, opened + MINUTE_US, False),
    }
    assert [gap[2:4] for gap in asked["gaps"] if gap[0] == "klines"] == [[opened, opened + MINUTE_US]]
    before = httpx.get(f"{url}/api/gaps", params={"venue": "binance", "symbol": "BTCUSDT", "until": asked["since"]}).json()
    assert before == []


def test_a_calendar_counts_what_is_there_by_hour_day_and_month(url: str, warehouse: Warehouse) -> None:
    insert_event(warehouse, "gap", (10, 19), timedelta(seconds=30))
    insert_event(warehouse, "gap", (10, 19), timedelta(seconds=30), channel="depth")
    insert_event(warehouse, "healed", (10, 14), timedelta(0))
    for unit in ("hour", "day", "month"):
        answer = httpx.get(f"{url}/api/coverage", params={"venue": "binance", "symbol": "BTCUSDT", "unit": unit}).json()
        totals = [sum(column) for column in list(zip(*answer["cells"], strict=True))[1:]]
        assert totals == [0, 0, 30, 0, 1, 1, 0, 1]
        assert all(answer["since"] - 31 * DAY_US < cell[0] < answer["until"] for cell in answer["cells"])


def test_events_are_paged_and_chosen_by_market_and_kind(url: str, warehouse: Warehouse) -> None:
    for number in range(130):
        insert_event(warehouse, "gap", (number, number), timedelta(0))
    insert_event(warehouse, "connected", None, timedelta(0), symbol="")
    insert_event(warehouse, "gap", (1, 2), timedelta(0), symbol="ETHUSDT")

    def page(**asked: str | int) -> list[Any]:
        return list(httpx.get(f"{url}/api/history", params=asked).json())

    market: dict[str, str | int] = {"venue": "binance", "symbol": "BTCUSDT", "kind": "gaps"}
    first, second = page(**market), page(**market, offset=100)
    assert (len(first), len(second)) == (100, 30)
    assert {row[8] for row in first + second} == set(range(130))
    assert [row[5] for row in page(kind="connections")] == ["connected"]
    assert len(page(offset=100)) == 32
    for wrong in ({"kind": "sql"}, {"offset": "-1"}, {"until": "yesterday"}, {"symbol": "x' or 1=1"}):
        assert httpx.get(f"{url}/api/history", params=wrong).status_code == 400
    assert httpx.get(f"{url}/api/coverage", params=market | {"unit": "week"}).status_code == 400


def test_a_market_without_contracts_has_no_basis(url: str) -> None:
    assert httpx.get(f"{url}/api/basis", params={"venue": "binance", "symbol": "BTCUSDT"}).json() == {"pairs": []}


def test_what_is_no_name_is_refused_and_a_strangers_name_for_this_address_too(url: str) -> None:
    for path in ("klines", "market", "events", "coverage", "gaps", "basis"):
        for wrong in WRONG:
            assert httpx.get(f"{url}/api/{path}", params=wrong).status_code == 400
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 400


def test_nothing_can_be_written(url: str, warehouse_settings: WarehouseSettings) -> None:
    assert httpx.post(f"{url}/api/status").status_code == 405
    reader = connect_reader(warehouse_settings)
    for statement in ("create table x (a Int8) engine = Memory", "truncate table bronze_klines", "drop table bronze_klines"):
        with pytest.raises(WarehouseUnavailable, match="readonly"):
            reader.command(statement)
    assert reader.query("select count() from klines") == [(30,)]
    reader.close()


def test_events_bring_state_and_market(url: str) -> None:
    seen: dict[str, Any] = {}
    asked = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m"}
    with httpx.stream("GET", f"{url}/api/events", params=asked, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen[name] = orjson.loads(line.removeprefix("data: "))
            if {"state", "market"} <= set(seen):
                break
    assert seen["market"]["klines"][-1][4] == 129.0
    assert seen["market"]["book"] is None
    assert len(seen["state"]["stages"]) == 4


def test_without_a_lake_the_page_says_so_and_is_not_ready(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with running_page(StatusSettings(port=0)) as url:
        state = httpx.get(f"{url}/api/status", timeout=60).json()
        assert state["verdict"] == "down"
        assert "http://127.0.0.1:9" in state["words"]
        assert httpx.get(f"{url}/readyz").status_code == 503


def test_beyond_loopback_the_page_checks_names_and_token(moto_lake: "Lake", warehouse: Warehouse) -> None:
    token = "a-token-of-enough-letters"
    with running_page(StatusSettings(host="0.0.0.0", port=0, token=token)) as url:  # as in a container
        own = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(own, headers={"Host": "evil.example"}).status_code == 400
        assert httpx.get(f"{own}/api/status").status_code == 401
        asked = run_here("tickhouse.cli", "status", "--json", "--url", own)
        assert (asked.returncode, asked.stderr) == (1, f"error: status page at {own} needs its token: set STATUS_TOKEN\n")
        asked = run_here("tickhouse.cli", "status", "--json", "--url", own, environment={"STATUS_TOKEN": token})
        assert orjson.loads(asked.stdout)["verdict"] == "idle"
        browser = httpx.Client()
        assert browser.post(f"{own}/login", data={"token": token}).headers["location"] == "/"
        assert "quiet clock" in browser.get(own).text
        browser.close()


def test_a_port_in_use_is_one_line_or_another_port(moto_lake: "Lake", warehouse: Warehouse) -> None:
    with running_page(StatusSettings(port=0)) as url:
        taken = int(url.rpartition(":")[2])
        with pytest.raises(UsageError, match="choose another with --port"), running_page(StatusSettings(port=taken)):
            pass
        with running_page(StatusSettings(port=taken), or_any_port=True) as other:
            assert other != url


def test_the_vendored_library_is_the_one_its_note_names() -> None:
    note = (ASSETS / "vendor" / "README.md").read_text()
    body = (ASSETS / "vendor" / "lightweight-charts.standalone.production.js").read_bytes()
    assert hashlib.sha256(body).hexdigest() in note
    assert f"v{note.split()[1]}".encode() in body[:200]
    assert "Apache License" in (ASSETS / "vendor" / "lightweight-charts.LICENSE").read_text()
