"""KuCoin put together: limits, tokens, REST answers, sockets and the tally of it, over running books or a recording."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.kucoin.generator import TopicFeeds
from simulated_exchange.kucoin.limits import PoolLimiter, Tokens
from simulated_exchange.kucoin.messages import Words
from simulated_exchange.kucoin.rest import TOKEN_PATH, Question, answer, said, weight_of
from simulated_exchange.kucoin.ws import KucoinSockets
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.market.live_market import LiveMarket
from simulated_exchange.server.http_faults import Fault, FaultKind, FaultPlan
from simulated_exchange.server.messages import Message
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import SessionReplay
from simulated_exchange.server.replies import Reply
from simulated_exchange.server.socket_faults import SocketFault, SocketFaultPlan
from simulated_exchange.server.tally import Cause, Tally

_OTHER_ORDERS = 7_919
"""Added to the seed: prices follow the same path at both venues, orders and trades are each one's own."""


class KucoinVenue:
    """All state of the simulated KuCoin; times are microseconds unless they say otherwise."""

    def __init__(self, config: ExchangeConfig, source: KlineSource, session: Session | None) -> None:
        self._config = config
        self._limits = config.kucoin
        self._publisher = Publisher(SocketFaultPlan(_of_sockets(config.faults), config.seed), self._jump)
        self._live = LiveMarket(source, config.seed + _OTHER_ORDERS)
        self._feeds = TopicFeeds(self._live, self._publisher)
        self._replay: SessionReplay | None = None
        if session:
            self._replay = SessionReplay(session, self._publisher, config.replay_speed, config.replay_start)
        self.sockets = KucoinSockets(config.sockets, config.kucoin, self._publisher, self._replay or self._feeds)
        self._limiter = PoolLimiter(config.kucoin.weight_limit)
        self.tokens = Tokens()
        self._tally = Tally()

    @property
    def source(self) -> KlineSource:
        """History with the running books laid over it."""
        return self._live.klines

    def answer(
        self, method: str, path: str, sent: dict[str, str], address: str, endpoint: str, now: int, faults: FaultPlan
    ) -> tuple[Reply, FaultKind | None]:
        """The reply, and the fault that the connection has to carry out itself."""
        weight = weight_of(path)
        allowance = self._limiter.admit(address, weight, now)
        self._tally.on_weight(weight, now // 1_000)
        tally = {"limit": self._limits.weight_limit, "remaining": allowance.left, "reset": -(-allowance.reset_us // 1_000)}
        headers = {f"gw-ratelimit-{name}": str(value) for name, value in tally.items()}
        fault = faults.draw(path) if allowance.is_served else None
        broken = None
        if not allowance.is_served:
            self._tally.on_refusal(429, Cause.LIMIT)
            reply = said(429, "429000", "Too Many Requests")
        elif fault is not None and (injected := _injected(fault)) is not None:
            self._tally.on_fault(fault.kind)
            reply, headers = injected, {}
        else:
            reply = self._real(method, path, sent, endpoint, now)
            if fault is not None:
                self._tally.on_fault(fault.kind)
                reply, broken = _spoiled(reply, fault)
        self._tally.on_answer(path, 0 if broken else reply.status)
        return Reply(reply.status, reply.body, headers=headers), broken

    def depth(self, symbol: str, now: int, levels: int) -> tuple[int, list[list[str]], list[list[str]]] | None:
        """Sequence, bids and asks; `now` in milliseconds."""
        if self._replay:
            body = self._replay.depth(symbol, now, levels)
            book = orjson.loads(body) if body else None
            return (book["lastUpdateId"], book["bids"], book["asks"]) if book else None
        market = self._live.start(symbol, now)
        if market is None:
            return None
        sequence, bids, asks = market.look(now, levels)
        words = Words(market.instrument)
        return sequence, words.levels(bids), words.levels(asks)

    def trades(self, symbol: str, now: int, most: int) -> list[dict[str, object]]:
        """The newest, oldest first; `now` in milliseconds."""
        if self._replay:
            passed = self._replay.passed(symbol, "/market/match")[-most:]
            trades = [orjson.loads(line.text)["data"] for line in passed]
            names = ("sequence", "price", "size", "side")
            return [{**{name: it[name] for name in names}, "time": int(it["time"])} for it in trades]
        market = self._live.start(symbol, now)
        words = Words(market.instrument) if market else None
        return [words.rest_trade(trade) for trade in market.trades.latest(most)] if market and words else []

    def pulse(self, now: int) -> bool:
        """What is due at `now`; True if there is more to do at once."""
        return self.sockets.pulse(now)

    def set_faults(self, faults: Iterable[Fault | SocketFault]) -> None:
        self._publisher.set_faults(SocketFaultPlan(_of_sockets(faults), self._config.seed))

    def set_source(self, source: KlineSource) -> None:
        """Halts have changed."""
        self._live.set_source(source)

    def reset(self) -> None:
        self._tally = Tally()
        self._limiter.clear()
        self._publisher.reset_tally()
        self.sockets.reset()

    @property
    def has_recording(self) -> bool:
        return self._replay is not None

    def start_replay(self, now: int) -> None:
        if self._replay:
            self._replay.start(now)

    def knows(self, symbol: str) -> bool:
        """Whether this is one of its symbols, in its spelling."""
        return symbol in self._feeds.symbols

    def book(self, symbol: str, update_id: int | None, limit: int) -> dict[str, Any]:
        """The true book; ValueError where it does not run, or not at that id within the last 10 s."""
        market = self._live.markets.get(self._feeds.symbols[symbol])
        found = market.remembered(update_id, limit) if market else None
        if market is None or found is None:
            raise ValueError(f"the book of {symbol} at update id {update_id} is not (or no longer) known")
        words = Words(market.instrument)
        return dict(zip(("lastUpdateId", "bids", "asks"), (found[0], *map(words.levels, found[1:])), strict=True))

    def report(self) -> dict[str, Any]:
        """Requests, tokens and sockets, as `Tally.report` and `SocketTally.report` have them."""
        tokens = {"given": self.tokens.given, "used": self.tokens.used, "reused": self.tokens.reused}
        sockets = {**self._publisher.tally.report(), "open": self.sockets.report(), "running_books": len(self._live.markets)}
        return {
            **self._tally.report(),
            "tokens": tokens,
            "sockets": {**sockets, "replay": self._replay.report() if self._replay else None},
        }

    def _real(self, method: str, path: str, sent: dict[str, str], endpoint: str, now: int) -> Reply:
        if not self._replay and path != TOKEN_PATH:
            self._feeds.advance(now, all_of_it=True)
        ping_ms = int(self._limits.ping_seconds * 1_000), int(self._limits.pong_seconds * 1_000)
        return answer(Question(method, path, sent, now, self, lambda: self.tokens.give(now), endpoint, ping_ms))

    def _jump(self, message: Message, number: int) -> tuple[int, int] | None:
        return (self._replay or self._feeds).jump(message, number)


def _of_sockets(faults: Iterable[Fault | SocketFault]) -> Sequence[SocketFault]:
    return [fault for fault in faults if isinstance(fault, SocketFault)]


def _injected(fault: Fault) -> Reply | None:
    match fault.kind:
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


def _spoiled(reply: Reply, fault: Fault) -> tuple[Reply, FaultKind | None]:
    if fault.kind is FaultKind.TRUNCATED_BODY:
        return Reply(reply.status, reply.body[: max(1, len(reply.body) // 2)]), None
    return reply, fault.kind
