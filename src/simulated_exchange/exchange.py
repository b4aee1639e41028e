"""The exchange without its socket: limits, faults, tally and answers put together. `app` carries it to clients."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

from simulated_exchange.binance.archive import Archive, parse_archive_path
from simulated_exchange.binance.limits import RateLimiter, Verdict
from simulated_exchange.binance.parameters import VenueError, time_unit
from simulated_exchange.binance.rest import Call, answer, injected_reply, over_limit, refusal, weight_of
from simulated_exchange.binance.venue import BinanceVenue, of_sockets
from simulated_exchange.config import ExchangeConfig, halted, open_source
from simulated_exchange.control import halt_from_json
from simulated_exchange.kucoin.rest import SOCKET_PATH
from simulated_exchange.kucoin.venue import KucoinVenue
from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.server.clock import Clock, OffsetClock
from simulated_exchange.server.http_faults import Fault, FaultKind, FaultPlan, fault_from_json
from simulated_exchange.server.recorded_klines import KLINES_PATH, Replay
from simulated_exchange.server.recorded_session import Session
from simulated_exchange.server.replies import Reply, cut_short, not_found
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reply, and the fault that the socket has to carry out itself: a dropped body or connection."""

    reply: Reply
    broken_by: FaultKind | None = None


class Exchange:
    """All state of one simulated exchange."""

    def __init__(self, config: ExchangeConfig, clock: Clock | None = None) -> None:
        """ValueError if the recording cannot be read or a halt names an unlisted symbol."""
        self._config = config
        opened = open_source(config)
        self._source, session = opened.source, opened.session
        self._clock = clock or OffsetClock(
            _start_of_clock(config, self._source, session or opened.kucoin_session), config.time_scale
        )
        self.binance = BinanceVenue(config, self._source, session)
        self.kucoin = KucoinVenue(config, opened.kucoin_source, opened.kucoin_session)
        self._archive = Archive(self.binance.klines)
        self._limiter = RateLimiter(config.weight_limit, config.raw_request_limit, config.ban_after)
        self._limits = config.weight_limit, config.raw_request_limit
        self._faults = FaultPlan(_of_http(config.faults), config.seed)
        self._tally = Tally()

    def tally(self) -> dict[str, Any]:
        """What has been asked and sent since the start or the last reset; see `Tally.report` and `BinanceVenue.report`."""
        return {**self._tally.report(), "sockets": self.binance.report(), "kucoin": self.kucoin.report()}

    def set_faults(self, faults: Sequence[Fault | SocketFault | str | dict[str, Any]]) -> None:
        """Replaces all scripted faults, those of sockets included; ValueError if one is none."""
        plan = [fault if isinstance(fault, Fault | SocketFault) else fault_from_json(fault) for fault in faults]
        self._faults = FaultPlan(_of_http(plan), self._config.seed)
        self.binance.set_faults(of_sockets(plan))
        self.kucoin.set_faults(plan)

    def set_halts(self, halts: Sequence[Halt | str | dict[str, Any]]) -> None:
        """Replaces all halts of the generated market; ValueError for a recording or an unknown symbol."""
        if not isinstance(self._source, Market):
            raise ValueError("a recording cannot be halted")
        wanted = tuple(halt if isinstance(halt, Halt) else halt_from_json(halt) for halt in halts)
        self._source = halted(self._source, wanted)
        self.binance.set_source(self._source)
        self.kucoin.set_source(self._source)
        self._archive = Archive(self.binance.klines)

    def reset(self) -> None:
        """Forgets the tally, used weight, bans and connection attempts."""
        self._tally = Tally()
        self._limiter.clear()
        self.binance.reset()
        self.kucoin.reset()

    def settle(self) -> None:
        """Everything due at the clock's present time has been written to the sockets."""
        while self.pulse(self._clock.now_us()):
            pass

    def pulse(self, now: int) -> bool:
        """What is due at `now` (microseconds) on all sockets; True if there is more to do at once."""
        return any([self.binance.pulse(now), self.kucoin.pulse(now)])

    def disconnect(self, connections: Sequence[int] | None = None) -> None:
        """Ends sockets (by their numbers in the tally; None: all) without a close frame."""
        self.binance.sockets.disconnect(connections)
        self.kucoin.sockets.disconnect(connections)

    def announce_shutdown(self) -> None:
        """Sends `serverShutdown` to every socket; ending them is another matter."""
        self.binance.sockets.announce_shutdown(self._clock.now_us())

    def start_replay(self) -> None:
        """Starts a recorded session; ValueError if there is none."""
        self.kucoin.start_replay(self._clock.now_us())
        if not self.kucoin.has_recording:
            self.binance.start_replay(self._clock.now_us())

    def book(self, symbol: str, update_id: int | None = None, limit: int = 1000) -> dict[str, Any]:
        """The true best levels of a running book after the diff that ends with `update_id` (None: the latest).

        ValueError if the book does not run, or not at that id within the last 10 s.
        """
        if self.kucoin.knows(symbol):
            return self.kucoin.book(symbol, update_id, limit)
        return self.binance.book(symbol, update_id, limit)

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
        reply, broken = self.kucoin.answer(
            request.method, request.path, dict(request.pairs), request.address, endpoint, self._clock.now_us(), self._faults
        )
        return Outcome(reply, broken)

    async def answer_archive(self, request: Request) -> Outcome:
        """A request to the bulk archive: not weighed and without the API's headers, in real life it is another host."""
        now = self._clock.now_us() // 1000
        fault = self._draw(request)
        injected = self._injected(request, fault, now)
        outcome = _spoiled(injected or await self._archive_reply(request.path, now), fault, is_injected=bool(injected))
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
            return Outcome(over_limit(verdict, *self._limits))
        fault = self._draw(request)
        injected = self._injected(request, fault, now_us // 1000)
        return _spoiled(injected or self._real_reply(request, now_us), fault, is_injected=bool(injected))

    def _real_reply(self, request: Request, now_us: int) -> Reply:
        if request.method != "GET":
            return not_found(request.path)
        try:
            unit = time_unit(request.time_unit)
        except VenueError as error:
            return refusal(error)
        self.binance.catch_up(now_us)
        call = Call(self.binance.klines, request.pairs, now_us, unit, *self._limits, self.binance.books)
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
        reply = injected_reply(fault, banned, *self._limits)
        if reply and reply.status in (418, 429):
            self._tally.on_refusal(reply.status, Cause.INJECTED)
        return reply

    def _record(self, request: Request, outcome: Outcome) -> None:
        status = 0 if outcome.broken_by else outcome.reply.status
        self._tally.on_answer(request.path, status)
        if request.path == KLINES_PATH:
            self._tally.on_klines(dict(request.pairs), status)


def _spoiled(reply: Reply, fault: Fault | None, *, is_injected: bool) -> Outcome:
    if fault is None or is_injected:
        return Outcome(reply)
    if fault.kind is FaultKind.TRUNCATED_BODY:
        return Outcome(cut_short(reply))
    return Outcome(reply, fault.kind)


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
