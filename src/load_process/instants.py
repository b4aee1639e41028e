"""PURE. Instants as an operator writes them on the command line."""

from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import parse_instant


def parse_instant_option(name: str, text: str) -> int:
    """Microseconds; UsageError, with the option's name, for what is no instant."""
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{name} {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30") from None
