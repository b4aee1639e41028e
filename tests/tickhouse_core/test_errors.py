"""The tree of our errors is the one their module draws: what a caller catches with a base follows from it."""

import inspect
import re

from tickhouse_core import errors
from tickhouse_core.errors import ObjectRefused, VenueBanned, VenueRefused


def drawn_tree() -> dict[str, str]:
    """By the name of each error in the module's docstring: the name of the one it hangs on."""
    above: list[str] = []
    parents = {}
    for line in (inspect.getdoc(errors) or "").splitlines():
        if drawn := re.match(r"([│├└─ ]*)([A-Z]\w+) {2,}", line):
            depth = len(drawn[1]) // len("├── ")
            parents[drawn[2]] = above[depth - 1] if depth else "Exception"
            above[depth:] = [drawn[2]]
    return parents


def test_the_errors_are_the_tree_that_their_module_draws() -> None:
    ours = [error for _, error in inspect.getmembers(errors, inspect.isclass) if error.__module__ == errors.__name__]
    bases = {error.__name__: [base.__name__ for base in error.__bases__] for error in ours}
    assert bases == {name: [parent] for name, parent in drawn_tree().items()}
    assert len(bases) > 10


def test_errors_carry_what_a_program_decides_by() -> None:
    assert (ObjectRefused("not_parquet", "x").reason, VenueRefused("x", -1121).code, VenueRefused("x").code) == (
        "not_parquet",
        -1121,
        0,
    )
    banned = VenueBanned("shut out", until_us=5)
    assert (banned.until_us, str(banned)) == (5, "shut out")
