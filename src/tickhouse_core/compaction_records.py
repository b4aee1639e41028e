"""What a compaction writes down in the lake, under `compactions/`: its plan before it, its commit after it, its fate before
anything of it is deleted.

All are kept for good: the plan of an object is found by its key, and so are the sources that are no longer in the lake.
"""

import gzip
import io
import logging
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import orjson

from tickhouse_core.compaction import Commit, Compaction, Fate, Output, Plan, Source
from tickhouse_core.datasets import Dataset, dataset_of_key
from tickhouse_core.errors import ObjectChanged, ObjectMissing, ObjectTooLarge, TickhouseError
from tickhouse_core.lake_keys import compacted_name, object_key, parse_object_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import DAY_US, from_datetime

log = logging.getLogger(__name__)

Record = TypeVar("Record")

_ROOT = "compactions/"
_PLAN, _COMMIT, _FATE, _SETTLED = ".plan.json.gz", ".commit.json", ".fate.json", ".settled"
_HELD, _RELEASED = ".held", ".released"

HELD_US = 90 * DAY_US
"""So long a mark counts: a catalogue renews its own, and those of one that nobody has any more end."""


@dataclass(slots=True)
class DayStanding:
    """Plans of a day that are committed; whose fate is decided, and not yet carried out; that a snapshot of one table holds,
    and since when (us); and that none of it holds any more."""

    committed: set[str] = field(default_factory=set)
    fated: set[str] = field(default_factory=set)
    held: dict[str, int] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)


_MOST_BYTES = 64 * 1024**2
"""Of a record, also unpacked: a plan names some ten thousand sources of a day with some hundred bytes each."""


class RecordDamaged(TickhouseError):
    """A record of a compaction cannot be read: nothing is known of what it says."""


class Compactions:
    """The records of one lake. Errors: the store's, RecordDamaged."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def write_plan(self, plan: Plan) -> None:
        """Before the first of its objects. The same plan is the same bytes: safe to repeat."""
        body = orjson.dumps([list(source) for source in plan.sources])
        self._store.write(f"{_folder(plan.dataset, plan.venue, plan.date)}{plan.id}{_PLAN}", gzip.compress(body, mtime=0))

    def write_commit(self, plan: Plan, commit: Commit) -> None:
        """After all outputs were read back. Of two compactors with one plan the first one's stays, if its outputs are these."""
        key = f"{_folder(plan.dataset, plan.venue, plan.date)}{plan.id}{_COMMIT}"
        body = orjson.dumps(asdict(commit))
        try:
            self._store.write(key, body, must_be_new=True)
        except ObjectChanged:
            before = self._store.read(key)
            if self._read(key, _commit_of).outputs != commit.outputs:  # written by another version of a library, then overwritten
                self._store.write(key, body, replaces=before.etag)

    def decide(self, plan: Plan, fate: Fate) -> Fate:
        """Before a source or an output is deleted. Returns the fate that counts: of several compactors the first one's."""
        key = f"{_folder(plan.dataset, plan.venue, plan.date)}{plan.id}{_FATE}"
        try:
            self._store.write(key, orjson.dumps({"fate": fate.value}), must_be_new=True)
        except ObjectChanged:
            return self._read(key, _fate_of)
        return fate

    def of_day(self, dataset: Dataset, venue: str, date: str) -> list[Compaction]:
        """All of them, the earliest commit first, those without one last."""
        folder = _folder(dataset, venue, date)
        names = {summary.key.removeprefix(folder) for summary in self._store.list_keys(folder)}
        found = []
        for name in sorted(names):
            if name.endswith(_PLAN):
                found.append(self._compaction(dataset, venue, date, name.removesuffix(_PLAN), names))
        return sorted(found, key=lambda one: (one.commit is None, one.commit.committed_at if one.commit else 0, one.plan.id))

    def settle(self, dataset: Dataset, venue: str, date: str) -> None:
        """Nothing is left to do about the compactions of a day that are recorded by now."""
        folder = _folder(dataset, venue, date)
        for name in self._unsettled(folder):
            self._store.write(f"{folder}{name}{_SETTLED}", b"{}")

    def is_settled(self, dataset: Dataset, venue: str, date: str) -> bool:
        """Whether none was recorded since. One list of keys."""
        return not self._unsettled(_folder(dataset, venue, date))

    def unsettled_days(self, dataset: Dataset, venue: str) -> set[str]:
        """Dates of compactions about which something may be left to do. One list of keys, nothing is read."""
        prefix = _venue_folder(dataset, venue)
        names = [summary.key.removeprefix(prefix) for summary in self._store.list_keys(prefix)]
        settled = {name.removesuffix(_SETTLED) for name in names if name.endswith(_SETTLED)}
        plans = {name.removesuffix(_PLAN) for name in names if name.endswith(_PLAN)} - settled
        return {plan.partition("/")[0].removeprefix("date=") for plan in plans}

    def _unsettled(self, folder: str) -> list[str]:
        names = [summary.key.removeprefix(folder) for summary in self._store.list_keys(folder)]
        settled = {name.removesuffix(_SETTLED) for name in names if name.endswith(_SETTLED)}
        return [plan for name in names if name.endswith(_PLAN) and (plan := name.removesuffix(_PLAN)) not in settled]

    def hold(self, dataset: Dataset, venue: str, date: str, plan: str, table: str) -> None:
        """From now on no compactor deletes the objects of this plan: a snapshot of the table has them, or is about to.

        `table` is its UUID: a lake may be in several catalogues, and each has marks of its own. Again: the mark counts anew.
        """
        mark = f"{_folder(dataset, venue, date)}{plan}.{table}"
        self._store.write(f"{mark}{_HELD}", b"{}")
        self._store.delete(f"{mark}{_RELEASED}")

    def release(self, dataset: Dataset, venue: str, date: str, plan: str, table: str) -> None:
        """No snapshot of the table has the objects of this plan, and none will: others have taken their place."""
        mark = f"{_folder(dataset, venue, date)}{plan}.{table}"
        self._store.write(f"{mark}{_RELEASED}", b"{}")
        self._store.delete(f"{mark}{_HELD}")

    def held(self, dataset: Dataset, venue: str, date: str, now_us: int) -> frozenset[str]:
        """Plans whose objects stay, by the marks of any table."""
        folder = _folder(dataset, venue, date)
        found = (one for one in self._store.list_keys(folder) if one.key.endswith(_HELD))
        return frozenset(
            one.key.removeprefix(folder).partition(".")[0] for one in found if from_datetime(one.last_modified) > now_us - HELD_US
        )

    def standing(self, dataset: Dataset, venue: str, table: str) -> dict[str, "DayStanding"]:
        """Of all days of a venue, by date, with the marks of one table. One list of keys, nothing is read."""
        days: dict[str, DayStanding] = {}
        prefix = _venue_folder(dataset, venue)
        for summary in self._store.list_keys(prefix):
            folder, _, name = summary.key.removeprefix(prefix).rpartition("/")
            plan, _, kind = name.partition(".")
            day = days.setdefault(folder.removeprefix("date="), DayStanding())
            if f".{kind}" == _COMMIT:
                day.committed.add(plan)
            elif f".{kind}" == _FATE:
                day.fated.add(plan)
            elif f".{kind}" == _SETTLED:
                day.fated.discard(plan)
            elif kind == f"{table}{_HELD}":
                day.held[plan] = from_datetime(summary.last_modified)
            elif kind == f"{table}{_RELEASED}":
                day.released.add(plan)
        return days

    def behind(self, key: str) -> Compaction | None:
        """The compaction that wrote an object; None for any other object, and where its plan is not in this lake or damaged."""
        name, day = compacted_name(key), compacted_day(key)
        if name is None or day is None:
            return None
        dataset, venue, date = day
        folder = _folder(dataset, venue, date)
        names = {summary.key.removeprefix(folder) for summary in self._store.list_keys(f"{folder}{name.plan}")}
        try:
            return self._compaction(dataset, venue, date, name.plan, names) if f"{name.plan}{_PLAN}" in names else None
        except RecordDamaged as error:
            log.error("what an object was made of is not known", extra={"key": key, "why": str(error)})
            return None

    def is_undone(self, key: str) -> bool:
        """Whether the compaction that wrote an object was; False for any other object."""
        name, day = compacted_name(key), compacted_day(key)
        if name is None or day is None:
            return False
        try:
            return self._read(f"{_folder(*day)}{name.plan}{_FATE}", _fate_of) is Fate.UNDONE
        except ObjectMissing:
            return False
        except RecordDamaged as error:
            log.error("whether an object was undone is not known", extra={"key": key, "why": str(error)})
            return False

    def recorded(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources, and those of each that is itself a compacted object: all that their rows ever were in."""
        waiting, seen = list(sources), set[Source]()
        while waiting:
            source = waiting.pop()
            if source in seen:
                continue
            seen.add(source)
            yield source
            if (inner := self.behind(source.key)) is not None:
                waiting += inner.plan.sources

    def _compaction(self, dataset: Dataset, venue: str, date: str, plan: str, names: Collection[str]) -> Compaction:
        """By the names of what is recorded of it."""
        folder = _folder(dataset, venue, date)
        commit = self._read(f"{folder}{plan}{_COMMIT}", _commit_of) if f"{plan}{_COMMIT}" in names else None
        fate = self._read(f"{folder}{plan}{_FATE}", _fate_of) if f"{plan}{_FATE}" in names else None
        return Compaction(self._plan(dataset, venue, date, plan), commit, fate)

    def _plan(self, dataset: Dataset, venue: str, date: str, name: str) -> Plan:
        return Plan(dataset, venue, date, self._read(f"{_folder(dataset, venue, date)}{name}{_PLAN}", _sources_of))

    def _read(self, key: str, parsed: Callable[[bytes], Record]) -> Record:
        try:
            return parsed(self._store.read(key, most_bytes=_MOST_BYTES).body)
        except (ObjectTooLarge, ValueError, TypeError, LookupError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RecordDamaged(f"{self._store.where(key)} is damaged ({type(error).__name__})") from error


def compacted_day(key: str) -> tuple[Dataset, str, str] | None:
    """Dataset, venue and date of a compacted object; None for any other object."""
    parsed, dataset = parse_object_key(key), dataset_of_key(key)
    if compacted_name(key) is None or parsed is None or dataset is None or not {"venue", "date"} <= parsed.partitions.keys():
        return None
    return dataset, parsed.partitions["venue"], parsed.partitions["date"]


def _venue_folder(dataset: Dataset, venue: str) -> str:
    return f"{_ROOT}{dataset.folder}/{object_key(dataset, {'venue': venue}, '').removeprefix(dataset.prefix)}"


def _folder(dataset: Dataset, venue: str, date: str) -> str:
    inside = object_key(dataset, {"venue": venue, "date": date}, "").removeprefix(dataset.prefix)
    return f"{_ROOT}{dataset.folder}/{inside}"


def _sources_of(body: bytes) -> tuple[Source, ...]:
    with gzip.open(io.BytesIO(body)) as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES:,} bytes")
    return tuple(Source(*pair) for pair in orjson.loads(text))


def _commit_of(body: bytes) -> Commit:
    said = orjson.loads(body)
    return Commit(**said | {"outputs": tuple(Output(**output) for output in said["outputs"])})


def _fate_of(body: bytes) -> Fate:
    return Fate(orjson.loads(body)["fate"])
