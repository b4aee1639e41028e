"""`tickhouse catalog`: registers what was compacted, ends old snapshots, and prints the tables with the ids of their newest."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tickhouse_core.command_line import duration, print_table, with_data_folder
from tickhouse_core.iceberg.catalogue import WITHOUT_TABLE, open_catalogue
from tickhouse_core.iceberg.snapshots import known_until as known_until_of
from tickhouse_core.iceberg.snapshots import newest
from tickhouse_core.lake import open_lake
from tickhouse_core.lifecycle import run_command, stop_on_signals
from tickhouse_core.timestamps import format_instant, now_us

if TYPE_CHECKING:
    from tickhouse.catalog.registration import TableCounts

HEADER = ("table", "snapshot", "files", "rows", "added", "removed", "commits", "waiting", "doubles")


@with_data_folder(reads=True)
def main(
    catalog_uri: Annotated[
        str | None, typer.Option(help="sqlite:///…, postgresql+psycopg2://…, https://… (REST). Default: TICKHOUSE_CATALOG_URI.")
    ] = None,
    expire_after: Annotated[
        str, typer.Option(help="End snapshots, and let the objects go that only they have, this long after newer ones came.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
) -> None:
    """Register compacted objects as Iceberg tables, a snapshot per commit: ClickHouse, DuckDB and Spark read them."""

    def work() -> None:
        kept = duration("--expire-after", expire_after)
        store = open_lake()
        store.check_access()
        catalogue = open_catalogue(store, catalog_uri, is_dry=dry_run)
        from tickhouse.catalog.update import preview, update

        done: list[TableCounts] = []
        with stop_on_signals() as stop:
            try:
                if dry_run:
                    ended = preview(store, catalogue, now_us(), kept, done)
                else:
                    ended = update(store, catalogue, stop, now_us(), kept, done)
            finally:
                print_table(HEADER, [_line(one) for one in done], title="would be registered" if dry_run else "registered")
        print(WITHOUT_TABLE)
        print(f"{'would end' if dry_run else 'ended'}: {ended:,} snapshots that newer ones replaced more than {expire_after} ago")
        if (snapshot := newest(catalogue)) is not None:
            until = ", ".join(f"{venue} {format_instant(instant)}" for venue, instant in known_until_of(snapshot).items())
            print(
                f"the lake as it is registered now: snapshot {snapshot.snapshot_id}; gaps known until: {until or 'none recorded'}"
            )

    run_command(work)


def _line(one: "TableCounts") -> Sequence[object]:
    done = (one.added, one.removed, one.commits, one.waiting, one.doubles)
    return (one.dataset.name, one.snapshot or "", one.files, one.rows, *done)
