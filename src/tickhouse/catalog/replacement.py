"""One commit that adds files to a table and removes others: a reader has the snapshot before it or the one after it.

pyiceberg's overwrite never merges manifests, and its append, which does, removes no files: here both are one.
"""

from collections.abc import Collection, Mapping

from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

MANIFEST_BYTES = 8 * 1024**2
MANIFESTS = 32
"""So many small manifests are merged to one, or a table would have one or two more after each run."""


class _ReplacedFiles(_OverwriteFiles):
    """Private names of pyiceberg: its version is pinned to a minor release, and the tests look at what is written."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        data = [
            manifest for manifest in manifests if manifest.content == ManifestContent.DATA and _says_something(manifest, self)
        ]
        rest = [manifest for manifest in manifests if manifest.content != ManifestContent.DATA]
        merging: _ManifestMergeManager[_OverwriteFiles] = _ManifestMergeManager(
            target_size_bytes=MANIFEST_BYTES, min_count_to_merge=MANIFESTS, merge_enabled=True, snapshot_producer=self
        )
        return [*merging.merge_manifests(data), *rest]


def _says_something(manifest: ManifestFile, commit: _ReplacedFiles) -> bool:
    """A manifest of files that an earlier commit removed has nothing to say to this one."""
    return manifest.has_added_files() or manifest.has_existing_files() or manifest.added_snapshot_id == commit.snapshot_id


def replace_files(
    table: Table, added: Collection[DataFile], removed: Collection[DataFile], properties: Mapping[str, str]
) -> None:
    """Raises CommitFailedException, and has changed nothing, where the table is not as it was loaded any more."""
    with table.transaction() as transaction:
        is_first = table.current_snapshot() is None
        with _ReplacedFiles(
            operation=Operation.OVERWRITE if removed and not is_first else Operation.APPEND,
            transaction=transaction,
            io=table.io,
            snapshot_properties=dict(properties),
        ) as commit:
            for file in removed:
                commit.delete_data_file(file)
            for file in added:
                commit.append_data_file(file)
