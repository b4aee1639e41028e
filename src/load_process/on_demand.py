"""Objects that an operator or a sweep names: loaded with patience, and told apart by what became of them."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum

from load_process.ledger import LOADED, QUARANTINED, REPLACED, Ledger, LedgerStatus
from load_process.limits import LoadLimits, LoadMemory
from load_process.notifications import ObjectCreated
from load_process.object_load import PATIENCE_SECONDS, ObjectLoad, object_load
from load_process.objects import Fate, Version, Wanted
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.warehouse import Warehouse

MOST_AT_ONCE = 500
"""Objects whose names go into one question to the ledger."""

_LONGEST_PAUSE_SECONDS = 5.0


class Outcome(Enum):
    """What became of a named object, in the words that the summary prints."""

    LOADED = "loaded"
    ALREADY = "already loaded, skipped"
    QUARANTINED = "quarantined"
    GONE = "nothing to load"
    LATER = "not loaded: busy or away"
    STUCK = "not loaded: refused"

    @property
    def is_done(self) -> bool:
        return self not in (Outcome.LATER, Outcome.STUCK)


class NamedLoad:
    """Errors that travel: WarehouseUnavailable, LakeUnavailable. Safe to repeat.

    What another loader has in hand, or the lake did not give, is asked for again for `wait_seconds`.
    """

    def __init__(self, load: ObjectLoad, ledger: Ledger, stop: StopRequest, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._load = load
        self._ledger = ledger
        self._stop = stop

    def load(self, wanted: Sequence[Wanted], *, again: bool = False) -> dict[Version, Outcome]:
        """One outcome for each. What was quarantined is tried again; what is loaded is skipped, or with `again` loaded
        in place of all that bronze has of its key."""
        began = self._ledger.now_us()
        outcomes: dict[Version, Outcome] = {}
        for start in range(0, len(wanted), MOST_AT_ONCE):
            outcomes |= self._load_some(wanted[start : start + MOST_AT_ONCE], again, began)
        return outcomes

    def _load_some(self, wanted: Sequence[Wanted], again: bool, began: int) -> dict[Version, Outcome]:
        keys = {item.created.key for item in wanted}
        known = self._ledger.of_keys(keys)
        prepared = [_prepared(item, known.get(item.created.key, {}), again) for item in wanted]
        fates = self._fates([item for item in prepared if item is not None])
        told = self._ledger.of_keys(keys)
        dropped = self._ledger.dropped(keys, began)
        outcomes = {}
        for item in wanted:
            match fates.get(item.version):
                case None:
                    outcomes[item.version] = Outcome.ALREADY
                case Fate.DONE:
                    outcomes[item.version] = _outcome(item.version, told.get(item.created.key, {}), dropped, began)
                case fate:
                    outcomes[item.version] = Outcome.STUCK if fate is Fate.STUCK else Outcome.LATER
        replaced = {item.created.key for item in prepared if item is not None and item.again}
        self._ledger.mark_replaced({key for key in replaced if _is_loaded_since(told.get(key, {}), began)}, began)
        return outcomes

    def _fates(self, wanted: list[Wanted]) -> dict[Version, Fate]:
        """A stop leaves the rest for LATER."""
        fates = dict.fromkeys([item.version for item in wanted], Fate.LATER)
        later, pause, until = wanted, 0.0, time.monotonic() + self._wait_seconds
        while later and not self._stop.wait(pause):
            fates |= self._load.load(later)
            later = [item for item in wanted if fates[item.version] is Fate.LATER]
            pause = min(2 * pause or 0.5, _LONGEST_PAUSE_SECONDS)
            if time.monotonic() + pause > until:
                break
        return fates


def _prepared(item: Wanted, words: dict[Version, LedgerStatus], again: bool) -> Wanted | None:
    """None where there is nothing to do. What bronze may hold rows of is replaced, never added to."""
    status = words[item.version].status if item.version in words else ""
    if status in (QUARANTINED, REPLACED) or (again and any(word.status == LOADED for word in words.values())):
        return replace(item, again=True)
    return None if status == LOADED else item


def _outcome(version: Version, words: dict[Version, LedgerStatus], dropped: set[Version], began: int) -> Outcome:
    """By the ledger's word on the version, or else on the one that was found under its key."""
    word = words.get(version)
    if word is None or word.load_time < began:
        word = max(words.values(), key=lambda other: other.load_time, default=None)
    if word is None or version in dropped:
        return Outcome.GONE
    if word.status == QUARANTINED:
        return Outcome.QUARANTINED
    return Outcome.LOADED if word.load_time >= began else Outcome.ALREADY


def _is_loaded_since(words: dict[Version, LedgerStatus], began: int) -> bool:
    return any(word.status == LOADED and word.load_time >= began for word in words.values())


def wanted_of(bucket: str, summaries: Iterable[ObjectSummary]) -> list[Wanted]:
    """As if a notification had said that these were created."""
    return [Wanted(ObjectCreated(bucket, item.key, item.etag, item.size), attempts=1) for item in summaries]


def count_left(outcomes: Counter[Outcome]) -> int:
    """How many another try could still load."""
    return sum(count for outcome, count in outcomes.items() if not outcome.is_done)


@contextmanager
def named_load(
    store: ObjectStore,
    warehouse: Warehouse,
    limits: LoadLimits,
    stop: StopRequest,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    waits: bool = True,
    memory: LoadMemory | None = None,
) -> Iterator[NamedLoad]:
    """With threads of its own for reading; the warehouse connection is used by the caller's thread only.

    With `waits` it stays until what a dead loader had in hand is given up: `patience_seconds` after it was claimed.
    """
    with object_load(store, warehouse, limits, patience_seconds, memory) as load:
        yield NamedLoad(load, Ledger(warehouse), stop, patience_seconds + 2 * _LONGEST_PAUSE_SECONDS if waits else 0.0)
