"""The exchange without its socket: both venues, the market or recording they show, and faults. `app` carries it to clients."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from simulated_exchange.binance.futures.product import PRODUCTS, Product
from simulated_exchange.binance.futures.venue import FuturesVenue
from simulated_exchange.binance.lake import BinanceWords
from simulated_exchange.binance.limits import RateLimiter
from simulated_exchange.binance.recording import read_recording as read_binance
from simulated_exchange.binance.venue import BinanceVenue
from simulated_exchange.config import ExchangeConfig, parse_halt
from simulated_exchange.kucoin.lake import KucoinWords
from simulated_exchange.kucoin.recording import read_recording as read_kucoin
from simulated_exchange.kucoin.rest import is_path
from simulated_exchange.kucoin.venue import KucoinVenue
from simulated_exchange.lake.items import Words
from simulated_exchange.lake.klines import LakeKlines
from simulated_exchange.lake.replay import LakeReplay
from simulated_exchange.lake.source import LakeVenue, open_venues
from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.market.klines import KlineSource
from simulated_exchange.server.clock import Clock, OffsetClock
from simulated_exchange.server.faults import ARCHIVE_PREFIX, Fault, FaultPlan, SocketFault, parse_fault
from simulated_exchange.server.http import Outcome, Reply, Request
from simulated_exchange.server.recorded_klines import Replay
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.sockets import Sockets
from tickhouse_core.errors import TickhouseError
from tickhouse_core.reading.lake import open_store
from tickhouse_core.timestamps import format_instant

log = logging.getLogger(__name__)


class Exchange:
    """All state of one simulated exchange."""

    def __init__(self, config: ExchangeConfig, clock: Clock | None = None) -> None:
        """ValueError if the recording cannot be read or a halt names an unlisted symbol."""
        self._config = config
        opened = _open_source(config)
        self._source, recorded = opened.source, opened.recorded
        start = _start_of_clock(config, self._source, opened.any_recorded)
        self._clock = clock or OffsetClock(start, config.time_scale)
        self.binance = BinanceVenue(config, self._source, recorded)
        self.kucoin = KucoinVenue(config, opened.kucoin_source, opened.kucoin_recorded)
        self._futures = tuple(self._open_futures(config, opened))
        self._venues: tuple[BinanceVenue | KucoinVenue, ...] = (self.binance, *self._futures, self.kucoin)
        self._faults = FaultPlan(_of_http(config.faults), config.seed)

    def tally(self) -> dict[str, Any]:
        """What has been asked and sent since the start or the last reset; see `VenueCore.report`."""
        futures = {venue.product.name: venue.report() for venue in self._futures}
        return {**self.binance.report(), **futures, "kucoin": self.kucoin.report()}

    def set_faults(self, faults: Sequence[Fault | SocketFault | str]) -> None:
        """Replaces all scripted faults, those of sockets included; ValueError if one is none."""
        plan = [fault if isinstance(fault, Fault | SocketFault) else parse_fault(fault) for fault in faults]
        self._faults = FaultPlan(_of_http(plan), self._config.seed)
        for venue in self._venues:
            venue.set_faults(plan)

    def set_halts(self, halts: Sequence[Halt | str]) -> None:
        """Replaces all halts of the generated market; ValueError for a recording or an unknown symbol."""
        if not isinstance(self._source, Market):
            raise ValueError("a recording cannot be halted")
        wanted = tuple(halt if isinstance(halt, Halt) else parse_halt(halt) for halt in halts)
        self._source = _halted(self._source, wanted)
        for venue in self._venues:
            venue.set_source(self._source)

    def reset(self) -> None:
        """Forgets the tally, used weight, bans and connection attempts."""
        for venue in self._venues:
            venue.reset()

    def settle(self) -> None:
        """Everything due at the clock's present time has been written to the sockets."""
        while self.pulse(self._clock.now_us()):
            pass

    def pulse(self, now: int) -> bool:
        """What is due at `now` (microseconds) on all sockets; True if there is more to do at once."""
        behind = [venue.sockets.pulse(now) for venue in self._venues]
        return any(behind)

    @property
    def is_replay_over(self) -> bool:
        """Every replay of a lake that was begun has been sent to its end, and taken by its readers."""
        begun = [(replay, sockets) for replay, sockets in self._lake_replays() if replay.is_begun]
        return bool(begun) and all(replay.is_over and not sockets.is_sending for replay, sockets in begun)

    @property
    def failure(self) -> TickhouseError | None:
        """Why a lake could not be read to its end."""
        return next((replay.failure for replay, _ in self._lake_replays() if replay.failure), None)

    def replay_report(self) -> str:
        """How much has been sent, for people."""
        sent = [replay.report() for replay, _ in self._lake_replays() if replay.is_begun]
        return f"{sum(one['passed'] for one in sent):,} messages up to {format_instant(max(one['at'] for one in sent))}"

    def close(self) -> None:
        """Stops reading ahead."""
        for replay, _ in self._lake_replays():
            replay.close()

    def say_goodbye(self) -> None:
        """Closes all sockets with the closing handshake."""
        for venue in self._venues:
            venue.sockets.say_goodbye()

    def _lake_replays(self) -> list[tuple[LakeReplay, Sockets]]:
        return [(venue.replay, venue.sockets) for venue in self._venues if isinstance(venue.replay, LakeReplay)]

    def disconnect(self, connections: Sequence[int] | None = None) -> None:
        """Ends sockets (by their numbers in the tally; None: all) without a close frame."""
        for venue in self._venues:
            venue.sockets.disconnect(connections)

    def announce_shutdown(self) -> None:
        """Sends `serverShutdown` to every socket; ending them is another matter."""
        self.binance.sockets.announce_shutdown(self._clock.now_us())

    def start_replay(self) -> None:
        """Starts a recorded session; ValueError if there is none."""
        replays = [venue.replay for venue in self._venues if venue.replay]
        if not replays:
            raise ValueError("there is no recorded session to start")
        for replay in replays:
            replay.start(self._clock.now_us())

    def book(self, symbol: str, update_id: int | None = None, limit: int = 1000, futures: str | None = None) -> dict[str, Any]:
        """The true best levels of a running book after the diff that ends with `update_id` (None: the latest).

        `futures` names a futures market. ValueError if the book does not run, or not at that id within the last 10 s.
        """
        for venue in self._futures:
            if venue.product.name == futures:
                return venue.told_book(symbol, update_id, limit)
        if self.kucoin.knows(symbol):
            return self.kucoin.told_book(symbol, update_id, limit)
        return self.binance.told_book(symbol, update_id, limit)

    def futures(self, product: Product) -> FuturesVenue:
        return next(venue for venue in self._futures if venue.product is product)

    def _open_futures(self, config: ExchangeConfig, opened: "_Opened") -> Iterator[FuturesVenue]:
        limiter = RateLimiter(config.futures_weight_limit, config.ban_after)
        for product in PRODUCTS:
            session = opened.futures_recorded.get(product.name)
            source: KlineSource = opened.source
            if isinstance(session, LakeVenue):
                source = session.facts.klines
            elif not isinstance(source, Market):
                source = Replay((), dict(session.instruments) if session else {})
            yield FuturesVenue(product, config, source, session, limiter)

    def latency_seconds(self, path: str) -> float:
        """How long the answer to a request is held back."""
        milliseconds = self._config.latency_ms + self._faults.latency_ms(path)
        return (milliseconds + self._faults.jitter_ms(self._config.latency_jitter_ms)) / 1000

    async def answer(self, request: Request) -> Outcome:
        """A request to the API of either venue, or to Binance's bulk archive."""
        now = self._clock.now_us()
        futures = next((venue for venue in self._futures if venue.serves(request)), None)
        if request.path.startswith(ARCHIVE_PREFIX):
            return await (futures or self.binance).answer_archive(request, now, self._faults)
        venue = futures or (self.kucoin if is_path(request.path) else self.binance)
        try:
            await venue.prepare(request)
            return venue.answer(request, now, self._faults)
        except TickhouseError as error:
            log.warning("the lake could not be read for a request", extra={"path": request.path, "why": str(error)})
            return Outcome(Reply(503, orjson.dumps({"code": -1001, "msg": "Internal error; unable to process your request."})))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one exchange shows: a source for each venue, and the recorded sessions if there are any."""

    source: Market | Replay | LakeKlines
    recorded: Session | LakeVenue | None
    kucoin_source: Market | Replay | LakeKlines
    kucoin_recorded: Session | LakeVenue | None
    futures_recorded: "dict[str, Session] | dict[str, LakeVenue]"

    @property
    def any_recorded(self) -> Session | LakeVenue | None:
        """What the exchange's clock starts with."""
        recorded = (self.recorded, self.kucoin_recorded, *self.futures_recorded.values())
        return next((session for session in recorded if session), None)


def _open_source(config: ExchangeConfig) -> _Opened:
    """The generated market, or the recordings; ReplayError (a ValueError) if those cannot be read."""
    if config.replay_lake:
        return _open_lake(config)
    if not config.replay:
        market = _halted(Market(config.seed, listed_instruments(config.symbols)), config.halts)
        return _Opened(market, None, market, None, {})
    session, kucoin = read_binance(config.replay), read_kucoin(config.replay)
    futures = {product.name: its for product in PRODUCTS if (its := read_binance(config.replay, product))}
    found = dict(session.instruments) if session else {} if kucoin or futures else None
    others = Replay((), dict(kucoin.instruments) if kucoin else {})
    return _Opened(Replay(config.replay, found), session, others, kucoin, futures)


def _open_lake(config: ExchangeConfig) -> _Opened:
    futures = [BinanceWords(f"binance-{product.name}", has_previous_id=True) for product in PRODUCTS]
    words: tuple[Words, ...] = (BinanceWords(), KucoinWords(), *futures)
    found = open_venues(open_store(config.replay_lake), words, config.replay_from, config.replay_to, config.replay_lake)
    binance, kucoin, *others = (found.get(one.name) for one in words)
    nothing = Replay((), {})
    sources = [venue.facts.klines if venue else nothing for venue in (binance, kucoin)]
    recorded = {product.name: venue for product, venue in zip(PRODUCTS, others, strict=True) if venue}
    return _Opened(sources[0], binance, sources[1], kucoin, recorded)


def _halted(market: Market, halts: tuple[Halt, ...]) -> Market:
    """The same market with other halts; ValueError if one is empty or its symbol is not listed."""
    for halt in halts:
        if halt.symbol not in market.instruments:
            raise ValueError(f"cannot halt {halt.symbol}: it is not listed here")
        if halt.end <= halt.start:
            raise ValueError(f"halt of {halt.symbol} ends before it starts")
    return Market(market.seed, market.instruments, halts)


def _start_of_clock(config: ExchangeConfig, source: KlineSource, recorded: Session | LakeVenue | None) -> int | None:
    if config.now is not None:
        return config.now
    if isinstance(recorded, LakeVenue):
        return recorded.origin // 1_000
    if recorded:
        return recorded.start
    return source.end if isinstance(source, Replay) else None


def _of_http(faults: Iterable[Fault | SocketFault]) -> list[Fault]:
    return [fault for fault in faults if isinstance(fault, Fault)]
