"""The page's addresses: HTML and assets, JSON for scripts, server-sent events, and the page's own health."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from status_page.basis import Bases
from status_page.connections import LONGEST_SECONDS, Places, Watching
from status_page.exports import FORMATS, Exports
from status_page.guard import Guard
from status_page.history import KINDS, UNITS, History
from status_page.market import INTERVALS, Markets, Series
from status_page.poller import Poller
from status_page.sql_box import MOST_STATEMENT_BYTES, SqlBox
from status_page.vitals import Vitals
from tickhouse_core.errors import TickhouseError, UsageError, WarehouseReadOnly, WarehouseRefused, WarehouseUnavailable
from tickhouse_core.loopback import is_loopback
from tickhouse_core.metrics import answer
from tickhouse_core.resources import SQL_ROOT, packaged
from tickhouse_core.settings import StatusSettings

if TYPE_CHECKING:
    import pyarrow as pa

ASSETS = packaged("status_page", "assets")
EVERY_SECONDS = 0.5
"""Half of the poller's pause: no reader misses a state."""

_INSTANT = re.compile(r"[0-3]?[0-9]{1,15}")
_BODY_SECONDS = 10.0
_OFFSET = re.compile(r"[0-9]{1,5}")
_LAST_US = 4_000_000_000_000_000
_NAME = re.compile(r"[\w.-]{1,40}")
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


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page answers from."""

    poller: Poller
    markets: Markets
    bases: Bases
    past: History
    vitals: Vitals
    exports: Exports
    box: SqlBox


def page_app(sources: Sources, is_closing: Callable[[], bool], settings: StatusSettings) -> Starlette:
    """`settings` hold the accepted Host names and the token."""
    poller, markets, past, vitals, box = sources.poller, sources.markets, sources.past, sources.vitals, sources.box
    places = Places()
    may_ask = bool(settings.token) or is_loopback(settings.host)

    async def index(_request: Request) -> Response:
        return FileResponse(ASSETS / "index.html", headers={"Cache-Control": "no-cache"})

    async def status(_request: Request) -> Response:
        return _json(await run_in_threadpool(poller.first_state, 10.0))

    async def klines(request: Request) -> Response:
        return _json(orjson.dumps(await _asked(markets.window, *_series(request), _instant(request, "until"))))

    async def calendar(request: Request) -> Response:
        venue, symbol, _ = _series(request)
        unit = _one_of(request, "unit", UNITS)
        return _json(orjson.dumps(await _asked(past.calendar, venue, symbol, unit)))

    async def gaps(request: Request) -> Response:
        since, until = (_instant(request, name) for name in ("since", "until"))
        return _json(orjson.dumps(await _asked(past.gaps, *_series(request), since or 0, until or _LAST_US)))

    async def history(request: Request) -> Response:
        offset = request.query_params.get("offset", "0")
        if not _OFFSET.fullmatch(offset):
            raise HTTPException(400, "offset: a number up to 99999")
        return _json(orjson.dumps(await _asked(past.page, *_chosen_events(request), int(offset))))

    async def basis(request: Request) -> Response:
        return _json(orjson.dumps(await _asked(sources.bases.of, *_series(request)[:2])))

    async def health(_request: Request) -> Response:
        return _json(orjson.dumps(await _asked(vitals.day)))

    async def export(request: Request) -> Response:
        """A file of what the page shows: /api/export/candles.csv and the like."""
        if not may_ask:
            raise HTTPException(403, "files are for this machine, or behind STATUS_TOKEN")
        what, ending = request.path_params["what"], request.path_params["ending"]
        if ending not in FORMATS:
            raise HTTPException(404, f"choose from {', '.join(FORMATS)}")
        write, kind = FORMATS[ending]
        named = {"Content-Disposition": f'attachment; filename="tickhouse-{what}.{ending}"', "Cache-Control": "no-store"}
        try:
            with sources.exports.place():
                table = await _exported(request, what, sources.exports)
                return Response(await run_in_threadpool(write, table), media_type=kind, headers=named)
        except WarehouseUnavailable as error:
            raise HTTPException(503, str(error)) from error

    async def sql_page(_request: Request) -> Response:
        return FileResponse(ASSETS / "sql.html", headers={"Cache-Control": "no-cache"})

    async def sql(request: Request) -> Response:
        """POST a statement as application/sql: no other site's page may send that here without being asked first (CORS)."""
        if not may_ask:
            raise HTTPException(403, "SQL is for this machine, or behind STATUS_TOKEN")
        if request.headers.get("content-type", "").partition(";")[0] != "application/sql":
            raise HTTPException(415, "send the statement as application/sql")
        statement = await _statement(request)
        if request.query_params.get("format") == "csv":
            named = {"Content-Disposition": 'attachment; filename="tickhouse.csv"', "Cache-Control": "no-store"}
            return Response(await _asked(box.csv, statement), media_type="text/csv; charset=utf-8", headers=named)
        return _json(orjson.dumps(await _asked(box.table, statement)))

    async def examples(_request: Request) -> Response:
        return FileResponse(SQL_ROOT / "examples.sql", media_type="text/plain; charset=utf-8")

    async def book(request: Request) -> Response:
        return _json(orjson.dumps(await _asked(markets.live, *_series(request))))

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
        Route("/api/coverage", calendar),
        Route("/api/gaps", gaps),
        Route("/api/history", history),
        Route("/api/health", health),
        Route("/api/basis", basis),
        Route("/api/export/{what}.{ending}", export),
        Route("/api/market", book),
        Route("/sql", sql_page),
        Route("/api/sql", sql, methods=["POST"]),
        Route("/api/examples", examples),
        Route("/api/events", events),
        *(Route(path, own) for path in ("/metrics", "/healthz", "/readyz")),
        Mount("/assets", StaticFiles(directory=ASSETS)),
    ]
    middleware = [
        Middleware(_SafeHeaders),
        Middleware(Guard, host=settings.host, names=settings.hosts.replace(",", " ").split(), token=settings.token),
        Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=1),  # 9 takes ten times as long for a sixth less
    ]
    return Starlette(routes=routes, middleware=middleware)


def _series(request: Request) -> Series:
    asked = request.query_params
    venue, symbol, interval = asked.get("venue", ""), asked.get("symbol", ""), asked.get("interval", "1m")
    _check_names(venue, symbol)
    if interval not in INTERVALS:
        raise HTTPException(400, f"interval: choose from {', '.join(INTERVALS)}")
    return venue, symbol, interval


def _chosen_events(request: Request) -> tuple[str, str, str, int]:
    venue, symbol = (request.query_params.get(name, "") for name in ("venue", "symbol"))
    _check_names(*filter(None, (venue, symbol)))
    return venue, symbol, _one_of(request, "kind", KINDS), _instant(request, "until") or _LAST_US


async def _exported(request: Request, what: str, exports: Exports) -> "pa.Table":
    if what == "candles":
        since, until = (_instant(request, name) for name in ("since", "until"))
        if since is None or until is None:
            raise HTTPException(400, "since, until: microseconds since 1970")
        return await _asked(exports.candles, _series(request), since, until)
    if what == "coverage":
        venue, symbol, _ = _series(request)
        return await _asked(exports.coverage, venue, symbol, _one_of(request, "unit", UNITS))
    if what == "events":
        return await _asked(exports.events, *_chosen_events(request))
    if what == "health":
        return await _asked(exports.health)
    raise HTTPException(404, "choose from candles, coverage, events, health")


def _check_names(*names: str) -> None:
    """Their form; they reach the warehouse as bound parameters. Binance has symbols in letters of any script."""
    if not all(map(_NAME.fullmatch, names)):
        raise HTTPException(400, "venue and symbol: letters, digits, dot, dash and underscore, at most 40")


def _instant(request: Request, name: str) -> int | None:
    """In microseconds; None where it is not given."""
    text = request.query_params.get(name, "")
    if text and not _INSTANT.fullmatch(text):
        raise HTTPException(400, f"{name}: microseconds since 1970, up to the year 2096")
    return int(text) if text else None


def _one_of(request: Request, name: str, choices: Collection[str]) -> str:
    chosen = request.query_params.get(name, next(iter(choices)))
    if chosen not in choices:
        raise HTTPException(400, f"{name}: choose from {', '.join(choices)}")
    return chosen


async def _asked(read: Callable[..., Any], *wanted: object) -> Any:
    try:
        return await run_in_threadpool(read, *wanted)
    except (UsageError, WarehouseReadOnly, WarehouseRefused) as error:
        raise HTTPException(400, str(error)) from error
    except TickhouseError as error:
        raise HTTPException(503, str(error)) from error


async def _statement(request: Request) -> str:
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_STATEMENT_BYTES:
                    raise HTTPException(413, f"a statement has at most {MOST_STATEMENT_BYTES:,} bytes")
    except TimeoutError as error:
        raise HTTPException(408, f"the statement did not arrive within {_BODY_SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the client left") from error
    return body.decode(errors="replace")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _event(name: str, body: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), body)
