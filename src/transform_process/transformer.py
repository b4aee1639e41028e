"""Brings gold up to what is loaded: windows of load_time, touched grains rebuilt, the watermark last.

Gold is a function of silver, not a history of changes: nothing is accumulated. The transformer is safe to stop, kill and
repeat at any point: an unfinished window is done again, and every row replaces itself.
"""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tickhouse_core.errors import WarehouseUnavailable
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.metrics import observed
from tickhouse_core.timestamps import DAY_US, HOUR_US, SECOND_US, to_datetime
from tickhouse_core.warehouse import Warehouse
from tickhouse_core.writer_fence import WriterFence
from transform_process.blocks import cut_blocks, touched_blocks, what_to_read
from transform_process.book_hours import book_parts
from transform_process.catalog import LOST, TRANSFORMS, Load, Statement, Step, Transform, Window, cut_windows, named_sources
from transform_process.metrics import TransformCounts
from transform_process.sql_files import read_sql, without_idle_parts
from transform_process.touched import SeenInSilver, Touched, bounds

log = logging.getLogger(__name__)

LOST_AT_ONCE = 1_000
"""Names and starts in one deletion: a statement has at most 256 KiB (max_query_size)."""

LOSSES_KEPT_US = 30 * DAY_US
"""How long lost minutes stay after every transform has dealt with them."""

LONGEST_REST = 30.0
"""Seconds, after the large window of a backfill."""


@dataclass(frozen=True, slots=True)
class TransformOptions:
    """`lag_seconds`: younger loads are left for the next pass, since an insert has its load_time before it is visible.

    `rebuild` starts at the first load instead of the watermark, once. `most_rows` of silver in a window; None: the
    transform's own. `is_sharing`: after its work a transform rests until that was its `share` of the time, and at least for
    `every_seconds`.
    """

    lag_seconds: float = 10.0
    every_seconds: float = 10.0
    rebuild: bool = False
    most_rows: int | None = None
    is_sharing: bool = False


class Transformer:
    """One pass after the other over all transforms. Errors of the warehouse travel out of `run_pass`."""

    def __init__(
        self,
        warehouse: Warehouse,
        stop: StopRequest,
        options: TransformOptions,
        transforms: Sequence[Transform] = TRANSFORMS,
    ) -> None:
        self._warehouse, self._stop, self._options, self._transforms = warehouse, stop, options, transforms
        self._fence = WriterFence(warehouse)
        self.counts = TransformCounts()
        self._to_rebuild = {transform.name for transform in transforms} if options.rebuild else set()
        self._oldest_build = 0
        """While everything is built anew: the first build_version that is part of it."""

        self._losses_dropped_us = 0
        """The last time that `_drop_old_losses` looked: it looked for losses before this."""

        self._seen = SeenInSilver(warehouse)
        self._blocks: dict[str, Sequence[Sequence[Any]]] = {}
        """Of the window that is worked on: what `Statement.blocks` found, by file. Steps of one file ask it once."""

        self._rests_until: dict[str, float] = {}
        """By transform, on the monotonic clock."""

    def run(self) -> None:
        """Runs passes until the stop; while the warehouse is unavailable it waits with growing pauses and logs it once."""
        with observed(self.counts.process()):
            self._run_passes()

    def _run_passes(self) -> None:
        while not self._stop.is_set():
            try:
                self.run_pass()
            except WarehouseUnavailable as error:
                self._stop.wait(self.counts.on_away(error))
            else:
                self.counts.on_pass()
                self._stop.wait(self._pause())

    def _pause(self) -> float:
        """Seconds to the next pass; where the processor is shared, until the first transform has rested enough."""
        if not self._options.is_sharing:
            return self._options.every_seconds
        return max(0.0, min(self._rests_until.values()) - time.monotonic())

    def run_pass(self) -> int:
        """Processes the loads since the last pass, window by window; returns the number of gold rows built."""
        is_rebuild = bool(self._to_rebuild)
        if is_rebuild and not self._oldest_build:
            self._oldest_build = self._next_version()
        watermarks = self._watermarks()
        due = (transform for transform in self._transforms if self._rests_until.get(transform.name, 0) <= time.monotonic())
        built = sum(self._run_transform(transform, watermarks) for transform in due)
        if is_rebuild and not self._to_rebuild:
            self._drop_older_builds()
        self._drop_old_losses(watermarks)
        return built

    def _drop_old_losses(self, watermarks: Counter[str]) -> None:
        """Deletes lost minutes that every transform of any process has dealt with long ago; looks for them once an hour."""
        before_us = min(watermarks[transform.name] for transform in TRANSFORMS) - LOSSES_KEPT_US
        if before_us - self._losses_dropped_us < HOUR_US:
            return
        self._losses_dropped_us = before_us
        if self._warehouse.query(read_sql("transform/old_losses.sql"), {"before_us": before_us})[0][0]:
            self._warehouse.command(
                f"delete from {LOST} where load_time < fromUnixTimestamp64Micro({{before_us:Int64}})",  # noqa: S608  # our own name
                {"before_us": before_us},
            )

    def _drop_older_builds(self) -> None:
        """Deletes gold rows that this rebuild did not write again: silver has no rows for them."""
        for target in sorted({step.target for transform in self._transforms for step in transform.steps}):
            self._warehouse.command(
                f"delete from {target} where build_version < {{oldest_build:UInt64}}",  # noqa: S608  # our own name
                {"oldest_build": self._oldest_build},
            )
        self._oldest_build = 0

    def _run_transform(self, transform: Transform, watermarks: Counter[str]) -> int:
        """Processes its loads but for those of the safety lag, and moves its watermark."""
        end_us = self._clock_us() - round(self._options.lag_seconds * SECOND_US)
        start_us = 0 if transform.name in self._to_rebuild else watermarks[transform.name]
        self._rest(transform, 0)
        if end_us <= start_us:
            return 0
        built = 0
        most_rows = self._options.most_rows or transform.most_rows
        for window in cut_windows(self._loads(transform, start_us, end_us), start_us, end_us, most_rows):
            if self._stop.is_set():
                return built
            began = time.monotonic()
            built += self._run_window(transform, window)
            self._rest(transform, time.monotonic() - began)
            watermarks[transform.name] = max(watermarks[transform.name], window.end_us)
        self._to_rebuild.discard(transform.name)
        return built

    def _rest(self, transform: Transform, worked: float) -> None:
        """Until when it has no turn after so many seconds of work, where the processor is shared."""
        if self._options.is_sharing:
            rest = min(worked * (1 / transform.share - 1), LONGEST_REST)
            self._rests_until[transform.name] = time.monotonic() + max(rest, self._options.every_seconds)

    def _watermarks(self) -> Counter[str]:
        """By transform, in microseconds; 0 for one that has done nothing yet."""
        rows = self._warehouse.query(read_sql("transform/watermarks.sql"))
        return Counter({str(transform): int(watermark_us) for transform, watermark_us in rows})

    def _next_version(self) -> int:
        return self._number("next_version.sql")

    def _clock_us(self) -> int:
        """Loads before this instant are all visible, but for those of the safety lag."""
        files = ["clock.sql"] if self._fence.is_alone() else ["clock.sql", "replica_clock.sql"]
        return min(map(self._number, files))

    def _number(self, file: str) -> int:
        return int(self._warehouse.query(read_sql(f"transform/{file}"))[0][0])

    def _loads(self, transform: Transform, start_us: int, end_us: int) -> Iterable[Load]:
        asked = named_sources(transform.sources) | bounds(start_us, end_us) | {"events": list(transform.events)}
        return (Load(*map(int, row)) for row in self._warehouse.query(read_sql("transform/loads.sql"), asked))

    def _run_window(self, transform: Transform, window: Window) -> int:
        """All steps over one window; what was done and the watermark are written last, in one insert."""
        began = time.monotonic()
        self._fence.check()
        version = self._next_version()
        self._blocks.clear()
        touched = self._seen.touched(window, has_lost=self._forget(transform, window))
        at_work: dict[str, bool] = {}
        seconds = []
        for step in transform.steps:
            started = time.monotonic()
            at_work[step.name] = self._run_step(step, window, version, touched, at_work)
            seconds.append(time.monotonic() - started)
        built = self._built(transform.steps, version, at_work)
        rows = [
            {"step": step.name, "built_rows": count, "seconds": took}
            for step, count, took in zip(transform.steps, built, seconds, strict=True)
        ]
        total = sum(built)
        whole = time.monotonic() - began
        head = _run_row(window, version) | {"transform": transform.name}
        done = {"step": "", "built_rows": total, "seconds": whole}
        self._warehouse.insert_rows("ops_transform_runs", [head | row for row in [*rows, done]])
        figures = {"transform": transform.name, "loaded": window.rows, "built": total, "seconds": round(whole, 3)}
        self.counts.on_window(transform.name, window.end_us, total)
        log.info("window done", extra=figures)
        return total

    def _forget(self, transform: Transform, window: Window) -> bool:
        """Gold that may stand on rows that silver lost; the steps build what is still true, before the watermark moves.

        Returns whether there were such rows.
        """
        if not window.lost:
            return False
        sql = read_sql("transform/lost.sql")
        asked = {"datasets": [source.removeprefix("silver_") for source in transform.sources], "limit": LOST_AT_ONCE}
        asked |= bounds(window.start_us, window.end_us)
        for offset in itertools.count(0, LOST_AT_ONCE):
            lost = self._warehouse.query(sql, asked | {"offset": offset})
            for forget in transform.forgets if lost else ():
                starts = sorted({(*names, *start) for *names, minute in lost for start in forget.reach(minute)})
                for first in range(0, len(starts), LOST_AT_ONCE):
                    chosen = starts[first : first + LOST_AT_ONCE]
                    times = [start[-1] for start in chosen]
                    parameters = {**forget.parameters, "starts": chosen, "first": min(times), "last": max(times)}
                    self._warehouse.command(read_sql(f"gold/{forget.file}"), parameters)
            self._forget_names(sorted({(venue, symbol) for venue, symbol, _ in lost}))
            if len(lost) < LOST_AT_ONCE:
                break
        return bool(offset or lost)

    def _forget_names(self, names: list[tuple[str, str]]) -> None:
        """Symbols without a row left in silver."""
        if not names:
            return
        left = {tuple(row) for row in self._warehouse.query(read_sql("transform/names_left.sql"), {"names": names})}
        if gone := [name for name in names if name not in left]:
            self._warehouse.command(read_sql("transform/forget_names.sql"), {"names": gone})

    def _run_step(self, step: Step, window: Window, version: int, touched: Touched, before: Mapping[str, bool]) -> bool:
        """Fills the step's target; returns whether there was anything to fill it from. `before`: the same of earlier steps."""
        parameters: dict[str, Any] = {**step.parameters, **bounds(window.start_us, window.end_us)}
        parameters |= {"build_version": version, "oldest_build": self._oldest_build}
        parameters["grain"] = max(touched.grain, parameters.get("seconds", 0))
        at_work = touched.parts_at_work(parameters.get("interval", ""))
        ran = False
        for statement in step.statements:
            is_early = statement.only_after and not (before[statement.only_after] or touched.has_lost)
            if is_early or (statement.only_from and statement.only_from not in at_work):
                continue
            if statement.needs:
                [[found, *days]] = self._warehouse.query(_read(f"transform/{statement.needs}", at_work), parameters)
                if not found:
                    continue
                parameters |= zip(("days",), days, strict=False)
            sql = _read(f"gold/{statement.file}", at_work)
            if not statement.blocks:
                self._warehouse.command(sql, parameters)
                ran = True
                continue
            if statement.blocks not in self._blocks:
                question = _read(f"transform/{statement.blocks}", at_work)
                self._blocks[statement.blocks] = self._warehouse.query(question, parameters)
            for part in self._parts(statement, self._blocks[statement.blocks], parameters):
                self._warehouse.command(sql, parameters | part)
                ran = True
        return ran

    def _parts(
        self, statement: Statement, rows: Sequence[Sequence[Any]], parameters: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """What one run of the statement after the other gets."""
        if "intervals" not in parameters:
            return book_parts(rows, statement.at_once, is_whole=bool(parameters["whole"]))
        intervals = parameters["intervals"]
        return (what_to_read(some, intervals) for some in cut_blocks(touched_blocks(rows), statement.at_once))

    def _built(self, steps: Sequence[Step], version: int, at_work: Mapping[str, bool]) -> list[int]:
        """How many rows each step left, asked once a table: a small question costs as much as a small insert."""
        counts: dict[tuple[str, str], int] = {}
        for target in dict.fromkeys(step.target for step in steps if at_work[step.name]):
            by_interval = any("interval" in step.parameters for step in steps if step.target == target)
            file = "built_by_interval.sql" if by_interval else "built_rows.sql"
            for row in self._warehouse.query(read_sql(f"transform/{file}"), {"target": target, "build_version": version}):
                counts[target, str(row[0]) if by_interval else ""] = int(row[-1])
        return [counts.get((step.target, str(step.parameters.get("interval", ""))), 0) for step in steps]


def _read(file: str, at_work: set[str]) -> str:
    return without_idle_parts(read_sql(file), at_work)


def _run_row(window: Window, version: int) -> dict[str, Any]:
    return {
        "window_start": to_datetime(window.start_us),
        "window_end": to_datetime(window.end_us),
        "build_version": version,
        "loaded_rows": window.rows,
    }
