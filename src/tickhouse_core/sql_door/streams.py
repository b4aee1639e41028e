"""PURE. Answers in pieces: the engine writes each block of rows as a whole answer, here they become one.

Formats that cannot be joined, such as JSON, come in one piece: `is_joined` says which ones can.
"""

from collections.abc import Callable, Iterable, Iterator

_LINES = {
    "": 0,
    "withnames": 1,
    "withnamesandtypes": 2,
}
_TEXT = ("tabseparated", "tsv", "csv", "jsoncompacteachrow", "jsoncompactstringseachrow")


def is_joined(output_format: str) -> bool:
    """Whether an answer in this format may leave while it is computed."""
    return output_format.lower() in _HEADS or output_format.lower() in _ARROW


def joined(output_format: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One answer of the pieces. ValueError for pieces that do not begin with the first one's head."""
    name = output_format.lower()
    if name in _ARROW:
        return _joined_arrow(pieces, _ARROW[name])
    return _without_heads(pieces, _HEADS[name])


def _without_heads(pieces: Iterable[bytes], head_bytes: Callable[[bytes], int]) -> Iterator[bytes]:
    head = None
    for piece in pieces:
        if head is None:
            head = piece[: head_bytes(piece)]
            yield piece
        elif piece.startswith(head):
            yield piece[len(head) :]
        else:
            raise ValueError("a block's names are not the first one's")


def _joined_arrow(pieces: Iterable[bytes], writer_of: str) -> Iterator[bytes]:
    """Streams or files of Arrow as one; a file's footer names all batches. `writer_of` is the function of `pyarrow.ipc`."""
    import pyarrow as pa  # only who asks in Arrow has it loaded

    sink, writer, begun = _Drain(), None, b""
    for piece in pieces:
        begun = begun or piece[:6]
        reader = pa.ipc.open_file(piece) if begun == b"ARROW1" else pa.ipc.open_stream(piece)
        if writer is None:
            writer = getattr(pa.ipc, writer_of)(sink, reader.schema)
        for batch in reader.read_all().to_batches():
            writer.write_batch(batch)
        yield sink.drained()
    if writer is not None:
        writer.close()
        yield sink.drained()


class _Drain:
    """A file to write to, from which bytes are taken as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def drained(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _lines(count: int) -> Callable[[bytes], int]:
    def head_bytes(piece: bytes) -> int:
        end = 0
        for _ in range(count):
            end = piece.index(b"\n", end) + 1
        return end

    return head_bytes


def _csv_lines(count: int) -> Callable[[bytes], int]:
    """A quoted name may have line ends; a quote in it is doubled, so that inside of it the number of quotes is odd."""

    def head_bytes(piece: bytes) -> int:
        end = 0
        for _ in range(count):
            begin, end = end, piece.index(b"\n", end) + 1
            while piece.count(b'"', begin, end) % 2:
                end = piece.index(b"\n", end) + 1
        return end

    return head_bytes


def _binary_head(texts_per_column: int) -> Callable[[bytes], int]:
    """The number of columns, then their names, then their types, each text after its length (ClickHouse: RowBinary)."""

    def head_bytes(piece: bytes) -> int:
        columns, at = varint(piece, 0)
        for _ in range(columns * texts_per_column):
            length, at = varint(piece, at)
            at += length
        return at

    return head_bytes


def varint(piece: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = piece[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


_HEADS: dict[str, Callable[[bytes], int]] = {
    **dict.fromkeys(("native", "rowbinary", "jsoneachrow", "jsonstringseachrow", "tabseparatedraw", "tsvraw"), _lines(0)),
    **{
        f"{kind}{names}": (_csv_lines if kind == "csv" else _lines)(count)
        for kind in _TEXT
        for names, count in _LINES.items()
    },
    "rowbinarywithnames": _binary_head(1),
    "rowbinarywithnamesandtypes": _binary_head(2),
}  # fmt: skip
"""How many bytes of a piece are names and types, which stand once in an answer."""

_ARROW = {"arrowstream": "new_stream", "arrow": "new_file"}
