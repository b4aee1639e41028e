"""Who may ask the page: by which names, with which token, and what a stranger hears."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from starlette.responses import PlainTextResponse

from status_page.guard import Guard
from status_page.server import running_page
from tickhouse_core.errors import UsageError
from tickhouse_core.loopback import is_loopback
from tickhouse_core.settings import StatusSettings, read

TOKEN = "a-token-of-enough-letters"


async def page(scope: dict[str, object], receive: object, send: object) -> None:
    await PlainTextResponse("the page")(scope, receive, send)  # type: ignore[arg-type]  # ASGI's own types are aliases of these


def asked(
    path: str = "/",
    *,
    method: str = "GET",
    host: str = "127.0.0.1",
    names: str = "",
    token: str = "",
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
) -> httpx.Response:
    """What a page that listens at `host` answers."""

    async def ask() -> httpx.Response:
        guard = Guard(page, host=host, names=names.split(), token=token)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_this_machine_s_own_names_are_answered_everywhere(name: str) -> None:
    for host in ("127.0.0.1", "0.0.0.0", "192.168.1.5"):
        assert asked(host=host, headers={"Host": name}).text == "the page"


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"])
def test_a_stranger_s_name_for_this_address_is_refused_everywhere(name: str) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        for path in ("/", "/api/status", "/metrics", "/login"):
            answer = asked(path, host=host, headers={"Host": name})
            assert (answer.status_code, "STATUS_HOSTS" in answer.text) == (400, True)
    assert asked("/healthz", host="0.0.0.0", headers={"Host": name}).text == "the page"


def test_further_names_are_a_setting_and_addresses_are_nobody_s_name() -> None:
    assert asked(names="status Page.Example", headers={"Host": "page.example:80"}).text == "the page"
    assert asked(host="0.0.0.0", headers={"Host": "192.168.1.5:8080"}).text == "the page"
    assert asked(host="127.0.0.1", headers={"Host": "192.168.1.5:8080"}).status_code == 400


def test_with_a_token_nothing_is_answered_without_it() -> None:
    for path in ("/api/status", "/api/events", "/metrics", "/readyz", "/assets/page.js", "/login"):
        answer = asked(path, token=TOKEN)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert asked("/healthz", token=TOKEN).text == "the page"
    assert '<form method="post" action="/login">' in asked(token=TOKEN).text
    for wrong in (f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer ü"):
        assert asked("/api/status", token=TOKEN, headers={b"Authorization": wrong.encode()}).status_code == 401  # type: ignore[dict-item]
    assert asked("/api/status", token=TOKEN, headers={"Authorization": f"Bearer {TOKEN}"}).text == "the page"


def test_a_browser_gives_the_token_once_and_keeps_a_cookie_that_is_not_the_token() -> None:
    wrong = asked("/login", method="POST", token=TOKEN, content=b"token=guess")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    right = asked("/login", method="POST", token=TOKEN, content=f"token={TOKEN}".encode())
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert TOKEN not in cookie
    kept = {"Cookie": cookie.partition(";")[0]}
    assert asked("/api/status", token=TOKEN, headers=kept).text == "the page"
    assert asked("/api/status", token="another-token-of-letters", headers=kept).status_code == 401


def test_a_form_is_small_and_its_bytes_are_text() -> None:
    assert asked("/login", method="POST", token=TOKEN, content=b"token=" + b"x" * 5_000).status_code == 400
    assert asked("/login", method="POST", token=TOKEN, content=b"token=\xff").status_code == 400
    assert asked("/login", method="POST", token=TOKEN).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "page.example"])
def test_beyond_loopback_the_page_wants_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS_HOST", host)
    with pytest.raises(UsageError, match=r"^STATUS_HOST=.* set STATUS_TOKEN [^*]*$"), running_page(read(StatusSettings)):
        pass


@pytest.mark.parametrize(
    ("host", "is_own"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_what_is_loopback(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own


def test_a_short_token_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS_TOKEN", "short-one")
    with pytest.raises(UsageError, match="STATUS_TOKEN: must have 16 to 200 characters") as caught:
        read(StatusSettings)
    assert "short-one" not in str(caught.value)
