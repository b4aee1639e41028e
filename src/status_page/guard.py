"""Which requests the page answers: the Host header is known, and so is the token where one is set.

Unknown Host headers are rejected, because another site's name could resolve to this machine (DNS rebinding) and let its
scripts read the page. The token comes as `Authorization: Bearer …`, or once through a form that leaves a cookie made of it.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tickhouse_core.loopback import LOOPBACK_NAMES, is_address, is_loopback, name_in

_COOKIE = "tickhouse_page"
_COOKIE_SECONDS = 30 * 24 * 3_600
_MOST_FORM_BYTES = 4_096
_FORM_SECONDS = 10.0
_OPEN = "/healthz"
"""Open to orchestrators without a token: it says nothing about the market."""

_FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tickhouse</title>
<body style="font: 1rem system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem">
<h1>tickhouse</h1>
<p role="status">{words}</p>
<form method="post" action="/login">
  <label for="token">STATUS_TOKEN</label>
  <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
  <button>Open</button>
</form>
"""


class Guard:
    """ASGI middleware. Without a token every request with a known Host is answered."""

    def __init__(self, app: ASGIApp, *, host: str, names: Iterable[str], token: str) -> None:
        """`host` is where the page listens; `names` are further accepted Host names.

        Nobody can register an IP address as a name: beyond loopback every one of them is accepted.
        """
        self._app = app
        self._names = {*LOOPBACK_NAMES, host, *(name.lower() for name in names)}
        self._takes_addresses = not is_loopback(host)
        self._token = token.encode()
        self._cookie = hmac.new(self._token, b"cookie of the status page", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = None if scope["path"] == _OPEN else await self._answer_instead(request)
        await (answer or self._app)(scope, receive, send)

    async def _answer_instead(self, request: Request) -> Response | None:
        """The refusal, None if the request may pass."""
        if not self._is_ours(request.headers.get("host", "")):
            return PlainTextResponse("this page is not known by that name; STATUS_HOSTS adds names\n", 400)
        if not self._token:
            return None
        if request.url.path == "/login" and request.method == "POST":
            return await self._login(request)
        if self._is_known(request):
            return None
        if request.url.path == "/":
            return HTMLResponse(_FORM.format(words="This page needs its token."), 401)
        return PlainTextResponse("send the page's token: Authorization: Bearer …\n", 401, {"WWW-Authenticate": "Bearer"})

    def _is_ours(self, header: str) -> bool:
        name = name_in(header)
        return name in self._names or (self._takes_addresses and is_address(name))

    def _is_known(self, request: Request) -> bool:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(value.strip().encode(), self._token):
            return True
        return hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._cookie.encode())

    async def _login(self, request: Request) -> Response:
        try:
            form = parse_qs((await _small_body(request)).decode())
        except (ValueError, TimeoutError, ClientDisconnect):
            return PlainTextResponse("the form could not be read\n", 400)
        if not hmac.compare_digest(form.get("token", [""])[0].encode(), self._token):
            return HTMLResponse(_FORM.format(words="That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(
            _COOKIE, self._cookie, max_age=_COOKIE_SECONDS, httponly=True, samesite="strict", secure=is_secure, path="/"
        )
        return answer


async def _small_body(request: Request) -> bytes:
    body = b""
    async with asyncio.timeout(_FORM_SECONDS):
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_FORM_BYTES:
                raise ValueError("more than a form has")
    return body
