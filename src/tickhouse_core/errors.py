"""Every error tickhouse raises on purpose. Foreign errors are mapped at the border where the library is touched.

TickhouseError                  exit 1: the work failed, the message says what, where and what to do
├── UsageError                  exit 2: a wrong argument or setting; nothing was done
│   ├── UnknownSymbols          the exchange does not know some of the symbols
│   ├── FolderHeld              another process holds the embedded engine's folder
│   └── AccessRefused           S3 or SQS refused the credentials, or them for this thing; a long process waits and tries again
├── Interrupted                 exit 1: a signal ended unfinished work cleanly; run again to go on
├── LakeUnavailable             transient: S3 or SQS could not be reached or answered 5xx
│   ├── LakeSilent              S3 took the request and did not answer, or not to the end, in the time that is allowed
│   └── LakeInconsistent        two answers of S3 contradict each other about one object
├── LakeRefused                 permanent: S3 or SQS understood the request and refused it (an unknown 4xx)
├── NotProvisioned              there is no such bucket, queue or topic
├── ObjectMissing               the object is not in the bucket
├── ObjectChanged               somebody else wrote the object since it was read
├── ObjectTooLarge              the object has more bytes than the reader is allowed to take
├── ObjectRefused               permanent: this object can never be loaded
├── SpoolFull                   the disk of the spool has no room: nothing of this step was kept
├── WarehouseUnavailable        transient: ClickHouse could not be reached, is overloaded or read-only
│   ├── WarehouseReadOnly       the statement writes, and this connection or server takes no writes now
│   └── NotTheWriter            another replica is written to, or this one has yet to fetch rows
├── WarehouseRefused            permanent: ClickHouse understood the statement and refused it
├── CatalogUnavailable          the Iceberg catalogue or its metadata could not be read or written
├── PubSubUnavailable           transient: Pub/Sub could not be reached or is overloaded
├── PubSubRefused               permanent: Pub/Sub understood and refused, for want of rights for example
└── VenueError                  the exchange could not give what was asked
    ├── VenueUnavailable        transient: no answer or HTTP 5xx
    │   ├── UnusableAnswer      an answer came, cut, malformed or to another question: it may concern one symbol only
    │   └── SubscriptionRefused  the venue takes no part of a subscription: one symbol of it may be unknown
    ├── VenueRefused            permanent: the request itself is wrong (HTTP 4xx with the venue's code)
    └── VenueBanned             the venue shut this address out until `until_us`
"""

from collections.abc import Mapping

from tickhouse_core.redaction import redacted


class TickhouseError(Exception):
    """Base of all errors that end in one clear line instead of a traceback. No secret is in that line."""

    def __str__(self) -> str:
        return redacted(super().__str__())


class UsageError(TickhouseError):
    """A wrong argument, symbol or environment variable."""


class UnknownSymbols(UsageError):
    """The exchange does not know these `symbols`; the message says which and how they are spelled.

    `likely`: for some of them the symbol that was probably meant.
    """

    def __init__(self, message: str, symbols: tuple[str, ...], likely: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.symbols = symbols
        self.likely = dict(likely or {})


class FolderHeld(UsageError):
    """Another process holds the embedded engine's folder; the message says which, and what to do."""


class AccessRefused(UsageError):
    """S3 or SQS answered 401 or 403, for everything or for this one thing: somebody must change keys or rights.

    S3 also answers so for an object that is not there where the bucket may not be listed.
    """


class Interrupted(TickhouseError):
    """A signal ended the work before it was complete; what was done is kept."""


class LakeUnavailable(TickhouseError):
    """S3 or SQS did not answer usefully after the client's own retries."""


class LakeSilent(LakeUnavailable):
    """An object's bytes did not come in time; other objects may be read all the same."""


class LakeInconsistent(LakeUnavailable):
    """S3, or a proxy before it, contradicts itself about one object; other objects may be read all the same."""


class LakeRefused(TickhouseError):
    """S3 or SQS refused the request; the same request will be refused again until somebody changes something."""


class NotProvisioned(TickhouseError):
    """A bucket, queue or topic the pipeline needs does not exist: `tickhouse provision` creates it."""


class ObjectMissing(TickhouseError):
    """No object has this key."""


class ObjectChanged(TickhouseError):
    """A conditional write lost: the stored object is not the one that was read (HTTP 412)."""


class ObjectTooLarge(TickhouseError):
    """The object was not read; `etag` says which version it was."""

    def __init__(self, message: str, etag: str) -> None:
        super().__init__(message)
        self.etag = etag


class ObjectRefused(TickhouseError):
    """An object that no retry can load: not Parquet, wrong schema, broken pages.

    `reason` is a short machine-readable word such as `not_parquet` or `wrong_type`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SpoolFull(TickhouseError):
    """Nothing can be written to SPOOL_DIR until there is room again."""


class WarehouseUnavailable(TickhouseError):
    """ClickHouse is unavailable, overloaded or read-only; the same statement may succeed later."""


class WarehouseReadOnly(WarehouseUnavailable):
    """A statement that writes, where only reading is allowed: by the connection, by the account, or by the server for now."""


class NotTheWriter(WarehouseUnavailable):
    """This server is not the replica that is written to, or lacks rows that the others have: writing here would double rows."""


class WarehouseRefused(TickhouseError):
    """ClickHouse refused the statement; the same statement will be refused again."""


class CatalogUnavailable(TickhouseError):
    """The Iceberg catalogue, or the metadata of one of its tables, could not be read or written."""


class PubSubUnavailable(TickhouseError):
    """Pub/Sub did not answer usefully; the same request may succeed later."""


class PubSubRefused(TickhouseError):
    """Pub/Sub refused the request; the same request will be refused again until somebody changes something."""


class VenueError(TickhouseError):
    """The exchange did not give a usable answer within the retries allowed."""


class VenueUnavailable(VenueError):
    """The venue may answer the same question later; GETs are safe to repeat."""


class UnusableAnswer(VenueUnavailable):
    """The venue answered, and the answer cannot be read or does not answer the question; other questions may be answered."""


class SubscriptionRefused(VenueUnavailable):
    """The venue does not take a subscription: it may not know one of its symbols any more."""


class VenueRefused(VenueError):
    """The exchange says the request is wrong. `code` is the venue's own (Binance: -1121, ...), 0 if it sent none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class VenueBanned(VenueError):
    """This address must not ask before `until_us` (microseconds since the epoch, our clock)."""

    def __init__(self, message: str, until_us: int) -> None:
        super().__init__(message)
        self.until_us = until_us
