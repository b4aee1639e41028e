"""What the page calls counts and what is missing, in a real browser: the page's own files, with given answers."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.status_page.conftest import ADDRESS, NO_CANDLES, STAGE, book, expect, news, put_on_stage

from status_page import health
from status_page.event_remedies import for_gap, with_remedies
from status_page.health import LakeState
from status_page.remedies import Running, Stretch
from tickhouse_core.datasets import CHANNELS
from tickhouse_core.event_kinds import EVENT_KINDS, GAP_CAUSES
from tickhouse_core.reading.reasons import several
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, SECOND_US, now_us

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOUNS = {
    "gap": "gaps",
    "trade": "trades",
    "book update": "book updates",
    "kline": "klines",
    "minute": "minutes",
    "object": "objects",
    "dead letter": "dead letters",
    "row": "rows",
    "stretch": "stretches",
}
BESIDE_CANDLES = {"stretch", "stretches"}
"""Counted where there are candles: in the test of a history that comes later."""

EVERYTHING = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) found.push(walker.currentNode.textContent);
  for (const node of document.querySelectorAll('[title], [aria-label]')) found.push(node.title, node.getAttribute('aria-label'));
  return found.filter(Boolean);
}"""
"""Every text, also of what is hidden or has to be pointed at."""


def flat(opened: int, price: float = 100.0) -> list[Any]:
    return [opened, price, price + 1, price - 1, price, 1.0, True, "klines"]


def test_a_gap_has_its_count_length_cause_and_when_the_book_was_in_sync_again(page: "Page") -> None:
    put_on_stage(page, {}, "/sql")
    noon = 1_790_000_000 * SECOND_US // (24 * HOUR_US) * 24 * HOUR_US + 12 * HOUR_US
    for gap, words in (
        (["depth", "sequence", noon, noon + 200_000, 5, 7, False, noon + 3 * SECOND_US],
         "3 book updates missing, 0.2 s, the ids jump, resynced at 12:00:03"),
        (["depth", "disconnect", noon, noon + 9 * SECOND_US, None, None, False, 0],
         "unknown number of book updates missing, 9 s, disconnected, not resynced yet"),
        (["trades", "restart", noon, noon + 8 * HOUR_US, 100, 2_000, True, 0],
         "1,901 trades missing, 8 h, the recorder was not running, healed later"),
        (["klines", "venue_has_no_data", noon, noon, noon, noon, False, 0], "1 kline missing, 1 min, the venue has none"),
    ):  # fmt: skip
        assert page.evaluate("async gap => (await import('/assets/spans.js')).gapWords(gap, 60)", gap) == words


def state(number: int) -> dict[str, Any]:
    """Of the whole page: every count in it is `number`, in sentences of the server too."""
    at = now_us() // HOUR_US * HOUR_US + max(1, number) * MINUTE_US
    lake = LakeState(at - SECOND_US, [at - 2 * SECOND_US] * number)
    stage = health.warehouse_stage(lake, at, at, at)
    stages = [{"name": name, "verdict": "ok", "age_seconds": number, "words": stage.words, "command": ""} for name in STAGES]
    dead = several(number, "dead letter", "dead letters")
    event = event_row(at, "gap", "trades", "restart")
    event[8:10] = number, number
    queue = {"name": "trades", "waiting": number, "in_flight": number, "dead": number, "command": "tickhouse redrive", "note": ""}
    return {
        "at": at,
        "verdict": "ok",
        "words": dead,
        "stages": stages,
        "trouble": {},
        "loading": [],
        "coverage_hours": 24,
        "queues": [queue],
        "markets": [["binance", "BTCUSDT", "BTCUSDT", "spot", 0]],
        "events": with_remedies(Running(), [event]),
        "coverage": [["binance", "BTCUSDT", at // HOUR_US * HOUR_US, *[number] * 5]],
        "processes": [{"name": "loader", "trouble": [], "since": at / 1e6 - number, "command": ""}],
        "recorders": [{"name": "stream binance main", "since": at / 1e6 - number, "seen": at / 1e6}],
        "weights": [{"process": "stream", "venue": "binance", "used": number, "limit": number}],
        "spools": [{"venue": "binance", "instance": "main", "bytes": number, "limit": number}],
        "checks": [["coverage", "error", "failed", number, at, "", "tickhouse query"]],
    }


STAGES = ("venue", "lake", "warehouse", "gold")


def event_row(at: int, kind: str, channel: str, cause: str = "") -> list[Any]:
    """As events.sql returns it."""
    return [at, "binance", "BTCUSDT", channel, "main", kind, cause, "", at, at, at]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_count_has_the_noun_that_belongs_to_it(number: int, page: "Page") -> None:
    """Every place that shows a count shows this one. The nouns are found in what the page shows, pointed at or not."""
    hour = now_us() // HOUR_US * HOUR_US
    loaded = [["klines", "1m", number], ["trades", "", number], ["depth", "", number]]
    ids = {"trades": (10, 10 + number - 1), "depth": (10, 10 + number - 1)}
    gaps = [[channel, "restart", hour, hour, *both, False, 0, "", ""] for channel, both in ids.items()]
    calendar = {"since": hour - HOUR_US, "until": hour + MINUTE_US, "cells": [[hour, *[number] * 8]]}
    answers = {"/api/events": [("state", state(number)), news(None)], "/api/klines": NO_CANDLES | {"loaded": loaded}}
    table = {"columns": [["x", "String"]], "rows": [["a"]] * number, "is_whole": True, "seconds": 0}
    put_on_stage(page, answers | {"/api/coverage": calendar, "/api/gaps": gaps, "/api/sql": table}, ADDRESS)
    page.locator("#calendar button").last.click()
    expect(page.locator("#gaps li")).to_have_count(2)
    expect(page.locator("#coverage .cell").last).to_have_attribute("title", re.compile("verified"))
    expect(page.locator("#candles-state")).to_contain_text("Loaded: ")
    texts = page.evaluate(EVERYTHING)
    page.goto(f"{STAGE}/sql")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text(" · ")
    texts += page.evaluate(EVERYTHING)
    said = list(counted(texts))
    assert [f"{count} {noun}" for count, noun in said if (count == 1) != (noun in NOUNS)] == []
    seen = {noun for count, noun in said if count == number}
    wanted = set(NOUNS) if number == 1 else set(NOUNS.values())
    never_none = {"minutes", "objects"}  # a minute has passed at least; without objects, everything is loaded
    assert wanted - seen - BESIDE_CANDLES == (never_none if number == 0 else set())


def counted(texts: list[str]) -> Iterator[tuple[int, str]]:
    """Every count with a noun of NOUNS that follows it."""
    names = sorted([*NOUNS, *NOUNS.values()], key=len, reverse=True)
    pattern = re.compile(rf"(?<![\d.,:-])(\d[\d,]*) ({'|'.join(names)})\b")
    for text in texts:
        yield from ((int(number.replace(",", "")), noun) for number, noun in pattern.findall(text))


def test_everything_red_has_a_command_beside_it(page: "Page") -> None:
    """Or the reason why nothing can be done. The badge at the top repeats what is red below."""
    red, at = state(2), now_us()
    kinds = [event_row(at, kind, "depth") for kind in EVENT_KINDS if kind != "gap"]
    gaps = [event_row(at, "gap", channel, cause) for channel in CHANNELS for cause in GAP_CAUSES]
    red["events"] = with_remedies(Running(), kinds + gaps)
    red["stages"] = [stage | {"verdict": "down", "command": "tickhouse doctor"} for stage in red["stages"]]
    red["processes"] = [{"name": "loader", "trouble": ["does not answer"], "since": None, "command": "tickhouse load"}]
    shown = book([("99", "1")], [("101", "1")], is_proven=False, command="tickhouse query")
    put_on_stage(page, {"/api/events": [("state", red | {"verdict": "down"}), news(shown)]}, ADDRESS)
    expect(page.locator("#book-do code")).to_have_text("tickhouse query")
    expect(page.locator("#processes code")).to_have_text("tickhouse load")
    found = page.evaluate(
        "() => [...document.querySelectorAll('main [data-verdict=down], main [data-verdict=degraded]')]"
        ".map((node) => [node.textContent, node.closest('#events tr') ?? node.closest('li, figure, section')])"
        ".map(([words, part]) => [words, part.querySelectorAll('.command button').length, part.querySelector('.remedy')])"
        ".map(([words, buttons, why]) => [words, buttons, why?.textContent])"
    )
    of_events = page.evaluate("document.querySelectorAll('#events [data-verdict=down], #events [data-verdict=degraded]').length")
    assert of_events > len(gaps)
    assert len(found) == 4 + 1 + 1 + 1 + 1 + of_events  # stages, book, queue, process, check
    assert [words for words, buttons, why in found if not buttons and not why] == []
    without = [why for _, buttons, why in found if not buttons and why]
    others = set(CHANNELS) - {"klines", "trades", "depth"}  # nobody publishes what was missed of them, nor repairs it
    assert len(without) == len(others) * len(GAP_CAUSES)


def test_what_to_do_about_an_event_stays_open_while_others_come_and_can_be_copied(page: "Page") -> None:
    at = now_us()
    events = [event_row(at - number, "gap", "depth", "restart") for number in range(3)]
    now = {"events": events}
    answers = {"/api/events": lambda: [("state", state(2) | {"events": with_remedies(Running(), now["events"])})]}
    put_on_stage(page, answers)
    expect(page.locator("#events tr")).to_have_count(3)
    page.locator("#events summary").first.click()
    page.locator("#events .command button").first.focus()
    now["events"] = [event_row(at + 1, "gap", "trades", "restart"), *events[:2]]
    expect(page.locator("#events tr").first).to_contain_text("trades")
    expect(page.locator("#events tr")).to_have_count(3)
    assert page.evaluate("document.activeElement.closest('tr').querySelector('details').open")
    assert [node.get_attribute("open") is not None for node in page.locator("#events details").all()] == [False, True, False]
    expect(page.locator("#events .command code").nth(1)).to_have_text(re.compile("^tickhouse query .* channel = 'depth'"))


@pytest.mark.parametrize("channel", ["depth", "tickers"])
def test_a_gap_of_the_calendar_says_what_to_do(channel: str, page: "Page") -> None:
    hour = now_us() // HOUR_US * HOUR_US
    calendar = {"since": hour - HOUR_US, "until": hour + MINUTE_US, "cells": [[hour, *[1] * 8]]}
    words, command = for_gap(Running(), "restart", Stretch("binance", "BTCUSDT", channel, hour, hour))
    gaps = [["depth", "restart", hour, hour, 10, 11, False, 0, words, command]]
    put_on_stage(page, {"/api/coverage": calendar, "/api/gaps": gaps, "/api/events": [("state", state(2))]}, ADDRESS)
    page.locator("#calendar button").last.click()
    page.locator("#gaps summary").click()
    expect(page.locator("#gaps .remedy")).to_contain_text(words)
    assert page.locator("#gaps .command code").all_text_contents() == ([command] if command else [])


def test_no_candles_yet_is_said_with_what_is_loaded_and_all_of_them_come_when_they_are_there(page: "Page") -> None:
    """The history of a backfill that is loaded under an open page: first nothing, then the last candles, then all."""
    minute = now_us() // MINUTE_US * MINUTE_US
    window = NO_CANDLES | {"since": minute - 1_000 * MINUTE_US, "until": minute}
    klines = [flat(minute - number * MINUTE_US) for number in range(1_000, 0, -1)]
    now: dict[str, Any] = {"window": window | {"loaded": [["klines", "1m", 86_400]]}, "news": []}
    answers = {"/api/klines": lambda: now["window"], "/api/events": lambda: [("state", state(2)), news(None, now["news"])]}
    page.add_init_script("window.later = 0; const now = Date.now; Date.now = () => now() + window.later;")
    put_on_stage(page, answers, ADDRESS)
    expect(page.locator("#candles-state")).to_have_text(
        re.compile(
            r"No candles of BTCUSDT 1m yet. Loaded: 86,400 klines of 1m. The transformer makes candles of trades and of shorter "
            r"klines.( Warehouse: 2 objects wait, the oldest for 2 s.)?"
        )
    )
    now["window"], now["news"] = window | {"klines": klines[-300:]}, klines[-3:]
    expect(page.locator("#candles-words")).to_contain_text("close 100")
    expect(page.locator("#price")).to_have_text("100")
    expect(page.locator("#candles-state")).to_be_hidden()
    now["window"] = window | {"klines": klines[:400] + klines[-300:]}
    page.evaluate("window.later += 20000")
    expect(page.locator("#candles")).to_have_attribute("aria-label", re.compile("1 stretch missing"))
    now["window"] = window | {"klines": klines}
    page.evaluate("window.later += 20000")
    expect(page.locator("#candles")).to_have_attribute("aria-label", re.compile("0 stretches missing"))


@pytest.mark.parametrize(
    ("chosen", "others"),
    [
        (
            "binance BTCUSDT",
            ["binance-coinm BTCUSD_PERP", "binance-usdm BTCUSDT", "binance-usdm BTCUSDT_240927", "kucoin XBT-USDT"],
        ),
        ("binance-usdm BTCUSDT", ["binance BTCUSDT", "binance-coinm BTCUSD_PERP", "kucoin XBT-USDT"]),
        ("binance-usdm BTCUSDT_240927", ["binance BTCUSDT", "kucoin XBT-USDT"]),
        ("kucoin BTCU-SDT", []),
    ],
)
def test_a_market_is_compared_with_those_of_its_assets(chosen: str, others: list[str], page: "Page") -> None:
    """As gold pairs them, and not by their letters: one market has none in common with its others, one has no name yet."""
    markets: list[list[Any]] = [
        ["binance", "BTCUSDT", "BTCUSDT", "spot", 0],
        ["binance-coinm", "BTCUSD_PERP", "BTCUSDT", "perpetual", 0],
        ["binance-usdm", "BTCUSDT", "BTCUSDT", "perpetual", 0],
        ["binance-usdm", "BTCUSDT_240927", "BTCUSDT", "delivery", 1_727_424_000_000_000],
        ["kucoin", "BTCU-SDT", "", "", 0],
        ["kucoin", "XBT-USDT", "BTCUSDT", "spot", 0],
    ]
    venue, symbol = chosen.split()
    put_on_stage(
        page, {"/api/events": [("state", state(2) | {"markets": markets})]}, f"/?venue={venue}&symbol={symbol}&interval=1m"
    )
    expect(page.locator("#symbol option")).to_have_count(len(markets))
    expect(page.locator("#events-market option")).to_have_text(["all markets", *(" ".join(one[:2]) for one in markets)])
    expect(page.locator("#compare option")).to_have_text(["nothing", *others])


def test_without_a_market_the_page_shows_what_waits(page: "Page") -> None:
    put_on_stage(page, {"/api/events": [("state", state(2) | {"markets": []})]})
    expect(page.locator("#candles-state")).to_have_text(
        "No market can be queried yet. Warehouse: 2 objects wait, the oldest for 2 s."
    )


def test_what_no_poll_has_read_yet_is_loading_and_not_empty(page: "Page") -> None:
    now = {"state": state(2) | {"checks": [], "coverage": [], "loading": ["checks", "coverage"]}}
    put_on_stage(page, {"/api/events": lambda: [("state", now["state"])]})
    expect(page.locator("#checks")).to_have_text("loading …")
    expect(page.locator("#coverage tbody")).to_have_text("loading …")
    now["state"] = now["state"] | {"loading": []}
    expect(page.locator("#checks")).to_have_text(re.compile("^no result is stored: tickhouse checks"))
    expect(page.locator("#coverage tbody")).to_have_text("nothing is recorded in these hours")
