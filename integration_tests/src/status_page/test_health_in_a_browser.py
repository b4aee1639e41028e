"""The page's history of health in a real browser, its commands for what is red, and what it shows as files."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
from integration_tests.src.status_page.conftest import AXE, expect, point_at, put_on_stage
from tests.waiting import patience

from status_page.server import running_page
from status_page.vitals import SLOT_US
from tickhouse_core.metrics import heartbeat_detail
from tickhouse_core.settings import StatusSettings
from tickhouse_core.timestamps import now_us, to_datetime
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake
    from playwright.sync_api import Browser, Page

MARKET = "venue=binance&symbol=BTCUSDT&interval=1m"
CHECK = 'tickhouse query "select at, venue, symbol, value, detail from ops_check_results where check_name = '


def fill(warehouse: Warehouse) -> None:
    """A recorder with two hours of nothing, klines, a gap of trades, and a check that failed."""
    now = now_us() // SLOT_US * SLOT_US
    rows: list[dict[str, Any]] = []
    for began, ended in ((now - 260 * SLOT_US, now - 60 * SLOT_US), (now - 34 * SLOT_US, now + 2 * SLOT_US)):
        for beat in range(began + 60_000_000, ended, 60_000_000):
            seconds = (beat - began) // 1_000_000
            figures = {"weight": 60, "weight_limit": 6_000, "memory_bytes": 250_000_000, "uploaded_bytes": 1_000 * seconds}
            row = {"venue": "binance", "process": "stream", "instance": "main", "connections": 1, "object_key": "x"}
            row |= {
                "started_at": to_datetime(began),
                "beat_time": to_datetime(beat),
                "frames": 40 * seconds,
                "rows": 90 * seconds,
            }
            rows.append(row | {"spool_bytes": 1_000, "detail": heartbeat_detail("0 gaps", 10.0, figures)})
    warehouse.insert_rows("bronze_heartbeats", rows)
    opened = to_datetime(now)
    prices = {"open": 1, "high": 2, "low": 1, "close": 2, "volume": 1, "quote_volume": 1}
    klines = [
        {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m", "open_time": opened - timedelta(minutes=number), **prices}
        | {"is_closed": True, "source": "rest", "object_key": "x", "load_time": opened}
        for number in range(1, 60)
    ]
    warehouse.insert_rows("silver_klines", klines)
    event: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trades",
        "instance": "main",
        "event": "gap",
        "cause": "restart",
    }
    event |= {"from_update_id": 7, "to_update_id": 9, "detail": "", "object_key": "x"}
    lost = {"started_at": opened - timedelta(minutes=62), "ended_at": opened - timedelta(minutes=61)}
    warehouse.insert_rows("bronze_stream_events", [event | lost])
    found: dict[str, Any] = {
        "run_time": opened,
        "check_name": "coverage",
        "severity": "error",
        "verdict": "failed",
        "findings": 1,
    }
    found |= {
        "since": began,
        "until": opened,
        "venue": "binance",
        "symbol": "BTCUSDT",
        "at": began,
        "value": 1,
        "detail": "a minute",
    }
    warehouse.insert_rows("ops_check_results", [found])


@pytest.fixture
def url(moto_lake: "Lake", warehouse: Warehouse) -> Iterator[str]:
    fill(warehouse)
    with running_page(StatusSettings(port=0)) as url:
        yield url


def test_health_has_holes_where_nothing_ran_and_what_is_red_has_a_command(url: str, page: "Page") -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{url}/?{MARKET}")
    page.locator("#health").scroll_into_view_if_needed()
    messages = page.locator("figure", has_text="Messages per second")
    expect(messages).to_contain_text("40 at ", timeout=patience(30) * 1_000)
    expect(messages.locator(".hole")).to_have_count(1)  # while nothing ran: nothing is drawn before the first heartbeat
    assert messages.locator(".hole").get_attribute("width") == "26"
    slots = page.evaluate("document.querySelector('#figure-0').viewBox.baseVal.width")
    assert slots == 261
    expect(messages.locator(".scale span")).to_have_text(["50", "25", "0"])
    expect(page.locator("figure", has_text="Lake, per day")).to_contain_text("86.4 MB at ")
    expect(page.locator("figure", has_text="Disk free")).to_contain_text("not reported")
    expect(page.locator("figure", has_text="Queues, since")).to_contain_text("highest waiting ")
    point_at(messages.locator("svg"), (slots - 50) / slots, messages.locator("figcaption"), "not reported$")
    expect(page.locator("#processes")).to_contain_text("stream binance main · up 3 h, last heartbeat")

    failed = page.locator("#check-commands li", has_text="coverage")
    expect(failed.locator("code")).to_contain_text(CHECK)
    failed.locator("button").click()
    expect(failed.locator("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == failed.locator("code").text_content()

    page.locator("#part").select_option("trades")
    page.locator("#calendar button", has_text="●").click()
    page.locator("#gaps summary").click()
    expect(page.locator("#gaps code")).to_contain_text(
        "tickhouse klines --venue binance --symbol BTCUSDT --interval 1m --start 20"
    )


def test_a_chart_that_is_drawn_again_goes_on_telling_what_is_under_the_pointer(page: "Page") -> None:
    """The first half is known, then the second: the pointer rests at three quarters, until it leaves."""
    columns, known = ["opened", "messages_per_second"], [0]

    def health() -> dict[str, Any]:
        known.append(len(known))
        rows = [[slot * SLOT_US, len(known) if slot < 144 or len(known) > 2 else None] for slot in range(288)]
        return {"columns": columns, "slots": rows, "since": 0, "until": 288 * SLOT_US}

    page.clock.install()
    put_on_stage(page, {"/api/health": health})
    messages = page.locator("figure", has_text="Messages per second")
    caption = messages.locator("figcaption")
    point_at(messages.locator("svg"), 0.751, caption, "18:00 · not reported$")
    page.clock.run_for(61_000)
    expect(caption).to_have_text("1970-01-01 18:00 · 3")
    page.mouse.move(0, 0)
    expect(caption).to_have_text("3 at 23:55, highest 3 at 00:00")


def test_what_is_shown_is_saved_as_csv_and_parquet(url: str, page: "Page") -> None:
    page.goto(f"{url}/?{MARKET}")
    expect(page.locator("#candles-words")).to_contain_text("close", timeout=patience(30) * 1_000)
    page.locator("#health").scroll_into_view_if_needed()
    lines = {"candles": 59, "coverage": None, "events": 1, "health": 288}
    for what, count in lines.items():
        place = "calendar" if what == "coverage" else what
        saved = {}
        for ending in ("CSV", "Parquet"):
            with page.expect_download() as download:
                page.locator(f"#{place}-files button", has_text=ending).click()
            assert download.value.suggested_filename == f"tickhouse-{what}.{ending.lower()}"
            saved[ending] = download.value.path()
        table = pyarrow.parquet.read_table(saved["Parquet"])
        assert len(saved["CSV"].read_text(encoding="utf-8").splitlines()) == table.num_rows + 1
        assert saved["CSV"].read_text(encoding="utf-8").splitlines()[0].replace('"', "").split(",") == table.column_names
        assert count in (None, table.num_rows)
        if what == "candles":
            assert str(table["close"][0]) == "2.000000000000000000"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_health_on_a_phone_is_whole_and_can_be_used_by_everyone(theme: Any, url: str, browser: "Browser") -> None:
    with browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=theme, has_touch=True) as context:
        page = context.new_page()
        page.goto(f"{url}/?{MARKET}")
        page.locator("#health").scroll_into_view_if_needed()
        expect(page.locator("figure", has_text="Messages per second")).to_contain_text("40 at ", timeout=patience(30) * 1_000)
        expect(page.locator("#check-commands code")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.evaluate(AXE)
        found = page.evaluate("axe.run()")["violations"]
        assert [(each["id"], each["nodes"][0]["target"]) for each in found if each["impact"] in ("serious", "critical")] == []
