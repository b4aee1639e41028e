"""PURE. The lake's key grammar, both ways: `data_sources/<folder>/name=value/…/<file>.parquet` (Hive partitions)."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from tickhouse_core.datasets import KLINES, Dataset
from tickhouse_core.timestamps import to_datetime

_UNSAFE = re.compile(r"[\x00-\x20\"#%'*/:=?\\\x7f{\[\]^]")
"""What Hive itself escapes in a partition value; everything else, letters of any script included, stays readable."""

_STREAMED = "stream-"
_RECORDED = re.compile(r"[0-9]{13,16}-(.+)-[0-9]{1,12}\.parquet")
_MONTH = re.compile(r"([0-9]{4}-[0-9]{2})\.parquet")
_ARCHIVED = re.compile(r"archive-([0-9]{1,16})-([0-9]{1,16})-[0-9]{4,9}-(.+)\.parquet")
_COMPACTED = re.compile(r"compacted-([0-9]{1,16})-([0-9]{1,16})-([0-9a-f]{16})-[0-9]{4}\.parquet")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object key taken apart; `partitions` keep the order of the path."""

    folder: str
    partitions: dict[str, str]
    file_name: str


@dataclass(frozen=True, slots=True)
class CompactedName:
    """What the file name of a compacted object says: the dataset's time of its first and last rows (us), and its plan's id."""

    first_us: int
    last_us: int
    plan: str


@dataclass(frozen=True, slots=True)
class ArchivedName:
    """What the file name of a part of a bulk file says: its symbol, and the dataset's time of its first and last rows (us)."""

    symbol: str
    first_us: int
    last_us: int


def klines_month_key(venue: str, symbol: str, interval: str, month: str) -> str:
    """The one key of a calendar month of klines; `month` is `YYYY-MM` of the open times, UTC."""
    return object_key(KLINES, {"venue": venue, "symbol": symbol, "interval": interval}, f"{month}.parquet")


def klines_prefix(venue: str, symbol: str, interval: str) -> str:
    """What all month keys of one series begin with."""
    return klines_month_key(venue, symbol, interval, "").removesuffix(".parquet")


def history_month_key(dataset: Dataset, venue: str, symbol: str, period: str, month: str) -> str:
    """The one key of a calendar month of a futures history; `period` is empty where it has none."""
    series = {"venue": venue, "symbol": symbol, **({"period": period} if period else {})}
    return object_key(dataset, series, f"{month}.parquet")


def month_of_history(key: str) -> str:
    """`YYYY-MM` of an object of a month; empty for any other key."""
    found = _MONTH.fullmatch(key.rpartition("/")[2])
    return found[1] if found else ""


def hourly_key(dataset: Dataset, venue: str, first_receipt_us: int, instance: str, sequence: int) -> str:
    """The key of a micro-batch, by the hour in which its first row was received.

    Fixed before the first upload attempt, so that a retry overwrites instead of doubling.
    """
    received = to_datetime(first_receipt_us)
    partitions = {"venue": venue, "date": f"{received:%Y-%m-%d}", "hour": f"{received:%H}"}
    return object_key(dataset, partitions, f"{first_receipt_us}-{_escape(instance)}-{sequence}.parquet")


def archived_key(dataset: Dataset, venue: str, filed_us: int, name: ArchivedName, part: int) -> str:
    """The key of a part of a day's rows of one symbol, from the venue's bulk file: in the hour of `filed_us`, as if recorded.

    It follows from the rows: a run that is repeated overwrites instead of doubling.
    """
    filed = to_datetime(filed_us)
    partitions = {"venue": venue, "date": f"{filed:%Y-%m-%d}", "hour": f"{filed:%H}"}
    file_name = f"archive-{name.first_us}-{name.last_us}-{part:04d}-{_escape(name.symbol)}.parquet"
    return object_key(dataset, partitions, file_name)


def archived_name(key: str) -> ArchivedName | None:
    """None for the key of any other object."""
    found = _ARCHIVED.fullmatch(key.rpartition("/")[2])
    return None if found is None else ArchivedName(unquote(found[3]), int(found[1]), int(found[2]))


def stream_klines_key(venue: str, symbol: str, interval: str, first_receipt_us: int, instance: str, sequence: int) -> str:
    """The key of the klines of one series that a live capture saw close in one micro-batch, beside the months."""
    partitions = {"venue": venue, "symbol": symbol, "interval": interval}
    return object_key(KLINES, partitions, f"{_STREAMED}{first_receipt_us}-{_escape(instance)}-{sequence}.parquet")


def instance_of(key: str) -> str | None:
    """The capture that recorded a micro-batch of an hour; None for the key of any other object."""
    found = _RECORDED.fullmatch(key.rpartition("/")[2])
    return None if found is None else unquote(found[1])


def is_streamed(key: str) -> bool:
    """Whether the key of an object of klines is that of a live capture, and not of a month."""
    return key.rpartition("/")[2].startswith(_STREAMED)


def compacted_key(dataset: Dataset, partitions: dict[str, str], name: CompactedName, part: int) -> str:
    """The key of a part of the rows of one day: `partitions` are venue, symbol (where rows have one of their own) and date.

    Readers choose objects by the times in the name, without opening them.
    """
    return object_key(dataset, partitions, f"compacted-{name.first_us}-{name.last_us}-{name.plan}-{part:04d}.parquet")


def compacted_name(key: str) -> CompactedName | None:
    """None for the key of any other object."""
    found = _COMPACTED.fullmatch(key.rpartition("/")[2])
    return None if found is None else CompactedName(int(found[1]), int(found[2]), found[3])


def object_key(dataset: Dataset, partitions: dict[str, str], file_name: str) -> str:
    path = "".join(f"{name}={_escape(value)}/" for name, value in partitions.items())
    return f"{dataset.prefix}{path}{file_name}"


def parse_object_key(key: str) -> ObjectKey | None:
    """The parts of a key of the lake, or None where it does not follow the grammar."""
    root, _, rest = key.partition("/")
    folder, *middle, file_name = rest.split("/") if "/" in rest else ("", "")
    pairs = [part.partition("=") for part in middle]
    if root != "data_sources" or not folder or not file_name or any(not sign for _, sign, _ in pairs):
        return None
    return ObjectKey(folder, {name: unquote(value) for name, _, value in pairs}, file_name)


def _escape(value: str) -> str:
    return _UNSAFE.sub(lambda match: quote(match.group(), safe=""), value)
