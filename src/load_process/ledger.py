"""The load ledger: which version of which object is done, what is about to be inserted together, and every failed try."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field

from load_process.objects import ObjectVersion
from tickhouse_core.compaction import Source
from tickhouse_core.warehouse import Warehouse

LOADED = "loaded"
QUARANTINED = "quarantined"
SUPERSEDED = "superseded"
"""Was loaded; bronze keeps its rows, and silver has what a newer version of the object says."""

REPLACED = "replaced"
"""Was loaded, and bronze holds another version of the object in its place."""

COVERED = "covered"
"""A compacted object whose rows bronze has by its sources: there is nothing to insert."""

CLAIMED = "claimed"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A row of ops_loaded_objects; `load_time` is the warehouse's."""

    bucket: str
    key: str
    etag: str
    dataset: str
    rows: int
    checksum: int
    status: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """The newest entry of one version; `load_time` in microseconds by the warehouse's clock."""

    status: str
    load_time: int


@dataclass(frozen=True, slots=True)
class LoadError:
    """A row of ops_load_errors; `time` is the warehouse's."""

    bucket: str
    key: str
    etag: str
    dataset: str
    reason: str
    detail: str
    fate: str
    attempts: int


@dataclass(frozen=True, slots=True)
class BatchManifest:
    """The members of a batch in their order; the same manifest is the same token is the same insert."""

    batch: str
    members: tuple[ObjectVersion, ...]
    age_seconds: float = field(default=0.0, compare=False)
    """Seconds since the claim, by the warehouse's clock."""

    @property
    def token(self) -> str:
        """The insert's deduplication token: of the batch and of its members, in their order."""
        text = "\0".join(part for version in self.members for part in version)
        return f"{self.batch}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class Ledger:
    """Reads and writes ops_loaded_objects and ops_load_errors; errors are the warehouse's."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def now_us(self) -> int:
        """The warehouse's time, the clock of `load_time`."""
        return self._warehouse.now_us()

    def done(self, versions: Collection[ObjectVersion]) -> set[ObjectVersion]:
        """Versions that need no more work: loaded, or quarantined. A superseded version that is current again needs some."""
        statuses = self.statuses([version.key for version in versions])
        return {version for version in versions if statuses.get(version, SUPERSEDED) != SUPERSEDED}

    def superseded(self, versions: Collection[ObjectVersion]) -> set[ObjectVersion]:
        """Versions whose rows bronze keeps while a newer version is in silver."""
        statuses = self.statuses([version.key for version in versions])
        return {version for version in versions if statuses.get(version) == SUPERSEDED}

    def statuses(self, keys: Collection[str]) -> dict[ObjectVersion, str]:
        """By version, of every version of these keys."""
        return {version: found.status for versions in self.of_keys(keys).values() for version, found in versions.items()}

    def of_keys(self, keys: Collection[str]) -> dict[str, dict[ObjectVersion, LedgerStatus]]:
        """By key, every version that the ledger has of it."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, status, toUnixTimestamp64Micro(load_time) from ops_loaded_objects final "
            "where key in %(keys)s",
            keys,
        )
        found: dict[str, dict[ObjectVersion, LedgerStatus]] = {}
        for bucket, key, etag, status, load_time in rows:
            found.setdefault(key, {})[ObjectVersion(bucket, key, etag)] = LedgerStatus(status, int(load_time))
        return found

    def older_than(self, version: ObjectVersion) -> set[ObjectVersion]:
        """The versions of the same object that are not loaded any more."""
        statuses = self.statuses([version.key])
        gone = {other for other, status in statuses.items() if status not in (LOADED, QUARANTINED)}
        return {other for other in gone if other.bucket == version.bucket and other != version}

    def in_folder(self, bucket: str, dataset: str, folder: str) -> dict[ObjectVersion, str]:
        """The status of every version that was directly in the folder."""
        rows = self._warehouse.query(
            "select bucket, key, etag, status from ops_loaded_objects final "
            "where bucket = {bucket:String} and dataset = {dataset:String} and startsWith(key, {folder:String}) "
            "and position(substring(key, length({folder:String}) + 1), '/') = 0",
            {"bucket": bucket, "dataset": dataset, "folder": folder},
        )
        return {ObjectVersion(*row[:3]): str(row[3]) for row in rows}

    def compacted_of_day(self, bucket: str, dataset: str, venue_folder: str, date: str) -> list[ObjectVersion]:
        """Compacted objects of all symbols whose own rows are loaded."""
        rows = self._warehouse.query(
            "select bucket, key, etag from ops_loaded_objects final "
            "where bucket = {bucket:String} and dataset = {dataset:String} "
            "and startsWith(key, {folder:String}) and position(key, {name:String}) > 0 and status = 'loaded'",
            {"bucket": bucket, "dataset": dataset, "folder": venue_folder, "name": f"/date={date}/compacted-"},
        )
        return [ObjectVersion(*row) for row in rows]

    def folders(self, bucket: str, dataset: str) -> list[str]:
        """Every folder of which something is loaded."""
        rows = self._warehouse.query(
            "select distinct substring(key, 1, length(key) - position(reverse(key), '/') + 1) as folder "
            "from ops_loaded_objects final "
            "where bucket = {bucket:String} and dataset = {dataset:String} and status = 'loaded' order by folder",
            {"bucket": bucket, "dataset": dataset},
        )
        return [str(row[0]) for row in rows]

    def dropped(self, keys: Collection[str], since_us: int) -> set[ObjectVersion]:
        """Versions found to have nothing to load since that instant."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag from ops_load_errors "
            "where key in %(keys)s and fate = 'dropped' and time >= fromUnixTimestamp64Micro(%(since_us)s)",
            keys,
            {"since_us": since_us},
        )
        return {ObjectVersion(*row) for row in rows}

    def lacks(self, sources: Collection[Source]) -> bool:
        """Whether it has no word of one of these versions, or only that it was refused. Of any bucket: copies keep etags."""
        rows = self._warehouse.query_by_keys(
            "select key, etag from ops_loaded_objects final where key in %(keys)s and status != 'quarantined'",
            [source.key for source in sources],
        )
        return not {(str(key), str(etag)) for key, etag in rows}.issuperset(sources)

    def is_claimed(self, version: ObjectVersion) -> bool:
        """Whether some insert of it was begun: bronze may have a part of its rows."""
        ((count,),) = self._warehouse.query(
            "select count() from ops_load_claims final where bucket = {bucket:String} and key = {key:String} "
            "and etag = {etag:String} and state = 'claimed'",
            version._asdict(),
        )
        return bool(count)

    def supersede(self, versions: Collection[ObjectVersion]) -> None:
        """A newer version of the same object is in silver in place of these, which are loaded."""
        entries = self._entries_as(SUPERSEDED, "status = 'loaded'", [version.key for version in versions])
        self.record([entry for entry in entries if ObjectVersion(entry.bucket, entry.key, entry.etag) in versions])

    def mark_replaced(self, keys: Collection[str], before_us: int) -> None:
        """Bronze no longer has what was loaded of these keys before that instant: a later version took its place."""
        was_loaded = "(status = 'superseded' or status = 'loaded' and load_time < fromUnixTimestamp64Micro(%(before_us)s))"
        self.record(self._entries_as(REPLACED, was_loaded, keys, {"before_us": before_us}))

    def record(self, entries: Sequence[LedgerEntry]) -> None:
        """Writes all entries or none."""
        if entries:
            self._warehouse.insert_rows("ops_loaded_objects", [asdict(entry) for entry in entries])

    def record_error(self, error: LoadError) -> None:
        self._warehouse.insert_rows("ops_load_errors", [asdict(error)])

    def _entries_as(
        self, status: str, condition: str, keys: Collection[str], parameters: dict[str, int] | None = None
    ) -> list[LedgerEntry]:
        """The entries of these keys that fulfil the condition, with another status."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, dataset, rows, checksum, attempts from ops_loaded_objects final "  # noqa: S608  # our own words
            f"where key in %(keys)s and {condition}",
            keys,
            parameters,
        )
        return [
            LedgerEntry(bucket, key, etag, dataset, count, checksum, status, attempts)
            for bucket, key, etag, dataset, count, checksum, attempts in rows
        ]


class Claims:
    """Reads and writes ops_load_claims: each batch's manifest, before anything is inserted. Errors are the warehouse's.

    Two loaders may want the same object at once. Each writes its claim and then looks for others: a loader that sees another
    claim gives the object up, so that at most one of them inserts it. If both give it up, both try again later.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def claim(self, manifest: BatchManifest) -> None:
        self._write(manifest.batch, list(enumerate(manifest.members)), CLAIMED)

    def release(self, batch: str, versions: Collection[ObjectVersion]) -> None:
        """Releases members that are not inserted with this batch."""
        if versions:
            self._write(batch, [(0, version) for version in versions], RELEASED)

    def manifests_with(self, versions: Collection[ObjectVersion], *, other_than: str = "") -> list[BatchManifest]:
        """Every manifest that claims one of them, complete."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, batch, (toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(time)) / 1e6 "
            "from ops_load_claims final "
            "where key in %(keys)s and state = 'claimed' and batch != %(other_than)s",
            [version.key for version in versions],
            {"other_than": other_than},
        )
        ages = {row[3]: float(row[4]) for row in rows if ObjectVersion(*row[:3]) in versions}
        return [BatchManifest(batch, self._members(batch), age) for batch, age in sorted(ages.items())]

    def ages(self, keys: Collection[str]) -> dict[ObjectVersion, float]:
        """Every version of these keys that a batch claims, and how many seconds ago the last one did."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, min((toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(time)) / 1e6) "
            "from ops_load_claims final where key in %(keys)s and state = 'claimed' group by bucket, key, etag",
            keys,
        )
        return {ObjectVersion(*row[:3]): float(row[3]) for row in rows}

    def release_everywhere(self, versions: Collection[ObjectVersion]) -> None:
        """Releases every claim on these versions."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, batch from ops_load_claims final where key in %(keys)s and state = 'claimed'",
            [version.key for version in versions],
        )
        for bucket, key, etag, batch in rows:
            if ObjectVersion(bucket, key, etag) in versions:
                self.release(batch, [ObjectVersion(bucket, key, etag)])

    def time_of(self, batch: str) -> int:
        """When the batch was claimed, in microseconds, by the warehouse's clock, as `load_time` is."""
        ((time_us,),) = self._warehouse.query(
            "select toUnixTimestamp64Micro(min(time)) from ops_load_claims final "
            "where batch = {batch:String} and state = 'claimed'",
            {"batch": batch},
        )
        return int(time_us)

    def _members(self, batch: str) -> tuple[ObjectVersion, ...]:
        rows = self._warehouse.query(
            "select bucket, key, etag from ops_load_claims final "
            "where batch = {batch:String} and state = 'claimed' order by position",
            {"batch": batch},
        )
        return tuple(ObjectVersion(*row) for row in rows)

    def _write(self, batch: str, places: Sequence[tuple[int, ObjectVersion]], state: str) -> None:
        self._warehouse.insert_rows(
            "ops_load_claims",
            [version._asdict() | {"batch": batch, "position": place, "state": state} for place, version in places],
        )
