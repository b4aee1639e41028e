"""A simulated market with losses, repeats and slow snapshots, mirrored and rebuilt; every message is compared. Not a test."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import orjson

from extract_process.book.sync import SnapshotNeeded
from extract_process.mirror.messages import Message, MessageForms
from extract_process.mirror.mirror_book import MirrorBook, RefreshNeeded, Step
from extract_process.mirror.subscriber_book import Applied, SubscriberBook
from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.sequence import Gap
from simulated_exchange.binance.messages import Wording
from simulated_exchange.market.generated import Market
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.market.live_market import STEP, LiveMarket

STEPS_A_MINUTE = 600
NOW = 1_780_000_000_000
Top = tuple[list[list[str]], list[list[str]]]


@dataclass(slots=True)
class Tally:
    """What was compared, and what happened on the way."""

    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Trouble:
    """Chances a diff. A message is left unsaid with `quiet`: the next one says all."""

    drop: float = 0.006
    burst: float = 0.0005
    repeat: float = 0.005
    quiet: float = 0.2
    lose_published: float = 0.001


class MirroredMarket:
    """One symbol: market -> diffs (some lost) -> MirrorBook -> JSON (some lost) -> SubscriberBook, against the market's book."""

    def __init__(self, symbol: str, seed: int, levels: int = 30, snapshot_levels: int = 1_000) -> None:
        instruments = listed_instruments(200)
        live = LiveMarket(Market(seed, instruments), seed)
        market = live.start(symbol, NOW)
        assert market is not None
        self.tally = Tally()
        self._market = market
        self._wording = Wording(instruments[symbol])
        self._symbol = symbol
        self._levels = levels
        self._snapshot_levels = snapshot_levels
        self._chance = Random(f"{seed}/{symbol}")
        self._mirror = MirrorBook(MessageForms("simulated", symbol), levels, snapshot_levels, sequence=1_000)
        self._rebuilt = SubscriberBook()
        self._truths: dict[int, Top] = {}
        self._answers: list[tuple[int, DepthSnapshot]] = []
        self._lost_until = 0

    def run(self, minutes: int, trouble: Trouble) -> None:
        for number in range(minutes * STEPS_A_MINUTE):
            self._step(number, trouble)
            self._answer(number)
            if number % 100 == 99:
                self._mirror.snapshot_due = True

    def _step(self, number: int, trouble: Trouble) -> None:
        chance, diff = self._chance, self._market.step().diff
        if diff is None:
            return
        self._remember(diff.last_id)
        record = DepthDiff(
            self._symbol,
            diff.first_id,
            diff.last_id,
            self._wording.pairs(diff.bids),
            self._wording.pairs(diff.asks),
            self._market.at * 1_000,
        )
        if chance.random() < trouble.burst:
            self._lost_until = number + 50
            self._mirror.on_break("disconnect")
        if number < self._lost_until or chance.random() < trouble.drop:
            self.tally.happened["diff lost"] += 1
            return
        for _ in range(1 + (chance.random() < trouble.repeat)):
            self._follow(number, self._mirror.on_diff(record, number * STEP * 1_000))
        if chance.random() >= trouble.quiet:
            self._say(is_lost=chance.random() < trouble.lose_published)

    def _follow(self, number: int, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, SnapshotNeeded | RefreshNeeded):
                is_refresh = isinstance(step, RefreshNeeded)
                self._mirror.on_snapshot_asked(as_proof=is_refresh)
                self.tally.happened["refresh" if is_refresh else "resync"] += 1
                self._answers.append((number + self._chance.randrange(1, 8), self._snapshot()))
            elif isinstance(step, Gap):
                self.tally.happened["gap"] += 1

    def _snapshot(self) -> DepthSnapshot:
        """In the middle of a step, and as old as the delay when it comes."""
        at = self._market.at + self._chance.randrange(STEP)
        last_update_id, bids, asks = self._market.look(at, self._snapshot_levels)
        self._remember(last_update_id)
        pairs = self._wording.pairs
        return DepthSnapshot(self._symbol, last_update_id, pairs(bids), pairs(asks), "")

    def _answer(self, number: int) -> None:
        due = [snapshot for at, snapshot in self._answers if at <= number]
        self._answers = [(at, snapshot) for at, snapshot in self._answers if at > number]
        for snapshot in due:
            steps = self._mirror.on_snapshot(snapshot, self._snapshot_levels, number * STEP * 1_000)
            self._follow(number, steps)
            self._say(is_lost=False)

    def _say(self, *, is_lost: bool) -> None:
        message = self._mirror.take()
        if message is None:
            self.tally.happened["nothing to say"] += 1
        elif is_lost:
            self.tally.happened["message lost"] += 1
        else:
            self._hear(message)

    def _hear(self, message: Message) -> None:
        applied = self._rebuilt.apply(message.kind, orjson.loads(message.data))
        self.tally.happened[str(applied)] += 1
        if applied not in (Applied.SNAPSHOT, Applied.DELTA):
            return
        self.tally.compared += 1
        found = [list(map(list, side)) for side in (self._rebuilt.bids, self._rebuilt.asks)]
        if found != list(self._truths[self._rebuilt.last_update_id]):
            self.tally.wrong.append(f"{self._symbol} at {self._rebuilt.last_update_id}")

    def _remember(self, last_update_id: int) -> None:
        book, pairs = self._market.book, self._wording.pairs
        self._truths[last_update_id] = pairs(book.bids.levels(self._levels)), pairs(book.asks.levels(self._levels))
        if len(self._truths) > 200:
            self._truths.pop(next(iter(self._truths)))


def symbols(number: int) -> list[str]:
    return list(listed_instruments(number))
