"""What every simulated venue is made of: running books or a recording, and the sockets that either is sent over."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.market.live_market import LiveMarket
from simulated_exchange.market.order_book import Level
from simulated_exchange.market.symbol_market import SymbolMarket
from simulated_exchange.server.http_faults import Fault
from simulated_exchange.server.messages import Message
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import SessionReplay
from simulated_exchange.server.socket_faults import SocketFault, SocketFaultPlan
from simulated_exchange.server.sockets import MessageSource, Sockets


class GeneratedFeeds(MessageSource, Protocol):
    """A venue's messages of the running books."""

    def advance(self, now: int, *, all_of_it: bool = False) -> None: ...

    def jump(self, message: Message, number: int) -> tuple[int, int] | None: ...


FeedsT = TypeVar("FeedsT", bound=GeneratedFeeds)


class VenueCore(Generic[FeedsT]):
    """Times are microseconds. A venue adds its REST answers, its limits and its JSON."""

    def __init__(
        self,
        config: ExchangeConfig,
        source: KlineSource,
        session: Session | None,
        make_feeds: Callable[[LiveMarket, Publisher], FeedsT],
        make_sockets: Callable[[Publisher, MessageSource], Sockets],
        seed: int,
    ) -> None:
        """`seed` is that of orders and trades; faults have the configuration's."""
        self._fault_seed = config.seed
        self.publisher = Publisher(self._plan(config.faults), self._jump)
        self.live = LiveMarket(source, seed)
        self.feeds = make_feeds(self.live, self.publisher)
        self.replay = (
            SessionReplay(session, self.publisher, config.replay_speed, config.replay_start) if session is not None else None
        )
        self.sockets = make_sockets(self.publisher, self.replay or self.feeds)

    def catch_up(self, now: int) -> None:
        """Before REST answers: books are where they should be at `now`."""
        if not self.replay:
            self.feeds.advance(now, all_of_it=True)

    def set_faults(self, faults: Iterable[Fault | SocketFault]) -> None:
        """Replaces the faults of sockets; others are left out."""
        self.publisher.set_faults(self._plan(faults))

    def reset(self) -> None:
        self.publisher.reset_tally()
        self.sockets.reset()

    def book(self, symbol: str, update_id: int | None, limit: int) -> tuple[SymbolMarket, int, list[Level], list[Level]]:
        """The true book; ValueError where it does not run, or not at that id within the last 10 s."""
        market = self.live.markets.get(symbol)
        if market is None:
            raise ValueError(f"no book of {symbol!r} is running")
        found = market.remembered(update_id, limit)
        if found is None:
            raise ValueError(f"the book of {symbol} at update id {update_id} is not (or no longer) known")
        return market, *found

    def report(self) -> dict[str, Any]:
        """`SocketTally.report`, who is connected, which books run, how far a replay is."""
        return {
            **self.publisher.tally.report(),
            "open": self.sockets.report(),
            "running_books": len(self.live.markets),
            "replay": self.replay.report() if self.replay else None,
        }

    def _plan(self, faults: Iterable[Fault | SocketFault]) -> SocketFaultPlan:
        return SocketFaultPlan([fault for fault in faults if isinstance(fault, SocketFault)], self._fault_seed)

    def _jump(self, message: Message, number: int) -> tuple[int, int] | None:
        return (self.replay or self.feeds).jump(message, number)
