"""The exchange as an HTTP server. `SimulatedExchange` for an event loop, `running_exchange` for everyone else (it brings a
thread of its own), `serve` for the command.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from aiohttp import web

from simulated_exchange.binance.futures.product import PRODUCTS
from simulated_exchange.binance.futures.ws import FuturesListener
from simulated_exchange.binance.futures.ws import parse_address as parse_futures_address
from simulated_exchange.binance.parameters import VenueError
from simulated_exchange.binance.rest import refusal
from simulated_exchange.binance.ws import parse_address
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.exchange import Exchange
from simulated_exchange.kucoin.rest import SOCKET_PATH, said
from simulated_exchange.kucoin.ws import KucoinListener
from simulated_exchange.market.generated import Halt
from simulated_exchange.market.klines import TimeUnit
from simulated_exchange.server.clock import Clock
from simulated_exchange.server.faults import Fault, FaultKind, SocketFault
from simulated_exchange.server.http import Reply, Request, half, not_found
from simulated_exchange.server.websocket import Address, Listener, run_pulse
from simulated_exchange.variables import variables_of
from tickhouse_core.metrics import Component, Sample, observed

Answer = TypeVar("Answer")

CONTROL_PREFIX = "/simulator/"
LONGEST_ADDRESS = 16 << 10  # bytes of path and query; the venue's own limit is somewhere between 8 and 16 kB


class SimulatedExchange(Exchange):
    """`async with SimulatedExchange(config) as exchange: exchange.url`. ValueError if the configuration cannot work."""

    def __init__(self, config: ExchangeConfig, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self.url = ""
        self.replay_over = asyncio.Event()
        """Set when a lake has been replayed to its end, or cannot be read any further."""

        self._address = config.host, config.port
        self._runner: web.ServerRunner | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._listener = Listener(self.binance.sockets, self._clock.now_us, config.sockets.streams_per_connection)
        self._futures_listeners = {
            product: FuturesListener(self.futures(product).sockets, self._clock.now_us, config.sockets.streams_per_connection)
            for product in PRODUCTS
        }
        self._kucoin_listener = KucoinListener(self.kucoin.sockets, self._clock.now_us, 0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; `url` says where (sockets: the same with ws). OSError if the port is taken."""
        server = web.Server(self._respond, access_log=None, max_line_size=LONGEST_ADDRESS)
        self._runner = runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, *self._address).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._pulse = asyncio.create_task(run_pulse(self._beat, self._clock, self._config.time_scale))

    async def stop(self) -> None:
        """Closes the socket and every connection; harmless when repeated."""
        if self._pulse:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        self.disconnect()
        if self._runner:
            await self._runner.cleanup()
        await asyncio.to_thread(self.close)

    def _beat(self, now: int) -> bool:
        is_behind = self.pulse(now)
        if not self.replay_over.is_set() and (self.failure or self.is_replay_over):
            self.replay_over.set()
        return is_behind

    def _control(self, method: str, path: str) -> Reply:
        """The simulator's own endpoints, not weighed and not counted: 200 with JSON, 400 with the reason in `msg`, 404."""
        try:
            match method, path.removeprefix(CONTROL_PREFIX):
                case "GET", "tally":
                    return Reply(200, orjson.dumps(self.tally()))
                case "POST", "reset":
                    self.reset()
                case "POST", "replay/start":
                    self.start_replay()
                case _:
                    return not_found(path)
        except ValueError as error:
            return Reply(400, orjson.dumps({"code": 400, "msg": str(error)}))
        return Reply(200, b"{}")

    async def _respond(self, http: web.BaseRequest) -> web.StreamResponse:
        path = http.path
        if path.startswith(CONTROL_PREFIX):
            return _response(self._control(http.method, path))
        if latency := self.latency_seconds(path):
            await asyncio.sleep(latency)
        try:
            address = parse_address(path, http.rel_url.raw_query_string)
            futures = parse_futures_address(path, http.rel_url.raw_query_string)
        except VenueError as error:
            return _response(refusal(error))
        if address:
            return await self._listener.serve(http, address)
        if futures:
            return await self._futures_listeners[futures[0]].serve(http, futures[1])
        if path == SOCKET_PATH:
            if not self.kucoin.tokens.take(http.query.get("token", ""), self._clock.now_us()):
                return _response(said(401, "401", "token is invalid"))
            return await self._kucoin_listener.serve(http, Address([], combined=False, unit=TimeUnit.MILLISECOND))
        unit, pairs = http.headers.get("X-MBX-TIME-UNIT"), list(http.query.items())
        outcome = await self.answer(Request(http.method, path, pairs, http.remote or "", http.host, unit))
        if outcome.broken_by:
            return await _broken_off(http, outcome.reply, outcome.broken_by)
        return _response(outcome.reply)


class RunningExchange:
    """An exchange in a thread of its own; every method may be called from any other thread."""

    def __init__(self, server: SimulatedExchange, loop: asyncio.AbstractEventLoop) -> None:
        self.url = server.url
        self.ws_url = server.url.replace("http", "ws", 1)
        self._exchange = server
        self._loop = loop

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point every venue of the recorder here."""
        return variables_of(self.url)

    def tally(self) -> dict[str, Any]:
        """What has been asked since the start or the last reset; see `Tally.report`."""
        return self._in_its_thread(self._exchange.tally)

    def set_faults(self, faults: Sequence[Fault | SocketFault | str]) -> None:
        """Replaces all scripted faults; ValueError if one is none."""
        self._in_its_thread(lambda: self._exchange.set_faults(faults))

    def set_halts(self, halts: Sequence[Halt | str]) -> None:
        """Replaces all halts; ValueError for a recording or an unknown symbol."""
        self._in_its_thread(lambda: self._exchange.set_halts(halts))

    def reset(self) -> None:
        """Forgets the tally, used weight, bans and connection attempts."""
        self._in_its_thread(self._exchange.reset)

    def settle(self) -> None:
        """Writes everything that is due at the clock's present time to the sockets: for clocks that stand still."""
        self._in_its_thread(self._exchange.settle)

    def disconnect(self, connections: Sequence[int] | None = None) -> None:
        """Ends sockets (by their numbers in the tally; None: all) without a close frame."""
        self._in_its_thread(lambda: self._exchange.disconnect(connections))

    def announce_shutdown(self) -> None:
        """Sends `serverShutdown` to every socket."""
        self._in_its_thread(self._exchange.announce_shutdown)

    def start_replay(self) -> None:
        """Starts a recorded session; ValueError if there is none."""
        self._in_its_thread(self._exchange.start_replay)

    def book(self, symbol: str, update_id: int | None = None, limit: int = 1000, futures: str | None = None) -> dict[str, Any]:
        """The true book after the diff that ends with `update_id`; see `Exchange.book`."""
        return self._in_its_thread(lambda: self._exchange.book(symbol, update_id, limit, futures))

    def _in_its_thread(self, job: Callable[[], Answer]) -> Answer:
        async def run() -> Answer:
            return job()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextmanager
def running_exchange(config: ExchangeConfig, clock: Clock | None = None) -> Iterator[RunningExchange]:
    """Runs an exchange beside the caller and stops it in the end. ValueError and OSError as `SimulatedExchange` has."""
    server = SimulatedExchange(config, clock)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = Thread(target=lambda: asyncio.run(_live(server, started)), name="simulated-exchange", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield RunningExchange(server, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def serve(config: ExchangeConfig, *, ends_with_replay: bool = False) -> None:
    """Runs until SIGTERM or SIGINT; prints one line with the address as soon as clients can connect.

    Prints another one when a lake has been replayed to its end; then it goes on, or closes its sockets and returns.
    Raises TickhouseError where the lake cannot be read any further.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    loop = asyncio.get_running_loop()
    async with SimulatedExchange(config) as server:
        with observed(Component("simulated_exchange", lambda: _figures(server, loop), list)):
            print(f"simulated exchange on {server.url}", flush=True)
            stopped, over = (asyncio.create_task(event.wait()) for event in (stop, server.replay_over))
            await asyncio.wait((stopped, over), return_when=asyncio.FIRST_COMPLETED)
            if server.failure:
                raise server.failure
            if over.done():
                print(f"the replay is over: {server.replay_report()}", flush=True)
                if not ends_with_replay:
                    await stopped
                server.say_goodbye()
            stopped.cancel()
            over.cancel()


def _figures(server: SimulatedExchange, loop: asyncio.AbstractEventLoop) -> list[Sample]:
    """Counted in the exchange's own thread, asked for from the thread of /metrics."""

    async def count() -> list[Sample]:
        tally = server.tally()
        return [
            Sample("tickhouse_exchange_requests_total", tally["requests_total"], "REST requests answered"),
            Sample("tickhouse_exchange_weight_total", tally["weight"]["total"], "request weight of them"),
        ]

    return asyncio.run_coroutine_threadsafe(count(), loop).result(timeout=5)


async def _live(server: SimulatedExchange, started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
    stop = asyncio.Event()
    try:
        await server.start()
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result((asyncio.get_running_loop(), stop))
    await stop.wait()
    await server.stop()


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers={**reply.headers, "Content-Type": reply.content_type})


async def _broken_off(http: web.BaseRequest, reply: Reply, kind: FaultKind) -> web.StreamResponse:
    """Ends the connection at once, or in the middle of a body whose Content-Length promised all of it."""
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type})
    if kind is FaultKind.DROPPED_BODY:
        response.content_length = len(reply.body)
        await response.prepare(http)
        await response.write(half(reply.body))
    if http.transport:
        http.transport.abort()
    return response
