"""The files of a table as it was loaded: of its current snapshot, and which compactions any of its snapshots still names."""

from functools import cached_property

from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tickhouse.catalog.doubles import deletions_of
from tickhouse_core.iceberg.catalogue import Catalogue, catalog_errors
from tickhouse_core.iceberg.snapshots import files_of, key_of
from tickhouse_core.lake_keys import compacted_name, parse_object_key


class FilesOfTable:
    """Errors: CatalogUnavailable, UsageError for a file of another lake."""

    def __init__(self, catalogue: Catalogue, table: Table | None) -> None:
        """None: a table that is not there yet has no files."""
        self.table = table
        self._locations = catalogue.locations

    @property
    def uuid(self) -> str:
        """Names the table among those of all catalogues; empty for one that is not there yet."""
        return "" if self.table is None else str(self.table.metadata.table_uuid)

    @cached_property
    def current(self) -> dict[str, DataFile]:
        """By key."""
        if self.table is None:
            return {}
        return {key_of(self._locations, file): file for file in files_of(self.table, self.table.current_snapshot())}

    @cached_property
    def plans(self) -> frozenset[str]:
        """Of compactions that wrote an object of any snapshot. Each manifest is read once, though many snapshots share it."""
        if self.table is None:
            return frozenset()
        found: set[str] = set()
        with catalog_errors(f"table {self.table.name()[-1]}"):
            manifests = {
                one.manifest_path: one for snapshot in self.table.snapshots() for one in snapshot.manifests(self.table.io)
            }
            for manifest in manifests.values():
                for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True):
                    if (name := compacted_name(key_of(self._locations, entry.data_file))) is not None:
                        found.add(name.plan)
        return frozenset(found)

    @cached_property
    def _by_day(self) -> dict[tuple[str, str], dict[str, DataFile]]:
        days: dict[tuple[str, str], dict[str, DataFile]] = {}
        for key, file in self.current.items():
            parsed = parse_object_key(key)
            place = {} if parsed is None else parsed.partitions
            days.setdefault((place.get("venue", ""), place.get("date", "")), {})[key] = file
        return days

    def of_day(self, venue: str, date: str) -> dict[str, DataFile]:
        """Current ones, by key."""
        return self._by_day.get((venue, date), {})

    @property
    def doubles(self) -> int:
        """Rows of current objects that do not count: objects of other days have them too."""
        if self.table is None:
            return 0
        with catalog_errors(f"table {self.table.name()[-1]}"):
            return sum(entry.data_file.record_count for entry in deletions_of(self.table))

    def plans_of_day(self, venue: str, date: str) -> set[str]:
        """Of current ones."""
        return {name.plan for key in self.of_day(venue, date) if (name := compacted_name(key)) is not None}
