"""Objects that are not loaded: what the log, ops_load_errors and the quarantine say about each, and whether it is tried again."""

import logging
import threading
from dataclasses import dataclass

from load_process.ledger import QUARANTINED, Ledger, LedgerEntry, LoadError
from load_process.object_decoder import BrokenObject
from load_process.objects import LoadRequest, LoadStatus
from tickhouse_core.datasets import dataset_of_key
from tickhouse_core.errors import AccessRefused, LakeRefused, LakeUnavailable, ObjectMissing
from tickhouse_core.object_store import ObjectStore, quarantine

log = logging.getLogger(__name__)

_MOST_REMEMBERED = 10_000
_UNAVAILABLE = "lake_unavailable"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Neither read nor known to be broken: the lake refused it, or our own code failed on it."""

    reason: str
    why: str


class UnreadObjects:
    """Objects that could not be read, and the causes logged for them. Threads may share it; it keeps the last 10,000."""

    def __init__(self) -> None:
        self._causes: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def is_news(self, key: str, cause: str) -> bool:
        """Whether this cause was not logged for the object since it was last read."""
        with self._lock:
            causes = self._causes.setdefault(key, set())
            if len(self._causes) > _MOST_REMEMBERED:
                del self._causes[next(iter(self._causes))]
            is_news = cause not in causes
            causes.add(cause)
            return is_news

    def keys(self) -> list[str]:
        """Of the objects that are still unread, the first one first."""
        with self._lock:
            return list(self._causes)

    def discard(self, key: str) -> None:
        """Forgets an object that was read, or never will be."""
        with self._lock:
            self._causes.pop(key, None)


class Refusals:
    """Records objects that were not read; errors that travel are the warehouse's. `unread` may be shared with other readers."""

    def __init__(self, store: ObjectStore, ledger: Ledger, unread: UnreadObjects) -> None:
        self._store = store
        self._ledger = ledger
        self._unread = unread

    def settle(
        self, request: LoadRequest, outcome: BrokenObject | Unreadable | ObjectMissing | LakeUnavailable, *, gives_up: bool
    ) -> LoadStatus:
        """Quarantines a broken object. With `gives_up` nothing is RETRY: it is recorded and REFUSED."""
        if isinstance(outcome, ObjectMissing):
            return self.drop(request, "object_missing", str(outcome))
        if isinstance(outcome, LakeUnavailable):
            return self._put_off(request, "not read", str(outcome), gives_up)
        if isinstance(outcome, Unreadable):
            return self._refuse(request, outcome)
        try:
            self._quarantine(request, outcome)
        except LakeUnavailable as error:
            return self._put_off(request, "not quarantined", str(error), gives_up)
        except (AccessRefused, LakeRefused) as error:
            return self._refuse(request, Unreadable("not_quarantined", f"{outcome.error.reason}: {outcome.error}; {error}"))
        return LoadStatus.DONE

    def drop(self, request: LoadRequest, reason: str, detail: str) -> LoadStatus:
        """Records that the object has nothing to load."""
        self._record_error(request, reason, detail, "dropped")
        log.warning("nothing to load", extra={"key": request.key, "reason": reason})
        return LoadStatus.DONE

    def _put_off(self, request: LoadRequest, what: str, why: str, gives_up: bool) -> LoadStatus:
        if gives_up:
            return self._refuse(request, Unreadable(_UNAVAILABLE, f"{what}: {why}"))
        key = request.key
        level = logging.WARNING if self._unread.is_news(key, what) else logging.DEBUG
        log.log(level, "%s, another try follows", what, extra={"key": key, "why": why})
        return LoadStatus.RETRY

    def _refuse(self, request: LoadRequest, unreadable: Unreadable) -> LoadStatus:
        key, reason, why = request.key, unreadable.reason, unreadable.why
        level = logging.ERROR if self._unread.is_news(key, reason) else logging.DEBUG
        log.log(level, "not read, left for another try", extra={"key": key, "reason": reason, "why": why})
        self._record_error(request, reason, why, "retried")
        return LoadStatus.REFUSED

    def _record_error(self, request: LoadRequest, reason: str, detail: str, fate: str) -> None:
        name = self._dataset_of(request)
        self._ledger.record_error(LoadError(*request.version, name, reason, detail, fate, request.attempts))

    def _quarantine(self, request: LoadRequest, broken: BrokenObject) -> None:
        name = self._dataset_of(request)
        version, reason, detail = broken.version, broken.error.reason, str(broken.error)
        copy = quarantine(self._store, version.key, version.etag, broken.body, reason, detail)
        self._ledger.record_error(LoadError(*version, name, reason, detail, QUARANTINED, request.attempts))
        self._ledger.record([LedgerEntry(*version, name, 0, 0, QUARANTINED, request.attempts)])
        log.error("quarantined", extra={"key": version.key, "copy": copy, "reason": reason, "why": detail})

    def _dataset_of(self, request: LoadRequest) -> str:
        """Empty for an object of another bucket or of no dataset."""
        dataset = dataset_of_key(request.key)
        return dataset.name if dataset is not None and request.bucket == self._store.bucket else ""
