"""Places of those who watch, over real sockets: how many there are, and when one is given up."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.waiting import patience, wait_until

from status_page.connections import Places, Watching
from tickhouse_core.http_server import PromptConnection

ASK, ONCE = (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in (b"events", b"once"))


class Impatient(PromptConnection):
    request_seconds = 0.5


class Few(PromptConnection):
    request_seconds = 600.0
    most = 5


@contextmanager
def served(
    places: Places,
    content: bytes = b": still here\n\n",
    send_seconds: float = 60.0,
    connections: type[PromptConnection] = PromptConnection,
) -> Iterator[int]:
    """The port of a server whose /events never ends, and /once does."""
    ended = threading.Event()

    async def stream() -> AsyncIterator[bytes]:
        while not ended.is_set():
            yield content
            await asyncio.sleep(0.01)

    async def events(_request: Request) -> Response:
        return Watching(places, stream(), send_seconds, media_type="text/event-stream")

    async def once(_request: Request) -> Response:
        return PlainTextResponse("once")

    listener = socket.create_server(("0.0.0.0", 0), backlog=512)  # every address of loopback
    app = Starlette(routes=[Route("/events", events), Route("/once", once)])
    config = uvicorn.Config(app, http=connections, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        server.should_exit = True
        thread.join(patience(20))
        listener.close()


def dial(port: int, own_address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), patience(10), source_address=(own_address, 0))


def status_of(client: socket.socket) -> int:
    return int(client.recv(64).split()[1])


def test_at_once_as_many_watch_as_there_are_places_and_no_more() -> None:
    places = Places(most=50, most_of_one=20)
    with served(places) as port, ExitStack() as clients:
        lines = [clients.enter_context(dial(port, f"127.0.0.{number % 20 + 2}")) for number in range(200)]
        for line in lines:
            line.sendall(ASK)
        answers = [status_of(line) for line in lines]
        assert (answers.count(200), answers.count(503)) == (50, 150)
        assert places.taken == 50
        for line in lines:
            line.close()
        wait_until(lambda: places.taken == 0)


def test_one_address_has_its_share_only() -> None:
    with served(Places(most=50, most_of_one=3)) as port, ExitStack() as clients:
        lines = [clients.enter_context(dial(port)) for _ in range(6)]
        for line in lines:
            line.sendall(ASK)
        assert sorted(status_of(line) for line in lines) == [200] * 3 + [503] * 3
        other = clients.enter_context(dial(port, "127.0.0.2"))
        other.sendall(ASK)
        assert status_of(other) == 200


def test_whoever_takes_nothing_gives_the_place_up() -> None:
    places = Places()
    with served(places, content=b"x" * 1_000_000, send_seconds=0.2) as port, dial(port) as client:
        client.sendall(ASK)
        assert status_of(client) == 200
        wait_until(lambda: places.taken == 0)


def test_whoever_asks_nothing_or_half_a_request_is_let_go_and_a_stream_is_not() -> None:
    places, half = Places(), b"GET /once HTTP/1.1\r\nHo"
    with served(places, connections=Impatient) as port, ExitStack() as clients:
        silent, slow, watching, asked_once, slow_again = (clients.enter_context(dial(port)) for _ in range(5))
        slow.sendall(half)
        watching.sendall(ASK)
        asked_once.sendall(ONCE)
        slow_again.sendall(ONCE + half)
        assert (status_of(watching), status_of(asked_once), status_of(slow_again)) == (200, 200, 200)
        assert [is_let_go(client) for client in (silent, slow, asked_once, slow_again)] == [True] * 4
        assert places.taken == 1
        assert b"still here" in watching.recv(1_000_000)


def test_there_are_not_more_connections_than_the_server_can_hold() -> None:
    with served(Places(), connections=Few) as port, ExitStack() as clients:
        lines = [clients.enter_context(dial(port)) for _ in range(Few.most + 3)]
        assert [is_let_go(line) for line in lines[Few.most :]] == [True] * 3
        lines[0].sendall(ONCE)
        assert status_of(lines[0]) == 200


def is_let_go(client: socket.socket) -> bool:
    """Reads to the end. False if the server has not ended the connection in time."""
    try:
        while client.recv(4_096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True
