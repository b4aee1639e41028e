import inspect

import pytest

from tickhouse_core import errors
from tickhouse_core.errors import (
    Interrupted,
    ObjectRefused,
    TickhouseError,
    UsageError,
    VenueBanned,
    VenueError,
    VenueRefused,
    VenueUnavailable,
)

NAMED = [named for _, named in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", NAMED)
def test_every_error_of_ours_ends_in_one_line(error: type[Exception]) -> None:
    assert issubclass(error, TickhouseError)


def test_only_bad_usage_is_bad_usage() -> None:
    assert [error for error in NAMED if issubclass(error, UsageError)] == [UsageError]


def test_whoever_catches_venue_errors_catches_all_three_kinds() -> None:
    kinds = {error for error in NAMED if issubclass(error, VenueError)}
    assert kinds == {VenueError, VenueUnavailable, VenueRefused, VenueBanned}


def test_an_interruption_is_no_trouble_of_the_venue_and_no_bad_usage() -> None:
    assert Interrupted.__bases__ == (TickhouseError,)


def test_errors_carry_what_a_program_decides_by() -> None:
    assert (ObjectRefused("not_parquet", "x").reason, VenueRefused("x", -1121).code, VenueRefused("x").code) == (
        "not_parquet",
        -1121,
        0,
    )
    banned = VenueBanned("shut out", until_us=5)
    assert (banned.until_us, str(banned)) == (5, "shut out")
