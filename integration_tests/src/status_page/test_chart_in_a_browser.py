"""Chart, calendar, events and SQL in a real browser: time is linear, what is missing is seen, the address keeps the choice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from integration_tests.src.status_page.conftest import AXE, expect, point_at
from tests.waiting import patience

from status_page.server import running_page
from tickhouse_core.settings import StatusSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake
    from playwright.sync_api import Page, Route

NOW = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
NIGHT = (NOW - timedelta(hours=10), NOW - timedelta(hours=2))
FIRST = NOW - timedelta(minutes=2_500)
LONG_AGO = NOW - timedelta(days=200)
MARKET = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m"}

SHADED = """() => {
  const canvas = document.querySelector('#candles canvas');
  const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const ink = (x, y) => data.slice((y * width + x) * 4, (y * width + x) * 4 + 3).join();
  const paper = ink(0, 0);
  const isShaded = (x) => {
    let inked = 0;
    for (let y = 0; y < height; y += 2) inked += ink(x, y) !== paper;
    return inked > 0.45 * height;
  };
  let shaded = 0;
  for (let x = 4; x < width; x++) shaded += isShaded(x);
  return shaded / (width - 4);
}"""
"""The part of the pane's columns that is inked from top to bottom."""

COUNT_CLIPS = """
  const clip = CanvasRenderingContext2D.prototype.clip;
  window.clips = 0;
  CanvasRenderingContext2D.prototype.clip = function (...given) { window.clips++; return clip.apply(this, given); };
"""
"""Each shaded stretch is one clip."""


def fill(warehouse: Warehouse) -> None:
    for venue, symbol, since, minutes, night in (
        ("binance", "BTCUSDT", FIRST, 2_500, NIGHT),
        ("binance", "BTCUSDT", LONG_AGO, 50, (NOW, NOW)),
        ("kucoin", "BTC-USDT", FIRST, 2_500, (NOW, NOW)),
    ):
        warehouse.command(
            "insert into silver_klines "
            "(venue, symbol, interval, open_time, open, high, low, close, volume, is_closed, load_time) "
            "select {venue:String}, {symbol:String}, '1m', "
            "toDateTime64({since:String}, 6, 'UTC') + toIntervalMinute(number) as at, "
            "100 + number % 7, 110, 90, 101, 1, true, now64(6) from numbers({minutes:UInt32}) "
            "where at < toDateTime64({began:String}, 6, 'UTC') or at >= toDateTime64({ended:String}, 6, 'UTC')",
            {
                "venue": venue,
                "symbol": symbol,
                "since": str(since),
                "minutes": minutes,
                "began": str(night[0]),
                "ended": str(night[1]),
            },
        )
    names = [{"venue": venue, "symbol": symbol} for venue, symbol in (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"))]
    warehouse.insert_rows("stored_symbol_names", [name | {"market": "BTCUSDT", "build_version": 1} for name in names])
    gap: dict[str, object] = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trades",
        "instance": "main",
        "event": "gap",
        "object_key": "x",
    }
    gap |= {"from_update_id": 100, "to_update_id": 2_000, "cause": "restart", "detail": ""}
    warehouse.insert_rows("bronze_stream_events", [gap | {"started_at": NIGHT[0], "ended_at": NIGHT[1]}])
    runs = {"channel": "", "symbol": "", "event": "started", "cause": "", "from_update_id": None, "to_update_id": None}
    warehouse.insert_rows("bronze_stream_events", [gap | runs | {"started_at": NIGHT[1], "ended_at": NIGHT[1]}])


@pytest.fixture
def url(moto_lake: "Lake", warehouse: Warehouse) -> Iterator[str]:
    fill(warehouse)
    with running_page(StatusSettings(port=0)) as url:
        yield url


def address(base: str, start: datetime | None = None, end: datetime | None = None) -> str:
    asked = [f"{name}={value}" for name, value in MARKET.items()]
    asked += [f"{name}={at.isoformat()}Z" for name, at in (("from", start), ("to", end)) if at]
    return f"{base}/?{'&'.join(asked)}"


def in_address(page: "Page", name: str) -> str:
    return parse_qs(urlsplit(page.url).query).get(name, [""])[0]


def drawn(page: "Page") -> None:
    expect(page.locator("#candles")).to_have_attribute("aria-busy", "false", timeout=patience(30) * 1_000)
    expect(page.locator("#candles-words")).to_contain_text("close", timeout=patience(30) * 1_000)


def test_the_gap_of_a_night_takes_the_room_of_a_night_and_says_why(url: str, page: "Page") -> None:
    page.goto(address(url, NOW - timedelta(hours=12), NOW))
    drawn(page)
    # First the whole window is drawn, then the twelve hours.
    page.wait_for_function(f"() => Math.abs(({SHADED})() - 8 / 12) < 0.06")
    chart, hover = page.locator("#candles"), page.locator("#candles-hover")
    point_at(chart, 0.4, hover, "no candle · 1,901 trades missing, 8 h, the recorder was not running")
    point_at(chart, 0.05, hover, "close 101, volume 1 · from klines")
    assert "1 stretch missing" in (page.locator("#candles").get_attribute("aria-label") or "")
    page.locator("#compare").select_option("kucoin BTC-USDT")
    expect(page.locator("#candles-words")).to_contain_text("kucoin BTC-USDT: 101, 0.0 bps")


def test_thousands_of_gaps_are_shaded_once_and_told_in_a_few_words(url: str, warehouse: Warehouse, page: "Page") -> None:
    """Each on its own, they cost a second of drawing and a page of words: 2,000 of them in 40 candles of an hour."""
    warehouse.command(
        "insert into silver_stream_events (venue, symbol, channel, instance, event, from_update_id, to_update_id, started_at, "
        "ended_at, cause, detail, load_time) select 'kucoin', 'BTC-USDT', 'trades', 'main', 'gap', 9 * number, 9 * number + 1, "
        "toDateTime64({now:String}, 6, 'UTC') - toIntervalSecond(70 * number) as at, at + toIntervalSecond(number % 60), "
        "'disconnect', '', at from numbers(2000)",
        {"now": str(NOW)},
    )
    page.add_init_script(COUNT_CLIPS)
    start, end = (NOW - timedelta(hours=hours) for hours in (30, 2))
    page.goto(f"{url}/?venue=kucoin&symbol=BTC-USDT&interval=1h&from={start.isoformat()}Z&to={end.isoformat()}Z")
    drawn(page)
    page.wait_for_function("() => window.clips > 0")
    page.evaluate("window.clips = 0")
    page.locator("#theme").click()
    page.wait_for_function("() => window.clips > 0")
    assert (
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(window.clips))))") < 100
    )
    told = r"(2 trades missing, \d+ s, disconnected · ){3}and \d\d more$"
    point_at(page.locator("#candles"), 0.5, page.locator("#candles-hover"), told)


def test_loading_looks_like_loading_and_no_old_chart_stands_under_a_new_choice(url: str, page: "Page") -> None:
    page.goto(address(url))
    drawn(page)
    held: list[Route] = []
    page.route("**/api/klines?*", lambda route: route.continue_() if held else held.append(route))
    page.locator("#interval").select_option("1h")
    expect(page.locator("#candles")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#candles-state")).to_have_text("loading …")
    expect(page.locator("#candles-words")).to_have_text("")
    page.wait_for_function(f"() => ({SHADED})() === 0")
    while not held:
        page.wait_for_timeout(20)
    held[0].fulfill(status=503, body="away")
    expect(page.locator("#candles-state")).to_contain_text("the warehouse does not answer; trying again")
    expect(page.locator("#candles-words")).to_contain_text("BTCUSDT 1h", timeout=patience(30) * 1_000)
    expect(page.locator("#candles-state")).to_be_hidden()


def test_paging_goes_back_to_the_first_candle_over_any_hole_and_the_address_brings_it_back(url: str, page: "Page") -> None:
    page.goto(address(url))
    drawn(page)
    for _ in range(60):
        if page.locator("#jump").is_visible():
            break
        before = page.url
        page.locator("#earlier").click()
        page.wait_for_function("before => location.href !== before || !document.querySelector('#jump').hidden", arg=before)
    expect(page.locator("#jump")).to_contain_text(f"No candles from {LONG_AGO + timedelta(minutes=50)} to ")
    page.locator("#jump").click()
    drawn(page)
    expect(page.locator("#earlier")).to_be_disabled()
    page.wait_for_function("to => location.search.includes(to)", arg=str(LONG_AGO.date()))
    ended = in_address(page, "to")
    assert str(LONG_AGO.date()) <= ended[:10] <= str((LONG_AGO + timedelta(hours=2)).date())
    words = page.locator("#candles-words").text_content()
    page.goto(page.url)
    drawn(page)
    expect(page.locator("#candles-words")).to_have_text(words or "")
    page.wait_for_function("to => new URLSearchParams(location.search).get('to') === to", arg=ended)
    page.locator("#newest").click()
    expect(page.locator("#candles-words")).to_contain_text(f"1m · {NOW - timedelta(minutes=1)}")


@pytest.mark.parametrize("width", [1400, 400])
def test_a_cell_of_the_calendar_opens_its_time_and_lists_its_gaps(width: int, url: str, page: "Page") -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address(url))
    drawn(page)
    page.locator("#part").select_option("trades")
    page.locator(f"#calendar button[aria-label^='{NIGHT[0]:%Y-%m-%d %H}:00']").click()
    expect(page.locator("#gaps")).to_contain_text("1,901 trades missing, 8 h, the recorder was not running")
    page.locator("#gaps summary").click()
    expect(page.locator("#gaps")).to_contain_text("ids 100 to 2,000")
    page.wait_for_function("text => location.search.includes(text)", arg=f"from={NIGHT[0]:%Y-%m-%dT%H}%3A00")
    page.locator("#events-kind").select_option("gaps")
    expect(page.locator("#events-page")).to_have_text("1 to 1")
    expect(page.locator("#events tr")).to_have_count(1)
    cause = page.locator("#events td", has_text="restart").bounding_box()
    assert cause is not None
    assert cause["x"] + cause["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_sql_on_a_phone_scrolls_its_table_and_never_the_page(url: str, page: "Page") -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{url}/sql")
    page.wait_for_function("() => document.querySelectorAll('#example option').length > 5")
    page.locator("#statement").fill("select " + ", ".join(f"'{'x' * 40}' as column_{number}" for number in range(9)))
    page.locator("#run").click()
    expect(page.locator("#rows tr")).to_have_count(1, timeout=patience(30) * 1_000)
    box = page.locator("[aria-label=Result]")
    assert box.evaluate("node => node.scrollWidth > 2 * node.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("#example").evaluate("node => node.getBoundingClientRect().right") <= 400
    page.locator("#statement").fill(f"select {'x' * 200}")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("xxxx")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_sql_shows_a_table_and_the_engines_words(url: str, page: "Page") -> None:
    page.goto(f"{url}/sql")
    page.locator("#example").select_option(label="Every table and view, with what it is")
    page.locator("#run").click()
    expect(page.locator("#rows")).to_contain_text("silver_klines", timeout=patience(30) * 1_000)
    page.locator("#statement").fill("select 'a<b>' as text, toDecimal256('0.100000000000000001', 18) as price, null as none")
    page.locator("#statement").press("Control+Enter")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_have_text("a<b>0.100000000000000001null")
    expect(page.locator("#said")).to_contain_text("1 row ·")
    with page.expect_download() as saved:
        page.locator("#csv").click()
    assert saved.value.path().read_text(encoding="utf-8").startswith('"text","price","none"')
    page.locator("#statement").fill("drop table silver_klines")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("readonly")
    page.evaluate(AXE)
    assert [each["id"] for each in page.evaluate("axe.run()")["violations"] if each["impact"] in ("serious", "critical")] == []
