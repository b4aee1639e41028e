"""Who of several scheduled compactors is at work: `compactions/lease.json` in the lake, which ends by itself."""

import socket
from collections.abc import Callable
from uuid import uuid4

import orjson

from tickhouse_core.errors import ObjectChanged
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import MINUTE_US, now_us

LEASE_KEY = "compactions/lease.json"
LEASE_US = 30 * MINUTE_US
"""From the last `take` on: the compactor behind it may have been killed."""


class Lease:
    """It saves double work and no more: two compactors at once are harmless, so clocks may differ. Errors: the store's."""

    def __init__(self, store: ObjectStore, clock: Callable[[], int] = now_us) -> None:
        self._store = store
        self._clock = clock
        self._name = f"{socket.gethostname()} {uuid4().hex}"
        self.holder = ""
        """Who had it when it could not be taken."""

    def take(self) -> bool:
        """Takes or renews it; False while another has it."""
        return self._write(self._clock() + LEASE_US)

    def give_back(self) -> None:
        self._write(0)

    def _write(self, until_us: int) -> bool:
        body = orjson.dumps({"holder": self._name, "until_us": until_us})
        try:
            self._store.write(LEASE_KEY, body, must_be_new=True)
            return True
        except ObjectChanged:
            found = self._store.read(LEASE_KEY)
        now_us = self._clock()
        self.holder, until_us = _said(found.body)
        if self.holder != self._name and now_us < until_us <= now_us + LEASE_US:  # later: by a clock that was wrong
            return False
        try:
            self._store.write(LEASE_KEY, body, replaces=found.etag)
        except ObjectChanged:  # another one was faster
            return False
        return True


def _said(body: bytes) -> tuple[str, int]:
    """Holder and end; of a lease that cannot be read: nobody's."""
    try:
        said = orjson.loads(body)
        return str(said["holder"]), int(said["until_us"])
    except (ValueError, TypeError, LookupError):
        return "", 0
