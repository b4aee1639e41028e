"""How a process says how it is: metrics for Prometheus, liveness and readiness, and the detail of its heartbeats.

Metrics are read on request from counters that the process keeps anyway: nothing is done per message. One HTTP server per process,
if METRICS_PORT is set.
"""

import logging
import re
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from tickhouse_core.errors import UsageError
from tickhouse_core.settings import MetricsSettings, read

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
FROZEN_SECONDS = 60.0
"""A loop without a beat for this long is stuck: the process is not alive."""

MOST_CLIENTS = 32
"""At once; a Prometheus, a health check and a page are three."""

CLIENT_SECONDS = 10.0
"""For a whole request and its answer, however a client drips."""

DEFAULT_BATCH_SECONDS = 10.0
"""Default age at which a capture's batch becomes objects; assumed for captures that do not report it."""

BUSY_BEAT_SECONDS = 120.0
"""Between two heartbeats of a capture whose other objects say that it records."""

LONGEST_BATCH_SECONDS = 3_600.0
"""A batch never goes on into the next hour."""

_STATM = Path("/proc/self/statm")
BEGAN = "tickhouse_start_timestamp_seconds"

_BATCHES = re.compile(r"batches of ([0-9]{1,6}(?:\.[0-9]{1,6})?) s")


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure. A counter's name ends in `_total`; all names begin with `tickhouse_`, units are in the name."""

    name: str
    value: float
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Watchdog:
    """Notices a loop that no longer comes round."""

    def __init__(self, name: str, frozen_seconds: float = FROZEN_SECONDS) -> None:
        self.name = name
        self._frozen_seconds = frozen_seconds
        self._last = time.monotonic()

    def beat(self) -> None:
        self._last = time.monotonic()

    def not_alive(self) -> list[str]:
        """Empty while it beats."""
        age = time.monotonic() - self._last
        return [f"{self.name} has not come round for {age:.0f} s"] if age > self._frozen_seconds else []


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """One part that runs here. `not_ready` names what keeps it from its work now, `not_alive` what only a restart would mend."""

    name: str
    samples: Callable[[], Iterable[Sample]]
    not_ready: Callable[[], list[str]]
    not_alive: Callable[[], list[str]] = list
    since: float = field(default_factory=time.time)
    """When it began, in seconds since 1970."""


class Observed:
    """The parts of this process that can be asked; thread-safe."""

    def __init__(self) -> None:
        self._parts: list[Component] = []
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(self)

    def parts(self) -> list[Component]:
        with self._lock:
            return list(self._parts)

    def add(self, part: Component) -> None:
        with self._lock:
            self._parts.append(part)

    def remove(self, part: Component) -> None:
        with self._lock:
            self._parts.remove(part)

    def not_ready(self) -> list[str]:
        """What keeps any part from its work; also when there is no part at all yet."""
        parts = self.parts()
        return [f"{part.name}: {words}" for part in parts for words in part.not_ready()] if parts else ["nothing runs here yet"]

    def not_alive(self) -> list[str]:
        return [f"{part.name}: {words}" for part in self.parts() for words in part.not_alive()]

    def samples(self) -> list[Sample]:
        ready = [
            Sample("tickhouse_ready", float(not part.not_ready()), "1: it can do its work", {"process": part.name})
            for part in self.parts()
        ]
        began = [Sample(BEGAN, part.since, "when it began", {"process": part.name}) for part in self.parts()]
        return [*ready, *began, *chain.from_iterable(part.samples() for part in self.parts())]

    def collect(self) -> Iterator[Metric]:
        """As prometheus-client asks."""
        families: dict[str, Metric] = {}
        for sample in self.samples():
            kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
            family = families.setdefault(sample.name, kind(sample.name, sample.help))
            family.add_sample(sample.name, dict(sample.labels), sample.value)
        yield from families.values()

    def page(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self.registry)


OBSERVED = Observed()
"""Of this process."""


@contextmanager
def observed(part: Component) -> Iterator[None]:
    """While the context lasts the part is asked; the first one opens the port, the last one closes it."""
    with _served():
        OBSERVED.add(part)
        try:
            yield
        finally:
            OBSERVED.remove(part)


_open: list[ThreadingHTTPServer] = []
_users = 0
_opening = threading.Lock()


@contextmanager
def _served() -> Iterator[None]:
    global _users
    with _opening:
        settings = read(MetricsSettings)
        if settings.port is not None and not _open:
            _open.append(_listen(settings))
        _users += 1
    try:
        yield
    finally:
        with _opening:
            _users -= 1
            while _open and not _users:
                server = _open.pop()
                server.shutdown()
                server.server_close()


def _listen(settings: MetricsSettings) -> ThreadingHTTPServer:
    try:
        server = BoundedServer((settings.host, settings.port or 0))
    except OSError as error:
        where = f"METRICS_HOST={settings.host}, METRICS_PORT={settings.port}"
        raise UsageError(f"{where}: cannot listen there ({error.strerror}); choose another port for each process") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics served", extra={"address": f"http://{settings.host}:{server.server_address[1]}/metrics"})
    return server


def answer(path: str) -> tuple[int, str, bytes] | None:
    """Status, content type and body of /metrics, /healthz and /readyz; None for any other path."""
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, OBSERVED.page()
    if path == "/healthz":
        return _verdict(OBSERVED.not_alive())
    if path == "/readyz":
        return _verdict(OBSERVED.not_alive() + OBSERVED.not_ready())
    return None


def _verdict(trouble: list[str]) -> tuple[int, str, bytes]:
    words = "\n".join(trouble) or "ok"
    return 503 if trouble else 200, TEXT, f"{words}\n".encode()


class BoundedServer(ThreadingHTTPServer):
    """One thread per client, bounded in number and time: in a container the port may be public."""

    daemon_threads = True
    request_queue_size = MOST_CLIENTS

    def __init__(self, address: tuple[str, int], client_seconds: float = CLIENT_SECONDS) -> None:
        self._client_seconds = client_seconds
        self._clients: dict[socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Answers)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            has_room = len(self._clients) < MOST_CLIENTS
            if has_room:
                self._clients[request] = time.monotonic()
        if has_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second: ends the wait of the threads whose clients had their time."""
        with self._lock:
            late = [client for client, since in self._clients.items() if time.monotonic() - since > self._client_seconds]
        for client in late:
            with suppress(OSError):  # it went away itself
                client.shutdown(SHUT_RDWR)


class _Answers(BaseHTTPRequestHandler):
    """GET only."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError as error:  # a health check that does not wait for its answer
            log.debug("the client disconnected", extra={"why": str(error)})

    def do_GET(self) -> None:
        status, kind, body = answer(self.path.split("?")[0]) or (404, TEXT, b"/metrics, /healthz, /readyz\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        log.debug("asked", extra={"request": format % args})


def heartbeat_detail(words: str, batch_seconds: float, figures: Mapping[str, int | None] | None = None) -> str:
    """`0 books unsynced, …, memory_bytes 210000000, …, batches of 60 s`; a figure of None is left out.

    `sql/clickhouse/status/health_beats.sql` reads the figures by their names.
    """
    known = [f"{name} {value}" for name, value in (figures or {}).items() if value is not None]
    return ", ".join([words, *known, f"batches of {min(batch_seconds, LONGEST_BATCH_SECONDS):.6g} s"])


def resident_bytes() -> int | None:
    """Memory of this process; None where there is no /proc."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * resource.getpagesize()


def batch_seconds_of(detail: str) -> float:
    """Of a heartbeat's `detail`; the default where it does not say it (captures before this was published)."""
    found = _BATCHES.search(detail)
    return min(float(found.group(1)), LONGEST_BATCH_SECONDS) if found else DEFAULT_BATCH_SECONDS
