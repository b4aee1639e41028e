"""Structured logs: one line per event on stderr, `key=value` text or JSON, never a secret."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from tickhouse_core.redaction import redacted
from tickhouse_core.settings import LogSettings
from tickhouse_core.timestamps import format_instant

console = Console(stderr=True)
"""Where progress bars draw: logs share it, so that neither tears the other."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_QUIET = ("boto3", "botocore", "httpx", "httpcore", "werkzeug", "asyncio", "uvicorn")
_ABOVE_A_STATUS = ("tickhouse.", "transform_process.migrate")
_SILENT = ("urllib3", "clickhouse_connect")  # they repeat as warnings what reaches us as an error anyway


def configure(settings: LogSettings, out: Console = console) -> None:
    """Sends every logger to stderr in the chosen format, by `out` where that is a terminal.

    Chatty libraries from WARNING or ERROR up. A person at a terminal gets local clock times and no logger names; lines in
    files and pipes have both.
    """
    handler = _ConsoleHandler(out) if out.is_terminal else logging.StreamHandler(sys.stderr)
    text = _TerminalFormatter() if out.is_terminal else _TextFormatter()
    handler.setFormatter(_JsonFormatter() if settings.format == "json" else text)
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def status_shown() -> Iterator[None]:
    """While a status stands on the terminal it shows what is routine: of the parts' lines only warnings and errors remain.

    LOG_LEVEL=DEBUG shows all of them. Where stderr is no terminal nothing changes.
    """
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, _ConsoleHandler)]
    for handler in handlers:
        handler.addFilter(_is_news)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_news)


@contextmanager
def errors_only(name: str) -> Iterator[None]:
    """For a command that shows itself what the logger of that name would warn of."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _is_news(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING or record.name.startswith(_ABOVE_A_STATUS):
        return True
    return logging.getLogger().level <= logging.DEBUG


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _instant(record: logging.LogRecord) -> str:
    return format_instant(int(record.created * 1_000) * 1_000)


def _one_line(text: str) -> str:
    """Untrusted text (a frame, an object key) must neither break the line nor control the terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class _ConsoleHandler(logging.Handler):
    """Writes above a running progress bar."""

    def __init__(self, out: Console) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class _TextFormatter(logging.Formatter):
    def head(self, record: logging.LogRecord) -> str:
        return f"{_instant(record)} {record.levelname} {record.name}:"

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_one_line(redacted(str(value)))}" for name, value in _fields(record).items())
        words = _one_line(redacted(record.getMessage()))
        line = f"{self.head(record)} {words}{fields}"
        return f"{line}\n{redacted(self.formatException(record.exc_info))}" if record.exc_info else line


class _TerminalFormatter(_TextFormatter):
    def head(self, record: logging.LogRecord) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _instant(record), "level": record.levelname, "logger": record.name}
        entry |= {"message": record.getMessage(), **_fields(record)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: _without_secrets(value) for name, value in entry.items()}, ensure_ascii=False)


def _without_secrets(value: Any) -> Any:
    """JSON's own types, their texts redacted; anything else as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {redacted(str(name)): _without_secrets(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(part) for part in value]
    return redacted(str(value))
