"""The simulator's own endpoints, below /simulator/: faults, halts, the tally, sockets, replay, the true book. Not weighted,
not counted.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from simulated_exchange.exchange import Exchange
from simulated_exchange.server.http import Reply, not_found

CONTROL_PREFIX = "/simulator/"


def control(exchange: Exchange, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
    """200 with JSON, 400 with the reason in `msg`, 404 for anything else."""
    try:
        match method, path.removeprefix(CONTROL_PREFIX):
            case "GET", "tally":
                return Reply(200, orjson.dumps(exchange.tally()))
            case "POST", "faults":
                exchange.set_faults(_json_list(body))
            case "DELETE", "faults":
                exchange.set_faults([])
            case "POST", "halts":
                exchange.set_halts(_json_list(body))
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


def _json_list(body: bytes) -> list[Any]:
    items = orjson.loads(body)
    if not isinstance(items, list):
        raise ValueError("expected a JSON list")
    return items
