"""Serves the page in a thread of its own: a command of its own, or beside everything else in one process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from status_page.app import Sources, page_app
from status_page.basis import Bases
from status_page.exports import Exports
from status_page.history import History
from status_page.lake_lag import LakeLag
from status_page.market import Markets
from status_page.poller import Poller
from status_page.processes import Processes, parse_targets
from status_page.queries import Queries
from status_page.remedies import Running
from status_page.sql_box import SqlBox
from status_page.vitals import Vitals
from tickhouse_core.errors import UsageError
from tickhouse_core.http_server import listening, serving
from tickhouse_core.lake import open_lake
from tickhouse_core.loopback import LOOPBACK_NAMES, is_loopback
from tickhouse_core.metrics import observed
from tickhouse_core.settings import DataSettings, StatusSettings, WarehouseSettings, read
from tickhouse_core.warehouse import Warehouse, connect_reader


@contextmanager
def running_page(settings: StatusSettings, *, or_any_port: bool = False, listener: socket.socket | None = None) -> Iterator[str]:
    """The page's address, as long as the context lasts. Errors: as `listen_for_page`, which made the `listener` if there is one.

    With `or_any_port` it takes a free port where its own is taken. It closes the listener.
    """
    listener = listener or listen_for_page(settings, or_any_port=or_any_port)
    host, port = settings.host, listener.getsockname()[1]
    with ExitStack() as parts:
        parts.callback(listener.close)
        connections = (parts.enter_context(closing(Queries(lambda: _connect(settings)))) for _ in range(7))
        queries, slow, windows, gaps, live, older, daily = connections
        lake = LakeLag(open_lake(brief=True), queries)
        poller = Poller(queries, slow, lake, Processes(parse_targets(settings.targets)), running=_running(settings))
        closed = threading.Event()
        parts.enter_context(observed(poller.process()))
        box = parts.enter_context(closing(SqlBox(lambda: _warehouse(settings))))
        past, vitals = History(older, poller.running), Vitals(daily, poller.depths)
        poller.keep_fresh("health", vitals.renew)
        poller.start()
        parts.callback(poller.close)
        markets = Markets(windows, gaps, live, poller.running)
        sources = Sources(poller, markets, Bases(older), past, vitals, Exports(older, past, vitals), box)
        app = page_app(sources, closed.is_set, settings)
        parts.enter_context(serving(app, listener, "status-page"))
        parts.callback(closed.set)
        yield f"http://{'localhost' if host in LOOPBACK_NAMES else host}:{port}"


@contextmanager
def own_look(settings: StatusSettings) -> Iterator[Poller]:
    """A poller without a page, for a command that polls now and then."""
    with ExitStack() as parts:
        queries = parts.enter_context(closing(Queries(lambda: _connect(settings))))
        lake = LakeLag(open_lake(brief=True), queries)
        yield parts.enter_context(closing(Poller(queries, queries, lake, Processes(parse_targets(settings.targets)))))


def _check_the_reach(settings: StatusSettings) -> None:
    if not (is_loopback(settings.host) or settings.token or settings.without_token):
        raise UsageError(
            f"STATUS_HOST={settings.host}: others reach the page there, so set STATUS_TOKEN (openssl rand -hex 16 makes one). "
            "STATUS_WITHOUT_TOKEN may be true only where the port itself is published for this machine alone"
        )


def listen_for_page(settings: StatusSettings, *, or_any_port: bool = False) -> socket.socket:
    """The page's port, held from now on: what is taken is found before anything else is begun.

    Raises UsageError if the port is taken, or if others than this machine reach the page and it has no token.
    """
    _check_the_reach(settings)
    for port in (settings.port, 0) if or_any_port else (settings.port,):
        try:
            return listening(settings.host, port)
        except OSError as error:
            reason = error.strerror
    where = f"STATUS_HOST={settings.host}, STATUS_PORT={settings.port}"
    raise UsageError(f"{where}: cannot listen there ({reason}); choose another with --port or STATUS_PORT")


def _running(settings: StatusSettings) -> Running:
    recorders = tuple(name for name in parse_targets(settings.targets) if name.partition("-")[0] == "stream")
    return Running(read(DataSettings).full_path, settings.compose, recorders=recorders)


def _connect(settings: StatusSettings) -> Warehouse:
    return connect_reader(_warehouse(settings))


def _warehouse(settings: StatusSettings) -> WarehouseSettings:
    """With the page's own account, where it has one."""
    account = {"username": settings.username, "password": settings.password} if settings.username else {}
    return read(WarehouseSettings).model_copy(update=account)
