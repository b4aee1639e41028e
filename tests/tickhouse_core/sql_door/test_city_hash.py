"""The checksum of ClickHouse's compressed blocks, against values of the C++ code of CityHash 1.0.2."""

import pytest

from tickhouse_core.sql_door.city_hash import city_hash_128


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "3df09dfc64c09a2b3cb540c392e51e29"),
        (3, "904c24441e897ae0ead37d2c71af49a5"),
        (7, "2ac1cb1e79a3033e1a511db9333e0d88"),
        (12, "80614ff5054dbf6a04eef7733ab7b4c0"),
        (16, "83ec0fac4964837bd275575faba34852"),
        (40, "54d196b23982124f6b063802571562f5"),
        (127, "92014b33a50c9fa190fe7c076ed61607"),
        (128, "7742777150cd6e4435eeafd9d16b93d8"),
        (143, "befd988d63110637794a5b6c2ec5832b"),
        (144, "692e4b2ca634b28a4fa73d4eedd250cd"),
        (300, "db51129120eb68e5b914b72e3214660d"),
    ],
)
def test_every_length_has_the_reference_s_value(size: int, expected: str) -> None:
    hashed = city_hash_128(bytes(number * 7 % 256 for number in range(size)))
    first, second = int.from_bytes(hashed[:8], "little"), int.from_bytes(hashed[8:], "little")
    assert f"{first:016x}{second:016x}" == expected
