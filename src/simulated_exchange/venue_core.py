"""What every simulated venue is made of: running books or a recording, the sockets that either is sent over, and the way of a
REST request through limits, faults and tally.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.lake.source import LakeVenue
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.market.live_market import LiveMarket, SymbolMarket
from simulated_exchange.market.order_book import Level
from simulated_exchange.server.faults import Fault, FaultPlan, SocketFault, SocketFaultPlan
from simulated_exchange.server.http import Outcome, Reply, Request, spoiled
from simulated_exchange.server.messages import Message
from simulated_exchange.server.publisher import Publisher
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replay import SessionReplay
from simulated_exchange.server.sockets import MessageSource, Sockets
from simulated_exchange.server.tally import Cause, Tally


class GeneratedFeeds(MessageSource, Protocol):
    """A venue's messages of the running books."""

    def advance(self, now: int, *, all_of_it: bool = False) -> None: ...

    def jump(self, message: Message, number: int) -> tuple[int, int] | None: ...


FeedsT = TypeVar("FeedsT", bound=GeneratedFeeds)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the venue's limits make of a request: the headers of its answer, and the refusal unless it is served."""

    headers: dict[str, str]
    refusal: Reply | None = None
    cause: Cause = Cause.LIMIT


class VenueCore(ABC, Generic[FeedsT]):
    """Times are microseconds. A venue adds its REST answers, its limits and its JSON."""

    FAULTS_HAVE_HEADERS: ClassVar[bool]
    """Whether a reply that a fault injects has the headers of the limits."""

    def __init__(
        self,
        config: ExchangeConfig,
        source: KlineSource,
        recorded: Session | LakeVenue | None,
        make_feeds: Callable[[LiveMarket, Publisher], FeedsT],
        make_sockets: Callable[[Publisher, MessageSource], Sockets],
        seed: int,
    ) -> None:
        """`seed` is that of orders and trades; faults have the configuration's."""
        self.tally = Tally()
        self._fault_seed = config.seed
        self.publisher = Publisher(self._plan(config.faults), self._jump)
        self.live = LiveMarket(source, seed, config.pace)
        self.feeds = make_feeds(self.live, self.publisher)
        self.replay = _replay_of(recorded, self.publisher, config)
        self.sockets = make_sockets(self.publisher, self.replay or self.feeds)

    def moment(self, now: int) -> int:
        """The time that REST speaks of: in the replay of a lake that of the replay."""
        return self.replay.moment if isinstance(self.replay, LakeReplay) else now

    async def prepare(self, request: Request) -> None:
        """What the answer needs of a lake is read in another thread. Raises LakeUnavailable, AccessRefused."""
        if isinstance(self.replay, LakeReplay):
            await asyncio.to_thread(self.look_up, request, self.replay)

    def look_up(self, request: Request, replay: LakeReplay) -> None:
        """Reads what the answer will need and does not have; from any thread."""

    def answer(self, request: Request, now: int, faults: FaultPlan) -> Outcome:
        """A request to the API: weighed, then answered, refused, or met by a fault."""
        admission = self._admit(request, now)
        headers = admission.headers
        if admission.refusal is not None:
            self.tally.on_refusal(admission.refusal.status, admission.cause)
            outcome = Outcome(admission.refusal)
        else:
            fault = self._draw(request, faults)
            injected = self._injected(fault, request, now)
            if injected is not None and not self.FAULTS_HAVE_HEADERS:
                headers = {}
            outcome = Outcome(injected) if injected else spoiled(self._served(request, now), fault)
        self.record(request, outcome)
        return replace(outcome, reply=replace(outcome.reply, headers={**headers, **outcome.reply.headers}))

    def record(self, request: Request, outcome: Outcome) -> None:
        """Counts the request in the tally."""
        self.tally.on_answer(request.path, 0 if outcome.broken_by else outcome.reply.status)

    def set_source(self, source: KlineSource) -> None:
        """Another history with the same instruments: halts have changed."""
        self.live.set_source(source)

    def set_faults(self, faults: Iterable[Fault | SocketFault]) -> None:
        """Replaces the faults of sockets; others are left out."""
        self.publisher.set_faults(self._plan(faults))

    def reset(self) -> None:
        self.tally = Tally()
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
        """`Tally.report`, and of sockets: `SocketTally.report`, who is connected, which books run, how far a replay is."""
        sockets = {
            **self.publisher.tally.report(),
            "open": self.sockets.report(),
            "running_books": len(self.live.markets),
            "replay": self.replay.report() if self.replay else None,
        }
        return {**self.tally.report(), "sockets": sockets}

    @abstractmethod
    def _admit(self, request: Request, now: int) -> Admission:
        """Counts the request's weight."""

    @abstractmethod
    def _reply(self, request: Request, now: int) -> Reply:
        """What the venue says to a request that its limits let through; books are where they should be at `now`."""

    @abstractmethod
    def _injected(self, fault: Fault | None, request: Request, now: int) -> Reply | None:
        """The answer instead of the real one, None where the real one is only spoiled."""

    def _served(self, request: Request, now: int) -> Reply:
        if not self.replay:
            self.feeds.advance(now, all_of_it=True)
        return self._reply(request, now)

    def _draw(self, request: Request, faults: FaultPlan) -> Fault | None:
        fault = faults.draw(request.path)
        if fault:
            self.tally.on_fault(fault.kind)
        return fault

    def _plan(self, faults: Iterable[Fault | SocketFault]) -> SocketFaultPlan:
        return SocketFaultPlan([fault for fault in faults if isinstance(fault, SocketFault)], self._fault_seed)

    def _jump(self, message: Message, number: int) -> tuple[int, int] | None:
        return (self.replay or self.feeds).jump(message, number)


def _replay_of(
    recorded: Session | LakeVenue | None, publisher: Publisher, config: ExchangeConfig
) -> SessionReplay | LakeReplay | None:
    how = publisher, config.replay_speed, config.replay_start
    if isinstance(recorded, LakeVenue):
        return LakeReplay(recorded, *how)
    return SessionReplay(recorded, *how) if recorded else None
