"""A running pipeline with a page in front of it, a browser to look at it, and the page's own files with given answers."""

import json
import mimetypes
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.waiting import patience, wait_until

from extract_process.live.options import StreamOptions
from extract_process.spool.limits import BatchLimits
from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from status_page.app import ASSETS
from status_page.server import running_page
from tickhouse.embedded import LivePipeline, data_folder, environment_variables, live_pipeline
from tickhouse_core.settings import StatusSettings, WarehouseSettings, read
from tickhouse_core.timestamps import now_us, to_datetime
from tickhouse_core.warehouse import Warehouse, connect
from transform_process.catalog import TRANSFORMS
from transform_process.migrate import migrate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route
    from playwright.sync_api._generated import LocatorAssertions

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Watched:
    """The page's address and the parts it tells about."""

    url: str
    parts: LivePipeline


@pytest.fixture
def browser() -> Iterator["Browser"]:
    """A headless Chromium; skipped where none is installed."""
    from playwright.sync_api import sync_playwright  # a third of a second, in each of the test run's processes

    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    with sync_playwright() as playwright:
        program = program or playwright.chromium.executable_path
        if not Path(program).exists():
            pytest.skip(f"no browser: {', '.join(_BROWSERS)} are not installed, nor is Playwright's own")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """Fails for whatever the console complains about."""
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(patience(30) * 1_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert [words for words in complaints if "503" not in words and "400 (Bad Request)" not in words] == []


def expect(shown: "Locator") -> "LocatorAssertions":
    """Playwright's own, imported by the tests that have a browser; on a loaded machine its 5 s are longer."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=patience(5) * 1_000)
    return expected(shown)


def point_at(chart: "Locator", share: float, told: "Locator", words: str) -> None:
    """Rests the pointer at this share of a chart's width until `told` has what the pattern `words` finds.

    Above what is shown the page grows, and the chart moves away from the pointer: it is placed again, where the chart is then.
    """

    def is_told() -> bool:
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        chart.page.mouse.move(box["x"] + box["width"] * share, box["y"] + min(box["height"] * 0.3, 60))
        return re.search(words, told.text_content() or "") is not None

    wait_until(is_told, f"{words!r} in {told}")


STAGE = "http://page.test"
MARKET = {"venue": "binance", "symbol": "BTCUSDT", "interval": "1m"}
ADDRESS = "/?venue=binance&symbol=BTCUSDT&interval=1m"
NO_CANDLES: dict[str, Any] = {"since": 0, "until": 0, "klines": [], "gaps": [], "before": 0, "after": 0, "loaded": []}


Levels = list[tuple[str, str]]


def book(bids: Levels, asks: Levels, **more: Any) -> dict[str, Any]:
    said = {"event_time": now_us(), "last_update_id": 7, "is_proven": True, "proven_at": 0, "broken_at": 0, "command": ""}
    return said | {"bids": bids, "asks": asks} | more


def news(shown: dict[str, Any] | None, klines: list[Any] | None = None) -> tuple[str, dict[str, Any]]:
    return "market", MARKET | {"klines": klines or [], "book": shown}


def put_on_stage(page: "Page", answers: Mapping[str, Any], path: str = "/") -> None:
    """Opens the page without a server: its files from the sources, `answers` by path, each JSON or a function that makes it.

    The answer of /api/events is a list of name and data; the browser asks for it again and again.
    """
    known: dict[str, Any] = {"/api/klines": NO_CANDLES, "/api/coverage": {"since": 0, "until": 0, "cells": []}, "/api/gaps": []}
    known |= {"/api/basis": {"pairs": []}}
    known |= {"/api/events": [], "/api/health": {"columns": [], "slots": [], "since": 0, "until": 0}}
    known |= {"/api/examples": "", **answers}

    def answer(route: "Route") -> None:
        asked = urlsplit(route.request.url).path
        if asked not in known:
            name = {"/": "index.html", "/sql": "sql.html"}.get(asked, asked.removeprefix("/assets/"))
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            route.fulfill(body=(ASSETS / name).read_bytes(), content_type=kind)
            return
        found = known[asked]() if callable(known[asked]) else known[asked]
        if asked != "/api/events":
            route.fulfill(json=found)
            return
        lines = ["retry: 100\n\n", *(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in found)]
        route.fulfill(body="".join(lines), content_type="text/event-stream")

    page.route(f"{STAGE}/**", answer)
    page.goto(STAGE + path)


OpenPipeline = Callable[[Callable[[Warehouse], None]], Watched]


@pytest.fixture
def open_pipeline(tmp_path: Path) -> Iterator[OpenPipeline]:
    """Starts capture, loader, transformer and page on embedded parts and a simulated exchange, on top of older data."""
    with ExitStack() as stack:
        yield lambda fill: stack.enter_context(_pipeline(tmp_path, fill))


@contextmanager
def _pipeline(folder: Path, fill: Callable[[Warehouse], None]) -> Iterator[Watched]:
    with ExitStack() as stack:
        stack.enter_context(data_folder(folder))
        exchange = stack.enter_context(running_exchange(ExchangeConfig()))
        stack.enter_context(environment_variables({"BINANCE_REST_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url}))
        migrate(read(WarehouseSettings))
        with closing(connect(read(WarehouseSettings))) as warehouse:
            fill(warehouse)
            _skip_what_is_there(warehouse)
        channels: tuple[str, ...] = ("trades", "depth")
        wanted = dict.fromkeys(("BTCUSDT", "ETHUSDT"), channels)
        parts = stack.enter_context(live_pipeline([StreamOptions(wanted, limits=BatchLimits(age_seconds=2.0))]))
        url = stack.enter_context(running_page(StatusSettings(port=0)))
        yield Watched(url, parts)


def _skip_what_is_there(warehouse: Warehouse) -> None:
    """The transformer begins with what is loaded from now on."""
    now = to_datetime(now_us())
    head = {
        "step": "",
        "window_start": now,
        "window_end": now,
        "build_version": 1,
        "loaded_rows": 0,
        "built_rows": 0,
        "seconds": 0,
    }
    warehouse.insert_rows("ops_transform_runs", [head | {"transform": transform.name} for transform in TRANSFORMS])
