"""Which symbols a live process begins with, and how those the venue does not know are taken up later."""

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import pytest
from tests.waiting import patience, until

from extract_process.feed.interface import FeedOptions, FrameHandler
from extract_process.feed.plan import FeedPlan
from extract_process.listing import likely_symbols, open_listing
from extract_process.venues import venue_named
from extract_process.venues.api import Address, VenueRest
from tickhouse_core.errors import UnknownSymbols, VenueUnavailable


class Rest:
    """A venue's REST side that knows some symbols."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.asked: list[list[str]] = []
        self.is_away = False

    async def synchronize_clock(self) -> None:
        if self.is_away:
            raise VenueUnavailable("no answer")

    async def fetch_statuses(self, symbols: list[str]) -> dict[str, bool]:
        self.asked.append(symbols)
        await self.synchronize_clock()
        if unknown := tuple(symbol for symbol in symbols if symbol not in self.known):
            raise UnknownSymbols(f"unknown symbol {', '.join(unknown)}", unknown)
        return dict.fromkeys(symbols, True)


def as_rest(rest: Rest) -> VenueRest:
    return cast("VenueRest", rest)


async def test_unknown_symbols_are_named_in_one_line_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    rest = Rest("BTCUSDT", "ETHUSDT")
    listing = await open_listing(as_rest(rest), ("OLDUSDT", "BTCUSDT", "GONEUSDT", "ETHUSDT"))
    assert listing.known == ("BTCUSDT", "ETHUSDT")
    assert listing.unknown == ("OLDUSDT", "GONEUSDT")
    assert rest.asked[-1] == ["BTCUSDT", "ETHUSDT"], "the known ones are asked about alone: that tells the limit"
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert vars(line)["symbols"] == "OLDUSDT, GONEUSDT"


async def test_a_venue_that_knows_none_is_a_usage_error() -> None:
    with pytest.raises(UnknownSymbols, match="OLDUSDT, GONEUSDT"):
        await open_listing(as_rest(Rest("BTCUSDT")), ("OLDUSDT", "GONEUSDT"))


async def test_without_rest_all_symbols_count_as_known(caplog: pytest.LogCaptureFixture) -> None:
    rest = Rest()
    rest.is_away = True
    listing = await open_listing(as_rest(rest), ("BTCUSDT",))
    assert (listing.known, listing.unknown) == (("BTCUSDT",), ())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_unknown_symbols_are_looked_for_until_all_are_listed() -> None:
    rest = Rest("BTCUSDT")
    listing = await open_listing(as_rest(rest), ("BTCUSDT", "AUSDT", "BUSDT"))
    came: list[Sequence[str]] = []
    heard = asyncio.Event()

    def on_listed(symbols: Sequence[str]) -> None:
        came.append(symbols)
        heard.set()

    watch = asyncio.create_task(listing.watch(0.01, on_listed, lambda unknown: None))
    async with asyncio.timeout(patience(20)):
        await until(lambda: len(rest.asked) >= 5)
        rest.is_away = True
        await until(lambda: len(rest.asked) >= 8)
        rest.is_away = False
        rest.known.add("BUSDT")
        await heard.wait()
        assert (came, listing.unknown, listing.known) == ([("BUSDT",)], ("AUSDT",), ("BTCUSDT", "BUSDT"))
        rest.known.add("AUSDT")
        await until(lambda: not listing.unknown)
    await ended(watch)
    assert came == [("BUSDT",), ("AUSDT",)]


async def test_where_rest_was_away_at_the_start_the_symbols_are_checked_once_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    rest = Rest("BTCUSDT")
    rest.is_away = True
    listing = await open_listing(as_rest(rest), ("BTCUSDT", "NEWUSDT"))
    told: list[tuple[str, Sequence[str]]] = []
    watch = listing.watch(0.01, lambda listed: told.append(("listed", listed)), lambda unknown: told.append(("unknown", unknown)))
    watching = asyncio.create_task(watch)
    async with asyncio.timeout(patience(20)):
        rest.is_away = False
        await until(lambda: bool(told))
        assert (told, listing.unknown) == ([("unknown", ("NEWUSDT",))], ("NEWUSDT",))
        rest.known.add("NEWUSDT")
        await until(lambda: not listing.unknown)
    await ended(watching)
    assert told[1:] == [("listed", ("NEWUSDT",))]
    errors = [vars(record) for record in caplog.records if record.levelno == logging.ERROR]
    assert [line.get("symbols") for line in errors] == [None, "NEWUSDT"]


async def test_a_doubt_finds_what_the_venue_does_not_know_any_more(caplog: pytest.LogCaptureFixture) -> None:
    rest = Rest("BTCUSDT", "OLDUSDT")
    listing = await open_listing(as_rest(rest), ("BTCUSDT", "OLDUSDT"))
    told: list[tuple[str, Sequence[str]]] = []
    watch = listing.watch(0.01, lambda listed: told.append(("listed", listed)), lambda unknown: told.append(("unknown", unknown)))
    watching = asyncio.create_task(watch)
    async with asyncio.timeout(patience(20)):
        rest.known.remove("OLDUSDT")
        rest.is_away = True
        listing.doubt()
        await until(lambda: len(rest.asked) >= 3)
        assert told == [], "REST is away: it is asked again"
        rest.is_away = False
        await until(lambda: bool(told))
        assert (told, listing.known) == ([("unknown", ("OLDUSDT",))], ("BTCUSDT",))
        rest.known.add("OLDUSDT")
        await until(lambda: not listing.unknown)
    await ended(watching)
    assert told[1:] == [("listed", ("OLDUSDT",))]
    assert [vars(record)["symbols"] for record in caplog.records if record.levelno == logging.ERROR] == ["OLDUSDT"]


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "it watches for as long as the process works"


@pytest.mark.parametrize(
    ("venue", "symbols", "market"),
    [
        ("binance", ("BTCUSDT", "OLDUSDT"), "!miniTicker@arr"),
        ("kucoin", ("BTC-USDT", "OLD-USDT"), None),
        ("binance-usdm", ("BTCUSDT", "OLDUSDT"), "!miniTicker@arr"),
    ],
)
async def test_each_stream_is_in_one_feed_whenever_its_symbol_comes(
    venue: str, symbols: tuple[str, str], market: str | None
) -> None:
    async def nowhere(socket: str) -> Address:
        raise VenueUnavailable("no address")

    exchange, channels = venue_named(venue), ("trades", "depth", "ticker")
    wanted = dict.fromkeys(symbols, channels)
    plan = FeedPlan(exchange, wanted, {}, cast("FrameHandler", None), nowhere, FeedOptions(streams_per_connection=2))
    now, later = plan.add(symbols[:1]), plan.add(symbols[1:])
    assert plan.feeds == [*now, *later]
    streams = [stream for feed in plan.feeds for stream in feed.streams]
    assert sorted(streams) == sorted(exchange.stream_names(wanted, {}))
    assert all(len(set(map(exchange.socket_of, feed.streams))) == 1 for feed in plan.feeds), "a connection is of one socket"
    late = [stream for feed in later for stream in feed.streams]
    assert all(exchange.key_of_stream(stream).symbol.upper() == symbols[1] for stream in late)
    assert market is None or market not in late
    assert plan.add(symbols) == [], "nothing twice"
    assert len({feed.name for feed in plan.feeds}) == len(plan.feeds)
    assert all(feed.is_wanted for feed in plan.feeds)
    plan.leave_out(symbols[1:])
    assert later
    assert not any(feed.is_wanted for feed in later)
    assert all(feed.is_wanted for feed in now)
    assert plan.add(symbols[1:]) == [], "they have their feeds"
    assert all(feed.is_wanted for feed in plan.feeds)


@pytest.mark.parametrize(
    ("listed", "written"),
    [
        ("BTCUSDT", "btcusdt"),
        ("BTCUSDT", "BTC-USDT"),
        ("BTCUSDT", "btc/usdt"),
        ("BTC-USDT", "BTCUSDT"),
        ("BTC-USDT", "btc_usdt"),
        ("ETH-BTC", "ethbtc"),
        ("1INCH-EUR", "1inch eur"),
    ],
)
async def test_the_same_letters_in_the_venues_spelling_are_suggested(listed: str, written: str) -> None:
    with pytest.raises(UnknownSymbols, match=f"unknown symbol {written}: did you mean {listed}\\?$") as refused:
        await open_listing(as_rest(Rest(listed, "XRPEUR")), (written,))
    assert refused.value.likely == {written: listed}


@pytest.mark.parametrize("written", ["DOGEUSDT", "USDT", "---", " ", "ÄÖÜ"])
async def test_what_is_like_no_market_leads_to_no_suggestion(written: str) -> None:
    with pytest.raises(UnknownSymbols) as refused:
        await open_listing(as_rest(Rest("BTCUSDT")), (written,))
    assert "did you mean" not in str(refused.value)


async def test_a_venue_that_goes_away_meanwhile_suggests_nothing() -> None:
    rest = Rest("BTCUSDT")
    rest.is_away = True
    assert await likely_symbols(as_rest(rest), ["btcusdt"]) == {}
