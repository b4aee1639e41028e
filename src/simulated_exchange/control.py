"""The simulator's own endpoints, below /simulator/: faults, halts, the tally, sockets, replay, the true book. Not weighted,
not counted.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from simulated_exchange.market.generated import Halt
from simulated_exchange.server.http_faults import Fault, fault_from_json
from simulated_exchange.server.replies import Reply, not_found
from simulated_exchange.server.socket_faults import SocketFault

CONTROL_PREFIX = "/simulator/"


class Controlled(Protocol):
    """What can be done to a running exchange."""

    def tally(self) -> dict[str, Any]: ...

    def set_faults(self, faults: Sequence[Fault | SocketFault]) -> None: ...

    def set_halts(self, halts: Sequence[Halt]) -> None: ...

    def reset(self) -> None: ...

    def disconnect(self, connections: Sequence[int] | None = None) -> None: ...

    def announce_shutdown(self) -> None: ...

    def start_replay(self) -> None: ...

    def book(self, symbol: str, update_id: int | None = None, limit: int = 1000) -> dict[str, Any]: ...


def control(exchange: Controlled, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
    """200 with JSON, 400 with the reason in `msg`, 404 for anything else."""
    try:
        match method, path.removeprefix(CONTROL_PREFIX):
            case "GET", "tally":
                return Reply(200, orjson.dumps(exchange.tally()))
            case "POST", "faults":
                exchange.set_faults([fault_from_json(item) for item in _json_list(body)])
            case "DELETE", "faults":
                exchange.set_faults([])
            case "POST", "halts":
                exchange.set_halts([halt_from_json(item) for item in _json_list(body)])
            case "POST", "reset":
                exchange.reset()
            case "POST", "disconnect":
                exchange.disconnect([int(number) for number in _json_list(body)] if body else None)
            case "POST", "shutdown":
                exchange.announce_shutdown()
            case "POST", "replay/start":
                exchange.start_replay()
            case "GET", "book":
                update_id, limit = query.get("updateId"), query.get("limit")
                book = exchange.book(query.get("symbol", ""), int(update_id) if update_id else None, int(limit or 1000))
                return Reply(200, orjson.dumps(book))
            case _:
                return not_found(path)
    except ValueError as error:
        return Reply(400, orjson.dumps({"code": 400, "msg": str(error)}))
    return Reply(200, b"{}")


def halt_from_json(item: Any) -> Halt:
    """`{"symbol": "BTCUSDT", "start": …, "end": …}`, times ISO or ms, or a string SYMBOL=FROM/TO."""
    if isinstance(item, str):
        return parse_halt(item)
    try:
        return Halt(str(item["symbol"]), _instant(item["start"]), _instant(item["end"]))
    except (KeyError, TypeError) as error:
        raise ValueError("a halt is an object with symbol, start and end, or a string SYMBOL=FROM/TO") from error


def parse_halt(text: str) -> Halt:
    """`SYMBOL=FROM/TO` with ISO instants (UTC where no offset is given); ValueError if it is not one."""
    symbol, equals, period = text.partition("=")
    start, slash, end = period.partition("/")
    if not (symbol and equals and slash):
        raise ValueError(f"halt {text!r}: expected SYMBOL=FROM/TO")
    return Halt(symbol, parse_instant(start), parse_instant(end))


def parse_instant(text: str) -> int:
    """An ISO instant as milliseconds; ValueError if it is not one."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an ISO date or instant") from error
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


def _instant(value: object) -> int:
    return value if isinstance(value, int) else parse_instant(str(value))


def _json_list(body: bytes) -> list[Any]:
    items = orjson.loads(body)
    if not isinstance(items, list):
        raise ValueError("expected a JSON list")
    return items
