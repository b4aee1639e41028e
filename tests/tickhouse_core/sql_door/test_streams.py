"""Blocks of an answer, joined: names and types stand once."""

import pyarrow as pa
import pytest

from tickhouse_core.sql_door.streams import is_joined, joined


@pytest.mark.parametrize(
    ("output_format", "pieces", "whole"),
    [
        ("TabSeparated", [b"1\n", b"2\n"], b"1\n2\n"),
        ("TSVWithNames", [b"a\n1\n", b"a\n2\n"], b"a\n1\n2\n"),
        ("TabSeparatedWithNamesAndTypes", [b"a\nInt8\n1\n", b"a\nInt8\na\n"], b"a\nInt8\n1\na\n"),
        ("CSVWithNames", [b'"a\n""b"\n1\n', b'"a\n""b"\n2\n'], b'"a\n""b"\n1\n2\n'),
        ("RowBinaryWithNames", [b"\x01\x01a\x07", b"\x01\x01a\x08"], b"\x01\x01a\x07\x08"),
        ("RowBinaryWithNamesAndTypes", [b"\x01\x01a\x05UInt8\x07", b"\x01\x01a\x05UInt8\x01"], b"\x01\x01a\x05UInt8\x07\x01"),
        ("RowBinaryWithNames", [b"\x01\x80\x01" + b"n" * 128 + b"\x07", b"\x01\x80\x01" + b"n" * 128 + b"\x08"],
         b"\x01\x80\x01" + b"n" * 128 + b"\x07\x08"),
        ("Native", [], b""),
    ],
)  # fmt: skip
def test_pieces_become_one_answer(output_format: str, pieces: list[bytes], whole: bytes) -> None:
    assert b"".join(joined(output_format, pieces)) == whole


@pytest.mark.parametrize("output_format", ["Arrow", "ArrowStream"])
def test_arrow_is_one_stream_or_one_file(output_format: str) -> None:
    make, read = (pa.ipc.new_file, pa.ipc.open_file) if output_format == "Arrow" else (pa.ipc.new_stream, pa.ipc.open_stream)
    pieces = []
    for number in range(3):
        sink = pa.BufferOutputStream()
        table = pa.table({"a": [number, number]})
        with make(sink, table.schema) as writer:
            writer.write_table(table)
        pieces.append(bytes(sink.getvalue()))
    whole = b"".join(joined(output_format, pieces))
    assert read(whole).read_all().to_pydict() == {"a": [0, 0, 1, 1, 2, 2]}


def test_a_piece_with_other_names_is_an_error() -> None:
    with pytest.raises(ValueError, match="names"):
        list(joined("TSVWithNames", [b"a\n1\n", b"b\n2\n"]))


@pytest.mark.parametrize("output_format", ["JSON", "Pretty", "Parquet", "XML", "TabSeparatedRawWithNames"])
def test_what_has_an_end_of_its_own_comes_whole(output_format: str) -> None:
    assert not is_joined(output_format)
