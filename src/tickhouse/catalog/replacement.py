"""One commit that adds files to a table and removes others: a reader has the snapshot before it or the one after it.

pyiceberg's overwrite never merges manifests, and its append, which does, removes no files: here both are one.
"""

from collections.abc import Collection, Mapping

from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile, ManifestWriterV2
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, UpdateMetrics
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

from tickhouse.catalog.doubles import Deletions

MANIFEST_BYTES = 8 * 1024**2
MANIFESTS = 32
"""So many small manifests are merged to one, or a table would have one or two more after each run."""


class _ReplacedFiles(_OverwriteFiles):
    """Private names of pyiceberg: its version is pinned to a minor release, and the tests look at what is written."""

    deletions: Deletions | None = None
    """All of the table from now on; None: those that it has stay."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        data = [
            manifest for manifest in manifests if manifest.content == ManifestContent.DATA and _says_something(manifest, self)
        ]
        rest = [manifest for manifest in manifests if manifest.content != ManifestContent.DATA]
        merging: _ManifestMergeManager[_OverwriteFiles] = _ManifestMergeManager(
            target_size_bytes=MANIFEST_BYTES, min_count_to_merge=MANIFESTS, merge_enabled=True, snapshot_producer=self
        )
        return [*merging.merge_manifests(data), *(rest if self.deletions is None else self._deleted(self.deletions))]

    def _deleted(self, deletions: Deletions) -> list[ManifestFile]:
        """One manifest of them all: a file per partition."""
        if not (deletions.added or deletions.kept or deletions.removed):
            return []
        metadata = self._transaction.table_metadata
        with _DeletionsWriter(
            metadata.spec(), self.schema(), self.new_manifest_output(), self.snapshot_id, self._compression
        ) as writer:
            for entry in deletions.kept:
                writer.existing(entry)
            for entry in deletions.removed:
                writer.delete(entry)
            for file in deletions.added:
                writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, data_file=file))
        return [writer.to_manifest_file()]


class _DeletionsWriter(ManifestWriterV2):
    """pyiceberg reads manifests of deletions and writes none."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return super()._meta | {"content": "deletes"}


def _says_something(manifest: ManifestFile, commit: _ReplacedFiles) -> bool:
    """A manifest of files that an earlier commit removed has nothing to say to this one."""
    return manifest.has_added_files() or manifest.has_existing_files() or manifest.added_snapshot_id == commit.snapshot_id


def _counts(deletions: Deletions | None) -> dict[str, str]:
    """What a summary says of deletions; engines take the number of rows from it."""
    metrics = UpdateMetrics()
    for file in deletions.added if deletions is not None else ():
        metrics.add_file(file)
    for entry in deletions.removed if deletions is not None else ():
        metrics.remove_file(entry.data_file)
    return {name: count for name, count in metrics.to_dict().items() if "delete" in name}


def replace_files(
    table: Table,
    added: Collection[DataFile],
    removed: Collection[DataFile],
    deletions: Deletions | None,
    properties: Mapping[str, str],
) -> None:
    """Raises CommitFailedException, and has changed nothing, where the table is not as it was loaded any more."""
    is_overwrite = bool(removed) or (deletions is not None and bool(deletions.added))
    with table.transaction() as transaction:
        is_first = table.current_snapshot() is None
        replaced = _ReplacedFiles(
            operation=Operation.OVERWRITE if is_overwrite and not is_first else Operation.APPEND,
            transaction=transaction,
            io=table.io,
            snapshot_properties={**properties, **_counts(deletions)},
        )
        replaced.deletions = deletions
        with replaced as commit:
            for file in removed:
                commit.delete_data_file(file)
            for file in added:
                commit.append_data_file(file)
