"""What running processes say of themselves: those of this process, and those at the addresses of STATUS_TARGETS."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tickhouse_core.errors import UsageError
from tickhouse_core.metrics import OBSERVED, Reading

_SECONDS = 2.0
_MOST_BYTES = 2_000_000
OWN = "status_page"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process at one moment. `trouble` is empty if it is ready; `readings` are its figures with our prefix."""

    name: str
    address: str
    trouble: tuple[str, ...]
    readings: tuple[Reading, ...] = field(default=(), repr=False)

    def value(self, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """The samples of a figure with their labels."""
        return ((reading.labels, reading.value) for reading in self.readings if reading.name == name)


def parse_targets(text: str) -> dict[str, str]:
    """`stream=http://127.0.0.1:9101 loader=…` by name. Raises UsageError that says what is wrong."""
    targets = {}
    for part in text.replace(",", " ").split():
        name, sign, address = part.partition("=")
        if not sign or not name or not address.startswith(("http://", "https://")):
            raise UsageError(f"STATUS_TARGETS: {part!r} is not name=http://host:port")
        targets[name] = address.rstrip("/")
    return targets


class Processes:
    """Thread-safe. A process that does not answer is a state as well."""

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
        try:
            ready = self._client.get(f"{address}/readyz")
            figures = self._client.get(f"{address}/metrics").raise_for_status()
            readings = tuple(_readings(figures.text[:_MOST_BYTES]))
        except (httpx.HTTPError, ValueError) as error:
            return ProcessState(name, address, (f"does not answer: {str(error).splitlines()[0] if str(error) else 'no answer'}",))
        trouble = () if ready.is_success else tuple(ready.text[:2_000].splitlines())
        return ProcessState(name, address, trouble, readings)


def _own() -> Iterator[ProcessState]:
    for part in OBSERVED.parts():
        if part.name != OWN:
            yield ProcessState(part.name, "", tuple(part.frozen() + part.trouble()), tuple(part.readings()))


def _readings(text: str) -> Iterable[Reading]:
    for family in text_string_to_metric_families(text):
        if family.name.startswith("tickhouse_"):
            for sample in family.samples:
                yield Reading(sample.name, float(sample.value), family.documentation, sample.labels)
