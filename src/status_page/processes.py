"""Metrics and readiness of running processes: parts of this process, and the addresses in STATUS_TARGETS.

`gauges_of` derives the gauges of request weight and spool, from heartbeats where a process has no address.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from status_page.health import NO_ANSWER
from tickhouse_core.errors import UsageError
from tickhouse_core.metrics import BEGAN, OBSERVED, Sample
from tickhouse_core.redaction import redacted
from tickhouse_core.settings import StatusSettings

_SECONDS = 2.0
_MOST_BYTES = 2_000_000
OWN = "status_page"

_PLAIN = {"Accept-Encoding": "identity"}
"""Nothing to unpack: what arrives is what is kept."""


def bearer(settings: StatusSettings) -> dict[str, str]:
    """The header that the status page asks for where it has a token."""
    return {"Authorization": f"Bearer {settings.token}"} if settings.token else {}


def bounded_get(client: httpx.Client, url: str, most_bytes: int, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body. Raises httpx.HTTPError, ValueError for a body above `most_bytes` or an encoded one."""
    with client.stream("GET", url, headers={**_PLAIN, **(headers or {})}) as answer:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("the answer is compressed, against the request")
        body = bytearray()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > most_bytes:
                raise ValueError(f"the answer has more than {most_bytes:,} bytes")
        return answer.status_code, bytes(body)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process at one moment. `trouble` is empty if it is ready; `samples` are its `tickhouse_` metrics."""

    name: str
    address: str
    trouble: tuple[str, ...]
    samples: tuple[Sample, ...] = field(default=(), repr=False)

    @property
    def since(self) -> float | None:
        """When its oldest part began, in seconds since 1970; None where it does not say it."""
        return min((value for _, value in self.value(BEGAN)), default=None)

    def shown(self) -> dict[str, Any]:
        """As the page shows it."""
        return {"name": self.name, "address": self.address, "trouble": list(self.trouble), "since": self.since}

    def value(self, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """The samples of a metric with their labels."""
        return ((sample.labels, sample.value) for sample in self.samples if sample.name == name)


def parse_targets(text: str) -> dict[str, str]:
    """`stream=http://127.0.0.1:9101 loader=…` by name. Raises UsageError that says what is wrong."""
    targets = {}
    for number, part in enumerate(text.replace(",", " ").split(), 1):
        name, sign, address = part.partition("=")
        if not sign or not name or not address.startswith(("http://", "https://")):
            raise UsageError(f"STATUS_TARGETS: entry {number} is not name=http://host:port")
        targets[name] = address.rstrip("/")
    return targets


class Processes:
    """Thread-safe. A process that does not answer gets a state that says so."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = dict(targets)
        self._client = httpx.Client(timeout=_SECONDS, trust_env=False)
        self._threads = ThreadPoolExecutor(max(1, min(8, len(targets))), thread_name_prefix="targets")

    def look(self) -> list[ProcessState]:
        return [*_own(), *self._threads.map(lambda item: self._ask(*item), self._targets.items())]

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    def _ask(self, name: str, address: str) -> ProcessState:
        shown = redacted(address)
        try:
            ready, words = bounded_get(self._client, f"{address}/readyz", _MOST_BYTES)
            status, figures = bounded_get(self._client, f"{address}/metrics", _MOST_BYTES)
            if status != 200:
                raise ValueError(f"/metrics answers {status}")
            samples = tuple(samples_of(figures.decode()))
        except (httpx.HTTPError, ValueError) as error:
            why = redacted(str(error)).splitlines()[0] if str(error) else "no answer"
            return ProcessState(name, shown, (f"{NO_ANSWER}: {why}",))
        trouble = () if ready == 200 else tuple(redacted(words.decode(errors="replace"))[:2_000].splitlines())
        return ProcessState(name, shown, trouble, samples)


def _own() -> Iterator[ProcessState]:
    for part in OBSERVED.parts():
        if part.name != OWN:
            began = Sample(BEGAN, part.since, "")
            yield ProcessState(part.name, "", tuple(part.not_alive() + part.not_ready()), (began, *part.samples()))


def samples_of(text: str) -> Iterator[Sample]:
    """The `tickhouse_` metrics of an answer of /metrics. Raises ValueError where it is none."""
    for family in text_string_to_metric_families(text):
        if family.name.startswith("tickhouse_"):
            for sample in family.samples:
                yield Sample(sample.name, float(sample.value), family.documentation, sample.labels)


def gauges_of(heartbeats: Iterable[Sequence[Any]], processes: Iterable[ProcessState]) -> dict[str, list[dict[str, Any]]]:
    """`weights` and `spools`, each with use and limit; limit 0: unknown."""
    weights: list[dict[str, Any]] = []
    spools: dict[tuple[str, str], dict[str, Any]] = {}
    for venue, process, instance, _, _, _, _, spool_bytes, _, stopped in heartbeats:
        if process == "stream" and not stopped:
            spools[venue, instance] = _spool((venue, instance), int(spool_bytes), 0)
    for process in processes:
        for kind in ("stream", "mirror"):
            limits = {_where(labels): value for labels, value in process.value(f"tickhouse_{kind}_weight_limit")}
            for labels, used in process.value(f"tickhouse_{kind}_used_weight"):
                limit = limits.get(_where(labels), 0)
                weights.append({"process": process.name, "venue": labels.get("venue", ""), "used": used, "limit": limit})
        limits = {_where(labels): value for labels, value in process.value("tickhouse_stream_spool_limit_bytes")}
        for labels, size in process.value("tickhouse_stream_spool_bytes"):
            spools[_where(labels)] = _spool(_where(labels), size, limits.get(_where(labels), 0))
    return {"weights": weights, "spools": list(spools.values())}


def _spool(where: tuple[str, str], size: float, limit: float) -> dict[str, Any]:
    return {"venue": where[0], "instance": where[1], "bytes": size, "limit": limit}


def _where(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("venue", ""), labels.get("instance", "")
