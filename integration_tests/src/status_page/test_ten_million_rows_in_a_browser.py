"""The page in front of ten million rows and a running pipeline: how soon it is there, and how soon it answers."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from integration_tests.src.status_page.conftest import OpenPipeline, expect
from tests.waiting import patience

from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAINT_SECONDS, ANSWER_SECONDS = 1.0, 0.5
BESIDE_SECONDS = 1.5
"""An answer, while recorder, loader, transformer and the exchange use the same two cores."""

KLINES = {"1m": (60, 1_700_000), "5m": (300, 340_000), "1h": (3_600, 28_000), "1d": (86_400, 1_400)}
"""By interval its seconds, and how many of two markets."""

EVENTS, BEATS = 300_000, 8_640
TRADES = 10_000_000 - sum(count for _, count in KLINES.values()) - EVENTS - BEATS
MARKET = "venue=binance&symbol=BTCUSDT&interval=1m"


def fill(warehouse: Warehouse) -> None:
    """Klines of two markets over two years, trades of four over a day, events of two months, heartbeats of a day."""
    for interval, (seconds, count) in KLINES.items():
        warehouse.command(
            "insert into silver_klines "
            "(venue, symbol, interval, open_time, open, high, low, close, volume, is_closed, load_time) "
            f"select 'binance', ['BTCUSDT', 'ETHUSDT'][number % 2 + 1], '{interval}', "
            f"toStartOfInterval(now(), toIntervalSecond({seconds})) - toIntervalSecond({seconds} * (1 + intDiv(number, 2))), "
            f"36000 + number % 50, 36100, 35900, 36010, 1, true, now64(6) - toIntervalHour(2) from numbers({count})"
        )
    warehouse.command(
        "insert into silver_trades (venue, symbol, trade_id, price, quantity, trade_time, event_time, receipt_time, load_time) "
        "select 'binance', ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT'][number % 4 + 1], intDiv(number, 4), "
        "100 + number % 1000, 1, now64(6) - toIntervalHour(23) + toIntervalMillisecond(10 * number) as at, at, "
        "at + toIntervalMillisecond(number % 90), at + toIntervalSecond(3) "
        f"from numbers({TRADES})"
    )
    warehouse.command(
        "insert into silver_stream_events (venue, symbol, channel, instance, event, from_update_id, to_update_id, started_at, "
        "ended_at, cause, detail, load_time) "
        "select 'binance', ['BTCUSDT', 'ETHUSDT'][number % 2 + 1], 'trades', 'main', "
        "['connected', 'gap', 'healed', 'proven'][intDiv(number, 2) % 4 + 1], number, number + 1, "
        "now64(6) - toIntervalSecond(17 * number) as at, at, 'disconnect', '', at "
        f"from numbers({EVENTS})"
    )
    warehouse.command(
        "insert into silver_heartbeats (venue, process, instance, started_at, beat_time, connections, frames, rows, spool_bytes, "
        "detail, load_time) "
        "select 'binance', 'stream', 'older', now64(6) - toIntervalHour(25), now64(6) - toIntervalSecond(10 * number) as at, 2, "
        f"50 * ({BEATS} - number), 90 * ({BEATS} - number), 1000, 'memory_bytes 250000000, batches of 10 s', at "
        f"from numbers({BEATS})"
    )


Answer = Callable[[], None]


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    times[name] = time.monotonic() - began


def interactions(page: "Page") -> Iterator[tuple[str, Answer, Answer]]:
    """Name, what somebody does, and what has to be there then."""

    def pick(name: str, value: str) -> None:
        page.locator(f"#{name}").select_option(value)

    def chosen(symbol: str, interval: str) -> Answer:
        def there() -> None:
            page.locator("#candles-words", has_text=f"{symbol} {interval} ").wait_for()
            page.locator("#candles[aria-busy=false]").wait_for()

        return there

    for interval in ("1h", "1d", "5m", "1m"):
        yield f"interval {interval}", partial(pick, "interval", interval), chosen("BTCUSDT", interval)
    yield "symbol", partial(pick, "symbol", "binance ETHUSDT"), chosen("ETHUSDT", "1m")
    yield "symbol back", partial(pick, "symbol", "binance BTCUSDT"), chosen("BTCUSDT", "1m")

    def moved(before: str) -> Answer:
        def there() -> None:
            page.wait_for_function("before => location.search !== before", arg=before)
            page.locator("#candles[aria-busy=false]").wait_for()

        return there

    for number in range(12):
        yield f"earlier {number + 1}", page.locator("#earlier").click, moved(page.evaluate("location.search"))
    cells = page.locator("#calendar button")
    for unit in ("day", "month", "hour"):

        def counted(unit: str = unit) -> None:
            page.wait_for_function(f"() => document.querySelectorAll('#calendar tbody tr').length {UNIT_ROWS[unit]}")
            page.locator("#calendar:not([aria-busy])").wait_for()

        yield f"calendar by {unit}", partial(pick, "unit", unit), counted
    yield "calendar of trades", partial(pick, "part", "trades"), cells.first.wait_for
    listed = page.locator("#gaps summary").first

    def cell() -> None:
        page.locator("#gaps-of", has_text=re.compile(r":00: \d")).wait_for()
        listed.wait_for()
        page.locator("#candles[aria-busy=false]").wait_for()

    yield "calendar cell", cells.nth(30).click, cell
    for name, act, words in (
        ("events, gaps", partial(pick, "events-kind", "gaps"), "1 to 100"),
        ("events, older", page.locator("#events-older").click, "101 to 200"),
    ):
        yield name, act, page.locator("#events-page", has_text=words).wait_for
    yield "newest", page.locator("#newest").click, page.locator("#newest:disabled").wait_for
    before = page.evaluate("document.documentElement.dataset.theme")

    def changed() -> None:
        page.wait_for_function("before => document.documentElement.dataset.theme !== before", arg=before)

    yield "theme", page.locator("#theme").click, changed


UNIT_ROWS = {"day": "> 9", "month": "< 5", "hour": "=== 8"}


@pytest.mark.long
def test_ten_million_rows_are_there_at_once_and_everything_answers(open_pipeline: OpenPipeline, page: "Page") -> None:
    began = time.monotonic()
    watched = open_pipeline(fill)
    print(f"10,000,000 rows and a running pipeline after {time.monotonic() - began:.0f} s")
    page.goto(f"{watched.url}/?{MARKET}")
    expect(page.locator("#book-figures")).to_contain_text("spread", timeout=patience(60) * 1_000)
    paints: dict[str, list[float]] = {"first paint": [], "candles": []}
    for _ in range(5):
        started = time.monotonic()
        page.goto(f"{watched.url}/?{MARKET}", wait_until="commit")
        page.locator("#candles-words", has_text="close").wait_for()
        paints["candles"].append(time.monotonic() - started)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        paints["first paint"].append(paint / 1_000)
    beside = answers(page)
    for part in (*watched.parts.captures, watched.parts.loader, watched.parts.transformer):
        part.stop()
    page.goto(f"{watched.url}/?{MARKET}")
    page.locator("#candles-words", has_text="close").wait_for()
    alone = answers(page)
    print({name: [round(one, 3) for one in seconds] for name, seconds in paints.items()})
    for name, seconds in alone.items():
        print(f"{name:20} {beside[name]:.3f} while recording, {seconds:.3f} alone")
    assert min(paints["first paint"]) < patience(PAINT_SECONDS)
    assert min(paints["candles"]) < patience(PAINT_SECONDS)
    assert {name: seconds for name, seconds in beside.items() if seconds > patience(BESIDE_SECONDS)} == {}
    assert {name: seconds for name, seconds in alone.items() if seconds > patience(ANSWER_SECONDS)} == {}


def answers(page: "Page") -> dict[str, float]:
    """Seconds of every interaction."""
    times: dict[str, float] = {}
    for name, act, answer in interactions(page):
        page.wait_for_timeout(150)  # nobody clicks without a pause
        with timed(times, name):
            act()
            answer()
    page.reload()
    with timed(times, "health"):
        page.locator("#health").scroll_into_view_if_needed()
        page.wait_for_function("() => document.querySelectorAll('#figure-3 path').length === 2")
    print(f"load {os.getloadavg()[0]:.1f}")
    return times
