"""The exchange without its socket: limits, faults, tally and answers put together. `app` carries it to clients."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from simulated_exchange.binance.archive import Archive, parse_archive_path
from simulated_exchange.binance.limits import RateLimiter, Verdict
from simulated_exchange.binance.parameters import VenueError, time_unit
from simulated_exchange.binance.recording import read_recording as read_binance
from simulated_exchange.binance.rest import Call, answer, injected_reply, over_limit, refusal, weight_of
from simulated_exchange.binance.venue import BinanceVenue
from simulated_exchange.config import ExchangeConfig, halt_from_json
from simulated_exchange.kucoin.recording import read_recording as read_kucoin
from simulated_exchange.kucoin.rest import SOCKET_PATH
from simulated_exchange.kucoin.venue import KucoinVenue
from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.server.clock import Clock, OffsetClock
from simulated_exchange.server.http_faults import Fault, FaultKind, FaultPlan, fault_from_json
from simulated_exchange.server.recorded_klines import KLINES_PATH, Replay
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replies import Outcome, Reply, not_found, spoiled
from simulated_exchange.server.socket_faults import SocketFault
from simulated_exchange.server.tally import Cause, Tally

_NO_SUCH_KEY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What the exchange sees of an HTTP request; `path` percent-decoded, `time_unit` the header's value."""

    method: str
    path: str
    pairs: Sequence[tuple[str, str]]
    address: str
    time_unit: str | None = None


class Exchange:
    """All state of one simulated exchange."""

    def __init__(self, config: ExchangeConfig, clock: Clock | None = None) -> None:
        """ValueError if the recording cannot be read or a halt names an unlisted symbol."""
        self._config = config
        opened = _open_source(config)
        self._source, session = opened.source, opened.session
        self._clock = clock or OffsetClock(
            _start_of_clock(config, self._source, session or opened.kucoin_session), config.time_scale
        )
        self.binance = BinanceVenue(config, self._source, session)
        self.kucoin = KucoinVenue(config, opened.kucoin_source, opened.kucoin_session)
        self._venues = self.binance, self.kucoin
        self._archive = Archive(self.binance.klines)
        self._limiter = RateLimiter(config.weight_limit, config.ban_after)
        self._faults = FaultPlan(_of_http(config.faults), config.seed)
        self._tally = Tally()

    def tally(self) -> dict[str, Any]:
        """What has been asked and sent since the start or the last reset; see `Tally.report` and `BinanceVenue.report`."""
        return {**self._tally.report(), "sockets": self.binance.report(), "kucoin": self.kucoin.report()}

    def set_faults(self, faults: Sequence[Fault | SocketFault | str | dict[str, Any]]) -> None:
        """Replaces all scripted faults, those of sockets included; ValueError if one is none."""
        plan = [fault if isinstance(fault, Fault | SocketFault) else fault_from_json(fault) for fault in faults]
        self._faults = FaultPlan(_of_http(plan), self._config.seed)
        for venue in self._venues:
            venue.set_faults(plan)

    def set_halts(self, halts: Sequence[Halt | str | dict[str, Any]]) -> None:
        """Replaces all halts of the generated market; ValueError for a recording or an unknown symbol."""
        if not isinstance(self._source, Market):
            raise ValueError("a recording cannot be halted")
        wanted = tuple(halt if isinstance(halt, Halt) else halt_from_json(halt) for halt in halts)
        self._source = _halted(self._source, wanted)
        for venue in self._venues:
            venue.live.set_source(self._source)
        self._archive = Archive(self.binance.klines)

    def reset(self) -> None:
        """Forgets the tally, used weight, bans and connection attempts."""
        self._tally = Tally()
        self._limiter.clear()
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

    def book(self, symbol: str, update_id: int | None = None, limit: int = 1000) -> dict[str, Any]:
        """The true best levels of a running book after the diff that ends with `update_id` (None: the latest).

        ValueError if the book does not run, or not at that id within the last 10 s.
        """
        if self.kucoin.knows(symbol):
            return self.kucoin.told_book(symbol, update_id, limit)
        return self.binance.told_book(symbol, update_id, limit)

    def latency_seconds(self, path: str) -> float:
        """How long the answer to a request is held back."""
        milliseconds = self._config.latency_ms + self._faults.latency_ms(path)
        return (milliseconds + self._faults.jitter_ms(self._config.latency_jitter_ms)) / 1000

    def answer_rest(self, request: Request) -> Outcome:
        """A request to the API: weighed, then answered or refused."""
        now_us = self._clock.now_us()
        weight = weight_of(request.path, request.pairs)
        verdict = self._limiter.admit(request.address, weight, now_us // 1000)
        if not verdict.is_ban:
            self._tally.on_weight(weight, now_us // 1000)
        outcome = self._outcome(request, now_us, verdict)
        self._record(request, outcome)
        used = str(verdict.used_weight)
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used, "Date": _date(now_us // 1_000_000)}
        return replace(outcome, reply=replace(outcome.reply, headers={**headers, **outcome.reply.headers}))

    def answer_kucoin(self, request: Request, host: str) -> Outcome:
        """A request to the other venue; `host` is how the client calls this machine: its sockets are there too."""
        endpoint = f"ws://{host}{SOCKET_PATH}"
        sent, now = dict(request.pairs), self._clock.now_us()
        return self.kucoin.answer(request.method, request.path, sent, request.address, endpoint, now, self._faults)

    async def answer_archive(self, request: Request) -> Outcome:
        """A request to the bulk archive: not weighed and without the API's headers, in real life it is another host."""
        now = self._clock.now_us() // 1000
        fault = self._draw(request)
        injected = self._injected(request, fault, now)
        outcome = Outcome(injected) if injected else spoiled(await self._archive_reply(request.path, now), fault)
        self._record(request, outcome)
        headers = {"Date": _date(now // 1000), **outcome.reply.headers}
        return replace(outcome, reply=replace(outcome.reply, headers=headers))

    async def _archive_reply(self, path: str, now: int) -> Reply:
        file = parse_archive_path(path)
        content = await asyncio.to_thread(self._archive.read, file, now) if file else None
        faults = self._faults.archive_faults(path.removesuffix(".CHECKSUM")) if content else frozenset()
        if file and faults:
            content = await asyncio.to_thread(self._archive.read, file, now, faults)
        for kind in faults:
            self._tally.on_fault(kind)
        if file is None or content is None:
            return Reply(404, _NO_SUCH_KEY, "application/xml")
        return Reply(200, content, "text/plain" if file.wants_checksum else "application/zip")

    def _outcome(self, request: Request, now_us: int, verdict: Verdict) -> Outcome:
        if not verdict.is_served:
            self._tally.on_refusal(verdict.status, verdict.cause)
            return Outcome(over_limit(verdict, self._config.weight_limit))
        fault = self._draw(request)
        injected = self._injected(request, fault, now_us // 1000)
        return Outcome(injected) if injected else spoiled(self._real_reply(request, now_us), fault)

    def _real_reply(self, request: Request, now_us: int) -> Reply:
        if request.method != "GET":
            return not_found(request.path)
        try:
            unit = time_unit(request.time_unit)
        except VenueError as error:
            return refusal(error)
        self.binance.catch_up(now_us)
        call = Call(self.binance.klines, request.pairs, now_us, unit, self._config.weight_limit, self.binance.books)
        return answer(request.path, call)

    def _draw(self, request: Request) -> Fault | None:
        fault = self._faults.draw(request.path)
        if fault:
            self._tally.on_fault(fault.kind)
        return fault

    def _injected(self, request: Request, fault: Fault | None, now: int) -> Reply | None:
        if fault is None:
            return None
        banned = None
        if fault.kind is FaultKind.HTTP_418:
            banned = self._limiter.ban(request.address, now + fault.amount * 1000, now)
        reply = injected_reply(fault, banned, self._config.weight_limit)
        if reply and reply.status in (418, 429):
            self._tally.on_refusal(reply.status, Cause.INJECTED)
        return reply

    def _record(self, request: Request, outcome: Outcome) -> None:
        status = 0 if outcome.broken_by else outcome.reply.status
        self._tally.on_answer(request.path, status)
        if request.path == KLINES_PATH:
            self._tally.on_klines(dict(request.pairs), status)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one exchange shows: a source for each venue, and the recorded sessions if there are any."""

    source: Market | Replay
    session: Session | None
    kucoin_source: Market | Replay
    kucoin_session: Session | None


def _open_source(config: ExchangeConfig) -> _Opened:
    """The generated market, or the recordings; ReplayError (a ValueError) if those cannot be read."""
    if not config.replay:
        market = _halted(Market(config.seed, listed_instruments(config.symbols)), config.halts)
        return _Opened(market, None, market, None)
    session, kucoin = read_binance(config.replay), read_kucoin(config.replay)
    found = dict(session.instruments) if session else {} if kucoin else None
    return _Opened(Replay(config.replay, found), session, Replay((), dict(kucoin.instruments) if kucoin else {}), kucoin)


def _halted(market: Market, halts: tuple[Halt, ...]) -> Market:
    """The same market with other halts; ValueError if one is empty or its symbol is not listed."""
    for halt in halts:
        if halt.symbol not in market.instruments:
            raise ValueError(f"cannot halt {halt.symbol}: it is not listed here")
        if halt.end <= halt.start:
            raise ValueError(f"halt of {halt.symbol} ends before it starts")
    return Market(market.seed, market.instruments, halts)


def _start_of_clock(config: ExchangeConfig, source: Market | Replay, session: Session | None) -> int | None:
    if config.now is not None:
        return config.now
    if session:
        return session.start
    return source.end if isinstance(source, Replay) else None


def _of_http(faults: Iterable[Fault | SocketFault]) -> list[Fault]:
    return [fault for fault in faults if isinstance(fault, Fault)]


def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
