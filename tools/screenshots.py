"""Pictures of the status page for README and docs: `make screenshots`, about a minute.

A simulated exchange and the parts of `tickhouse local` in this process (Chromium must be installed; no network). Klines of three
days are backfilled, a day of trades and heartbeats and an hour of best prices are written in bulk. Then two spot venues and a
perpetual are recorded live. The pictures show a halt of the venue, a gap of the recorder, both venues of a market, and its
perpetual. They go to docs/images, as named in `PICTURES`.
"""

import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error, sync_playwright

from extract_process.backfill.plan import BackfillOptions
from extract_process.klines import run_backfill
from extract_process.live.options import StreamOptions
from extract_process.spool.limits import BatchLimits
from load_process.__main__ import run_loader
from load_process.loader import LoaderOptions
from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt
from status_page.server import running_page
from tickhouse.embedded import bring_gold_up, data_folder, environment_variables, live_pipeline
from tickhouse_core.datasets import QUEUES
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import heartbeat_detail, resident_bytes
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, SECOND_US, now_us, to_datetime
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.migrate import migrate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PERPETUAL = "binance-usdm"
MARKETS = {"binance": ("BTCUSDT", "ETHUSDT"), "kucoin": ("BTC-USDT",), PERPETUAL: ("BTCUSDT",)}
ADDRESS = "?venue=binance&symbol=BTCUSDT&interval=1m&compare=kucoin+BTC-USDT"
MOST_SECONDS = 300
"""That one thing may take to be shown."""

NEEDED = {
    "no stage is late": "document.querySelectorAll('#stages [data-verdict=ok]').length === 4",
    "the page is healthy": "document.querySelector('#verdict').dataset.verdict === 'ok'",
    "candles": "/close \\d/.test(document.querySelector('#candles-words').textContent)",
    "the other venue": "/bps/.test(document.querySelector('#candles-words').textContent)",
    "two stretches that are missing": "/ [2-9] stretches missing/.test(document.querySelector('#candles').ariaLabel)",
    "a verified book": "/verified against/.test(document.querySelector('#book-proof').textContent)",
    "a whole ladder": "document.querySelectorAll('#top tr').length === 30",
    "an hour of basis": "/ bps in the hour/.test(document.querySelector('#basis-pairs figcaption')?.textContent)",
    "the funding that runs": "/^funding -?\\d/.test(document.querySelector('#basis-pairs .funding')?.textContent)",
    "coverage": "document.querySelectorAll('#coverage tbody tr').length === 4",
    "a calendar": "document.querySelectorAll('#calendar [data-share=full]').length > 20",
    "events": "document.querySelectorAll('#events tr').length > 5",
}
"""What every picture needs: expressions of JavaScript that come true."""


def hover_the_gap(page: "Page") -> None:
    chart = page.locator("#candles").bounding_box()
    assert chart is not None
    for part in range(90, 10, -1):
        page.mouse.move(chart["x"] + chart["width"] * part / 100, chart["y"] + chart["height"] * 0.4)
        if "recorder was not running" in (page.locator("#candles-hover").text_content() or ""):
            return
    raise SystemExit("no gap of the recorder is in the chart")


def open_the_gap(page: "Page") -> None:
    page.locator("#part").select_option("trades")
    page.locator("#calendar button", has_text="●").last.click()
    shown(page, "the gaps of a cell", "document.querySelectorAll('#gaps li').length > 0")
    page.locator("#gaps summary").first.click()
    page.evaluate(NAME_THE_FOLDER)


def see_health(page: "Page") -> None:
    page.locator("#health").scroll_into_view_if_needed()
    shown(page, "figures of health", "document.querySelectorAll('#figures .line').length === 13")


NAME_THE_FOLDER = (
    "for (const code of document.querySelectorAll('code')) "
    "code.textContent = code.textContent.replace(/--data .*/, '--data data')"
)
"""Of a command: the folder of this program is a temporary one."""

WIDE, PHONE = {"width": 1400, "height": 1575}, {"width": 400, "height": 860}
PICTURES: Mapping[str, tuple[dict[str, Any], Callable[["Page"], None] | None, str]] = {
    "light": ({"viewport": WIDE, "color_scheme": "light"}, None, ""),
    "dark": ({"viewport": WIDE, "color_scheme": "dark"}, hover_the_gap, ""),
    "phone": ({"viewport": PHONE, "color_scheme": "light", "has_touch": True}, None, "#market"),
    "coverage": ({"viewport": WIDE, "color_scheme": "light"}, open_the_gap, "section[aria-labelledby=calendar-title]"),
    "health": ({"viewport": WIDE, "color_scheme": "light"}, see_health, "#health"),
}
"""By name: the browser's look, what is done before, and the section that is taken; empty for what the browser shows."""

MARGIN = 10


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    now = now_us() // MINUTE_US * MINUTE_US
    halt, gap = (now - 75 * MINUTE_US, now - 58 * MINUTE_US), (now - 34 * MINUTE_US, now - 22 * MINUTE_US)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(data_folder(folder / "data"))
        halts = Halt("BTCUSDT", *(instant // 1_000 for instant in halt))
        exchange = stack.enter_context(running_exchange(ExchangeConfig(halts=(halts,))))
        stack.enter_context(environment_variables(exchange.environment))
        told("history")
        migrate(read(WarehouseSettings))
        for span in ((now - 3 * DAY_US, gap[0]), (gap[1], now)):
            backfill(*span)
        with closing(connect(read(WarehouseSettings))) as warehouse:
            write_history(warehouse, now, gap)
        backfill(now, now_us() // MINUTE_US * MINUTE_US)  # what has passed meanwhile
        bring_gold_up()
        told("recording")
        stack.enter_context(live_pipeline([capture(venue, symbols) for venue, symbols in MARKETS.items()]))
        url = stack.enter_context(running_page(StatusSettings(port=0)))
        playwright = stack.enter_context(sync_playwright())
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found or playwright.chromium.executable_path, args=arguments)
        stack.callback(browser.close)
        for name in PICTURES:
            told(f"status-page-{name}.png")
            picture(browser, url, name)


def told(words: str) -> None:
    print(f"{time.monotonic() - BEGAN:4.0f} s  {words}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def capture(venue: str, symbols: tuple[str, ...]) -> StreamOptions:
    """Books are verified often: a picture shows one that is."""
    more = ("mark_prices",) if venue == PERPETUAL else ()
    wanted: dict[str, tuple[str, ...]] = dict.fromkeys(symbols, ("trades", "depth", *more))
    return StreamOptions(wanted, venue=venue, limits=BatchLimits(age_seconds=2.0), prove_seconds=10.0)


def backfill(start_us: int, end_us: int) -> None:
    """Klines of a stretch, from the exchange into the warehouse."""
    for venue, symbols in MARKETS.items():
        done = run_backfill(list(symbols), BackfillOptions("1m", start_us, end_us, venue=venue), StopRequest())
        if done.report.failures:
            raise SystemExit(f"the history is incomplete: {done.report.failures[0]}")
    run_loader(QUEUES, StopRequest(), LoaderOptions(drain=True))


def write_history(warehouse: Warehouse, now: int, gap: tuple[int, int]) -> None:
    """A day of trades, four per minute with the prices of its kline; an hour of best prices of spot, each second on the way
    from open to close, and of the perpetual some basis points below; heartbeats; the events of a recorder that was down."""
    warehouse.command(
        "insert into silver_trades "
        "(venue, symbol, trade_id, price, quantity, is_buyer_maker, trade_time, event_time, receipt_time, load_time) "
        "select venue, symbol, intDiv(toUnixTimestamp(open_time), 15) + part as id, [open, low, high, close][part + 1], "
        "toDecimal128(volume, 18) / 4, part % 2, open_time + toIntervalSecond(1 + 19 * part) as at, at, "
        "at + toIntervalMillisecond(8 + cityHash64(id) % 40), at + toIntervalMillisecond(2000 + cityHash64(id) % 3000) "
        "from silver_klines final array join [0, 1, 2, 3] as part where open_time >= fromUnixTimestamp64Micro({since:Int64})",
        {"since": now - DAY_US},
    )
    warehouse.command(
        "insert into stored_book_top (venue, symbol, open_time, last_update_id, "
        "best_bid_price, best_bid_quantity, best_ask_price, best_ask_quantity, build_version) "
        "with toUnixTimestamp(open_time) + second as at, toDecimal128('0.01', 2) as tick, "
        "if(venue = 'binance', 0, sin(at / 400) * 2 + cityHash64(intDiv(at, 10)) % 100 / 100 - 3.5) as premium_bps, "
        "toDecimal128((open + (close - open) * second / 60) * (1 + premium_bps / 1e4), 2) as middle "
        "select venue, symbol, open_time + toIntervalSecond(second), 1, middle - tick, 1, middle + tick, 1, 0 "
        "from silver_klines final array join range(60) as second where venue in ('binance', {perpetual:String}) "
        "and symbol = 'BTCUSDT' and open_time >= fromUnixTimestamp64Micro({since:Int64})",
        {"perpetual": PERPETUAL, "since": now - HOUR_US},
    )
    for venue, symbols in MARKETS.items():
        beats = [row for began, ended in ((now - DAY_US, gap[0]), (gap[1], now)) for row in heartbeats(venue, began, ended)]
        warehouse.insert_rows("bronze_heartbeats", beats)
        events = [row for symbol in symbols for row in events_of(venue, symbol, gap)]
        warehouse.insert_rows("bronze_stream_events", events)


def heartbeats(venue: str, began: int, ended: int) -> list[dict[str, Any]]:
    """One per minute; the rates rise and fall over the day. Memory and disk are those of now."""
    frames, rows = 0, []
    resident, free = resident_bytes() or 0, shutil.disk_usage(IMAGES).free
    for at in range(began + MINUTE_US, ended, MINUTE_US):
        minute = at // MINUTE_US
        frames += 60 * round(16 + 5 * math.sin(minute / 230) + minute * 7_919 % 5)
        figures = {"weight": 90 + minute * 104_729 % 50, "weight_limit": 6_000, "uploaded_bytes": 480 * frames}
        figures |= {"memory_bytes": resident + minute * 7_919 % 9_000_000, "free_bytes": free}
        rows.append(
            {"venue": venue, "process": "stream", "instance": "main", "connections": 2, "object_key": "history"}
            | {"started_at": to_datetime(began), "beat_time": to_datetime(at), "frames": frames, "rows": frames}
            | {"spool_bytes": 40_000, "detail": heartbeat_detail("0 gaps", 2.0, figures)}
        )
    return rows


def events_of(venue: str, symbol: str, gap: tuple[int, int]) -> list[dict[str, Any]]:
    """The recorder was down: trades and updates of the book are missing, then the book is in sync again and verified."""
    began, ended = map(to_datetime, gap)
    ids = (gap[0] // SECOND_US // 15, gap[1] // SECOND_US // 15 - 1)
    common = {"venue": venue, "symbol": symbol, "instance": "main", "object_key": "history", "detail": "", "cause": ""}
    soon = ended + timedelta(seconds=3)
    rows = [
        {"event": "started", "channel": "", "symbol": "", "started_at": ended, "ended_at": ended},
        {"event": "gap", "channel": "trades", "cause": "restart", "started_at": began, "ended_at": ended},
        {"event": "gap", "channel": "depth", "cause": "restart", "started_at": began, "ended_at": ended},
        {"event": "synced", "channel": "depth", "started_at": soon, "ended_at": soon},
    ]
    return [common | {"from_update_id": None, "to_update_id": None} | row | _ids(row, ids) for row in rows]


def _ids(row: Mapping[str, Any], ids: tuple[int, int]) -> dict[str, int]:
    return {"from_update_id": ids[0], "to_update_id": ids[1]} if row["event"] == "gap" else {}


def shown(page: "Page", what: str, expression: str) -> None:
    """Waits until it is; else the program ends with what is missing and what the page shows instead."""
    try:
        page.wait_for_function(f"() => {expression}", timeout=MOST_SECONDS * 1_000)
    except Error:
        words = page.locator("#words").text_content()
        raise SystemExit(f"{what}: not shown within {MOST_SECONDS} s; the page shows: {words}") from None


def picture(browser: "Browser", url: str, name: str) -> None:
    look, act, section = PICTURES[name]
    with browser.new_context(**look, device_scale_factor=1) as context:
        page = context.new_page()
        page.goto(f"{url}/{ADDRESS}")
        for what, expression in NEEDED.items():
            shown(page, what, expression)
        if act:
            act(page)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # the chart is drawn
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            raise SystemExit(f"{name}: the page is wider than the screen")
        take(page, section, IMAGES / f"status-page-{name}.png")


def take(page: "Page", section: str, path: Path) -> None:
    """What the browser shows, or one section; again where a line more above it moved it meanwhile."""
    if not section:
        page.screenshot(path=path)
        return
    for _ in range(20):
        place = around(page, section)
        page.screenshot(path=path, full_page=True, clip=place)
        if place == around(page, section):
            return
    raise SystemExit(f"{path.name}: {section} does not stand still")


def around(page: "Page", section: str) -> "FloatRect":
    """The place of a section in the whole page, with a margin below."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(section).bounding_box()
    assert box is not None
    wide = page.evaluate("document.documentElement.clientWidth")
    return {"x": 0, "y": box["y"], "width": wide, "height": box["height"] + MARGIN}


if __name__ == "__main__":
    main()
