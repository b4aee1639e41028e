"""PURE. From figures to verdicts: how fresh each stage of the pipeline is. Instants are microseconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tickhouse_core.metrics import BUSY_BEAT_SECONDS, DEFAULT_BATCH_SECONDS
from tickhouse_core.reading.reasons import several

SECOND_US = 1_000_000

OK, DEGRADED, DOWN, IDLE = "ok", "degraded", "down", "idle"
"""Fresh; late; broken; nothing runs here, and nothing is configured to."""

NO_ANSWER = "does not answer"
"""How the trouble of a process begins that cannot be reached."""

STILL_SECONDS = 4.0
"""An object has waited this long and nothing was loaded since it arrived: no loader is running. A loader takes 1 to 3 s.

The age of the newest row would need a threshold above the batches' 10 s, and would be late."""

LATE_SECONDS, TOO_LATE_SECONDS = 10.0, 60.0
"""Objects wait this long although others are loaded: the loader is behind."""

QUIET_SECONDS = 30.0
"""The shortest silence that counts as late, however small the batches are."""

BATCH_SLACK_SECONDS = 20.0
"""A heartbeat opens a batch at least every 10 s; the rest is for the upload."""

GOLD_LATE_SECONDS, GOLD_TOO_LATE_SECONDS = 45.0, 120.0
"""The transformer takes loads older than 10 s every 10 s; batches of 10 s load as often."""

FORGOTTEN_SECONDS = 600.0
"""A recorder counts as gone after this silence, or after four times its own `quiet_seconds`."""


class Fault(StrEnum):
    """What is wrong with a stage: it decides which command helps."""

    SILENT = "silent"
    """What should record gives no sign."""
    NOT_LOADED = "not loaded"
    """No loader takes what waits."""
    LOADS_SLOWLY = "loads slowly"
    NOT_IN_GOLD = "not in gold"
    """No transformer takes what is loaded."""
    LAKE_UNAVAILABLE = "lake unavailable"
    WAREHOUSE_UNAVAILABLE = "warehouse unavailable"
    GONE = "gone"
    """A process that should run does not answer; it is named beside."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the pipeline from venue to gold. `age_seconds` is the age of its newest data, None without data."""

    name: str
    verdict: str
    age_seconds: float | None
    words: str
    fault: Fault | None = None
    process: str = ""
    """The one that is gone."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """A live capture: when it was last seen, whether it stopped on purpose, the age of its batches.

    `is_asked`: it was seen through its own metrics, which no batch delays.
    """

    name: str
    seen_us: int
    has_stopped: bool
    batch_seconds: float = DEFAULT_BATCH_SECONDS
    is_asked: bool = False

    @property
    def quiet_seconds(self) -> float:
        """A longer silence counts as late."""
        return QUIET_SECONDS if self.is_asked else quiet_seconds_of(self.batch_seconds)


@dataclass(frozen=True, slots=True)
class LakeState:
    """Creation times of the newest object, and of objects missing from the ledger, oldest first.

    `newest_batches`: of each recorder, by venue and instance, the first receipt of its newest object, and when that was created.
    """

    newest_us: int
    waiting_us: Sequence[int]
    newest_batches: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


def quiet_seconds_of(batch_seconds: float) -> float:
    """How often a capture with batches of this age uploads at least one object."""
    return max(QUIET_SECONDS, batch_seconds + BATCH_SLACK_SECONDS)


def recorder_of(
    venue: str, instance: str, beat_us: int, has_stopped: bool, batch_seconds: float, lake: LakeState | None
) -> Recorder:
    """By its last heartbeat and its newest object, whose rows were received until it was created, within `batch_seconds`.

    Without a lake to look at: heartbeats alone, which are rare while other rows are recorded.
    """
    name = f"{venue} {instance}"
    if lake is None:
        return Recorder(name, beat_us, has_stopped, max(batch_seconds, BUSY_BEAT_SECONDS))
    first_us, created_us = lake.newest_batches.get((venue, instance), (0, 0))
    heard_us = min(first_us + round(batch_seconds * SECOND_US), created_us)
    return Recorder(name, max(beat_us, heard_us), has_stopped, batch_seconds)


def batch_seconds_now(recorders: Iterable[Recorder], now_us: int) -> tuple[float, float]:
    """The shortest and the longest batch age of the active recorders; the default where there are none."""
    ages = [recorder.batch_seconds for recorder in recorders if _is_active(recorder, now_us)] or [DEFAULT_BATCH_SECONDS]
    return min(ages), max(ages)


def recorder_stage(recorders: Sequence[Recorder], now_us: int) -> Stage:
    """Whether the venues are recorded."""
    active = [recorder for recorder in recorders if _is_active(recorder, now_us)]
    if not active:
        return Stage("venue", IDLE, None, "nothing is being recorded")
    latest = max(active, key=lambda recorder: _age(recorder.seen_us, now_us) / recorder.quiet_seconds)
    age = _age(latest.seen_us, now_us)
    if age > latest.quiet_seconds * 2:
        return Stage("venue", DOWN, age, f"nothing from {latest.name} for {age:.0f} s", Fault.SILENT)
    if age > latest.quiet_seconds:
        return Stage("venue", DEGRADED, age, f"the last sign of {latest.name} is {age:.0f} s old", Fault.SILENT)
    return Stage("venue", OK, age, f"{len(active)} recording" if len(active) > 1 else f"{latest.name} is recording")


def is_recording(recorders: Iterable[Recorder], now_us: int) -> bool:
    return any(_is_active(recorder, now_us) for recorder in recorders)


def lake_stage(
    lake: LakeState, recording: bool, now_us: int, batch_seconds: float = DEFAULT_BATCH_SECONDS, recording_since_us: int = 0
) -> Stage:
    """Whether objects arrive as often as the shortest batches end. `recording_since_us`: as far as this process knows."""
    quiet_seconds = quiet_seconds_of(batch_seconds)
    if not lake.newest_us:
        if recording and _age(recording_since_us, now_us) <= quiet_seconds * 2:
            return Stage("lake", IDLE, None, f"no object yet: recording has just begun, a batch takes {batch_seconds:.0f} s")
        silent = Fault.SILENT if recording else None
        return Stage("lake", DOWN if recording else IDLE, None, "no object in this hour or the last", silent)
    age = _age(lake.newest_us, now_us)
    if not recording:
        return Stage("lake", IDLE, age, "nothing is being recorded")
    if age > quiet_seconds * 2:
        return Stage("lake", DOWN, age, f"no new object for {age:.0f} s although something is recorded", Fault.SILENT)
    if age > quiet_seconds:
        return Stage("lake", DEGRADED, age, "objects arrive", Fault.SILENT)
    return Stage("lake", OK, age, "objects arrive")


def warehouse_stage(lake: LakeState, last_load_us: int, newest_event_us: int, now_us: int) -> Stage:
    """Whether the lake's objects are loaded. The age is that of the newest message that can be queried."""
    age = _age(newest_event_us, now_us) if newest_event_us else None
    if not lake.waiting_us:
        return Stage("warehouse", OK if newest_event_us else IDLE, age, "everything in the lake is loaded")
    waits = _age(lake.waiting_us[0], now_us)
    words = f"{several(len(lake.waiting_us), 'object waits', 'objects wait')}, the oldest for {waits:.0f} s"
    if waits > STILL_SECONDS and last_load_us <= lake.waiting_us[0]:
        return Stage("warehouse", DOWN, age, f"{words}, and nothing is being loaded: is a loader running?", Fault.NOT_LOADED)
    if waits > TOO_LATE_SECONDS:
        return Stage("warehouse", DOWN, age, f"{words}: the loader is too slow", Fault.LOADS_SLOWLY)
    if waits > LATE_SECONDS:
        return Stage("warehouse", DEGRADED, age, words, Fault.LOADS_SLOWLY)
    return Stage("warehouse", OK, age, words)


@dataclass(frozen=True, slots=True)
class GoldState:
    """Instants, 0 where there is none: up to where every transform has all loads, the newest load, and the oldest one beyond."""

    watermark_us: int
    last_load_us: int
    oldest_untaken_us: int


def gold_stage(gold: GoldState, now_us: int, batch_seconds: float = DEFAULT_BATCH_SECONDS) -> Stage:
    """Whether the transformer has processed all loads. Its watermark moves with loads: as rarely as the longest batches end.

    A load is late by the time since it was loaded: after a pause, the watermark alone would count the pause too.
    """
    more_seconds = max(0.0, batch_seconds - DEFAULT_BATCH_SECONDS)
    late_seconds = GOLD_LATE_SECONDS + more_seconds
    if not gold.last_load_us:
        return Stage("gold", IDLE, None, "nothing is loaded yet")
    untaken = _age(gold.oldest_untaken_us, now_us) if gold.oldest_untaken_us else 0.0
    if not gold.watermark_us:
        if untaken <= late_seconds:
            return Stage("gold", IDLE, None, f"the first loads are {untaken:.0f} s old, and on their way to gold")
        is_forgotten = _age(gold.last_load_us, now_us) > FORGOTTEN_SECONDS
        return Stage("gold", IDLE if is_forgotten else DEGRADED, None, "no transformer has run here yet", Fault.NOT_IN_GOLD)
    waits = min(max(0, gold.last_load_us - gold.watermark_us) / SECOND_US, untaken)
    age = _age(gold.watermark_us, now_us)
    if waits > GOLD_TOO_LATE_SECONDS + more_seconds:
        return Stage("gold", DOWN, age, f"{waits:.0f} s of loads are not in gold: is a transformer running?", Fault.NOT_IN_GOLD)
    words = f"loads up to {age:.0f} s ago are in gold"
    if waits > late_seconds:
        return Stage("gold", DEGRADED, age, words, Fault.NOT_IN_GOLD)
    return Stage("gold", OK, age, words)


def unavailable_stage(name: str, why: str, fault: Fault) -> Stage:
    """The source of this stage's figures is unavailable."""
    return Stage(name, DOWN, None, why, fault)


def overall(stages: Iterable[Stage], others: Iterable[str]) -> tuple[str, str]:
    """Verdict and words for the top of the page. `others`: problems outside the stages, a sentence each."""
    stages, others = list(stages), list(others)
    worst = [stage for stage in stages if stage.verdict == DOWN]
    if worst:
        return DOWN, "; ".join(f"{stage.name}: {stage.words}" for stage in worst)
    if others:
        return DEGRADED, "; ".join(others)
    if late := [stage for stage in stages if stage.verdict == DEGRADED]:
        return DEGRADED, "; ".join(f"{stage.name}: {stage.words}" for stage in late)
    if all(stage.verdict == IDLE for stage in stages):
        return IDLE, "nothing is running here"
    return OK, "everything is as it should be"


def _is_active(recorder: Recorder, now_us: int) -> bool:
    forgotten = max(FORGOTTEN_SECONDS, 4 * recorder.quiet_seconds)
    return not recorder.has_stopped and _age(recorder.seen_us, now_us) < forgotten


def _age(instant_us: int, now_us: int) -> float:
    return max(0, now_us - instant_us) / SECOND_US
