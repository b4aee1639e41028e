"""What is about to be inserted together, written down before it is: the manifest of every batch, in ops_load_claims."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from load_process.objects import Version
from tickhouse_core.warehouse import Warehouse

CLAIMED = "claimed"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The members of a batch in their order; the same manifest is the same token is the same insert."""

    batch: str
    members: tuple[Version, ...]
    age_seconds: float = field(default=0.0, compare=False)
    """Since it was claimed, by the warehouse's clock."""


class Claims:
    """Reads and writes manifests; errors are the warehouse's.

    Two loaders may want the same object at once. Each writes its claim and then looks: whoever sees the other's gives
    the object up, so that at most one of them inserts it; if both do, both come back later.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def claim(self, manifest: Manifest) -> None:
        self._write(manifest.batch, list(enumerate(manifest.members)), CLAIMED)

    def release(self, batch: str, versions: Collection[Version]) -> None:
        """These are not inserted with this batch."""
        if versions:
            self._write(batch, [(0, version) for version in versions], RELEASED)

    def manifests_with(self, versions: Collection[Version], *, other_than: str = "") -> list[Manifest]:
        """Every manifest that claims one of them, complete."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, batch, (toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(time)) / 1e6 "
            "from ops_load_claims final "
            "where key in %(keys)s and state = 'claimed' and batch != %(other_than)s",
            [version.key for version in versions],
            {"other_than": other_than},
        )
        ages = {row[3]: float(row[4]) for row in rows if Version(*row[:3]) in versions}
        return [Manifest(batch, self._members(batch), age) for batch, age in sorted(ages.items())]

    def ages(self, keys: Collection[str]) -> dict[Version, float]:
        """Every version of these keys that a batch claims, and how many seconds ago the last one did."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, min((toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(time)) / 1e6) "
            "from ops_load_claims final where key in %(keys)s and state = 'claimed' group by bucket, key, etag",
            keys,
        )
        return {Version(*row[:3]): float(row[3]) for row in rows}

    def release_everywhere(self, versions: Collection[Version]) -> None:
        """No batch inserts these."""
        rows = self._warehouse.query_by_keys(
            "select bucket, key, etag, batch from ops_load_claims final where key in %(keys)s and state = 'claimed'",
            [version.key for version in versions],
        )
        for bucket, key, etag, batch in rows:
            if Version(bucket, key, etag) in versions:
                self.release(batch, [Version(bucket, key, etag)])

    def time_of(self, batch: str) -> int:
        """When the batch was claimed, in microseconds, by the warehouse's clock, as `load_time` is."""
        ((time_us,),) = self._warehouse.query(
            "select toUnixTimestamp64Micro(min(time)) from ops_load_claims final "
            "where batch = {batch:String} and state = 'claimed'",
            {"batch": batch},
        )
        return int(time_us)

    def _members(self, batch: str) -> tuple[Version, ...]:
        rows = self._warehouse.query(
            "select bucket, key, etag from ops_load_claims final "
            "where batch = {batch:String} and state = 'claimed' order by position",
            {"batch": batch},
        )
        return tuple(Version(*row) for row in rows)

    def _write(self, batch: str, places: Sequence[tuple[int, Version]], state: str) -> None:
        self._warehouse.insert_rows(
            "ops_load_claims",
            [version._asdict() | {"batch": batch, "position": place, "state": state} for place, version in places],
        )
