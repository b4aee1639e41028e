"""Which compacted objects of a day a table lists: each row of the day once, as far as it is compacted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tickhouse.compact.selection import DayContents, live, recorded
from tickhouse_core.compaction import Commit, Compaction, Output, Source
from tickhouse_core.lake_keys import compacted_name
from tickhouse_core.reading.objects import first_receipt
from tickhouse_core.timestamps import DAY_US, HOUR_US

_HOUR = re.compile("/hour=([0-9]{2})/")


@dataclass(frozen=True, slots=True)
class Listing:
    """`outputs` by key, and all `recorded` objects whose rows they have.

    Plans that are not among them: `merged` ones went into others, `waiting` ones overlap others that are listed.
    """

    outputs: list[Output]
    recorded: frozenset[Source]
    merged: frozenset[str]
    waiting: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Candidate:
    plan: str
    outputs: list[Output]
    recorded: frozenset[Source]


def listing(contents: DayContents) -> Listing:
    """Objects of live compactions that no other live one has merged. Where two compactors have merged the same objects, only
    those of the one that had more of them, or else of the later one: until the next compaction merges both.
    """
    committed = [(one, one.commit) for one in live(contents) if one.commit is not None]
    into = {source for one, _ in committed for source in one.plan.sources}
    plans = {one.plan.id: one for one in contents.compactions}
    candidates = [_candidate(one, commit, into, plans) for one, commit in committed]
    merged = frozenset(one.plan for one in candidates if not one.outputs)
    taken: set[Source] = set()
    outputs: list[Output] = []
    waiting: set[str] = set()
    for _, one in sorted(enumerate(candidates), key=lambda pair: (len(pair[1].recorded), pair[0]), reverse=True):
        if not one.outputs:
            continue
        if taken.isdisjoint(one.recorded):
            taken |= one.recorded
            outputs += one.outputs
        else:
            waiting.add(one.plan)
    return Listing(sorted(outputs, key=lambda output: output.key), frozenset(taken), merged, frozenset(waiting))


def first_unlisted(contents: DayContents) -> int | None:
    """When the earliest row was received that is in no listed object (us), as keys say it; None where there is none."""
    held = listing(contents).recorded
    left = [one for one in recorded(contents.objects) if one.key.endswith(".parquet") and Source(one.key, one.etag) not in held]
    return min((_received_from(one.key, contents.day_us) for one in left), default=None)


def _candidate(one: Compaction, commit: Commit, into: set[Source], plans: Mapping[str, Compaction]) -> _Candidate:
    outputs = [output for output in commit.outputs if Source(output.key, output.etag) not in into]
    return _Candidate(one.plan.id, outputs, frozenset(_recorded_sources(one, plans)))


def _recorded_sources(one: Compaction, plans: Mapping[str, Compaction]) -> set[Source]:
    """What a capture wrote, also by way of what was compacted before."""
    waiting, found = list(one.plan.sources), set[Source]()
    while waiting:
        source = waiting.pop()
        name = compacted_name(source.key)
        inner = plans.get(name.plan) if name is not None else None
        if inner is None:
            found.add(source)
        else:
            waiting += inner.plan.sources
    return found


def _received_from(key: str, day_us: int) -> int:
    """The first receipt in its name; of another tool's name, the beginning of the hour or day that it is filed under."""
    found, received = _HOUR.search(key), first_receipt(key)
    start, end = (day_us, day_us + DAY_US) if found is None else (hour := day_us + int(found[1]) * HOUR_US, hour + HOUR_US)
    return received if received is not None and start <= received < end else start
