"""PURE. Which objects of a day are compacted together, and which may go, by what the lake lists and has recorded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tickhouse_core.compaction import Compaction, Fate, Source, plan_id
from tickhouse_core.lake_keys import compacted_name, parse_object_key
from tickhouse_core.object_store import ObjectSummary
from tickhouse_core.timestamps import DAY_US, HOUR_US


@dataclass(frozen=True, slots=True)
class DayContents:
    """All objects of one dataset, venue and date, in the order of their keys, and the compactions of that day."""

    day_us: int
    objects: Sequence[ObjectSummary]
    compactions: Sequence[Compaction]
    held: Collection[str] = ()
    """Plans whose objects stay: snapshots of the catalogue have them."""


def source_of(summary: ObjectSummary) -> Source:
    return Source(summary.key, summary.etag)


def live(contents: DayContents) -> list[Compaction]:
    """Compactions that count, with all their objects there, as they were when they were read back."""
    present = {source_of(summary) for summary in contents.objects}
    return [
        one
        for one in contents.compactions
        if one.commit is not None
        and not one.is_undone
        and present.issuperset(Source(output.key, output.etag) for output in one.commit.outputs)
    ]


def left_of(contents: DayContents, closed_before_us: int) -> list[ObjectSummary]:
    """Objects that no live compaction holds, and recorded ones only of hours that ended before that instant."""
    held = {source for one in live(contents) for source in one.plan.sources}
    return [
        summary
        for summary in contents.objects
        if source_of(summary) not in held
        and summary.key.endswith(".parquet")
        and (compacted_name(summary.key) is not None or not _is_young(summary.key, contents.day_us, closed_before_us))
    ]


def young_of(found: Sequence[ObjectSummary], day_us: int, closed_before_us: int) -> list[ObjectSummary]:
    """Of the recorded objects of a day, those of hours that ended later."""
    return [summary for summary in found if _is_young(summary.key, day_us, closed_before_us)]


def recorded(objects: Sequence[ObjectSummary]) -> list[ObjectSummary]:
    """As a capture or another tool wrote them."""
    return [summary for summary in objects if compacted_name(summary.key) is None]


def sources_of_next(contents: DayContents, left: Sequence[ObjectSummary], sound: Collection[Source]) -> tuple[Source, ...]:
    """Of the next compaction, in the order of their keys: the `sound` ones among the recorded objects that are left, and what
    was compacted before. Empty where there is nothing new: the rows are of one compaction.

    Objects without a commit, of a compactor that was killed, stay out if the next compaction writes the very same ones. Sources
    whose compaction was undone are not compacted under the same name again: they wait for another object of their day.
    """
    committed = {one.plan.id for one in live(contents)}
    found = [(source_of(summary), name.plan) for summary in left if (name := compacted_name(summary.key)) is not None]
    known = sorted([*sound, *(source for source, plan in found if plan in committed)])
    chosen = sorted([*known, *(source for source, plan in found if plan not in {*committed, plan_id(known)})])
    is_new = bool(sound) or len({plan for source, plan in found if source in chosen}) > 1
    is_undone = any(one.is_undone and one.plan.id == plan_id(chosen) for one in contents.compactions)
    return tuple(chosen) if is_new and not is_undone else ()


def waits(found: Sequence[ObjectSummary], compactions: Sequence[Compaction], kept_since_us: int) -> bool:
    """Whether all of these recorded objects are sources of compactions of the day, and all those were committed since."""
    if not all(one.commit is not None and one.fate is None and one.commit.committed_at > kept_since_us for one in compactions):
        return False
    return {source for one in compactions for source in one.plan.sources}.issuperset(map(source_of, found))


def due(contents: DayContents, now_us: int, keep_us: int) -> list[Compaction]:
    """Live compactions that were committed at least `keep_us` ago, and of which a source is still there."""
    present = {source_of(summary) for summary in contents.objects}
    old = [one for one in live(contents) if one.commit is not None and one.commit.committed_at <= now_us - keep_us]
    return [one for one in old if not present.isdisjoint(one.plan.sources)]


def retirable(contents: DayContents, retiring: Sequence[Compaction]) -> list[ObjectSummary]:
    """Sources that are still there and not held, of due compactions whose fate it is.

    Recorded objects first, then compacted ones from the earliest commit on: whatever is left of it when it is interrupted, each
    source that stays is one of a compaction that is still live.
    """
    present = {source_of(summary): summary for summary in contents.objects}
    mine = [one for one in retiring if one.fate is Fate.RETIRING]
    sources = dict.fromkeys(source for one in mine for source in one.plan.sources if source in present)
    sources = dict.fromkeys(one for one in sources if (name := compacted_name(one.key)) is None or name.plan not in contents.held)
    return sorted((present[source] for source in sources), key=lambda summary: compacted_name(summary.key) is not None)


def _is_young(key: str, day_us: int, closed_before_us: int) -> bool:
    """By the end of the hour of a recorded object's folder, or of the day where the folder names no hour."""
    parsed = parse_object_key(key)
    hour = "" if parsed is None else parsed.partitions.get("hour", "")
    ended_us = day_us + (int(hour) + 1) * HOUR_US if hour.isascii() and hour.isdigit() else day_us + DAY_US
    return ended_us > closed_before_us
