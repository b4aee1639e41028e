"""Which compactions a replaced source undoes: rows that only its old version had are in their objects, and in what was
made of these.

It can be done while what they were made of is there; the fate of each, decided once, keeps it there.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from tickhouse.compact.selection import DayContents, live, recorded, source_of
from tickhouse_core.compaction import Compaction, Fate, Source
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.object_store import ObjectSummary


@dataclass(frozen=True, slots=True)
class Undoing:
    """Compactions that have objects in the lake. `possible` in an order in which what was made of another one comes after it.
    `too_late` have the rows of an old version too, but some of their sources are gone."""

    possible: tuple[Compaction, ...]
    too_late: tuple[Compaction, ...]


def replacing(contents: DayContents) -> list[ObjectSummary]:
    """Recorded objects of which some compaction has another version."""
    merged: dict[str, set[str]] = {}
    for one in contents.compactions:
        for source in one.plan.sources:
            merged.setdefault(source.key, set()).add(source.etag)
    return [summary for summary in recorded(contents.objects) if merged.get(summary.key, set()) - {summary.etag}]


def undoing(contents: DayContents, new: Collection[ObjectSummary]) -> Undoing:
    """What follows from the new versions `new`; also from compactions that were undone and are a source of others."""
    etags = {summary.key: summary.etag for summary in new}
    plans = _in_order(contents.compactions)
    stale = _stale(plans, etags)
    present = {source_of(summary) for summary in contents.objects}
    held = {source for one in live(contents) if one.plan.id not in stale for source in one.plan.sources}
    possible = set[str]()
    for name, one in plans.items():
        if name in stale and one.fate is not Fate.RETIRING:
            rest = [source for source in one.plan.sources if not _is_old(source, etags) and _plan_of(source) not in possible]
            is_made_of_stale = not stale.isdisjoint(map(_plan_of, rest))  # made anew of it, it would be as stale
            if one.is_undone or (present.union(held).issuperset(rest) and not is_made_of_stale):
                possible.add(name)
    there = {_plan_of(source) for source in present}
    affected = [one for name, one in plans.items() if name in stale and name in there and not one.is_undone]
    return Undoing(
        tuple(one for one in affected if one.plan.id in possible), tuple(one for one in affected if one.plan.id not in possible)
    )


def without_undone(contents: DayContents, undone: Iterable[Compaction]) -> tuple[DayContents, list[ObjectSummary]]:
    """The day as it is once these are undone, too, and the objects that are to be deleted for it, also of earlier ones."""
    names = {one.plan.id for one in undone}
    compactions = [replace(one, fate=Fate.UNDONE) if one.plan.id in names else one for one in contents.compactions]
    gone = {one.plan.id for one in compactions if one.is_undone}
    deleted = [summary for summary in contents.objects if _plan_of(source_of(summary)) in gone]
    keys = {summary.key for summary in deleted}
    left = [summary for summary in contents.objects if summary.key not in keys]
    return replace(contents, objects=left, compactions=compactions), deleted


def _stale(plans: dict[str, Compaction], etags: dict[str, str]) -> set[str]:
    found = set[str]()
    for name, one in plans.items():
        if one.is_undone or any(_is_old(source, etags) or _plan_of(source) in found for source in one.plan.sources):
            found.add(name)
    return found


def _is_old(source: Source, etags: dict[str, str]) -> bool:
    return etags.get(source.key, source.etag) != source.etag


def _plan_of(source: Source) -> str | None:
    """Of what a compacted object was made; None for recorded ones."""
    name = compacted_name(source.key)
    return None if name is None else name.plan


def _in_order(compactions: Iterable[Compaction]) -> dict[str, Compaction]:
    """By plan; each after those whose outputs are its sources."""
    plans = {one.plan.id: one for one in compactions}
    before = {name: set(_plans_before(one)).intersection(plans) for name, one in plans.items()}
    return {name: plans[name] for name in TopologicalSorter(before).static_order()}


def _plans_before(one: Compaction) -> Iterator[str]:
    return (plan for source in one.plan.sources if (plan := _plan_of(source)) is not None)
