"""Values of command-line options that several commands share: a wrong one is one line that names the option."""

from collections.abc import Collection

from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import parse_instant


def one_of(option: str, value: str, known: Collection[str]) -> str:
    """The value itself. Raises UsageError if it is not among the `known`."""
    if value not in known:
        raise UsageError(f"{option} {value!r}: choose from {', '.join(known)}")
    return value


def instant(option: str, text: str) -> int:
    """Microseconds since 1970-01-01 UTC. Raises UsageError for text that is not in ISO 8601, or a date out of range."""
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no instant: write 2024-01-01 or 2024-01-01T12:30") from None
