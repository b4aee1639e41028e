"""Whether a Parquet footer has encrypted columns: pyarrow ends the process when it is asked for such a column's sizes.

Walks the footer (Apache Parquet: "parquet.thrift") as far as needed.
"""

import io

from tickhouse_core.thrift_compact import LIST, STRUCT, behind, integer, list_head

_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA = 4, 1, 8


def has_encrypted_columns(file: io.BytesIO | io.RawIOBase) -> bool:
    """Of a file that pyarrow opens, so its footer is sound Thrift. Raises ValueError or IndexError where it is not."""
    end = file.seek(-8, io.SEEK_END)
    size = int.from_bytes(file.read(4), "little")
    file.seek(max(end - size, 0))
    return _has(file.read(size), 0, (_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA))[0]


def _has(data: bytes, at: int, path: tuple[int, ...]) -> tuple[bool, int]:
    """Whether the struct at a place has the struct at the end of the path of field numbers, through lists of structs; if not,
    also the place behind it."""
    number = 0
    while head := data[at]:
        at, kind = at + 1, head & 15
        if head > 15:
            number += head >> 4
        else:
            number, at = integer(data, at)
        if number == path[0] and len(path) == 1 and kind == STRUCT:
            return True, at
        if number == path[0] and len(path) > 1 and kind == LIST:
            size, inner, at = list_head(data, at)
            if inner != STRUCT:
                raise ValueError(f"field {number} has no structs")
            for _ in range(size):
                found, at = _has(data, at, path[1:])
                if found:
                    return True, at
        else:
            at = behind(data, at, kind)
    return False, at + 1
