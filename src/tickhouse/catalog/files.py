"""The files of a table as it was loaded: of its current snapshot, and which compactions any of its snapshots still names."""

from functools import cached_property
from itertools import pairwise

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import PrimitiveType

from tickhouse_core.datasets import Dataset
from tickhouse_core.iceberg.catalogue import Catalogue, catalog_errors
from tickhouse_core.iceberg.snapshots import files_of, key_of
from tickhouse_core.lake_keys import compacted_name, parse_object_key


class FilesOfTable:
    """Errors: CatalogUnavailable, UsageError for a file of another lake."""

    def __init__(self, catalogue: Catalogue, table: Table | None) -> None:
        """None: a table that is not there yet has no files."""
        self.table = table
        self._locations = catalogue.locations

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

    def overlaps(self, dataset: Dataset) -> int:
        """Objects whose ids begin before those of an earlier day end: rows that two instances filed under both are in both."""
        if self.table is None or dataset.channel is None:
            return 0
        column = self.table.schema().find_field(dataset.id_column)
        assert isinstance(column.field_type, PrimitiveType), "ids are numbers or instants"
        days: dict[tuple[str, ...], tuple[int, int]] = {}
        for key, file in self.current.items():
            parsed = parse_object_key(key)
            least = int(from_bytes(column.field_type, file.lower_bounds[column.field_id]))
            most = int(from_bytes(column.field_type, file.upper_bounds[column.field_id]))
            place = () if parsed is None else tuple(parsed.partitions.values())
            before = days.get(place, (least, most))
            days[place] = (min(before[0], least), max(before[1], most))  # parts of a day are disjoint
        ordered = sorted((place[:-1], span) for place, span in days.items())
        return sum(one[0] == other[0] and other[1][0] <= one[1][1] for one, other in pairwise(ordered))

    def plans_of_day(self, venue: str, date: str) -> set[str]:
        """Of current ones."""
        return {name.plan for key in self.of_day(venue, date) if (name := compacted_name(key)) is not None}
