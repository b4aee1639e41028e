"""The page's addresses: HTML and assets, JSON for scripts, server-sent events, and the page's own health."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from status_page.connections import LONGEST_SECONDS, Places, Watching
from status_page.guard import Guard
from status_page.market import INTERVALS, Markets, Series
from status_page.poller import Poller
from tickhouse_core.errors import TickhouseError
from tickhouse_core.metrics import answer
from tickhouse_core.resources import packaged
from tickhouse_core.settings import StatusSettings

ASSETS = packaged("status_page", "assets")
EVERY_SECONDS = 1.0
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class _SafeHeaders:
    """Scripts and styles come from this server only, and no other site may frame the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def page_app(poller: Poller, markets: Markets, is_closing: Callable[[], bool], settings: StatusSettings) -> Starlette:
    """`settings` hold the accepted Host names and the token."""
    places = Places()

    async def index(_request: Request) -> Response:
        return FileResponse(ASSETS / "index.html", headers={"Cache-Control": "no-cache"})

    async def status(_request: Request) -> Response:
        return _json(await run_in_threadpool(poller.first_state, 10.0))

    async def klines(request: Request) -> Response:
        venue, symbol, interval = _series(request)
        return _json(orjson.dumps(list(map(tuple, await _asked(markets.klines, venue, symbol, interval)))))

    async def book(request: Request) -> Response:
        venue, symbol, interval = _series(request)
        return _json(orjson.dumps(await _asked(markets.live, venue, symbol, interval)))

    async def events(request: Request) -> Response:
        series = _series(request) if "symbol" in request.query_params else None
        return Watching(places, stream(series), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def stream(series: Series | None) -> AsyncIterator[bytes]:
        told, shown = 0, b""
        until = time.monotonic() + LONGEST_SECONDS
        yield b"retry: 2000\n\n"
        while not is_closing() and time.monotonic() < until:
            version, state = poller.state()
            if version != told:
                told = version
                yield _event("state", state)
            if series is not None:
                body = await _live(series)
                if body != shown:
                    shown = body
                    yield _event("market", body)
            await asyncio.sleep(EVERY_SECONDS)

    async def _live(series: Series) -> bytes:
        try:
            return orjson.dumps(await run_in_threadpool(markets.live, *series))
        except TickhouseError:
            return b"{}"  # the state names what is unavailable

    async def own(request: Request) -> Response:
        said = await run_in_threadpool(lambda: answer(request.url.path))
        assert said is not None, "the routes name what there is"
        status, kind, body = said
        return Response(body, status, headers={"Content-Type": kind})

    routes = [
        Route("/", index),
        Route("/api/status", status),
        Route("/api/klines", klines),
        Route("/api/market", book),
        Route("/api/events", events),
        *(Route(path, own) for path in ("/metrics", "/healthz", "/readyz")),
        Mount("/assets", StaticFiles(directory=ASSETS)),
    ]
    middleware = [
        Middleware(_SafeHeaders),
        Middleware(Guard, host=settings.host, names=settings.hosts.replace(",", " ").split(), token=settings.token),
        Middleware(GZipMiddleware, minimum_size=2_000),
    ]
    return Starlette(routes=routes, middleware=middleware)


def _series(request: Request) -> Series:
    """Checks the names' form; they reach the warehouse as bound parameters."""
    asked = request.query_params
    venue, symbol, interval = asked.get("venue", ""), asked.get("symbol", ""), asked.get("interval", "1m")
    if not (_NAME.fullmatch(venue) and _NAME.fullmatch(symbol)):
        raise HTTPException(400, "venue and symbol: letters, digits, dot, dash and underscore, at most 40")
    if interval not in INTERVALS:
        raise HTTPException(400, f"interval: choose from {', '.join(INTERVALS)}")
    return venue, symbol, interval


async def _asked(read: Callable[..., Any], *series: str) -> Any:
    try:
        return await run_in_threadpool(read, *series)
    except TickhouseError as error:
        raise HTTPException(503, str(error)) from error


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _event(name: str, body: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), body)
