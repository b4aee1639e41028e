"""The exchange on a socket. `SimulatedExchange` for an event loop, `running_exchange` for everyone else (it brings a thread of
its own), `serve` for the command.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from simulated_exchange.clock import Clock
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.control import CONTROL_PREFIX, control
from simulated_exchange.exchange import Exchange, Request
from simulated_exchange.faults import ARCHIVE_PREFIX, Fault, FaultKind
from simulated_exchange.injections import half
from simulated_exchange.market import Halt
from simulated_exchange.rest import Reply

Answer = TypeVar("Answer")


class SimulatedExchange(Exchange):
    """`async with SimulatedExchange(config) as exchange: exchange.url`. ValueError if the configuration cannot work."""

    def __init__(self, config: ExchangeConfig, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self.url = ""
        self._address = config.host, config.port
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; `url` says where. OSError if the port is taken."""
        self._runner = runner = web.ServerRunner(web.Server(self._respond, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, *self._address).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Closes the socket and every connection; harmless when repeated."""
        if self._runner:
            await self._runner.cleanup()

    async def _respond(self, http: web.BaseRequest) -> web.StreamResponse:
        path = http.path
        if path.startswith(CONTROL_PREFIX):
            return _response(control(self, http.method, path, await http.read()))
        if latency := self.latency_seconds(path):
            await asyncio.sleep(latency)
        pairs = list(http.query.items())
        request = Request(http.method, path, pairs, http.remote or "", http.headers.get("X-MBX-TIME-UNIT"))
        if path.startswith(ARCHIVE_PREFIX):
            outcome = await self.answer_archive(request)
        else:
            outcome = self.answer_rest(request)
        if outcome.broken_by:
            return await _broken_off(http, outcome.reply, outcome.broken_by)
        return _response(outcome.reply)


class RunningExchange:
    """An exchange in a thread of its own; every method may be called from any other thread."""

    def __init__(self, server: SimulatedExchange, loop: asyncio.AbstractEventLoop) -> None:
        self.url = server.url
        self._exchange = server
        self._loop = loop

    def tally(self) -> dict[str, Any]:
        """What has been asked since the start or the last reset; see `Tally.report`."""
        return self._in_its_thread(self._exchange.tally)

    def set_faults(self, faults: Sequence[Fault | str | dict[str, Any]]) -> None:
        """Replaces all scripted faults; ValueError if one is none."""
        self._in_its_thread(lambda: self._exchange.set_faults(faults))

    def set_halts(self, halts: Sequence[Halt | str | dict[str, Any]]) -> None:
        """Replaces all halts; ValueError for a recording or an unknown symbol."""
        self._in_its_thread(lambda: self._exchange.set_halts(halts))

    def reset(self) -> None:
        """Forgets the tally, used weight and bans."""
        self._in_its_thread(self._exchange.reset)

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


async def serve(config: ExchangeConfig) -> None:
    """Runs until SIGTERM or SIGINT; prints one line with the address as soon as clients can connect."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with SimulatedExchange(config) as server:
        print(f"simulated exchange on {server.url}", flush=True)
        await stop.wait()


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
