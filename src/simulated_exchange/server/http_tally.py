"""What was asked and how it was answered: the exchange's own books, for tests to compare a client's books with."""

import re
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from simulated_exchange.binance.limits import Cause
from simulated_exchange.market.intervals import MINUTE

KLINES_LOG_SIZE = 20_000

_TIME = re.compile(r"[0-9]{1,18}")


class Tally:
    """Counters since the start or the last reset; the log of klines requests keeps the latest 20,000."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refusals: Counter[tuple[int, Cause]] = Counter()
        self._weight: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._klines: deque[dict[str, Any]] = deque(maxlen=KLINES_LOG_SIZE)

    def on_answer(self, path: str, status: int) -> None:
        """`status` 0 stands for a connection closed without an answer."""
        self._requests[path, status] += 1

    def on_weight(self, weight: int, now: int) -> None:
        self._weight[now - now % MINUTE] += weight

    def on_refusal(self, status: int, cause: Cause) -> None:
        self._refusals[status, cause] += 1

    def on_fault(self, kind: str) -> None:
        self._faults[str(kind)] += 1  # of an enum, which is no key of JSON

    def on_klines(self, sent: Mapping[str, str], status: int) -> None:
        times = {name: int(sent[name]) if _TIME.fullmatch(sent.get(name, "")) else None for name in ("startTime", "endTime")}
        self._klines.append({"symbol": sent.get("symbol"), "interval": sent.get("interval"), **times, "status": status})

    def report(self) -> dict[str, Any]:
        """Plain data, ready for JSON; `weight.per_minute` is keyed by the minute's first millisecond."""
        paths: dict[str, dict[str, int]] = {}
        for (path, status), number in self._requests.items():
            paths.setdefault(path, {})[str(status)] = number
        return {
            "requests": paths,
            "requests_total": self._requests.total(),
            "klines_requests": sum(n for (path, _), n in self._requests.items() if path == "/api/v3/klines"),
            "klines_log": list(self._klines),
            "weight": {
                "total": self._weight.total(),
                "per_minute": {str(minute): weight for minute, weight in sorted(self._weight.items())},
            },
            "refused": {str(status): {str(cause): self._refusals[status, cause] for cause in Cause} for status in (429, 418)},
            "faults": dict(self._faults),
        }
