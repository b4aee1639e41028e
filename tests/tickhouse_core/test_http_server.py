"""The end of an HTTP server whose clients take nothing."""

import socket
import threading
import time

import pytest
from starlette.types import Receive, Scope, Send
from tests.waiting import patience

from tickhouse_core.http_server import listening, serving


def test_a_client_that_takes_nothing_does_not_hold_the_end_up_and_loses_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    begun, left = threading.Event(), threading.Event()

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        await receive()
        left.set()

    listener = listening("127.0.0.1", 0)
    with socket.create_connection(listener.getsockname()) as client:
        with serving(endless, listener, "endless", end_seconds=1):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert begun.wait(patience(10))
            began = time.monotonic()
        assert left.is_set()
    assert 1 <= time.monotonic() - began < patience(4)
    assert not caplog.text
