"""The doctor's look at this machine: Python, settings, disk, ports, the list of markets."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx

from extract_process.markets import active_symbols, collected_markets, markets_file
from extract_process.spool.limits import DISK_RESERVE_BYTES
from extract_process.venues import DEFAULT_VENUE, venue_named
from status_page.poller import SHOWS
from status_page.processes import bearer, bounded_get, samples_of
from tickhouse.doctor.findings import CheckFailed, Finding
from tickhouse.settings_table import all_models
from tickhouse_core.errors import UsageError
from tickhouse_core.logs import errors_only
from tickhouse_core.settings import DataSettings, MetricsSettings, SpoolSettings, StatusSettings, WarehouseSettings, read

OLDEST_PYTHON = (3, 11)
ROOMY_BYTES = 5 * 1024**3


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Iterator[Finding]:
    words = ".".join(map(str, version))
    if version[:2] < OLDEST_PYTHON:
        raise CheckFailed(
            f"Python {words} is too old", "install Python 3.11 or newer, then: make setup PYTHON=/path/to/python3.11"
        )
    yield Finding("python", "ok", f"Python {words}")


def check_settings() -> Iterator[Finding]:
    wrong = []
    for model in all_models():
        try:
            read(model)
        except UsageError as error:
            wrong.append(str(error))
    for words in wrong:
        yield Finding("settings", "bad", words, "correct it in the environment or in .env; docs/settings.md lists every variable")
    if not wrong and read(WarehouseSettings).path is not None and find_spec("chdb") is None:
        raise CheckFailed(
            "the warehouse is in a folder, but chdb is not installed", "make setup, or pip install 'tickhouse[embedded]'"
        )
    if not wrong:
        where = "those of .env too" if Path(".env").exists() else "there is no .env"
        yield Finding("settings", "ok", f"every variable reads; {where}")


def check_disk() -> Iterator[Finding]:
    """Looks at the folder, or at the one in which it will be made."""
    folder = read(SpoolSettings).folder
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(b"x")
    except OSError as error:
        raise CheckFailed(
            f"SPOOL_DIR={folder} cannot be written: {error.strerror}",
            "make the folder writable for this user, or set SPOOL_DIR to one that is",
        ) from error
    free = shutil.disk_usage(nearest).free
    words = f"{free / 1e9:,.1f} GB free at SPOOL_DIR={folder}"
    if free < DISK_RESERVE_BYTES:
        raise CheckFailed(words, "make room on that disk, or set SPOOL_DIR to a larger one: a capture stops recording here")
    if free < ROOMY_BYTES:
        yield Finding("disk", "warning", words, "make room, or set SPOOL_DIR to a larger disk: the spool may need 20 GB")
    else:
        yield Finding("disk", "ok", words)


def check_ports() -> Iterator[Finding]:
    status = read(StatusSettings)
    where, advice = (
        f"{status.host}:{status.port}",
        "set STATUS_PORT to a free port, or end what listens there (ss -ltnp shows it)",
    )
    if not status.port or _is_free(status.host, status.port):
        yield Finding("ports", "ok", f"{where} is free for the status page")
    elif (shown := _folder_of_page(status.port)) is None:
        yield Finding("ports", "bad", f"{where} is taken by another program", advice)
    elif shown != read(DataSettings).full_path:
        other = f"the data folder {shown}" if shown else "S3 and a server"
        yield Finding("ports", "bad", f"{where} is taken by the status page of {other}", advice)
    else:
        yield Finding("ports", "ok", f"the status page runs on {where}")
    metrics = read(MetricsSettings)
    if metrics.port and not _is_free(metrics.host, metrics.port):
        what = f"METRICS_PORT={metrics.port} is taken already"
        yield Finding("ports", "warning", what, "give each process a METRICS_PORT of its own")


def check_markets() -> Iterator[Finding]:
    path = markets_file()
    try:
        with errors_only("extract_process.markets"):
            markets = collected_markets(venue_named(DEFAULT_VENUE))
    except UsageError as error:
        raise CheckFailed(str(error), f"correct {path} or ACTIVE_SYMBOLS, or name markets with --symbol") from error
    if markets.are_usual:
        words = (
            f"{path} does not name {DEFAULT_VENUE}: without --symbol its usual symbols are recorded, {', '.join(markets.wanted)}"
        )
    else:
        source = "ACTIVE_SYMBOLS" if active_symbols(DEFAULT_VENUE) else path
        words = f"{len(markets.wanted)} symbols of {DEFAULT_VENUE} are enabled by {source}"
    yield Finding("markets", "ok", words)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _folder_of_page(port: int) -> str | None:
    """The data folder that the status page on a port shows, empty for S3 and a server; None where no status page answers."""
    try:
        with httpx.Client(timeout=2, trust_env=False) as client:
            address = f"http://127.0.0.1:{port}/metrics"
            _, answer = bounded_get(client, address, 2_000_000, bearer(read(StatusSettings)))
        return next((one.labels["folder"] for one in samples_of(answer.decode()) if one.name == SHOWS), None)
    except (httpx.HTTPError, ValueError):
        return None
