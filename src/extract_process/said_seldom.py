"""PURE. SaidSeldom: what happens thousands of times is said a few times, and then as a number now and then."""

from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_SECONDS = 3_600.0


@dataclass(slots=True)
class _Window:
    began: float
    seconds: float
    said: int = 0
    left_out: int = 0


class SaidSeldom:
    """By kind: the first `most` are said; of the others `take_left_out` tells how many, after a minute, then less and less often.

    Kinds are words of our own, so that there are few. `now` is in seconds of any clock that never steps.
    """

    def __init__(self, most: int, seconds: float = 60.0) -> None:
        self._most = most
        self._seconds = seconds
        self._windows: dict[str, _Window] = {}

    def may_say(self, kind: str, now: float) -> bool:
        """It happened once more."""
        if (window := self._windows.get(kind)) is None:
            window = self._windows[kind] = _Window(now, self._seconds)
        if window.said < self._most:
            window.said += 1
            return True
        window.left_out += 1
        return False

    def take_left_out(self, now: float, *, at_once: bool = False) -> list[tuple[str, int, float]]:
        """Kind, how many were not said, and in how many seconds; of all that is due, or `at_once` of everything."""
        found = []
        for kind, window in list(self._windows.items()):
            if not at_once and now - window.began < window.seconds:
                continue
            if window.left_out:
                found.append((kind, window.left_out, now - window.began))
                longer = min(window.seconds * 2, LONGEST_SECONDS)
                self._windows[kind] = _Window(now, longer, self._most)
            else:  # a quiet while: the next one is news again
                del self._windows[kind]
        return found


def words_of(left_out: Iterable[tuple[str, int, float]]) -> str:
    """What `take_left_out` gave, for one line: one fault has lines of several kinds."""
    return ", ".join(f"{kind} {count:,} in {seconds:.0f} s" for kind, count, seconds in left_out)
