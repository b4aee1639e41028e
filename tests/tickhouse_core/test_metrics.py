"""/metrics, /healthz and /readyz: real HTTP on loopback."""

import logging
import socket
import struct
from contextlib import ExitStack
from threading import Thread

import httpx
import pytest
from conftest import free_port
from prometheus_client.parser import text_string_to_metric_families
from tests.waiting import patience, wait_until

from tickhouse_core.errors import UsageError
from tickhouse_core.metrics import MOST_CLIENTS, OBSERVED, BoundedServer, Component, Sample, Watchdog, answer, observed


def process(name: str = "loader", trouble: list[str] | None = None, frozen: list[str] | None = None) -> Component:
    def samples() -> list[Sample]:
        return [
            Sample("tickhouse_things_total", 3, "things", {"queue": 'a "b"\n'}),
            Sample("tickhouse_room_bytes", 7.5, "room"),
        ]

    return Component(name, samples, lambda: trouble or [], lambda: frozen or [])


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    port = free_port()
    monkeypatch.setenv("METRICS_PORT", str(port))
    return f"http://127.0.0.1:{port}"


def test_figures_are_served_in_the_text_format_while_the_process_runs(url: str) -> None:
    with observed(process()):
        text = httpx.get(f"{url}/metrics").text
        samples = {s.name: s for family in text_string_to_metric_families(text) for s in family.samples}
        assert samples["tickhouse_things_total"].value == 3
        assert samples["tickhouse_things_total"].labels == {"queue": 'a "b"\n'}
        assert samples["tickhouse_room_bytes"].value == 7.5
        assert samples["tickhouse_ready"].labels == {"process": "loader"}
        assert samples["process_resident_memory_bytes"].value > 0
        assert httpx.get(f"{url}/healthz").text == "ok\n"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/metrics")


def test_trouble_makes_it_unready_and_only_a_standstill_makes_it_dead(url: str) -> None:
    with observed(process(trouble=["the warehouse is away"])):
        assert httpx.get(f"{url}/healthz").status_code == 200
        ready = httpx.get(f"{url}/readyz")
        assert (ready.status_code, ready.text) == (503, "loader: the warehouse is away\n")
        assert 'tickhouse_ready{process="loader"} 0.0' in httpx.get(f"{url}/metrics").text
    with observed(process(frozen=["the loop has not come round for 99 s"])):
        assert httpx.get(f"{url}/healthz").status_code == 503
        assert httpx.get(f"{url}/readyz").status_code == 503


def test_parts_of_one_process_share_the_port(url: str) -> None:
    with observed(process("loader")), observed(process("stream", trouble=["no connection"])):
        assert httpx.get(f"{url}/readyz").text == "stream: no connection\n"
        assert httpx.get(f"{url}/metrics").text.count('tickhouse_things_total{queue="a \\"b\\"\\n"} 3.0') == 2
    assert OBSERVED.parts() == []


def test_a_client_that_goes_away_is_no_traceback(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "tickhouse_core.metrics")
    with observed(process()):
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port or 0)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets the connection
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
        wait_until(lambda: "the client disconnected" in caplog.text)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_anything_else_is_not_found(url: str) -> None:
    with observed(process()):
        assert httpx.get(f"{url}/").status_code == 404
        assert httpx.post(f"{url}/metrics").status_code == 501


def test_without_a_port_nothing_listens_and_nothing_is_ready_before_it_began() -> None:
    said = answer("/readyz")
    assert said is not None
    assert said[0] == 503


def test_a_port_in_use_is_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("METRICS_PORT", str(taken.getsockname()[1]))
        with pytest.raises(UsageError, match=r"cannot listen there .* choose another port"), observed(process()):
            pass


def test_a_loop_that_stands_still_is_named() -> None:
    assert Watchdog("the loop").not_alive() == []
    assert Watchdog("the loop", frozen_seconds=-1).not_alive() == ["the loop has not come round for 0 s"]


@pytest.mark.slow
def test_clients_that_say_nothing_have_so_many_places_and_give_them_up() -> None:
    def clients(number: int) -> list[socket.socket]:
        return [stack.enter_context(socket.create_connection(("127.0.0.1", server.server_address[1]))) for _ in range(number)]

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{server.server_address[1]}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    with BoundedServer(("127.0.0.1", 0), client_seconds=patience(0.5)) as server, ExitStack() as stack:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.shutdown)
        silent = clients(MOST_CLIENTS)
        for client in silent:
            client.sendall(b"GET /met")
        (refused,) = clients(1)
        refused.settimeout(patience(10))
        assert refused.recv(1) == b""
        wait_until(answers, "a place")
        assert [client.recv(1) for client in silent] == [b""] * MOST_CLIENTS
