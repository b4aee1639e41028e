from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Lake

KEYS = [
    "d/top.parquet",
    "d/v=a/hour=01/1.parquet",
    "d/v=a/hour=01/2.parquet",
    "d/v=a/hour=02/1.parquet",
    "d/v=币安 %3D+/1.parquet",
    "e/1.parquet",
]


def listed(lake: Lake, prefix: str = "d/", *, without: str = "-") -> list[tuple[str, list[str]]]:
    folders = lake.store.list_folders(prefix, skip=lambda name: without in name)
    return [(folder.prefix, [item.key for item in folder.objects]) for folder in folders]


def test_every_folder_with_objects_is_listed_with_just_those_in_it(moto_lake: Lake) -> None:
    etags = {key: moto_lake.store.write(key, key.encode()) for key in KEYS}
    assert listed(moto_lake) == [
        ("d/", KEYS[:1]),
        ("d/v=a/hour=01/", KEYS[1:3]),
        ("d/v=a/hour=02/", KEYS[3:4]),
        ("d/v=币安 %3D+/", KEYS[4:5]),
    ]
    (folder,) = moto_lake.store.list_folders("e/")
    assert [(item.key, item.etag, item.size) for item in folder.objects] == [("e/1.parquet", etags["e/1.parquet"], 11)]


def test_a_folder_that_is_skipped_is_not_looked_into(moto_lake: Lake) -> None:
    for key in KEYS:
        moto_lake.store.write(key, b"x")
    assert listed(moto_lake, without="v=a/") == [("d/", KEYS[:1]), ("d/v=币安 %3D+/", KEYS[4:5])]
    assert [name for name, _ in listed(moto_lake, without="hour=01")] == ["d/", "d/v=a/hour=02/", "d/v=币安 %3D+/"]


@pytest.mark.slow
def test_a_folder_of_more_than_one_page_is_whole(moto_lake: Lake) -> None:
    keys = [f"d/{number:04}.parquet" for number in range(1_003)]
    for key in keys:
        moto_lake.store.write(key, b"")
    assert listed(moto_lake) == [("d/", keys)]


def test_nothing_is_no_folder(moto_lake: Lake) -> None:
    assert listed(moto_lake) == []
