"""The book of a market in a real browser: its levels and figures, whether it is verified, and what stands where there is none."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.status_page.conftest import ADDRESS, Levels, book, expect, news, put_on_stage

from tickhouse_core.timestamps import SECOND_US, now_us

if TYPE_CHECKING:
    from playwright.sync_api import Page


def levels(price: int, step: int, sizes: list[int]) -> Levels:
    return [(f"{price + step * number}.50", f"{size}.000") for number, size in enumerate(sizes)]


@pytest.mark.parametrize("deep", [2, 20])
def test_the_book_shows_spread_microprice_and_imbalance_of_fifteen_levels(deep: int, page: "Page") -> None:
    bids, asks = levels(99, -1, [3, *range(1, deep)]), levels(101, 1, [1, *(2 * size for size in range(1, deep))])
    put_on_stage(page, {"/api/events": [news(book(bids, asks))]}, ADDRESS)
    (bid, bid_size), (ask, ask_size) = ((Decimal(price), Decimal(size)) for price, size in (bids[0], asks[0]))
    micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    bought, sold = (sum(Decimal(size) for _, size in side[:15]) for side in (bids, asks))
    imbalance = round((bought - sold) / (bought + sold) * 100)
    figures = f"spread 2 (200 bps) · microprice {micro:.4f} · imbalance {imbalance} % of 15 levels"
    expect(page.locator("#book-figures")).to_have_text(figures)
    expect(page.locator("#top tr")).to_have_count(2 * min(deep, 15))
    first = page.locator("#top tr.bid").first.locator("td")
    assert first.all_text_contents() == ["bid", "99.5", "3", "3.0000"]
    assert page.locator("#depth path").count() == 2
    expect(page.locator("#depth-words")).to_contain_text("within ")


@pytest.mark.parametrize(
    ("ago", "more", "words", "verdict"),
    [
        (42, {"proven_at": -1}, r"verified against a snapshot 4[2-9] s ago", "ok"),
        (0, {}, r"every update since its snapshot is here", "ok"),
        (
            7_200,
            {"is_proven": False, "broken_at": -1},
            r"unverified since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d: updates are missing",
            "down",
        ),
        (0, {"is_proven": False}, r"unverified: updates are missing", "down"),
    ],
)
def test_the_book_shows_since_when_it_is_verified_or_not(
    ago: int, more: dict[str, Any], words: str, verdict: str, page: "Page"
) -> None:
    instant = now_us() - ago * SECOND_US
    more = {name: instant if value == -1 else value for name, value in more.items()}
    put_on_stage(page, {"/api/events": [news(book([("99", "1")], [("101", "1")], **more))]}, ADDRESS)
    expect(page.locator("#book-proof")).to_have_text(re.compile(f"^{words}$"))
    expect(page.locator("#book-proof")).to_have_attribute("data-verdict", verdict)
    if "broken_at" in more:
        shown = page.evaluate("async at => (await import('/assets/words.js')).clock(at)", instant)
        expect(page.locator("#book-proof")).to_contain_text(f"since {shown}:")


def test_a_book_is_loading_until_the_first_answer_about_its_market(page: "Page") -> None:
    """And of the market before nothing stays: no level, no figure, no price below the depth chart."""
    now: dict[str, Any] = {"news": []}
    put_on_stage(page, {"/api/events": lambda: now["news"]}, ADDRESS)
    expect(page.locator("#top")).to_have_text("loading …")
    now["news"] = [news(book([("99", "1")], [("101", "1")]))]
    expect(page.locator("#top tr")).to_have_count(2)
    expect(page.locator("#depth-middle")).to_have_text(re.compile("^100"))
    now["news"] = []
    page.locator("#interval").select_option("5m")
    expect(page.locator("#candles-state")).to_contain_text("BTCUSDT 5m")
    expect(page.locator("#top tr")).to_have_count(2)
    page.locator("#symbol").evaluate(
        "node => { node.append(new Option('binance ETHUSDT')); node.value = 'binance ETHUSDT'; "
        "node.dispatchEvent(new Event('change')); }"
    )
    expect(page.locator("#top")).to_have_text("loading …")
    for part in ("figures", "proof"):
        expect(page.locator(f"#book-{part}")).to_be_empty()
    for part in ("left", "middle", "right", "words"):
        expect(page.locator(f"#depth-{part}")).to_be_empty()


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (None, "no book within the last hour"),
        (book([], []), "updates are loaded, but no snapshot with both sides yet"),
        (book([("99", "1")], []), "updates are loaded, but no snapshot with both sides yet"),
    ],
    ids=["no update", "no snapshot", "one side"],
)
def test_without_a_book_the_page_says_what_there_is(shown: dict[str, Any] | None, words: str, page: "Page") -> None:
    put_on_stage(page, {"/api/events": [news(shown)]}, ADDRESS)
    expect(page.locator("#top")).to_have_text(words)
