"""Binance put together: running books or a recording, sockets with their subscribers and faults, and the tally of it."""

from collections.abc import Iterable
from typing import Any

from simulated_exchange.binance.generator import Feeds
from simulated_exchange.binance.messages import Wording
from simulated_exchange.binance.rest import Books
from simulated_exchange.binance.ws import BinanceSockets
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.klines import KlineSource, TimeUnit
from simulated_exchange.market.live_market import LiveMarket
from simulated_exchange.server.http_faults import Fault
from simulated_exchange.server.messages import Message
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import SessionReplay
from simulated_exchange.server.socket_faults import SocketFault, SocketFaultPlan


class LiveBooks:
    """The running books of the generated market; asking for one starts it. Trades are known since their book was started."""

    def __init__(self, live: LiveMarket) -> None:
        self._live = live

    def depth(self, symbol: str, now: int, limit: int) -> str | None:
        market = self._live.start(symbol, now)
        if market is None:
            return None
        return Wording(market.instrument).snapshot(*market.look(now, limit))

    def trades(self, symbol: str, now: int, from_id: int | None, limit: int, unit: TimeUnit) -> str:
        market = self._live.start(symbol, now)
        if market is None:
            return "[]"
        wording = Wording(market.instrument)
        found = market.trades.latest(limit) if from_id is None else market.trades.page(from_id, limit)
        return "[" + ",".join(wording.rest_trade(trade, unit) for trade in found) + "]"


class BinanceVenue:
    """`klines` and `books` are what REST serves, so that it agrees with what the sockets say."""

    def __init__(self, config: ExchangeConfig, source: KlineSource, session: Session | None) -> None:
        self._seed = config.seed
        self._publisher = Publisher(SocketFaultPlan(of_sockets(config.faults), config.seed), self._jump)
        self._live = LiveMarket(source, config.seed)
        self._feeds = Feeds(self._live, self._publisher)
        self._replay: SessionReplay | None = None
        self.klines = self._live.klines
        self.books: Books = LiveBooks(self._live)
        if session:
            self._replay = SessionReplay(session, self._publisher, config.replay_speed, config.replay_start)
            self.books = self._replay
        self.sockets = BinanceSockets(config.sockets, self._publisher, self._replay or self._feeds)

    def pulse(self, now: int) -> bool:
        """What is due at `now` (microseconds); True if there is more to do at once."""
        return self.sockets.pulse(now)

    def catch_up(self, now: int) -> None:
        """Before REST answers: books are where they should be at `now`."""
        if not self._replay:
            self._feeds.advance(now, all_of_it=True)

    def set_faults(self, faults: Iterable[SocketFault]) -> None:
        self._publisher.set_faults(SocketFaultPlan(list(faults), self._seed))

    def set_source(self, source: KlineSource) -> None:
        """Halts have changed."""
        self._live.set_source(source)

    def reset(self) -> None:
        self._publisher.reset_tally()
        self.sockets.reset()

    def start_replay(self, now: int) -> None:
        if not self._replay:
            raise ValueError("there is no recorded session to start")
        self._replay.start(now)

    def book(self, symbol: str, update_id: int | None, limit: int) -> dict[str, Any]:
        market = self._live.markets.get(symbol)
        if market is None:
            raise ValueError(f"no book of {symbol!r} is running")
        found = market.remembered(update_id, limit)
        if found is None:
            raise ValueError(f"the book of {symbol} at update id {update_id} is not (or no longer) known")
        wording = Wording(market.instrument)
        return dict(zip(("lastUpdateId", "bids", "asks"), (found[0], *map(wording.pairs, found[1:])), strict=True))

    def report(self) -> dict[str, Any]:
        """`SocketTally.report`, who is connected, which books run, how far a replay is."""
        return {
            **self._publisher.tally.report(),
            "open": self.sockets.report(),
            "running_books": len(self._live.markets),
            "replay": self._replay.report() if self._replay else None,
        }

    def _jump(self, message: Message, number: int) -> tuple[int, int] | None:
        return (self._replay or self._feeds).jump(message, number)


def of_sockets(faults: Iterable[Fault | SocketFault]) -> list[SocketFault]:
    """Those that `SocketFaultPlan` is about."""
    return [fault for fault in faults if isinstance(fault, SocketFault)]
