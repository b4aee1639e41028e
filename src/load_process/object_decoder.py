"""One object from the lake to sound rows: memory is taken before every step, and what is too large for it is refused."""

from dataclasses import dataclass
from functools import partial

from load_process.limits import LoadLimits, NoRoom, Room
from load_process.objects import DecodedObject, LargeTable, ObjectVersion
from load_process.value_checksum import value_checksum
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectRefused, ObjectTooLarge
from tickhouse_core.object_store import ObjectStore, StoredObject
from tickhouse_core.parquet_check import CheckedFile
from tickhouse_core.parquet_sizes import check_footer

FIRST_BYTES = 1024**2
"""Taken for an object's bytes in the lake before its true size is known; most have fewer."""

_BODY_COPIES = 2
"""Of an object's bytes while they arrive."""

_DECODING_COPIES = 2
"""Of a table while it is decoded, checked and cast, the checksum's numbers included."""

_PIECES_AT_ONCE = 6
"""Of a large object: decoded, cut, cast and summed up, and what the allocator keeps; 5.7 were measured."""


@dataclass(frozen=True, slots=True)
class BrokenObject:
    """An object that can never be loaded; its bytes where they were read."""

    version: ObjectVersion
    body: bytes | None
    error: ObjectRefused


class ObjectDecoder:
    """Errors that travel: NoRoom (then it holds nothing), and those of the store."""

    def __init__(self, store: ObjectStore, limits: LoadLimits, memory: int) -> None:
        """`memory` is the total for all objects that are read, in bytes."""
        self._store = store
        self._limits = limits
        self._memory = memory

    def decode(self, room: Room, key: str, said: int, dataset: Dataset, attempts: int) -> DecodedObject | BrokenObject:
        """Afterwards the object holds room for its rows, a broken one for its bytes. `said` is the size in the notification."""
        taken = _Taken(room)
        try:
            try:
                stored = self._stored(taken, key, said)
            except ObjectTooLarge as error:
                taken.keep(0)
                return BrokenObject(
                    ObjectVersion(self._store.bucket, key, error.etag), None, ObjectRefused("too_large", str(error))
                )
            version = ObjectVersion(self._store.bucket, key, stored.etag)
            try:
                read = self._decoded(taken, version, stored.body, dataset, attempts)
            except ObjectRefused as error:
                taken.keep(len(stored.body))  # and no traceback, which would keep the rows
                return BrokenObject(version, stored.body, ObjectRefused(error.reason, str(error)))
        except BaseException:
            taken.keep(0)
            raise
        return read

    def _stored(self, taken: "_Taken", key: str, said: int) -> StoredObject:
        """The size in a notification cannot be trusted: room for it is taken first, and for more where it was wrong."""
        most = min(self._limits.object_bytes, self._memory // _BODY_COPIES)
        size = min(max(said, FIRST_BYTES), most)
        taken.take(_BODY_COPIES * size)
        try:
            stored = self._store.read(key, most_bytes=size)
        except ObjectTooLarge:
            if size == most:
                raise
            taken.take(_BODY_COPIES * (most - size))
            stored = self._store.read(key, most_bytes=most)
        taken.keep(len(stored.body))
        return stored

    def _decoded(self, taken: "_Taken", version: ObjectVersion, body: bytes, dataset: Dataset, attempts: int) -> DecodedObject:
        """As a whole where it is small, else checked piece by piece."""
        limits = self._limits
        self._take(taken, check_footer(body))
        opened = taken.size
        file = CheckedFile(body, dataset, version.key, most_bytes=limits.decoded_bytes)
        if file.sizes.decoded <= limits.whole_bytes:
            self._take(taken, _DECODING_COPIES * file.sizes.decoded)
            table = file.whole_within(limits.whole_bytes)
            if table is not None:
                checksum = value_checksum(table)
                taken.keep(table.nbytes)
                return DecodedObject(version, dataset, table, checksum, attempts)
            taken.keep(opened)
        piece = limits.insert_bytes
        self._take(taken, file.sizes.at_once + _PIECES_AT_ONCE * piece)
        checksum = rows = total = 0
        for part in file.pieces(piece):
            checksum = (checksum + value_checksum(part)) % 2**64
            rows += part.num_rows
            total += part.nbytes
        return DecodedObject(version, dataset, LargeTable(rows, total, partial(file.pieces, piece)), checksum, attempts)

    def _take(self, taken: "_Taken", more: int) -> None:
        """Raises NoRoom, or ObjectRefused where there never will be: it would be waited for in vain."""
        if taken.size + more > self._memory:
            raise ObjectRefused(
                "too_large",
                f"{taken.size + more:,} bytes of memory are needed at once, {self._memory:,} are there for reading: "
                "write row groups of fewer rows, or raise LOADER_MEMORY_MB",
            )
        taken.take(more)


class _Taken:
    """What one object has of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.size = 0

    def take(self, more: int) -> None:
        """Raises NoRoom, which says what the object needs in all."""
        try:
            self._room.take(more, self.size)
        except NoRoom:
            raise NoRoom(self.size + more) from None
        self.size += more

    def keep(self, size: int) -> None:
        """Gives back what is above."""
        self._room.give(self.size - size)
        self.size = size
