"""What a check of the doctor found: what is so, and what to do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tickhouse_core.errors import TickhouseError
from tickhouse_core.redaction import redacted


@dataclass(frozen=True, slots=True)
class Finding:
    """`verdict` is ok, warning, bad or skipped; `fix` is one line, empty where there is nothing to do."""

    check: str
    verdict: str
    what: str
    fix: str = ""


class CheckFailed(Exception):
    """A check that cannot go on: what is wrong, and the fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def run_check(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What the check found, without secrets. What the check itself did not foresee is a finding as well."""
    return [replace(one, what=redacted(one.what), fix=redacted(one.fix)) for one in _found(name, look)]


def _found(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except CheckFailed as failed:
        return [Finding(name, "bad", str(failed), failed.fix)]
    except TickhouseError as error:
        return [Finding(name, "bad", str(error), "correct the setting that the message names, in the environment or .env")]
