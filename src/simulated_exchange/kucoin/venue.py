"""KuCoin put together: the common core, limits, tokens and REST answers."""

from functools import partial
from typing import Any

import orjson

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.kucoin.generator import TopicFeeds
from simulated_exchange.kucoin.lake import LakeBooks
from simulated_exchange.kucoin.messages import Words
from simulated_exchange.kucoin.rest import CANDLES_PATH, SOCKET_PATH, PoolLimiter, Question, answer, said, weight_of
from simulated_exchange.kucoin.ws import KucoinSockets, Tokens
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.server.faults import Fault, FaultKind
from simulated_exchange.server.http import Reply, Request
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.venue_core import Admission, VenueCore

_OTHER_ORDERS = 7_919
"""Added to the seed: prices follow the same path at both venues, orders and trades are each one's own."""


class KucoinVenue(VenueCore[TopicFeeds]):
    """All state of the simulated KuCoin; times are microseconds unless they say otherwise."""

    FAULTS_HAVE_HEADERS = False

    def __init__(self, config: ExchangeConfig, source: KlineSource, recorded: Session | LakeVenue | None) -> None:
        make_sockets = partial(KucoinSockets, config.sockets, config.kucoin)
        super().__init__(config, source, recorded, TopicFeeds, make_sockets, config.seed + _OTHER_ORDERS)
        self._limits = config.kucoin
        self._limiter = PoolLimiter(config.kucoin.weight_limit)
        self.tokens = Tokens()

    @property
    def source(self) -> KlineSource:
        """History with the running books laid over it."""
        return self.live.klines

    def depth(self, symbol: str, now: int, levels: int) -> tuple[int, list[list[str]], list[list[str]]] | None:
        """Sequence, bids and asks; `now` in milliseconds."""
        if isinstance(self.replay, LakeReplay):
            return LakeBooks(self.replay).depth(symbol, levels)
        if self.replay:
            body = self.replay.depth(symbol, now, levels)
            book = orjson.loads(body) if body else None
            return (book["lastUpdateId"], book["bids"], book["asks"]) if book else None
        market = self.live.start(symbol, now)
        if market is None:
            return None
        sequence, bids, asks = market.look(now, levels)
        words = Words(market.instrument)
        return sequence, words.levels(bids), words.levels(asks)

    def trades(self, symbol: str, now: int, most: int) -> list[dict[str, object]]:
        """The newest, oldest first; `now` in milliseconds."""
        if isinstance(self.replay, LakeReplay):
            return LakeBooks(self.replay).trades(symbol, most)
        if self.replay:
            passed = self.replay.passed(symbol, "/market/match")[-most:]
            trades = [orjson.loads(line.text)["data"] for line in passed]
            names = ("sequence", "price", "size", "side")
            return [{**{name: it[name] for name in names}, "time": int(it["time"])} for it in trades]
        market = self.live.start(symbol, now)
        words = Words(market.instrument) if market else None
        return [words.rest_trade(trade) for trade in market.trades.latest(most)] if market and words else []

    def reset(self) -> None:
        super().reset()
        self._limiter.clear()

    def knows(self, symbol: str) -> bool:
        """Whether this is one of its symbols, in its spelling."""
        return symbol in self.feeds.symbols

    def told_book(self, symbol: str, update_id: int | None, limit: int) -> dict[str, Any]:
        """The true book in the venue's words; ValueError where it is not known."""
        market, found, *sides = self.book(self.feeds.symbols[symbol], update_id, limit)
        bids, asks = map(Words(market.instrument).levels, sides)
        return {"lastUpdateId": found, "bids": bids, "asks": asks}

    def report(self) -> dict[str, Any]:
        """What the core reports, and the tokens."""
        tokens = {"given": self.tokens.given, "used": self.tokens.used, "reused": self.tokens.reused}
        return {**super().report(), "tokens": tokens}

    def look_up(self, request: Request, replay: LakeReplay) -> None:
        if request.path == CANDLES_PATH:
            self._reply(request, 0)

    def _admit(self, request: Request, now: int) -> Admission:
        weight = weight_of(request.path)
        allowance = self._limiter.admit(request.address, weight, now)
        self.tally.on_weight(weight, now // 1_000)
        tally = {"limit": self._limits.weight_limit, "remaining": allowance.left, "reset": -(-allowance.reset_us // 1_000)}
        headers = {f"gw-ratelimit-{name}": str(value) for name, value in tally.items()}
        return Admission(headers, None if allowance.is_served else said(429, "429000", "Too Many Requests"))

    def _reply(self, request: Request, now: int) -> Reply:
        ping_ms = int(self._limits.ping_seconds * 1_000), int(self._limits.pong_seconds * 1_000)
        endpoint = f"ws://{request.host}{SOCKET_PATH}"
        token = partial(self.tokens.give, now)
        return answer(
            Question(request.method, request.path, dict(request.pairs), self.moment(now), self, token, endpoint, ping_ms)
        )

    def _injected(self, fault: Fault | None, request: Request, now: int) -> Reply | None:
        match fault and fault.kind:
            case FaultKind.HTTP_500:
                return said(500, "500000", "Internal Server Error")
            case FaultKind.HTTP_503_BUSY:
                return said(503, "503000", "Service Unavailable")
            case FaultKind.HTTP_403:
                return Reply(403, b"<html><body><h1>403 Forbidden</h1></body></html>", "text/html")
            case FaultKind.HTTP_429:
                return said(429, "429000", "Too Many Requests")
            case _:
                return None
