"""The faults of the chaos test, in one list, and the order in which a seed lets them happen. Not a test."""

from collections.abc import Callable
from random import Random
from typing import Any

from .chaos_venue import TICKS_A_SECOND, ChaosVenue, Market

Fault = Callable[[ChaosVenue, Market, Random], None]
ODD: list[list[Any]] = [
    ["101.0500000000000000001", "1.0"],
    ["101.05", "-1.0"],
    ["", "1.0"],
    [101.05, 1.0],
    ["abc", "1.0"],
    [None, None],
    [["1"], "5"],
    ["9" * 5_000, "5"],
    ["1_0", "5"],
    ["NaN", "Infinity"],
]
READABLE = [["1.0105e2", "1.0"], ["1.0105e2", "1e-8"], ["1010500e-4", ".5"]]
FLOOD, STRANGERS, GARBAGE = 10_000, 2_000, 300


def unreadable_numbers(venue: ChaosVenue, market: Market, chance: Random) -> None:
    market.odd_levels = chance.sample(ODD, chance.randint(1, 3))
    market.odd_trades = chance.sample(ODD, chance.randint(1, 2))


def numbers_written_oddly(venue: ChaosVenue, market: Market, chance: Random) -> None:
    market.odd_levels = [list(level) for level in READABLE]


def ids_begin_anew(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.renumber(market)


def an_absurd_id(venue: ChaosVenue, market: Market, chance: Random) -> None:
    """KuCoin's trade ids are sparse and jump far: only the largest are absurd there."""
    venue.say(*venue.absurd_frames(market, chance.choice((2**64 - 1, 2**63 + market.update_id))))


def lost_messages(venue: ChaosVenue, market: Market, chance: Random) -> None:
    """KuCoin's trade ids are sparse: one that never comes cannot be missed."""
    market.lose_diffs = chance.randint(1, 6)
    market.lose_trades = chance.randint(1, 6) if venue.kind != "kucoin" else 0


def a_snapshot_that_stays_behind(venue: ChaosVenue, market: Market, chance: Random) -> None:
    market.lose_diffs = 1
    venue.lag_until = venue.tick + 5 * TICKS_A_SECOND


def error_frames(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.say(*venue.error_frames())


def garbage_frames(venue: ChaosVenue, market: Market, chance: Random) -> None:
    """Text that is no JSON, JSON that is no message, and bytes."""
    kinds = [b"{", b"[1,2", b'"x"', b"null", b'{"a":1}', b"\xff" + chance.randbytes(20), b'{"stream":"x","data":7}', b"[]"]
    venue.say(*(chance.choice(kinds) for _ in range(GARBAGE)))


def a_flood_of_tiny_frames(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.say(*[b"1"] * FLOOD)


def unsubscribed_symbols(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.say(*map(venue.diff_of_stranger, range(STRANGERS)))


def a_ban_with_absurd_digits(venue: ChaosVenue, market: Market, chance: Random) -> None:
    market.lose_diffs = 1
    venue.banned_until = venue.tick + 2 * TICKS_A_SECOND


def rest_is_down(venue: ChaosVenue, market: Market, chance: Random) -> None:
    market.lose_diffs = 1
    venue.down_until = venue.tick + 3 * TICKS_A_SECOND


def a_mute_connection(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.mute(market, chance.choice((2.0, 8.0, 15.0)))


def a_silent_successor(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.silent_next = chance.randint(1, 2)
    venue.ask_for_rotation(market)


def disconnects(venue: ChaosVenue, market: Market, chance: Random) -> None:
    venue.cut()


FAULTS: tuple[Fault, ...] = (
    unreadable_numbers,
    numbers_written_oddly,
    ids_begin_anew,
    an_absurd_id,
    lost_messages,
    a_snapshot_that_stays_behind,
    error_frames,
    garbage_frames,
    a_flood_of_tiny_frames,
    unsubscribed_symbols,
    a_ban_with_absurd_digits,
    rest_is_down,
    a_mute_connection,
    a_silent_successor,
    disconnects,
)
"""Every fault there is: one that is added here happens in every run."""


def schedule(venue: ChaosVenue, seed: int, first: float, last: float) -> list[tuple[float, Fault, str]]:
    """Seconds, fault and symbol: all faults between two instants, in random order, again and again in a long run."""
    chance, symbols = Random(f"{seed} faults of {venue.kind}"), sorted(venue.markets)
    rounds = max(1, round((last - first) / (LEAST_PAUSE * len(FAULTS))))
    kinds = [fault for _ in range(rounds) for fault in chance.sample(FAULTS, len(FAULTS))]
    pause = (last - first) / len(kinds)
    return [(first + pause * (place + chance.random() / 2), kind, chance.choice(symbols)) for place, kind in enumerate(kinds)]


LEAST_PAUSE = 3.0
"""Seconds from one fault to the next, of one venue."""


def begin(venue: ChaosVenue, plan: list[tuple[float, Fault, str]], seed: int, on_fault: Callable[[str, str], None]) -> None:
    """The venue carries the plan out; `on_fault` is told fault and symbol, in the venue's thread."""

    def make(number: int, fault: Fault, symbol: str) -> Callable[[], None]:
        def happen() -> None:
            on_fault(fault.__name__, symbol)
            fault(venue, venue.markets[symbol], Random(f"{seed} {venue.kind} {number}"))

        return happen

    venue.begin({round(at * TICKS_A_SECOND): make(number, fault, symbol) for number, (at, fault, symbol) in enumerate(plan)})
