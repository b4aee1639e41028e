"""What a request to the SQL door asks for, and the answers of those that are no statement."""

import asyncio
import zlib
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tickhouse_core.loopback import LOOPBACK_NAMES, name_in
from tickhouse_core.sql_door.reader import Ask
from tickhouse_core.sql_door.wire import NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, READONLY, TRANSPORT, SqlError, refusal

MOST_BODY_BYTES = 1024 * 1024
_BODY_SECONDS = 10.0
_ALIVE = ("/ping", "/replicas_status")
_OK = "Ok.\n"
_GZIP = 31


def answer_instead(request: Request) -> Response | None:
    """Of requests that are no statements, or come from elsewhere: another site's name may resolve to this machine.

    A page of another site may also send a request here by itself; browsers then name its origin.
    """
    names = [request.headers.get("host", "")]
    if origin := request.headers.get("origin"):
        names.append(urlsplit(origin).netloc)
    if not all(name_in(name) in LOOPBACK_NAMES for name in names):
        return PlainTextResponse("this port answers this machine alone, by the names localhost and 127.0.0.1\n", 403)
    path, method = request.url.path, request.method
    if method not in ("GET", "HEAD", "POST"):
        return PlainTextResponse("send GET or POST\n", 405, {"Allow": "GET, HEAD, POST"})
    if path in _ALIVE or (path == "/" and method != "POST" and not request.url.query):
        return PlainTextResponse(_OK)
    if path != "/":
        return PlainTextResponse(f"There is no handle {path}\n\nUse / or /ping for health checks.\n", 404)
    return None


async def ask_of(request: Request, body_seconds: float = _BODY_SECONDS) -> Ask:
    """The statement is the parameter `query`, then the body (ClickHouse: HTTP interface).

    Errors: SqlError, ClientDisconnect, TimeoutError for a body that is not there in time.
    """
    parameters, headers = dict(request.query_params), request.headers
    if parameters.get("readonly", "1") not in ("1", "2"):
        raise refusal(READONLY, "READONLY", "Cannot modify 'readonly' setting in readonly mode.")
    if headers.get("content-type", "").startswith("multipart/"):
        raise refusal(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "External tables are not supported by this connection.")
    async with asyncio.timeout(body_seconds):
        body = (await _body(request)).decode(errors="replace")
    others = {name: value for name, value in parameters.items() if name not in TRANSPORT}
    return Ask(
        "\n".join(part for part in (parameters.get("query", ""), body) if part),
        parameters.get("database") or headers.get("x-clickhouse-database", ""),
        headers.get("x-clickhouse-format") or parameters.get("default_format") or "TabSeparated",
        {name: value for name, value in others.items() if not name.startswith("param_")},
        {name.removeprefix("param_"): value for name, value in others.items() if name.startswith("param_")},
        is_whole=parameters.get("wait_end_of_query") == "1",
        revision=int(revision) if (revision := parameters.get("client_protocol_version", "")).isdecimal() else 0,
    )


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise _too_large()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "gzip":
        return _unzipped(body)
    if encoding != "identity" or request.query_params.get("decompress") == "1":
        raise refusal(
            NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "A compressed body is not supported, but for gzip: this connection reads."
        )
    return body


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(_GZIP)
    try:
        text = unzip.decompress(body, MOST_BODY_BYTES)
    except zlib.error as error:
        raise refusal(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", f"The body is not gzip: {error}") from error
    if unzip.unconsumed_tail:
        raise _too_large()
    return text


def _too_large() -> SqlError:
    return refusal(QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", f"Query is larger than {MOST_BODY_BYTES} bytes")
