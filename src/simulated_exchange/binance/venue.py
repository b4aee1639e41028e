"""Binance put together: the common core, limits, REST answers and the bulk archive."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from email.utils import formatdate
from functools import partial
from typing import Any, ClassVar

import orjson

from simulated_exchange.binance.agg_trades import LOOK, first_of_page
from simulated_exchange.binance.archive import SPOT, Archive, ArchiveFile, parse_archive_path
from simulated_exchange.binance.archive_trades import TradesArchive, TradesFile, parse_trades_path
from simulated_exchange.binance.generator import Feeds, Tickers
from simulated_exchange.binance.lake import LakeBooks
from simulated_exchange.binance.limits import RateLimiter
from simulated_exchange.binance.messages import Wording
from simulated_exchange.binance.parameters import VenueError, time_unit
from simulated_exchange.binance.rest import Books, Call, answer, injected_reply, over_limit, refusal, weight_of
from simulated_exchange.binance.tickers import NOTHING_TRADED, DayFigures
from simulated_exchange.binance.ws import BinanceSockets
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.intervals import DAY, INTERVALS
from simulated_exchange.market.klines import KlineSource, TimeUnit
from simulated_exchange.market.live_market import LiveMarket
from simulated_exchange.server.faults import Fault, FaultKind, FaultPlan
from simulated_exchange.server.http import Outcome, Reply, Request, not_found, spoiled
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import SessionReplay
from simulated_exchange.server.tally import Cause
from simulated_exchange.venue_core import Admission, VenueCore

_KLINES = "/klines"
_MOST_TRADES = 100_000  # of a recorded session
_ALL_TRADES = 10_000_000
_NO_SUCH_KEY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
)


class LiveBooks:
    """The running books of the generated market; asking for one starts it. Trades are known since their book was started."""

    def __init__(self, live: LiveMarket, tickers: Tickers, words: type[Wording] = Wording) -> None:
        self._live, self._tickers, self._words = live, tickers, words

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        market = self._live.start(symbol, now)
        if market is None:
            return None
        return self._words(market.instrument).snapshot(*market.look(now, limit), now)

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        market = self._live.start(symbol, now)
        if market is None:
            return "[]"
        wording = self._words(market.instrument)
        found = market.trades.latest(limit) if from_id is None else market.trades.page(from_id, limit)
        return "[" + ",".join(wording.rest_trade(trade, unit) for trade in found) + "]"

    def day(self, symbol: str, now: int) -> DayFigures:
        market, ticker = self._live.start(symbol, now), self._tickers.of(symbol, now)
        if market is None or ticker is None:
            return NOTHING_TRADED
        _, bids, asks = market.look(now, 1)
        best = *(bids or [(0, 0)])[0], *(asks or [(0, 0)])[0]
        return self._words(market.instrument).day(ticker, next(iter(market.trades.latest(1)), None), best)


class SessionBooks:
    """What was recorded of the sockets, as far as it has been sent again."""

    def __init__(self, replay: SessionReplay) -> None:
        self._replay = replay
        self.depth, self.trades = replay.depth, replay.trades

    def day(self, symbol: str, now: int) -> DayFigures:
        """As far as the trades of the recording tell."""
        trades = orjson.loads(self._replay.trades(symbol, now, None, _MOST_TRADES, TimeUnit.MILLISECOND))
        if not trades:
            return NOTHING_TRADED
        prices = [trade["price"] for trade in trades]
        volume, turnover = (f"{sum(Decimal(trade[key]) for trade in trades):.8f}" for key in ("qty", "quoteQty"))
        bid, ask = self._replay.best(symbol)
        extremes = max(prices, key=Decimal), min(prices, key=Decimal)
        last = trades[-1]
        firsts = last["price"], last["qty"], prices[0], *extremes
        return DayFigures(*firsts, volume, turnover, bid, ask, last["id"], len(trades))


class BinanceVenue(VenueCore[Feeds]):
    """`klines` and `books` are what REST serves, so that it agrees with what the sockets say."""

    FAULTS_HAVE_HEADERS = True
    WORDS: ClassVar[type[Wording]] = Wording
    SOCKETS: ClassVar[type[BinanceSockets]] = BinanceSockets
    IS_SPOT: ClassVar[bool] = True

    def __init__(
        self,
        config: ExchangeConfig,
        source: KlineSource,
        recorded: Session | LakeVenue | None,
        limiter: RateLimiter | None = None,
        *,
        other_orders: int = 0,
    ) -> None:
        """`other_orders` is added to the seed: prices follow the same path, orders and trades are each market's own."""
        feeds, sockets = partial(Feeds, words=self.WORDS), partial(self.SOCKETS, config.sockets)
        super().__init__(config, source, recorded, feeds, sockets, config.seed + other_orders)
        self.klines = self.live.klines
        self.books = self._books()
        self._limiter = limiter or RateLimiter(config.weight_limit, config.ban_after)
        self._weight_limit = self._limiter.weight_limit
        self._archive = Archive(self.klines, is_spot=self.IS_SPOT)
        self._trades_archive = TradesArchive(is_spot=self.IS_SPOT)

    @property
    def archive_folder(self) -> str:
        return SPOT

    def _books(self) -> Books:
        match self.replay:
            case LakeReplay():
                return LakeBooks(self.replay)
            case SessionReplay():
                return SessionBooks(self.replay)
            case None:
                return LiveBooks(self.live, self.feeds.tickers, self.WORDS)

    def look_up(self, request: Request, replay: LakeReplay) -> None:
        sent = dict(request.pairs)
        symbol, at = sent.get("symbol", ""), replay.moment
        match request.path.rpartition("/")[2]:
            case "historicalTrades" if sent.get("fromId", "").isdecimal():
                replay.look_up(symbol, int(sent["fromId"]), int(sent["limit"]) if sent.get("limit", "").isdecimal() else 500)
            case "aggTrades" if sent.get("fromId", "").isdecimal():
                replay.look_up(symbol, first_of_page(int(sent["fromId"])), LOOK)
            case "klines":
                self._answer(
                    request.path, Call(self.klines, request.pairs, at, TimeUnit.MILLISECOND, self._weight_limit, self.books)
                )
            case "24hr" if symbol in self.klines.instruments:
                replay.bars(symbol, INTERVALS["1m"], at // 1_000 - DAY, at // 1_000)

    async def answer_archive(self, request: Request, now: int, faults: FaultPlan) -> Outcome:
        """A request to the bulk archive: not weighed and without the API's headers, in real life it is another host."""
        fault = self._draw(request, faults)
        injected = self._injected(fault, request, now)
        outcome = Outcome(injected) if injected else spoiled(await self._file(request.path, now // 1000, faults), fault)
        self.record(request, outcome)
        return replace(outcome, reply=replace(outcome.reply, headers={"Date": _date(now), **outcome.reply.headers}))

    def record(self, request: Request, outcome: Outcome) -> None:
        super().record(request, outcome)
        if request.path.endswith(_KLINES):
            self.tally.on_klines(dict(request.pairs), 0 if outcome.broken_by else outcome.reply.status)

    def set_source(self, source: KlineSource) -> None:
        super().set_source(source)
        self._archive = Archive(self.klines, is_spot=self.IS_SPOT)

    def reset(self) -> None:
        super().reset()
        self._limiter.clear()

    def told_book(self, symbol: str, update_id: int | None, limit: int) -> dict[str, Any]:
        """The true book in the venue's words; ValueError where it is not known."""
        if symbol not in self.klines.instruments:
            raise ValueError(f"no book of {symbol!r} is running")
        words = self.WORDS(self.klines.instruments[symbol])
        _, found, *sides = self.book(symbol, None if update_id is None else words.book_id(update_id), limit)
        bids, asks = map(words.pairs, sides)
        return {"lastUpdateId": words.update_id(found), "bids": bids, "asks": asks}

    def _weight(self, request: Request) -> int:
        return weight_of(request.path, request.pairs)

    def _answer(self, path: str, call: Call) -> Reply:
        return answer(path, call)

    def _admit(self, request: Request, now: int) -> Admission:
        weight = self._weight(request)
        verdict = self._limiter.admit(request.address, weight, now // 1000)
        if not verdict.is_ban:
            self.tally.on_weight(weight, now // 1000)
        used = str(verdict.used_weight)
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used, "Date": _date(now)}
        return Admission(headers, None if verdict.is_served else over_limit(verdict, self._weight_limit), verdict.cause)

    def _reply(self, request: Request, now: int) -> Reply:
        if request.method != "GET":
            return not_found(request.path)
        try:
            unit = time_unit(request.time_unit)
        except VenueError as error:
            return refusal(error)
        call = Call(self.klines, request.pairs, self.moment(now), unit, self._weight_limit, self.books)
        return self._answer(request.path, call)

    def _injected(self, fault: Fault | None, request: Request, now: int) -> Reply | None:
        if fault is None:
            return None
        banned = None
        if fault.kind is FaultKind.HTTP_418:
            now_ms = now // 1000
            banned = self._limiter.ban(request.address, now_ms + fault.amount * 1000, now_ms)
        reply = injected_reply(fault, banned, self._weight_limit)
        if reply and reply.status in (418, 429):
            self.tally.on_refusal(reply.status, Cause.INJECTED)
        return reply

    async def _file(self, path: str, now: int, plan: FaultPlan) -> Reply:
        is_whole = not isinstance(self.replay, LakeReplay)  # a lake may have parts of a day
        folder = self.archive_folder
        file = parse_archive_path(path, folder) or parse_trades_path(path, folder) if is_whole else None
        content = await self._content(file, now) if file else None
        faults = plan.archive_faults(path.removesuffix(".CHECKSUM")) if content else frozenset()
        if file and faults:
            content = await self._content(file, now, faults)
        for kind in faults:
            self.tally.on_fault(kind)
        if file is None or content is None:
            return Reply(404, _NO_SUCH_KEY, "application/xml")
        return Reply(200, content, "text/plain" if file.wants_checksum else "application/zip")

    async def _content(
        self, file: ArchiveFile | TradesFile, now: int, faults: frozenset[FaultKind] = frozenset()
    ) -> bytes | None:
        if isinstance(file, ArchiveFile):
            return await asyncio.to_thread(self._archive.read, file, now, faults)
        if file.end > now or not (self.replay or file.symbol in self.live.markets):
            return None
        return self._trades_archive.read(file, lambda unit: self.books.trades(file.symbol, now, 0, _ALL_TRADES, unit), faults)


def _date(now: int) -> str:
    return formatdate(now // 1_000_000, usegmt=True)
