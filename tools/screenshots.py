"""Pictures of the status page for README and docs: `make screenshots`, about three minutes.

A simulated exchange (Chromium must be installed; no network), `tickhouse local` with three days of history, stopped for two
minutes and started again: the pictures show a halt of the venue, a gap of the recorder, and both venues of a market. They go to
docs/images: status-page-light.png, -dark.png, -phone.png, and the health of 24 hours: -health.png.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from playwright.sync_api import expect, sync_playwright

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PORT = 18_080
WAIT_SECONDS = 600
LOOKS = {
    "light": {"viewport": {"width": 1400, "height": 1260}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1400, "height": 1260}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 400, "height": 860}, "color_scheme": "light", "has_touch": True},
}
MARKET = "venue=binance&symbol=BTCUSDT&interval=1m&compare=kucoin+BTC-USDT"


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    halted = [int((now - timedelta(minutes=minutes)).timestamp() * 1_000) for minutes in (75, 55)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exchange = stack.enter_context(running_exchange(ExchangeConfig(halts=(Halt("BTCUSDT", *halted),))))
        urls = {"BINANCE_REST_URL": exchange.url, "BINANCE_ARCHIVE_URL": exchange.url, "BINANCE_WS_URL": exchange.ws_url}
        environment = {**os.environ, **urls, "KUCOIN_REST_URL": exchange.url}
        since = (now - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        with recording(folder, since, environment):
            wait_until_healthy(minutes_of_gold=60)
            time.sleep(60)  # of live data, to look at
        time.sleep(120)  # the gap
        with recording(folder, since, environment), sync_playwright() as playwright:
            wait_until_healthy(minutes_of_gold=60)
            time.sleep(75)
            found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=found or playwright.chromium.executable_path, args=arguments)
            for name in LOOKS:
                picture(browser, name)
            browser.close()


@contextmanager
def recording(folder: Path, since: str, environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "tickhouse", "local", "--data", str(folder / "data"), "--port", str(PORT), "--sql-port", "0"]
    command += ["--symbol", "BTCUSDT", "--symbol", "ETHUSDT", "--symbol", "BTC-USDT", "--venue", "binance", "--venue", "kucoin"]
    process = subprocess.Popen([*command, "--since", since], env=environment, cwd=folder)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def wait_until_healthy(minutes_of_gold: int) -> None:
    """Until the page says so, and gold has history to draw."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            with urlopen(f"http://127.0.0.1:{PORT}/api/status", timeout=10) as answer:
                state = json.load(answer)
            with urlopen(f"http://127.0.0.1:{PORT}/api/klines?{MARKET}", timeout=10) as answer:
                klines = json.load(answer)["klines"]
        except OSError:
            continue
        if state.get("verdict") == "ok" and sum(kline[6] for kline in klines) > minutes_of_gold:
            return
    raise SystemExit(f"the page did not become healthy within {WAIT_SECONDS} s")


def picture(browser: "Browser", name: str) -> None:
    context = browser.new_context(**LOOKS[name], device_scale_factor=1)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/?{MARKET}")
    expect(page.locator("#candles-words")).to_contain_text("close", timeout=30_000)
    expect(page.locator("#book-figures")).to_contain_text("spread", timeout=30_000)
    page.wait_for_timeout(2_000)  # the chart is drawn in frames
    page.screenshot(path=IMAGES / f"status-page-{name}.png")
    if name == "light":
        page.locator("#health").scroll_into_view_if_needed()
        expect(page.locator("#figure-0 path")).to_be_attached(timeout=30_000)
        page.locator("#health").screenshot(path=IMAGES / "status-page-health.png")
    context.close()


if __name__ == "__main__":
    main()
