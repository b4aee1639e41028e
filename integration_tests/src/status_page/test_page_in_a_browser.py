"""The status page in a real browser, in front of a running pipeline with millions of older rows."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.status_page.conftest import AXE, OpenPipeline, Watched, expect
from tests.waiting import patience

from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

LOAD_SECONDS = 1.0
RED_SECONDS = 15.0
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}


def fill(warehouse: Warehouse, rows: int) -> None:
    """Rows of the days before: four of five are trades of four symbols, the others klines of two."""
    klines = rows // 5
    warehouse.command(
        "insert into silver_trades (venue, symbol, trade_id, price, quantity, trade_time, event_time, receipt_time, load_time) "
        "select 'binance', ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT'][number % 4 + 1], intDiv(number, 4), "
        "100 + number % 1000, 1, now64(6) - toIntervalHour(20) + toIntervalMillisecond(intDiv(number, 200)) as at, at, at, "
        "now64(6) - toIntervalHour(2) "
        f"from numbers({rows - klines})"
    )
    warehouse.command(
        "insert into silver_klines (venue, symbol, interval, open_time, open, high, low, close, volume, is_closed, load_time) "
        "select 'binance', ['BTCUSDT', 'ETHUSDT'][number % 2 + 1], '1m', "
        "toStartOfMinute(now()) - toIntervalMinute(30 + intDiv(number, 2)), 36000 + number % 50, 36100, 35900, 36010, 1, true, "
        f"now64(6) - toIntervalHour(2) from numbers({klines})"
    )
    assert warehouse.query("select (select count() from silver_trades) + (select count() from silver_klines)") == [(rows,)]


def opened(context: "BrowserContext", url: str, complaints: list[str]) -> "Page":
    context.set_default_timeout(patience(30) * 1_000)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    return page


def seconds_until_shown(context: "BrowserContext", url: str) -> float:
    """From asking for the page until tiles, klines and book are drawn."""
    page = context.new_page()
    began = time.monotonic()
    page.goto(url, wait_until="commit")
    page.locator("#stage-gold .age").wait_for()
    page.locator("#candles-words", has_text="close").wait_for()
    page.locator("#book-figures", has_text="spread").wait_for()
    seconds = time.monotonic() - began
    page.close()
    return seconds


def wait_for_change(page: "Page", selector: str, attribute: str | None = None) -> None:
    """Within 10 s of an idle machine."""

    def read() -> str | None:
        node = page.locator(selector)
        return node.get_attribute(attribute) if attribute else node.text_content()

    before, deadline = read(), time.monotonic() + patience(10)
    while read() == before:
        assert time.monotonic() < deadline, f"{selector} stands still"
        page.wait_for_timeout(200)


def seconds_until_verdict(page: "Page", verdict: str, within: float) -> float:
    began = time.monotonic()
    expect(page.locator("#stage-warehouse")).to_have_attribute("data-verdict", verdict, timeout=patience(within) * 1_000)
    return time.monotonic() - began


@pytest.mark.parametrize("rows", [2_000_000, pytest.param(10_000_000, id="full size", marks=pytest.mark.long)])
def test_the_page_lives_tells_trouble_within_seconds_and_can_be_used_by_everyone(
    rows: int, browser: "Browser", open_pipeline: OpenPipeline, tmp_path: Path
) -> None:
    watched: Watched = open_pipeline(partial(fill, rows=rows))
    complaints: list[str] = []
    context = browser.new_context(**LOOKS["light"])
    page = opened(context, watched.url, complaints)
    expect(page.locator("#book-figures")).to_contain_text("spread", timeout=patience(60) * 1_000)
    expect(page.locator("#stage-warehouse")).to_have_attribute("data-verdict", "ok", timeout=patience(30) * 1_000)

    wait_for_change(page, "#candles-words")
    wait_for_change(page, "#depth path >> nth=0", "d")
    wait_for_change(page, "#top")

    loads = [seconds_until_shown(context, watched.url) for _ in range(3)]
    print("seconds until everything is drawn:", loads)
    assert min(loads) < patience(LOAD_SECONDS)

    watched.parts.loader.stop()
    red = seconds_until_verdict(page, "down", RED_SECONDS)
    expect(page.locator("#verdict-word")).to_have_text("trouble", timeout=patience(5) * 1_000)
    watched.parts.loader.start()
    green = seconds_until_verdict(page, "ok", RED_SECONDS)
    print(f"red after {red:.1f} s, green after {green:.1f} s")

    for name, look in LOOKS.items():
        with browser.new_context(**look) as other:
            shown = opened(other, watched.url, complaints)
            expect(shown.locator("#book-figures")).to_contain_text("spread", timeout=patience(10) * 1_000)
            shown.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert shown.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"], f"{name} is too wide"
            shown.evaluate(AXE)
            found = shown.evaluate("axe.run()")["violations"]
            serious = [(each["id"], each["nodes"][0]["target"]) for each in found if each["impact"] in ("serious", "critical")]
            assert serious == [], name
    print(f"screenshots in {tmp_path}")

    page.locator("#interval").select_option("5m")
    expect(page.locator("#candles-words")).to_contain_text("BTCUSDT 5m", timeout=patience(5) * 1_000)
    page.locator("#symbol").select_option("binance ETHUSDT")
    expect(page.locator("#candles-words")).to_contain_text("ETHUSDT 5m", timeout=patience(5) * 1_000)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") != "BODY"
    assert complaints == []
