"""Basis and funding in a real browser: shown for a market with contracts only, in figures and words, on a phone too."""

from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.status_page.conftest import AXE, expect, point_at, put_on_stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

UNTIL = 1_723_161_600_000_000
"""2024-08-09 00:00 UTC."""

STEP = 10_000_000
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def pair(symbol: str, *, delivery: int = 0, funding: list[Any] | None = None, spot: str = "BTCUSDT") -> dict[str, Any]:
    """Six bases of 1 to 6 bps in the last two minutes, with 30 s between the third and the fourth."""
    slots = [place + (3 if place > 2 else 0) for place in range(6)]
    basis = [[UNTIL - (12 - slot) * STEP, 1.0 + place, 0.0512 if delivery else None] for place, slot in enumerate(slots)]
    names = {"venue": "binance-usdm", "symbol": symbol, "spot_venue": "binance" if spot else "", "spot_symbol": spot}
    times = {"delivery": delivery, "since": UNTIL - 360 * STEP, "until": UNTIL}
    return names | times | {"basis": basis if spot else [], "funding": funding}


PAIRS = [
    pair("BTCUSDT", funding=[0.0001, UNTIL + 8 * 3_600_000_000, 8, 0.1095, 2.5]),
    pair("BTCUSDT_240927", delivery=1_727_424_000_000_000),
    pair("1000SHIBUSDT", spot=""),
]


def show(page: "Page", pairs: list[dict[str, Any]]) -> None:
    put_on_stage(page, {"/api/basis": {"pairs": pairs}}, "/?venue=binance&symbol=BTCUSDT&interval=1m")


def test_a_pair_has_its_basis_and_funding_in_figures_and_words(page: "Page") -> None:
    show(page, PAIRS)
    perpetual, dated, alone = (page.locator("#basis-pairs figure").nth(place) for place in range(3))
    expect(perpetual.locator("h3")).to_have_text("binance-usdm BTCUSDT against binance BTCUSDT")
    expect(perpetual.locator(".funding")).to_have_text("funding 0.0100 % at 08:00, 10.95 % in a year, every 8 h")
    expect(perpetual.locator("figcaption")).to_have_text("6.00 bps at 2024-08-08 23:59:20, 1.00 to 6.00 bps in the hour")
    expect(perpetual.locator(".hole")).to_have_count(1)
    assert perpetual.locator(".hole").get_attribute("width") == "3"
    expect(perpetual.locator(".axis span")).to_have_text(["23:00", "00:00"])
    expect(dated.locator(".funding")).to_have_text("delivery 2024-09-27 08:00")
    expect(dated.locator("figcaption")).to_contain_text("6.00 bps, 5.12 % in a year, until 2024-09-27 at ")
    expect(alone.locator("h3")).to_have_text("binance-usdm 1000SHIBUSDT, no spot recorded")
    expect(alone.locator(".funding")).to_have_text("funding unknown: record the channel mark_prices")
    expect(alone.locator("svg")).to_be_hidden()
    point_at(perpetual.locator("svg"), 352.5 / 360, perpetual.locator("figcaption"), "^23:58:40 · not verified$")


def test_a_basis_that_is_drawn_again_goes_on_telling_what_is_under_the_pointer(page: "Page") -> None:
    """Ten seconds later everything has moved to the left by a step."""
    later = iter(range(1_000))

    def bases() -> dict[str, Any]:
        moved = next(later) * STEP
        return {"pairs": [PAIRS[0] | {"since": PAIRS[0]["since"] + moved, "until": UNTIL + moved}]}

    page.clock.install()
    put_on_stage(page, {"/api/basis": bases}, "/?venue=binance&symbol=BTCUSDT&interval=1m")
    caption = page.locator("#basis-pairs figcaption")
    point_at(page.locator("#basis-pairs svg"), 348.5 / 360, caption, "^23:58:00 · 1.00 bps$")
    page.clock.run_for(11_000)
    expect(caption).to_have_text("23:58:10 · 2.00 bps")


def test_a_market_without_contracts_shows_nothing_of_them(page: "Page") -> None:
    show(page, [])
    page.wait_for_event("response", lambda answer: "/api/basis" in answer.url)
    expect(page.locator("#basis")).to_be_hidden()


def test_another_interval_of_the_same_market_does_not_hide_the_panel(page: "Page") -> None:
    show(page, PAIRS)
    expect(page.locator("#basis-pairs figure")).to_have_count(3)
    page.locator("#basis").evaluate(
        "node => { window.hidden = 0; "
        "new MutationObserver(() => { window.hidden += node.hidden; }).observe(node, {attributes: true}); }"
    )
    with page.expect_response(lambda answer: "/api/basis" in answer.url):
        page.locator("#interval").select_option("5m")
    expect(page.locator("#basis")).to_be_visible()
    assert page.evaluate("window.hidden") == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_is_readable_for_everybody_and_fits_a_phone(theme: str, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark" if theme == "dark" else "light")
    show(page, PAIRS)
    expect(page.locator("#basis-pairs figure")).to_have_count(3)
    assert page.evaluate(FITS), "nothing is wider than the phone"
    page.evaluate(AXE)
    found = page.evaluate("axe.run('#basis', {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    page.close()
