"""PURE. Whether a Parquet footer has encrypted columns: pyarrow ends the process when it is asked for such a column's sizes.

Walks Thrift's compact protocol (Apache Thrift: "thrift-compact-protocol"; Apache Parquet: "parquet.thrift") as far as needed.
"""

from collections.abc import Iterator

_STRUCT, _LIST, _SET, _MAP, _BINARY, _DOUBLE, _UUID = 12, 9, 10, 11, 8, 7, 13
_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA = 4, 1, 8


def has_encrypted_columns(body: bytes) -> bool:
    """Of a whole file that pyarrow opens, so its footer is sound Thrift. Raises ValueError or IndexError where it is not."""
    size = int.from_bytes(body[-8:-4], "little")
    walk = _Walk(body[-8 - size : -8])
    return any(_is_encrypted(walk) for _ in walk.structs(_ROW_GROUPS))


def _is_encrypted(walk: "_Walk") -> bool:
    """Of the row group that the walk stands at; it stands behind it afterwards."""
    found = False
    for _ in walk.structs(_COLUMNS):
        for number, kind in walk.fields():
            found = found or (number == _CRYPTO_METADATA and kind == _STRUCT)
            walk.skip(kind)
    return found


class _Walk:
    def __init__(self, footer: bytes) -> None:
        self._bytes = footer
        self._at = 0

    def structs(self, wanted: int) -> Iterator[None]:
        """Goes through a struct and stands at each struct in its lists of that number: the caller goes through them."""
        for number, kind in self.fields():
            if number == wanted and kind == _LIST:
                for _ in range(self._list()[0]):
                    yield
            else:
                self.skip(kind)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; the caller goes through its value."""
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            if delta:
                number += delta
            else:
                said = self._varint()
                number = (said >> 1) ^ -(said & 1)
            yield number, kind

    def skip(self, kind: int, *, in_list: bool = False) -> None:
        if kind in (1, 2):  # a boolean field's value is its type
            self._at += in_list
        elif kind in (3, _DOUBLE, _UUID):
            self._at += {3: 1, _DOUBLE: 8, _UUID: 16}[kind]
        elif kind in (4, 5, 6):
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind in (_LIST, _SET):
            size, inner = self._list()
            for _ in range(size):
                self.skip(inner, in_list=True)
        elif kind == _MAP:
            size = self._varint()
            kinds = self._byte() if size else 0
            for _ in range(size):
                self.skip(kinds >> 4, in_list=True)
                self.skip(kinds & 15, in_list=True)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        else:
            raise ValueError(f"no type of Thrift's: {kind}")

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        return (self._varint() if size == 15 else size), head & 15

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _byte(self) -> int:
        byte = self._bytes[self._at]
        self._at += 1
        return byte
