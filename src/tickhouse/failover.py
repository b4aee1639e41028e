"""`tickhouse failover`: from now on the replica that CLICKHOUSE_HOST names is written to, and no other. Run it for that one."""

import time
from contextlib import closing
from typing import Annotated

import typer

from tickhouse_core.command_line import print_table
from tickhouse_core.errors import Interrupted, NotTheWriter, TickhouseError, UsageError
from tickhouse_core.lifecycle import StopRequest, run_command, stop_on_signals
from tickhouse_core.settings import WarehouseSettings, read
from tickhouse_core.warehouse import connect
from tickhouse_core.writer_fence import Epoch, ToFetch, WriterFence, in_words

PAUSE_SECONDS = 1.0

AFTERWARDS = (
    "Before that replica comes back, remove it here (ClickHouse: system drop replica), or what it has would double rows. "
    "Then run `tickhouse reconcile` and `tickhouse audit --footers`."
)


def move_writers(
    fence: WriterFence, stop: StopRequest, *, wait_seconds: float, accepts_loss: bool
) -> tuple[Epoch, list[ToFetch]]:
    """The epoch in which this replica is written to, and what it lacks for good as far as anybody knows.

    The writers of other replicas stop at once; those of this one begin when it has all rows. Safe to repeat, and to kill: the
    epoch stands, and the next run goes on. Raises TickhouseError if rows are still to be fetched, without `accepts_loss`.
    """
    mine, before = fence.replica(), fence.newest()
    if before is None or before.replica != mine:
        taken = fence.take(before.number + 1 if before else 1)
        if taken.replica != mine:
            raise TickhouseError(f"{taken.replica} took epoch {taken.number} at the same time: run it again if this one is right")
        before = taken
    lacking, deadline = fence.to_fetch(), time.monotonic() + wait_seconds
    while lacking and time.monotonic() < deadline and not stop.wait(PAUSE_SECONDS):
        lacking = fence.to_fetch()
    if stop.is_set():
        raise Interrupted(f"stopped; epoch {before.number} stands, and no replica is written to until {mine} has all rows")
    if not lacking or before.accepts_loss:
        return before, lacking
    if not accepts_loss:
        raise NotTheWriter(
            f"epoch {before.number}: {mine} has yet to fetch rows of {in_words(lacking)}, and nothing is written until it has "
            f"them: start that replica and run this again, or run it on that one to go back, or go on without: --accept-loss"
        )
    return fence.take(before.number + 1, accepts_loss=True), lacking


def main(
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Let writers start without the rows that only a lost replica has, and list what is missing."
        ),
    ] = False,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for rows that this replica has yet to fetch.")] = 60,
) -> None:
    """Let loaders and the transformer write to the replica that CLICKHOUSE_HOST names, and to no other replica."""

    def work() -> None:
        settings = read(WarehouseSettings)
        with stop_on_signals() as stop, closing(connect(settings)) as warehouse:
            fence = WriterFence(warehouse)
            if fence.is_alone():
                raise UsageError(f"the tables of {settings.database} do not replicate: there is no other replica to move from")
            epoch, lacking = move_writers(fence, stop, wait_seconds=wait, accepts_loss=accept_loss)
        print(f"replica {epoch.replica} is written to (epoch {epoch.number})")
        if lacking:
            rows = [(one.table, one.parts, one.since, one.sources) for one in lacking]
            print_table(("table", "parts", "since", "only on"), rows, title="not here: lost unless the lake has it")
            print(AFTERWARDS)

    run_command(work)
