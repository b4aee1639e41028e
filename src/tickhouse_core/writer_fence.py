"""One replica of a warehouse is written to: every writer asks here before it writes, and `tickhouse failover` moves them."""

from dataclasses import dataclass

from tickhouse_core.errors import NotTheWriter, WarehouseUnavailable
from tickhouse_core.warehouse import Warehouse

WRITERS = "ops_writers"

SYNC_SECONDS = 10
"""How long a replica may take to fetch what the log has."""

_STATE = (
    "select replica_name, is_readonly, log_max_index, log_pointer <= log_max_index or inserts_in_queue > 0 "
    "from system.replicas where database = currentDatabase() and table = 'ops_writers'"
)
_NEWEST = "select epoch, replica, accepts_loss from ops_writers order by epoch desc limit 1"
_REPLICATED = (
    "select name from system.tables where database = currentDatabase() and startsWith(engine, 'Replicated') order by name"
)
_TO_FETCH = (
    "select table, count() as parts, min(create_time), arrayStringConcat(arraySort(groupUniqArray(source_replica)), ', ') "
    "from system.replication_queue where database = currentDatabase() and type in ('GET_PART', 'ATTACH_PART') "
    "and source_replica != replica_name group by table order by table"
)


@dataclass(frozen=True, slots=True)
class Epoch:
    """`accepts_loss`: writers of this epoch do not wait for what `replica` has yet to fetch."""

    number: int
    replica: str
    accepts_loss: bool


@dataclass(frozen=True, slots=True)
class ToFetch:
    """Parts of a table that `sources` have and this replica has not; the oldest was inserted at `since`."""

    table: str
    parts: int
    since: str
    sources: str


class WriterFence:
    """Of one connection, which always leads to the same server. Errors are the warehouse's, and NotTheWriter.

    On tables that replicate, a replica may lag: claims, ledger and rows of another are not there yet, and a loader would load
    the same objects again. So `ops_writers` says which replica is written to, since which epoch:

    * An epoch is taken by an insert whose deduplication token is its number. ClickHouse takes a token once: in Keeper where
      tables replicate, so that of two replicas that take one epoch one gets it. Who takes it reads back who has it.
    * A writer first makes its claim visible, and then looks who writes (as claims do among themselves). Who takes an epoch
      first writes it, and then waits for all that is in the log. Both go through the replica's one session of Keeper, which
      orders them: either the writer sees the new epoch and stops, or the new replica sees the claim and repeats that very
      insert under its token. So there is no lease and no clock, and a writer that slept in between does no harm.
    * Keeper is asked how long the log of `ops_writers` is. As long as that has not changed, the epoch that was read stands:
      two small questions a batch. Where nothing replicates it is one question a process: a server of its own, the embedded
      engine, and ClickHouse Cloud, whose servers share parts and see them at once (`select_sequential_consistency = 1`).
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._is_alone: bool | None = None
        self._mine = ""
        self._log_length = -1
        self._epoch: Epoch | None = None
        self._whole_since = 0
        """The epoch in which this replica was seen to have all that the log has."""

    def check(self) -> None:
        """Raises NotTheWriter if another replica is written to, or this one has yet to fetch rows of its epoch's beginning.

        Where nobody has taken an epoch, this replica takes the first, once it has all rows.
        """
        if self.is_alone():
            return
        epoch, mine = self.newest(), self._mine
        if epoch is None:
            self._refuse_lag(mine)
            epoch = self.take(1)
        if epoch.replica != mine:
            raise NotTheWriter(
                f"this server is replica {mine}, and {epoch.replica} is written to (epoch {epoch.number}): set CLICKHOUSE_HOST "
                f"to that one, or run `tickhouse failover` to write to this one"
            )
        if self._whole_since != epoch.number:
            if not epoch.accepts_loss:
                self._refuse_lag(mine)
            self._whole_since = epoch.number

    def is_alone(self) -> bool:
        """Whether there is nothing to guard: the tables do not replicate by a log."""
        if self._is_alone is None:
            self._is_alone = not self._warehouse.query(f"{_REPLICATED} limit 1")
        return self._is_alone

    def replica(self) -> str:
        """The name of this server's replica. Raises NotTheWriter where its tables are read-only."""
        self._state()
        return self._mine

    def newest(self) -> Epoch | None:
        """The epoch in force, None if none was taken; true at some moment after the call began."""
        length, lags = self._state()
        if lags or self._epoch is None:
            self.wait_for_rows(WRITERS)
            length, lags = self._state()
        if lags or length != self._log_length or self._epoch is None:
            rows = self._warehouse.query(_NEWEST)
            self._epoch = Epoch(int(rows[0][0]), str(rows[0][1]), bool(rows[0][2])) if rows else None
            self._log_length = -1 if lags else length
        return self._epoch

    def take(self, number: int, *, accepts_loss: bool = False) -> Epoch:
        """Takes that epoch for this replica unless another has it; returns the one that is in force then."""
        self._warehouse.command(
            f"insert into {WRITERS} (epoch, replica, accepts_loss) "  # noqa: S608  # our own name
            "values ({epoch:UInt64}, {replica:String}, {accepts_loss:UInt8})",
            {"epoch": number, "replica": self.replica(), "accepts_loss": int(accepts_loss)},
            async_insert=0,
            insert_deduplication_token=f"epoch {number}",
        )
        self._epoch = None
        epoch = self.newest()
        if epoch is None or epoch.number < number:
            raise NotTheWriter(f"epoch {number} is taken by a replica whose rows are not here yet: try again")
        return epoch

    def to_fetch(self) -> list[ToFetch]:
        """What the log has and this replica has not, after it had `SYNC_SECONDS` for what it did not know of."""
        if found := self._queued():
            return found
        for (table,) in self._warehouse.query(_REPLICATED):
            try:
                self.wait_for_rows(str(table))
            except NotTheWriter:
                return self._queued() or [ToFetch(str(table), 0, "", "")]
        return []

    def wait_for_rows(self, table: str) -> None:
        """Until this replica has what the log of the table has now. Raises NotTheWriter if that takes too long."""
        if self.is_alone():
            return
        try:
            self._warehouse.command(f"system sync replica {table} lightweight", receive_timeout=SYNC_SECONDS)
        except WarehouseUnavailable as error:
            raise NotTheWriter(f"this replica has yet to fetch rows of {table}: not done within {SYNC_SECONDS} s") from error

    def _state(self) -> tuple[int, bool]:
        """Length of the log of epochs, and whether rows of it are not here; by Keeper, not by what is known here."""
        if not (rows := self._warehouse.query(_STATE)):
            raise NotTheWriter(f"no {WRITERS} that replicates: apply the schema of `tickhouse migrate --print-for-cluster`")
        ((name, is_readonly, length, lags),) = rows
        if is_readonly:
            raise NotTheWriter(f"the tables of replica {name} are read-only: it has lost Keeper")
        self._mine = str(name)
        return int(length), bool(lags)

    def _refuse_lag(self, mine: str) -> None:
        if found := self.to_fetch():
            raise NotTheWriter(f"replica {mine} has yet to fetch rows of {in_words(found)}: wait, or see `tickhouse failover`")

    def _queued(self) -> list[ToFetch]:
        rows = self._warehouse.query(_TO_FETCH)
        return [ToFetch(str(table), int(parts), str(since), str(sources)) for table, parts, since, sources in rows]


def in_words(found: list[ToFetch]) -> str:
    """Tables, and who has the rows."""
    tables = ", ".join(one.table for one in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    sources = ", ".join(sorted({one.sources for one in found if one.sources}))
    return f"{tables} (from {sources})" if sources else tables
